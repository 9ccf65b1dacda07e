#!/usr/bin/env python3
"""file, whole: each verb with its options and results, its errors, modes, links, what is replayed, dry runs."""
import hashlib
import json
import os
import stat
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, prints
from lib import RBHOST_FAULT, check, contains, eq, finish, lacks

# -- wrong words

for bad, says in (
    ("file.read()", "path"),
    ('file.read("")', "the path is empty"),
    ('file.read("a\\0b")', "NUL"),
    ("file.read(5)", "path"),
    ('file.read("' + "a/" * 3000 + '")', "longer than"),
    ('file.read("x", { mx = 5 })', "did you mean max"),
    ('file.read("x", { max = 0 })', "max"),
    ('file.read("x", { max = "1k" })', "max"),
    ('file.read("x", { max = 1 << 27 })', "from 1 to 67108864"),
    ('file.read("x", { backup = true })', "unknown option"),
    ('file.write("x")', "content"),
    ('file.write("x", 5)', "content"),
    ('file.write("x", {})', "content"),
    ('file.write("x", "y", { mode = 644 })', '"0644"'),
    ('file.write("x", "y", { mode = "0888" })', '"0644"'),
    ('file.write("x", "y", { mode = "u+x" })', '"0644"'),
    ('file.write("x", "y", { create = true })', '"new"'),
    ('file.write("x", "y", { expect = "abc" })', "SHA-256"),
    ('file.write("x", "y", { create = "new", expect = ("0"):rep(64) })', "exclude"),
    ('file.write("x", "y", { backup = 5 })', "backup"),
    ('file.write("x", "y", { backup = "./x" })', "itself"),
    ('file.write("x", "y", { timeout = "soon" })', "timeout"),
    ('file.list("x", { depth = -1 })', "depth"),
    ('file.list("x", { glob = 5 })', "glob"),
    ('file.remove("x", { recursiv = true })', "did you mean recursive"),
    ('file.mkdir("x", "opts")', "options"),
    ('file.reed("x")', ""),
    ("file()", "library"),
    ("file.read = print", "file"),
):
    c = Case(bad)
    r = c.run()
    good = r.returncode == 1 and "t.lua:1: " in r.stderr and says in r.stderr and not c.events("intent")
    check(f"{bad[:70]}: an error of the author, and nothing was started", good,
          f"exit {r.returncode}, want 1 and {says!r}\n{r.stderr}")
contains("a word that is not there, in the check", Case('file.reed("x")').rb("check", "t.lua").stdout, "file.read")

# -- read, stat, list, digest

c = Case(r"""
    local all = file.read "bytes"
    print(#all, all == file.read "@DIR@/./x/../bytes", file.digest "bytes")
    local text, size = file.read("bytes", { max = 10, cut = true })
    print(#text, size, select("#", file.read "bytes"))
    local ok, e = pcall(file.read, "bytes", { max = 10239 }) print(e.kind, e.outcome)
    print(#file.read("bytes", { max = 10240 }), file.read "empty" == "")
    local s = file.stat "bytes"
    print(s.type, s.size, s.mode, s.links, s.uid == file.stat(".").uid, math.floor(s.mtime))
    s = file.stat "link" print(s.type, s.target, file.stat("link", { follow = true }).type)
    print(file.stat("dangling").type, file.stat("dangling", { follow = true }), file.stat "nothing", file.stat "bytes/x")
    print(file.stat("@DIR@").type, file.stat("/").type, file.stat("fifo").type)
    print(file.read "link" == all, file.read "tree/back/bytes" == all)
    print(#file.read "/proc/version" > 100)
""")
content = bytes(range(256)) * 40
(c.dir / "bytes").write_bytes(content)
(c.dir / "bytes").chmod(0o2751)
os.utime(c.dir / "bytes", (1000000000, 1000000000))
(c.dir / "empty").touch()
(c.dir / "link").symlink_to("bytes")
(c.dir / "dangling").symlink_to("nowhere")
(c.dir / "tree").mkdir()
(c.dir / "tree/back").symlink_to("..")
os.mkfifo(c.dir / "fifo")
ends("looking", c.run(), 0)
eq("read, stat and digest say what is there", c.prints(), [
    f"10240\ttrue\t{hashlib.sha256(content).hexdigest()}", "10\t10240\t1", "file.too_big\tfailed",
    "10240\ttrue", "file\t10240\t2751\t1\ttrue\t1000000000", "link\tbytes\tfile", "link\tnil\tnil\tnil",
    "folder\tfolder\tfifo", "true\ttrue", "true"])
