-- A checklist whose rows run together, one that acts, one that is skipped.
local w = require "world"
local h = w.history()

w.put "ready"
checklist "Before" {
    { "World", "it is ready", function()
        h.add "ready?"
        return w.has "ready"
    end },
    { "World", "it is not over", function()
        h.add "over?"
        return not w.has "over"
    end },
    { "World", "it can be changed", acts = true, function()
        w.put("row-" .. h.count())
        h.add "changed"
    end },
    { "World", "nothing to see", function()
        skip "not today"
    end },
}
local ok, e = pcall(function()
    checklist "After" {
        { "World", "it is over", function()
            return w.has "over"
        end },
        { "World", "it is ready", function()
            return w.has "ready"
        end },
    }
end)
h.finish()
evidence("final", { h.count(), ok, e.message })
