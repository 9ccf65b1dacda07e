#!/usr/bin/env python3
"""The options of run as D4 has them: --dry --step --key --params --json --reason --actor; ls, show, ids; export and import;
the journal's upkeep; heads."""
import json
import os
import pathlib
import shutil
import sqlite3
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, waits
from lib import SLOW, check, contains, eq, finish, lacks

# -- --dry

c = Case(
    """
    runbook { params = { n = { "integer", default = 1 } } }
    local r = exec({ "cat", "@DIR@/state" }, { read = true })
    print("state " .. r.stdout)
    exec.sh("echo effect >> @DIR@/world", { title = "write the world" })
    checklist "c" { { "S", "looks", function() exec({ "test", "-e", "@DIR@/state" }, { read = true }) end },
                    { "S", "acts", acts = true, function() exec.sh("echo acted >> @DIR@/world") end } }
    approve "Really?"
    sleep("1h")
    undo("u", function() exec.sh("echo undone >> @DIR@/world") end)
    print "end"
    """
)
c.write("state", "good")
r = c.run("--dry")
ends("a dry run ends without a person and without waiting", r, 0)
eq("no effect has happened", c.lines("world"), [])
contains("reads happen", r.stdout, "state good")
contains("effects are listed as what would be done", r.stdout, "write the world")
contains("it goes to the end", r.stdout, "end")
contains("and says that it was dry", r.stdout + r.stderr, "dry")
r = c.rb("resume")
check("a dry run is nothing to resume", r.returncode in (0, 2), (r.returncode, r.stderr))

# What rests on effects that were only listed is not known, and never shown as if it were.
c = Case(
    """
    checklist "Before" {
        { "A", "holds", function() end },
        { "A", "acts", function() exec { "touch", "@DIR@/world" } end, acts = true },
        { "A", "is not asked of what acts", function() end },
    }
    checklist "In order" {
        serial = true,
        { "B", "acts first", function() exec { "touch", "@DIR@/world" } end, acts = true },
        { "B", "looks at that", function() exec({ "test", "-e", "@DIR@/world" }, { read = true }) end },
    }
    check("C", "what a check did is not built on", function() end)
    local made = step("make", function() exec { "touch", "@DIR@/world" } return 1 end)
    step("read", function() return exec({ "cat", "@DIR@/world" }, { read = true }).stdout end)
    local ok, e = pcall(step, "not allowed", function() exec({ "true" }, { tmeout = 1 }) end)
    print(made, ok, e.kind)
    check("D", "a lie", function() end)
    check("D", "a false alarm", function() return false end)
    wait_until({ title = "it comes", every = "1h", timeout = "2h" }, function() return false end)
    print(timeout("1h", function() return exec({ "echo", "in time" }, { read = true }).stdout end))
    print "end"
    """
)
r = c.run("--dry")
ends("a dry run goes to the end though nothing is made", r, 0)
eq("what does not rest on it is checked, all else would be", [(k.split("/")[-1], v) for k, v in c.verdicts()],
   [("holds", "pass"), ("acts", "would"), ("is not asked of what acts", "pass"), ("Before", "would"), ("acts first", "would"),
    ("looks at that", "would"), ("In order", "would"), ("what a check did is not built on", "pass"), ("make", "pass"),
    ("read", "would"), ("not allowed", "fail"), ("a lie", "would"), ("a false alarm", "would")])
