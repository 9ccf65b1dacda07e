-- Structured concurrency: no task outlives the call that started it.
local base = require "rt.base"

local M = {}

--- Runs all branches at once; the first error cancels the rest and is raised when they have ended.
---@param branches table<any, fun(): any>
---@return table<any, any> results by branch
function M.all(branches)
    local name, out, first = {}, {}, nil
    for _, k in ipairs(base.branch_keys("all", branches)) do
        name[base.start(tostring(k), branches[k])] = k
    end
    for id, ok, v in host.wait_child do
        if ok then
            out[name[id]] = v
        elseif first == nil then
            first = v
            host.cancel_children("another branch failed")
        end
    end
    if first ~= nil then
        error(first, 0)
    end
    return out
end

--- Runs all branches at once and waits for every one.
---@param branches table<any, fun(): any>
---@return table<any, { ok: boolean, value: any, error: table? }>
function M.settle(branches)
    local name, out = {}, {}
    for _, k in ipairs(base.branch_keys("settle", branches)) do
        name[base.start(tostring(k), branches[k])] = k
    end
    local restart
    for id, ok, v in host.wait_child do
        out[name[id]] = ok and { ok = true, value = v } or { ok = false, error = v }
        if not ok and v.kind == "restart" and not restart then
            restart = v
            host.cancel_children("the run goes on in its successor")
        end
    end
    if restart then
        error(restart, 0)
    end
    return out
end

--- The first branch that ends decides; the rest are cancelled and have ended when this returns.
---@param branches table<any, fun(): any>
---@return any value
---@return any key
function M.race(branches)
    local name, winner, won, value = {}, nil, nil, nil
    local keys = base.branch_keys("race", branches)
    if #keys == 0 then
        base.usage("race: there are no branches")
    end
    for _, k in ipairs(keys) do
        name[base.start(tostring(k), branches[k])] = k
    end
    for id, ok, v in host.wait_child do
        if winner == nil then
            winner, won, value = name[id], ok, v
            host.event("record", { op = "race", value = winner })
            host.cancel_children("another branch was first")
        end
    end
    if not won then
        error(value, 0)
    end
    return value, winner
end

local function loop_key(v, i)
    if type(v) == "string" or type(v) == "number" or type(v) == "boolean" then
        return tostring(v)
    end
    local k = type(v) == "table" and (v.key or v.name or v.id)
    return (type(k) == "string" or type(k) == "number") and tostring(k) or tostring(i)
end

--- Calls fn(element, index) for each element, so many at a time; the first error cancels the rest.
---@param list any[]
---@param opts { limit: integer? }
---@param fn fun(element: any, index: integer): any
---@return any[] results in the order of the list
function M.each(list, opts, fn)
    if fn == nil and type(opts) == "function" then
        opts, fn = nil, opts
    end
    base.expect("each", "the list", list, "table")
    base.expect("each", "the function", fn, "function")
    local limit = base.options("each", opts).limit or 16
    if math.type(limit) ~= "integer" or limit < 1 then
        base.usage("each: limit must be a whole number from 1")
    end
    local place, out, n, next_i, running, first = {}, {}, #list, 1, 0, nil
    local function fill()
        while first == nil and next_i <= n and running < limit do
            local i = next_i
            place[base.start(loop_key(list[i], i), fn, list[i], i)] = i
            next_i, running = i + 1, running + 1
        end
    end
    fill()
    for id, ok, v in host.wait_child do
        running = running - 1
        if ok then
            out[place[id]] = v
            fill()
        elseif first == nil then
            first = v
            host.cancel_children("another element failed")
        end
    end
    if first ~= nil then
        error(first, 0)
    end
    return out
end

return M
