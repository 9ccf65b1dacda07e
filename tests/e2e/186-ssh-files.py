#!/usr/bin/env python3
"""ssh.upload and ssh.download: whole or not at all, digests, modes, owners, limits, policy, a link cut in the middle, a
host killed in the middle.

# time-limit: 300
"""
import hashlib
import os
import pathlib
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends
from farlab import Lab, words
from lib import SLOW, check, contains, eq, finish, lacks, wait_for

lab = Lab(1)
lab.__enter__()
far = lab.dir / "far"
far.mkdir()
BIG = 50 << 20


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()


def temporary(folder):
    return [p.name for p in pathlib.Path(folder).iterdir() if p.name.startswith(".rbhost-")]


def big(path):
    with open(path, "wb") as f:
        for i in range(BIG >> 20):
            f.write(hashlib.sha256(str(i).encode()).digest() * (1 << 15))
    return digest(path)


# -- there and back

c = lab.case("""
    local r = ssh.upload("web01", { from = "local", to = "@LAB@/far/it's a file" })
    print(r.host, r.path == "@LAB@/far/it's a file", r.size, r.sha256)
    print(ssh.upload("web01", { content = "text\\n\\0", to = "@LAB@/far/text", mode = "0604" }).size)
    print(ssh.upload("web01", { content = "", to = "relative" }).size, ssh("web01", "cat ~/relative | wc -c").stdout:match "%d+")
    local d = ssh.download("web01", { from = "@LAB@/far/it's a file", to = "back" })
    print(d.size, d.sha256, d.path:match "[^/]*$", d.content)
    print(ssh.download("web01", { from = "@LAB@/far/text" }).content == "text\\n\\0")
    print(#ssh.download("web01", { from = "relative" }).content)
""")
(c.dir / "local").write_bytes(bytes(range(256)) * 10)
(c.dir / "local").chmod(0o751)
ends("files go there and come back", c.run(), 0)
sha = digest(c.dir / "local")
eq("whole, with their digests", words(c), [f"web01  true  2560  {sha}", "6", "0  0", f"2560  {sha}  back  nil", "true", "0"])
eq("the bytes are the same", [digest(far / "it's a file"), digest(c.dir / "back")], [sha, sha])
eq("the mode is kept, or the one that was asked for",
   [oct((far / n).stat().st_mode & 0o7777) for n in ("it's a file", "text")] + [oct((c.dir / "back").stat().st_mode & 0o777)],
   ["0o751", "0o604", "0o751"])

(far / "old").write_text("old")
(far / "old").chmod(0o640)
(far / "link").symlink_to("old")
c = lab.case('ssh.upload("web01", { content = "new", to = "@LAB@/far/link" })\n'
             'ssh.upload("web01", { content = secret "s", to = "@LAB@/far/secret" })', '|secrets = { s = { env = "S" } }')
ends("over a link, and a secret", c.run(env={"S": "a-secret-of-mine"}), 0)
check("what the link leads to is replaced, with its mode",
      (far / "link").is_symlink() and (far / "old").read_text() == "new" and (far / "old").stat().st_mode & 0o777 == 0o640)
eq("a secret is there, for its owner alone",
   [(far / "secret").read_text(), oct((far / "secret").stat().st_mode & 0o777)], ["a-secret-of-mine", "0o600"])
lacks("and not in the journal", c.journal.read_bytes().decode("latin1"), "a-secret-of-mine")

# -- what can not be

c = lab.case("""
    local function up(o) local ok, e = pcall(ssh.upload, "web01", o) print(e.kind, e.outcome, tostring(e)) end
    local function down(o) local ok, e = pcall(ssh.download, "web01", o) print(e.kind, e.outcome, tostring(e)) end
    up { content = "x", to = "@LAB@/nowhere/x" }
    up { content = "x", to = "@LAB@/far" }
    up { from = "absent", to = "@LAB@/far/x" }
    up { content = "x", to = "@LAB@/far/x", owner = "no-such-user" }
    down { from = "@LAB@/far/absent" }
    down { from = "@LAB@/far" }
    down { from = "@LAB@/far/old", max = 2 }
    down { from = "@LAB@/far/old", to = "@LAB@/nowhere/x" }
""")
ends("what can not be", c.run(), 0)
for line, kind, says in zip(words(c), ["failed", "failed", "not_started", "failed", "failed", "failed", "failed", "not_started"],
                            ["there is no folder", "is a folder", "absent", "no-such-user", "there is no file", "is a folder",
                             "more than max = 2", "nowhere"]):
    check(f"{says}: ssh.file, {kind}", line.startswith(f"ssh.file  {kind}") and says in line, line)
