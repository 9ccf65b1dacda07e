#!/usr/bin/env python3
"""rbhost doctor HOST: what it finds there, in words; --clean."""
import json
import os
import sys
import time

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends
from farlab import Lab
from lib import check, contains, eq, finish

lab = Lab(2)
lab.__enter__()
c = lab.case("")
r = c.rb("doctor", "web01")
ends("a host where all is well", r, 0)
for line in ("ok    connection", "ok    commands", "ok    disk space", "ok    sessions", "0 failed"):
    contains(f"says {line!r}", r.stdout, line)
eq("as JSON, a line each", {json.loads(x)["verdict"] for x in c.rb("doctor", "web01", "--json").stdout.splitlines()} - {"warn"}, {"ok"})

root = lab.home("web01") / ".local/state/rbhost/receipts"
check("it looked where receipts are", root.is_dir())
old = root / "1m80rq1n4-old01-2"
old.mkdir()
(old / "out").write_text("old output")
os.utime(old, (time.time() - 9 * 86400,) * 2)
contains("old receipts are counted", c.rb("doctor", "web01").stdout, "1 of them older than 7 days")
r = c.rb("doctor", "web01", "--clean")
ends("--clean", r, 0)
contains("says how many it swept", r.stdout, "1 receipts older than 7 days are gone")
check("sweeps them", not old.exists())

root.chmod(0o755)
r = c.rb("doctor", "web01")
check("a folder that others can read is closed, or said", "others can read" in r.stdout or root.stat().st_mode & 0o77 == 0, r.stdout)
lab.set(SetEnv="XDG_STATE_HOME=/proc/nowhere")
r = c.rb("doctor", "web01")
ends("where no receipts can be kept", r, 5)
contains("it says what that means", r.stdout, "run without receipts, so a crash leaves them in doubt")
c2 = lab.case('print(ssh("web01", { "echo", "all the same" }).stdout)')
ends("commands run there without", c2.run(), 0)
check("with no place in the intent", "place" not in c2.events("intent")[0], c2.events("intent"))
lab.set(SetEnv=None)

lab.forget("web02")
r = c.rb("doctor", "web02")
ends("a host that can not be reached", r, 5)
contains("says why", r.stdout, "ssh.host_key")
contains("and how its key is accepted under this configuration", r.stdout,
         f"`ssh -o StrictHostKeyChecking=ask -F {lab.config} web02 true`")
lab.impostor("web02")
contains("a key that has changed is forgotten by this very command", c.rb("doctor", "web02").stdout,
         f"`ssh-keygen -f {lab.known_hosts} -R web02.lab`")
lab.trust("web02")
r = c.rb("doctor", "web02:1")
contains("another port stands in the command as ssh has it", r.stdout, f"`ssh -F {lab.config} -p 1 web02 true` says more")
for name in ("", "@web01", "web01:", "web01:0", "[::1", "web01:99999"):
    r = c.rb("doctor", name)
    check(f"{name!r} is no host", r.returncode == 5 and "names no host: expected host" in r.stdout, r.stdout + r.stderr)
lab.set(ForceCommand="echo This account is not available.; exit 1")
r = c.rb("doctor", "web01")
contains("an account without a shell", r.stdout, "not run there by a shell (an account without one, a forced command?): This account is")
lab.set(ForceCommand=None)
ends("no host to clean", c.rb("doctor", "--clean"), 2)
contains("this machine", c.rb("doctor").stdout, "ssh            is there")
lab.close()
finish()
