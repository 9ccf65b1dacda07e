#!/usr/bin/env python3
# time-limit: 400
"""Pali's runbooks, killed: the host gets SIGKILL at points spread over the whole of a run, a resume brings it to its end,
nobody is asked anything, and the world is what it is after a run that nobody has killed. LONG: at every second point."""

import os
import subprocess
import sys

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/lab"]
import supervisor
from lib import RBHOST_FAULT, SLOW, TMP, check, eq, finish
from pali import RUNBOOKS, Pali, digest
from runbooks import Judge

LONG = bool(os.environ.get("LONG"))
RESUMES_MAX = 3

with Pali(TMP / "lab") as lab:
    judge = Judge(lab)

    def host(*args, fault):
        argv = [RBHOST_FAULT, "--journal", lab.journal, "--config", lab.folder / "config.lua", *args]
        env = {**os.environ, **lab.env, "RBHOST_FAULT": fault, "RBHOST_FAULT_LOG": str(TMP / "points")}
        return subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOW)

    def run(runbook, fault, **changes):
        path, words = lab.params(runbook, **changes)
        return host("run", RUNBOOKS / f"{runbook}.lua", "--params", path, *words, fault=fault)

    def sweep(runbook, n, world, code=0, **options):
        """Kills it at n places. changes: parameters of the k-th run; world(k): what must hold, or a text that says what does not."""
        changes, prepare = options.get("changes", lambda k: {}), options.get("prepare", lambda k: None)
        (TMP / "points").unlink(missing_ok=True)
        prepare(0)
        r = run(runbook, "count", **changes(0))
        points = len((TMP / "points").read_text().splitlines())
        eq(f"{runbook}: unharmed", (r.returncode, world(0)), (code, None))
        every = 2 if LONG else max(1, points // n)
        wrong, killed = [], 0
        for k, at in enumerate(range(every // 2 + 1, points, every), 1):
            prepare(k)
            before = len(judge.sql("SELECT 1 FROM runs"))
            r = run(runbook, f"kill:{at}", **changes(k))
            killed += r.returncode == -9
            if len(judge.sql("SELECT 1 FROM runs")) == before:  # killed before there was one
                r = run(runbook, "count", **changes(k))
            for _ in range(RESUMES_MAX):
                if judge.status not in ("running", "undoing"):
                    break
                r = lab.rbhost("resume", judge.run)
            said = world(k)
            if r.returncode != code or said or judge.events("doubt"):
                wrong.append((at, r.returncode, judge.status, said, judge.events("doubt"), r.stderr[-600:]))
        check(f"{runbook}: killed at {killed} places of {points}, always as if nobody had", killed > 0 and not wrong, wrong)

    def restarts():
        return len(lab.calls.of("supervisor", "restart"))

    def started_anew(k):
        lab.calls.clear()

    def halves():
        return sorted(str(p) for f in (lab.etc, lab.binary.parent, lab.rollbacks, lab.evidence, lab.backups) for p in f.rglob("*.new"))

    # -- deploy: the new version serves, restarted once
    def deployed(k):
        is_ = lab.version, restarts(), halves(), digest(lab.binary) == digest(lab.artifacts / f"pali-v2.0.{k}")
        return None if is_ == (f"v2.0.{k}", 1, [], True) else is_

    sweep("deploy", 12, deployed, changes=lambda k: {"artifact": lab.release(f"v2.0.{k}")}, prepare=started_anew)

    # -- a deploy that fails: what served before serves again, restarted twice in all
    good = lab.version

    def taken_back(k):
        is_ = lab.version, restarts(), halves(), judge.status
        return None if is_ == (good, 2, [], "undone") else is_

    sweep("deploy", 8, taken_back, code=1, changes=lambda k: {"artifact": lab.release(f"v3.0.{k}", "pali.search")}, prepare=started_anew)

    # -- rollback: the last known-good serves
    known_good = (lab.rollbacks / "last-known-good").read_text().strip()

    def rolled_back(k):
        is_ = digest(lab.binary) == digest(lab.rollbacks / known_good / "pali"), restarts(), halves()
        return None if is_ == (True, 1, []) else is_

    sweep("rollback", 6, rolled_back, prepare=started_anew)

    # -- backup: one whole one each time, and one dump of Neo4j unless it was cut short
    def one_more(k):
        whole = len(list(lab.backups.glob("*/manifest.json")))
        is_ = whole - one_more.before, halves()
        one_more.before = whole
        return None if is_ == (1, []) else is_

    one_more.before = 0
    sweep("backup", 6, one_more, prepare=started_anew)

    # -- restore drill: nothing stays behind, production is as it was, the drill is on record
    record = lab.backups / "restore-drill.json"
    untouched = digest(lab.config), lab.unit()["invocation"], lab.qdrant.collections["pali_memories"], lab.neo4j.databases["neo4j"]

    def forget(k):
        lab.calls.clear()
        record.unlink(missing_ok=True)

    def drilled(k):
        left = (lab.folder / "var" / "staging").exists(), supervisor.is_active(lab.folder, "pali-restore-drill"), "drill" in lab.qdrant.collections
        now = digest(lab.config), lab.unit()["invocation"], lab.qdrant.collections["pali_memories"], lab.neo4j.databases["neo4j"]
        is_ = left, "staging" in lab.neo4j.databases, now == untouched, record.exists(), len(lab.calls.of("supervisor", "run"))
        return None if is_ == ((False, False, False), False, True, True, 1) else is_

    sweep("restore-drill", 8, drilled, prepare=forget)
finish()
