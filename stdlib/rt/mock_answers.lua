-- Answers of a test: which one fits a call, their short forms, and what is said of them to the run. How a kind's result
-- looks is rt/mock_replies.lua's.
local base = require "rt.base"
local replies = require "rt.mock_replies"

local M = {}

local TURNS, FAIL, AFTER = {}, {}, {}

--- Nobody answers a question: its time runs out.
M.nobody = replies.nobody

--- One answer after the other; the last one stays.
---@param list any[]
function M.turns(list)
    base.expect("mock.turns", "its argument", list, "table")
    if #list == 0 then
        base.usage "mock.turns: its list is empty"
    end
    return setmetatable({ list = list, next = 1 }, TURNS)
end

--- An error of this kind in place of a result.
---@param what string|table kind, or { kind =, message =, outcome =, retryable =, result = }
---@param message string?
function M.fail(what, message)
    local e = type(what) == "table" and what or { kind = what, message = message }
    base.expect("mock.fail", "kind", e.kind, "string")
    return setmetatable({ error = e }, FAIL)
end

--- An answer that takes its time, which only the clock of the run sees pass.
---@param delay string|number
---@param answer any
function M.after(delay, answer)
    return setmetatable({ seconds = base.seconds(delay, "mock.after"), answer = answer }, AFTER)
end

-- -- which one

local function normal(pattern)
    return (pattern:gsub("%s+", " "))
end

--- A pattern in which `*` stands for anything, as one of Lua's.
local function lua_pattern(text)
    return "^" .. normal(text):gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
end

--- The text itself first, then the pattern with the most letters.
local function fitting(list, line)
    local best
    for pattern in pairs(list) do
        base.expect("mock.run", "a pattern", pattern, "string")
        if normal(pattern) == line then
            return pattern
        end
        local longer = not best or #pattern > #best
        if longer and pattern:find("*", 1, true) and line:find(lua_pattern(pattern)) then
            best = pattern
        end
    end
    return best
end

--- The answer to a call, and whether there is one.
---@param opts table of mock.run
---@param call table
---@return any answer
---@return boolean found
function M.find(opts, call)
    local list = opts[call.kind]
    local mt = type(list) == "table" and getmetatable(list)
    if type(list) == "function" or mt and mt.__call then
        return list, true
    end
    local pattern = list and (fitting(list, call.line) or call.also and fitting(list, call.also))
    if pattern then
        return list[pattern], true
    end
    return nil, replies.by_itself(call)
end

-- -- what it says

local function plain(call, answer)
    if type(answer) == "function" then
        answer = answer(call)
    end
    local mt = type(answer) == "table" and getmetatable(answer)
    if mt == TURNS then
        local one = answer.list[answer.next]
        answer.next = math.min(answer.next + 1, #answer.list)
        return plain(call, one)
    elseif mt == AFTER then
        local inner, seconds = plain(call, answer.answer)
        return inner, (seconds or 0) + answer.seconds
    elseif mt and mt ~= FAIL and mt.__call then
        return plain(call, answer(call))
    end
    return answer
end

--- What host.mock_answer is told.
---@param call table
---@param answer any
---@param opts table of mock.run
---@return table
function M.reply(call, answer, opts)
    local inner, seconds = plain(call, answer)
    local reply
    local limit = call.request.timeout_ms
    if seconds and limit and seconds * 1000 > limit then
        reply, seconds = replies.timed_out(call, limit / 1000), limit / 1000
    elseif type(inner) == "table" and getmetatable(inner) == FAIL then
        reply = replies.failure(call, inner.error)
    else
        reply = replies.value(call, inner, opts, seconds)
    end
    reply.after = seconds and math.floor(seconds * 1e6)
    return reply
end

return M