eq("what only looks has no intent", c.events("intent"), [])
ends("and is in the journal", c.rb("verify", "--all"), 0)

c = Case(r"""
    local function names(...) local t = {} for i, e in ipairs(file.list(...)) do t[i] = e.name .. ":" .. e.type:sub(1, 2) end return table.concat(t, " ") end
    print(names "d")
    print(names("d", { recursive = true }))
    print(names("d", { recursive = true, depth = 1 }), names("d", { recursive = true, depth = 2 }))
    print(names("d", { recursive = true, glob = "*.c" }))
    print(names("d", { recursive = true, glob = "b/*" }), names("d", { glob = "zz" }) == "")
    local ok, e = pcall(file.list, "d", { recursive = true, max = 5 }) print(e.kind, #file.list("d", { recursive = true, max = 5, cut = true }))
    ok, e = pcall(file.list, "d/a.c") print(e.kind) ok, e = pcall(file.list, "nix") print(e.kind)
    print(file.list("e")[1].name == "\xff\xfe", #file.list("bytes"))
    print(names "linked" == names "d")
""")
for d in ("d/b/c", "e", "bytes"):
    (c.dir / d).mkdir(parents=True)
for f in ("d/a.c", "d/.hidden", "d/b/x.c", "d/b/c/y.c", "d/Z"):
    (c.dir / f).touch()
(c.dir / "d/b/loop").symlink_to("..")
(c.dir / "linked").symlink_to("d")
with open(os.fsencode(c.dir / "e") + b"/\xff\xfe", "w"):
    pass
ends("listing", c.run(), 0)
eq("list: sorted, with types, below a folder, by pattern, with a cap; links are named and not followed", c.prints(), [
    ".hidden:fi Z:fi a.c:fi b:fo",
    ".hidden:fi Z:fi a.c:fi b:fo b/c:fo b/c/y.c:fi b/loop:li b/x.c:fi",
    ".hidden:fi Z:fi a.c:fi b:fo\t.hidden:fi Z:fi a.c:fi b:fo b/c:fo b/loop:li b/x.c:fi",
    "a.c:fi b/c/y.c:fi b/x.c:fi", "b/c:fo b/loop:li b/x.c:fi\ttrue", "file.too_big\t5", "file.not_directory",
    "file.not_found", "true\t0", "true"])

# -- write

c = Case(r"""
    local r = file.write("new", "one") print(r.path, r.size, r.backup)
    file.write("kept", "two")
    r = file.write("kept", "three", { mode = "600", backup = true }) print(r.backup)
    file.write("kept", "four", { backup = ".old" })
    print(file.write("kept", "five", { backup = "bak/kept.1" }).backup)
    print(file.write("fresh", "x", { backup = true }).backup)
    local had = file.digest "kept"
    file.write("kept", "six", { expect = had })
    local ok, e = pcall(file.write, "kept", "seven", { expect = had }) print(e.kind, e.outcome, e.message)
    ok, e = pcall(file.write, "absent", "x", { expect = had }) print(e.kind)
    file.write("made", "x", { create = "new" })
    ok, e = pcall(file.write, "made", "y", { create = "new" }) print(e.kind, e.outcome)
    file.write("bytes", "\0\xff\r\n")
    file.write("empty", "")
    file.write("link", "through the link")
    for _, bad in ipairs { "folder", "fifo", "dangling", "no/such/folder", "kept/x" } do
        ok, e = pcall(file.write, bad, "x") print(bad, e.kind, e.outcome)
    end
    file.write(("n"):rep(255), "long")
    ok, e = pcall(file.write, ("n"):rep(256), "longer") print(e.kind)
""")
for d in ("bak", "folder"):
    (c.dir / d).mkdir()
