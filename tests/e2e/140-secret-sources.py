#!/usr/bin/env python3
"""Secrets by name: each source of the configuration, fetched before the first operation of a run and of a resume; what
is said when one fails, and that nothing has started then."""
import json
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import check, contains, eq, finish, lacks

SECRETS = {
    "e": "from-the-env-0001",
    "f": "from-the-file-0002",
    "k": "from-a-credential-0003",
    "c": "from-a-command-0004",
    "s": "from-stdin-00005",
}
CONFIG = """return { secrets = {
    e = { env = "SECRET_E" }, f = { file = "@DIR@/held/f" }, k = { credential = "k" },
    c = { command = { "sh", "-c", "echo asked >> @DIR@/asked; env > @DIR@/environ; cat @DIR@/held/c" } },
    s = { stdin = true },
} }"""


def case(text, config=CONFIG):
    c = Case(text)
    c.write("config.lua", config)
    for name in "fck":
        c.write(f"held/{name}", SECRETS[name] + "\n")
    c.env |= {
        "SECRET_E": SECRETS["e"],
        "CREDENTIALS_DIRECTORY": str(c.dir / "held"),
        "RBHOST_TEST_CONFIG": str(c.dir / "config.lua"),
    }
    return c


def run(c, *args, **kw):
    return c.rb("--config", "config.lua", "run", c.name, *args, **kw)


def rb(c, *args, **kw):
    return c.rb("--config", "config.lua", *args, **kw)


def nowhere(name, c, *texts):
    found = []
    for path in c.dir.rglob("*"):
        if path.is_file() and path.parent.name != "held" and not path.name.startswith("world"):
            data = path.read_bytes()
            found += [f"{n} in {path.name}" for n, s in SECRETS.items() if s.encode() in data]
    found += [f"{n} in the output" for n, s in SECRETS.items() if any(s in t for t in texts)]
    eq(name, found, [])


USE = """
local all = { E = secret "e", F = secret("f"), K = secret [[k]], C = secret 'c', S = secret "s" }
print(all.E, all.F, all.K, all.C, all.S)
local function use()
    return exec({ "sh", "-c", 'echo "$E $F $K $C $S" | tee -a @DIR@/world' }, { env = all }).stdout
end
"""
c = case(USE + "print(use())\nsignal 'go'\nprint(use())")
r = run(c, stdin=SECRETS["s"] + "\n")
ends("five sources", r, 3)
shown = "‹secret:e› ‹secret:f› ‹secret:k› ‹secret:c› ‹secret:s›"
eq("each is a name to the script", c.prints(), [shown.replace(" ", "\t"), shown + "\n"])
eq("and its text to the command", c.lines("world"), [" ".join(SECRETS.values())])
eq("a command was asked once", c.lines("asked"), ["asked"])
environ = {line.split("=")[0] for line in c.lines("environ")}
check("in the small environment", "PATH" in environ and not environ & {"SECRET_E", "DIR"}, sorted(environ))
start = c.events("run.start")[0]
eq(
    "the journal has the names and the kinds of their sources",
    start["secrets"],
    {"e": "env", "f": "file", "k": "credential", "c": "command", "s": "stdin"},
)
nowhere("and no text", c, r.stdout, r.stderr)
c.write("held/f", "another-file-0002")
rb(c, "signal", c.id, "go")
r = rb(c, "resume", c.id, stdin=SECRETS["s"])
ends("a resume asks again", r, 0)
eq("and has what is there now", c.lines("world")[1], " ".join(SECRETS.values()).replace("from-the-file", "another-file"))
eq("the command too", c.lines("asked"), ["asked"] * 2)
nowhere("still nothing", c, r.stdout, r.stderr)
ends("the journal verifies", rb(c, "verify"), 0)

c = case("""
local mod = require "mod"
mod.touch()
""")
c.write("mod.lua", 'return { touch = function() exec({ "sh", "-c", "echo $T > @DIR@/world" }, { env = { T = secret "c" } }) end }')
ends("a secret that a module names", run(c), 0)
eq("was there before the first operation", (c.events("intent", "result")[0]["op"], c.lines("world")), ("exec", [SECRETS["c"]]))

