-- rt.lexer, rt.parse, rt.lint: what `rbhost check` finds, and that it finds nothing else; rt.words against the
-- annotations.
local lu = require "luaunit"
local lint = require "rt.lint"

local function findings(text)
    local out, errors, warnings = lint.report(text, "x.lua")
    local _, lines = out:gsub("\n", "\n")
    lu.assertEquals(errors + warnings, lines)
    return out
end

local function finds(text, one) -- its place, level and text without the file
    lu.assertEquals(findings(text), "x.lua:" .. one .. "\n")
end

local ONLY = "a header is read alone, before the run: only require may precede runbook{…}"

TestLint = {}

function TestLint.test_good_runbooks()
    for _, text in ipairs {
        "",
        "print 'hello'",
        "#!/usr/bin/env rbhost\nprint 'hello'",
        [[
local p = runbook { name = "x", params = { v = { "string", required = true } }, timeout = "2h" }
checklist "Before" {
  serial = true,
  { "Build", "tagged", function() evidence("t", exec({ "git", "tag" }, { read = true }).stdout) end },
  { "Build", "pushed", function() exec({ "git", "push" }) end, acts = true },
}
approve { "Promote " .. p.v .. "?", by = "ops", timeout = "30m" }
step("Roll out", { retry = { times = 3 }, timeout = "5m" }, function()
  exec({ "deploy", p.v }, { timeout = "1m", cwd = "/", env = { A = "b" }, stdin = "", check = false,
      max_output = 10 })
  exec.sh("deploy | tee log")
end)
local r = retry({ times = 3, delay = "1s", backoff = 2, max = "10s", jitter = 0, on = { "exec.exit" } },
    function() return 1 end)
wait_until({ title = "up", every = "1s", timeout = "1m" }, function() return r end)
each({ 1, 2 }, { limit = 2 }, function(x) note(x) end)
for k, v in pairs(all { a = function() return 1 end }) do print(k, v, os.time(), math.pi, _VERSION) end
local ok, e = pcall(function() local x <close> = nil end)
return json.encode { ok, e, null, secret "token", hash.sha256("x"), coroutine.wrap, _G.print }]],
        "local io = {} io.open() local function exec(x, o) end exec('x', { tmeout = 1 })",
        "local opts = {} exec({ 'ls' }, opts) local t = { 'ls' } exec(t)",
        "check('a', 'b', function() exec({ 'x' }, { read = true }) end)",
        "check('a', 'b', function() exec({ 'x' }) end, { acts = true })",
        "local x, y = 1, 2 return 1 ~ x, (x or y) ~ 1, 1 + (x or 2), 1 ~ (x)",
        "local _ENV = { a = 1 } a = b",
    } do
        lu.assertEquals(findings(text), "")
    end
end

function TestLint.test_syntax()
    finds("local x = )", "1:11: error: unexpected symbol near ')'")
    finds("\n  print(\n", "3:1: error: unexpected symbol near <eof>")
end

function TestLint.test_unknown_globals()
    finds("\n exce({ 'ls' })", "2:2: error: unknown global exce; did you mean exec?")
    finds("return aprove", "1:8: error: unknown global aprove; did you mean approve?")
    finds("return unpack", "1:8: error: unknown global unpack; did you mean table.unpack?")
    finds("return _G.exce", "1:8: error: unknown global exce; did you mean exec?")
end

function TestLint.test_what_is_not_in_the_sandbox()
    finds(
        "io.open('x')",
        "1:1: error: io.open is not available in a runbook: use file.read(path) "
            .. "and file.write(path, text), or print(…) for a line in the log"
    )
    finds(
        "os.execute('x')",
        "1:1: error: os.execute is not available in a runbook: run a command with exec({ … })"
    )
    finds(
        "os.exit()",
        "1:1: error: os.exit is not available in a runbook: use fail(message), or return from the file"
    )
    finds(
        "return debug.traceback()",
        "1:8: error: debug.traceback is not available in a runbook: use print(…) and `rbhost log RUN`"
    )
    finds("dofile 'x'", "1:1: error: dofile is not available in a runbook: use require")
    finds("lock('x')", "1:1: error: lock is not available in a runbook: it comes in a later version")
