-- What a run was, for a test to look at: made of the events of its journal and of the calls that were answered.
local base = require "rt.base"

local M = {}

local RUN = {}
RUN.__index = RUN

-- -- its calls

local KINDS = { exec = 1, ssh = 1, http = 1, sql = 1, file = 1, notify = 1, answers = 1, signals = 1 }

local function of_kind(run, verb, kind)
    if kind ~= nil and not KINDS[kind] then
        local hint = require("rt.words").hint(tostring(kind), KINDS, true)
        base.usage("%s: there is no kind %s%s", verb, tostring(kind), hint)
    end
    local out = {}
    for _, call in ipairs(run.record) do
        out[#out + 1] = (kind == nil or call.kind == kind) and call or nil
    end
    return out
end

-- Every one of these can be called with a dot, as in run.calls("exec"): a run of a test is no object to hand on.
local function bound(run, fn)
    return function(first, ...)
        if first == run then
            return fn(run, ...)
        end
        return fn(run, first, ...)
    end
end

local METHODS = {}

--- A line for each call, in order; of every kind, with the kind before it, when none is named.
function METHODS.calls(run, kind)
    local out = {}
    for i, call in ipairs(of_kind(run, "run.calls", kind)) do
        out[i] = (kind and "" or call.kind .. " ") .. call.line
    end
    return out
end

--- The calls themselves, with all that was asked for.
function METHODS.requests(run, kind)
    return of_kind(run, "run.requests", kind)
end

-- -- its events

local READ = {}

READ["step.start"] = function(run, data, key)
    local step = { title = data.title, stage = data.stage, kind = data.type }
    run.open[key] = step
    local list = data.type == "check" and run.checks or run.steps
    list[#list + 1] = step
    list[data.title] = step
end

READ["step.end"] = function(run, data, key)
    local step = run.open[key]
    if step then
        step.verdict, step.why = data.verdict, data.why
        step.error = data.error and data.error.message
    end
end

function READ.evidence(run, data)
    run.evidence[data.name] = data.value
end

function READ.note(run, data)
    run.notes[#run.notes + 1] = data.text
end

function READ.log(run, data)
    local list = data.level == "warn" and run.warnings or run.printed
    list[#list + 1] = data.text
end

local function titles(list)
    local out = {}
    for i, u in ipairs(list or {}) do
        out[i] = u.title
    end
    return out
end

READ["run.end"] = function(run, data)
    run.error = data.error
    run.undo = titles(data.undo)
    run.restarted = data.successor ~= nil
end

READ["undo.end"] = function(run, data)
    run.undo_error = data.error
    run.undo = titles(data.left)
end

local function read(run, news)
    run.status, run.error, run.undo = news.status, nil, {}
    run.steps, run.checks, run.evidence, run.notes = {}, {}, {}, {}
    run.printed, run.warnings, run.open = {}, {}, {}
    run.ended = news.clock / 1e6
    for _, event in ipairs(news.events) do
        local fn = READ[event.kind]
        if fn then
            fn(run, event.data, event.key)
        end
    end
    if run.error and news.error and not run.error.message then
        run.error.message = news.error
    end
    if not run.error and news.error then -- ended from outside: its time was over, it was cancelled
        run.error = { kind = run.status, message = news.error }
    end
end

--- A run that has ended.
---@param news table its end
---@param record table[] its calls
---@param again fun(how: string): table goes on with it
---@return table
function M.new(news, record, again)
    local run = setmetatable({ record = record }, RUN)
    for name, fn in pairs(METHODS) do
        run[name] = bound(run, fn)
    end
    --- The compensations, as `rbhost undo` runs them; then the run is looked at anew.
    run.run_undo = function()
        read(run, again "undo")
        return run
    end
    --- From where it failed, as `rbhost retry` does.
    run.retry = function()
        read(run, again "retry")
        return run
    end
    read(run, news)
    return run
end

return M
