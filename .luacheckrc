-- luacheck's view of rbhost: what a runbook may use is a list, all else is absent. (stdlib/meta documents it.)
std = "none"
max_line_length = 120

-- Lua's own, as far as the sandbox lets them in.
local lua = {
  "_G", "_VERSION", "assert", "collectgarbage", "coroutine", "error", "getmetatable", "ipairs", "load", "math", "next", "os", "pairs",
  "pcall", "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "string", "table", "tonumber", "tostring",
  "type", "utf8", "xpcall",
}

-- rbhost's verbs.
local verbs = {
  -- header, structure, people
  "runbook", "step", "checklist", "check", "manual", "approve", "evidence", "note", "fail", "skip", "undo", "settled", "secret", "lock",
  "signal", "memo", "restart_with",
  -- records
  "now", "uuid", "env", "print", "warn", "random_secret",
  -- effects, reads and waits
  "http", "sql", "exec", "ssh", "sleep", "sleep_until", "file", "notify",
  -- concurrency
  "all", "settle", "race", "each", "timeout", "retry", "wait_until",
  -- plain helpers
  "json", "base64", "hash", "hmac", "duration", "null",
}

read_globals = {}
for _, list in ipairs { lua, verbs } do
  for _, name in ipairs(list) do
    read_globals[name] = { other_fields = true, read_only = true }
  end
end

-- The host's own modules are not sandboxed: they see all of Lua and `host`, the functions that the engine gives them.
files["stdlib/rt"] = { std = "lua54", read_globals = { "host" } }
-- Annotations only: it declares every global and uses none.
files["stdlib/meta"] = { std = "lua54", ignore = { "1..", "2.." }, max_line_length = false }
-- Run by `rbhost test`: LuaUnit finds its classes by their global names, and calls methods that need no self.
files["**/tests/test_*.lua"] = { ignore = { "11[123]/Test.*", "131/Test.*", "212/self" } }
-- Run inside the host by tests/lua/host.c, with all of Lua; LuaUnit finds its classes by their global names.
files["tests/lua"] = { std = "lua54", ignore = { "11[123]/Test.*", "131/Test.*" } }
