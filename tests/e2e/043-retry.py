#!/usr/bin/env python3
"""A failed run is not lost: retry, --op, --skip; every success is kept."""
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import check, contains, eq, finish

BOOK = """
exec.sh("echo one >> @DIR@/world")
step("middle", function()
  exec.sh("echo two >> @DIR@/world; test -e @DIR@/fixed")
end)
exec.sh("echo three >> @DIR@/world")
print "end"
"""
c = Case(BOOK)
r = c.run()
ends("a command fails: the run has failed", r, 1)
contains("and says the command that goes on", r.stderr, f"retry {c.id}")
r = c.rb("resume", c.id)
check("resume of a failed run points to retry", r.returncode == 2 and "retry" in r.stderr, (r.returncode, r.stderr))
r = c.rb("retry", c.id)
ends("retry while it is not fixed fails again", r, 1)
eq("only the failing command ran again", c.lines("world"), ["one", "two", "two"])
c.write("fixed", "")
ends("fixed, retry goes on to the end", c.rb("retry", c.id), 0)
eq("every success is kept", c.lines("world"), ["one", "two", "two", "two", "three"])
eq("its status and verdicts", (c.status(), c.verdicts()[-1]), ("succeeded", ("middle", "pass")))
eq("printed once", c.prints(), ["end"])
ends("the journal verifies", c.rb("verify"), 0)
r = c.rb("retry", c.id)
check("retry of a succeeded run is refused", r.returncode == 2 and "succeeded" in r.stderr, (r.returncode, r.stderr))

c = Case(BOOK)
c.run()
(c.dir / "t.lua").unlink()
c.write("fixed", "")
ends("retry after the file is gone", c.rb("retry", c.id), 0)
eq("goes by the stored source", c.lines("world"), ["one", "two", "two", "three"])

c = Case(BOOK)
c.run()
n = [e["n"] for e in c.events("result") if not e["ok"]][0]
r = c.rb("retry", c.id, "--skip", n)
check("--skip needs a reason", r.returncode == 2 and "reason" in r.stderr, (r.returncode, r.stderr))
r = c.rb("retry", c.id, "--skip", 9999, "--reason", "x")
check("--skip of a number that is none is refused", r.returncode == 2, (r.returncode, r.stderr))
ends("--skip N --reason counts the operation as done", c.rb("retry", c.id, "--skip", n, "--reason", "done by hand"), 0)
eq("it did not run again", c.lines("world"), ["one", "two", "three"])
eq("the reason is in the journal", [e["reason"] for e in c.events("run.retry")], ["done by hand"])
ends("and verifies", c.rb("verify"), 0)

c = Case(BOOK)
c.run()
ops = [e["seq"] for e in c.events("intent")]
c.write("fixed", "")
r = c.rb("retry", c.id, "--op", ops[0])
ends("--op goes back to an operation that had succeeded", r, 0)
eq("that one and what follows run again", c.lines("world"), ["one", "two", "one", "two", "three"])

# what the script did with the error does not matter; a branch that was cancelled runs again
c = Case(
    """
    all {
      good = function() exec.sh("echo good >> @DIR@/world") end,
      bad = function() wait_until({ every = "5ms" }, function() return exec({ "grep", "-q", "good", "@DIR@/world" }, { read = true, check = false }).code == 0 end)
        exec.sh("echo bad >> @DIR@/world; test -e @DIR@/fixed") end,
      slow = function() signal "go" exec.sh("echo slow >> @DIR@/world") end,
    }
    print "end"
    """
)
r = c.run("--wait")
ends("one branch fails, another is cancelled", r, 1)
c.write("fixed", "")
r = c.rb("retry", c.id)
ends("retry: the cancelled branch waits again", r, 3)
eq("the branch that had succeeded is kept", c.lines("world"), ["good", "bad", "bad"])
ends("and goes on", c.rb("signal", c.id, "go", "--resume"), 0)
eq("each success once", c.lines("world"), ["good", "bad", "bad", "slow"])

# a checklist
c = Case(
    """
    checklist "l" {
      { "S", "a", function() exec({ "sh", "-c", "echo a >> @DIR@/world" }, { read = true }) end },
      { "S", "b", function() exec({ "sh", "-c", "echo b >> @DIR@/world; test -e @DIR@/fixed" }, { read = true }) end },
    }
    exec.sh("echo after >> @DIR@/world")
    """
)
ends("a failed checklist", c.run(), 1)
c.write("fixed", "")
ends("retry", c.rb("retry", c.id), 0)
eq("only the failed row looks again", sorted(c.lines("world")), ["a", "after", "b", "b"])

# errors that have no operation: a false check, fail()
c = Case(
    'exec.sh("echo one >> @DIR@/world")\nlocal s = exec({ "cat", "@DIR@/state" }, { read = true }).stdout\nif s ~= "good" then fail("state is " .. s) end\nprint "end"',
)
c.write("state", "bad")
ends("fail() after a read", c.run(), 1)
c.write("state", "good")
r = c.rb("retry", c.id)
check(
    "retry of an error without an operation: reads anew, or says what can be done",
    r.returncode in (0, 1, 2) and "rbhost: " in r.stderr,
    (r.returncode, r.stderr),
)
eq("and runs no effect twice", c.lines("world"), ["one"])
reads = [e.get("n") or e["seq"] for e in c.events("result") if e["op"] == "exec"]
ends("with --op of the read it goes on", c.rb("retry", c.id, "--op", reads[1]) if c.status() == "failed" else r, 0)
eq("to the end", c.prints(), ["end"])

# what may have been done, and is done again because a person names it
c = Case(
    'exec.sh("echo x >> @DIR@/world; test -e @DIR@/fixed || kill -9 $$")\nexec.sh("echo y >> @DIR@/world")',
)
ends("a command that is killed", c.run(), 1)
n = c.events("result")[0]["n"]
eq("its outcome is unknown", c.events("result")[0]["error"]["outcome"], "unknown")
ends("retry asks about it", c.rb("retry", c.id), 6)
ends("fail", c.rb("resolve", c.id, n, "fail", "--resume"), 1)
c.write("fixed", "")
r = c.rb("retry", c.id, "--op", n)
ends("retry --op does it again", r, 0)
eq("which the journal marks", [(e["n"], e.get("twice")) for e in c.events("result")][-2:-1], [(c.events("intent")[-2]["seq"], True)])
for what, text in (("the lines of the run", r.stdout), ("show", c.rb("show").stdout), ("log", c.rb("log").stdout)):
    check(f"{what}: it may have run twice", text.count("may have run twice") in (1, 2), text)
contains("show --json", c.rb("show", "--json").stdout, '"twice":true')
eq("the other one has no mark", [e.get("twice") for e in c.events("intent")], [None, True, None])
ends("skipped: log says so, with the reason", c.run() if not (c.dir / "fixed").unlink() else r, 1)
n = c.events("result")[0]["n"]
r = c.rb("retry", c.id, "--skip", n, "--reason", "seen by hand")
ends("--skip", r, 0)
check("says skip, not done", any("skip" in x and f"#{n} " in x and "seen by hand" in x for x in r.stdout.splitlines()), r.stdout)
check("show -v, too", any(x.startswith("skip") and "seen by hand" in x for x in c.rb("show", "-v").stdout.splitlines()), c.rb("show", "-v").stdout)
r = c.rb("retry", c.id, "--op", n, "--skip", n, "--reason", "x")
check("--op and --skip together are refused", r.returncode == 2 and "one of them" in r.stderr, (r.returncode, r.stderr))
finish()
