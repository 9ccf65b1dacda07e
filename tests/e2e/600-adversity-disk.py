#!/usr/bin/env python3
# time-limit: 300
"""What disks do to a journal: full, read-only, locked, torn, cut. Each time: the exit code, that nothing acknowledged
is lost, and the command that goes on (invariants 3 and 6 of host/store/journal.c)."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/crash", os.environ["T"] + "/verify2"]
sys.dont_write_bytecode = True

import verify2
from book import Case, ends
from case import Event
from lib import RBHOST, SLOW, T, TMP, check, contains, eq, finish, start, wait_for
from prefixes import words

WORLD = (T / "crash" / "books" / "world.lua").read_text()

# Each effect once, whatever happens; the lines make the journal grow.
FILLS = """
local w = require "world"
for i = 1, 120 do
    w.put("w" .. i)
    print(("x"):rep(3000))
end
evidence("final", "full")
"""


def shown(r):
    """Events that a process has shown: what it has acknowledged."""
    return [e for e in map(json.loads, r.stdout.splitlines()) if e["type"] == "event"]


def none_lost(name, case, r):
    there = {e.seq: (e.kind, e.data) for e in events_of(case.journal)}
    lost = [e["seq"] for e in shown(r) if there.get(e["seq"]) != (e["kind"], e["data"])]
    check(f"{name}: what was shown is in the journal", not lost and len(shown(r)) > 5, f"lost: {lost}\n{r.stderr}")
    intended = {e.word() for e in events_of(case.journal) if e.kind == "intent"}
    strange = [w for w in case.lines("world") if w not in intended]
    check(f"{name}: no effect without its intent", not strange, strange)


def events_of(journal):
    db = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        return [Event(*row) for row in db.execute("SELECT seq, at, key, kind, data FROM events ORDER BY run, seq")]
    finally:
        db.close()


def goes_on(name, case, **kw):
    """With its troubles over the run is resumed, and has done everything once."""
    ends(f"{name}: it goes on", case.rb("resume", "--json", **kw), 0)
    eq(f"{name}: each effect once", sorted(case.lines("world")), sorted(f"w{i}" for i in range(1, 121)))
    ends(f"{name}: verify", case.rb("verify", "--all", **kw), 0)
    db = sqlite3.connect(f"file:{case.journal}?mode=ro", uri=True)
    eq(f"{name}: the second verifier", verify2.verify(db, case.id)[0], None)
    db.close()


def filling():
    case = Case(FILLS, world=WORLD)
    (case.dir / "world").touch()
    return case


def told(name, r):
    ends(f"{name}: exit code", r, 5)
    contains(f"{name}: it says what is wrong", r.stderr, "can not be written any more")
    last = json.loads(r.stdout.splitlines()[-1])
    check(f"{name}: the next command", any(" resume " in c for c in last["next"]), last)


# -- no space ----------------------------------------------------------------------------------------------------------

def limited(case, *args):
    """rbhost under a limit on the size of files, as a full disk without one."""
    return subprocess.run(
        [RBHOST, *args], cwd=case.dir, env=case.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60 * SLOW, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000)),
    )


case = filling()
r = limited(case, "run", "t.lua", "--json")
told("a limit on files", r)
none_lost("a limit on files", case, r)
r = limited(case, "resume", "--json")
check("resumed too early it stops again", r.returncode == 5, r.stderr)
none_lost("a limit on files, resumed", case, r) if shown(r)[5:] else None
goes_on("a limit on files", case)

disk = TMP / "disk"
disk.mkdir()
if os.geteuid() == 0 and subprocess.run(
    ["mount", "-t", "tmpfs", "-o", "size=512k", "none", disk], capture_output=True
).returncode == 0:
    try:
        case = filling()
        case.journal = disk / "j.db"
        case.env["RBHOST_JOURNAL"] = str(case.journal)
        r = case.run("--json")
        told("a full disk", r)
        contains("a full disk: in words", r.stderr, "no space left")
        none_lost("a full disk", case, r)
        ends("a full disk: ls", case.rb("ls"), 0)
        ends("a full disk: verify", case.rb("verify", "--all"), 0)
        ends("a full disk: resume", case.rb("resume"), 5)
        subprocess.run(["mount", "-o", "remount,size=32m", disk], check=True)
        goes_on("a full disk", case)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
else:
    print("ok - a full disk # SKIP a small file system can not be mounted here")

# -- read-only ---------------------------------------------------------------------------------------------------------

def plainly(case, *args):
    """rbhost without the rights that let root write everything."""
    bare = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    return subprocess.run([*bare, RBHOST, *args], cwd=case.dir, env=case.env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60 * SLOW)


case = Case('approve "Go on?"\nprint "gone on"')
ends("it waits", case.run(), 3)
before = case.events()
for path, mode in ((case.journal, 0o400), (case.dir / "j.db.d", 0o500), (case.dir, 0o500)):
    path.chmod(mode)
for args in (["run", "t.lua"], ["resume"], ["approve", case.id, "--resume"], ["cancel", case.id]):
    r = plainly(case, *args)
    ends(f"read-only: {args[0]}", r, 5)
    check(f"read-only: {args[0]} names the journal", "j.db" in r.stderr and "\n\n" not in r.stderr, r.stderr)
for args in (["ls"], ["show", case.id], ["log", case.id], ["verify", "--all"], ["head"], []):
    r = plainly(case, *args)
    shows = case.id in r.stdout + r.stderr or "Go on?" in r.stdout
    check(f"read-only: {args[0] if args else 'rbhost'} shows it", r.returncode == 0 and shows,
          f"exit {r.returncode}\n{r.stdout}{r.stderr}")
eq("read-only: nothing has changed", case.events(), before)
for path, mode in ((case.dir, 0o700), (case.dir / "j.db.d", 0o700), (case.journal, 0o600)):
    path.chmod(mode)
ends("writable again it goes on", case.rb("approve", case.id, "--resume"), 0)
eq("and ends", case.status(), "succeeded")

# -- locked ------------------------------------------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def holder(case):
    p = start([sys.executable, "-c", HOLD, case.journal], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdout.readline()
    return p


case = Case('local w = require "world"\nw.put "one"\nsignal "go"\nw.put "two"', world=WORLD)
(case.dir / "world").touch()
ends("locked: first it waits for a signal", case.run(), 3)
p = holder(case)
r = case.rb("signal", case.id, "go")
ends("locked for too long", r, 5)
contains("locked for too long: by whom", r.stderr, f"pid {p.pid}")
contains("locked for too long: by what", r.stderr, "python3")
ends("locked: ls shows it", case.rb("ls"), 0)
host = case.start("signal", case.id, "go", "--resume")
wait_for("it waits for the lock", lambda: (case.dir / "j.db.d" / "lock").read_text().strip() == str(host.pid))
check("locked: it waits", host.poll() is None)
p.stdin.close()
eq("unlocked, it goes on", host.wait(60 * SLOW), 0)
eq("locked: each effect once", case.lines("world"), ["one", "two"])
p.wait()

# -- torn --------------------------------------------------------------------------------------------------------------

STEPS = """
local w = require "world"
for i = 1, 20 do
    w.put("w" .. i)
    print(("x"):rep(i * 10))
