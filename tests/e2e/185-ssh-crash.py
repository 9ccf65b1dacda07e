#!/usr/bin/env python3
"""The host killed, the link cut, the session killed, the machine off, another machine behind the name: after all of it
a command has run once, or the run asks.

# time-limit: 300
"""
import os
import shutil
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import alive, ends, waits
from farlab import Lab, once, words
from lib import SLOW, check, contains, eq, finish, lacks, wait_for

lab = Lab(3)
lab.__enter__()
WORK = ("echo %s >>@LAB@/world; echo out; echo err >&2; echo $$ >@LAB@/pid;"
        " while [ ! -e @LAB@/go.%s ]; do sleep 0.05; done; echo end; exit %d")


def runbook(word, code=0, opts="check = false"):
    return f"""
    local r = ssh("web01", [[{WORK % (word, word, code)}]], {{ {opts} }})
    print(r.code, r.stdout, r.stderr)
    """


def began(word):
    wait_for(f"{word} to have begun", lambda: (lab.dir / "world").exists() and word in (lab.dir / "world").read_text().split()
             and (lab.dir / "pid").exists())


def kill(p):
    p.send_signal(signal.SIGKILL)
    p.wait()


seen = []


def world(word, name):
    seen.append(word)
    once(lab.dir / "world", seen, name)
    (lab.dir / "pid").unlink(missing_ok=True)


# -- the host

c = lab.case(runbook("running", 3))
p = c.start("run", "t.lua")
began("running")
kill(p)
(lab.dir / "go.running").touch()
r = c.rb("resume", c.id)
ends("the host is killed while it runs; the resume", r, 0)
eq("waits for it and collects all", words(c), ["3  out\nend\n  err\n"])
world("running", "it has run once")

c = lab.case(runbook("ended"))
p = c.start("run", "t.lua")
began("ended")
kill(p)
(lab.dir / "go.ended").touch()
pid = int((lab.dir / "pid").read_text())
wait_for("the command to end", lambda: not alive(pid))
r = c.rb("resume", c.id)
ends("it has ended meanwhile; the resume", r, 0)
eq("collects it", words(c), ["0  out\nend\n  err\n"])
world("ended", "it has run once")
ends("the journal is sound", c.rb("verify", "--all"), 0)

c = lab.case(runbook("plainly", 0, "survive = false"))
p = c.start("run", "t.lua")
began("plainly")
kill(p)
r = c.rb("resume", c.id)
ends("without a receipt it is in doubt", r, 6)
(lab.dir / "go.plainly").touch()
ends("and somebody decides", c.rb("resolve", c.id, "2" if c.events("intent")[0]["seq"] == 2 else str(c.events("intent")[0]["seq"]), "done"), 0)
world("plainly", "it has run once")

# -- the link and the session

c = lab.case(runbook("cut", 4))
p = c.start("run", "t.lua")
began("cut")
lab.drop_link("web01")
wait_for("another connection", lambda: lab.connections("web01"))
(lab.dir / "go.cut").touch()
eq("the link is cut while it runs: the run ends well", p.wait(90 * SLOW), 0)
eq("with all of the output, once", words(c), ["4  out\nend\n  err\n"])
world("cut", "it has run once")

c = lab.case(runbook("follower"))
p = c.start("run", "t.lua")
began("follower")
shells = [s for s in lab.sessions("web01") if s != int((lab.dir / "pid").read_text())]
os.kill(min(shells), signal.SIGKILL)  # the shell that the session runs: the receipt's keeper
(lab.dir / "go.follower").touch()
code = p.wait(90 * SLOW)
check("who keeps the receipt is killed: the outcome is told, or said to be unknown",
      code == 0 or (code == 1 and "ssh.lost" in str(c.events("result"))), c.events("result"))
world("follower", "it has run once")

c = lab.case("""
    local ok, e = pcall(ssh, "web01", [[echo read >>@LAB@/reads; while [ ! -e @LAB@/go.read ]; do sleep 0.05; done; echo end]],
        { read = true, retry = { times = 3, delay = "100ms" } })
    print(ok, ok and e.stdout or e.kind)
""")
p = c.start("run", "t.lua")
wait_for("the read to begin", lambda: (lab.dir / "reads").exists())
lab.drop_link("web01")
(lab.dir / "go.read").touch()
eq("a read whose link is cut", p.wait(90 * SLOW), 0)
eq("is lost, and a retry repeats it", words(c), ["true  end\n"])

