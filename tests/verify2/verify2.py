#!/usr/bin/env python3
"""verify2.py FILE RUN [SEQ HEAD]: a second verifier, written from docs/journal.md alone.
Prints "ok N", or "bad N: what" (N 0: the events are sound, something else is not) and exits with 1."""
import hashlib, json, sqlite3, sys

def blobs(v):
    if isinstance(v, dict) and isinstance(v.get("$blob"), str): yield v["$blob"]
    for m in v.values() if isinstance(v, dict) else v if isinstance(v, list) else (): yield from blobs(m)

def verify(db, run, head_seq=0, head=None):
    contents = lambda d: db.execute("SELECT data FROM blobs WHERE digest = ?", (d,)).fetchall()
    sound = lambda d: any(hashlib.sha256(c).hexdigest() == d for (c,) in contents(d))
    previous, n, said, named, runbook, aside = bytes(32), 0, {}, {}, None, []
    as_bytes = ", ".join("CAST(%s AS BLOB)" % c for c in ("at", "key", "kind", "data"))
    for seq, own, *rest in db.execute("SELECT seq, hash, %s FROM events WHERE run = ? ORDER BY seq" % as_bytes, (run,)):
        if seq != n + 1: return n + 1, "missing"
        fields, start = (run.encode(), b"%d" % seq, *rest), rest[2] == b"run.start"
        previous = hashlib.sha256(previous + b"".join(len(f).to_bytes(8, "big") + f for f in fields)).digest()
        try: value = json.loads(rest[3])
        except ValueError: value = None
        if previous != own or not isinstance(value, dict) or b"\0" in rest[1] + rest[2]: return seq, "changed"
        if seq == head_seq and own.hex() != head: aside.append("rewritten: not the head that was given")
        columns = ("status", "runbook", "title") if start else ("status",)
        said.update((c, value[c]) for c in columns if isinstance(value.get(c), str))
        if start: runbook = value.get("source")
        for s in (value.get("sources") or ()) if start else [value] if rest[2] == b"source" else ():
            named[s["name"]] = s["digest"]
        aside += ["blob " + d for d in [*blobs(value), *([runbook] if start and runbook else [])] if not sound(d)]
        n = seq
    *row, = db.execute("SELECT seq, head, status, runbook, title FROM runs WHERE id = ?", (run,)).fetchone()
    if n < max(row[0], head_seq): return n + 1, "cut off"
    if row[:2] != [n, previous]: aside.append("row")
    aside += ["row: " + c for c, v in zip(("status", "runbook", "title"), row[2:]) if said.get(c, v or "") != (v or "")]
    rows = dict(db.execute("SELECT name, digest FROM sources WHERE run = ?", (run,)))
    aside += ["source " + k for k, d in rows.items() if d != named.get(k, runbook) or not sound(d)]
    aside += ["no source " + k for k in named if k not in rows]
    return (0, aside[0]) if aside else (None, n)

if __name__ == "__main__":
    db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True)
    bad, what = verify(db, sys.argv[2], *([int(sys.argv[3]), sys.argv[4]] if len(sys.argv) > 3 else []))
    print("ok %d" % what if bad is None else "bad %d: %s" % (bad, what))
    sys.exit(bad is not None)
