"""What the tests of whole runbooks share: judging a run by its journal, beside what the test sees of the world.

    judge = Judge(lab)
    judge.green("the good path", r)                 it succeeded, and no step or check failed
    judge.red("a fault", r, "the gateway limits the rate")      it failed, and of the checks only this one
"""

import contextlib
import json
import re
import sqlite3

from lib import check


def title_of(key):
    """The last part of a key; a slash in a title has a backslash before it."""
    return re.split(r"(?<!\\)/", key)[-1].replace("\\/", "/")


class Judge:
    def __init__(self, lab):
        self.lab = lab

    def sql(self, text, *args):
        with contextlib.closing(sqlite3.connect(f"file:{self.lab.journal}?mode=ro", uri=True)) as db:
            return db.execute(text, args).fetchall()

    @property
    def run(self):
        return self.sql("SELECT id FROM runs ORDER BY created, id")[-1][0]

    @property
    def status(self):
        return self.sql("SELECT status FROM runs WHERE id = ?", self.run)[0][0]

    def events(self, *kinds):
        rows = self.sql("SELECT key, kind, data FROM events WHERE run = ? ORDER BY seq", self.run)
        return [dict(json.loads(data), key=key, kind=kind) for key, kind, data in rows if not kinds or kind in kinds]

    def verdicts(self):
        """The last verdict of each step and check, by its title (that of a row without its stage)."""
        return {title_of(e["key"]): e["verdict"] for e in self.events("step.end")}

    def evidence(self, name):
        found = [e["value"] for e in self.events("evidence") if e["name"] == name]
        return found[-1] if found else None

    def text(self):
        """Everything that the journal holds."""
        return self.lab.journal.read_bytes() + b"".join(p.read_bytes() for p in self.lab.folder.glob("journal.db-*"))

    def green(self, name, r):
        bad = {t: v for t, v in self.verdicts().items() if v == "fail"}
        return check(name, r.returncode == 0 and not bad, f"exit {r.returncode}, failed: {bad}\n{r.stdout[-1500:]}{r.stderr[-1000:]}")

    def red(self, name, r, *rows, code=1):
        """It failed, at these rows and steps; what encloses them fails, too, and is not looked at."""
        failed = [e["key"] for e in self.events("step.end") if e["verdict"] == "fail"]
        inner = {title_of(k) for k in failed if not any(o.startswith(k + "/") for o in failed)}
        return check(name, r.returncode == code and inner == set(rows),
                     f"exit {r.returncode}, want {code}; failed: {inner}, want {set(rows)}\n{r.stdout[-1500:]}{r.stderr[-1000:]}")