end

function TestLint.test_fields_of_libraries()
    finds("string.fnd('a', 'b')", "1:1: error: there is no string.fnd; did you mean string.find?")
    finds("exec.shell('a')", "1:1: error: there is no exec.shell")
end

function TestLint.test_assignments()
    finds("x = 1", "1:1: error: assignment to the global x; write local x")
    finds("local a a, x = 1, 2", "1:12: error: assignment to the global x; write local x")
    finds("function f() end", "1:10: error: assignment to the global f; write local function f")
    finds(
        "print = 1",
        "1:1: error: the global print can not be assigned; write local print for a variable of your own"
    )
    finds(
        "function string.trim() end",
        "1:10: error: string.trim can not be assigned: the library string is read-only"
    )
    finds("_G.x = 1", "1:1: error: assignment to the global x; write local x")
end

function TestLint.test_what_a_verb_can_not_do_without()
    finds("ssh.upload('web1', { content = 'x' })", "1:20: error: ssh.upload needs to")
    finds("ssh.upload('web1', { to = 'x' })", "1:20: error: ssh.upload needs from or content")
    finds("ssh.upload('web1')", "1:1: error: ssh.upload needs a table of options")
    finds("ssh.download('web1', { to = 'x' })", "1:22: error: ssh.download needs from")
    finds("http { method = 'GET' }", "1:6: error: http needs url")
    finds("http.get()", "1:1: error: http.get needs a URL")
    finds("file.write('x')", "1:1: error: file.write needs a text")
    for _, text in ipairs {
        "local o = {} ssh.upload('web1', o)",
        "local k = 'to' ssh.upload('web1', { [k] = 1 })", -- who knows what it is
        "local t = {} ssh.upload(table.unpack(t))",
        "local function f(...) file.write(...) end",
    } do
        lu.assertEquals(findings(text), "")
    end
end

function TestLint.test_values_of_options()
    finds(
        "exec({ 'ls' }, { timeout = '5 mins' })",
        '1:28: error: timeout of exec is "5 mins", expected a duration such as "90s" or "1h30m"'
    )
    finds(
        "ssh('web1', { 'ls' }, { sudo = 'yes' })",
        '1:32: error: sudo of ssh is "yes", expected true, or { password = secret("name") }'
    )
    finds(
        "ssh.upload('a b', { from = 'x', to = 'y' })",
        '1:12: error: the host of ssh.upload is "a b", expected host, user@host or user@host:port'
    )
    finds("ssh('web1', { 'ls' }, { read = 'yes' })", '1:32: error: read of ssh is "yes", expected true or false')
    finds(
        "ssh('web1', 'x', { retry = { times = 0 } })",
        "1:38: error: times of retry is 0, expected a whole number from 1"
    )
    finds(
        "ssh('web1', 'x', { max_output = -1 })",
        "1:33: error: max_output of ssh is -1, expected a number of bytes"
    )
    finds(
        "ssh.each('web', { max_failures = 'x%' }, 'x')",
        '1:34: error: max_failures of ssh.each is "x%", expected a number, or a part such as "10%"'
    )
    finds(
        "ssh.upload('a', { from = 'x', to = 'y', mode = 640 })",
        '1:48: error: mode of ssh.upload is 640, expected a text such as "0644" or "755"'
    )
    finds(
        "exec({ 'ls' }, { on_doubt = 'maybe' })",
        '1:29: error: on_doubt of exec is "maybe", expected "ask", "retry", "fail" or a function'
    )
    for _, text in ipairs {
        "local t = '1' .. 's' exec({ 'ls' }, { timeout = t, retry = 3, cwd = '/' .. t })",
        "exec({ 'ls' }, { timeout = 1.5, title = 'x' .. 1, retry = false, read = 1 > 0, env = nil })",
        "ssh.each('web', { max_failures = '10%', sudo = { password = secret 'x' }, limit = 1 }, 'x')",
        "retry({ times = 3, max = '10s', delay = 0 }, function() end)",
        "ssh({ host = 'a' }, 'x', { on_doubt = function() end, timeout = '1h30m' })",
    } do
        lu.assertEquals(findings(text), "")
    end
