#!/usr/bin/env python3
"""runbooks/pali/backup.lua against the lab: a snapshot of each store in use, that can be read; each fault leaves no
manifest, so what is not whole is never taken for a backup."""

import json
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

    def whole():
        """The backups that have a manifest."""
        return sorted(p.parent.name for p in lab.backups.glob("*/manifest.json"))

    def newest():
        return max((p.parent for p in lab.backups.glob("*/manifest.json")), key=lambda p: p.stat().st_mtime_ns)

    def failing(name, row, *faults, value="on", **params):
        before = whole()
        for fault in faults:
            lab.faults.set(fault, value)
        judge.red(name, lab.run("backup", **params), row)
        lab.faults.clear()
        eq(f"{name}: no backup is declared whole", whole(), before)

    # -- a busy database, in WAL mode, with what is not yet checkpointed
    writer = sqlite3.connect(lab.database)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO memories (tenant_id, content) VALUES ('ada', 'milk')")
    writer.commit()
    r = lab.run("backup")
    judge.green("all stores", r)
    eq("there is one backup", len(whole()), 1)
    folder = newest()
    manifest = json.loads((folder / "manifest.json").read_text())
    eq("each store and the configuration are in it", sorted(manifest["stores"]), ["config", "neo4j", "qdrant", "sqlite"])
    eq("its files are what it says", [digest(folder / f["file"]) for s in manifest["stores"].values() for f in s["files"]],
       [f["sha256"] for s in manifest["stores"].values() for f in s["files"]])
    eq("the database, with what was in its WAL", lab.rows("memories", folder / "pali.db"),
       [(1, "ada", "tea"), (2, "ada", "no coffee"), (3, "ada", "milk")])
    eq("its rows are counted", manifest["stores"]["sqlite"]["tables"], {"memories": 3, "tenants": 1})
    eq("the vectors", json.loads((folder / "qdrant.snapshot").read_text()), lab.qdrant.collections["pali_memories"])
    eq("the facts", json.loads((folder / "neo4j/neo4j.dump").read_text()), ["Ada", "Grace"])
    eq("the configuration, as it is", (folder / "pali.yaml").read_bytes(), lab.config.read_bytes())
    eq("nobody else may read any of it", (oct(folder.stat().st_mode & 0o777), oct((folder / "pali.yaml").stat().st_mode & 0o777)),
       ("0o700", "0o600"))
    held = judge.text()
    check("no secret is in the journal", SECRET.encode() not in held and PASSWORD.encode() not in held)

    # -- what fails
    failing("Qdrant is down", "Vectors in Qdrant", "qdrant.down")
    failing("Qdrant hangs up", "Vectors in Qdrant", "qdrant.gone")
    failing("Qdrant can make no snapshot", "Vectors in Qdrant", "qdrant.full")
    failing("a snapshot that arrives cut", "Vectors in Qdrant", "qdrant.torn")
    failing("a snapshot with another checksum than Qdrant says", "Vectors in Qdrant", "qdrant.wrong")
    failing("a snapshot that arrives cut, of a Qdrant that tells no checksum", "Vectors in Qdrant", "qdrant.old", "qdrant.torn")
    failing("an answer of 200 without a snapshot", "Vectors in Qdrant", "qdrant.odd")
    lab.faults.set("qdrant.old")
    judge.green("a Qdrant that tells no checksum", lab.run("backup"))
    lab.faults.clear()
    lab.faults.set("neo4j.two")
    judge.green("a dump of two files", lab.run("backup"))
    lab.faults.clear()
    eq("both are in the manifest", [f["file"] for f in json.loads((newest() / "manifest.json").read_text())["stores"]["neo4j"]["files"]],
       ["neo4j/neo4j.dump", "neo4j/system.dump"])
    lab.command("cp", "faulty", "cut_copies")
    failing("a configuration that is cut", "Configuration")
    (lab.bin / "cp").unlink()
    lab.configure(vector_backend="pgvector")
    r = lab.run("backup")
    check("a store that nobody knows how to back up is not left out in silence", r.returncode == 1 and "pgvector" in r.stderr, r.stderr)
    lab.configure()
    failing("neo4j-admin fails", "Facts in Neo4j", "neo4j.dump")
    failing("a dump with nothing in it", "neo4j is whole", "neo4j.empty")
    lab.configure(database__sqlite_dsn=f"file:{lab.data}/none.db")
    failing("there is no database", "SQLite database")
    (lab.data / "torn.db").write_bytes(lab.database.read_bytes()[:4096] + b"torn" * 1024)
    lab.configure(database__sqlite_dsn=f"file:{lab.data}/torn.db")
    failing("a database that is damaged", "SQLite database")
    lab.configure()
    shut = lab.folder / "a-file"
    shut.write_text("")
    failing("nowhere to put it", "Make the folder", backups=shut / "x")

    # -- schedule: the backup is taken, and the finding stands
    def finding(name, row, **params):
        n = len(whole())
        judge.red(name, lab.run("backup", **params), row)
        eq(f"{name}: this backup is there all the same", len(whole()), n + 1)

    TIMER = "the timer is enabled and will elapse"
    supervisor.define(lab.folder, "pali-backup.timer", enabled=False)
    finding("a timer that is not enabled", TIMER)
    supervisor.define(lab.folder, "pali-backup.timer", enabled=True, active=False)
    finding("a timer that does not run", TIMER)
    supervisor.define(lab.folder, "pali-backup.timer", active=True, next="")
    finding("a timer that will not elapse", TIMER)
    finding("no timer", TIMER, schedule="none.timer")
    supervisor.define(lab.folder, "pali-backup.timer", next="Sun 2026-11-29 03:00:00 UTC")
    for path in lab.backups.glob("*/manifest.json"):
        old = json.loads(path.read_text())
        path.write_text(json.dumps({**old, "at": old["at"] - 90000}))
    IN_TIME = "the backup before this one was taken in time"
    finding("the backup before is too old", IN_TIME)
    supervisor.define(lab.folder, "pali-backup.timer", next="", next_monotonic="3d 2h")
    judge.green("a timer by the time since the boot", lab.run("backup"))
    now = json.loads((newest() / "manifest.json").read_text())
    (newest() / "manifest.json").write_text(json.dumps({**now, "at": now["at"] + 7200}))
    finding("the backup before comes from the future", IN_TIME)
    for path in lab.backups.glob("*/manifest.json"):
        path.write_text(path.read_text()[:40])
    judge.green("manifests that are cut stand in nobody's way", lab.run("backup"))
    eq("and are no backups", judge.verdicts()[IN_TIME], "skip")

    # -- a dry run goes to its end
    n, calls = sorted(lab.backups.iterdir()), len(lab.calls.of("neo4j-admin")) + len(lab.calls.of("qdrant"))
    r = lab.run("backup", "--dry")
    judge.green("a dry run", r)
    contains("lists what it would do", r.stdout, "dump Neo4j")
    eq("and does nothing", (sorted(lab.backups.iterdir()), len(lab.calls.of("neo4j-admin")) + len(lab.calls.of("qdrant"))), (n, calls))
    eq("what would be looked at is not known", judge.verdicts()[IN_TIME], "would")

    # -- by the stores in use
    lab.configure(vector_backend="sqlite", entity_fact_backend="sqlite")
    n = len(lab.calls.of("qdrant")), len(lab.calls.of("neo4j-admin"))
    judge.green("SQLite alone", lab.run("backup", neo4j_dump=None))
    eq("nothing else was asked or is in it", (sorted(json.loads((newest() / "manifest.json").read_text())["stores"]),
       (len(lab.calls.of("qdrant")), len(lab.calls.of("neo4j-admin")))), (["config", "sqlite"], n))
    lab.configure()
    r = lab.run("backup", neo4j_dump=None)
    check("facts in Neo4j, and nobody said how they are dumped", r.returncode == 1 and "neo4j_dump" in r.stderr, r.stderr)
    writer.close()
finish()
