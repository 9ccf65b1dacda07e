#!/usr/bin/env python3
"""notify: channels of this machine (terminal, file, exec), severity, rate, fallback, what is refused, the command."""
import json
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, told, with_channels
from lib import check, contains, eq, finish, lacks


FILE = 'ops = { type = "file", path = "@DIR@/told" },'

# -- each channel of this machine

c = with_channels(FILE, 'local r = notify("ops", { title = "T\\nT", text = "hé\\0\\27[31m\\xffo\\nworld", severity = "error", '
         'fields = { b = 2, a = "x", ok = true }, dedup = "disk" })\nprint(r.delivered, r.channel, r.id)')
r = c.run()
ends("a message to a file", r, 0)
one = told(c)[0]
eq("one line of JSON has all of it", {k: one[k] for k in ("channel", "severity", "title", "text", "fields", "action",
                                                        "dedup", "runbook", "run", "environment")},
   {"channel": "ops", "severity": "error", "title": "T T", "text": "hé  [31m\ufffdo\nworld",
    "fields": {"a": "x", "b": "2", "ok": "true"}, "action": "trigger", "dedup": "disk", "runbook": "t", "run": c.id,
    "environment": "lab"})
eq("the result names it", c.prints(), [f"true\tops\t{one['id']}"])
check("its id is the run's", one["id"].startswith(c.id + "-"), one)
eq("the intent comes before it, with what is told", [e["args"]["text"] for e in c.events("intent")], [one["text"]])
eq("the file is its owner's and his group's", (c.dir / "told").stat().st_mode & 0o777, 0o640 & ~os.umask(0) if os.umask(0o022) else 0o640)
r = c.run()
eq("another run appends", len(told(c)), 2)

c = with_channels('cmd = { type = "exec", command = { "sh", "-c", "cat > @DIR@/stdin; env > @DIR@/env" } },',
         'notify("cmd", { text = "it\'s \\"late\\"", title = "Backup", severity = "warning", dedup = "b" })')
r = c.run(env={"SECRET_OF_MINE": "x"})
ends("a message to a command", r, 0)
eq("its standard input is the message", json.loads(c.text("stdin"))["text"], 'it\'s "late"')
env = dict(line.split("=", 1) for line in c.lines("env") if "=" in line)
eq("and its environment", {k: v for k, v in env.items() if k.startswith("RBHOST_NOTIFY")},
   {"RBHOST_NOTIFY_CHANNEL": "cmd", "RBHOST_NOTIFY_ID": json.loads(c.text("stdin"))["id"],
    "RBHOST_NOTIFY_SEVERITY": "warning", "RBHOST_NOTIFY_TITLE": "Backup", "RBHOST_NOTIFY_TEXT": 'it\'s "late"',
    "RBHOST_NOTIFY_ACTION": "trigger", "RBHOST_NOTIFY_DEDUP": "b", "RBHOST_NOTIFY_RUN": c.id,
    "RBHOST_NOTIFY_RUNBOOK": "t", "RBHOST_NOTIFY_ENVIRONMENT": "lab"})
check("of the host's it has the small one", "SECRET_OF_MINE" not in env and "PATH" in env, sorted(env))

c = with_channels('term = { type = "terminal" },', 'notify("term", { title = "T", text = "hello \\27[2J", fields = { a = 1 } })')
r = c.run()
contains("a message to the terminal is on standard error, harmless", r.stderr, "info: T\n  hello  [2J\n  a: 1\n")
lacks("and not on standard output", r.stdout, "info: T")
r = c.run("--quiet")
contains("also when the rest is quiet", r.stderr, "info: T")
r = c.run("--json")
check("with --json standard output is JSON only", all(json.loads(x) for x in r.stdout.splitlines()), r.stdout)

# -- severity, rate, fallback

c = with_channels('ops = { type = "file", path = "@DIR@/told", min_severity = "warning" },', """
for _, s in ipairs { "debug", "info", "warning", "error", "critical" } do
  local r = notify("ops", { text = s, severity = s })
  print(s, r.delivered, r.held)
end
print(notify.resolve("ops", "disk").delivered)
""")
ends("messages of each severity", c.run(), 0)
eq("those below the channel's least are held back, and that is no error", c.prints(),
   ["debug\tfalse\tseverity", "info\tfalse\tseverity", "warning\ttrue\tnil", "error\ttrue\tnil", "critical\ttrue\tnil", "true"])
eq("a resolve is no new message", [m["action"] for m in told(c)], ["trigger"] * 3 + ["resolve"])

