#!/usr/bin/env python3
"""Secrets: given by file or standard input, opaque to the script, expanded inside effects only, and never anywhere in the
journal, on the screen, in ps or in an exported file."""
import os
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, waits
from lib import SLOW, check, contains, eq, finish, lacks, wait_for

TOKEN = "s3cr3t-t0ken-0123456789"
HEAD = 'local p = runbook { params = { token = { "secret", required = true } } }\n'


def nowhere(name, case, *texts):
    """The secret stands in no file of the case but those that hold it on purpose, and in none of these texts."""
    found = []
    for path in case.dir.rglob("*"):
        if path.is_file() and not path.name.startswith(("token", "world")) and TOKEN.encode() in path.read_bytes():
            found.append(path.name)
    found += ["output"] if any(TOKEN in t for t in texts) else []
    eq(name, found, [])


c = Case('print("' + TOKEN + '")')
c.run()
check(
    "the search finds a text that is in the journal",
    TOKEN.encode() in b"".join(f.read_bytes() for f in c.dir.glob("j.db*") if f.is_file()),
    os.listdir(c.dir),
)

c = Case(
    HEAD
    + r"""
print(p.token, tostring(p.token), "token is " .. tostring(p.token))
local r = exec({ "sh", "-c", 'echo "$T" >> @DIR@/world; echo "out $T"; echo "err $T" >&2' }, { env = { T = p.token } })
print(r.stdout, r.stderr)
evidence("what", { r.stdout, p.token })
note("note " .. r.stdout)
exec({ "sh", "-c", "cat >> @DIR@/world", "sh" }, { stdin = "Bearer " .. p.token .. "\n" })
print(secret.equal(p.token, "no"), secret.equal(p.token, p.token), type(p.token))
local ok, e = pcall(exec, { "sh", "-c", 'echo "bad $T" >&2; exit 1' }, { env = { T = p.token } })
print(e)
signal "go"
exec({ "sh", "-c", 'echo "again $T" >> @DIR@/world' }, { env = { T = p.token } })
"""
)
c.write("token.txt", TOKEN + "\n")
r = c.run("token=@token.txt")
ends("a secret from a file", r, 3)
eq("reaches commands, by the environment and standard input", c.lines("world"), [TOKEN, "Bearer " + TOKEN])
check(
    "prints as its name",
    c.prints()[0].startswith("‹secret:token›\t‹secret:token›\ttoken is ‹secret:token›"),
    c.prints(),
)
eq("and so do results of commands", c.prints()[1], "out ‹secret:token›\n\terr ‹secret:token›\n")
eq("compared", c.prints()[2].split("\t")[:2], ["false", "true"])
contains("errors have the name too", c.prints()[3], "bad ‹secret:token›")
nowhere(
    "it stands nowhere in the journal or on the screen",
    c,
    r.stdout,
    r.stderr,
    c.rb("show", "-v").stdout,
    c.rb("log", "--json").stdout,
)
c.rb("journal", "backup", "backup.db")
nowhere("nor in a backup", c)
r = c.rb("signal", c.id, "go", "--resume")
ends("the resume reads the file again", r, 0)
eq("and the value is there", c.lines("world")[2], "again " + TOKEN)
nowhere("and it stands nowhere still", c, r.stdout, r.stderr)
ends("the journal verifies", c.rb("verify"), 0)

# standard input: given anew at the resume
c = Case(HEAD + 'signal "go"\nexec({ "sh", "-c", "echo $T >> @DIR@/world" }, { env = { T = p.token } })')
r = c.run("token=@-", stdin=TOKEN)
ends("a secret from standard input", r, 3)
c.rb("signal", c.id, "go")
r = c.rb("resume", c.id)
check("a resume without it says how to give it", r.returncode == 2 and "token=@" in r.stderr, (r.returncode, r.stderr))
eq("and has started nothing", c.lines("world"), [])
ends("given anew", c.rb("resume", c.id, "token=@-", stdin=TOKEN), 0)
eq("it goes on", c.lines("world"), [TOKEN])
nowhere("and it stands nowhere", c)
c = Case(HEAD + 'signal "go"\nexec({ "sh", "-c", "echo $T >> @DIR@/world" }, { env = { T = p.token } })')
c.write("token.txt", TOKEN)
c.run("token=@token.txt")
(c.dir / "token.txt").unlink()
r = c.rb("resume", c.id)
check(
    "the file has gone: the resume says how to give the secret",
    r.returncode == 2 and "token" in r.stderr,
    (r.returncode, r.stderr),
)

