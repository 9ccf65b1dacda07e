#!/usr/bin/env python3
"""restart_with: the run ends and its successor goes on with new parameters, once, also across a kill."""
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, waits
from lib import SLOW, check, contains, eq, finish, wait_for

c = Case(
    """
    local p = runbook { params = { n = { "integer", default = 1 }, keep = { "string", default = "k" } } }
    exec.sh("echo " .. p.n .. p.keep .. " >> @DIR@/world")
    if p.n < 4 then restart_with { n = p.n + 1, keep = p.keep } end
    print("end at " .. p.n)
    """
)
r = c.run("keep=x")
ends("a runbook that restarts itself three times", r, 0)
eq("ran four times, with the parameters it gave", c.lines("world"), ["1x", "2x", "3x", "4x"])
eq("each time a run of its own", len(c.ids()), 4)
eq("all have succeeded", [c.status(i) for i in c.ids()], ["succeeded"] * 4)
eq("the last one went to its end", c.prints(), ["end at 4"])
ends("the journal verifies", c.rb("verify"), 0)
start = c.events("run.start")[0]
check("a successor names whom it follows", any(c.ids()[2] in str(v) for v in start.values()), start)

for what, text, says in (
    ("an unknown parameter", 'runbook { params = {} } restart_with { m = 1 }', "m"),
    ("a wrong type", 'runbook { params = { n = { "integer" } } } restart_with { n = "x" }', "n"),
    ("what is not plain data", 'runbook { params = { n = { "integer" } } } restart_with { n = print }', ""),
    ("no table", "restart_with(5)", "restart_with"),
):
    c = Case(text)
    r = c.run()
    check(
        f"restart_with {what}: the run fails, and there is no successor",
        r.returncode in (1, 2) and says in r.stderr and len(c.ids()) == 1,
        (r.returncode, r.stderr, c.ids()),
    )
c = Case(
    """
    local p = runbook { params = { n = { "integer", default = 1 } } }
    if p.n == 1 then
      step("s", { retry = { times = 3 } }, function() all { function() restart_with { n = 2 } end, function() sleep("1h") end } end)
      exec.sh("echo never >> @DIR@/world")
    end
    exec.sh("echo second >> @DIR@/world")
    """
)
r = c.run()
eq(
    "restart_with inside steps, retries and tasks restarts all the same",
    (r.returncode, c.lines("world")),
    (0, ["second"]),
)
c = Case(
    """
    local p = runbook { params = { n = { "integer", default = 1 } } }
    if p.n == 1 then exec.sh("echo one >> @DIR@/world") restart_with { n = 2 } end
    signal "go"
    exec.sh("echo two >> @DIR@/world")
    """
)
p = c.start("run", "t.lua", "--wait")
wait_for("the successor", lambda: len(c.ids()) == 2 and c.events("wait"))
p.kill()
p.wait()
ends("a successor is resumed like any run", c.rb("signal", c.id, "go", "--resume"), 0)
eq("nothing twice", c.lines("world"), ["one", "two"])
eq("there are two runs", len(c.ids()), 2)
(c.dir / "world").unlink()
ends("with --key", c.run("--key", "k"), 3)
n = len(c.ids())
c.run("--key", "k")
eq("the same key starts no third", len(c.ids()), n)
finish()
