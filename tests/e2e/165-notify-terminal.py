#!/usr/bin/env python3
"""The header's notify at a terminal: who answers at once is not told of; a question that stands is."""
import fcntl
import json
import os
import pty
import select
import sys
import termios

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case
from lib import RBHOST, check, contains, eq, finish, start, wait_for


def case(text, rest=""):
    return Case(text).configure(f"""return {{ {rest} channels = {{
        ops = {{ type = "file", path = "@DIR@/told" }}, term = {{ type = "terminal" }} }} }}""")


class Terminal:
    """A question that stands there now is emphasized; an answered one is repeated above it, plainly."""

    def __init__(self, c, *args):
        self.master, slave = pty.openpty()
        self.text = ""
        self.p = start([RBHOST, *args], stdin=slave, stdout=slave, stderr=slave, cwd=c.dir, start_new_session=True,
                       preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                       env={**c.env, "TERM": "xterm", "LANG": "C.UTF-8"})
        os.close(slave)

    def pump(self):
        try:
            if select.select([self.master], [], [], 0.02)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")
        except OSError:
            pass

    def until(self, what, condition):
        def look():
            self.pump()
            return condition()

        return wait_for(what, look)

    def send(self, text):
        os.write(self.master, text.encode())

    def end(self):
        self.until("the end", lambda: self.p.poll() is not None)
        self.pump()
        os.close(self.master)
        return self.p.returncode


def told(c):
    return [json.loads(line) for line in c.lines("told")]


c = case('runbook { notify = { waiting = "ops" } }\napprove { "Go?" }')
t = Terminal(c, "run", "t.lua")
t.until("the question", lambda: "\x1b[1mapprove?" in t.text)
t.send("y fine\n")
eq("a question that is answered at once", t.end(), 0)
eq("is told to nobody", (told(c), c.events("notice")), ([], []))

c = case('runbook { notify = { waiting = "ops" } }\napprove { "Go?" }\nnotify("term", "hello")\n', 'limits = { notice_after = "100ms" },')
t = Terminal(c, "run", "t.lua")
t.until("somebody to be told", lambda: told(c) and "\x1b[1mapprove?" in t.text)
contains("a question that nobody answers is told of, with the command for another process", told(c)[0]["text"], f"approve {c.id}")
check("which does not resume what is driven", "--resume" not in told(c)[0]["text"], told(c))
t.send("y fine\n")
eq("it can still be answered here", t.end(), 0)
contains("a message to the terminal stands on it", t.text, "info: hello")
eq("told once", len(told(c)), 1)

c = case('runbook { on_failure = "ask", notify = { failed = "ops" } }\nexec({ "false" })')
t = Terminal(c, "run", "t.lua")
t.until("the question after the failure", lambda: "\x1b[1m[r]etry" in t.text)
eq("a failure is told before anybody is asked what to do", [m["title"] for m in told(c)], ["t failed"])
t.send("r\n")
t.until("the second failure", lambda: t.text.count("\x1b[1m[r]etry") == 2 and len(told(c)) == 2)
t.send("s\n")
eq("each failure is one", (t.end(), len({m["id"] for m in told(c)})), (1, 2))

c = case('local p = runbook { params = { n = { "integer", default = 0 } }, notify = { succeeded = "ops" } }\nif p.n < 2 then restart_with { n = p.n + 1 } end')
c.run()
eq("a run that goes on as another has not ended for anybody", len(told(c)), 1)
finish()
