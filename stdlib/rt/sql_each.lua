-- db:each: rows in batches, each an operation of its own, so that a resume goes on behind the last one that is
-- recorded. A batch is the statement with LIMIT and OFFSET around it: nothing is held open in between.
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

return function(db, rows_of, text, params, opts, fn)
    if fn == nil and type(opts) == "function" then
        opts, fn = nil, opts
    elseif fn == nil and type(params) == "function" then
        params, fn = nil, params
    end
    base.expect("db:each", "the statement", text, "string")
    base.expect("db:each", "the function", fn, "function")
    opts = base.options("db:each", opts)
    local batch, max = whole("batch", opts.batch, BATCH), whole("max_rows", opts.max_rows, MAX)
    if not ({ SELECT = true, VALUES = true, WITH = true, TABLE = true })[text_of.first_word(text)] then
        base.usage "db:each: the statement must be a SELECT"
    end
    text = text:gsub("[%s;]+$", "")
    return base.in_scope(opts.title or "each", function()
        local n = 0
        while true do
            local rows = rows_of(db, "db:query", {
                ("SELECT * FROM (%s\n) AS rbhost_batch LIMIT %d OFFSET %d"):format(text, batch, n),
                params = params,
                title = opts.title,
                timeout = opts.timeout,
                retry = opts.retry,
                numeric = opts.numeric,
                max_rows = batch,
                max_bytes = opts.max_bytes,
            })
            for _, row in ipairs(rows) do
                if n == max then
                    local why = "db:each: there are more than %d rows; say max_rows, or return false to end it"
                    base.raise("sql.too_big", why:format(max))
                end
                n = n + 1
                if fn(row, n) == false then
                    return n
                end
            end
            if #rows < batch then
                return n
            end
        end
    end)
end
