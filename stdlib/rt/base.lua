-- What the verbs share: scopes that are always left, options that are checked, times.
local M = {}

-- Needed for messages and for calls with options only: loaded when they are.
local function show(v)
    return require("rt.phrase").show(v)
end

M.info = host.info()

--- A new error of this kind, raised at the caller's line.
---@param kind string
---@param message string
---@param fields table?
function M.raise(kind, message, fields)
    error(host.error(kind, "not_started", message, fields), 0)
end

function M.usage(...)
    M.raise("usage", string.format(...))
end

--- Calls fn in a scope of this title; the scope is left however fn ends, and its error goes on.
---@param title string
---@param fn fun(...): ...
---@return ...
function M.in_scope(title, fn, ...)
    host.scope_push(title)
    local r = table.pack(host.try(fn, ...))
    host.scope_pop()
    if not r[1] then
        error(r[2], 0)
    end
    return table.unpack(r, 2, r.n)
end

--- Starts a task; when there is no room for it, those that were started before it end first.
---@return integer id
function M.start(title, fn, ...)
    local ok, id = host.try(host.spawn, title, fn, ...)
    if not ok then
        host.cancel_children "another task could not be started"
        for _ in host.wait_child do -- nothing outlives its call
        end
        error(id, 0)
    end
    return id
end

--- Seconds of a duration given by an author, or an error that names what it was for.
---@param v any
---@param what string
---@return number
function M.seconds(v, what)
    local s = require("rt.scalars").seconds(v)
    if not s then
        M.usage("%s: expected a duration such as \"90s\" or \"1h30m\", got %s", what, show(v))
    end
    return s
end

--- Wall-clock microseconds that many seconds from now.
---@param seconds number
---@return integer
function M.deadline(seconds)
    return host.wall_us() + math.floor(seconds * 1e6 + 0.5)
end

--- Refuses options that a verb does not have.
---@param verb string
---@param opts table?
---@return table opts
function M.options(verb, opts)
    if opts == nil then
        return {}
    end
    if type(opts) ~= "table" then
        M.usage("%s: its options are a table, got %s", verb, show(opts))
    end
    local words = require "rt.words"
    local known = words.options[verb].keys
    for k in pairs(opts) do
        if type(k) == "string" and not known[k] then
            M.usage("%s: unknown option %s%s", verb, show(k), words.hint(k, known, true))
        end
    end
    return opts
end

function M.expect(verb, what, v, kind)
    if type(v) ~= kind then
        M.usage("%s: %s must be a %s, got %s", verb, what, kind, show(v))
    end
    return v
end

--- The keys of a table of functions, numbers first, then names: always in the same order.
---@param verb string
---@param t table
---@return any[]
function M.branch_keys(verb, t)
    M.expect(verb, "its argument", t, "table")
    local keys = {}
    for k, fn in pairs(t) do
        if type(k) ~= "string" and math.type(k) ~= "integer" then
            M.usage("%s: a branch is named by a string or a number, got %s", verb, show(k))
        end
        M.expect(verb, "branch " .. tostring(k), fn, "function")
        keys[#keys + 1] = k
    end
    table.sort(keys, function(a, b)
        if type(a) ~= type(b) then
            return type(a) == "number"
        end
        return a < b
    end)
    return keys
end

--- Errors that no retry and no check may swallow.
---@param e any
---@return boolean
function M.is_final(e)
    local kind = type(e) == "table" and e.kind
    return kind == "cancelled" or kind == "budget" or kind == "memory" or kind == "nondeterminism" or kind == "restart"
end

return M
