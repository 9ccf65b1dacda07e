-- sql: statements to databases. A db is a plain object: nothing is open between its operations, but for the inside of a
-- transaction (rt/sql_tx.lua).
local args = require "rt.sql_args"
local base = require "rt.base"
local call = require "rt.call"
local dsns = require "rt.sql_dsn"

local M = { fields = {} }

--- Sends a request. looks: as a read, to a connection that can not write.
local function send(db, verb, request, opts, looks)
    local r = args.complete(verb, request, opts)
    args.no_tx_words(verb, r.text)
    r.action, r.dsn, r.attach = "run", db.dsn, db.attach
    r.looks, r.read = looks, looks
    return call.retried(opts, function()
        return host.sql(r)
    end)
end

-- -- a db

local DB = {}
DB.__index = DB
DB.__metatable = "db"

local function rows_of(db, verb, ...)
    args.check_self(db, "db", verb)
    local r, opts = args.request(verb, db.opts, ...)
    if opts.script then
        base.usage("%s: a script gives no rows; it is for db:exec", verb)
    end
    return send(db, verb, r, opts, true)
end

--- All rows of a statement that looks.
function DB:query(...)
    return rows_of(self, "db:query", ...)
end

--- The one row, or nil; more than one is an error.
function DB:one(...)
    return args.one("db:one", rows_of(self, "db:one", ...))
end

--- The one value of the one row; nil without a row.
function DB:value(...)
    return args.value("db:value", rows_of(self, "db:value", ...))
end

--- A statement that changes something: { changes, last_id, rows }.
function DB:exec(...)
    args.check_self(self, "db", "db:exec")
    local r, opts = args.request("db:exec", self.opts, ...)
    if opts.read then
        base.usage "db:exec is for statements that write; db:query is for those that look"
    end
    return send(self, "db:exec", r, opts, false)
end

--- Calls fn(row, n) for each row. They are asked for in batches, each an operation of its own.
---@param text string
---@param params table? by position or by name
---@param opts { batch: integer?, max_rows: integer? }?
---@param fn fun(row: table, n: integer): any false ends it
---@return integer rows
function DB:each(text, params, opts, fn)
    args.check_self(self, "db", "db:each")
    return require("rt.sql_each")(self, rows_of, text, params, opts, fn)
end

--- Several statements that take place together or not at all, as one operation.
function DB:tx(opts, fn)
    args.check_self(self, "db", "db:tx")
    return require("rt.sql_tx").tx(self, opts, fn)
end

--- A copy of the whole database (SQLite) into a file, while others use it.
---@param path string
---@param opts table?
function DB:backup(path, opts)
    args.check_self(self, "db", "db:backup")
    base.expect("db:backup", "the path", path, "string")
    opts = args.copy(base.options("db:backup", opts))
    for _, name in ipairs { "timeout", "retry", "on_doubt" } do
        opts[name] = opts[name] or self.opts[name]
    end
    local r = args.complete("db:backup", { text = dsns.path(path) }, opts)
    r.action, r.dsn, r.looks = "backup", self.dsn, true
    if r.idempotent == nil then
        r.idempotent = true -- the file is as whole the second time
    end
    return call.retried(opts, function()
        return host.sql(r)
    end)
end

local NAME = "^[%a_][%w_]*$"

--- What is attached, as "name=/path".
local function attached(files)
    if files == nil then
        return nil
    end
    base.expect("sql.open", "attach", files, "table")
    local list = {}
    for name, path in pairs(files) do
        if type(name) ~= "string" or not name:find(NAME) or type(path) ~= "string" then
            base.usage 'sql.open: attach is { name = "/path" }'
        end
        list[#list + 1] = name .. "=" .. dsns.path((path:gsub("^sqlite:", "")))
    end
    table.sort(list)
    return list
end

--- A database by the name that the configuration has for it, or by its DSN. Nothing is opened yet.
---@param dsn string
---@param opts table?
function M.fields.open(dsn, opts)
    opts = base.options("sql.open", opts)
    local defaults = args.copy(opts)
    defaults.attach = nil
    args.complete("sql.open", {}, defaults) -- what is wrong with them is said here
    return setmetatable({ dsn = dsns.read("sql.open", dsn), opts = defaults, attach = attached(opts.attach) }, DB)
end

M.fields.bytes = args.bytes

--- One statement: a read where its first word says so, else an effect.
function M.call(dsn, ...)
    if type(dsn) == "table" and not host.is_secret(dsn) then
        base.usage 'sql: the DSN comes first: sql("app", "SELECT …"), sql("app", { "SELECT …", timeout = "5s" })'
    end
    local db = M.fields.open(dsn)
    local r, opts = args.request("sql", db.opts, ...)
    local looks = opts.read
    if opts.script then
        if looks then
            base.usage "sql: a script gives no rows, so it is no read; leave read = true out"
        end
        looks = false
    elseif looks == nil then
        looks = require("rt.sql_text").looks(r.text)
    end
    return send(db, "sql", r, opts, looks)
end

return M
