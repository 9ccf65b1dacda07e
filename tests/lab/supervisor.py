"""A supervisor that is asked as systemd is: systemctl, systemd-run and journalctl, as far as runbooks use them. A unit is
a file of the lab, written by a test; its process really runs, and what it prints is its journal, by invocation.

    define(folder, "pali.service", exec=[…], restart="always", enabled=True)      a service
    define(folder, "pali-backup.timer", active=True, enabled=True, next="Sat …")  a timer

Faults: systemctl.restart (the job fails), systemctl.lies (a warning, exit status 0, and nothing has happened), systemctl.flaps
(what was started is started again by itself, as after a crash), systemctl.hold (a start has happened, and its answer waits until the lab's
file `release` is there), journalctl.down."""

import json
import os
import sys
import time

from record import Calls, Faults


def _path(folder, unit, kind):
    return os.path.join(folder, "units", f"{unit}.{kind}.json")


def _read(path, default=None):
    try:
        with open(path) as f:
            return json.load(f)
    except FileNotFoundError:
        return default


def _write(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as f:
        json.dump(value, f)
    os.rename(path + ".new", path)


def full(unit):
    return unit if "." in unit else unit + ".service"


def define(folder, unit, **settings):
    """Writes or changes a unit."""
    path = _path(folder, full(unit), "unit")
    _write(path, {"restart": "no", "enabled": False, **_read(path, {}), **settings})


def state(folder, unit):
    return _read(_path(folder, full(unit), "state"), {"pid": 0, "invocation": "", "restarts": 0, "active": False})


def set_state(folder, unit, **changes):
    _write(_path(folder, full(unit), "state"), {**state(folder, unit), **changes})


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            text = f.read()
    except OSError:
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def is_active(folder, unit):
    unit = full(unit)
    if unit.endswith(".timer"):
        return bool(_read(_path(folder, unit, "unit"), {}).get("active"))
    return alive(state(folder, unit)["pid"])


def logs_of(folder, unit):
    """The journal's files of a unit, the oldest first: one for each invocation."""
    base = os.path.join(folder, "journal", full(unit))
    return sorted((e.path for e in os.scandir(base)), key=os.path.getmtime) if os.path.isdir(base) else []


def start(folder, unit):
    """Begins a new invocation: a process of its own session, that outlives whoever asked for it."""
    unit = full(unit)
    settings = _read(_path(folder, unit, "unit"))
    invocation = os.urandom(16).hex()
    log = os.path.join(folder, "journal", unit, invocation)
    os.makedirs(os.path.dirname(log), exist_ok=True)
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TMPDIR": os.environ.get("TMPDIR", folder), "UNIT": unit}
    env.update(settings.get("env", {}))
    told, tell = os.pipe()
    if not (child := os.fork()):  # whose child is init's
        try:
            os.setsid()
            pid = os.fork()
            if pid:
                os.write(tell, str(pid).encode())
                os._exit(0)
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            null = os.open(os.devnull, os.O_RDONLY)
            if settings.get("stdin") == "socket":  # somebody may yet speak to it: its input never ends
                null, end = os.pipe()
                os.set_inheritable(os.dup2(end, 60), True)
            for to, fd in ((0, null), (1, out), (2, out)):
                os.dup2(fd, to)
            os.closerange(3, 60)
            os.execve(settings["exec"][0], settings["exec"], env)
        except OSError as e:
            print(f"{unit}: {settings['exec'][0]}: {e.strerror}", file=sys.stderr, flush=True)
        os._exit(203)
    os.close(tell)
    os.waitpid(child, 0)
    pid = int(os.read(told, 20))
    os.close(told)
    set_state(folder, unit, pid=pid, invocation=invocation)


def stop(folder, unit):
    pid = state(folder, unit)["pid"]
    for sig in (15, 9):
        end = time.monotonic() + 5
        while alive(pid) and time.monotonic() < end:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                break
            time.sleep(0.01)
    set_state(folder, unit, pid=0)


def stop_all(folder):
    """When the lab ends."""
    units = os.path.join(folder, "units")
    for name in os.listdir(units) if os.path.isdir(units) else ():
        if name.endswith(".state.json"):
            stop(folder, name[: -len(".state.json")])


def _properties(folder, unit):
    settings, now = _read(_path(folder, unit, "unit")), state(folder, unit)
    if settings is None:
        return {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead"}
    active = is_active(folder, unit)
    argv = settings.get("exec", [])
    return {
        "LoadState": "loaded",
        "ActiveState": "active" if active else "failed" if now["invocation"] else "inactive",
        "SubState": "waiting" if unit.endswith(".timer") else "running" if active else "dead",
        "UnitFileState": "transient" if settings.get("transient") else settings["enabled"] if isinstance(settings["enabled"], str) else "enabled" if settings["enabled"] else "disabled",
        "Restart": settings["restart"],
        "NRestarts": str(now["restarts"]),
        "MainPID": str(now["pid"]),
        "InvocationID": now["invocation"],
        "ExecStart": f"{{ path={argv[0]} ; argv[]={' '.join(argv)} ; ignore_errors=no ; pid={now['pid']} }}" if argv else "",
        "NextElapseUSecRealtime": settings.get("next", ""),
        "NextElapseUSecMonotonic": settings.get("next_monotonic", "infinity"),
    }


def _hold(folder):
    """The fault systemctl.hold: what was asked has happened, and whoever asked is not told until a test lets go. Its
    process is in the fault systemctl.held."""
    faults = Faults(folder)
    if faults.get("systemctl.hold"):
        faults.set("systemctl.held", str(os.getpid()))
        while not os.path.exists(os.path.join(folder, "release")):
            time.sleep(0.01)


def lose(folder):
    """What a power failure leaves of a command that is held: nothing, neither it nor whoever watches over it."""
    pid = int(Faults(folder).get("systemctl.held"))
    with open(f"/proc/{pid}/stat") as f:
        parent = int(f.read().rpartition(")")[2].split()[1])
    for p in (parent, pid):
        if p > 1:
            os.kill(p, 9)


def systemctl(folder, argv):
    verb, rest = argv[1], [a for a in argv[2:] if not a.startswith("-")]
    wanted = next((a.partition("=")[2].split(",") for a in argv[2:] if a.startswith("--property=")), None)
    faults, unit = Faults(folder), full(rest[0])
    Calls(folder).add("supervisor", verb, unit=unit)
    if verb == "show":
        if faults.get("systemctl.flaps") and is_active(folder, unit):
            stop(folder, unit)
            start(folder, unit)
            set_state(folder, unit, restarts=state(folder, unit)["restarts"] + 1)
        have = _properties(folder, unit)
        for name in wanted or have:
            print(f"{name}={have.get(name, '')}")
        return 0
    if _read(_path(folder, unit, "unit")) is None:
        print(f"Failed to {verb} {unit}: Unit {unit} not found.", file=sys.stderr)
        return 5
    if faults.get("systemctl.lies"):
        print(f"Warning: the unit file of {unit} changed on disk.", file=sys.stderr)
        return 0
    if verb in ("stop", "restart"):
        stop(folder, unit)
    if verb in ("start", "restart"):
        if faults.get(f"systemctl.{verb}"):
            print(f"Job for {unit} failed because the control process exited with error code.", file=sys.stderr)
            return 1
        start(folder, unit)
        _hold(folder)
    if verb == "stop" and _read(_path(folder, unit, "unit")).get("transient"):
        os.remove(_path(folder, unit, "unit"))
    return 0


def systemd_run(folder, argv):
    unit, i = None, 1
    while argv[i].startswith("--") and argv[i] != "--":
        if argv[i].startswith("--unit="):
            unit = full(argv[i].partition("=")[2])
        i += 1
    command = argv[i + 1 :] if argv[i] == "--" else argv[i:]
    Calls(folder).add("supervisor", "run", unit=unit, argv=command)
    if _read(_path(folder, unit, "unit")) is not None:
        print(f"Failed to start transient service unit: Unit {unit} already exists.", file=sys.stderr)
        return 1
    define(folder, unit, exec=command, transient=True)
    start(folder, unit)
    _hold(folder)
    print(f"Running as unit: {unit}", file=sys.stderr)
    return 0


def journalctl(folder, argv):
    Calls(folder).add("supervisor", "journal", argv=argv[1:])
    if Faults(folder).get("journalctl.down"):
        print("No journal files were found.", file=sys.stderr)
        return 1
    option = {a.partition("=")[0]: a.partition("=")[2] for a in argv}
    unit, files = option.get("--unit"), []
    if unit:
        files = logs_of(folder, unit)
    for name in os.listdir(os.path.join(folder, "journal")):
        files += [f for f in logs_of(folder, name) if os.path.basename(f) == option.get("_SYSTEMD_INVOCATION_ID")]
    since = time.time() - float(option["--since"].strip("-s")) if "--since" in option else 0
    for path in files:
        if os.path.getmtime(path) >= since:
            with open(path) as f:
                sys.stdout.write(f.read())
    return 0
