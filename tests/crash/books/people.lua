-- Gates that people open, from other processes.
local w = require "world"
local h = w.history()

all {
    gate = function()
        local v = approve { "Go on?", binds = "the plan" }
        h.add("approved by " .. v.by)
        w.put "approved"
    end,
    work = function()
        w.put "work"
        h.add "work"
    end,
}
local n = manual("How many?", { type = "integer" })
w.put("many-" .. n)
local s = signal "deployed"
h.add("signal " .. s.build)
w.put("build-" .. s.build)
h.finish()
evidence("final", { n, s.build })
