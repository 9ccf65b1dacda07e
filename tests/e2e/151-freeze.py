#!/usr/bin/env python3
"""Freeze windows: what does not start in one, who may start it all the same, what the journal keeps of that; destructive
runbooks off a terminal."""

import json
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import TMP, check, contains, eq, finish, lacks, rbhost  # noqa: E402

os.chdir(TMP)


def write(name, text):
    pathlib.Path(name).write_text(text)
    os.chmod(name, 0o644)
    return name


def run_of(r):
    m = re.search(r"run +([0-9a-z]+-[0-9a-z]+) ", r.stdout)
    return m[1] if m else "(no run)"


def event(run, kind):
    found = [json.loads(line) for line in rbhost("log", run, "--json").stdout.splitlines()]
    found = [e for e in found if e.get("kind") == kind]
    return found[-1]["data"] if found else {}


def day(offset):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset * 86400))


OPEN = write("open.lua", "return {}")
FROZEN = write("frozen.lua", f"""return {{
  environment = "prod",
  policy = {{ freeze = {{
    {{ from = "{day(-2)}", to = "{day(-1)}", reason = "over" }},
    {{ from = "{day(-1)}", to = "{day(1)}", reason = "end of year", runbooks = {{ "promote*" }} }},
  }} }},
}}""")

book = write("promote.lua", """runbook { params = { want = { "string", required = true } } }
undo("take back", function() exec { "touch", "undone" } end)
exec { "touch", "done" }
approve { "on?" }
exec { "false" }""")
os.environ["RBHOST_CONFIG"] = FROZEN

# -- nothing starts -----------------------------------------------------------------------------------------------------
r = rbhost("run", book, "want=a")
eq("frozen: exit 4", r.returncode, 4)
contains("frozen: which, until when, why, which line, what to do", r.stderr, "promote is frozen until ")
contains("frozen: the window", r.stderr, ": end of year (policy.freeze, frozen.lua:5); nothing was started. "
         "If it may not wait: --override-freeze REASON")
check("nothing was done", not pathlib.Path("done").exists())
eq("no run was made", rbhost("ls").stdout.count("promote"), 0)
contains("describe says so", rbhost("describe", book).stdout, "frozen      until ")
r = rbhost("run", "--dry", book, "want=a")
contains("a dry run starts nothing, so it may", r.stdout, "started as a dry run")
r = rbhost("run", write("other.lua", 'print "other"'))
eq("other runbooks are not meant", r.returncode, 0)
r = rbhost("run", book, "want=a", "--override-freeze", "")
eq("a reason that is none", r.returncode, 2)
r = rbhost("run", book, "want=a", "--detach")
eq("nor in the background", r.returncode, 4)

# -- somebody says why --------------------------------------------------------------------------------------------------
r = rbhost("run", book, "want=a", "--override-freeze", "the site is down")
eq("overridden: it runs", (r.returncode, pathlib.Path("done").exists()), (3, True))
contains("and says so", r.stdout, "the freeze was overridden: the site is down")
run = run_of(r)
start = event(run, "run.start")
eq("the journal has the reason, the window and the actor",
   (start["freeze_override"]["reason"], start["freeze_override"]["window"], start["actor"]["name"] != ""),
   ("the site is down", "end of year", True))
eq("and the site's label", start["environment"], "prod")
contains("show says it", rbhost("show", run).stdout, "freeze     the site is down")
contains("show says where", rbhost("show", run).stdout, "site       prod")

# -- going on is starting, too ------------------------------------------------------------------------------------------
r = rbhost("resume", run)
eq("resume: exit 4", r.returncode, 4)
r = rbhost("approve", run, "--resume")
eq("approve --resume: exit 4", r.returncode, 4)
contains("the decision is kept all the same", rbhost("show", run).stdout, "decided")
r = rbhost("resume", run, "--override-freeze", "half done is worse")
eq("resume, overridden: the run fails as it would", r.returncode, 1)
eq("recorded with the resume", event(run, "run.resume")["freeze_override"]["reason"], "half done is worse")
eq("retry: exit 4", rbhost("retry", run).returncode, 4)
eq("undo: exit 4", rbhost("undo", run).returncode, 4)
check("nothing was undone", not pathlib.Path("undone").exists())
r = rbhost("retry", run, "--override-freeze", "again")
eq("retry, overridden: recorded", event(run, "run.retry")["freeze_override"]["reason"], "again")
r = rbhost("undo", run, "--override-freeze", "back", "--yes")
eq("undo, overridden: recorded", event(run, "undo.start")["freeze_override"]["reason"], "back")
check("it was undone", pathlib.Path("undone").exists(), r.stdout + r.stderr)
eq("the journal is whole", rbhost("verify", "--all").returncode, 0)

# -- a cancel ends it; a run that goes on is not stopped ------------------------------------------------------------------
run = run_of(rbhost("run", book, "want=a", "--config", OPEN))
r = rbhost("cancel", run)
contains("a cancel is no start", rbhost("show", run).stdout, "cancelled")
r = rbhost("run", write("promoter.lua", 'print "on"'), "--config", OPEN)
eq("outside of a window nothing is recorded", (r.returncode, "freeze_override" in event(run_of(r), "run.start")), (0, False))
again = write("promote2.lua", """local p = runbook { params = { n = { "integer", default = 0 } } }
if p.n < 2 then restart_with { n = p.n + 1 } end
print("n is " .. p.n)""")
r = rbhost("run", again, "--override-freeze", "one time")
contains("a successor is the same run going on", r.stdout, "n is 2")

# -- destructive --------------------------------------------------------------------------------------------------------
drop = write("drop.lua", 'runbook { name = "db/drop", destructive = true }\nexec { "touch", "dropped" }\napprove { "really?" }')
r = rbhost("run", drop, "--yes")
eq("destructive: --yes does not answer it", r.returncode, 4)
contains("destructive: says what does", r.stderr, "'db/drop' is destructive: it starts only with --confirm db/drop")
r = rbhost("run", drop, "--confirm", "db")
contains("destructive: another name", r.stderr, "--confirm db does not name this runbook, which is 'db/drop'")
check("destructive: nothing was done", not pathlib.Path("dropped").exists())
r = rbhost("run", "--dry", drop)
contains("destructive: a dry run destroys nothing", r.stdout, "would")
r = rbhost("run", drop, "--confirm", "db/drop")
eq("destructive: --confirm answers it and its confirmations", (r.returncode, pathlib.Path("dropped").exists()), (0, True))
contains("destructive: in the first line", r.stdout, "started in prod, destructive by")
run = run_of(r)
eq("destructive: in the journal", event(run, "run.start")["destructive"], True)
eq("destructive: show --json", json.loads(rbhost("show", run, "--json").stdout.splitlines()[-1]).get("destructive"), True)
lacks("no option's variable overrides a freeze", rbhost("run", book, "want=a", env={"RBHOST_OVERRIDE_FREEZE": "x"}).stdout, "started")
finish()
