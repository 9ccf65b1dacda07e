#!/usr/bin/env python3
"""runbooks/pali/rollback.lua against the lab: the last known-good version serves again; evidence is kept before anything
is touched, and what can not be rolled back to is not begun."""

import os
import sys

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/lab"]
from lib import TMP, check, contains, eq, finish
from pali import SECRET, Pali, digest
from runbooks import Judge

with Pali(TMP / "lab") as lab:
    judge = Judge(lab)
    V2 = lab.release("v2.0.0")
    first = digest(lab.binary), digest(lab.config)
    new_config = lab.configure(lab.artifacts / "pali.yaml", auth__issuer="pali-2")
    judge.green("v2 is deployed over v1", lab.run("deploy", artifact=V2, new_config=new_config))
    eq("and serves", lab.version, "v2.0.0")
    name = (lab.rollbacks / "last-known-good").read_text().strip()

    def restarts():
        return len(lab.calls.of("supervisor", "restart"))

    def untouched(what, row, *faults, **params):
        before = digest(lab.binary), digest(lab.config), restarts(), lab.version
        for fault in faults:
            lab.faults.set(fault)
        judge.red(what, lab.run("rollback", **params), row)
        lab.faults.clear()
        eq(f"{what}: nothing is touched", (digest(lab.binary), digest(lab.config), restarts(), lab.version), before)

    # -- what can not be rolled back to
    WHOLE, PRESERVE = "the snapshot is there and whole", "Preserve the evidence"
    untouched("a snapshot that does not exist", WHOLE, snapshot="0123456789ab-0123456789ab")
    kept = lab.rollbacks / name / "pali"
    content = kept.read_bytes()
    kept.write_bytes(content + b"#")
    untouched("a snapshot that has changed", WHOLE)
    kept.unlink()
    untouched("a snapshot without its binary", WHOLE)
    kept.write_bytes(content)
    kept.chmod(0o755)
    pointer = (lab.rollbacks / "last-known-good").read_text()
    (lab.rollbacks / "last-known-good").unlink()
    untouched("no known-good deployment", WHOLE)
    (lab.rollbacks / "last-known-good").write_text(pointer)

    # -- no evidence, no rollback
    shut = lab.folder / "a-file"
    shut.write_text("")
    untouched("evidence that can not be kept", PRESERVE, evidence_folder=shut / "x")
    untouched("a journal that can not be read", PRESERVE, "journalctl.down")
    untouched("a gateway's log that is not there", PRESERVE, access_log=lab.folder / "none.log")
    for folder in lab.evidence.iterdir():  # what was begun
        for f in folder.iterdir():
            f.unlink()
        folder.rmdir()

    # -- copies that are not what they should be are not put in place
    lab.command("cp", "faulty", "cut_copies")
    untouched("copies that are cut", PRESERVE)
    (lab.bin / "cp").unlink()
    for folder in lab.evidence.iterdir():
        for f in folder.iterdir():
            f.unlink()
        folder.rmdir()

    # -- back
    lab.faults.set("pali.complains", "level=error migration failed: column exists")
    lab.restart()
    lab.faults.clear()
    lab.calls.clear()
    failing = digest(lab.binary), digest(lab.config)
    r = lab.run("rollback")
    judge.green("back to the last known-good", r)
    eq("the old version serves, binary and configuration are those from before", (lab.version, digest(lab.binary), digest(lab.config)),
       ("v1.0.0", *first))
    eq("restarted once", restarts(), 1)
    (folder,) = lab.evidence.iterdir()
    eq("the evidence has what failed", (digest(folder / "pali"), digest(folder / "pali.yaml")), failing)
    contains("its journal", (folder / "journal.log").read_text(), "migration failed: column exists")
    contains("the state of the unit", (folder / "unit.json").read_text(), '"state":"active"')
    check("the gateway's log is there", (folder / "access.log").exists())
    eq("for nobody else to read", (oct(folder.stat().st_mode & 0o777), oct((folder / "journal.log").stat().st_mode & 0o777)), ("0o700", "0o600"))
    order = [(c["part"], c["what"]) for c in lab.calls.all() if c["what"] in ("journal", "restart")]
    eq("the journal was kept before the restart", order[:2], [("supervisor", "journal"), ("supervisor", "restart")])
    eq("and the checks went through it", [(c["what"], c["version"]) for c in lab.calls.of("pali")][-4:-1],  # the last one was ours
       [("GET /health", "v1.0.0"), ("POST /v1/tenants", "v1.0.0"), ("POST /v1/memory/search", "v1.0.0")])
    check("no secret is in the journal", SECRET.encode() not in judge.text())

    # -- a rollback that does not help says so
    FLOW = ["GET /health answers", "POST /v1/tenants makes the probe's tenant", "POST /v1/memory/search finds its way"]
    for what, fault, rows in (
        ("not healthy after it", "pali.health", FLOW[:1]),
        ("no tenants after it", "pali.tenants", FLOW[1:2]),
        ("no search after it", "pali.search", FLOW[2:]),
    ):
        lab.faults.set(fault)
        judge.red(what, lab.run("rollback", **({"poll": "1s"} if fault == "pali.health" else {})), *rows)
        lab.faults.clear()
    lab.faults.set("pali.slow")
    judge.red("health that never answers", lab.run("rollback", poll="1s"), FLOW[0])
    lab.faults.clear()
    lab.faults.set("pali.liar")
    judge.red("answers of 200 that tell of an error", lab.run("rollback"), *FLOW[1:])
    lab.faults.clear()
    lab.faults.set("systemctl.flaps")
    judge.red("a process that is started again and again", lab.run("rollback"), "the unit stays up")
    lab.faults.clear()
    for fault in ("systemctl.restart", "systemctl.lies"):
        lab.faults.set(fault)
        judge.red(f"{fault}: a supervisor that does not restart", lab.run("rollback"), "Restart pali.service")
        lab.faults.clear()
        if fault == "systemctl.lies":
            lab.restart()  # by hand: for the journal it has been done
        r = lab.rbhost("retry", judge.run)
        eq(f"{fault}: is tried again when it works", (r.returncode, lab.version), (0, "v1.0.0"))

    # -- what is gone is no reason not to roll back
    for what, path in (("binary", lab.binary), ("configuration", lab.config)):
        content, n = digest(path), restarts()
        path.unlink()
        judge.green(f"the {what} is gone", lab.run("rollback"))
        eq(f"the {what} is there again, and it serves", (digest(path), lab.version, restarts() - n), (content, "v1.0.0", 1))
        contains(f"the evidence says that the {what} was not there", judge.evidence("preserved")[{"binary": "pali", "configuration": "pali.yaml"}[what]],
                 "is not there")

    # -- a dry run goes to its end
    n, folders = restarts(), sorted(lab.evidence.iterdir())
    judge.green("a dry run", lab.run("rollback", "--dry"))
    eq("does nothing", (restarts() - n, sorted(lab.evidence.iterdir())), (0, folders))
    eq("what is looked at before is known, what would be behind it is not", [judge.verdicts()[t] for t in (WHOLE, *FLOW)], ["pass", *3 * ["would"]])
finish()
