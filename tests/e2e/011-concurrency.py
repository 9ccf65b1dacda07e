#!/usr/bin/env python3
"""Structured concurrency of D2: all settle each race timeout retry wait_until shield; cancellation is sticky, clean-up
may wait, and no task or process outlives the call that started it."""
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, alive, ends, prints
from lib import check, contains, eq, finish

# -- all, settle, race, each

prints(
    "all gives its results by name, and by number",
    """
    local r = all { a = function() sleep("2ms") return 1 end, b = function() return "x" end, function() return true end }
    print(r.a, r.b, r[1])
    print(next(all {}))
    """,
    "1\tx\ttrue\nnil",
)
prints(
    "the first error of all cancels the rest, which can clean up, and is raised when they have ended",
    """
    local said = {}
    local ok, e = pcall(all, {
      bad = function() sleep("1ms") error("bad luck") end,
      slow = function()
        local c <close> = setmetatable({}, { __close = function(_, err) said[#said + 1] = err.kind sleep("3ms") said[#said + 1] = "cleaned" end })
        sleep("1h")
        said[#said + 1] = "never"
      end,
    })
    print(ok, e.message, table.concat(said, " "))
    """,
    "false\tbad luck\tcancelled cleaned",
)
prints(
    "settle waits for all and gives each outcome",
    """
    local r = settle { a = function() return 1 end, b = function() sleep("2ms") error("no") end, c = function() end }
    print(r.a.ok, r.a.value, r.b.ok, r.b.error.message, r.b.error.kind, r.c.ok, r.c.value)
    """,
    "true\t1\tfalse\tno\tlua\ttrue\tnil",
)
prints(
    "race: the first that ends wins, with its key; the rest are cancelled and have ended",
    """
    local ended
    local v, k = race {
      fast = function() sleep("1ms") return "v" end,
      slow = function() local c <close> = setmetatable({}, { __close = function() ended = true end }) sleep("1h") end,
    }
    print(v, k, ended)
    local ok, e = pcall(race, { a = function() error("lost") end, b = function() sleep("1h") end })
    print(ok, e.message)
    ok, e = pcall(race, {})
    print(ok, e.kind)
    """,
    "v\tfast\ttrue\nfalse\tlost\nfalse\tusage",
)
prints(
    "each calls with element and index, gives results in order, never more than limit at once",
    """
    local now_running, most = 0, 0
    local r = each({ "a", "b", "c", "d", "e" }, { limit = 2 }, function(v, i)
      now_running = now_running + 1
      most = math.max(most, now_running)
      sleep(i % 2 == 0 and "1ms" or "3ms")
      now_running = now_running - 1
      return v .. i
    end)
    print(table.concat(r, " "), most)
    print(#each({}, function() end))
    local ok, e = pcall(each, { 1, 2, 3 }, { limit = 1 }, function(v) if v == 2 then error("two") end print(v) end)
    print(ok, e.message)
    """,
    "a1 b2 c3 d4 e5\t2\n0\n1\nfalse\ttwo",
)
c = prints(
    "the keys of branches and elements are names, not numbers of arrival",
    """
    all { left = function() sleep("3ms") note("l") end, right = function() note("r") end }
    each({ "web1", { name = "db" }, { id = 7 }, { x = 1 } }, function(v) sleep("1ms") note("e") end)
    """,
    [],
)
eq(
    "the keys of what they recorded",
    sorted(e["key"] for e in c.events("note")),
    sorted(["left/2", "right/1", "web1/2", "db/2", "7/2", "4/2"]),
)
prints(
    "a thousand tasks at once",
    """
    local n = 0
    local list = {}
    for i = 1, 1000 do list[i] = i end
    each(list, { limit = 1000 }, function(v) sleep("1ms") n = n + v end)
    print(n)
    """,
    "500500",
)
for bad in ("all(5)", "all { 5 }", "race { a = 1 }", "settle()", "each({1})", "each({1}, {limit=0}, print)",
            "each({1}, {limit=1.5}, print)", "each({1}, {limits=1}, print)", "timeout('x', print)", "timeout('1s')",
            "retry({times=0}, print)", "retry(3)", "wait_until({})", "wait_until({evry='1s'}, print)", "shield(5)",
            "sleep('soon')", "sleep(-1)", "sleep()", "sleep(0/0)", "sleep(1/0)", "sleep_until('tomorrow')"):
    r = Case(bad).run()
    check(f"{bad}: an error of the author, in one line with its place", r.returncode == 1 and "t.lua:1: " in r.stderr,
          (r.returncode, r.stderr))

# -- timeout, retry, wait_until, shield

