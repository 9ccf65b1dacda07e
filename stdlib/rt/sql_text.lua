-- What a statement is, by its first word. Needs nothing of the host: `rbhost check` asks, too.
local M = {}

local LOOKS = { SELECT = true, VALUES = true, EXPLAIN = true, SHOW = true, TABLE = true }

--- The first word of a statement, behind blanks, comments and brackets, in capitals.
---@param text string
---@return string
function M.first_word(text)
    local at = 1
    while true do
        local next_at = text:match("^[%s(]+()", at)
            or text:match("^%-%-[^\n]*()", at)
            or text:match("^/%*.-%*/()", at)
        if not next_at then
            return (text:match("^%a+", at) or ""):upper()
        end
        at = next_at
    end
end

--- Does it only look? A statement that begins with WITH may do either.
---@param text string
---@return boolean
function M.looks(text)
    local word = M.first_word(text)
    return LOOKS[word] or (word == "PRAGMA" and not text:find("=", 1, true)) or false
end

return M
