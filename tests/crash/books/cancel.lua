-- Waits until somebody cancels it, in three ways at once; what must be closed is closed.
local w = require "world"

local function closing(name)
    return setmetatable({}, { __close = function()
        w.put("close-" .. name)
    end })
end

w.put "before"
local top <close> = closing "top"
all {
    sleeps = function()
        local a <close> = closing "sleeps"
        sleep "1h"
    end,
    asks = function()
        local a <close> = closing "asks"
        approve "Nobody answers this"
    end,
    says = function()
        local a <close> = closing "says"
        print "ready"
        signal "never"
    end,
}
w.put "not reached"
