#!/usr/bin/env python3
"""db:tx: all or nothing, one operation in what it promises: rolled back by errors, cancels and parks; called again after
conflicts and crashes; in doubt only behind its COMMIT's intent; exactly_once; what is refused inside."""
import contextlib
import os
import signal
import sqlite3
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, waits
from lib import RBHOST_FAULT, SLOW, check, contains, eq, finish

DB = 'local db = sql.open("sqlite:app.db")\n'
LONG = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) AS n FROM c"


def database(case, script="CREATE TABLE t (id INTEGER PRIMARY KEY, a)", name="app.db"):
    with contextlib.closing(sqlite3.connect(case.dir / name)) as db:
        db.executescript(script)


def words(case, name="app.db"):
    with contextlib.closing(sqlite3.connect(case.dir / name)) as db:
        return [a for (a,) in db.execute("SELECT a FROM t ORDER BY id")]


def book(text, **kw):
    c = Case(DB + text, **kw)
    database(c)
    return c


# -- all or nothing

c = book("""
    local a, b = db:tx(function(tx, attempt)
      local r = tx:exec("INSERT INTO t (a) VALUES (?)", "one")
      tx:exec("INSERT INTO t (a) VALUES (:x)", { x = "two" })
      print(r.last_id, tx:value "SELECT count(*) FROM t", tx:one("SELECT a FROM t WHERE id = 2").a, #tx:query "SELECT * FROM t", attempt)
      print(db:value "SELECT count(*) FROM t")
      return { n = tx:value "SELECT count(*) FROM t" }, "second"
    end)
    print(a.n, b)
""")
ends("a transaction", c.run(), 0)
eq("sees its own writes, others do not; it returns what its function returns", c.prints(), ["1\t2\ttwo\t2\t1", "0", "2\tsecond"])
eq("and is committed", words(c), ["one", "two"])
eq("it has one intent: the COMMIT, which names what it keeps", [e["args"].get("writes") for e in c.events("intent")],
   [["INSERT INTO t (a) VALUES (?)", "INSERT INTO t (a) VALUES (:x)"]])
for name, body, kind in (
    ("an error of the function", 'fail "no"', "failed"),
    ("an error of Lua", "local x = nil + 1", "lua"),
    ("an error of a statement", 'tx:exec "INSERT INTO nope VALUES (1)"', "sql.error"),
    ("a constraint", 'tx:exec "INSERT INTO t (id) VALUES (1)" tx:exec "INSERT INTO t (id) VALUES (1)"', "sql.constraint"),
    ("a result that is no data", "return print", "usage"),
    ("a write in tx:query", 'tx:query "DELETE FROM t"', "sql.readonly"),
    ("a COMMIT of its own", 'tx:exec "COMMIT"', "usage"),
    ("one behind a comment", 'tx:exec "/**/ END"', "usage"),
    ("sleep", 'sleep "1ms"', "usage"),
    ("a gate", 'approve { "Go?" }', "usage"),
    ("manual", 'manual "do it"', "usage"),
    ("a signal", 'signal "go"', "usage"),
    ("exec", 'exec { "touch", "@DIR@/touched" }', "usage"),
    ("db:exec of the same database", 'db:exec "DELETE FROM t"', "usage"),
    ("a transaction inside", "db:tx(function() end)", "usage"),
    ("one of another database", 'sql.open("sqlite:other.db"):tx(function() end)', "usage"),
    ("an effect in a task of it", 'all { a = function() exec { "touch", "@DIR@/touched" } end }', "usage"),
    ("an effect in a step of it", 'step("s", function() exec { "touch", "@DIR@/touched" } end)', "usage"),
    ("undo", 'undo("u", function() end)', "usage"),
    ("retry that waits", 'retry({ times = 2 }, function() fail "x" end)', "usage"),
    ("a backup", 'db:backup "copy.db"', "usage"),
):
    c = book(f"""
        local ok, e = pcall(db.tx, db, function(tx)
          tx:exec "INSERT INTO t (a) VALUES ('kept?')"
          {body}
        end)
        print(ok, e and e.kind)
        print(db:value "SELECT count(*) FROM t")
    """)
    r = c.run()
    check(f"{name}: refused or failed, and rolled back", c.prints() == [f"false\t{kind}", "0"] and not (c.dir / "touched").exists(),
          f"{c.prints()}\n{r.stdout}{r.stderr}")
    check(f"{name}: nothing was sent to be committed", not c.events("intent"), c.events("intent"))
