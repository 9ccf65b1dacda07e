#!/usr/bin/env python3
"""The configuration: where it is looked for, who may write it, config show with origins, config check with every problem."""

import json
import os
import pathlib
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import TMP, check, contains, eq, finish, lacks, rbhost  # noqa: E402

os.chdir(TMP)
HOME = pathlib.Path(os.environ["XDG_CONFIG_HOME"]) / "rbhost"


def write(name, text, mode=0o644):
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def origins(*args, env=None):
    lines = rbhost(*args, "config", "show", "--json", env=env).stdout.splitlines()
    return {j["key"]: j for j in map(json.loads, lines)}


hello = write("hello.lua", 'print "hello"')

# -- where -------------------------------------------------------------------------------------------------------------
eq("without a file: none", origins()["config"]["value"], None)
write(HOME / "config.lua", "return { environment = 'home' }")
eq("$XDG_CONFIG_HOME", origins()["environment"]["value"], "home")
env = write("env.lua", "return { environment = 'env' }")
eq("RBHOST_CONFIG comes before it", origins(env={"RBHOST_CONFIG": env})["environment"]["value"], "env")
opt = write("opt.lua", "return { environment = 'opt' }")
got = origins("--config", opt, env={"RBHOST_CONFIG": env})
eq("--config comes first", got["environment"]["value"], "opt")
eq("and show says so", (got["config"]["origin"], got["config"]["name"]), ("option", "--config"))
got = origins(env={"RBHOST_CONFIG": env})
eq("the variable is named", (got["config"]["origin"], got["config"]["name"]), ("environment", "RBHOST_CONFIG"))
eq("one that is named must be there", rbhost("--config", "none.lua", "run", hello).returncode, 2)
(HOME / "config.lua").unlink()

# -- config show -------------------------------------------------------------------------------------------------------
full = write("full.lua", """return {
  journal = "own.db",
  limits = {
    max_exec = 3,
    slice_max = "1500ms",
  },
  secrets = {
    token = { command = { "touch", "fetched" } },
  },
  dsns = {
    pg = { dsn = "postgres://app@db/app", password = { secret = "token" } },
  },
}""")
out = rbhost("--config", full, "config", "show", "--origin").stdout.splitlines()
for line in (
    'journal = "own.db"  (full.lua:2)',
    "limits.max_exec = 3  (full.lua:4)",
    'limits.slice_max = "1.5s"  (full.lua:5)',
    "limits.max_tasks = 10000  (default)",
    'dsns.pg.dsn = "postgres://app@db/app"  (full.lua:11)',
    'dsns.pg.password = {"secret":"token"}  (full.lua:11)',
    'secrets.token.command = ["touch","fetched"]  (full.lua:8)',
):
    check(f"config show --origin: {line}", line in out, "\n".join(out))
check("no secret was fetched", not pathlib.Path("fetched").exists())
lacks("without --origin: no places", rbhost("--config", full, "config", "show").stdout, "full.lua:")
got = origins("--config", full, "--journal", "other.db", env={"RBHOST_YES": "1"})
eq("an option beats the file", (got["journal"]["value"], got["journal"]["origin"], got["journal"]["name"]),
   ("other.db", "option", "--journal"))
eq("--json: file and line", (got["limits.max_exec"]["file"], got["limits.max_exec"]["line"]), ("full.lua", 4))
eq("variables of commands are shown, too", (got["options.yes"]["value"], got["options.yes"]["name"]), ("1", "RBHOST_YES"))
eq("the limits hold", rbhost("--config", full, "run", write("slow.lua", "while true do end")).returncode, 1)

# -- config check ------------------------------------------------------------------------------------------------------
r = rbhost("config", "check", full)
eq("a good one", (r.returncode, r.stdout), (0, "full.lua: fine, 6 settings\n"))
eq("--json", json.loads(rbhost("--json", "config", "check", full).stdout), {"ok": True, "settings": 6})
bad = write("bad.lua", """return {
  rots = { "/x" },
  limits = { max_exec = "many" },
  dsns = {
    a = "postgres://me:hunter2@db/app",
  },
  channels = {
    ops = { type = "slak" },
  },
}""")
r = rbhost("config", "check", bad)
eq("a bad one: exit 2", r.returncode, 2)
for said in (
    "4 things are wrong:",
    "bad.lua:2: rots: unknown key; did you mean roots?",
    'bad.lua:3: limits.max_exec: got "many", expected a whole number from 1 to 1000000',
    "bad.lua:5: dsns.a: a password stands in clear in the DSN: write { dsn",
    'bad.lua:8: channels.ops.type: got "slak"; did you mean slack?',
):
    contains(f"every problem with its line: {said[:40]}", r.stderr, said)
lacks("and no message holds the password", r.stderr, "hunter2")
eq("nothing runs with it", rbhost("--config", bad, "run", hello).returncode, 2)
r = rbhost("config", "check")
contains("none to check", r.stderr, "there is no configuration")
contains("half a command", rbhost("config").stderr, "config what? One of show, check")
r = rbhost("config", "check", write("loop.lua", "while true do end"))
check("a budget, with its place, once", r.stderr.startswith("rbhost: loop.lua:1: ") and r.stderr.count("loop.lua") == 1, r.stderr)
odd = write("odd.lua", """return {
  secrets = {
    a = { stdin = true },
    b = { stdin = true },
  },
  channels = {
    mail = { type = "email", server = "[::1]", from = "a@b.example", to = {} },
    hook = { type = "webhook", url = "https://h.example", headers = { ["X Y"] = "z" } },
  },
}""")
r = rbhost("config", "check", odd)
for said in (
    "3 things are wrong:",
    "odd.lua:4: secrets.b: standard input is a's already",
    "odd.lua:7: channels.mail.to: the list is empty",
    'odd.lua:8: channels.hook.headers: "X Y" is no name of a header',
):
    contains(f"what can not work: {said[:50]}", r.stderr, said)
contains("a syntax error: its line", rbhost("config", "check", write("syntax.lua", "return {\n a = = 1 }")).stderr, "syntax.lua:2:")

# -- who may write it --------------------------------------------------------------------------------------------------
write("all.lua", "return {}", 0o666)
r = rbhost("--config", "all.lua", "run", hello)
eq("everybody may write it: refused", r.returncode, 2)
contains("says why, and what to do", r.stderr, "all.lua: everybody can write it (mode 0666), and it says what runbooks may "
         "reach: chmod go-w all.lua")
write("group.lua", "return {}", 0o664)
contains("its group may write it: refused", rbhost("--config", "group.lua", "run", hello).stderr, "group.lua: its group can write it")
contains("config check says it, too", rbhost("config", "check", "group.lua").stderr, "its group can write it")
write("mine.lua", "return {}", 0o600)
eq("mine alone: fine", rbhost("--config", "mine.lua", "run", hello).returncode, 0)
if os.geteuid() == 0:
    os.chown("mine.lua", 12345, -1)
    r = rbhost("--config", "mine.lua", "run", hello)
    contains("another user's: refused", r.stderr, "mine.lua: belongs to another user (uid 12345), who could change it")
finish()
