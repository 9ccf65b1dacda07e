-- The part of the static check that knows what the values of options may be: a duration, a switch, a number of bytes;
-- and which of them a verb can not do without. Only what is literal is judged.
local names = require "rt.ssh_names"
local phrase = require "rt.phrase"
local scalars = require "rt.scalars"
local words = require "rt.words"

local M = {}

local CONSTANT = { string = true, ["true"] = true, ["false"] = true, ["nil"] = true }

-- Each: what a value should be, and whether this one is; `kind` is that of rt.parse, or "table" or "function".
local KINDS = {}

local function kind_of(says, test)
    return { says = says, test = test }
end

local function whole_from(least)
    return function(kind, v)
        return kind == "number" and math.type(v) == "integer" and v >= least
    end
end

KINDS.duration = kind_of('a duration such as "90s" or "1h30m"', function(kind, v)
    return (kind == "string" or kind == "number") and scalars.seconds(v) ~= nil
end)
KINDS.switch = kind_of("true or false", function(kind)
    return kind == "true" or kind == "false"
end)
KINDS.text = kind_of("a text", function(kind)
    return kind == "string" or kind == "number"
end)
KINDS.path = kind_of("a path", function(kind, v)
    return kind == "string" and v ~= "" and not v:find "%z"
end)
KINDS.mode = kind_of('a text such as "0644" or "755"', function(kind, v)
    return kind == "string" and v:find "^0?[0-7][0-7][0-7][0-7]?$" ~= nil
end)
KINDS.bytes = kind_of("a number of bytes", whole_from(0))
KINDS.count = kind_of("a whole number from 1", whole_from(1))
KINDS.table = kind_of("a table", function(kind)
    return kind == "table"
end)
KINDS.sudo = kind_of('true, or { password = secret("name") }', function(kind)
    return kind == "true" or kind == "false" or kind == "table"
end)
KINDS.share = kind_of('a number, or a part such as "10%"', function(kind, v)
    local part = kind == "string" and tonumber(v:match "^(%d+)%%$")
    return kind == "number" and math.type(v) == "integer" and v >= 0 or part and part <= 100
end)
KINDS.doubt = kind_of('"ask", "retry", "fail" or a function', function(kind, v)
    return kind == "function" or kind == "string" and (v == "ask" or v == "retry" or v == "fail")
end)
KINDS.retry = kind_of("a number of attempts, or a table such as { times = 3 }", function(kind, v)
    return kind == "table" or kind == "false" or whole_from(1)(kind, v)
end)
KINDS.host = kind_of("host, user@host or user@host:port", function(kind, v)
    return kind == "table" or kind == "string" and names.split(v) ~= nil
end)

-- What the values of options are, wherever they stand.
local VALUES = {
    timeout = "duration",
    connect_timeout = "duration",
    delay = "duration",
    every = "duration",
    read = "switch",
    idempotent = "switch",
    secret = "switch",
    check = "switch",
    survive = "switch",
    acts = "switch",
    fail_fast = "switch",
    not_requester = "switch",
    recursive = "switch",
    missing_ok = "switch",
    parents = "switch",
    title = "text",
    cwd = "path",
    from = "path",
    to = "path",
    mode = "mode",
    max_output = "bytes",
    max = "bytes",
    limit = "count",
    times = "count",
    max_failures = "share",
    env = "table",
    sudo = "sudo",
    on_doubt = "doubt",
    retry = "retry",
}

-- The kind and the value of what is literal, else nil. `-1` is one.
local function literal(node)
    if node.tag == "Table" or node.tag == "Function" then
        return node.tag:lower()
    elseif node.op == "-" and #node == 1 and node[1].kind == "number" then
        return "number", -tonumber(node[1].value)
    elseif node.kind == "number" then
        return "number", tonumber(node.value)
    elseif CONSTANT[node.kind] then
        return node.kind, node.value
    end
end

local function shown(kind, v)
    return (kind == "table" or kind == "function") and "a " .. kind or v == nil and kind or phrase.show(v)
end

local function check_value(key, of, node, wanted, report)
    local kind, v = literal(node)
    if not kind or kind == "nil" or KINDS[wanted].test(kind, v) then
        return
    end
    report(node.at, "error", ("%s of %s is %s, expected %s"):format(key, of, shown(kind, v), KINDS[wanted].says))
end

--- The values of a literal table of options.
---@param tbl table a node of kind Table
---@param spec table of rt.words.options
---@param of string the verb
---@param report fun(at: integer, level: string, text: string)
function M.check(tbl, spec, of, report)
    local there, open = {}, false
    for _, i in ipairs(tbl) do
        local wanted = i.key and spec.keys[i.key] and (spec.values and spec.values[i.key] or VALUES[i.key])
        if wanted then
            check_value(i.key, of, i.value, wanted, report)
        end
        if i.key == "retry" and wanted and i.value.tag == "Table" then
            M.check(i.value, words.options.retry, "retry", report)
        end
        if i.key then
            there[i.key] = i.value.kind ~= "nil"
        else
            open = open or i.computed
        end
    end
    for _, need in ipairs(not open and spec.needs or {}) do
        local found = false
        for key in need:gmatch "%S+" do
            found = found or there[key]
        end
        if not found then
            report(tbl.at, "error", ("%s needs %s"):format(of, (need:gsub(" ", " or "))))
        end
    end
end

-- What a call may end with and still have more values than it shows.
local MANY = { Call = true, Method = true }

--- The arguments before the options: that they are there, and what a host may be.
---@param call table a node of kind Call
---@param spec table
---@param of string
---@param report fun(at: integer, level: string, text: string)
function M.check_arguments(call, spec, of, report)
    local given, last = #call - 1, call[#call]
    local takes = spec.takes or {}
    for n, what in ipairs(takes) do
        if n > given and not (given > 0 and (MANY[last.tag] or last.kind == "...")) then
            report(call.at, "error", ("%s needs %s"):format(of, what))
            return
        end
    end
    if takes[1] == "a host" and call[2] then
        check_value("the host", of, call[2], "host", report)
    end
end

return M
