#!/usr/bin/env python3
"""What is printed to be typed helps when it is pasted: the options of the call, also in another folder; a retry only where
one can help, else the mended runbook with the parameters that the run had."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import RBHOST, TMP, check, contains, eq, finish, lacks

ELSEWHERE = TMP / "elsewhere"
ELSEWHERE.mkdir()
BIN = TMP / "bin"
BIN.mkdir()
(BIN / "rbhost").symlink_to(RBHOST)


def paste(line, **env):
    """A printed command, typed in another folder by somebody without our environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RBHOST")}
    clean["PATH"] = f"{BIN}:{clean['PATH']}"
    return subprocess.run(
        ["sh", "-c", line], cwd=ELSEWHERE, env={**clean, **env}, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def commands(text):
    """All commands of a text: those on lines of their own, and those in back-ticks."""
    return re.findall(r"^\s+(rbhost .*)$", text, re.M) + re.findall(r"`(rbhost [^`]*)`", text)


def given(c, *args, **kw):
    """Called with --config and --journal as relative names, and nothing in the environment."""
    c.env.pop("RBHOST_JOURNAL", None)
    return c.rb("--config", "conf ig.lua", "--journal", "./j.db", *args, **kw)


def all_given(name, r, least=1):
    found = commands(r.stderr + r.stdout)
    options = [x for x in found if "--config" not in x or "--journal" not in x]
    check(f"{name}: each command has the options of the call", len(found) >= least and not options, (found, options))
    return found


# -- every message, with the options of the call

c = Case('step("s", { undo = function() end }, function() exec.sh("true") end)\napprove "go?"\nexec { "false" }')
c.write("conf ig.lua", "return { environment = 'lab' }")
(c.dir / "conf ig.lua").chmod(0o600)
found = all_given("a run that waits", given(c, "run", "-q", "t.lua"), 3)
eq("each of them works elsewhere", [paste(x + " --help").returncode for x in found], [0] * len(found))
all_given("show", given(c, "show"), 2)
all_given("bare rbhost", given(c), 2)
all_given("resume", given(c, "resume", "-q"), 3)
all_given("retry of one that waits", given(c, "retry", c.id))
all_given("undo of one that goes on", given(c, "undo", c.id))
all_given("answer where a gate is open", given(c, "answer", c.id, "done"), 2)
all_given("a wrong number", given(c, "approve", c.id, "99"), 2)
all_given("no number", given(c, "approve", c.id, "x"))
all_given("approve without --resume", given(c, "approve", c.id))
r = paste([x for x in commands(given(c, "show").stdout + given(c).stdout) if " resume " in x][-1])
eq("the one that goes on, pasted: the run goes on, and fails", (r.returncode, c.status()), (1, "failed"))
found = commands(r.stderr)
check("it tells retry, undo, show", [x.split()[-2] for x in found] == ["retry", "undo", "show"], found)
all_given("resume of a failed run", given(c, "resume", c.id), 2)
all_given("deny of a run that is over", given(c, "deny", c.id))
all_given("--op of a number that is none", given(c, "retry", c.id, "--op", 999))
all_given("undo --skip of a number that is none", given(c, "undo", c.id, "--skip", 9, "--reason", "x"))
eq("the undo, pasted", paste(found[1]).returncode, 0)
all_given("retry after an undo", given(c, "retry", c.id))
r = given(c, "undo", c.id)
check("undone twice: it says that nothing is left", r.returncode == 2 and "nothing to undo" in r.stderr, r.stderr)

# -- a retry only where it helps


def advice(c, *args, **kw):
    r = c.run("-q", *args, **kw)
    found = commands(r.stderr)
    shown = c.rb("show").stdout
    check("show says the same first", found and found[0] in shown, (found, shown))
    return r, found


c = Case("""
local p = runbook { params = { who = { "string", required = true }, n = { "integer", default = 3 },
  l = { "list", required = true }, t = { "secret", required = true }, d = { "duration", default = "5m" } } }
exec { "sh", "-c", 'echo "$1" >> @DIR@/world', "sh", p.who .. p.n .. #p.l .. p.d }
exec({ "true" }, { titel = "x" })
exec { "sh", "-c", "echo end >> @DIR@/world" }
""")
c.write("tok", "long-enough-secret\n")
r, found = advice(c, "who=it's @me", "l=web[1,2],b", "t=@tok")
contains("a misspelt option: not a retry, but the runbook is to be mended", r.stderr, "mend the runbook")
check("the runbook anew", " run " in found[0] and not any(" retry " in x for x in found), found)
contains("bare rbhost says so, too", c.rb().stdout, "mend the runbook")
c.write("t.lua", c.text("t.lua").replace("titel", "title"))
r = paste(found[0])
eq("pasted after that: it has all parameters of the first", (r.returncode, c.lines("world")), (0, ["it's @me325m"] * 2 + ["end"]))

for what, book in {
    "a line of Lua": "local x\nprint(x.y)",
    "fail()": 'fail "enough"',
    "a misspelt option in a check": 'checklist "l" { { "S", "a", function() exec({ "echo" }, { read = true, titel = 1 }) end } }',
    "the header's allow": 'runbook { allow = { exec = { "true" } } }\nexec { "false" }',
}.items():
    c = Case(book)
    r, found = advice(c)
    check(f"{what}: no retry is offered", " run " in found[0] and not any(" retry " in x for x in found), found)
    check(f"{what}: --json the same", " run " in c.rb("show", "--json").stdout, c.rb("show", "--json").stdout)

c = Case('exec { "false" }')
c.write("site.lua", 'return { policy = { allow = { exec = { "true" } } } }')
(c.dir / "site.lua").chmod(0o600)
r = c.run("-q", "--config", "site.lua")
ends("the site's policy refuses", r, 4)
found = commands(r.stderr)
check("there a retry helps, when the configuration is another", " retry " in found[0], found)
c.write("site.lua", "return {}")
eq("and does: the command is started", (paste(found[0]).returncode, c.status()), (1, "failed"))
check("what a command says is retried", " retry " in commands(c.rb("show").stdout + c.rb().stdout)[-1], c.rb().stdout)
c = Case('checklist "l" { { "S", "a", function() return exec({ "test", "-e", "@DIR@/x" }, { read = true, check = false }).code == 0 end } }')
r, found = advice(c)
check("a check that looked and did not hold is looked at again", " retry " in found[0], found)
c.write("x", "")
eq("and holds then", paste(found[0]).returncode, 0)
lacks("what has succeeded has no advice", c.rb("show").stdout, "mend")

# -- a name that no line takes: the runbook alone, which says what is missing
c = Case('local p = runbook { params = { t = { "string" } } }\nfail(p.t)')
r, found = advice(c, "t=two\nlines")
check("a parameter of two lines is left out", found[0].endswith("t.lua"), found)
finish()