eq("a wrong option is wrong all the same, and waiting is over at once", c.prints(), ["1\tfalse\tusage", "in time\n", "end"])
contains("the lines say so", r.stdout, "a lie: would be checked")
contains("and why a step is not known", r.stdout, "read: not known in a dry run: t.lua:")
contains("the table of checks too", c.rb("show", "--checks", c.id).stdout, "would be checked")
check("and the JSON", '"state":"would"' in c.rb("show", "--json", c.id).stdout)
c = Case('local made = step("make", function() exec { "true" } fail "no" end)\nprint("made " .. made)')
r = c.run("--dry")
ends("where the script itself needs what was not made, the dry run ends", r, 1)
contains("and says why", r.stderr, "t.lua:2: a dry run can not be followed further than here, behind what was only listed: attempt to concatenate")
c = Case("""
    check("A", "comes true while it is polled", function()
        local n = 0
        wait_until({ title = "it", every = "10ms", timeout = "60s" }, function(look) return look == 3 end)
        retry({ times = 3, delay = "10ms" }, function(attempt) assert(attempt == 3) end)
    end)
    check("A", "never comes true", function()
        wait_until({ title = "it", every = "10ms", timeout = "50ms" }, function() return false end)
    end)
""")
ends("what a check polls before anything was changed is polled", c.run("--dry"), 1)
eq("and the verdict is the real one", [v for _, v in c.verdicts()], ["pass", "fail"])
c = Case('check("A", "acts and is bad", function() exec { "true" } fail "bad" end, { acts = true })\ncheck("A", "bad", function() fail "bad" end)')
ends("what a dry run does see to be wrong ends it", c.run("--dry"), 1)
eq("by its own verdict", [v for _, v in c.verdicts()], ["would", "fail"])

# -- --step

c = Case(
    'step("one", function() exec.sh("echo one >> @DIR@/world") end)\nstep("two", function() exec.sh("echo two >> @DIR@/world") end)',
)
r = c.run("--step")
ends("--step: each step waits to be confirmed", r, 3)
eq("nothing before that", c.lines("world"), [])
contains("naming the step", r.stderr, "one")
ends("confirmed", c.rb("approve", c.id, "--resume"), 3)
eq("it runs, and the next waits", c.lines("world"), ["one"])
ends("to the end", c.rb("approve", c.id, "--resume"), 0)
eq("both", c.lines("world"), ["one", "two"])
c = Case('step("one", function() exec.sh("echo one >> @DIR@/world") end)')
ends("--yes answers such confirmations", c.run("--step", "--yes"), 0)
eq("and so it ran", c.lines("world"), ["one"])
c = Case('approve "Go?" exec.sh("echo went >> @DIR@/world")')
ends("--yes answers an approval that names nobody", c.run("--yes"), 0)
eq("the run goes on", c.lines("world"), ["went"])

# -- --key

c = Case('exec.sh("echo x >> @DIR@/world") print "ran"')
ends("--key, the first time", c.run("--key", "deploy-1"), 0)
first = c.id
r = c.run("--key", "deploy-1")
ends("the same key again", r, 0)
eq("gives the same run and starts nothing", (c.ids(), c.lines("world")), ([first], ["x"]))
contains("and says its id", r.stdout + r.stderr, first)
ends("another key", c.run("--key", "deploy-2"), 0)
eq("is another run", c.lines("world"), ["x", "x"])
c = Case("fail 'x'")
c.run("--key", "k")
ends("the same key of a failed run gives its exit code", c.run("--key", "k"), 1)
c = Case('signal "go"')
c.run("--key", "k")
r = c.run("--key", "k")
check("the same key of a waiting run", r.returncode == 3 and len(c.ids()) == 1, (r.returncode, r.stderr))

# -- parameters

HEAD = """
local p = runbook { name = "params", title = "Parameters", params = {
  who = { "string", required = true, match = "^%a+$", help = "whom" }, n = { "integer", min = 1, max = 5, default = 1 },
  x = { "number" }, b = { "boolean", default = false }, c = { "choice", choices = { "red", "green" } }, l = { "list" },
  m = { "map" }, d = { "duration" }, u = { "url" }, h = { "host" } } }
"""
c = Case(HEAD + 'print(p.who, p.n, math.type(p.n), p.x, p.b, p.c, p.l and #p.l, p.m and p.m.k, p.d, p.u, p.h)')
ends(
    "all types",
    c.run("who=Ada", "n=3", "x=2", "b=yes", "c=red", "l=a,b,c", "m=k=v", "d=90s", "u=http://x/", "h=web1"),
    0,
)
eq("come as their types", c.prints(), ["Ada\t3\tinteger\t2\ttrue\tred\t3\tv\t90s\thttp://x/\tweb1"])
ends("defaults", c.run("who=Ada"), 0)
eq("are there, what is not given is nil", c.prints(), ["Ada\t1\tinteger\tnil\tfalse\tnil\tnil\tnil\tnil\tnil\tnil"])
r = c.run("n=9", "x=many", "b=perhaps", "c=blue", "d=soon", "u=nowhere", "h=a b", "hwo=Ada", "m=x")
ends("bad parameters", r, 2)
for name in ("who", "n", "x", "b", "c", "d", "u", "h", "m"):
    contains(f"all at once: {name}", r.stderr, f"\n    {name}: ")
