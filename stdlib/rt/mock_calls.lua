-- A call of a run under test, as tests see it: what was asked for in the words of the verb, and one line that stands
-- for it, which patterns are held against.
local M = {}

local json = host.global "json"

local SHOWN = 200

-- The pieces of a text that http has put together: a text, { text, how it is encoded } or { path = file }.
local function join(v)
    if type(v) ~= "table" then
        return v
    end
    local out = {}
    for i, piece in ipairs(v) do
        local text = piece
        if type(piece) == "table" then
            text = piece.path and "(file)" or piece[1]
            if piece[2] == "json" then
                text = json.encode(text)
            end
        end
        out[i] = tostring(text)
    end
    return table.concat(out)
end

local function line(text)
    return (tostring(text):gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function command(call, args, r)
    call.argv, call.text = args.argv, r.text
    call.command = call.argv and table.concat(call.argv, " ") or r.text
    call.cwd, call.env, call.stdin, call.read = r.cwd, r.own_env or r.env, r.stdin, r.read or false
end

local SHAPES = {}

function SHAPES.exec(call, args, r)
    command(call, args, r)
    call.line = line(call.command)
end

function SHAPES.ssh(call, args, r)
    args.argv = r.argv
    command(call, args, r)
    call.host = r.name or r.host
    call.sudo = r.sudo
    call.also = line(call.command)
    call.line = call.host .. ": " .. call.also
end

function SHAPES.ssh_upload(call, _, r)
    call.host, call.from, call.to, call.content = r.name or r.host, r.from, r.to, r.content
    call.mode, call.owner = r.mode, r.owner
    call.line = ("%s: upload %s"):format(call.host, r.to)
end

function SHAPES.ssh_download(call, _, r)
    call.host, call.from, call.to = r.name or r.host, r.from, r.to
    call.line = ("%s: download %s"):format(call.host, r.from)
end

function SHAPES.http(call, args, r)
    call.method, call.url, call.body = args.method, args.url, join(r.body)
    call.headers = {}
    for _, header in ipairs(r.headers or {}) do
        local name, value = join(header):match "^([^:]+): ?(.*)$"
        call.headers[name:lower()] = value
    end
    call.line, call.also = call.method .. " " .. call.url, call.url
end

function SHAPES.http_event(call, _, r)
    call.method, call.url, call.last_id = r.method or "GET", join(r.url), r.last_id
    call.line = "EVENTS " .. call.url
end

function SHAPES.sql(call, args, r)
    call.action, call.dsn, call.text, call.params = r.action, args.dsn, r.text, args.params or {}
    call.read = r.looks or false
    call.line = r.action == "backup" and "BACKUP " .. r.text or line(r.text)
end

function SHAPES.file(call, args, r)
    call.verb, call.path, call.content, call.recursive = r.verb, args.path, r.content, r.recursive
    call.mode, call.parents = args.mode, r.parents
    call.line = r.verb .. " " .. args.path
end

function SHAPES.notify(call, args)
    call.channel, call.title, call.text = args.channel, args.title, args.text
    call.severity, call.fields, call.dedup = args.severity, args.fields, args.dedup
    call.line, call.also = ("%s: %s"):format(args.channel, line(args.text)), args.channel
end

local function person(call, args, r)
    call.text, call.by, call.type, call.choices = args.text, args.by, r.type, args.choices
    call.line = line(args.text)
end

SHAPES.approve, SHAPES.manual = person, person

function SHAPES.signal(call, args)
    call.name, call.line = args.name, args.name
end

--- An operation that mock does not know: nothing answers it, so it is a failure and never real.
function SHAPES.other(call)
    call.line = call.operation
end

local KIND = {
    ssh_upload = "ssh",
    ssh_download = "ssh",
    http_event = "http",
    approve = "answers",
    manual = "answers",
    signal = "signals",
}

--- The call of a piece of news.
---@param news table
---@return table
function M.new(news)
    local call = {
        kind = KIND[news.verb] or news.verb,
        call = news.verb,
        operation = news.kind,
        where = news.where,
        step = news.key,
        class = news.class,
        until_us = news["until"],
        clock_us = news.clock,
        request = news.request,
    }
    SHAPES[news.verb](call, news.args, news.request)
    return call
end

local SAMPLE = {
    exec = '"what it prints"',
    ssh = '"what it prints"',
    http = "{ status = 200, body = \"…\" }",
    sql = "{ { name = \"a row\" } }",
    notify = "true",
    answers = '"yes"',
    signals = "{ value = true }",
}
local FILE = { read = '"its content"', stat = "{ size = 1 }", list = '{ "a name" }', digest = '"…"' }
local ANSWER = { approve = '"approve"', manual = '"done"' }

--- What a test fails with when nothing answers a call: the line to add.
---@param call table
---@return string
function M.unanswered(call)
    local sample = call.kind == "file" and (FILE[call.verb] or "true")
        or ANSWER[call.call] and not call.type and ANSWER[call.call]
        or call.kind == "sql" and not call.read and "1"
        or SAMPLE[call.kind]
    local shown = #call.line > SHOWN and call.line:sub(1, SHOWN):gsub("[\x80-\xff]*$", "") .. "*" or call.line
    return ("nothing answers %s `%s` (%s); add to mock.run:\n    %s = { [%q] = %s }"):format(
        call.kind == "answers" and call.call or call.kind == "signals" and "signal" or call.kind,
        shown,
        call.where,
        call.kind,
        shown,
        sample
    )
end

return M
