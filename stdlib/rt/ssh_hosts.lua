-- Hosts and lists of them: what a runbook says about one; groups of the configuration, files, names that ssh's own
-- configuration has; what is taken out again; `--limit`. The texts themselves are rt.ssh_names's.
local base = require "rt.base"
local names = require "rt.ssh_names"
local phrase = require "rt.phrase"
local words = require "rt.words"

local M = {}

local PARTS = { host = true, user = true, port = true, identity = true, jump = true, name = true }

local function bad_part(host)
    if not names.good_host(host.host) and not (type(host.host) == "string" and names.split(host.host)) then
        return "host", "a name or an address"
    elseif host.user ~= nil and not names.good_user(host.user) then
        return "user", "a user's name"
    elseif host.port ~= nil and not names.good_port(host.port) then
        return "port", "a number up to 65535"
    elseif host.jump ~= nil and not names.good_jump(host.jump) then
        return "jump", "hosts such as user@gate:22, with commas between"
    elseif host.identity ~= nil and (type(host.identity) ~= "string" or not host.identity:find "^[^-%c][^%c]*$") then
        return "identity", "the path of a key"
    elseif host.name ~= nil and not require("rt.plain").line_of_text(host.name) then
        return "name", "one line of text"
    end
end

--- What ssh is told about a host that somebody named, with `name` for people and keys.
---@param verb string
---@param host any
---@return table
function M.target(verb, host)
    if type(host) == "string" then
        local parts = names.split(host)
        if not parts then
            base.usage("%s: %s names no host: expected host, user@host or user@host:port", verb, phrase.show(host))
        end
        parts.name = host
        return parts
    elseif type(host) ~= "table" then
        base.usage("%s: the host is a text such as \"web1\", or a table, not %s", verb, phrase.show(host))
    end
    for k in pairs(host) do
        if not PARTS[k] then
            base.usage("%s: unknown part %s of a host%s", verb, phrase.show(k), words.hint(tostring(k), PARTS, true))
        end
    end
    local part, expected = bad_part(host)
    if part then
        base.usage("%s: the host's %s is %s, expected %s", verb, part, phrase.show(host[part]), expected)
    end
    local out = names.split(host.host)
    out.user, out.port = host.user or out.user, host.port or out.port
    out.identity, out.jump, out.name = host.identity, host.jump, host.name or host.host
    return out
end

--- The name of a host, for people and keys.
---@param host string|table
---@return string
function M.name(host)
    return type(host) == "table" and (host.name or host.host) or host
end

-- The texts of what was given, with those of files in place of their names; hosts that are tables stay.
local function collect(given, keep, out_again)
    for _, item in ipairs(given) do
        if type(item) == "table" and #item == 0 and next(item) ~= nil then
            keep[#keep + 1] = item
        elseif type(item) == "table" then
            collect(item, keep, out_again)
        else
            local file = base.expect("ssh.hosts", "a host", item, "string"):match "^file:(.+)$"
            if file then
                local text = require("rt.file").fields.read(file, { max = 1 << 20 })
                text = text:gsub("^\xEF\xBB\xBF", ""):gsub("#[^\r\n]*", "") -- the mark that some editors begin with
                if text:find "file:" then
                    base.usage("ssh.hosts: %s names another file", file)
                end
                item = text
            end
            local more, fewer = names.words(item)
            table.move(more, 1, #more, #keep + 1, keep)
            table.move(fewer, 1, #fewer, #out_again + 1, out_again)
        end
    end
end

-- Adds what a text stands for to `out`: members of groups, names of ssh's configuration, or itself with its ranges.
-- Returns what is wrong.
local function resolve(text, known, out, open)
    local group = known.groups[text]
    if group and not open[text] then
        open[text] = true
        for _, member in ipairs(group) do
            local wrong = resolve(member, known, out, open)
            if wrong then
                return wrong
            end
        end
        open[text] = nil
    elseif names.is_glob(text) then
        local p, before = names.glob(text), #out
        known.names = known.names or host.ssh_names()
        for _, name in ipairs(known.names) do
            out[#out + 1] = name:find(p) and name or nil
        end
        if #out == before then
            return ("no Host of ssh's configuration matches %s"):format(phrase.show(text))
        end
    else
        local list, wrong = names.expand(text)
        if wrong then
            return wrong
        end
        table.move(list, 1, #list, #out + 1, out)
    end
    return #out > names.MOST and ("the list has more than %d hosts"):format(names.MOST) or nil
end

-- A list for each text. A failure is a value, too: the configuration may be another when the run goes on.
local function resolve_all(texts)
    local known, all = { groups = host.ssh_groups() }, {}
    for i, text in ipairs(texts) do
        all[i] = {}
        local wrong = resolve(text, known, all[i], {})
        if wrong then
            return { wrong = wrong }
        end
    end
    return all
end

-- Can it mean nothing else than itself, wherever the run goes on? A name without more may be that of a group.
local function is_literal(text)
    return not names.is_glob(text) and text:find "[%[@:]" ~= nil
end

-- A list for each item of `keep`; what depends on more than the runbook's text is a record.
local function meanings(keep)
    local texts, at, out, literal = {}, {}, {}, true
    for i, item in ipairs(keep) do
        if type(item) == "table" then
            M.target("ssh.hosts", item)
            out[i] = { item }
        else
            literal = literal and is_literal(item)
            texts[#texts + 1] = item
            at[#texts] = i
        end
    end
    local all = #texts == 0 and {} or literal and resolve_all(texts) or host.pin("ssh.hosts", resolve_all, texts)
    if all.wrong then
        base.usage("ssh.hosts: %s", all.wrong)
    end
    for k, i in ipairs(at) do
        out[i] = all[k]
    end
    return out
end

-- The hosts of a group; none where there is no such group.
local function members_of(name)
    local known, out = { groups = host.ssh_groups() }, {}
    if known.groups[name] then
        resolve(name, known, out, {})
    end
    return out
end

-- The words of `--limit`: those that are to stay, and those behind a "!", groups with their members.
local function limits()
    local only, but = names.words(base.info.limit or "")
    for _, list in ipairs { only, but } do
        for i = #list, 1, -1 do
            local text = list[i]
            local members = host.pin("ssh.limit", members_of, text)
            if #members > 0 then
                table.remove(list, i)
                table.move(members, 1, #members, #list + 1, list)
            elseif text:find "%[" or not names.is_glob(text) then
                local _, wrong = names.expand(text)
                if wrong or text:gsub("%b[]", ""):find "[%[%]]" then
                    base.usage("--limit %s: %s", text, wrong or "a bracket has no other")
                end
            end
        end
    end
    return only, but
end

--- The hosts that texts stand for, each once, in their order; what is behind a "!" and what `--limit` does not name is
--- left out.
---@param ... string|table
---@return (string|table)[]
function M.hosts(...)
    local keep, out_again, out, seen, left_out = {}, {}, {}, {}, 0
    local only, but = limits()
    collect({ ... }, keep, out_again)
    for _, list in ipairs(meanings(keep)) do
        for _, h in ipairs(list) do
            local target = M.target("ssh.hosts", h)
            if
                not seen[target.name]
                and not names.any_names(out_again, target)
                and (#only == 0 or names.any_names(only, target))
                and not names.any_names(but, target)
            then
                seen[target.name] = true
                out[#out + 1] = h
            else
                left_out = left_out + (seen[target.name] and 0 or 1)
            end
        end
    end
    if #out == 0 and left_out > 0 and base.info.limit then
        require("rt.effects").warn(
            ("--limit %s leaves none of these %d hosts"):format(base.info.limit, left_out)
        )
    end
    return out
end

return M
