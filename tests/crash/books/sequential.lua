-- One task: effects, reads, records, a variable that all of them change.
local p = runbook { params = { who = { "string", default = "nobody" } } }
local w = require "world"

local seen = {}
local function look(word)
    seen[#seen + 1] = word .. "=" .. tostring(w.has(word))
end

w.put "one"
look "one"
local id, at, dice = uuid(), now(), math.random(1000000)
print("drawn " .. id .. " " .. at .. " " .. dice)
local v = step("Two", function()
    look "two"
    w.put "two"
    look "two"
    note "two is there"
    return { n = #seen }
end)
local tail = require("ta" .. "il")
w.put(tail.word .. v.n)
local r = exec({ "/bin/sh", "-c", "echo \"$1\" >>world; exit 3", "put", "three" }, {
    check = false,
    on_doubt = function()
        return w.has "three" and "done" or "retry", { code = 3, stdout = "", stderr = "" }
    end,
})
seen[#seen + 1] = "code " .. r.code
local m = memo("once", function()
    w.put "memo"
    return { "kept", #seen }
end)
evidence("drawn", "drawn " .. id .. " " .. at .. " " .. dice)
w.put("last-" .. #m)
evidence("final", { who = p.who, seen = seen, memo = m, v = v })
