-- Steps that can be undone, then a failure.
local w = require "world"

for _, name in ipairs { "db", "web" } do
    step("Change " .. name, { undo = function()
        w.put("undo-" .. name)
    end }, function()
        w.put("do-" .. name)
    end)
end
step("Look", function()
    undo("never armed", function()
        w.put "undo-never"
    end)
    w.has "do-db"
end)
step("Change cache", function()
    undo("cache", function()
        local r = exec({ "grep", "-c", "undo-cache", "world" }, { read = true, check = false })
        w.put("undo-cache-" .. r.stdout:gsub("%s", ""))
        if exec({ "test", "-e", "mended" }, { read = true, check = false }).code ~= 0 then
            fail "the cache can not be reached"
        end
        w.put "undo-cache-last"
    end)
    w.put "do-cache"
    fail "the cache is wrong"
end)
