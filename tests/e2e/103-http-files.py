#!/usr/bin/env python3
"""The files of http: what is sent and what is saved obeys the policy wherever links lead, is never the journal, and appears
whole or not at all. With openat2, and without it."""
import os
import socket
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from hostile import Hostile
from lib import RBHOST, RBHOST_FAULT, check, contains, eq, finish

s = Hostile()
HEAD = f'runbook {{ allow = {{ http = {{ "GET,PUT,POST {s.url}/**" }}, file = {{ "in/**" }} }} }}\n'
TRY = r"""
local function try(...)
    local ok, e = pcall(...)
    print(ok and "went" or e.kind .. " " .. e.outcome, ok and "" or e.message)
end
local function all(path)
    try(http.get, "@U@/hello", { save = path })
    try(http.put, "@U@/echo", { body = { file = path } })
    try(http.post, "@U@/echo", { multipart = { f = { file = path } } })
end
""".replace("@U@", s.url)
KERNELS = ((RBHOST, {}, ""), (RBHOST_FAULT, {"RBHOST_MUTATE": "no-openat2"}, " (no openat2)"))

for binary, env, kernel in KERNELS:
    c = Case(HEAD + TRY + 'for _, p in ipairs { "in/link", "in/dir/secret", "in/chain", "in/up/out/secret" } do all(p) end')
    (c.dir / "in").mkdir()
    (c.dir / "out").mkdir()
    (c.dir / "out/secret").write_text("outside")
    for link, to in (("link", c.dir / "out/secret"), ("dir", "../out"), ("chain", "link"), ("up", "..")):
        (c.dir / "in" / link).symlink_to(to)
    before = len(s.asked("/echo"))
    ends(f"links out of the allowed folder{kernel}", c.rb("run", "t.lua", binary=binary, env=env), 0)
    got = [p.split("\t") for p in c.prints()]
    eq(f"none is followed: save, a body, a multipart file{kernel}", [g[0] for g in got], ["policy not_started"] * 12)
    check(f"and the error says where it leads{kernel}",
          all("a link leads from " in g[1] and f"to {c.dir}/out" in g[1] and "allow.file (t.lua:1)" in g[1] for g in got), got)
    eq(f"what is outside is as it was{kernel}", ((c.dir / "out/secret").read_text(), os.listdir(c.dir / "out")),
       ("outside", ["secret"]))
    eq(f"and was sent to nobody{kernel}", len(s.asked("/echo")), before)

    c = Case(HEAD + TRY + 'all "in/now/f" all "in/f"')
    (c.dir / "in/v1").mkdir(parents=True)
    (c.dir / "in/v1/f").write_text("old")
    (c.dir / "in/now").symlink_to("v1")
    (c.dir / "in/f").symlink_to(c.dir / "in/v1/f")
    ends(f"links that stay inside{kernel}", c.rb("run", "t.lua", binary=binary, env=env), 0)
    eq(f"are followed, as file follows them{kernel}", [p.split("\t")[0] for p in c.prints()], ["went"] * 6)
    check(f"a saved file replaces what a link leads to, and the link stays{kernel}",
          (c.dir / "in/f").is_symlink() and (c.dir / "in/v1/f").read_text() not in ("", "old"))
    eq(f"and nothing is left beside it{kernel}", os.listdir(c.dir / "in/v1"), ["f"])

c = Case(TRY + r"""
for _, p in ipairs { "j.db", "j.db-wal", "j.db.d/x", "away" } do all(p) end
all "fifo" all "folder" all "none/x"
""")
(c.dir / "away").symlink_to("j.db")
(c.dir / "folder").mkdir()
os.mkfifo(c.dir / "fifo")
ends("the journal, and what is no file", c.run(), 0)
got = [p.split("\t") for p in c.prints()]
journal = [g for g in got[:12] if "journal of this host" in g[1]]
eq("the journal is neither sent nor overwritten, by no name", (len(journal), {g[0] for g in got[:12]} - {"policy not_started"}),
   (10, {"http.io not_started"}))
eq("nor is what is no regular file", [g[0] for g in got[12:]], ["http.io not_started"] * 9)
contains("and the error says what it is", got[12][1], "is a fifo")
ends("the journal is whole", c.rb("verify"), 0)

c = Case(r"""
local function try(...)
    local ok, r = pcall(...)
    print(ok and (r.saved and "saved" or "not saved") or r.kind, file.read "f", (ok and r or r.result).body)
end
try(http.get, "@U@/status/404?", { save = "f" })
try(http.get, "@U@/status/404?", { save = "f", expect = 200 })
try(http.get, "@U@/to/302?/hello", { save = "f", follow = 0, expect = false })
try(http.get, "@U@/status/404?", { save = "f", expect = { 200, 404 } })
try(http.get, "@U@/to/302?/hello", { save = "f" })
""".replace("@U@", s.url))
(c.dir / "f").write_text("old")
ends("answers of every kind to what is to be saved", c.run(), 0)
got = [p.split("\t") for p in c.prints()]
eq("what was not asked for does not replace the file", [g[:2] for g in got[:2]], [["http.status", "old"]] * 2)
check("and is told", all(g[2] for g in got[:2]), got)
eq("what was expected does", ([g[0] for g in got[2:]], got[2][1] == "old", got[4][1]), (["saved", "saved", "saved"], False, "hello"))
eq("nothing is left beside it", sorted(f for f in os.listdir(c.dir) if "rbhost-" in f), [])

