-- Is told to park while a command runs and a task sleeps.
local w = require "world"
local h = w.history()

all {
    command = function()
        h.add "command"
        w.put("slow", { before = "sleep 0.05;" })
        h.add "command ended"
        w.put("then-" .. h.digest())
    end,
    waits = function()
        sleep "5ms"
        print "ready"
        h.add "ready"
        sleep "30ms"
        w.put "woke"
        h.add "woke"
    end,
}
h.finish()
evidence("final", h.count())
