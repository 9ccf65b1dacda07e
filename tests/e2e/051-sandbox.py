#!/usr/bin/env python3
"""The sandbox as a user meets it: nothing freezes the host, is caught by the script's pcall, or survives Ctrl-C; what is
not listed is absent; a run's budgets end the run and nothing else."""
# time-limit: 300
import os
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, prints, waits
from lib import SLOW, check, contains, eq, finish, wait_for

def tight(case):
    """Smaller budgets than the usual 1 s and 256 MiB, so that many cases take little time."""
    case.write("conf.lua", 'return { limits = { slice_max = "150ms", lua_memory = 48 * 1024 * 1024 } }')
    case.env["RBHOST_CONFIG"] = str(case.dir / "conf.lua")
    return case


# -- endless computing

for what, text in (("a loop", "while true do end"), ("a loop in pcall", "while true do pcall(function() while true do end end) end")):
    c = Case(text)
    r = c.run()
    check(
        f"with the usual budget: {what} ends the run",
        r.returncode == 1 and "1000 ms" in r.stderr,
        (r.returncode, r.stderr),
    )

for what, text in (
    ("a loop", "while true do end"),
    ("a loop in pcall", "while true do pcall(function() while true do end end) end"),
    ("a loop in xpcall's handler", "xpcall(error, function() while true do end end) print 'caught'"),
    ("a loop in __close", "do local c <close> = setmetatable({}, { __close = function() while true do end end }) end print 'after'"),
    ("a loop in __close, in pcall", "pcall(function() local c <close> = setmetatable({}, { __close = function() while true do pcall(function() while true do end end) end end }) error('x') end) print 'caught'"),
    ("a loop in a coroutine", "coroutine.wrap(function() while true do end end)() print 'after'"),
    ("a loop in a coroutine in pcall", "pcall(coroutine.wrap(function() while true do end end)) print 'caught'"),
    ("a loop in coroutine.close", "local co = coroutine.create(function() local c <close> = setmetatable({}, { __close = function() while true do end end }) coroutine.yield() end) coroutine.resume(co) pcall(coroutine.close, co) print 'caught'"),
    ("a loop in a branch", "settle { a = function() while true do end end, b = function() sleep('1h') end } print 'caught'"),
    ("a loop in a metamethod", "local t = setmetatable({}, { __index = function() while true do end end }) print(pcall(function() return t.x end)) print 'caught'"),
    ("a loop in tostring", "print(pcall(tostring, setmetatable({}, { __tostring = function() while true do end end }))) print 'caught'"),
    ("a loop in an iterator", "for _ in function() return 1 end do end"),
    ("a loop in gsub's function", "pcall(string.gsub, 'x', '.', function() while true do end end) print 'caught'"),
    ("a loop in sort's comparison", "pcall(table.sort, { 1, 2 }, function() while true do end end) print 'caught'"),
    ("a loop in load's reader", "pcall(load, function() return ' ' end) print 'caught'"),
    ("a loop in a module", "pcall(require, 'endless') print 'caught'"),
    ("a pattern that backtracks for ever", "pcall(string.find, ('a'):rep(50000), ('a*'):rep(40) .. 'b') print 'caught'"),
    ("the same in gsub", "pcall(string.gsub, ('a'):rep(50000), ('.-'):rep(30) .. 'b', '') print 'caught'"),
    ("the same in a coroutine", "pcall(coroutine.wrap(function() return ('a'):rep(50000):match(('a*'):rep(40) .. 'b') end)) print 'caught'"),
    ("goto", "::top:: goto top"),
    ("string growth in a loop", "local s = 'x' while true do s = s .. 'x' end"),
    ("an undo that never ends is not reached by it", "undo('u', function() end) while true do end"),
):
    c = Case(text, endless="while true do end")
    r = tight(c).run(timeout=60)
    kinds = [e.get("error", {}).get("kind") for e in c.events("run.end")]
    check(
        f"{what} ends the run with an error of kind budget (or memory), whatever catches errors",
        r.returncode == 1 and kinds in (["budget"], ["memory"]) and "caught" not in c.prints() and "after" not in c.prints(),
        f"exit {r.returncode}, kinds {kinds}, printed {c.prints()}\n{r.stdout[-800:]}{r.stderr[-1500:]}",
    )
    check(f"{what}: with the place", "t.lua:1" in r.stderr or "endless.lua:1" in r.stderr, r.stderr)

# -- endless memory

for what, text in (
    ("rep", "local s = ('x'):rep(1e9 // 1 | 0):rep(100)"),
    ("rep, caught", "print(pcall(string.rep, 'x', 1 << 40)) local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1 << 20) .. i end"),
    ("a table", "local t = {} for i = 1, 1e12 do t[i] = { i } end"),
    ("a table, caught", "while true do pcall(function() local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end end) end"),
    ("concat", "local s = 'x' for i = 1, 60 do s = s .. s end"),
    ("format", "local s = ('x'):rep(1 << 26) for i = 1, 60 do s = string.format('%s%s', s, s) end"),
    ("gsub", "local s = ('x'):rep(1 << 20) for i = 1, 60 do s = s:gsub('.', '%0%0') end"),
    ("table.concat", "local t = {} for i = 1, 10000 do t[i] = ('x'):rep(1 << 16) end for i = 1, 60 do t[i] = table.concat(t) end"),
    ("coroutines", "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end"),
    ("200,000 nested coroutines", "local function f(n) if n > 0 then coroutine.wrap(f)(n - 1) end end f(200000)"),
    ("tasks", "local function f() return all { f, f } end f()"),
    ("string.pack", "local t = {} for i = 1, 1e9 do t[i] = string.pack('z', ('x'):rep(1 << 20) .. i) end"),
):
    c = tight(Case(text))
    r = c.run(timeout=90)
    check(
        f"endless memory by {what} ends the run and not the host",
        r.returncode == 1 and c.status() == "failed" and "rbhost: run" in r.stderr,
        f"exit {r.returncode}, {c.status()}\n{r.stdout[-500:]}{r.stderr[-1500:]}",
    )
