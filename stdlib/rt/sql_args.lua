-- What a caller gives to sql and to the functions of a db: a statement with its parameters, or one table with both and
-- options; and what a statement is, by its first word.
local base = require "rt.base"
local call = require "rt.call"
local text_of = require "rt.sql_text"

local M = {}

M.MAX_ROWS, M.MAX_BYTES = 10000, 16 << 20
local TIMEOUT = "5m" -- of a statement that does not say

local BYTES = {} -- metatable of sql.bytes

--- Marks bytes, so that they are bound as a blob though they may look like text.
---@param s string
---@return table
function M.bytes(s)
    base.expect("sql.bytes", "its argument", s, "string")
    return setmetatable({ bytes = s }, BYTES)
end

---@param t table
---@return table
function M.copy(t)
    local copy = {}
    for k, v in pairs(t) do
        copy[k] = v
    end
    return copy
end

--- Is it called as db:query(…), and not as db.query(…)?
---@param self any
---@param kind string "db" or "tx"
---@param verb string "db:query"
function M.check_self(self, kind, verb)
    if getmetatable(self) ~= kind then
        base.usage("%s is called with a colon: %s(…), not %s(…)", verb, verb, (verb:gsub(":", ".")))
    end
end

-- -- parameters

local function parameter(verb, what, v)
    if getmetatable(v) == BYTES then
        return { bytes = v.bytes }
    elseif type(v) ~= "table" then
        return v
    elseif #v == 0 and next(v) ~= nil then
        base.usage("%s: parameter %s is a table with names; give its JSON: json.encode(…)", verb, what)
    end
    local list = {}
    for i, element in ipairs(v) do
        list[i] = parameter(verb, what, element)
    end
    return { list = list }
end

local function by_position(verb, given, n)
    local list = {}
    for i = 1, n do
        if given[i] == nil then
            base.usage("%s: parameter %d is nil; NULL is null", verb, i)
        end
        list[i] = parameter(verb, tostring(i), given[i])
    end
    return list
end

local function by_name(verb, given)
    local names, list = {}, {}
    for name in pairs(given) do
        if type(name) ~= "string" then
            base.usage("%s: parameters have either names or positions, not both", verb)
        end
        names[#names + 1] = name
    end
    table.sort(names)
    for i, name in ipairs(names) do
        list[i] = parameter(verb, ":" .. name, given[name])
    end
    return list, names
end

-- A list, with its holes: by_position says which.
local function listed(t)
    local list = { n = 0 }
    for i, v in pairs(t) do
        if math.type(i) == "integer" and i > 0 then
            list[i], list.n = v, math.max(list.n, i)
        else
            list[i] = v
        end
    end
    return list
end

local function has_names(t)
    return type(t) == "table" and getmetatable(t) == nil and #t == 0 and next(t) ~= nil
end

--- A request of (text, …), (text, { name = value }) or ({ text, …, params = { … }, option = … }).
---@param verb string
---@param defaults table options of the db
---@param first any
---@return table request { text, params, names }
---@return table opts
function M.request(verb, defaults, first, ...)
    local given, opts = table.pack(...), defaults
    local text = first
    if type(first) == "table" then
        if given.n > 0 then
            base.usage("%s: everything is in its one table, or the statement comes first", verb)
        end
        local count = 0
        opts = M.copy(defaults)
        for k, v in pairs(first) do
            if math.type(k) == "integer" then
                count = math.max(count, k)
            elseif k ~= "params" then
                opts[k] = v
            end
        end
        base.options(verb, first)
        text, given = first[1], table.pack(table.unpack(first, 2, count))
        if first.params ~= nil then
            if given.n > 0 then
                base.usage("%s: parameters stand behind the statement or in params, not both", verb)
            end
            base.expect(verb, "params", first.params, "table")
            given = has_names(first.params) and { first.params, n = 1 } or listed(first.params)
        end
    end
    base.expect(verb, "the statement", text, "string")
    local r = { text = text }
    if given.n == 1 and has_names(given[1]) then
        r.params, r.names = by_name(verb, given[1])
    else
        r.params = by_position(verb, given, given.n)
    end
    return r, opts
end

-- -- results

--- The one row, or nil.
function M.one(verb, rows)
    if #rows > 1 then
        base.raise("sql.too_big", verb .. ": there is more than one row; add LIMIT 1, or take them all with query")
    end
    return rows[1]
end

--- The one value of the one row, or nil.
function M.value(verb, rows)
    if #rows.columns ~= 1 then
        local text = "%s: the statement has %d columns: %s"
        base.usage(text, verb, #rows.columns, table.concat(rows.columns, ", "))
    end
    local row = M.one(verb, rows)
    return row and row[rows.columns[1]]
end

-- -- options

local function count(verb, name, v, default)
    if v == nil then
        return default
    elseif math.type(v) ~= "integer" or v < 1 then
        base.usage("%s: %s is a whole number from 1", verb, name)
    end
    return v
end

--- Puts the options that every statement takes into a request.
---@param verb string
---@param r table
---@param opts table
---@return table r
function M.complete(verb, r, opts)
    r.title, r.idempotent, r.on_doubt = opts.title, opts.idempotent, opts.on_doubt
    r.numeric, r.script, r.secret = opts.numeric, opts.script, opts.secret
    r.max_rows = count(verb, "max_rows", opts.max_rows, M.MAX_ROWS)
    r.max_bytes = count(verb, "max_bytes", opts.max_bytes, M.MAX_BYTES)
    r.timeout_ms = call.milliseconds(opts.timeout or TIMEOUT, verb .. ": timeout")
    r.lock_ms = opts.timeout and r.timeout_ms or nil -- else the driver's own patience
    return r
end

-- -- statements

local TX = { BEGIN = true, START = true, COMMIT = true, ROLLBACK = true, END = true, ABORT = true }

--- Refuses what would leave a transaction open, or end one.
function M.no_tx_words(verb, text)
    local word = text_of.first_word(text)
    if TX[word] and not (word == "ROLLBACK" and text:upper():find "%f[%w]TO%f[%W]") then
        base.usage("%s: %s is not for a statement; db:tx(fn) is a transaction", verb, word)
    end
end

return M
