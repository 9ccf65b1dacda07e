-- Waits for people and for signals.
local base = require "rt.base"
local steps = require "rt.steps"

local M = {}

local function deadline(opts, verb)
    return opts.timeout and base.deadline(base.seconds(opts.timeout, verb .. ": timeout")) or 0
end

--- What the approval stands for: the author's value, and the evidence of this task.
local function bound(binds)
    local v = binds
    if type(binds) == "function" then
        v = binds()
    end
    return host.digest { v == nil and "" or v, steps.evidence_digest() }
end

--- Raises or returns what on_timeout says of a gate that nobody answered.
local function timed_out(opts, e, text)
    if e.kind ~= "timeout" or opts.on_timeout == nil or opts.on_timeout == "fail" then
        error(e, 0)
    elseif opts.on_timeout == "deny" then
        error(host.error("denied", "failed", "nobody answered in time, which counts as no: " .. text, { op = e.op }), 0)
    elseif opts.on_timeout == "continue" then
        host.event("note", { text = "nobody answered in time, and the runbook goes on: " .. text })
        return { decision = "timeout" }
    end
    base.usage("on_timeout is \"fail\", \"deny\" or \"continue\", not %s", tostring(opts.on_timeout))
end

local function waited(gate)
    local ok, v = host.try(host.gate, gate)
    if ok then
        return v
    end
    return nil, host.normalize(v)
end

--- A gate that a person opens. Denial is an error of kind `denied`.
---@param spec string|table { text, by=, not_requester=, timeout=, on_timeout=, binds= }
---@return table { decision, by, comment }
function M.approve(spec)
    local opts = base.options("approve", type(spec) == "string" and { spec } or spec)
    local text = opts[1] or opts.text
    base.expect("approve", "the text", text, "string")
    while true do
        local digest = bound(opts.binds)
        local v, e = waited {
            kind = "approve",
            title = text,
            by = opts.by,
            not_requester = opts.not_requester and base.info.actor or nil,
            ["until"] = deadline(opts, "approve"),
            shown = {
                text = text,
                by = opts.by,
                not_requester = opts.not_requester,
                binds = digest,
                reach = host.header().allow,
            },
        }
        if e then
            return timed_out(opts, e, text)
        end
        if base.info.dry or bound(opts.binds) == digest then
            return v
        end
        host.event("note", { text = "what was approved has changed meanwhile; the gate is closed again: " .. text })
    end
end

--- A person does or looks at something and answers done, failed, or with a value of the stated type.
---@param text string
---@param opts { type: string?, choices: string[]?, by: string|string[]?, timeout: string?, on_timeout: string? }?
---@return any value the value when a type is stated, else the comment
function M.manual(text, opts)
    base.expect("manual", "the text", text, "string")
    opts = base.options("manual", opts)
    local kind = opts.type or (opts.choices and "choice")
    local v, e = waited {
        kind = "manual",
        title = text,
        by = opts.by,
        type = kind,
        choices = opts.choices,
        ["until"] = deadline(opts, "manual"),
        shown = { text = text, by = opts.by, type = kind, choices = opts.choices },
    }
    if e then
        timed_out(opts, e, text)
        return nil
    end
    if kind then
        return v.value
    end
    return v.comment
end

--- Waits for a signal of this name from outside; one that came before is taken at once.
---@param name string
---@param opts { timeout: string?, title: string? }?
---@return any value that the signal carried
function M.signal(name, opts)
    base.expect("signal", "the name", name, "string")
    opts = base.options("signal", opts)
    local v, e = waited {
        kind = "signal",
        title = opts.title or name,
        name = name,
        ["until"] = deadline(opts, "signal"),
        shown = { name = name },
    }
    if e then
        error(e, 0)
    end
    return v.value
end

return M
