#!/usr/bin/env python3
"""What goes through the journal comes back as it was: a value of memo, of a signal, a result, after a resume in another
process. And odd titles, names, keys and sizes."""
import json
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, prints, waits
from lib import SLOW, check, contains, eq, finish

SHOW = r"""
local function show(v)
  local t = math.type(v) or type(v)
  if t == "float" then return "float " .. string.format("%a", v)
  elseif t == "string" then return string.format("%q", v)
  elseif t ~= "table" then return t .. " " .. tostring(v) end
  local out = {}
  for k, e in pairs(v) do out[#out + 1] = "[" .. show(k) .. "]=" .. show(e) end
  return "{" .. table.concat(out, ",") .. "}"
end
"""
VALUES = {
    "integers": "{ 0, -1, 1, math.maxinteger, math.mininteger, 1 << 53, (1 << 53) + 1 }",
    "floats": "{ 0.0, -0.0, 1.0, -1.5, 0.1, 1e300, 5e-324, 2^53, 2^63, 1/3, 123456789.123456789 }",
    "what is no number": "{ a = 0/0 ~= 0/0, b = 1/0, c = -1/0 }",
    "booleans": "{ true, false }",
    "a lone false": "false",
    "strings": r'{ "", "a", "ü€😀", "\0", "a\0b", "\xff\xfe", "\xed\xa0\x80", "\u{7f}\u{80}", "\n\t\r\b\f\27\"\\/", "\xef\xbf\xbd", ("x"):rep(70000) }',
    "bytes": "(function() local t = {} for i = 0, 255 do t[i + 1] = string.char(i) end return { table.concat(t), table.unpack(t) } end)()",
    "an empty table": "{ {}, { {} }, a = {} }",
    "names as keys": r'{ a = 1, [""] = 2, ["a b"] = 3, ["\0"] = 4, ["ü"] = 5, ["1"] = 6, ["$blob"] = 7, ["$num"] = "nan", ["$b64"] = "x", ["$map"] = {} }',
    "keys that are not UTF-8": r'{ ["\xff"] = 1, ["a\xfe"] = { ["\xfd"] = 2 } }',
    "one key that begins with $": '{ ["$secret"] = "token" }',
    "numbers as keys": "{ [5] = 1, [10] = 2, [-1] = 3, [1.5] = 4 }",
    "booleans as keys": "{ [true] = 1, [false] = 2, x = 3 }",
    "a list that also has names": "{ 1, 2, x = 3 }",
    "something deep": "(function() local t = {} local top = t for i = 1, 90 do t.t = {} t = t.t end t.x = 1 return top end)()",
    "a large text": '("0123456789abcdef"):rep(200000)',
    "a large text of bytes": r'("\xff\0"):rep(300000)',
    "many": "(function() local t = {} for i = 1, 2000 do t[i] = { id = i, name = 'n' .. i } end return t end)()",
    "what looks like JSON": r'{ "{\"$b64\":\"x\"}", "null", "[]" }',
}
for what, value in VALUES.items():
    c = Case(
        SHOW
        + f"""
        local function fresh() return {value} end
        local v = memo("m", fresh)
        local w = step("s", fresh)
        local same = show(v) == show(fresh())
        print(same, hash.sha256(show(v)))
        signal "go"
        print(show(v) == show(fresh()), show(w) == show(fresh()), hash.sha256(show(v)))
        """
    )
    ends(f"{what}: kept", c.run(), 3)
    ends(f"{what}: resumed", c.rb("signal", c.id, "go", "--resume"), 0)
    p = [x.split("\t") for x in c.prints()]
    check(
        f"{what}: the same live and from the journal",
        len(p) == 2 and p[0][0] == "true" and p[1][:2] == ["true", "true"] and p[0][1] == p[1][2],
        c.prints(),
    )
    ends(f"{what}: the journal verifies", c.rb("verify"), 0)
