-- Answers in the place of people and of signals from outside.
local forms = require "rt.mock_forms"

local json = host.global "json"

local wrong, fields = forms.wrong, forms.fields

local M = { nobody = setmetatable({}, {}) } -- mock.nobody

local SAID = forms.set "by comment value verdict decision"
SAID[1] = true

local DECISION = {
    approve = "approve",
    approved = "approve",
    yes = "approve",
    deny = "deny",
    denied = "deny",
    no = "deny",
    [true] = "approve",
    [false] = "deny",
}

-- The question's own time-out, or else the run's.
local function nobody(call)
    local text = "nobody answered in time: " .. (call.text or call.name)
    local until_us = call.until_us or math.maxinteger
    return { error = { kind = "timeout", message = text, outcome = "failed" }, ["until"] = until_us }
end

--- What a person says, or a signal carries; `seconds`: how long they take for it.
function M.person(call, answer, _, seconds)
    local late = call.until_us and seconds and call.clock_us + seconds * 1e6 > call.until_us
    if answer == M.nobody or late then
        return nobody(call)
    elseif call.call == "signal" then
        return { decide = "signal", data = json.encode { value = answer == nil and json.object {} or answer } }
    end
    local said = type(answer) == "table" and fields(call, answer, SAID) or {}
    if call.call == "approve" then
        local word = answer
        if type(answer) == "table" then
            word = said[1] or said.decision
        elseif answer == nil then
            word = true
        end
        local how = DECISION[word] or wrong(call, word, '"approve" or "deny"')
        return { decide = how, by = said.by, data = json.encode(json.object { comment = said.comment }) }
    end
    local verdict, value, comment = said.verdict or said[1], said.value, said.comment
    if type(answer) ~= "table" then
        if answer == nil or answer == true and call.type ~= "boolean" or answer == "done" then
            verdict = "done"
        elseif answer == false and call.type ~= "boolean" or answer == "failed" then
            verdict = "failed"
        elseif call.type then
            value = answer
        else
            comment = answer
        end
    elseif verdict ~= nil and verdict ~= "done" and verdict ~= "failed" then
        verdict, value = "done", verdict
    end
    local data = { verdict = verdict or "done", value = value, comment = comment }
    return { decide = "answer", by = said.by, data = json.encode(data) }
end

return M
