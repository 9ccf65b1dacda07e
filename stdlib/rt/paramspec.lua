-- The `params` of a header: known keys, right types, sound ranges and defaults. Gives the normalised entries and every
-- problem at once. Knows nothing of the header's other keys and of given values.
local pattern = require "rt.pattern"
local phrase = require "rt.phrase"
local plain = require "rt.plain"
local scalars = require "rt.scalars"
local types = require "rt.types"
local words = require "rt.words"

local M = {}

local TEXT = { string = true, url = true, host = true, file = true, secret = true }
local ELEMENT =
    { string = true, integer = true, number = true, boolean = true, duration = true, url = true, host = true }

local function bound_fits(kind, v)
    if kind == "duration" then
        return scalars.seconds(v) ~= nil, "a duration such as 90s"
    elseif kind == "number" then
        return type(v) == "number" and v == v, "a number"
    elseif kind == "integer" then
        return math.type(v) == "integer", "an integer"
    end
    return math.type(v) == "integer" and v >= 0, "a length, 0 or more"
end

local function bound(p, key, v, path, add)
    if p.type == "boolean" or p.type == "choice" then
        add(path, "%s has no meaning for the type %s", key, p.type)
        return nil
    end
    local good, want = bound_fits(p.type, v)
    if not good then
        add(path, "got %s, expected %s", phrase.show(v), want)
        return nil
    end
    return v
end

local function choices(p, v, path, add)
    if type(v) ~= "table" or #v == 0 or #plain.sorted(v) ~= #v then
        add(path, "got %s, expected a list of one value or more", phrase.show(v))
        return nil
    elseif p.type == "boolean" or p.type == "secret" then
        add(path, "choices has no meaning for the type %s", p.type)
        return nil
    end
    local inner = p.type == "list" or p.type == "map"
    local kind, out = inner and (p.of or "string") or p.type, {}
    for i, c in ipairs(v) do
        if kind == "choice" then
            out[i] = (type(c) == "string" and c ~= "" or type(c) == "number") and c or nil
        else
            out[i] = types.convert({ type = kind }, c)
        end
        if out[i] == nil then
            add(
                path,
                "choice %d is %s, expected %s",
                i,
                phrase.show(c),
                kind == "choice" and "text or a number" or phrase.expected { type = kind }
            )
            return nil
        end
    end
    return out
end

local function match(p, v, path, add)
    if type(v) ~= "string" then
        add(path, "got %s, expected a Lua pattern", phrase.show(v))
    elseif not (TEXT[p.type] or (p.type == "list" or p.type == "map") and TEXT[p.of or "string"]) then
        add(path, "match is for text, not for the type %s", p.type)
    elseif pattern.problem(v) then
        add(path, "%s is not a valid Lua pattern: %s", phrase.show(v), pattern.problem(v))
    else
        return v
    end
end

local function default(p, v, path, add)
    if p.type == "secret" then
        add(path, "a secret has no default: it would stand in the file for all to read")
        return nil
    end
    local value, why = types.convert(p, v)
    if value == nil then
        add(path, "got %s%s, expected %s", phrase.show(v), why and " (" .. why .. ")" or "", phrase.expected(p))
    end
    return value
end

local function entry_type(entry, path, add)
    local t = entry[1]
    if type(t) == "string" and words.types[t] then
        return t
    elseif t == nil and entry.type ~= nil then
        add(path, "the type comes first, without a name: { %s, … }", phrase.show(entry.type))
    elseif type(t) == "string" then
        add(path, "unknown type %s%s", phrase.show(t), words.hint(t, words.types, true))
    else
        add(path, "got %s for the type%s", phrase.show(t), words.hint("", words.types, true))
    end
end

-- One entry of params, normalised; nil when its type is not known.
local function parameter(name, entry, path, add)
    if type(entry) ~= "table" then
        add(
            path,
            'got %s, expected { "type", … }, for example %s = { "string", required = true }',
            phrase.show(entry),
            tostring(name)
        )
        return nil
    end
    local kind = entry_type(entry, path, add)
    for _, k in ipairs(plain.sorted(entry)) do
        if k ~= 1 and not words.param[k] and not (k == "type" and not kind) then
            path[#path + 1] = k
            add(path, "unknown key%s", words.hint(k, words.param, true))
            path[#path] = nil
        end
    end
    if not kind then
        return nil
    end
    local p = { name = name, type = kind }
    local function take(key, fn)
        if entry[key] ~= nil then
            path[#path + 1] = key
            p[key] = fn(p, entry[key], path, add)
            path[#path] = nil
        end
    end
    take("of", function(_, v)
        if kind ~= "list" and kind ~= "map" then
            add(path, "of is for the types list and map, not for %s", kind)
        elseif type(v) ~= "string" or not ELEMENT[v] then
            add(path, "got %s, expected a type of element%s", phrase.show(v), words.hint(v, ELEMENT, true))
        else
            return v
        end
    end)
    for _, key in ipairs { "min", "max" } do
        take(key, function(_, v)
            return bound(p, key, v, path, add)
        end)
    end
    local min, max = p.min, p.max
    if kind == "duration" then
        min, max = scalars.seconds(min), scalars.seconds(max)
    end
    if min and max and min > max then
        add(path, "min %s is more than max %s", tostring(p.min), tostring(p.max))
    end
    take("match", match)
    take("choices", choices)
    if kind == "choice" and entry.choices == nil then
        add(path, "the type choice needs choices = { … }")
        return nil
    end
    take("help", function(_, v)
        if plain.line_of_text(v) then
            return v
        end
        add(path, "got %s, expected one line of text", phrase.show(v))
    end)
    take("required", function(_, v)
        if type(v) == "boolean" then
            return v
        end
        add(path, "got %s, expected true or false", phrase.show(v))
    end)
    if kind ~= "choice" or p.choices then
        take("default", default)
    end
    return p
end

--- The entries, sorted by name; `add(path, text, …)` takes each problem.
---@param spec any what stands behind params =
---@param path string[] of the place, for the problems
---@param add fun(path: any[], text: string, ...)
---@return table[]
function M.list(spec, path, add)
    local list = {}
    if type(spec) ~= "table" then
        add(path, 'got %s, expected a table: { name = { "type", … } }', phrase.show(spec))
        return list
    end
    for _, name in ipairs(plain.sorted(spec)) do
        path[#path + 1] = name
        if type(name) ~= "string" then
            add(path, 'a parameter needs a name: params = { name = { "type", … } }')
        elseif not name:find("^[%a_][%w_]*$") or #name > 64 then
            add(path, "%s is not a name for a parameter (letters, digits and _)", phrase.show(name))
        else
            list[#list + 1] = parameter(name, spec[name], path, add)
        end
        path[#path] = nil
    end
    return list
end

return M
