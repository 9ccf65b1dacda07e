#!/usr/bin/env python3
"""random_secret and secret = true: opaque, the same after every resume, encrypted in the journal with a key outside."""
import base64
import json
import os
import shutil
import sqlite3
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import check, contains, eq, finish, lacks

TOLD = "told-by-a-command-01"


def case(text):
    c = Case(text)
    c.env["XDG_CONFIG_HOME"] = str(c.dir / "config")
    c.write("held/told", TOLD + "\n")
    return c


def nowhere(name, c, texts, *outputs):
    found = []
    for path in c.dir.rglob("*"):
        if path.is_file() and path.parent.name != "held" and not path.name.startswith("world"):
            found += [path.name for t in texts if t.encode() in path.read_bytes()]
    found += ["output" for t in texts if any(t in o for o in outputs)]
    eq(name, found, [])


c = case("""
local r, h = random_secret(256), random_secret(64, { alphabet = "hex" })
local told = exec({ "sh", "-c", "cat @DIR@/held/told; echo and more >&2" }, { secret = true, read = true })
print(r, h, told.stdout, told.stderr, told.code)
print(exec({ "sh", "-c", 'echo "$R $H $T"; cat' }, { env = { R = r, H = h, T = told.stdout }, stdin = "=" .. told.stdout }).stdout)
for i = 1, 2 do
    exec({ "sh", "-c", 'echo "$R $H $T" >> @DIR@/world' }, { env = { R = r, H = h, T = told.stdout } })
    signal "go"
end
exec({ "sh", "-c", 'echo "$R $H $T" >> @DIR@/world' }, { env = { R = r, H = h, T = told.stdout } })
""")
r = c.run("-v")
ends("made and told", r, 3)
made = c.lines("world")[0].split()
check("random: 256 bits of base64url, 64 of hex", len(made[0]) == 43 and len(made[1]) == 16 and int(made[1], 16) >= 0, made)
eq("told: without the end of its line", made[2], TOLD)
names = c.prints()[0].split("\t")
check("all are opaque", all(n.startswith("‹secret:") for n in names[:4]) and names[4] == "0", names)
check("those of a result have the field's name", names[2].endswith(".stdout›") and names[3].endswith(".stderr›"), names)
eq("and are taken out of what comes back", c.prints()[1], f"{names[0]} {names[1]} {names[2]}\n={names[2]}")
nowhere("they are nowhere", c, made, r.stdout, r.stderr, c.rb("show", "-v", c.id).stdout)
sealed = [e["sealed"] for e in c.events() if "sealed" in e]
eq("four are encrypted in the events that made them", sorted(n for s in sealed for n in s), sorted(n[8:-1] for n in names[:4]))
key = c.dir / "config/rbhost/secret.key"
eq("with a key of 32 bytes, for its owner alone", (key.stat().st_size, oct(key.stat().st_mode & 0o777)), (32, "0o600"))
(c.dir / "held/told").write_text("another-text-now-02\n")
ends("a resume", c.rb("signal", c.id, "go", "--resume"), 3)
ends("and another", c.rb("signal", c.id, "go", "--resume"), 0)
eq("have the same, though the command would tell another now", c.lines("world"), [" ".join(made)] * 3)
nowhere("still nowhere", c, made)
ends("the journal verifies", c.rb("verify"), 0)

# -- the key

c = case('local r = random_secret(128)\nsignal "go"\nexec({ "sh", "-c", "cat >> @DIR@/world" }, { stdin = r })')
c.run()
key = c.dir / "config/rbhost/secret.key"
c.rb("signal", c.id, "go")
key.rename(c.dir / "away")
r = c.rb("resume", c.id)
check("without the key: exit 2, and which file is missing", r.returncode == 2 and str(key) in r.stderr, (r.returncode, r.stderr))
check("a resume makes no new one", not key.exists())
key.write_bytes(os.urandom(32))
key.chmod(0o600)
r = c.rb("resume", c.id)
check("with another key: exit 2, and it says so", r.returncode == 2 and "another key" in r.stderr, (r.returncode, r.stderr))
eq("nothing started, the run waits", (c.status(), c.lines("world")), ("waiting", []))
(c.dir / "away").rename(key)
key.chmod(0o644)
contains("a key that others can read is refused", c.rb("resume", c.id).stderr, "chmod 600")
key.chmod(0o600)
ends("with the right one it goes on", c.rb("resume", c.id), 0)
check("and has its secret", len(c.text("world")) == 22, c.text("world"))

c = case("print(random_secret(64))")
c.write("config.lua", 'return { secret_key = "@DIR@/elsewhere/k" }')
ends("a key at another place", c.rb("--config", "config.lua", "run", "t.lua"), 0)
check("is made there", (c.dir / "elsewhere/k").exists() and not (c.dir / "config").exists())
c.write("config.lua", 'return { secret_key = "credential:k" }')
r = c.rb("--config", "config.lua", "run", "t.lua", env={"CREDENTIALS_DIRECTORY": str(c.dir / "elsewhere")})
ends("or a credential of systemd", r, 0)
(c.dir / "elsewhere/k").write_text("short")
r = c.rb("--config", "config.lua", "run", "t.lua", env={"CREDENTIALS_DIRECTORY": str(c.dir / "elsewhere")})
check("one that is damaged is an error of the call", r.returncode == 1 and "32 bytes" in r.stderr, r.stderr)

