#!/usr/bin/env python3
"""rbhost test and mock: what a test may say and see of each kind of call, how time goes, what a failing test shows, that nothing
real is touched, that a test can not hang, the formats and the exit codes; and the tests of the runbooks in this repository."""

# time-limit: 240

import json
import os
import pathlib
import re
import signal
import sys
import xml.etree.ElementTree

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import RBHOST, TMP, check, contains, eq, finish, lacks, rbhost, start, wait_for

ROOT = pathlib.Path(os.environ["ROOT"])
HEAD = 'local lu, mock = require "luaunit", require "mock"\n'
n = 0


def folder(**files):
    """A folder of its own with these files: name__ext for name.ext, a__b__ext for a/b.ext."""
    global n
    n += 1
    top = TMP / f"case{n}"
    for name, text in files.items():
        path = top / ("/".join(name.split("__")[:-1]) + "." + name.split("__")[-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top


def holds(name, runbook, tests, **more):
    """Tests of one runbook that all pass."""
    top = folder(book__lua=runbook, test_x__lua=HEAD + tests, **more)
    r = rbhost("test", top / "test_x.lua")
    count = len(re.findall(r"^function [Tt]est", tests, re.M))
    return check(name, r.returncode == 0 and f"{count} passed, 0 failed" in r.stdout, r.stdout + r.stderr)


# -- each kind of call

holds("commands: short forms, errors in the words of the real ones, check, stdin, a signal", r"""
    local r = exec({ "a", "b" }, { stdin = "in", env = { X = "1" } })
    print(r.code, r.stdout, r.stderr)
    print(exec({ "code" }, { check = false }).code)
    local ok, e = pcall(exec, { "fails", "x" })
    print(e.kind, e.message, e.outcome, e.result.code)
    ok, e = pcall(exec, { "killed" })
    print(e.kind, e.outcome)
    print(exec.sh("echo $X | cat", { read = true }).stdout)
""", r"""
function test_all()
  local seen
  local run = mock.run("book.lua", { exec = {
    ["a b"] = function(call) seen = call return "out" end, code = 3, ["fails *"] = { code = 7, stderr = "first\nlast\n" },
    killed = { signal = 9 }, ["/bin/sh -c echo *"] = "1",
  } })
  lu.assertEquals(run.printed, { "0\tout\t", "3", "exec.exit\t`fails x` exited with 7: last\tfailed\t7", "exec.signal\tunknown", "1" })
  lu.assertEquals({ seen.argv, seen.stdin, seen.env, seen.class, seen.where:match "[^/]*$" }, { { "a", "b" }, "in", { "X=1" }, "effect", "book.lua:2" })
  lu.assertEquals(run.calls "exec", { "a b", "code", "fails x", "killed", "/bin/sh -c echo $X | cat" })
end
""")

holds("requests: statuses, JSON, headers, bodies, what is expected, errors, Retry-After, secrets as placeholders", r"""
    local p = runbook { params = { token = { "secret", required = true } } }
    local r = http.get("http://x.example/a", { query = { q = "1 2" }, bearer = p.token })
    print(r.status, r.json().n, r.headers["content-type"], r.url)
    print(http.post("http://x.example/b", { json = { k = "v" }, expect = 409 }).status)
    local ok, e = pcall(http.get, "http://x.example/c?x=1", { retry = false })
    print(e.kind, e.message, e.result.body)
    ok, e = pcall(http.post, "http://x.example/d", { body = "x" })
    print(e.kind, e.outcome)
    local before = now()
    print(http.get("http://x.example/e").body, now() - before)
""", r"""
function test_all()
  local run = mock.run("book.lua", { params = { token = "a-long-secret" }, http = {
    ["GET http://x.example/a?*"] = { json = { n = 5 } }, ["POST http://x.example/b"] = 409, ["GET http://x.example/c?x=1"] = { status = 500, body = "broken\nx" },
    ["POST http://x.example/d"] = mock.fail "http.reset", ["GET http://x.example/e"] = mock.turns { { status = 503, headers = { ["Retry-After"] = "7" } }, "there" },
  } })
  lu.assertEquals(run.printed, { "200\t5\tapplication/json\thttp://x.example/a?q=1%202", "409", "http.status\tGET http://x.example/c: answered 500: broken\tbroken\nx",
    "http.reset\tunknown", "there\t7.0" })
  local asked = run.requests "http"
  lu.assertEquals(asked[1].headers.authorization, "Bearer ‹secret:token›")
  lu.assertEquals(asked[2].body, '{"k":"v"}')
  lu.assertEquals(asked[2].headers["content-type"], "application/json")
end
""")

holds("statements: rows, one row, a value, changes, a transaction, a copy, an error", r"""
    local db = sql.open "sqlite:/var/lib/app.db"
    local rows = db:query("SELECT name, n FROM t WHERE n > ?", 1)
    print(#rows, rows[1].name, table.concat(rows.columns, ","))
    print(db:one("SELECT  *\n FROM one").id, db:value "SELECT count(*) FROM t", db:one "SELECT nothing")
    print(db:exec("DELETE FROM t").changes, db:exec("INSERT INTO t VALUES (1)").last_id)
    print(db:tx(function(tx) tx:exec "UPDATE t SET n = 2" return tx:value "SELECT n FROM t" end))
    db:backup "/var/lib/copy.db"
    local ok, e = pcall(db.query, db, "SELECT bad")
    print(e.kind, e.message)
""", r"""
function test_all()
  local run = mock.run("book.lua", { sql = {
    ["SELECT name, n FROM t *"] = { { name = "a", n = 2 }, { name = "b", n = 3 } }, ["SELECT * FROM one"] = { id = 4 }, ["SELECT count(*) FROM t"] = 2,
    ["SELECT nothing"] = true, ["DELETE *"] = 2, ["INSERT *"] = { changes = 1, last_id = 9 }, ["UPDATE *"] = 1, ["SELECT n FROM t"] = 2, ["BACKUP *"] = true,
    ["SELECT bad"] = mock.fail("sql.error", "no such column: bad"),
  } })
  lu.assertEquals(run.error, nil)
  lu.assertEquals(run.printed, { "2\ta\tn,name", "4\t2\tnil", "2\t9", "2", "sql.error\tno such column: bad" })
  lu.assertEquals(run.requests("sql")[1].params, { 1 })
  lu.assertEquals(run.requests("sql")[1].dsn, "sqlite:/var/lib/app.db")
end
""")

holds("files: answers to each verb, and files in memory", r"""
    file.write("/d/new", "text", { mode = "0600" })
    print(file.read "/d/a", file.stat "/d/none", file.stat("/d/new").size, file.digest "/d/a" == hash.sha256 "A")
    for _, e in ipairs(file.list "/d") do print(e.name, e.type) end
    print(file.mkdir "/e", file.remove("/gone", { missing_ok = true }))
    print(select(2, pcall(file.read, "/nowhere")).kind)
""", r"""
local printed = { "A\tnil\t4\ttrue", "a\tfile", "new\tfile", "true\tfalse", "file.not_found" }
function test_in_memory()
  local files = mock.files { ["/d/a"] = "A" }
  lu.assertEquals(mock.run("book.lua", { file = files }).printed, printed)
  lu.assertEquals(files:get "/d/new", "text")
  lu.assertEquals(files:paths(), { "/d/a", "/d/new" })
end
function test_answer_by_answer()
  local run = mock.run("book.lua", { file = { ["write /d/new"] = true, ["read /d/a"] = "A", ["stat /d/none"] = false, ["stat /d/new"] = { size = 4 },
    ["digest *"] = hash.sha256 "A", ["list /d"] = { "a", { name = "new", type = "file" } }, ["mkdir *"] = true, ["remove *"] = false,
    ["read /nowhere"] = mock.fail "file.not_found" } })
  lu.assertEquals(run.printed, printed)
  lu.assertEquals(run.requests("file")[1].content, "text")
end
""")

holds("other machines: commands, many hosts, groups, files", r"""
    print(ssh("web1", { "uptime" }, { read = true }).stdout)
    local r = ssh.each({ "web" }, { check = true }, { "deploy", "v1" })
    print(#r, r.failed and #r.failed)
    ssh.upload("web1", { content = "x", to = "/etc/x" })
    print(ssh.download("web1", { from = "/etc/y" }).content)
    print(select(2, pcall(ssh, "web9", "false")).message)
""", r"""
function test_all()
  local run = mock.run("book.lua", { groups = { web = { "web1", "web2" } }, ssh = { ["web1: uptime"] = "up", ["web*: deploy *"] = true,
    ["web1: upload /etc/x"] = true, ["web1: download /etc/y"] = "content", ["web9: *"] = 1 } })
  lu.assertEquals(run.printed[1], "up")
  lu.assertEquals(run.printed[3], "content")
  lu.assertEquals(run.printed[4], "ssh web9: `false` exited with 1")
  lu.assertEquals(run.calls "ssh", { "web1: uptime", "web1: deploy v1", "web2: deploy v1", "web1: upload /etc/x", "web1: download /etc/y", "web9: false" })
end
""")

holds("people, signals and messages: approvals, denials, who may, typed values, nobody, delivered", r"""
    runbook { allow = { notify = { "ops" } }, notify = { failed = "nowhere" } }
    print(approve { "Go?", by = "ada" }.by)
    print(manual "Look", manual("How many?", { type = "integer" }), manual("Which?", { choices = { "a", "b" } }))
    print(select(2, pcall(manual, "Do it")).kind, select(2, pcall(approve, "Sure?")).kind)
    print(signal("deployed").version, notify("ops", { text = "done", severity = "error" }).delivered)
    local before = now()
    print(approve({ "Late?", timeout = "1h", on_timeout = "continue" }).decision, now() - before)
""", r"""
local function answers(more)
  local all = { ["Go?"] = { "approve", by = "ada" }, Look = "fine", ["How many?"] = 3, ["Which?"] = "b", ["Do it"] = "failed", ["Sure?"] = false, ["Late?"] = mock.nobody }
  for k, v in pairs(more or {}) do all[k] = v end
  return { answers = all, signals = { deployed = { version = "v2" } }, notify = { ["ops: *"] = true } }
end
function test_all()
  local run = mock.run("book.lua", answers())
  lu.assertEquals(run.error, nil)
  lu.assertEquals(run.printed, { "ada", "fine\t3\tb", "manual.failed\tdenied", "v2\ttrue", "timeout\t3600.0" })
  lu.assertEquals(run.requests("notify")[1].severity, "error")
end
function test_somebody_who_may_not()
  lu.assertErrorMsgContains("eve may not decide this", mock.run, "book.lua", answers { ["Go?"] = { "approve", by = "eve" } })
end
function test_a_value_that_does_not_fit()
  lu.assertErrorMsgContains("is none of a, b", mock.run, "book.lua", answers { ["Which?"] = "c" })
end
""")

holds("secrets by name, a dry run, a reach that is too narrow, a successor", r"""
    runbook { allow = { exec = { "good *" } }, params = { n = { "integer", default = 1 } } }
    exec({ "good", "x" }, { stdin = secret "key" })
    exec { "bad" }
""", r"""
function test_the_policy_is_real()
  local run = mock.run("book.lua", { secrets = { key = "12345678" }, exec = { ["*"] = true } })
  lu.assertEquals(run.status, "denied")
  lu.assertEquals(run.error.kind, "policy")
  lu.assertEquals(run.calls(), { "exec good x" })
  lu.assertEquals(run.requests()[1].stdin, "‹secret:key›")
end
function test_a_dry_run_lists()
  local run = mock.run("book.lua", { secrets = { key = "12345678" }, dry = true })
  lu.assertEquals(run.calls(), {})
end
function test_a_secret_that_nobody_gave()
  lu.assertErrorMsgContains('secrets = { ["key"] = ', mock.run, "book.lua", {})
end
""")

holds("streams of events, variables of the environment, parallel runs", r"""
    runbook { env = { "REGION" } }
    print(http.events("http://x.example/s", { timeout = "1m" }, function(e) print(e.data, e.event) return e.data == "two" end))
    print(env "REGION", env "HOME")
""", r"""
function test_all()
  local run = mock.run("book.lua", { env = { REGION = "north" }, http = { ["EVENTS http://x.example/s"] = mock.turns { "one", { data = "two", event = "x" } } } })
  lu.assertEquals(run.error, nil)
  lu.assertEquals(run.printed, { "one\tmessage", "two\tx", "2", "north\tnil" })
end
function test_the_server_ends_it()
  local runs = all { a = function() return mock.run("book.lua", { http = function() return false end }).printed[1] end,
    b = function() return mock.run("book.lua", { http = mock.fail "http.reset" and { ["*"] = mock.fail "http.reset" } }).error.kind end }
  lu.assertEquals(runs, { a = "0", b = "http.reset" })
end
""")

# -- time

holds("time: sleeps, time-outs, polling and slow answers go by the run's clock", r"""
    local from = now()
    sleep "1h"
    print(now() - from, os.time() - math.floor(from))
    print(select(2, pcall(timeout, "30s", function() exec { "slow" } end)).kind, now() - from)
    print(wait_until({ every = "10s", timeout = "5m" }, function(n) return exec({ "poll" }, { read = true }).code == 0 and n end), now() - from)
    print(select(2, pcall(exec, { "late" }, { timeout = "5s" })).kind, now() - from)
    all { function() sleep "1m" print "second" end, function() sleep "30s" print "first" end }
    print(race { a = function() sleep "2s" return "a" end, b = function() sleep "1s" return "b" end })
""", r"""
function test_all()
  local run = mock.run("book.lua", { now = 1e9, exec = { slow = mock.after("1m", "done"), late = mock.after("6s", "done"),
    poll = mock.turns { mock.fail "exec.not_found", 0 } } })
  lu.assertEquals(run.status, "failed")
  run = mock.run("book.lua", { now = 1e9, exec = { slow = mock.after("1m", "done"), late = mock.after("6s", "done"), poll = 0 } })
  lu.assertEquals(run.printed, { "3600.0\t3600", "timeout\t3630.0", "1\t3630.0", "exec.timeout\t3635.0", "first", "second", run.printed[7] })
  lu.assertStrContains(run.printed[7], "b")
  lu.assertEquals(run.ended, 1e9 + 3635 + 60 + 1)
end
""")

holds("time: the header's time-out goes by it, too, and so do people who take their time", r"""
    local p = runbook { timeout = "2h", params = { by = { "duration" } } }
    print(pcall(approve, { "Go?", timeout = p.by }), now())
""", r"""
local function run(by, answer) return mock.run("book.lua", { now = 1000, params = by and { by = by } or {}, answers = { ["Go?"] = answer } }) end
function test_over()
  local r = run(nil, mock.nobody)
  lu.assertEquals({ r.status, r.ended }, { "timed_out", 8200 })
end
function test_over_by_a_late_answer() lu.assertEquals(run(nil, mock.after("3h", "approve")).status, "timed_out") end
function test_an_hour_is_in_time()
  local r = run(nil, mock.after("1h", { "approve", by = "ada" }))
  lu.assertEquals({ r.status, r.ended }, { "succeeded", 4600 })
end
function test_too_late_for_the_question()
  local r = run("10m", mock.after("1h", "approve"))
  lu.assertEquals({ r.status, r.ended }, { "succeeded", 1600 })
  lu.assertStrContains(r.printed[1], "false")
end
""")

# -- the engine is the real one

holds("steps, checks, evidence, undo, retry: what a run was, and how it goes on", r"""
    step("First", function()
      undo("Undo the first", function() exec { "undo", "first" } end)
      exec { "do", "first" }
    end)
    checklist "All" { { "A", "one", function() evidence("one", 1) end }, { "B", "two", function() return exec({ "two" }, { read = true }).stdout == "ok" end },
      { "C", "three", function() skip "not here" end } }
    print(memo("m", function() return exec({ "inner" }, { read = true }).stdout end))
    warn "careful" note "kept"
""", r"""
local function run(two)
  return mock.run("book.lua", { exec = { ["do first"] = true, ["undo first"] = true, two = two, inner = "in" } })
end
function test_good()
  local r = run "ok"
  lu.assertEquals({ r.status, r.printed, r.warnings, r.notes, r.evidence }, { "succeeded", { "in" }, { "careful" }, { "kept" }, { one = 1 } })
  lu.assertEquals({ r.steps.First.verdict, r.steps.All.kind, r.checks.three.why, r.checks[1].stage }, { "pass", "checklist", "not here", "A" })
end
function test_undo()
  local r = run "no"
  lu.assertEquals({ r.status, r.checks.two.verdict, r.undo }, { "failed", "fail", { "Undo the first" } })
  lu.assertStrContains(r.error.message, "1 of 3 checks failed: B: two")
  lu.assertEquals({ r.run_undo().status, r.undo, r.calls("exec")[3] }, { "undone", {}, "undo first" })
end
function test_retry()
  local r = run(mock.turns { "no", "ok" })
  lu.assertEquals(r.status, "failed")
  lu.assertEquals({ r.retry().status, r.calls "exec" }, { "succeeded", { "do first", "two", "two", "inner" } })
end
""")

# -- what goes wrong

top = folder(book__lua='exec { "touch", "%s" }\nfile.write("%s", "x")' % (TMP / "touched", TMP / "touched"), loop__lua="while true do end",
             polls__lua='while true do sleep "1s" end', wants__lua='runbook { params = { n = { "integer", required = true } } }', syntax__lua="local = 1", asks__lua='approve "Go?"',
             test_bad__lua=HEAD + r"""
TestBad = {}
function TestBad:test_a_difference() lu.assertEquals({ a = 1 }, { a = 2 }) end
function TestBad:test_b_nil() local x x = x.y end
function TestBad:test_c_unanswered() mock.run "book.lua" end
function TestBad:test_d_loop() while true do end end
function TestBad:test_e_raises() mock.run("book.lua", { exec = function() error "oops" end }) end
function TestBad:test_f_parameters() mock.run "wants.lua" end
function TestBad:test_g_option() mock.run("book.lua", { exce = {} }) end
function TestBad:test_h_field() mock.run("book.lua", { exec = { ["*"] = { cod = 1 } } }) end
function TestBad:test_i_no_file() mock.run "nowhere.lua" end
function TestBad:test_j_syntax() mock.run "syntax.lua" end
function TestBad:test_k_itself() exec { "touch", "%s" } end
function TestBad:test_l_endless() mock.run "polls.lua" end
function TestBad:test_m_loop_in_the_run() lu.assertEquals(mock.run("loop.lua").error.kind, "budget") end
function TestBad:test_n_memory() local t = {} for i = 1, 100 do t[i] = ("x"):rep(5e7 + i) end end
function TestBad:test_o_pcall() pcall(mock.run, "book.lua") while true do pcall(error) end end
function TestBad:test_p_skip() lu.skip "later <&>" end
function TestBad:test_pp_for_ever() mock.run("asks.lua", { answers = function() return mock.nobody end }) end
function TestBad:test_q_prints() print("seen", 1) end
function test_r_plain() end
os.exit(lu.LuaUnit.run())
""" % (TMP / "touched"))
r = rbhost("test", top / "test_bad.lua", timeout=120)
out = r.stdout
eq("failing tests: exit code 1, and every other test has run", (r.returncode, out.splitlines()[-1]), (1, "3 passed, 15 failed, 1 skipped"))
where = f"{top}/test_bad.lua"
for name, text in {
    "a difference": f"{where}:4: expected: {{a=2}}\n        actual: {{a=1}}",
    "an error of Lua": f"{where}:5: attempt to index a nil value (local 'x')",
    "a call that nothing answers": f"{where}:6: nothing answers exec `touch {TMP}/touched` ({top}/book.lua:1); add to mock.run:\n"
                                   f'            exec = {{ ["touch {TMP}/touched"] = "what it prints" }}',
    "an answer that raises": f"{where}:8: oops",
    "bad parameters": f"{where}:9: bad parameter:\n          n: missing, expected an integer",
    "an unknown option": "unknown option exce; did you mean exec?",
    "an unknown field of an answer": "has an unknown field cod; did you mean code?",
    "a runbook that is not there": "nowhere.lua: there is no such file",
    "a runbook that does not load": "syntax.lua:1: ",
    "a test that acts itself": "a test starts nothing itself",
    "a run without an end": "the run does not end: it has made 20000 calls",
    "a question without an end": "nobody answers, and neither the question nor the run has a time-out",
    "a run that computes for ever is a failed run": "ok    TestBad.test_m_loop_in_the_run",
    "a test that is skipped": "skip  TestBad.test_p_skip\n        later <&>",
    "what a test prints": "        | seen\t1",
    "a plain function": "ok    test_r_plain",
}.items():
    contains(f"shown: {name}", out.replace("        | seen 1", "        | seen\t1"), text)
for name in ("d_loop", "o_pcall"):
    contains(f"cut: {name}", out, f"FAIL  TestBad.test_{name}\n        {where}:")
    contains(f"cut by the budget: {name}", out.split(f"test_{name}")[1][:300], "computed for more than 1000 ms")
contains("cut: memory", out.split("test_n_memory")[1][:300], "memory")
check("nothing real was touched", not (TMP / "touched").exists())
eq("the temporary journal is gone", [p.name for p in TMP.iterdir() if p.name.startswith("rbhost-test")], [])
check("no journal of its own was made", not (pathlib.Path(os.environ["XDG_STATE_HOME"]) / "rbhost").exists())

# -- formats

r = rbhost("test", "--format", "tap", "--only", "test_[apq]_", top)
lines = [x for x in r.stdout.splitlines() if re.match(r"(not )?ok|1\.\.", x)]
eq("TAP", lines, ["not ok 1 - TestBad.test_a_difference", "ok 2 - TestBad.test_p_skip # SKIP later <&>", "ok 3 - TestBad.test_q_prints", "1..3"])
r = rbhost("test", "--format", "junit", "--only", "test_[apq]_", top)
suites = xml.etree.ElementTree.fromstring(r.stdout)
eq("JUnit: counts", {k: suites.get(k) for k in ("tests", "failures", "skipped")}, {"tests": "3", "failures": "1", "skipped": "1"})
cases = {c.get("name"): c for c in suites.iter("testcase")}
eq("JUnit: a class", cases["test_a_difference"].get("classname"), "TestBad")
contains("JUnit: a failure", cases["test_a_difference"].find("failure").get("message"), "expected: {a=2}\nactual: {a=1}")
eq("JUnit: a skip", cases["test_p_skip"].find("skipped").get("message"), "later <&>")
contains("JUnit: what was printed", cases["test_q_prints"].find("system-out").text, "seen")

r = rbhost("--json", "test", "--only", "test_q_", top)
eq("JSON", [(json.loads(x)["status"], json.loads(x)["printed"]) for x in r.stdout.splitlines()], [("pass", "seen\t1")])
r = rbhost("--quiet", "test", "--only", "test_[aq]_", top)
eq("quiet: what failed, and the last line", [x.split()[0] for x in r.stdout.splitlines()], ["FAIL", f"{where}:4:", "actual:", "1"])
r = rbhost("check", folder(test_x__lua="TestX = {}\nfunction TestX:test_a() end\nfunction test_b() TestX.y = 1 end") / "test_x.lua")
eq("check knows the globals of tests", (r.returncode, r.stdout.splitlines()[-1]), (0, "1 file, 0 errors, 0 warnings"))
top = folder(test_x__lua="".join(f"function test_{i}() local x = 0 for k = 1, 2e6 do x = x + k end end\n" for i in range(60)))
r = rbhost("test", top, timeout=120)
eq("the budget is each test's, not that of all together", r.stdout.splitlines()[-1], "60 passed, 0 failed")

# -- files and exit codes

top = folder(test_a__lua="function test_one() end", sub__test_b__lua='local h = require "lib.h"\nfunction test_two() h.same(1, 1) end',
             sub__lib__h__lua='local lu = require "luaunit"\nreturn { same = function(a, b) lu.assertEquals(a, b) end }', sub__other__lua="error 'never'")
r = rbhost("test", top)
eq("a folder: all test_*.lua below it; modules see what tests see",
   (r.returncode, [x for x in r.stdout.splitlines() if x.startswith("  ok")], r.stdout.splitlines()[-1]),
   (0, ["  ok    test_two", "  ok    test_one"] if r.stdout.find("test_two") < r.stdout.find("test_one") else ["  ok    test_one", "  ok    test_two"], "2 passed, 0 failed"))
for name, files, text in (
    ("a syntax error", {"test_x__lua": "function test_x( end"}, "test_x.lua:1:"),
    ("an error at loading", {"test_x__lua": "error 'broken'"}, "does not load: "),
    ("a loop at loading", {"test_x__lua": "while true do end"}, "does not load: "),
    ("a file without tests", {"test_x__lua": "local x = 1"}, "has no tests"),
    ("a module that is not there", {"test_x__lua": "require 'nowhere'"}, "module 'nowhere' not found"),
    ("a word that is no global", {"test_x__lua": "function test_x() end\nprnt()"}, "did you mean 'print'?"),
):
    top = folder(test_y__lua="function test_y() end", **files)
    r = rbhost("test", top)
    eq(f"{name}: exit code 2, and the other files run", (r.returncode, r.stdout.splitlines()[-1]), (2, "1 passed, 0 failed"))
    contains(f"{name}: said", r.stderr, text)
for how in ("junit", "tap"):
    r = rbhost("test", "--format", how, folder(test_x__lua="function test_x( end"))
    contains(f"a file that does not load, in {how}", r.stdout, 'name="(the file)"' if how == "junit" else "not ok 1 - (the file)")
top = folder(lib__sums__lua="return { twice = function(n) return 2 * n end, act = function() exec { 'x' } end }", tests__test_x__lua=HEAD + """
local sums = require "lib.sums"
function test_a_module_of_the_runbook() lu.assertEquals(sums.twice(2), 4) end
function test_it_starts_nothing() lu.assertErrorMsgContains("a test starts nothing itself", sums.act) end
function test_no_way_out() lu.assertErrorMsgContains("is no module name", require, "..lib.sums") end
""")
r = rbhost("test", top)
check("modules of the runbooks above tests/", r.stdout.endswith("3 passed, 0 failed\n"), r.stdout + r.stderr)
eq("no such file", rbhost("test", TMP / "none.lua").returncode, 2)
top = folder(book__lua="")
r = rbhost("test", top)
eq("a folder without tests", (r.returncode, "has no file of tests" in r.stderr), (2, True))
eq("no file at all", rbhost("test").returncode, 2)
r = rbhost("run", folder(book__lua='require "mock"') / "book.lua")
eq("mock outside of tests says what it is for", (r.returncode, "mock is for tests" in r.stdout + r.stderr), (1, True))

# -- interrupted

top = folder(book__lua='exec { "x" }', test_x__lua=HEAD + 'function test_x() print "begun" while true do mock.run("book.lua", { exec = { x = true } }) end end')
host = start([RBHOST, "test", top], stdout=open(TMP / "out", "wb"), stderr=open(TMP / "err", "wb"))
wait_for("the journal", lambda: [p for p in TMP.glob("rbhost-test-*/journal.db") if p.stat().st_size > 0])
host.send_signal(signal.SIGTERM)
eq("interrupted: its exit code", host.wait(60), 143)
eq("interrupted: nothing is left", list(TMP.glob("rbhost-test-*")), [])

# -- the runbooks of this repository

r = rbhost("test", ROOT / "runbooks/pali/tests", timeout=200)
last = r.stdout.splitlines()[-1] if r.stdout else ""
check(f"the tests of Pali's runbooks: {last}", r.returncode == 0 and last.endswith(" passed, 0 failed"), r.stdout + r.stderr)
eq("each of Pali's runbooks has tests", sorted(p.stem.replace("-", "_") for p in (ROOT / "runbooks/pali").glob("*.lua")),
   sorted(p.stem.removeprefix("test_") for p in (ROOT / "runbooks/pali/tests").glob("test_*.lua")))
finish()