c = lab.case("""
    local ok, e = pcall(ssh, "web01", [[echo off >>@LAB@/world; echo $$ >@LAB@/pid; sleep 600]])
    print(e.kind, e.outcome)
""")
p = c.start("run", "t.lua")
began("off")
lab.stop()
code = p.wait(180 * SLOW)
eq("the machine goes off: the run goes on", code, 0)
eq("and the outcome is said to be unknown", words(c), ["ssh.lost  unknown"])
lab.start()
world("off", "it was not started again")

# -- nothing is guessed

c = lab.case(runbook("elsewhere"))
p = c.start("run", "t.lua")
began("elsewhere")
kill(p)
home = lab.home("web01")
shutil.move(home, f"{home}.away")
home.mkdir()
r = c.rb("resume", c.id)
ends("another machine behind the same name: in doubt", r, 6)
check("with the reason", any("why" in e for e in c.events("doubt")), c.events("doubt"))
home.rmdir() if not any(home.iterdir()) else shutil.rmtree(home)
shutil.move(f"{home}.away", home)
(lab.dir / "go.elsewhere").touch()
r = c.rb("resume", c.id)
ends("the right one is back: the resume", r, 0)
eq("collects it without a question", words(c), ["0  out\nend\n  err\n"])
world("elsewhere", "it has run once")

c = lab.case(runbook("away"))
p = c.start("run", "t.lua")
began("away")
kill(p)
lab.alias("web01", HostName="127.0.0.1", Port="1")
lab.write_client_config()
saved = lab.config.read_text()
lab.config.write_text("Host web01\n  HostName 127.0.0.1\n  Port 1\n" + saved)
r = c.rb("resume", c.id)
ends("the machine can not be reached: in doubt", r, 6)
contains("which says so", str(c.events("doubt")), "could not be looked at")
lab.aliases.clear()
lab.write_client_config()
(lab.dir / "go.away").touch()
ends("and when it is back", c.rb("resume", c.id), 0)
eq("it is collected", words(c), ["0  out\nend\n  err\n"])
world("away", "it has run once")

# -- receipts that were collected go

c = lab.case('ssh("web03", "echo secret output; until test -e @LAB@/go.found; do sleep 0.05; done")')
p = c.start("run", "t.lua")
wait_for("the command", lambda: [p for p in lab.receipts("web03").values() if "secret output" in p.read_text(errors="replace")])
kill(p)
(lab.dir / "go.found").touch()
ends("a command whose host was killed", c.rb("resume", c.id), 0)
left = lab.receipts("web03")
check("leaves no output over there when a resume has found it", not any("secret output" in p.read_text(errors="replace") for p in left.values()), left)

c = lab.case('ssh("web02", { "echo", "secret output" })\nfor i = 1, 3 do ssh("web02", { "true" }) end')
ends("commands that are over", c.run(), 0)
left = lab.receipts("web02")
check("leave no output over there", not any("secret output" in p.read_text(errors="replace") for p in left.values()), left)
check("and no receipt", not [n for n in left if "/receipts/" in f"/{n}" and not n.endswith("/id")], left)

c = lab.case("""
    ssh("web02", { "echo", "secret output" })
    local ok, e = pcall(ssh, "web02", { "true" }, { cwd = "/no/such/folder" })
    print(ok, e.kind, e.outcome)
""")
ends("a command that is refused right behind one that is over", c.run(), 0)
eq("is not started", words(c), ["false  ssh.not_found  not_started"])
left = lab.receipts("web02")
check("and does not keep the other's output over there", not any("secret output" in p.read_text(errors="replace") for p in left.values()), left)

c = lab.case("""
    ssh("web03", { "true" })
    ssh("web03", [[rm -rf "@LAB@/home/web03/.local"]], { survive = false })
    local ok, e = pcall(ssh, "web03", "echo lost >>@LAB@/world")
    print(ok, e.kind, e.outcome)
    print(ssh("web03", { "echo", "again" }).stdout)
""")
ends("a folder of receipts that goes away", c.run(), 0)
eq("refuses a command, and is made anew for the next", words(c), ["false  ssh.receipt  not_started", "again\n"])
world_now = (lab.dir / "world").read_text().split()
eq("what was refused has not run", world_now, seen)
lab.close()
finish()
