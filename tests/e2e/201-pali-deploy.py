#!/usr/bin/env python3
"""runbooks/pali/deploy.lua against the lab, in API mode: what was deployed serves; each fault stops it before anything is
touched, or leads back to what served before; killed in the middle it goes on and restarts once."""

import os
import pathlib
import signal
import subprocess
import sys

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/lab"]
import supervisor
from lib import TMP, check, contains, eq, finish, start, wait_for
from pali import RBHOST, RUNBOOKS, SECRET, Pali, digest
from runbooks import Judge

with Pali(TMP / "lab") as lab:
    judge = Judge(lab)

    def restarts():
        return len(lab.calls.of("supervisor", "restart"))

    def untouched(name, **params):
        """Nothing is swapped or restarted by what follows."""
        before = digest(lab.binary), digest(lab.config), restarts(), lab.unit()["invocation"]
        yield lab.run("deploy", **params)
        eq(f"{name}: nothing was swapped or restarted", (digest(lab.binary), digest(lab.config), restarts(),
                                                        lab.unit()["invocation"]), before)

    def refused(name, *rows, **params):
        for r in untouched(name, **params):
            judge.red(name, r, *rows)

    # -- refused before anything is touched
    V2 = lab.release("v2.0.0")
    refused("another binary than the one that was built", "the new binary is what was built", artifact=V2, sha256="0" * 64)
    refused("a unit that runs something else", "the unit runs the command of this mode", artifact=V2, command=["pali", "serve"])
    refused("no tenant for the probe", "the probe's tenant is named", artifact=V2, tenant=None)
    SUPERVISED = "the unit is enabled, and started again when it ends"
    supervisor.define(lab.folder, "pali", restart="no")
    refused("a unit that is not started again", SUPERVISED, artifact=V2)
    supervisor.define(lab.folder, "pali", restart="always", enabled=False)
    refused("a unit that does not come back after a boot", SUPERVISED, artifact=V2)
    supervisor.define(lab.folder, "pali", enabled="enabled-runtime")
    refused("a unit that is enabled until the next boot", SUPERVISED, artifact=V2)
    supervisor.define(lab.folder, "pali", enabled=True)
    LOOP = "the health check loop is enabled and running"
    supervisor.define(lab.folder, "pali-health.timer", active=False)
    refused("a health check loop that does not run", LOOP, artifact=V2)
    supervisor.define(lab.folder, "pali-health.timer", active=True, enabled=False)
    refused("a health check loop that is not enabled", LOOP, artifact=V2)
    supervisor.define(lab.folder, "pali-health.timer", enabled=True)
    refused("no health check loop at all", LOOP, artifact=V2, health_unit="none.timer")
    shutter = lab.folder / "no-folder"
    shutter.write_text("a file")
    refused("rollbacks can not be kept", "Keep what runs now", artifact=V2, rollbacks=shutter)
    lab.command("cp", "faulty", "cut_copies")  # a disk that cuts what is copied
    refused("copies that are cut", "Keep what runs now", artifact=V2)
    (lab.bin / "cp").unlink()
    eq("and nothing half lies about", [p.name for p in lab.rollbacks.rglob("*.new")], [])
    lab.command("mv", "faulty", "cut_moves")
    refused("a snapshot that is not whole", "the snapshot is there and whole", artifact=V2)
    lab.command("mv", "faulty", "does_nothing")
    refused("a mv that does nothing and says that all is well", "Keep what runs now", artifact=V2)
    (lab.bin / "mv").unlink()
    for folder in lab.rollbacks.iterdir():
        for f in folder.iterdir():
            f.unlink()
        folder.rmdir()

    # -- a good deploy
    old = digest(lab.binary), digest(lab.config)
    new_config = lab.configure(lab.artifacts / "pali.yaml", auth__issuer="pali-2")
    r = lab.run("deploy", artifact=V2, new_config=new_config)
    judge.green("a new binary and a new configuration", r)
    eq("the new version serves", lab.version, "v2.0.0")
    eq("both are in place, whole", (digest(lab.binary), digest(lab.config)), (digest(V2), digest(new_config)))
    eq("the configuration is still its owner's alone", oct(lab.config.stat().st_mode & 0o777), "0o600")
    eq("it was restarted once", restarts(), 1)
    kept = (lab.rollbacks / "last-known-good").read_text().strip()
    eq("what ran before was kept, as the last known-good", (digest(lab.rollbacks / kept / "pali"), digest(lab.rollbacks / kept / "pali.yaml")), old)
    eq("the probe went through the new one", [(c["what"], c["status"]) for c in lab.calls.of("pali", version="v2.0.0") if "/v1/" in c["what"]],
       [("POST /v1/tenants", 409), ("POST /v1/memory/search", 200)])
    eq("and through the old one before: that is what makes it known to be good",
       [(c["what"], c["status"]) for c in lab.calls.of("pali", version="v1.0.0") if "/v1/" in c["what"]],
       [("POST /v1/tenants", 201), ("POST /v1/memory/search", 200)])
    eq("the start-up log is evidence", judge.evidence("startup counts"), "startup counts: tenants=2 memories=2")
    check("no secret is in the journal", SECRET.encode() not in judge.text() and lab.token.encode() not in judge.text())

    # -- what does not come up well is taken back
    def taken_back(name, rows, artifact, **params):
        before = digest(lab.binary), digest(lab.config)
        n = restarts()
        r = lab.run("deploy", artifact=artifact, **params)
        judge.red(name, r, *([rows] if isinstance(rows, str) else rows))
        eq(f"{name}: what served before is back", ((digest(lab.binary), digest(lab.config)), lab.version), (before, "v2.0.0"))
        eq(f"{name}: restarted for it, and to take it back", (restarts() - n, judge.status), (2, "undone"))

    HEALTH = "GET /health answers"
    FLOW = (HEALTH, "POST /v1/tenants makes the probe's tenant", "POST /v1/memory/search finds its way")
    UP = "the unit stays up"
    taken_back("a version that does not start", (*FLOW, UP), lab.release("v3-start", "pali.start"), poll="2s")
    taken_back("a version that is not healthy", HEALTH, lab.release("v3-health", "pali.health"), poll="2s")
    taken_back("a version that makes no tenants", "POST /v1/tenants makes the probe's tenant", lab.release("v3-tenants", "pali.tenants"))
    taken_back("a version that does not search", "POST /v1/memory/search finds its way", lab.release("v3-search", "pali.search"))
    broken = lab.configure(lab.artifacts / "broken.yaml", qdrant__collection="none")
    taken_back("a version whose health never answers", HEALTH, lab.release("v3-slow", "pali.slow"), poll="2s")
    taken_back("a version that answers 200 with an error", FLOW[1:], lab.release("v3-liar", "pali.liar"))
    taken_back("a configuration that does not do", (*FLOW, UP), V2, new_config=broken, poll="2s")
    lab.faults.set("pali.complains", "level=error provider failed: no route to host")
    taken_back("a start-up log that complains", "nothing failed", lab.release("v3"))
    lab.faults.clear()
    lab.faults.set("pali.quiet", "vectorstore")
    taken_back("a start-up log without its vectorstore", "vectorstore backend", lab.release("v3"))
    lab.faults.clear()
    lab.faults.set("systemctl.restart")
    r = lab.run("deploy", artifact=lab.release("v3"))
    name = (lab.rollbacks / "last-known-good").read_text().strip()
    judge.red("a supervisor that fails to restart: the way back fails, too, and says so", r, "Restart pali.service", "Restart pali.service")
    lab.faults.clear()
    r = lab.rbhost("undo", judge.run)
    eq("and is gone when it works again", (r.returncode, lab.version, judge.status), (0, "v2.0.0", "undone"))

    lab.faults.set("systemctl.lies")
    r = lab.run("deploy", artifact=lab.release("v3"))
    judge.red("a supervisor that restarts nothing and says that it has: not believed", r, "Restart pali.service", "Restart pali.service")
    lab.faults.clear()
    r = lab.rbhost("undo", judge.run)
    eq("what served before is back when it works again", (r.returncode, lab.version, judge.status), (0, "v2.0.0", "undone"))

    # -- what is not well is not named good
    good = (lab.rollbacks / "last-known-good").read_text()
    lab.faults.set("pali.search")  # nothing that /health would tell
    judge.red("a fault that came from elsewhere", lab.run("deploy", artifact=lab.release("v3")), "POST /v1/memory/search finds its way")
    lab.faults.clear()
    eq("what did not search before is not named good", ((lab.rollbacks / "last-known-good").read_text(),
       judge.verdicts()["Name the last known-good deployment"]), (good, "skip"))
    supervisor.stop(lab.folder, "pali")
    r = lab.run("deploy", artifact=lab.release("v4.0.0"), poll="4s")
    judge.green("a deploy that mends what was down", r)
    eq("the last known-good is what it was", ((lab.rollbacks / "last-known-good").read_text(), judge.verdicts()["Name the last known-good deployment"]),
       (good, "skip"))
    eq("and it serves", lab.version, "v4.0.0")

    # -- killed in the middle: the restart has happened, and nobody has told the host
    n, made = restarts(), lab.rows("tenants")
    lab.faults.set("systemctl.hold")
    path, words = lab.params("deploy", artifact=lab.release("v5.0.0"))
    argv = [RBHOST, "--journal", lab.journal, "--config", lab.folder / "config.lua", "run", RUNBOOKS / "deploy.lua", "--params", path, *words]
    host = start(argv, env={**os.environ, **lab.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("the restart", lambda: lab.faults.get("systemctl.held"))
    host.send_signal(signal.SIGKILL)
    host.wait()
    supervisor.lose(lab.folder)  # as when the power fails: nobody is left who would know
    lab.faults.clear()
    (lab.folder / "release").write_text("")
    lab.came_up()
    eq("killed while it restarts: the run is interrupted", (judge.status, restarts() - n), ("running", 1))
    r = lab.rbhost("resume", judge.run)
    judge.green("it is gone on with, and asks the supervisor whether it has happened", r)
    eq("restarted once in all, and the new version serves", (restarts() - n, lab.version), (1, "v5.0.0"))
    eq("its files were swapped once: nothing half done lies beside them",
       sorted(p.name for folder in (lab.etc, lab.binary.parent) for p in folder.iterdir()), ["pali", "pali.yaml"])
    eq("the tenant was there already, and is there once", lab.rows("tenants"), made)

    # -- a dry run touches nothing
    before = digest(lab.binary), restarts(), sorted(lab.rollbacks.iterdir()), lab.rows("tenants")
    r = lab.run("deploy", "--dry", artifact=lab.release("v6"))
    judge.green("a dry run goes to its end", r)
    contains("and says what it would do", r.stdout, f"mv -T -- {lab.binary}.new {lab.binary}")
    eq("touching nothing", (digest(lab.binary), restarts(), sorted(lab.rollbacks.iterdir()), lab.rows("tenants")), before)
    eq("what would be looked at behind it is not known", {judge.verdicts()[t] for t in (*FLOW, UP, "nothing failed", "startup counts")}, {"would"})
    eq("what is looked at before is", judge.verdicts()["the unit runs the command of this mode"], "pass")
finish()
