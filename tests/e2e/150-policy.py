#!/usr/bin/env python3
"""What a run may reach: the header's allow and the site's policy in the op path; what describe, show and the errors say of it."""

import json
import os
import pathlib
import re
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import TMP, check, contains, eq, finish, lacks, rbhost  # noqa: E402

os.chdir(TMP)


def write(name, text):
    pathlib.Path(name).write_text(text)
    return name


def run_of(text):
    """The id of the run that the plain lines begin with."""
    m = re.search(r"run +([0-9a-z]+-[0-9a-z]+) ", text)
    return m[1] if m else "(no run)"


def events(run):
    out = rbhost("log", run, "--json").stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


# -- the header --------------------------------------------------------------------------------------------------------
# exec is refused before its intent: it leaves no trace in the world and none in the journal but its result.
book = write("book.lua", """
local p = runbook {
  allow = {
    exec = { "echo", "sh -c *", "touch ok/*" },
  },
}
exec { "echo", "one" }
local ok, err = pcall(exec, { "touch", "world" })
print(err.kind, err.outcome, tostring(err.retryable))
print(err.message)
print(err.where)
exec { "touch", "ok/yes" }
exec.sh("true")
""")
pathlib.Path("ok").mkdir()
r = rbhost("run", book)
contains("a command that is not named: its first pattern without arguments is the nearest", r.stdout,
         '`touch world` is not in the runbook\'s reach: the header\'s allow.exec (book.lua:4) has nothing for it, '
         'the nearest is "touch ok/*"')
contains("the error's kind and outcome", r.stdout, "policy not_started false")
contains("the line of the call", r.stdout, "book.lua:8")
check("what is allowed runs", r.returncode == 0 and pathlib.Path("ok/yes").exists(), r.stdout + r.stderr)
check("the world is as it was", not pathlib.Path("world").exists())
run = run_of(r.stdout)
refused = [e for e in events(run) if e.get("kind") == "result" and "policy" in json.dumps(e)]
eq("one result, no intent", (len(refused), "intent" in [e["kind"] for e in events(run) if e.get("key") == refused[0].get("key")]),
   (1, False))

r = rbhost("run", write("denied.lua", 'runbook { allow = {} }\nexec { "true" }'))
eq("a run that ends by a refusal is denied: exit 4", r.returncode, 4)
contains("an empty allow is nothing", r.stderr, "allow.exec (denied.lua:1) names nothing of that kind")
r = rbhost("run", "--dry", "denied.lua")
eq("a dry run is refused as well", r.returncode, 4)
contains("a dry run says so, too", r.stderr, "not in the runbook's reach")

r = rbhost("run", write("path.lua", """runbook { allow = { exec = { "ls" } } }
local ok, err = pcall(exec, { "ls" }, { env = { PATH = "/tmp/evil" } })
print(err.message)"""))
r2 = rbhost("run", write("preload.lua", """runbook { allow = { exec = { "/bin/ls" } } }
print(select(2, pcall(exec, { "/bin/ls" }, { env = { LD_PRELOAD = "/tmp/evil.so" } })).message)"""))
contains("so do other libraries", r2.stdout, "`LD_PRELOAD=/tmp/evil.so` is not in the runbook's reach")
contains("another PATH makes the name another program", r.stdout, "`PATH=/tmp/evil` is not in the runbook's reach")

r = rbhost("run", write("words.lua", """runbook { allow = { exec = { "echo a *" } } }
print(exec({ "echo", "a", "b c" }).stdout)
print(select(2, pcall(exec, { "echo", "a b" })).message)
print(select(2, pcall(exec, { "echo", "a", "b", "c" })).message)
print(select(2, pcall(exec, { "/bin/echo", "a", "b" })).message)"""))
prints = [line for line in r.stdout.splitlines() if "  print " in line]
eq("one word is one word", ("a b c" in prints[0], sum("not in the runbook's reach" in p for p in prints)), (True, 3))

# -- undo, on_doubt, retry ---------------------------------------------------------------------------------------------
undo = write("undo.lua", """runbook { allow = { exec = { "true", "false" } }, on_failure = "undo" }
step("make", function()
  undo("unmake", function() exec { "touch", "unmade" } end)
  exec { "true" }
end)
exec { "false" }""")
r = rbhost("run", undo)
check("a compensation obeys the same policy", not pathlib.Path("unmade").exists() and "not in the runbook's reach" in r.stdout,
      r.stdout + r.stderr)

r = rbhost("run", write("tries.lua", """runbook { allow = { exec = { "true" } } }
local n = 0
pcall(retry, { times = 5 }, function() n = n + 1; exec { "false" } end)
print("tries: " .. n)"""))
contains("a refusal is not tried again", r.stdout, "tries: 1")