contains("what was given and what is expected", r.stderr, 'n: got "9", expected an integer, 1 to 5')
contains("the unknown one, with the nearest", r.stderr, "hwo: unknown parameter; did you mean who?")
eq("and nothing has been started", len(c.ids()), 2)
c.write("p.json", '{"who": "Bea", "n": 2, "l": ["x", "y,z"], "b": true}')
ends("--params FILE", c.run("--params", "p.json"), 0)
eq("typed", c.prints(), ["Bea\t2\tinteger\tnil\ttrue\tnil\t2\tnil\tnil\tnil\tnil"])
ends("key=value replaces what --params has", c.run("--params", "p.json", "who=Cyd"), 0)
eq("replaced", c.prints()[0].split("\t")[0], "Cyd")
ends("--params -: standard input", c.run("--params", "-", stdin='{"who": "Dan"}'), 0)
eq("read", c.prints()[0].split("\t")[0], "Dan")
c.write("who.txt", "Eve\n")
ends("key=@FILE", c.run("who=@who.txt"), 0)
eq("without its last line end", c.prints()[0].split("\t")[0], "Eve")
ends("key=@-", c.run("who=@-", stdin="Fay"), 0)
eq("read too", c.prints()[0].split("\t")[0], "Fay")
for what, text, says in (
    ("invalid JSON", "{ who: 1 }", "p.json"),
    ("JSON that is cut", '{"who": "Ad', "p.json"),
    ("a JSON array", '["who"]', "p.json"),
    ("an empty file", "", "p.json"),
    ("bytes that are no UTF-8", b'{"who": "\xff"}', "p.json"),
    ("a key twice", '{"who": "Ada", "who": "Bob"}', None),
    ("JSON of great depth", "[" * 100000, "p.json"),
    ("a number too large", '{"who": "Ada", "n": 99999999999999999999}', None),
    ("a nested value for an integer", '{"who": "Ada", "n": {}}', "n: got"),
    ("null for a required one", '{"who": null}', "who"),
):
    c.write("p.json", text)
    r = c.run("--params", "p.json")
    check(
        f"a parameter file with {what}",
        r.returncode == 2 and (says is None or says in r.stderr) or (says is None and r.returncode == 0),
        (r.returncode, r.stderr),
    )
r = c.run("--params", "none.json")
check("a parameter file that is not there", r.returncode == 2 and "none.json" in r.stderr, (r.returncode, r.stderr))
r = c.run("who=@none.txt")
check("a value's file that is not there", r.returncode == 2 and "none.txt" in r.stderr, (r.returncode, r.stderr))
for word in ("who", "=x", "who =x"):
    r = c.run(word)
    check(f"{word!r} is no parameter", r.returncode == 2 and "rbhost:" in r.stderr, (r.returncode, r.stderr))
r = c.run("who=Ada", "who=Bob")
check(
    "a parameter given twice: an error, or the last one",
    r.returncode == 2 or c.prints()[0].startswith("Bob"),
    (r.returncode, r.stderr),
)
r = c.run("who=a\nb")
check("a value that does not match", r.returncode == 2 and "who: got" in r.stderr, (r.returncode, r.stderr))
r = Case('print "x"').run("who=Ada")
check("a parameter for a runbook without header", r.returncode == 2 and "who" in r.stderr, (r.returncode, r.stderr))

# -- --reason, --actor, --json

c = Case('print "x"')
c.run("--reason", "CHG-1", "--actor", "somebody")
start = c.events("run.start")[0]
eq("--reason is recorded", start["reason"], "CHG-1")
check(
    "--actor is recorded as claimed, beside who it was",
    "somebody" in json.dumps(start["actor"]) and start["actor"].get("uid") == os.getuid(),
    start["actor"],
)
c = Case('print "hello" exec({ "echo", "out" }) evidence("e", 1) step("s", function() end) fail("no")')
r = c.run("--json")
ends("--json", r, 1)
rows = [json.loads(line) for line in r.stdout.splitlines()]
eq(
    "one object a line, first the version, last the end",
    (rows[0]["type"], rows[-1]["type"], rows[-1]["status"], rows[-1]["exit"]),
    ("version", "end", "failed", 1),
)
eq("every event of the journal, as it is there",
   [(e["seq"], e["kind"]) for e in rows if e["type"] == "event"], [(e["seq"], e["kind"]) for e in c.events()])
