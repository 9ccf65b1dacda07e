#!/usr/bin/env python3
"""sql on SQLite: parameters, all types both ways, what rows are, what errors say."""
import contextlib
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import check, contains, eq, finish


def database(case, script, name="app.db"):
    with contextlib.closing(sqlite3.connect(case.dir / name)) as db:
        db.executescript(script)


def rows(case, query, name="app.db"):
    with contextlib.closing(sqlite3.connect(case.dir / name)) as db:
        return db.execute(query).fetchall()


TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT, c REAL, d BLOB);"

# -- values

c = Case(r"""
    local db = sql.open("sqlite:app.db")
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    local bytes = table.concat(all)
    local values = { 1, 1.0, -0.0, math.maxinteger, math.mininteger, 2^53 + 1, 0.1, math.huge, true, false, null, "", "ä€😀",
        "a\0b", "\xff\xfe", bytes, sql.bytes("text"), ("x"):rep(100000) }
    for i, v in ipairs(values) do db:exec("INSERT INTO t (id, a) VALUES (?, ?)", i, v) end
    local back = db:query("SELECT a, typeof(a) AS type FROM t ORDER BY id")
    local function show()
      for i, row in ipairs(back) do
        local v = values[i]
        if type(v) == "table" then v = v.bytes elseif type(v) == "boolean" then v = v and 1 or 0 end
        print(i, row.type, row.a == v, math.type(row.a) or type(row.a))
      end
    end
    show()
    signal "go"
    show()
    print(db:value("SELECT CAST(x'ff41' AS TEXT)") == "\xffA")
""")
database(c, TABLE)
ends("values of every type", c.run(), 3)
want = ["1\tinteger\ttrue\tinteger", "2\treal\ttrue\tfloat", "3\treal\ttrue\tfloat", "4\tinteger\ttrue\tinteger",
        "5\tinteger\ttrue\tinteger", "6\treal\ttrue\tfloat", "7\treal\ttrue\tfloat", "8\treal\ttrue\tfloat",
        "9\tinteger\ttrue\tinteger", "10\tinteger\ttrue\tinteger", "11\tnull\ttrue\tuserdata", "12\ttext\ttrue\tstring",
        "13\ttext\ttrue\tstring", "14\tblob\ttrue\tstring", "15\tblob\ttrue\tstring", "16\tblob\ttrue\tstring",
        "17\tblob\ttrue\tstring", "18\ttext\ttrue\tstring"]
eq("come back as they went in", c.prints(), want)
eq("as SQLite has them", rows(c, "SELECT a FROM t WHERE id IN (4, 5, 16) ORDER BY id"),
   [(2**63 - 1,), (-(2**63),), (bytes(range(256)),)])
ends("and out of the journal", c.rb("signal", c.id, "go", "--resume"), 0)
eq("they are the same, and text that is not UTF-8 comes back as its bytes", c.prints(), want + want + ["true"])
big = [e for e in c.events("intent") if "size" in str(e["args"].get("params", ""))]
check("a long parameter is in the journal by its digest", len(big) == 1 and "xxxx" not in str(big[0]["args"]), big)

# -- parameters

c = Case(r"""
    local db = sql.open("sqlite:app.db")
    local evil = "x'); DROP TABLE t; --"
    print(sql("sqlite:app.db", "INSERT INTO t (b) VALUES (?)", evil).last_id)
    print(db:value("SELECT b FROM t WHERE b = :b", { b = evil }) == evil)
    print(db:value("SELECT :a || @b || $c", { a = "1", b = "2", c = "3" }))
    print(db:value("SELECT ?2 || ?1", "b", "a"))
    print(db:value { "SELECT ? + ?", 1, 2, timeout = "5s" }, db:value { "SELECT :x", params = { x = 4 } }, db:value { "SELECT ?", params = { 5 } })
    print(db:one("SELECT id, b FROM t").id, db:one("SELECT id FROM t WHERE id = 9"), db:value("SELECT id FROM t WHERE id = 9"))
    print(db:value("SELECT NULL") == null)
    print(json.encode(db:exec("INSERT INTO t (b) VALUES ('r') RETURNING id, b")))
    print(db:exec("UPDATE t SET c = 1").changes, db:exec("DELETE FROM t WHERE id > 100").changes, db:exec("CREATE TABLE u (x)").changes)
    print(db:exec { "INSERT INTO u VALUES (1); INSERT INTO u VALUES (2);", script = true }.changes)
    print(pcall(db.exec, db, { "INSERT INTO u VALUES (3); INSERT INTO nope VALUES (4)", script = true }))
    print(db:value("SELECT count(*) FROM u"))
""")
database(c, TABLE)
ends("parameters", c.run(), 0)
got = c.prints()
eq("are bound, never text", got[:2], ["1", "true"])
eq("by name in three ways, by number, in one table with options", got[2:4] + got[4:5], ["123", "ab", "3\t4\t5"])
eq("one, value", got[5:7], ["1\tnil\tnil", "true"])
eq("exec: changes, last_id, rows of RETURNING", json.loads(got[7]), {"changes": 1, "last_id": 2, "rows": [{"id": 2, "b": "r"}]})
eq("changes of a statement", got[8], "2\t0\t0")
eq("a script is all or nothing", (got[9], got[10].split("\t")[0], got[11]), ("2", "false", "2"))
eq("the table is still there", rows(c, "SELECT count(*) FROM t"), [(2,)])

