#!/usr/bin/env python3
"""ssh against a real sshd: what goes in, what comes back, errors of the command, secrets, sudo, reads and dry runs.

# time-limit: 240
"""
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends
from farlab import Lab, words
from lib import check, contains, eq, finish, lacks

lab = Lab(2)
lab.__enter__()

# -- what goes in, and what comes back

lab.prints(
    "argv reaches the command as it is, whatever the shell over there could make of it",
    r"""
    local words = { "a b", "'\"", "", "x\ny", "*", "$HOME", "`id`", "-n", "ü", "\\", "!", "~", "a;b", "%d", "\t", "#" }
    local r = ssh("web01", { "printf", "[%s]", table.unpack(words) })
    local want = ""
    for _, w in ipairs(words) do want = want .. "[" .. w .. "]" end
    print(r.stdout == want, r.code, r.stderr, r.host, r.time >= 0)
    print(ssh("web01", { "printf", "%s", "\xff\xfe" }).stdout == "\xff\xfe")
    """,
    ["true  0    web01  true", "true"],
)
lab.prints(
    "a text is the shell's, with its variables and pipes",
    r"""
    print(ssh("web01", "printf '%s' a b | tr a-z A-Z; echo \" $LAB_HOST\"").stdout)
    print(ssh("web02", "cat <<X\n$((6*7))\nX").stdout)
    """,
    ["AB web01\n", "42\n"],
)
lab.prints(
    "env, cwd and stdin reach it; stdin is empty when none is given",
    r"""
    local r = ssh("web01", "pwd; printf '%s|' \"$A\" \"$B\"; cat", {
        cwd = "/", env = { A = "it's \"here\"", B = "x\ny" }, stdin = "line\n\0end" })
    print(r.stdout == "/\nit's \"here\"|x\ny|line\n\0end", r.stdout)
    print(#ssh("web01", { "cat" }).stdout)
    local big = ("x"):rep(1000000)
    print(ssh("web01", { "wc", "-c" }, { stdin = big }).stdout:match "%d+")
    """,
    ["true  /\nit's \"here\"|x\ny|line\n\0end", "0", "1000000"],
)
lab.prints(
    "read = true runs plainly, in a check and in a dry run; its results are the same",
    r"""
    checklist "c" { { "s", "t", function()
        local r = ssh("web01", { "sh", "-c", "echo out; echo err >&2" }, { read = true })
        assert(r.stdout == "out\n" and r.stderr == "err\n" and r.code == 0)
    end } }
    local r = ssh("web01", "cat; exit 4", { read = true, check = false, stdin = "in", env = { A = "b" } })
    print(r.code, r.stdout)
    """,
    ["4  in"],
)
lab.prints(
    "what a host is called: a text with user and port, a table with a name",
    f"""
    print(ssh("{lab.user}@web01:{lab.port}", {{ "true" }}).host)
    print(ssh({{ host = "web01", user = "{lab.user}", name = "front" }}, {{ "true" }}).host)
    """,
    [f"{lab.user}@web01:{lab.port}", "front"],
)

# -- how it ends