c = book("""
    exec({ "true" }, { read = true })
    db:tx(function(tx)
      exec({ "true" }, { read = true })
      local m = memo("m", function() return tx:value "SELECT 7" end)
      local both = all { a = function() return tx:value "SELECT 1" end, b = function() tx:exec "INSERT INTO t (a) VALUES ('b')" return 2 end }
      print(m, both.a, both.b, uuid() ~= uuid(), now() > 0, db:value "SELECT count(*) FROM t")
      print(pcall(tx.exec, tx, "INSERT INTO nope VALUES (1)"))
      tx:exec "SAVEPOINT s" tx:exec "INSERT INTO t (a) VALUES ('gone')" tx:exec "ROLLBACK TO s"
      tx:exec { "INSERT INTO t (a) VALUES ('s1'); INSERT INTO t (a) VALUES ('s2')", script = true }
      print(pcall(tx.exec, tx, { "INSERT INTO t (a) VALUES ('s3'); INSERT INTO nope VALUES ('s4')", script = true }))
    end)
""")
ends("reads, records, memo, tasks, savepoints, scripts", c.run(), 0)
eq("are allowed inside", c.prints()[0], "7\t1\t2\ttrue\ttrue\t0")
eq("an error that the function holds up does not end it", words(c), ["b", "s1", "s2"])
c = book("""
    local kept
    db:tx(function(tx) kept = tx end)
    print(pcall(kept.exec, kept, "DELETE FROM t"))
    print(pcall(db.tx, db, { read = true }, function(tx) tx:exec "DELETE FROM t" end))
    print(db:tx({ read = true }, function(tx) return tx:value "SELECT count(*) FROM t" end))
    print(pcall(db.tx, db, { isolation = "loose" }, function() end))
    print(pcall(db.tx, db, { isolation = "read committed" }, function() end))
    print(pcall(db.tx, db, { atempts = 1 }, function() end))
    print(pcall(db.tx, db))
    for _, i in ipairs { "immediate", "deferred", "exclusive", "serializable" } do db:tx({ isolation = i }, function(tx) tx:exec "INSERT INTO t (a) VALUES (1)" end) end
    check("a", "b", function() return db:tx({ read = true }, function(tx) return tx:value "SELECT 1" end) end)
    print(pcall(check, "a", "b", function() db:tx(function(tx) end) end))
    print(pcall(db.tx, db, function(tx) tx.exec "DELETE FROM t" end))
    local only = sql.open("sqlite:app.db", { read = true })
    print(pcall(only.tx, only, function(tx) tx:exec "DELETE FROM t" end))
""")
r = c.run()
ends("options", r, 0)
for i, says in ((0, "the transaction is over"), (1, "the transaction only reads"), (3, "there is no isolation loose"),
                (4, 'SQLite has no isolation "read committed"'), (5, "did you mean attempts"), (6, "the function"), (7, "read = true"),
                (8, "tx:exec(…), not tx.exec(…)"), (9, "the transaction only reads")):
    contains(f"say what is wrong: {says}", c.prints()[i], says)
eq("and do what they say", (c.prints()[2], len(words(c))), ("0", 4))

# -- others, time, cancels

c = book("""
    local n = 0
    db:tx({ timeout = "100ms", attempts = 100 }, function(tx, attempt) n = attempt tx:exec "INSERT INTO t (a) VALUES ('in')" end)
    print(n > 0)
""")
with contextlib.closing(sqlite3.connect(c.dir / "app.db", isolation_level=None)) as other:
    other.execute("BEGIN IMMEDIATE")
    p = c.start("run", "t.lua")
    waits(c, "record")  # a failed attempt
    other.execute("COMMIT")
eq("a lock of another at BEGIN: it begins again", (p.wait(60), words(c)), (0, ["in"]))
eq("each failed attempt is recorded", {(e["op"], e["value"]["kind"]) for e in c.events("record")}, {("attempt", "sql.busy")})
c = book("""
    local ok, e = pcall(db.tx, db, { timeout = "50ms", attempts = 2 }, function(tx) end)
    print(ok, e.kind, e.outcome)
""")
with contextlib.closing(sqlite3.connect(c.dir / "app.db", isolation_level=None)) as other:
    other.execute("BEGIN IMMEDIATE")
    c.run()
    other.execute("ROLLBACK")
