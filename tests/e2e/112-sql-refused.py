#!/usr/bin/env python3
"""What sql on SQLite refuses: the journal by any name, files that nobody was asked about, extensions, settings of the
process, and what the policy does not let through."""
import contextlib
import os
import sqlite3
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import check, contains, eq, finish


def database(case, name="app.db", script="CREATE TABLE t (id INTEGER PRIMARY KEY, a)"):
    with contextlib.closing(sqlite3.connect(case.dir / name)) as db:
        db.executescript(script)


def rows(case, name="app.db"):
    """How many rows t has."""
    with contextlib.closing(sqlite3.connect(case.dir / name)) as db:
        return db.execute("SELECT count(*) FROM t").fetchone()[0]


def refused(name, call, kind, says, prepare=None):
    c = Case(f"local db = sql.open('sqlite:app.db')\nlocal ok, e = pcall(function() {call} end)\n"
             "print(ok, e and e.kind, e and e.outcome, e and e.message)\nprint(db:value 'SELECT count(*) FROM t')")
    database(c)
    if prepare:
        prepare(c)
    r = c.run()
    got = (c.prints() or ["\t\t\t"])[0].split("\t")
    check(name, got[:2] == ["false", kind] and says in got[-1], f"{got}\nwant {kind}, {says!r}\n{r.stderr}")
    check(f"{name}: the database and the journal are as they were",
          c.prints()[1:] == ["0"] and c.rb("verify", c.id).returncode == 0, c.prints())
    return c


# -- the journal

def later(*names):
    """Makes links to the journal, which is there as soon as rbhost runs: so they are made by a first run."""

    def make(c):
        c.write("first.lua", 'print "x"')
        c.rb("run", "first.lua")
        for kind, name in names:
            (os.symlink if kind == "soft" else os.link)(c.journal, c.dir / name)

    return make


JOURNAL = "is the journal of this host"
refused("the journal", "sql('sqlite:j.db', 'SELECT 1')", "policy", JOURNAL)
refused("the journal, to write", "sql('sqlite:j.db', 'DELETE FROM events')", "policy", JOURNAL)
refused("the journal by a symbolic link", "sql('sqlite:soft.db', 'SELECT 1')", "policy", JOURNAL, later(("soft", "soft.db")))
refused("the journal by a hard link", "sql('sqlite:hard.db', 'DELETE FROM events')", "policy", JOURNAL, later(("hard", "hard.db")))
refused("the journal with dots", "sql('sqlite:./x/../j.db', 'SELECT 1')", "policy", JOURNAL)
refused("its WAL", "sql('sqlite:j.db-wal', 'SELECT 1')", "policy", JOURNAL)
refused("its shared memory", "sql('sqlite:j.db-shm', 'SELECT 1')", "policy", JOURNAL)
refused("a rollback journal of it, which is not there", "sql('sqlite:j.db-journal?mode=rwc', 'CREATE TABLE x (y)')", "policy", JOURNAL)
refused("the journal, attached", "sql.open('sqlite:app.db', { attach = { j = 'j.db' } }):query('SELECT * FROM j.events')", "policy", JOURNAL)
refused("a link to it, attached", "sql.open('sqlite:app.db', { attach = { j = 'hard.db' } }):query('SELECT 1')", "policy", JOURNAL, later(("hard", "hard.db")))
refused("a backup over it", "db:backup('j.db')", "policy", JOURNAL)
refused("a backup over its WAL", "db:backup('j.db-wal')", "policy", JOURNAL)
refused("a backup over itself", "db:backup('app.db')", "usage", "is the database itself")

# -- other files

FILES = "attach = { name = \"/path\" }"
refused("ATTACH", "db:exec(\"ATTACH 'other.db' AS o\")", "usage", FILES)
refused("ATTACH in a read", "db:query(\"ATTACH 'other.db' AS o\")", "usage", FILES)
refused("ATTACH of a URI", "db:exec(\"ATTACH 'file:j.db?mode=ro' AS o\")", "usage", FILES)
refused("ATTACH of a parameter", "db:exec(\"ATTACH ? AS o\", 'j.db')", "usage", FILES)
refused("ATTACH of an expression", "db:exec(\"ATTACH 'j' || '.db' AS o\")", "usage", FILES)
refused("ATTACH in a script", "db:exec { \"CREATE TABLE u (x); ATTACH 'j.db' AS o\", script = true }", "usage", FILES)
refused("ATTACH in a transaction", "db:tx(function(tx) tx:exec(\"ATTACH 'j.db' AS o\") end)", "usage", FILES)
c = refused("VACUUM INTO", "db:exec(\"VACUUM INTO 'copy.db'\")", "usage", "db:backup(path)")
check("no copy", not (c.dir / "copy.db").exists())
refused("VACUUM INTO a parameter", "db:exec(\"VACUUM INTO ?\", 'copy.db')", "usage", "db:backup(path)")
refused("attach of what is not there", "sql.open('sqlite:app.db', { attach = { o = 'no.db' } }):query('SELECT 1')", "sql.connect", "there is no such file")
refused("attach by a name that is none", "sql.open('sqlite:app.db', { attach = { ['o\"; x'] = 'no.db' } })", "usage", "attach is {")
c = Case("""
    local db = sql.open("sqlite:app.db", { attach = { other = "other.db" } })
    print(db:value "SELECT a FROM other.t", db:exec("INSERT INTO t (a) SELECT a FROM other.t").changes)
    db:exec "VACUUM" db:exec "ANALYZE" db:exec "REINDEX"
""")
database(c)
database(c, "other.db", "CREATE TABLE t (a); INSERT INTO t VALUES ('there')")
ends("attach", c.run(), 0)
eq("gives another database a name", c.prints(), ["there\t1"])

