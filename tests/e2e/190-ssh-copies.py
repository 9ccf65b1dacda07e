#!/usr/bin/env python3
"""ssh.upload and ssh.download under odd conditions: login shells of every kind, ones that talk, hostile names, sudo with
a password, files that grow or change, a disk that is full, two that send to the same place.

# time-limit: 300
"""
import base64
import json
import os
import shutil
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends
from farlab import Lab, words
from lib import check, contains, eq, finish, lacks

lab = Lab(1)
lab.__enter__()
far = lab.dir / "far"
far.mkdir()
BYTES = bytes(range(256)) * 900

# -- login shells

NAMES = ["plain", "it's", "-n", "a!b", "a\\b", "$HOME `id`", "two\nlines", 'q"q', "*", "ü", "\udcff", "~", "{a,b}", "%s", "a b"]
BOOK = r"""
local names = json.decode(file.read("names")).names
for i, n in ipairs(names) do
    local to = "@LAB@/far/" .. base64.decode(n)
    local up = ssh.upload("web01", { from = "local", to = to, mode = "0640" })
    local down = ssh.download("web01", { from = to, to = "back" .. i })
    print(up.sha256 == down.sha256, up.size, ssh.upload("web01", { content = "text " .. i, to = to }).size,
        ssh.download("web01", { from = to }).content == "text " .. i)
end
"""


def copies(name, **options):
    lab.set(**options)
    c = lab.case(BOOK)
    (c.dir / "local").write_bytes(BYTES)
    c.write("names", json.dumps({"names": [base64.b64encode(os.fsencode(n)).decode() for n in NAMES]}))
    r = c.run(timeout=120)
    got = words(c)
    want = [f"true  {len(BYTES)}  {5 + len(str(i + 1))}  true" for i in range(len(NAMES))]
    check(f"{name}: names that shells could read in their own way", r.returncode == 0 and got == want, f"{got}\n{r.stdout}{r.stderr}")
    eq(f"{name}: are what they are", sorted(os.fsencode(p.name) for p in far.iterdir()), sorted(os.fsencode(n) for n in NAMES))
    check(f"{name}: the bytes are the same", all((c.dir / f"back{i + 1}").read_bytes() == BYTES for i in range(len(NAMES))))
    for p in far.iterdir():
        p.unlink()


for shell in ("sh", "bash", "zsh", "mksh", "tcsh", "fish", "csh"):
    if shutil.which(shell):
        copies(shell, ForceCommand=f'exec {shell} -c "$SSH_ORIGINAL_COMMAND"')
lab.set(ForceCommand='printf "%s" "$SSH_ORIGINAL_COMMAND" >$LAB/line; exec sh -c "$SSH_ORIGINAL_COMMAND"')
ends("the line that the login shell sees", lab.case('ssh.upload("web01", { content = "x", to = "@LAB@/far/x" })').run(), 0)
line = (lab.dir / "line").read_text()
check("is short, and has nothing that one of them reads in its own way", len(line) < 200 and not set("!\\\n") & set(line), line)
(far / "x").unlink()
copies("a login that talks on both streams",
       ForceCommand='echo "Welcome, all"; printf "no end" ; echo warning >&2; printf "none here" >&2; exec sh -c "$SSH_ORIGINAL_COMMAND"')
lab.set(ForceCommand="echo no shells here; exit 7")
lab.prints("an account without a shell", """
    local function say(ok, e) print(e.kind, e.outcome, e.message:match "%(a forced.*") end
    say(pcall(ssh.upload, "web01", { content = "x", to = "y" }))
    say(pcall(ssh.download, "web01", { from = "y" }))
    say(pcall(ssh, "web01", { "true" }))
    """, [f"ssh.session  {o}  (a forced command, an account without a shell?): {c}no shells here"
          for o, c in (("unknown", ""), ("failed", ""), ("not_started", "exit code 7: "))])
lab.set(ForceCommand=None)

# -- sudo

