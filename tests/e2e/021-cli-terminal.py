#!/usr/bin/env python3
"""A person at a terminal: the live tree, questions and answers, Ctrl-C, Ctrl-Z, what commands print, colour."""

import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import fcntl
import termios
import time

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import RBHOST, SLOW, TMP, check, contains, eq, finish, lacks, rbhost, start, wait_for  # noqa: E402

os.chdir(TMP)


class Terminal:
    """rbhost on a pseudo-terminal of its own, with its own session, as a shell would start it."""

    def __init__(self, *args, env=None, size=(24, 80)):
        self.master, slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.text = ""
        self.p = subprocess.Popen(
            [RBHOST, *args],
            stdin=slave, stdout=slave, stderr=slave,
            env={**os.environ, "TERM": "xterm", "LANG": "C.UTF-8", **(env or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.slave = slave

    def pump(self, seconds=0.05):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                return False
        return True

    def until(self, pattern, since=0):
        """Waits until the pattern has come; returns where it ends."""
        end = time.monotonic() + 20 * SLOW
        while not (m := re.search(pattern, self.text[since:])):
            if time.monotonic() > end or (self.p.poll() is not None and not self.pump()):
                check(f"came to the terminal: {pattern}", False, self.text)
                self.p.kill()
                finish()
            self.pump()
        return since + m.end()

    def send(self, text):
        os.write(self.master, text.encode())

    def end(self):
        end = time.monotonic() + 20 * SLOW
        while self.p.poll() is None:
            self.pump()
            if time.monotonic() > end:
                self.p.kill()
        while select.select([self.master], [], [], 0.05)[0] and self.pump(0):
            pass
        self.restored = termios.tcgetattr(self.slave) == self.before
        os.close(self.slave)
        os.close(self.master)
        return self.p.returncode


def asks(text):
    """The pattern of a question that stands there now (an answered one is repeated above it, without emphasis)."""
    return r"\x1b\[1m" + text + r"[^\r\n]*: \x1b\[0m"


def write(name, text):
    pathlib.Path(name).write_text(text)
    return name


# -- the tree, and a gate --------------------------------------------------------------------------------------------
gate = write("gate.lua", """
local p = runbook{ title = "Promote", params = {
  version = { "string", required = true, help = "release tag" },
  key = { "secret", required = true },
} }
step("Build", function()
  exec{ "sh", "-c", [[printf '\\033[31mred\\033]0;evil\\007 built\\n']] }
  evidence("artifact", "a.tar")
end)
approve{ "Promote " .. p.version .. "?" }
local v = manual("read the gauge", { type = "number" })
print("gauge says " .. v)
""")
t = Terminal("run", gate)
at = t.until(r"key \(secret; not shown\): ")
t.send("correct horse battery\n")
at = t.until(r"version \(string, release tag\): ", at)
t.send("v7\n")
at = t.until(asks(r"approve\?"), at)
t.send("n-typo\n")
at = t.until(r"please answer", at)
at = t.until(asks(r"approve\?"), at)
t.send("y looks good\n")
at = t.until(asks(r"value \(number\)"), at)
t.send("high\n")
at = t.until(r"'high' is not of type number", at)
at = t.until(asks(r"value \(number\)"), at)
t.send("3.5\n")
at = t.until(asks("comment"), at)
t.send("\n")
code = t.end()
eq("answers at the terminal end the run", code, 0)
check("the terminal is as it was", t.restored)
contains("the tree shows the step", t.text, "Build")
contains("what the runbook prints is there", t.text, "gauge says 3.5")
lacks("a secret is not echoed", t.text, "correct horse")
lacks("escape sequences of a command do not pass: colour", t.text, "\x1b[31mred")
lacks("escape sequences of a command do not pass: title", t.text, "\x1b]0;")
check("the end says which run", re.search(r"succeeded\S* in \S+ run ", t.text), t.text)
run_id = re.search(r"run (\w+-\w+)", t.text)[1]
contains("the comment is journaled", rbhost("log", run_id, "--json").stdout, "looks good")
lacks("the secret is not", rbhost("log", run_id, "--json").stdout, "correct horse")

# -- typed before the question stood there ---------------------------------------------------------------------------
early = write("early.lua", 'exec{ "sleep", "1" }\napprove{ "Go?" }\n')
t = Terminal("run", early)
t.until(r"exec sleep 1")
t.send("y\n")
at = t.until(asks(r"approve\?"))
t.send("n too early\n")
eq("an answer typed ahead of its question does not count: denied", t.end(), 4)

# -- a failure asks --------------------------------------------------------------------------------------------------
fails = write("fails.lua", """
undo("put it back", function() exec{ "touch", "back" } end)
step("Break", function() exec{ "sh", "-c", "test -e repaired" } end)
""")
t = Terminal("run", fails, env={"SHELL": "/bin/sh"})
at = t.until(asks(r"\[r\]etry, s\[k\]ip it, \[u\]ndo, \[s\]top, \[!\] shell"))
t.send("!\n")
at = t.until(r"`exit` comes back", at)
t.send("touch repaired; exit\n")
at = t.until(asks(r"\[r\]etry"), at)
t.send("r\n")
eq("shell, then retry", t.end(), 0)
os.unlink("repaired")
t = Terminal("run", fails)
t.until(asks(r"\[r\]etry"))
t.send("u\n")
eq("undo: the run has failed all the same", t.end(), 1)
contains("but is undone", t.text, " undone")
check("the compensation ran", os.path.exists("back"))
t = Terminal("run", fails)
at = t.until(asks(r"\[r\]etry"))
t.send("k\n")
t.until(r"\x1b\[1mwhy is it right to skip it\? \x1b\[0m", at)
t.send("done by hand\n")
eq("skip, with a reason", t.end(), 0)
t = Terminal("run", fails)
t.until(asks(r"\[r\]etry"))
t.send("s\n")
eq("stop", t.end(), 1)
contains("stop says what goes on", t.text, "rbhost retry ")
t = Terminal("run", fails, "--no-input")
eq("--no-input asks nothing", t.end(), 1)
lacks("not even what to do", t.text, "[r]etry")

# -- Ctrl-C, Ctrl-D, Ctrl-Z ------------------------------------------------------------------------------------------
long = write("long.lua", 'step("Wait", function() sleep("1h") end)\n')
t = Terminal("run", long)
t.until(r"left")
t.send("\x03")
eq("Ctrl-C parks", t.end(), 130)
contains("and says what goes on", t.text, "rbhost resume ")
check("the terminal is as it was", t.restored)
t = Terminal("run", early)
t.until(asks(r"approve\?"))
t.send("\x04")
eq("Ctrl-D at a question leaves the run waiting", t.end(), 3)
contains("and says what goes on", t.text, "rbhost resume ")
t = Terminal("run", long)
t.until(r"left")
os.kill(t.p.pid, signal.SIGTSTP)
end = time.monotonic() + 5
state = ""
while state != "T" and time.monotonic() < end:
    t.pump()
    state = pathlib.Path(f"/proc/{t.p.pid}/stat").read_text().rpartition(")")[2].split()[0]
# An orphaned process group is not stopped by SIGTSTP; there is no shell here that could continue it.
check("Ctrl-Z stops it, or has no effect where nobody could continue it", state in "TSR", state)
seen = len(t.text)
os.kill(t.p.pid, signal.SIGCONT)
t.until(r"left", seen)
os.kill(t.p.pid, signal.SIGTERM)
eq("after Ctrl-Z and fg it goes on; SIGTERM parks", t.end(), 143)

# -- a run of another process, watched and answered -------------------------------------------------------------------
def own():
    """A run of its own process, when it waits at its gate."""
    p = start([RBHOST, "run", early, "--wait"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waits = '"runbook":"early","status":"waiting","owned":true'
    wait_for("the gate", lambda: waits in rbhost("ls", "--json", "--limit", "1").stdout)
    return p


owner = own()
t = Terminal("attach")
at = t.until(asks(r"approve\?"))
t.send("y from afar\n")
eq("attach: the answer travels, the exit code is the run's", t.end(), 0)
eq("attach: the owner ends", owner.wait(), 0)
contains("attach: the comment is journaled", rbhost("log", "--json").stdout, "from afar")
owner = own()
t = Terminal("attach")
at = t.until(asks(r"approve\?"))
rbhost("approve", "latest")
eq("attach: a question that somebody else answers is withdrawn", t.end(), 0)
contains("attach: it says so", t.text, "(withdrawn)")
owner.wait()
owner = own()
t = Terminal("attach")
at = t.until(asks(r"approve\?"))
t.send("\x03")
eq("attach: Ctrl-C leaves", t.end(), 0)
contains("attach: the run goes on", t.text, "goes on without a watcher")
check("attach: it does", owner.poll() is None)
rbhost("deny", "latest", "--comment", "enough")
eq("attach: denied", owner.wait(), 4)

# -- plain where it must be ------------------------------------------------------------------------------------------
hello = write("hello.lua", 'print("hi")\nexec{ "true" }\n')
t = Terminal("run", hello, env={"TERM": "dumb"})
eq("TERM=dumb runs", t.end(), 0)
lacks("TERM=dumb gets no escape sequence", t.text, "\x1b")
t = Terminal("run", hello, env={"NO_COLOR": "1"})
eq("NO_COLOR runs", t.end(), 0)
check("NO_COLOR gets no colour", not re.search(r"\x1b\[[0-9;]*m", t.text), t.text)
t = Terminal("run", hello, "--color=always", env={"NO_COLOR": "1"})
t.end()
check("NO_COLOR wins over --color", not re.search(r"\x1b\[[0-9;]*m", t.text), t.text)
t = Terminal("run", hello)
t.end()
check("a terminal gets colour", re.search(r"\x1b\[[0-9;]*m", t.text), t.text)
off = rbhost("run", hello)
lacks("off a terminal there is none", off.stdout + off.stderr, "\x1b")

# -- a narrow window -------------------------------------------------------------------------------------------------
words = "word " * 60
wide = write("wide.lua", f"""
step(("long title "):rep(20), function() exec{{ "sh", "-c", "echo {words}; sleep 0.3" }} end)
""")
t = Terminal("run", wide, size=(10, 30))
eq("a narrow window runs", t.end(), 0)
rows = [re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[78])", "", line) for line in re.split(r"[\r\n]+", t.text)]
tree = [row for row in rows if "long title" in row]
check("no row of the tree is wider than the window", tree and all(len(row) <= 30 for row in tree), tree)

# -- nobody is asked off a terminal ----------------------------------------------------------------------------------
off = rbhost("run", gate, "version=v1", "key=@-", stdin="a long enough secret\n")
eq("off a terminal a gate is exit code 3", off.returncode, 3)
contains("with the command that goes on", off.stderr, "rbhost approve ")
off = rbhost("run", gate)
eq("off a terminal a missing parameter is exit code 2", off.returncode, 2)
finish()