# -- the site ----------------------------------------------------------------------------------------------------------
conf = write("conf.lua", """return {
  environment = "prod",
  policy = {
    allow = { exec = { "echo", "git", "touch" } },
    deny = {
      exec = { "git push **", "touch" },
    },
  },
}""")
os.chmod(conf, 0o644)
site = write("site.lua", """
for _, argv in ipairs { { "echo", "x" }, { "git", "push", "origin" }, { "/bin/touch", "x" }, { "ls" } } do
  local ok, err = pcall(exec, argv)
  print(ok and "done" or err.message)
end""")
r = rbhost("--config", conf, "run", site)
contains("deny wins, with file and line", r.stdout,
         'is forbidden at this site: policy.deny.exec of the configuration (conf.lua:6) has "git push **"')
contains("deny means the program by any path", r.stdout, '`/bin/touch x` is forbidden')
contains("what the site does not name", r.stdout, "`ls` is not in this site's reach: policy.allow.exec of the configuration (conf.lua:4)")
contains("what it names runs", r.stdout, "print     done")
contains("the label is in the first line", r.stdout, "started in prod")

wide = write("wide.lua", 'runbook { allow = { exec = { "ls", "echo" } } }\nexec { "ls" }')
contains("the site narrows", rbhost("--config", conf, "run", wide).stderr, "not in this site's reach")
narrow = write("narrow.lua", 'runbook { allow = { exec = { "echo" } } }\nexec { "git", "status" }')
contains("and never widens", rbhost("--config", conf, "run", narrow).stderr, "not in the runbook's reach")

# -- a replay does not ask: what has happened has happened --------------------------------------------------------------
parked = write("parked.lua", 'exec { "echo", "done before" }\napprove { "on?" }\nexec { "echo", "after" }')
r = rbhost("run", parked)
run = run_of(r.stdout)
eq("waits", r.returncode, 3)
strict = write("strict.lua", 'return { policy = { deny = { exec = { "echo after" } } } }')
os.chmod(strict, 0o644)
r = rbhost("--config", strict, "approve", run, "--resume")
contains("the policy of today is asked about what starts today", r.stderr, "`echo after` is forbidden at this site")
eq("the recorded one is not asked about", r.returncode, 4)

# -- describe ----------------------------------------------------------------------------------------------------------
d = write("d.lua", """runbook { name = "d", destructive = true, allow = { exec = { "echo", "docker", "git log *" }, sql = { "app" } },
  notify = { failed = { "ops", "mail" }, waiting = "ops" } }""")
out = rbhost("--config", conf, "describe", d).stdout
for line in ("environment prod", "destructive yes", "exec      echo, git log *", "the site refuses docker", "never git push **, touch",
             "sql       nothing: the site's policy refuses it", "http      nothing", "notify      failed: ops, mail; waiting: ops"):
    contains(f"describe: {line}", out, line)
j = json.loads(rbhost("--config", conf, "describe", "--json", d).stdout)
eq("describe --json: the reach", j["reach"]["exec"],
   {"allow": ["echo", "git log *"], "refused": ["docker"], "deny": ["git push **", "touch"]})
eq("describe --json: what is refused by whom", (j["reach"]["sql"]["allow"], j["reach"]["sql"]["by"], j["reach"]["file"]["by"]),
   (False, "site", "header"))
eq("describe --json: the label", (j["environment"], j["destructive"]), ("prod", True))
part = write("part.lua", 'runbook { allow = { exec = { "git" } } }')
sub = write("sub.lua", 'return { policy = { allow = { exec = { "git log **" } } } }')
os.chmod(sub, 0o644)
contains("describe: a part of what the header names", rbhost("--config", sub, "describe", part).stdout,
         "and of these only what the site allows: git log **")
conf2 = write("files.lua", f'return {{ policy = {{ allow = {{ file = {{ "{TMP}/data/*.csv" }} }} }} }}')
os.chmod(conf2, 0o644)
files = write("filesbook.lua", 'runbook { allow = { file = { "data/*.csv", "data/x.csv", "/etc/hosts" } } }')
j = json.loads(rbhost("--config", conf2, "describe", "--json", files).stdout)["reach"]["file"]
eq("describe: relative paths begin at the runbook's folder", j["allow"][:2], ["data/*.csv", "data/x.csv"])
contains("without allow: everything", rbhost("describe", write("plain.lua", "print(1)")).stdout, "may reach   everything")

# -- patterns that are none ---------------------------------------------------------------------------------------------
r = rbhost("run", write("bad.lua", 'runbook { allow = {\n  http = { "example.com" },\n  exce = {} } }'))
eq("a pattern that can not be understood does not load", r.returncode, 2)
contains("with its line", r.stderr, 'line 2: allow.http[1]: "example.com": expected a URL')
contains("and all of them", r.stderr, "line 3: allow.exce: unknown key; did you mean exec?")
contains("rbhost check finds it", rbhost("check", "bad.lua").stdout, "allow.http[1]")
lacks("nothing ran", rbhost("ls").stdout, "bad")
finish()
