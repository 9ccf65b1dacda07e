-- A body that a replay skips, with effects and waits in it, and one in each branch.
local w = require "world"

local calls = 0
local function body(name)
    return memo(name, function()
        calls = calls + 1
        w.put("memo-" .. name)
        sleep "1ms"
        w.put("more-" .. name)
        return { name, 1.5, true }
    end)
end
local one = body "one"
local r = all {
    left = function()
        return body "left"
    end,
    right = function()
        return body "right"
    end,
}
local nothing = memo("nothing", function() end)
w.put "end"
evidence("final", { one, r.left, r.right, nothing == nil })
