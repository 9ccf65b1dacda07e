-- Small help for checking plain data that somebody wrote into a header or a configuration.
local phrase = require "rt.phrase"

local M = {}

--- The keys of a table, in an order that does not change.
---@param t table
---@return any[]
function M.sorted(t)
    local keys = {}
    for k in pairs(t) do
        keys[#keys + 1] = k
    end
    table.sort(keys, function(a, b)
        if type(a) ~= type(b) then
            return type(a) < type(b)
        end
        return (type(a) == "number" or type(a) == "string") and a < b
    end)
    return keys
end

--- One line of text with something in it.
---@param v any
---@return boolean
function M.line_of_text(v)
    return type(v) == "string" and v:find("%S") and not v:find("%c") and utf8.len(v) ~= nil
end

--- A list of problems {path, text} and the function that adds one. `path` is a list of keys, so that a linter finds the
--- place in the text.
---@return table[], fun(path: any[], text: string, ...)
function M.collector()
    local list = {}
    local function add(path, text, ...)
        local copy = table.move(path, 1, #path, 1, {})
        list[#list + 1] = { path = copy, text = select("#", ...) > 0 and text:format(...) or text }
    end
    return list, add
end

--- A list of texts, each of which `fits`; nil, with a problem, for anything else.
function M.strings(v, path, add, what, fits)
    if type(v) ~= "table" then
        add(path, 'got %s, expected a list of %s: { "…" }', phrase.show(v), what)
        return nil
    end
    local out = {}
    for _, k in ipairs(M.sorted(v)) do
        local e = v[k]
        if
            math.type(k) ~= "integer"
            or k < 1
            or k > #v
            or type(e) ~= "string"
            or e == ""
            or fits and not fits(e)
        then
            add(
                path,
                "got %s, expected a list of %s",
                math.type(k) == "integer" and phrase.show(e) or "the key " .. phrase.show(k),
                what
            )
            return nil
        end
        out[k] = e
    end
    return out
end

--- nil when v is plain data (text, numbers, booleans, tables of these without cycles), else the path of the first thing
--- that is not, and what it is.
---@param v any
---@param path any[]
---@param open? table<table, boolean> the tables around it
---@return any[]?, string?
function M.foreign(v, path, open)
    local kind = type(v)
    if kind ~= "table" then
        if kind == "function" or kind == "userdata" or kind == "thread" then
            return path, "a " .. kind
        end
        return nil
    end
    open = open or {}
    if open[v] then
        return path, "a table that contains itself"
    elseif getmetatable(v) ~= nil then
        return path, "a table with a metatable"
    elseif #path > 50 then
        return path, "nested too deeply"
    end
    open[v] = true
    for _, k in ipairs(M.sorted(v)) do
        if type(k) ~= "string" and type(k) ~= "number" and type(k) ~= "boolean" then
            return path, "a table with a " .. type(k) .. " as a key"
        end
        local inner = table.move(path, 1, #path, 1, {})
        inner[#inner + 1] = k
        local where, what = M.foreign(v[k], inner, open)
        if where then
            return where, what
        end
    end
    open[v] = nil
end

--- Lines below a headline; what would make more than `limit` bytes is counted instead.
---@param headline string
---@param lines string[]
---@param limit? integer
---@return string
function M.lines(headline, lines, limit)
    local size, out = #headline, { headline }
    for i, line in ipairs(lines) do
        size = size + #line + 3
        if limit and size > limit and i > 1 then
            out[#out + 1] = ("  … and %d more"):format(#lines - i + 1)
            break
        end
        out[#out + 1] = "  " .. line
    end
    return table.concat(out, "\n")
end

--- "params.hosts.default[2]"
---@param path any[]
---@return string
function M.path_text(path)
    local text = ""
    for _, k in ipairs(path) do
        if type(k) == "number" then
            text = text .. ("[%s]"):format(k)
        elseif type(k) == "string" and k:find("^[%a_][%w_]*$") then
            text = text .. (text == "" and "" or ".") .. k
        else
            text = text .. ("[%s]"):format(phrase.show(k))
        end
    end
    return text
end

return M
