#!/usr/bin/env python3
"""The header's notify: whoever it names is told when the run waits, is in doubt, fails, is parked or ends, with the
command that goes on; once, however often the run is killed or resumed; and never at the run's cost."""
import os
import re
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends, park, told, waits, with_channels
from lib import check, contains, eq, finish, lacks, start, wait_for

ALL = """runbook { title = "Ship it", notify = { waiting = "ops", in_doubt = "ops", failed = { "ops", "mail" }, parked = "ops",
  succeeded = "ops", denied = "ops", cancelled = "ops" } }
"""
OPS = 'ops = { type = "file", path = "@DIR@/told" }, mail = { type = "file", path = "@DIR@/mail" },'


def case(text, channels=OPS, rest=""):
    return with_channels(channels, text, rest)


def states(c):
    return [(e["for"], e["channel"], e["ok"]) for e in c.events("notice")]


def command(text, verb):
    """The command in a message, as somebody would paste it."""
    lines = [line.strip() for line in text.splitlines() if re.search(rf"\brbhost\b.* {verb} ", line)]
    return lines[0] if lines else ""


def paste(c, line):
    words = line.split()
    return c.rb(*words[1:])


# -- a gate, answered by the command in the message

c = case(ALL + 'approve { "Promote v2?", by = "root" }\nmanual("plug it in")\n')
r = c.run()
ends("a run that waits, off a terminal", r, 3)
one = told(c)[-1]
eq("somebody was told", (len(told(c)), one["title"], one["severity"], one["environment"]), (1, "Ship it waits for an answer", "warning", "lab"))
contains("what it waits for", one["text"], "approve: Promote v2?")
contains("who may answer", one["text"], "for root")
eq("it is journaled", states(c), [("waiting", "ops", True)])
r = c.rb("resume", c.id)
ends("a resume without an answer", r, 3)
eq("does not tell it again", len(told(c)), 1)
r = paste(c, command(one["text"], "approve"))
ends("the command of the message goes on", r, 3)
eq("to the next question, which is told, too", len(told(c)), 2)
contains("with its command", told(c)[1]["text"], f"answer {c.id}")
r = paste(c, command(told(c)[1]["text"], "answer"))
ends("and to the end", r, 0)
eq("the end is told", (told(c)[2]["title"], told(c)[2]["action"]), ("Ship it succeeded", "resolve"))
check("before it is written: run.end is the last event", c.events()[-1]["kind"] == "run.end" and c.events()[-2]["kind"] == "notice",
      [e["kind"] for e in c.events()][-3:])
eq("each once", states(c), [("waiting", "ops", True), ("waiting", "ops", True), ("succeeded", "ops", True)])
eq("no two of them have one id", len({m["id"] for m in told(c)}), 3)
eq("the journal is sound", c.rb("verify").returncode, 0)
r = c.rb("log", c.id)
contains("the log says who was told", r.stdout, "told      ops: waiting")

# -- the other ends

c = case(ALL + 'if exec({ "test", "-e", "@DIR@/fixed" }, { read = true, check = false }).code == 1 then fail("the disk is full") end')
ends("a run that fails", c.run(), 1)
one = told(c)[-1]
contains("says why", one["text"], "t.lua:3: the disk is full")
eq("to both", (one["title"], one["severity"], told(c, "mail")[0]["id"]), ("Ship it failed", "error", one["id"]))
(c.dir / "fixed").touch()
contains("and names the retry", command(one["text"], "retry"), f"retry {c.id}")
c.write("t.lua", c.text("t.lua"))
r = c.rb("retry", c.id)
c2 = case(ALL + 'exec({ "test", "-e", "@DIR@/fixed" })')
ends("another that fails", c2.run(), 1)
r = paste(c2, command(told(c2)[-1]["text"], "retry"))
ends("a retry that fails again", r, 1)
eq("is told again: it is another failure", (len(told(c2)), len({m["id"] for m in told(c2)})), (2, 2))
eq("about the same run", len({m["dedup"] for m in told(c2)}), 1)
(c2.dir / "fixed").touch()
ends("a retry that succeeds", c2.rb("retry", c2.id), 0)
eq("resolves it", (told(c2)[-1]["action"], told(c2)[-1]["dedup"]), ("resolve", c2.id))

