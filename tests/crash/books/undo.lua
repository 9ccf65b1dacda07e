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
        w.put "undo-cache-1"
        if not w.has "mended" then
            fail "the cache can not be reached"
        end
        w.put "undo-cache-2"
    end)
    w.put "do-cache"
    fail "the cache is wrong"
end)
