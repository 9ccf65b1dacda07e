-- Durable waits: a resumed run sleeps the rest only, and never less than it said.
local w = require "world"

local from = now()
sleep "30ms"
w.put "rested"
sleep_until(from + 0.06)
local to = now()
evidence("final", { rested = to - from >= 0.059 })
