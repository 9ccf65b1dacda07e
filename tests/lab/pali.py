"""The lab of the system Pali: the service and what is around it, as its operations document has it.

    with Pali(folder) as lab:               API mode, vectors in Qdrant, facts in Neo4j
        r = lab.run("deploy", artifact=lab.release("v2"))      the runbook, with the parameters that fit this lab
        lab.calls.of("supervisor", "restart"); lab.version; lab.qdrant.collections …

Real: nginx with TLS and a rate limit, a git repository, SQLite files with owners and modes, the configuration. Stand-ins:
Pali, Qdrant, Neo4j and its neo4j-admin, a monitor, systemd."""

import hashlib
import json
import os
import pathlib
import sqlite3
import subprocess
import urllib.request

import pali_service
import supervisor
from gateway import Gateway
from parts import SLOW, Lab, free_ports, listens, wait_until
from stores import Neo4j, Qdrant, Watcher

ROOT = pathlib.Path(__file__).resolve().parents[2]
RBHOST = os.environ.get("RBHOST", str(ROOT / "build" / "rbhost"))
RUNBOOKS = ROOT / "runbooks" / "pali"
SECRET = "q8Zr2vKx0TbN5yWc7LdF3hGs9JpM1aRe4uXoE6iV"
PASSWORD = "graph-0f9e8d7c6b5a"


