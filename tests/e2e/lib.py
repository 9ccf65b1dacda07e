"""What the Python tests share. A test begins with:

    import os, sys
    sys.path.insert(0, os.environ["T"] + "/e2e")
    from lib import check, eq, contains, rbhost, wait_for, finish

and ends with finish(). Each check prints one TAP line; a failing one shows both sides."""

import atexit
import os
import pathlib
import subprocess
import sys
import time

RBHOST = os.environ["RBHOST"]
RBHOST_FAULT = os.environ["RBHOST_FAULT_BIN"]
TMP = pathlib.Path(os.environ["TMP"])
T = pathlib.Path(os.environ["T"])
SLOW = float(os.environ.get("SLOW", "1"))

_run = 0
_failed = 0
_started = []


def check(name, good, detail=""):
    """One test. Returns whether it passed."""
    global _run, _failed
    _run += 1
    print(f"{'ok' if good else 'not ok'} {_run} - {name}", flush=True)
    if not good:
        _failed += 1
        for line in str(detail).splitlines():
            print(f"#   {line}", flush=True)
    return good


def eq(name, got, want):
    return check(name, got == want, f"got:  {got!r}\nwant: {want!r}")


def contains(name, text, part):
    return check(name, part in text, f"in: {text!r}\nthere is no: {part!r}")


def lacks(name, text, part):
    return check(name, part not in text, f"in: {text!r}\nthere is: {part!r}")


def rbhost(*args, binary=RBHOST, stdin="", env=None, timeout=60):
    """Runs rbhost to its end: .returncode, .stdout, .stderr."""
    return subprocess.run(
        [binary, *map(str, args)],
        input=stdin,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout * SLOW,
    )


def start(argv, **popen):
    """Starts a process that is killed, at the latest, when the test ends."""
    popen.setdefault("stdin", subprocess.DEVNULL)
    p = subprocess.Popen([str(a) for a in argv], **popen)
    _started.append(p)
    return p


def wait_for(what, condition, seconds=30):
    """Waits until condition() is true and returns its value. The deadline is only there in case that never comes."""
    end = time.monotonic() + seconds * SLOW
    while not (value := condition()):
        if time.monotonic() > end:
            check(f"waited in vain for: {what}", False)
            finish()
        time.sleep(0.02)
    return value


def finish():
    print(f"1..{_run}", flush=True)
    sys.exit(1 if _failed else 0)


@atexit.register
def _end_started():
    for p in _started:
        if p.poll() is None:
            p.kill()
            p.wait()
