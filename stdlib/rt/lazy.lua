-- What is loaded at its first use: a run whose runbook never says a verb does not pay for it.
local M = {}

local function usage(...)
    require("rt.base").usage(...)
end

local found = {} -- the verbs that were used, by name

local function find(module, name)
    local fn = require("rt." .. module)[name]
    found[name] = fn
    return fn
end

--- The function of this name in a module of rt/. No two of these modules have a verb of one name.
---@param module string
---@param name string
---@return function
function M.verb(module, name)
    return function(...)
        return (found[name] or find(module, name))(...)
    end
end

--- A global that is called itself and has fields, and that no runbook can change.
---@param name string
---@param get fun(): function?, table<string, function> the function that is called and the fields; called at first use
---@return table
function M.library(name, get)
    local fn, fields
    local function fetch()
        if not fields then
            fn, fields = get()
        end
    end
    return setmetatable({}, {
        __index = function(_, field)
            fetch()
            return fields[field]
        end,
        __call = function(_, ...)
            fetch()
            if not fn then
                usage("%s is a library: call one of its functions", name)
            end
            return fn(...)
        end,
        __metatable = name,
        __newindex = function()
            usage("%s is a function of the host and can not be changed", name)
        end,
    })
end

--- The same, of the module of rt/ that has its name and returns { call = function?, fields = table }.
---@param name string
---@return table
function M.module(name)
    return M.library(name, function()
        local module = require("rt." .. name)
        return module.call, module.fields
    end)
end

return M
