-- Steps group operations, return plain data, and nest. Evidence and notes are kept with them.
local folder = step("Prepare", function()
    local name = exec({ "mktemp", "-d" }).stdout:match "%S+"
    evidence("folder", name)
    return name
end)

step("Work", function()
    for _, part in ipairs { "one", "two" } do
        step(part, function()
            exec({ "touch", part }, { cwd = folder })
        end)
    end
    step("three", function()
        skip "there is no third part"
    end)
end)

step("Look", { timeout = "10s", retry = { times = 2, delay = "100ms" } }, function()
    note(exec({ "ls", folder }, { read = true }).stdout)
end)

exec { "rm", "-r", folder }