c = lab.prints(
    "another exit code, a signal, a command that is not there, check = false",
    r"""
    local function try(...)
        local ok, e = pcall(ssh, "web01", ...)
        print(e.kind, e.outcome, e.result and e.result.code, e.result and e.result.signal, e.where)
        return e
    end
    local e = try({ "sh", "-c", "echo partly; echo no space >&2; exit 3" })
    print(e.result.stdout, tostring(e))
    try({ "sh", "-c", "kill -9 $$" })
    try({ "no-such-command-there" })
    try({ "sh", "-c", "exit 255" })
    try("exit 7", { read = true })
    print(ssh("web01", "exit 9", { check = false }).code)
    """,
    [
        "ssh.exit  failed  3  nil  t.lua:3",
        "partly\n  t.lua:3: ssh web01: `sh -c echo partly; echo no space >&2; exit 3` exited with 3: no space",
        "ssh.signal  unknown  nil  9  t.lua:3",
        "ssh.not_found  not_started  nil  nil  t.lua:3",
        "ssh.exit  failed  255  nil  t.lua:3",
        "ssh.exit  failed  7  nil  t.lua:3",
        "9",
    ],
)
lab.prints(
    "output is capped, counted and says so, with and without a receipt",
    r"""
    for _, read in ipairs { true, false } do
        local r = ssh("web01", "head -c 300000 /dev/zero | tr '\\0' x; echo err >&2", { read = read, max_output = 1000 })
        print(#r.stdout, r.stdout_cut.total, r.stderr, r.stderr_cut)
    end
    """,
    ["1000  300000  err\n  nil", "1000  300000  err\n  nil"],
)
for bad, says in (
    ('ssh("web01", {})', "ssh"),
    ('ssh("web01", { "" })', "ssh"),
    ('ssh("web01")', "command"),
    ('ssh("web01", "")', "empty"),
    ('ssh("web01", { "a", "b\\0c" })', "NUL"),
    ('ssh("", { "true" })', "host"),
    ('ssh({ host = "web01", prot = 22 }, { "true" })', "did you mean port"),
    ('ssh({ host = "web01", port = 0 }, { "true" })', "port"),
    ('ssh({ host = "web01", jump = "-x" }, { "true" })', "jump"),
    ('ssh("web01", { "true" }, { sudo = "yes" })', "sudo"),
    ('ssh("web01", { "true" }, { env = { ["A=B"] = "x" } })', "A=B"),
    ('ssh("web01", { "true" }, { env = { ["A-B"] = "x" } })', "env.A-B is no variable"),
    ('ssh("web01", { "true" }, { env = { IFS = "x" } })', "env.IFS is no variable"),
    ('ssh("web01", { "-x" })', 'can not begin with "-"'),
    ('ssh("web01", { "true" }, { timeout = "soon" })', "timeout"),
    ('ssh("web01", { "true" }, { max_output = -1 })', "max_output"),
    ('ssh("web01", { "true" }, { surviv = true })', "survive"),
    ('ssh.upload("web01", { to = "x" })', "from = PATH or content = TEXT"),
    ('ssh.upload("web01", { content = "x", to = "x", mode = 640 })', "mode"),
    ('ssh.download("web01", { to = "x" })', "from"),
    ('ssh.each("web01", { limit = 0 }, "true")', "limit"),
    ('ssh.each("web01", { max_failures = "x" }, "true")', "max_failures"),
    ('ssh.each("web01", {})', "what each host is for"),
):
    c = lab.case(bad)
    r = c.run()
    check(f"{bad}: an error of the author, with its place",
          r.returncode == 1 and "t.lua:1: " in r.stderr and says in r.stderr, f"exit {r.returncode}\n{r.stderr}")
    check(f"{bad}: nothing was started", not c.events("intent"), c.events("intent"))

# -- the journal

c = lab.case('ssh("web01", { "echo", "hi" }, { env = { A = "b" }, stdin = "in", cwd = "/", title = "greet" })')
ends("it runs", c.run(), 0)
intent, result = c.events("intent")[0], c.events("result")[0]
eq("the intent says where and what", {k: intent["args"].get(k) for k in ("host", "argv", "env", "cwd")},
   {"host": "web01", "argv": ["echo", "hi"], "env": ["A=b"], "cwd": "/"})
check("and the place: root, boot, machine and user over there",
      all(intent.get("place", {}).get(k) for k in ("root", "boot", "machine", "login")), intent)
eq("its title is the author's", intent.get("title"), "greet")
c = lab.case('ssh("web01", { "echo", "hi" })\nssh("web01", "echo 1\\necho 2", { survive = false })')
ends("and without a title", c.run(), 0)
eq("it is the host and the command", [e.get("title") for e in c.events("intent")],
   ["ssh web01: echo hi", "ssh web01: echo 1 …"])
