#!/usr/bin/env python3
# time-limit: 300
"""Commands through sudo over there: the real one, with rules of the test's own, in a mount namespace (needs root; else
nothing is tested). It never asks, the password goes nowhere but to sudo, and what is root's can be ended."""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import TMP, check, contains, eq, finish, lacks, wait_for

PASSWORD = "p4ss'word \"$x"
NOBODY = 65534
INSIDE = "RBHOST_TEST_INSIDE"


def enter():
    """Runs this file again where /etc/shadow, the rules and sudo's tickets are ours."""
    if os.geteuid() != 0 or not shutil.which("sudo") or not shutil.which("unshare"):
        return "not root, or there is no sudo"
    here = TMP / "etc"
    (here / "sudoers.d").mkdir(parents=True)
    hash = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, text=True, capture_output=True).stdout.strip()
    lines = [l for l in pathlib.Path("/etc/shadow").read_text().splitlines() if not l.startswith("nobody:")]
    (here / "shadow").write_text("\n".join([*lines, f"nobody:{hash}:19000:0:99999:7:::"]) + "\n")
    (here / "shadow").chmod(0o600)
    script = f"""mount --bind {here}/shadow /etc/shadow && mount --bind {here}/sudoers.d /etc/sudoers.d &&
        mkdir -p /run/sudo && mount -t tmpfs rbhost-test /run/sudo && exec "$@" """
    r = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    if r.returncode:
        return r.stderr.decode()
    os.environ[INSIDE] = str(here)
    sys.stdout.flush()
    os.execvp("unshare", ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, __file__])


if INSIDE not in os.environ:
    check(f"skipped: {enter()}", True)
    finish()

from far import Far, alive

rules = pathlib.Path(os.environ[INSIDE], "sudoers.d/t")


def far(text):
    rules.unlink(missing_ok=True)
    rules.write_text(f"Defaults !lecture\n{text}\n")
    rules.chmod(0o440)
    shutil.rmtree("/run/sudo/ts", ignore_errors=True)
    f = Far(uid=NOBODY)
    f.probe()
    return f


def ends(name, f, *password):
    """A command of root's, its time-out, a cancel and a kill."""
    a = f.launch("r", "--sudo", *password, "--env", "TOKEN=abc def", "--text", 'id -u; echo "$TOKEN"; cat; exit 3', "--stdin", __file__).done()
    eq(f"{name}: it ran as root", (a.state, a.code, a.errors), ("ended", 3, b""))
    check(f"{name}: with its environment and its input", a.stdout == b"0\nabc def\n" + pathlib.Path(__file__).read_bytes(), a.stdout[:300])
    a = f.launch("n", "--sudo", *password, "--", "cat").done()
    eq(f"{name}: no input is no input", (a.state, a.code, a.stdout), ("ended", 0, b""))
    a = f.launch("t", "--sudo", *password, "--timeout", 300, "--grace", 5000, "--text", "sleep 60; sleep 61").done()
    eq(f"{name}: its time-out ends it", (a.state, a.timed_out, a.code == 0), ("ended", 1, False))
    for how in ("cancel", "kill"):
        s = f.launch(how, "--sudo", *password, "--text", "echo $$; while :; do sleep 0.05; done").feed()
        wait_for("it runs", lambda: f.file(how, "out"))
        pid = int(f.file(how, "out"))
        eq(f"{name}: it is root's", pathlib.Path(f"/proc/{pid}").stat().st_uid, 0)
        a = f.say(how, how, "--grace", 1000).done()
        eq(f"{name}: {how}", (a.state, a.stopped, alive(pid)), ("ended", 1, False))
        s.done()
    found = [p.name for p in f.receipts.rglob("*") if p.is_file() and PASSWORD.encode() in p.read_bytes()]
    eq(f"{name}: the password is in no file", found, [])
    code, out, err = f.say("plain", "--sudo", *password, "--env", "TOKEN=abc", "--text", 'id -u; echo "$TOKEN"; cat; exit 3', "--stdin", rules).raw()
    eq(f"{name}: plain", (code, out.split(b"\n", 1)[1], err), (3, b"0\nabc\n" + rules.read_bytes(), b""))
    f.await_idle()


ends("no password asked", far("nobody ALL=(ALL:ALL) NOPASSWD: ALL"))
ends("no password asked, one given", far("nobody ALL=(ALL:ALL) NOPASSWD: ALL"), "--password", PASSWORD)
ends("a password", far("nobody ALL=(ALL:ALL) ALL"), "--password", PASSWORD)
ends("a password each time", far("Defaults timestamp_timeout=0\nnobody ALL=(ALL:ALL) ALL"), "--password", PASSWORD)
ends("a pty of its own", far("Defaults use_pty\nnobody ALL=(ALL:ALL) ALL"), "--password", PASSWORD)

f = far("nobody ALL=(ALL:ALL) ALL")
for name, args, word in (("none given", [], "password is required"), ("a wrong one", ["--password", "wrong"], "incorrect")):
    a = f.launch(name.split()[-1], "--sudo", *args, "--text", "echo x > /tmp/never").done()
    check(f"{name}: refused in sudo's words", a.state == "refused" and word in a.why, a)
    code, out, _ = f.say("plain", "--sudo", *args, "--", "true").raw()
    check(f"{name}: plain, too", out.startswith(b"rbhost-no sudo: ") and word.encode() in out, out)
f = far("")
a = f.launch("r", "--sudo", "--password", PASSWORD, "--", "true").done()
check("one who may not: refused", a.state == "refused" and a.why, a)
f = far("nobody ALL=(ALL:ALL) /usr/bin/id")
a = f.launch("r", "--sudo", "--password", PASSWORD, "--", "id", "-u").done()
eq("one who may run one thing: it runs", (a.state, a.stdout), ("ended", b"0\n"))
f = far("Defaults timestamp_timeout=0\nnobody ALL=(ALL:ALL) NOPASSWD: /usr/bin/cat, PASSWD: ALL")
a = f.launch("r", "--sudo", "--password", PASSWORD, "--", "cat").done()
eq("what needs no password does not get it", (a.state, a.stdout), ("ended", b""))
finish()
