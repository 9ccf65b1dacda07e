#!/usr/bin/env python3
"""runbooks/pali/verify.lua against the lab: health, tenants, memory and the start-up log, each with its faults."""

import os
import sys

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/lab"]
import supervisor
from lib import TMP, check, eq, finish
from pali import Pali
from runbooks import Judge

with Pali(TMP / "lab") as lab:
    judge = Judge(lab)
    UP = "the unit stays up"
    HEALTH, TENANT = "GET /health answers", "POST /v1/tenants makes the probe's tenant"
    SEARCH = "POST /v1/memory/search finds its way"

    judge.green("all is well", lab.run("verify"))
    eq("the probe's tenant is made", lab.rows("tenants"), [("ada", "Ada"), ("probe", "runbook probe")])
    eq("and searched in", [c["status"] for c in lab.calls.of("pali", "POST /v1/memory/search")], [200])
    eq("what the log shows is evidence", [judge.evidence(n) for n in ("repository initialization", "provider selection", "adapter selection",
       "startup counts", "vectorstore backend", "entity-fact backend")],
       ["sqlite repository initialized", "embedding provider selected: ollama", "adapter selected: importance scorer heuristic",
        "startup counts: tenants=1 memories=2", "vectorstore backend initialized: qdrant", "entity-fact backend initialized: neo4j"])
    judge.green("again: the tenant is there already", lab.run("verify"))
    eq("once", lab.rows("tenants"), [("ada", "Ada"), ("probe", "runbook probe")])

    def faulty(name, *rows, fault=None, value="on", **params):
        if fault:
            lab.faults.set(fault, value)
        r = lab.run("verify", **params)
        lab.faults.clear()
        return judge.red(name, r, *rows)

    n = len(lab.calls.of("pali", "GET /health"))
    faulty("a health that fails", HEALTH, fault="pali.health", poll="1s")
    check("it was polled", len(lab.calls.of("pali", "GET /health")) - n > 1)
    faulty("a health that never answers is no more than polled for as long", HEALTH, fault="pali.slow", poll="1s")
    faulty("answers of 200 that tell of an error", TENANT, SEARCH, fault="pali.liar")
    faulty("a process that is started again and again by itself", UP, fault="systemctl.flaps")
    faulty("tenants that can not be made", TENANT, fault="pali.tenants")
    faulty("a search that fails", SEARCH, fault="pali.search")
    faulty("vectors that are down", SEARCH, fault="qdrant.down")
    (lab.folder / "token").write_text("not.the.token")
    faulty("a token that is not good", TENANT, SEARCH)
    (lab.folder / "token").write_text(lab.token)
    faulty("a journal that can not be read", "repository initialization", "provider selection", "adapter selection", "startup counts",
           "vectorstore backend", "entity-fact backend", "nothing failed", fault="journalctl.down")

    # -- what it logs at its start
    for word, row in (("repository", "repository initialization"), ("embedding provider", "provider selection"),
                      ("adapter", "adapter selection"), ("startup counts", "startup counts"),
                      ("vectorstore", "vectorstore backend"), ("entity-fact", "entity-fact backend")):  # fmt: skip
        lab.faults.set("pali.quiet", word)
        lab.restart()
        faulty(f"a start-up log without: {word}", row)
    for line in ("level=error provider failed: 401", '{"level":"error","msg":"cannot open index"}', "migration 0007 failed: column exists",
                 "WARN provider openrouter: request failed", "2026/11/28 07:00:00 ERROR no such collection", "panic: runtime error"):
        lab.faults.set("pali.complains", line)
        lab.restart()
        faulty(f"a start-up log that complains: {line}", "nothing failed")
    lab.faults.set("pali.complains", "migrations: 3 applied, 0 failed")
    lab.restart()
    judge.green("one that only counts none that failed", lab.run("verify"))
    lab.faults.set("pali.quiet", "sqlite repository")
    lab.faults.set("pali.complains", "level=error repository initialization: disk I/O error")
    lab.restart()
    faulty("a line that says that it failed is not what was looked for", "repository initialization", "nothing failed")
    lab.faults.clear()
    lab.restart()
    judge.green("a new start begins a new log", lab.run("verify"))

    supervisor.stop(lab.folder, "pali")
    faulty("nobody listens", HEALTH, TENANT, SEARCH, UP, poll="1s")
    check("the token is not in the journal", lab.token.encode() not in judge.text())
finish()