(c.dir / "kept").write_text("zero")
(c.dir / "kept").chmod(0o6754)
os.link(c.dir / "kept", c.dir / "other-name")
(c.dir / "target").write_text("old")
(c.dir / "link").symlink_to("target")
(c.dir / "dangling").symlink_to("nowhere")
os.mkfifo(c.dir / "fifo")
old = os.umask(0o077)
r = c.run()
os.umask(old)
ends("writing", r, 0)
D = str(c.dir)
eq("write: results and errors", c.prints(), [
    f"{D}/new\t3\tnil", f"{D}/kept.bak", f"{D}/bak/kept.1", "nil",
    f"file.changed\tfailed\tfile.write: {D}/kept holds something else than was expected; read it again and decide",
    "file.changed", "file.exists\tfailed", "folder\tfile.is_directory\tfailed", "fifo\tfile.special\tfailed",
    "dangling\tfile.not_found\tfailed", "no/such/folder\tfile.not_found\tfailed", "kept/x\tfile.not_directory\tfailed",
    "file.io"])
eq("content", [(c.dir / n).read_bytes() for n in ("new", "kept", "kept.bak", "kept.old", "bak/kept.1", "made", "bytes", "empty")],
   [b"one", b"six", b"two", b"three", b"four", b"x", b"\0\xff\r\n", b""])
mode = lambda n: oct(stat.S_IMODE((c.dir / n).stat().st_mode))
eq("modes are as they were said or as they were, whatever the umask", [mode(n) for n in ("new", "kept", "kept.bak", "made")],
   ["0o644", "0o600", "0o6754", "0o644"])
eq("another name of the file keeps the old content", (c.dir / "other-name").read_text(), "zero")
eq("a link stays a link, and what it leads to is written",
   ((c.dir / "link").is_symlink(), (c.dir / "target").read_text()), (True, "through the link"))
eq("what could not be written was left as it is",
   [(c.dir / "folder").is_dir(), stat.S_ISFIFO((c.dir / "fifo").stat().st_mode), (c.dir / "nowhere").exists()], [True, True, False])
left = [str(p) for p in c.dir.rglob(".rbhost-*")]
eq("no temporary file is left", left, [])
args = c.events("intent")[2]["args"]
eq("the journal has what is to be written as its size and digest", args, {
    "path": f"{D}/kept", "mode": "0600", "size": 5, "sha256": hashlib.sha256(b"three").hexdigest(), "backup": f"{D}/kept.bak"})

# -- mkdir, remove

c = Case(r"""
    print(file.mkdir "a", file.mkdir("b/c/d", { parents = true, mode = "0700" }), file.mkdir("b/c", { parents = true }))
    local ok, e = pcall(file.mkdir, "a") print(e.kind, e.outcome)
    ok, e = pcall(file.mkdir, "x/y") print(e.kind)
    ok, e = pcall(file.mkdir, "f", { parents = true }) print(e.kind)
    ok, e = pcall(file.mkdir, "f/y", { parents = true }) print(e.kind)
    print(file.mkdir("link/in", { parents = true }), file.mkdir("link", { parents = true }))
    print(file.remove "f", file.remove "link", file.remove "b/c/d", file.stat "target/in")
    ok, e = pcall(file.remove, "b") print(e.kind, e.message)
    ok, e = pcall(file.remove, "nix") print(e.kind) print(file.remove("nix", { missing_ok = true }), file.remove("nix/nix", { missing_ok = true }))
    ok, e = pcall(file.remove, "tree", { recursive = true, max = 7 }) print(e.kind, #file.list("tree", { recursive = true }))
    print(file.remove("tree", { recursive = true, max = 8 }), file.stat "tree")
    ok, e = pcall(file.remove, "/", { recursive = true }) print(e.kind)
    ok, e = pcall(file.mkdir, "/", { parents = true }) print(ok, e)
""")
(c.dir / "f").touch()
(c.dir / "target/keep").mkdir(parents=True)
(c.dir / "link").symlink_to("target")
(c.dir / "tree/a/b").mkdir(parents=True)
for n in range(3):
    (c.dir / f"tree/a/b/{n}").touch()
