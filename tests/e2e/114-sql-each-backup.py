#!/usr/bin/env python3
"""db:each: rows in batches, gone on with after a crash; db:backup: a whole copy while others write, or none."""
import contextlib
import os
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import RBHOST_FAULT, check, contains, eq, finish

DB = 'local db = sql.open("sqlite:app.db")\n'
FILL = ("CREATE TABLE t (id INTEGER PRIMARY KEY, a); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c "
        "WHERE i < {}) INSERT INTO t SELECT i, 'row ' || i FROM c;")


def book(text, n=25):
    c = Case(DB + text)
    with contextlib.closing(sqlite3.connect(c.dir / "app.db")) as db:
        db.executescript(FILL.format(n))
    return c


def count(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        eq(f"{path.name} is sound", db.execute("PRAGMA integrity_check").fetchone()[0], "ok")
        return db.execute("SELECT count(*) FROM t").fetchone()[0]


def ended(process):
    """Waits a moment for its end: whoever writes in a loop would leave it no turn."""
    try:
        return process.wait(0.005) is not None
    except subprocess.TimeoutExpired:
        return False


# -- each, by a key

c = book("""
    local db = sql.open("sqlite:app.db")
    local seen = {}
    print(db:each("SELECT id, a FROM t", nil, { key = "id", batch = 4 }, function(row)
      seen[#seen + 1] = row.id
      db:exec("DELETE FROM t WHERE id = ?", row.id)
    end), table.concat(seen, " "))
    for i = 1, 9 do db:exec("INSERT INTO t VALUES (?, ?)", i, i % 3 == 0 and null or "k" .. i) end
    local function each(text, params, opts)
      local keys = {}
      local ok, e = pcall(db.each, db, text, params, opts, function(row) keys[#keys + 1] = row[opts.key] end)
      print(ok and table.concat(keys, " ") or e.kind .. ": " .. e.message)
    end
    each("SELECT id FROM t WHERE id > ? AND id < ? -- all", { 2, 8 }, { key = "id", batch = 2 })
    each("SELECT id FROM t WHERE id > :low", { low = 6 }, { key = "id", batch = 1 })
    each("SELECT a FROM t WHERE a IS NOT NULL;", nil, { key = "a", batch = 2 })
    each("SELECT a FROM t", nil, { key = "a", batch = 4 })
    each("SELECT id % 5 AS k FROM t", nil, { key = "k", batch = 2 })
    each("SELECT id FROM t", nil, { key = "no-such", batch = 3 })
    each("SELECT id FROM t WHERE 0", nil, { key = "id" })
""")
ends("each by a key", c.run(), 0)
every = " ".join(str(i) for i in range(1, 26))
eq("loses no row when its function deletes", c.prints()[0], f"25\t{every}")
eq("with parameters of either kind, in the order of the key", c.prints()[1:4], ["3 4 5 6 7", "7 8 9", "k1 k2 k4 k5 k7 k8"])
contains("a key that is null", c.prints()[4], "usage: db:each: the key a is null in a row")
contains("one that is there twice, though a border of a batch lies between", c.prints()[5], "usage: db:each: k is 1 in more than one row")
contains("one that is no column", c.prints()[6], 'there is no column no-such; there are id')
eq("no rows", c.prints()[7], "")

# -- each

c = book("""
    local sum, seen = 0, {}
    print(db:each("SELECT id, a FROM t WHERE id > :low ORDER BY id -- in order\\n;", { low = 5 }, { batch = 8 }, function(row, n)
      sum = sum + row.id
      seen[#seen + 1] = n
    end), sum, #seen, seen[20])
    print(db:each("SELECT id FROM t ORDER BY id", { batch = 25 }, function() end) )
""")
r = c.run()
contains("each, its options in the wrong place", r.stderr, "no parameter :batch")
c = book("""
    local sum = 0
    print(db:each("SELECT id, a FROM t WHERE id > :low ORDER BY id -- in order\\n;", { low = 5 }, { batch = 8 }, function(row) sum = sum + row.id end), sum)
    print(db:each("SELECT id FROM t WHERE id > ? ORDER BY id", { 20 }, function() end), db:each("SELECT id FROM t", function() end))
    print(db:each("SELECT id FROM t WHERE 0", function() end))
    print(db:each("SELECT id FROM t ORDER BY id", nil, { batch = 10 }, function(row, n) if n == 12 then return false end end))
    print(pcall(db.each, db, "SELECT id FROM t", nil, { max_rows = 24 }, function() end))
    print(pcall(db.each, db, "SELECT id FROM t", nil, { bach = 24 }, function() end))
    print(pcall(db.each, db, "DELETE FROM t", function() end))
    print(pcall(db.each, db, "SELECT id FROM t"))
""")
ends("each", c.run(), 0)
eq("calls its function for every row, and says how many", c.prints()[:3], ["20\t310", "5\t25", "0"])
eq("false ends it", c.prints()[3], "12")
for i, says in ((4, "more than 24 rows"), (5, "did you mean batch"), (6, "must be a SELECT"), (7, "the function")):
    contains(f"{says}", c.prints()[i], says)
batches = [e for e in c.events("result") if e["key"].startswith("each/")]
eq("each batch is an operation", [len(e["value"]["$rows"]) if isinstance(e["value"], dict) else 0 for e in batches], [8, 8, 4])
c = book("""
    local done = {}
    db:each("SELECT id FROM t ORDER BY id", nil, { batch = 10 }, function(row, n)
      exec({ "sh", "-c", "echo $0 >> @DIR@/world", row.id }, { on_doubt = "fail" })
    end)
""")
c.run(env={"RBHOST_FAULT": "kill:effect.after-outcome:24"}, binary=RBHOST_FAULT)
check("killed in the second batch", 5 < len(c.lines("world")) < 25, c.lines("world"))
while c.status() == "running":
    r = c.rb("resume")
    if r.returncode:
        break
if c.status() == "failed":  # the last line was written and not recorded
    r = c.rb("retry", c.id, "--op", str([e for e in c.events("intent")][-1]["seq"]))
check("resumed, each row is met once more or not at all, in order",
      sorted(set(map(int, c.lines("world")))) == list(range(1, 26)), (c.status(), c.lines("world"), r.stderr))

# -- backup

c = book("""
    print(db:backup("copy.db"))
    db:exec "INSERT INTO t (a) VALUES ('later')"
    print(sql("sqlite:copy.db", "SELECT count(*) AS n FROM t")[1].n)
    db:backup "@DIR@/copy.db"
    print(pcall(db.backup, db, "none/copy.db"))
    print(pcall(db.backup, db, "copy.db", { tmeout = 1 }))
""")
os.chmod(c.dir / "app.db", 0o640)
ends("a backup", c.run(), 0)
eq("is a copy of that moment, and replaces an older one", (c.prints()[:2], count(c.dir / "copy.db")), (["nil", "25"], 26))
contains("into a folder that is not there: an error", c.prints()[2], "No such file")
eq("it is as readable as its original", oct((c.dir / "copy.db").stat().st_mode & 0o777), "0o640")
eq("nothing else is left", sorted(p.name for p in c.dir.glob("*copy*")), ["copy.db"])
c = book('for i = 1, 5 do db:exec("INSERT INTO t (a) VALUES (?)", i) db:backup "copy.db" end', 5000)
with contextlib.closing(sqlite3.connect(c.dir / "app.db", isolation_level=None, timeout=30)) as other:
    other.execute("PRAGMA journal_mode = wal")
    p = c.start("run", "t.lua")
    n = 0
    while not ended(p):
        other.execute("INSERT INTO t (a) VALUES ('other')")
        n += 1
check("while another writes", p.returncode == 0, c.text("host.out"))
check("it is whole", 5005 <= count(c.dir / "copy.db") <= 5005 + n, n)
c = book('db:backup "copy.db"', 60000)
with contextlib.closing(sqlite3.connect(c.dir / "app.db", isolation_level=None, timeout=30)) as other:
    p = c.start("run", "t.lua")
    while not ended(p):
        other.execute("UPDATE t SET a = a || '!' WHERE id = 1")
eq("while another writes again and again, without a WAL", p.returncode, 0)
eq("it ends, and is whole", count(c.dir / "copy.db"), 60000)
c = book('db:backup "copy.db" print "through"', 2000)
(c.dir / "copy.db").write_text("what was there before")
c.run(env={"RBHOST_FAULT": "kill:sql.before-rename:1"}, binary=RBHOST_FAULT)
eq("killed before it is put in place: what was there is there", c.text("copy.db"), "what was there before")
ends("resumed", c.rb("resume"), 0)
eq("it is made again", (c.prints(), count(c.dir / "copy.db")), (["through"], 2000))
eq("and the part that was left is gone", sorted(p.name for p in c.dir.glob(".*")), [])
c = book('db:backup { "copy.db" }')
contains("a path", c.run().stderr, "the path must be a string")
finish()
