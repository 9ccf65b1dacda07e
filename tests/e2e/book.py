"""Cases of the end-to-end tests: a folder, a runbook in it and a journal of its own. Needs lib.py beside it.

    c = Case('print("hi")')         writes t.lua into a new folder below TMP
    r = c.run("x=1")                rbhost run t.lua x=1, to its end: r.returncode, r.stdout, r.stderr
    c.prints()                      what the runbook printed, from the journal
"""

import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess

from lib import RBHOST, SLOW, TMP, check, eq, start, wait_for

_cases = 0


class Case:
    def __init__(self, text=None, name="t.lua", **files):
        global _cases
        _cases += 1
        self.dir = TMP / f"case{_cases}"
        self.dir.mkdir()
        self.name = name
        self.journal = self.dir / "j.db"
        self.env = {**os.environ, "RBHOST_JOURNAL": str(self.journal), "DIR": str(self.dir)}
        if text is not None:
            self.write(name, text)
        for file, content in files.items():
            self.write(file.replace("__", "/") + ".lua", content)

    def write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text.replace("@DIR@", str(self.dir)))
        return path

    def configure(self, text):
        """Gives it this configuration, in a file and a folder that rbhost finds private enough."""
        self.dir.chmod(0o700)
        self.write("config.lua", text).chmod(0o600)
        self.env["RBHOST_CONFIG"] = str(self.dir / "config.lua")
        return self

    def rb(self, *args, stdin="", env=None, timeout=60, binary=RBHOST):
        """rbhost with these arguments, to its end. One that does not end is killed, and a failed test."""
        p = subprocess.Popen(
            [binary, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.env, **(env or {})},
            cwd=self.dir,
            text=True,
            errors="surrogateescape",
        )
        try:
            out, err = p.communicate(stdin, timeout * SLOW)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            check(f"rbhost {' '.join(map(str, args))} ends", False, out + err)
        return subprocess.CompletedProcess(p.args, p.returncode, out, err)

    def run(self, *args, **kw):
        return self.rb("run", self.name, *args, **kw)

    def start(self, *args, out="host.out", env=None, binary=RBHOST, **popen):
        """The same in the background, its output in a file of the case's folder."""
        with open(self.dir / out, "ab") as f:
            return start(
                [binary, *args], stdout=f, stderr=f, env={**self.env, **(env or {})}, cwd=self.dir, **popen
            )

    # -- what the journal says, read as docs/journal.md allows

    def sql(self, text, *args):
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as db:
                return db.execute(text, args).fetchall()
        except sqlite3.OperationalError:  # it is not there yet
            return []

    def ids(self):
        return [r[0] for r in self.sql("SELECT id FROM runs ORDER BY created, id")]

    @property
    def id(self):
        """The id of the newest run."""
        ids = self.ids()
        return ids[-1] if ids else ""

    def events(self, *kinds, run=None):
        rows = self.sql("SELECT seq, key, kind, data FROM events WHERE run = ? ORDER BY seq", run or self.id)
        out = [dict(json.loads(data), seq=seq, key=key, kind=kind) for seq, key, kind, data in rows]
        return [e for e in out if not kinds or e["kind"] in kinds]

    def prints(self, run=None):
        return [e["text"] for e in self.events("log", run=run)]

    def status(self, run=None):
        rows = self.sql("SELECT status FROM runs WHERE id = ?", run or self.id)
        return rows[0][0] if rows else ""

    def verdicts(self, run=None):
        return [(e["key"], e["verdict"]) for e in self.events("step.end", run=run)]

    # -- the world outside

    def lines(self, name):
        path = self.dir / name
        return path.read_text().splitlines() if path.exists() else []

    def text(self, name):
        path = self.dir / name
        return path.read_text() if path.exists() else ""


def with_channels(channels, text=None, rest=""):
    """A case whose configuration has these channels."""
    return Case(text).configure(f'return {{ environment = "lab", {rest} channels = {{ {channels} }} }}')


def told(case, name="told"):
    """The messages in the file of a channel."""
    return [json.loads(line) for line in case.lines(name)]


def prints(name, text, want, rc=0, *args, **kw):
    """One test: this runbook ends with this exit code and has printed these lines."""
    c = Case(text)
    r = c.run(*args, **kw)
    want = want.split("\n") if isinstance(want, str) else want
    got = c.prints()
    check(
        name,
        got == want and r.returncode == rc,
        f"got:  {got!r}\nwant: {want!r}\nexit {r.returncode}, want {rc}\n{r.stdout}{r.stderr}",
    )
    return c


def ends(name, got, want):
    """The exit code of a process, with what it said if it is another."""
    return check(name, got.returncode == want, f"exit code {got.returncode}, want {want}\n{got.stdout}{got.stderr}")


def alive(pid):
    """Does a process live (and is no zombie)?"""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def park(case, process, sig=signal.SIGTERM):
    """Sends a signal and waits for the end: the exit code."""
    process.send_signal(sig)
    return process.wait(60 * SLOW)


def waits(case, kind="wait", key=None, n=1, run=None):
    """Waits until the newest run has recorded that it waits (or another kind of event); gives that event."""

    def there():
        found = [e for e in case.events(kind, run=run) if key is None or e["key"] == key]
        return found[n - 1] if len(found) >= n else None

    return wait_for(f"{kind} event {key or ''}", there)


__all__ = ["Case", "alive", "ends", "eq", "park", "prints", "waits"]
