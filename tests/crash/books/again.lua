-- Fails until the world is mended, and is then retried: what succeeded is kept.
local p = runbook { params = { slow = { "boolean", default = false } } }
local w = require "world"
local h = w.history()

w.put "before"
all {
    steady = function()
        w.put("steady", { before = p.slow and "sleep 0.3;" or "" }) -- slow: it is stopped when the other fails
        h.add "steady"
    end,
    shaky = function()
        h.add "shaky"
        sleep "10ms"
        w.put("shaky", { before = "test -e mended && " })
        h.add "shaky is well"
    end,
}
w.put "after"
h.finish()
evidence("final", "well")
