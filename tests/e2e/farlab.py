"""What the tests of ssh share: hosts (tests/sshd.py), and cases whose configuration leads to them."""

import os
import pathlib
import sys

sys.path.insert(0, os.environ["T"])
import sshd
from book import Case
from lib import TMP, check, eq


SUDO = r"""#!/bin/sh
echo "sudo $*" >>"$LAB/sudo.log"
ask= only=
while :; do
    case $1 in
    -n) ask=no; shift ;;
    -S) ask=yes; shift ;;
    -k) shift ;;
    -l | -v) only=1; shift ;;
    --preserve-env=*) shift ;;
    -p) shift 2 ;;
    --) shift; break ;;
    *) break ;;
    esac
done
if [ "$ask" = yes ]; then
    IFS= read -r word
    [ "$word" = "$(cat "$LAB/held/sudo")" ] || { echo 'sudo: 1 incorrect password attempt' >&2; exit 1; }
    [ ! -e "$LAB/tickets" ] || : >"$LAB/ticket"
elif [ -e "$LAB/sudo.asks" ] && [ ! -e "$LAB/ticket" ]; then
    echo 'sudo: a password is required' >&2
    exit 1
fi
[ -z "$only" ] || exit 0
AS_ROOT=1 exec "$@"
"""


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

    def stand_in_sudo(self, password, asks=True):
        """A program of that name on all hosts, since the real one needs rights. It writes sudo.log, asks for the password
        while there is `sudo.asks`, and gives tickets while there is `tickets`."""
        for name, text in (("tools/sudo", SUDO), ("held/sudo", password + "\n")):
            (self.dir / name).parent.mkdir(exist_ok=True)
            (self.dir / name).write_text(text)
        (self.dir / "tools/sudo").chmod(0o755)
        if asks:
            (self.dir / "sudo.asks").touch()
        self.set(SetEnv=f"PATH={self.dir}/tools:/usr/bin:/bin")

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
