-- Changes a configuration file the careful way: read, change, replace only what was read, keep the old content, and put
-- it back when the new one does not do.
-- before: mkdir etc && printf 'workers = 4\nport = 8080\n' > etc/app.conf
-- run: workers=8
-- then: grep -qx 'workers = 8' etc/app.conf && grep -qx 'workers = 4' etc/app.conf.bak
local p = runbook {
    params = { workers = { "integer", required = true, min = 1, max = 64 } },
    allow = { file = { "etc/**" } },
}
local CONF = "etc/app.conf"

local old = file.read(CONF)
local new, n = old:gsub("workers = %d+", "workers = " .. p.workers)
assert(n == 1, "there is no line of workers")

step("Change the number of workers", function()
    undo("put the old configuration back", function()
        file.write(CONF, old)
    end)
    file.write(CONF, new, { expect = hash.sha256(old), backup = true })
end)
check("Configuration", "the new number is in it", function()
    return file.read(CONF):find("workers = " .. p.workers, 1, true) ~= nil
end)
for _, f in ipairs(file.list "etc") do
    print(f.name, file.digest("etc/" .. f.name))
end
