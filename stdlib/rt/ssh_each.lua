-- ssh.each: the same on many hosts, so many at a time; what failed is told together, as a table.
local base = require "rt.base"
local hosts = require "rt.ssh_hosts"

local M = {}

local ROWS = 20 -- of the table in the error's message; all of them are in its fields

local OWN = { limit = true, fail_fast = true, max_failures = true }

-- So many of n: a number, or "10%".
local function share(v, n)
    local percent = type(v) == "string" and tonumber(v:match "^(%d+)%%$")
    if percent and percent <= 100 then
        return math.floor(n * percent / 100)
    elseif math.type(v) ~= "integer" or v < 0 then
        base.usage('ssh.each: max_failures is a number, or a part such as "10%%"')
    end
    return v
end

local function width(text)
    return utf8.len(text) or #text
end

-- What failed as a table of host, kind and what came back, in the run's log.
local function tell(failures, left, of)
    local warn = require("rt.effects").warn
    local shown, wide, kind = math.min(#failures, ROWS), 0, 0
    for i = 1, shown do
        wide = math.max(wide, width(failures[i].host))
        kind = math.max(kind, #failures[i].kind)
    end
    warn(("ssh.each: %d of %d hosts failed"):format(#failures, of))
    for i = 1, shown do
        local f = failures[i]
        local pad = (" "):rep(wide - width(f.host))
        warn(("  %s%s  %-" .. kind .. "s  %s"):format(f.host, pad, f.kind, f.said))
    end
    if #failures > ROWS then
        warn(("  … and %d more"):format(#failures - ROWS))
    end
    if #left > 0 then
        local first = table.concat(left, " ", 1, math.min(#left, ROWS))
        warn(("  not begun: %s%s"):format(first, #left > ROWS and " …" or ""))
    end
end

local function raise(list, failed, begun, done)
    local failures, left, succeeded, named, outcome = {}, {}, {}, {}, "failed"
    for i, h in ipairs(list) do
        local name, e = hosts.name(h), failed[i]
        if e then
            local said = tostring(e.message):gsub("^ssh [^`]*: `", "`"):gsub("%s*[\r\n]%s*", "; ")
            failures[#failures + 1] =
                { host = name, kind = e.kind, said = said, outcome = e.outcome, op = e.op, step = e.step }
            named[#named + 1] = #named < 5 and name or nil
            outcome = e.outcome == "unknown" and "unknown" or outcome
        elseif not begun[i] then
            left[#left + 1] = name
        elseif done[i] then
            succeeded[#succeeded + 1] = name
        end
    end
    tell(failures, left, #list)
    local more = #failures > #named and (" and %d more"):format(#failures - #named) or ""
    local text = ("ssh.each: %d of %d hosts failed: %s%s; %s: %s"):format(
        #failures,
        #list,
        table.concat(named, ", "),
        more,
        failures[1].host,
        failures[1].said
    )
    error(
        -- errors: what a retry sets aside
        host.error(
            "ssh.each",
            outcome,
            text,
            { failures = failures, errors = failures, not_begun = left, succeeded = succeeded }
        ),
        0
    )
end

--- A command, or a function, for each host; the results in the order of the hosts.
---@param run fun(verb: string, host: any, command: any, opts: table): table
---@param list any
---@param opts table?
---@param what string[]|string|fun(host: any, index: integer): any
---@return any[]
function M.each(run, list, opts, what)
    if what == nil and (type(opts) == "function" or type(opts) == "string" or type(opts) == "table" and opts[1]) then
        opts, what = nil, opts
    end
    opts = base.options("ssh.each", opts)
    if type(what) ~= "function" and type(what) ~= "table" and type(what) ~= "string" then
        base.usage "ssh.each: what each host is for is a command (a list or a text) or a function: \z
            ssh.each(hosts, { limit = 10 }, { \"uptime\" })"
    end
    local limit, own = opts.limit or 16, {}
    if math.type(limit) ~= "integer" or limit < 1 then
        base.usage("ssh.each: limit must be a whole number from 1")
    end
    list = hosts.hosts(list)
    local allowed = opts.max_failures and share(opts.max_failures, #list) or opts.fail_fast and 0 or #list
    for k, v in pairs(opts) do
        own[k] = not OWN[k] and v or nil
    end
    local function one(h, i)
        if type(what) == "function" then
            return what(h, i)
        end
        return run("ssh", h, what, own)
    end
    local place, out, failed, begun, done = {}, {}, {}, {}, {}
    local next_i, running, failures, final = 1, 0, 0, nil
    local function fill()
        while not final and failures <= allowed and next_i <= #list and running < limit do
            local i = next_i
            place[base.start(hosts.name(list[i]), one, list[i], i)] = i
            begun[i], next_i, running = true, i + 1, running + 1
        end
    end
    fill()
    for id, ok, v in host.wait_child do
        local i = place[id]
        running = running - 1
        if ok then
            out[i], done[i] = v, true
        elseif base.is_final(v) and not (v.kind == "cancelled" and failures > allowed) then
            final = final or v
            host.cancel_children "the run goes on elsewhere or ends"
        else
            failed[i], failures = v, failures + 1
            if opts.fail_fast and failures > allowed then
                host.cancel_children "another host failed"
            end
        end
        fill()
    end
    if final then
        error(final, 0)
    elseif failures > 0 then
        raise(list, failed, begun, done)
    end
    return out
end

return M