prints(
    "timeout gives what its function returns, or raises and has stopped it",
    """
    print(timeout("10s", function() return 1, nil, 3 end))
    local ended
    local ok, e = pcall(timeout, "5ms", function()
      local c <close> = setmetatable({}, { __close = function() ended = true end })
      sleep("1h")
    end)
    print(ok, e.kind, ended, e.outcome)
    ok, e = pcall(timeout, "10s", function() error("own") end)
    print(ok, e.message)
    """,
    "1\tnil\t3\nfalse\ttimeout\ttrue\tunknown\nfalse\town",
)
prints(
    "retry: as often as it says, with the attempt's number; the last error is raised",
    """
    print(retry({ times = 3, delay = "1ms" }, function(n) if n < 3 then error("no") end return n end))
    local n = 0
    local ok, e = pcall(retry, { times = 2, delay = 0 }, function() n = n + 1 error("no " .. n) end)
    print(ok, e.message, n)
    """,
    "3\nfalse\tno 2\t2",
)
prints(
    "retry on: kinds, one kind, or a function decide",
    """
    local function count(on, kind)
      local n = 0
      pcall(retry, { times = 3, delay = 0, on = on }, function() n = n + 1 error({ kind = kind, message = "m" }) end)
      return n
    end
    local function fails(on)
      local n = 0
      pcall(retry, { times = 3, delay = 0, on = on }, function() n = n + 1 fail("x") end)
      return n
    end
    print(fails("failed"), fails({ "other", "failed" }), fails("other"))
    print(fails(function(e) return e.message == "x" end), fails(function() return false end))
    """,
    "3\t3\t1\n3\t1",
)
prints(
    "an effect whose outcome is unknown is not tried again, unless it is idempotent",
    """
    local function tries(opts)
      local n = 0
      opts.timeout = "20ms"
      pcall(retry, { times = 2, delay = 0 }, function() n = n + 1 exec({ "sleep", "60" }, opts) end)
      return n
    end
    print(tries {}, tries { idempotent = true }, tries { read = true })
    """,
    "1\t2\t2",
)
c = Case(
    """
    exec.sh("echo x >> @DIR@/n; test $(wc -l < @DIR@/n) -ge 3", { retry = { times = 5, delay = 0 } })
    """
)
ends("an effect's own retry option", c.run(), 0)
eq("tried three times", c.lines("n"), ["x"] * 3)
eq(
    "each failed attempt is in the journal",
    [e["value"]["n"] for e in c.events("record") if e["op"] == "attempt"],
    [1, 2],
)
prints(
    "backoff, max and jitter are taken",
    """
    print(retry({ times = 4, delay = "1ms", backoff = 2, max = "3ms", jitter = 0.5 }, function(n) if n < 4 then error("x") end return n end))
    """,
    "4",
)
prints(
    "wait_until looks until it is true and gives that; its time is bounded",
    """
    print(wait_until({ every = "1ms" }, function(n) return n == 3 and "third" end))
    local ok, e = pcall(wait_until, { title = "the moon", every = "1ms", timeout = "10ms" }, function() return false end)
    print(ok, e.kind, e.message)
    """,
    "third\nfalse\ttimeout\tthe moon did not come true within 10ms",
)
prints(
    "shield holds a cancellation back until it has ended",
    """
    local log = {}
    race {
      function() sleep("5ms") end,
      function()
        shield(function() sleep("20ms") log[#log + 1] = "shielded part ended" end)
        log[#log + 1] = "never"
        sleep("1h")
        log[#log + 1] = "never either"
      end,
    }
    print(table.concat(log, ", "))
    print(shield(function() return 1, 2 end))
    local ok, e = pcall(shield, function() sleep("1h") end, { timeout = "5ms" })
    print(ok, e.kind)
    """,
    ["shielded part ended, never", "1\t2", "false\ttimeout"],
)

# -- cancellation

