-- exec, sleep and the small records: how their options become the engine's.
local base = require "rt.base"
local retry = require "rt.retry"

local M = {}

local global = host.global
local names -- of the environment that the header lets through

local function let_through()
    names = names or host.header().env or {}
    return names
end

--- NAME=value of the call's own env, sorted by name; a value that is a secret makes the whole a secret.
local function own_env(env)
    base.expect("exec", "env", env, "table")
    local keys, out = {}, {}
    for k, v in pairs(env) do
        if type(k) ~= "string" or k == "" or k:find("[=%z]") then
            base.usage("exec: %s is no name of an environment variable", tostring(k))
        end
        if type(v) ~= "string" and type(v) ~= "number" and not host.is_secret(v) then
            base.usage("exec: env.%s must be a string, not a %s", k, type(v))
        end
        keys[#keys + 1] = k
    end
    table.sort(keys)
    for i, k in ipairs(keys) do
        out[i] = k .. "=" .. env[k]
    end
    return out
end

local function milliseconds(limit)
    return limit and math.max(1, math.floor(base.seconds(limit, "exec: timeout") * 1000)) or nil
end

local function run(argv, opts)
    local own = own_env(opts.env or {})
    return host.exec {
        argv = argv,
        cwd = opts.cwd,
        stdin = opts.stdin,
        envp = host.environ(let_through(), own),
        own_env = own,
        check = opts.check,
        read = opts.read,
        idempotent = opts.idempotent,
        on_doubt = opts.on_doubt,
        title = opts.title,
        timeout_ms = milliseconds(opts.timeout),
        max_output = opts.max_output,
    }
end

--- The runbook's reach: once the header has `allow`, a command that it does not name is refused before anything starts.
local function check_allowed(command)
    local allow = host.header().allow
    if not allow then
        return
    end
    for _, pattern in ipairs(allow.exec or {}) do
        local lua = "^" .. pattern:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", "[^/]*") .. "$"
        if command:find(lua) then -- a bare name is the one of PATH; a path is named as a path
            return
        end
    end
    base.raise(
        "policy",
        string.format("exec: `%s` is not in the runbook's reach (allow = { exec = { … } } in the header)", command)
    )
end

local function exec(argv, opts, shell)
    if type(argv) ~= "table" then
        base.usage('exec: the command must be a list: exec({ "git", "status" }); exec.sh takes a text for the shell')
    end
    opts = base.options("exec", opts)
    if opts.max_output and (math.type(opts.max_output) ~= "integer" or opts.max_output < 0) then
        base.usage("exec: max_output is a number of bytes")
    end
    check_allowed(shell and "sh" or tostring(argv[1]))
    if not opts.retry then
        return run(argv, opts)
    end
    return retry.retry(opts.retry, function()
        return run(argv, opts)
    end)
end

local exec_fields = {
    --- A text for the shell. What it pipes together fails as a whole only as the shell says.
    sh = function(text, opts)
        base.expect("exec.sh", "the text", text, "string")
        return exec({ "/bin/sh", "-c", text }, opts, true)
    end,
}
M.exec = setmetatable({}, {
    __index = exec_fields,
    __call = function(_, argv, opts)
        return exec(argv, opts)
    end,
    __metatable = "exec",
    __newindex = function()
        base.usage("exec is a function of the host and can not be changed")
    end,
})

--- Durable: a resumed run sleeps the rest only.
---@param duration string|number
---@param opts { title: string? }?
function M.sleep(duration, opts)
    local seconds = base.seconds(duration, "sleep")
    opts = base.options("sleep", opts)
    host.sleep { ["until"] = base.deadline(seconds), text = tostring(duration), title = opts.title }
end

--- Until a time: seconds since 1970, or "2026-11-22T03:00:00Z" (RFC 3339, UTC).
---@param time number|string
---@param opts { title: string? }?
function M.sleep_until(time, opts)
    opts = base.options("sleep_until", opts)
    local at = type(time) == "number" and time or type(time) == "string" and host.parse_time(time)
    if not at then
        local text = 'sleep_until: expected seconds since 1970 or a time such as "2026-11-22T03:00:00Z", got %s'
        base.usage(text, tostring(time))
    end
    host.sleep { ["until"] = math.floor(at * 1e6), text = "until " .. tostring(time), title = opts.title }
end

--- Seconds since 1970, with microseconds; the same on replay.
---@return number
function M.now()
    return host.pin("now", function()
        return host.wall_us() / 1e6
    end)
end

--- A random UUID (version 4); the same on replay.
---@return string
function M.uuid()
    return host.pin("uuid", function()
        local b = { host.random_bytes(16):byte(1, 16) }
        b[7], b[9] = b[7] & 0x0f | 0x40, b[9] & 0x3f | 0x80
        return string.format("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", table.unpack(b))
    end)
end

--- A variable of the host's environment that the header or the configuration lets through; the same on replay.
---@param name string
---@return string?
function M.env(name)
    base.expect("env", "the name", name, "string")
    local value, allowed = host.getenv(name)
    for _, n in ipairs(let_through()) do
        allowed = allowed or n == name
    end
    if not allowed then
        local text = 'env: %s is not let through; name it in the header (env = { "%s" }) or in the configuration'
        base.raise("policy", text:format(name, name))
    end
    return host.pin("env", function()
        return value
    end)
end

local function line(level, ...)
    local parts = table.pack(...)
    for i = 1, parts.n do
        parts[i] = global "tostring"(parts[i])
    end
    host.event("log", { level = level, text = table.concat(parts, "\t", 1, parts.n) })
end

--- Are two secrets (or a secret and a text) equal? Takes as long for a near miss as for a far one.
M.secret = { equal = host.secret_equal }

function M.print(...)
    line("print", ...)
end

function M.warn(...)
    line("warn", ...)
end

return M
