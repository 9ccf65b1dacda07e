-- Effects that may be repeated: each crash may cost one more, and it is marked.
local w = require "world"

w.put("first", { on_doubt = "retry", survive = false })
w.put("second", { on_doubt = "retry", idempotent = true, survive = false })
all {
    left = function()
        w.put("left", { on_doubt = "retry", survive = false })
    end,
    right = function()
        w.put("right", { on_doubt = "retry", survive = false })
    end,
}
evidence("final", "through")
