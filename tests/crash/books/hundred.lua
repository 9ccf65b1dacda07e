-- Tasks that change one shared variable and act on it: what each does to the world depends on all that was done before.
local p = runbook { params = { tasks = { "integer", default = 100 } } }
local w = require "world"
local h = w.history()

local list = {}
for i = 1, p.tasks do
    list[i] = "t" .. i
end
each(list, { limit = p.tasks }, function(name, i)
    h.add(name .. " begins at " .. h.count())
    sleep(0.001 * (i % 3 + 1))
    local before = h.count()
    w.put(name .. "-" .. before .. "-" .. h.digest())
    h.add(name .. " went from " .. before .. " to " .. h.count())
    if h.count() % 10 == i % 10 then
        w.put(name .. "-extra-" .. h.digest())
        h.add(name .. " extra")
    end
end)
w.put("end-" .. h.digest())
h.finish()
