#!/usr/bin/env python3
"""What a person decides, from another process: approve, deny, answer, signal; exit codes 3 and 4; what is bound to a gate."""
import json
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, prints, waits
from lib import SLOW, check, contains, eq, finish, lacks

# -- approve

GATE = 'exec.sh("echo before >> @DIR@/world")\nlocal r = approve { "Go on?" }\nprint(r.decision, r.by, r.comment)\nexec.sh("echo after >> @DIR@/world")'
c = Case(GATE)
r = c.run()
ends("off a terminal a run that waits for a person ends with 3", r, 3)
eq("its status", c.status(), "waiting")
n = c.events("wait")[0]["seq"]
contains("the message has the exact command that goes on", r.stderr, f"approve {c.id} {n}")
r = c.rb()
ends("bare rbhost", r, 0)
contains("shows what waits", r.stdout, "Go on?")
contains("and the command", r.stdout, f"approve {c.id}")
r = c.rb("approve", c.id, "-m", "looks good")
ends("approve, while nobody owns the run", r, 0)
contains("says the command that goes on", r.stdout + r.stderr, f"resume {c.id}")
eq("and does not go on itself", c.lines("world"), ["before"])
ends("resume goes on", c.rb("resume"), 0)
check(
    "with the decision, who and the comment",
    c.prints()[0].split("\t")[0] == "approve" or "approv" in c.prints()[0],
    c.prints(),
)
contains("the comment came through", c.prints()[0], "looks good")
eq("each effect has happened once", c.lines("world"), ["before", "after"])
check(
    "the decision has its actor in the journal",
    any(e.get("actor") for e in c.events("result") if e["op"] == "approve"),
    c.events("result"),
)
r = c.rb("approve", c.id)
check("approving again is refused and says why", r.returncode == 2 and "rbhost:" in r.stderr, (r.returncode, r.stderr))
eq("a finished run is as it was", c.status(), "succeeded")

c = Case(GATE)
c.run()
r = c.rb("deny", c.id, "-m", "not on a Friday", "--resume")
ends("deny ends the run with 4", r, 4)
eq("denied", c.status(), "denied")
contains("with the comment", r.stderr + r.stdout, "not on a Friday")
eq("what comes after has not happened", c.lines("world"), ["before"])
c = Case('local ok, e = pcall(approve, "Go on?")\nprint(ok, e.kind, (tostring(e):find("\\n")))')
c.run()
ends("a denial can be caught", c.rb("deny", c.id, "--resume"), 0)
eq("it is an error of kind denied", c.prints(), ["false\tdenied\tnil"])

c = Case('approve { "Go on?", timeout = "30ms" }')
r = c.run("--wait")
check(
    "a gate whose time is over",
    r.returncode in (1, 124) and "timeout" in json.dumps(c.events("run.end")),
    (r.returncode, r.stderr),
)
prints(
    "on_timeout = deny counts as no",
    'local ok, e = pcall(approve, { "Go?", timeout = "20ms", on_timeout = "deny" }) print(e.kind)',
    ["denied"],
    0,
    "--wait",
)
prints(
    "on_timeout = continue goes on",
    'print(approve({ "Go?", timeout = "20ms", on_timeout = "continue" }).decision)',
    ["timeout"],
    0,
    "--wait",
)
r = Case('approve { "Go?", timeout = "20ms", on_timeout = "perhaps" }').run("--wait")
check("another on_timeout is an error of the author", r.returncode == 1 and "on_timeout" in r.stderr, r.stderr)
for bad in ("approve()", "approve(5)", "approve {}", 'approve { "x", byy = "y" }', "manual()", 'manual("x", { typ = "string" })', "signal()", 'signal("x", { timeou = 1 })'):
    r = Case(bad).run()
    check(f"{bad}: an error of the author", r.returncode == 1 and "t.lua:1: " in r.stderr, (r.returncode, r.stderr))

c = Case('approve { "Go on?", by = "nobody-of-this-name" }\nprint "on"')
c.run()
r = c.rb("approve", c.id)
ends("approving a gate that names somebody else", r, 4)
eq("it stays closed", c.status(), "waiting")
r = c.rb("approve", c.id, "--actor", "nobody-of-this-name")
ends("a claimed name opens no gate", r, 4)
r = c.rb("run", "t.lua", "--yes")
ends("nor does --yes", r, 3)
c = Case('approve { "Go on?", not_requester = true }')
c.run()
r = c.rb("approve", c.id)
ends("whoever started the run can not approve where not_requester is said", r, 4)
me = __import__("pwd").getpwuid(os.getuid()).pw_name
c = Case('print(approve({ "Go on?", by = { "a", "' + me + '" } }).by)')
c.run()
ends("whoever is named can", c.rb("approve", c.id, "--resume"), 0)
eq("and is named", c.prints(), [me])
c = Case('approve { "Go on?", by = "" }')
c.run()
ends("an empty by means nobody", c.rb("approve", c.id), 4)

# two gates at once: the operation must be named
c = Case(
    'local r = all { a = function() return approve("A?").decision end, b = function() return approve("B?").decision end }\nprint(r.a, r.b)',
)
ends("two gates at once", c.run(), 3)
first, second = [e["seq"] for e in c.events("wait")]
r = c.rb("approve", c.id)
check(
    "which one must be said",
    r.returncode == 2 and str(first) in r.stderr and str(second) in r.stderr,
    (r.returncode, r.stderr),
)
r = c.rb("approve", c.id, 9999)
check("a number that is no gate is refused", r.returncode == 2 and "9999" in r.stderr, (r.returncode, r.stderr))
ends("one after the other", c.rb("approve", c.id, second), 0)
ends("and the other", c.rb("approve", c.id, first, "--resume"), 0)
eq("both have come", len(c.prints()), 1)

