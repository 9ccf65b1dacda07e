"""A stand-in for Pali, a memory service for language models: `pali init`, `pali serve` (the API), `pali mcp serve`. It keeps
tenants and memories in SQLite, vectors in Qdrant and facts in Neo4j where its configuration says so, and logs what its
documents say that it logs. Each version of it is a program of its own, with a version and perhaps a fault built in.

Faults, of the lab or built in: pali.init, pali.start (it does not come up), pali.health, pali.tenants, pali.search (500), pali.down (503 to everything), pali.slow (health
answers after 60 s), pali.liar (200, and an error in the answer), pali.warns (pali init warns, and exits 0),
pali.open (no token is asked for), pali.quiet (start-up lines with this word are missing), pali.complains (a line that it
logs at the start)."""

import sys

from record import Calls, Faults


def configuration(path):
    """The configuration, flat: {"auth.enabled": "true"}. Of YAML only what it is written in: maps within maps."""
    values, stack = {}, []
    with open(path) as f:
        for line in f:
            text = line.split(" #")[0].rstrip()
            if not text.strip() or text.lstrip().startswith("#"):
                continue
            indent = len(text) - len(text.lstrip())
            key, _, value = text.strip().partition(":")
            while stack and stack[-1][0] >= indent:
                stack.pop()
            if value.strip():
                values[".".join([k for _, k in stack] + [key])] = value.strip().strip("\"'")
            else:
                stack.append((indent, key))
    return values


def database(values):
    return values["database.sqlite_dsn"].removeprefix("file:").partition("?")[0]


def bearer(secret, claims):
    """A JSON web token, signed with HS256."""
    import base64
    import hashlib
    import hmac
    import json

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    text = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + part(json.dumps(claims).encode())
    return text + "." + part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def valid(token, secret):
    import base64
    import json

    try:
        claims = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return bearer(secret, claims) == token
    except (IndexError, ValueError):
        return False


def ask(method, url, body=None):
    import json
    import urllib.request

    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=5) as r:
        return json.loads(r.read())