for tls, says in (('ca = "/etc/ssl/x.pem"', "/etc/ssl/x.pem"), ('cert = "out/pem"', "/out/pem"), ('cert = "in/pem", key = "in/link"', "a link leads from"),
                  ('ca = "in/none"', "tls.ca: ")):
    c = Case(HEAD + TRY + f'try(http.get, "{s.url}/hello", {{ tls = {{ {tls} }} }})')
    for folder in ("in", "out"):
        (c.dir / folder).mkdir()
        (c.dir / folder / "pem").write_text("pem")
    (c.dir / "in/link").symlink_to("../out/pem")
    ends(f"tls: {tls}", c.run(), 0)
    kind, message = c.prints()[0].split("\t")
    eq("its files are asked of the policy as others are", kind, "http.io not_started" if "none" in tls else "policy not_started")
    contains("and named", message, says)

# each look at the disk takes a second: whoever does not need it goes on
SLOW_DISK = {"RBHOST_MUTATE": "slow-disk"}
c = Case(r"""
local order = {}
all {
    disk = function() http.post("@U@/echo", { body = { file = "big" }, save = "back" }) order[#order + 1] = "disk" end,
    others = function() for i = 1, 50 do http.get("@U@/hello") end order[#order + 1] = "others" end,
}
print(table.concat(order, " "), file.digest "back" == file.digest "big")
local ok, e = pcall(http.get, "@U@/hello", { save = "late", timeout = "500ms" }) print(ok, e.kind, e.outcome)
ok, e = pcall(http.get, "@U@/drip", { save = "late", timeout = "500ms" }) print(ok, e.kind, e.outcome)
race { function() http.get("@U@/drip", { save = "late" }) end, function() sleep "300ms" end }
""".replace("@U@", s.url))
(c.dir / "big").write_bytes(os.urandom(400_000))
ends("a slow disk", c.rb("run", "t.lua", binary=RBHOST_FAULT, env=SLOW_DISK), 0)
eq("holds up nobody else, and no longer than the request may last", c.prints(),
   ["others disk\ttrue", "false\thttp.timeout\tfailed", "false\thttp.timeout\tfailed"])
eq("nothing is left of what was not saved in time", [f for f in os.listdir(c.dir) if "rbhost-" in f], [])

# a socket is reached as a file is: by what its links lead to
listener = socket.socket(socket.AF_UNIX)
c = Case('runbook { allow = { http = { "http://x" }, file = { "in/**" } } }\n' + TRY + """
try(http.get, "http://x/", { unix = "in/link", timeout = "100ms" })
try(http.get, "http://x/", { unix = "in/inner", timeout = "100ms" })
""")
(c.dir / "in").mkdir()
listener.bind(str(c.dir / "sock"))
listener.listen(1)
(c.dir / "in/link").symlink_to("../sock")
(c.dir / "in/inner").symlink_to("none")
ends("links of sockets", c.run(), 0)
got = [p.split("\t") for p in c.prints()]
eq("one that leads out is refused", [g[0] for g in got], ["policy not_started", "http.connect not_started"])
contains("with where it leads", got[0][1], f"to {c.dir}/sock")
listener.close()

# more than what is read ahead and written behind, both ways, packed and not
big = os.urandom(3_000_000) + b"x" * 5_000_000
c = Case(r"""
local want = file.digest "big"
local r = http.post("@U@/echo", { body = { file = "big" }, save = "back" })
print(r.saved.size, r.saved.sha256 == want, file.digest "back" == want)
local m = http.post("@U@/echo", { multipart = { f = { file = "big" } }, save = "multi" })
print(m.saved.size > 8000000, m.saved.sha256 == file.digest "multi")
print(http.get("@U@/bomb", { save = "bomb", max_body = 100000000 }).saved.size == file.stat("bomb").size)
all {
    a = function() print(pcall(timeout, "100ms", function() http.get("@U@/drip", { save = "drip" }) end)) end,
}
""".replace("@U@", s.url))
(c.dir / "big").write_bytes(big)
ends("large files", c.run(), 0)
eq("go out and come back whole", c.prints()[:3], ["8000000\ttrue\ttrue", "true\ttrue", "true"])
check("one that is stopped leaves nothing", "false" in c.prints()[3] and not (c.dir / "drip").exists(), c.prints())
eq("nor its part", [f for f in os.listdir(c.dir) if "rbhost-" in f], [])

c = Case('http.get("' + s.url + '/hello", { save = "f" })\npcall(http.get, "' + s.url + '/short", { save = "f" })')
(c.dir / "f").write_text("old")
ends("an answer that breaks off", c.run(), 0)
check("leaves the file as it was", c.text("f") not in ("", "old"), c.text("f"))
eq("and nothing beside it", [f for f in os.listdir(c.dir) if "rbhost-" in f], [])
finish()
