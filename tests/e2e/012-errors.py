#!/usr/bin/env python3
"""Errors of D2: always a table with kind, message, op, where, retryable, outcome and the result; tostring gives one line.
Error objects that are not strings, and errors that nobody catches."""
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, prints
from lib import check, contains, eq, finish, lacks

FIELDS = """
local function show(ok, e)
  print(ok, e.kind, e.message, e.op ~= nil, e.where, e.retryable, e.outcome, e.result ~= nil)
  print(e)
end
"""
prints(
    "a status that is not 0",
    FIELDS + 'show(pcall(exec, { "sh", "-c", "echo out; echo why >&2; exit 3" }))',
    [
        "false\texec.exit\t`sh -c echo out; echo why >&2; exit 3` exited with 3: why\ttrue\tt.lua:6\tfalse\tfailed\ttrue",
        "t.lua:6: `sh -c echo out; echo why >&2; exit 3` exited with 3: why",
    ],
)
prints(
    "its result is the whole result",
    """
    local ok, e = pcall(exec, { "sh", "-c", "echo out; echo why >&2; exit 3" })
    print(e.result.code, e.result.stdout, e.result.stderr, e.result.signal)
    ok, e = pcall(exec.sh, "kill -9 $$")
    print(e.kind, e.result.code, e.result.signal, e.outcome)
    """,
    ["3\tout\n\twhy\n\tnil", "exec.signal\tnil\t9\tunknown"],
)
for what, call, kind, outcome in (
    ("a command that is not there", 'exec, { "no-such-command-here" }', "exec.not_found", "not_started"),
    ("a path that is not there", 'exec, { "/no/such/file" }', "exec.not_found", "not_started"),
    ("a file that is not executable", 'exec, { "@DIR@/t.lua" }', "exec.denied", "not_started"),
    ("a folder as command", 'exec, { "/tmp" }', "exec.denied", "not_started"),
    ("a folder that is not there as cwd", 'exec, { "true" }, { cwd = "/no/such/folder" }', None, "not_started"),
    ("a time-out", 'exec, { "sleep", "60" }, { timeout = "20ms" }', "exec.timeout", "unknown"),
    ("a time-out of a read", 'exec, { "sleep", "60" }, { timeout = "20ms", read = true }', "exec.timeout", None),
):
    c = Case(
        f"""
        local ok, e = pcall({call})
        print(ok, e.kind, e.outcome)
        print((tostring(e):find("\\n")), (tostring(e):find("t.lua:2: ", 1, true)))
        print(json.encode(e.message))
        """
    )
    r = c.run()
    ends(f"{what}: can be caught", r, 0)
    got = (c.prints() or [""])[0].split("\t")
    check(
        f"{what}: kind and outcome",
        len(got) == 3 and got[0] == "false" and kind in (None, got[1]) and outcome in (None, got[2]),
        f"got {got}, want {kind} {outcome}",
    )
    eq(f"{what}: one line, with the place in the runbook", c.prints()[1:2], ["nil\t1"])

# -- what a script raises itself

prints(
    "pcall gives back what was raised, whatever it is",
    """
    local t = { 1 }
    print(select(2, pcall(error, t)) == t, select(2, pcall(error, 5)), select(2, pcall(error, nil)), select(2, pcall(error, true)))
    print(select(2, pcall(error, "text", 0)))
    local ok, e = pcall(function() local x = nil; return x.y end)
    print(type(e), tostring(e))
    print(xpcall(function() error({ kind = "mine" }) end, function(e) return e.kind .. "!" end))
    print(select(2, pcall(assert, false)), select(2, pcall(assert, nil, "said")))
    print(assert(1, 2, 3))
    """,
    [
        "true\t5\tnil\ttrue",
        "t.lua:4: text",
        "table\tt.lua:5: attempt to index a nil value (local 'x')",
        "false\tmine!",
        "t.lua:8: assertion failed!\tt.lua:8: said",
        "1\t2\t3",
    ],
)
for what, raised, says in (
    ("a text", '"plain"', "plain"),
    ("a number", "42", "42"),
    ("a boolean", "true", "true"),
    ("nil", "nil", "nil"),
    ("a table", "{ code = 5 }", "{\"code\":5}"),
    ("a table with a message", '{ message = "from the table" }', "from the table"),
    ("a table with kind and message", '{ kind = "mine", message = "own kind" }', "own kind"),
    ("a table with a tostring", 'setmetatable({}, { __tostring = function() return "told" end })', "told"),
    ("a table whose tostring raises", 'setmetatable({}, { __tostring = function() error("x") end })', "error object"),
    ("a table whose tostring gives no text", 'setmetatable({}, { __tostring = function() return {} end })', "error object"),
    ("a function", "print", "function"),
    ("bytes that are not UTF-8", '"a\\xff\\xfeb"', "a"),
    ("a text with a NUL byte", '"before\\0after"', "before"),
    ("text of several lines", '"one\\ntwo"', "one; two"),
    ("an empty text", '""', "t.lua:1"),
    ("a text of a megabyte", '("x"):rep(1000000)', "xxxx"),
):
    c = Case(f"error({raised})")
    r = c.run()
    ends(f"nobody catches {what}: the run has failed", r, 1)
    contains(f"nobody catches {what}: says so", r.stderr, says)
    check(f"nobody catches {what}: in one line, and the journal is sound",
          len(r.stderr.splitlines()[0]) > 10 and c.rb("verify").returncode == 0 and c.status() == "failed",
          (r.stderr[:500], c.status()))
    r = c.rb("show")
    ends(f"show after {what}", r, 0)

c = Case('local function f() error("deep") end\nstep("s", function() f() end)')
r = c.run()
contains("the place is where it was raised", r.stderr, "t.lua:1: deep")
lacks("and no frame of the host is shown", r.stderr + r.stdout, "stdlib")
lacks("nor C's", r.stderr + r.stdout, "[C]")

c = Case('local x = 1\nlocal y = x .. {}\n')
r = c.run()
contains("an error of Lua itself has file and line", r.stderr, "t.lua:2: attempt to concatenate a table value")

# -- endless recursion, in all its ways

for what, text in (
    ("a function", "local function f() return 1 + f() end f()"),
    ("through pcall", "local function f() return pcall(f) end f() error('end')"),
    ("through a metamethod", "local t = setmetatable({}, { __index = function(t, k) return t[k] .. '' end }) print(t.x)"),
    ("through tostring", "local t = setmetatable({}, {}) getmetatable(t).__tostring = function(t) return tostring(t) end print(t)"),
    ("through steps", "local function f() step('s', f) end f()"),
    ("through tasks", "local function f() all { f } end f()"),
    ("through gsub", "local function f() return (('a'):gsub('a', f)) end f()"),
    ("through sort", "local function f() table.sort({ 1, 2 }, f) return true end f()"),
    ("through coroutines", "local function f() return coroutine.wrap(f)() end f()"),
    ("through load", "local function f() return load('return ...')(f)() end f()"),
    ("in a message handler", "local function h(e) error(e) end xpcall(error, h, 1) error('end')"),
):
    c = Case(text)
    r = c.run(timeout=90)
    check(
        f"endless recursion {what} ends the run, and not the host",
        r.returncode == 1 and len(r.stderr) < 20000 and "rbhost: run" in r.stderr,
        f"exit {r.returncode}\n{r.stdout[-600:]}\n{r.stderr[-1500:]}",
    )
finish()