# what is bound to a gate
c = Case(
    """
    local file = exec({ "cat", "@DIR@/plan" }, { read = true, title = "plan" }).stdout
    approve { "Do it?", binds = function() return exec({ "cat", "@DIR@/plan" }, { read = true }).stdout end }
    exec.sh("echo did >> @DIR@/world")
    """
)
c.write("plan", "one")
ends("a gate with binds", c.run(), 3)
c.write("plan", "two")
ends("what it binds has changed before the release: closed again", c.rb("approve", c.id, "--resume"), 3)
eq("nothing was done", c.lines("world"), [])
ends("approved anew, as it is now", c.rb("approve", c.id, "--resume"), 0)
eq("done once", c.lines("world"), ["did"])

# -- while a process owns the run

c = Case(GATE)
p = c.start("run", "t.lua", "--wait")
waits(c)
r = c.rb("approve", c.id)
ends("approve while another process runs it", r, 0)
eq("that process goes on and ends well", p.wait(60 * SLOW), 0)
eq("each effect once", c.lines("world"), ["before", "after"])

# -- manual

c = Case('print(manual("Plug the cable in"))')
ends("manual waits", c.run(), 3)
r = c.rb("answer", c.id, "done", "-m", "it is in", "--resume")
ends("answered done", r, 0)
eq("gives the comment", c.prints(), ["it is in"])
c = Case('local ok, e = pcall(manual, "Look at it") print(ok, e.kind, e.message)')
c.run()
ends("answered failed", c.rb("answer", c.id, "failed", "-m", "it smokes", "--resume"), 0)
check(
    "is an error with the comment",
    c.prints()[0].startswith("false\tmanual.failed") and "it smokes" in c.prints()[0],
    c.prints(),
)
for kind, good, want, bad in (
    ("string", "hello", "hello", None),
    ("integer", "42", "42", "4.5"),
    ("number", "4.5", "4.5", "many"),
    ("boolean", "true", "true", "perhaps"),
):
    c = Case(f'local v = manual("How many?", {{ type = "{kind}" }}) print(v, math.type(v))')
    c.run()
    if bad:
        r = c.rb("answer", c.id, "--value", bad)
        check(
            f"manual of type {kind}: {bad} is refused, with what is expected",
            r.returncode == 2 and kind in r.stderr,
            (r.returncode, r.stderr),
        )
    r = c.rb("answer", c.id)
    check(f"manual of type {kind}: done without a value is refused", r.returncode == 2, (r.returncode, r.stderr))
    ends(f"manual of type {kind}", c.rb("answer", c.id, "--value", good, "--resume"), 0)
    eq(f"gives the value of type {kind}", c.prints()[0].split("\t")[0], want)
c = Case('print(manual("Which?", { choices = { "blue", "green" } }))')
c.run()
r = c.rb("answer", c.id, "--value", "red")
check(
    "a choice that is none is refused, with the choices",
    r.returncode == 2 and "blue" in r.stderr and "green" in r.stderr,
    (r.returncode, r.stderr),
)
ends("a choice", c.rb("answer", c.id, "--value", "green", "--resume"), 0)
eq("comes back", c.prints(), ["green"])
c = Case('approve "Go?"')
c.run()
r = c.rb("answer", c.id, "done")
check("answer does not open an approval", r.returncode == 2 and "approve" in r.stderr, (r.returncode, r.stderr))

# -- signal

c = Case('local v = signal "deployed" print(v.build, math.type(v.build)) print(signal "second")')
ends("a signal is waited for", c.run(), 3)
ends("another name does not count", c.rb("signal", c.id, "depolyed", "1", "--resume"), 3)
ends("one that comes before it is asked for is kept", c.rb("signal", c.id, "second", "just text"), 0)
ends("the right one", c.rb("signal", c.id, "deployed", '{"build": 42}', "--resume"), 0)
eq("with its value, as JSON or as text", c.prints(), ["42\tinteger", "just text"])
prints(
    "a signal's time is bounded",
    'local ok, e = pcall(signal, "x", { timeout = "20ms" }) print(ok, e.kind)',
    ["false\ttimeout"],
    0,
    "--wait",
)
c = Case('local v = {} for i = 1, 3 do v[i] = signal "s" end print(table.concat(v, " "))')
c.run()
for v in "abc":
    c.rb("signal", c.id, "s", v)
ends("signals of one name come one by one, in their order", c.rb("resume"), 0)
eq("a b c", c.prints(), ["a b c"])
r = c.rb("signal", c.id, "s")
check("a signal to a run that has ended is refused", r.returncode == 2, (r.returncode, r.stderr))
r = c.rb("signal", "no-such-run", "s")
check("and to one that is not there", r.returncode == 2 and "no-such-run" in r.stderr, (r.returncode, r.stderr))

# -- --wait with a time

c = Case('signal "never"')
ends("--wait=TIME ends with 3 when it is over", c.run("--wait=200ms"), 3)
eq("and the run waits on", c.status(), "waiting")
c = Case('sleep("50ms") print "slept"')
ends("a sleep is no wait for a person: the run stays", c.run(), 0)
finish()
