-- Answers of http and sql as what the verbs return.
local base = require "rt.base"
local forms = require "rt.mock_forms"

local json = host.global "json"
local hash = host.global "hash"

local wrong, fields, set = forms.wrong, forms.fields, forms.set

local M = {}

-- -- http

local HTTP = set "status body headers json time tls url redirects retry_after reused body_cut"

local function expected(request, status)
    if request.expect == false then
        return true
    elseif request.expect == nil then
        return status >= 200 and status < 300
    end
    for i = 1, #request.expect, 2 do
        if status >= request.expect[i] and status <= request.expect[i + 1] then
            return true
        end
    end
    return false
end

function M.http(call, answer, opts)
    local r = answer
    if answer == nil or answer == true then
        r = {}
    elseif type(answer) == "string" then
        r = { body = answer }
    elseif math.type(answer) == "integer" then
        r = { status = answer }
    elseif type(answer) ~= "table" then
        wrong(call, answer, "a body, a status, or { status =, body =, json =, headers = }")
    end
    local out = { status = 200, body = "", url = call.url, time = { total = 0 }, headers = {} }
    for k, v in pairs(fields(call, r, HTTP)) do
        out[k] = v
    end
    out.headers = {}
    for name, value in pairs(r.headers or {}) do
        out.headers[name:lower()] = type(value) == "number" and tostring(value) or value
    end
    if r.json ~= nil then
        out.body, out.json = json.encode(r.json), nil
        out.headers["content-type"] = out.headers["content-type"] or "application/json"
    end
    out.retry_after = out.retry_after or tonumber(out.headers["retry-after"])
    local ok = expected(call.request, out.status)
    if call.request.save and ok then
        local body = out.body
        out.saved = { path = call.request.save, size = #body, sha256 = hash.sha256(body) }
        out.body = ""
        local files = type(opts.file) == "table" and getmetatable(opts.file)
        if files and files.put then
            files.put(opts.file, call.request.save, body)
        end
    end
    if ok then
        return { value = out }
    end
    local said = out.body:match "^%s*([^\r\n]*)"
    return {
        value = out,
        error = {
            kind = "http.status",
            message = ("%s %s: answered %d%s%s"):format(
                call.method,
                call.url:match "^[^?]*",
                out.status,
                said ~= "" and ": " or "",
                said
            ),
            outcome = "failed",
            retryable = out.status == 429 or out.status == 503,
        },
    }
end

function M.http_event(call, answer)
    if answer == nil or answer == false then
        return { value = { ended = true } }
    elseif type(answer) == "string" then
        return { value = { data = answer, event = "message" } }
    end
    local out = { event = "message" }
    for k, v in pairs(fields(call, answer, set "id event data ended")) do
        out[k] = v
    end
    return { value = out }
end

-- -- sql

local function rows_of(call, answer)
    if answer == nil or answer == true then
        return host.mock_rows({}, {})
    elseif type(answer) ~= "table" then
        return host.mock_rows({ { value = answer } }, { "value" })
    elseif #answer == 0 and next(answer) ~= nil and not answer.columns then
        answer = { answer } -- one row
    end
    local columns, seen, list = answer.columns or {}, {}, {}
    for i, row in ipairs(answer) do
        list[i] = base.expect("mock.run", "a row of `" .. call.line .. "`", row, "table")
        for name in pairs(row) do
            if not answer.columns and not seen[name] then
                seen[name] = true
                columns[#columns + 1] = name
            end
        end
    end
    return host.mock_rows(list, columns)
end

function M.sql(call, answer)
    if call.action == "begin" then
        return { value = { database = call.dsn:find "^postgres" and "postgres" or "sqlite" } }
    elseif call.action ~= "run" then
        return {}
    elseif call.read then
        return { value = rows_of(call, answer) }
    elseif answer == nil or answer == true or math.type(answer) == "integer" then
        return { value = { changes = math.type(answer) == "integer" and answer or 0 } }
    elseif type(answer) ~= "table" then
        wrong(call, answer, "the number of changes, or { changes =, last_id =, rows = }")
    end
    local out = { changes = 0 }
    for k, v in pairs(fields(call, answer, set "changes last_id rows more notices")) do
        out[k] = k == "rows" and rows_of(call, v) or v
    end
    return { value = out }
end

return M
