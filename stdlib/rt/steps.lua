-- Steps, checks and checklists: titled groups of operations with a verdict, and what is kept with them.
local base = require "rt.base"
local tasks = require "rt.tasks"

local M = {}

local global = host.global
local evidence_of = {} -- task → what it has recorded, for gates that are bound to it

local function close(verdict, e, quiet)
    local data = { verdict = verdict }
    if e and verdict == "skip" then
        data.why = e.message
    elseif e and not quiet then
        data.error = { kind = e.kind, message = e.message, where = e.where, op = e.op }
    end
    host.event("step.end", data, true)
end

--- The common course of steps and checks: start, body, verdict. Returns ok, error or values.
local function group(kind, title, stage, fn, ...)
    if M.before_step then
        M.before_step(kind, title)
    end
    host.event("step.start", { type = kind, title = title, stage = stage }, true)
    local r = table.pack(host.try(fn, ...))
    if r[1] then
        for i = 2, r.n do
            if r[i] ~= nil then
                local ok, e = pcall(host.plain, r[i], "what " .. kind .. " \"" .. title .. "\" returns")
                if not ok then
                    r = { false, host.normalize(e), n = 2 }
                    break
                end
            end
        end
    end
    if r[1] and kind == "check" and r[2] == false then
        r = { false, host.error("check", nil, "the check did not hold: " .. title), n = 2 }
    end
    if r[1] then
        close("pass")
    elseif r[2].kind == "skip" then
        close("skip", r[2])
        return { true, n = 1 }
    else
        close(base.is_final(r[2]) and r[2].kind or "fail", r[2])
    end
    return r
end

--- What group() has brought back, raised or returned.
local function open_up(r)
    if not r[1] then
        error(r[2], 0)
    end
    return table.unpack(r, 2, r.n)
end

local function titled(kind, title, stage, fn, ...)
    host.scope_push(title)
    local r = group(kind, title, stage, fn, ...)
    host.scope_pop()
    return open_up(r)
end

--- Wraps fn with the options that steps and checks share.
local function wrapped(opts, fn)
    if opts.timeout then
        local inner = fn
        fn = function()
            return tasks.timeout(opts.timeout, inner)
        end
    end
    if opts.retry then
        local inner = fn
        fn = function()
            return tasks.retry(opts.retry, inner)
        end
    end
    return fn
end

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
    local body = wrapped(opts, fn)
    return titled("step", title, nil, function()
        if opts.undo then
            M.undo(title, opts.undo)
        end
        if not opts.on_doubt then
            return body()
        end
        local before = host.set_on_doubt(opts.on_doubt)
        local r = table.pack(host.try(body))
        host.set_on_doubt(before)
        return open_up(r)
    end)
end

--- A check in the scope that is open.
local function run_check(stage, text, fn, opts)
    local before = host.set_reads_only(opts.acts and 0 or 1)
    local r = group("check", text, stage, wrapped(opts, fn))
    host.set_reads_only(before)
    return r
end

--- One check, at once: an error or `false` is a failure. Only reads, unless acts = true.
---@param stage string
---@param text string
---@param fn fun(): any
---@param opts { acts: boolean?, timeout: string?, retry: table? }?
---@return any
function M.check(stage, text, fn, opts)
    base.expect("check", "the stage", stage, "string")
    base.expect("check", "the text", text, "string")
    base.expect("check", "the function", fn, "function")
    opts = base.options("check", opts)
    host.scope_push(text)
    local r = run_check(stage, text, fn, opts)
    host.scope_pop()
    return open_up(r)
end

local function check_row(row, i)
    base.expect("checklist", "row " .. i, row, "table")
    for place, what in ipairs { "stage", "text" } do
        if type(row[place]) ~= "string" then
            base.usage("checklist: row %d has no %s: { \"stage\", \"what is checked\", function() … end }", i, what)
        end
    end
    if type(row[3]) ~= "function" then
        base.usage("checklist: row %d (%s) has no function", i, row[2])
    end
end

--- Rows that stand together run together; a row that acts runs alone.
local function run_rows(rows, failed)
    local i = 1
    while i <= #rows do
        local last = i
        while not rows.serial and not rows[i].acts and last < #rows and not rows[last + 1].acts do
            last = last + 1
        end
        local where = {}
        for k = i, last do
            local row = rows[k]
            where[host.spawn(row[2], function()
                return open_up(run_check(row[1], row[2], row[3], row))
            end)] = k
        end
        for id, ok, e in host.wait_child do
            if not ok then
                if base.is_final(e) then
                    error(e, 0)
                end
                failed[#failed + 1] = { row = where[id], error = e }
            end
        end
        i = last + 1
    end
end

--- checklist(title) { {stage, text, fn}, … }: runs its rows as checks and fails once, at the end, naming every failed check.
---@param title string
---@return fun(rows: table)
function M.checklist(title)
    base.expect("checklist", "the title", title, "string")
    return function(rows)
        base.expect("checklist", "the rows", rows, "table")
        for i, row in ipairs(rows) do
            check_row(row, i)
        end
        titled("checklist", title, nil, function()
            local failed = {}
            run_rows(rows, failed)
            if #failed == 0 then
                return
            end
            table.sort(failed, function(a, b)
                return a.row < b.row
            end)
            local names, errors = {}, {}
            for i, f in ipairs(failed) do
                names[i] = string.format("%s: %s (%s)", rows[f.row][1], rows[f.row][2], f.error.message or f.error.kind)
                errors[i] = f.error
            end
            local text = string.format("%d of %d checks failed: %s", #failed, #rows, table.concat(names, "; "))
            error(host.error("checklist", nil, text, { errors = errors }), 0)
        end)
    end
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

--- Registers a compensation: it is armed when its step starts its first effect, and runs, last first, on undo.
---@param title string
---@param fn fun()
function M.undo(title, fn)
    base.expect("undo", "the title", title, "string")
    base.expect("undo", "the function", fn, "function")
    host.event("undo", { n = host.undo(title, fn), title = title })
end

--- What was registered so far is settled: it will not be undone.
function M.settled()
    host.settled()
    host.event("undo.clear", {})
end

--- Calls fn once; a replay takes its result from the journal without calling it.
---@param name string
---@param fn fun(): any
---@return any
function M.memo(name, fn)
    base.expect("memo", "the name", name, "string")
    base.expect("memo", "the function", fn, "function")
    return base.in_scope(name, function()
        local key, known = host.memo_key()
        if known then
            return host.memo_wait(key)
        end
        local v = fn()
        if v ~= nil then
            host.plain(v, "what memo \"" .. name .. "\" returns")
        end
        host.event("result", { op = "memo", ok = true, value = v }, key)
        return v
    end)
end

return M
