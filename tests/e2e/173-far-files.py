#!/usr/bin/env python3
# time-limit: 200
"""Files to and from another machine by its shell alone, through every login shell; and what the doctor finds there."""
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from far import LOGINS, SHELLS, TOOL, Far
from lib import TMP, check, contains, eq, finish, wait_for

BYTES = bytes(range(256)) * 4000 + b"end"
SHA = hashlib.sha256(BYTES).hexdigest()


def said(out):
    r = subprocess.run([TOOL, "file"], input=out, capture_output=True, check=True).stdout.decode(errors="replace").strip("\n").split(" ", 4)
    return r[:3], int(r[3]), r[4]


def upload(f, path, data=BYTES, size=None, sha=None, mode="640", tag="t1", **kw):
    s = f.say("upload", path, tag, mode, len(data) if size is None else size, sha or hashlib.sha256(data).hexdigest(), **kw)
    s.data += data
    return said(s.raw()[1])


def download(f, path):
    out = f.say("download", path).raw()[1]
    head, n, why = said(out)
    return head, out[n:], why


ODD = ["plain", "it's", "a b", "bang!", "back\\slash\\", "new\nline", "$HOME `id`", "-n", "é", "%41", "*", "{a,b}"]
for shell, login in [(s, "sh") for s in SHELLS] + [("dash", l) for l in LOGINS]:
    name = f"{login} and {shell}"
    f = Far(shell, login, env={"XDG_CONFIG_HOME": str(TMP), "XDG_DATA_HOME": str(TMP)})
    for path in ODD:
        got = upload(f, path)
        target = f.home / path
        same = target.exists() and target.read_bytes() == BYTES and stat.S_IMODE(target.stat().st_mode) == 0o640
        if got[0] != [str(len(BYTES)), "640", SHA] or not same:
            eq(f"{name}: upload to {path!r}", got, "done")
        got = download(f, path)
        if got[0] != [str(len(BYTES)), "640", SHA] or got[1] != BYTES:
            eq(f"{name}: download of {path!r}", (got[0], got[2]), "done")
    check(f"{name}: {len(ODD)} odd names there and back", True)
    eq(f"{name}: nothing else is left", sorted(p.name for p in f.home.iterdir()), sorted(ODD))

f = Far()
target = f.home / "t"
target.write_text("old")
target.chmod(0o755)
for what, args, word in (("cut on its way", {"size": len(BYTES) + 5}, "bytes came"), ("another digest", {"sha": "0" * 64}, "is not what was sent")):
    got = upload(f, "t", **args)
    check(f"{what}: not done, and says why", word in got[2], got)
    eq(f"{what}: the old file stays", (target.read_text(), sorted(p.name for p in f.home.iterdir())), ("old", ["t"]))
(f.home / ".rbhost-t1").write_text("what a killed one left")
eq("again: the same file", (upload(f, "t")[0][2], upload(f, "t")[0][2], target.read_bytes() == BYTES), (SHA, SHA, True))
eq("and what was left is gone", sorted(p.name for p in f.home.iterdir()), ["t"])
eq("empty", (upload(f, "e", b"")[0][0], download(f, "e")[:2]), ("0", (["0", "640", hashlib.sha256(b"").hexdigest()], b"")))
for mode in ("600", "755", "444", "7"):
    upload(f, "m", b"x", mode=mode)
    eq(f"mode {mode}", (oct(stat.S_IMODE((f.home / "m").stat().st_mode)), download(f, "m")[0][1]), ("0o" + mode, mode))
(f.home / "d").mkdir()
(f.home / "d/link").symlink_to("../real")
(f.home / "round").symlink_to("round")
upload(f, "d/link", b"through")
check("a link leads to its target", (f.home / "real").read_bytes() == b"through" and (f.home / "d/link").is_symlink())
for path, word in (("d", "is a folder"), ("d/", "is a folder"), ("no/such", "there is no folder"), ("round", "round and round")):
    contains(f"upload to {path}", upload(f, path)[2], word)
os.mkfifo(f.home / "pipe")
for path, word in (("no", "there is no"), ("d", "is no file"), ("pipe", "is no file")):
    contains(f"download of {path}", download(f, path)[2], word)