eq("live output has its own lines", [e["data"] for e in rows if e["type"] == "output"], ["out\n"])
check("errors are on standard error", "rbhost:" in r.stderr or r.stderr == "", r.stderr)
eq(
    "log --json gives the same events",
    [json.loads(x)["seq"] for x in c.rb("log", "--json").stdout.splitlines() if '"event"' in x],
    [e["seq"] for e in c.events()],
)
r = c.rb("log", "--after", "3", "--json")
eq("--after", [json.loads(x)["seq"] for x in r.stdout.splitlines() if '"event"' in x][:1], [4])
show = json.loads(c.rb("show", "--json").stdout)
eq("show --json", (show["id"], show["status"], show["runbook"]), (c.id, "failed", "t"))

# -- ids

c = Case('print "x"')
for _ in range(5):
    c.run()
ids = c.ids()
eq("ls lists the newest first", c.rb("ls", "-q").stdout.split(), ids[::-1])
eq("ls --limit", c.rb("ls", "-q", "--limit", "2").stdout.split(), ids[:-3:-1])
eq("ls --before: pages", c.rb("ls", "-q", "--before", ids[2]).stdout.split(), ids[1::-1])
eq("ls --status", c.rb("ls", "-q", "--status", "failed").stdout.split(), [])
unique_end = ids[2][-5:]
r = c.rb("show", unique_end)
ends("a run is found by the end of its id", r, 0)
contains("the right one", r.stdout, ids[2])
prefix = os.path.commonprefix(ids)
r = c.rb("show", prefix)
check(
    "an ambiguous beginning names the candidates",
    r.returncode == 2 and ids[0] in r.stderr and ids[4] in r.stderr,
    (r.returncode, r.stderr),
)
r = c.rb("show", "zzzzz")
check("an unknown id", r.returncode == 2 and "zzzzz" in r.stderr, (r.returncode, r.stderr))
contains("latest", c.rb("show", "latest").stdout, ids[4])
for verb in ("show", "log", "resume", "retry", "undo", "cancel", "pause", "approve", "export", "verify", "head", "attach", "answer", "resolve", "signal"):
    more = {"answer": ["done"], "resolve": ["done"], "signal": ["s"]}.get(verb, [])
    r = c.rb(verb, "no-such-run", *more)
    check(
        f"{verb} of a run that is not there",
        r.returncode == 2 and "no-such-run" in r.stderr,
        (r.returncode, r.stderr),
    )

# -- export, import-run, --take-back