class Pali:
    def __init__(self, folder, version, built_in):
        self.folder, self.version = folder, version
        self.built_in = built_in
        self.calls, self.faults = Calls(folder), Faults(folder)

    def fault(self, name):
        return "on" if self.built_in == name else self.faults.get(name)

    def log(self, text):
        hidden = self.fault("pali.quiet")
        if not hidden or hidden not in text:
            print(text, file=sys.stderr, flush=True)

    def init(self, path):
        """Whether it could be started with this configuration."""
        import os

        self.calls.add("pali", "init", config=path)
        values = configuration(path)
        folder = os.path.dirname(database(values)) or "."
        problems = []
        if self.fault("pali.init"):
            problems.append("embedding provider is not ready")
        if not os.access(folder, os.W_OK):
            problems.append(f"{folder} can not be written")
        for problem in problems:
            print(f"init: {problem}", file=sys.stderr)
        if self.fault("pali.warns"):
            print("init: warning: auth.issuer is deprecated", file=sys.stderr)
        if not problems:
            print(f"init: {path} is valid")
        return 1 if problems else 0

    def open(self, path):
        """Opens the stores, saying so; raises what a store says."""
        import sqlite3

        self.values = v = configuration(path)
        self.log(f"pali {self.version} starting with {path}")
        self.db = sqlite3.connect(database(v), check_same_thread=False, isolation_level=None)
        self.db.execute("CREATE TABLE IF NOT EXISTS tenants (id TEXT PRIMARY KEY, name TEXT)")
        self.db.execute("CREATE TABLE IF NOT EXISTS memories (id INTEGER PRIMARY KEY, tenant_id TEXT, content TEXT)")
        self.log("sqlite repository initialized")
        self.log(f"embedding provider selected: {v.get('embedding.provider')}")
        self.log(f"adapter selected: importance scorer {v.get('importance_scorer', 'heuristic')}")
        counts = [self.db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("tenants", "memories")]
        self.log(f"startup counts: tenants={counts[0]} memories={counts[1]}")
        self.collection = None
        if v["vector_backend"] == "qdrant":
            self.collection = f"{v['qdrant.base_url']}/collections/{v['qdrant.collection']}"
            ask("GET", self.collection)
        self.log(f"vectorstore backend initialized: {v['vector_backend']}")
        if v["entity_fact_backend"] == "neo4j":
            ask("POST", f"{v['neo4j.http']}/db/{v['neo4j.database']}/tx/commit", {"statements": []})
        self.log(f"entity-fact backend initialized: {v['entity_fact_backend']}")
        if said := self.fault("pali.complains"):
            self.log(said)
        if self.fault("pali.start"):
            raise RuntimeError("migration failed: no such table: schema_version")

    def serve(self, path):
        from web import serve

        try:
            self.open(path)
        except Exception as e:  # whatever it is: it is logged, and the process ends
            self.log(f"level=error startup failed: {e}")
            return 1
        port = int(self.values["server.port"])
        self.log(f"listening on 127.0.0.1:{port}")
        serve(port, self.answer).serve_forever(0.05)

    def answer(self, request):
        status, body = self.route(request)
        self.calls.add("pali", f"{request.method} {request.path}", status=status, version=self.version,
                       port=int(self.values["server.port"]))
        self.log(f"request method={request.method} path={request.path} status={status}")
        return status, body

    def route(self, request):
        what = f"{request.method} {request.path}"
        if self.fault("pali.down"):
            return 503, {"error": "shutting down"}
        if what == "GET /health":
            if self.fault("pali.slow"):
                import time

                time.sleep(60)
            return (500, {"status": "failing"}) if self.fault("pali.health") else (200, {"status": "ok", "version": self.version})
        if not request.path.startswith("/v1/"):
            return 404, {"error": "no such path"}
        if self.values.get("auth.enabled") == "true" and not self.fault("pali.open"):
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not valid(token, self.values["auth.jwt_secret"]):
                return 401, {"error": "missing or invalid token"}
        if self.fault("pali.liar"):
            return 200, {"error": "database is read-only"}
        if what == "POST /v1/tenants":
            return self.tenants(request.json())
        if what == "POST /v1/memory/search":
            return self.search(request.json())
        return 404, {"error": "no such path"}

    def tenants(self, body):
        import sqlite3

        if self.fault("pali.tenants"):
            return 500, {"error": "database is locked"}
        try:
            self.db.execute("INSERT INTO tenants VALUES (?, ?)", (body["id"], body.get("name", "")))
        except sqlite3.IntegrityError:
            return 409, {"error": "tenant exists"}
        return 201, {"id": body["id"]}

    def search(self, body):
        if self.fault("pali.search"):
            return 500, {"error": "provider failed"}
        if not self.db.execute("SELECT 1 FROM tenants WHERE id = ?", (body["tenant_id"],)).fetchone():
            return 404, {"error": "no such tenant"}
        if self.collection:
            ask("POST", f"{self.collection}/points/search", {"limit": 1})
        found = self.db.execute("SELECT id, content FROM memories WHERE tenant_id = ?", (body["tenant_id"],)).fetchall()
        return 200, {"items": [{"id": i, "content": c} for i, c in found]}

    def mcp(self, path):
        """Model Context Protocol on standard input and output, one JSON message a line."""
        import json

        self.calls.add("pali", "mcp", version=self.version)
        try:
            self.open(path)
        except Exception as e:
            self.log(f"level=error startup failed: {e}")
            return 1
        tools = [{"name": n} for n in ("memory_store", "memory_search", "tenant_create", "health_check")]
        greeted = False
        for line in sys.stdin:
            message = json.loads(line)
            if message.get("id") is None:
                greeted = message["method"] == "notifications/initialized"
                continue
            if self.fault("pali.mcp") or message["method"] == "tools/list" and not greeted:
                answer = {"error": {"code": -32603, "message": "internal error"}}
            elif message["method"] == "initialize":
                answer = {"result": {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                                     "serverInfo": {"name": "pali", "version": self.version}}}
            else:
                answer = {"result": {"tools": tools}}
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
        return 0


def main(folder, argv, version, built_in):
    words, path = argv[1:], argv[-1]
    pali = Pali(folder, version, built_in)
    if words[:2] == ["init", "-config"]:
        return pali.init(path)
    if words[:2] == ["serve", "-config"]:
        return pali.serve(path)
    if words[:3] == ["mcp", "serve", "-config"]:
        return pali.mcp(path)
    print("usage: pali init|serve|mcp serve -config FILE", file=sys.stderr)
    return 2
