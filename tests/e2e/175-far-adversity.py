#!/usr/bin/env python3
# time-limit: 300
"""Receipts on a machine that is not as it was, or not as one would like it: another boot, root, machine, user; the
receipts gone, not writable, the disk full; nothing but a minimal PATH; no /proc."""
import os
import pathlib
import resource
import shutil
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from far import SHELLS, Far, alive
from lib import TMP, check, contains, eq, finish, wait_for

COMMAND = "echo x >> count; echo said; exit 4"


def count(f):
    path = f.home / "count"
    return len(path.read_text().split()) if path.exists() else 0


def other(place, n):
    words = place.split()
    words[n] = "0123456789abcdef0123456789abcdef" if n < 3 else "4711"
    return " ".join(words)


# -- not the place that was meant
f = Far()
f.probe()
for n, what in enumerate(("root", "boot", "machine", "user")):
    a = f.launch(f"l{n}", "--text", COMMAND, place=other(f.place, n)).done()
    check(f"another {what}: a launch is refused, with a reason", a.state == "refused" and a.why, a)
    a = f.look(f"never{n}", place=other(f.place, n))
    check(f"another {what}: that there is no receipt says nothing", a.state == "elsewhere" and a.why, a)
    check(f"another {what}: and nothing was taken", f.file(f"never{n}", "lock") is None)
eq("nothing ran", count(f), 0)
s = f.launch("run", "--text", "echo x >> count; echo said; while [ ! -e go ]; do sleep 0.02; done").feed()
f.pid("run")
a = f.look("run", place=other(f.place, 1))
eq("another boot: what had not ended is not known", a.state, "elsewhere")
(f.home / "go").write_text("")
s.done()
a = f.look("run", place=other(f.place, 1))
eq("another boot: what had ended is", (a.state, a.code, a.stdout), ("ended", 0, b"said\n"))
(f.receipts / "run/out").write_text("")
eq("another boot: if its output is there", f.look("run", place=other(f.place, 1)).state, "elsewhere")

# -- the receipts go away
f = Far()
place = f.probe()
s = f.launch("run", "--text", "echo said; while [ ! -e go ]; do sleep 0.02; done; echo x >> count").feed()
f.pid("run")
shutil.rmtree(f.receipts)
a = f.look("run")
check("no receipts root: nothing can be said", a.state == "elsewhere" and "gone" in a.why, a)
check("a new root is another", f.probe() != place, f.place)
eq("and it says nothing of before", f.look("run", place=place).state, "elsewhere")
(f.home / "go").write_text("")
a = s.done()
check("the launch itself can not say how it ended, or that it did not", a.state in ("unknown", "elsewhere", "corrupt"), a)
f.await_idle()
eq("but it ran, once", count(f), 1)

f = Far()
place = f.probe()
s = f.launch("r", "--text", COMMAND, fault="2-stop").feed()
asleep = int(wait_for("it is asleep", lambda: (f.receipts / "passed").read_text() if (f.receipts / "passed").exists() else ""))
wait_for("it sleeps", lambda: open(f"/proc/{asleep}/stat").read().rsplit(") ", 1)[1][0] == "T")
f.receipts.rename(f.receipts.parent / "old")
shutil.rmtree(f.receipts.parent / "old")
f.probe()
f.look("r")
os.kill(asleep, 18)
eq("the root is replaced under a launch: it does not start", (s.done().state, count(f)), ("refused", 0))

# -- it can not be written
f = Far(env={"XDG_STATE_HOME": "/proc/self"})
check("a state folder that can not be made: no root, and why", f.probe().split()[0] == "-" and f.why, (f.place, f.why))
f = Far(env={"XDG_STATE_HOME": "relative"})
f.probe()
check("a relative state folder does not count", f.receipts.exists())
if os.geteuid() == 0:
    f = Far(uid=65534)
else:
    f = Far()
f.probe()
f.launch("done", "--text", COMMAND).done()
for p in (f.receipts / "done", f.receipts):
    p.chmod(0o500)
a = f.launch("r", "--text", COMMAND).done()
check("read-only: a launch is refused, and says why", a.state == "refused" and "ermi" in a.why, a)
a = f.look("done")
eq("read-only: what is there is told", (a.state, a.code, a.stdout), ("ended", 4, b"said\n"))
a = f.look("r")
check("read-only: what is not there is not settled", a.state == "elsewhere" and a.why, a)
f.receipts.chmod(0o700)
(f.receipts / "done").chmod(0o700)
eq("nothing ran", count(f), 1)


# -- a disk that is full: a limit of the size of files, and where it can be had, a small file system
def limit(n):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))