BOOK = 'exec.sh("echo one >> @DIR@/world")\nsignal "go"\nexec.sh("echo two >> @DIR@/world")\nprint "end"'
c = Case(BOOK)
c.run()
r = c.rb("export", c.id, "-o", "run.rbrun")
ends("export", r, 0)
eq("the run is moved", c.status(), "moved")
r = c.rb("resume", c.id)
check("resume is refused here, and says why", r.returncode == 2 and "take-back" in r.stderr, (r.returncode, r.stderr))
other = Case()
shutil.copy(c.dir / "run.rbrun", other.dir)
r = other.rb("import-run", "run.rbrun")
ends("import-run into another journal", r, 0)
contains("prints its id", r.stdout, c.id)
ends("the journal there verifies", other.rb("verify"), 0)
ends("it goes on there", other.rb("signal", c.id, "go", "--resume"), 0)
eq("and nothing happened twice", c.lines("world"), ["one", "two"])
eq("to its end", (other.status(), other.prints()), ("succeeded", ["end"]))
r = other.rb("import-run", "run.rbrun")
check("a second import is refused", r.returncode in (2, 5) and "rbhost:" in r.stderr, (r.returncode, r.stderr))
data = bytearray((c.dir / "run.rbrun").read_bytes())
for what, content in (("cut", bytes(data[: len(data) * 2 // 3])), ("changed", bytes(data).replace(b"echo one", b"echo 0ne")), ("empty", b""), ("something else", b"\x00\xff hello")):
    third = Case()
    third.write("bad.rbrun", content)
    r = third.rb("import-run", "bad.rbrun")
    check(
        f"a file that is {what} is refused, and nothing of it is taken in",
        r.returncode in (2, 5) and third.ids() == [],
        (r.returncode, r.stderr, third.ids()),
    )
c = Case(BOOK)
c.run()
c.rb("export", c.id, "-o", "run.rbrun")
r = c.rb("resume", c.id, "--take-back")
ends("--take-back is the way back", r, 3)
ends("and it goes on", c.rb("signal", c.id, "go", "--resume"), 0)
eq("once each", c.lines("world"), ["one", "two"])
r = c.rb("export", c.id)
check("a run that has ended is not exported", r.returncode == 2, (r.returncode, r.stderr))

# -- verify, head, the journal's upkeep

c = Case('exec({ "echo", "x" }) print "x"')
c.run()
c.run()
r = c.rb("head", "--all")
ends("head", r, 0)
c.write("heads", r.stdout)
eq("a line for each run: id, number, hash", [len(x.split()) for x in r.stdout.splitlines()], [3, 3])
ends("verify --head", c.rb("verify", "--head", "heads"), 0)
db = sqlite3.connect(c.journal)
run = c.ids()[0]
seq, = db.execute("SELECT max(seq) FROM events WHERE run = ?", (run,)).fetchone()
db.execute("DELETE FROM events WHERE run = ? AND seq = ?", (run, seq))
prev, = db.execute("SELECT hash FROM events WHERE run = ? AND seq = ?", (run, seq - 1)).fetchone()
db.execute("UPDATE runs SET seq = ?, head = ?, status = 'running' WHERE id = ?", (seq - 1, prev, run))
db.commit()
db.close()
ends("a tail that was cut off together with its row is not seen without a head", c.rb("verify"), 0)
r = c.rb("verify", "--head", "heads")
check("and is found with one", r.returncode == 5 and run in r.stdout + r.stderr, (r.returncode, r.stdout, r.stderr))
for what, sql in (
    ("an event's data", "UPDATE events SET data = replace(data, 'echo', 'ecHo') WHERE seq = 2"),
    ("a parameter", "UPDATE events SET data = replace(data, '\"params\":{}', '\"params\":{\"a\":1}') WHERE seq = 1"),
    ("a time", "UPDATE events SET at = at + 1 WHERE seq = 3"),
    ("a source", "UPDATE blobs SET data = CAST('print 1' AS BLOB)"),
    ("a missing source", "DELETE FROM blobs"),
    ("a missing event", "DELETE FROM events WHERE seq = 2"),
    ("the row's status", "UPDATE runs SET status = 'failed'"),
):
    c = Case('exec({ "echo", "x" }) print "x"')
    c.run()
    db = sqlite3.connect(c.journal)
    n = db.execute(sql).rowcount
    db.commit()
    db.close()
    r = c.rb("verify")
    check(
        f"verify finds a change to {what}",
        n >= 1 and r.returncode == 5 and c.id in r.stdout + r.stderr,
        (n, r.returncode, r.stdout, r.stderr),
    )
c = Case('print "x"')
for _ in range(3):
    c.run()
c.write("w.lua", 'signal "go"')
c.rb("run", "w.lua")
ends("journal backup", c.rb("journal", "backup", "copy.db"), 0)
r = c.rb("--journal", "copy.db", "ls", "-q")
eq("is a whole journal", r.stdout.split(), c.ids()[::-1])
ends("that verifies", c.rb("--journal", "copy.db", "verify"), 0)
r = c.rb("journal", "backup", "copy.db")
check(
    "an existing file is not overwritten unasked",
    r.returncode in (2, 5) and "copy.db" in r.stderr,
    (r.returncode, r.stderr),
)
r = c.rb("journal", "stats")
check(
    "journal stats counts runs",
    "4" in [x.split()[1] for x in r.stdout.splitlines() if x.startswith("runs")],
    r.stdout,
)
r = c.rb("help", "journal")
ends("help journal", r, 0)
r = c.rb("journal", "prune", "--help")
contains("journal prune has help", r.stdout, "prune")
finish()
