#!/usr/bin/env python3
"""runbooks/pali/incident.lua against the lab: each of the six looks finds its own fault; evidence is kept before anybody is
asked; and Pali is rolled back when, and only when, somebody says so."""

import os
import sqlite3
import sys

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/lab"]
import supervisor
from lib import TMP, check, contains, eq, finish
from pali import PASSWORD, SECRET, Pali, digest
from runbooks import Judge

with Pali(TMP / "lab") as lab:
    judge = Judge(lab)
    judge.green("a deploy, so that there is something to roll back to", lab.run("deploy", artifact=lab.release("v2.0.0")))
    lab.calls.clear()
    lab.gateway.configure(limit=6000)  # we ask often

    def restarts():
        return len(lab.calls.of("supervisor", "restart"))

    def folders():
        return sorted(lab.evidence.iterdir())

    r = lab.run("incident")
    judge.green("nothing is wrong", r)
    contains("and it says so", r.stdout, "all six looks are green")
    eq("no evidence, no restart", (folders(), restarts()), ([], 0))

    GATEWAY, HEALTH = "the way from the gateway to Pali is open, over good TLS", "GET /health answers"
    ACCESS, PROCESS = "a token is wanted, and this one is good", "the process runs, and was not started again by itself"
    LOGS, REQUESTS = "no migration and no provider has failed", "no request was answered with an error of the server"

    def found(name, *rows, faults=(), **params):
        """These looks are red, the evidence is kept, a person is asked, and nothing is restarted."""
        before, n = restarts(), len(folders())
        for fault in faults:
            lab.faults.set(fault)
        r = lab.run("incident", **params)
        lab.faults.clear()
        judge.red(name, r, *rows, code=3)
        eq(f"{name}: evidence is kept, nothing is restarted, a person is asked", (len(folders()) > n or n > 0, restarts(), judge.status),
           (True, before, "waiting"))
        lab.gateway.access_log.write_text("")

    # -- supervisor
    supervisor.set_state(lab.folder, "pali", restarts=3)
    found("it was started again by itself", PROCESS)
    supervisor.set_state(lab.folder, "pali", restarts=0)

    # -- gateway
    lab.gateway.configure(days=-1)
    found("a certificate that has expired", GATEWAY)
    lab.gateway.configure(days=30)
    upstream = lab.gateway.upstream
    lab.gateway.upstream = lab.staging_port
    lab.gateway.configure()
    found("a gateway that leads elsewhere", GATEWAY)
    lab.gateway.upstream = upstream
    lab.gateway.configure()

    # -- health and access
    found("health fails", GATEWAY, HEALTH, faults=["pali.health"])
    found("a door that is open to everybody", ACCESS, faults=["pali.open"])
    (lab.folder / "token").write_text("not.the.token")
    found("a token that is not good", ACCESS)
    (lab.folder / "token").write_text(lab.token)

    # -- logs
    for line in ("level=error migration failed: column exists", "level=error provider failed: 401"):
        lab.faults.set("pali.complains", line)
        lab.restart()
        lab.faults.clear()
        found(f"the log says {line}", LOGS)
        for log in supervisor.logs_of(lab.folder, "pali"):
            os.remove(log)
        lab.restart()
    lab.gateway.access_log.write_text('127.0.0.1 - - [28/Nov/2026:07:00:00 +0000] "POST /v1/memory/search HTTP/1.1" 502 157 "-" "x"\n')
    found("requests that failed", REQUESTS)
    lab.gateway.access_log.write_text('127.0.0.1 - - [28/Nov/2026:07:00:00 +0000] "POST /v1/memory/search HTTP/1.1" 404 500 "-" "x"\n')
    judge.green("a request that its sender got wrong is none of them", lab.run("incident"))

    # -- stores
    found("a disk with less room than wanted", "the disk has room", disk_free=99)
    whole = lab.database.read_bytes()
    supervisor.stop(lab.folder, "pali")
    with sqlite3.connect(lab.database) as db:
        db.execute("CREATE TABLE audit (at TEXT)")
        root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'audit'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    torn = bytearray(lab.database.read_bytes())
    torn[(root - 1) * size : (root - 1) * size + 64] = b"\0" * 64
    lab.database.write_bytes(torn)
    supervisor.start(lab.folder, "pali")
    lab.came_up()
    found("a database that is damaged", "SQLite is sound")
    supervisor.stop(lab.folder, "pali")
    lab.database.write_bytes(whole)
    supervisor.start(lab.folder, "pali")
    lab.came_up()
    found("Qdrant is down", ACCESS, "Qdrant is ready", faults=["qdrant.down"])
    found("Neo4j is down", "Neo4j answers", faults=["neo4j.down"])

    # -- the disk, at the threshold and beside it; a df that says nothing
    ROOM = "the disk has room"
    df = lab.bin / "df"
    for used, good in ((90, True), (91, False), (100, False), (0, True)):
        df.write_text(f"#!/bin/sh\necho ' Use%'\necho ' {used}%'\necho 'df: /proc/x: Permission denied' >&2\n")
        df.chmod(0o755)
        if good:
            judge.green(f"10 % must be free, {used} % are used", lab.run("incident", disk_free=10))
        else:
            found(f"10 % must be free, {used} % are used", ROOM, disk_free=10)
    df.write_text("#!/bin/sh\necho ' Use%'\necho '    -'\n")
    found("a df that does not know", ROOM)
    df.unlink()

    # -- the configuration itself: the other looks are taken all the same, and evidence is kept of what is there
    lab.config.rename(lab.etc / "gone")
    found("the configuration is gone", "the configuration can be read")
    eq("which stores are in use is not known, all else is looked at", (judge.verdicts()["SQLite is sound"], judge.verdicts()[HEALTH]), ("skip", "pass"))
    (lab.etc / "gone").rename(lab.config)

    # -- nothing of it is asked where it is not in use
    lab.configure(vector_backend="sqlite", entity_fact_backend="sqlite")
    lab.qdrant.lab.faults.set("qdrant.down"), lab.faults.set("neo4j.down")
    lab.restart()
    judge.green("stores that are not in use", lab.run("incident"))
    lab.faults.clear()
    lab.configure()
    lab.restart()

    # -- the answer is no
    lab.faults.set("pali.health")
    r = lab.run("incident")
    lab.faults.clear()
    before = digest(lab.binary), restarts()
    r = lab.rbhost("answer", judge.run, "--value", "no", "--resume")
    eq("no: what was found stands, and nothing is touched", (r.returncode, (digest(lab.binary), restarts())), (1, before))

    # -- the answer is yes
    bad = lab.release("v3.0.0", "pali.search")
    os.replace(bad, lab.binary)
    lab.restart()
    eq("a version is in place that does not search", lab.version, "v3.0.0")
    supervisor.stop(lab.folder, "pali")
    r = lab.run("incident")
    judge.red("the process is gone", r, PROCESS, GATEWAY, HEALTH, ACCESS, code=3)
    failing = digest(lab.binary)
    eq("the evidence has the binary that failed", digest(folders()[-1] / "pali"), failing)
    r = lab.rbhost("answer", judge.run, "--value", "yes", "--resume")
    check("yes: rolled back", r.returncode == 0, r.stdout[-2000:] + r.stderr)
    eq("to the last known-good, restarted once", (lab.version, restarts()), ("v1.0.0", before[1] + 1))
    held = judge.text()
    check("no secret is in the journal", SECRET.encode() not in held and PASSWORD.encode() not in held and lab.token.encode() not in held)

    # -- a dry run asks nobody
    lab.faults.set("pali.health")
    n = len(folders())
    r = lab.run("incident", "--dry")
    lab.faults.clear()
    eq("a dry run goes to its end and keeps, asks and restarts nothing", (r.returncode, len(folders()) - n, restarts()), (0, 0, before[1] + 1))

    # -- no way back
    (lab.rollbacks / "last-known-good").unlink()
    lab.faults.set("pali.health")
    lab.run("incident")
    lab.faults.clear()
    before = digest(lab.binary), restarts()
    r = lab.rbhost("answer", judge.run, "--value", "yes", "--resume")
    eq("yes, without a known-good deployment: it says so and touches nothing", (r.returncode, (digest(lab.binary), restarts())), (1, before))
finish()