BOOK = """
local held = 0
for i = 1, 7 do if notify("ops", "n" .. i).held == "rate" then held = held + 1 end end
print(held)
"""
c = with_channels('ops = { type = "file", path = "@DIR@/told", rate = "3/1h" },', BOOK)
ends("more than the rate lets through", c.run(), 0)
eq("what is over is held back", c.prints(), ["4"])
eq("and told at the end of the run, by number", [m["text"].split(",")[0] for m in told(c)], ["n1", "n2", "n3", "and 4 more"])
eq("which is journaled", [(e["for"], e["channel"], e["held"], e["ok"]) for e in c.events("notice")], [("more", "ops", 4, True)])
check("before the end", c.events()[-1]["kind"] == "run.end", c.events()[-1])
c = with_channels('ops = { type = "file", path = "@DIR@/told", rate = "2/1s" },', BOOK + """
wait_until({ every = "50ms", timeout = "30s" }, function()
  return exec({ "grep", "-c", "and 5 more", "@DIR@/told" }, { read = true, check = false }).code == 0
end)
print(notify("ops", "last").delivered)
""")
ends("a rate that opens again", c.run(), 0)
eq("then the rest is told while the run goes on", [m["text"].split(",")[0] for m in told(c)][:3], ["n1", "n2", "and 5 more"])
c = with_channels('ops = { type = "file", path = "@DIR@/told", rate = "2/1h" },', BOOK + 'exec({ "sh", "-c", "test -e @DIR@/there || kill -9 $PPID" }, { read = true })')
c.run(binary=os.environ["RBHOST"])
eq("a host that is killed has told of none", len(told(c)), 2)
(c.dir / "there").touch()
ends("the resume ends the run", c.rb("resume", c.id), 0)
eq("and tells of what the journal says was held back", [m["text"].split(",")[0] for m in told(c)], ["n1", "n2", "and 5 more"])

BAD = 'bad = { type = "exec", command = { "sh", "-c", "echo pigeon is ill >&2; exit 3" }'
c = with_channels(BAD + ', fallback = "ops" },' + FILE, 'local r = notify("bad", "x"); print(r.delivered, r.channel)')
ends("a channel that fails", c.run(), 0)
eq("falls back to another", c.prints(), ["true\tops"])
c = with_channels('a = { type = "file", path = "/nowhere/x", fallback = "b" }, b = { type = "file", path = "/nowhere/y", fallback = "a" },',
         'print(notify("a", "x", { check = false }).error)')
ends("channels that fall back to each other", c.run(), 0)
contains("are tried in turn, and then it is over", c.prints()[0], "channel b: /nowhere/y can not be opened")
c = with_channels(BAD + "},", """
local r = notify("bad", "x", { check = false })
print(r.delivered, r.error)
local ok, e = pcall(notify, "bad", "y")
print(ok, e.kind, e.outcome, e.retryable, e.result.delivered)
notify("bad", "z")
""")
r = c.run()
ends("a message that can not be delivered fails the run", r, 1)
eq("it is an error that says what was tried and what came back, or a result", c.prints(), [
    "false\tchannel bad: its command exited with 3: pigeon is ill", "false\tnotify.failed\tfailed\tfalse\tfalse"])
contains("with the place in the runbook", r.stderr, "t.lua:6: the message was not delivered: channel bad: its command")
c = with_channels('slow = { type = "exec", command = { "sleep", "100" }, timeout = "100ms" },',
         'local _, e = pcall(notify, "slow", "x"); print(e.kind, e.outcome)')
ends("a command that does not end", c.run(), 0)
eq("is stopped, and its outcome is not known", c.prints(), ["notify.failed\tunknown"])
c = with_channels('slow = { type = "exec", command = { "sleep", "100" } },',
         'race { function() notify("slow", "x") end, function() sleep("50ms") end }')
ends("a race ends a message that is on its way", c.run(), 0)

# -- on doubt

DOUBT = 'notify("ops", "x"%s)\nexec({ "sh", "-c", "test -e there || kill -9 $PPID" }, { cwd = "@DIR@", read = true })'
for config, opts, want in (("", "", 0), ('on_doubt = "ask",', "", 6), ('on_doubt = "fail",', "", 1),
                           ('on_doubt = "ask",', ', { on_doubt = "retry" }', 0)):
    c = with_channels('ops = { type = "exec", ' + config + ' command = { "sh", "-c", "echo $RBHOST_NOTIFY_ID >> @DIR@/ids; test -e @DIR@/there || kill -9 $PPID" } },',
             DOUBT % opts)
    c.run()
    (c.dir / "there").touch()
    ends(f"a message in doubt, {config or 'as it is'}{opts}", c.rb("resume", c.id), want)
    eq("is told again only where that is wanted, with the same id", len(c.lines("ids")), 2 if want == 0 else 1)
    check("the same id", len(set(c.lines("ids"))) == 1, c.lines("ids"))

# -- what is refused

