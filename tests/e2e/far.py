"""A machine to speak to without ssh: what a request says is run as sshd would run it, by a login shell in a session of
its own, with pipes. `Far` has a home of its own; each request is one tool call, one shell, one answer."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

from lib import SLOW, TMP, wait_for

VARIANT = os.environ["VARIANT"]
BUILD = pathlib.Path(os.environ["RBHOST"]).parent
FAULTY = BUILD if VARIANT in ("asan", "ubsan", "tsan", "gcstress", "fault") else BUILD / "fault"
TOOL, TOOL_FAULT = BUILD / "tests/e2e/far_tool", FAULTY / "tests/e2e/far_tool"

# What may stand at /bin/sh over there: a name, and how a call of it begins.
SHELLS = {n: a for n, a in {
    "dash": ["dash"],
    "bash": ["bash", "--posix"],
    "busybox": ["busybox", "ash"],
    "zsh": ["zsh", "--emulate", "sh"],
    "mksh": ["mksh"],
}.items() if shutil.which(a[0])}
# Who sees the line first.
LOGINS = [s for s in ("sh", "bash", "zsh", "tcsh", "fish", "mksh") if shutil.which(s)]


class Answer(dict):
    """What a request was told: state, pid, code …, and the streams as bytes."""

    def __init__(self, folder, raw, session):
        r = subprocess.run([TOOL, "answer", folder], input=raw, capture_output=True, check=True)
        state, rest = r.stdout.decode(errors="replace").strip().split(" ", 1)
        head, why = rest.split(" why=", 1) if " why=" in rest else (rest.removesuffix("why="), "")
        super().__init__(state=state, why=why, **{k: int(v) for k, v in re.findall(r"(\w+)=(-?\d+)", head)})
        self.raw, self.stderr, self.exit = raw, session[1], session[0]
        self.stdout, self.errors = (pathlib.Path(folder, n).read_bytes() for n in "12")

    def __getattr__(self, name):
        return self[name]


class Session:
    """One request under way."""

    def __init__(self, far, line, data, feed=None, preexec=None):
        self.far, self.n = far, far.count
        far.count += 1
        self.p = subprocess.Popen([shutil.which(far.login), "-c", far.line(line)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=far.env, cwd=far.home, start_new_session=True,
                                  preexec_fn=preexec, user=far.uid, group=far.uid)
        if feed is None:
            self.data = data
        else:
            self.data = data[:feed]

    def done(self):
        """Waits for its end: .answer."""
        out, err = self.p.communicate(self.data, timeout=60 * SLOW)
        return self.read(out, err)

    def read(self, out, err=b""):
        folder = self.far.dir / f"answer{self.n}"
        folder.mkdir()
        return Answer(folder, out, (self.p.returncode, err))

    def raw(self):
        out, err = self.p.communicate(self.data, timeout=60 * SLOW)
        return self.p.returncode, out, err

    def feed(self):
        """Gives all of the input without waiting for the end."""
        try:
            self.p.stdin.write(self.data)
            self.p.stdin.close()
        except BrokenPipeError:
            pass
        self.data = None
        self.p.stdin = None
        return self

    def cut(self):
        """The link goes down: what it is told goes nowhere any more."""
        self.p.stdout.close()
        self.p.stderr.close()

    def follower(self, keeper):
        """The process, beside the keeper, that tells what it finds."""
        pipe = f"pipe:[{os.fstat(self.p.stdout.fileno()).st_ino}]"

        def find():
            for pid in self.far.left():
                try:
                    if pid != keeper and os.readlink(f"/proc/{pid}/fd/1") == pipe:
                        return pid
                except OSError:
                    continue

        return wait_for("it has a follower", find)

    def end(self):
        """Takes the rest, if there is a link, and its exit status."""
        for pipe in (self.p.stdout, self.p.stderr):
            if not pipe.closed:
                pipe.read()
                pipe.close()
        self.p.wait()


class Far:
    made = 0

    def __init__(self, shell="dash", login="sh", env=None, uid=None):
        Far.made += 1
        self.dir = TMP / f"far{Far.made}"
        self.home = self.dir / "home"
        self.home.mkdir(parents=True)
        self.shell, self.login, self.count = shell, login, 0
        self.env = {"HOME": str(self.home), "PATH": os.environ["PATH"], "TMPDIR": str(TMP), "LC_ALL": "C.UTF-8", **(env or {})}
        self.receipts = self.home / ".local/state/rbhost/receipts"
        self.place, self.uid, self.swap = None, uid, {}
        if uid:
            TMP.chmod(0o755)
            os.chown(self.home, uid, uid)
        if shell != "dash":
            self._be_sh()

    def _be_sh(self):
        """/bin/sh is another: a private mount would need root, so the words for it are replaced in what is said."""
        bin_sh = self.dir / "sh"
        argv = SHELLS[self.shell]
        if self.shell == "bash":
            bin_sh.symlink_to(shutil.which("bash"))  # called sh it is what it is over there
        elif self.shell == "zsh":
            bin_sh.symlink_to(shutil.which("zsh"))
        elif self.shell == "busybox":
            bin_sh.symlink_to(shutil.which("busybox"))
        else:
            bin_sh.symlink_to(shutil.which(argv[0]))
        self.bin_sh = bin_sh

    def line(self, line):
        return line if self.shell == "dash" else line.replace(b"/bin/sh", os.fsencode(self.bin_sh))

    def say(self, op, *args, fault=None, feed=None, place=None, preexec=None):
        """Begins a request; .done() is its answer."""
        head = [] if op in ("plain", "probe") else [place or self.place or self.probe()]
        out = self.dir / f"request{self.count}"
        tool = TOOL_FAULT if fault else TOOL
        env = {**os.environ, **({"RBHOST_FAR_FAULT": str(fault)} if fault else {})}
        args = [a if isinstance(a, (bytes, str)) else str(a) for a in args]
        made = subprocess.run([tool, op, out, *head, *args], capture_output=True, env=env)
        if made.returncode:
            raise ValueError(made.stderr.decode(errors="replace"))
        data = pathlib.Path(f"{out}.input").read_bytes()
        if self.shell != "dash":
            data = data.replace(b"/bin/sh", os.fsencode(self.bin_sh))
        for old, new in self.swap.items():
            data = data.replace(old, new)
        return Session(self, pathlib.Path(f"{out}.line").read_bytes(), data, feed, preexec)

    def probe(self):
        _, out, err = self.say("probe").raw()
        r = subprocess.run([TOOL, "place"], input=out, capture_output=True)
        self.place, self.why = r.stdout.decode().split("\n")[:2] if r.returncode == 0 else (None, r.stderr.decode() + err.decode())
        return self.place

    def launch(self, id, *args, **kw):
        return self.say("launch", id, *args, **kw)

    def look(self, id, **kw):
        return self.say("look", id, **kw).done()

    def file(self, id, name):
        path = self.receipts / id / name
        return path.read_text() if path.exists() else None

    def left(self):
        """What still runs over there, whoever started it: {pid: its command}."""
        mark, found = b"HOME=" + os.fsencode(self.home), {}
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and mark in pathlib.Path("/proc", entry, "environ").read_bytes().split(b"\0") and alive(int(entry)):
                    found[int(entry)] = pathlib.Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ")[:60]
            except OSError:
                continue
        return found

    def await_idle(self):
        wait_for("nothing runs over there any more", lambda: not self.left())

    def await_file(self, id, name):
        return wait_for(f"{id}/{name}", lambda: self.file(id, name))

    def pid(self, id):
        return int(self.await_file(id, "pid").split()[0])

    def keeper(self, id):
        return int(self.await_file(id, "lock").split()[0])


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False
