"""Effects on databases, killed at every point: each word is in the database once, what belongs to one transaction is there
together or not at all, and a copy is whole."""

import collections
import itertools
import os
import shutil
import sqlite3
import sys

from case import BOOKS, HERE
from scenarios import Scenario

sys.path.insert(0, str(HERE.parent))
import pg  # noqa: E402

WORDS = ("one", "once-a", "once-b", "left", "right", "asked-a", "asked-b", "last")
TOGETHER = (("once-a", "once-b"), ("asked-a", "asked-b"))


class Sql(Scenario):
    name, book, short = "a database, transactions and a copy", "sql.lua", 60
    mode = "delete"

    def next(self, case, status):
        if status is None:
            return ["run", BOOKS / self.book, f"dsn=sqlite:{case.folder}/world.db", f"copy={case.folder}/copy.db",
                    f"first=PRAGMA journal_mode = {self.mode}"]
        return super().next(case, status)

    def rows(self, case, name="world.db"):
        """Words and how often, read from a copy of the files: what a killed writer has left is for rbhost to mend."""
        look = case.folder / "look"
        shutil.rmtree(look, ignore_errors=True)
        look.mkdir()
        for file in case.folder.glob(f"{name}*"):
            shutil.copy(file, look)
        if not (look / name).exists():
            return collections.Counter()
        db = sqlite3.connect(look / name)
        try:
            if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'world'").fetchall():
                return collections.Counter()
            return collections.Counter(word for (word,) in db.execute("SELECT word FROM world"))
        finally:
            db.close()

    def decision(self, case, gate):
        writes = next(e.data["args"].get("writes", []) for e in case.events() if e.seq == gate["n"])
        if len(writes) != 2:
            case.problem("exit", f"#{gate['n']} is asked about, and says nothing of what it would have kept")
        return ["resolve", case.run, gate["n"], "done" if self.rows(case)["asked-a"] else "retry"]

    def check_printed(self, case):
        rows = self.rows(case)
        for word, n in rows.items():
            if n > 1 or word not in WORDS:
                case.problem("doubled", f"{word} is {n} times in the database")
        for a, b in TOGETHER:
            if rows[a] != rows[b]:
                case.problem("torn", f"{a} is {rows[a]} times in the database, and {b} {rows[b]} times")
        if (case.folder / "copy.db").exists() and not self.rows(case, "copy.db"):
            case.problem("torn", "the copy is there and has nothing in it")

    def check(self, case, events):
        rows = self.rows(case)
        for word in WORDS:
            if rows[word] != 1:
                case.problem("doubled" if rows[word] else "lost", f"{word} is {rows[word]} times in the database")
        for e in events:
            if e.kind == "result" and e.data["op"] == "sql" and not e.data["ok"]:
                kind = e.data["error"]["kind"]
                if kind != "sql.tx_lost":
                    case.problem("exit", f"event {e.seq}: {e.text}")
        self.check_copy(case)

    def check_copy(self, case):
        copy = self.rows(case, "copy.db")
        for word in WORDS:
            if word != "last" and copy[word] != 1:
                case.problem("lost", f"{word} is {copy[word]} times in the copy")


class SqlWal(Sql):
    name, mode, short = "a database in WAL mode", "wal", 40


def start_server():
    """One PostgreSQL for all cases, each in a schema of its own. Workers find it in their environment."""
    server = pg.Postgres()
    os.environ.update(CRASH_PG_DSN=server.dsn(), CRASH_PG_DIR=str(server.dir), CRASH_PG_PORT=str(server.port))
    return server


class SqlPg(Sql):
    """The same on PostgreSQL, without the copy."""

    name, short, postgres = "PostgreSQL, and transactions", 30, True
    numbers = itertools.count()

    def next(self, case, status):
        if status is None:
            schema = case.memory.setdefault("schema", f"case_{os.getpid()}_{next(self.numbers)}")
            dsn = os.environ["CRASH_PG_DSN"] + f"?options=-csearch_path%3D{schema}"
            return ["run", BOOKS / self.book, f"dsn={dsn}", f"first=CREATE SCHEMA IF NOT EXISTS {schema}"]
        return Scenario.next(self, case, status)

    def rows(self, case, name="world.db"):
        schema = case.memory.get("schema")
        if not schema or name != "world.db":
            return collections.Counter()
        where = os.environ["CRASH_PG_DIR"], os.environ["CRASH_PG_PORT"]
        if pg.ask(*where, f"SELECT to_regclass('{schema}.world') IS NULL") == "t":
            return collections.Counter()
        return collections.Counter(pg.ask(*where, f"SELECT word FROM {schema}.world").split())

    def check_copy(self, case):
        """There is none."""
