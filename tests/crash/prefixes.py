"""Journals cut after each of their events, as if the crash had come there: each must end as the whole one did [4]. The
world is made to fit: it has what the prefix says was done, and once with and once without the effects whose outcome the
prefix does not hold."""

import shutil
import sqlite3

import case as case_module


def cut(source, target, seq):
    """A copy of a closed journal in which nothing after that event has happened."""
    whole, db = sqlite3.connect(f"file:{source}?mode=ro", uri=True), sqlite3.connect(target)
    whole.backup(db)
    whole.close()
    with db:
        (run,) = db.execute("SELECT id FROM runs").fetchone()
        late = db.execute(
            "SELECT data ->> 'name' FROM events WHERE kind = 'source' AND seq > ?", (seq,)).fetchall()
        db.executemany("DELETE FROM sources WHERE name = ?", late)
        db.execute("DELETE FROM events WHERE seq > ?", (seq,))
        (status,) = db.execute(
            "SELECT data ->> 'status' FROM events WHERE data ->> 'status' IS NOT NULL ORDER BY seq DESC").fetchone()
        (head,) = db.execute("SELECT hash FROM events WHERE seq = ?", (seq,)).fetchone()
        db.execute("UPDATE runs SET seq = ?, head = ?, status = ?, owner = NULL, waiting = NULL, error = NULL, "
                   "ended = 0", (seq, head, status))
    db.close()
    return run


def words(events, seq):
    """What the prefix says was done, and what it leaves in doubt."""
    intents = {e.seq: e.word() for e in events if e.kind == "intent" and e.seq <= seq and e.word()}
    done = [intents.pop(e.data["n"]) for e in events
            if e.kind == "result" and e.seq <= seq and e.data.get("n") in intents]
    return done, list(intents.values())


def play(scenario, folder, binary, whole, seq, happened):
    """Goes on from the prefix. Returns the outcome and the case."""
    shutil.rmtree(folder, ignore_errors=True)
    case = case_module.Case(scenario, folder, binary, {})
    case.doubts = True  # the receipts have stayed with the other journal
    cut(whole.journal, case.journal, seq)
    done, doubted = words(whole.events(), seq)
    case.world_file.write_text("".join(word + "\n" for word in done + (doubted if happened else [])))
    return case.go(), case
