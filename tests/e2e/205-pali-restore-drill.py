#!/usr/bin/env python3
"""runbooks/pali/restore-drill.lua against the lab: what was backed up runs at a staging path, production is not touched,
nothing stays behind; killed in the middle it goes on and starts the restored Pali once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/lab"]
import supervisor
from lib import TMP, check, contains, eq, finish, start, wait_for
from pali import RBHOST, RUNBOOKS, SECRET, Pali, digest
from runbooks import Judge

with Pali(TMP / "lab") as lab:
    judge = Judge(lab)
    judge.green("a backup to begin with", lab.run("backup"))
    (folder,) = (p.parent for p in lab.backups.glob("*/manifest.json"))
    record, staging = lab.backups / "restore-drill.json", lab.folder / "var" / "staging"
    record.unlink()

    def production():
        """All that belongs to production."""
        return (digest(lab.database), lab.rows("tenants"), digest(lab.config), lab.unit()["invocation"], lab.version,
                lab.qdrant.collections["pali_memories"], lab.neo4j.databases["neo4j"])

    def left():
        """What a drill must not leave behind."""
        return staging.exists(), supervisor.is_active(lab.folder, "pali-restore-drill"), "drill" in lab.qdrant.collections, "staging" in lab.neo4j.databases

    NOTHING = (False, False, False, False)
    before = production()
    r = lab.run("restore-drill")
    judge.green("the newest backup is restored and runs", r)
    eq("it was started with the restored configuration", [c["argv"][-1] for c in lab.calls.of("supervisor", "run")], [str(staging / "pali.yaml")])
    eq("and answered on its own port", [(c["what"], c["status"]) for c in lab.calls.of("pali", port=lab.staging_port)],
       [("GET /health", 200), ("POST /v1/tenants", 201), ("POST /v1/memory/search", 200)])
    eq("its rows are those that were saved", judge.evidence("rows"), {"memories": 2, "tenants": 1})
    eq("the facts were loaded, into the database of the drill", lab.neo4j.loaded["staging"], ["Ada", "Grace"])
    eq("the vectors were uploaded, into the collection of the drill",
       [c["path"] for c in lab.calls.of("qdrant", "POST") if "upload" in c["path"]], ["/collections/drill/snapshots/upload"])
    eq("production is as it was", production(), before)
    eq("nothing stays behind", left(), NOTHING)
    eq("the drill is on record", json.loads(record.read_text())["backup"], folder.name)
    check("no secret is in the journal", SECRET.encode() not in judge.text() and lab.token.encode() not in judge.text())

    def failing(name, rows, *faults, **params):
        record.unlink(missing_ok=True)
        for fault in faults:
            lab.faults.set(fault)
        r = lab.run("restore-drill", **params)
        lab.faults.clear()
        judge.red(name, r, *([rows] if isinstance(rows, str) else rows))
        eq(f"{name}: production is as it was, nothing stays behind, no drill is on record", (production(), left(), record.exists()),
           (before, NOTHING, False))

    # -- a backup that is none
    TAKEN = "it is as it was taken"
    for what, path in (("the database", "pali.db"), ("the vectors", "qdrant.snapshot"), ("the facts", "neo4j/neo4j.dump"), ("the configuration", "pali.yaml")):
        content = (folder / path).read_bytes()
        (folder / path).write_bytes(content[:-1] + b"?")
        failing(f"{what} has changed since it was taken", TAKEN)
        (folder / path).write_bytes(content)
    (folder / "pali.db").rename(folder / "gone")
    failing("a part is missing", TAKEN)
    (folder / "gone").rename(folder / "pali.db")
    (folder / "manifest.json").rename(folder / "gone")
    r = lab.run("restore-drill")
    check("no backup that is whole", r.returncode == 1 and "a whole backup" in r.stderr, r.stderr)
    (folder / "gone").rename(folder / "manifest.json")

    # -- never production's
    APART = "nothing of it is production's"
    LISTENS = "nobody listens on its port"
    failing("production's port", [APART, LISTENS], port=lab.port)
    failing("a port on which somebody listens", LISTENS, port=lab.watcher.port)
    lab.configure(server__port=None)
    lab.run("restore-drill", port=8080)
    eq("the port that production has where it names none", judge.verdicts()[APART], "fail")
    lab.configure()
    failing("production's collection", APART, collection="pali_memories")
    failing("production's database of facts", APART, neo4j_database="neo4j")
    failing("no collection is named", APART, collection=None)
    failing("no command that loads facts is named", APART, neo4j_load=None)
    failing("no command that drops them again is named", APART, neo4j_clear=None)
    staging.mkdir()
    (staging / "theirs").write_text("somebody's")
    record.unlink(missing_ok=True)
    judge.red("a staging path that is somebody's", lab.run("restore-drill"), "the staging path is free")
    eq("what is in it stays", (staging / "theirs").read_text(), "somebody's")
    (staging / "theirs").unlink()
    staging.rmdir()
    failing("production's own path", ["the staging path is free", APART], staging=str(lab.data))
    lab.command("sed", "faulty", "does_nothing")
    failing("a configuration that still leads to production is not started", "the restored configuration leads to what was restored")
    eq("indeed it was not", len(lab.calls.of("supervisor", "run")), 1)
    (lab.bin / "sed").unlink()

    manifest = (folder / "manifest.json").read_text()
    without = json.loads(manifest)
    del without["stores"]["qdrant"]
    (folder / "manifest.json").write_text(json.dumps(without))
    failing("a backup without a store that its configuration uses", "the restored configuration leads to what was restored")
    (folder / "manifest.json").write_text(manifest[: len(manifest) // 2])
    r = lab.run("restore-drill")
    check("a manifest that is cut", r.returncode == 1 and "manifest.json is damaged" in r.stderr, r.stderr)
    (folder / "manifest.json").write_text(manifest)
    older = lab.backups / "zz-by-its-name-the-newest"
    shutil.copytree(folder, older)
    (older / "manifest.json").write_text(json.dumps({**json.loads(manifest), "at": 1}))
    record.unlink(missing_ok=True)
    judge.green("the newest is the newest by its time", lab.run("restore-drill"))
    eq("and not by its name", json.loads(record.read_text())["backup"], folder.name)
    shutil.rmtree(older)

    # -- restoring, starting, checking
    RESTORE, FLOW = "Restore to the staging path", ["GET /health answers", "POST /v1/tenants makes the probe's tenant",
                                                    "POST /v1/memory/search finds its way"]  # fmt: skip
    failing("facts that can not be loaded", RESTORE, "neo4j.load")
    failing("a restored Pali that does not start", [*FLOW, "it is the restored Pali that runs"], "pali.start", poll="1s")
    failing("one that is not healthy", FLOW[0], "pali.health", poll="1s")
    failing("one that makes no tenants", FLOW[1:], "pali.tenants")
    failing("one that does not search", FLOW[2], "pali.search")

    lab.faults.set("qdrant.down")
    r = lab.run("restore-drill")
    lab.faults.clear()
    contains("vectors that can not be uploaded", r.stdout, "FAIL      Restore to the staging path")
    check("Qdrant is down for the clearing, too, and the run says what is left to undo", "rbhost" in r.stderr and "undo" in r.stderr, r.stderr)
    r = lab.rbhost("undo", judge.run)
    eq("which goes when it is up again", (r.returncode, left()), (0, NOTHING))

    # -- what can not be cleared away is said, and stays to be undone
    record.unlink(missing_ok=True)
    lab.faults.set("neo4j.drop")
    r = lab.run("restore-drill")
    lab.faults.clear()
    contains("a database that can not be dropped", r.stdout, "FAIL      Clear everything away")
    eq("no drill is on record", record.exists(), False)
    r = lab.rbhost("undo", judge.run)
    eq("and the rest is undone when it can be", (r.returncode, left()), (0, NOTHING))

    # -- a dry run goes to its end
    calls = len(lab.calls.of("supervisor", "run")) + len(lab.calls.of("neo4j-admin"))
    r = lab.run("restore-drill", "--dry")
    judge.green("a dry run", r)
    eq("does nothing", (left(), production(), record.exists(), len(lab.calls.of("supervisor", "run")) + len(lab.calls.of("neo4j-admin"))),
       (NOTHING, before, False, calls))
    eq("what it looks at before is known, what would be restored is not", [judge.verdicts()[t] for t in (TAKEN, LISTENS, FLOW[0])],
       ["pass", "pass", "would"])

    # -- killed in the middle, when the restored Pali has been started
    record.unlink(missing_ok=True)
    n = len(lab.calls.of("supervisor", "run"))
    lab.faults.set("systemctl.hold")
    path, words = lab.params("restore-drill")
    argv = [RBHOST, "--journal", lab.journal, "--config", lab.folder / "config.lua", "run", RUNBOOKS / "restore-drill.lua", "--params", path, *words]
    host = start(argv, env={**os.environ, **lab.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("the start", lambda: lab.faults.get("systemctl.held"))
    host.send_signal(signal.SIGKILL)
    host.wait()
    lab.faults.clear()
    (lab.folder / "release").write_text("")

    def answers():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{lab.staging_port}/health", timeout=5).status == 200
        except OSError:
            return False

    wait_for("the restored Pali", answers)
    uploads = len([c for c in lab.calls.of("qdrant", "POST") if "upload" in c["path"]])
    loads = len(lab.calls.of("neo4j-admin", "load"))
    eq("killed: the restored Pali runs, nobody watches it", (judge.status, left()), ("running", (True, True, True, True)))
    r = lab.rbhost("resume", judge.run)
    judge.green("it is gone on with", r)
    eq("the restored Pali was started once, each store restored once",
       (len(lab.calls.of("supervisor", "run")) - n, len([c for c in lab.calls.of("qdrant", "POST") if "upload" in c["path"]]) - uploads,
        len(lab.calls.of("neo4j-admin", "load")) - loads), (1, 0, 0))
    eq("nothing stays behind, production is as it was, the drill is on record", (left(), production(), record.exists()), (NOTHING, before, True))

    # -- and the pre-deploy checklist sees it
    judge.green("the pre-deploy checklist takes the record", lab.run("predeploy"))
finish()
