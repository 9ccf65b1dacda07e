#!/usr/bin/env python3
# time-limit: 240
"""sql on a real PostgreSQL, from runbooks: values both ways, notices, errors with their place, reads that can not write,
transactions that meet others, and a link that is lost at COMMIT."""
import os
import socket
import sys
import threading

sys.path.insert(0, os.environ["T"] + "/e2e")
sys.path.insert(0, os.environ["T"])
from book import Case, ends
from lib import check, contains, eq, finish, lacks, wait_for
from pg import PASSWORD, Postgres


class Proxy:
    """Between the host and the server. Once it is armed, it hands a COMMIT over, waits until the server has done it,
    and drops the link without a word of the answer."""

    def __init__(self, port):
        self.port, self.armed, self.dropped = port, False, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.server.accept()
            upstream = socket.create_connection(("127.0.0.1", self.port))
            state = {"drop": False}
            threading.Thread(target=self.pump, args=(client, upstream, state, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(upstream, client, state, False), daemon=True).start()

    def pump(self, a, b, state, asks):
        try:
            while data := a.recv(65536):
                if asks and self.armed and b"COMMIT\0" in data:
                    self.armed, state["drop"] = False, True
                if not asks and state["drop"]:
                    self.dropped += 1  # the answer to COMMIT: it has been done
                    break
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


pg = Postgres()
try:
    dsn = pg.dsn()

    # -- values

    c = Case(f"""
        local db = sql.open({dsn!r})
        db:exec("CREATE TABLE t (id int PRIMARY KEY, b bool, i int8, f float8, n numeric, s text, y bytea, j jsonb, a text[])")
        db:exec("INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", 1, true, math.mininteger, 0.1, "12.50",
          "it's; DROP TABLE t; --", sql.bytes("\\0\\xff"), json.encode({{ k = {{ 1 }} }}), null)
        db:exec("INSERT INTO t (id, s) VALUES (:id, :s)", {{ id = 2, s = "ä" }})
        local row = db:one("SELECT * FROM t WHERE id = $1", 1)
        print(row.b, row.i == math.mininteger, row.f == 0.1, row.n, row.s, row.y == "\\0\\xff", row.a == null)
        print(db:value("SELECT s FROM t WHERE id = :id", {{ id = 2 }}), db:value("SELECT '2026-01-02 03:04:05+01'::timestamptz"))
        print(db:value {{ "SELECT 1.5::numeric", numeric = true }}, db:value("SELECT ARRAY[1,NULL,3]")[3])
        print(db:exec("UPDATE t SET i = 0").changes)
        local n = 0
        db:each("SELECT id FROM t ORDER BY id", nil, {{ batch = 1 }}, function() n = n + 1 end)
        print(n)
        print(db:exec("DO $$ BEGIN RAISE NOTICE 'hello'; END $$").notices[1])
    """)
    ends("values go both ways", c.run(), 0)
    eq("as they are", c.prints(), ["true\ttrue\ttrue\t12.50\tit's; DROP TABLE t; --\ttrue\ttrue", "ä\t2026-01-02T02:04:05Z",
                                   "1.5\t3", "2", "2", "NOTICE: hello"])
    lacks("the journal does not hold the password of the DSN", str(c.events()), "p4ss")

    # -- errors

    c = Case(f"""
        local db = sql.open({dsn!r})
        local function said(...)
          local ok, e = pcall(...)
          print(ok, e.kind, e.code, e.outcome, e.position, e.constraint)
        end
        said(db.value, db, "SELECT nosuch")
        said(db.query, db, "INSERT INTO t (id) VALUES (9)")
        said(db.exec, db, "INSERT INTO t (id) VALUES (1)")
        said(db.exec, db, "INSERT INTO t (id) VALUES (:x)", {{ y = 1 }})
        said(db.exec, db, {{ "SELECT pg_sleep(600)", timeout = "3s" }})
    """)
    ends("errors", c.run(), 0)
    eq("have their kind, code, outcome and place", c.prints(), [
        "false\tsql.error\t42703\tfailed\t8\tnil", "false\tsql.readonly\t25006\tfailed\tnil\tnil",
        "false\tsql.constraint\t23505\tfailed\tnil\tt_pkey", "false\tusage\tnil\tnot_started\tnil\tnil",
        "false\tsql.timeout\t57014\tfailed\tnil\tnil"])
    eq("nothing was written", pg.sql("SELECT count(*) FROM t WHERE id > 2"), "0")
    c = Case('sql("postgres://app:wr0ng@127.0.0.1:%d/app", "SELECT 1")' % pg.port)
    r = c.run()
    contains("a wrong password is told", r.stdout + r.stderr, "password authentication failed")
    lacks("and not shown", r.stdout + r.stderr + str(c.events()), "wr0ng")

    c = Case('print(sql("postgres:host=127.0.0.1 port=%d user=app dbname=app password=\'w0rd s3\' ", "SELECT 1"))' % pg.port)
    r = c.run()
    lacks("nor is one that stands as a word", r.stdout + r.stderr + str(c.events()), "w0rd")

    # -- reads that would like to write

    c = Case(f"""
        local dsn = {dsn!r}
        local db = sql.open(dsn)
        local function try(f, ...) local ok, e = pcall(f, ...) print(ok and "done" or e.kind) end
        local leave = "SET default_transaction_read_only = off"
        try(db.query, db, leave)
        try(db.query, db, "SET TRANSACTION READ WRITE")
        try(db.query, db, "/* /* */ SELECT */ DO $$ BEGIN COMMIT; SET TRANSACTION READ WRITE; CREATE TABLE out1 (a int); END $$")
        try(db.query, db, "DO $$ BEGIN PERFORM set_config('default_transaction_read_only', 'off', false); COMMIT; CREATE TABLE out2 (a int); END $$")
        try(sql, dsn, {{ "SET TRANSACTION READ WRITE; CREATE TABLE out3 (a int)", script = true, read = true }})
        try(sql, dsn, {{ leave .. "; COMMIT; CREATE TABLE out4 (a int)", script = true, read = true }})
        try(db.tx, db, {{ read = true }}, function(tx) pcall(tx.query, tx, "SET TRANSACTION READ WRITE") tx:query "CREATE TABLE out5 (a int)" end)
        try(db.query, db, "SELECT set_config('default_transaction_read_only', 'off', false)")
        try(db.query, db, "CREATE TABLE out6 (a int)")
        try(db.query, db, "WITH x AS (INSERT INTO t (id) VALUES (77) RETURNING id) SELECT id FROM x")
        try(db.query, db, "EXPLAIN ANALYZE INSERT INTO t (id) VALUES (77)")
        try(db.query, db, "CALL nothing()")
        try(db.query, db, "  (SELECT 1 AS n)")
        try(db.query, db, "-- first\\n TABLE t LIMIT 1")
        print(db:tx({{ read = true }}, function(tx) return #tx:query "SHOW server_version" end))
        print(db:tx(function(tx) tx:exec "DECLARE c CURSOR FOR SELECT generate_series(1, 5) AS n" return #tx:query "FETCH 2 FROM c" end))
    """)
    r = c.run()
    ends("reads that try to leave their session's limits", r, 0)
    eq("are refused", c.prints(), ["sql.readonly"] * 4 + ["usage"] * 2 + ["sql.readonly", "done"] + ["sql.readonly"] * 4
       + ["done"] * 2 + ["1", "2"])
    eq("and nothing of them is there", pg.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'out_'; SELECT count(*) FROM t WHERE id = 77"), "0\n0")

    # -- what the server's words leave open

    c = Case(f"""
        local db = sql.open({dsn!r})
        local function try(f, ...) local _, e = pcall(f, ...) print(e.kind, e.outcome, e.message:match("; ([^;]+)$") or e.message:match "COPY.*") end
        try(db.query, db, "SELECT $1 IS NULL", 1)
        try(db.query, db, "SELECT 1; SELECT ';'")
        try(db.query, db, "SELECT $1::jsonb", "{{")
        try(db.exec, db, "COPY (SELECT 1) TO /* here */ STDOUT")
        try(db.exec, db, "COPY t FROM STDIN")
        try(db.query, db, {{ "SELECT $1, $2", params = {{ 1, nil, 3 }} }})
    """)
    ends("errors that need a next step", c.run(), 0)
    eq("have one", c.prints(), [
        "sql.error\tfailed\tsay what it is: $1::text",
        "sql.error\tfailed\tone statement is sent at a time: db:tx(fn) keeps several together, and script = true takes all of them or none, without parameters",
        "sql.error\tfailed\tjson.encode(…) makes the text of a value",
        "usage\tnot_started\tuse INSERT and SELECT",
        "usage\tnot_started\tuse INSERT and SELECT",
        "usage\tnot_started\tNULL is null"])

    # -- rows by a key, scripts, what is not for this database

    pg.sql("CREATE TABLE paged AS SELECT i AS id, 'n' || i AS name, now() + i * interval '1 us' AS at FROM generate_series(1, 10) AS i; ALTER TABLE paged OWNER TO app")
    c = Case(f"""
        local db = sql.open({dsn!r})
        local function each(text, params, opts)
          local n = 0
          db:each(text, params, opts, function(row) n = n + 1 db:exec("DELETE FROM paged WHERE id = $1", row.id) end)
          return n
        end
        print(each("SELECT * FROM paged WHERE id < $1", {{ 4 }}, {{ key = "id", batch = 1 }}),
          each("SELECT * FROM paged WHERE id < :top", {{ top = 7 }}, {{ key = "name", batch = 2 }}),
          each("SELECT * FROM paged", nil, {{ key = "at", batch = 3 }}))
        local function try(f, ...) local ok, e = pcall(f, ...) print(ok or e.kind .. " " .. e.outcome) end
        for _, text in ipairs {{ "DELETE FROM t; COMMIT; SELECT 1/0", "DELETE FROM t; /* so */ end; SELECT 1/0", "DELETE FROM t;ROLLBACK;", "SELECT 1;\\nSTART TRANSACTION" }} do
          try(db.exec, db, {{ text, script = true }})
        end
        try(db.exec, db, {{ "CREATE FUNCTION two() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END; SELECT two() AS commit, 'x; COMMIT'", script = true }})
        try(db.tx, db, function(tx) tx:exec {{ "SAVEPOINT a; SELECT 1; ROLLBACK TO a", script = true }} end)
        try(function() return sql.open({dsn!r}, {{ attach = {{ o = "other.db" }} }}):query "SELECT 1" end)
    """)
    ends("each by a key", c.run(), 0)
    eq("meets each row once", c.prints()[0], "3\t3\t4")
    eq("a script that would end its transaction is refused, others are not; nothing is attached",
       c.prints()[1:], ["usage not_started"] * 4 + ["true", "true", "usage not_started"])
    eq("and nothing of them was done", pg.sql("SELECT count(*) > 0 FROM t"), "t")

    # -- transactions that meet

    pg.sql("CREATE TABLE counters (n int PRIMARY KEY, v int); INSERT INTO counters VALUES (1, 0), (2, 0); "
           "ALTER TABLE counters OWNER TO app")
    c = Case(f"""
        local db = sql.open({dsn!r})
        local tries = 0
        local function add(a, b)
          return function()
            db:tx({{ isolation = "serializable", attempts = 50 }}, function(tx, attempt)
              if attempt > 1 then tries = tries + 1 end
              local v = tx:value("SELECT sum(v) FROM counters")
              tx:exec("UPDATE counters SET v = v + 1 WHERE n = $1", a)
              tx:exec("UPDATE counters SET v = v + 1 WHERE n = $1", b)
            end)
          end
        end
        all {{ one = add(1, 2), two = add(2, 1), three = add(1, 2), four = add(2, 1) }}
        print(db:value("SELECT v FROM counters WHERE n = 1"), tries > 0)
    """)
    ends("transactions that are in each other's way", c.run(), 0)
    eq("are called again until each has had its turn, once", c.prints(), ["4\ttrue"])

    # -- the link is lost at COMMIT

    proxy = Proxy(pg.port)
    for name, option, want in (("without", "", "sql.lost\tunknown"), ("with", "exactly_once = true", "done\tnil")):
        pg.sql("DROP TABLE IF EXISTS once; CREATE TABLE once (n int); ALTER TABLE once OWNER TO app")
        c = Case(f"""
            local db = sql.open({pg.dsn("sslmode=disable", port=proxy.address)!r})
            local ok, r = pcall(db.tx, db, {{ {option} }}, function(tx)
              tx:exec("INSERT INTO once VALUES (1)")
              return "done"
            end)
            print(ok and r or r.kind, not ok and r.outcome or nil)
        """)
        proxy.armed, proxy.dropped = True, 0
        r = c.run()
        ends(f"COMMIT is done and its answer lost, {name} exactly_once", r, 0)
        eq("the run knows what can be known", c.prints(), [want])
        check("the proxy has dropped an answer", proxy.dropped > 0)
        eq("it was done once", pg.sql("SELECT count(*) FROM once"), "1")
finally:
    pg.close()
finish()
