#!/usr/bin/env python3
"""What happens to files when the disk is full, a folder may not be written to, a pipe has no writer, a file has no end, the
host is killed between two steps, or nobody wants it any more: an error of its own kind, and the old file."""
import json
import os
import resource
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, prints, waits
from lib import RBHOST, RBHOST_FAULT, SLOW, check, contains, eq, finish

# -- no room

FILLS = """
    file.write("DISK/f", "old")
    local ok, e = pcall(file.write, "DISK/f", ("x"):rep(4 << 20), { backup = true })
    print(e.kind, e.outcome, e.retryable, file.read "DISK/f", file.stat "DISK/f.bak")
    print(#file.list("DISK", { glob = ".*" }))
"""
FULL = ["file.full\tfailed\ttrue\told\tnil", "0"]
c = Case(FILLS.replace("DISK", "."))
p = subprocess.run([RBHOST, "run", "t.lua"], env=c.env, cwd=c.dir, capture_output=True, text=True, timeout=60 * SLOW,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20)))
ends("a file may not grow so far (ulimit -f)", p, 0)
eq("file.full; the file is the old one, and nothing is left beside it", c.prints(), FULL)
contains("and says what to do", c.events("result")[1]["error"]["message"], "ulimit -f")

c = Case(FILLS.replace("DISK", "disk"))
disk = c.dir / "disk"
disk.mkdir()
mounts = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True)
if mounts and mounts.returncode == 0:
    try:
        ends("a file system that is full", c.run(), 0)
        eq("file.full; the file is the old one, and nothing is left beside it (tmpfs)", c.prints(), FULL)
        (c.dir / "tree/sub/inner").mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", c.dir / "tree/sub/inner"], check=True)
        (c.dir / "tree/sub/inner/keep").write_text("keep")
        (c.dir / "tree/a").touch()
        c.write("m.lua", """
            local ok, e = pcall(file.remove, "tree", { recursive = true }) print(e.kind, e.outcome, file.stat "tree/a" ~= nil)
            ok, e = pcall(file.remove, "tree/sub/inner", { recursive = true }) print(e.kind)
            file.write("tree/a", "x", { backup = "tree/sub/inner/a.old" })
            print(file.stat "tree/sub/inner/a.old" == nil) file.write("tree/a", "y", { backup = "tree/sub/inner/a.old", mode = "0600" })
            print(file.read "tree/sub/inner/a.old", #file.list("tree/sub/inner"))
        """)
        (c.dir / "tree/a").unlink()
        (c.dir / "tree/a").touch()
        try:
            ends("a mount in a tree", c.rb("run", "m.lua"), 0)
        finally:
            keep = (c.dir / "tree/sub/inner/keep").exists()
            subprocess.run(["umount", c.dir / "tree/sub/inner"], check=False)
        check("is not gone into, and nothing of the tree is removed", keep, c.prints())
        eq("a backup on another file system is a copy", c.prints(), ["file.mount\tfailed\ttrue", "file.mount", "false", "x\t2"])
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        c.write("ro.lua", """
            for _, call in ipairs { { "write", "disk/f", "new" }, { "remove", "disk/f" }, { "mkdir", "disk/d" } } do
                local ok, e = pcall(file[call[1]], call[2], call[3]) print(e.kind, e.outcome)
            end print(file.read "disk/f")
        """)
        ends("a file system that is read-only", c.rb("run", "ro.lua"), 0)
        eq("file.readonly, and the file can be read", c.prints(), ["file.readonly\tfailed"] * 3 + ["old"])
    finally:
        subprocess.run(["umount", disk], check=False)
else:
    print("# no file system can be mounted here: only the limit of a file's size was tried")

# -- no permission

c = Case("""
    for _, call in ipairs { { "write", "locked/f", "new" }, { "write", "locked/new", "x" }, { "remove", "locked/f" }, { "mkdir", "locked/d" },
            { "read", "hidden" }, { "digest", "hidden" }, { "list", "closed" }, { "stat", "closed/x" }, { "read", "closed/x" } } do
        local ok, e = pcall(file[call[1]], call[2], call[3]) print(call[1], e.kind, e.outcome)
    end
    print(file.write("drop/x", "1").size, file.read "locked/f")
""")
for d, mode in (("locked", 0o555), ("closed", 0o000), ("drop", 0o333)):
    (c.dir / d).mkdir()
(c.dir / "locked/f").write_text("old")
(c.dir / "hidden").write_text("h")
(c.dir / "hidden").chmod(0)
argv = [RBHOST, "run", "t.lua"]
if os.geteuid() == 0:  # root may do everything: give that up, and keep the files
    argv = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--", *argv]
for d, mode in (("locked", 0o555), ("closed", 0o000), ("drop", 0o333)):
    (c.dir / d).chmod(mode)
p = subprocess.run(argv, env=c.env, cwd=c.dir, capture_output=True, text=True, timeout=60 * SLOW)
for d in ("locked", "closed", "drop"):
    (c.dir / d).chmod(0o755)
ends("without permission", p, 0)
eq("file.denied, and a folder that may only be written to is written to", c.prints(),
   [f"{verb}\tfile.denied\tfailed" for verb in ("write", "write", "remove", "mkdir", "read", "digest", "list", "stat", "read")]
   + ["1\told"])

