-- The short forms of answers as results of the verbs, and their errors in the words of the real ones.
local forms = require "rt.mock_forms"
local people = require "rt.mock_people"
local wire = require "rt.mock_wire"

local hash = host.global "hash"

local wrong, fields, set, outcome = forms.wrong, forms.fields, forms.set, forms.outcome

local M = { nobody = people.nobody }

-- -- commands

local COMMAND = set "code signal stdout stderr time stdout_cut stderr_cut held_open"

local function last_line(r)
    local text = r.stderr ~= "" and r.stderr or r.stdout
    return text:gsub("%s+$", ""):match "[^\n]*$"
end

local function command(call, answer)
    local r = answer
    if answer == nil or answer == true then
        r = {}
    elseif type(answer) == "string" then
        r = { stdout = answer }
    elseif math.type(answer) == "integer" then
        r = { code = answer }
    elseif type(answer) ~= "table" then
        wrong(call, answer, "what it prints, an exit code, or { code =, stdout =, stderr = }")
    end
    local out = { stdout = "", stderr = "", time = 0, host = call.host }
    for k, v in pairs(fields(call, r, COMMAND)) do
        out[k] = v
    end
    out.code = out.code or not out.signal and 0 or nil
    if call.request.check == false or (not out.signal and out.code == 0) then
        return { value = out }
    end
    local said = last_line(out)
    local what = (call.host and ("ssh " .. call.host .. ": ") or "") .. "`" .. call.command .. "`"
    local how = out.signal and "was ended by signal " .. out.signal or "exited with " .. out.code
    return {
        value = out,
        error = {
            kind = call.kind .. (out.signal and ".signal" or ".exit"),
            message = ("%s %s%s%s"):format(what, how, said ~= "" and ": " or "", said),
            outcome = out.signal and outcome(call, "unknown") or "failed",
        },
    }
end

-- -- files and messages

local STAT = set "type mode size uid gid owner group links target mtime"

local FILES = {}

function FILES.read(call, answer)
    if answer == nil or answer == true then
        answer = ""
    elseif type(answer) ~= "string" then
        wrong(call, answer, "its content")
    end
    return { value = { content = answer, size = #answer } }
end

function FILES.stat(call, answer)
    if answer == nil or answer == false then
        return {}
    elseif answer ~= true and type(answer) ~= "table" then
        wrong(call, answer, "{ type =, size =, mode =, owner = }, or false: it is not there")
    end
    local out = { type = "file", mode = "0644", size = 0, uid = 0, gid = 0, links = 1, mtime = 0 }
    for k, v in pairs(fields(call, answer == true and {} or answer, STAT)) do
        out[k] = v
    end
    return { value = out }
end

function FILES.list(call, answer)
    if answer ~= nil and type(answer) ~= "table" then
        wrong(call, answer, "a list of names, or of { name =, type = }")
    end
    local out = {}
    for i, entry in ipairs(answer or {}) do
        out[i] = type(entry) == "table" and entry or { name = entry, type = "file" }
    end
    return { value = out }
end

function FILES.digest(_, answer)
    return { value = type(answer) == "string" and answer or hash.sha256 "" }
end

function FILES.write(call, answer)
    local out = { path = call.path, size = #(call.content or "") }
    for k, v in pairs(type(answer) == "table" and answer or {}) do
        out[k] = v
    end
    return { value = out }
end

local function done(_, answer)
    return { value = answer == nil or answer }
end

FILES.remove, FILES.mkdir = done, done

local function notify(call, answer)
    local out = { delivered = answer ~= false, channel = call.channel, id = "mock" }
    for k, v in pairs(type(answer) == "table" and answer or {}) do
        out[k] = v
    end
    return { value = out }
end

local function copied(call, answer)
    local out = { host = call.host, path = call.call == "ssh_upload" and call.to or call.to or call.from }
    local content = type(answer) == "string" and answer or call.content
    out.size, out.sha256 = #(content or ""), hash.sha256(content or "")
    out.content = call.call == "ssh_download" and not call.to and (content or "") or nil
    for k, v in pairs(type(answer) == "table" and answer or {}) do
        out[k] = v
    end
    return { value = out }
end

-- -- all of them

local VALUES = {
    exec = command,
    ssh = command,
    ssh_upload = copied,
    ssh_download = copied,
    http = wire.http,
    http_event = wire.http_event,
    sql = wire.sql,
    notify = notify,
    approve = people.person,
    manual = people.person,
    signal = people.person,
}

--- What a call gets for an answer.
function M.value(call, answer, opts, seconds)
    local fn = call.call == "file" and FILES[call.verb] or VALUES[call.call]
    return fn(call, answer, opts, seconds)
end

--- What needs no answer: the brackets of a transaction.
function M.by_itself(call)
    return call.call == "sql" and (call.action == "begin" or call.action == "commit")
end

local NOT_STARTED = set [[http.resolve http.refused http.connect http.connect_timeout http.tls http.proxy http.start
    exec.not_found exec.denied exec.start sql.connect sql.auth ssh.resolve ssh.refused ssh.auth ssh.host_key policy]]
local UNKNOWN = set "timeout timed_out reset protocol lost signal too_big"

--- The error that a test has put in a call's place.
function M.failure(call, e)
    local last = e.kind:match "[^.]*$"
    local usual = NOT_STARTED[e.kind] and "not_started" or UNKNOWN[last] and outcome(call, "unknown") or "failed"
    return {
        value = e.result,
        error = {
            kind = e.kind,
            message = e.message or ("%s: %s"):format(call.line:sub(1, 200), e.kind),
            outcome = e.outcome or usual,
            retryable = e.retryable,
        },
    }
end

--- It took longer than its time-out.
function M.timed_out(call, seconds)
    local kind = call.call == "ssh" and "ssh.timed_out" or call.kind .. ".timeout"
    local text = ("`%s` did not end within %gs and was stopped"):format(call.command or call.line, seconds)
    return M.failure(call, { kind = kind, message = text })
end

return M
