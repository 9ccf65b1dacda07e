#!/usr/bin/env python3
"""Clocks that jump between a park and a resume: what waits until a time ends at that time of the wall clock, and
nothing of the journal relies on times that go up."""

import json
import os
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, waits
from lib import RBHOST_FAULT, check, contains, eq, finish, lacks

HOUR = 3600


def at(hours):
    return {"RBHOST_FAULT_CLOCK": str(hours * HOUR)}


def parked(text):
    case = Case(text)
    host = case.start("run", "t.lua", binary=RBHOST_FAULT)
    waits(case)
    eq("it is parked", park(case, host, signal.SIGINT), 130)
    return case


# -- forward: the wait is over -----------------------------------------------------------------------------------------

case = parked('local from = now()\nsleep "1h"\nprint(now() - from >= 3600)\napprove { "Late?", timeout = "1h" }')
r = case.rb("resume", env=at(2), binary=RBHOST_FAULT)
ends("two hours later the sleep is over", r, 3)
lacks("and nobody is warned", r.stderr, "behind")
eq("the runbook sees the time that has passed", case.prints(), ["true"])
began = [e for e in case.events("wait") if e["op"] == "sleep"]
eq("the sleep was begun once", len(began), 1)
r = case.rb("resume", env=at(4), binary=RBHOST_FAULT)
ends("the gate's time is over, too", r, 1)
contains("and its error is that of a time-out", str(case.events("run.end")[-1]["error"]["kind"]), "timeout")
ends("verify", case.rb("verify", "--all"), 0)

# -- back: it waits until its time comes -------------------------------------------------------------------------------

case = parked("""
all {
    sleeps = function()
        sleep "1h"
        print "slept"
    end,
    hears = function()
        signal "tick"
        print "tick"
    end,
}
""")
host = case.start("resume", binary=RBHOST_FAULT, env=at(-2))
waits(case, "run.resume")
ends("a signal shows that it is there", case.rb("signal", case.id, "tick"), 0)
waits(case, "log")
eq("two hours earlier it still sleeps", (host.poll(), case.prints()), (None, ["tick"]))
eq("it is parked again", park(case, host, signal.SIGINT), 130)
contains("who resumes is told", case.text("host.out"), "behind the last event")
(resume,) = case.events("run.resume")
check("and the journal keeps by how much", 7100e6 < resume["clock_back_us"] < 7300e6, resume)
eq("its time has not changed", [e["op"] for e in case.events("wait")], ["signal", "sleep"])
(row,) = [json.loads(line) for line in case.rb("ls", "--json").stdout.splitlines()]
eq("ls lists it", row["status"], "parked")
ends("verify does not mind", case.rb("verify", "--all"), 0)
r = case.rb("resume", env=at(1), binary=RBHOST_FAULT)
ends("when its time has come it goes on", r, 0)
eq("once", case.prints(), ["tick", "slept"])

# -- runs that begin while the clock is wrong --------------------------------------------------------------------------

case = Case('print "hello"')
for hours in (0, -48, 48, -24, 0):
    ends(f"a run with the clock {hours} h off", case.run(env=at(hours), binary=RBHOST_FAULT), 0)
eq("each is a run of its own", len(set(case.ids())), 5)
eq("and sound", case.rb("verify", "--all").stdout.count("ok "), 5)
r = case.rb("journal", "prune", "--older", "1h", "--yes", env=at(-72), binary=RBHOST_FAULT)
eq("nothing is old to a clock that is behind", len(case.ids()), 5)

# -- a run's own time limit --------------------------------------------------------------------------------------------

case = parked('runbook { timeout = "30m" }\nsleep "2h"')
r = case.rb("resume", env=at(1), binary=RBHOST_FAULT)
ends("the limit of the whole run is wall-clock time", r, 124)
eq("and ends it", case.status(), "timed_out")

finish()
