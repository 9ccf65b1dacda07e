#!/usr/bin/env python3
"""exec, whole: argv, cwd, env, stdin, time-out, process group, TERM then KILL, caps, binary output, hundreds at once,
nothing left behind."""
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, alive, ends, prints, waits
from lib import check, contains, eq, finish, wait_for

# -- what goes in

prints(
    "argv reaches the command as it is: spaces, quotes, newlines, empty, numbers, not UTF-8, options of the shell",
    r"""
    local r = exec({ "printf", "[%s]", "a b", "'\"", "", "x\ny", 5, 1.5, "*", "$HOME", "-n", "ü" })
    print((r.stdout:gsub("\n", "/")))
    print(exec({ "printf", "%s", "\xff\xfe" }).stdout == "\xff\xfe")
    """,
    ["[a b]['\"][][x/y][5][1.5][*][$HOME][-n][ü]", "true"],
)
for bad, says in (
    ('exec({})', "exec"),
    ('exec({ "" })', "exec"),
    ('exec("ls -l")', "exec.sh"),
    ('exec()', "exec"),
    ('exec({ "echo", {} })', "argument"),
    ('exec({ "echo", nil, "x" })', "exec"),
    ('exec({ "echo", true })', "argument"),
    ('exec({ "echo", "a\\0b" })', "NUL"),
    ('exec({ "ec\\0ho" })', "NUL"),
    ('exec({ "true" }, { cwd = "/t\\0mp" })', "NUL"),
    ('exec({ "true" }, { env = { A = "x\\0y" } })', "NUL"),
    ('exec({ "true" }, { env = { ["A=B"] = "x" } })', "env"),
    ('exec({ "true" }, { env = "A=1" })', "env"),
    ('exec({ "true" }, { env = { A = {} } })', "env"),
    ('exec({ "true" }, { stdin = {} })', "stdin"),
    ('exec({ "true" }, { cwd = 5 })', "cwd"),
    ('exec({ "true" }, { timeout = "soon" })', "timeout"),
    ('exec({ "true" }, { timeout = -1 })', "timeout"),
    ('exec({ "true" }, { max_output = -1 })', "max_output"),
    ('exec({ "true" }, { max_output = "lots" })', "max_output"),
    ('exec({ "true" }, { tmeout = "1s" })', "did you mean timeout"),
    ('exec({ "true" }, { on_doubt = "perhaps" })', "on_doubt"),
    ('exec({ "true" }, "opts")', "options"),
    ('exec.sh()', "exec.sh"),
    ('exec.sh({ "ls" })', "exec.sh"),
    ('exec.shell("ls")', ""),
    ('exec.sh = print', "exec"),
):
    c = Case(bad)
    r = c.run()
    check(
        f"{bad}: an error of the author, with its place",
        r.returncode == 1 and "t.lua:1: " in r.stderr and says in r.stderr,
        f"exit {r.returncode}, want 1 and {says!r}\n{r.stderr}",
    )
    check(f"{bad}: nothing was started", not c.events("intent"), c.events("intent"))
prints("stdin, with NUL bytes and 1 MB of it",
       r"""
       print(exec({ "cat" }, { stdin = "a\0b" }).stdout == "a\0b", exec({ "wc", "-c" }, { stdin = ("x"):rep(1000000) }).stdout:match("%d+"))
       print(exec({ "cat" }).stdout == "", exec({ "true" }, { stdin = ("x"):rep(1000000) }).code)
       """, ["true\t1000000", "true\t0"])
prints(
    "cwd, absolute and as the command sees it",
    'print((exec({ "pwd" }, { cwd = "/usr" }).stdout:gsub("\\n", "")))',
    "/usr",
)
c = Case(
    'print(exec({ "env" }).stdout)\nprint((exec({ "sh", "-c", "echo $A-$HOME" }, { env = { A = 5, HOME = "/h" } }).stdout:gsub("\\n", "")))',
)
r = c.run(env={"SECRET_OF_MINE": "x", "LD_PRELOAD_NOT": "y", "LC_TIME": "C", "A": "outer"})
names = {line.split("=")[0] for line in c.prints()[0].splitlines()}
allowed = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM", "TMPDIR", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR"}
check(
    "commands get the small environment only",
    names <= allowed | {n for n in names if n.startswith("LC_")} and "LC_TIME" in names,
    names,
)
eq("env of the call is added and replaces", c.prints()[1], "5-/h")
c = Case('runbook { env = { "MINE" } }\nprint((exec({ "sh", "-c", "echo $MINE" }).stdout:gsub("\\n", "")))')
c.run(env={"MINE": "let through"})
eq("names that the header lets through reach commands", c.prints(), ["let through"])
c = Case(
    'runbook { allow = { exec = { "echo" } } }\nprint(pcall(exec, { "echo", "x" }))\nlocal ok, e = pcall(exec, { "touch", "@DIR@/made" })\nprint(ok, e.kind, e.outcome)',
)
r = c.run()
eq(
    "what the header's allow does not name is refused",
    (c.prints()[1:], (c.dir / "made").exists()),
    (["false\tpolicy\tnot_started"], False),
)
c = Case('runbook { allow = { exec = { "echo" } } }\nexec({ "touch", "@DIR@/made" })')
eq("refused and not caught: exit code 4", c.run().returncode, 4)