prints("nan", SHOW + 'local v = memo("m", function() return { 0/0 } end) print(v[1] ~= v[1])', ["true"])
for what, text, want in (
    ("an object", '{"a": [1, 2.0, null, "x", {"b": {}}], "c": true}', 'table\t2\tfloat\ttrue\t5'),
    ("large numbers", '{"a": [9223372036854775807, 1e400]}', None),
    ("not JSON", "{oops", None),
    ("an empty text", "", None),
    ("a text with quotes", '"quoted"', None),
):
    c = Case(
        'local v = signal "s"\nif type(v) == "table" and v.c then print(type(v), v.a[1] + 1, math.type(v.a[2]), v.a[3] == null, #v.a) else print(type(v)) end',
    )
    c.run()
    r = c.rb("signal", c.id, "s", text, "--resume")
    ends(f"a signal with {what}", r, 0)
    if want:
        eq(f"a signal with {what} comes as it is", c.prints(), [want])
for bad, why in (
    ("print", "a function"), ("coroutine.running()", "a coroutine"), ("{ 1, nil, 3 }", "a hole"),
    ("(function() local t = {} t[1] = t return t end)()", "a cycle"), ("{ f = function() end }", "a function inside"),
    ("{ [{}] = 1 }", "a table as key"),
):
    c = Case(f"memo('m', function() return {bad} end)")
    r = c.run()
    check(f"memo refuses {why}, and names it", r.returncode == 1 and "memo" in r.stderr, (r.returncode, r.stderr))
    c = Case(f"evidence('e', {bad})")
    r = c.run()
    check(f"evidence refuses {why}", r.returncode == 1 and "t.lua:1: " in r.stderr, (r.returncode, r.stderr))
prints(
    "the same table twice is no cycle",
    'local s = { 1 } local v = memo("m", function() return { a = s, b = s } end) print(v.a[1], v.b[1])',
    ["1\t1"],
)
c = Case(
    "local t = {} local top = t for i = 1, 100000 do t.t = {} t = t.t end print(pcall(memo, 'm', function() return top end))",
)
r = c.run()
check(
    "a table of great depth is refused, and the host lives",
    r.returncode in (0, 1) and "rbhost: run" in r.stderr,
    (r.returncode, r.stderr[:2000]),
)
for bad in ('json.decode(("["):rep(1000000))', "local t = {} t.t = t json.encode(t)", 'json.encode({ print })', 'json.decode("{")', 'json.decode("")',
            'json.decode("[1,]")', 'json.decode(\'{"a":1}x\')', "json.decode(nil)", 'base64.decode("*")', 'duration.parse("1 fortnight")'):
    r = Case(bad).run()
    check(f"{bad}: an error with its place", r.returncode == 1 and "t.lua:1: " in r.stderr, (r.returncode, r.stderr))

# -- titles, names, keys

TITLES = ["", " ", "a/b", "a\\b", "..", "~2", "a~2", "ü€😀", "x" * 5000, "new\nline", "tab\t", "bell\x07esc\x1b[31m", "'\"`$(x)"]
body = "\n".join(
    f'step(json.decode([==[{json.dumps(t)}]==]), function() exec({{ "true" }}, {{ read = true }}) note("n") end)' for t in TITLES
)
c = Case(
    body + '\nstep("\\xff\\xfe", function() note("bytes") end)\nstep("a\\0b", function() note("nul") end)\nsignal "go"\nprint "end"',
)
r = c.run()
ends("odd titles", r, 3)
check(
    "do not reach the terminal raw",
    "\x1b" not in r.stdout + r.stderr and "\x07" not in r.stdout + r.stderr,
    repr(r.stdout)[:2000],
)
ends("and replay", c.rb("signal", c.id, "go", "--resume"), 0)
eq("to the end", c.prints(), ["end"])
for cmd in (["show"], ["show", "-v"], ["log"], ["log", "--json"], ["verify"], ["show", "--json"]):
    r = c.rb(*cmd)
    check(f"{' '.join(cmd)} after odd titles", r.returncode == 0 and "\x1b" not in r.stdout, (r.returncode, r.stderr))
