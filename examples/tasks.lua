-- Structured concurrency: no task outlives the call that started it.
local host = { "web1", "web2", "web3", "web4" }

-- Each element, two at a time. Results come in the order of the list.
local loads = each(host, { limit = 2 }, function(name, i)
    return exec({ "echo", name, tostring(i) }, { read = true }).stdout
end)
print(#loads, loads[4])

-- All at once; the first error cancels the rest.
local both = all {
    name = function()
        return exec({ "uname", "-s" }, { read = true }).stdout
    end,
    user = function()
        return exec({ "id", "-un" }, { read = true }).stdout
    end,
}
print(both.name, both.user)

-- All at once, and every one is waited for.
local results = settle {
    good = function()
        exec { "true" }
    end,
    bad = function()
        exec { "false" }
    end,
}
print(results.good.ok, results.bad.ok, results.bad.error.kind)

-- The first decides.
local _, first = race {
    tortoise = function()
        sleep "1h"
    end,
    hare = function()
        sleep "10ms"
    end,
}
print(first)

-- A limit around anything.
local ok, e = pcall(timeout, "20ms", function()
    exec { "sleep", "60" }
end)
print(ok, e.kind)
