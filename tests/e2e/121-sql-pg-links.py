#!/usr/bin/env python3
# time-limit: 240
"""Connections to a real PostgreSQL from runbooks: as psql users have them, with a secret, through TLS, lost and refused."""
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
sys.path.insert(0, os.environ["T"])
from book import Case, ends
from lib import contains, eq, finish, lacks, wait_for
from pg import PASSWORD, Postgres

pg = Postgres()
try:
    # -- the configuration, a secret, TLS

    c = Case("""
        print(sql("app", "SELECT current_user::text AS who")[1].who)
        print(sql("app", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")[1].ssl)
        local ok, e = pcall(sql, "wrong", "SELECT 1")
        print(ok, e.kind, e.outcome, e.message:match("does not match host name") ~= nil)
        local ok, e = pcall(sql, "app", "CREATE TABLE t (n int)")
        print(ok, e.kind, e.outcome)
    """)
    tls = f"sslmode=verify-full&sslrootcert={pg.ca}"
    c.write("conf.lua", f"""return {{
        secrets = {{ pgpw = {{ env = "PGPW" }} }},
        dsns = {{
            app = {{ dsn = "postgres://app@localhost:{pg.port}/secure?{tls}", password = {{ secret = "pgpw" }}, read_only = true }},
            wrong = {{ dsn = "postgres://app@wrong.test:{pg.port}/secure?hostaddr=127.0.0.1&{tls}", password = {{ secret = "pgpw" }} }},
        }},
    }}""")
    r = c.run("--config", c.dir / "conf.lua", env={"PGPW": PASSWORD})
    ends("a DSN of the configuration, its password a secret, TLS with the name compared", r, 0)
    eq("lets in, and only where the certificate is for the name", c.prints(),
       ["app", "true", "false\tsql.connect\tnot_started\ttrue", "false\tsql.readonly\tnot_started"])
    lacks("the password is nowhere", r.stdout + r.stderr + str(c.events()), PASSWORD)

    # -- as psql users have it

    c = Case('print(sql("postgres:service=mine", "SELECT current_database()::text AS d")[1].d)')
    c.write(".pg_service.conf", f"[mine]\nhost=localhost\nport={pg.port}\ndbname=app\nuser=app\n")
    quoted = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    c.write(".pgpass", f"localhost:{pg.port}:app:app:{quoted}\n").chmod(0o600)
    ends("a service and .pgpass", c.run(env={"HOME": str(c.dir)}), 0)
    eq("are read as psql reads them", c.prints(), ["app"])
    (c.dir / ".pgpass").chmod(0o644)
    r = c.run(env={"HOME": str(c.dir)})
    contains("a .pgpass that others can read is not read, and whoever is refused reads why", r.stderr,
             f"{c.dir}/.pgpass is not read, because others can read it (mode 0644): chmod 600 {c.dir}/.pgpass")
    lacks("libpq prints nothing by itself", r.stdout + r.stderr, "WARNING")
    c = Case('print(pcall(sql, "postgres://app:s3same-open@127.0.0.1/app?sslmod=x", "SELECT 1"))')
    c.run()
    contains("a word that libpq does not know is named", c.prints()[0], 'invalid URI query parameter: "sslmod"')
    lacks("and the password is not", c.prints()[0], "s3same")

    # -- refused

    c = Case(f"""
        for _, dsn in ipairs {{ "postgres://app@127.0.0.1:1/app", "postgres://app@no.such.name.invalid/app", "postgres:service=none" }} do
          local ok, e = pcall(sql, dsn, "SELECT 1")
          print(ok, e.kind, e.outcome)
        end
    """)
    ends("nobody there, no such name, no such service", c.run(), 0)
    eq("are not started", c.prints(), ["false\tsql.connect\tnot_started"] * 3)

    # -- the server restarts between two statements of one run

    c = Case(f"""
        local db = sql.open({pg.dsn()!r})
        db:exec("CREATE TABLE kept (n int)")
        db:exec("INSERT INTO kept VALUES (1)")
        exec({{ "cat", "@DIR@/go" }})
        db:exec("INSERT INTO kept VALUES (2)")
        print(db:value("SELECT count(*) FROM kept"))
    """)
    os.mkfifo(c.dir / "go")
    p = c.start("run", "t.lua")
    with open(c.dir / "go", "w"):  # opens when the command reads
        pg.restart()
    eq("the run goes on with a new connection", (p.wait(60), c.prints()), (0, ["2"]))

    # -- killed in the middle of a write, stopped in the middle of one

    c = Case(f"""
        local ok, e = pcall(sql, {pg.dsn()!r}, "INSERT INTO kept SELECT 3 FROM pg_sleep(600)")
        print(ok, e.kind, e.outcome)
    """)
    active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND usename = 'app' AND query LIKE '%pg_sleep%'"
    p = c.start("run", "t.lua")
    wait_for("the statement", lambda: pg.sql(active) == "1")
    pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app' AND query LIKE '%pg_sleep%'")
    eq("a backend that is killed in a write leaves it unknown", (p.wait(60), c.prints()), (0, ["false\tsql.lost\tunknown"]))

    c = Case(f'sql({pg.dsn()!r}, "INSERT INTO kept SELECT 4 FROM pg_sleep(600)")')
    p = c.start("run", "t.lua")
    wait_for("the statement", lambda: pg.sql(active) == "1")
    ends("a cancel of the run", c.rb("cancel", c.id, "--reason", "enough"), 0)
    p.wait(60)
    eq("ends it", c.status(), "cancelled")
    wait_for("the server has stopped it too", lambda: pg.sql(active) == "0")
    eq("and nothing of it stays", pg.sql("SELECT count(*) FROM kept WHERE n > 2"), "0")

    # -- many at once

    c = Case(f"""
        local db = sql.open({pg.dsn()!r})
        local jobs = {{}}
        for i = 1, 100 do jobs[i] = function() return db:value("SELECT $1::int", i) end end
        local sum = 0
        for _, n in ipairs(all(jobs)) do sum = sum + n end
        print(sum)
    """)
    ends("a hundred queries at once", c.run(), 0)
    eq("are all answered", c.prints(), ["5050"])

    # -- how many connections

    c = Case("""
        local db = sql.open "app"
        local pids, tasks = {}, {}
        for i = 1, 8 do tasks[i] = function() pids[db:value "SELECT pg_backend_pid() FROM pg_sleep(0.02)"] = true end end
        all(tasks)
        local n = 0
        for _ in pairs(pids) do n = n + 1 end
        print(n)
    """)
    c.write("conf.lua", f"""return {{ secrets = {{ pg = {{ env = "PGPW" }} }}, dsns = {{ app = {{
        dsn = "postgres://app@127.0.0.1:{pg.port}/app", password = {{ secret = "pg" }}, max_connections = 2 }} }} }}""")
    ends("eight queries at once, and two connections in the configuration", c.run("--config", c.dir / "conf.lua", env={"PGPW": PASSWORD}), 0)
    eq("share them", c.prints(), ["2"])
finally:
    pg.close()
finish()