eq("but not for ever", (c.prints(), len(c.events("record"))), (["false\tsql.busy\tnot_started"], 1))
c = book("""
    db:exec "PRAGMA journal_mode = wal"
    local tried = {}
    db:tx({ isolation = "deferred" }, function(tx, attempt)
      tried[#tried + 1] = tx:value "SELECT count(*) FROM t"
      if attempt == 1 then
        exec({ "python3", "-c", "import sqlite3; c = sqlite3.connect('@DIR@/app.db'); c.execute(\\"INSERT INTO t (a) VALUES ('other')\\"); c.commit()" }, { read = true })
      end
      pcall(tx.exec, tx, "INSERT INTO t (a) VALUES ('mine')")
    end)
    print(table.concat(tried, " "))
""")
ends("another has written since it began to read", c.run(), 0)
eq("it begins again, though its function held the error up", (c.prints(), words(c)), (["0 1"], ["other", "mine"]))
eq("as a conflict", [e["value"]["kind"] for e in c.events("record")], ["sql.serialization"])
c = book(f"""
    local ok, e = pcall(db.tx, db, {{ timeout = "200ms" }}, function(tx) tx:exec "INSERT INTO t (a) VALUES (1)" tx:query "{LONG}" end)
    print(ok, e.kind, e.outcome)
    ok, e = pcall(timeout, "200ms", function() db:tx(function(tx) tx:exec "INSERT INTO t (a) VALUES (1)" tx:query "{LONG}" end) end)
    print(ok, e.kind)
    print(db:tx(function(tx) return tx:value "SELECT count(*) FROM t" end))
""")
ends("its time-out, and one around it", c.run(), 0)
eq("roll it back", c.prints(), ["false\ttimeout\tfailed", "false\ttimeout", "0"])
c = book(f"""
    db:tx(function(tx) tx:exec "INSERT INTO t (a) VALUES (1)" print "in" tx:query "{LONG}" end)
""")
p = c.start("run", "t.lua")
waits(c, "log")
ends("cancelled from outside", c.rb("cancel", c.id, "--reason", "enough"), 0)
eq("it is rolled back", (p.wait(60 * SLOW), c.status(), words(c)), (1, "cancelled", []))
c = book("""
    local first = db:tx(function(tx, attempt)
      tx:exec("INSERT INTO t (a) VALUES (?)", "attempt " .. attempt)
      print("in", attempt)
      if attempt == 1 then tx:query { "%s", timeout = "100s" } end
      return attempt
    end)
    print("out", first)
""" % LONG)
c.write("conf.lua", "return { limits = { park_grace = '50ms' } }")
p = c.start("run", "t.lua", "--config", c.dir / "conf.lua")
waits(c, "log")
park(c, p)
eq("parked inside: rolled back", (c.status(), words(c)), ("parked", []))
ends("and resumed", c.rb("resume"), 0)
eq("its function is called again from its start", (c.prints(), words(c)), (["in\t1", "in\t2", "out\t2"], ["attempt 2"]))
eq("the attempt that was lost is recorded", [e["value"]["kind"] for e in c.events("record")], ["sql.tx_lost"])
c = book('db:tx(function(tx) tx:exec "INSERT INTO t (a) VALUES (1)" print(tx:value "SELECT count(*) FROM t") end)\n'
         'print(db:value "SELECT count(*) FROM t")')
ends("a dry run", c.run("--dry"), 0)
eq("reads, and writes nothing", (c.prints(), words(c)), (["0", "0"], []))
eq("it lists what it would write", [e["args"]["statement"] for e in c.events("result") if e.get("as") == "dry"] or
   [e["args"]["statement"] for e in c.events("intent")], ["INSERT INTO t (a) VALUES (1)", "COMMIT"])

# -- crashes

TX = """
    print(db:tx(%s function(tx, attempt)
      local ok, e = pcall(tx.exec, tx, "INSERT INTO t (a) VALUES (?)", "first " .. attempt)
      local ok, e = pcall(all, { a = function() tx:exec("INSERT INTO t (a) VALUES (?)", "second " .. attempt) end })
      return "attempt " .. attempt
    end))
"""


def killed(options, point, n=1):
    c = book(TX % options)
    r = c.run(env={"RBHOST_FAULT": f"kill:{point}:{n}"}, binary=RBHOST_FAULT)
    eq(f"killed at {point} {n}", r.returncode, -signal.SIGKILL)
    return c


for point, n in (("sql.before-run", 1), ("sql.after-run", 1), ("sql.before-run", 2), ("sql.after-run", 2)):
    c = killed("", point, n)
    eq("nothing of it stays", words(c), [])
    ends("resumed", c.rb("resume", binary=RBHOST_FAULT), 0)
    n = c.prints()[0][-1]  # 1 where BEGIN itself was not recorded yet
    eq("the function was called again from its start", words(c), [f"first {n}", f"second {n}"])
