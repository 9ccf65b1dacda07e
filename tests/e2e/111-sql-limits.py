#!/usr/bin/env python3
"""sql on SQLite: caps, another writer's lock, time-outs, cancelling, parking, files that are replaced or copied, hundreds
at once."""
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, waits
from lib import RBHOST, check, contains, eq, finish, wait_for

LONG = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) AS n FROM c"  # has no end


def database(case, script="CREATE TABLE t (id INTEGER PRIMARY KEY, a)", name="app.db"):
    with contextlib.closing(sqlite3.connect(case.dir / name)) as db:
        db.executescript(script)


def count(case, name="app.db"):
    with contextlib.closing(sqlite3.connect(case.dir / name)) as db:
        return db.execute("SELECT count(*) FROM t").fetchone()[0]


# -- caps

c = Case(r"""
    local db = sql.open("sqlite:app.db")
    local N = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?) SELECT i FROM c"
    print(#db:query(N, 10000))
    local ok, e = pcall(db.query, db, N, 10001) print(ok, e.kind, e.outcome, e.message)
    print(#db:query { N, 10001, max_rows = 20000 })
    ok, e = pcall(db.query, db, { N, 11, max_rows = 10 }) print(ok, e.kind)
    print(#db:query { N, 10, max_rows = 10 })
    ok, e = pcall(db.query, db, { "SELECT zeroblob(1000) AS z", max_bytes = 999 }) print(ok, e.kind, e.message)
    ok, e = pcall(db.query, db, "SELECT zeroblob(17000000) AS z") print(ok, e.kind)
    ok, e = pcall(db.query, db, "SELECT zeroblob(300000000) AS z") print(ok, e.kind)
    ok, e = pcall(db.query, db, N, 1 << 60) print(ok, e.kind)
    local r = db:exec { "INSERT INTO t (a) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100) SELECT i FROM c RETURNING id", max_rows = 10 }
    print(#r.rows, r.more, r.changes)
    ok, e = pcall(db.query, db, "SELECT ?", ("x"):rep(1 << 20)) print(ok and #e[1]["?"])
""")
database(c)
ends("caps", c.run(), 0)
got = c.prints()
eq("10,000 rows unless more is asked for", (got[0], got[2]), ("10000", "10001"))
contains("one more is an error that says what to do", got[1], "false\tsql.too_big\tfailed")
contains("LIMIT, each, max_rows", got[1], "add LIMIT")
eq("max_rows of the call, to the row", got[3:5], ["false\tsql.too_big", "10"])
contains("bytes have a cap of their own", got[5], "false\tsql.too_big")
eq("16 MiB by default, 256 MiB for one value; what has no end is cut at its cap", got[6:9],
   ["false\tsql.too_big", "false\tsql.too_big", "false\tsql.too_big"])
eq("a write goes on to its end, its rows are cut", got[9], "10\ttrue\t100")
eq("a parameter of 1 MiB", got[10], "1048576")
eq("all were written", count(c), 100)

# -- another writer

c = Case(r"""
    local db = sql.open("sqlite:app.db")
    local ok, e = pcall(db.exec, db, { "INSERT INTO t (a) VALUES (1)", timeout = "200ms" })
    print(ok, e.kind, e.outcome, e.retryable, e.message)
    print(#db:query("SELECT * FROM t"))
""")
database(c)
with contextlib.closing(sqlite3.connect(c.dir / "app.db", isolation_level=None)) as other:
    other.execute("BEGIN IMMEDIATE")
    ends("another holds the lock", c.run(), 0)
    contains("for longer than the time-out: busy, and not started", c.prints()[0], "false\tsql.busy\tnot_started\ttrue")
    contains("the message says who", c.prints()[0], f"app.db: the database is locked by process {os.getpid()} (")
    eq("reads go on", c.prints()[1], "0")
    other.execute("ROLLBACK")
eq("nothing was written", count(c), 0)
c = Case("sql('sqlite:app.db', { 'INSERT INTO t (a) VALUES (1)', timeout = '60s' }) print 'through'")
database(c)
with contextlib.closing(sqlite3.connect(c.dir / "app.db", isolation_level=None)) as other:
    other.execute("BEGIN IMMEDIATE")
    p = c.start("run", "t.lua")
    waits(c, "intent")
    other.execute("COMMIT")
eq("a lock that goes is waited for", p.wait(60), 0)
eq("and then it is written", (c.prints(), count(c)), (["through"], 1))
c = Case("""
    local n = 0
    retry({ times = 50, delay = "50ms", on = "sql.busy" }, function(attempt)
      n = attempt
      sql("sqlite:app.db", { "INSERT INTO t (a) VALUES (1)", timeout = "50ms" })
    end)
    print(n > 1)
""")
database(c)
with contextlib.closing(sqlite3.connect(c.dir / "app.db", isolation_level=None)) as other:
    other.execute("BEGIN IMMEDIATE")
    p = c.start("run", "t.lua")
    waits(c, "record")
    other.execute("COMMIT")
