-- The configuration's channels: each type with the keys that it needs and those that it may have.
local outside = require "rt.config_outside"
local phrase = require "rt.phrase"
local plain = require "rt.plain"
local scalars = require "rt.scalars"
local words = require "rt.words"

local M = {}

local function url(c, v)
    if not c:secret(v) and (type(v) ~= "string" or not scalars.is_url(v) or not v:find("^https?://")) then
        c:wrong('got %s, expected a URL such as https://host/path, or { secret = "name" }', phrase.show(v))
    end
end

local function text(c, v)
    c:text(v)
end

local function text_or_secret(c, v)
    c:text_or_secret(v)
end

local function only_secret(c, v)
    c:only_secret(v)
end

local function path(c, v)
    c:path_of_file(v)
end

local function command(c, v)
    local list = c:strings(v, "words of a command")
    if list and #list == 0 then
        c:wrong "the command is empty"
    end
end

local function address(c, v)
    local mail = type(v) == "string" and (v:match("^[^<>@]* ?<(.*)>$") or v) or "" -- of "Ops <ops@example.com>"
    if not mail:find("^[^%s@<>]+@[^%s@<>]+$") then
        c:wrong("got %s, expected an address such as ops@example.com", phrase.show(v))
    end
end

local function addresses(c, v)
    if type(v) ~= "table" then
        return address(c, v)
    end
    local list = c:strings(v, "addresses")
    if list and #list == 0 then
        c:wrong "the list is empty: the mail would go to nobody"
    end
    for i, one in ipairs(list or {}) do
        c:at(i, address, one)
    end
end

local function server(c, v)
    local host, port = tostring(v):match("^(.-):(%d+)$")
    host = host or v
    if type(host) ~= "string" or not scalars.is_host(host) or port and tonumber(port) > 65535 then
        c:wrong("got %s, expected a host, perhaps with a port: mail.example.com:587", phrase.show(v))
    end
end

local function one_of(list)
    local known = {}
    for w in list:gmatch("%S+") do
        known[w] = true
    end
    return function(c, v)
        if type(v) ~= "string" or not known[v] then
            c:wrong("got %s%s", phrase.show(v), words.hint(tostring(v), known, true))
        end
    end
end

-- One, or several while they are being changed: each message is signed with all of them.
local function signing_keys(c, v)
    if type(v) == "table" and v[1] ~= nil then
        for i, one in ipairs(v) do
            c:at(i, only_secret, one)
        end
    else
        c:only_secret(v)
    end
end

local function headers(c, v)
    if c:named(v, '{ ["X-Team"] = "ops" }') then
        for _, name in ipairs(plain.sorted(v)) do
            if type(name) ~= "string" or not name:find "^[%w!#$%%&'*+%-.^_`|~]+$" then
                c:wrong("%s is no name of a header", phrase.show(name))
            else
                c:at(name, text_or_secret, v[name])
            end
        end
    end
end

-- Of each channel, whatever its type.
local COMMON = {
    type = function() end,
    min_severity = one_of "debug info warning error critical",
    fallback = function(c, v)
        if type(v) ~= "string" or type(c.config.channels[v]) ~= "table" then
            c:wrong("there is no channel %s%s", phrase.show(v), words.hint(tostring(v), c.config.channels, true))
        elseif v == c.path[#c.path - 1] then
            c:wrong "a channel can not fall back to itself"
        end
    end,
    rate = function(c, v)
        local n, per = tostring(v):match("^(%d+)/(.+)$")
        if not n or tonumber(n) < 1 or not scalars.seconds(per) or scalars.seconds(per) <= 0 then
            c:wrong('got %s, expected a number in a time, such as "10/1m"', phrase.show(v))
        end
    end,
    timeout = function(c, v)
        c:duration(v)
    end,
    on_doubt = one_of "ask retry fail",
}

-- By type: what must be there, and what may be.
local TYPES = {
    terminal = { {}, {} },
    file = { { path = path }, {} },
    exec = { { command = command }, {} },
    slack = { { url = url }, { username = text, icon = text, channel = text, ca_file = path } },
    mattermost = { { url = url }, { username = text, icon = text, channel = text, ca_file = path } },
    pagerduty = { { key = only_secret }, { url = url, source = text, ca_file = path } },
    ntfy = {
        { url = url },
        { topic = text, token = only_secret, user = text, password = only_secret, ca_file = path },
    },
    email = {
        { server = server, from = address, to = addresses },
        {
            user = text,
            password = only_secret,
            tls = one_of "starttls tls none",
            ca_file = path,
            subject = text,
            cc = addresses,
        },
    },
    webhook = { { url = url }, { key = signing_keys, headers = headers, ca_file = path } },
}

local function merged(...)
    local all = {}
    for _, t in ipairs { ... } do
        for k, v in pairs(t) do
            all[k] = v
        end
    end
    return all
end

function M.channels(c, v)
    outside.each_named(c, v, '{ ops = { type = "slack", url = { secret = "name" } } }', function(_, channel)
        if not c:named(channel, '{ type = "terminal" }') then
            return
        end
        local kind = channel.type
        local needs = TYPES[kind]
        if kind == nil then
            c:wrong("`type` is missing%s", words.hint("", TYPES, true))
        elseif not needs then
            c:at("type", function()
                c:wrong("got %s%s", phrase.show(kind), words.hint(tostring(kind), TYPES, true))
            end)
        else
            c:each(channel, merged(COMMON, needs[1], needs[2]))
            for _, k in ipairs(plain.sorted(needs[1])) do
                if channel[k] == nil then
                    c:wrong("a channel of type %s needs `%s`", kind, k)
                end
            end
        end
    end)
end

return M
