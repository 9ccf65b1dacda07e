#!/ usr / bin / env python3
"""The shim of another machine: built for aarch64 and run by qemu, with a request that is made here, it leaves the same
receipts. Where there is no compiler for it this says so; Debian has gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and
qemu-user.

Not tried: a command that can not be executed. There the shim shares its memory with its child, and qemu does not."""

import errno
import hashlib
import os
import shutil
import signal
import struct
import subprocess

from lib import SLOW, TMP, check, eq, finish, wait_for

CC, QEMU = "aarch64-linux-gnu-gcc", "qemu-aarch64"
HEAD = struct.Struct("<IIIIQQQQQQQII64s32s")  # struct rb_shim_request
MAGIC, INPUT, POINTERS = 0x72627331, 1, 4
FAILED, ENDED = 2, 5  # enum rb_shim_kind
STEP_REQUEST, STEP_LOCK = 0, 2
BY_ITSELF, TIMED_OUT, KILLED = range(3)

if missing := [p for p in (CC, QEMU) if not shutil.which(p)]:
    print(f"ok 1 - the shim for aarch64 # SKIP there is no {' and no '.join(missing)}")
    finish()


def build(variant):
    folder = TMP / "build" if variant == "release" else TMP / "build" / variant
    r = subprocess.run(["make", "-C", os.environ["ROOT"], f"B={TMP}/build", f"VARIANT={variant}", f"CC={CC}",
                        "CFLAGS=", f"{folder}/shim"], capture_output=True, text=True)
    check(f"it is built without a warning ({variant})", r.returncode == 0 and "warning" not in r.stderr, r.stdout + r.stderr)
    return folder / "shim"


def block():
    """As the host does: the shim reads its signals."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


class Shim:
    """One that is started, with its reports."""

    def __init__(self, name, script, data=None, shim=None, cut=0, timeout_ms=0, most=1 << 20, fault=0):
        texts = b"".join(t.encode() + b"\0" for t in ("/bin/sh", str(TMP), "sh", "-c", script, "PATH=/usr/bin:/bin"))
        begin = HEAD.size + (3 + 1 + POINTERS) * 8
        size = begin + len(texts) + len(data or b"")
        head = HEAD.pack(MAGIC, INPUT if data is not None else 0, 3, 1, begin, begin + len(texts), size, most, timeout_ms,
                         60000, 60000, fault, 0, b"boot", b"")
        request = os.memfd_create("request")
        os.write(request, (head + bytes(begin - HEAD.size) + texts + (data or b""))[: size - cut])
        self.name, self.reports = name, b""
        self.pipe, report = os.pipe()
        root = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY)
        self.process = subprocess.Popen([QEMU, shim or SHIM, f"/anywhere/{name}"], stdin=request, stdout=report,
                                        stderr=root, preexec_fn=block)
        for fd in (request, report, root):
            os.close(fd)

    def end(self):
        while part := os.read(self.pipe, 4096):
            self.reports += part
        os.close(self.pipe)
        self.process.wait(60 * SLOW)
        return self

    def told(self, wanted):
        """What the first report of this kind holds."""
        at = 0
        while at < len(self.reports):
            kind, _, length = struct.unpack_from("<BBH", self.reports, at)
            if kind == wanted:
                return self.reports[at + 4 : at + 4 + length]
            at += 4 + length
        return None

    def failure(self):
        return struct.unpack("<ii", self.told(FAILED))

    def read(self, name):
        path = ROOT / self.name / name
        return path.read_bytes() if path.exists() else None

    def lines(self):
        return [line.split() for line in self.read("lock").decode().splitlines()]

    def last(self):
        """(code, signal, why) of the line "end"."""
        return tuple(map(int, self.lines()[-1][1:4])) if self.lines()[-1][0] == "end" else self.lines()


ROOT = TMP / "receipts"
ROOT.mkdir(mode=0o700)
SHIM, FAULTY = build("release"), build("fault")

s = Shim("both", "printf 'to err' >&2; seq 50000; exit 7").end()
out = s.read("out")
eq("a command's end", s.last(), (7, 0, BY_ITSELF))
eq("its output", (out, s.read("err")), (b"".join(b"%d\n" % n for n in range(1, 50001)), b"to err"))
eq("how much, and the digests", s.lines()[-1][8:],
   [str(len(out)), str(len(out)), hashlib.sha256(out).hexdigest(), "6", "6", hashlib.sha256(b"to err").hexdigest()])
eq("who it was", [line[0] for line in s.lines()], ["shim", "child", "end"])
eq("its boot", s.lines()[0][3], "boot")
eq("the host is told the same line", s.told(ENDED), s.read("lock").splitlines(True)[-1])
check("nobody else may read it", (ROOT / "both").stat().st_mode & 0o777 == 0o700
      and (ROOT / "both" / "out").stat().st_mode & 0o777 == 0o600)

eq("what was begun is not begun again", Shim("both", "exit 0").end().failure(), (STEP_LOCK, errno.EEXIST))
eq("and its receipt stays", s.last(), (7, 0, BY_ITSELF))

data = os.urandom(300000)
eq("its input is what it was given", Shim("input", "cat", data).end().read("out"), data)
s = Shim("capped", "seq 50000", most=1000).end()
eq("output has a cap, and is counted", (len(s.read("out")), s.lines()[-1][8:11]),
   (1000, [str(len(out)), "1000", hashlib.sha256(out).hexdigest()]))

eq("a time-out", Shim("late", "exec sleep 600", timeout_ms=100).end().last(), (-1, signal.SIGTERM, TIMED_OUT))
for name, sent, got in (("stopped", signal.SIGTERM, signal.SIGTERM), ("at-once", signal.SIGUSR1, signal.SIGKILL)):
    s = Shim(name, "echo here; exec sleep 600")
    wait_for("its output", lambda: s.read("out"))
    s.process.send_signal(sent)
    eq(f"{name} by the host", s.end().last(), (-1, got, KILLED))

eq("half a request starts nothing", (Shim("half", "touch started", cut=1).end().failure(), (ROOT / "half").exists()),
   ((STEP_REQUEST, 0), False))

for point, want in ((4, ["shim"]), (9, ["shim", "child"])):
    s = Shim(f"killed-{point}", "exit 0", shim=FAULTY, fault=point).end()
    eq(f"killed at point {point}", (s.process.returncode, [line[0] for line in s.lines()]), (-signal.SIGKILL, want))

finish()