c = book("""
    local n = db:tx(function(tx, attempt)
      tx:exec("INSERT INTO t (a) VALUES (?)", "attempt " .. attempt)
      print("in", attempt)
      if attempt == 1 then
        pcall(tx.query, tx, { "%s", timeout = "100s" })
        pcall(all, { a = function() tx:exec "INSERT INTO t (a) VALUES ('a')" end })
      end
      return attempt
    end)
    print("out", n, pcall(fail, "as usual"))
""" % LONG)
p = c.start("run", "t.lua")
waits(c, "log")
p.kill()
p.wait()
ends("killed inside", c.rb("resume"), 0)
eq("the function is called again, whatever it would hold up", (c.prints(), words(c)),
   (["in\t1", "in\t2", "out\t2\tfalse\tt.lua:12: as usual"], ["attempt 2"]))
ends("and again out of the journal", c.rb("show", c.id), 0)
c = killed("", "sql.before-commit")
eq("before COMMIT: nothing stays", words(c), [])
r = c.rb("resume")
ends("but nobody can know", r, 6)
n = c.events("intent")[0]["seq"]
contains("the question shows the database and the statement", r.stdout + r.stderr,
         "app.db COMMIT of INSERT INTO t (a) VALUES (?); INSERT INTO t (a) VALUES (?)")
ends("no, it did not", c.rb("resolve", c.id, n, "retry", "--resume"), 0)
eq("so it is done now", (c.prints(), words(c)), (["attempt 2"], ["first 2", "second 2"]))
c = killed("", "sql.after-commit")
eq("behind COMMIT: it is there", words(c), ["first 1", "second 1"])
ends("asked", c.rb("resume"), 6)
n = c.events("intent")[0]["seq"]
ends("yes, it did", c.rb("resolve", c.id, n, "done", "--resume"), 0)
eq("it is not done again, and gives what its function gave", (c.prints(), words(c)), (["attempt 1"], ["first 1", "second 1"]))
c = killed("", "sql.after-commit")
c.rb("resume")
n = c.events("intent")[0]["seq"]
ends("yes, and this was its result", c.rb("resolve", c.id, n, "done", "--value", '"by hand"', "--resume"), 0)
eq("which is what db:tx gives", c.prints(), ["by hand"])
c = killed('{ on_doubt = "fail" },', "sql.after-commit")
r = c.rb("resume")
ends("on_doubt = fail", r, 1)
contains("is an error", r.stderr, "its outcome is not known")
for point, attempt in (("sql.before-commit", 2), ("sql.after-commit", 1), ("effect.before-start", 2), ("effect.before-outcome", 1)):
    c = killed('{ exactly_once = true },', point, 1 if point.startswith("sql") else {"effect.before-start": 1, "effect.before-outcome": 4}[point])
    ends("exactly_once: nobody is asked", c.rb("resume"), 0)
    eq("the database knows", (c.prints(), words(c)), ([f"attempt {attempt}"], [f"first {attempt}", f"second {attempt}"]))
    with contextlib.closing(sqlite3.connect(c.dir / "app.db")) as db:
        eq("one row says so, by the run and the attempt", db.execute("SELECT key FROM rbhost_once").fetchall(),
           [(f"{c.id}/tx/attempt {attempt}",)])
c = book(TX % "{ exactly_once = true },")
defect = {"RBHOST_MUTATE": "no-once-row"}
c.run(env={**defect, "RBHOST_FAULT": "kill:sql.after-commit:1"}, binary=RBHOST_FAULT)
c.rb("resume", env=defect, binary=RBHOST_FAULT)
eq("without that row it would be done twice: these tests see it", words(c), ["first 1", "second 1", "first 2", "second 2"])
c = book("""
    local look = function() return db:value "SELECT count(*) FROM t" > 0 and "done" or "retry" end
    db:tx({ on_doubt = look }, function(tx, attempt) tx:exec("INSERT INTO t (a) VALUES (?)", attempt) end)
""")
c.run(env={"RBHOST_FAULT": "kill:sql.after-commit:1"}, binary=RBHOST_FAULT)
ends("on_doubt as a function that looks", c.rb("resume"), 0)
eq("it was done, and is not done again", words(c), [1])

# -- a failed run is retried

c = book("""
    db:tx(function(tx, attempt)
      tx:exec("INSERT INTO t (a) VALUES (?)", attempt)
      tx:exec "INSERT INTO later VALUES (1)"
    end)
    print "through"
""")
ends("a statement fails", c.run(), 1)
eq("all is rolled back", words(c), [])
database(c, "CREATE TABLE later (x)")
ends("what was wrong is mended, and the run retried", c.rb("retry", c.id), 0)
eq("the whole function is called again", (c.prints(), words(c)), (["through"], [2]))
finish()
