#!/usr/bin/env python3
"""now, uuid, env, random, os.time and print: recorded, so that a resumed run sees the same. And what is not recorded is
the same by nature: the order of pairs, of sort's ties, tostring. Runs are compared with themselves after a resume, and
with other processes."""
import os
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, prints, waits
from lib import check, eq, finish

ALL = """
runbook { env = { "SEEN" } }
local function all_of_them()
  print(now(), uuid(), env("SEEN"))
  print(math.random(), math.random(10), math.random(5, 9))
  print(os.time(), os.date("%Y-%m-%d %H:%M:%S"), os.clock() >= 0)
  print(os.date("!*t").year, os.time({ year = 2026, month = 1, day = 1, hour = 12 }))
end
"""
c = Case(
    ALL
    + """
all_of_them()
local kept = { now(), uuid(), math.random(), os.time() }
all { a = function() kept[#kept + 1] = math.random() end, b = function() kept[#kept + 1] = math.random() end }
for i = 1, #kept do exec({ "sh", "-c", 'echo "$1" >> @DIR@/out', "sh", tostring(kept[i]) }) end
signal "go"
for i = 1, #kept do exec({ "sh", "-c", 'echo "$1" >> @DIR@/again', "sh", tostring(kept[i]) }) end
all_of_them()
"""
)
p = c.start("run", "t.lua", "--wait", env={"SEEN": "first"})
waits(c)
eq("parked by SIGTERM", park(c, p), 143)
before = c.prints()
r = c.rb("signal", c.id, "go", "--resume", env={"SEEN": "second"})
ends("resumed to the end", r, 0)
eq("each line was printed once", c.prints()[: len(before)], before)
eq("the values are the same after the resume", c.lines("again"), c.lines("out"))
eq("and came six in number", len(c.lines("out")), 6)
check("env gives what it was when first asked, new calls the new value",
      "first" in c.prints()[0] and "second" in c.prints()[4], c.prints())
check("new calls give new values", c.prints()[0] != c.prints()[4], c.prints())
check("two tasks have different random numbers", c.lines("out")[4] != c.lines("out")[5], c.lines("out"))

c = Case("print(env('HOME_OF_NOBODY'))")
r = c.run()
ends("env of a name that is not let through is refused", r, 4)
check("with what to do", 'env = { "HOME_OF_NOBODY" }' in r.stderr, r.stderr)
prints(
    "env of a name that is let through and not set is nil",
    'runbook { env = { "NOT_SET_AT_ALL" } } print(env("NOT_SET_AT_ALL"))',
    "nil",
)
prints(
    "uuid is a UUID, and another one each time",
    'local a, b = uuid(), uuid() print(#a, a ~= b, a:match("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$") == a)',
    "36\ttrue\ttrue",
)
prints("now is the time", "print(now() > 1.7e9, math.type(now()))", "true\tfloat")

# -- the same in every process

ORDER = """
local t = {}
for i = 1, 40 do t["k" .. i * 7919 % 1000] = i end
for i = 1, 5 do t[i * 10] = i end
t[1.5], t[-3], t[true] = 1, 2, 3
local out = {}
for k in pairs(t) do out[#out + 1] = tostring(k) end
print(table.concat(out, " "))
local list = {}
for i = 1, 60 do list[i] = { i % 3, i } end
table.sort(list, function(a, b) return a[1] < b[1] end)
for i = 1, 60 do list[i] = list[i][2] end
print(table.concat(list, " "))
print(tostring({}), tostring(print), tostring(coroutine.create(print)), string.format("%s", {}))
local e = {}
for k in next, { b = 1, a = 2, c = 3 } do e[#e + 1] = k end
print(table.concat(e))
"""
a, b = Case(ORDER), Case(ORDER)
ends("the order of pairs and sort", a.run(), 0)
b.run(env={"EXTRA": "x" * 500})
eq("is the same in another process", b.prints(), a.prints())
eq("sort is stable", a.prints()[1].split()[:20], [str(i) for i in range(3, 61, 3)])
eq("and no address is shown", a.prints()[2], "table\tfunction\tthread\ttable")
eq("next walks in order too", a.prints()[3], "abc")
for bad in ("for k in pairs({ [{}] = 1 }) do end", "for k in pairs({ [print] = 1 }) do end", "table.concat({ 1, nil, 3 })",
            "table.sort({ 3, nil, 1 })", "setmetatable({}, { __gc = function() end })", 'setmetatable({}, { __mode = "k" })'):
    r = Case(bad).run()
    check(
        f"refused, for it would differ from run to run: {bad}",
        r.returncode == 1 and "t.lua:1: " in r.stderr,
        r.stderr,
    )

# -- sleep

c = Case('sleep("300ms") print(now()) sleep_until(now() + 0.01) sleep_until("2020-01-01T00:00:00Z") print "end"')
ends("sleep and sleep_until, of a time that is over too", c.run(), 0)
eq("ends", c.prints()[1], "end")
c = Case('local t = now() sleep("2s") print(now() - t >= 2, now() - t < 60)')
p = c.start("run", "t.lua")
until = waits(c)["until"]
eq("a sleep is parked by SIGINT", park(c, p, signal.SIGINT), 130)
ends("and resumed", c.rb("resume"), 0)
eq(
    "sleeps the rest only, to the same time on the clock",
    (c.events("wait")[0]["until"], c.prints()),
    (until, ["true\ttrue"]),
)
eq(
    "there is one wait and one result",
    [len(c.events("wait")), len([e for e in c.events("result") if e["op"] == "sleep"])],
    [1, 1],
)
finish()
