#!/usr/bin/env python3
"""Bad input: what it says and the exit code, for everything that the durable core can be given wrongly."""
import os
import pathlib
import resource
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, prints, waits
from lib import RBHOST, SLOW, check, contains, eq, finish, lacks, start


def refused(name, case, code, *says, args=(), env=None, runs=0):
    """rbhost run t.lua ends with this code, says these things in few lines, and has started `runs` runs."""
    r = case.run(*args, env=env)
    text = r.stderr
    check(
        name,
        r.returncode == code and all(s in text for s in says) and len(text) < 5000 and "\x1b" not in text
        and "stdlib/rt" not in text and (runs is None or len(case.ids()) == runs),
        f"exit code {r.returncode}, want {code}; runs {len(case.ids())}, want {runs}; it should say {says!r}\n{r.stdout}{text}",
    )
    return r


# -- files

c = Case()
refused("a missing file", c, 2, "t.lua")
contains("says that there is none", c.run().stderr.lower(), "no such file")
r = c.rb("run", "nonesuch")
check("a name that is no runbook", r.returncode == 2 and "nonesuch" in r.stderr, (r.returncode, r.stderr))
c.write("tt.lua", "")
c.write("promote.lua", "")
r = c.rb("run", "promot.lua")
check("a name near another file's", r.returncode == 2 and "promot.lua" in r.stderr, (r.returncode, r.stderr))
c = Case()
(c.dir / "t.lua").mkdir()
refused("a directory", c, 2, "t.lua", "directory")
c = Case("x = 1")
(c.dir / "t.lua").unlink()
os.mkfifo(c.dir / "t.lua")
refused("a named pipe", c, 2, "t.lua")
c = Case()
(c.dir / "t.lua").symlink_to("t.lua")
refused("a link to itself", c, 2, "t.lua")
if os.getuid() != 0:
    c = Case("x = 1")
    (c.dir / "t.lua").chmod(0)
    refused("a file that may not be read", c, 2, "t.lua", "ermission")
for what, text, says in (
    ("not Lua: a shell script", "#!/bin/sh\nset -e\necho hello $1\n", ("t.lua:2",)),
    ("not Lua: JSON", '{"a": 1}', ("t.lua:1",)),
    ("not Lua: an ELF program", pathlib.Path("/bin/true").read_bytes(), ("t.lua",)),
    ("not Lua: zeros", b"\0" * 5000, ("t.lua",)),
    ("not Lua: random bytes", bytes(range(255, 0, -1)) * 10, ("t.lua",)),
    ("bytecode", b"\x1bLuaT\0\x19\x93\r\n\x1a\n", ("t.lua", "bytecode")),
    ("real bytecode", subprocess.run(["luac5.4", "-o", "-", "-"], input=b"print 'x'", capture_output=True).stdout
     if shutil.which("luac5.4") else b"\x1bLuaT", ("t.lua", "bytecode")),
    ("a syntax error", "local x = = 5\n", ("t.lua:1",)),
    ("an unfinished string", 'print "abc\n', ("t.lua:1",)),
    ("an unfinished block", "step('s', function()\n  print 'x'\n", ("t.lua:",)),
    ("a goto without its label", "goto nowhere", ("nowhere",)),
    ("a file of UTF-16", "print 'x'".encode("utf-16"), ("t.lua",)),
    ("nested a thousand times", "x = " + "(" * 1000 + "1" + ")" * 1000, ("t.lua: ",)),
    ("300 locals", "".join(f"local a{i} = {i}\n" for i in range(300)), ("t.lua:",)),
):
    refused(what, Case(text), 2, *says)
c = Case(b"\xef\xbb\xbfprint 'bom'")
eq("a byte order mark is passed over", (c.run().returncode, c.prints()), (0, ["bom"]))
c = Case("print 'crlf'\r\nprint 'two'\r\n")
eq("CRLF line ends", (c.run().returncode, c.prints()), (0, ["crlf", "two"]))
c = Case("-- " + "x" * 3_000_000 + "\nprint 'long'")
r = c.run()
check(
    "a file of 3 MB runs, or is refused with a reason",
    r.returncode == 0 and c.prints() == ["long"] or r.returncode == 2 and "t.lua" in r.stderr,
    (r.returncode, r.stderr[:500]),
)

# -- headers

