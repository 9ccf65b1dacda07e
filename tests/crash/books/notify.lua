-- Messages to a receiver that counts, through a channel whose receiver knows one that comes twice and through one that
-- does not; a gate and an end of which the header tells.
runbook { notify = { waiting = "hook", succeeded = "hook" } }
local w = require "world"

local n = 0
local function tell(channel, text, opts)
    n = n + 1
    return notify(channel, { title = "T" .. n, text = text, dedup = "run" }, opts).delivered
end

tell("hook", "hook one")
w.put "one"
tell("file", "file one")
all {
    a = function()
        tell("hook", "hook two")
        tell("file", "file two")
    end,
    b = function()
        w.put "two"
        tell("hook", "hook three", { retry = { times = 3, delay = "1ms" } })
    end,
}
approve { "Go on?" }
tell("hook", "hook four")
evidence("final", { n = n })