# -- what comes out

prints("stdout, stderr, code, signal, time",
       r"""
       local r = exec({ "sh", "-c", "printf out; printf err >&2" })
       print(r.stdout, r.stderr, r.code, r.signal, r.time > 0, r.time < 60)
       r = exec({ "sh", "-c", "exit 255" }, { check = false }) print(r.code)
       r = exec.sh("kill -TERM $$", { check = false }) print(r.code, r.signal)
       print((exec.sh("echo a | tr a b; echo $0 $#").stdout:gsub("\n", " ")))
       """, ["out\terr\t0\tnil\ttrue\ttrue", "255", "nil\t15", "b /bin/sh 0 "])
c = Case(r"""
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    all = table.concat(all):rep(40)
    local r = exec({ "cat" }, { stdin = all })
    print(r.stdout == all, #r.stdout)
    signal "go"
    exec({ "sh", "-c", "cat > @DIR@/back" }, { stdin = r.stdout })
""")
ends("binary output", c.run(), 3)
eq("is what came", c.prints(), ["true\t10240"])
ends("and after a resume from the journal too", c.rb("signal", c.id, "go", "--resume"), 0)
eq("byte for byte", (c.dir / "back").read_bytes(), bytes(range(256)) * 40)
c = Case(r"""
    local r = exec({ "sh", "-c", "head -c 10000000 /dev/zero | tr '\\0' 'x'; echo end >&2" })
    print(#r.stdout, r.stderr, r.stdout_cut and r.stdout_cut.total, r.stdout_cut and r.stdout_cut.sha256)
    r = exec({ "sh", "-c", "head -c 100000 /dev/zero" }, { max_output = 1000 })
    print(#r.stdout, r.stdout_cut.total, r.stdout_cut.sha256, r.stderr_cut)
    r = exec({ "echo", "x" }, { max_output = 0 })
    print(#r.stdout, r.stdout_cut.total)
    r = exec({ "echo", "x" }, { max_output = 2 })
    print(#r.stdout, r.stdout_cut)
""")
r = c.run()
ends("10 MB of output", r, 0)
got = c.prints()[0].split("\t") if c.prints() else []
check(
    "is cut, with how much came and the digest of all of it",
    len(got) >= 4 and int(got[0]) < 10_000_000 and got[2:] == ["10000000", hashlib.sha256(b"x" * 10_000_000).hexdigest()],
    got,
)
eq("max_output of the call", c.prints()[1], f"1000\t100000\t{hashlib.sha256(bytes(100000)).hexdigest()}\tnil")
eq("0 keeps nothing", c.prints()[2], "0\t2")
eq("just enough is not cut", c.prints()[3], "2\tnil")
size = sum(f.stat().st_size for f in c.dir.glob("j.db*") if f.is_file())
check("the journal keeps no more than that", size < 12_000_000, size)
ends("and verifies", c.rb("verify"), 0)
prints("output that is not UTF-8 in an error is shown, and the line is text",
       r"""
       local ok, e = pcall(exec, { "sh", "-c", "printf 'a\\377b' >&2; exit 1" })
       print(e.result.stderr == "a\xffb", #tostring(e) > 10)
       """, "true\ttrue")
c = Case('exec({ "sh", "-c", "printf \'\\\\033[31mred\\\\007\\\\rx\'; exit 1" })')
r = c.run()
check(
    "control characters of a command do not reach the terminal",
    "\x1b" not in r.stdout + r.stderr and "\x07" not in r.stdout + r.stderr,
    repr(r.stdout + r.stderr),
)

# -- stopping