# refused
c = Case(HEAD + 'exec({ "touch", "@DIR@/made" })')
r = c.run("token=" + TOKEN)
check(
    "a plain argument is refused, and not repeated",
    r.returncode == 2 and "token" in r.stderr and TOKEN not in r.stderr and "@FILE" in r.stderr,
    (r.returncode, r.stderr),
)
c.write("token.txt", "short")
r = c.run("token=@token.txt")
check(
    "a secret shorter than 8 bytes is refused, and not shown",
    r.returncode == 2 and "8" in r.stderr and "short" not in r.stderr.replace("shorter", ""),
    (r.returncode, r.stderr),
)
c.write("token.txt", "")
r = c.run("token=@token.txt")
check("an empty one too", r.returncode == 2 and "token" in r.stderr, (r.returncode, r.stderr))
c.write("token.txt", b"\xff\xfe" * 10)
r = c.run("token=@token.txt")
check("one that is not text: works or is refused by name", r.returncode in (0, 2), (r.returncode, r.stderr))
(c.dir / "made").unlink(missing_ok=True)
c.write("p.json", '{"token": "' + TOKEN + '"}')
r = c.run("--params", "p.json")
check("in a parameter file", r.returncode in (0, 2) and TOKEN not in r.stderr + r.stdout, (r.returncode, r.stderr))
(c.dir / "p.json").unlink()
nowhere("it does not get into the journal from there", c)
r = c.run()
check("a missing secret", r.returncode == 2 and "token" in r.stderr, (r.returncode, r.stderr))

for what, text in (
    ("a placeholder in a text that goes to a command", 'exec({ "echo", tostring(p.token) })'),
    ("a placeholder in standard input", 'exec({ "cat" }, { stdin = "x " .. tostring(p.token) })'),
    ("a placeholder in the environment", 'exec({ "true" }, { env = { T = tostring(p.token) } })'),
):
    c = Case(HEAD + text)
    c.write("token.txt", TOKEN)
    r = c.run("token=@token.txt")
    check(
        f"{what} is an error",
        r.returncode == 1 and not c.events("intent") and "t.lua:2" in r.stderr,
        (r.returncode, r.stderr),
    )
c = Case(HEAD + 'exec({ "sh", "-c", "echo $1 >> @DIR@/world", "sh", p.token })')
c.write("token.txt", TOKEN)
r = c.run("token=@token.txt")
check(
    "in argv: expanded, or refused as others can see it; never recorded",
    r.returncode in (0, 1),
    (r.returncode, r.stderr),
)
nowhere("argv in the journal has the name", c, r.stdout, r.stderr)
for what, text in (
    ("its bytes", "print(#p.token)"),
    ("a part of it", "print(p.token:sub(1, 3))"),
    ("a field", "print(p.token.value)"),
    ("its metatable", "print(getmetatable(p.token).__index)"),
    ("string.format", 'print(string.format("%s|%q", p.token, tostring(p.token)))'),
    ("string.byte", "print(string.byte(p.token))"),
    ("json", "print(json.encode({ p.token }))"),
    ("hash", "print(hash.sha256(p.token))"),
    ("a step's result", 'print(step("s", function() return { t = p.token } end).t)'),
    ("an error", "error(p.token)"),
    ("an error's field", 'fail("x", { t = p.token })'),
    ("a title", "step(tostring(p.token), function() end)"),
    ("concat", 'print(table.concat({ "a", tostring(p.token) }))'),
    ("a signal's name", "signal(tostring(p.token), { timeout = '1ms' })"),
):
    c = Case(HEAD + text)
    c.write("token.txt", TOKEN)
    r = c.run("token=@token.txt", "--wait")
    nowhere(f"the script can not get it out by {what}", c, r.stdout, r.stderr)
    check(f"{what}: the host goes on", r.returncode in (0, 1, 124), (r.returncode, r.stderr))

# a command that prints it in pieces, at the border of two reads, in much output
c = Case(HEAD + r"""
local r = exec({ "sh", "-c", 'head -c 65530 /dev/zero | tr "\\0" x; printf %s "$T"; sleep 0.05; printf %s "${T%%0ken*}"; sleep 0.05; printf %s "0ken${T#*0ken}"' }, { env = { T = p.token } })
local _, n = r.stdout:gsub("‹secret:token›", "")
print(n)
r = exec({ "sh", "-c", 'for i in 1 2 3 4 5 6 7 8; do printf "$i$T"; done' }, { env = { T = p.token }, max_output = 30 })
print(#r.stdout <= 60, r.stdout_cut ~= nil)
""")
c.write("token.txt", TOKEN)
r = c.run("token=@token.txt", "--json")
ends("a secret at the border of two reads", r, 0)
eq("is found", c.prints(), ["2", "true\ttrue"])
nowhere("and does not leak there, nor in live output", c, r.stdout, r.stderr)

# export
c = Case(HEAD + 'exec({ "sh", "-c", "echo $T" }, { env = { T = p.token } })\nsignal "go"')
c.write("token.txt", TOKEN)
c.run("token=@token.txt")
c.rb("export", c.id, "-o", "run.rbrun")
nowhere("an exported run does not hold it", c)
c = Case(
    'local p = runbook { params = { token = { "secret", required = true } }, env = { "TOKEN" } }\n'
    + """
local r = exec({ "sh", "-c", 'printf "ab$T"; printf "cd$T" >&2' }, { env = { T = p.token }, max_output = 22 })
print(r.stdout, r.stderr, r.stdout_cut.total)
print(env "TOKEN")
"""
)
c.write("token", TOKEN)
c.run("token=@token", env={"TOKEN": TOKEN})
eq("of a secret in which output was cut, not even the beginning is kept; nor what the environment has of it",
   c.prints(), ["ab\tcd\t25", "‹secret:token›"])

finish()