check("survive = false: no place", "place" not in c.events("intent")[1], c.events("intent"))
eq("it has reached the host all the same", c.events("result")[1]["value"]["stdout"], "1\n2\n")

c = lab.case('ssh("web01", "touch @LAB@/was-here")\nprint(ssh("web01", "echo seen", { read = true }).stdout)')
ends("a dry run", c.run("--dry"), 0)
check("starts no effect", not (lab.dir / "was-here").exists())
eq("and reads", c.prints(), ["seen\n"])

# -- secrets: over standard input, never in an argument

c = lab.case(r"""
    local s = secret "token"
    local look = "; echo; ps -ewwo args | grep -c '[c]orrect-hunter2'; cat /proc/[0-9]*/cmdline 2>&1 | grep -ac '[c]orrect-hunter2'"
    for _, read in ipairs { false, true } do
        local r = ssh("web01", "printf '%s' \"$TOKEN\" | cksum; cat; echo \" $TOKEN\"" .. look,
            { env = { TOKEN = s }, stdin = s, read = read, check = false })
        print((r.stdout:gsub("\n", " ")))
    end
    print(pcall(ssh, "web01", { "echo", s }))
    print(pcall(ssh, "web01", "echo " .. s))
    """, '|secrets = { token = { env = "THE_TOKEN" } }')
r = c.run(env={"THE_TOKEN": "correct-hunter2-horse"})
said = words(c)
eq("a secret arrives whole, by env and stdin; comes back as its placeholder; and no argument over there has it", said[:2],
   ["1287168396 21 ‹secret:token› ‹secret:token›  0 0 "] * 2)
kept = b"".join(p.read_bytes() for p in c.dir.glob("j.db*") if p.is_file())
lacks("it is not in the output, nor in the journal", r.stdout + r.stderr + kept.decode("latin1"), "correct-hunter2")
contains("as an argument it is refused", "\n".join(said[2:3]), "is a secret")
contains("and in a text of the shell, too", said[3], "is a secret: every user of the machine can see")

# -- sudo: a program of that name, since the real one needs rights

lab.stand_in_sudo("open-sesame-1", asks=False)
c = lab.case(r"""
    print(ssh("web01", "echo $AS_ROOT $A; cat", { sudo = true, stdin = "in", env = { A = "b" } }).stdout)
    print(ssh("web01", { "sh", "-c", "echo $AS_ROOT" }, { sudo = true, read = true }).stdout)
    """)
ends("sudo", c.run(), 0)
eq("the command runs by it, with its input", c.prints(), ["1 b\nin", "1\n"])
(lab.dir / "sudo.asks").touch()
c = lab.case(r"""
    local _, e = pcall(ssh, "web01", { "true" }, { sudo = true, timeout = "30s" })
    print(e.kind, e.message)
    print(ssh("web01", "echo $AS_ROOT; cat", { sudo = { password = secret "pw" }, stdin = "in" }).stdout)
    local _, e = pcall(ssh, "web01", { "true" }, { sudo = { password = secret "wrong" }, timeout = "30s" })
    print(e.kind, e.message)
    """, '|secrets = { pw = { env = "PW" }, wrong = { env = "WRONG" } }')
r = c.run(env={"PW": "open-sesame-1", "WRONG": "open-sesame-2"})
said = words(c)
eq("without a password where one is wanted it fails at once", said[0:1],
   ["ssh.sudo  ssh web01: `true` was not started: sudo: a password is required"])
eq("with one it runs, and the input is the command's", said[1:2], ["1\nin"])
check("a wrong one fails, and nothing hangs", len(said) == 3 and "incorrect password" in said[2], r.stderr)
lacks("no password in an argument", (lab.dir / "sudo.log").read_text(), "open-sesame")

lab.close()
finish()
