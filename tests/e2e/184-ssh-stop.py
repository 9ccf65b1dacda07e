#!/usr/bin/env python3
"""What ends a command over there: its time-out, a cancel, a race that is lost. Its whole process group ends, with and
without a receipt; a parked run leaves it.

# time-limit: 240
"""
import os
import pathlib
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import alive, ends, park, waits
from farlab import Lab, once, words
from lib import SLOW, check, contains, eq, finish, wait_for

lab = Lab(2)
lab.__enter__()
GROUP = "echo $$ >>@LAB@/pids; sleep 600 & echo $! >>@LAB@/pids; wait"


def pids(n=2):
    path = lab.dir / "pids"
    wait_for("the command over there to have begun",
             lambda: path.exists() and len(path.read_text().split()) >= n and path.read_text().endswith("\n"))
    return [int(p) for p in path.read_text().split()]


def gone(name, n=2):
    found = pids(n)
    wait_for(f"{name}: to be gone", lambda: not any(alive(p) for p in found))
    check(f"{name}: its whole group is gone", not any(alive(p) for p in found))
    (lab.dir / "pids").unlink()


for kind, opts in (("under a receipt", ""), ("without one", ", survive = false"), ("as a read", ", read = true")):
    c = lab.case(f"""
        local ok, e = pcall(ssh, "web01", [[{GROUP}]], {{ timeout = "600ms"{opts} }})
        print(e.kind, e.outcome, tostring(e))
        print(ssh("web01", {{ "echo", "on" }}).stdout)
    """)
    ends(f"a time-out {kind}", c.run(), 0)
    said = words(c)
    eq(f"{kind}: it is told as such, and the run goes on", [said[0].split("  ")[:2], said[1]],
       [["ssh.timed_out", "failed" if "read" in opts else "unknown"], "on\n"])
    contains(f"{kind}: the message says so", said[0], "did not end within 0.6s and was stopped")
    gone(kind)

    c = lab.case(f'ssh("web01", [[{GROUP}]], {{ timeout = "10m"{opts} }})')
    p = c.start("run", "t.lua")
    pids()
    ends(f"a cancel {kind}", c.rb("cancel", c.id), 0)
    p.wait(60 * SLOW)
    eq(f"{kind}: ends the run", c.status(), "cancelled")
    gone(f"{kind}, cancelled")

c = lab.case(f"""
    local r = race {{ slow = function() ssh("web01", [[{GROUP}]]) end,
        fast = function() while not file.stat "@LAB@/pids" do sleep(0.05) end sleep(0.1) return "fast" end }}
    print(r)
    timeout("30s", function() print(ssh("web02", {{ "echo", "after" }}).stdout) end)
""")
ends("the loser of a race", c.run(timeout=120), 0)
eq("is stopped, and the run goes on", words(c), ["fast", "after\n"])
gone("the loser")

# one that does not end when it is asked
c = lab.case("""
    local ok, e = pcall(ssh, "web01", [[trap '' TERM; echo $$ >>@LAB@/pids; echo $$ >>@LAB@/pids; while :; do sleep 0.2; done]],
        { timeout = "500ms" })
    print(e.kind)
""")
ends("a command that ignores TERM", c.run(timeout=120), 0)
eq("is killed", words(c), ["ssh.timed_out"])
gone("it")

# a parked run leaves it running and collects it later; what is not under a receipt ends
c = lab.case("print(ssh('web01', [[echo once >>@LAB@/world; echo $$ >>@LAB@/pids; echo $$ >>@LAB@/pids;"
             " while [ ! -e @LAB@/go ]; do sleep 0.05; done; echo collected]]).stdout)", "|limits = { park_grace = \"200ms\" }")
p = c.start("run", "t.lua")
found = pids()
code = park(c, p)
eq("a parked run", (code, c.status()), (143, "parked"))
check("leaves what has a receipt", alive(found[0]))
(lab.dir / "go").touch()
r = c.rb("resume", c.id)
ends("its resume", r, 0)
eq("collects it", words(c), ["collected\n"])
once(lab.dir / "world", ["once"], "which has run once")
gone("it", 2)

c = lab.case(f'ssh("web01", [[{GROUP}]], {{ survive = false }})', "|limits = { park_grace = \"200ms\" }")
p = c.start("run", "t.lua")
pids()
park(c, p)
gone("what has none, of a parked run")
r = c.rb("resume", c.id)
ends("and is in doubt", r, 6)
contains("which says what it was", r.stdout + r.stderr, "ssh web01")

c = lab.case(f'ssh("web01", [[{GROUP}]])')
p = c.start("run", "t.lua")
found = pids()
p.send_signal(signal.SIGKILL)
p.wait()
ends("a cancel of a run without an owner ends it", c.rb("cancel", c.id), 1)
gone("what it had started")
lab.close()
finish()
