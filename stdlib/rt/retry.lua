-- Time limits and repetition: timeout, shield, retry, wait_until.
local base = require "rt.base"

local M = {}

-- In a dry run waiting is over at once, with two exceptions: a time limit holds, and what a check polls is there as it
-- is, so it is waited for. (A check that looks at what was not made is not made itself.)
local function in_check()
    return host.flag("reads_only", 0) ~= 0
end

--- Runs fn, and cancels it when the time is over: then an error of kind "timeout" is raised.
---@param limit string|number
---@param fn fun(): ...
---@return ...
function M.timeout(limit, fn)
    local seconds = base.seconds(limit, "timeout")
    base.expect("timeout", "the function", fn, "function")
    local body = base.start("timeout", fn)
    local timer = base.start("timer", function()
        host.sleep { ["until"] = base.deadline(seconds), text = "time limit", real = true }
    end)
    local first, r
    local c = table.pack(host.wait_child())
    while c.n > 0 do
        if not first then
            first = c[1]
            if first == timer and c[2] then
                host.event("record", { op = "timeout", value = tostring(limit) })
            end
            host.cancel_children(first == timer and "the time is over" or "done")
        end
        if c[1] == body then
            r = c
        end
        c = table.pack(host.wait_child())
    end
    if first == timer then
        local outcome = host.flag("reads_only", 0) > 0 and "failed" or "unknown" -- a check has changed nothing
        error(host.error("timeout", outcome, "it did not end within " .. tostring(limit)), 0)
    end
    if not r[2] then
        error(r[3], 0)
    end
    return table.unpack(r, 3, r.n)
end

--- Runs fn with cancellation held back until it has ended (or its own time-out, 30 s unless stated).
---@param fn fun(): ...
---@param opts { timeout: string? }?
---@return ...
function M.shield(fn, opts)
    base.expect("shield", "the function", fn, "function")
    host.flag("shield", 1)
    local r = table.pack(host.try(M.timeout, opts and opts.timeout or "30s", fn))
    host.flag("shield", -1)
    if not r[1] then
        error(r[2], 0)
    end
    return table.unpack(r, 2, r.n)
end

-- Trying again these would not help, or is not for a program to decide.
local HOPELESS = { denied = true, policy = true, usage = true, params = true, skip = true, ["manual.failed"] = true }

local function may_retry(opts, e)
    if base.is_final(e) or HOPELESS[e.kind] or (e.outcome == "unknown" and not e.retryable) then
        return false
    end
    if opts.on == nil then
        return true
    elseif type(opts.on) == "function" then
        return opts.on(e)
    end
    for _, kind in ipairs(type(opts.on) == "table" and opts.on or { opts.on }) do
        if kind == e.kind then
            return true
        end
    end
    return false
end

--- Calls fn until it succeeds; each failed attempt is recorded. An effect whose outcome is unknown is never repeated,
--- unless it is idempotent.
---@param opts rbhost.RetryOptions
---@param fn fun(attempt: integer): ...
---@return ...
function M.retry(opts, fn)
    opts = base.options("retry", type(opts) == "number" and { times = opts } or opts)
    base.expect("retry", "the function", fn, "function")
    local times = opts.times or 3
    if math.type(times) ~= "integer" or times < 1 then
        base.usage("retry: times must be a whole number from 1")
    end
    local delay = base.seconds(opts.delay or "1s", "retry: delay")
    local max = base.seconds(opts.max or "1h", "retry: max")
    return base.in_scope(opts.title or "retry", function()
        for attempt = 1, times do
            local r = table.pack(host.try(base.in_scope, "attempt " .. attempt, fn, attempt))
            if r[1] then
                return table.unpack(r, 2, r.n)
            end
            local e = host.normalize(r[2])
            if base.is_final(e) then
                error(e, 0)
            end
            local value = { n = attempt, of = times, kind = e.kind, error = host.error_text(e) }
            host.event("record", { op = "attempt", value = value })
            if attempt == times or not may_retry(opts, e) then
                error(e, 0)
            end
            local wait = math.min(delay * (opts.backoff or 1) ^ (attempt - 1), max)
            local asked = type(e.result) == "table" and e.result.retry_after -- whoever answered asks for that long
            if opts.jitter then
                wait = wait * (1 + opts.jitter * (2 * math.random() - 1))
            end
            if math.type(asked) then
                wait = math.max(wait, math.min(asked, max))
            end
            if wait > 0 then
                local text = "before attempt " .. attempt + 1
                host.sleep { ["until"] = base.deadline(wait), text = text, real = in_check() }
            end
        end
    end)
end

--- Calls fn until it returns something true, and returns that.
---@param opts { title: string?, every: string?, timeout: string? }
---@param fn fun(attempt: integer): any
---@return any
function M.wait_until(opts, fn)
    opts = base.options("wait_until", opts)
    base.expect("wait_until", "the function", fn, "function")
    local every = base.seconds(opts.every or "5s", "wait_until: every")
    local function poll()
        for attempt = 1, math.maxinteger do
            local v = base.in_scope("look " .. attempt, fn, attempt)
            if v or (base.info.dry and not in_check()) then -- taken to come true, as an effect is taken to be done
                return v
            end
            local text = "before look " .. attempt + 1
            host.sleep { ["until"] = base.deadline(every), text = text, title = opts.title, real = in_check() }
        end
    end
    return base.in_scope(opts.title or "wait_until", function()
        if not opts.timeout then
            return poll()
        end
        local ok, v = host.try(M.timeout, opts.timeout, poll)
        if ok then
            return v
        end
        v = host.normalize(v)
        if v.kind == "timeout" then
            local what = opts.title or "the condition"
            v.message = string.format("%s did not come true within %s", what, tostring(opts.timeout))
        end
        error(v, 0)
    end)
end

return M