def git(folder, *args):
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=Lab", "-c", "user.email=lab@example.org", *args], check=True,
                   capture_output=True)


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Pali(Lab):
    def __init__(self, folder, vectors="qdrant", facts="neo4j", mode="api"):
        super().__init__(folder)
        self.vectors, self.facts, self.mode = vectors, facts, mode
        self.port, self.staging_port = free_ports(2)
        self.etc, self.data = self.path("etc", "pali"), self.path("var", "lib", "pali", mode=0o700)
        self.backups, self.rollbacks = self.path("var", "backups", mode=0o700), self.path("var", "rollbacks", mode=0o700)
        self.evidence, self.artifacts = self.path("var", "evidence", mode=0o700), self.path("artifacts")
        self.config, self.binary = self.etc / "pali.yaml", self.path("opt", "bin") / "pali"
        self.database = self.data / "pali.db"
        self.journal = self.folder / "journal.db"
        self.token = pali_service.bearer(SECRET, {"tenant_id": "probe"})

    # -- making it

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.stop()
            raise
        return self

    def build(self):
        self.qdrant, self.neo4j = self.start(Qdrant(self)), self.start(Neo4j(self))
        self.watcher = self.start(Watcher(self, ["pali", "qdrant", "neo4j"]))
        self.qdrant.collections["pali_memories"] = [[0.1, 0.2], [0.3, 0.4]]
        self.neo4j.databases["neo4j"] = ["Ada", "Grace"]
        self.commands()
        self.repository = self.make_repository()
        self.configure()
        self.make_database()
        self.mounts()
        (self.folder / "config.lua").write_text(f'return {{ http = {{ ca_file = "{self.folder}/gateway/ca.crt" }} }}\n')
        (self.folder / "token").write_text(self.token)
        os.replace(self.release("v1.0.0"), self.binary)
        words = ["serve"] if self.mode == "api" else ["mcp", "serve"]
        self.command_words = [str(self.binary), *words, "-config", str(self.config)]
        supervisor.define(self.folder, "pali.service", exec=self.command_words, enabled=True, restart="always", stdin="socket")
        for timer in ("pali-health.timer", "pali-backup.timer"):
            supervisor.define(self.folder, timer, enabled=True, active=True, next="Sun 2026-11-29 03:00:00 UTC")
        supervisor.start(self.folder, "pali")
        self.gateway = self.start(Gateway(self, self.port))
        self.came_up()
        (self.backups / "restore-drill.json").write_text(json.dumps({"at": int(__import__("time").time()) - 60}))

    def stop(self):
        supervisor.stop_all(self.folder)
        super().stop()

    def commands(self):
        self.command("systemctl", "supervisor", "systemctl")
        self.command("systemd-run", "supervisor", "systemd_run")
        self.command("journalctl", "supervisor", "journalctl")
        self.command("neo4j-admin", "stores", "neo4j_admin", self.neo4j.url)
        self.command("cypher-shell", "stores", "cypher_shell", self.neo4j.url)
        self.command("pali", "pali_service", "main", "cli", "")

    def make_repository(self):
        folder = self.path("repository")
        git(folder, "init", "-q", "-b", "main")
        (folder / "scripts").mkdir()
        script = folder / "scripts" / "verify_docs_examples.sh"
        script.write_text(f'#!/bin/sh\n[ ! -e {self.folder}/faults/drift ] || {{ echo "README.md: no such command" >&2; exit 1; }}\n'
                          'echo "every command of the documents is there"\n')
        script.chmod(0o755)
        (folder / "pali.yaml.example").write_text('auth:\n  jwt_secret: ""\nneo4j:\n  password: ""\n')
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "first")
        return folder

    def commit(self, name, text):
        """A commit of one file; returns what undoes it, history included."""
        (self.repository / name).write_text(text)
        git(self.repository, "add", "-A")
        git(self.repository, "commit", "-q", "-m", "more")
        return lambda: git(self.repository, "reset", "-q", "--hard", "HEAD~1") or git(self.repository, "reflog", "expire", "--expire=now", "--all")

    def configure(self, path=None, **changes):
        """Writes the configuration; changes by path, with __ for the dot: auth__enabled="false"; None leaves one out."""
        v = {
            "server.host": "127.0.0.1", "server.port": self.port, "vector_backend": self.vectors, "entity_fact_backend": self.facts,
            "database.sqlite_dsn": f"file:{self.database}?cache=shared", "qdrant.base_url": self.qdrant.url,
            "qdrant.collection": "pali_memories", "neo4j.http": self.neo4j.url, "neo4j.username": "neo4j",
            "neo4j.password": f'"{PASSWORD}"', "neo4j.database": "neo4j", "embedding.provider": "ollama",
            "auth.enabled": "true", "auth.jwt_secret": f'"{SECRET}"  # from the vault', "auth.issuer": "pali",
        }  # fmt: skip
        v.update({k.replace("__", "."): c for k, c in changes.items()})
        v = {k: c for k, c in v.items() if c is not None}
        lines, section = ["# Pali", ""], None
        for key, value in sorted(v.items(), key=lambda kv: ("." in kv[0], kv[0])):
            head, _, name = key.rpartition(".")
            if head != section and head:
                lines.append(f"{head}:")
            section = head
            lines.append(f"  {name}: {value}" if head else f"{name}: {value}")
        path = pathlib.Path(path or self.config)
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return path

    def make_database(self):
        db = sqlite3.connect(self.database)
        db.execute("CREATE TABLE tenants (id TEXT PRIMARY KEY, name TEXT)")
        db.execute("CREATE TABLE memories (id INTEGER PRIMARY KEY, tenant_id TEXT, content TEXT)")
        db.execute("INSERT INTO tenants VALUES ('ada', 'Ada')")
        db.executemany("INSERT INTO memories (tenant_id, content) VALUES ('ada', ?)", [("tea",), ("no coffee",)])
        db.commit()
        db.close()
        self.database.chmod(0o600)

    def mounts(self, *lines):
        """The table of mounts, as /proc has it: (point, type) beside the root."""
        lines = lines or ((self.etc, "ext4"), (self.data, "xfs"))
        text = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        for i, (point, kind) in enumerate(lines):
            text += f"{30 + i} 20 8:{i + 2} / {str(point).replace(' ', chr(92) + '040')} rw,noatime shared:1 - {kind} /dev/sdb{i} rw\n"
        (self.folder / "mountinfo").write_text(text)

    def release(self, version, fault=""):
        """A binary of this version, perhaps with a fault built in."""
        return self.script(self.artifacts / f"pali-{version}", "pali_service", "main", version, fault)

    # -- looking at it

    def came_up(self):
        if self.mode == "api":
            wait_until("Pali", lambda: listens(self.port))
        else:
            wait_until("Pali", lambda: any("entity-fact" in pathlib.Path(f).read_text() for f in supervisor.logs_of(self.folder, "pali")))

    @property
    def version(self):
        """Which version answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as r:
            return json.loads(r.read())["version"]

    def rows(self, table, database=None):
        db = sqlite3.connect(f"file:{database or self.database}?mode=ro", uri=True)
        try:
            return db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        finally:
            db.close()

    def unit(self, name="pali"):
        return supervisor.state(self.folder, name)

    def restart(self):
        supervisor.stop(self.folder, "pali")
        supervisor.start(self.folder, "pali")
        self.came_up()

    # -- running runbooks

    def all_params(self):
        return {
            "config": self.config, "repository": self.repository, "data": self.data, "gateway": self.gateway.url,
            "service_user": subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip(),
            "jwt_secret_length": 32, "access_log": self.gateway.access_log, "burst": 12, "embeddings": f"{self.watcher.url}/embeddings",
            "monitor": f"{self.watcher.url}/status", "watched": ["pali", "qdrant", "neo4j"], "change_window": "7d",
            "drill": self.backups / "restore-drill.json", "mounts": self.folder / "mountinfo", "temporary": [str(self.folder / "tmp")],
            "mode": self.mode, "binary": self.binary, "command": self.command_words, "health_unit": "pali-health.timer",
            "unit": "pali.service", "rollbacks": self.rollbacks, "api": f"http://127.0.0.1:{self.port}", "poll": "10s",
            "tenant": "probe", "backups": self.backups, "qdrant": self.qdrant.url, "neo4j": self.neo4j.url,
            "neo4j_dump": ["neo4j-admin", "database", "dump", "neo4j", "--to-path"], "schedule": "pali-backup.timer", "every": "1d",
            "staging": self.folder / "var" / "staging", "port": self.staging_port, "collection": "drill",
            "neo4j_load": ["neo4j-admin", "database", "load", "neo4j", "--as", "staging", "--from-path"], "neo4j_database": "staging",
            "neo4j_clear": ["cypher-shell", "DROP DATABASE staging IF EXISTS"],
            "evidence_folder": self.evidence, "recent": "1h", "disk_free": 1, "decision": "1h",
        }  # fmt: skip

    def params(self, runbook, **changes):
        """A file with the parameters of a runbook; a change to None leaves one out."""
        described = subprocess.run([RBHOST, "describe", "--json", RUNBOOKS / f"{runbook}.lua"], capture_output=True, text=True, check=True)
        names = {p["name"] for p in json.loads(described.stdout)["params"]}
        all_of_them = self.all_params()
        if runbook == "restore-drill":
            all_of_them.update(command=[str(self.binary), "serve", "-config"], unit="pali-restore-drill.service")
        values = {k: v for k, v in {**all_of_them, **changes}.items() if (k in names or k in changes) and v is not None}
        if runbook == "deploy" and "sha256" not in values and "artifact" in values:
            values["sha256"] = digest(values["artifact"])
        path = self.path("params") / f"{runbook}.json"
        path.write_text(json.dumps(values, indent=1, default=str))
        return path, [f"token=@{self.folder}/token"] if "token" in names else []

    def rbhost(self, *args, timeout=60):
        argv = [RBHOST, "--journal", str(self.journal), "--config", str(self.folder / "config.lua"), *map(str, args)]
        return subprocess.run(argv, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="surrogateescape", timeout=timeout * SLOW)

    def run(self, runbook, *options, **changes):
        """A runbook, to its end or its question."""
        path, words = self.params(runbook, **changes)
        return self.rbhost("run", "-v", *options, RUNBOOKS / f"{runbook}.lua", "--params", path, *words)

    def tries(self):
        """Commands that try each runbook, in an order in which each works."""
        changes = {"deploy": {"artifact": self.release("v2.0.0")}}
        for runbook in ("predeploy", "verify", "backup", "restore-drill", "deploy", "rollback", "incident"):
            path, words = self.params(runbook, **changes.get(runbook, {}))
            yield " ".join(["rbhost run", f"runbooks/pali/{runbook}.lua", "--params", str(path), *words])


System = Pali  # what tests/lab/up starts
