-- The configuration's dsns, http and secrets: where the primitives reach, and what they show there.
local phrase = require "rt.phrase"
local plain = require "rt.plain"
local scalars = require "rt.scalars"

local M = {}

local function name_of(c, name)
    if type(name) ~= "string" or not name:find("^%a[%w_.-]*$") or #name > 64 then
        c:wrong("a name is letters, digits, _ . and -")
        return false
    end
    return true
end

local function each_named(c, v, example, fn)
    if not c:named(v, example) then
        return
    end
    for _, name in ipairs(plain.sorted(v)) do
        c:at(name, function()
            if name_of(c, name) then
                fn(c, v[name])
            end
        end)
    end
end

-- -- dsns -----------------------------------------------------------------------------------------------------------

-- Does a DSN hold a password? In the authority, as a parameter, or as a keyword of libpq.
local function has_password(dsn)
    local authority = dsn:match("^%a[%w+]*://([^/?]*)")
    return authority and authority:find("^[^@]*:[^@]*@") ~= nil
        or dsn:find("[?&]password=[^&]") ~= nil
        or dsn:find("^postgres[%a]*:.*%f[%w]password%s*=") ~= nil
end

local function dsn_text(c, v)
    if not c:text(v) then
        return
    end
    if v:find("^sqlite:") then
        if v:find("^sqlite:~") then
            c:wrong("%s: ~ is not expanded: write the whole path", phrase.show(v))
        elseif v:find("^sqlite:/?$") or v:find("^sqlite://") then
            c:wrong("got %s, expected sqlite:/path/of/the.db", phrase.show(v))
        end
    elseif v:find("^postgres:.") or v:find("^postgresql://.") or v:find("^postgres://.") then
        if has_password(v) then
            c:wrong 'a password stands in clear in the DSN: write { dsn = "…", password = { secret = "name" } }'
        end
    else
        c:wrong("got %s, expected sqlite:/path, postgres://user@host/database or postgres:service=name", phrase.show(v))
    end
end

local DSN = {
    dsn = dsn_text,
    password = function(c, v)
        c:only_secret(v)
    end,
    read_only = function(c, v)
        c:boolean(v)
    end,
    max_connections = function(c, v)
        c:whole(v, 1, 1000)
    end,
}

function M.dsns(c, v)
    each_named(c, v, '{ app = "sqlite:/srv/app.db" }', function(_, dsn)
        if type(dsn) == "string" then
            dsn_text(c, dsn)
        elseif c:named(dsn, '{ dsn = "postgres://app@db/app", password = { secret = "name" } }') then
            c:each(dsn, DSN)
            if dsn.dsn == nil then
                c:wrong "`dsn` is missing"
            elseif dsn.password ~= nil and type(dsn.dsn) == "string" and dsn.dsn:find("^sqlite:") then
                c:wrong "an SQLite file has no password"
            elseif dsn.max_connections ~= nil and type(dsn.dsn) == "string" and dsn.dsn:find("^sqlite:") then
                c:wrong "max_connections is for PostgreSQL"
            end
        end
    end)
end

-- -- http -----------------------------------------------------------------------------------------------------------

local function proxy(c, v)
    if type(v) ~= "string" or not scalars.is_url(v) then
        c:wrong("got %s, expected a URL such as http://proxy:3128", phrase.show(v))
    elseif v:find("^[^/]*//[^/]*:[^/@]*@") then
        c:wrong "a password stands in clear in the URL: leave it to the environment (HTTPS_PROXY, proxy_env = true)"
    end
end

local HTTP = {
    proxy = proxy,
    no_proxy = function(c, v)
        c:strings(v, 'hosts such as "localhost" or "*.corp"', function(s)
            return not s:find("[/%s]")
        end)
    end,
    proxy_env = function(c, v)
        c:boolean(v)
    end,
    ca_file = function(c, v)
        c:path_of_file(v)
    end,
    timeout = function(c, v)
        c:duration(v)
    end,
    connect_timeout = function(c, v)
        c:duration(v)
    end,
    max_connections = function(c, v)
        c:whole(v, 1, 10000)
    end,
}

function M.http(c, v)
    if c:named(v, '{ timeout = "30s" }') then
        c:each(v, HTTP)
    end
end

-- -- secrets --------------------------------------------------------------------------------------------------------

local SOURCES = {
    env = function(c, v)
        if type(v) ~= "string" or not v:find("^[%a_][%w_]*$") then
            c:wrong("got %s, expected the name of an environment variable", phrase.show(v))
        end
    end,
    file = function(c, v)
        c:path_of_file(v)
    end,
    credential = function(c, v)
        if type(v) ~= "string" or not v:find("^[%w_.:-]+$") or v:find("^%.") then
            c:wrong("got %s, expected the name of a credential of systemd", phrase.show(v))
        end
    end,
    command = function(c, v)
        local list = c:strings(v, "words of a command")
        if list and #list == 0 then
            c:wrong "the command is empty"
        end
    end,
    stdin = function(c, v)
        if v ~= true then
            c:wrong("got %s, expected true", phrase.show(v))
        end
    end,
}

function M.secrets(c, v)
    local from_stdin
    each_named(c, v, '{ token = { env = "TOKEN" } }', function(_, source)
        if type(source) == "string" then
            c:wrong 'a secret stands here in clear: name where it is, as in { env = "TOKEN" } or { file = "/path" }'
        elseif c:named(source, '{ env = "TOKEN" }') then
            c:each(source, SOURCES)
            local n = 0
            for k in pairs(SOURCES) do
                n = n + (source[k] ~= nil and 1 or 0)
            end
            if source.stdin == true then
                if from_stdin then
                    c:wrong("standard input is %s's already: it can be read once", from_stdin)
                end
                from_stdin = from_stdin or c.path[#c.path]
            end
            if n ~= 1 then
                c:wrong("expected one source: env, file, credential, command or stdin, got %d", n)
            end
        end
    end)
end

M.each_named = each_named
return M