eq("busy can be retried", (p.wait(60), c.prints(), count(c)), (0, ["true"], 1))

c = Case("""
    local db = sql.open("sqlite:app.db", { timeout = "100ms" })
    local ok, e = pcall(db.tx, db, { attempts = 1 }, function() end)
    print(e.kind, e.message:match "[0-9.]+s; nothing was done")
""")
database(c)
with contextlib.closing(sqlite3.connect(c.dir / "app.db", isolation_level=None)) as other:
    other.execute("BEGIN IMMEDIATE")
    c.run()
    eq("a transaction waits for its lock as long as its db says", c.prints()[0], "sql.busy\t0.1s; nothing was done")

# -- no right to write beside it

c = Case("""
    local function try(dsn, text) local _, e = pcall(sql, dsn, text) print(e.kind, e.outcome, e.message) end
    try("sqlite:wal/app.db", "SELECT * FROM t")
    try("sqlite:wal/app.db?mode=ro", "SELECT * FROM t")
    try("sqlite:wal/app.db", "DELETE FROM t")
    try("sqlite:wal/closed.db", "SELECT 1")
""")
(c.dir / "wal").mkdir()
for name in ("wal/app.db", "wal/closed.db"):
    database(c, "PRAGMA journal_mode = WAL; CREATE TABLE t (a)", name)
(c.dir / "wal/app.db").chmod(0o444)
(c.dir / "wal/closed.db").chmod(0)
(c.dir / "wal").chmod(0o555)
as_another = []
if os.getuid() == 0:  # root may write everywhere
    os.chmod(c.dir.parent, 0o755)
    c.dir.chmod(0o777)
    as_another = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
r = subprocess.run([*as_another, RBHOST, "run", "t.lua"], cwd=c.dir, env={**c.env, "HOME": str(c.dir)}, stdin=subprocess.DEVNULL,
                   capture_output=True, text=True)
ends("a database in WAL mode whose side files can not be made", r, 0)
for i in (0, 1):
    contains("says so, and not that the statement writes", c.prints()[i], "sql.connect\tnot_started\t")
    contains("and what it needs", c.prints()[i], "the right to write in its folder")
contains("and so does a write", c.prints()[2], "the right to write in its folder")
contains("a file that can not be read", c.prints()[3], "Permission denied")
(c.dir / "wal").chmod(0o755)

# -- stopping

c = Case(f"""
    local db = sql.open("sqlite:app.db")
    local ok, e = pcall(db.query, db, {{ "{LONG}", timeout = "100ms" }})
    print(ok, e.kind, e.outcome, e.message)
    ok, e = pcall(db.exec, db, {{ "INSERT INTO t (a) {LONG}", timeout = "100ms" }})
    print(ok, e.kind, e.outcome)
    ok, e = pcall(timeout, "100ms", function() db:exec("INSERT INTO t (a) {LONG}") end)
    print(ok, e.kind)
    print(race {{ a = function() sleep "50ms" return "first" end, b = function() return db:query("{LONG}") end }})
    print(db:value "SELECT count(*) FROM t")
""")
database(c)
ends("what takes too long", c.run(), 0)
got = c.prints()
contains("is stopped: a time-out, and nothing of it stays", got[0], "false\tsql.timeout\tfailed")
eq("of a write too", got[1], "false\tsql.timeout\tfailed")
eq("or by its task, or by the race", got[2:4], ["false\ttimeout", "first\ta"])
eq("the connection is as good as before", got[4], "0")
c = Case(f'sql("sqlite:app.db", "INSERT INTO t (a) {LONG}")')
database(c)
p = c.start("run", "t.lua")
waits(c, "intent")
ends("cancelled from outside", c.rb("cancel", c.id, "--reason", "enough"), 0)
eq("it ends", (p.wait(60), c.status()), (1, "cancelled"))
eq("and has written nothing", count(c), 0)
c = Case(f'sql("sqlite:app.db", {{ "INSERT INTO t (a) {LONG}", on_doubt = "fail" }})')
database(c)
c.write("conf.lua", "return { limits = { park_grace = '100ms' } }")
p = c.start("run", "t.lua", "--config", c.dir / "conf.lua")
waits(c, "intent")
park(c, p)
eq("a statement that does not end holds no park up", c.status(), "parked")
r = c.rb("resume")
ends("resumed, it is in doubt", r, 1)
contains("as it says", r.stderr, "its outcome is not known")
eq("and nothing was written", count(c), 0)

# -- files

