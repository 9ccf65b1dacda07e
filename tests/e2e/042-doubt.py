#!/usr/bin/env python3
"""In doubt: a killed host can not know whether an effect happened. on_doubt ask, retry, fail and a function; resolve; what
is asked and what is not."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, alive, ends, waits
from lib import SLOW, check, contains, eq, finish, wait_for


def killed(text, lines=1, **kw):
    """A case whose host was killed while the command that writes to `world` was running. The command is ended too."""
    c = Case(text, **kw)
    p = c.start("run", c.name)
    wait_for("the command", lambda: len(c.lines("world")) >= lines and c.text("pid").strip())
    p.kill()
    p.wait()
    subprocess.run(["kill", "-9", c.text("pid").strip()], check=False, stderr=subprocess.DEVNULL)
    wait_for("the command's end", lambda: not alive(c.text("pid").strip()))
    return c


# Without a receipt. The first time it stays, the second time (a file says so) it ends.
CALL = 'exec({{ "sh", "-c", "echo x >> @DIR@/world; if test -e @DIR@/second; then exit 0; fi; : > @DIR@/second; echo $$ > @DIR@/pid; exec sleep 300" }}, {{ survive = false{opts} }})'


def book(opts="", before="", after='print(r.code, r.assumed)\nexec.sh("echo after >> @DIR@/world")'):
    return before + "\nlocal r = " + CALL.format(opts=opts) + "\n" + after


# -- ask: the default

c = killed(book())
r = c.rb("ls")
contains("the run shows as interrupted", r.stdout, "interrupted")
r = c.rb("resume")
ends("by default a person is asked: exit code 6", r, 6)
eq("its status", c.status(), "in_doubt")
n = c.events("intent")[0]["seq"]
for verb in ("done", "retry", "fail"):
    contains(f"the message has the command for {verb}", r.stderr, f"resolve {c.id} {n} {verb}")
contains("and shows the command's arguments", r.stderr + r.stdout, "sleep 300")
eq("nothing was started again", c.lines("world"), ["x"])
r = c.rb()
contains("bare rbhost shows it", r.stdout, c.id)
r = c.rb("resume")
ends("asking again changes nothing", r, 6)
r = c.rb("resolve", c.id, n, "perhaps")
check("another word is refused", r.returncode == 2, (r.returncode, r.stderr))
r = c.rb("resolve", c.id, 9999, "done")
check("another number is refused", r.returncode == 2, (r.returncode, r.stderr))
ends("resolve done", c.rb("resolve", c.id, n, "done", "-m", "I looked"), 0)
ends("and resume", c.rb("resume"), 0)
eq("the command counts as done, and what follows happens once", c.lines("world"), ["x", "after"])
check("the result says that a person said so", c.prints() and c.prints()[0].split("\t")[1] != "nil", c.prints())
log = [line[10:] for line in c.rb("log", c.id).stdout.splitlines()]
check("the log says what is in doubt",
      any(line.startswith(f"doubt     #{n} exec sh -c ") for line in log), log)
check("and what was said of it, and by whom",
      any(line.startswith(f"resolved  #{n} exec sh -c ") and ": done: I looked  by " in line for line in log), log)
check(
    "the journal has who, what and the comment",
    [(e["as"], bool(e["actor"]), e.get("comment")) for e in c.events("resolve")] == [("done", True, "I looked")],
    c.events("resolve"),
)
ends("the journal verifies", c.rb("verify"), 0)

c = killed(book())
c.rb("resume")
ends("resolve retry --resume", c.rb("resolve", c.id, c.events("intent")[0]["seq"], "retry", "--resume"), 0)
eq("runs it once more", c.lines("world"), ["x", "x", "after"])
eq("as a second attempt", [e["attempt"] for e in c.events("intent")][:2], [1, 2])

c = killed(book(after="", before=""))
c.rb("resume")
r = c.rb("resolve", c.id, "fail", "--resume")
ends("resolve fail, without a number as there is one only", r, 1)
check("the operation failed", "failed" == c.status(), c.status())
eq("and was not started again", c.lines("world"), ["x"])
c = killed('local ok, e = pcall(function()\n' + book(after="") + '\nend)\nprint(ok, e.kind, e.outcome)')
c.rb("resume")
c.rb("resolve", c.id, "fail", "--resume")
eq(
    "which the script can catch",
    c.prints(),
    ["false\tin_doubt\tunknown"] if c.prints() and "in_doubt" in c.prints()[0] else c.prints(),
)
check("as an error whose kind says so", len(c.prints()) == 1 and c.prints()[0].startswith("false\t"), c.prints())
c = killed(book())
c.rb("resume")
ends(
    "a value for the result",
    c.rb("resolve", c.id, "done", "--value", '{"code": 0, "stdout": "by hand"}', "--resume"),
    0,
)
check("comes back", c.lines("world") == ["x", "after"] and c.status() == "succeeded", (c.lines("world"), c.status()))

# resolve before the resume, while nobody owns the run
c = killed(book())
r = c.rb("resolve", c.id, c.events("intent")[0]["seq"], "done", "--resume")
check(
    "resolve straight after the crash either works or says what to do first",
    r.returncode in (0, 2),
    (r.returncode, r.stderr),
)

# -- the others

for what, opts in (("read = true", ", read = true"), ("idempotent = true", ", idempotent = true"), ('on_doubt = "retry"', ', on_doubt = "retry"')):
    c = killed(book(opts))
    r = c.rb("resume")
    ends(f"{what}: the resume runs it once more", r, 0)
    eq(f"{what}: twice in the world, then on", c.lines("world"), ["x", "x", "after"])
c = killed(book(', on_doubt = "retry"'))
c.rb("resume")
contains("show says that it may have run twice", c.rb("show", "-v").stdout + c.rb("show").stdout, "twice")

c = killed(
    'local ok, e = pcall(function()\n' + book(', on_doubt = "fail"', after="") + '\nend)\nprint(ok, e.kind, e.outcome)',
)
ends('on_doubt = "fail": goes on without asking', c.rb("resume"), 0)
eq("with an error of kind in_doubt", c.prints(), ["false\tin_doubt\tunknown"])
eq("not started again", c.lines("world"), ["x"])

for answer, code, world in (('"done", { code = 0, stdout = "asked" }', 0, ["x", "after"]), ('"retry"', 0, ["x", "x", "after"]), ('"fail"', 1, ["x"])):
    c = killed(
        book(
            ", on_doubt = look",
            before='local function look() local n = exec({ "cat", "@DIR@/world" }, { read = true }).stdout print("looked", #n) return ' + answer + " end",
        )
    )
    r = c.rb("resume")
    ends(f"a function asks the world and says {answer}", r, code)
    eq(f"and so it is ({answer})", c.lines("world"), world)
    eq(f"it was called once, with reads of its own ({answer})", c.prints()[:1], ["looked\t2"])
for bad in ('"perhaps"', "", "nil", "5"):
    c = killed(book(", on_doubt = function() return " + bad + " end"))
    r = c.rb("resume")
    check(
        f"a function that answers {bad or 'nothing'}: nothing is started, and it is said",
        r.returncode != 0 and c.lines("world") == ["x"],
        (r.returncode, r.stderr, c.lines("world")),
    )
c = killed(book(', on_doubt = function() error("can not look") end'))
r = c.rb("resume")
check(
    "a function that raises: nothing is started",
    r.returncode != 0 and c.lines("world") == ["x"],
    (r.returncode, r.stderr),
)

c = killed("step(\"s\", { on_doubt = \"retry\" }, function()\n" + book() + "\nend)")
ends("on_doubt of the step holds for its effects", c.rb("resume"), 0)
eq("twice", c.lines("world"), ["x", "x", "after"])

# the killed host's command still runs
c = Case(book())
p = c.start("run", "t.lua")
wait_for("the command", lambda: c.text("pid").strip())
p.kill()
p.wait()
r = c.rb("resume")
check(
    "resume while the killed host's command still runs starts nothing",
    r.returncode in (3, 6) and c.lines("world") == ["x"],
    (r.returncode, r.stderr, c.lines("world")),
)
subprocess.run(["kill", "-9", c.text("pid").strip()], check=False, stderr=subprocess.DEVNULL)

# two in doubt at once
c = Case(
    """
    all {
      a = function() exec.sh("echo $$ >> @DIR@/pids; exec sleep 300", { survive = false }) end,
      b = function() exec.sh("echo $$ >> @DIR@/pids; exec sleep 300", { survive = false }) end,
      c = function() sleep("1ms") print "slept" end,
    }
    print "all done"
    """
)
p = c.start("run", "t.lua")
wait_for("both commands", lambda: len(c.lines("pids")) == 2 and "slept" in c.prints())
p.kill()
p.wait()
for pid in c.lines("pids"):
    subprocess.run(["kill", "-9", pid], check=False, stderr=subprocess.DEVNULL)
ends("two commands in doubt", c.rb("resume"), 6)
r = c.rb("resolve", c.id, "done")
check("which one must be said", r.returncode == 2, (r.returncode, r.stderr))
ops = [e["seq"] for e in c.events("intent")]
ends("one settled", c.rb("resolve", c.id, ops[1], "done", "--resume"), 6)
ends("both settled", c.rb("resolve", c.id, ops[0], "done", "--resume"), 0)
eq("the branch that had ended did not run again", c.prints(), ["slept", "all done"])
finish()