c = case("""
local name = string.char(99)
print(secret(name))
print(exec({ "cat" }, { stdin = secret(name), read = true }).stdout)
signal "go"
exec({ "sh", "-c", "cat > @DIR@/world" }, { stdin = secret(name) })
""")
r = run(c)
ends("a computed name", r, 3)
eq("is fetched when it is asked for", c.prints(), ["‹secret:c›", "‹secret:c›"])
eq("as a record of the name", [e["value"] for e in c.events("result") if e["op"] == "secret"], [{"$secret": "c"}] * 2)
eq("once", c.lines("asked"), ["asked"])
ends("and after a resume it is there", rb(c, "signal", c.id, "go", "--resume"), 0)
eq("with its text", c.lines("world"), [SECRETS["c"]])
nowhere("which is nowhere", c, r.stdout, r.stderr)

# -- what goes wrong: said before anything starts

BROKEN = """return { secrets = {
    token = { env = "NOT_SET" }, gone = { file = "@DIR@/none" }, pipe = { file = "@DIR@/pipe" }, dir = { file = "@DIR@" },
    short = { file = "@DIR@/short" }, empty = { file = "@DIR@/empty" }, nul = { file = "@DIR@/nul" },
    large = { command = { "sh", "-c", "head -c 70000 /dev/zero | tr '\\\\0' x" } },
    code = { command = { "sh", "-c", "echo hidden-text-1; echo the store is locked >&2; exit 7" } },
    none = { command = { "no-such-command-here" } }, killed = { command = { "sh", "-c", "kill -9 $$" } },
} }"""
for name, said in (
    ("token", "env NOT_SET): this variable is not set"),
    ("gone", "No such file"),
    ("pipe", "no regular file"),
    ("dir", "no regular file"),
    ("short", "fewer than 8 bytes"),
    ("empty", "gave nothing"),
    ("nul", "NUL byte"),
    ("large", "more than 64 KiB"),
    ("code", "exited with 7: the store is locked"),
    ("none", "no-such-command-here"),
    ("killed", "ended by signal 9"),
    ("tokn", "did you mean token?"),
    ("no such", "letters, digits"),
):
    c = case(f'exec({{ "touch", "@DIR@/world" }})\nlocal s = secret "{name}"', BROKEN)
    os.mkfifo(c.dir / "pipe")
    c.write("short", "1234567")
    c.write("empty", "\n")
    c.write("nul", b"12345678\0")
    r = run(c)
    check(f"{name}: exit 2, no run, nothing started", (r.returncode, c.ids(), c.lines("world")) == (2, [], []), r.stderr)
    check(f"{name}: it says so", said in r.stderr and name in r.stderr and "hidden" not in r.stderr, r.stderr)
for source, said in (
    ('{ credential = "../x" }', "the name of a credential"),
    ('{ env = "A", file = "/b" }', "one source"),
    ('{ vault = "x" }', "unknown key"),
    ('"plain-text-0001"', "in clear"),
):
    c = case('print(secret "s")', f"return {{ secrets = {{ s = {source} }} }}")
    r = run(c)
    check(f"a source that is none, {source}: the configuration does not load", r.returncode == 2 and not c.ids()
          and "config.lua:1: secrets.s" in r.stderr and said in r.stderr and "plain-text" not in r.stderr, r.stderr)
c = case('print(secret "gone", secret "code", secret "token")', BROKEN)
r = run(c)
check("all that fail are named at once", all(n in r.stderr for n in ("gone", "code", "token")), r.stderr)
c = case('local ok, e = pcall(secret, "co" .. "de")\nprint(e.kind, e.outcome, e.message)\nprint(pcall(secret, 1))', BROKEN)
ends("a computed name that fails is an error of the call", run(c), 0)
check("that says why", "secret\tfailed" in c.prints()[0] and "store is locked" in c.prints()[0], c.prints())
contains("a name is a string", c.prints()[1], "must be a string")
c = case('print(secret "e")', "return {}")
contains("without any source in the configuration", run(c).stderr, "secrets = { e = { env")

