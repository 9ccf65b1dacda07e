#!/usr/bin/env python3
# time-limit: 300
"""Several processes on one journal: stopped owners, two that resume one run at once, four that hammer the file."""

import collections
import json
import os
import signal
import sqlite3
import sys
import threading

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/verify2"]
sys.dont_write_bytecode = True

import verify2
from book import Case, ends, waits
from lib import RBHOST_FAULT, SLOW, T, check, contains, eq, finish, wait_for

WORLD = (T / "crash" / "books" / "world.lua").read_text()


def make(text):
    case = Case(text, world=WORLD)
    (case.dir / "world").touch()
    return case


def stopped(pid):
    stat = open(f"/proc/{pid}/stat").read()
    return stat[stat.rindex(")") + 2] == "T"


def stop(process):
    process.send_signal(signal.SIGSTOP)
    wait_for("it is stopped", lambda: stopped(process.pid))


def sound(name, case):
    r = case.rb("verify", "--all")
    ends(f"{name}: verify", r, 0)
    db = sqlite3.connect(f"file:{case.journal}?mode=ro", uri=True)
    bad = {run: v for run in case.ids() if (v := verify2.verify(db, run))[0] is not None}
    db.close()
    eq(f"{name}: the second verifier", bad, {})


# -- an owner that is stopped ------------------------------------------------------------------------------------------

case = make('local w = require "world"\nw.put "one"\nsignal "go"\nw.put "two"')
host = case.start("run", "t.lua", "--wait")
waits(case, "wait")
run = case.id
stop(host)
r = case.rb("resume", run)
ends("stopped: its run can not be taken", r, 2)
contains("stopped: who has it", r.stderr, f"pid {host.pid}")
contains("stopped: what can be done", r.stderr, "attach")
ends("stopped: retry neither", case.rb("retry", run), 2)
ends("stopped: undo neither", case.rb("undo", run), 2)
(row,) = [json.loads(line) for line in case.rb("ls", "--json").stdout.splitlines()]
eq("stopped: ls says that it has an owner", (row["status"], row["owned"]), ("waiting", True))
case.write("other.lua", 'print "other"')
ends("stopped: the next run is not blocked", case.rb("run", "other.lua"), 0)
ends("stopped: what is said to it is recorded", case.rb("signal", run, "go"), 0)
eq("stopped: and it does nothing", case.lines("world"), ["one"])
host.send_signal(signal.SIGCONT)
eq("continued: it goes on", host.wait(60 * SLOW), 0)
eq("continued: each effect once", case.lines("world"), ["one", "two"])
sound("continued", case)

# -- stopped in the middle of a commit ---------------------------------------------------------------------------------

case = make('local w = require "world"\nw.put "one"\nw.put "two"')
ends("commit: a first run", case.run(), 0)
(case.dir / "world").write_text("")
host = case.start("run", "t.lua", binary=RBHOST_FAULT, env={"RBHOST_FAULT": "stop:store.commit.before:2"})
wait_for("it stops itself", lambda: stopped(host.pid))
case.write("other.lua", 'print "other"')
r = case.rb("run", "other.lua")
ends("stopped in a commit: others wait so long, and no longer", r, 5)
contains("stopped in a commit: they say for whom", r.stderr, f"pid {host.pid}")
ends("stopped in a commit: who only looks is not held up", case.rb("ls"), 0)
eq("stopped in a commit: nothing has started without its intent", case.lines("world"), [])
host.send_signal(signal.SIGCONT)
eq("continued: it ends", host.wait(60 * SLOW), 0)
eq("continued in a commit: each effect once", case.lines("world"), ["one", "two"])
ends("continued in a commit: others go on", case.rb("run", "other.lua"), 0)
sound("continued in a commit", case)

# -- killed while it was stopped ---------------------------------------------------------------------------------------

case = make('local w = require "world"\nw.put "one"\nsignal "go"\nw.put "two"')
host = case.start("run", "t.lua", "--wait")
waits(case, "wait")
stop(host)
host.kill()
host.wait()
ends("killed while stopped: its run is free at once", case.rb("signal", case.id, "go", "--resume"), 0)
eq("killed while stopped: each effect once", case.lines("world"), ["one", "two"])

