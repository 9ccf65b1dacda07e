-- Lua 5.4 text to tokens, for text that Lua itself has accepted. Knows no grammar.
local M = {}

local KEYWORDS = {}
for w in
    ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
    while]]):gmatch "%a+"
do
    KEYWORDS[w] = true
end

local SYMBOLS = {}
for s in ("... << >> // == ~= <= >= :: .. + - * / % ^ # & ~ | < > = ( ) { } [ ] ; : , ."):gmatch("%S+") do
    SYMBOLS[s] = true
end

local function fail(at, what)
    error({ at = at, what = what }, 0)
end

-- The end of a [[long bracket]] whose text begins at `at`, level `eq`; its text without the first newline.
local function long(text, at, eq)
    local stop, last = text:find("]" .. eq .. "]", at, true)
    if not stop then
        fail(at, "a long bracket does not end")
    end
    return last + 1, text:sub(at, stop - 1)
end

local function quoted(text, at)
    local quote = text:sub(at, at)
    local stop = at + 1
    while true do
        local p = text:find("[\\" .. quote .. "]", stop)
        if not p then
            fail(at, "a string does not end")
        elseif text:sub(p, p) == quote then
            stop = p
            break
        end
        stop = p + 2
    end
    local value = text:sub(at + 1, stop - 1)
    if value:find("\\", 1, true) then -- Lua decodes its own escapes; a literal can do nothing else
        local chunk = load("return " .. text:sub(at, stop), "=string", "t", {})
        if not chunk then
            fail(at, "a string has a wrong escape")
        end
        value = chunk()
    end
    return stop + 1, value
end

local function number(text, at)
    local stop = text:match("^0[xX][%x.]*()", at)
    if stop then
        return text:match("^[pP][+-]?%d*()", stop) or stop
    end
    stop = text:match("^[%d.]+()", at)
    return text:match("^[eE][+-]?%d*()", stop) or stop
end

-- The next token from `at` on: kind, value, where it begins, where the next may begin.
local function token(text, at)
    while true do
        at = text:match("^%s*()", at)
        if text:sub(at, at + 1) ~= "--" then
            break
        end
        local eq, start = text:match("^%[(=*)%[()", at + 2)
        if eq then
            at = long(text, start, eq)
        else
            at = text:find("\n", at, true) or #text + 1
        end
    end
    local word = text:match("^[%a_][%w_]*", at)
    if word then
        return KEYWORDS[word] and word or "name", word, at, at + #word
    end
    local c = text:sub(at, at)
    if c == "" then
        return "eof", "<eof>", at, at
    elseif c:find("%d") or text:find("^%.%d", at) then
        local stop = number(text, at)
        return "number", text:sub(at, stop - 1), at, stop
    elseif c == '"' or c == "'" then
        local stop, value = quoted(text, at)
        return "string", value, at, stop
    end
    local eq, start = text:match("^%[(=*)%[()", at)
    if eq then
        local stop, value = long(text, start, eq)
        return "string", value:gsub("^\r?\n", ""), at, stop
    end
    for n = 3, 1, -1 do
        local s = text:sub(at, at + n - 1)
        if #s == n and SYMBOLS[s] then
            return s, s, at, at + n
        end
    end
    fail(at, "an unexpected character")
end

--- All tokens as three lists of equal length; the last is "eof". Raises {at, what}.
---@param text string
---@return string[] kinds "name", "number", "string", "eof", or the keyword or symbol itself
---@return string[] values
---@return integer[] places byte offsets
function M.tokens(text)
    local kinds, values, places, n = {}, {}, {}, 0
    local at = 1
    if text:sub(1, 3) == "\xEF\xBB\xBF" then
        at = 4
    end
    if text:sub(at, at) == "#" then -- the line for the kernel
        at = text:find("\n", at, true) or #text + 1
    end
    repeat
        local kind, value, place
        kind, value, place, at = token(text, at)
        n = n + 1
        kinds[n], values[n], places[n] = kind, value, place
    until kind == "eof"
    return kinds, values, places
end

--- A function from byte offset to line and column (both from 1).
---@param text string
---@return fun(at: integer): integer, integer
function M.locator(text)
    local starts = { 1 }
    for after in text:gmatch("\n()") do
        starts[#starts + 1] = after
    end
    return function(at)
        local lo, hi = 1, #starts
        while lo < hi do
            local mid = (lo + hi + 1) // 2
            if starts[mid] <= at then
                lo = mid
            else
                hi = mid - 1
            end
        end
        return lo, at - starts[lo] + 1
    end
end

return M
