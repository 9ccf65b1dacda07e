-- What is a duration, a host name, a URL, a boolean, a number: one value of text or of Lua at a time.
local M = {}

local UNITS = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400, w = 604800 }

--- Seconds of a duration: "90s", "1h30m", "1.5h", "500ms", or a number of seconds. nil when it is none.
---@param v any
---@return number?
function M.seconds(v)
    if type(v) == "number" then
        return v >= 0 and v < 1e12 and v or nil
    elseif type(v) ~= "string" then
        return nil
    end
    if v:find("^%d+$") or v:find("^%d+%.%d+$") then
        return M.seconds(tonumber(v))
    end
    local total, at, last = 0, 1, math.huge
    while at <= #v do
        local num, unit, after = v:match("^(%d+%.?%d*)(%a+)%s*()", at)
        local size = UNITS[unit]
        if not size or size >= last or num:sub(-1) == "." then
            return nil
        end
        local n = tonumber(num)
        total, at, last = total + (size == 0.001 and n / 1000 or n * size), after, size
    end
    return at > 1 and not v:find("%s$") and total < 1e12 and total or nil
end

--- A host name, an IPv4 or an IPv6 address.
---@param s string
---@return boolean
function M.is_host(s)
    if #s > 253 then
        return false
    end
    local inner = s:match("^%[(.+)%]$") or s:find(":", 1, true) and s
    if inner then -- IPv6: groups of up to four hex digits, one "::" at most, perhaps a zone
        local addr, zone = inner:match("^([%x:%.]+)(.*)$")
        local _, doubles = (addr or ""):gsub("::", "")
        local _, colons = (addr or ""):gsub(":", "")
        return addr ~= nil
            and (zone == "" or zone:find("^%%%w[%w%.]*$") ~= nil)
            and colons >= 2
            and colons <= 8
            and doubles <= 1
            and not addr:find(":::", 1, true)
            and not addr:find("%x%x%x%x%x")
            and (doubles == 1 or colons == 7 or addr:find("%.") ~= nil)
    end
    for label in (s .. "."):gmatch("([^%.]*)%.") do
        if not label:find("^[%w_][%w_%-]*$") or label:sub(-1) == "-" or #label > 63 then
            return false
        end
    end
    if s:find("^[%d%.]+$") then -- digits and dots only: an IPv4 address
        local a, b, c, d = s:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
        return a ~= nil and math.max(tonumber(a), tonumber(b), tonumber(c), tonumber(d)) <= 255
    end
    return true
end

--- scheme://host[:port][/…]
---@param s string
---@return boolean
function M.is_url(s)
    local rest = s:match("^%a[%w+.-]*://(.+)$")
    if not rest or s:find('[%s%c<>"\\^`{|}]') then
        return false
    end
    local authority = rest:match("^[^/?#]*")
    local name = authority:match("@([^@]*)$") or authority
    local host, port = name:match("^(%[[^%]]*%]):?(%d*)$")
    if not host then
        host, port = name:match("^([^:]*):?(%d*)$")
    end
    return host ~= nil
        and host ~= ""
        and M.is_host(host)
        and (port == "" or tonumber(port) <= 65535)
        and not (port == "" and name:sub(-1) == ":")
end

local BOOLEAN = {
    ["true"] = true,
    yes = true,
    on = true,
    ["1"] = true,
    ["false"] = false,
    no = false,
    off = false,
    ["0"] = false,
}

--- true, false, or nil for what is neither.
---@param raw any
---@return boolean?
function M.boolean(raw)
    if type(raw) == "string" then
        return BOOLEAN[raw:lower()]
    elseif type(raw) == "boolean" then
        return raw
    end
end

--- A 64-bit integer from text or a number, or nil and perhaps a reason.
---@param raw any
---@return integer?, string?
function M.integer(raw)
    if type(raw) == "string" then
        if not raw:find("^[+-]?%d+$") then
            return nil
        end
        local n = tonumber((raw:gsub("^%+", ""))) -- what does not fit into 64 bits gives a float
        if math.type(n) ~= "integer" then
            return nil, "it does not fit into 64 bits"
        end
        return n
    end
    return type(raw) == "number" and math.tointeger(raw) or nil
end

--- A finite number from decimal text or a number, or nil.
---@param raw any
---@return number?
function M.number(raw)
    if type(raw) == "string" then
        raw = raw:find("^[+-]?[%d.]+[eE]?[+-]?%d*$") and tonumber((raw:gsub("^%+", ""))) or nil
    end
    if type(raw) == "number" and raw - raw == 0 then -- neither infinite nor not a number
        return raw
    end
end

return M