prints(
    "cancellation is sticky: pcall can not keep a task alive, each next op raises it again",
    """
    local seen = {}
    race {
      function() sleep("5ms") end,
      function()
        for i = 1, 3 do
          local ok, e = pcall(sleep, "1h")
          seen[#seen + 1] = tostring(ok) .. (type(e) == "table" and e.kind or "")
        end
        seen[#seen + 1] = "ran on"
      end,
    }
    print(#seen <= 3, seen[1] == nil or seen[1] == "falsecancelled", table.concat(seen, " "):find("ran on") == nil)
    """,
    "true\ttrue\ttrue",
)
prints(
    "what is closed runs in order, with the error, and may wait for operations",
    """
    local function closer(name) return setmetatable({}, { __close = function(_, e)
      sleep("1ms") local r = exec({ "echo", name }) print((r.stdout:gsub("%s", "")), e and e.kind) end }) end
    local ok, e = pcall(function()
      local a <close> = closer("a")
      local b <close> = closer("b")
      fail("x")
    end)
    print(ok, e.kind)
    """,
    "b\tfailed\na\tfailed\nfalse\tfailed",
)
c = prints(
    "the process of a cancelled branch is ended with its group before race returns",
    """
    local v, k = race {
      function() wait_until({ every = "2ms" }, function() return exec({ "test", "-s", "@DIR@/pid" }, { read = true, check = false }).code == 0 end) end,
      function() exec.sh("sleep 300 & echo $! $$ > @DIR@/pid.tmp; mv @DIR@/pid.tmp @DIR@/pid; wait") end,
    }
    print(k)
    """,
    "1",
)
pids = c.text("pid").split()
check("the shell and its child are gone", len(pids) == 2 and not any(map(alive, pids)), pids)
eq("the stop of what had started is in the journal", [e["why"] for e in c.events("op.stop")], ["cancelled"])
c = Case(
    """
    all {
      a = function() all { deep = function() exec.sh("echo $$ > @DIR@/pid; exec sleep 300") end } end,
      b = function()
        wait_until({ every = "2ms" }, function() return exec({ "test", "-s", "@DIR@/pid" }, { read = true, check = false }).code == 0 end)
        error("enough")
      end,
    }
    """
)
ends("an error deep in one branch ends the run", c.run(), 1)
check("and no process of another branch is left", not alive(c.text("pid").strip()), c.text("pid"))
prints(
    "the same shared variable, changed by many tasks in the order of outcomes",
    """
    local order = {}
    each({ 3, 1, 2 }, function(v) sleep(v * 0.02) order[#order + 1] = v end)
    print(table.concat(order, " "))
    """,
    "1 2 3",
)
prints(
    "nested: timeouts in races in each, errors of the right kind come out",
    """
    local r = settle {
      a = function() return timeout("10s", function() return race { function() return each({ 1 }, function(v) return v + 1 end)[1] end } end) end,
      b = function() timeout("5ms", function() race { function() sleep("1h") end, function() sleep("2h") end } end) end,
      c = function() retry({ times = 2, delay = 0 }, function() timeout("2ms", function() sleep("1h") end) end) end,
    }
    print(r.a.value, r.b.error.kind, r.c.error.kind)
    """,
    "2\ttimeout\ttimeout",
)
prints(
    "coroutines: an operation inside one waits for the task that runs it",
    """
    local co = coroutine.wrap(function() for i = 1, 3 do sleep("1ms") coroutine.yield(i) end end)
    print(co(), co(), co())
    local t = coroutine.create(function() sleep("1ms") error("in") end)
    local ok, e = coroutine.resume(t)
    print(ok, type(e) == "table" and e.message or e, coroutine.status(t))
    print(select(2, pcall(coroutine.wrap(function() fail("out") end))).kind)
    """,
    ["1\t2\t3", "false\tt.lua:4: in\tdead", "failed"],
)
prints(
    "a task's own coroutine that somebody holds stays what it was, however many tasks come after",
    """
    local held
    each({ 1 }, function() sleep("1ms") held = coroutine.running() end)
    local others = {}
    each({ 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 }, { limit = 3 }, function()
      sleep("1ms")
      others[#others + 1] = coroutine.running() == held
      if coroutine.status(held) == "running" then error("it runs again") end
    end)
    print(#others, others[1], others[12], coroutine.status(held), coroutine.resume(held))
    """,
    "12\tfalse\tfalse\tdead\tfalse\tcannot resume dead coroutine",
)
prints(
    "tasks that end well, fail or are cancelled, one after the other: each has its own variables, results and error",
    """
    local said = {}
    for i = 1, 30 do
      local r = settle {
        a = function() local mine = i sleep("1ms") return mine, 2, 3 end,
        b = function() error("no " .. i) end,
        c = function() timeout("1ms", function() sleep("1h") end) end,
      }
      said[r.a.value .. r.b.error.message .. r.c.error.kind] = true
      if r.a.value ~= i or r.b.error.message ~= "no " .. i or r.c.error.kind ~= "timeout" then error("mixed up") end
    end
    print("sound")
    """,
    "sound",
)
# -- what the lines say of it

c = Case("""
    timeout("9s", function() exec { "true" } end)
    print(pcall(timeout, "20ms", function() sleep "9s" end))
    race { a = function() sleep "9s" end, b = function() return 2 end }
""")
lines = [line[10:] for line in c.run().stdout.splitlines()]
eq("sleeps that nobody waits for any more are no failures", [line for line in lines if line.startswith("failed")], [])
eq("a time-out and the winner of a race are told", [line for line in lines if line.split()[0] in ("timeout", "race")],
   ["timeout   20ms are over", "race      b was first"])
finish()