c = Case("local s = ('x'):rep(1e9)\nprint(#s)")
r = c.run(timeout=60)
check(
    '("x"):rep(1e9) is refused, or fits the limit',
    r.returncode in (0, 1) and "rbhost: run" in r.stderr,
    (r.returncode, r.stderr),
)

# -- the host stays alive meanwhile

c = Case("local t0 = os.clock() step('busy', function() while true do end end)")
p = c.start("run", "t.lua")
wait_for("the run", lambda: c.events("step.start") or p.poll() is not None)
p.send_signal(signal.SIGINT)
check("Ctrl-C meanwhile ends the process", p.wait(30 * SLOW) in (1, 130), (p.returncode, c.text("host.out")))
c = Case(
    """
    -- works in slices that stay below the budget; each operation starts it anew
    for i = 1, 100000 do
      local x = 0
      for k = 1, 1000000 do x = x + k end
      sleep("1ms")
      if i == 3 then print "third" end
    end
    """
)
p = c.start("run", "t.lua")
wait_for("slices", lambda: c.prints())
p.send_signal(signal.SIGINT)
eq("Ctrl-C parks a run that computes in slices", p.wait(30 * SLOW), 130)
eq("parked", c.status(), "parked")
# gcstress collects at each look of the count hook: fewer turns take as long there.
TURNS = 600000 if os.environ.get("VARIANT") == "gcstress" else 6000000
prints(
    "many slices together may take longer than one budget",
    f'for i = 1, 12 do local x = 0 for k = 1, {TURNS} do x = x + k end sleep("1ms") end print "done"',
    ["done"],
)

c = Case(f"local x = 0 for i = 1, {TURNS * 16} do x = x + i end")
c.write("conf.lua", 'return { limits = { slice_warn = "10ms", slice_max = "60s" } }')
r = c.run("--config", "conf.lua")
ends("a long slice below the budget", r, 0)
contains("is warned of, with its line", r.stderr, "t.lua:1: the runbook has computed for")

# -- what is not there

ABSENT = """io os.execute os.exit os.getenv os.remove os.rename os.tmpname os.setlocale os.difftime_ debug package dofile loadfile
string.dump package.loadlib warnx lock""".split()
c = Case(
    "local out = {}\n"
    + "\n".join(
        f'do local ok, v = pcall(function() return {name} end) out[#out + 1] = "{name}=" .. tostring(ok and v ~= nil) end'
        for name in ABSENT if not name.endswith(("_", "x"))
    )
    + "\nprint(table.concat(out, ' '))"
)
c.run()
eq("what reaches outside is absent", [x for x in (c.prints() or ["none"])[0].split() if not x.endswith("=false")], [])
for text, says in (
    ("string.format = print", "read-only"),
    ("string.mine = 5", "read-only"),
    ("table.insert = nil", "read-only"),
    ("math.huge = 5", "read-only"),
    ("exec.mine = 5", ""),
    ("json.encode = nil", ""),
    ('getmetatable("").__index = {}', ""),
    ("rawset(string, 'x', 1)", ""),
    ("x = 5", "x"),
    ("print(undefined_thing)", "undefined_thing"),
    ('load("\\27Lua")()', ""),
    ("setmetatable(_G, {})", ""),
    ("_G.print = nil", ""),
    ("_ENV = {}; print('x')", ""),
    ("rawset(_G, 'print', error)", ""),
    ("coroutine.running().x = 1", ""),
):
    r = Case(text).run()
    check(
        f"refused: {text}",
        r.returncode in (1, 2) and says in r.stderr and "t.lua:1" in r.stderr,
        (r.returncode, r.stderr),
    )
prints("load is text only and keeps the environment",
       """
       print(load("return 1 + 1")(), load("return x", "name", "t", { x = 5 })())
       print((load("\\27Lua")))
       print((load("x =")))
       print(pcall(load("return io")) == false or load("return io")() == nil)
       """, ["2\t5", "nil", "nil", "true"])
prints(
    "collectgarbage counts and no more",
    'print(collectgarbage("count") > 0, (pcall(collectgarbage, "stop")))',
    ["true\tfalse"],
)
pad = "\n".join(f"local a{i} = 0" for i in range(60))
prints(
    "a chain of .. with a metamethod in it is right however full the stack is (the distribution's Lua reads the old one)",
    f"""
    local mt = {{}}
    local function text(x)
        return type(x) == "table" and x.text or x
    end
    function mt.__concat(a, b)
        return setmetatable({{ text = text(a) .. text(b) }}, mt)
    end
    local e = setmetatable({{ text = "x" }}, mt)
    local function deep(n)
        {pad}
        local k = "T"
        local s = k .. "=" .. e
        if n > 0 then
            return deep(n - 1) + (type(s) == "table" and s.text == "T=x" and 1 or 0)
        end
        return 0
    end
    local co = coroutine.wrap(function() return deep(1) + deep(2) end)
    print(deep(1), deep(2), co())
    """,
    ["1\t2\t3"],
)

finish()