check("and nothing is left", not (far / "x").exists() and not temporary(far), os.listdir(far))
c = lab.case('runbook { allow = { ssh = { "web01" }, file = { "in" } } }\n'
             'for _, f in ipairs { "in", "out" } do\n'
             '  print(pcall(ssh.upload, "web01", { from = f, to = "@LAB@/far/p" }))\n'
             '  print(pcall(ssh.download, "web01", { from = "@LAB@/far/old", to = f })) end')
(c.dir / "in").write_text("in")
(c.dir / "out").write_text("out")
ends("allow.file", c.run(), 0)
said = words(c)
check("lets what it names", said[0].startswith("true") and said[1].startswith("true"), said)
check("and nothing else", all("out" in s and "reach" in s for s in said[2:]) and (c.dir / "out").read_text() == "out", said)
c = lab.case('print(ssh.upload("web01", { content = "x", to = "@LAB@/far/dry" }).assumed)\n'
             'print(ssh.download("web01", { from = "@LAB@/far/old", to = "dry" }).assumed)\n'
             'print(ssh.download("web01", { from = "@LAB@/far/old" }).content)')
ends("a dry run", c.run("--dry"), 0)
check("moves no file", words(c) == ["dry", "dry", "new"] and not (far / "dry").exists() and not (c.dir / "dry").exists(), words(c))

# -- large ones, and what is cut

c = lab.case("""
    print(ssh.upload("web01", { from = "big", to = "@LAB@/far/big" }).sha256)
    print(ssh.download("web01", { from = "@LAB@/far/big", to = "big.back" }).sha256)
""")
sha = big(c.dir / "big")
ends("50 MB", c.run(timeout=120), 0)
eq("there and back", words(c) + [digest(c.dir / "big.back")], [sha, sha, sha])

CUT = """
    local r = ssh.%s("web01", { from = "%s", to = "%s", retry = { times = 5, delay = "100ms" } })
    print(r.sha256)
"""
(far / "big").unlink()
os.mkfifo(c.dir / "slow")
for name, text, watch, goal in (
    ("upload", CUT % ("upload", "big", "@LAB@/far/big"), far, far / "big"),
    ("download", CUT % ("download", "@LAB@/far/big", "big"), None, None),
):
    c2 = lab.case(text)
    folder = watch or c2.dir
    goal = goal or c2.dir / "big"
    if name == "upload":
        os.link(c.dir / "big", c2.dir / "big")
    p = c2.start("run", "t.lua", env={"RBHOST_X": "1"})
    wait_for("a part to have come", lambda: temporary(folder))
    lab.drop_link()
    check(f"{name}: a link that is cut in the middle leaves nothing half", not goal.exists() or digest(goal) == sha)
    eq(f"{name}: and with retry it goes on", p.wait(120 * SLOW), 0)
    eq(f"{name}: whole", [words(c2), digest(goal)], [[sha], sha])
    wait_for("temporary files to go", lambda: not temporary(folder))

(far / "big").unlink()
c2 = lab.case(CUT % ("upload", "big", "@LAB@/far/big"))
os.link(c.dir / "big", c2.dir / "big")
p = c2.start("run", "t.lua")
wait_for("a part to have come", lambda: temporary(far))
p.send_signal(signal.SIGKILL)
p.wait()
check("the host is killed in the middle: nothing half is there", not (far / "big").exists() or digest(far / "big") == sha)
ends("its resume", c2.rb("resume", c2.id, timeout=120), 0)
eq("sends it again, without a question", [words(c2), digest(far / "big")], [[sha], sha])
wait_for("temporary files to go", lambda: not temporary(far))

c2 = lab.case('local ok, e = pcall(ssh.upload, "web01", { from = "big", to = "@LAB@/far/slow", timeout = "1ms" }) print(e.kind)')
os.link(c.dir / "big", c2.dir / "big")
ends("a time-out", c2.run(), 0)
eq("is one", words(c2), ["ssh.timed_out"])
wait_for("temporary files to go", lambda: not temporary(far))

# A digest that takes hours is given up as well.
c2 = lab.case('local ok, e = pcall(ssh.upload, "web01", { from = "huge", to = "@LAB@/far/huge", timeout = "100ms" }) print(e.kind, e.outcome)')
with open(c2.dir / "huge", "wb") as f:
    f.truncate(1 << 40)
ends("a time-out while the file is read here", c2.run(), 0)
eq("is one, and nothing was sent", words(c2), ["ssh.timed_out  not_started"])
c2 = lab.case('ssh.upload("web01", { from = "huge", to = "@LAB@/far/huge" })')
with open(c2.dir / "huge", "wb") as f:
    f.truncate(1 << 40)
p = c2.start("run", "t.lua")
wait_for("its start", lambda: c2.events("intent"))
p.send_signal(signal.SIGTERM)
p.send_signal(signal.SIGTERM)
p.wait(60 * SLOW)
eq("a run that is parked then lets go of it", [e["data"]["status"] if "data" in e else e.get("status") for e in c2.events("run.park")], ["parked"])
lab.close()
finish()
