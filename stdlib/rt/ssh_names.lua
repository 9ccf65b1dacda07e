-- Names of hosts as texts: what [user@]host[:port] says, ranges such as web[01-20], globs as ssh's configuration has
-- them, lists of words. Knows no run: what is wrong is returned as a sentence.
local phrase = require "rt.phrase"

local M = {}

M.MOST = 10000 -- hosts of one list

--- Is it a name or an address that ssh can be given?
---@param h any
---@return boolean
function M.good_host(h)
    if type(h) ~= "string" or #h > 255 then
        return false
    end
    return h:find "^[%w_][%w_.-]*$" ~= nil or h:find "^%x*:%x*:[%x:.]*%%?[%w_.-]*$" ~= nil
end

---@param u any
---@return boolean
function M.good_user(u)
    return type(u) == "string" and #u < 128 and u:find "^[%w_][%w_.@+\\-]*%$?$" ~= nil
end

---@param p any
---@return boolean
function M.good_port(p)
    return math.type(p) == "integer" and p >= 1 and p <= 65535
end

--- Jump hosts as ssh's -J has them: user@host:port, with commas between.
---@param j any
---@return boolean
function M.good_jump(j)
    return type(j) == "string" and #j < 1000 and j:find "^[%w_%[][%w_.:@,%[%]%%+-]*$" ~= nil
end

--- The parts of [user@]host[:port], where an IPv6 address with a port stands in brackets; nil when it is none.
---@param text string
---@return { host: string, user: string?, port: integer? }?
function M.split(text)
    local user, rest = text:match "^(.*)@([^@]*)$"
    rest = rest or text
    local host, port = rest:match "^%[([^%]]*)%]$", nil
    if not host then
        host, port = rest:match "^%[([^%]]*)%]:(%d+)$"
    end
    if not host then
        host, port = rest:match "^([^:]*):(%d+)$"
    end
    host = host or rest
    port = port and #port < 6 and math.tointeger(tonumber(port)) or port
    if user and not M.good_user(user) or not M.good_host(host) or port and not M.good_port(port) then
        return nil
    end
    return { host = host, user = user, port = port }
end

-- The texts that one part of a range stands for: "01-20", "a-c" or a word; nil when it is none of them.
local function part_of(part, out)
    local from, to = part:match "^(%d+)%-(%d+)$"
    local a, b = part:match "^(%a)%-(%a)$"
    if from then
        local first, last = math.tointeger(tonumber(from)), math.tointeger(tonumber(to))
        if #from > 9 or #to > 9 or first > last or last - first >= M.MOST then
            return nil
        end
        local width = from:sub(1, 1) == "0" and #from or 1
        for i = first, last do
            out[#out + 1] = ("%0" .. width .. "d"):format(i)
        end
    elseif a then
        if a > b or (a:lower() == a) ~= (b:lower() == b) then
            return nil
        end
        for i = a:byte(), b:byte() do
            out[#out + 1] = string.char(i)
        end
    elseif part:find "%-" then
        return nil
    else
        out[#out + 1] = part
    end
    return out
end

local function expand(text, out)
    local before, inside, after = text:match "^(.-)%[([%w,-]+)%](.*)$"
    if not before then -- also what stands in brackets and is no range: an IPv6 address
        if #out >= M.MOST then
            return ("%s is more than %d hosts"):format(phrase.show(text), M.MOST)
        end
        out[#out + 1] = text
        return
    end
    local values = {}
    for part in inside:gmatch "[^,]*" do
        if part == "" or not part_of(part, values) then
            return ("[%s] is no range: expected one such as [01-20], [a-c] or [1,3,7-9]"):format(inside)
        end
    end
    for _, v in ipairs(values) do
        local wrong = expand(before .. v .. after, out)
        if wrong then
            return wrong
        end
    end
end

--- All that a text with ranges stands for, or nil and what is wrong with it.
---@param text string
---@return string[]?, string?
function M.expand(text)
    local out = {}
    local wrong = expand(text, out)
    if wrong then
        return nil, wrong
    end
    return out
end

--- Words between spaces and commas, but not the commas in brackets; those behind a "!" are the second list.
---@param text string
---@return string[], string[]
function M.words(text)
    local keep, out_again = {}, {}
    local marked = text:gsub("%b[]", function(inside)
        return (inside:gsub(",", "\1"))
    end)
    for word in marked:gmatch "[^%s,]+" do
        word = word:gsub("\1", ",")
        local list = word:sub(1, 1) == "!" and out_again or keep
        list[#list + 1] = (word:gsub("^!", ""))
    end
    return keep, out_again
end

---@param text string
---@return boolean
function M.is_glob(text)
    return text:find "[*?]" ~= nil
end

--- A glob of ssh's kind as a pattern of Lua.
---@param text string
---@return string
function M.glob(text)
    return "^" .. text:gsub("[^%w*?]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

--- Does one of these texts, with ranges or as a glob, name this host? By its name, by the host alone, by user@host.
---@param patterns string[]
---@param target { name: string, host: string, user: string? }
---@return boolean
function M.any_names(patterns, target)
    local with_user = target.user and target.user .. "@" .. target.host
    for _, pattern in ipairs(patterns) do
        for _, p in ipairs(M.expand(pattern) or { pattern }) do
            p = M.glob(p)
            if target.name:find(p) or target.host:find(p) or with_user and with_user:find(p) then
                return true
            end
        end
    end
    return false
end

return M