# -- what does not end

c = Case("""
    for _, path in ipairs { "fifo", "/dev/zero", "/dev/tty", "socket" } do
        for _, verb in ipairs { "read", "digest" } do
            local ok, e = pcall(file[verb], path) print(path, e.kind)
        end
    end
    local ok, e = pcall(file.write, "/dev/null", "x") print(e.kind)
""")
os.mkfifo(c.dir / "fifo")
__import__("socket").socket(__import__("socket").AF_UNIX).bind(os.path.relpath(c.dir / "socket"))
ends("pipes without a writer, devices and sockets do not hang", c.run(), 0)
kinds = {line.split("\t")[-1] for line in c.prints()}
check("they are refused", kinds <= {"file.special", "file.not_found", "file.denied"} and len(c.prints()) == 9, c.prints())

ENDLESS = 1 << 42


def endless(text):
    case = Case(text)
    with open(case.dir / "big", "wb") as f:
        try:
            f.truncate(ENDLESS)
        except OSError:  # a file system that knows no such sizes
            f.truncate(1 << 36)
    return case


c = endless("""
    local ok, e = pcall(file.digest, "big", { timeout = "200ms" }) print(e.kind, e.outcome, e.message)
    ok, e = pcall(file.read, "big") print(e.kind)
    local text, size = file.read("big", { cut = true, max = 3 }) print(#text, size > 1 << 35)
    local winner = race { slow = function() file.digest "big" return "slow" end, quick = function() sleep "10ms" return "quick" end } print(winner)
""")
ends("a file that takes hours", c.run(), 0)
check("is stopped at its time-out, and when nobody wants it any more",
      c.prints()[0].startswith("file.timeout\tfailed\tfile.digest: ") and c.prints()[1:] == ["file.too_big", "3\ttrue", "quick"], c.prints())
c = endless('print "ready" file.digest "big"')
p = c.start("run", "t.lua")
waits(c, "log")
eq("a signal parks the run meanwhile", park(c, p), 143)
ends("and it can be cancelled then", c.rb("cancel", c.id, "--reason", "enough"), 1)

# -- killed between two steps (the sweep of tests/crash kills everywhere)


def killed(point, text, n=1, **files):
    case = Case(text)
    for name, content in files.items():
        (case.dir / name).write_text(content)
    r = case.rb("run", "t.lua", binary=RBHOST_FAULT, env={"RBHOST_FAULT": f"kill:{point}:{n}"})
    check(f"killed at {point}", r.returncode == -9, (r.returncode, r.stderr))
    return case


for point, after in (("file.temp-written", "old"), ("file.backed-up", "old"), ("file.before-rename", "old"),
                     ("file.after-rename", "new"), ("file.after-fsync", "new")):
    c = killed(point, 'print(json.encode(file.write("f", "new", { expect = hash.sha256 "old", backup = true })))', f="old")
    eq(f"{point}: the file is whole", (c.dir / "f").read_text(), after)
    ends(f"{point}: goes on by itself", c.rb("resume"), 0)
    eq(f"{point}: and is as if nothing had been",
       ((c.dir / "f").read_text(), (c.dir / "f.bak").read_text(), list(c.dir.glob(".rbhost*")), json.loads(c.prints()[0])),
       ("new", "old", [], {"path": f"{c.dir}/f", "size": 3, "backup": f"{c.dir}/f.bak"}))
    eq(f"{point}: the second attempt is marked", [e.get("twice", False) for e in c.events("intent")], [False, True])

CREATES = 'local ok, e = pcall(file.write, "f", "new", { create = "new" }) print(ok, not ok and e.kind .. " " .. e.outcome)'
c = killed("file.after-rename", CREATES)
ends("created, and killed before that was known", c.rb("resume"), 0)
eq("it is known by looking", c.prints(), ["true\tfalse"])
c = killed("file.after-rename", CREATES)
(c.dir / "f").write_text("of somebody else")
ends("created, killed, and changed by somebody", c.rb("resume"), 0)
eq("then nobody can know", (c.prints(), (c.dir / "f").read_text()), (["false\tfile.exists unknown"], "of somebody else"))
c = killed("file.before-rename", CREATES)
(c.dir / "f").write_text("of somebody else")
ends("killed before it was created, and created by somebody", c.rb("resume"), 0)
eq("then it is known that it was not", (c.prints(), list(c.dir.glob(".rbhost*"))), (["false\tfile.exists failed"], []))
c = killed("file.after-remove", 'print(file.remove "f")', f="x")
ends("removed, and killed", c.rb("resume"), 0)
eq("is removed", c.prints(), ["true"])
c = killed("file.after-fsync", 'print(file.mkdir "d")')
ends("made, and killed", c.rb("resume"), 0)
eq("is made", c.prints(), ["true"])
c = killed("file.after-rename", 'file.write("f", "new", { on_doubt = "ask" })')
ends("on_doubt = ask asks", c.rb("resume"), 6)
n = c.events("intent")[-1]["seq"]
ends("and looks, when it is told to try again", c.rb("resolve", c.id, n, "retry", "--resume"), 0)
finish()