# -- two that resume one run at once -----------------------------------------------------------------------------------

codes, doubled = collections.Counter(), []
for attempt in range(12):
    case = make('local w = require "world"\nsignal "go"\nfor i = 1, 5 do w.put("w" .. i) end')
    case.run()
    case.rb("signal", case.id, "go")
    both = [case.start("resume", case.id, out=f"out{i}") for i in range(2)]
    got = sorted(p.wait(60 * SLOW) for p in both)
    codes[tuple(got)] += 1
    if case.lines("world") != [f"w{i}" for i in range(1, 6)] or case.status() != "succeeded":
        doubled.append(f"{case.lines('world')} {case.status()} {case.text('out0')} {case.text('out1')}")
eq("two resume at once: one does it, the other is told", set(codes), {(0, 2)})
check("two resume at once: each effect once", not doubled, "\n".join(doubled[:3]))
sound("two resume at once", case)

# -- four that hammer one file -----------------------------------------------------------------------------------------

case = make("""
local p = runbook { params = { who = { "string" } } }
local w = require "world"
local list = {}
for i = 1, 8 do
    list[i] = i
end
each(list, { limit = 4 }, function(i)
    print(("x"):rep(20000))
    w.put(p.who .. "-" .. i)
end)
""")
ROUNDS = 6
failures = []


def hammer(who):
    for n in range(ROUNDS):
        r = case.run(f"who={who}{n}")
        if r.returncode:
            failures.append(f"run {who}{n}: exit {r.returncode}: {r.stderr}")


def look(n):
    """Readers, and a copy that is made meanwhile."""
    copy = case.dir / f"copy{n}.db"
    for args in (["ls"], ["verify", "--all"], ["journal", "backup", copy], ["verify", "--all", "--journal", copy],
                 ["journal", "stats"]):
        r = case.rb(*args)
        if r.returncode:
            failures.append(f"{args}: exit {r.returncode}: {r.stdout}{r.stderr}")


ends("four: a first run", case.run("who=first"), 0)
threads = [threading.Thread(target=hammer, args=(who,)) for who in "abcd"]
threads += [threading.Thread(target=look, args=(n,)) for n in range(2)]
for t in threads:
    t.start()
for t in threads:
    t.join()
check("four processes: all succeed", not failures, "\n".join(failures[:3]))
eq("four processes: every run is there", len(case.ids()), 4 * ROUNDS + 1)
eq("four processes: and has succeeded", {case.status(run) for run in case.ids()}, {"succeeded"})
words = collections.Counter(case.lines("world"))
eq("four processes: every effect", len(words), 8 * (4 * ROUNDS + 1))
eq("four processes: once", set(words.values()), {1})
sound("four processes", case)
check("four processes: there were checkpoints", case.journal.stat().st_size > 500000, case.journal.stat())

# -- killed in the middle of it ----------------------------------------------------------------------------------------

POINTS = ("store.commit.before:4", "store.commit.after:3", "store.checkpoint.before:1", "store.begin.before:5")
victims = [
    case.start("run", "t.lua", f"who=v{n}", binary=RBHOST_FAULT, env={"RBHOST_FAULT": f"kill:{point}"})
    for n, point in enumerate(POINTS)
]
for p in victims:
    p.wait(60 * SLOW)
killed = [p.returncode for p in victims]
check("four are killed at their commits", killed.count(-9) >= 3, killed)
interrupted = [json.loads(line) for line in case.rb("ls", "--json", "--status", "open").stdout.splitlines()]
unfinished = {run for run in case.ids() if case.status(run) != "succeeded"}
eq("each is found at once", {row["id"] for row in interrupted}, unfinished)
check("some were in the middle", len(unfinished) >= 2, unfinished)
eq("and none has an owner", {row["owned"] for row in interrupted}, {False})
ends("the next run is not blocked", case.run("who=next"), 0)
for row in interrupted:
    ends(f"and it goes on: {row['id']}", case.rb("resume", row["id"]), 0)
words = collections.Counter(case.lines("world"))
eq("each effect once", {w: n for w, n in words.items() if n != 1}, {})
sound("killed in the middle", case)

finish()
