#!/usr/bin/env python3
"""Undo: armed when its step starts its first effect, last first, --skip, after the file is gone; a failed one keeps the rest."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, alive, ends, waits
from lib import SLOW, check, contains, eq, finish, lacks, wait_for

BOOK = """
local function say(t) exec.sh("echo " .. t .. " >> @DIR@/world") end
step("a", function() undo("undo a", function() say "-a" end) say "a" end)
step("b", function() undo("undo b", function() say "-b" end) say "b" end)
step("never armed", function() undo("undo nothing", function() say "-nothing" end) exec({ "true" }, { read = true }) end)
step("c", { undo = function() say "-c" end }, function() say "c" end)
fail("enough")
"""
c = Case(BOOK)
r = c.run()
ends("a run that fails with compensations armed", r, 1)
contains("says the command that undoes", r.stderr, f"undo {c.id}")
eq("off a terminal nothing is undone by itself", c.lines("world"), ["a", "b", "c"])
r = c.rb("show")
for t in ("undo a", "undo b"):
    contains(f"show lists {t}", r.stdout, t)
lacks("and not the one whose step started no effect", r.stdout.split("next")[0].split("undo b")[0], "undo nothing")
(c.dir / "t.lua").unlink()
r = c.rb("undo", c.id, "--yes")
ends("undo, after the file is gone", r, 0)
eq("last first, only what was armed", c.lines("world"), ["a", "b", "c", "-c", "-b", "-a"])
eq("its status", c.status(), "undone")
ends("the journal verifies", c.rb("verify"), 0)
r = c.rb("undo", c.id, "--yes")
check(
    "undoing twice is refused",
    r.returncode == 2 and c.lines("world") == ["a", "b", "c", "-c", "-b", "-a"],
    (r.returncode, r.stderr),
)

# a compensation that fails
FAILS = BOOK.replace('say "-b" end', 'exec.sh("test -e @DIR@/fixed && echo -b >> @DIR@/world") end')
c = Case(FAILS)
c.run()
r = c.rb("undo", c.id, "--yes")
ends("a compensation that fails", r, 1)
eq("keeps the rest", c.lines("world"), ["a", "b", "c", "-c"])
c.write("fixed", "")
r = c.rb("undo", c.id, "--yes")
ends("undo again, when it is mended", r, 0)
eq("goes on from there", c.lines("world"), ["a", "b", "c", "-c", "-b", "-a"])
c = Case(FAILS)
c.run()
ends("one that can not be mended", c.rb("undo", c.id, "--yes"), 1)
number = [e["n"] for e in c.events("undo") if e["title"] == "undo b"][0]
r = c.rb("undo", c.id, "--yes", "--skip", number)
check("--skip needs a reason", r.returncode == 2 and "reason" in r.stderr, (r.returncode, r.stderr))
r = c.rb("undo", c.id, "--yes", "--skip", 77, "--reason", "x")
check("--skip of a number that is none is refused", r.returncode == 2, (r.returncode, r.stderr))
ends(
    "--skip N --reason leaves it out",
    c.rb("undo", c.id, "--yes", "--skip", number, "--reason", "the host is gone"),
    0,
)
eq("and does the rest", c.lines("world"), ["a", "b", "c", "-c", "-a"])

# settled
c = Case(
    """
    local function say(t) exec.sh("echo " .. t .. " >> @DIR@/world") end
    step("a", function() undo("undo a", function() say "-a" end) say "a" end)
    settled()
    step("b", function() undo("undo b", function() say "-b" end) say "b" end)
    fail("x")
    """
)
c.run()
c.rb("undo", c.id, "--yes")
eq("settled() clears what was registered before", c.lines("world"), ["a", "b", "-b"])

# on_failure
for mode, world in (("undo", ["a", "b", "c", "-c", "-b", "-a"]), ("leave", ["a", "b", "c"])):
    c = Case(f'runbook {{ on_failure = "{mode}" }}\n' + BOOK)
    r = c.run()
    check(f"on_failure = {mode}: the run has failed", r.returncode == 1, (r.returncode, r.stderr))
    eq(f"on_failure = {mode}: what has happened", c.lines("world"), world)

# a cancelled run, a succeeded run
c = Case(
    'local function say(t) exec.sh("echo " .. t .. " >> @DIR@/world") end\nstep("a", function() undo("undo a", function() say "-a" end) say "a" end)\nsignal "go"',
)
c.run()
c.rb("cancel", c.id)
ends("undo after a cancel", c.rb("undo", c.id, "--yes"), 0)
eq("undoes", c.lines("world"), ["a", "-a"])
c = Case(
    'local function say(t) exec.sh("echo " .. t .. " >> @DIR@/world") end\nstep("a", function() undo("undo a", function() say "-a" end) say "a" end)',
)
c.run()
r = c.rb("undo", c.id, "--yes")
check(
    "undo of a run that succeeded: it undoes, or says why not",
    (r.returncode, c.lines("world")) in ((0, ["a", "-a"]), (2, ["a"])),
    (r.returncode, r.stderr, c.lines("world")),
)
c = Case('print "x"')
c.run()
r = c.rb("undo", c.id, "--yes")
check("undo where nothing is registered says so", r.returncode == 2 and "rbhost:" in r.stderr, (r.returncode, r.stderr))

c = Case("""
undo("first", function() end)
exec { "true" }
step("second", { undo = function() end }, function() exec { "true" } end)
step("third", { undo = function() end }, function() exec { "true" } end)
signal "go"
""")
c.run()
order = ["  3 third", "  2 second", "  1 first"]


def listed():
    text = c.rb("show").stdout.split("can be undone, the last one first\n")[1]
    return text.splitlines()[:3]


eq("what can be undone is listed the last one first, while the run waits", listed(), order)
c.rb("cancel", c.id)
eq("and when it has ended", listed(), order)

# a crash in the middle of an undo
c = Case(
    """
    local function say(t) exec.sh("echo " .. t .. " >> @DIR@/world") end
    local x = exec({ "echo", "kept" }).stdout:gsub("%s", "")
    step("a", function() undo("undo a", function() say("-a-" .. x) end) say "a" end)
    step("b", function() undo("undo b", function() say "-b1" exec.sh("echo $$ > @DIR@/pid; exec sleep 300", { on_doubt = "retry", title = "slow", survive = false }) say "-b2" end) say "b" end)
    fail("x")
    """.replace("exec sleep 300", "test -e @DIR@/second || { : > @DIR@/second; exec sleep 300; }")
)
c.run()
p = c.start("undo", c.id, "--yes")
wait_for("the compensation's command", lambda: c.text("pid").strip() and (c.dir / "second").exists())
p.kill()
p.wait()
subprocess.run(["kill", "-9", c.text("pid").strip()], check=False, stderr=subprocess.DEVNULL)
r = c.rb("resume", c.id)
eq(
    "killed in the middle of an undo, a resume goes on with it; the run itself has failed",
    (r.returncode, c.status()),
    (1, "undone"),
)
eq("each compensation's effects once, closures as they were", c.lines("world"), ["a", "b", "-b1", "-b2", "-a-kept"])
# undo of an undo that has stopped goes on with it
STOPS = """
local function say(t) exec.sh("echo " .. t .. " >> @DIR@/world") end
step("a", { undo = function() say "-a" end }, function() say "a" end)
step("b", { undo = function() say "-b1" signal "go" say "-b2" end }, function() say "b" end)
fail("x")
"""
c = Case(STOPS)
c.run()
ends("an undo that waits", c.rb("undo", c.id), 3)
r = c.rb("undo", c.id)
ends("undo again: it waits for the same", r, 3)
p = c.start("undo", c.id, "--wait")
wait_for("it to wait here", lambda: len(c.events("run.resume")) == 2)
p.send_signal(signal.SIGTERM)
p.wait(60 * SLOW)
eq("parked", c.status(), "parked")
r = c.rb("undo", c.id, "--skip", 2, "--reason", "x")
check("--skip in the middle of one says what can be done", r.returncode == 2 and f"undo {c.id}" in r.stderr and f"cancel {c.id}" in r.stderr, r.stderr)
p = c.start("undo", c.id, "--wait")
wait_for("it to wait here", lambda: len(c.events("run.resume")) == 3)
p.kill()
p.wait()
r = c.rb("retry", c.id)
check("retry is refused meanwhile", r.returncode == 2, (r.returncode, r.stderr))
ends("killed, too: undo goes on", c.rb("undo", c.id), 3)
c.rb("signal", c.id, "go")
ends("and ends as an undo does", c.rb("undo", c.id), 0)
eq("everything once", c.lines("world"), ["a", "b", "-b1", "-b2", "-a"])
eq("one undo", len(c.events("undo.start")), 1)
c = Case(STOPS)
c.run()
c.rb("undo", c.id)
ends("an undo that is cancelled", c.rb("cancel", c.id), 1)
ends("can leave out what it stood at", c.rb("undo", c.id, "--skip", 2, "--reason", "the host is gone"), 0)
eq("and does the rest", c.lines("world"), ["a", "b", "-b1", "-a"])
r = c.rb("show")
check("show has what was left out, and why", any("skip" in x and " b" in x and "the host is gone" in x for x in r.stdout.splitlines()), r.stdout)
contains("log, too", c.rb("log").stdout, "without compensation 2 by ")
contains("with the reason", c.rb("log").stdout, "the host is gone")
contains("and --json", c.rb("show", "--json").stdout, '"state":"skip","title":"b","error":"the host is gone"')

for bad in ('undo()' 'undo("t")', 'undo(5, print)', 'undo("t", 5)'):
    r = Case(bad).run()
    check(f"{bad}: an error of the author", r.returncode == 1 and "t.lua:1: undo" in r.stderr, (r.returncode, r.stderr))
finish()
