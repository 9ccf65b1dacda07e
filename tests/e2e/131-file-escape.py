#!/usr/bin/env python3
"""No path leads out of what the policy names: not by .., not by links of any kind, not by a folder that is swapped for a
link at the very moment. With openat2, and without it."""
import os
import sys
import threading

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import RBHOST, RBHOST_FAULT, check, contains, eq, finish, lacks

KERNELS = ((RBHOST, {}, ""), (RBHOST_FAULT, {"RBHOST_MUTATE": "no-openat2"}, " (no openat2)"))
HEAD = 'runbook { allow = { file = { "in/**", "one.conf", "*.txt" } } }\n'


def outside(c):
    return {str(p.relative_to(c.dir / "out")): p.read_text() for p in (c.dir / "out").rglob("*") if p.is_file()}


for binary, env, kernel in KERNELS:
    c = Case(HEAD + r"""
    local function try(verb, path, ...)
        local ok, e = pcall(file[verb], path, ...)
        print(verb, path, ok and "went" or e.kind .. " " .. e.outcome)
    end
    for _, path in ipairs { "in/../out/secret", "../in/x", "/etc/passwd", "in/abs", "in/rel", "in/chain", "in/dir/secret",
            "in/updir/secret", "in/deep/dir/secret", "one.conf", "a.txt", "in/proc", "out.conf", "inn/x" } do
        try("read", path)
        try("digest", path)
        try("write", path, "mine")
    end
    for _, path in ipairs { "in/dir", "in/dir/sub", "in/updir" } do
        try("list", path)
        try("mkdir", path .. "/made")
        try("mkdir", path .. "/made/all", { parents = true })
        try("remove", path .. "/secret")
        try("remove", path .. "/sub", { recursive = true })
    end
    try("stat", "in/dir/secret") try("stat", "in/abs", { follow = true })
    try("write", "in/x", "y", { backup = "out/backup" })
    try("write", "in/x", "y", { backup = "in/dir/backup" })
    try("remove", "in/tree", { recursive = true })
    print(file.stat("in/abs").type)
    """)
    (c.dir / "out/sub").mkdir(parents=True)
    (c.dir / "in/deep").mkdir(parents=True)
    (c.dir / "in/tree/t").mkdir(parents=True)
    (c.dir / "in/x").write_text("x")
    (c.dir / "out/secret").write_text("secret")
    (c.dir / "out/sub/keep").write_text("keep")
    for link, to in (("in/abs", c.dir / "out/secret"), ("in/rel", "../out/secret"), ("in/chain", "link2"),
                     ("in/link2", "deep/link3"), ("in/deep/link3", "../../out/secret"), ("in/dir", c.dir / "out"),
                     ("in/updir", "../out"), ("in/deep/dir", "../dir"), ("one.conf", "out/secret"),
                     ("a.txt", "out/secret"), ("in/proc", "/proc/self/environ"), ("in/tree/t/out", c.dir / "out")):
        (c.dir / link).symlink_to(to)
    ends(f"escapes{kernel}", c.rb("run", "t.lua", binary=binary, env=env), 0)
    got = [line.split("\t") for line in c.prints()]
    went = [line for line in got if line[-1] == "went"]
    eq(f"nothing went but what stays inside{kernel}", went, [["remove", "in/tree", "went"]])
    eq(f"each was refused by the policy, before it began{kernel}",
       [line for line in got[:-2] if len(line) == 3 and line[2] not in ("policy not_started", "went")], [])
    eq(f"a link may be looked at{kernel}", got[-1], ["link"])
    eq(f"outside all is as it was{kernel}", outside(c), {"secret": "secret", "sub/keep": "keep"})
    eq(f"inside, too{kernel}", ((c.dir / "in/x").read_text(), (c.dir / "in/tree").exists()), ("x", False))
    refused = [e["error"]["message"] for e in c.events("result") if not e["ok"] and "a link leads" in e["error"]["message"]]
    check(f"the refusal says where the link leads{kernel}", any(f"to {c.dir}/out/secret" in m for m in refused), refused)

    c = Case(HEAD + r"""
    print(file.read "in/current/conf", file.read "in/abs", file.read "in/back", file.read "b.txt")
    file.write("in/current/conf", "2", { backup = true })
    file.mkdir("in/current/a/b", { parents = true })
    print(#file.list("in/current", { recursive = true }), file.stat("in/abs", { follow = true }).type)
    """)
    (c.dir / "in/releases/v1").mkdir(parents=True)
    (c.dir / "in/releases/v1/conf").write_text("1")
    (c.dir / "b.txt").write_text("text")
    for link, to in (("in/current", "releases/v1"), ("in/abs", c.dir / "in/releases/v1/conf"), ("in/back", "../b.txt")):
        (c.dir / link).symlink_to(to)
    ends(f"links that stay inside{kernel}", c.rb("run", "t.lua", binary=binary, env=env), 0)
    eq(f"are followed{kernel}", c.prints(), ["1\t1\ttext\ttext", "4\tfile"])
    eq(f"and stay{kernel}", ((c.dir / "in/current").is_symlink(), (c.dir / "in/releases/v1/conf.bak").read_text()), (True, "1"))

    c = Case('runbook { allow = { file = { "base/**" } } }\nfile.write("base/x", "1") print(file.read "base/l")')
    (c.dir / "elsewhere").mkdir()
    (c.dir / "base").symlink_to("elsewhere")
    (c.dir / "elsewhere/l").symlink_to("x")
    ends(f"the folder that a pattern names may be a link itself{kernel}", c.rb("run", "t.lua", binary=binary, env=env), 0)
    eq(f"and what is in it may be reached{kernel}", c.prints(), ["1"])

    c = Case(r"""
    for _, call in ipairs { { "list", "tree" }, { "remove", "tree" }, { "list", "link" }, { "remove", "up/tree" }, { "list", "up" } } do
        local ok, e = pcall(file[call[1]], call[2], { recursive = true }) print(ok, e.kind, e.outcome)
    end
    """)
    (c.dir / "tree/keep").mkdir(parents=True)
    (c.dir / "tree/keep/x").write_text("x")
    (c.dir / "link").symlink_to("tree")
    (c.dir / "up").symlink_to(".")
    c.write("c.lua", 'return { policy = { deny = { file = { "@DIR@/tree/keep" } } } }')
    c.rb("--config", "c.lua", "run", "t.lua", binary=binary, env=env)
    eq(f"a tree with something forbidden in it is not gone into, by whatever way{kernel}", c.prints(), ["false\tpolicy\tnot_started"] * 5)
    check(f"and is whole{kernel}", (c.dir / "tree/keep/x").exists())

    # A process swaps a folder for a link to the outside and back, as fast as it can, while files are written below it.
    c = Case(HEAD + r"""
    local kinds = {}
    for i = 1, 120 do
        for _, call in ipairs {
            function() file.write("in/d/f" .. i, "mine") end,
            function() file.write("in/d/secret", "mine") end,
            function() return file.read "in/d/secret" == "inside" or file.read "in/d/secret" == "mine" or error "read outside" end,
            function() file.remove "in/d/keep" end,
            function() file.mkdir("in/d/m" .. i .. "/n", { parents = true }) end,
            function() file.remove("in/d/sub", { recursive = true, missing_ok = true }) end,
        } do
            local ok, e = pcall(call)
            local kind = ok and "done" or e.kind
            kinds[kind] = (kinds[kind] or 0) + 1
        end
    end
    print(json.encode(kinds))
    """)
    (c.dir / "in/d").mkdir(parents=True)
    (c.dir / "in/d/secret").write_text("inside")
    (c.dir / "out/sub").mkdir(parents=True)
    (c.dir / "out/secret").write_text("outside")
    (c.dir / "out/keep").write_text("keep")
    (c.dir / "out/sub/x").write_text("x")
    (c.dir / "in/l").symlink_to(c.dir / "out")
    over = threading.Event()

    def flip(root=c.dir / "in"):
        while not over.is_set():
            for a, b in (("d", "tmp"), ("l", "d"), ("d", "l"), ("tmp", "d")):
                try:
                    os.rename(root / a, root / b)
                except OSError:
                    pass  # the other side has made or removed something of that name

    swapping = threading.Thread(target=flip)
    swapping.start()
    r = c.rb("run", "t.lua", binary=binary, env=env)
    over.set()
    swapping.join()
    ends(f"while a folder is swapped for a link all the time{kernel}", r, 0)
    eq(f"nothing outside is made, changed or removed{kernel}",
       (outside(c), sorted(os.listdir(c.dir / "out"))), ({"secret": "outside", "keep": "keep", "sub/x": "x"}, ["keep", "secret", "sub"]))
    kinds = __import__("json").loads((c.prints() or ["{}"])[-1])
    check(f"some went inside, some were refused, none read what is outside{kernel}",
          kinds.get("done", 0) > 0 and set(kinds) - {"done"} and "lua" not in kinds, kinds)

# -- the host's own process

c = Case("""
    for _, path in ipairs { "/proc/self/environ", "/proc/thread-self/environ", "/proc/self/root/proc/self/environ", "own" } do
      local ok, e = pcall(file.read, path)
      print(ok or e.kind, pcall(file.digest, path))
    end
    print(file.read("/proc/self/mountinfo") ~= "")
    print(file.read("/proc/self/comm") ~= "", "not reached")
""")
(c.dir / "own").symlink_to("/proc/self/environ")
r = c.run(env={"UNNAMED": "kept-for-another-run"})
eq("what /proc says of it is the policy's no; what is mounted is not its own", (r.returncode, [line.split("\t")[:2] for line in c.prints()]), (4, [["policy", "false"]] * 4 + [["true"]]))
lacks("a variable that a secret of another run comes from is nowhere", r.stdout + r.stderr + str(c.events()), "kept-for-another-run")
finish()
