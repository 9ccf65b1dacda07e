-- Nothing is said about doubts, so a person is asked.
local w = require "world"

w.put("first", { on_doubt = "ask", survive = false })
all {
    left = function()
        w.put("left", { on_doubt = "ask", survive = false })
    end,
    right = function()
        w.put("right", { on_doubt = "ask", survive = false })
    end,
}
step("Asked by its step", { on_doubt = "ask" }, function()
    w.put("own", { survive = false })
    exec({ "/bin/sh", "-c", 'echo "$1" >>world', "put", "last" }, { survive = false })
end)
evidence("final", "through")
