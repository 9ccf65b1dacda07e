-- What `runbook{…}` may be called with: data only, known keys, right types. Gives the normalised header and every
-- problem at once. Knows nothing of files and of given values.
local paramspec = require "rt.paramspec"
local phrase = require "rt.phrase"
local plain = require "rt.plain"
local scalars = require "rt.scalars"
local words = require "rt.words"

local M = {}

local key = {} -- key.<name>(value, path, add, data): the normalised value, or nil with a problem

function key.name(v, path, add)
    local good = type(v) == "string"
        and #v <= 128
        and v:find("^%w[%w_./-]*$")
        and not v:find("..", 1, true)
        and not v:find("//", 1, true)
        and v:sub(-1) ~= "/"
    if good then
        return v
    end
    add(path, "got %s, expected letters, digits and _ - . /, such as db/promote", phrase.show(v))
end

function key.title(v, path, add)
    if plain.line_of_text(v) then
        return v
    end
    add(path, "got %s, expected one line of text", phrase.show(v))
end

function key.params(v, path, add)
    return paramspec.list(v, path, add)
end

function key.allow(v, path, add, data)
    return require("rt.reach").table(v, path, add, false, data.params) -- loaded where there is one
end

function key.destructive(v, path, add)
    if type(v) == "boolean" then
        return v or nil
    end
    add(path, "got %s, expected true or false", phrase.show(v))
end

function key.lock(v, path, add, data)
    if not plain.line_of_text(v) then
        add(path, 'got %s, expected one line of text such as "deploy:{host}"', phrase.show(v))
        return nil
    end
    local known = {}
    for _, p in ipairs(data.params) do
        known[p.name] = p
    end
    for name in v:gmatch("{([^{}]*)}") do
        local p = known[name]
        if not p then
            add(path, "{%s} is no parameter%s", name, words.hint(name, known, true))
        elseif p.type == "secret" or p.type == "list" or p.type == "map" then
            add(path, "{%s} is a %s and can not be part of a key", name, p.type)
        end
    end
    if v:gsub("{[^{}]*}", ""):find("[{}]") then
        add(path, "a { or } stands alone in %s", phrase.show(v))
    end
    return v
end

function key.timeout(v, path, add, data)
    local s = scalars.seconds(v)
    if not s or s <= 0 then
        add(path, 'got %s, expected a duration such as "30m" or "2h"', phrase.show(v))
        return nil
    end
    data.timeout_text = type(v) == "string" and v or ("%ss"):format(v)
    return math.tointeger(s) or s
end

local ON_FAILURE = { ask = true, undo = true, leave = true }

function key.on_failure(v, path, add)
    if ON_FAILURE[v] then
        return v
    end
    add(path, "got %s%s", phrase.show(v), words.hint(v, ON_FAILURE, true))
end

function key.notify(v, path, add)
    if type(v) ~= "table" then
        add(path, 'got %s, expected a table such as { waiting = "channel" }', phrase.show(v))
        return nil
    end
    local out = {}
    for _, k in ipairs(plain.sorted(v)) do
        path[#path + 1] = k
        if not words.notify[k] then
            add(path, "unknown key%s", words.hint(k, words.notify, true))
        else
            out[k] = plain.strings(type(v[k]) == "string" and { v[k] } or v[k], path, add, "channels")
        end
        path[#path] = nil
    end
    return out
end

function key.env(v, path, add)
    return plain.strings(v, path, add, "names of environment variables", function(s)
        return s:find("^[%a_][%w_]*$") ~= nil
    end)
end

-- allow and lock name parameters, so params come first.
local ORDER =
    { "name", "title", "params", "allow", "destructive", "lock", "timeout", "on_failure", "notify", "env" }

--- The normalised header, and the problems {path, text}: the header may be used only when there are none.
---@param spec any what runbook was called with
---@return table, table[]
function M.capture(spec)
    local data = { params = {} }
    local problems, add = plain.collector()
    if type(spec) ~= "table" then
        add({}, 'got %s, expected a table: runbook { name = "…", params = { … } }', phrase.show(spec))
        return data, problems
    end
    for _, k in ipairs(plain.sorted(spec)) do
        if not words.header[k] then
            add(
                { k },
                (type(k) == "string" and "unknown key" or "a value without a key")
                    .. words.hint(k, words.header, true)
            )
        end
    end
    for _, k in ipairs(ORDER) do
        if spec[k] ~= nil then
            data[k] = key[k](spec[k], { k }, add, data)
        end
    end
    data.params = data.params or {}
    return data, problems
end

--- The problems as text, a line each; with the line of the file where a problem has one.
---@param problems table[]
---@param limit? integer about so many bytes at most
---@return string
function M.message(problems, limit)
    local lines = {}
    for i, p in ipairs(problems) do
        local path = plain.path_text(p.path)
        lines[i] = (p.line and "line " .. p.line .. ": " or "") .. (path == "" and "" or path .. ": ") .. p.text
    end
    return plain.lines("wrong header:", lines, limit)
end

return M
