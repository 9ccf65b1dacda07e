#!/usr/bin/env python3
"""Commands leave receipts: whoever dies, what became of them is known, or it is said why not. The world counts."""
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, alive, ends
from lib import RBHOST_FAULT, SLOW, check, contains, eq, finish, lacks, wait_for

# Leaves "begun", waits for a file, leaves "ended".
WAITS = "echo $$ > @DIR@/pid; echo begun >> @DIR@/world; echo said; until test -e @DIR@/go; do sleep 0.02; done; echo ended >> @DIR@/world"
BOOK = f'local r = exec.sh("{WAITS}", {{ title = "move" }})\nprint(r.code, r.stdout)\nexec.sh("echo next >> @DIR@/world")'


def status(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()


def shim_of(c):
    return int(status(c.text("pid").strip())[1])


def killed(text=BOOK, **files):
    """A run whose host was killed while its command works."""
    c = Case(text, **files)
    p = c.start("run", "t.lua")
    wait_for("the command", lambda: c.text("pid").strip() and "begun" in c.lines("world"))
    p.kill()
    p.wait()
    return c


def go(c):
    (c.dir / "go").touch()


def gone(c):
    wait_for("the command's end", lambda: not alive(c.text("pid").strip()))


def receipts(c):
    root = c.dir / "j.db.d" / "receipts"
    return sorted(p.name for p in root.iterdir() if p.name != "id") if root.exists() else []


# -- what is found

c = killed()
p = c.start("resume", c.id)
wait_for("the resume", lambda: c.events("run.resume"))
check("the resume waits for the command that still runs", p.poll() is None, p.returncode)
go(c)
eq("and ends as if nothing had happened", p.wait(60 * SLOW), 0)
contains("the result is whole", "\n".join(c.prints()), "0\tsaid")
eq("everything was done once", c.lines("world"), ["begun", "ended", "next"])
eq("nobody was asked", [e for e in c.events("doubt")], [])
eq("and no receipt is left", receipts(c), [])

c = killed()
go(c)
gone(c)
ends("a command that has ended meanwhile is collected", c.rb("resume"), 0)
eq("it was done once", c.lines("world"), ["begun", "ended", "next"])
contains("its output is the result's", "\n".join(c.prints()), "said")

c = killed('exec.sh("echo $$ > @DIR@/pid; echo begun >> @DIR@/world; until test -e @DIR@/go; do sleep 0.02; done; echo why >&2; exit 3")')
go(c)
gone(c)
r = c.rb("resume")
ends("one that has failed meanwhile fails the run", r, 1)
contains("with its own words", r.stderr, "exited with 3: why")

for name in ("effect.before-start", "effect.before-outcome", "effect.after-outcome"):
    c = Case('exec.sh("echo x >> @DIR@/world")\nexec.sh("echo y >> @DIR@/world")')
    r = c.rb("run", "t.lua", env={"RBHOST_FAULT": f"kill:{name}:1"}, binary=RBHOST_FAULT)
    eq(f"killed at {name}", r.returncode, -signal.SIGKILL)
    ends(f"{name}: the resume needs nobody", c.rb("resume"), 0)
    eq(f"{name}: done once", c.lines("world"), ["x", "y"])
    eq(f"{name}: nothing was in doubt", c.events("doubt"), [])

c = killed()
ends("one that is killed at the look", c.rb("resume", env={"RBHOST_FAULT": "kill:effect.before-look:1"}, binary=RBHOST_FAULT), -9)
go(c)
ends("is collected by the next resume", c.rb("resume"), 0)
eq("once", c.lines("world"), ["begun", "ended", "next"])

c = Case(f'all {{ a = function() exec.sh("{WAITS}") end, b = function() exec.sh("echo b >> @DIR@/world; sleep 0.2") end, c = function() sleep "1ms" print "c" end }}')
p = c.start("run", "t.lua")
wait_for("both commands", lambda: {"begun", "b"} <= set(c.lines("world")) and "c" in c.prints())
p.kill()
p.wait()
go(c)
ends("two commands at once are both collected", c.rb("resume"), 0)
eq("each once", sorted(c.lines("world")), ["b", "begun", "ended"])

# -- what can not be known

c = killed()
shim, pid = shim_of(c), int(c.text("pid"))
os.kill(shim, signal.SIGKILL)
os.kill(pid, signal.SIGKILL)
gone(c)
r = c.rb("resume")
ends("shim and command killed: a person is asked", r, 6)
contains("and told why", r.stderr, "did it happen?")
eq("the journal says why", bool(c.events("doubt")[0].get("why")), True)
contains("the decision counts", c.rb("resolve", c.id, "done", "--resume", "-v").stdout, "succeeded")
eq("what follows is done", c.lines("world"), ["begun", "next"])

c = killed()
os.kill(shim_of(c), signal.SIGKILL)
p = c.start("resume", c.id)
wait_for("the resume", lambda: c.events("run.resume"))
check("the shim killed, the command alive: the resume waits for the command's end", p.poll() is None, p.returncode)
go(c)
eq("and asks then", p.wait(60 * SLOW), 6)
eq("it was not done twice", c.lines("world"), ["begun", "ended"])

c = killed()
go(c)
gone(c)
shutil.rmtree(c.dir / "j.db.d" / "receipts")
r = c.rb("resume")
ends("the receipts are gone: a person is asked", r, 6)
eq("nothing was started", c.lines("world"), ["begun", "ended"])
ends("retry does it again", c.rb("resolve", c.id, "retry", "--resume"), 0)
eq("as it was told", c.lines("world"), ["begun", "ended", "begun", "ended", "next"])

c = killed()
go(c)
gone(c)
c.rb("journal", "backup", c.dir / "k.db")
r = c.rb("--journal", c.dir / "k.db", "resume")
ends("a copy of the journal has other receipts, and asks", r, 6)
eq("nothing was started there", c.lines("world"), ["begun", "ended"])

# -- while it is looked for

c = killed()
ends("decided while nobody runs it", c.rb("resolve", c.id, c.events("intent")[0]["seq"], "retry"), 2)
p = c.start("resume", c.id)
wait_for("the resume", lambda: c.events("run.resume"))
r = c.rb("resolve", c.id, c.events("intent")[0]["seq"], "retry")
go(c)
eq("what is found counts more than what somebody believes", (p.wait(60 * SLOW), c.lines("world")), (0, ["begun", "ended", "next"]))

c = killed()
r = c.rb("cancel", c.id, "--reason", "wrong day")
ends("cancel of a run without an owner", r, 1)
gone(c)
eq("ends the command", (c.status(), c.lines("world")), ("cancelled", ["begun"]))

c = killed()
p = c.start("resume", c.id)
wait_for("the resume", lambda: c.events("run.resume"))
p.send_signal(signal.SIGINT)
wait_for("it parks", lambda: "parking" in c.text("host.out"))
p.send_signal(signal.SIGINT)
eq("a resume that waits for a command is parked", p.wait(60 * SLOW), 130)
check("and leaves it", alive(c.text("pid").strip()), "")
go(c)
ends("the next one collects it", c.rb("resume"), 0)
eq("done once", c.lines("world"), ["begun", "ended", "next"])

# -- parking

c = Case(BOOK)
p = c.start("run", "t.lua")
wait_for("the command", lambda: "begun" in c.lines("world"))
p.send_signal(signal.SIGINT)
wait_for("it says that it parks", lambda: "parking" in c.text("host.out"))
p.send_signal(signal.SIGINT)
eq("a second signal", p.wait(60 * SLOW), 130)
check("leaves the command to its receipt", alive(c.text("pid").strip()), "")
contains("says so", c.text("host.out"), "goes on without the host: #2 move")
eq("in the journal, too", [(o["op"], o["runs_on"]) for o in c.events("run.park")[0]["running"]], [("exec", True)])
go(c)
ends("the resume collects it", c.rb("resume"), 0)
eq("done once: parked", c.lines("world"), ["begun", "ended", "next"])

# -- limits that hold without a host

c = killed(f'local ok, e = pcall(exec.sh, "{WAITS}", {{ timeout = "1s" }})\nprint(e.kind, e.outcome)')
gone(c)
ends("a command over its time is ended though the host is dead", c.rb("resume"), 0)
eq("and known as such", c.prints(), ["exec.timeout\tunknown"])
eq("it was stopped in the middle", c.lines("world"), ["begun"])

SECRET = "correct-horse-battery"
c = Case('local p = runbook { params = { token = { "secret", required = true } } }\n'
         f'exec.sh("test -n \\"$TOKEN\\" && {{ {WAITS}; }}; echo $TOKEN", {{ env = {{ TOKEN = p.token }} }})')
c.write("token", SECRET)
p = c.start("run", "t.lua", "token=@token")
wait_for("the command", lambda: "begun" in c.lines("world"))
p.kill()
p.wait()
names = subprocess.run(["sh", "-c", "cat /proc/[0-9]*/cmdline"], capture_output=True, check=False).stdout
lacks("a secret is in nobody's arguments", names.decode(errors="replace"), SECRET)
kept = list((c.dir / "j.db.d" / "receipts").rglob("*"))
check("there is a receipt", any(p.name == "lock" for p in kept), kept)
eq("which is its user's alone", [p.name for p in kept if p.stat().st_mode & 0o077], [])
go(c)
ends("the resume, which is given the secret again", c.rb("resume", "token=@token"), 0)
lacks("and takes it out of the output that it finds", c.journal.read_bytes().decode(errors="replace"), SECRET)

# -- survive = false

c = killed(BOOK.replace('title = "move"', 'survive = false'))
eq("survive = false: no receipt", receipts(c), [])
r = c.rb("resume")
ends("a person is asked", r, 6)
subprocess.run(["kill", "-9", c.text("pid").strip()], check=False)

c = Case(BOOK)
(c.dir / "j.db.d").mkdir()
(c.dir / "j.db.d" / "receipts").write_text("in the way")
p = c.start("run", "t.lua")
wait_for("the command", lambda: "begun" in c.lines("world"))
contains("no receipt can be kept: the command runs all the same, and the intent says why", str(c.events("intent")[0]["place"]), "why")
p.kill()
p.wait()
subprocess.run(["kill", "-9", c.text("pid").strip()], check=False)
ends("a crash leaves it in doubt", c.rb("resume"), 6)
contains("which says why", str(c.events("doubt")), "receipts")

# It never started, nobody could know, and somebody has said what to do: that counts when the receipts are back.
for word, by, code, world in (("done", "signal", 0, []), ("fail", "signal", 1, []), ("retry", "signal", 0, ["x"]),
                              ("done", "effect.after-outcome", 0, []), ("fail", "effect.before-outcome", 1, [])):
    c = Case('exec.sh("echo x >> @DIR@/world")')
    ends("killed before the start", c.rb("run", "t.lua", env={"RBHOST_FAULT": "kill:receipt.before-spawn:1"}, binary=RBHOST_FAULT), -9)
    root, aside = c.dir / "j.db.d" / "receipts", c.dir / "aside"
    root.rename(aside)
    ends("without its receipts it is in doubt", c.rb("resume"), 6)
    if by == "signal":
        ends(f"{word} is said while nobody runs it", c.rb("resolve", c.id, word), 0)
    else:
        ends(f"{word} is said, then killed at {by}", c.rb("resolve", c.id, word, "--resume", env={"RBHOST_FAULT": f"kill:{by}:1"}, binary=RBHOST_FAULT), -9)
    shutil.rmtree(root)
    aside.rename(root)
    ends(f"the receipts are back, {word} counts", c.rb("resume"), code)
    eq(f"{word}: the world", c.lines("world"), world)
    ends(f"{word}: the journal is whole", c.rb("verify", c.id), 0)

# A receipt's folder is used again; whoever dies meanwhile, nothing of the one shows in the other, or stays on the disk.
for point in ("receipt.recycle", "receipt.recycled"):
    c = Case('exec.sh("echo the-output; echo x >> @DIR@/world")\nsleep "1h"')
    ends(f"killed at {point}", c.rb("run", "t.lua", env={"RBHOST_FAULT": f"kill:{point}:1"}, binary=RBHOST_FAULT), -9)
    left = [p for p in (c.dir / "j.db.d" / "receipts").rglob("*") if p.is_file() and "the-output" in p.read_text()]
    eq(f"{point}: what it said is gone from the disk", left, [])
    eq(f"{point}: it was done once", c.lines("world"), ["x"])

# Another look may find another reason: that one is told.
c = killed()
os.kill(shim_of(c), signal.SIGKILL)
os.kill(int(c.text("pid")), signal.SIGKILL)
gone(c)
ends("in doubt for one reason", c.rb("resume"), 6)
contains("which is told", c.rb("show").stdout, "was killed while it ran")
ends("looked at again", c.rb("resume"), 6)
eq("the same is not written twice", len(c.events("doubt")), 1)
(c.dir / "j.db.d" / "receipts").rename(c.dir / "aside")
r = c.rb("resume")
ends("then for another", r, 6)
for what, text in (("the message", r.stderr), ("show", c.rb("show").stdout), ("bare rbhost", c.rb().stdout)):
    check(f"{what} has the newest reason", "another folder of receipts" in text and "was killed while" not in text, text)

# A function asks the world; the receipt is found meanwhile: it is not needed any more, and stops.
c = killed(
    f"""
    local function look()
      exec({{ "sh", "-c", "echo $$ > @DIR@/looker; exec sleep 300" }}, {{ read = true }})
      exec.sh("echo looked >> @DIR@/world")
      return "retry"
    end
    exec.sh("{WAITS}", {{ on_doubt = look }})
    signal "go"
    exec.sh("echo next >> @DIR@/world")
    """
)
root, aside = c.dir / "j.db.d" / "receipts", c.dir / "aside"
root.rename(aside)
p = c.start("resume", c.id)
wait_for("the function's look", lambda: c.text("looker").strip() and c.events("doubt.call"))
p.kill()
p.wait()
subprocess.run(["kill", "-9", c.text("looker").strip()], check=False, stderr=subprocess.DEVNULL)
(c.dir / "looker").unlink()
shutil.rmtree(root)
aside.rename(root)
p = c.start("resume", c.id, "--wait")
wait_for("the function again", lambda: c.text("looker").strip())
go(c)
wait_for("the run to wait behind the command", lambda: c.events("wait"))
wait_for("the end of the function's look", lambda: not alive(c.text("looker").strip()))
p.kill()
p.wait()
ends("killed after that, and resumed: the same way", c.rb("resume"), 3)
ends("to the end", c.rb("signal", c.id, "go", "--resume"), 0)
eq("the command once, the function never said retry", c.lines("world"), ["begun", "ended", "next"])
ends("the journal is whole", c.rb("verify", c.id), 0)

# What may have run twice stays marked, also when the repetition was taken back and its host died then.
c = killed(BOOK.replace('title = "move"', 'title = "move", on_doubt = "retry"'))
os.kill(shim_of(c), signal.SIGKILL)
os.kill(int(c.text("pid")), signal.SIGKILL)
gone(c)
for _ in range(2):
    ends("killed before the repetition starts", c.rb("resume", env={"RBHOST_FAULT": "kill:effect.before-start:1"}, binary=RBHOST_FAULT), -9)
back = c.events("op.unstarted")[-1]["seq"]
with contextlib.closing(sqlite3.connect(c.journal)) as db, db:  # as if the host had died right behind that event
    db.execute("DELETE FROM events WHERE seq > ?", (back,))
    db.execute("UPDATE runs SET seq = ?, head = (SELECT hash FROM events WHERE seq = ?)", (back, back))
go(c)
ends("it is started after all", c.rb("resume"), 0)
eq("as one that may have run before", c.events("intent")[-2].get("twice"), True)
eq("with its result", [e.get("twice") for e in c.events("result")], [True, None])

finish()
