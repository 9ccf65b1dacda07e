-- Trying again: what may be repeated, and how long to wait for something to come true.
local attempts = retry({ times = 5, delay = "10ms", backoff = 2, max = "1s", on = "exec.exit" }, function(attempt)
    exec { "test", tostring(attempt), "-ge", "3" }
    return attempt
end)
print("it took " .. attempts .. " attempts")

-- The same as an option of a command. This one may run twice without harm, so even an unknown outcome is tried again.
exec({ "mkdir", "-p", "made" }, { idempotent = true, retry = { times = 3, delay = "10ms" } })

wait_until({ title = "the service is up", every = "10ms", timeout = "30s" }, function(look)
    return look == 3
end)
