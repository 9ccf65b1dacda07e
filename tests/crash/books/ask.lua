-- Nothing is said about doubts, so a person is asked.
local w = require "world"

w.put("first", { on_doubt = "ask" })
all {
    left = function()
        w.put("left", { on_doubt = "ask" })
    end,
    right = function()
        w.put("right", { on_doubt = "ask" })
    end,
}
step("Asked by its step", { on_doubt = "ask" }, function()
    w.put "own"
    exec { "/bin/sh", "-c", 'echo "$1" >>world', "put", "last" }
end)
evidence("final", "through")
