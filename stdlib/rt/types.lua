-- The types of parameters: what each accepts, and what it makes of text from a command line. Knows nothing of headers
-- and of where values come from.
local phrase = require "rt.phrase"
local scalars = require "rt.scalars"

local M = {}

-- Between min and max? By value for numbers and durations, by length for the rest.
local function within(p, size)
    local min, max = p.min, p.max
    if p.type == "duration" then
        min, max = scalars.seconds(min), scalars.seconds(max)
    end
    return not (min and size < min) and not (max and size > max)
end

local function length(s)
    return utf8.len(s) or #s
end

-- Each returns the value, or nil and perhaps a reason.
local of = {}

local function text_type(check)
    return function(p, raw)
        if type(raw) ~= "string" then
            return nil
        elseif raw:find("\0", 1, true) then
            return nil, "it has a NUL byte"
        elseif not utf8.len(raw) then
            return nil, "it is not UTF-8"
        elseif check and not check(raw) or not within(p, length(raw)) then
            return nil
        end
        return raw
    end
end

of.string = text_type()
of.url = text_type(scalars.is_url)
of.host = text_type(scalars.is_host)
of.file = text_type(function(s)
    return s ~= ""
end)

function of.secret(p, raw)
    if type(raw) ~= "string" then
        return nil, "it is not text"
    elseif #raw < 8 or not within(p, #raw) then
        return nil, ("it has %d bytes"):format(#raw)
    end
    return raw
end

function of.integer(p, raw)
    local n, why = scalars.integer(raw)
    return n and within(p, n) and n or nil, why
end

function of.number(p, raw)
    local n = scalars.number(raw)
    return n and within(p, n) and n or nil
end

function of.boolean(_, raw)
    return scalars.boolean(raw)
end

function of.duration(p, raw)
    local s = scalars.seconds(raw)
    if not s or not within(p, s) then
        return nil
    end
    return scalars.number(raw) or raw -- seconds without a unit are a number, the rest stays as it was written
end

function of.choice(_, raw)
    return raw -- the choices say the rest
end

-- The elements of a list or map: of their type, and match and choices are about each of them.
local function element(p, raw, json)
    return M.convert({ type = p.of or "string", match = p.match, choices = p.choices }, raw, json)
end

local function from_json(raw, json)
    local ok, v = pcall(json or error, raw)
    if ok and type(v) == "table" then
        return v
    end
    return nil, "it is not valid JSON"
end

-- The parts between commas, but for those within brackets: web[01,03] is one. Brackets that do not match are letters.
local function split(raw, brackets)
    local parts, depth, from = {}, 0, 1
    for at, c in raw:gmatch "()([%[%],])" do
        if c == "," and depth == 0 then
            parts[#parts + 1] = raw:sub(from, at - 1)
            from = at + 1
        elseif brackets and c ~= "," then
            depth = math.max(depth + (c == "[" and 1 or -1), 0)
        end
    end
    parts[#parts + 1] = raw:sub(from)
    return depth == 0 and parts or split(raw, false)
end

-- A list or map that was given as text: JSON where it begins like that, else parts between commas, which add(into,
-- part) takes in or refuses with a reason.
local function from_text(raw, begins, json, add)
    if raw:find("^%s*" .. begins) then
        return from_json(raw, json)
    end
    local into = {}
    if raw:find("%S") then
        for _, part in ipairs(split(raw, true)) do
            local why = add(into, part:match "^%s*(.-)%s*$")
            if why then
                return nil, why
            end
        end
    end
    return into
end

local function add_element(into, part)
    into[#into + 1] = part
    return part == "" and ("element %d is empty"):format(#into) or nil
end

local function add_entry(into, part)
    local k, v = part:match("^([^=]-)%s*=%s*(.*)$")
    if not k or k == "" then
        return ("%s is not key=value"):format(phrase.show(part))
    elseif into[k] then
        return ("%s is there twice"):format(k)
    end
    into[k] = v
end

function of.list(p, raw, json)
    local why
    if type(raw) == "string" then
        raw, why = from_text(raw, "%[", json, add_element)
    end
    if type(raw) ~= "table" then
        return nil, why
    end
    local out, n = {}, 0
    for _ in pairs(raw) do
        n = n + 1
    end
    if n ~= #raw then
        return nil
    end
    for i, v in ipairs(raw) do
        local e
        e, why = element(p, v, json)
        if e == nil then
            return nil, ("element %d is %s%s"):format(i, phrase.show(v), why and ": " .. why or "")
        end
        out[i] = e
    end
    return within(p, #out) and out or nil
end

function of.map(p, raw, json)
    local why
    if type(raw) == "string" then
        raw, why = from_text(raw, "{", json, add_entry)
    end
    if type(raw) ~= "table" then
        return nil, why
    end
    local out, n, keys = {}, 0, {}
    for k in pairs(raw) do
        if type(k) ~= "string" then
            return nil
        end
        keys[#keys + 1] = k
    end
    table.sort(keys)
    for _, k in ipairs(keys) do
        local e
        e, why = element(p, raw[k], json)
        if e == nil then
            return nil, ("%s is %s%s"):format(k, phrase.show(raw[k]), why and ": " .. why or "")
        end
        out[k], n = e, n + 1
    end
    return within(p, n) and out or nil
end

--- The value of a parameter from what was given (text or typed), or nil and perhaps a reason.
---@param p table an entry of a normalised header
---@param raw any
---@param json? fun(text: string): any decodes JSON text, for lists and maps
---@return any, string?
function M.convert(p, raw, json)
    local v, why = of[p.type](p, raw, json)
    if v == nil then
        return nil, why
    end
    if p.type == "list" or p.type == "map" then
        return v
    end
    if p.choices then
        for _, c in ipairs(p.choices) do
            if c == v or tostring(c) == raw then
                return c
            end
        end
        return nil
    end
    if p.match and type(v) == "string" and not v:find(p.match) then
        return nil
    end
    return v
end

return M
