-- Telling people: a message to a channel, a headline with fields, something that is opened and closed; and what the
-- header tells by itself when the run ends. The channel is a file of the configuration below.
-- before: mkdir -p .config/rbhost
-- before: echo "return { channels = { ops = { type = 'file', path = '$PWD/told' } } }" > .config/rbhost/config.lua
runbook { title = "Look at the disk", notify = { succeeded = "ops", failed = "ops" } }

notify("ops", "looking at the disk")

local free = tonumber(exec({ "sh", "-c", "df --output=avail / | tail -1" }, { read = true }).stdout)
local r = notify("ops", {
    title = "Disk of the root",
    text = "there is room",
    severity = free > 1024 and "info" or "critical",
    fields = { free = free .. " KiB" },
    dedup = "disk-root",
})
print(r.delivered, r.channel)

notify.resolve("ops", "disk-root", "nothing to do")