# -- rows

c = Case(r"""
    local rows = sql("sqlite:app.db", "SELECT id, b FROM t ORDER BY id")
    print(#rows, table.concat(rows.columns, ","), rows[2].b == null)
    local kept = step("keep", function() return rows end)
    local memoed = memo("m", function() return { rows = rows } end).rows
    evidence("rows", rows)
    signal "go"
    print(#kept, table.concat(kept.columns, ","), memoed.columns[2], kept[1].b, json.encode(rows))
    for k, v in pairs(rows) do assert(math.type(k) == "integer") end
    print(#sql("sqlite:app.db", "SELECT id, b FROM t WHERE 0").columns)
""")
database(c, TABLE + "INSERT INTO t (id, b) VALUES (1, 'x'), (2, NULL);")
ends("rows", c.run(), 3)
ends("outlive a resume", c.rb("signal", c.id, "go", "--resume"), 0)
eq("as plain data with columns", c.prints(),
   ["2\tid,b\ttrue", '2\tid,b\tb\tx\t[{"b":"x","id":1},{"b":null,"id":2}]', "2"])
eq("in the journal they are marked", c.events("evidence")[0]["value"],
   {"$rows": [{"b": "x", "id": 1}, {"b": None, "id": 2}], "columns": ["id", "b"]})
ends("which verifies", c.rb("verify", c.id), 0)

# -- errors

for call, kind, says in (
    ('db:query("SELECT * FRM t")', "sql.error", 'near "FRM": syntax error; line 1: SELECT * ^FRM t'),
    ('db:query("SELECT 1,\\n  nope\\nFROM t")', "sql.error", "line 2:   ^nope"),
    ('db:query("")', "usage", "empty"),
    ('db:query("-- nothing")', "usage", "empty"),
    ('db:query("SELECT 1; SELECT 2")', "usage", "more than one statement"),
    ('db:query("SELECT 1 AS a, 2 AS b, 3 AS a")', "usage", 'columns 1 and 3 are both called "a"'),
    ('db:query("SELECT ?")', "usage", "the statement has 1 parameter, and 0 were given"),
    ('db:query("SELECT ?", 1, 2)', "usage", "the statement has 1 parameter, and 2 were given"),
    ('db:query("SELECT ?, ?", 1, nil)', "usage", "parameter 2 is nil; NULL is null"),
    ('db:query("SELECT :a", { b = 1 })', "usage", ":a was not given"),
    ('db:query("SELECT :a", { a = 1, b = 1 })', "usage", "no parameter :b (options stand in one table"),
    ('db:query("SELECT ?", { a = 1 })', "usage", "has no name"),
    ('db:query("SELECT ?", { 1, 2 })', "usage", "is a list"),
    ('db:query("SELECT ?, ?", { a = 1 }, 2)', "usage", "json.encode"),
    ('db:query("SELECT ?", print)', "usage", "is a function"),
    ('db:query("SELECT ?", 0/0)', "usage", "nan"),
    ('db:query("SELECT 1\\0")', "usage", "NUL"),
    ('db:query("DELETE FROM t")', "sql.readonly", "db:exec"),
    ('db:query({ "SELECT 1", tmeout = 1 })', "usage", "did you mean timeout"),
    ('db:query({ "SELECT 1", max_rows = 0 })', "usage", "max_rows"),
    ('db:one("SELECT id FROM t")', "sql.too_big", "more than one row"),
    ('db:value("SELECT id, b FROM t")', "usage", "2 columns"),
    ('db:exec("INSERT INTO t (id) VALUES (1)")', "sql.constraint", "UNIQUE constraint failed: t.id"),
    ('db:exec { "SELECT 1", read = true }', "usage", "db:query"),
    ('sql.open("sqlite:app.db", { read = true }):exec("DELETE FROM t")', "usage", "db:query"),
    ('db:exec("BEGIN")', "usage", "db:tx"),
    ('db:exec("/* x */ commit")', "usage", "db:tx"),
    ('db:exec("SAVEPOINT x")', "usage", "db:tx"),
    ('db.nope()', "lua", ""),
    ('db.query("SELECT 1")', "usage", "db:query(…), not db.query(…)"),
    ('db.tx(function() end)', "usage", "db:tx(…), not db.tx(…)"),
    ('db:query({ "SELECT :id", id = 1 })', "usage", "unknown option \"id\""),
    ('sql("app", "SELECT 1")', "usage", "there is no DSN app in the configuration"),
    ('sql("sqlite:", "SELECT 1")', "usage", "name a file"),
    ('sql("sqlite::memory:", "SELECT 1")', "usage", "memory"),
    ('sql("sqlite:none.db", "SELECT 1")', "sql.connect", "there is no such file, and a read makes none"),
    ('sql("sqlite:none.db?mode=rw", "CREATE TABLE x (y)")', "sql.connect", "there is no such file (mode=rw makes none)"),
    ('sql("sqlite:nowhere/none.db", "CREATE TABLE x (y)")', "sql.connect", "it can not be made there"),
    ('sql("sqlite:/", "SELECT 1")', "sql.connect", "folder"),
    ('sql("sqlite:app.db?mode=x", "SELECT 1")', "usage", "mode=rwc"),
    ('sql("sqlite:t.lua", "SELECT * FROM t")', "sql.error", "not a database"),
    ('sql("mysql://x", "SELECT 1")', "usage", "sql: mysql://x: it begins neither with sqlite: nor with postgres:"),
    ('sql({}, "SELECT 1")', "usage", "the DSN comes first"),
):
    c = Case("local db = sql.open('sqlite:app.db')\nlocal ok, e = pcall(function() return " + call + " end)\n"
             "print(ok, e.kind, e.outcome, e.message, e.where)")
    database(c, TABLE + "INSERT INTO t (id) VALUES (1), (2);")
    c.run()
    got = (c.prints() or ["\t\t\t"])[0].split("\t")
    check(f"{call}: {kind}", got[0] == "false" and got[1] == kind and says in "\t".join(got[3:]) and "t.lua:2" in got[-1] + got[3],
          f"{got}\nwant {kind} and {says!r}")
