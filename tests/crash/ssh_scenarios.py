"""The scenario of `ssh`: commands on three hosts, by a real sshd. Whatever is killed, each has run once and nobody is
asked, because their receipts answer."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from scenarios import Scenario

LAB = "RBHOST_CRASH_LAB"  # where the hosts of this sweep are


@contextlib.contextmanager
def start_hosts():
    """By a process that is nobody's child: the sweep waits for the orphans of what it has killed."""
    with tempfile.TemporaryDirectory(prefix="rbssh.", dir="/tmp") as folder:
        sshd = pathlib.Path(__file__).resolve().parent.parent / "sshd.py"
        env = {k: v for k, v in os.environ.items() if k != "TMPDIR"}
        p = subprocess.Popen(["setsid", "--fork", sys.executable, sshd, f"{folder}/lab", "3"], env=env, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.environ[LAB] = json.loads(p.stdout.readline())["config"]
        try:
            yield
        finally:
            p.stdin.close()
            p.stdout.read()  # until it has ended
            p.wait()


class Ssh(Scenario):
    name, book, short = "commands on other machines", "ssh.lua", 30
    far = True

    def next(self, case, status):
        if status is None and not (case.folder / "rbhost").exists():
            (case.folder / "rbhost").mkdir()
            (case.folder / "rbhost/config.lua").write_text('return { ssh = { config = "%s" } }' % os.environ[LAB])
        argv = super().next(case, status)
        if argv and argv[0] == "run":
            argv += [f"world={case.world_file}", f"file={case.folder}/uploaded"]
        return argv

    def check(self, case, events):
        asked = [e for e in events if e.kind == "doubt"]
        if asked:
            case.problem("exit", f"somebody was asked: {[e.text for e in asked]}")
        there = case.folder / "uploaded"
        if not there.exists() or there.read_text() != "content\n" * 1000:
            case.problem("lost", "the file was not uploaded")
        back = case.folder / "uploaded.back"
        if not back.exists() or back.read_text() != "content\n" * 1000:
            case.problem("lost", "the file was not downloaded")
        left = [p.name for p in case.folder.glob(".rbhost-*")]
        if left:
            case.problem("doubled", f"temporary files are left: {left}")