c = case(ALL + 'approve { "Go?" }')
c.run()
ends("a gate that is denied", c.rb("deny", c.id, "--resume"), 4)
eq("is told", told(c)[-1]["title"], "Ship it was denied")
c = case(ALL + 'approve { "Go?" }')
c.run()
c.rb("cancel", c.id)
eq("so is a cancel", told(c)[-1]["title"], "Ship it was cancelled")
c = case('runbook { timeout = "200ms", notify = { failed = "ops" } }\nsleep("1h")')
ends("a run whose time is over", c.run(), 124)
eq("has failed for whoever is told", told(c)[-1]["title"], "t failed")
c = case('runbook { on_failure = "undo", notify = { failed = "ops" } }\nstep("s", function() undo("u", function() exec({ "true" }) end) exec({ "true" }) end)\nfail "x"')
ends("a run that is undone at once", c.run(), 1)
eq("has failed, once", [m["title"] for m in told(c)], ["t failed"])
c = case('runbook { notify = { failed = "ops" } }\nwhile true do end', rest='limits = { slice_max = "200ms" },')
ends("a run that computes for ever", c.run(), 1)
contains("is told of without its Lua state", told(c)[-1]["text"], "computed for more than")

c = case(ALL + 'sleep("1h")')
p = c.start("run", "t.lua")
waits(c)
code = park(c, p)
eq("a run that is parked", code, 143)
one = told(c)[-1]
eq("is told", one["title"], "Ship it was parked")
contains("why, and how it goes on", one["text"], "terminated")
contains("with the command", command(one["text"], "resume"), f"resume {c.id}")
eq("after the park was written", [e["kind"] for e in c.events()][-2:], ["run.park", "notice"])

c = case(ALL + 'exec({ "sh", "-c", "kill -9 $PPID" }, { survive = false })')
c.run()
ends("a run in doubt", c.rb("resume", c.id), 6)
one = told(c)[-1]
eq("is told", (one["title"], one["severity"]), ("Ship it is in doubt", "error"))
contains("of what", one["text"], "did it happen?")
ends("and how it is settled", paste(c, command(one["text"], "resolve")), 0)

# -- not at the run's cost

c = case(ALL + 'print("hi")', channels='ops = { type = "exec", command = { "sh", "-c", "echo no pigeon; exit 1" } }, mail = { type = "terminal" },')
r = c.run()
ends("a channel that fails does not fail the run", r, 0)
contains("it is a warning", r.stderr, "warning: nobody was told by channel ops that the run succeeded: channel ops: its command exited with 1: no pigeon")
eq("and an event", [(e["ok"], e["error"]) for e in c.events("notice")], [(False, "channel ops: its command exited with 1: no pigeon")])
c = case(ALL + 'print("hi")', channels='ops = { type = "exec", command = { "sleep", "1000" } }, mail = { type = "terminal" },')
p = c.start("run", "t.lua")
wait_for("the run to be told of", lambda: c.prints())
wait_for("its channel to hang", lambda: any("sleep\x001000" in open(f"/proc/{x}/cmdline").read() for x in os.listdir("/proc")
                                            if x.isdigit() and os.path.exists(f"/proc/{x}/cmdline")))
p.send_signal(signal.SIGTERM)
eq("a signal ends the waiting for a channel that hangs", p.wait(60), 0)
eq("the run ends as it would have", (c.status(), states(c)), ("succeeded", [("succeeded", "ops", False)]))
c = case(ALL + 'print("hi")')
ends("a dry run", c.run("--dry"), 0)
eq("tells nobody", told(c), [])
c = case('runbook { notify = { failed = "opps" } }')
r = c.run()
ends("a channel that is not there", r, 2)
contains("is found before the run begins", r.stderr, "the header's notify.failed: there is no channel opps in the configuration; did you mean ops?")
eq("there is no run", c.ids(), [])
r = c.rb("check", "t.lua")
contains("rbhost check says so, too", r.stdout + r.stderr, "there is no channel opps")

# -- while somebody drives it

c = case(ALL + 'all { function() approve { "Go?" } end, function() sleep("1h") end }')
p = c.start("run", "t.lua")
wait_for("the gate to be told of while another task is at work", lambda: told(c))
contains("the command that answers it is for a run that is driven", told(c)[0]["text"], f"approve {c.id}")
lacks("so it does not resume", told(c)[0]["text"], "--resume")
paste(c, command(told(c)[0]["text"], "approve"))
waits(c, "result")
p.kill()
p.wait()

# -- killed at each point around the notice: told at least once, and each time under one id

for point in ("notify.before-send", "notify.after-send", "notice.before-record", "notice.after-record", "run.before-end"):
    c = case(ALL + 'print("hi")')
    r = c.run(binary=os.environ["RBHOST_FAULT_BIN"], env={"RBHOST_FAULT": f"kill:{point}:1"})
    eq(f"killed at {point}", r.returncode, -9)
    ends(f"{point}: the resume ends it", c.rb("resume", c.id), 0)
    check(f"{point}: it was told, and each time under the same id", 1 <= len(told(c)) <= 2 and len({m["id"] for m in told(c)}) == 1, told(c))
    eq(f"{point}: it is recorded once", states(c), [("succeeded", "ops", True)])

finish()
