"""The parts of a lab: they are started together, on free ports of 127.0.0.1 and below one folder, and ended together.

    with Lab(folder) as lab:        a folder; lab.calls and lab.faults (record.py)
        lab.start(Part(lab, …))     a part is started now, and stopped when the lab ends, the last one first
        lab.command("systemctl", "supervisor", "systemctl")     a stand-in for a command, in lab.bin

A part has start() and stop(). Process is one that runs a program."""

import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import time

from record import Calls, Faults

HERE = pathlib.Path(__file__).resolve().parent
SLOW = float(os.environ.get("SLOW", "1"))


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def alive(pid):
    """Does a process live (and is no zombie)?"""
    try:
        with open(f"/proc/{pid}/stat") as f:
            text = f.read()
    except OSError:
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def wait_until(what, condition, seconds=20):
    end = time.monotonic() + seconds * SLOW
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"the lab waited in vain for: {what}")
        time.sleep(0.01)
    return value


def end_process(pid, grace=5):
    """Ends a process that the lab has started: TERM, then KILL."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + grace
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return
        while alive(pid) and time.monotonic() < end:
            time.sleep(0.005)


class Lab:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.bin = self.folder / "bin"
        self.bin.mkdir(exist_ok=True)
        self.calls, self.faults = Calls(self.folder), Faults(self.folder)
        self.parts = []

    @property
    def env(self):
        """For the commands of whoever works in the lab: its stand-ins come first."""
        return {"PATH": f"{self.bin}:{os.environ['PATH']}:/usr/sbin", "TMPDIR": os.environ.get("TMPDIR", str(self.folder))}

    def start(self, part):
        self.parts.append(part)
        part.start()
        return part

    def stop(self):
        while self.parts:
            self.parts.pop().stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def path(self, *names, mode=None):
        """A folder of the lab, made when it is not there."""
        path = self.folder.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        if mode is not None:
            path.chmod(mode)
        return path

    def script(self, path, module, function, *args):
        """A program that calls function(lab's folder, argv, *args) of one of the modules here. -S and -E: it is to start
        quickly and alike everywhere."""
        text = f"""#!{sys.executable} -SE
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {str(HERE)!r})
from {module} import {function}
sys.exit({function}({str(self.folder)!r}, sys.argv, *{args!r}))
"""
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        return path

    def command(self, name, module, function, *args):
        return self.script(self.bin / name, module, function, *args)


class Process:
    """A program that runs until the lab ends. ready: a function that says when it has come up."""

    def __init__(self, lab, name, argv, ready):
        self.lab, self.name, self.argv, self.ready = lab, name, [str(a) for a in argv], ready
        self.process = None

    def start(self):
        with open(self.lab.folder / f"{self.name}.out", "ab") as out:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

        def up():
            if self.process.poll() is not None:
                said = (self.lab.folder / f"{self.name}.out").read_text(errors="replace")
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {said}")
            return self.ready()

        wait_until(self.name, up)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
