-- db:tx: several statements that take place together or not at all. It is one operation in what it promises: its inner
-- results count only with the COMMIT, which is an effect whose intent is durable before it is sent. The inner
-- operations belong to a transaction of this process; when the process is gone, the first of them that is not recorded
-- finds none (sql.tx_lost), and the function is called again from its start, as the next attempt.
local args = require "rt.sql_args"
local base = require "rt.base"
local call = require "rt.call"
local retry = require "rt.retry"

local M = {}

local WRITES_SHOWN, TEXT_SHOWN = 20, 200
local ISOLATION = { "serializable", "repeatable read", "read committed", "immediate", "deferred", "exclusive" }
local ONCE = "SELECT count(*) AS n FROM rbhost_once WHERE key = '%s'"
local TABLE = { -- is there one at all?
    sqlite = "SELECT count(*) AS n FROM sqlite_schema WHERE name = 'rbhost_once'",
    postgres = "SELECT count(*) AS n FROM pg_class WHERE oid = to_regclass('rbhost_once')",
}

-- -- the tx that the function is given

local TX = {}
TX.__index = TX
TX.__metatable = "tx"

-- The error passes every pcall of the runbook up to attempt().
local function raise_lost(e)
    host.unwind()
    error(e, 0)
end

local function send(tx, verb, looks, ...)
    args.check_self(tx, "tx", verb)
    local db, state = tx.db, tx.state
    if state.over then
        base.usage("%s: the transaction is over", verb)
    end
    local request, opts = args.request(verb, tx.opts, ...)
    local r = args.complete(verb, request, opts)
    args.no_tx_words(verb, r.text)
    r.action, r.dsn, r.tx, r.on_doubt, r.looks = "run", db.dsn, state.key, nil, looks
    r.read = looks or not base.info.dry -- a dry run lists what would be written
    if not looks then
        if state.read then
            base.usage("%s: the transaction only reads (read = true)", verb)
        end
        state.writes[#state.writes + 1] = #state.writes < WRITES_SHOWN and r.text:sub(1, TEXT_SHOWN) or nil
    end
    local ok, v = host.try(host.sql, r)
    if ok then
        return v
    elseif v.kind == "sql.tx_lost" then
        raise_lost(v)
    elseif v.kind == "sql.serialization" or v.kind == "sql.busy" then
        state.conflict = v -- whatever the function makes of it: nothing of this attempt can be kept
    end
    error(v, 0)
end

function TX:query(...)
    return send(self, "tx:query", true, ...)
end

function TX:one(...)
    return args.one("tx:one", send(self, "tx:one", true, ...))
end

function TX:value(...)
    return args.value("tx:value", send(self, "tx:value", true, ...))
end

function TX:exec(...)
    return send(self, "tx:exec", false, ...)
end

-- -- the beginning and the end

local function begin(db, opts, state)
    local only_looks = opts.read or base.info.dry
    local patience = { timeout = opts.timeout or db.opts.timeout }
    local r = args.complete("db:tx", { text = only_looks and "BEGIN (read)" or "BEGIN" }, patience)
    r.action, r.dsn, r.attach, r.tx = "begin", db.dsn, db.attach, state.key
    r.isolation, r.looks, r.read = opts.isolation, only_looks or false, true
    r.once = opts.exactly_once and not only_looks and state.once or nil
    state.database = (host.sql(r) or {}).database -- nil where a person has skipped it
end

-- Is the row there that the attempt wrote? In PostgreSQL a COMMIT whose sender has died may still be under way: its
-- lock is waited for first, so that the answer is the last word.
local function was_committed(db, state)
    local key = state.once:gsub("'", "''")
    local function ask(text)
        local r = args.complete("db:tx", { text = text }, {})
        r.action, r.dsn, r.attach, r.looks, r.read = "run", db.dsn, db.attach, true, true
        return host.sql(r)[1].n
    end
    if state.database ~= "sqlite" then
        ask("SELECT 1 AS n FROM (SELECT pg_advisory_xact_lock(hashtextextended('" .. key .. "', 0))) AS l")
    end
    return ask(TABLE[state.database]) > 0 and ask(ONCE:format(key)) > 0
end

local function commit(db, opts, state)
    local patience = { timeout = opts.timeout or db.opts.timeout, title = opts.title }
    local r = args.complete("db:tx", { text = "COMMIT" }, patience)
    r.action, r.dsn, r.tx, r.idempotent = "commit", db.dsn, state.key, opts.idempotent
    r.writes = #state.writes > 0 and state.writes or nil
    r.looks, r.read = state.read, state.read
    r.on_doubt = opts.on_doubt
    if opts.exactly_once and not state.read then
        r.on_doubt = function()
            return was_committed(db, state) and "done" or "retry"
        end
    end
    local ok, v = host.try(host.sql, r)
    if ok then
        return v
    end
    v = host.normalize(v)
    if v.outcome == "unknown" and opts.exactly_once and not state.read and not base.is_final(v) then
        if was_committed(db, state) then -- the link was lost, what it had sent was not
            return nil
        end
        v.again = true
    end
    error(v, 0)
end

--- One attempt: everything that has come of it, as table.pack(host.try(…)) gives it. What was not committed by its end
--- is rolled back.
local function attempt(db, opts, fn, n)
    local state = { key = host.scope_path(), writes = {}, read = opts.read or false }
    state.once = host.info().run .. "/" .. state.key
    local tx = setmetatable({ db = db, opts = db.opts, state = state }, TX)
    local function body()
        host.flag("tx", 1)
        local r = table.pack(host.try(fn, tx, n))
        host.flag("tx", -1)
        if not r[1] then
            error(r[2], 0)
        end
        return table.unpack(r, 2, r.n)
    end
    local r = table.pack(host.try(function()
        begin(db, opts, state)
        local values
        if opts.timeout then
            values = table.pack(retry.timeout(opts.timeout, body))
        else
            values = table.pack(body())
        end
        for i = 1, values.n do
            if values[i] ~= nil then
                host.plain(values[i], "(result of db:tx)")
            end
        end
        if state.conflict then
            error(state.conflict, 0)
        end
        local said = commit(db, opts, state)
        if said ~= nil then -- by a person, who knew the outcome
            return said
        end
        return table.unpack(values, 1, values.n)
    end))
    state.over = true
    host.sql_drop(state.key)
    return r
end

local CONFLICT = { ["sql.serialization"] = true, ["sql.busy"] = true, ["sql.lost"] = true }

-- Is the function to be called again? Then how many conflicts there were; else nil. lost: it was the process that
-- ended, and that is no attempt of ours.
local function again(e, opts, conflicts)
    if e.kind == "sql.tx_lost" then
        host.unwind(false)
        return conflicts
    elseif base.is_final(e) or not (e.again or (CONFLICT[e.kind] and e.outcome ~= "unknown")) then
        return nil
    end
    return conflicts + 1 < opts.attempts and conflicts + 1 or nil
end

local function check_options(db, opts, fn)
    base.expect("db:tx", "the function", fn, "function")
    opts = args.copy(base.options("db:tx", opts))
    opts.read = opts.read or db.opts.read
    opts.on_doubt = opts.on_doubt or db.opts.on_doubt
    opts.attempts = opts.attempts or 3
    if math.type(opts.attempts) ~= "integer" or opts.attempts < 1 then
        base.usage "db:tx: attempts is a whole number from 1"
    end
    local known = {}
    for _, word in ipairs(ISOLATION) do
        known[word] = true
    end
    if opts.isolation ~= nil and not known[opts.isolation] then
        local text = "db:tx: there is no isolation %s; there are %s"
        base.usage(text, tostring(opts.isolation), table.concat(ISOLATION, ", "))
    end
    call.milliseconds(opts.timeout, "db:tx: timeout")
    if host.flag("tx", 0) > 0 then
        base.usage "db:tx can not be used inside db:tx: use the tx that the function is given"
    elseif host.flag("reads_only", 0) > 0 and not opts.read then
        base.usage "db:tx may change something, and a check only looks: add read = true, or acts = true to the check"
    end
    return opts
end

--- Calls fn(tx, attempt) in a transaction and commits it; returns what fn returns, which is plain data.
---@param opts table?
---@param fn fun(tx: table, attempt: integer): ...
---@return ...
function M.tx(db, opts, fn)
    if fn == nil and type(opts) == "function" then
        opts, fn = nil, opts
    end
    opts = check_options(db, opts, fn)
    return base.in_scope(opts.title or "tx", function()
        local conflicts = 0
        for n = 1, math.maxinteger do
            local r = base.in_scope("attempt " .. n, attempt, db, opts, fn, n)
            if r[1] then
                return table.unpack(r, 2, r.n)
            end
            local e = host.normalize(r[2])
            if e.kind == "timeout" then
                e.outcome = "failed" -- it was rolled back
            end
            conflicts = again(e, opts, conflicts) or error(e, 0)
            local value = { n = n, of = opts.attempts, kind = e.kind, error = host.error_text(e) }
            host.event("record", { op = "attempt", value = value })
            if e.kind ~= "sql.tx_lost" then
                local pause = base.deadline(0.02 * conflicts)
                host.sleep { ["until"] = pause, text = "before attempt " .. n + 1 }
            end
        end
    end)
end

return M