(c.dir / "tree/out").symlink_to("../target")
(c.dir / "tree/up").symlink_to("..")
(c.dir / "tree/.dot").touch()
old = os.umask(0o027)
r = c.run()
os.umask(old)
ends("folders", r, 0)
got = c.prints()
eq("mkdir and remove: results and errors", got[:7] + got[8:], [
    "true\ttrue\tfalse", "file.exists\tfailed", "file.not_found", "file.not_directory", "file.not_directory",
    "true\tfalse", "true\ttrue\ttrue\ttable", "file.not_found", "false\tfalse", "file.too_big\t8", "true\tnil",
    "file.denied", "true\tfalse"])
contains("a folder that is not empty: what to do", got[7], "file.not_empty\tfile.remove: ")
contains("a folder that is not empty: what to do", got[7], "recursive = true")
eq("modes of folders, whatever the umask", [mode(n) for n in ("a", "b", "b/c")], ["0o755", "0o755", "0o755"])
eq("a link is removed, and not what it leads to", sorted(p.name for p in (c.dir / "target").iterdir()), ["in", "keep"])

c = Case(r"""
    for _, call in ipairs { { "read", "j.db" }, { "digest", "again.db" }, { "read", "j.db-shm" }, { "write", "j.db", "x" }, { "write", "j.db-wal", "x" },
            { "remove", "j.db" }, { "write", "j.db.d/lock", "x" }, { "remove", "j.db.d/lock" }, { "remove", "j.db.d", { recursive = true } }, { "remove", "@DIR@", { recursive = true } } } do
        local ok, e = pcall(file[call[1]], call[2], call[3]) print(ok, e.kind)
    end
    print(file.stat("j.db").type)
""")
c.rb("run", "t.lua")
os.link(c.dir / "j.db", c.dir / "again.db")
ends("the host's journal", c.run(), 0)
eq("is out of reach, by any name", c.prints(c.ids()[-1]), ["false\tpolicy"] * 10 + ["file"])
ends("and whole", c.rb("verify", "--all"), 0)

# -- on the way of every op

c = Case("""
    file.write("w", file.read "r" .. " and more")
    file.remove "gone"
    file.mkdir "m"
    print(file.stat "w", file.stat("gone").type, file.write("w", "x", { backup = true }).assumed)
""")
(c.dir / "r").write_text("text")
(c.dir / "gone").touch()
r = c.run("--dry")
ends("a dry run", r, 0)
eq("reads, and changes nothing", sorted(os.listdir(c.dir)), sorted({"gone", "j.db", "r", "t.lua"} | {p.name for p in c.dir.glob("j.db*")}))
eq("and goes on with what would be", c.prints(), ["nil\tfile\tdry"])
contains("and lists it", r.stdout, f"file.write {c.dir}/w")

c = Case("""
    local had = file.read "r"
    file.write("w", had)
    signal "go"
    print(had, file.stat "w" ~= nil)
""")
(c.dir / "r").write_text("before")
ends("waits", c.run(), 3)
(c.dir / "r").write_text("after")
(c.dir / "w").unlink()
ends("a resume, from another folder", c.rb("signal", c.id, "go", "--resume", env={"PWD": "/"}), 0)
eq("has what was read, and writes nothing again", c.prints(), ["before\tfalse"])
ends("in a check only what looks", Case('check("a", "b", function() return file.read "t.lua" ~= "" end)').run(), 0)
c = Case('check("a", "b", function() file.write("x", "y") end)')
r = c.run()
check("and nothing that acts", r.returncode == 1 and "file.write may change something" in r.stderr and not (c.dir / "x").exists(), r.stderr)
contains("the static check says so", c.rb("check", "t.lua").stdout, "warning: file.write inside a check")
prints("a failure is worth another attempt", """
    local n = 0
    retry({ times = 3, delay = "1ms" }, function(i) if i == 2 then file.write("there", "x") end n = i; return file.read "there" end)
    print(n, file.read("there", { retry = 2 }))
""", "2\tx")
prints("many at once", """
    all((function() local t = {} for i = 1, 40 do t[i] = function() file.write("f" .. i, "x") file.remove("f" .. i) end end return t end)())
    print(#file.list(".", { glob = "f*" }))
""", "0")

