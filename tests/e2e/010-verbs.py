#!/usr/bin/env python3
"""Every verb of D2 that groups, records or ends: what an author sees of it, in one run without interruption."""
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, prints
from lib import check, contains, eq, finish, lacks

# -- step

prints(
    "step returns what its function returns, several values and none",
    """
    print(step("a", function() return 1, "two", nil, { 3, x = { true } } end))
    print(select("#", step("b", function() end)))
    local t = step("c", function() return { 3, 4 } end)
    print(#t, t[2], math.type(step("d", function() return 1.0 end)), math.type(step("e", function() return 1 end)))
    """,
    "1\ttwo\tnil\ttable\n0\n2\t4\tfloat\tinteger",
)
c = prints(
    "steps nest, and a title that comes again gets ~2 in its key; a slash is escaped",
    """
    step("outer", function()
      step("in/ner", function() print "1" end)
      step("in/ner", function() print "2" end)
    end)
    step("outer", function() print "3" end)
    """,
    "1\n2\n3",
)
eq(
    "the keys of these steps",
    c.verdicts(),
    [("outer/in\\/ner", "pass"), ("outer/in\\/ner~2", "pass"), ("outer", "pass"), ("outer~2", "pass")],
)
for what, value in {
    "a function": "print",
    "a coroutine": "coroutine.create(print)",
    "a table with a cycle": "(function() local t = {} t.t = t return t end)()",
    "a table with a hole": "{ 1, nil, 3 }",
    "a table with a function deep inside": "{ a = { b = { print } } }",
    "a table with a table as key": "{ [{}] = 1 }",
}.items():
    c = Case(f'step("s", function() return {value} end)')
    r = c.run()
    ends(f"a step that returns {what} fails at once, not on resume", r, 1)
    contains(f"and says that the step returns {what}", r.stderr, '(result of step "s")')
    eq(f"and the step did not pass ({what})", c.verdicts(), [("s", "fail")])
c = Case('step("s", function() error("boom") end)\nprint "never"')
r = c.run()
ends("an error in a step fails the run", r, 1)
contains("with its place and text on one line", r.stderr, "t.lua:1: boom")
eq("nothing after it ran", c.prints(), [])
prints(
    "an error in a step can be caught outside, and the run goes on",
    """
    local ok, e = pcall(step, "s", function() fail("no luck", { code = 7 }) end)
    print(ok, e.kind, e.message, e.code, e)
    """,
    "false\tfailed\tno luck\t7\tt.lua:2: no luck",
)
c = prints(
    "skip ends the step as skipped: it returns nothing and the run goes on",
    """
    print(select("#", step("s", function() skip("not needed") error("never") end)))
    """,
    "0",
)
eq("the verdict of the skipped step", c.verdicts(), [("s", "skip")])
eq("and why", [e.get("why") for e in c.events("step.end")], ["not needed"])
prints(
    "step options: retry repeats the body, timeout cuts it",
    """
    local n = 0
    print(step("r", { retry = { times = 3, delay = 0 } }, function() n = n + 1 if n < 3 then error("x") end return n end))
    local ok, e = pcall(step, "t", { timeout = "20ms" }, function() sleep("1h") end)
    print(ok, e.kind)
    """,
    "3\nfalse\ttimeout",
)
c = Case('step("s", { retryy = 2 }, function() end)')
r = c.run()
ends("an unknown option of step is an error", r, 1)
contains("that suggests the nearest", r.stderr, "did you mean retry")
for text in ('step(1, print)', 'step("x")', 'step("x", 5, print)', 'step("x", {}, 5)', 'step()'):
    r = Case(text).run()
    check(f"{text}: an error of the author", r.returncode == 1 and "step: " in r.stderr, r.stderr)

# -- check and checklist

c = prints(
    "check: true, nil and values hold; false and errors do not; skip leaves it out",
    """
    print(check("S", "holds", function() return true end))
    print(check("S", "says nothing", function() end))
    print(check("S", "a value", function() return 42 end))
    print(select("#", check("S", "left out", function() skip("no need") end)))
    local ok, e = pcall(check, "S", "is false", function() return false end)
    print(ok, e.kind, e.message)
    ok, e = pcall(check, "S", "raises", function() error("bad") end)
    print(ok, e.kind, e.message)
    """,
    "true\n\n42\n0\nfalse\tcheck\tthe check did not hold: is false\nfalse\tlua\tbad",
)
eq(
    "the verdicts of the checks",
    [v for _, v in c.verdicts()],
    ["pass", "pass", "pass", "skip", "fail", "fail"],
)
eq("each check has its stage", {e.get("stage") for e in c.events("step.start")}, {"S"})

