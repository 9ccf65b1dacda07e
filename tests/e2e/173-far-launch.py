#!/usr/bin/env python3
# time-limit: 300
"""Receipts on another machine, kept by whatever stands at /bin/sh there: a launch, looks in every state, time-out, cap,
input that is cut, secrets, modes. No ssh: what is said is run as sshd would run it."""
import os
import pathlib
import shutil
import signal
import stat
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from far import LOGINS, SHELLS, Far, alive
from lib import TMP, check, contains, eq, finish, lacks, wait_for

HOSTILE = bytes(i for i in range(1, 256)).decode("latin-1").encode("latin-1")


def states(a, **want):
    return eq(want.pop("name"), {k: a[k] for k in want}, want)


def launches(shell):
    f = Far(shell)
    f.probe()
    check(f"{shell}: the place has a root", f.place and len(f.place.split()[0]) == 32, (f.place, f.why))
    eq(f"{shell}: and keeps it", f.probe(), f.place)

    a = f.launch("a", "--", "sh", "-c", "echo hello; echo oops >&2; exit 3").done()
    states(a, name=f"{shell}: it ran", state="ended", code=3, signal=0, out=6, err=5, held=0, timed_out=0, stopped=0)
    eq(f"{shell}: both streams", (a.stdout, a.errors, a.stderr), (b"hello\n", b"oops\n", b""))
    b = f.look("a")
    eq(f"{shell}: a look says the same", (dict(b), b.stdout, b.errors), (dict(a), a.stdout, a.errors))
    a = f.launch("a", "--", "sh", "-c", "echo again > again").done()
    states(a, name=f"{shell}: no receipt is used twice", state="refused")
    check(f"{shell}: and nothing ran", not (f.home / "again").exists())

    states(f.look("never"), name=f"{shell}: never started", state="absent")
    states(f.look("never"), name=f"{shell}: and never will be", state="absent")
    a = f.launch("never", "--", "sh", "-c", "echo late > late").done()
    states(a, name=f"{shell}: a launch that comes after the look is refused", state="refused")
    check(f"{shell}: and runs nothing", not (f.home / "late").exists())

    states(f.launch("sig", "--text", "kill -KILL $$").done(), name=f"{shell}: ended by a signal", state="ended", code=-1, signal=9)
    for code in () if shell == "zsh" else (137, 143):
        states(f.launch(f"code{code}", "--text", f"exit {code}").done(), name=f"{shell}: {code} is no signal", state="ended",
               code=code, signal=0)
    a = f.launch("none", "--", "no-such-command").done()
    states(a, name=f"{shell}: no such command", state="refused")
    contains(f"{shell}: and it says so", a.why, "no-such-command")
    states(f.look("none"), name=f"{shell}: what was refused was never started", state="absent")
    a = f.launch("cwd", "--cwd", "/no/such", "--", "true").done()
    states(a, name=f"{shell}: no such folder", state="refused")

    value = HOSTILE.replace(b"\0", b"")
    stdin = TMP / f"stdin-{shell}"
    stdin.write_bytes(bytes(range(256)) * 5000)
    (f.home / "sub").mkdir()
    a = f.launch("io", "--cwd", "sub", "--env", b"ODD=" + value, "--stdin", stdin, "--max", 2000000, "--", "sh", "-c",
                 'cat; printf "%s|%s|%s" "$ODD" "$1" "${PWD##*/}"; umask >&2', "x", value).done()
    states(a, name=f"{shell}: input, environment and words", state="ended", code=0)
    check(f"{shell}: byte for byte", a.stdout == stdin.read_bytes() + value + b"|" + value + b"|sub", (len(a.stdout), a.stdout[-700:]))
    eq(f"{shell}: its umask is the login's", int(a.errors, 8), 0o022)

    a = f.launch("time", "--timeout", 300, "--grace", 200, "--text", "trap '' TERM; sleep 60; sleep 61").done()
    states(a, name=f"{shell}: its time-out ends it, the group and all", state="ended", signal=9, timed_out=1)
    a = f.launch("cap", "--max", 100000, "--text", "head -c 30000000 /dev/zero; echo x >&2").done()
    states(a, name=f"{shell}: all output is counted", state="ended", code=0, out=30000000, err=2)
    eq(f"{shell}: what is kept has a cap", (len(a.stdout), a.errors), (100000, b"x\n"))
    states(f.launch("cap0", "--max", 0, "--text", "echo abc").done(), name=f"{shell}: none may be kept", state="ended", out=4)

    s = f.launch("cut", "--stdin", stdin, "--", "sh", "-c", "echo ran > cut", feed=800000)
    states(s.done(), name=f"{shell}: input that is not whole starts nothing", state="refused")
    s = f.launch("cut2", "--", "sh", "-c", "echo ran > cut", feed=9000)
    states(s.done(), name=f"{shell}: nor does a request", state="nothing")
    check(f"{shell}: nothing ran", not (f.home / "cut").exists())
    states(f.look("cut"), name=f"{shell}: and that is certain", state="absent")

    # Live, and a look while it runs; then a cancel.
    s = f.launch("live", "--text", "echo begun; while [ ! -e go ]; do sleep 0.05; done; echo gone").feed()
    seen = b""
    while b"begun\n" not in seen:
        seen += os.read(s.p.stdout.fileno(), 1000)
    check(f"{shell}: output comes while it runs", b"run " in seen, seen)
    second = f.say("look", "live").feed()
    (f.home / "go").write_text("")
    a = second.done()
    eq(f"{shell}: a second one may look on", (a.state, a.code, a.stdout), ("ended", 0, b"begun\ngone\n"))
    s.done()
    s = f.launch("stop", "--text", "echo $$; trap 'echo told; exit 5' TERM; while :; do sleep 0.05; done").feed()
    f.pid("stop")
    wait_for("it has set its trap", lambda: f.file("stop", "out"))
    a = f.say("cancel", "stop").done()
    states(a, name=f"{shell}: cancelled", state="ended", code=5, stopped=1)
    contains(f"{shell}: with its last words", a.stdout, b"told\n")
    s.done()
    s = f.launch("kill", "--text", "trap '' TERM; while :; do sleep 0.05; done").feed()
    pid = f.pid("kill")
    a = f.say("kill", "kill", "--grace", 100).done()
    states(a, name=f"{shell}: killed", state="ended", signal=9, stopped=1)
    check(f"{shell}: and gone", not alive(pid))
    s.done()

    # A daemon that it leaves behind holds its output.
    a = f.launch("held", "--text", "echo up; sleep 5 & :").done()
    states(a, name=f"{shell}: what is left behind does not hold it up", state="ended", code=0, held=1)
    eq(f"{shell}: and nothing is lost", a.stdout, b"up\n")

    modes = {(p.name, oct(stat.S_IMODE(p.stat().st_mode))) for p in f.receipts.rglob("*") if p.is_file() and stat.S_IMODE(p.stat().st_mode) != 0o600}
    eq(f"{shell}: files are 0600", modes, set())
    eq(f"{shell}: folders 0700", {stat.S_IMODE(p.stat().st_mode) for p in [f.receipts, *f.receipts.iterdir()] if p.is_dir()}, {0o700})
    lacks(f"{shell}: its input is not kept", os.listdir(f.receipts / "io"), "in")

    code, out, err = f.say("forget", "a", "io").raw()
    eq(f"{shell}: emptied receipts", (sorted(os.listdir(f.receipts / "a")), err), (["done", "lock", "pid"], b""))
    states(f.launch("a", "--", "true").done(), name=f"{shell}: still keep a late launch out", state="refused")
    states(f.look("a"), name=f"{shell}: and say that they knew", state="unknown")
    old, begun, rebooted = f.receipts / "io", f.receipts / "cap", f.receipts / "held"
    line = (rebooted / "pid").read_text().split()
    (rebooted / "pid").write_text(f"{line[0]} {line[1]} another {line[3]}\n")
    ending = f.receipts / "ending"  # a command of many days that is gone, and its keeper has not said so yet
    ending.mkdir(0o700)
    born = open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]
    boot = open("/proc/sys/kernel/random/boot_id").read().strip()
    (ending / "lock").write_text(f"{os.getpid()} {born} {boot} x\n")
    (ending / "pid").write_text(f"{2**22 + 1} 1 {boot} x\n")
    (ending / "out").write_text("what it said")
    for path in (old, begun, rebooted, ending):
        os.utime(path, (1, 1))
    f.say("clean", "a").raw()
    eq(f"{shell}: what is being ended is left alone", sorted(os.listdir(ending)), ["lock", "out", "pid"])
    shutil.rmtree(ending)
    check(f"{shell}: removed, and what is old", not any((f.receipts / x).exists() for x in ("a", "io", "held")), os.listdir(f.receipts))
    for turn in ("swept", "and again"):
        eq(f"{shell}: {turn}: what was begun and not asked for is emptied and stays", sorted(os.listdir(begun)), ["lock", "old", "pid"])
        states(f.look("cap"), name=f"{shell}: {turn}: it is not taken for never started", state="unknown")
        states(f.launch("cap", "--", "true").done(), name=f"{shell}: {turn}: and starts no second time", state="refused")
        os.utime(begun, (1, 1))
        f.say("clean", "a").raw()
    check(f"{shell}: what is not stays", (f.receipts / "time").exists())

    s = f.launch("stays", "--text", "while [ ! -e go2 ]; do sleep 0.05; done").feed()
    f.pid("stays")
    wait_for("its folder is quiet", lambda: not list((f.receipts / "stays").glob("pid.*")))
    os.utime(f.receipts / "stays", (1, 1))
    a = f.say("clean", "live").done()
    eq(f"{shell}: what runs stays, however old", (a.removed, a.left, (f.receipts / "stays").exists()), (1, 1, True))
    (f.home / "go2").write_text("")
    s.done()

    eq(f"{shell}: plain", f.say("plain", "--", "echo", "a b").raw()[1].split(b"\n", 1)[1], b"a b\n")
    out = f.say("plain", "--env", b"ODD=" + value, "--cwd", "sub", "--stdin", stdin, "--", "sh", "-c", 'cat; printf %s%s "$ODD" "$1"', "x", value).raw()[1]
    check(f"{shell}: plain, byte for byte", out.split(b"\n", 1)[1] == stdin.read_bytes() + value + value, out[:200])
    code, out, _ = f.say("plain", "--cwd", "/no/such", "--", "true").raw()
    contains(f"{shell}: plain: no such folder", out, b"rbhost-no there is no folder /no/such")
    code, out, _ = f.say("plain", "--timeout", 200, "--grace", 100, "--text", "trap '' TERM; sleep 60; sleep 61").raw()
    eq(f"{shell}: plain: time-out", code, -signal.SIGKILL)
    s = f.say("plain", "--text", "echo ready; sleep 60; sleep 61").feed()
    seen = b""
    while b"ready\n" not in seen:
        seen += os.read(s.p.stdout.fileno(), 1000)
    pid = int(seen.split(b"\n")[0].split()[1])
    states(f.say("kill", pid, "--grace", 1000).done(), name=f"{shell}: plain: killed by its pid", state="absent")
    s.raw()
    f.await_idle()
    check(f"{shell}: no process is left", True)


