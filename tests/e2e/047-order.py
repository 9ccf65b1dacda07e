#!/usr/bin/env python3
"""Orders of events that are rare: a signal or a deadline in the middle of a replay, a wish that is uttered twice, memo
between tasks, tasks that only start tasks, no room for one more."""
import fcntl
import os
import signal
import sys
import time

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, prints, waits
from lib import RBHOST_FAULT, SLOW, check, contains, eq, finish, wait_for


def catches(p, sig):
    """Has this process a handler for the signal yet?"""
    for line in open(f"/proc/{p.pid}/status"):
        if line.startswith("SigCgt:"):
            return int(line.split()[1], 16) >> (sig - 1) & 1


# -- memo ends in an operation: its place among the outcomes is recorded, and the tasks take turns as they did

c = Case(
    """
    local turns = {}
    local function say(x) turns[#turns + 1] = x print(table.concat(turns)) end
    all {
        function() memo("a", function() return 1 end) say "a" sleep("1ms") say "A" end,
        function() say "b" memo("b", function() sleep("1ms") return 2 end) say "B" end,
        function() say "c" sleep("1ms") say "C" end,
    }
    """
)
r = c.run()
ends("memo between tasks", r, 0)
whole = c.events()
want = c.prints()
for n in range(1, 20):
    c.rb("run", c.name, env={"RBHOST_FAULT": f"kill:effect.before-outcome:{n}"}, binary=RBHOST_FAULT)
    if c.status() == "succeeded":
        break
    r = c.rb("resume")
    if c.status() != "succeeded" or sorted(c.prints()[-1]) != sorted(want[-1]):
        check(f"killed before outcome {n}, it is resumed", False, (c.status(), c.prints(), r.stderr))
        break
check("killed before each outcome, tasks with memo go on as they had begun", n > 4 and c.status() == "succeeded", n)

c = Case('memo("m", function() evidence("a", 1) return 2 end)\nevidence("b", 2)\napprove "go?"\nprint "gone"')
c.run()
ends("a gate behind a memo that keeps evidence is the same gate after a resume", c.rb("resume"), 3)
c.rb("approve", c.id, "--resume")
eq("and opens", c.prints(), ["gone"])

c = Case('math.random(9) memo("m", function() return { math.random(), math.random() } end) print(math.random(10 ^ 9))\n'
         'sleep("1ms") print(math.random(10 ^ 9))')
c.rb("run", c.name, env={"RBHOST_FAULT": "kill:effect.before-outcome:2"}, binary=RBHOST_FAULT)
ends("random numbers inside a memo are its own: those that follow are the same in a replay", c.rb("resume"), 0)
check("and go on", len(set(c.prints())) == 2, c.prints())

c = Case('step("s", { undo = function() exec.sh("echo undone >> @DIR@/world") end }, function()\n'
         'memo("m", function() exec.sh("echo done >> @DIR@/world") end) end)\nfail "no"')
c.run()
ends("an effect inside a memo arms the compensation of its step", c.rb("undo", c.id), 0)
eq("for an undo that replays, too", c.lines("world"), ["done", "undone"])
for verb in ('undo("x", function() end)', "settled()"):
    c = prints(f"{verb} inside a memo is refused", f'print(select(2, pcall(memo, "m", function() {verb} end)).kind)', "usage")

# -- a wish that is uttered twice

SLEEPS = 'step("s", { undo = function() exec.sh("echo u1 >> @DIR@/world", { survive = false }) exec.sh("echo u2 >> @DIR@/world") end },\n' \
    'function() exec.sh("echo x >> @DIR@/world; test -e @DIR@/go") sleep("300s") end)'


def twice(verb, go=True):
    """A run whose owner is stopped while two people say the same."""
    c = Case(SLEEPS)
    if go:
        c.write("go", "")
    p = c.start("run", c.name)
    waits(c)
    p.send_signal(signal.SIGSTOP)
    for _ in range(2):
        c.rb(verb, c.id)
    p.send_signal(signal.SIGCONT)
    p.wait(60 * SLOW)
    return c


c = twice("cancel")
eq("cancelled twice", c.status(), "cancelled")
ends("the second wish does not cancel the undo", c.rb("undo", c.id), 0)
eq("which does all it has to", c.lines("world"), ["x", "u1", "u2"])
c = twice("cancel")
c.rb("undo", c.id, env={"RBHOST_FAULT": "kill:effect.after-start:1"}, binary=RBHOST_FAULT)
c.rb("resume", c.id)
eq("nor the resume of the undo", (c.status(), len(c.events("cancel"))), ("in_doubt", 1))
c.rb("resolve", c.id, "retry", "--resume")
eq("which goes on when it is told what it has done", c.status(), "undone")
c = twice("pause")
eq("paused twice", c.status(), "parked")
p = c.start("resume", c.id)
waits(c, "run.resume")
c.rb("signal", c.id, "any")  # its owner has looked at the signals once more when it is told of this one
eq("the second wish does not pause the resume", (c.status(), len(c.events("run.park"))), ("running", 1))
park(c, p)