plain = "cat chmod ls mv rm sh wc readlink".split()
for tool in ("sha256sum", "shasum", "openssl"):
    if shutil.which(tool):
        path = TMP / f"path-{tool}"
        path.mkdir()
        for t in (*plain, tool, *(["perl", "env"] if tool == "shasum" else [])):
            (path / t).symlink_to(shutil.which(t))
        g = Far(env={"PATH": str(path)})
        eq(f"compared by {tool}", (upload(g, "x")[0][2], download(g, "x")[0][2]), (SHA, SHA))
path = TMP / "path-none"
path.mkdir()
for t in plain:
    (path / t).symlink_to(shutil.which(t))
g = Far(env={"PATH": str(path)})
contains("nothing to compare by: not done", upload(g, "x")[2], "SHA-256")


# -- the doctor
def findings(f):
    out = f.say("doctor").raw()[1]
    r = subprocess.run([TOOL, "findings"], input=out.decode(errors="replace"), capture_output=True, text=True)
    return {n: (l, t) for l, n, t in (line.split("|", 2) for line in r.stdout.splitlines())} if r.returncode == 0 else r.stderr


def tools(name, *more, **scripts):
    path = TMP / f"doctor-{name}"
    path.mkdir()
    for t in "cat chmod date dd df find id ln ls mkdir mkfifo mv rm sed sh sleep tail tr uname wc".split() + list(more):
        (path / t).symlink_to(shutil.which(t))
    for tool, text in scripts.items():
        (path / tool).unlink(missing_ok=True)  # not the real one, that a link leads to
        (path / tool).write_text("#!/bin/sh\n" + text + "\n")
        (path / tool).chmod(0o755)
    return {"PATH": str(path)}


for shell in SHELLS:
    got = findings(Far(shell))
    check(f"{shell}: the doctor finds nothing bad here", isinstance(got, dict) and len(got) == 11 and not [n for n in got if got[n][0] == "bad" and n != "session"], got)
f = Far()
f.launch("a", "--", "true").done()
f.launch("b", "--", "true").done()
os.utime(f.receipts / "a", (1, 1))
got = findings(f)
eq("receipts that are old", got["kept"], ("warn", "2 receipts, 0 run, 1 are older than 7 days"))
a = f.say("forget", "none").done()
eq("and sweeping them", (a.state, a.removed, a.left, [p.name for p in f.receipts.iterdir() if p.is_dir()]), ("forgot", 1, 0, ["b"]))
s = f.launch("c", "--text", "while [ ! -e go ]; do sleep 0.05; done").feed()
f.pid("c")
wait_for("its folder is quiet", lambda: not list((f.receipts / "c").glob("pid.*")))
os.utime(f.receipts / "c", (1, 1))
a = f.say("clean", "b").done()
eq("what runs stays", (a.state, a.removed, a.left, (f.receipts / "c").exists()), ("forgot", 1, 1, True))
(f.home / "go").write_text("")
s.done()
got = findings(Far(env=tools("bare")))
eq("nothing for digests, nothing for groups", (got["digest"][0], got["group"][0], got["receipts"][0]), ("warn", "bad", "bad"))
env = tools("few", "setsid")
os.unlink(env["PATH"] + "/mkfifo")
got = findings(Far(env=env))
eq("a tool is missing", got["tools"], ("bad", "missing: mkfifo"))
got = findings(Far(env={"XDG_STATE_HOME": "/proc/self"}))
eq("no receipts can be kept", got["receipts"][0], "bad")
uid = 65534 if os.geteuid() == 0 else None
for linger, level in (("no", "bad"), ("yes", "ok")):
    f = Far(uid=uid, env=tools(f"logind-{linger}", "setsid", busctl="echo b true", loginctl=f"echo Linger={linger}"))
    f.swap = {b"/run/systemd/system": b"/proc/self"}
    got = findings(f)
    eq(f"logind kills, linger {linger}", got["session"][0], level)
f = Far(env=tools("full", "setsid", df="echo Filesystem 1024-blocks Used Available Capacity Mounted on; echo /dev/x 100000 99000 1000 99% /home"))
eq("hardly any room", findings(f)["receipts"][0], "warn")
f.swap = {b"/proc/sys/kernel/random/boot_id": b"/no", b"kern.boottime": b"no", b"who -b": b"false"}
eq("no boot id", findings(f)["boot"][0], "bad")
finish()