end

function TestLint.test_options()
    finds(
        "exec({ 'ls' }, { tmeout = '5s' })",
        "1:18: error: unknown option tmeout of exec; did you mean timeout?"
    )
    finds(
        "exec.sh('ls', { zzz = 1 })",
        "1:17: error: unknown option zzz of exec.sh; known: "
            .. "check cwd env idempotent max_output on_doubt read retry secret stdin survive timeout title"
    )
    finds(
        "step('t', { retyr = 1 }, function() end)",
        "1:13: error: unknown option retyr of step; did you mean retry?"
    )
    finds("approve { 'ok?', bye = 'ops' }", "1:18: error: unknown option bye of approve; did you mean by?")
    finds(
        "manual('look', { tpye = 'integer' })",
        "1:18: error: unknown option tpye of manual; did you mean type?"
    )
    finds("retry({ ['tmes'] = 3 }, print)", "1:9: error: unknown option tmes of retry; did you mean times?")
    finds(
        "wait_until({ evry = 1 }, print)",
        "1:14: error: unknown option evry of wait_until; did you mean every?"
    )
    finds("each({}, { limt = 1 }, print)", "1:12: error: unknown option limt of each; did you mean limit?")
    finds(
        "signal('go', { timeuot = 1 })",
        "1:16: error: unknown option timeuot of signal; did you mean timeout?"
    )
    finds(
        "check('a', 'b', print, { act = true })",
        "1:26: error: unknown option act of check; did you mean acts?"
    )
end

function TestLint.test_exec_takes_a_list()
    finds(
        "exec('ls -l')",
        '1:6: error: exec takes a list: exec({ "git", "status" }); a line for the shell is exec.sh(text)'
    )
    finds(
        "exec{ 'ls', cwd = '/' }",
        "1:13: error: cwd stands in the list of arguments; "
            .. "options are the second argument: exec({ … }, { cwd = … })"
    )
    finds("exec()", '1:1: error: exec takes a list: exec({ "git", "status" })')
    finds(
        "exec.sh{ 'ls' }",
        "1:8: error: exec.sh takes a text for the shell; a list of arguments is exec({ … })"
    )
    finds("step('t', {})", "1:11: error: step needs a function: step(title, { … }, function() … end)")
end

function TestLint.test_checks_only_read()
    finds(
        "check('a', 'b', function() file.write('x', file.read 'y') end)",
        "1:28: warning: file.write inside a check; a check that acts says so: acts = true"
    )
    local said = " inside a check without read = true; a check that acts says so: acts = true"
    finds("checklist 't' { { 'a', 'b', function() exec({ 'x' }) end } }", "1:40: warning: exec" .. said)
    finds(
        "checklist('t')({ { 'a', 'b', function() exec.sh('x', { read = false }) end } })",
        "1:41: warning: exec.sh" .. said
    )
    finds(
        "check('a', 'b', function() retry({}, function() exec({ 'x' }, { cwd = '/' }) end) end)",
        "1:49: warning: exec" .. said
    )
    finds(
        "checklist 't' { { 'a', 'b' } }",
        '1:17: error: a row of a checklist is { "stage", "text", function() … end }'
    )
    finds(
        "checklist 't' { seral = true }",
        "1:17: error: unknown option seral of checklist; did you mean serial?"
    )
    finds(
        "checklist 't' { { 'a', 'b', print, act = true } }",
        "1:36: error: unknown option act of a row of a checklist; did you mean acts?"
    )
end

