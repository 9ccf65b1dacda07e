-- Compensations: armed when their step starts its first effect, run last first. With on_failure = "undo" they run by
-- themselves when the run fails; without it, `rbhost undo RUN` does it.
-- exit: 1
-- then: test ! -e a && test ! -e b
local function put(name)
    step("Put " .. name, function()
        undo("Take " .. name .. " away", function()
            exec { "rm", name }
        end)
        exec { "touch", name }
    end)
end

runbook { on_failure = "undo" }

put "a"
put "b"
step("Verify", function()
    fail("they do not go together", { parts = { "a", "b" } })
end)
