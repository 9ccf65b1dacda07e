-- How values and parameters are put into words for a person.
local M = {}

--- A value as a person would recognise it, on one line, cut at about 60 characters.
---@param v any
---@return string
function M.show(v)
    local kind = type(v)
    if kind == "string" then
        local text = v
        if #text > 60 then
            local stop = 57
            while stop > 0 and (text:byte(stop + 1) or 0) & 0xC0 == 0x80 do -- not inside a character
                stop = stop - 1
            end
            text = text:sub(1, stop) .. "..."
        end
        text = text:gsub('[%c"\\]', function(c)
            local short = ({ ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" })[c]
            return short or ("\\x%02x"):format(c:byte())
        end)
        if not utf8.len(text) then
            text = text:gsub("[\x80-\xff]", function(c)
                return ("\\x%02x"):format(c:byte())
            end)
        end
        return '"' .. text .. '"'
    elseif kind == "number" or kind == "boolean" then
        return tostring(v)
    elseif kind == "table" then
        if #v > 0 then
            return ("a list of %d"):format(#v)
        end
        return next(v) == nil and "an empty table" or "a map"
    end
    if kind == "userdata" and host.is_secret(v) then
        return "a secret"
    end
    return kind == "userdata" and "null" or kind == "nil" and "nothing" or "a " .. kind
end

local function join(values)
    local parts = {}
    for i, v in ipairs(values) do
        parts[i] = tostring(v)
    end
    return table.concat(parts, ", ")
end

local function range(p, unit)
    local min, max = p.min and tostring(p.min), p.max and tostring(p.max)
    unit = unit and " " .. unit or ""
    if min and max then
        return min == max and ("%s%s"):format(min, unit) or ("%s to %s%s"):format(min, max, unit)
    end
    return min and ("at least %s%s"):format(min, unit) or max and ("at most %s%s"):format(max, unit) or nil
end

local NOUN = {
    string = "text",
    integer = "an integer",
    number = "a number",
    boolean = "true or false",
    duration = "a duration such as 90s or 1h30m",
    url = "a URL such as https://host/path",
    host = "a host name or an IP address",
    file = "the path of a file",
    secret = "a secret",
    list = "a list (a,b,c or a JSON array)",
    map = "a map (k=v,k2=v2 or a JSON object)",
}
local LENGTH =
    { string = "characters", url = "characters", host = "characters", file = "characters", secret = "bytes" }
LENGTH.list, LENGTH.map = "elements", "entries"

--- "an integer, 1 to 10": what a parameter takes.
---@param p table an entry of a normalised header
---@return string
function M.expected(p)
    local inner = p.type == "list" or p.type == "map"
    local text
    if p.choices and not inner then
        text = "one of " .. join(p.choices)
    else
        local r =
            range(p.type == "secret" and { min = math.max(p.min or 8, 8), max = p.max } or p, LENGTH[p.type])
        text = NOUN[p.type]
            .. (p.match and not inner and " that matches " .. p.match or "")
            .. (r and ", " .. r or "")
    end
    if inner and (p.of and p.of ~= "string" or p.match or p.choices) then
        text = text .. ", each " .. M.expected { type = p.of or "string", match = p.match, choices = p.choices }
    end
    return text
end

return M
