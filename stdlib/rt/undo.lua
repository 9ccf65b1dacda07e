-- The undo phase: the armed compensations, last first. A failed one keeps the rest.
local steps = require "rt.steps"
local base = require "rt.base"

return function()
    base.in_scope("undo", function()
        while true do
            local n, title, fn = host.undo_next()
            if not n then
                return
            end
            base.in_scope(tostring(n), function()
                steps.step(title, function()
                    fn()
                end)
            end)
            host.undo_done(n)
        end
    end)
end