for shell in SHELLS:
    launches(shell)

# -- login shells: hostile words through each of them
for login in LOGINS:
    f = Far(login=login, env={"XDG_CONFIG_HOME": str(TMP), "XDG_DATA_HOME": str(TMP)})
    words = ["", "a b", "it's", 'say "hi"', "$(touch pwned) `touch pwned` $HOME", "-n", "!!", "a!b", "back\\slash\\\\", "line\nend\n", "~", "*",
             "\\'", "{a,b}", "%1", "^x^y", "[z-a]", "é", HOSTILE]
    out = f.say("plain", "--", "printf", "<%s>", *words).raw()[1].split(b"\n", 1)[1]
    want = b"".join(b"<" + (w if isinstance(w, bytes) else w.encode()) + b">" for w in words)
    eq(f"{login}: words as they are", out, want)
    for w in words[:-1]:
        out = f.say("plain", "--", "printf", "<%s>", w).raw()[1].split(b"\n", 1)[1]
        if out != b"<" + w.encode() + b">":
            eq(f"{login}: one word {w!r}", out, b"<" + w.encode() + b">")
    for text in ("echo 'a b'", 'echo "$HOME" | wc -l', "echo a!b", "printf '%s\\n' x", "# nothing\necho y", "exit 7"):
        a = f.say("plain", "--text", text).raw()
        import subprocess
        r = subprocess.run(["sh", "-c", text], capture_output=True, env=f.env)
        if (a[0], a[1].split(b"\n", 1)[1]) != (r.returncode, r.stdout):
            eq(f"{login}: text {text!r}", (a[0], a[1].split(b"\n", 1)[1]), (r.returncode, r.stdout))
    a = f.launch("w", "--", "printf", "<%s>", *words).done()
    eq(f"{login}: with a receipt", (a.state, a.stdout), ("ended", want))
    check(f"{login}: nothing was run by the way", not list(f.home.glob("*pwned*")))

