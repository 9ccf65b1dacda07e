#!/usr/bin/env python3
"""A backup of the journal that is put back in its place is older than what its runs have done: nothing of that is done a
second time without a person who says so."""
import os
import signal
import sqlite3
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import RBHOST_FAULT, SLOW, check, contains, eq, finish, wait_for

GO = "until test -e @DIR@/go; do sleep 0.02; done"
BOOK = f"""
exec.sh("echo one >> @DIR@/world")
exec.sh("echo begun >> @DIR@/world; {GO}", {{ title = "move" }})
exec.sh("echo three >> @DIR@/world")
"""


def backup(c, name="backup.db"):
    ends("a backup", c.rb("journal", "backup", name), 0)


def restore(c, name="backup.db"):
    """Puts it back, as somebody does who copies a file."""
    for suffix in ("", "-wal", "-shm"):
        (c.dir / f"j.db{suffix}").unlink(missing_ok=True)
    (c.dir / "j.db").write_bytes((c.dir / name).read_bytes())


def copied(book=BOOK):
    """A backup while the command works, and the run to its end after that."""
    c = Case(book)
    p = c.start("run", "t.lua")
    wait_for("the command", lambda: "begun" in c.lines("world") and len(c.events("intent")) == 2)
    backup(c)
    (c.dir / "go").touch()
    eq("the run goes on to its end", (p.wait(60 * SLOW), c.lines("world")), (0, ["one", "begun", "three"]))
    restore(c)
    return c


c = copied()
for verb, more in (("resume", ()), ("cancel", ())):
    r = c.rb(verb, c.id, *more)
    check(f"{verb} in the older copy is refused", r.returncode == 2 and "older copy" in r.stderr, (r.returncode, r.stderr))
    contains(f"{verb}: and it says what goes on all the same", r.stderr, f"resume {c.id} --take-back")
eq("nothing was done", c.lines("world"), ["one", "begun", "three"])
restore(c)  # without the wish to cancel it
ends("the journal verifies", c.rb("verify"), 0)
r = c.rb("resume", c.id, "--take-back")
ends("--take-back goes on, and asks about what had begun", r, 6)
contains("with the reason", r.stderr, "older copy")
eq("nothing was done before that was answered", c.lines("world"), ["one", "begun", "three"])
eq("the journal has how far it had come", c.events("run.resume")[0]["older"] > c.events("intent")[1]["seq"], True)
r = c.rb("resume", c.id)
ends("another resume needs nothing more, and asks the same", r, 6)
eq("still nothing", c.lines("world"), ["one", "begun", "three"])
n = c.events("intent")[1]["seq"]
ends("answered, it goes on", c.rb("resolve", c.id, n, "done", "--resume"), 0)
eq("with what this journal knows nothing of", c.lines("world"), ["one", "begun", "three", "three"])
ends("and verifies", c.rb("verify"), 0)
restore(c)
ends("the backup once more: refused once more", c.rb("resume", c.id), 2)

# killed between the agreement and the mark: it is asked again, or in doubt, but never done again
for point in ("store.see", "effect.before-look", "effect.before-start"):
    c = copied()
    c.rb("resume", c.id, "--take-back", binary=RBHOST_FAULT, env={"RBHOST_FAULT": f"kill:{point}:1"})
    for _ in range(2):
        r = c.rb("resume", c.id)
        check(f"killed at {point}: not done again", r.returncode in (2, 6) and c.lines("world") == ["one", "begun", "three"], (r, c.lines("world")))

# one that was parked, retried, undone in the time that is lost
c = Case('step("s", { undo = function() exec.sh("echo back >> @DIR@/world") end }, function() exec.sh("echo s >> @DIR@/world") end)\nexec.sh("echo f >> @DIR@/world; test -e @DIR@/fixed")')
ends("a run that fails", c.run(), 1)
backup(c)
c.write("fixed", "")
ends("is retried", c.rb("retry", c.id), 0)
restore(c)
for verb in ("retry", "undo"):
    r = c.rb(verb, c.id)
    check(f"{verb} in the older copy is refused", r.returncode == 2 and "older copy" in r.stderr, (r.returncode, r.stderr))
eq("nothing was done again", c.lines("world"), ["s", "f", "f"])
ends("undo --take-back", c.rb("undo", c.id, "--take-back"), 0)
eq("undoes", c.lines("world"), ["s", "f", "f", "back"])

# a copy that is not older is no copy
c = Case(BOOK)
p = c.start("run", "t.lua")
wait_for("the command", lambda: "begun" in c.lines("world") and len(c.events("intent")) == 2)
p.send_signal(signal.SIGKILL)
p.wait()
backup(c)
restore(c)
(c.dir / "go").touch()
ends("a backup of what a crash has left, put back: nobody is asked", c.rb("resume"), 0)
eq("once", c.lines("world"), ["one", "begun", "three"])
with sqlite3.connect(c.journal) as db:
    db.execute("UPDATE runs SET ended = 1")
ends("prune", c.rb("journal", "prune", "--older", "1s"), 0)
eq("takes the mark with it", list((c.dir / "j.db.d" / "seen").iterdir()), [])
finish()
