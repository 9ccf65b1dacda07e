-- The configuration's ssh: how it is reached, and the groups of hosts that lists may name.
local names = require "rt.ssh_names"
local phrase = require "rt.phrase"

local M = {}

-- One text of a group: hosts with ranges, other groups, globs of ssh's names, what is left out.
local function member(text)
    local keep, out_again = names.words(text)
    if #keep + #out_again ~= 1 then
        return false
    end
    local list = names.expand(keep[1] or out_again[1])
    return list ~= nil and (names.is_glob(list[1]) or names.split(list[1]) ~= nil)
end

local function groups(c, v)
    require("rt.config_outside").each_named(c, v, '{ web = { "web[01-20]" } }', function(_, list)
        c:strings(list, 'hosts such as "web[01-20]" or "deploy@db1"', function(s)
            return s:sub(1, 1) ~= "!" and member(s)
        end)
    end)
end

local SSH = {
    config = function(c, v)
        c:path_of_file(v)
    end,
    connect_timeout = function(c, v)
        c:duration(v)
    end,
    idle_timeout = function(c, v)
        c:duration(v)
    end,
    max_connections = function(c, v)
        c:whole(v, 1, 1000)
    end,
    hosts = groups,
}

function M.ssh(c, v)
    if not c:named(v, '{ connect_timeout = "10s", hosts = { web = { "web[01-20]" } } }') then
        return
    end
    c:each(v, SSH)
    for _, key in ipairs { "connect_timeout", "idle_timeout" } do
        local seconds = v[key] and require("rt.scalars").seconds(v[key])
        if seconds and (seconds > 3600 or seconds < 0.001) then
            c:at(key, c.wrong, "got %s, expected from 1ms to an hour", phrase.show(v[key]))
        end
        v[key] = seconds
    end
end

return M