# -- too late

c = Case('print(pcall(approve, { "go?", timeout = "1s" }))')
c.run()
until = waits(c)["until"]
wait_for("the end of its time", lambda: time.time() * 1e6 > until)
c.rb("approve", c.id, "--resume")
check("an approval that came too late, while nobody drove the run, opens nothing",
      len(c.prints()) == 1 and "nobody answered in time" in c.prints()[0], c.prints())
c = Case('print(approve { "go?", timeout = "1s" }.decision)')
c.run()
c.rb("approve", c.id)
until = waits(c)["until"]
wait_for("the end of its time", lambda: time.time() * 1e6 > until)
c.rb("resume")
eq("one that came in time opens it, however late the resume is", c.prints(), ["approved"])
c = Case(
    """
    local n = 0
    check("A", "is slow once", function()
        n = n + 1
        if n == 1 then sleep("300s") end
    end, { timeout = "100ms", retry = { times = 2, delay = 0 } })
    print(n)
    """
)
c.run()
eq("a check that took too long has changed nothing, and is tried again", c.prints(), ["2"])

# -- in the middle of a replay

# Long enough to be hit in its middle, short of the budget of a slice; gcstress collects at each look of the count hook.
TURNS = 40000 if os.environ.get("VARIANT") == "gcstress" else 4000000
SLOW_REPLAY = f"for i = 1, 60 do for k = 1, {TURNS} do end sleep(0) end\n"

c = Case(SLOW_REPLAY + 'exec({ "sh", "-c", "echo x >> @DIR@/world; echo $$ > @DIR@/pid; exec sleep 300" }, { idempotent = true })')
p = c.start("run", c.name)
wait_for("the command", lambda: c.text("pid").strip())
p.kill()
p.wait()
os.kill(int(c.text("pid")), signal.SIGKILL)
p = c.start("resume", c.id)
wait_for("its handlers", lambda: catches(p, signal.SIGTERM))
eq("a signal in the middle of a replay parks the run", park(c, p), 143)
eq("it says so, and names nothing as running", [(e["status"], e["running"]) for e in c.events("run.park")], [("parked", [])])
eq("as its last word", c.events()[-1]["kind"], "run.park")
eq("and nothing has started", c.lines("world"), ["x"])

c = Case('runbook { timeout = "8s" }\n' + SLOW_REPLAY + 'sleep("300s")')
p = c.start("run", c.name)
waits(c, n=61)
p.kill()
p.wait()
began = c.sql("SELECT created FROM runs")[0][0]
wait_for("its deadline", lambda: time.time() * 1e6 > began + 8e6)
r = c.rb("resume")
check("a deadline that has passed when a replay begins ends the run", c.status() == "timed_out", (c.status(), r.stderr))

# -- in the middle of a commit

for times in (1, 2):
    c = Case('sleep("2s") exec.sh("echo x >> @DIR@/world") print "end"')
    p = c.start("run", c.name, env={"RBHOST_FAULT": "none", "RBHOST_FAULT_LOG": str(c.dir / "points")}, binary=RBHOST_FAULT)
    waits(c)
    with open(c.dir / "j.db.d" / "lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wait_for("the intent", lambda: "store.enqueue" in c.text("points").partition("effect.after-outcome")[2])
        for word in ("parking the run", "stopping at once")[:times]:
            p.send_signal(signal.SIGTERM)
            wait_for(word, lambda: word in c.text("host.out"))
    began = time.monotonic()
    eq(f"{times} signal(s) while an intent is being committed park the run", p.wait(60 * SLOW), 143)
    check("without waiting for anything", time.monotonic() - began < 8, time.monotonic() - began)
    ends("nothing has started, and nothing is in doubt", c.rb("resume"), 0)
    eq("it is done once", (c.lines("world"), len(c.events("op.unstarted"))), (["x"], 1))

# -- tasks

c = Case("while true do all { function() end } end")
r = c.run()
ends("tasks that only start tasks and wait for them do not hold up the host", r, 1)
contains("they have a budget together", r.stderr, "computed for more than")
c = Case(
    """
    local many, ran = {}, 0
    for i = 1, 10001 do many[i] = function() ran = ran + 1 end end
    print(select(2, pcall(all, many)).kind, ran)
    print(select(2, pcall(each, many, { limit = 20000 }, function(f) f() end)).kind, ran)
    print(all { function() return 5 end }[1])
    """
)
c.run()
eq("without room for one more task none of its call runs on", c.prints(), ["limit\t0", "limit\t0", "5"])
prints(
    "a long queue of commands that can not start",
    """
    local list, bad = {}, 0
    for i = 1, 9900 do list[i] = i end
    each(list, { limit = 9900 }, function(i)
        if i <= 64 then
            exec { "sleep", "0.2" }
        elseif not pcall(exec, { "/nowhere" }, { read = true }) then
            bad = bad + 1
        end
    end)
    print(bad)
    """,
    "9836",
)

finish()
