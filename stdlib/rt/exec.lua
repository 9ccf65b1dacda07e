-- exec: how its options become the engine's.
local base = require "rt.base"
local call = require "rt.call"

local M = {}

local function run(argv, opts, shell)
    local own = call.env("exec", opts.env)
    return host.exec {
        argv = argv,
        shell = shell, -- the policy knows it as `sh`
        cwd = opts.cwd,
        stdin = opts.stdin,
        envp = host.environ(call.let_through(), own),
        own_env = own,
        check = opts.check,
        read = opts.read,
        survive = opts.survive,
        idempotent = opts.idempotent,
        secret = opts.secret,
        on_doubt = opts.on_doubt,
        title = opts.title,
        timeout_ms = call.milliseconds(opts.timeout, "exec: timeout"),
        max_output = opts.max_output,
    }
end

local function exec(argv, opts, shell)
    if type(argv) ~= "table" then
        base.usage('exec: the command must be a list: exec({ "git", "status" }); exec.sh takes a text for the shell')
    end
    opts = base.options("exec", opts)
    if opts.max_output and (math.type(opts.max_output) ~= "integer" or opts.max_output < 0) then
        base.usage("exec: max_output is a number of bytes")
    end
    return call.retried(opts, function()
        return run(argv, opts, shell)
    end)
end

M.call = exec
M.fields = {
    --- A text for the shell. What it pipes together fails as a whole only as the shell says.
    sh = function(text, opts)
        base.expect("exec.sh", "the text", text, "string")
        return exec({ "/bin/sh", "-c", text }, opts, true)
    end,
}

return M
