-- What the short forms of answers share: their fields are known, and what does not fit is said.
local base = require "rt.base"
local phrase = require "rt.phrase"
local words = require "rt.words"

local M = {}

--- The answer is no such thing.
function M.wrong(call, answer, expected)
    local text = "the answer to %s `%s` is %s, expected %s"
    base.usage(text, call.kind, call.line:sub(1, 100), phrase.show(answer), expected)
end

--- A table that has only known fields.
function M.fields(call, answer, known)
    for k in pairs(answer) do
        if not known[k] then
            local hint = words.hint(tostring(k), known, true)
            base.usage("the answer to %s `%s` has an unknown field %s%s", call.kind, call.line, tostring(k), hint)
        end
    end
    return answer
end

--- The words of a text.
function M.set(text)
    local s = {}
    for word in text:gmatch "%S+" do
        s[word] = true
    end
    return s
end

--- How it went: `acts` for an effect, for a read nothing was changed.
function M.outcome(call, acts)
    return call.class == "effect" and acts or "failed"
end

return M