c = case('signal "go"\nexec({ "sh", "-c", "cat > @DIR@/world" }, { stdin = secret "f" })')
run(c)
(c.dir / "held/f").unlink()
rb(c, "signal", c.id, "go")
r = rb(c, "resume", c.id)
check("a source has gone: the run does not go on", r.returncode == 2 and "held/f" in r.stderr, (r.returncode, r.stderr))
eq("and nothing started", (c.lines("world"), c.status()), ([], "waiting"))
c.write("held/f", SECRETS["f"])
ends("it stays resumable", rb(c, "resume", c.id), 0)
eq("and goes on when the source is back", c.lines("world"), [SECRETS["f"]])

c = case("""
local p = runbook { params = { token = { "secret", required = true } } }
exec({ "sh", "-c", "cat > @DIR@/world" }, { stdin = secret "token" })
""")
ends("a parameter by its name", run(c, "token=@held/f"), 0)
eq("is that secret", c.lines("world"), [SECRETS["f"]])

PARAM = """
local p = runbook { params = { c = { "secret", required = true }, f = { "secret" }, x = { "secret" } } }
print(p.c, p.f, p.x)
signal "go"
exec({ "sh", "-c", "cat > @DIR@/world" }, { stdin = p.c .. " " .. p.f })
"""
c = case(PARAM)
r = run(c)
ends("parameters that nobody gave", r, 3)
eq("come from the sources of their names", c.prints(), ["‹secret:c›\t‹secret:f›\tnil"])
eq("and the journal says so", c.events("run.start")[0]["secret_from"], {"c": "source:command", "f": "source:file"})
ends("a resume asks those again", rb(c, "signal", c.id, "go", "--resume"), 0)
eq("twice in all", (c.lines("asked"), c.lines("world")), (["asked"] * 2, [f"{SECRETS['c']} {SECRETS['f']}"]))
nowhere("nothing is anywhere", c, r.stdout, r.stderr)
c = case(PARAM)
c.write("given", "given-in-its-place-1")
ends("one that is given", run(c, "c=@given"), 3)
eq("is not asked of its source", (c.lines("asked"), c.events("run.start")[0]["secret_from"]["c"]), ([], f"file:{c.dir}/given"))
(c.dir / "held/f").unlink()
check("one whose source fails: the run does not start", run(c).returncode == 2 and len(c.ids()) == 1)

c = case("""
local p = runbook { name = "d", params = { f = { "secret" }, own = { "secret" } } }
local mod = require "mod"
print(secret "e", mod, secret("c" .. ""), secret "nope")
""")
c.write("mod.lua", 'return secret "k"')
said = rb(c, "describe", "t.lua").stdout
for name, source in (("e", "(env)"), ("k", "(credential)"), ("f", "(file)"), ("own", "a parameter"), ("nope", "no source")):
    check(f"describe names {name}", any(line.split()[:1] == [name] and source in line for line in said.splitlines()), said)
eq(
    "and in JSON",
    json.loads(rb(c, "describe", "t.lua", "--json").stdout)["secrets"],
    {"e": "env", "k": "credential", "f": "file", "own": None, "nope": None},
)
(c.dir / "held/f").chmod(0o644)
(c.dir / "held/k").unlink()
said = [line for line in rb(c, "doctor").stdout.splitlines() if " secret " in line]
for verdict, text in (
    ("ok", "e: the variable SECRET_E"),
    ("warn", "held/f can be read by others"),
    ("fail", "held/k: No such file"),
    ("ok", "c: the command sh (not run)"),
    ("ok", "s: standard input"),
):
    check(f"doctor: {text}", any(line.startswith(verdict) and text in line for line in said), said)
eq("it asks no source", c.lines("asked"), [])

c = case("""
local s = secret "e"
for _, fn in ipairs { function() return #s end, function() return s.x end, function() return s < s end,
    function() s.x = 1 end, function() secret.equal = nil end, function() return secret.eqal(s, s) end } do
    print((pcall(fn)))
end
print(secret.equal(s, secret "e"), secret.equal(s, "no"))
""")
ends("what a script may do with one", run(c), 0)
eq("nothing but join, pass and compare it", c.prints(), ["false"] * 4 + ["false", "false", "true\tfalse"])

c = case('local ok = pcall(secret, "no" .. "pe")\nif not ok then print "none" end', CONFIG)
ends("dry", run(c, "--dry"), 0)
finish()