c = Case(
    """
    checklist "Before" {
      { "Build", "is signed", function() evidence("sig", "good") end },
      { "API", "is up", function() return false end },
      { "API", "answers", function() error("no answer") end },
      { "DB", "has room", function() skip("no database here") end },
    }
    print "never"
    """
)
r = c.run()
ends("a checklist with failed rows fails", r, 1)
contains("once, at the end, with how many", r.stderr, "2 of 4 checks failed")
contains("naming the first", r.stderr, "API: is up")
contains("and the second", r.stderr, "API: answers (no answer)")
eq("nothing after it ran", c.prints(), [])
eq(
    "all its rows have a verdict",
    sorted(c.verdicts()),
    [("Before", "fail"), ("Before/answers", "fail"), ("Before/has room", "skip"), ("Before/is signed", "pass"), ("Before/is up", "fail")],
)
eq("evidence stands with its row", [(e["key"], e["name"], e["value"]) for e in c.events("evidence")],
   [("Before/is signed/1", "sig", "good")])
# Two rows that each wait for what the other does end only if they run together.
prints(
    "the rows of a checklist run in parallel",
    """
    local a, b
    checklist "c" {
      { "S", "first", function() a = true wait_until({ every = "1ms", timeout = "20s" }, function() return b end) end },
      { "S", "second", function() b = true wait_until({ every = "1ms", timeout = "20s" }, function() return a end) end },
    }
    print(a, b)
    """,
    "true\ttrue",
)
prints(
    "with serial = true they run one after the other",
    """
    local order = {}
    checklist "c" {
      serial = true,
      { "S", "first", function() order[#order + 1] = "1" sleep("5ms") order[#order + 1] = "1 ends" end },
      { "S", "second", function() order[#order + 1] = "2" end },
    }
    print(table.concat(order, ", "))
    """,
    "1, 1 ends, 2",
)
prints(
    "a row that acts runs alone, the ones before it have ended",
    """
    local order = {}
    checklist "c" {
      { "S", "first", function() sleep("5ms") order[#order + 1] = "1" end },
      { "S", "acts", acts = true, function() exec({ "true" }) order[#order + 1] = "acts" end },
      { "S", "third", function() order[#order + 1] = "3" end },
    }
    print(table.concat(order, ", "))
    """,
    "1, acts, 3",
)
c = Case(
    """
    check("S", "touches", function() exec({ "touch", "@DIR@/made" }) end)
    """
)
r = c.run()
ends("an effect inside a check is refused", r, 1)
contains("and the message says what to do", r.stderr, "acts = true")
eq("it was not started", c.lines("made") == [] and not (c.dir / "made").exists(), True)
c = Case(
    """
    checklist "l" { { "S", "touches", function() exec.sh("echo x >> @DIR@/made") end } }
    """
)
r = c.run()
ends("also in a checklist", r, 1)
eq("it was not started there either", c.lines("made"), [])
c = prints(
    "reads are allowed in a check, and effects where it says acts = true",
    """
    print(check("S", "reads", function() return exec({ "echo", "r" }, { read = true }).stdout end))
    print(check("S", "acts", function() return exec({ "echo", "a" }).stdout end, { acts = true }))
    """,
    ["r\n", "a\n"],
)
for bad, says in {
    'checklist "x" { { "S", "no function" } }': "row 1",
    'checklist "x" { { "S", function() end } }': "row 1",
    'checklist "x" { "row" }': "row 1",
    "checklist {}": "checklist",
    'check("S", "t")': "check",
}.items():
    r = Case(bad).run()
    check(f"{bad}: an error of the author that names the place", r.returncode == 1 and says in r.stderr, r.stderr)

# -- evidence, note, print, warn