# -- code and settings

refused("an extension", "db:query(\"SELECT load_extension('/lib/x.so')\")", "sql.error", "not authorized")
refused("a tokenizer from an address", "db:exec(\"SELECT fts3_tokenizer('x', x'0011223344556677')\")", "sql.error", "fts3tokenize disabled")
refused("the schema itself", "db:exec(\"INSERT INTO sqlite_schema VALUES ('table','x','x',0,'')\")", "sql.error", "may not be modified")
refused("settings of the process", "db:exec(\"PRAGMA temp_store_directory = '/tmp'\")", "usage", "of the whole process")
refused("its memory", "db:exec(\"PRAGMA hard_heap_limit = 1\")", "usage", "of the whole process")
refused("transactions in a statement", "db:exec(\"/**/ BEGIN\")", "usage", "db:tx")
refused("or behind brackets", "db:exec(\"ROLLBACK\")", "usage", "db:tx")
refused("in a script", "db:exec { \"DELETE FROM t; COMMIT; DELETE FROM t\", script = true }", "usage", "db:tx")
c = Case("""
    local db = sql.open("sqlite:app.db")
    db:exec "PRAGMA foreign_keys = ON"
    db:exec "CREATE TEMP TABLE mine (x)"
    print(db:value "SELECT * FROM pragma_foreign_keys", pcall(db.query, db, "SELECT * FROM mine"))
    print(sql.open("sqlite:app.db?foreign_keys=on"):value "SELECT * FROM pragma_foreign_keys")
""")
database(c)
ends("what a statement sets for its connection", c.run(), 0)
check("is gone with it: no operation depends on another's leftovers", c.prints()[0].startswith("0\tfalse") and "no such table" in c.prints()[0], c.prints())
eq("foreign_keys=on belongs into the DSN", c.prints()[1], "1")

# -- the policy

c = Case("""
    runbook { allow = { sql = { "sqlite:@DIR@/app.db", "named" } } }
    print(sql("sqlite:app.db?mode=rw", "SELECT count(*) AS n FROM t")[1].n, sql("named", "SELECT count(*) AS n FROM t")[1].n)
    print(pcall(sql, "sqlite:./other.db", "SELECT 1"))
    print(pcall(sql, "sqlite:./other.db", "DELETE FROM t"))
    print(pcall(sql.open("sqlite:app.db", { attach = { o = "other.db" } }).query, sql.open("sqlite:app.db", { attach = { o = "other.db" } }), "SELECT 1"))
    print(pcall(sql.open("sqlite:app.db").backup, sql.open("sqlite:app.db"), "copy.db"))
    print(pcall(sql.open("sqlite:other.db").tx, sql.open("sqlite:other.db"), function() print "inside" end))
    sql("sqlite:sub/../other.db", "SELECT 1")
""")
database(c)
database(c, "other.db")
c.write("conf.lua", f'return {{ dsns = {{ named = "sqlite:{c.dir}/other.db" }} }}')
r = c.run("--config", c.dir / "conf.lua")
eq("what the header's allow names", c.prints()[0], "0\t0")
for i, what in enumerate(("a read of another", "a write to another", "another that is attached", "a backup", "a transaction"), 1):
    contains(f"{what} is refused", c.prints()[i], "is not in the runbook's reach")
eq("before its intent", [e for e in c.events("intent")], [])
eq("and not caught: exit code 4", r.returncode, 4)

# -- links, and other ways to write a path