c = Case("""
    local db = sql.open("sqlite:app.db")
    local ok, e = pcall(db.exec, db, "INSERT INTO t (id, b) VALUES (1, 'x')")
    print(e.code, e.table, e.column, e.constraint, e.position, e.outcome)
    ok, e = pcall(db.exec, db, "INSERT INTO k VALUES (-1)")
    print(e.constraint, e.table)
    ok, e = pcall(db.query, db, "SELECT 'ä€', FROM t")
    print(e.position)
""")
database(c, TABLE + "INSERT INTO t (id) VALUES (1); CREATE TABLE k (x CONSTRAINT positive CHECK (x > 0));")
ends("an error's fields", c.run(), 0)
eq("are SQLite's code, the place, what was violated", c.prints(), ["1555\tt\tid\tnil\tnil\tfailed", "positive\tnil", "14"])

# -- reads and effects

c = Case("""
    local d = "sqlite:app.db"
    sql(d, "SELECT 1 AS x") sql(d, "  -- c\\n VALUES (1)") sql(d, "EXPLAIN SELECT 1") sql(d, "PRAGMA table_info(t)")
    sql(d, { "WITH x AS (SELECT 1) SELECT * FROM x", read = true })
    sql(d, "WITH x AS (SELECT 5) INSERT INTO t (a) SELECT * FROM x") sql(d, "PRAGMA user_version = 3")
    check("a", "b", function() sql(d, "SELECT 1 AS x") end)
    print(pcall(check, "a", "b", function() sql(d, "DELETE FROM t") end))
    print(sql(d, "SELECT count(*) AS n FROM t")[1].n)
""")
database(c, TABLE)
r = c.run()
ends("what a first word says", r, 0)
eq("is a read or an effect", [e["args"]["statement"].split()[0] for e in c.events("intent")], ["WITH", "PRAGMA"])
contains("a check refuses effects", c.prints()[0], "read = true")
eq("and nothing was deleted", c.prints()[1], "1")
c = Case('sql("sqlite:app.db", "DELETE FROM t") print(sql("sqlite:app.db", "SELECT count(*) AS n FROM t")[1].n)')
database(c, TABLE + "INSERT INTO t (id) VALUES (1);")
ends("a dry run", c.run("--dry"), 0)
eq("reads, and lists what it would write", (c.prints(), [e.get("as") for e in c.events("result")]), (["1"], ["dry", None]))

# -- secrets, names

