-- For tests/oom/run: something of everything that a run's Lua state is used for.
local p = runbook { params = { world = { "string", required = true } } }

approve { "Go?" }

local function leave(word)
  exec({ "sh", "-c", 'echo "$0" >> "$1"', word, p.world }, { title = word, on_doubt = "fail" })
end

checklist "Look" {
  { "A", "one", function()
    evidence("said", exec({ "echo", "hi" }, { read = true }).stdout)
  end },
  { "B", "two", function()
    return now() > 0
  end },
}
step("Act", function()
  undo("back", function()
    exec { "true" }
  end)
  leave "act"
  local r = all {
    x = function()
      leave "x"
      return exec({ "cat" }, { stdin = ("y"):rep(1000), read = true }).stdout
    end,
    y = function()
      sleep "1ms"
      return json.encode { a = { 1, 2, 3 } }
    end,
  }
  retry({ times = 2, delay = "1ms" }, function(n)
    if n == 1 then
      fail "once"
    end
  end)
  note(uuid() .. #r.x .. r.y)
end)
each({ "a", "b" }, { limit = 1 }, leave)
settled()
print "done"
