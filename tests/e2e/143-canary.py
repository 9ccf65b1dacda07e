#!/usr/bin/env python3
"""The canary: a secret from each source is used, by every primitive that takes one, told back by the world in every form, and then looked for everywhere:
journal, write-ahead log, shared memory, backup, exported run, every output, the arguments and environments of all
processes, a core dump, the memory of the process as another one of the same user sees it."""
import base64
import contextlib
import http.server
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, waits
from farlab import Lab
from lib import RBHOST, check, eq, finish, start, wait_for

NAMES = ("param", "env", "file", "credential", "command", "stdin", "told")
CANARY = {n: f"canary/{n}+{os.urandom(9).hex()} '\"&" for n in NAMES}


def forms(text):
    raw = text.encode()
    return {
        raw,
        raw.hex().encode(),
        raw.hex().upper().encode(),
        urllib.parse.quote(text).encode(),
        urllib.parse.quote(text, safe="").encode(),
        urllib.parse.quote_plus(text, safe="").encode(),
        json.dumps(text)[1:-1].encode(),
        *(base64.b64encode(b"x" * i + raw)[(4 * i + 2) // 3 : -4] for i in range(3)),
        *(base64.urlsafe_b64encode(b"x" * i + raw)[(4 * i + 2) // 3 : -4] for i in range(3)),
        text[:20].encode(),  # of a form that nobody thought of, perhaps the beginning
        raw[:16].hex().encode(),
    }


FORMS = {n: forms(c) for n, c in CANARY.items()}

TEXT = r"""
local p = runbook { params = { param = { "secret", required = true } } }
local all = { PARAM = p.param, ENV = secret "env", FILE = secret "file", CREDENTIAL = secret "credential",
    COMMAND = secret("com" .. "mand"), STDIN = secret "stdin",
    TOLD = exec({ "cat", "@DIR@/held/told" }, { secret = true }).stdout, RANDOM = random_secret(128) }
for name, s in pairs(all) do
    step("use " .. name, function()
        -- an environment, a standard input; what comes back in every form
        local r = exec({ "@DIR@/world.py", "V" }, { env = { V = s }, stdin = "x" .. s .. "y" })
        print(name, s, r.stdout, r.stderr)
        note(r.stdout)
        evidence(name, { r, s })
        local ok, e = pcall(exec, { "@DIR@/world.py", "V", "1" }, { env = { V = s } })
        print(e, e.result.stdout)
        pcall(exec, { "@DIR@/world.py", "V", "1" }, { env = { V = s }, secret = true })
    end)
end
exec({ "sh", "-c", "echo ready > @DIR@/ready; cat > /dev/null; until test -e @DIR@/go; do sleep 0.02; done" },
    { env = { HELD = all.FILE }, stdin = all.FILE, title = "the child that is meant" })
signal "go"
exec({ "sh", "-c", 'printf %s "$FILE" > @DIR@/held/world' }, { env = all })
"""
WORLD = """#!/usr/bin/env python3
import base64, json, os, shlex, sys, time, urllib.parse
v = os.environ[sys.argv[1]]
given = sys.stdin.read()
out = [v, base64.b64encode(v.encode()).decode(), base64.b64encode(b"user:" + v.encode() + b"\\n").decode(),
       base64.urlsafe_b64encode(b"ab" + v.encode()).decode(), v.encode().hex(), v.encode().hex().upper(),
       urllib.parse.quote(v), urllib.parse.quote_plus(v), json.dumps({"v": v}), json.dumps(v).replace("/", "\\\\/"),
       "".join(f"\\\\u{ord(c):04X}" for c in v), shlex.quote(v), given]
for line in out:
    for i in range(0, len(line), 7):  # in pieces
        os.write(1, line[i:i+7].encode())
    os.write(1, b"\\n")
    os.write(2, (line + "\\n").encode())
sys.exit(len(sys.argv) - 2)
"""


def case(text=TEXT):
    c = Case(text)
    c.write("world.py", WORLD).chmod(0o755)
    for n in ("file", "credential", "command", "told", "param"):
        c.write(f"held/{n}", CANARY[n] + "\n")
    c.write(
        "config.lua",
        """return { secrets = { env = { env = "CANARY" }, file = { file = "@DIR@/held/file" },
        credential = { credential = "credential" }, command = { command = { "cat", "@DIR@/held/command" } },
        stdin = { stdin = true } } }""",
    )
    c.env |= {
        "CANARY": CANARY["env"],
        "CREDENTIALS_DIRECTORY": str(c.dir / "held"),
        "XDG_CONFIG_HOME": str(c.dir / "xdg"),
        "XDG_STATE_HOME": str(c.dir / "state"),
    }
    return c


def found_in(data):
    return [n for n, fs in FORMS.items() if any(f in data for f in fs)]


def leaks(c):
    """Where a canary stands that nobody has put there."""
    out = []
    for path in c.dir.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a receipt, which has been collected
            if path.is_file() and path.parent.name != "held":
                out += [f"{n} in {path.relative_to(c.dir)}" for n in found_in(path.read_bytes())]
    return out


eq("the search finds what is there", sorted(found_in(" ".join(CANARY.values()).encode())), sorted(NAMES))
eq("in a form of it", found_in(base64.b64encode(b"ab:" + CANARY["file"].encode())), ["file"])

c = case()
r, w = os.pipe()
os.write(w, CANARY["stdin"].encode())
os.close(w)
p = c.start("--config", "config.lua", "run", c.name, "param=@held/param", "--json", "-v", "--wait", stdin=r)
os.close(r)
wait_for("the child", lambda: (c.dir / "ready").exists() or p.poll() is not None)

# -- while it runs: what every process shows of itself
meant, shown, own = [], [], []
for proc in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        line, environ = (proc / "cmdline").read_bytes(), (proc / "environ").read_bytes()
    except OSError:
        continue
    for n in found_in(line):
        shown.append(f"{n} in the arguments of {line!r}")
    for n in found_in(environ):
        if b"HELD=" in environ and n == "file":
            meant.append(proc.name)
        elif n == "env" and (int(proc.name) == p.pid or b"RBHOST_JOURNAL" in environ and b"world" not in line):
            own.append(n)  # where the test itself has put it: CANARY in the environment of rbhost
        else:
            shown.append(f"{n} in the environment of {line!r}")
check("the child that is meant has it", meant, "no process has")
eq("no other process has, in its arguments or its environment", shown, [])
wal = list(c.dir.glob("j.db*"))
check("there is a write-ahead log to search", any(f.name.endswith("-wal") for f in wal), wal)
wait_for("the receipts of what has been recorded to go", lambda: not [f for f in leaks(c) if "/receipts/" in f])
eq("nothing is in a file while it runs", leaks(c), [])

c.write("go", "")
waits(c)
ends("the journal is in order", c.rb("verify"), 0)
eq("it is paused", park(c, p), 143)
for args in (("show", "-v", c.id), ("log", c.id), ("log", "--json", c.id), ("ls", "--json"), ("status", c.id)):
    c.write(f"said-{args[0]}-{len(args)}", (r := c.rb(*args)).stdout + r.stderr)
c.write("said-config", (r := c.rb("--config", "config.lua", "doctor")).stdout + r.stderr)
c.write("said-describe", (r := c.rb("--config", "config.lua", "describe", c.name)).stdout + r.stderr)
c.rb("journal", "backup", "backup.db")
c.rb("signal", c.id, "go")
(c.dir / "held/told").unlink()
r = c.rb("--config", "config.lua", "resume", c.id, stdin=CANARY["stdin"])
c.write("said-resume", r.stdout + r.stderr)
ends("a resume", r, 0)
eq("has the same", (c.dir / "held/world").read_text(), CANARY["file"])
eq("nothing is in any file: journal, log, backup, output", leaks(c), [])

c = case('local s = secret "file"\nprint(exec({ "cat" }, { stdin = s }).stdout)\nsignal "go"')
c.rb("--config", "config.lua", "run", c.name)
ends("exported", c.rb("export", c.id, "-o", "run.rbrun"), 0)
eq("nothing is in an exported run", leaks(c), [])

def end_of(c, name, *more):
    """All that can be said of a parked run goes into files, as do its backup and its export; it is resumed to its end."""
    for args in (("show", "-v", c.id), ("show", "--json", c.id), ("log", c.id), ("log", "--json", c.id), ("status", c.id), *more):
        r = c.rb("--config", "config.lua", *args)
        c.write("said-" + "-".join(args[:2]).replace("/", ""), r.stdout + r.stderr)
    c.rb("journal", "backup", "backup.db")
    c.rb("signal", c.id, "go")
    r = c.rb("--config", "config.lua", "resume", c.id, "-v")
    c.write("said-resume", r.stdout + r.stderr)
    eq(f"{name}: resumed, it ends with its error", r.returncode, 1)
    ends(f"{name}: exported", c.rb("export", c.id, "-o", "run.rbrun"), 0)


# -- http, sql, file, notify, a DSN: the world has the secret, and says it wherever it can


class Echo(http.server.BaseHTTPRequestHandler):
    """Sends all that it was sent back, in the headers and the body, in every form; /hook/ is refused with it."""

    def do_POST(self):
        given = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = [self.path, *self.headers.values(), given.decode("latin-1")]
        parts += [urllib.parse.unquote_plus(p) for p in parts]
        world.append((self.path, dict(self.headers), given))
        raws = [p.encode("latin-1", "replace") for p in parts]
        said = [*raws, *(base64.b64encode(r) for r in raws), *(r.hex().encode() for r in raws),
                *(json.dumps(p).encode() for p in parts), *(urllib.parse.quote(p).encode() for p in parts)]
        body = b"\n".join(said)
        self.send_response(404 if "/hook/" in self.path else 400 if "/no" in self.path else 200)
        for i, line in enumerate(said):
            if b"\n" not in line and b"\r" not in line:
                self.send_header(f"X-Said-{i}", line.decode("latin-1"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST

    def log_message(self, *args):
        pass


world = []
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
U = f"http://127.0.0.1:{server.server_address[1]}"
HOOKS = {"hook": f"{U}/hook/", "gone": "http://127.0.0.1:1/hook/", "nowhere": "http://nobody.invalid/hook/"}
for n in HOOKS:
    token = f"canary{n}{os.urandom(12).hex()}"
    FORMS[n], HOOKS[n] = forms(token), HOOKS[n] + token
PRIMITIVES = r"""
runbook { notify = { waiting = "hook" } }
local s, ways = secret "file", {}
function ways.header() return http.post("@U@/x", { headers = { ["X-Canary"] = s, ["X-More"] = "a " .. s } }) end
function ways.bearer() return http.get("@U@/x", { bearer = s }) end
function ways.basic() return http.get("@U@/x", { auth = { user = "ada", password = s } }) end
function ways.query() return http.get("@U@/x", { query = { q = s, more = { s, "x" } } }) end
function ways.json() return http.post("@U@/x", { json = { a = { s }, b = "x" .. s } }) end
function ways.form() return http.post("@U@/x", { form = { a = s } }) end
function ways.multipart() return http.post("@U@/x", { multipart = { a = s, f = { file = "@DIR@/held/file" } } }) end
function ways.body() return http.put("@U@/x", { body = "<" .. s .. ">" }) end
function ways.refused() return http.post("@U@/no", { body = s, query = { s = s }, bearer = s }) end
function ways.gone() return http.post("http://127.0.0.1:1/x", { query = { s = s }, bearer = s }) end
function ways.save() return http.post("@U@/x", { json = { s }, save = "@DIR@/held/saved" }) end
function ways.sql()
    local db = sql.open "sqlite:@DIR@/held/t.sqlite?mode=rwc"
    db:exec "CREATE TABLE t (a TEXT, b BLOB)"
    db:exec("INSERT INTO t VALUES (?, ?)", s, s)
    db:tx(function(tx) tx:exec("INSERT INTO t VALUES (:s, hex(:s))", { s = s }) end)
    print(pcall(db.exec, db, "INSERT INTO nothing VALUES (?)", s))
    print(pcall(db.query, db, "SELECT * FROM t WHERE json_extract(?, '$') = 1", s))
    return { db:query "SELECT a, b, hex(a), quote(a) FROM t", db:value("SELECT ? || 'x'", s) }
end
function ways.file()
    file.write("@DIR@/held/written", "a" .. s .. "z")
    return { file.read "@DIR@/held/written", file.digest "@DIR@/held/written" }
end
for _, name in ipairs { "hook", "gone", "nowhere", "token" } do
    ways["notify " .. name] = function() return notify(name, "the disk is full", { timeout = "2s" }) end
end
function ways.dsn() return sql.open("pg", { timeout = "2s", connect_timeout = "2s" }):value "SELECT 1" end
for name, way in pairs(ways) do
    step(name, function()
        local ok, r = pcall(way)
        print(name, ok, r, ok and type(r) == "table" and json.encode(r) or r.message)
        if not ok then print(json.encode(r.result or {})) end
        note(json.encode(r))
        evidence(name, r)
        return r
    end)
end
signal "go"
print(s)
error("it ends with " .. tostring(s))
"""
c = case(PRIMITIVES.replace("@U@", U))
for n, url in HOOKS.items():
    c.write(f"held/{n}", url)
c.write("config.lua", f"""return {{
    secrets = {{ file = {{ file = "@DIR@/held/file" }}, hook = {{ file = "@DIR@/held/hook" }}, gone = {{ file = "@DIR@/held/gone" }},
        nowhere = {{ file = "@DIR@/held/nowhere" }} }},
    dsns = {{ pg = {{ dsn = "postgres://app@127.0.0.1:1/db", password = {{ secret = "file" }} }} }},
    channels = {{
        hook = {{ type = "webhook", url = {{ secret = "hook" }} }},
        gone = {{ type = "webhook", url = {{ secret = "gone" }} }},
        nowhere = {{ type = "slack", url = {{ secret = "nowhere" }} }},
        token = {{ type = "ntfy", url = "{U}/no/topic", token = {{ secret = "file" }} }},
    }},
}}""")
p = c.start("--config", "config.lua", "run", c.name, "-v", "--json", "--wait")
wait_for("the primitives", lambda: c.events("wait") or p.poll() is not None)
check("primitives: each is used", p.poll() is None, c.text("host.out")[-3000:])
shown = []
for proc in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        seen = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    except OSError:
        continue
    shown += [f"{n} in {proc}" for n in found_in(seen) if n != "env"]  # which is in rbhost's own
eq("primitives: no process shows it", shown, [])
eq("primitives: nothing is in a file while it runs", leaks(c), [])
sent = [b"".join((path.encode(), repr(head).encode(), body)) for path, head, body in world]
check("primitives: the world has it, in the path of a webhook too",
      sum("file" in found_in(x) for x in sent) == 11 and any("hook" in found_in(x) for x in sent), [found_in(x) for x in sent])
check("primitives: the database and the file have it", "file" in found_in((c.dir / "held/t.sqlite").read_bytes())
      and "file" in found_in((c.dir / "held/written").read_bytes()))
park(c, p)
end_of(c, "primitives", ("config", "show"), ("config", "show", "--origin"), ("config", "show", "--json"), ("doctor",))
ends("primitives: the journal is in order", c.rb("verify"), 0)
eq("primitives: nothing is in any file: journal, log, backup, export, output", leaks(c), [])
server.shutdown()
server.server_close()

# -- ssh: env, stdin, a password for sudo, uploads; an argument is refused. Both machines are searched

SSH = r"""
local s, pw = secret "file", secret "command"
local function try(f, ...)
    local ok, r = pcall(f, "web01", ...)
    print(ok, r, pcall(json.encode, ok and r or r.result or {})) -- some texts are secrets themselves
    evidence("said", ok and r or r.message)
end
local tell = 'cat; printenv V; printf %s "$V" | base64 -w0; printf %s "$V" | od -An -tx1 | tr -d " \n"; printenv V >&2; exit '
for _, read in ipairs { true, false } do
    for _, code in ipairs { 0, 3 } do
        try(ssh, tell .. code, { env = { V = s }, stdin = s, read = read })
        try(ssh, tell .. code, { env = { V = s }, stdin = s, read = read, sudo = { password = pw }, timeout = "60s" })
        try(ssh, { "printenv", "V" }, { env = { V = "<" .. s .. ">" }, read = read, secret = true })
    end
    try(ssh, { "echo", s }, { read = read })
    try(ssh, "echo " .. s, { read = read })
    try(ssh, { "true" }, { cwd = "/" .. s, read = read })
end
try(ssh, { "printenv", "V" }, { env = { V = s }, survive = false })
try(ssh, { "true" }, { sudo = { password = s } }) -- a wrong one
try(ssh.upload, { content = "a" .. s .. "z", to = "@DIR@/held/up" })
try(ssh.upload, { from = "@DIR@/held/file", to = "@DIR@/held/up2", sudo = { password = pw } })
try(ssh.upload, { content = s, to = "@DIR@/nowhere/up" })
try(ssh.download, { from = "@DIR@/held/up" })
try(ssh.download, { from = "@DIR@/held/up", to = "@DIR@/held/down", sudo = { password = pw } })
try(ssh.each, { env = { V = s }, stdin = s }, { "sh", "-c", "cat; printenv V; exit 1" })
ssh("web01", "echo ready >@DIR@/ready; cat >/dev/null; until test -e @DIR@/go; do sleep 0.02; done",
    { env = { HELD = s }, stdin = s, title = "the child that is meant" })
signal "go"
error("it ends with " .. tostring(s))
"""
with Lab(1) as lab:
    lab.stand_in_sudo(CANARY["command"])
    c = case(SSH)
    c.write("config.lua", f"""return {{ ssh = {{ config = "{lab.config}" }}, secrets = {{ file = {{ file = "@DIR@/held/file" }},
        command = {{ command = {{ "cat", "@DIR@/held/command" }} }} }} }}""")
    p = c.start("--config", "config.lua", "run", c.name, "-v", "--json", "--wait")
    wait_for("the child over there", lambda: (c.dir / "ready").exists() or p.poll() is not None)
    check("ssh: each way is tried", p.poll() is None, c.text("host.out")[-3000:])

    def far_leaks():
        out = []
        for path in lab.dir.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and path.parent.name != "held":
                    out += [f"{n} in {path.relative_to(lab.dir)}" for n in found_in(path.read_bytes())]
        return out

    meant, shown = [], []
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line, environ = (proc / "cmdline").read_bytes(), (proc / "environ").read_bytes()
        except OSError:
            continue
        shown += [f"{n} in the arguments of {line!r}" for n in found_in(line)]
        for n in found_in(environ):
            if b"HELD=" in environ and n == "file":
                meant.append(proc.name)
            elif n != "env":  # which is in rbhost's own
                shown.append(f"{n} in the environment of {line!r}")
    check("ssh: the child that is meant has it", meant, "no process has")
    eq("ssh: no other process of either machine shows it", shown, [])
    wait_for("receipts of what is recorded to be emptied", lambda: not far_leaks() or p.poll() is not None)
    eq("ssh: nothing is in a file here while it runs", leaks(c), [])
    eq("ssh: nor over there, in a receipt, a log, or what sudo was called with", far_leaks(), [])
    check("ssh: sudo was called", "--preserve-env=V" in (lab.dir / "sudo.log").read_text(), (lab.dir / "sudo.log").read_text())
    eq("ssh: what was sent has it", [f for f in ("up", "up2", "down") if "file" not in found_in((c.dir / "held" / f).read_bytes())], [])
    c.write("go", "")
    waits(c)
    park(c, p)
    end_of(c, "ssh")
    eq("ssh: nothing is in any file: journal, log, backup, export, output", leaks(c) + far_leaks(), [])

# -- a core dump, and the memory as others see it

INSTRUMENTED = any(v in RBHOST for v in ("/asan/", "/tsan/", "/ubsan/"))  # their leak check attaches as a debugger does


def unlimited():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def dies(text):
    c = case(text)
    p = c.start("--config", "config.lua", "run", c.name, "--wait", preexec_fn=unlimited)
    waits(c)
    p.send_signal(signal.SIGABRT)
    _, code = os.waitpid(p.pid, 0)
    p.returncode = -signal.SIGABRT
    return c, code


HOLDS, HOLDS_NONE = 'local s = secret "file"\nsignal "go"', 'signal "go"'
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
if hard != resource.RLIM_INFINITY or INSTRUMENTED:
    check("core dumps # SKIP there are none here", True)
else:
    c, code = dies(HOLDS_NONE)
    control = os.WCOREDUMP(code)
    c, code = dies(HOLDS)
    note = "" if control else " (nor does any other, on this machine)"
    check("one that holds a secret leaves no core dump" + note, not os.WCOREDUMP(code), code)
    eq("nothing is in what it leaves", leaks(c), [])

PEEK = 'for f in environ mem; do if (: < "/proc/$1/$f") 2>/dev/null; then echo "$f opens"; else echo "$f is refused"; fi; done'


def peek(text):
    """What another process of the user who runs it may open. For root all is open: then both are somebody else."""
    c = case(text)
    who = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder:
        program = shutil.copy(RBHOST, folder)
        home = pathlib.Path(folder) / "home"
        shutil.copytree(c.dir, home)
        config = home / "config.lua"
        config.write_text(config.read_text().replace(str(c.dir), str(home)))
        for path in (pathlib.Path(folder), home, *home.rglob("*")):
            os.chown(path, who.get("user", -1), who.get("group", -1))
        env = {**c.env, "RBHOST_JOURNAL": str(home / "j.db"), "HOME": str(home), "XDG_STATE_HOME": str(home)}
        argv = [program, "--config", str(config), "run", str(home / c.name), "--wait"]
        with open(c.dir / "host.out", "wb") as out:
            p = start(argv, env=env, cwd=home, stdout=out, stderr=out, **who)
        wait_for("the run to wait", lambda: "waits" in c.text("host.out") or p.poll() is not None)
        r = subprocess.run(["sh", "-c", PEEK, "sh", str(p.pid)], capture_output=True, text=True, cwd="/", **who)
        p.terminate()
        p.wait(60)
        return r.stdout


control = peek(HOLDS_NONE)
if not INSTRUMENTED and "environ opens" in control:
    eq("no process of the same user can open one that holds a secret", peek(HOLDS), "environ is refused\nmem is refused\n")
else:
    check("looking into a process # SKIP it can not be tried here", True)
finish()
