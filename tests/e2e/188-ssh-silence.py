#!/usr/bin/env python3
"""A machine that takes a session and then says nothing: an op that asks where it would start ends at its time-out, at a
cancel, when its run is parked; and nothing was started.

# time-limit: 120
"""
import os
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends
from farlab import Lab, words
from lib import SLOW, contains, eq, finish, wait_for

SILENT = "sh -c 'echo $$ >>\"$HOME/asked\"; exec sleep 600'"
lab = Lab(1, ForceCommand=SILENT)
lab.__enter__()
asked = lab.home("web01") / "asked"
DO = '{ "touch", "@LAB@/started" }'


def silent():
    """Waits until the machine was asked, and has not answered."""
    wait_for("the question", lambda: asked.exists() and asked.read_text().endswith("\n"))
    asked.unlink()


c = lab.case(f'local ok, e = pcall(ssh, "web01", {DO}, {{ timeout = "500ms" }}) print(e.kind, e.outcome, tostring(e))')
ends("a time-out", c.run(timeout=60 * SLOW), 0)
said = words(c)[0]
contains("ends it, and it was not started", said, "ssh.timed_out  not_started")
contains("the message says why", said, "was not started: the session was opened, and the shell over there said nothing within 0.5s")
silent()

c = lab.case(f'local ok, e = pcall(ssh, "web01", {DO}, {{ read = true, timeout = "500ms" }}) print(e.kind, e.outcome)')
ends("a time-out of a read", c.run(timeout=60 * SLOW), 0)
eq("is one, too", words(c), ["ssh.timed_out  failed"])
silent()

c = lab.case(f'ssh("web01", {DO})')
p = c.start("run", "t.lua")
silent()
ends("a cancel", c.rb("cancel", c.id), 0)
p.wait(60 * SLOW)
eq("ends the run", (c.status(), c.events("intent")), ("cancelled", []))

c = lab.case(f'ssh("web01", {DO})', '|limits = { park_grace = "200ms" }')
p = c.start("run", "t.lua")
silent()
p.send_signal(signal.SIGTERM)
p.wait(60 * SLOW)
eq("a parked run leaves", (c.status(), c.events("intent")), ("parked", []))
lab.set(ForceCommand=None)
ends("its resume", c.rb("resume", c.id), 0)
eq("starts it once", len(c.events("intent")), 1)

# a resume that asks for a receipt
c = lab.case('ssh("web01", [[echo once >>@LAB@/world; until test -e @LAB@/go; do sleep 0.05; done]])')
p = c.start("run", "t.lua")
wait_for("the command", lambda: (lab.dir / "world").exists())
p.kill()
p.wait()
lab.set(ForceCommand=SILENT)
r = c.rb("resume", c.id, timeout=90 * SLOW)
ends("a resume whose question is not answered leaves it in doubt", r, 6)
contains("and says why", r.stdout + r.stderr, "the shell over there said nothing within 30 s")
lab.set(ForceCommand=None)
p = c.start("resume", c.id)
wait_for("the resume", lambda: len(c.events("run.resume")) == 2)
(lab.dir / "go").touch()
eq("when it speaks again the outcome is found", (p.wait(60 * SLOW), c.status()), (0, "succeeded"))
eq("it has run once", (lab.dir / "world").read_text(), "once\n")
lab.close()
finish()