POLICY = """
    runbook { allow = { sql = { "sqlite:@DIR@/in/**", "sqlite:@DIR@/base/*.db" }, file = { "out/**" } } }
    local function try(f, ...)
      local ok, e = pcall(f, ...)
      print(ok or e.kind .. " " .. e.outcome .. " " .. tostring(e.message:find("is not in the runbook's reach", 1, true) ~= nil))
    end
    local db = sql.open "sqlite:in/app.db"
    local function attach(path)
      return function() return sql.open("sqlite:in/app.db", { attach = { o = path } }):value "SELECT count(*) FROM o.t" end
    end
"""
c = Case(POLICY + """
    try(sql, "sqlite:in/%2e%2e/app.db", "SELECT 1")
    try(sql, "sqlite:in/%2e%2e%2fapp.db", "SELECT 1")
    try(sql, "sqlite:in/..%2Fapp.db", "SELECT 1")
    try(sql, "sqlite:in/link.db", "SELECT 1")
    try(sql, "sqlite:in/link.db", "DELETE FROM t")
    try(sql, "sqlite:in/folder/app.db", "SELECT 1")
    try(sql, "sqlite:in/folder/new.db", "CREATE TABLE t (a)")
    try(db.tx, sql.open "sqlite:in/link.db", function(tx) return tx:exec "DELETE FROM t" end)
    try(attach "in/link.db")
    try(attach "in/app.db?/../../app.db")
    try(db.backup, db, "out/folder/copy.db")
    try(db.backup, db, "out/../copy.db")
""")
for name in ("in", "out", "far"):
    (c.dir / name).mkdir()
database(c, script="CREATE TABLE t (a); INSERT INTO t VALUES (1)")
database(c, "in/app.db")
(c.dir / "in/link.db").symlink_to(c.dir / "app.db")
(c.dir / "in/folder").symlink_to(c.dir)
(c.dir / "out/folder").symlink_to(c.dir / "far")
ends("ways out of a folder: percent signs, links, what is attached, a backup", c.run(), 0)
eq("each is refused by the policy, and nothing was started", c.prints(), ["policy not_started true"] * 12)
eq("nothing was changed or made", (rows(c), [p.name for p in (c.dir / "far").iterdir()], (c.dir / "new.db").exists()), (1, [], False))

c = Case(POLICY + """
    try(sql, "sqlite:in/link.db", "DELETE FROM t")
    try(sql, "sqlite:base/app.db", "SELECT 1")
    try(sql, "sqlite:in/a%20b.db", "CREATE TABLE t (a)")
    try(sql, "sqlite:in/100%25.db", "CREATE TABLE t (a)")
    try(attach "in/100%.db")
    try(db.backup, db, "out/copy.db")
    try(db.backup, db, "out/link.db")
""")
for name in ("in", "out", "real"):
    (c.dir / name).mkdir()
database(c, "in/app.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)")
database(c, "real/app.db")
(c.dir / "in/link.db").symlink_to("app.db")
(c.dir / "base").symlink_to("real")
(c.dir / "out/link.db").symlink_to("target.db")
(c.dir / "out/target.db").write_text("old")
ends("links that stay inside, a folder that is named and is a link, names with signs in them", c.run(), 0)
eq("are reached", c.prints(), ["true"] * 7)
eq("as they are called", sorted(p.name for p in (c.dir / "in").iterdir()), ["100%.db", "a b.db", "app.db", "link.db"])
eq("what the link leads to was written", rows(c, "in/app.db"), 0)
eq("a copy to a link goes where it leads", (rows(c, "out/target.db"), (c.dir / "out/link.db").is_symlink()), (0, True))

# -- what is no file

c = Case("""
    local function try(f, ...) local _, e = pcall(f, ...) print(e.kind, e.outcome, (e.message:match "no regular file" or e.message:match "no copy replaces")) end
    local db = sql.open "sqlite:app.db"
    for _, path in ipairs { "pipe", "/dev/null", "/dev/zero" } do
      try(sql, "sqlite:" .. path, "SELECT 1")
      try(sql, "sqlite:" .. path, "CREATE TABLE t (a)")
      try(function() sql.open("sqlite:app.db", { attach = { o = path } }):query "SELECT 1" end)
    end
    try(db.backup, db, "pipe")
    db:backup "link.db"
""")
database(c)
os.mkfifo(c.dir / "pipe")
(c.dir / "link.db").symlink_to("target.db")
(c.dir / "target.db").write_text("old")
ends("pipes and devices", c.run(), 0)
eq("are neither opened nor replaced", c.prints(), ["sql.connect\tnot_started\tno regular file"] * 9 + ["usage\tnot_started\tno copy replaces"])
check("the pipe is one", (c.dir / "pipe").is_fifo())
eq("a copy to a link goes where it leads", (rows(c, "target.db"), (c.dir / "link.db").is_symlink()), (0, True))
finish()
