#!/usr/bin/env python3
"""A machine that says where a command would start, and nothing more when it is launched or read: neither waits for ever.

# long
# time-limit: 300
"""
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from farlab import Lab, words
from lib import SLOW, check, contains, eq, finish, wait_for

# What it is asked first it answers; later sessions are silent until the file is gone.
FIRST = "sh -c 'if test -e \"$HOME/silent\"; then exec sleep 600; fi; : >\"$HOME/silent\"; exec sh -c \"$SSH_ORIGINAL_COMMAND\"'"
lab = Lab(2, ForceCommand=FIRST)
lab.__enter__()
(lab.home("web02") / "silent").touch()
launch = lab.case('local ok, e = pcall(ssh, "web01", { "touch", "@LAB@/started" }) print(e.kind, e.outcome, tostring(e))')
read = lab.case('local ok, e = pcall(ssh, "web02", { "true" }, { read = true }) print(e.kind, tostring(e))')
runs = [c.start("run", "t.lua") for c in (launch, read)]
wait_for("the intent of the launch", lambda: launch.events("intent"))
codes = [p.wait(250 * SLOW) for p in runs]
eq("both end by themselves", codes, [0, 0])
said = words(launch)[0]
contains("a launch: nobody can know", said, "ssh.lost  unknown")
contains("and it is said what was tried, what came back and what helps", said, "said nothing within 30 s; see what `ssh web01 true` waits for")
said = words(read)[0]
contains("a read", said, "ssh.lost")
contains("with its own time", said, "said nothing within 60 s; see what `ssh web02 true` waits for")
check("nothing was started", not (lab.dir / "started").exists())
lab.close()
finish()