c = Case("""
    local p = runbook { params = { pw = { "secret", required = true } } }
    local db = sql.open("app")
    db:exec("INSERT INTO t (b) VALUES (?)", p.pw)
    print(db:value "SELECT length(b) FROM t", db:value "SELECT b FROM t", db:value("SELECT count(*) FROM t WHERE b = ?", p.pw))
    print(pcall(db.exec, db, "INSERT INTO t (b) VALUES ('" .. "x" .. "') RETURNING nope(:x)", { x = p.pw }))
""")
database(c, TABLE)
c.write("pw", "correct-horse\n")
c.write("conf.lua", f'return {{ dsns = {{ app = "sqlite:{c.dir}/app.db", ro = {{ dsn = "sqlite:{c.dir}/app.db", read_only = true }} }} }}')
ends("a secret as a parameter, a DSN by its name", c.run("pw=@pw", "--config", c.dir / "conf.lua"), 0)
eq("is expanded for the database alone", c.prints()[0], "13\t‹secret:pw›\t1")
eq("and is in the database", rows(c, "SELECT b FROM t"), [("correct-horse",)])
check("the journal has its name", b"correct-horse" not in b"".join(f.read_bytes() for f in c.dir.glob("j.db*") if f.is_file()))
eq("of the DSN the journal has the name", c.events("intent")[0]["args"]["dsn"], "app")
c = Case('print(pcall(sql, "ap", "SELECT 1"))\nprint(pcall(sql, "ro", "DELETE FROM t"))\nprint(#sql("ro", "SELECT * FROM t"))')
database(c, TABLE)
c.write("conf.lua", f'return {{ dsns = {{ app = "sqlite:{c.dir}/app.db", ro = {{ dsn = "sqlite:{c.dir}/app.db", read_only = true }} }} }}')
c.run("--config", c.dir / "conf.lua")
contains("a name that is not there", c.prints()[0], "there is no DSN ap in the configuration; did you mean app?")
contains("read_only in the configuration", c.prints()[1], "read-only in the configuration")
eq("and before anything starts", [e["args"] for e in c.events("intent")], [])
eq("reads it lets", c.prints()[2], "0")
c = Case("""
    local rows = sql("sqlite:app.db", { "SELECT id, b FROM t", secret = true })
    signal "go"
    print(rows.columns[2], rows[1].id, rows[1].b)
    print(#sql("sqlite:app.db", "SELECT id FROM t WHERE b = ?", rows[1].b))
""")
database(c, TABLE + "INSERT INTO t (b) VALUES ('correct-horse-7');")
c.env.update(HOME=str(c.dir), XDG_STATE_HOME=str(c.dir / "state"), XDG_CONFIG_HOME=str(c.dir / "config"))
ends("rows whose texts are secrets", c.run(), 3)
ends("resumed", c.rb("signal", c.id, "go", "--resume"), 0)
check("are of use, and in the journal in no clear form",
      [line.split("‹")[0] for line in c.prints()] == ["b\t1\t", "1"] and
      b"correct-horse-7" not in b"".join(f.read_bytes() for f in c.dir.glob("j.db*") if f.is_file()), c.prints())
c = Case("""
    print(pcall(sql, "postgres://ada:tr0ub4dor@127.0.0.1:1/db?connect_timeout=1", { "SELECT 1", timeout = "2s" }))
""")
c.run()
check("a password in a DSN is in no message and no event, but in the source that says it",
      "tr0ub4dor" not in "".join(map(str, c.events())) + "".join(c.prints()) and
      c.events("result")[0]["args"]["dsn"] == "postgres://ada@127.0.0.1:1/db?connect_timeout=1", c.events("result"))

c = Case("""
    local p = runbook { params = { pw = { "secret", required = true } } }
    local db = sql.open("sqlite:app.db")
    local function try(...) local _, e = pcall(...) print(e.kind, e.outcome, e.message:match "placeholder of a secret") end
    try(db.exec, db, "INSERT INTO t (b) VALUES (?)", tostring(p.pw))
    try(db.exec, db, "INSERT INTO t (b) VALUES (:b)", { b = "x" .. tostring(p.pw) })
    try(db.exec, db, "INSERT INTO t (d) VALUES (?)", sql.bytes(tostring(p.pw)))
    try(db.exec, db, "INSERT INTO t (b) VALUES ('" .. tostring(p.pw) .. "')")
    print(pcall(function() return #p.pw end))
""")
database(c, TABLE)
c.write("pw", "correct-horse\n")
ends("what was printed of a secret", c.run("pw=@pw"), 0)
eq("is no parameter and no statement", c.prints()[:-1], ["usage\tnot_started\tplaceholder of a secret"] * 4)
contains("a secret is called one", c.prints()[-1], "get length of a secret value")
eq("and nothing was written", rows(c, "SELECT count(*) FROM t"), [(0,)])
finish()
