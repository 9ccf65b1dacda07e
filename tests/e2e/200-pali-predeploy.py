#!/usr/bin/env python3
"""runbooks/pali/predeploy.lua against the lab: everything good, and each fault turns its own row red and no other. The
journal never holds a secret of the configuration, and nothing in the world is changed."""

import json
import os
import shutil
import subprocess
import sys
import time

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/lab"]
from lib import TMP, check, contains, eq, finish
from pali import PASSWORD, SECRET, Pali, git
from runbooks import Judge

with Pali(TMP / "lab") as lab:
    judge = Judge(lab)

    def faulty(name, row, **params):
        return judge.red(name, lab.run("predeploy", **params), row)

    r = lab.run("predeploy")
    judge.green("all is well", r)
    eq("every row was looked at", (len([v for v in judge.verdicts().values() if v == "pass"]), r.stdout.count("skip")), (23, 0))
    eq("pali init was asked once, for this configuration", [c["config"] for c in lab.calls.of("pali", "init")], [str(lab.config)])
    contains("the gateway has refused requests, by its own log", lab.gateway.access_log.read_text(), '" 429 ')
    measured = judge.evidence("measured")
    eq("jwt_secret is measured, not shown", (measured["length"], measured["bits"] > 4.5, measured["changes"] > 0.5), (40, True, True))

    # -- paths
    inside = lab.configure(lab.repository / "pali.yaml")
    lab.mounts((lab.repository, "ext4"), (lab.data, "xfs"))
    faulty("a configuration inside of a repository", "the configuration is outside of any repository", config=inside)
    lab.mounts()
    inside.unlink()
    git(lab.data, "init", "-q")
    faulty("data inside of a repository", "the data are outside of any repository")
    shutil.rmtree(lab.data / ".git")
    lab.mounts((lab.data, "xfs"))
    faulty("a configuration on the root's file system", "the configuration is mounted")
    lab.mounts((lab.etc, "ext4"))
    faulty("data on the root's file system", "the data are mounted")
    lab.mounts()

    # The table of this machine, against what findmnt says of it.
    point, kind = subprocess.run(["findmnt", "-no", "TARGET,FSTYPE", "-T", lab.data], capture_output=True, text=True, check=True).stdout.split()
    red = ["the configuration is mounted", "the data are mounted"] if point == "/" else []
    red += ["sqlite_dsn is a file on persistent storage"] if kind in ("tmpfs", "ramfs", "overlay") else []
    r = lab.run("predeploy", mounts=None)
    if red:
        judge.red("this machine's own mounts", r, *red)
    else:
        judge.green("this machine's own mounts", r)

    # -- source control
    for what, row, name, text in (
        ("a committed jwt_secret", "no jwt_secret was ever committed", "a.yaml", "auth:\n  jwt_secret: 4d7f1c9a2b\n"),
        ("a committed API key", "no provider API key was ever committed", "a.env", "OPENROUTER_API_KEY=sk-or-v1-0123456789abcdef\n"),
        ("a committed password", "no database credential was ever committed", "a.yaml", "neo4j:\n  password: hunter2hunter2\n"),
        ("a committed DSN with a password", "no database credential was ever committed", "a.yaml", "dsn: postgres://pali:s3cret@db/pali\n"),
    ):
        undo = lab.commit(name, text)
        faulty(what, row)
        lab.commit("b.txt", "x")
        (lab.repository / name).unlink()
        lab.commit("c.txt", "the file is gone")
        faulty(f"{what}, gone from the tree but not from the history", row)
        git(lab.repository, "reset", "-q", "--hard", "HEAD~2")
        undo()
    undo = lab.commit("example.yaml", "auth:\n  jwt_secret: replace-with-a-long-one\n")
    faulty("an example of a jwt_secret", "no jwt_secret was ever committed")
    judge.green("which somebody has looked at", lab.run("predeploy", no_secrets=["example.yaml"]))
    undo()
    lab.configure(pgvector__dsn="postgres://pali:p0stgres-pw-17@db/pali")
    undo = lab.commit("notes.md", "the other one is p0stgres-pw-17\n")
    faulty("a password of a DSN of the configuration in some file", "no secret of this configuration is in it")
    undo()
    lab.configure()
    undo = lab.commit("notes.md", f"it is {PASSWORD}, do not tell\n")
    faulty("a value of the configuration in some file", "no secret of this configuration is in it")
    undo()

    # -- start-up
    lab.faults.set("pali.init")
    faulty("pali init refuses", "pali init accepts the configuration")
    lab.faults.clear()
    lab.faults.set("drift")
    faulty("the documents have drifted", "the documents' commands have not drifted")
    lab.faults.clear()

    # -- access, data, profile: in the configuration
    def configured(name, row, **changes):
        lab.configure(**changes)
        faulty(name, row)
        lab.configure()

    configured("auth is disabled", "auth.enabled is true", auth__enabled="false")
    LONG = "auth.jwt_secret is long and random"
    configured("a short jwt_secret", LONG, auth__jwt_secret="aB3dE5gH7jK9mN")
    configured("no jwt_secret", LONG, auth__jwt_secret='""')
    configured("a long jwt_secret of one letter", LONG, auth__jwt_secret="a" * 64)
    configured("a long jwt_secret of words", LONG, auth__jwt_secret="this-is-the-very-long-secret-of-our-service")
    PERSISTENT = "sqlite_dsn is a file on persistent storage"
    configured("a database in memory", PERSISTENT, database__sqlite_dsn="file::memory:?cache=shared")
    lab.path("elsewhere")
    configured("a database outside of the data", PERSISTENT, database__sqlite_dsn=f"file:{lab.folder}/elsewhere/pali.db")
    configured("a database in the working directory", PERSISTENT, database__sqlite_dsn="file:pali.db")
    judge.red("a database in a temporary directory", lab.run("predeploy", temporary=[str(lab.folder / "var")]), PERSISTENT)
    lab.mounts((lab.etc, "ext4"), (lab.data, "tmpfs"))
    faulty("a database on a tmpfs", PERSISTENT)
    lab.mounts()
    ALONE = "the directory is the service user's alone"
    lab.data.chmod(0o750)
    faulty("a directory that a group may enter", ALONE)
    lab.data.chmod(0o700)
    faulty("a directory of somebody else", ALONE, service_user="pali-of-production")
    configured("no password for Neo4j", "the Neo4j password is there where facts are in Neo4j", neo4j__password='""')
    lab.faults.set("embeddings")
    faulty("embeddings are not ready", "the embeddings provider is ready")
    lab.faults.clear()
    faulty("nobody says where embeddings would be", "the embeddings provider is ready", embeddings=None)

    lab.faults.set("pali.warns")
    judge.green("pali init warns", lab.run("predeploy"))
    lab.faults.clear()
    contains("and its warnings are evidence", judge.evidence("init"), "auth.issuer is deprecated")
    configured("a store that nobody knows", "the Neo4j password is there where facts are in Neo4j", entity_fact_backend="memgraph")
    lab.configure(auth__enabled="True")
    judge.green("True is true", lab.run("predeploy"))
    lab.configure()

    # -- links do not hide where something is
    (lab.repository / "hidden").mkdir()
    linked = lab.path("linked") / "pali.yaml"
    linked.symlink_to(lab.configure(lab.repository / "hidden" / "pali.yaml"))
    lab.mounts((lab.repository, "ext4"), (lab.data, "xfs"))
    faulty("a link to a configuration inside of a repository", "the configuration is outside of any repository", config=linked)
    lab.mounts()
    shutil.rmtree(lab.repository / "hidden")
    volatile = lab.path("tmp", "data", mode=0o700)
    (lab.folder / "linked" / "data").symlink_to(volatile)
    lab.configure(database__sqlite_dsn=f"file:{lab.folder}/linked/data/pali.db")
    lab.mounts((lab.etc, "ext4"), (lab.data, "xfs"), (volatile, "ext4"))
    faulty("a link to a temporary directory", PERSISTENT, data=lab.folder / "linked" / "data")
    lab.mounts()
    lab.configure()

    # -- the gateway, the monitor, the drill
    OLD = "the gateway speaks nothing older than TLS 1.2"
    lab.gateway.configure(protocols="TLSv1 TLSv1.1 TLSv1.2")
    faulty("a gateway that speaks TLS 1.1", OLD)
    lab.gateway.configure(protocols="TLSv1.2 TLSv1.3", limit=False)
    faulty("a gateway without a limit", "the gateway limits the rate")
    lab.gateway.configure(limit=60, log=False)
    faulty("a gateway that logs nothing", "the gateway logs its requests")
    lab.gateway.configure(log=True, days=-1)
    judge.red("a certificate that has expired: nothing can be asked through this gateway", lab.run("predeploy"),
              "the gateway's certificate is good", "the gateway limits the rate", "the gateway logs its requests")
    lab.gateway.configure(days=30)
    judge.red("a gateway that nobody answers at: that no old TLS is spoken there proves nothing",
              lab.run("predeploy", gateway=f"https://127.0.0.1:{lab.staging_port}"), "the gateway's certificate is good", OLD,
              "the gateway limits the rate", "the gateway logs its requests")
    judge.red("a gateway without TLS", lab.run("predeploy", gateway=f"http://127.0.0.1:{lab.port}"), "the gateway's certificate is good", OLD,
              "the gateway limits the rate", "the gateway logs its requests")
    lab.faults.set("pali.down")
    lab.gateway.configure(limit=False)
    faulty("503 to everybody is no limit", "the gateway limits the rate")
    lab.faults.clear()
    lab.gateway.configure(limit=60)
    lab.watcher.watched[2] = "neo4j-old"
    faulty("a name that only begins like another that is watched", "process and dependencies are watched from outside")
    lab.watcher.watched[2] = "neo4j"
    lab.watcher.watched.remove("neo4j")
    faulty("a dependency that nobody watches", "process and dependencies are watched from outside")
    lab.watcher.watched.append("neo4j")
    DRILL = "a restore was tested in this change window"
    record = lab.backups / "restore-drill.json"
    record.write_text(json.dumps({"at": int(time.time()) - 8 * 86400}))
    faulty("a drill of another change window", DRILL)
    record.write_text(json.dumps({"at": int(time.time()) + 3600}))
    faulty("a drill that will be", DRILL)
    record.write_text("{}")
    faulty("a record that says nothing", DRILL)
    record.write_text('{"at": 17')
    faulty("a record that is cut", DRILL)
    record.unlink()
    faulty("no drill at all", DRILL)
    record.write_text(json.dumps({"at": int(time.time())}))

    # -- what is not in use is left out
    lab.configure(entity_fact_backend="sqlite", neo4j__password='""', embedding__provider="lexical", auth__enabled="false")
    r = lab.run("predeploy", environment="dev", embeddings=None)
    judge.green("a development environment with local stores", r)
    eq("what is left out says so", [t for t, v in judge.verdicts().items() if v == "skip"],
       ["auth.enabled is true", LONG, "the gateway's certificate is good", OLD,
        "the Neo4j password is there where facts are in Neo4j", "the embeddings provider is ready"])
    lab.configure()

    # -- a dry run looks at all of it
    lab.calls.clear()
    judge.green("a dry run", lab.run("predeploy", "--dry"))
    eq("makes every check that only looks", [t for t, v in judge.verdicts().items() if v != "pass"], ["pali init accepts the configuration", "Pre-deploy"])
    eq("and does not call pali init", lab.calls.of("pali", "init"), [])

    held = judge.text()
    check("no secret of the configuration is in the journal", SECRET.encode() not in held and PASSWORD.encode() not in held)
    eq("nothing was restarted or written by all this", (lab.calls.of("supervisor"), lab.rows("tenants")), ([], [("ada", "Ada")]))
finish()
