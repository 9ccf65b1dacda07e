"""What the tests of ssh share: hosts (tests/sshd.py), and cases whose configuration leads to them."""

import os
import pathlib
import sys

sys.path.insert(0, os.environ["T"])
import sshd
from book import Case
from lib import TMP, check, eq


class Lab(sshd.Server):
    def __init__(self, hosts=1, **options):
        super().__init__(TMP / "lab", hosts=hosts, **options)

    def case(self, text, extra="", name="t.lua", **files):
        """A case whose runbook reaches these hosts; extra: more of the configuration's `ssh`, and what is behind it."""
        c = Case(text.replace("@LAB@", str(self.dir)), name=name, **files)
        inside, _, behind = extra.partition("|")
        c.write("config.lua", f'return {{ ssh = {{ config = "{self.config}", connect_timeout = "20s", {inside} }}, {behind} }}')
        c.env["RBHOST_CONFIG"] = str(c.dir / "config.lua")
        return c

    def prints(self, name, text, want, rc=0, extra="", *args, **kw):
        """One test: the runbook ends with this exit code and has printed these lines."""
        c = self.case(text, extra)
        r = c.run(*args, **kw)
        got = words(c)
        check(name, got == want and r.returncode == rc,
              f"got:  {got!r}\nwant: {want!r}\nexit {r.returncode}, want {rc}\n{r.stdout}{r.stderr}")
        return c

    def receipts(self, host=None):
        """Folders of receipts that are there, and the files in them."""
        root = pathlib.Path(self.home(host or self.host))
        return {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}


def words(c):
    """What it printed, two blanks for a tab."""
    return [line.replace("\t", "  ") for line in c.prints()]


def printed(c):
    """The same, without warnings."""
    return [e["text"].replace("\t", "  ") for e in c.events("log") if e.get("level") != "warn"]


def once(path, want, name):
    """The world's counter: each line is one that has happened."""
    got = pathlib.Path(path).read_text().split() if pathlib.Path(path).exists() else []
    return eq(name, got, want)
