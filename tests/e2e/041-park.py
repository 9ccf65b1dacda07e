#!/usr/bin/env python3
"""Parked, cancelled, paused: signals and closed outputs park a run, which is dropped as in a crash and goes on by resume;
only cancel cancels."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, alive, ends, park, waits
from lib import RBHOST, SLOW, check, contains, eq, finish, lacks, start, wait_for

BOOK = """
local closed <close> = setmetatable({}, { __close = function() exec.sh("echo closed >> @DIR@/world") end })
exec.sh("echo one >> @DIR@/world")
print "first"
signal "go"
exec.sh("echo two >> @DIR@/world")
print "second"
"""
for name, code in (("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)):
    c = Case(BOOK)
    p = c.start("run", "t.lua", "--wait")
    waits(c)
    eq(f"{name} parks the run: exit code", park(c, p, getattr(signal, name)), code)
    eq(f"{name}: its status", c.status(), "parked")
    contains(f"{name}: it says the command that goes on", c.text("host.out"), f"resume {c.id}")
    eq(f"{name}: dropped without unwinding", c.lines("world"), ["one"])
    ends(f"{name}: resumed, it ends", c.rb("signal", c.id, "go", "--resume"), 0)
    eq(f"{name}: nothing twice, nothing lost", c.lines("world"), ["one", "two", "closed"])
    eq(f"{name}: each line printed once", c.prints(), ["first", "second"])
    ends(f"{name}: the journal verifies", c.rb("verify"), 0)

# closed stdout
c = Case(
    'exec.sh("echo one >> @DIR@/world")\nfor i = 1, 2000 do print(("x"):rep(500)) end\nsignal "go"\nexec.sh("echo two >> @DIR@/world")',
)
read, write = os.pipe()
with open(c.dir / "err", "wb") as err:
    p = start([RBHOST, "run", "t.lua", "--wait"], stdout=write, stderr=err, env=c.env, cwd=c.dir)
os.close(write)
os.read(read, 100)
os.close(read)
eq("a closed stdout parks the run: exit code", p.wait(60 * SLOW), 141)
eq("parked", c.status(), "parked")
ends("and it is resumed", c.rb("signal", c.id, "go", "--resume"), 0)
eq("each effect once", c.lines("world"), ["one", "two"])

# a command that runs while the run is parked
c = Case(
    'exec.sh("echo $$ > @DIR@/pid; while ! test -e @DIR@/stop; do sleep 0.02; done; echo done >> @DIR@/world")\nexec.sh("echo next >> @DIR@/world")',
)
p = c.start("run", "t.lua")
wait_for("the command", lambda: c.text("pid").strip())
p.send_signal(signal.SIGTERM)
wait_for("it says that it parks", lambda: "parking" in c.text("host.out"))
c.write("stop", "")
eq("what runs may end: exit code", p.wait(60 * SLOW), 143)
eq("its outcome is recorded", [e["ok"] for e in c.events("result")], [True])
eq("no new operation has started", c.lines("world"), ["done"])
ends("the resume goes on with the next", c.rb("resume"), 0)
eq("each once", c.lines("world"), ["done", "next"])

# a second signal
c = Case('exec.sh("echo $$ > @DIR@/pid; echo x >> @DIR@/world; exec sleep 300", { survive = false })')
p = c.start("run", "t.lua")
wait_for("the command", lambda: c.lines("world"))
p.send_signal(signal.SIGINT)
wait_for("it says that it parks", lambda: "parking" in c.text("host.out"))
p.send_signal(signal.SIGINT)
eq("a second signal stops at once", p.wait(60 * SLOW), 130)
r = c.rb("resume")
ends("then the command is in doubt", r, 6)
contains("and the message has the command that settles it", r.stderr, "resolve")
eq("it was not started again", c.lines("world"), ["x"])
subprocess.run(["kill", "-9", c.text("pid").strip()], check=False, stderr=subprocess.DEVNULL)

# SIGKILL while it waits
c = Case(BOOK)
p = c.start("run", "t.lua", "--wait")
waits(c)
p.kill()
p.wait()
r = c.rb("ls")
contains("a run whose process was killed while it waited still shows what it waits for", r.stdout, "signal go")
contains("bare rbhost names it", c.rb().stdout, c.id)
ends("and is resumed", c.rb("signal", c.id, "go", "--resume"), 0)
eq("as if nothing had happened", (c.lines("world"), c.prints()), (["one", "two", "closed"], ["first", "second"]))

# pause
c = Case(BOOK)
p = c.start("run", "t.lua", "--wait")
waits(c)
ends("pause from another process", c.rb("pause", c.id, "--reason", "lunch"), 0)
code = p.wait(60 * SLOW)
check("the owner ends as on a signal", code in (130, 143), (code, c.text("host.out")))
eq("the run is parked", c.status(), "parked")
ends("and goes on", c.rb("signal", c.id, "go", "--resume"), 0)
eq("each effect once", c.lines("world"), ["one", "two", "closed"])

# -- two processes and one run

c = Case(BOOK)
p = c.start("run", "t.lua", "--wait")
waits(c)
r = c.rb("resume", c.id)
check(
    "resume while another process runs it is refused and names that process",
    r.returncode == 2 and str(p.pid) in r.stderr,
    (r.returncode, r.stderr, p.pid),
)
contains("and says what helps", r.stderr, "attach")
eq("the other one goes on", (c.rb("signal", c.id, "go").returncode, p.wait(60 * SLOW)), (0, 0))
eq("each effect once", c.lines("world"), ["one", "two", "closed"])
r = c.rb("resume", c.id)
check("resume of a finished run says so", r.returncode == 2 and "succeeded" in r.stderr, (r.returncode, r.stderr))
r = c.rb("resume")
check(
    "resume without a name where nothing can go on says so",
    r.returncode in (0, 2) and r.stderr + r.stdout != "",
    (r.returncode, r.stderr),
)

# -- cancel

c = Case(BOOK)
p = c.start("run", "t.lua", "--wait")
waits(c)
r = c.rb("cancel", c.id, "--reason", "wrong version")
ends("cancel from another process", r, 0)
eq("the owner ends with 1", p.wait(60 * SLOW), 1)
eq("cancelled", c.status(), "cancelled")
eq("<close> has run, the rest has not", c.lines("world"), ["one", "closed"])
check(
    "the journal has who and why",
    [(bool(e["actor"]), e["reason"]) for e in c.events("cancel")] == [(True, "wrong version")],
    c.events("cancel"),
)
for verb in ("resume", "cancel"):
    r = c.rb(verb, c.id)
    check(f"{verb} of a cancelled run is refused", r.returncode == 2, (verb, r.returncode, r.stderr))

c = Case(BOOK)
c.run()
r = c.rb("cancel", c.id)
check(
    "cancel of a run without an owner cancels it here",
    c.status() == "cancelled" and r.returncode in (0, 1),
    (r.returncode, r.stderr, c.status()),
)
eq("<close> has run", c.lines("world"), ["one", "closed"])
c = Case(BOOK)
c.run()
ends("cancel --no-resume only records the wish", c.rb("cancel", c.id, "--no-resume"), 0)
eq("nothing has run yet", c.lines("world"), ["one"])
ends("the next resume cancels", c.rb("resume", c.id), 1)
eq("and closes", (c.status(), c.lines("world")), ("cancelled", ["one", "closed"]))

c = Case(
    'local ok, e = pcall(exec.sh, "echo $$ > @DIR@/pid; exec sleep 300")\nlocal ok2, e2 = pcall(exec.sh, "echo never >> @DIR@/world")\nexec.sh("echo never either >> @DIR@/world")',
)
p = c.start("run", "t.lua")
wait_for("the command", lambda: c.text("pid").strip())
ends("cancel while a command runs", c.rb("cancel", c.id), 0)
eq("the run ends with 1", p.wait(60 * SLOW), 1)
eq("cancelled, though the script catches errors", c.status(), "cancelled")
check("the command was stopped", not alive(c.text("pid").strip()), c.text("pid"))
eq("and nothing was started after it", c.lines("world"), [])
eq("the stop is in the journal", [e["why"] for e in c.events("op.stop")], ["cancelled"])

# -- attach, detach

c = Case(BOOK)
r = c.rb("run", "t.lua", "--detach", "--wait")
ends("--detach", r, 0)
rid = r.stdout.strip().split()[-1]
eq("prints the run's id", rid, c.id)
waits(c)
check("and something owns it", c.sql("SELECT owner FROM runs")[0][0] != "", c.sql("SELECT owner FROM runs"))
a = c.start("attach", rid, out="attach.out")
wait_for("attach shows the run", lambda: "first" in c.text("attach.out"))
ends("a signal to it", c.rb("signal", rid, "go"), 0)
eq("attach ends with the run's exit code", a.wait(60 * SLOW), 0)
contains("and has shown the rest", c.text("attach.out"), "second")
eq("each effect once", c.lines("world"), ["one", "two", "closed"])
c = Case(BOOK)
p = c.start("run", "t.lua", "--wait")
waits(c)
a = c.start("attach", c.id, out="attach.out")
wait_for("attach shows the run", lambda: "first" in c.text("attach.out"))
a.send_signal(signal.SIGINT)
a.wait(60 * SLOW)
eq("leaving attach leaves the run alone", (p.poll(), c.status()), (None, "waiting"))
c.rb("signal", c.id, "go")
eq("which goes on", p.wait(60 * SLOW), 0)
finish()
