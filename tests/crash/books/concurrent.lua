-- Tasks that share a list and act on what they see in it, through every kind of concurrency.
local w = require "world"
local h = w.history()

local r = all {
    a = function()
        for i = 1, 3 do
            w.put("a" .. i .. "-" .. h.digest())
            h.add("a" .. i .. ":" .. h.count())
        end
        return "A"
    end,
    b = function()
        for i = 1, 3 do
            w.put("b" .. i .. "-" .. h.digest())
            h.add("b" .. i .. ":" .. h.count())
            sleep "2ms"
        end
        return "B"
    end,
    c = function()
        return retry({ times = 3, delay = "2ms" }, function(n)
            h.add("try" .. n)
            if n < 3 then
                w.put("c" .. n .. "-" .. h.digest())
                fail "not yet"
            end
            return n
        end)
    end,
}
local value, winner = race {
    slow = function()
        sleep "1h"
    end,
    fast = function()
        sleep "3ms"
        h.add "fast"
        return "won"
    end,
}
local ok, e = pcall(timeout, "3ms", function()
    sleep "1h"
end)
local doubled = each({ "x", "y", "z" }, { limit = 2 }, function(k, i)
    w.put("each-" .. k .. "-" .. h.digest())
    h.add("each " .. k)
    return i * 2
end)
local s = settle {
    good = function()
        sleep "1ms"
        h.add "good"
        return 1
    end,
    bad = function()
        h.add "bad"
        fail "as it should"
    end,
}
local looks = 0
wait_until({ title = "third look", every = "1ms" }, function()
    looks = looks + 1
    h.add("look " .. looks)
    return looks == 3
end)
w.put("end-" .. h.digest())
h.finish()
evidence("final", {
    r.a, r.b, r.c, value, winner, ok, e.kind, doubled, s.good.value, s.bad.ok, s.bad.error.message, looks,
})
