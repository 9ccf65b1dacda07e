#!/usr/bin/env python3
"""A connection that goes down under commands: whoever watches is told once that it is lost and once that it stands
again, and the journal does not grow by it. A server that is switched off comes back as another.

# time-limit: 180
"""
import os
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from farlab import Lab
from lib import SLOW, check, eq, finish, wait_for

lab = Lab(2)
lab.__enter__()
LOST, AGAIN = "web01: connection lost, trying again", "web01: connected again"
BOOK = """
    local function one(i) return function()
        return ssh("web01", "echo " .. i .. " >>@LAB@/world; until test -e @LAB@/go; do sleep 0.05; done; echo out" .. i).stdout
    end end
    local r = all { a = one(1), b = one(2), c = one(3) }
    print(r.a, r.b, r.c)
"""


def lines(path):
    return path.read_text().split() if path.exists() else []


def cut():
    """The connections go, and nobody listens; what runs runs on."""
    pids = lab.connections()
    for p in lab.processes:
        p.kill()
        p.wait()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    lab.processes = []


def told(c, text):
    return c.text("host.out").count(text)


c = lab.case(BOOK)
p = c.start("run", "t.lua", "-v")
wait_for("the commands", lambda: len(lines(lab.dir / "world")) == 3)
before = len(c.events())
cut()
wait_for("the word that it is lost", lambda: told(c, LOST) or p.poll() is not None)
lab.listen(lab.write_server_config())
wait_for("the word that it stands again", lambda: told(c, AGAIN) or p.poll() is not None)
eq("nothing of that is in the journal", len(c.events()), before)
(lab.dir / "go").touch()
eq("the run goes on", (p.wait(60 * SLOW), c.prints()), (0, ["out1\n\tout2\n\tout3\n"]))
eq("each command has run once", sorted(lines(lab.dir / "world")), ["1", "2", "3"])
eq("once lost and once connected, for all three", (told(c, LOST), told(c, AGAIN)), (1, 1))

# a second outage of the same run is another one
for name in ("world", "go"):
    (lab.dir / name).unlink()
c = lab.case(BOOK)
p = c.start("run", "t.lua")
wait_for("the commands", lambda: len(lines(lab.dir / "world")) == 3)
for n in (1, 2):
    cut()
    wait_for(f"outage {n}", lambda n=n: told(c, LOST) == n or p.poll() is not None)
    lab.listen(lab.write_server_config())
    wait_for(f"its end {n}", lambda n=n: told(c, AGAIN) == n or p.poll() is not None)
(lab.dir / "go").touch()
eq("two outages are told of twice", (p.wait(60 * SLOW), told(c, LOST), told(c, AGAIN)), (0, 2, 2))

# cancelled in the middle of one
for name in ("world", "go"):
    (lab.dir / name).unlink()
c = lab.case(BOOK)
p = c.start("run", "t.lua")
wait_for("the commands", lambda: len(lines(lab.dir / "world")) == 3)
cut()
wait_for("the outage", lambda: told(c, LOST) or p.poll() is not None)
p.send_signal(signal.SIGTERM)
p.wait(60 * SLOW)
eq("a run that is parked in an outage leaves at once", (c.status(), told(c, AGAIN)), ("parked", 0))
(lab.dir / "go").touch()
p = c.start("resume", c.id, out="resume.out")
wait_for("the resume to say that nobody answers",
         lambda: "web01: no connection, trying again" in c.text("resume.out") or p.poll() is not None)
lab.listen(lab.write_server_config())
eq("its resume finds what became of them", (p.wait(90 * SLOW), sorted(lines(lab.dir / "world"))), (0, ["1", "2", "3"]))
lab.close()
finish()