f = Far()
f.probe()
stdin = TMP / "big"
stdin.write_bytes(b"i" * 300000)
a = f.launch("in", "--stdin", stdin, "--text", COMMAND, preexec=limit(100000)).done()
eq("no room for the input: refused", (a.state, count(f)), ("refused", 0))
eq("and settled", f.look("in").state, "absent")
a = f.launch("out", "--text", "echo x >> count; head -c 300000 /dev/zero; exit 4", preexec=limit(100000)).done()
eq("no room for the output: the verdict, and that less was kept", (a.state, a.code, a.full, count(f)), ("ended", 4, 1, 1))
contains("it says so", a.why, "disk")
check("and all that there was room for", 80000 < len(a.stdout) <= 100000, len(a.stdout))

mounted = []
f = Far()
small = f.home / ".local"
small.mkdir()
if os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k,nr_inodes=200", "rbhost-test", small], capture_output=True).returncode == 0:
    try:
        place = f.probe()
        eq("a small disk: it runs", f.launch("ok", "--text", COMMAND).done().state, "ended")
        a = f.launch("fill", "--text", "echo x >> count; head -c 1000000 /dev/zero; exit 4").done()
        eq("its own output fills it: the verdict all the same", (a.state, a.code, a.full, a.out > 900000), ("ended", 4, 1, True))
        a = f.launch("no", "--text", COMMAND).done()
        check("a full disk: refused", a.state == "refused" and a.why, a)
        eq("nothing ran", count(f), 2)
        a = f.look("no")
        check("and a look does not guess", a.state in ("absent", "elsewhere"), a)
        f.probe()
        check("a full disk: the probe says so", f.place.split()[0] == "-" and "full" in f.why, (f.place, f.why))
        a = f.look("fill", place=place)
        eq("what is there can be read", (a.state, a.code, len(a.stdout) > 50000), ("ended", 4, True))
        (f.receipts / "fill/out").unlink()
        f.probe()
        s = f.launch("during", "--text", "echo x >> count; echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; exit 4").feed()
        wait_for("it runs", lambda: f.file("during", "out"))
        with open(small / "filler", "wb") as filler:
            try:
                filler.write(b"f" * 1000000)
            except OSError:
                pass
        (f.home / "go").write_text("")
        a = s.done()
        eq("filled while it runs: how it ended is known", (a.state, a.code), ("ended", 4))
    finally:
        f.await_idle()
        subprocess.run(["umount", small], check=True)


# -- nothing but what every system has
BASE = "cat dd id ln ls mkdir mkfifo mv rm sleep tail wc sh kill uname find chmod tr sed who env".split()


def minimal(*more):
    n = len(list(TMP.glob("path*")))
    path = TMP / f"path{n}"
    path.mkdir()
    for tool in (*BASE, *more):
        (path / tool).symlink_to(shutil.which(tool))
    return str(path)


def works(name, f):
    check(f"{name}: a place", f.probe() and f.place.split()[0] != "-", (f.place, f.why))
    a = f.launch("r", "--text", COMMAND).done()
    eq(f"{name}: it runs", (a.state, a.code, a.stdout, a.stderr), ("ended", 4, b"said\n", b""))
    a = f.launch("t", "--timeout", 100, "--grace", 5000, "--text", "sleep 60; sleep 61").done()
    eq(f"{name}: its time-out ends the group", (a.state, a.timed_out, a.signal), ("ended", 1, 15))
    a = f.look("t")
    eq(f"{name}: a look", (a.state, a.timed_out), ("ended", 1))
    s = f.launch("k", "--text", "sleep 60; sleep 61").feed()
    pid = f.pid("k")
    eq(f"{name}: a kill", f.say("kill", "k").done().state, "ended")
    check(f"{name}: ends it", not alive(pid))
    s.done()
    f.await_idle()


works("with setsid, without head", Far(env={"PATH": minimal("setsid")}))
works("perl instead of setsid", Far(env={"PATH": minimal("perl")}))
if "bash" in SHELLS:
    works("bash that can set -m", Far("bash", env={"PATH": minimal()}))
f = Far(env={"PATH": minimal()})
check("no way to a group: no root, and why", f.probe().split()[0] == "-" and "setsid" in f.why, (f.place, f.why))
a = f.launch("r", "--text", COMMAND, place=Far().probe()).done()
eq("and a launch is refused", a.state, "refused")
path = minimal("perl", "ps")
(pathlib.Path(path) / "sysctl").write_text("""#!/bin/sh
case $2 in
kern.boottime) echo "{ sec = 1700000000, usec = $$ } Tue Nov 14 22:13:20 2023" ;;
kern.hostuuid) echo 6b2d4f0e-0000-11ee-8c99-0242ac120002 ;;
esac
""")
(pathlib.Path(path) / "sysctl").chmod(0o755)
f = Far(env={"PATH": path})
f.swap = {b"/proc/self/stat": b"/proc/nowhere", b"/proc/sys/kernel/random/boot_id": b"/proc/nowhere", b"/etc/machine-id": b"/proc/nowhere"}
works("as on FreeBSD: no /proc, sysctl tells", f)
contains("its boot", f.place, " sec1700000000 ")
finish()
