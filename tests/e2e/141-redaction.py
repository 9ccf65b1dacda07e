#!/usr/bin/env python3
"""Whatever a secret comes back as, and wherever: results, errors, live output, what people type, titles, exported runs.
The forms and pieces themselves are tests/unit/test_redact.c's; here is that every way out of the program is guarded."""
import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import urllib.parse

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, waits
from lib import check, contains, eq, finish, lacks, wait_for

TOKEN = "t0p s3cr3t/+'\"&\\~"
HEAD = 'local p = runbook { params = { token = { "secret", required = true }, other = { "string" } } }\n'
FORMS = {
    "plain": TOKEN,
    "base64": base64.b64encode(TOKEN.encode()).decode(),
    "basic": base64.b64encode(b"user:" + TOKEN.encode()).decode(),
    "base64url": base64.urlsafe_b64encode(b"xy" + TOKEN.encode()).decode().rstrip("="),
    "quote": urllib.parse.quote(TOKEN),
    "quote_plus": urllib.parse.quote_plus(TOKEN),
    "lower": urllib.parse.quote(TOKEN, safe="").lower(),
    "json": json.dumps({"v": TOKEN}),
    "json_u": '"' + "".join(f"\\u{ord(ch):04x}" for ch in TOKEN) + '"',
    "json_slash": json.dumps(TOKEN).replace("/", "\\/"),
    "shlex": shlex.quote(TOKEN),
    "sh": "'" + TOKEN.replace("'", "'\\''") + "'",
    "double": '"' + TOKEN.replace("\\", "\\\\").replace('"', '\\"') + '"',
    "hex": TOKEN.encode().hex(),
    "HEX": TOKEN.encode().hex().upper(),
}


def seen(*texts):
    return [name for name, form in FORMS.items() if any(form.strip("'\"") in t for t in texts)]


def leaks(c, *texts):
    """The forms that stand in a file that is not the world's, or in one of these texts."""
    files = [f for f in c.dir.rglob("*") if f.is_file() and not f.name.startswith(("token", "world", "form"))]
    found = [f"{n} in {f.name}" for f in files for n, form in FORMS.items() if form.strip("'\"").encode() in f.read_bytes()]
    return found + [f"{name} in the output" for name in seen(*texts)]


def case(text):
    c = Case(HEAD + text)
    c.write("token", TOKEN + "\n")
    for name, form in FORMS.items():
        c.write(f"form.{name}", form)
    return c


for said, long in (("long-enough-to-be-a-secret", "shorter"), ("12345678", "longer")):
    c = case("""
    local whole = exec({ "cat", "@DIR@/world" }, { read = true })
    local some = exec({ "cat", "@DIR@/world" }, { read = true, max_output = 2000 })
    print(whole.stdout_cut, some.stdout_cut and some.stdout_cut.total)
    """)
    c.write("token", said)
    c.write("world", (said + "\n") * 300)
    ends(f"a secret that comes back {long} than it is", c.run("token=@token"), 0)
    eq("what was cut is told, and nothing else", c.prints(), [f"nil\t{300 * (len(said) + 1)}"])

c = case("""
local n = 0
for _, form in ipairs { %s } do
    local r = exec({ "sh", "-c", "cat @DIR@/form." .. form .. "; printf '|'; cat @DIR@/form." .. form .. " >&2" })
    local ok, e = pcall(exec, { "sh", "-c", "cat @DIR@/form." .. form .. " >&2; exit 1" })
    print(form, r.stdout, r.stderr, e)
    evidence(form, { r.stdout, [r.stderr] = true })
    note(r.stdout)
end
""" % ", ".join(f'"{n}"' for n in FORMS))
r = c.run("token=@token", "--json", "-v")
ends("the world tells it in every form", r, 0)
for line in c.prints():
    form, out, err, message = line.split("\t")
    check(
        f"{form}: it is taken out of output, errors and messages",
        all(x.count("‹secret:token›") == 1 for x in (out, err, message)),
        line,
    )