end
evidence("final", "whole")
"""

source = Case(STEPS, world=WORLD)
(source.dir / "world").touch()
# killed at its end, so that the WAL is there whole
r = source.run("--json", binary=os.environ["RBHOST_FAULT_BIN"], env={"RBHOST_FAULT": "kill:run.before-end:1"})
eq("torn: a run is killed", r.returncode, -9)
wal = (source.dir / "j.db-wal").read_bytes()
page = int.from_bytes(wal[8:12], "big") + 24
frames = range(0, (len(wal) - 32) // page + 1, 3)
cuts = sorted({0, 7, 32, len(wal), *(32 + n * page - d for n in frames for d in (0, 1, 500))})
bad, gone_on, events_before = [], 0, 0
for cut in (c for c in cuts if 0 <= c <= len(wal)):
    torn = Case(STEPS, world=WORLD)
    shutil.copy(source.journal, torn.journal)
    (torn.dir / "j.db-wal").write_bytes(wal[:cut])
    try:
        events = events_of(torn.journal)
    except sqlite3.Error:  # from before the tables were made
        events = []
    r = torn.rb("verify", "--all")
    if r.returncode and events:
        bad.append(f"cut at {cut}: verify: {r.stdout}{r.stderr}")
        continue
    if len(events) < events_before:
        bad.append(f"cut at {cut}: {len(events)} events, and {events_before} at a shorter length")
    events_before = len(events)
    done, doubted = words(events, len(events))
    (torn.dir / "world").write_text("".join(w + "\n" for w in done + doubted))
    r = torn.rb("resume") if events else torn.rb("run", "t.lua")
    gone_on += bool(events)
    if r.returncode or sorted(torn.lines("world")) != sorted(f"w{i}" for i in range(1, 21)):
        bad.append(f"cut at {cut}: exit {r.returncode}: {r.stderr}")
check(f"torn: {len(cuts)} lengths of the WAL, each sound and gone on with", not bad and gone_on > 20, "\n".join(bad))
numbers = [e.seq for e in events_of(source.journal)]
eq("torn: the whole one has everything", numbers, list(range(1, len(numbers) + 1)))

# -- cut in the middle -------------------------------------------------------------------------------------------------

ends("cut: its source goes on", source.rb("resume"), 0)
heads = source.rb("head").stdout
(source.dir / "heads").write_text(heads)
ends("cut: a whole copy", source.rb("journal", "backup", source.dir / "whole.db"), 0)
whole = (source.dir / "whole.db").read_bytes()
bad = []
lengths = [len(whole) * i // 24 for i in range(1, 24)]
for length in lengths:
    cut = Case()
    cut.journal.write_bytes(whole[:length])
    cut.write("t.lua", 'print "new"')
    for args in (["verify", "--all"], ["resume"], ["run", "t.lua"], ["ls"], ["show"], ["log"], ["export", "latest"],
                 ["journal", "stats"], ["doctor"]):
        r = cut.rb(*args)
        if r.returncode < 0 or r.returncode > 6 or (args[0] == "verify" and r.returncode != 5):
            bad.append(f"{length} bytes: {' '.join(args)}: exit {r.returncode}\n{r.stderr}")
        elif r.returncode and not r.stderr.strip() + r.stdout.strip():
            bad.append(f"{length} bytes: {' '.join(args)}: exit {r.returncode} without a word")
    if cut.journal.read_bytes()[:100] != whole[:100]:
        bad.append(f"{length} bytes: somebody has written to it")
check(f"cut at {len(lengths)} places: verify says so, and nothing dies of it", not bad, "\n".join(bad[:6]))

shutil.copy(source.dir / "whole.db", source.dir / "tail.db")
db = sqlite3.connect(source.dir / "tail.db")
with db:
    (last,) = db.execute("SELECT max(seq) FROM events").fetchone()
    db.execute("DELETE FROM events WHERE seq > ?", (last - 3,))
    db.execute("UPDATE runs SET status = 'running', seq = ?, head = (SELECT hash FROM events WHERE seq = ?)",
               (last - 3, last - 3))
db.close()
tail = ["--journal", str(source.dir / "tail.db")]
ends("a cut tail and a row that fits: the chain alone is sound", source.rb("verify", *tail), 0)
r = source.rb("verify", "--head", source.dir / "heads", *tail)
ends("against a head that was kept it is found", r, 5)
contains("and the first event that is missing is named", r.stdout, f"event {last - 2}")

finish()
