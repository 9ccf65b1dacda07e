#!/usr/bin/env python3
# time-limit: 300
"""Every numbered point of the shell text, with whoever passes it killed there; then the wrapper and the command killed
while it runs, launches that race, and a launch that wakes after the look. The command counts in a file: what is told
must fit what it counted, and it never counts two."""
import os
import re
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from far import SHELLS, Far, alive
from lib import T, check, eq, finish, wait_for

texts = "".join(p.read_text() for p in sorted((T.parent / "host/io/ssh_far").glob("*.sh")))
POINTS = sorted(map(int, re.findall(r"^ *fault (\d+)$", texts, re.M)))
COMMAND = "echo x >> count; echo said; sleep 0.1; exit 4"
eq("each point has a number of its own", POINTS, sorted(set(POINTS)))


def count(f):
    path = f.home / "count"
    return len(path.read_text().split()) if path.exists() else 0


def fits(a, n):
    """A command that was killed may have had its first instruction before it, or not."""
    return {"ended": n <= 1 if a.signal == 9 else n == 1, "absent": n == 0, "refused": n == 0}.get(a.state, n <= 1)


def truth(name, f, id, first, may=("ended", "absent", "refused", "unknown")):
    """What a resume would do: look, until something is known; then nothing may happen any more."""
    a = f.look(id)
    at_once = count(f)
    check(f"{name}: {first} → {a.state}, it ran {at_once} times", fits(a, at_once) and a.state in may, a)
    if a.state == "ended":
        check(f"{name}: the whole verdict", (a.code, a.stdout) == (4, b"said\n") or a.signal in (9, 15), (a, a.stdout))
    f.await_idle()
    again = f.launch(id, "--text", COMMAND).done()
    f.await_idle()
    check(f"{name}: and never runs again", again.state == "refused" and count(f) == at_once, (again, count(f)))
    b = f.look(id)
    eq(f"{name}: a second look says the same", b.state, a.state)
    return a


for shell in ("dash", "busybox") if "busybox" in SHELLS else ("dash",):
    for point in POINTS:
        for who in ("", "-parent") if 10 <= point < 20 else ("",):
            f = Far(shell)
            f.probe()
            extra = ["--timeout", "50", "--grace", "5000"] if point == 20 else []
            if point == 31:  # a keeper that died before its command began leaves this to the look
                f.launch("r", "--text", COMMAND, fault="5-all").done()
                f.await_idle()
            if point == 32:
                running = f.launch("r", "--text", "echo x >> count; echo said; sleep 60").feed()
                wait_for("it has counted", lambda: count(f))
            if 30 <= point < 40:
                a = f.say("cancel" if point == 32 else "look", "r", fault=f"{point}{who}").done()
                first = a.state
                if point == 32:
                    first = f.say("cancel", "r").done().state
                    running.done()
            else:
                first = f.launch("r", "--text", COMMAND, *extra, fault=f"{point}{who}").done().state
            check(f"{shell}: {point}{who} was passed", (f.receipts / "passed").exists())
            may = {1: ("absent",), 2: ("absent",), 3: ("absent",), 4: ("absent",), 5: ("absent",), 10: ("absent",), 11: ("absent",)}
            truth(f"{shell}: killed at {point}{who}", f, "r", first, may.get(point if not who else 0, ("ended", "absent", "refused", "unknown")))

# -- while it runs
for shell in SHELLS:
    for whom, want in (("keeper", "unknown"), ("command", "ended"), ("follower", "ended"), ("link", "ended"), ("keeper and command", "unknown")):
        f = Far(shell)
        f.probe()
        s = f.launch("r", "--text", "echo x >> count; echo said; while [ ! -e go ]; do sleep 0.02; done; exit 4").feed()
        command, keeper = f.pid("r"), f.keeper("r")
        wait_for("it has counted", lambda: count(f))
        if "keeper" in whom:
            os.kill(keeper, signal.SIGKILL)
        if "command" in whom:
            os.kill(command, signal.SIGKILL)
        if whom == "follower":
            os.kill(s.follower(keeper), signal.SIGKILL)
        if whom == "link":
            s.cut()
        looker = f.say("look", "r").feed()
        if "command" not in whom:
            seen = b""
            while b"said\n" not in seen:
                seen += os.read(looker.p.stdout.fileno(), 1000)
            check(f"{shell}: {whom} gone, the look waits", not re.search(rb"^(ended|unknown|absent)", seen, re.M), seen)
            (f.home / "go").write_text("")
            seen += looker.p.stdout.read()
            looker.p.wait()
            a = looker.read(seen)
        else:
            a = looker.done()
        eq(f"{shell}: {whom} killed while it runs", (a.state, count(f), a.stdout), (want, 1, b"said\n"))
        eq(f"{shell}: and how it ended", (a.code, a.signal), {"command": (-1, 9), "follower": (4, 0), "link": (4, 0)}.get(whom, (0, 0)))
        s.end()
        f.await_idle()

# -- twenty hosts, one receipt
for shell in ("dash", "bash"):
    f = Far(shell)
    f.probe()
    all = [f.launch("r", "--text", COMMAND) for _ in range(20)]
    for s in all:
        s.feed()
    states = sorted(s.done().state for s in all)
    eq(f"{shell}: of 20 launches one starts", (states, count(f)), (["ended"] + ["refused"] * 19, 1))
    f = Far(shell)
    f.probe()
    racers = [f.say("look" if i % 2 else "launch", "r", *([] if i % 2 else ["--text", COMMAND])) for i in range(12)]
    for s in racers:
        s.feed()
    told = [s.done().state for s in racers]
    f.await_idle()
    check(f"{shell}: launches and looks race", ("ended" in told) == (count(f) == 1) and count(f) <= 1 and ("absent" in told) != ("ended" in told), (told, count(f)))

# -- a launch that sleeps while it is given up
for point, state in ((2, "absent"), (3, None), (11, None)):
    f = Far()
    f.probe()
    s = f.launch("r", "--text", COMMAND, fault=f"{point}-stop").feed()
    asleep = int(wait_for("it is asleep", lambda: (f.receipts / "passed").read_text() if (f.receipts / "passed").exists() else ""))
    wait_for("it sleeps", lambda: open(f"/proc/{asleep}/stat").read().rsplit(") ", 1)[1][0] == "T")
    if point != 2:
        keeper = f.keeper("r")
        os.kill(keeper, signal.SIGKILL)
        wait_for("its keeper is gone", lambda: not alive(keeper))
    a = f.look("r")
    eq(f"asleep at {point}: given up for certain", (a.state, count(f)), ("absent", 0))
    if alive(asleep):
        os.kill(asleep, signal.SIGCONT)
    s.done()
    f.await_idle()
    eq(f"asleep at {point}: and it never starts", count(f), 0)
finish()