c = case("print(random_secret(64))")
hosts = [c.start("run", "t.lua", out=f"host{i}") for i in range(6)]
eq("six at once that need a key", [h.wait(60) for h in hosts], [0] * 6)
eq("make one", [p.name for p in (c.dir / "config/rbhost").iterdir()], ["secret.key"])
ids = {v.split(".")[1] for i in c.ids() for e in c.events("record", run=i) for v in e["sealed"].values()}
eq("and all use it", len(ids), 1)

# -- a ciphertext that was changed or moved: resume refuses, and so does verify

c = case('local a, b = random_secret(64), random_secret(64)\nsignal "go"\nprint(a, b)')
c.run()
rows = [(e["seq"], e["sealed"]) for e in c.events("record")]
with sqlite3.connect(c.journal) as db:
    data = json.loads(db.execute("SELECT data FROM events WHERE run = ? AND seq = ?", (c.id, rows[0][0])).fetchone()[0])
    data["sealed"] = dict(zip(data["sealed"], rows[1][1].values()))
    db.execute("UPDATE events SET data = ? WHERE run = ? AND seq = ?", (json.dumps(data, ensure_ascii=False, separators=(",", ":")), c.id, rows[0][0]))
db.close()
c.rb("signal", c.id, "go")
r = c.rb("resume", c.id)
check("moved: the resume refuses", r.returncode == 5 and "changed, or moved" in r.stderr, (r.returncode, r.stderr))
check("and verify finds it", c.rb("verify", c.id).returncode != 0)

# -- results

c = case("""
local function try(cmd, opts)
    opts = opts or {}
    opts.secret = true
    local ok, e = pcall(exec, { "sh", "-c", cmd }, opts)
    return e
end
local e = try("echo hid''den-output-1 >&2; exit 4")
print(e.kind, e.outcome, e.result.code, e.result.stderr, e)
print(try("true").stdout == "", try("no-such-command-xyz", { check = false }).code)
local short = try("printf ab").stdout
print(short, secret.equal(short, "ab"))
print(pcall(function() return short:upper() end))
print(step("s", function() return try("echo hid''den-output-2").stdout end))
print(memo("m", function() return try("echo hid''den-output-3").stdout end))
print(exec.sh("echo hid''den-output-2 hid''den-output-3").stdout)
local multi = try("printf 'first-line-of-it\\\\nsecond-line-of-it\\\\n'").stdout
print(exec({ "echo", "..", "second-line-of-it" }).stdout)
print(pcall(exec, { "echo", multi }))
""")
r = c.run("--json")
ends("results of commands", r, 0)
p = c.prints()
check("a failure tells its kind and status, not what was said", p[0].startswith("exec.exit\tfailed\t4\t‹secret:exec-") and "what it said is secret" in p[0], p[0])
eq("an empty text is no secret", p[1], "true\t127")
check("a short one is opaque all the same", p[2].startswith("‹secret:") and p[2].endswith("\ttrue"), p[2])
check("and can not be taken apart", p[3].startswith("false"), p[3])
check("steps and memos may return one", p[4].startswith("‹secret:") and p[5].startswith("‹secret:"), p[4:6])
eq("all are taken out of what comes later", p[6], f"{p[4]} {p[5]}\n")
check("a line of one, too", "‹secret:" in p[7] and "second" not in p[7], p[7])
check("none is an argument of a command", p[8].startswith("false") and "arguments" in p[8], p[8])
nowhere("nor is any in the live output or the journal", c, [f"hidden-output-{i}" for i in (1, 2, 3)], r.stdout, r.stderr)

c = case("""
local plain = exec({ "cat", "@DIR@/held/told" }).stdout
print("before", plain)
local s = exec({ "cat", "@DIR@/held/told" }, { secret = true }).stdout
print("after", plain)
print(memo("again", function() return plain end), step("again", function() return plain end) == plain)
local both = exec({ "sh", "-c", 'echo "x $S y"' }, { env = { S = s }, secret = true }).stdout
signal "go"
exec({ "sh", "-c", 'echo "$B" > @DIR@/world' }, { env = { B = both } })
print(plain)
""")
ends("a text that becomes a secret later", c.run(), 3)
shown = c.prints()
check("is redacted from then on", TOLD in shown[0] and TOLD not in shown[1] + shown[2], shown)
ends("which a resume does not take for another way", c.rb("signal", c.id, "go", "--resume"), 0)
eq("a result that has a secret in it is whole for those who may have it", c.lines("world"), [f"x {TOLD} y"])

c = case("""
local s = random_secret(64)
local function deep(n) return n > 0 and 1 + deep(n - 1) or 0 end
local lost = 0
for i = 1, 30000 do
    if i % 7 == 0 then deep(i % 150) end
    local joined = "a" .. s .. "b"
    if type(joined) ~= "userdata" or i % 100 == 0 and #tostring(joined) ~= #tostring(s) + 2 then lost = lost + 1 end
    if i % 500 == 0 then sleep(0) end
end
print(lost)
""")
ends("joined again and again, while the stack grows and shrinks", c.run(), 0)
eq("it is a secret each time", c.prints(), ["0"])

c = case('local s = random_secret(64)\nprint(exec({ "true" }, { secret = true }).stdout)\nprint(s)')
ends("a dry run", c.run("--dry"), 0)
for args in ("", "7", "63", "100", "8192", '"256"', "256.5", "256, { alphabet = 'z' }", "256, { alphabt = 'hex' }"):
    c = case(f"print(select(2, pcall(random_secret, {args})))" if args else "print(select(2, pcall(random_secret)))")
    c.run()
    check(f"random_secret({args}) is refused", "random_secret" in c.prints()[0], c.prints())
finish()