# -- a login shell that talks before it runs anything
f = Far(login="bash")
(f.home / ".bashrc").write_text("echo Welcome; printf 'no line end'\n")
f.env["BASH_ENV"] = str(f.home / ".bashrc")
check("a noisy rc file: the place is found", f.probe(), f.why)
a = f.launch("n", "--", "echo", "x").done()
eq("a noisy rc file: the answer too", (a.state, a.stdout), ("ended", b"x\n"))

# -- secrets are not where others can see them
f = Far()
f.probe()
secret = "s3cr3t-" + "x" * 40
stdin = TMP / "secret-stdin"
stdin.write_text(secret)
s = f.launch("s", "--env", f"TOKEN={secret}", "--stdin", stdin, "--text", "echo begun; cat >/dev/null; while [ ! -e go ]; do sleep 0.05; done")
line = f.line(pathlib.Path(f"{f.dir}/request{s.n}.line").read_bytes())
lacks("a secret is not in the line", line, secret.encode())
s.feed()
command = f.pid("s")
wait_for("it began", lambda: f.file("s", "out"))
found, environs = [], []
for p in f.left():
    if secret.encode() in pathlib.Path(f"/proc/{p}/cmdline").read_bytes():
        found.append(p)
    if secret.encode() in pathlib.Path(f"/proc/{p}/environ").read_bytes() and os.getpgid(p) != command:
        environs.append(p)
eq("a secret is in no argument", found, [])
eq("and in no environment but the command's", environs, [])
eq("nor in a file", [p.name for p in f.receipts.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()], [])
(f.home / "go").write_text("")
eq("it ended", s.done().state, "ended")

for wrong in (["--env", "A.B=1", "--", "true"], ["--env", "PPID=1", "--", "true"], ["--", "-x"], ["--", ""]):
    try:
        f.launch("w", *wrong)
        check(f"refused before anything is said: {wrong}", False)
    except ValueError as e:
        check(f"refused before anything is said: {wrong}", "far_tool: " in str(e), str(e))
finish()
