#!/usr/bin/env python3
"""A person at a terminal is told where they are and what they agree to: the site's label, the reach, a destructive
runbook's name, a freeze window."""

import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import time

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import RBHOST, SLOW, TMP, check, contains, eq, finish  # noqa: E402

os.chdir(TMP)


class Terminal:
    """rbhost on a pseudo-terminal of its own."""

    def __init__(self, *args):
        self.master, slave = pty.openpty()
        self.text = ""
        self.p = subprocess.Popen([RBHOST, *args], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                  env={**os.environ, "TERM": "xterm", "LANG": "C.UTF-8"})
        os.close(slave)

    def pump(self):
        if not select.select([self.master], [], [], 0.05)[0]:
            return True
        try:
            part = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += part.decode(errors="replace")
        return bool(part)

    def until(self, pattern, since=0):
        end = time.monotonic() + 20 * SLOW
        while not (m := re.search(pattern, self.text[since:])):
            if time.monotonic() > end or (not self.pump() and self.p.poll() is not None):
                check(f"came to the terminal: {pattern}", False, self.text)
                self.p.kill()
                finish()
        return since + m.end()

    def send(self, text):
        os.write(self.master, text.encode())

    def end(self):
        end = time.monotonic() + 20 * SLOW
        while self.p.poll() is None and time.monotonic() < end:
            self.pump()
        self.p.kill()
        while select.select([self.master], [], [], 0)[0] and self.pump():
            pass
        os.close(self.master)
        return self.p.wait()


def write(name, text):
    pathlib.Path(name).write_text(text)
    os.chmod(name, 0o644)
    return name


conf = write("conf.lua", """return { environment = "prod", policy = { allow = { exec = { "echo" }, sql = { "app" } } } }""")
drop = write("drop.lua", """runbook { name = "db/drop", destructive = true, allow = { exec = { "echo", "rm" } } }
exec { "echo", "x" }
approve { "Drop it?" }""")

# -- destructive: its name is typed -------------------------------------------------------------------------------------
t = Terminal("--config", conf, "run", drop, "--yes")
at = t.until(r"This runbook is destructive, and this is prod\. Type its name \(db/drop\) to start it: ")
t.send("yes\n")
eq("another word is no yes", t.end(), 4)
contains("nothing was started", t.text, "not confirmed; nothing was started")

t = Terminal("--config", conf, "run", drop)
at = t.until(r"to start it: ")
t.send("db/drop\n")
at = t.until(r"prod, destructive", at)
check("the first line of the tree says where it is", True)
at = t.until(r"approve: Drop it\?", at)
at = t.until(r"prod, destructive", at)
at = t.until(r"may reach: exec echo; nothing else", at)
check("a gate says where it is and what the run may reach", True)
at = t.until(r"Enter for later: ", at)
t.send("?\n")
at = t.until(r"the site refuses rm", at)
check("the details show what the site refuses", True)
at = t.until(r"sql +nothing", at)
at = t.until(r"Enter for later: ", at)
t.send("y fine\n")
eq("and it goes on", t.end(), 0)

# -- a freeze: nothing is asked first --------------------------------------------------------------------------------
today = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
frozen = write("frozen.lua", f"""return {{ policy = {{ freeze = {{ {{ from = "2020-01-01", to = "{today}", reason = "quiet" }} }} }} }}""")
t = Terminal("--config", frozen, "run", drop)
eq("frozen: exit 4", t.end(), 4)
contains("frozen: says so", t.text, "db/drop is frozen until ")
check("frozen: nobody was asked for a name", "Type its name" not in t.text, t.text)

# -- without a label nothing is said ---------------------------------------------------------------------------------
t = Terminal("run", write("plain.lua", 'approve { "ok?" }'))
at = t.until(r"Enter for later: ")
check("no label, no allow: no lines about them", "may reach" not in t.text and "prod" not in t.text, t.text)
t.send("y fine\n")
eq("plain: done", t.end(), 0)
finish()