eq("and is nowhere", leaks(c, r.stdout, r.stderr, c.rb("show", "-v", c.id).stdout, c.rb("log", "--json", c.id).stdout), [])

# live output: it goes on while secrets are known, and holds none
c = case("""
exec({ "sh", "-c", [[
    printf 'begin\\n'; until test -e @DIR@/go; do sleep 0.02; done
    for f in @DIR@/form.*; do dd bs=3 if=$f 2>/dev/null; printf '.\\n'; done
]] }, { timeout = "30s" })
""")
p = c.start("run", c.name, "token=@token", "--json")
wait_for("the first line of live output", lambda: "begin" in c.text("host.out"))
check("a line is shown while the command runs", not c.events("result"), c.text("host.out"))
c.write("go", "")
eq("the run ends", p.wait(60), 0)
live = "".join(json.loads(line).get("data", "") for line in c.text("host.out").splitlines() if '"type":"output"' in line)
(c.dir / "host.out").rename(c.dir / "world.out")
eq("every form in pieces of three bytes is replaced", live.count("‹secret:token›"), len(FORMS))
eq("and none is shown", leaks(c, live), [])

# what people say: reasons, parameters that are no secrets, comments, answers; what becomes of it
c = case("""
local a = manual("what did it say?", { type = "string" })
print(a)
step("title " .. p.other, function() note(p.other) end)
print(memo("m", function() return p.other end), pcall(exec, { "echo", p.other }))
signal "go"
fail("it said " .. p.other)
""")
c.write("token.json", json.dumps({"token": TOKEN, "other": "as a text: " + TOKEN}))
r = c.run("--params", "token.json", "--reason", "because " + TOKEN, "--actor", "me " + TOKEN)
ends("said as a reason and as another parameter", r, 3)
eq("it is in neither", leaks(c, r.stdout, r.stderr), [])
eq("the placeholder is", c.events("run.start")[0]["reason"], "because ‹secret:token›")
n = c.events("wait")[0]["seq"]
ends("answered", c.rb("answer", c.id, n, "--value", "nothing", "--no-resume"), 0)
ends("it goes on as it began", c.rb("resume", c.id, "token=@token"), 3)
ends("and once more", c.rb("signal", c.id, "go", "--no-resume"), 0)
r = c.rb("resume", c.id, "token=@token")
check("to its end", r.returncode == 1 and "it said as a text: ‹secret:token›" in r.stderr, r.stderr)
eq("still nowhere", leaks(c, r.stdout, r.stderr), [])
c = case("""
local a = manual("what did it say?", { type = "string" })
print(a.value or a)
""")
p = c.start("run", c.name, "token=@token", "--wait")
n = waits(c)["seq"]
ends("answered from another process", c.rb("answer", c.id, str(n), "--value", "it said " + TOKEN, "-m", TOKEN), 0)
eq("the run ends", p.wait(60), 0)
check("the answer and the comment have the name", "‹secret:token›" in c.prints()[0], c.prints())
events = [data for (data,) in c.sql("SELECT data FROM events WHERE run = ?", c.id)]
eq("and neither an event nor the screen has its text", seen(*events, c.text("host.out")), [])

# an exported run, a backup
c = case("""
print(exec({ "sh", "-c", "cat @DIR@/form.basic" }).stdout)
signal "go"
exec({ "sh", "-c", "cat >> @DIR@/world" }, { stdin = p.token })
""")
c.run("token=@token")
c.rb("journal", "backup", "backup.db")
ends("exported", c.rb("export", c.id, "-o", "run.rbrun"), 0)
eq("neither the run nor a backup holds it", leaks(c), [])
other = case("")
shutil.copy(c.dir / "run.rbrun", other.dir)
ends("imported elsewhere", other.rb("import-run", "run.rbrun"), 0)
other.rb("signal", other.id, "go")
ends("it asks for its secret there", other.rb("resume", other.id), 0 if (c.dir / "token").exists() else 2)
eq("and has it", c.text("world"), TOKEN)
finish()