for what, text, says in (
    ("a header that raises", 'runbook { name = error("in the header") }', ("t.lua:1",)),
    ("a header that calls something", "runbook { title = os.date() }", ("t.lua:1", "os")),
    ("a header that uses an operation before", 'exec({ "touch", "@DIR@/made" }) runbook { name = "x" }', ("t.lua:1", "exec")),
    ("a header with an endless loop before", "while true do end runbook { name = 'x' }", ("t.lua:1",)),
    ("a header that needs endless memory", "local s = ('x'):rep(1e10) runbook { name = s }", ("t.lua:1",)),
    ("unknown keys", 'runbook { nam = "x", titel = "y" }', ("nam: unknown key; did you mean name?", "titel: unknown key; did you mean title?")),
    ("wrong types", 'runbook { name = 5, title = {}, params = "x", allow = 7 }', ("name", "title", "params", "allow")),
    ("an unknown parameter type", 'runbook { params = { a = { "strng" } } }', ("did you mean string?",)),
    ("a default that does not fit", 'runbook { params = { a = { "integer", default = "x" } } }', ("a", "default")),
    ("a choice without choices", 'runbook { params = { a = { "choice" } } }', ("choices",)),
    ("a bad pattern", 'runbook { params = { a = { "string", match = "%" } } }', ("match",)),
    ("a secret with a default", 'runbook { params = { a = { "secret", default = "abcdefgh1" } } }', ("default",)),
    ("no table", "runbook(5)", ("t.lua:1",)),
    ("nothing", "runbook()", ("t.lua:1",)),
    ("a function in it", "runbook { title = function() end }", ("title",)),
    ("a bad duration", 'runbook { timeout = "soon" }', ("timeout",)),
    ("a bad on_failure", 'runbook { on_failure = "explode" }', ("on_failure",)),
):
    c = Case(text)
    r = refused(f"header: {what}", c, 2, *says)
    check(f"header: {what}: nothing was started", not (c.dir / "made").exists(), os.listdir(c.dir))
c = Case(
    'runbook { name = "x", title = "T", params = { a = { "integer", required = true, help = "how many" } } } error("the body ran")',
)
r = c.rb("describe", "t.lua")
check(
    "describe does not run the body", r.returncode == 0 and "how many" in r.stdout, (r.returncode, r.stdout, r.stderr)
)
r = c.rb("check", "t.lua")
ends("check neither", r, 0)
c = Case('runbook { timeout = "200ms" } sleep("1h")')
ends("a run that takes longer than its header's timeout: 124", c.run(), 124)
eq("timed out", c.status(), "timed_out")

# -- check finds these without running

for what, text, says in (
    ("an unknown global", 'prnt("x")', "did you mean print"),
    ("an unknown field", "string.fromat(5)", "did you mean string.format"),
    ("an unknown option", 'exec({ "ls" }, { tmeout = 5 })', "did you mean timeout"),
    ("a syntax error", "x = = 1", "t.lua:1"),
    ("an assignment to a global", "x = 1", "t.lua:1"),
    ("what the sandbox does not have", "io.open('x')", "io"),
    ("an effect in a check", 'check("S", "t", function() exec({ "x" }) end)', "read = true"),
):
    c = Case(text)
    r = c.rb("check", "t.lua")
    check(
        f"check finds {what}",
        says in r.stdout + r.stderr and "t.lua:1:" in r.stdout + r.stderr,
        (r.returncode, r.stdout, r.stderr),
    )

# -- awaiting where nothing can wait, and values that are not plain

for what, text in (
    ("table.sort", 'table.sort({ 3, 1, 2 }, function(a, b) sleep("1ms") return a < b end)'),
    ("gsub", '(("abc"):gsub(".", function(c) exec({ "touch", "@DIR@/made" }) return c end))'),
    ("__tostring", 'tostring(setmetatable({}, { __tostring = function() sleep("1ms") return "x" end }))'),
):
    c = Case("local _ = " + text if text.startswith("(") else text)
    r = c.run()
    check(
        f"awaiting inside {what}: a clear error with its place",
        r.returncode == 1 and "t.lua:1" in r.stderr and "can not" in r.stderr,
        (r.returncode, r.stderr),
    )
    check(
        f"awaiting inside {what}: nothing was started",
        not (c.dir / "made").exists() and not c.events("intent"),
        os.listdir(c.dir),
    )
prints("awaiting inside metamethods, for iterators and pcall works",
       """
       local t = setmetatable({}, { __index = function(_, k) sleep("1ms") return k .. "!" end, __add = function() sleep("1ms") return 7 end,
         __call = function() sleep("1ms") return "called" end, __lt = function() sleep("1ms") return true end, __concat = function() sleep("1ms") return "cat" end })
       print(t.x, t + 1, t(), t < t, t .. "x")
       for i in (function() local n = 0 return function() sleep("1ms") n = n + 1 if n < 3 then return n end end end)() do print(i) end
       print(pcall(function() sleep("1ms") return "p" end))
       print(xpcall(function() sleep("1ms") error("e") end, function(e) return "handled" end))
       """, ["x!\t7\tcalled\ttrue\tcat", "1", "2", "true\tp", "false\thandled"])

