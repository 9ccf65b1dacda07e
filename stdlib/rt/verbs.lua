-- The verbs that a runbook sees, collected from the modules that make them.
local lazy = require "rt.lazy"

local verb = lazy.verb

local verbs = {
    all = verb("tasks", "all"),
    settle = verb("tasks", "settle"),
    race = verb("tasks", "race"),
    each = verb("tasks", "each"),
    timeout = verb("retry", "timeout"),
    shield = verb("retry", "shield"),
    retry = verb("retry", "retry"),
    wait_until = verb("retry", "wait_until"),
    check = verb("checks", "check"),
    checklist = verb("checks", "checklist"),
    approve = verb("gates", "approve"),
    manual = verb("gates", "manual"),
    signal = verb("gates", "signal"),
    sleep = verb("effects", "sleep"),
    sleep_until = verb("effects", "sleep_until"),
    now = verb("effects", "now"),
    uuid = verb("effects", "uuid"),
    random_secret = verb("effects", "random_secret"),
    env = verb("effects", "env"),
    print = verb("effects", "print"),
    warn = verb("effects", "warn"),
    step = verb("steps", "step"),
    evidence = verb("steps", "evidence"),
    note = verb("steps", "note"),
    fail = verb("steps", "fail"),
    skip = verb("steps", "skip"),
    undo = verb("steps", "undo"),
    settled = verb("steps", "settled"),
    memo = verb("steps", "memo"),
}
for _, name in ipairs { "exec", "http", "secret", "sql", "ssh", "file", "notify" } do
    verbs[name] = lazy.module(name)
end

verbs.noop = host.noop -- an effect that does nothing: in the program of tests/bench/ alone

local called = false

--- The header: its values were checked before the run began; here it gives the parameters.
---@return table params
function verbs.runbook()
    if called then
        require("rt.base").usage("runbook{…} is called once, at the top of the file")
    end
    called = true
    if host.header().lock then
        verbs.warn "the header's `lock` is not acted upon by this version of rbhost"
    end
    return host.params()
end

--- Ends this run and starts its successor with these parameters.
---@param params table
function verbs.restart_with(params)
    require("rt.base").expect("restart_with", "the parameters", params, "table")
    host.check_params(params)
    host.unwind() -- no pcall of the runbook holds it up
    error(host.error("restart", nil, "the run goes on in its successor", { params = params }), 0)
end

if host.info().step then -- run --step: a person confirms each step before it begins
    require("rt.steps").before_step = function(kind, title)
        if kind == "step" then
            verbs.approve { "Begin \"" .. title .. "\"?" }
        end
    end
end

return verbs