keys = [e["key"] for e in c.events("step.start")]
eq("every key is different", len(set(keys)), len(TITLES) + 2)
c = Case(
    """
    local r = each({ "a", "a", "a/b", "", 1, 1.0, true, "1", { name = "x" }, { name = "x" }, { key = 5 }, {} }, function(v, i)
      exec({ "sh", "-c", "echo $0 >> @DIR@/world", i }) return i end)
    print(table.concat(r, " "))
    signal "go"
    print(#r)
    """
)
ends("odd loop keys", c.run(), 3)
eq("each element once", sorted(map(int, c.lines("world"))), list(range(1, 13)))
ends("and replay", c.rb("signal", c.id, "go", "--resume"), 0)
eq("nothing ran again", (len(c.lines("world")), c.prints()), (12, ["1 2 3 4 5 6 7 8 9 10 11 12", "12"]))
keys = [e["key"] for e in c.events("intent")]
eq("every key is different there too", len(set(keys)), 12)
c = Case(
    'all { [""] = function() note("x") end, ["a/b"] = function() note("x") end, [1] = function() note("x") end, ["1"] = function() note("x") end } signal "go" print "end"',
)
ends("odd branch names", c.run(), 3)
ends("replay", c.rb("signal", c.id, "go", "--resume"), 0)

# -- sizes and times

for text, ok in (
    ("sleep(0)", True), ("sleep('0s')", True), ("sleep(1e-9)", True), ("sleep('1ms')", True),
    ("sleep_until(0)", True), ("sleep_until(-1)", True), ("sleep(-0.0)", True),
    ("timeout('1000000d', function() end)", None), ("sleep_until(1e300)", False), ("sleep(1e300)", False), ("sleep('99999999999w')", False),
    ("timeout(1e300, function() end)", None), ("timeout(0, function() sleep('1h') end)", False), ("exec({ 'true' }, { timeout = 1e300 })", None),
    ("exec({ 'true' }, { timeout = 0 })", None), ("exec({ 'true' }, { timeout = '1000000d' })", None), ("exec({ 'true' }, { max_output = math.maxinteger })", None),
    ("retry({ times = 2, delay = 1e300 }, function(n) if n == 1 then error('x') end end)", None),
    ("timeout('1s', function() sleep_until(2^62) end)", False), ("print(duration.format(1e300))", None), ("print(os.date('%c', 2^40))", None),
    ("print(os.date('*t', 2^62))", None), ("print(os.time({ year = 2^40, month = 1, day = 1 }))", None), ("print(os.date('%Ez%'))", None),
):
    c = Case(text)
    p = c.start("run", "t.lua")
    if text.startswith("sleep(") or text.startswith("sleep_until(") or text.startswith("retry") :
        wait_end = lambda: p.poll() is not None or (ok is not True and bool(c.events("wait")))
    else:
        wait_end = lambda: p.poll() is not None
    from lib import wait_for
    wait_for(f"{text}: ends, or waits as it says", wait_end)
    if p.poll() is None:
        p.kill()
        p.wait()
        check(f"{text}: waits", True)
    else:
        check(
            f"{text}: ends well or with an error of its place",
            (p.returncode == 0 and ok is not False) or (p.returncode in (1, 124) and not ok and "t.lua:1" in c.text("host.out")),
            (p.returncode, c.text("host.out")),
        )
c = Case(
    'local big = ("x"):rep(3000000)\nlocal ok, e = pcall(exec, { "echo", big })\nprint(ok, e.kind, e.outcome)\nlocal t = { "true" } for i = 1, 200000 do t[i + 1] = ("a"):rep(100) end\nok, e = pcall(exec, t) print(ok, e.kind, e.outcome)',
)
r = c.run()
ends("arguments that are too large for the system", r, 0)
check(
    "are errors of not having started",
    len(c.prints()) == 2 and all(x.startswith("false") and x.endswith("not_started") for x in c.prints()),
    c.prints(),
)
c = Case(
    'print(("y"):rep(5000000)) print("\\xff\\0\\27[31m") evidence("big", ("z"):rep(5000000)) note(("n"):rep(5000000)) signal "go" print "end"',
)
r = c.run()
ends("a line, evidence and a note of 5 MB", r, 3)
ends("replay", c.rb("signal", c.id, "go", "--resume"), 0)
check("to the end", c.prints()[-1] == "end", c.prints()[-1][:100])
ends("verifies", c.rb("verify"), 0)
ends("shows", c.rb("show"), 0)
c = Case('for i = 1, 20000 do print(i) end signal "go" print "end"')
ends("20,000 lines", c.run(), 3)
ends("replayed", c.rb("signal", c.id, "go", "--resume"), 0)
eq("each once", len(c.prints()), 20001)
finish()
