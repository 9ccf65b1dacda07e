-- Which known word an unknown one was probably meant to be.

-- Optimal string alignment: how many letters must be changed, added, dropped or swapped with their neighbour.
local function distance(a, b, limit)
    if math.abs(#a - #b) > limit then
        return limit + 1
    end
    local before, last, row = {}, {}, {}
    for j = 0, #b do
        last[j] = j
    end
    for i = 1, #a do
        row[0] = i
        local least = i
        for j = 1, #b do
            local same = a:byte(i) == b:byte(j)
            local d = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
            if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
                d = math.min(d, before[j - 2] + 1)
            end
            row[j] = d
            least = math.min(least, d)
        end
        if least > limit then
            return limit + 1
        end
        before, last, row = last, row, before
    end
    return last[#b]
end

--- The word of `known` (a set) that `word` was probably meant to be, or nil. Ties go to the first in alphabetical
--- order.
---@param word string
---@param known table<string, any>
---@return string?
local function nearest(word, known)
    if type(word) ~= "string" or #word > 40 then
        return nil
    end
    local best, best_d
    local lower = word:lower():gsub("[-_]", "")
    for k in pairs(known) do
        if type(k) == "string" and k ~= word then
            local limit = math.min(3, (math.max(#word, #k) + 1) // 3) -- 1 of 2–4 letters, 2 of 5–7, 3 of more
            local d = distance(word, k, limit)
            if k:lower():gsub("[-_]", "") == lower then
                d = 0
            end
            if d <= limit and d < #k and (not best_d or d < best_d or d == best_d and k < best) then
                best, best_d = k, d
            end
        end
    end
    return best
end

return nearest
