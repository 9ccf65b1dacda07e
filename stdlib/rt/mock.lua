-- mock: a runbook is run by the engine, and each call of it that would reach the world is answered here. What an answer
-- may look like is rt/mock_answers.lua's, what a run is afterwards rt/mock_run.lua's.
local answers = require "rt.mock_answers"
local base = require "rt.base"
local calls = require "rt.mock_calls"
local runs = require "rt.mock_run"
local words = require "rt.words"

local json = host.global "json"

local M = {
    turns = answers.turns,
    fail = answers.fail,
    after = answers.after,
    nobody = answers.nobody,
    files = require("rt.mock_files").new,
}

local KINDS = {
    exec = true,
    ssh = true,
    http = true,
    sql = true,
    file = true,
    notify = true,
    answers = true,
    signals = true,
}
local OPTIONS = {
    params = "table",
    secrets = "table",
    groups = "table",
    env = "table",
    now = "number",
    actor = "string",
    limit = "string",
    dry = "boolean",
}

local function check_options(opts)
    for k, v in pairs(base.expect("mock.run", "its options", opts, "table")) do
        if not KINDS[k] and not OPTIONS[k] then
            local known = {}
            for _, list in ipairs { KINDS, OPTIONS } do
                for name in pairs(list) do
                    known[name] = true
                end
            end
            base.usage("mock.run: unknown option %s%s", tostring(k), words.hint(tostring(k), known, true))
        elseif OPTIONS[k] then
            base.expect("mock.run", k, v, OPTIONS[k])
        elseif type(v) ~= "table" and type(v) ~= "function" then
            base.usage("mock.run: %s is a table of patterns and answers, or a function, not a %s", k, type(v))
        end
    end
end

--- A path as the file of tests has it: below its own folder.
local function beside(path)
    if path:sub(1, 1) == "/" then
        return path
    end
    local parts = {}
    for part in ((base.info.file:match "^(.*)/[^/]*$" or ".") .. "/" .. path):gmatch "[^/]+" do
        local last = parts[#parts]
        if part == ".." and last and last ~= ".." then
            parts[#parts] = nil
        elseif part ~= "." then
            parts[#parts + 1] = part
        end
    end
    local root = base.info.file:sub(1, 1) == "/" and "/" or ""
    return root .. table.concat(parts, "/")
end

--- Answers every call until the run has ended. Raises the text that a test fails with.
local function play(id, opts, record)
    while true do
        local news = host.mock_next(id)
        if news.refused then
            error(news.refused, 0)
        elseif news.endless then
            error(("the run does not end: it has made %d calls"):format(news.endless), 0)
        elseif news.stuck then
            error("nobody answers, and neither the question nor the run has a time-out: it would wait for ever", 0)
        elseif news.ended then
            return news
        end
        local call = calls.new(news)
        record[#record + 1] = call
        local answer, found = answers.find(opts, call)
        if not found then
            error(calls.unanswered(call), 0)
        end
        host.mock_answer(id, news.n, answers.reply(call, answer, opts))
    end
end

--- What goes wrong here is the test's: the run is given up, and the error gets the test's line.
local function played(id, opts, record)
    local ok, v = host.try(play, id, opts, record)
    if ok then
        return v
    end
    host.mock_drop(id)
    local e = host.normalize(v)
    if e.kind == "lua" and type(v) == "string" then
        error(v, 4)
    end
    error(e, 0)
end

--- Runs a runbook to its end.
---@param path string beside the file of tests
---@param opts table?
---@return table run
function M.run(path, opts)
    base.expect("mock.run", "the runbook", path, "string")
    opts = opts or {}
    check_options(opts)
    local id, why = host.mock_start {
        file = beside(path),
        params = opts.params and json.encode(json.object(opts.params)) or "{}",
        secrets = opts.secrets and json.encode(json.object(opts.secrets)),
        groups = opts.groups and json.encode(json.object(opts.groups)),
        env = opts.env and json.encode(json.object(opts.env)),
        clock = opts.now and math.floor(opts.now * 1e6),
        actor = opts.actor,
        limit = opts.limit,
        dry = opts.dry,
    }
    if not id then
        local secret = why:match "^there is no source for the secret ([%w_.-]+)"
        local add = "the runbook names the secret %s; add to mock.run:\n    secrets = { [%q] = \"…\" }"
        why = secret and add:format(secret, secret) or why
        error(why, 2)
    end
    local record = {}
    local news = played(id, opts, record)
    return runs.new(news, record, function(how)
        host.mock_again(id, how)
        return played(id, opts, record)
    end)
end

return M