lab.stand_in_sudo("open sesame")
SUDO = """
    local function try(f, o) local ok, r = pcall(f, "web01", o) return ok and (r.content or r.size) or r.kind .. " " .. r.outcome .. " " .. r.message end
    print(try(ssh.upload, { content = "x", to = "@LAB@/far/x", sudo = true }))
    print(try(ssh.upload, { from = "local", to = "@LAB@/far/x", sudo = { password = secret "pw" } }))
    print(#try(ssh.download, { from = "@LAB@/far/x", sudo = { password = secret "pw" } }))
    print(try(ssh.download, { from = "@LAB@/far/x", to = "back", sudo = { password = secret "wrong" } }))
"""
for tickets in (False, True):
    if tickets:
        (lab.dir / "tickets").touch()
    c = lab.case(SUDO, '|secrets = { pw = { env = "PW" }, wrong = { env = "WRONG" } }')
    (c.dir / "local").write_bytes(BYTES)
    r = c.run(env={"PW": "open sesame", "WRONG": "not this"})
    said = words(c)
    with_tickets = "tickets" if tickets else "no tickets"
    check(f"sudo, {with_tickets}: without a password where one is wanted", said[0].startswith("ssh.sudo not_started ")
          and "a password is required" in said[0], r.stdout + r.stderr)
    eq(f"sudo, {with_tickets}: with one the file goes and comes, without it", said[1:3] + [(far / "x").read_bytes() == BYTES],
       [str(len(BYTES)), str(len(BYTES)), True])
    check(f"sudo, {with_tickets}: a wrong one", "incorrect password" in said[3] and not (c.dir / "back").exists(), said)
    lacks(f"sudo, {with_tickets}: in no argument, and not in the journal",
          (lab.dir / "sudo.log").read_text() + c.journal.read_bytes().decode("latin1"), "open sesame")
    (lab.dir / "ticket").unlink(missing_ok=True)
lab.set(SetEnv=None)

# -- what moves, what is full, what is in the way

lab.set(ForceCommand='(while :; do echo more >>$LAB/far/log; sleep 0.001; done) & w=$!; sh -c "$SSH_ORIGINAL_COMMAND"; c=$?; kill $w; exit $c')
(far / "log").write_text("more\n" * 200000)
c = lab.case('print(ssh.download("web01", { from = "@LAB@/far/log", to = "log" }).size)')
ends("a file that grows can be had", c.run(), 0)
check("as much as there was in the beginning", (c.dir / "log").stat().st_size == int(words(c)[0]) >= 1000000, words(c))
lab.set(ForceCommand=None)
(far / "fifo").unlink(missing_ok=True)
os.mkfifo(far / "fifo")
lab.prints("what is no file is none", """
    for _, f in ipairs { ssh.upload, ssh.download } do
        print((select(2, pcall(f, "web01", { content = f == ssh.upload and "x" or nil, to = f == ssh.upload and "@LAB@/far/fifo" or "x",
            from = f == ssh.download and "@LAB@/far/fifo" or nil })).message:match "is no regular file"))
    end
    """, ["is no regular file"] * 2)
(far / "loop").symlink_to("loop")
(far / "dangling").symlink_to("new")
lab.prints("links: one in a circle, one to what is not there yet", """
    print((select(2, pcall(ssh.upload, "web01", { content = "x", to = "@LAB@/far/loop" })).message:match "leads nowhere"))
    print(ssh.upload("web01", { content = "x", to = "@LAB@/far/dangling" }).size)
    """, ["leads nowhere", "1"])
check("the link stays one", (far / "dangling").is_symlink() and (far / "new").read_text() == "x")
lab.set(ForceCommand='ulimit -f 100; trap "" XFSZ; exec sh -c "$SSH_ORIGINAL_COMMAND"')
c = lab.case('local ok, e = pcall(ssh.upload, "web01", { from = "local", to = "@LAB@/far/none" }) print(e.kind, e.outcome, e.message)')
(c.dir / "local").write_bytes(BYTES)
ends("a file that does not fit there", c.run(), 0)
check("says so, and leaves nothing", words(c)[0].startswith("ssh.file  failed") and "arge" in words(c)[0]
      and not [p for p in far.iterdir() if p.name.startswith((".rbhost", "none"))], (words(c), os.listdir(far)))
lab.set(ForceCommand=None)

two = [lab.case('ssh.upload("web01", { from = "local", to = "@LAB@/far/same" })') for _ in range(2)]
for i, c in enumerate(two):
    (c.dir / "local").write_bytes(bytes([65 + i]) * (20 << 20))
runs = [c.start("run", "t.lua") for c in two]
eq("two runs that send to the same place at once both succeed", [p.wait(60) for p in runs], [0, 0])
left = (far / "same").read_bytes()
check("and what is there is of one of them", left in (b"A" * (20 << 20), b"B" * (20 << 20)), left[:10])
check("nothing temporary is left", not [p for p in far.iterdir() if p.name.startswith(".rbhost")], os.listdir(far))

c = lab.case('print(ssh.upload("web01", { from = "sparse", to = "@LAB@/far/sparse" }).size)\n'
             'print(pcall(ssh.upload, "web01", { from = "@DIR@", to = "@LAB@/far/folder" }))')
with open(c.dir / "sparse", "wb") as f:
    f.truncate(64 << 20)
ends("a file with holes", c.run(), 0)
eq("comes whole", (words(c)[0], (far / "sparse").stat().st_size), (str(64 << 20), 64 << 20))
contains("a folder is not sent", words(c)[1], "is a folder")
lab.close()
finish()
