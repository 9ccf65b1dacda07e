-- db:each: rows in batches, each an operation of its own, so that a resume goes on behind the last one that is
-- recorded. A batch is the statement with a border around it: nothing is held open in between. The border is LIMIT and
-- OFFSET, or with a key the last one that was seen: then rows that come and go meanwhile move no others.
local args = require "rt.sql_args"
local base = require "rt.base"
local text_of = require "rt.sql_text"

local BATCH, MAX = 500, 1000000

local function whole(name, v, default)
    v = v == nil and default or v
    if math.type(v) ~= "integer" or v < 1 then
        base.usage("db:each: %s is a whole number from 1", name)
    end
    return v
end

-- The parameters and one more, and how the statement calls that. "$3" is the third for PostgreSQL, and for SQLite a
-- name that is new, and so the third, too.
local function with(params, after)
    local more = args.copy(params or {})
    if #more == 0 and next(more) ~= nil then
        more.rbhost_after = after
        return more, ":rbhost_after"
    end
    more[#more + 1] = after
    return more, "$" .. #more
end

-- The text and the parameters of the next batch: n rows were there so far, the last one with the key `after`.
local function next_batch(text, params, opts, n, after)
    local inner = "SELECT * FROM (" .. text .. "\n) AS rbhost_batch "
    if not opts.key then
        return inner .. ("LIMIT %d OFFSET %d"):format(opts.batch, n), params
    end
    local column, border = '"' .. opts.key:gsub('"', '""') .. '"', ""
    if after ~= nil then
        local name
        params, name = with(params, after)
        border = ("WHERE %s > %s "):format(column, name)
    end
    return ("%s%sORDER BY %s LIMIT %d"):format(inner, border, column, opts.batch + 1), params
end

-- Keys that are absent, or there twice, would lose rows at the border of a batch.
local function check_keys(rows, key, after)
    for _, row in ipairs(rows) do
        local this = row[key]
        if this == nil then
            base.usage("db:each: there is no column %s; there are %s", key, table.concat(rows.columns, ", "))
        elseif this == null then
            base.usage("db:each: the key %s is null in a row; it must have a value in each, and another in each", key)
        elseif this == after then
            base.usage("db:each: %s is %s in more than one row; a key is another in each", key, tostring(this))
        end
        after = this
    end
end

return function(db, rows_of, text, params, opts, fn)
    if fn == nil and type(opts) == "function" then
        opts, fn = nil, opts
    elseif fn == nil and type(params) == "function" then
        params, fn = nil, params
    end
    base.expect("db:each", "the statement", text, "string")
    base.expect("db:each", "the function", fn, "function")
    opts = args.copy(base.options("db:each", opts))
    opts.batch = whole("batch", opts.batch, BATCH)
    local max = whole("max_rows", opts.max_rows, MAX)
    if opts.key ~= nil then
        base.expect("db:each", "key", opts.key, "string")
    end
    if not ({ SELECT = true, VALUES = true, WITH = true, TABLE = true })[text_of.first_word(text)] then
        base.usage "db:each: the statement must be a SELECT"
    end
    text = text:gsub("[%s;]+$", "")
    return base.in_scope(opts.title or "each", function()
        local n, after = 0, nil
        while true do
            local statement, given = next_batch(text, params, opts, n, after)
            local rows = rows_of(db, "db:query", {
                statement,
                params = given,
                title = opts.title,
                timeout = opts.timeout,
                retry = opts.retry,
                numeric = opts.numeric,
                max_rows = opts.batch + 1,
                max_bytes = opts.max_bytes,
            })
            if opts.key then
                check_keys(rows, opts.key, after)
            end
            for i = 1, math.min(#rows, opts.batch) do
                if n == max then
                    local why = "db:each: there are more than %d rows; say max_rows, or return false to end it"
                    base.raise("sql.too_big", why:format(max))
                end
                n = n + 1
                after = rows[i][opts.key]
                if fn(rows[i], n) == false then
                    return n
                end
            end
            if #rows < opts.batch + (opts.key and 1 or 0) then
                return n
            end
        end
    end)
end