function TestLint.test_statements()
    local joined = 'warning: the statement is joined from parts; values are parameters: ("… WHERE id = ?", id)'
    finds("local v = 1 sql('app', 'SELECT * FROM t WHERE id = ' .. v)", "1:24: " .. joined)
    finds("local d, v = 1, 2 d:exec('DELETE FROM t WHERE id = ' .. v .. ';')", "1:26: " .. joined)
    finds("local d, v = 1, 2 d:exec { 'DELETE FROM t WHERE id = ' .. v, timeout = 1 }", "1:28: " .. joined)
    finds(
        "sql('app', { 'SELECT 1', tiemout = 1 })",
        "1:26: error: unknown option tiemout of sql; did you mean timeout?"
    )
    finds(
        "check('a', 'b', function() sql('app', 'DELETE FROM t') end)",
        "1:28: warning: sql writes inside a check; a check that acts says so: acts = true"
    )
    finds(
        "local db = sql.open 'app' check('a', 'b', function() db:exec('DELETE FROM t') end)",
        "1:57: warning: db:exec writes inside a check; a check that acts says so: acts = true"
    )
    for _, text in ipairs {
        "sql('app', 'SELECT ' .. 'a, ' .. ('b'))",
        "local d, v = 1, 2 d:exec('some text ' .. v) d:query('SELECT ?', v) sql(v, v)",
        "check('a', 'b', function() sql('app', 'SELECT 1') end)",
        "check('a', 'b', function() sql('app', { 'WITH x AS (SELECT 1) SELECT 1', read = true }) end)",
    } do
        lu.assertEquals(findings(text), "")
    end
end

function TestLint.test_waiting_inside_functions_of_Lua()
    finds(
        "table.sort({}, function() sleep(1) end)",
        "1:27: warning: sleep can not wait inside the function of table.sort; collect first, then call it"
    )
    finds(
        "local s = '' s:gsub('.', function() exec({ 'x' }) end)",
        "1:37: warning: exec can not wait inside the function of gsub; collect first, then call it"
    )
end

function TestLint.test_a_bug_of_Lua_5_4_4()
    finds(
        "local x return 1 ~ (2 or x)",
        "1:18: warning: Lua 5.4.4 can compute this wrong: keep (… or …) in a local before ~"
    )
    finds(
        "local x return 7 & ((x and 3))",
        "1:18: warning: Lua 5.4.4 can compute this wrong: keep (… and …) in a local before &"
    )
end

function TestLint.test_headers()
    finds(
        "print(1)\nrunbook{}",
        "1:1: error: print is not there yet; " .. ONLY
    )
    finds("runbook{}\nrunbook{}", "2:1: error: runbook{…} is called a second time")
    finds(
        "runbook {\n  params = { a = { 'strng' } } }",
        '2:14: error: header: params.a: unknown type "strng"; did you mean string?'
    )
    finds("runbook {\n  name = nil .. 1 }", "2:1: error: attempt to concatenate a nil value")
    finds(
        "runbook 'x'",
        '1:1: error: header: got "x", expected a table: runbook { name = "…", params = { … } }'
    )
end

function TestLint.test_long_chains()
    lu.assertEquals(findings("local x = 1" .. (" + 1"):rep(100000)), "")
    lu.assertEquals(findings("local x = {} x = x" .. (".x"):rep(100000)), "")
    lu.assertEquals(findings("local x = {} x = x" .. (":x()"):rep(10000)), "")
end

function TestLint.test_findings_come_in_the_order_of_the_text()
    lu.assertEquals(
        findings "x = y\nrunbook { nam = 1 }\nz()",
        table.concat({
            "x.lua:1:1: error: assignment to the global x; write local x",
            "x.lua:1:1: error: y is not there yet; " .. ONLY,
            "x.lua:1:5: error: unknown global y",
            "x.lua:3:1: error: unknown global z",
            "",
        }, "\n")
    )
end

os.exit(lu.LuaUnit.run())