# -- secrets

TOKEN = "s3cr3t-t0ken-0123456789"
c = Case("""
    local p = runbook { params = { token = { "secret", required = true } } }
    file.write("out", "key = " .. p.token .. "\\n")
    print(file.read "out", file.stat("out").mode)
    print(file.read("out", { max = 20, cut = true }))
    file.write("out", p.token, { mode = "0640" }) print(file.stat("out").mode, file.digest "out")
    print(pcall(file.read, p.token))
""")
c.write("token.txt", TOKEN)
r = c.run("token=@token.txt")
ends("secrets", r, 0)
eq("are written as they are", (c.dir / "out").read_text(), TOKEN)
check("read as their names, in a file that only its owner reads",
      c.prints()[:2] == ["key = ‹secret:token›\n\t0600", "key = \t30"] and c.prints()[2].startswith("0640"), c.prints())
journal = b"".join(p.read_bytes() for p in c.dir.glob("j.db*") if p.is_file())
lacks("and are nowhere in the journal", journal.decode("latin-1") + r.stdout + r.stderr, TOKEN)

KEY = "-----BEGIN KEY----- 0123456789abcdef"
c = Case(r"""
    local key = file.read("key", { secret = true })
    print(key, file.stat("key").size)
    file.write("copy", key) file.write("more", "key: " .. key .. "\n")
    signal "go"
    print(file.digest "copy" == hash.sha256 "KEY", file.read "more")
""".replace("KEY", KEY))
(c.dir / "t.lua").write_text((c.dir / "t.lua").read_text().replace(f'hash.sha256 "{KEY}"', f'"{hashlib.sha256(KEY.encode()).hexdigest()}"'))
(c.dir / "key").write_text(KEY + "\n")
env = {"XDG_CONFIG_HOME": str(c.dir / "config"), "HOME": str(c.dir)}
ends("a file that is a secret", c.run(env=env), 3)
ends("and a resume", c.rb("signal", c.id, "go", "--resume", env=env), 0)
check("is opaque, and is written as it is", c.prints()[0].startswith("‹secret:") and c.prints()[1].startswith("true\tkey: ‹secret:"), c.prints())
eq("into a file of its owner", ((c.dir / "copy").read_text(), mode("copy")), (KEY, "0o600"))
journal = b"".join(p.read_bytes() for p in c.dir.glob("j.db*") if p.is_file())
lacks("and is nowhere in the journal", journal.decode("latin-1"), KEY)

# -- without openat2

c = Case("""
    file.write("d/x", "1", { backup = true })
    file.write("link/y", "2")
    print(file.read "link/x", file.stat("link").type, file.remove("link/y"), file.mkdir("link/a/b", { parents = true }))
    print(pcall(file.read, "round")) print(file.remove("d", { recursive = true }))
""")
(c.dir / "d").mkdir()
(c.dir / "d/x").write_text("0")
(c.dir / "link").symlink_to("d")
(c.dir / "round").symlink_to("round")
ends("on a kernel without openat2", c.rb("run", "t.lua", binary=RBHOST_FAULT, env={"RBHOST_MUTATE": "no-openat2"}), 0)
check("it is the same", c.prints()[0] == "1\tlink\ttrue\ttrue" and c.prints()[2] == "true" and "circle" in c.prints()[1], c.prints())
finish()
