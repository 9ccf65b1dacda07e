-- Commands on three hosts, one after the other, several at once, a longer one, a file. Each word comes into the world
-- once.
local p = runbook { params = { world = { "string", required = true }, file = { "string", required = true } } }

local function put(host, word, opts)
    local script = ("%s echo \"$1\" >>%s; echo \"$1\""):format(opts and opts.first or "", p.world)
    return ssh(host, { "sh", "-c", script, "put", word })
end

local said = {}
local function keep(r)
    said[#said + 1] = r.stdout
end

keep(put("web01", "one"))
keep(ssh("web01", { "echo", "read" }, { read = true }))
step("Two", function()
    keep(put("web01", "two", { first = "sleep 0.2;" }))
end)
local r = all {
    a = function()
        return put("web01", "three")
    end,
    b = function()
        return put("web02", "four", { first = "sleep 0.1;" })
    end,
    c = function()
        return put("web03", "five")
    end,
}
keep(r.a)
keep(r.b)
keep(r.c)
for _, e in ipairs(ssh.each({ "web01", "web02" }, { limit = 2 }, function(host)
    return put(host, "each-" .. host)
end)) do
    keep(e)
end
ssh.upload("web02", { content = ("content\n"):rep(1000), to = p.file })
ssh.download("web02", { from = p.file, to = p.file .. ".back" })
keep(put("web02", "last"))
evidence("final", table.concat(said))
