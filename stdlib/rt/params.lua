-- From what was given to the values of a run: every parameter checked against the header, all problems in one message.
local phrase = require "rt.phrase"
local plain = require "rt.plain"
local types = require "rt.types"
local words = require "rt.words"

local M = {}

local function help(p)
    return p.help and " (" .. p.help .. ")" or ""
end

local function unknown(name, list)
    local known = {}
    for _, p in ipairs(list) do
        known[p.name] = true
    end
    if #list == 0 then
        return "unknown parameter; this runbook takes none"
    end
    return "unknown parameter" .. words.hint(name, known, true)
end

--- Values by name, and a list of problems {name, text}, in the order of the header, unknown ones last.
--- A secret's value is its text: the caller keeps it out of whatever is stored.
---@param list table[] params of a normalised header
---@param given table<string, any> raw values: text from a command line, or typed ones
---@param json? fun(text: string): any decodes JSON text
---@return table<string, any>, table[]
function M.resolve(list, given, json)
    local values, problems, known = {}, {}, {}
    for _, p in ipairs(list) do
        known[p.name] = true
        local raw = given[p.name]
        if raw == nil or type(raw) == "userdata" then -- JSON's null
            values[p.name] = p.default
            if p.default == nil and p.required then
                problems[#problems + 1] =
                    { name = p.name, text = "missing, expected " .. phrase.expected(p) .. help(p) }
            end
        else
            local v, why = types.convert(p, raw, json)
            values[p.name] = v
            if v == nil then
                local got = p.type == "secret" and "a secret" or phrase.show(raw)
                problems[#problems + 1] = {
                    name = p.name,
                    text = ("got %s%s, expected %s%s"):format(
                        got,
                        why and " (" .. why .. ")" or "",
                        phrase.expected(p),
                        help(p)
                    ),
                }
            end
        end
    end
    local extra = {}
    for name in pairs(given) do
        if not known[name] then
            extra[#extra + 1] = tostring(name)
        end
    end
    table.sort(extra)
    for _, name in ipairs(extra) do
        problems[#problems + 1] = { name = name, text = unknown(name, list) }
    end
    return values, problems
end

--- The problems as one text, a line each.
---@param problems table[]
---@param limit? integer about so many bytes at most
---@return string
function M.message(problems, limit)
    local lines = {}
    for i, p in ipairs(problems) do
        lines[i] = p.name .. ": " .. p.text
    end
    return plain.lines(#lines == 1 and "bad parameter:" or "bad parameters:", lines, limit)
end

local MESSAGE_LIMIT = 1800 -- an error's text in C is 2 kB

--- What the host calls: the list, the values, and the text of the problems or nil.
---@return table[], table<string, any>, string?
function M.check(list, given, json)
    local values, problems = M.resolve(list, given, json)
    return list, values, problems[1] and M.message(problems, MESSAGE_LIMIT) or nil
end

local JSON_TYPE = {
    string = "string",
    integer = "integer",
    number = "number",
    boolean = "boolean",
    list = "array",
    map = "object",
    duration = { "string", "number" },
    url = "string",
    host = "string",
    secret = "string",
    file = "string",
}

local function schema_of(p)
    local s = { type = JSON_TYPE[p.type], enum = p.choices, title = p.title }
    if p.type == "url" then
        s.format = "uri"
    elseif p.type == "secret" then
        s.minLength, s.writeOnly = 8, true
    elseif p.type == "list" then
        s.items = schema_of { type = p.of or "string", choices = p.choices, match = p.match }
    elseif p.type == "map" then
        s.additionalProperties = schema_of { type = p.of or "string", choices = p.choices, match = p.match }
    end
    if p.type == "list" or p.type == "map" then
        s.enum = nil
    elseif p.match then
        s["x-lua-pattern"] = p.match -- a Lua pattern is no regular expression: the host checks it
    end
    if p.type == "integer" or p.type == "number" then
        s.minimum, s.maximum = p.min, p.max
    elseif p.type == "list" then
        s.minItems, s.maxItems = p.min, p.max
    elseif p.type == "map" then
        s.minProperties, s.maxProperties = p.min, p.max
    elseif p.type == "duration" then
        s["x-minimum"], s["x-maximum"] = p.min, p.max
    else
        s.minLength, s.maxLength = p.min or s.minLength, p.max
    end
    s.default, s.description = p.default, p.help
    return s
end

--- JSON Schema (draft 2020-12) of the parameters, without "$schema", which the caller adds. `properties` is nil when
--- there are none.
---@param list table[]
---@return table
function M.schema(list)
    local properties, required = {}, {}
    for _, p in ipairs(list) do
        properties[p.name] = schema_of(p)
        if p.required and p.default == nil then
            required[#required + 1] = p.name
        end
    end
    return {
        type = "object",
        properties = #list > 0 and properties or nil,
        required = #required > 0 and required or nil,
        additionalProperties = false,
    }
end

return M
