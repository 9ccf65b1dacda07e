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

--- Is it a time: 2026-12-20, 2026-12-20T08:00, …:30, with Z or +01:00 at its end or without?
local function is_time(v)
    if type(v) ~= "string" then
        return false
    end
    local y, m, d, rest = v:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
    if not y or tonumber(m) < 1 or tonumber(m) > 12 or tonumber(d) < 1 or tonumber(d) > 31 then
        return false
    elseif rest == "" then
        return true
    end
    local h, min, tail = rest:match("^[T ](%d%d):(%d%d)(.*)$")
    if not h or tonumber(h) > 24 or tonumber(min) > 59 then
        return false
    end
    tail = tail:gsub("^:[0-5]%d", "", 1)
    return tail == "" or tail == "Z" or tail:find("^[+-]%d%d:%d%d$") ~= nil
end

local function time(c, v)
    if not is_time(v) then
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
    elseif
        type(v.from) == "string"
        and #v.from == #tostring(v.to)
        and (v.from > v.to or v.from == v.to and #v.from > 10) -- a day alone is all of it
    then
        c:wrong("it ends (%s) before it begins (%s)", v.to, v.from)
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
