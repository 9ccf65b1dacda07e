-- The configuration's policy: what runbooks may reach at this site, and when they may not start.
local phrase = require "rt.phrase"
local reach = require "rt.reach"

local M = {}

local DAYS = { sun = 0, mon = 1, tue = 2, wed = 3, thu = 4, fri = 5, sat = 6 }

--- Minutes since Sunday 00:00 of "fri 16:00"; nil when it is none.
local function minute_of_week(s)
    local day, hour, minute = s:lower():match("^%s*(%a%a%a)%a* +(%d%d?):(%d%d)%s*$")
    hour, minute = tonumber(hour), tonumber(minute)
    if not DAYS[day] or hour > 24 or minute > 59 or hour == 24 and minute > 0 then
        return nil
    end
    return DAYS[day] * 1440 + hour * 60 + minute
end

local MONTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

-- Days since some day of year 0, which has March as its first month; nil: there is no such day.
local function day_number(y, m, d)
    local leap = y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0)
    if m < 1 or m > 12 or d < 1 or d > MONTHS[m] + (leap and m == 2 and 1 or 0) then
        return nil
    end
    y = m <= 2 and y - 1 or y
    return 365 * y + y // 4 - y // 100 + y // 400 + (153 * ((m + 9) % 12) + 2) // 5 + d
end

-- Seconds of "Z", "+01:00"; nil: it is none.
local function offset_of(zone)
    local sign, h, m = zone:match "^([+-])(%d%d):([0-5]%d)$"
    return zone == "Z" and 0 or sign and (h * 60 + m) * (sign == "-" and -60 or 60)
end

--- Seconds of a time: 2026-12-20, 2026-12-20T08:00, …:30, with Z or +01:00 at its end; second, is it without? nil: it
--- is none. A day alone, as an end, is that day's.
local function seconds_of(v, is_end)
    local y, m, d, rest = tostring(v):match "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$"
    local days = y and day_number(tonumber(y), tonumber(m), tonumber(d))
    if not days or rest == "" then
        return days and (days + (is_end and 1 or 0)) * 86400, true
    end
    local h, min, tail = rest:match "^[T ](%d%d):([0-5]%d)(.*)$"
    if not h or tonumber(h) > 24 then
        return nil
    end
    local s, zone = tail:match "^:([0-5]%d)(.*)$"
    zone = zone or tail
    local offset = zone == "" and 0 or offset_of(zone)
    return offset and days * 86400 + h * 3600 + min * 60 + (s or 0) - offset, zone == ""
end

local function time(c, v)
    if type(v) ~= "string" or not seconds_of(v) then
        c:wrong('got %s, expected a time such as "2026-12-20T08:00:00Z" or "2026-12-20"', phrase.show(v))
    end
end

local WINDOW = {
    from = time,
    to = time,
    weekly = function(c, v)
        local from, to = tostring(v):match("^(.-)%s+%-%s+(.+)$")
        from, to = from and minute_of_week(from), to and minute_of_week(to)
        if not from or not to or from == to then
            c:wrong('got %s, expected a part of the week such as "fri 16:00 - mon 06:00"', phrase.show(v))
        end
    end,
    tz = function(c, v)
        if type(v) ~= "string" or v ~= "Z" and not v:find("^[+-][01]%d:[0-5]%d$") then
            c:wrong('got %s, expected an offset from UTC such as "+01:00" (without it: the local time of the host)',
                phrase.show(v))
        end
    end,
    reason = function(c, v)
        c:text(v)
    end,
    runbooks = function(c, v)
        c:strings(v, 'names of runbooks such as "promote*"')
    end,
}

local function window(c, v)
    if not c:named(v, '{ from = "2026-12-20", to = "2027-01-04", reason = "…" }') then
        return
    end
    local before = #c.path
    c:each(v, WINDOW)
    if #c.path ~= before then
        return
    elseif v.weekly ~= nil and (v.from ~= nil or v.to ~= nil) then
        c:wrong "a window is either weekly or has `from` and `to`"
    elseif v.weekly == nil and (v.from == nil or v.to == nil) then
        c:wrong 'expected `from` and `to`, or `weekly = "fri 16:00 - mon 06:00"`'
    elseif v.from ~= nil then
        local from, open = seconds_of(v.from)
        local to, open_end = seconds_of(v.to, true)
        if from and to and open == open_end and to <= from then -- else it depends on the host's zone
            c:wrong("it ends (%s) before it begins (%s)", v.to, v.from)
        end
    end
    if v.reason == nil then
        c:wrong "`reason` is missing: whoever is refused reads it"
    end
end

local function freeze(c, v)
    if type(v) ~= "table" or #v == 0 and next(v) ~= nil then
        c:wrong('got %s, expected a list of windows: { { from = "…", to = "…", reason = "…" } }', phrase.show(v))
        return
    end
    for i = 1, #v do
        c:at(i, window, v[i])
    end
end

local function patterns(c, v)
    reach.table(v, c.path, c.add, true)
end

local POLICY = {
    allow = patterns,
    deny = patterns,
    freeze = freeze,
    loopback = function(c, v)
        c:boolean(v)
    end,
    link_local = function(c, v)
        c:boolean(v)
    end,
}

function M.policy(c, v)
    if c:named(v, '{ allow = { exec = { "git" } } }') then
        c:each(v, POLICY)
    end
end

return M
