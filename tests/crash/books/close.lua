-- Handlers of to-be-closed variables that wait for effects: at the end of a block, by an error, by a time-out, by
-- another branch's failure.
local w = require "world"
local order = {}

local function closing(name)
    return setmetatable({}, { __close = function()
        w.put("close-" .. name)
        sleep "1ms"
        order[#order + 1] = name
    end })
end

do
    local a <close> = closing "block"
    w.put "in-block"
end
local ok, e = pcall(function()
    local a <close> = closing "outer"
    local b <close> = closing "inner"
    w.put "in-pcall"
    fail "on purpose"
end)
local timed = pcall(timeout, "5ms", function()
    local a <close> = closing "time"
    sleep "1h"
end)
local failed, why = pcall(all, {
    breaks = function()
        sleep "3ms"
        fail "this branch breaks"
    end,
    waits = function()
        local a <close> = closing "branch"
        sleep "1h"
    end,
})
w.put "end"
evidence("final", { order, ok, e.message, timed, failed, why.message })
