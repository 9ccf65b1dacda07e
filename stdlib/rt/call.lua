-- What the primitives that reach outside share: time-outs, `retry`, what of the environment is let through.
local base = require "rt.base"

local M = {}

local names -- of the environment that the header lets through

--- Names of environment variables that commands get and env() may read, as the header says.
---@return string[]
function M.let_through()
    names = names or host.header().env or {}
    return names
end

--- A duration in milliseconds, at least 1; nil stays nil.
---@param limit string|number|nil
---@param what string "exec: timeout"
---@return integer?
function M.milliseconds(limit, what)
    return limit and math.max(1, math.floor(base.seconds(limit, what) * 1000)) or nil
end

--- NAME=value of a call's own `env`, sorted by name; a value that is a secret makes the whole a secret.
---@param verb string
---@param env table?
---@return any[]
function M.env(verb, env)
    local keys, out = {}, {}
    for k, v in pairs(base.expect(verb, "env", env or {}, "table")) do
        if type(k) ~= "string" or k == "" or k:find("[=%z]") then
            base.usage("%s: %s is no name of an environment variable", verb, tostring(k))
        end
        if type(v) ~= "string" and type(v) ~= "number" and not host.is_secret(v) then
            base.usage("%s: env.%s must be a string, not a %s", verb, k, type(v))
        end
        keys[#keys + 1] = k
    end
    table.sort(keys)
    for i, k in ipairs(keys) do
        out[i] = (k .. "=") .. env[k] -- of two values: see RB_VM_STACK_ROOM in engine/vm.h
    end
    return out
end

--- Calls fn, again and again where the options say `retry`.
---@param opts table
---@param fn fun(attempt: integer): ...
---@return ...
function M.retried(opts, fn)
    if not opts.retry then
        return fn(1)
    end
    return require("rt.retry").retry(opts.retry, fn)
end

return M