c = Case(r"""
    local db = sql.open("sqlite:app.db")
    print(db:value "SELECT count(*) FROM t")
    exec { "mv", "@DIR@/restored.db", "@DIR@/app.db" }
    print(db:value "SELECT count(*) FROM t")
    exec { "rm", "@DIR@/app.db" }
    print(pcall(db.value, db, "SELECT count(*) FROM t"))
""")
database(c)
database(c, "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t (a) VALUES (1)", "restored.db")
ends("a file that is replaced", c.run(), 0)
eq("is the new one, though a connection was kept", c.prints()[:2], ["0", "1"])
contains("and gone when it is gone", c.prints()[2], "there is no such file")
c = Case(r"""
    local db = sql.open("sqlite:app.db")
    db:exec "PRAGMA journal_mode = wal"
    db:query "SELECT * FROM t"
    db:exec "INSERT INTO t (a) VALUES (1)"
    exec { "cp", "@DIR@/app.db", "@DIR@/copy.db" }
    db:tx(function(tx) tx:exec "INSERT INTO t (a) VALUES (1)" end)
    exec { "cp", "@DIR@/app.db", "@DIR@/copy2.db" }
    print(exec.sh("cd @DIR@ && ls app.db* copy*").stdout)
""")
database(c)
ends("a database in WAL mode", c.run(), 0)
eq("is at rest between operations: a plain copy is whole", (count(c, "copy.db"), count(c, "copy2.db")), (1, 2))
eq("and no WAL is left", c.prints()[0].split(), ["app.db", "copy.db", "copy2.db"])
c = Case('print(sql("sqlite:app.db", "SELECT count(*) AS n FROM t")[1].n)')
database(c, "PRAGMA journal_mode = delete; CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t (a) VALUES (1)")
hot = Case()  # a writer that was killed in the middle has left its rollback journal
shutil.copy(c.dir / "app.db", hot.dir / "app.db")
with contextlib.closing(sqlite3.connect(hot.dir / "app.db", isolation_level=None)) as db:
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN")
    db.execute("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) INSERT INTO t (a) SELECT i FROM c")
    shutil.copy(hot.dir / "app.db", c.dir / "app.db")
    shutil.copy(hot.dir / "app.db-journal", c.dir / "app.db-journal")
    db.execute("ROLLBACK")
hot.write("tx.lua", 'print(sql.open("sqlite:app.db"):tx({ read = true }, function(tx) return tx:value "SELECT count(*) FROM t" end))')
hot.write("backup.lua", 'sql.open("sqlite:app.db"):backup "copy.db" print(sql("sqlite:copy.db", "SELECT count(*) AS n FROM t")[1].n)')
for name in ("tx.lua", "backup.lua"):
    for file in ("app.db", "app.db-journal"):
        shutil.copy(c.dir / file, hot.dir / file)
    ends(f"{name} of what a killed writer has left", hot.rb("run", name), 0)
    eq("mends it, too", hot.prints(), ["1"])
check("a hot journal", (c.dir / "app.db-journal").stat().st_size > 512, "")
ends("a read of what a killed writer has left", c.run(), 0)
eq("mends it first", c.prints(), ["1"])
c = Case('print(sql("sqlite:app.db?mode=rwc", { "CREATE TABLE t (x)" }).changes) print(#sql("sqlite:sub/../app.db", "SELECT * FROM t"))\n'
         'print(pcall(sql, "sqlite:no.db?mode=rwc", "SELECT 1"))')
ends("mode=rwc", c.run(), 0)
eq("makes the file, beside the runbook", (c.prints()[:2], (c.dir / "app.db").exists()), (["0", "0"], True))
check("a read makes none", "a read makes none" in c.prints()[2] and not (c.dir / "no.db").exists(), c.prints())
c = Case('print(sql("sqlite:app.db", "SELECT count(*) AS n FROM t")[1].n) signal "go" print(sql("sqlite:app.db", "SELECT count(*) AS n FROM t")[1].n)')
database(c)
c.run()
os.makedirs(c.dir / "elsewhere")


r = subprocess.run([RBHOST, "signal", c.id, "go", "--resume"], cwd=c.dir / "elsewhere", env=c.env, capture_output=True, text=True)
eq("a relative file counts from the runbook, wherever it is resumed", (r.returncode, c.prints()), (0, ["0", "0"]))

# -- many

c = Case(r"""
    local db = sql.open("sqlite:app.db", { timeout = "50s" })
    local list = {}
    for i = 1, 200 do list[i] = i end
    each(list, { limit = 200 }, function(i) db:exec("INSERT INTO t (id) VALUES (?)", i) end)
    local r = each(list, { limit = 200 }, function(i) return db:value("SELECT id FROM t WHERE id = ?", i) end)
    local sum = 0
    for _, v in ipairs(r) do sum = sum + v end
    print(sum, db:value "SELECT count(*) FROM t")
    signal "go"
""")
database(c)
p = c.start("run", "t.lua", "--wait")
waits(c)
eq("200 at once, written and read", c.prints(), ["20100\t200"])
files = wait_for("a handful of connections", lambda: [
    f for f in os.listdir(f"/proc/{p.pid}/fd") if "app.db" in os.readlink(f"/proc/{p.pid}/fd/{f}")] or True)
check("few connections are kept", files is True or len(files) <= 8, files)
finish()
