-- The verbs that a runbook sees, collected from the modules that make them.
local base = require "rt.base"
local call = require "rt.call"
local tasks = require "rt.tasks"
local retry = require "rt.retry"
local steps = require "rt.steps"
local checks = require "rt.checks"
local gates = require "rt.gates"
local effects = require "rt.effects"

local verbs = {}
for _, module in ipairs { tasks, retry, checks, gates, effects } do
    for name, fn in pairs(module) do
        verbs[name] = fn
    end
end
for _, name in ipairs { "exec", "http", "secret", "sql", "ssh", "file", "notify" } do
    verbs[name] = call.lazy(name)
end
for _, name in ipairs { "step", "evidence", "note", "fail", "skip", "undo", "settled", "memo" } do
    verbs[name] = steps[name]
end

verbs.noop = host.noop -- an effect that does nothing: in the program of tests/bench/ alone

local called = false

--- The header: its values were checked before the run began; here it gives the parameters.
---@return table params
function verbs.runbook()
    if called then
        base.usage("runbook{…} is called once, at the top of the file")
    end
    called = true
    if host.header().lock then
        effects.warn "the header's `lock` is not acted upon by this version of rbhost"
    end
    return host.params()
end

--- Ends this run and starts its successor with these parameters.
---@param params table
function verbs.restart_with(params)
    base.expect("restart_with", "the parameters", params, "table")
    host.check_params(params)
    host.unwind() -- no pcall of the runbook holds it up
    error(host.error("restart", nil, "the run goes on in its successor", { params = params }), 0)
end

if base.info.step then -- run --step: a person confirms each step before it begins
    steps.before_step = function(kind, title)
        if kind == "step" then
            gates.approve { "Begin \"" .. title .. "\"?" }
        end
    end
end

return verbs
