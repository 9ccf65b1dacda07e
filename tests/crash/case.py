"""One run of a runbook that is killed at chosen points and gone on with until it has ended, as a person would do it
with nothing but the command line; and everything that must hold afterwards. The numbers in brackets are the invariants of
host/store/journal.c.

Knows nothing of the single runbooks: what is particular about one is in its Scenario (scenarios.py)."""

import collections
import ctypes
import importlib.util
import json
import os
import pathlib
import select
import signal
import sqlite3
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
BOOKS = HERE / "books"
SLOW = float(os.environ.get("SLOW", "1"))
COMMANDS_MAX = 40  # that it takes to bring a run to its end; more is a loop
SECONDS_MAX = 60
STATUS_EXIT = {
    "succeeded": 0, "undone": 0, "failed": 1, "cancelled": 1, "waiting": 3, "denied": 4, "in_doubt": 6,
    "timed_out": 124, "parked": 130,
}
DRIVES = {"run", "resume", "retry", "undo", "approve", "answer", "signal", "resolve", "cancel"}
ENDED = {"succeeded", "failed", "denied", "cancelled", "timed_out", "undone"}

_spec = importlib.util.spec_from_file_location("verify2", HERE.parent / "verify2" / "verify2.py")
verify2 = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(verify2)


def adopt_orphans():
    """Commands whose host was killed become children of this process, which can then wait for them."""
    PR_SET_CHILD_SUBREAPER = 36
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def children():
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path("/proc", entry, "stat").read_text(errors="replace")
            except OSError:
                continue
            if int(stat[stat.rindex(")") + 2 :].split()[1]) == os.getpid():
                found.append(int(entry))
    return found


def wait_for_orphans(seconds=5):
    """A command that outlives its host has still to do what it was started for; then the world stands still. One that
    takes too long for that is killed, as it would be with its machine."""
    end = time.monotonic() + seconds * SLOW
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if time.monotonic() > end:
                for child in children():
                    os.kill(child, signal.SIGKILL)
            time.sleep(0.001)


class Event:
    def __init__(self, seq, at, key, kind, text):
        self.seq, self.at, self.key, self.kind, self.text = seq, at, key, kind, text
        self.data = json.loads(text)

    def word(self):
        """What an effect appends to the world; None for anything else."""
        args = self.data.get("args", {})
        if self.data.get("op") == "http" and args["method"] != "GET":
            return args["url"].rsplit("/", 1)[1]
        argv = args.get("argv", [])
        return argv[4] if len(argv) == 5 and argv[3] == "put" else None


class Command:
    """How one rbhost process ended."""

    def __init__(self, argv, code, end, err, point):
        self.argv, self.code, self.end, self.err = argv, code, end, err
        self.point = point  # at which it was killed; None

    @property
    def killed(self):
        return self.point is not None


