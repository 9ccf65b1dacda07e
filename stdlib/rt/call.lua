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
