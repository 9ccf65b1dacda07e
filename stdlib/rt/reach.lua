-- Patterns of what a runbook may reach, as `allow` in a header and policy.allow, policy.deny in a configuration have
-- them: is one written so that the host understands it? What they match is engine/policy_rules.c's.
local phrase = require "rt.phrase"
local plain = require "rt.plain"
local words = require "rt.words"

local M = {}

local good = {} -- good.<kind>(pattern): nil, or what is wrong with it

function good.exec(p)
    local n, list = 0, {}
    for word in p:gsub("\\.", "x"):gmatch("[^ ]+") do
        n = n + 1
        list[n] = word
    end
    if n == 0 then
        return "it names no program"
    end
    for i = 1, n - 1 do
        if list[i] == "**" then
            return "** stands for all the words that follow, so it is the last one"
        end
    end
end

local BAD_PORT = "its port is none: a number up to 65535, or *"

local function good_port(port)
    return port == "" or port == "*" or port:find("^%d+$") and #port < 6 and tonumber(port) <= 65535
end

local function good_host(host)
    if host == "" then
        return "it has no host"
    elseif host:find("@", 1, true) then
        return "nothing stands before the host"
    elseif host:find("^%[") then
        return not host:find("^%[[%x:.]+%]$") and "its host is none" or nil
    end
    return host:find("[^%w%-_.*]") and "its host is none (letters, digits, - . and *)" or nil
end

function good.http(p)
    local methods, url = p:match("^(%S+) +(%S+)$")
    if methods and not methods:find("^%a[%a,]*$") then
        return "before the URL stand methods: GET,HEAD"
    end
    url = url or p
    local scheme, rest = url:match("^([^:/]*)://(.*)$")
    if not scheme or url:find("%s") then
        return 'expected a URL such as "https://host/path", perhaps with methods before it'
    elseif scheme ~= "http" and scheme ~= "https" and scheme ~= "*" then
        return "its scheme is none of http, https and *"
    elseif rest:find("#", 1, true) then
        return "a # and what follows it is never sent"
    end
    local authority = rest:match("^[^/?]*")
    local host, port = authority:match("^(%[.*%]):?(.*)$")
    if not host then
        host, port = authority:match("^([^:]*):?(.*)$")
    end
    return not good_port(port) and BAD_PORT or good_host(host)
end

function good.ssh(p)
    local user, host = p:match "^(.*)@([^@]*)$"
    host = host or p
    local bare, port = host:match "^(%[[^%]]*%]):?(.*)$"
    if not bare then
        bare, port = host:match "^([^:]*):?([%d*]*)$"
    end
    if user and (user == "" or user:find "%s") then
        return "a user's name stands before the @"
    elseif bare and not good_port(port) then
        return BAD_PORT
    elseif bare == "" or not bare and not host:find ":.*:" or not (bare or host):find "^%[?[%w%-_.*:%%]+%]?$" then
        return "expected a host such as web1, web*, deploy@db1 or db1:2222"
    end
end

function good.file(p)
    if p:find("^~") then
        return "~ is not expanded: write the whole path"
    elseif #p > 4000 then
        return "it is too long"
    end
end

function good.sql(p)
    if p:find("^%a+://[^/@]*:[^/@*]+@") then
        return "a pattern holds no password: DSNs are compared without theirs"
    end
end

--- What is wrong with a pattern; nil: nothing.
---@param kind string a key of words.allow
---@param p string
---@return string?
function M.wrong(kind, p)
    if p:find("%c") then
        return "it holds a control character"
    end
    return good[kind] and good[kind](p)
end

-- what a value looks like, so that the rest can be judged
local SAMPLE = { url = "http://h", host = "h", integer = "1" }

--- A pattern with samples in the place of its {parameters}; nil, and what is wrong with one of them.
local function filled(p, params)
    local types, wrong = {}, nil
    for _, param in ipairs(params) do
        types[param.name] = param.type
    end
    local out = p:gsub("{([%a_][%w_]*)}", function(name)
        local t = types[name]
        if not t then
            wrong = ("{%s} is no parameter%s"):format(name, words.hint(name, types, true))
        elseif t == "secret" or t == "map" then
            wrong = ("{%s} is a %s and can not be part of a pattern"):format(name, t)
        end
        return SAMPLE[t] or "x"
    end)
    return not wrong and out or nil, wrong
end

--- What is wrong with a pattern of a header, which may name parameters.
local function wrong_with(kind, p, params)
    if not params then
        return M.wrong(kind, p)
    end
    local text, wrong = filled(p, params)
    return wrong or M.wrong(kind, text)
end

local WHAT = { exec = "commands", http = "URLs", ssh = "hosts", sql = "databases", file = "paths", notify = "channels" }

local EXAMPLE = 'got %s, expected a table such as { exec = { "git" } }'

--- The table { exec = { … }, http = { … } } as it is, problems added; nil for what is none.
---@param v any
---@param path any[] of the table
---@param add fun(path: any[], text: string, ...)
---@param absolute? boolean there is no folder for relative paths
---@param params? table[] of the header: patterns may name them
---@return table?
function M.table(v, path, add, absolute, params)
    if type(v) ~= "table" then
        add(path, EXAMPLE, phrase.show(v))
        return nil
    end
    local out = {}
    for _, k in ipairs(plain.sorted(v)) do
        path[#path + 1] = k
        if not words.allow[k] then
            add(path, "unknown key%s", words.hint(k, words.allow, true))
        else
            local list = plain.strings(v[k], path, add, WHAT[k])
            for i, p in ipairs(list or {}) do
                local wrong = wrong_with(k, p, params)
                if not wrong and absolute and k == "file" and p:sub(1, 1) ~= "/" then
                    wrong = "expected an absolute path"
                end
                if wrong then
                    path[#path + 1] = i
                    add(path, "%s: %s", phrase.show(p), wrong)
                    path[#path] = nil
                end
            end
            out[k] = list
        end
        path[#path] = nil
    end
    return out
end

return M
