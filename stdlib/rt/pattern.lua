-- Is a Lua pattern well formed? Lua itself says so only when the matching reaches the bad place, which may be never in
-- a test.
local M = {}

local function class_end(p, at)
    at = at + 1
    if p:sub(at, at) == "^" then
        at = at + 1
    end
    repeat -- the first character of a class may be "]"
        local c = p:sub(at, at)
        if c == "" then
            return nil, "a [ has no ]"
        end
        at = at + (c == "%" and 2 or 1)
    until p:sub(at, at) == "]"
    return at + 1
end

--- nil for a good pattern, else what is wrong with it.
---@param p string
---@return string?
function M.problem(p)
    local at, open, count, closed = 1, {}, 0, {}
    while at <= #p do
        local c = p:sub(at, at)
        if c == "(" then
            count = count + 1
            if count > 32 then
                return "it has more than 32 captures"
            elseif p:sub(at + 1, at + 1) == ")" then
                closed[count], at = true, at + 2
            else
                open[#open + 1], at = count, at + 1
            end
        elseif c == ")" then
            local n = table.remove(open)
            if not n then
                return "a ) has no ("
            end
            closed[n], at = true, at + 1
        elseif c == "[" then
            local after, why = class_end(p, at)
            if not after then
                return why
            end
            at = after
        elseif c == "%" then
            local e = p:sub(at + 1, at + 1)
            if e == "" then
                return "it ends with %"
            elseif e == "b" and #p < at + 3 then
                return "%b needs two characters"
            elseif e == "f" and p:sub(at + 2, at + 2) ~= "[" then
                return "%f needs a [set]"
            elseif e:find("^%d$") and not closed[tonumber(e)] then
                return "%" .. e .. " refers to no finished capture"
            end
            at = at + (e == "b" and 4 or 2)
        else
            at = at + 1
        end
    end
    return #open > 0 and "a ( has no )" or nil
end

return M
