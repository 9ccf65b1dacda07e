-- For tests/oom/run: something of everything that a run's Lua state is used for. It begins with all that waits for
-- somebody, so that its answers can be there before it goes on.
local p = runbook {
  title = "Everything",
  params = {
    world = { "string", required = true },
    many = { "integer", default = 3, min = 1, max = 9 },
    token = { "secret", required = true },
    api = { "url", required = true },
  },
  env = { "OOM_NAME" },
}
local helper = require "helper"

all {
  go = function()
    approve { "Go?", binds = { many = p.many } }
  end,
  count = function()
    print(manual("How many?", { type = "integer" }) + 1)
  end,
  word = function()
    print(json.encode(signal "word"))
  end,
}

local function leave(word)
  exec({ "sh", "-c", 'echo "$0" >> "$1"', word, p.world }, { title = word, on_doubt = "fail" })
end

local function closing(word)
  return setmetatable({}, {
    __close = function()
      leave(word)
    end,
  })
end

checklist "Look" {
  { "A", "one", function()
    evidence("said", exec({ "echo", "hi" }, { read = true }).stdout)
  end },
  { "B", "two", function()
    return now() > 0
  end },
  { "B", "three", function()
    skip "not here"
  end },
}
check("C", "is there", function()
  return helper.double(p.many) == 2 * p.many
end)

step("Act", { undo = function()
  leave "undone"
end }, function()
  undo("back", function()
    leave "back"
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
  local guard <close> = closing "closed"
  retry({ times = 2, delay = "1ms" }, function(n)
    if n == 1 then
      fail("once", { more = { 1, 2 } })
    end
  end)
  note(uuid() .. #r.x .. r.y)
  evidence("drawn", { math.random(9), p.many, null })
end)

each({ "a", "b" }, { limit = 1 }, function(word, i)
  leave(word .. i)
end)
step("Wait", function()
  race {
    quick = function()
      sleep "1ms"
    end,
    slow = function()
      local guard <close> = closing "lost"
      sleep "1h"
    end,
  }
  print(pcall(timeout, "1ms", function()
    sleep "1h"
  end))
  wait_until({ title = "the second look", every = "1ms" }, function(look)
    return look == 2
  end)
  shield(function()
    leave "shielded"
  end)
  sleep_until(0)
end)

local outcomes = settle {
  good = function()
    return memo("once", function()
      return { leave "memo", p.many }
    end)
  end,
  bad = function()
    exec({ "sh", "-c", "echo no >&2; exit 3" }, { idempotent = true })
  end,
}
warn(tostring(outcomes.bad.error), outcomes.good.ok, env "OOM_NAME")
print(exec({ "cat" }, { stdin = "Bearer " .. p.token, read = true, env = { T = p.token } }).stdout)

local db = sql.open("sqlite:" .. p.world .. ".db")
db:exec { "CREATE TABLE IF NOT EXISTS t (x)", idempotent = true }
local rows = db:tx({ exactly_once = true }, function(tx)
  tx:exec("INSERT INTO t (x) VALUES (:x)", { x = p.many })
  return tx:query("SELECT x, :token AS token FROM t LIMIT 1", { token = p.token })
end)
print(#rows, rows.columns[1], rows[1].token, pcall(db.query, db, "SELECT nope"))
local path = p.world .. ".file"
file.write(path, "old")
file.write(path, "Bearer " .. p.token, { backup = true })
print(file.read(path), file.stat(path).mode, file.digest(path .. ".bak"), pcall(file.read, path .. ".not"))
for _, entry in ipairs(file.list(p.world:match "^(.*)/", { glob = "*.file*" })) do
  print(entry.name, file.remove(p.world:match "^(.*/)" .. entry.name))
end

local answer = http.get(p.api .. "/json", { query = { many = p.many }, headers = { ["X-A"] = { "b", 1 } } })
print(answer.status, answer.json().a[1], answer.headers["content-type"], pcall(http.get, p.api .. "/status/404"))
local put = http.put(p.api .. "/echo", { json = { token = p.token, list = { 1, null } }, bearer = p.token })
print(put.body, http.get(p.api .. "/to/302?/hello", { save = path }).saved.size)
local parts = { a = "b", f = { file = path } }
local sent = http.put(p.api .. "/echo", { multipart = parts, retry = { times = 2, delay = "1ms" } })
print(#sent.body, http.put(p.api .. "/echo", { body = { file = path } }).body, file.remove(path))
local message = { title = "Told", text = sent.url, severity = "error", fields = { many = p.many }, dedup = "d" }
local told = notify("ops", message)
print(told.delivered, notify.resolve("ops", "d").channel, pcall(notify, "nobody", "x"))

local words = {}
for word in coroutine.wrap(function()
  for w in ("one two"):gmatch "%a+" do
    sleep "1ms"
    coroutine.yield(w)
  end
end) do
  words[#words + 1] = word:upper():gsub("O", "%0%0")
end
table.sort(words)
print(("%s %q %5.1f"):format(table.concat(words, ","), "x", p.many), os.date("%Y", 0))
print(base64.encode "x", hash.sha256 "x")
print(pcall(load, "return 1 +"), select("#", table.unpack(json.decode "[1,2,null]")), duration.parse "1h")
step("Last", function()
  undo("last", function()
    leave "last undone"
  end)
  leave "last"
end)