class Case:
    def __init__(self, scenario, folder, binary, faults, mutation=None):
        """faults: {number of the command: passage at which it is killed}; "log" instead of a dict logs all passages."""
        self.scenario, self.folder, self.binary = scenario, pathlib.Path(folder), binary
        self.faults, self.mutation, self.doubts = faults, mutation, scenario.doubts
        self.folder.mkdir()
        self.world_file = self.folder / "world"
        self.world_file.touch()
        self.journal = self.folder / "j.db"
        self.problems = []  # (class, text); the classes "lost" and "doubled" are what it is all about
        self.commands = []
        self.points = []  # names of the points at which something was killed
        self.reported = {}  # seq → event, as any process has shown it
        self.printed = []  # lines, where they are no JSON
        self.acknowledged = []  # (command, op or name) that a helper was told is recorded
        self.begun = 0
        self.memory = {}  # of the scenario
        self.run = None  # id

    def problem(self, kind, text):
        if (kind, text) not in self.problems:
            self.problems.append((kind, text))

    # -- processes -----------------------------------------------------------------------------------------------------

    def environment(self, number):
        keep = ("PATH", "TMPDIR", "TZ", "LC_ALL", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
        env = {k: os.environ[k] for k in keep if k in os.environ}
        for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            env[name] = str(self.folder)
        if self.mutation:
            env["RBHOST_MUTATE"] = self.mutation
        if self.faults == "log" or number in self.faults:
            env["RBHOST_FAULT_LOG"] = str(self.folder / f"points.{number}")
            env["RBHOST_FAULT"] = "count" if self.faults == "log" else f"kill:{self.faults[number]}"
        return env

    def passages(self, number):
        """Names of the points that command passed, in order."""
        log = self.folder / f"points.{number}"
        return [line.split(" ", 1)[1] for line in log.read_text().splitlines()] if log.exists() else []

    def start(self, argv):
        number = self.begun
        self.begun += 1
        err = open(self.folder / f"err.{number}", "wb")
        with err:
            p = subprocess.Popen(
                [self.binary, "--journal", str(self.journal), *map(str, argv)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, cwd=self.folder,
                env=self.environment(number), start_new_session=True,
            )
        p.number = number
        return p

    def ended(self, p, argv, end=None):
        code = p.wait(SECONDS_MAX * SLOW)
        p.stdout.close()
        if self.scenario.detached:
            wait_for_orphans()
        passed, point = self.passages(p.number), None
        if code == -signal.SIGKILL or (self.faults != "log" and len(passed) == self.faults.get(p.number)):
            point = (passed or ["?"])[-1]
            self.points.append(point)
        err = (self.folder / f"err.{p.number}").read_text(errors="replace")
        command = Command(argv, code, end, err, point)
        self.commands.append(command)
        return command

    def lines(self, p):
        """Lines of its output as they come; a last one without its end does not count."""
        rest, deadline = b"", time.monotonic() + SECONDS_MAX * SLOW
        while True:
            ready, _, _ = select.select([p.stdout], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                self.problem("hang", f"{' '.join(map(str, p.args[3:]))} did not end")
                os.killpg(p.pid, signal.SIGKILL)
                return
            block = os.read(p.stdout.fileno(), 1 << 16)
            if not block:
                return
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield line

    def drive(self, argv):
        """A command that drives the run. Everything it shows is remembered: it must be in the journal for ever."""
        p = self.start([*argv, *self.scenario.output])
        end = None
        for line in self.lines(p):
            if not self.scenario.output:
                self.printed.append(line.decode())
                continue
            shown = json.loads(line)
            if shown["type"] == "event":
                self.run = shown["run"]
                self.reported[shown["seq"]] = (shown["key"], shown["kind"], shown["data"])
                self.scenario.on_event(self, p, shown)
            elif shown["type"] == "end":
                end = shown
        command = self.ended(p, argv, end)
        wait_for_orphans()
        if command.killed:
            self.check_now()
            self.check_free()
        else:
            self.check_exit(command)
        return command

    def helper(self, argv, about=None):
        """Another process, while somebody may be driving the run. True: it has said that it is recorded."""
        p = self.start(argv)
        for _ in self.lines(p):
            pass
        command = self.ended(p, argv)
        if command.code == 0 and about:
            self.acknowledged.append(about)
        elif command.code not in (0, 2, -signal.SIGKILL):
            self.problem("exit", f"{' '.join(map(str, argv))}: exit {command.code}: {command.err}")
        return command.code == 0

    def look(self, *argv, output="--json"):
        """What a command that only looks says."""
        env = {k: v for k, v in self.environment(-1).items() if not k.startswith("RBHOST_FAULT")}
        p = subprocess.run(
            [self.binary, "--journal", str(self.journal), *map(str, argv), *([output] if output else [])],
            stdin=subprocess.DEVNULL, capture_output=True, cwd=self.folder, env=env, timeout=SECONDS_MAX * SLOW,
        )
        if p.returncode:
            self.problem("exit", f"{' '.join(map(str, argv))}: exit {p.returncode}: {p.stderr.decode()}")
        return p.stdout.decode()

    # -- what is there -------------------------------------------------------------------------------------------------

    def query(self, sql, *values):
        """Rows of the journal, read as docs/journal.md says; none while there is no journal."""
        if not self.journal.exists():
            return []
        db = sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True, timeout=10)
        try:
            return db.execute(sql, values).fetchall()
        except sqlite3.OperationalError as e:
            if "no such table" in str(e):
                return []
            raise
        finally:
            db.close()

    def status(self):
        rows = self.query("SELECT id, status FROM runs")
        if len(rows) > 1:
            self.problem("doubled", f"there are {len(rows)} runs")
        if not rows:
            return None
        self.run = rows[0][0]
        return rows[0][1]

    def events(self):
        return [Event(*r) for r in self.query("SELECT seq, at, key, kind, data FROM events ORDER BY run, seq")]

    def open(self):
        return json.loads(self.look("show", self.run) or "{}").get("open", [])

    def world(self):
        return self.world_file.read_text().split()

    # -- what must hold ------------------------------------------------------------------------------------------------

    def check_now(self):
        """At once after a kill: what was shown is recorded [3], and what the world has was intended [1]."""
        events = self.events()
        by_seq = {e.seq: e for e in events}
        for seq, (key, kind, data) in self.reported.items():
            e = by_seq.get(seq)
            if not e or (e.key, e.kind, e.data) != (key, kind, data):
                self.problem("lost", f"event {seq} ({kind} of {key!r}) was shown, and the journal has {e and e.kind}")
        intended = {e.word() for e in events if e.kind == "intent"}
        for word in self.world():
            if word not in intended:
                self.problem("intent", f"{word} is in the world, and the journal has no intent of it")
        self.scenario.check_printed(self)

    def check_free(self):
        """A run whose owner was killed is seen to be free, without waiting for anything [5]."""
        for line in self.look("ls").splitlines() if self.status() else ():
            row = json.loads(line)
            if row["owned"]:
                self.problem("owner", f"run {row['id']} is said to have an owner, and it was killed")

    def check_exit(self, command):
        status = self.status()
        said = command.end and command.end["status"]
        want = STATUS_EXIT.get(status)
        if status == "undone" and command.argv[0] != "undo":
            want = 1  # that it was undone does not make the run a success
        if command.code in self.scenario.other_codes:
            return
        if self.scenario.detached:
            want, said = 0, status
        elif not self.scenario.output:
            said = status
        if said != status or command.code != want:
            self.problem("exit", f"{' '.join(map(str, command.argv))}: exit {command.code}, said {said}; the journal: "
                         f"{status}\n{command.err}")

    def check_world(self, events):
        count = collections.Counter(self.world())
        intents, marked = collections.Counter(), collections.Counter()
        word_of = {}
        for e in events:
            if e.kind == "intent" and e.word():
                intents[e.word()] += 1
                marked[e.word()] += e.data.get("twice") is True
                word_of[e.seq] = e.word()
        for word, n in count.items():
            allowed = {"once": 1, "marked": 1 + marked[word]}[self.scenario.allowed]
            if n > allowed:
                self.problem("doubled", f"{word} is {n} times in the world; {allowed} allowed, {intents[word]} intents")
        for e in events:
            word = word_of.get(e.data.get("n")) if e.kind == "result" else None
            if word and e.data.get("ok") and not count[word] and e.data.get("as") != "dry":
                self.problem("lost", f"event {e.seq} says that {word} was done, and it is not in the world")

    def check_history(self, events):
        """The list that the tasks shared is what the journal saw them do to it, over all processes [4]."""
        done = [e.data["text"][2:] for e in events if e.kind == "log" and e.data["text"].startswith("h ")]
        for e in events:
            if e.kind == "evidence" and e.data["name"] == "history" and (e.data["value"] or []) != done:
                self.problem("variables", f"the shared list is {e.data['value']}, and the journal saw {done}")
            if e.kind == "evidence" and e.data["name"] == "drawn":
                drawn = [x.data["text"] for x in events if x.kind == "log" and x.data["text"].startswith("drawn ")]
                if drawn != [e.data["value"]]:
                    self.problem("variables", f"drawn: {e.data['value']}, and before: {drawn}")

    def check_sound(self):
        p = subprocess.run(
            [self.binary, "--journal", str(self.journal), "verify", "--all"], stdin=subprocess.DEVNULL,
            capture_output=True, cwd=self.folder, env=self.environment(-1), timeout=SECONDS_MAX * SLOW,
        )
        if p.returncode:
            self.problem("verify", f"verify: exit {p.returncode}: {p.stdout.decode()} {p.stderr.decode()}")
        db = sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)
        try:
            for (run,) in db.execute("SELECT id FROM runs").fetchall():
                bad, what = verify2.verify(db, run)
                if bad is not None:
                    self.problem("verify", f"the second verifier: event {bad}: {what}")
        finally:
            db.close()

    def check_end(self):
        self.check_now()
        events = self.events()
        self.check_world(events)
        self.check_history(events)
        self.check_sound()
        self.scenario.check(self, events)
        # Of one that was stopped because another had failed, nobody can know: a retry has to ask, receipt or not.
        stopped = {(e.key, e.data["n"]) for e in events
                   if e.kind == "result" and (e.data.get("error") or {}).get("outcome") == "unknown"}
        if not self.doubts and (asked := [e.key for e in events if e.kind in ("doubt", "doubt.call")
                                          and (e.key, e.data["n"]) not in stopped]):
            self.problem("doubt", f"receipts leave nothing in doubt, and these were: {asked}")
        if any(e.kind == "run.end" and (e.data.get("error") or {}).get("kind") == "nondeterminism" for e in events):
            self.problem("nondeterminism", next(e.text for e in events if e.kind == "run.end"))

    # -- the whole -----------------------------------------------------------------------------------------------------

    def go(self):
        """Until nothing is left to do. Returns what must be the same as without crashes."""
        try:
            for _ in range(COMMANDS_MAX):
                argv = self.scenario.next(self, self.status())
                if not argv:
                    break
                self.drive(argv)
            else:
                self.problem("hang", f"it has not ended after {COMMANDS_MAX} commands")
            self.check_end()
        except (sqlite3.Error, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as e:
            self.problem("driver", f"{type(e).__name__}: {e}")
        return self.outcome()

    def outcome(self):
        events = self.events()
        kept = {}
        for e in events:
            if e.kind == "evidence" and e.data["name"] == "final":
                kept["final"] = e.data["value"]
            elif e.kind in ("run.end", "undo.end"):
                error = e.data.get("error") or {}
                kept[e.kind] = [e.data["status"], error.get("kind"), error.get("message")]
        kept["status"] = self.status()
        if self.scenario.same_world:
            kept["world"] = sorted(set(self.world()))
        last = [c.code for c in self.commands if c.end]
        if kept["status"] != "undone":
            ended = [c.code for c in self.commands if c.argv[0] in DRIVES and not c.killed]
            kept["exit"] = STATUS_EXIT.get(kept["status"]) if self.commands[-1].killed or not ended else ended[-1]
        return kept
