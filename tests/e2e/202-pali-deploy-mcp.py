#!/usr/bin/env python3
"""runbooks/pali/deploy.lua in MCP mode: the server is spoken to over its standard input, and what it logs is read."""

import os
import sys

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/lab"]
import supervisor
from lib import TMP, eq, finish
from pali import Pali, digest
from runbooks import Judge

with Pali(TMP / "lab", vectors="sqlite", facts="sqlite", mode="mcp") as lab:
    judge = Judge(lab)
    TOOLS = "the server introduces itself and has tools"

    V2 = lab.release("v2.0.0")
    r = lab.run("deploy", artifact=V2)
    judge.green("a new binary", r)
    eq("it is in place, and runs", (digest(lab.binary), supervisor.is_active(lab.folder, "pali")), (digest(V2), True))
    eq("restarted once", len(lab.calls.of("supervisor", "restart")), 1)
    eq("its tools are evidence", judge.evidence("tools"), ["memory_store", "memory_search", "tenant_create", "health_check"])
    eq("it was spoken to, before and after", [c["version"] for c in lab.calls.of("pali", "mcp")], ["v1.0.0", "v1.0.0", "v2.0.0", "v2.0.0"])
    eq("no HTTP API was asked", [c for c in lab.calls.of("pali") if "/" in c["what"]], [])

    for what, fault, rows in (
        ("a version that answers with errors", "pali.mcp", [TOOLS]),
        ("a version that does not start", "pali.start", [TOOLS, "the unit stays up"]),
    ):
        r = lab.run("deploy", artifact=lab.release(f"v3-{fault}", fault))
        judge.red(what, r, *rows)
        eq(f"{what}: what ran before is back, and runs", (digest(lab.binary), supervisor.is_active(lab.folder, "pali"), judge.status),
           (digest(V2), True, "undone"))

    before = digest(lab.binary), len(lab.calls.of("supervisor", "restart"))
    r = lab.run("deploy", artifact=lab.release("v4"), command=[str(lab.binary), "serve", "-config", str(lab.config)])
    judge.red("the command of the other mode", r, "the unit runs the command of this mode")
    eq("and nothing is touched", (digest(lab.binary), len(lab.calls.of("supervisor", "restart"))), before)

    # -- rolled back, in this mode
    lab.calls.clear()
    V4 = lab.release("v4")
    judge.green("another one", lab.run("deploy", artifact=V4))
    MODE = "what this mode needs is named"
    judge.red("a rollback that is not told how the server is spoken to", lab.run("rollback", command=None), MODE)
    eq("is not begun", digest(lab.binary), digest(V4))
    judge.green("a rollback", lab.run("rollback", access_log=None, tenant=None))
    eq("what ran before runs", (digest(lab.binary), supervisor.is_active(lab.folder, "pali")), (digest(V2), True))
    eq("it was spoken to", lab.calls.of("pali", "mcp")[-1]["version"], "v2.0.0")
    eq("and still nobody asked an HTTP API", [c for c in lab.calls.of("pali") if "/" in c["what"]], [])
finish()