c = Case(r"""
    local ok, e = pcall(exec, { "sh", "-c", "sleep 300 & echo $! $$ > @DIR@/pids; wait" }, { timeout = "300ms" })
    print(e.kind, e.outcome, e.result and e.result.signal)
""")
ends("a time-out", c.run(), 0)
pids = c.text("pids").split()
check("ends the whole group", len(pids) == 2 and not any(map(alive, pids)), pids)
c = Case(r"""
    local ok, e = pcall(exec, { "sh", "-c", "trap 'echo TERM >> @DIR@/got' TERM; echo $$ > @DIR@/pid; while :; do sleep 0.05; done" }, { timeout = "300ms" })
    print(e.kind, e.outcome)
""")
ends("a command that ignores TERM", c.run(), 0)
eq("was asked first", c.lines("got")[:1], ["TERM"])
check("and then killed", not alive(c.text("pid").strip()), c.text("pid"))
c = Case(r"""
    local ok, e = pcall(exec, { "sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done" }, { timeout = "300ms" })
    print(e.kind, e.outcome, e.result.stdout)
""")
ends("a command that ends itself on TERM", c.run(), 0)
eq("its last words are kept", c.prints(), ["exec.timeout\tunknown\tup\nbye\n"])
c = Case(r"""
    local r = exec({ "sh", "-c", "sleep 300 & echo $! > @DIR@/pid; echo early" })
    print(r.code, r.stdout)
""")
r = c.run(timeout=40)
ends("a command that leaves a child which holds its output open", r, 0)
eq("has ended when it has", c.prints(), ["0\tearly\n"])
subprocess.run(["kill", "-9", c.text("pid").strip()], check=False, stderr=subprocess.DEVNULL)

# -- many

c = Case(r"""
    local list = {}
    for i = 1, 300 do list[i] = i end
    local r = each(list, { limit = 300 }, function(i)
      return tonumber(exec({ "sh", "-c", "echo $0", i }, { title = "number " .. i }).stdout)
    end)
    local sum = 0
    for _, v in ipairs(r) do sum = sum + v end
    print(#r, sum)
""")
r = c.run(timeout=100)
ends("300 commands at once", r, 0)
eq("each gave its result", c.prints(), ["300\t45150"])
c = Case(r"""
    local list = {}
    for i = 1, 12 do list[i] = i end
    each(list, { limit = 12 }, function(i)
      exec.sh([[cd @DIR@; mkdir -p on; : > on/$$; ls on | wc -l >> most; echo ]] .. i .. [[ >> order; rm on/$$]])
    end)
""")
c.write("conf.lua", "return { limits = { max_exec = 2 } }")
ends("a limit in the configuration", c.run("--config", c.dir / "conf.lua"), 0)
check("is kept", len(c.lines("most")) == 12 and max(map(int, c.lines("most"))) <= 2, c.lines("most"))
check("and who waits comes in the order of asking, two by two",
      all(abs(int(v) - i) <= 2 for i, v in enumerate(c.lines("order"), 1)), c.lines("order"))

# -- nothing is left: no zombie, no descriptor

c = Case(r"""
    for i = 1, 20 do exec({ "true" }) pcall(exec, { "no-such-command" }) exec.sh("exit 1", { check = false, stdin = "x" }) end
    each({ 1, 2, 3, 4, 5, 6, 7, 8 }, function() pcall(exec, { "sleep", "60" }, { timeout = "10ms" }) end)
    print "done"
    signal "go"
""")
p = c.start("run", "t.lua", "--wait")
waits(c)
children = wait_for(
    "children",
    lambda: subprocess.run(["ps", "--ppid", str(p.pid), "-o", "pid=,stat=,args="], capture_output=True, text=True),
)
eq("68 commands later there is no child and no zombie", children.stdout, "")
fds = os.listdir(f"/proc/{p.pid}/fd")
check("and the host holds a handful of descriptors", len(fds) < 30, [os.readlink(f"/proc/{p.pid}/fd/{f}") for f in fds])
c2 = Case('print((exec({ "sh", "-c", "ls /proc/$$/fd | tr \'\\\\n\' \' \'" }).stdout))')
c2.run()
eq(
    "a command has its three descriptors and no other",
    c2.prints()[0].split()[:3] if c2.prints() else None,
    ["0", "1", "2"],
)
check("of the host's own none", len(c2.prints()[0].split()) <= 4, c2.prints())
prints("a command leads a group of its own and its signals are as usual",
       r"""
       local r = exec({ "sh", "-c", "test $(ps -o pgid= -p $$) -eq $$ && echo leader; grep -E 'Sig(Blk|Ign)' /proc/self/status" })
       print((r.stdout:gsub("%s+", " ")))
       """, "leader SigBlk: 0000000000000000 SigIgn: 0000000000000000 ")
finish()