# -- journals

c = Case('print "x"')
c.run()
db = sqlite3.connect(c.journal)
db.execute("PRAGMA user_version = 99")
db.commit()
db.close()
before = c.journal.read_bytes()
for args in (("run", "t.lua"), ("ls",), ("resume",), ("verify",), ("show",)):
    r = c.rb(*args)
    check(f"a journal of a newer schema: {args[0]}", r.returncode == 5 and "99" in r.stderr, (r.returncode, r.stderr))
eq("and is left as it is", c.journal.read_bytes(), before)
for what, content in (("text", b"this is no database at all, " * 100), ("another program's database", None), ("an empty file", b"")):
    c = Case('print "x"')
    if content is None:
        db = sqlite3.connect(c.journal)
        db.execute("CREATE TABLE mine (x)")
        db.commit()
        db.close()
        content = c.journal.read_bytes()
    else:
        c.journal.write_bytes(content)
    r = c.run()
    if content:
        check(f"{what} as journal is refused", r.returncode == 5 and "j.db" in r.stderr, (r.returncode, r.stderr))
        eq(f"{what} is left as it was", c.journal.read_bytes(), content)
    else:
        check(f"{what} as journal becomes one, or is refused", r.returncode in (0, 5), (r.returncode, r.stderr))
c = Case('exec({ "touch", "@DIR@/made" })')
c.journal.mkdir()
refused("a folder as journal", c, 5, "j.db", runs=None)
check("nothing was started without a journal", not (c.dir / "made").exists(), os.listdir(c.dir))
c = Case('exec({ "touch", "@DIR@/made" })')
r = c.run("--journal", "/proc/j.db")
check("a journal where no file can be", r.returncode == 5 and not (c.dir / "made").exists(), (r.returncode, r.stderr))
c = Case('exec({ "touch", "@DIR@/made" })')
c.write("conf.lua", "return { limits = ")
r = c.run("--config", "conf.lua")
check("a configuration with a syntax error", r.returncode == 2 and "conf.lua:1" in r.stderr, (r.returncode, r.stderr))
c.write("conf.lua", "while true do end")
r = c.run("--config", "conf.lua")
check("a configuration with an endless loop", r.returncode == 2 and "conf.lua" in r.stderr, (r.returncode, r.stderr))
c.write("conf.lua", "return { limts = {} }")
r = c.run("--config", "conf.lua")
check("a configuration with an unknown key", r.returncode == 2 and "limts" in r.stderr, (r.returncode, r.stderr))
r = c.run("--config", "none.lua")
check("a configuration that is not there", r.returncode == 2 and "none.lua" in r.stderr, (r.returncode, r.stderr))
check("and nothing was started", not (c.dir / "made").exists(), os.listdir(c.dir))

# -- odd places to stand

c = Case('print "x"')
gone = c.dir / "gone"
gone.mkdir()
r = subprocess.run(
    ["sh", "-c", f'cd "{gone}" && rmdir "{gone}" && exec "$0" run "{c.dir}/t.lua"', RBHOST],
    env=c.env,
    capture_output=True,
    text=True,
)
check(
    "a working folder that has gone",
    r.returncode in (0, 2) and "rbhost" in r.stdout + r.stderr + "rbhost",
    (r.returncode, r.stdout, r.stderr),
)
odd = Case()
odd.write("a b'\"$x\n.lua", 'print "odd"')
r = odd.rb("run", "./a b'\"$x\n.lua")
eq("a file name with spaces, quotes and a newline", (r.returncode, odd.prints()), (0, ["odd"]))
r = subprocess.run([RBHOST.encode(), b"run", b"./\xff.lua"], env=c.env, cwd=c.dir, capture_output=True)
check("a file name that is not UTF-8, and not there", r.returncode == 2, (r.returncode, r.stderr))
r = c.rb("run", "./" + "x" * 5000 + ".lua")
check("a file name that is too long", r.returncode == 2, (r.returncode, r.stderr[:300]))
r = subprocess.run(
    [RBHOST, "run", "t.lua"],
    env={"PATH": os.environ["PATH"], "RBHOST_JOURNAL": str(c.dir / "k.db")},
    cwd=c.dir,
    capture_output=True,
    text=True,
)
check("an environment with next to nothing", r.returncode == 0, (r.returncode, r.stderr))
r = subprocess.run(
    ["sh", "-c", 'exec "$0" run t.lua <&- >&-', RBHOST], env=c.env, cwd=c.dir, capture_output=True, text=True
)
check(
    "started with closed descriptors it neither crashes nor writes into the journal",
    r.returncode >= 0 and c.rb("verify").returncode == 0,
    (r.returncode, r.stderr),
)
finish()