for text, says in (
    ('notify()', "the channel must be a string"),
    ('notify("ops")', "the message must be a table"),
    ('notify("ops", {})', "the message has no text"),
    ('notify("ops", " \\n")', "the message is empty"),
    ('notify("ops", { txt = "x" })', "did you mean text?"),
    ('notify("ops", { text = "x", severity = "eror" })', "did you mean error?"),
    ('notify("ops", { text = "x", action = "resolve" })', "by dedup"),
    ('notify("ops", { text = "x", fields = { a = {} } })', "the field a must be a text"),
    ('notify("ops", "x", { tmeout = 1 })', "did you mean timeout?"),
    ('notify("opps", "x")', "there is no channel opps in the configuration; did you mean ops?"),
    ('notify.resolve("ops")', "the key must be a string"),
    ('notify.clear("ops")', ""),
):
    c = with_channels(FILE, text)
    r = c.run()
    check(f"{text}: an error of the author, with its place", r.returncode == 1 and "t.lua:1: " in r.stderr and says in r.stderr, r.stderr)
    check(f"{text}: nobody was told", not told(c))
c = with_channels(FILE, 'local p = runbook { params = { t = { "secret" } } }\n%s')
for text in ('notify("ops", p.t)', 'notify("ops", "token " .. p.t)', 'notify("ops", { text = "x", fields = { t = p.t } })',
             'notify("ops", { text = "x", title = p.t })', 'notify("ops", tostring(p.t))'):
    c.write("t.lua", 'local p = runbook { params = { t = { "secret" } } }\n' + text)
    (c.dir / "secret").write_text("hunter2hunter2")
    r = c.run("t=@secret")
    check(f"{text}: a secret in a message is refused", r.returncode == 1 and "secret" in r.stderr and "t.lua:2" in r.stderr, r.stderr)
    check("and told to nobody", not told(c))
c = with_channels(FILE, 'runbook { allow = { notify = { "oops*" } } }\nnotify("ops", "x")')
r = c.run()
ends("the header's allow names channels", r, 4)
check("what it does not name is refused before its intent", not c.events("intent") and not told(c), r.stderr)
c = with_channels(FILE, 'local r = notify("ops", ("ü"):rep(70000)); print(r.delivered)')
ends("a long text", c.run(), 0)
check("is cut at 64 KiB, at a character, with a mark", len(told(c)[0]["text"].encode()) <= 65536 and told(c)[0]["text"].endswith("ü … [cut]"))
c = with_channels(FILE, 'print(notify("ops", "x").delivered)')
r = c.run("--dry")
ends("a dry run", r, 0)
check("lists it and tells nobody", not told(c) and "notify" in r.stdout, r.stdout)
r = c.rb("check", "t.lua")
ends("rbhost check knows notify", r, 0)
c.write("t.lua", 'notify("ops", "x", { chek = false })')
r = c.rb("check", "t.lua")
contains("and its options", r.stdout + r.stderr, "did you mean check?")

# -- the command

c = with_channels('term = { type = "terminal" }, quiet = { type = "file", path = "@DIR@/told", min_severity = "error" },' + FILE + BAD + "},")
r = c.rb("notify", "ops", "disk full", "--severity", "critical", "--title", "db1", "--dedup", "disk", "host=db1", "free=0=0")
ends("rbhost notify", r, 0)
one = told(c)[0]
eq("tells", {k: one.get(k) for k in ("text", "severity", "title", "dedup", "fields", "run", "environment")},
   {"text": "disk full", "severity": "critical", "title": "db1", "dedup": "disk", "fields": {"host": "db1", "free": "0=0"},
    "run": None, "environment": "lab"})
check("without a run, and without a journal", not c.journal.exists())
ends("resolves", c.rb("notify", "ops", "has room", "--dedup", "disk", "--resolve"), 0)
eq("by the key", told(c)[1]["action"], "resolve")
ends("takes the text from standard input", c.rb("notify", "ops", "-", stdin="line 1\nline 2\n"), 0)
eq("whole", told(c)[2]["text"], "line 1\nline 2")
for args, code, says in ((("opps", "x"), 2, "did you mean ops?"), (("ops", "x", "--resolve"), 2, "--dedup KEY"), (("ops", ""), 2, "empty"),
                         (("ops", "x", "y"), 2, "name=value"), (("ops", "x", "-s", "loud"), 2, "loud"), (("ops",), 2, ""),
                         (("bad", "x"), 1, "exited with 3: pigeon is ill"), (("quiet", "x"), 0, "less severe")):
    r = c.rb("notify", *args)
    check(f"rbhost notify {' '.join(args)}: {code}", r.returncode == code and says in r.stderr, f"{r.returncode}\n{r.stderr}")
r = Case().rb("notify", "ops", "x", env={"RBHOST_CONFIG": "", "XDG_CONFIG_HOME": "/nowhere"})
check("without a configuration it says what is missing", r.returncode == 2 and "the configuration has none" in r.stderr, r.stderr)

finish()
