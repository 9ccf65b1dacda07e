-- Decisions of people, and a signal from outside. Off a terminal the run leaves with exit code 3 at each of them, and
-- is gone on with where it stood; on a terminal it asks.
-- exit: 3
-- then: rbhost approve latest -m "the graphs look well" --resume
-- exit: 3
-- then: rbhost answer latest --value 3 --resume
-- exit: 3
-- then: rbhost signal latest deployed '{"build": 42}' --resume
local gate = approve { "Deploy?", timeout = "2h", on_timeout = "deny" }
print("approved by " .. gate.by, gate.comment)

local racks = manual("How many racks are cabled?", { type = "integer" })
print(racks + 1 .. " with the spare one")

local message = signal("deployed", { timeout = "1h" })
print("build " .. message.build)
