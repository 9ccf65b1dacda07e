#!/usr/bin/env python3
"""http.events: each event once, also where the connection breaks, the run is parked, or the host is killed; a stream that
ends, is silent, is none, or says too much."""

import os
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, prints
from hostile import Hostile
from lib import check, eq, finish, wait_for

s = Hostile()


def book(text):
    return text.replace("@U@", s.url)


c = prints("every event once, though the connection breaks behind the third", book(r"""
    local n = http.events("@U@/events", function(e) print(e.id, e.event, (e.data:gsub("\n", "/"))) end)
    print(n)
"""), [f"{i}\ttick\tone {i}/two" for i in range(1, 6)] + ["5"])
eq("it asked for what came after the third", [e[2].get("last-event-id") for e in s.asked("/events")], [None, "3"])
prints("fn ends it", book(r"""
    print(http.events("@U@/events?whole", {}, function(e) return e.id == "2" and "stop" end))
    print(http.events("@U@/events?whole", { last_id = "3" }, function() return true end))
"""), ["2", "1"])
prints("while fn is busy the server has to wait, also with events that are empty", book(r"""
    local how
    http.events("@U@/flood", {}, function()
        how = wait_until({ every = "50ms" }, function()
            local body = http.get("@U@/flooded").body
            return body ~= "goes on" and body
        end)
        return "stop"
    end)
    print(how)
"""), ["is stopped"])

prints("an error in fn goes on, and what fn waits for is waited for", book(r"""
    local ok, e = pcall(http.events, "@U@/events?whole", {}, function(e) sleep("1ms") if e.id == "3" then fail("three") end end)
    print(ok, e.message)
"""), ["false\tthree"])
prints("a stream that is none", book(r"""
    for _, path in ipairs { "/hello", "/status/500", "/status/302", "/silence", "/big-event" } do
        local ok, e = pcall(http.events, "@U@" .. path, { timeout = "100ms", max_event = 100000 }, print)
        print(e.kind, e.outcome)
    end
    local ok, e = pcall(http.events, "http://127.0.0.1:1/", {}, print) print(e.kind)
    print(http.events("@U@/status/204", {}, print))
"""), ["http.protocol\tfailed", "http.status\tfailed", "http.status\tfailed", "http.timeout\tfailed", "http.too_big\tfailed",
       "http.refused", "0"])
for bad in ('http.events("@U@/events")', 'http.events("@U@/events", {}, 5)', 'http.events("@U@/events", { retyr = 1 }, print)'):
    c = Case(book(bad))
    r = c.run()
    check(f"{bad}: an error of the author", r.returncode == 1 and "t.lua:1: " in r.stderr and not c.events("result"), r.stderr)

# killed while it waits for the fourth, gone on with: the first three are not asked for again, nor seen twice
for name, sig in (("killed", signal.SIGKILL), ("parked", signal.SIGTERM)):
    s.counts.clear()
    s.log.clear()
    s.release.clear()
    c = Case(book(r"""
        http.events("@U@/events?whole,wait", function(e) exec({ "sh", "-c", "echo " .. e.id .. " >> @DIR@/seen" }) end)
        print("end")
    """))
    p = c.start("run", "t.lua")
    wait_for("three events", lambda: len(c.lines("seen")) == 3 and len(c.events("result")) == 6)
    p.send_signal(sig)
    p.wait(60)
    s.release.set()
    ends(f"{name} while it waits, and gone on with", c.rb("resume", c.id), 0)
    eq(f"{name}: each event was seen once", (c.lines("seen"), c.prints()), (["1", "2", "3", "4", "5"], ["end"]))
    eq(f"{name}: the new host asked for what came after", [e[2].get("last-event-id") for e in s.asked("/events")], [None, "3"])
    ends(f"{name}: and the journal holds", c.rb("verify", c.id), 0)

c = Case(book(r"""
    local r = race { quick = function() sleep("50ms") return "quick" end,
                     slow = function() http.events("@U@/silence", print) end }
    print(r)
"""))
ends("cancelled while it waits", c.run(), 0)
s.release.clear()
c = Case(book('http.events("@U@/silence?park", print)'))
p = c.start("run", "t.lua")
wait_for("the stream", lambda: any("park" in e[1] for e in s.asked("/silence")))
check("parked while it waits", park(c, p) in (-15, 143) and c.status() == "parked", c.status())
s.release.set()
finish()
