-- Steps: titled groups of operations with a verdict, and what is kept with them. Checks are built on them in
-- rt/checks.lua.
local base = require "rt.base"
local retry = require "rt.retry"

local M = {}

local global = host.global
local evidence_of = {} -- task → what it has recorded, for gates that are bound to it

local function close(verdict, e, quiet)
    local data = { verdict = verdict }
    if e and (verdict == "skip" or verdict == "would") then
        data.why = e.message
    elseif e and not quiet then
        data.error = { kind = e.kind, message = e.message, where = e.where, op = e.op }
    end
    host.event("step.end", data, true)
end

-- What a real run would raise as well.
local CERTAIN = { denied = true, policy = true, usage = true, params = true, check = true, checklist = true }

--- In a dry run: why nothing can be said of what this group would do, as it rests on effects that were only listed;
--- nil: it looked at the world as it is. `before`: how many had been listed in checks when it began.
local function not_known(kind, before, r)
    local assumed, probed = host.assumed()
    local e = not r[1] and r[2]
    if e and e.kind == "unseen" then
        return e
    elseif e and (base.is_final(e) or CERTAIN[e.kind] or e.kind == "skip") then
        return nil
    elseif kind == "check" and probed > before then
        return { message = "would be checked" }
    elseif kind == "step" and e and assumed > 0 then
        return { message = "not known in a dry run: " .. host.error_text(e) }
    end
end

--- The common course of steps and checks: start, body, verdict. Returns ok, error or values.
function M.group(kind, title, stage, fn, ...)
    if M.before_step then
        M.before_step(kind, title)
    end
    host.event("step.start", { type = kind, title = title, stage = stage }, true)
    local _, before = host.assumed()
    local r = table.pack(host.try(fn, ...))
    local why = base.info.dry and not_known(kind, before, r)
    if why then
        close("would", why)
        return { true, n = 1, would = true }
    end
    if r[1] then
        for i = 2, r.n do
            if r[i] ~= nil then
                local ok, e = pcall(host.plain, r[i], "(result of " .. kind .. " \"" .. title .. "\")")
                if not ok then
                    r = { false, host.normalize(e), n = 2 }
                    break
                end
            end
        end
    end
    if r[1] then
        close("pass")
    elseif r[2].kind == "skip" then
        close("skip", r[2])
        return { true, n = 1 }
    else
        if not (r[2].op or r[2].step or r[2].errors) then
            r[2].step = host.scope_path() -- no operation failed: a retry looks again in the step that judged
        end
        close(base.is_final(r[2]) and r[2].kind or "fail", r[2])
    end
    return r
end

--- A check that a dry run does not make.
function M.unseen(kind, title, stage)
    host.event("step.start", { type = kind, title = title, stage = stage }, true)
    close("would", { message = "would be checked" })
    return { true, n = 1, would = true }
end

--- What M.group() has brought back, raised or returned.
function M.open_up(r)
    if not r[1] then
        error(r[2], 0)
    end
    return table.unpack(r, 2, r.n)
end

function M.titled(kind, title, stage, fn, ...)
    host.scope_push(title)
    local r = M.group(kind, title, stage, fn, ...)
    host.scope_pop()
    return M.open_up(r)
end

--- Wraps fn with the options that steps and checks share.
function M.wrapped(opts, fn)
    if opts.timeout then
        local inner = fn
        fn = function()
            return retry.timeout(opts.timeout, inner)
        end
    end
    if opts.retry then
        local inner = fn
        fn = function()
            return retry.retry(opts.retry, inner)
        end
    end
    return fn
end

local DOUBT = { ask = true, retry = true, fail = true }

--- A titled group of operations; returns what fn returns (plain data).
---@param title string
---@param opts { retry: table?, timeout: string?, undo: function?, on_doubt: string? }
---@param fn fun(): ...
---@return ...
function M.step(title, opts, fn)
    if fn == nil and type(opts) == "function" then
        opts, fn = nil, opts
    end
    base.expect("step", "the title", title, "string")
    base.expect("step", "the function", fn, "function")
    opts = base.options("step", opts)
    if opts.on_doubt and not DOUBT[opts.on_doubt] then
        base.usage('step: on_doubt is "ask", "retry" or "fail"; a function is for a single operation')
    end
    local body = M.wrapped(opts, fn)
    return M.titled("step", title, nil, function()
        if opts.undo then
            M.undo(title, opts.undo)
        end
        if not opts.on_doubt then
            return body()
        end
        local before = host.set_on_doubt(opts.on_doubt)
        local r = table.pack(host.try(body))
        host.set_on_doubt(before)
        return M.open_up(r)
    end)
end

--- A named value or text that is kept in the journal and shown in the report.
---@param name string
---@param value any plain data
function M.evidence(name, value)
    base.expect("evidence", "the name", name, "string")
    host.event("evidence", { name = name, value = value })
    local id = host.task_id()
    evidence_of[id] = evidence_of[id] or {}
    table.insert(evidence_of[id], { name, value })
end

--- Digest of what the current task has recorded as evidence so far.
---@return string
function M.evidence_digest()
    return host.digest(evidence_of[host.task_id()] or {})
end

---@param text string
function M.note(text)
    host.event("note", { text = global "tostring"(text) })
end

--- Ends the step or check as failed.
---@param message string
---@param fields table?
function M.fail(message, fields)
    error(host.error("failed", nil, global "tostring"(message), fields), 0)
end

--- Ends the step or check as skipped.
---@param why string
function M.skip(why)
    error(host.error("skip", nil, global "tostring"(why or "skipped")), 0)
end

--- A replay does not come into a memo, so a function that is registered there could not be regained.
local function outside_memo(verb)
    if host.flag("memo", 0) > 0 then
        base.usage("%s can not be used inside memo: a resume does not call its function again", verb)
    end
end

-- What its function registers would be registered again with each attempt.
local function outside_tx(verb)
    if host.flag("tx", 0) > 0 then
        base.usage("%s can not be used inside db:tx: its function may be called again; do it before", verb)
    end
end

--- Registers a compensation: it is armed when its step starts its first effect, and runs, last first, on undo.
---@param title string
---@param fn fun()
function M.undo(title, fn)
    base.expect("undo", "the title", title, "string")
    base.expect("undo", "the function", fn, "function")
    outside_memo "undo"
    outside_tx "undo"
    host.event("undo", { n = host.undo(title, fn), title = title })
end

--- What was registered so far is settled: it will not be undone.
function M.settled()
    outside_memo "settled"
    outside_tx "settled"
    host.settled()
    host.event("undo.clear", global "json".object()) -- an event is an object: {} and not []
end

--- Calls fn once; a replay takes its result from the journal without calling it. What fn keeps as evidence is in the
--- journal, and no part of what a later gate is bound to: a replay does not see it.
---@param name string
---@param fn fun(): any
---@return any
function M.memo(name, fn)
    base.expect("memo", "the name", name, "string")
    base.expect("memo", "the function", fn, "function")
    return base.in_scope(name, function()
        local key, known = host.memo_key()
        if known then
            return host.memo_end(key)
        end
        local id = host.task_id()
        local kept = evidence_of[id] or {}
        local before = #kept
        evidence_of[id] = kept
        host.flag("memo", 1)
        local random = host.random_state(nil)
        local r = table.pack(host.try(fn))
        host.random_state(random)
        host.flag("memo", -1)
        for i = #kept, before + 1, -1 do
            kept[i] = nil
        end
        local v = M.open_up(r)
        if v ~= nil then
            host.plain(v, "(result of memo \"" .. name .. "\")")
        end
        return host.memo_end(key, v)
    end)
end

return M