c = prints(
    "print writes as Lua's does; tables and functions show no address",
    r"""
    print()
    print(1, 1.0, "a", nil, true, 10 // 3, 2^53)
    print({}, print, coroutine.create(print))
    print(setmetatable({}, { __tostring = function() return "mine" end }))
    print("two\nlines")
    warn("beware", 5)
    """,
    ["", "1\t1.0\ta\tnil\ttrue\t3\t9.007199254741e+15", "table\tfunction\tthread", "mine", "two\nlines", "beware\t5"],
)
eq("warn has a level of its own", [e["level"] for e in c.events("log")], ["print"] * 5 + ["warn"])
c = Case(
    """
    step("s", function() evidence("v", { a = 1, b = { true, 1.5, "x" } }) note("why not") end)
    local ok, e = pcall(evidence, "f", print)
    print(ok, type(e), e.kind)
    """
)
r = c.run()
ends("evidence and note", r, 0)
eq("evidence is kept as it is, with its step", [(e["key"], e["name"], e["value"]) for e in c.events("evidence")],
   [("s/1", "v", {"a": 1, "b": [True, 1.5, "x"]})])
eq("a note too", [(e["key"], e["text"]) for e in c.events("note")], [("s/2", "why not")])
check("evidence that is not plain data is an error at once", c.prints()[0].startswith("false\ttable\t"), c.prints())
r = c.rb("show")
contains("show prints the evidence", r.stdout, "evidence v")
contains("show prints the note", r.stdout, "why not")

c = Case("""
checklist "Before" {
  { "Build", "the tag is signed", function() evidence("signature", "Good\\nof Ada") end },
  { "API", "is up and has answered every one of the questions that anybody can think of", function() fail("no answer") end },
  { "", "needs no stage", function() return retry({ times = 1 }, function() evidence("deep", 7) return true end) end },
  { "Data", "migrated", function() skip("no database") end },
}
""")
c.run()
eq(
    "show --checks is a table: stage, check, verdict, and what was kept as evidence within it or why it failed",
    c.rb("show", "--checks").stdout,
    "stage  check                                                         verdict  proof\n"
    "Build  the tag is signed                                             pass     signature: Good\n"
    "API    is up and has answered every one of the questions that anyb…  FAIL     no answer\n"
    "       needs no stage                                                pass     deep: 7\n"
    "Data   migrated                                                      skip     no database\n",
)
c = Case("print 'nothing to check'")
c.run()
contains("show --checks says that there are none", c.rb("show", "--checks").stdout, "(this run has no checks)")

# -- fail and skip outside of a step

c = Case('print "a" fail("not today") print "b"')
r = c.run()
ends("fail at the top ends the run as failed", r, 1)
contains("with its message", r.stderr, "not today")
eq("after what came before", c.prints(), ["a"])
c = Case('print "a" skip("nothing to do") print "b"')
r = c.run()
eq("skip at the top ends the run", c.prints(), ["a"])
check("and says why", "nothing to do" in r.stdout + r.stderr, r.stdout + r.stderr)

# -- memo

c = prints(
    "memo gives its value, nil too, and calls the function once for each name and place",
    """
    local calls = 0
    print(memo("m", function() calls = calls + 1 return { 1, x = 2.0 } end).x)
    print(memo("none", function() calls = calls + 1 end))
    print(calls)
    """,
    "2.0\nnil\n2",
)
r = Case('memo("m", function() return print end)').run()
check("memo refuses what is not plain data, at once", r.returncode == 1 and "memo" in r.stderr, r.stderr)
prints(
    "an error in memo goes on, and is not remembered as a value",
    """
    local n = 0
    local function f() n = n + 1 if n == 1 then error("first") end return n end
    print(pcall(memo, "m", f))
    print(memo("m", f))
    """,
    "false\tt.lua:3: first\n2",
)

# -- early return, empty file, no header

eq("an early return ends the run well", Case('print "a" do return end print "b"').run().returncode, 0)
eq("also with values", Case('do return 5, "x", {} end').run().returncode, 0)
eq("and with false, which is no failure", Case("do return false end").run().returncode, 0)
eq("an empty file runs", Case("").run().returncode, 0)
eq("a file of comments runs", Case("-- nothing\n").run().returncode, 0)
c = Case("#!/usr/bin/env rbhost\nprint 'sharp'")
eq("a #! line is passed over", (c.run().returncode, c.prints()), (0, ["sharp"]))
r = Case('runbook { name = "a" } runbook { name = "b" }').run()
check("a second header is an error", r.returncode in (1, 2) and "runbook" in r.stderr, (r.returncode, r.stderr))
lacks("no test saw the host's own frames", r.stderr, "stdlib/rt")
finish()
