"""Stand-ins for the stores that a memory service leans on: Qdrant (collections and their snapshots, by its HTTP API) and
Neo4j (its HTTP API, and neo4j-admin's dump and load). What they hold is a dictionary that tests look into.

Faults: qdrant.down, qdrant.torn (a snapshot arrives cut), qdrant.full (no snapshot is made),
qdrant.wrong (its checksum is another), qdrant.old (it tells no checksum), qdrant.odd (200, and no snapshot), neo4j.down, neo4j.empty (a dump
is made, with nothing in it), neo4j.two (another dump lies beside it), neo4j.dump, neo4j.load, neo4j.drop (the command fails)."""

import hashlib
import json
import os
import re
import sys
import urllib.request

from record import Calls, Faults
from web import Web


class Qdrant(Web):
    name = "qdrant"

    def __init__(self, lab):
        super().__init__(lab)
        self.collections, self.snapshots = {}, {}  # name: [points], (collection, snapshot): bytes

    def get(self, path, request):
        if path in ("/readyz", "/healthz"):
            return 200, "all shards are ready"
        if m := re.fullmatch(r"/collections/([^/]+)", path):
            points = self.collections.get(m[1])
            return (404, {"status": {"error": "not found"}}) if points is None else (200, {"result": {"points_count": len(points)}})
        if m := re.fullmatch(r"/collections/([^/]+)/snapshots/([^/]+)", path):
            data = self.snapshots.get((m[1], m[2]))
            if data is not None:
                return 200, data[: len(data) // 2] if self.lab.faults.get("qdrant.torn") else data

    def post(self, path, request):
        if m := re.fullmatch(r"/collections/([^/]+)/points/search", path):
            return (200, {"result": []}) if m[1] in self.collections else (404, {"status": {"error": "not found"}})
        if m := re.fullmatch(r"/collections/([^/]+)/snapshots", path):
            if self.lab.faults.get("qdrant.full"):
                return 500, {"status": {"error": "no space left on device"}}
            if m[1] not in self.collections:
                return 404, {"status": {"error": "not found"}}
            name = f"{m[1]}-{len(self.snapshots) + 1}.snapshot"
            data = self.snapshots[m[1], name] = json.dumps(self.collections[m[1]]).encode()
            sum_of = b"another" if self.lab.faults.get("qdrant.wrong") else data
            told = {"name": name, "size": len(data), "checksum": hashlib.sha256(sum_of).hexdigest()}
            if self.lab.faults.get("qdrant.old"):
                del told["checksum"]
            return 200, {"result": None if self.lab.faults.get("qdrant.odd") else told}
        if m := re.fullmatch(r"/collections/([^/]+)/snapshots/upload", path):
            part = request.body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
            self.collections[m[1]] = json.loads(part)
            return 200, {"result": True}

    def delete(self, path, request):
        if m := re.fullmatch(r"/collections/([^/]+)", path):
            return 200, {"result": self.collections.pop(m[1], None) is not None}


class Neo4j(Web):
    name = "neo4j"

    def __init__(self, lab):
        super().__init__(lab)
        self.databases = {}  # name: [nodes]
        self.loaded = {}  # what each was loaded with last

    def get(self, path, request):
        if path == "/":
            return 200, {"neo4j_version": "5.26.0", "neo4j_edition": "community"}
        if m := re.fullmatch(r"/lab/([^/]+)", path):  # what neo4j-admin reads from the disk
            return (200, self.databases[m[1]]) if m[1] in self.databases else (404, {})

    def post(self, path, request):
        if m := re.fullmatch(r"/db/([^/]+)/tx/commit", path):
            return (200, {"results": [], "errors": []}) if m[1] in self.databases else (404, {"errors": ["no such database"]})
        if m := re.fullmatch(r"/lab/([^/]+)", path):
            self.databases[m[1]] = self.loaded[m[1]] = request.json()
            return 200, {}

    def delete(self, path, request):
        if m := re.fullmatch(r"/lab/([^/]+)", path):
            self.databases.pop(m[1], None)
            return 200, {}


def neo4j_admin(folder, argv, url):
    """neo4j-admin database dump|load DATABASE --to-path|--from-path FOLDER [--as DATABASE]"""
    verb, database, path = argv[2], argv[3], argv[-1]
    Calls(folder).add("neo4j-admin", verb, database=database, path=path)
    if Faults(folder).get(f"neo4j.{verb}"):
        print(f"Failed to {verb} database '{database}': the database is in use", file=sys.stderr)
        return 1
    print("WARNING: Max 1024 open files allowed, minimum of 40000 recommended.", file=sys.stderr)
    if verb == "dump":
        if Faults(folder).get("neo4j.two"):
            with open(os.path.join(path, "system.dump"), "wb") as f:
                f.write(b"system")
        with urllib.request.urlopen(f"{url}/lab/{database}", timeout=5) as r, open(os.path.join(path, f"{database}.dump"), "wb") as f:
            f.write(b"" if Faults(folder).get("neo4j.empty") else r.read())
        return 0
    with open(os.path.join(path, f"{database}.dump"), "rb") as f:
        to = argv[argv.index("--as") + 1] if "--as" in argv else database
        urllib.request.urlopen(urllib.request.Request(f"{url}/lab/{to}", f.read(), method="POST"), timeout=5).close()
    return 0


def cypher_shell(folder, argv, url):
    """cypher-shell "DROP DATABASE name IF EXISTS\""""
    words = argv[-1].split()
    Calls(folder).add("cypher-shell", "drop", database=words[2])
    if Faults(folder).get("neo4j.drop"):
        print("The client is unauthorized due to authentication failure.", file=sys.stderr)
        return 1
    urllib.request.urlopen(urllib.request.Request(f"{url}/lab/{words[2]}", method="DELETE"), timeout=5).close()
    return 0


class Watcher(Web):
    """A monitor from outside: /status lists what it watches; /embeddings is a provider's readiness."""

    name = "watcher"

    def __init__(self, lab, watched):
        super().__init__(lab)
        self.watched = watched

    def get(self, path, request):
        if path == "/status":
            return 200, {"watched": self.watched}
        if path == "/embeddings":
            return (503, {"error": "model is loading"}) if self.lab.faults.get("embeddings") else (200, {"models": ["mxbai-embed-large"]})
