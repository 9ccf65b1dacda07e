-- http: the calls, what is tried again by itself, and what a result can do.
local base = require "rt.base"
local request = require "rt.http_request"

local M = {}

local json = host.global "json"
local PATIENCE = 60 -- seconds that a server may ask for without the author's having said `retry`

-- A result is plain data, in the journal too; this gives it `json()`, called with a dot or a colon.
local function as_json(result)
    local url, body = tostring(rawget(result, "url")):match "^[^?]*", rawget(result, "body")
    if rawget(result, "body_cut") then
        base.raise("http.json", url .. ": the body was cut: raise max_body")
    elseif host.is_secret(body) then
        base.raise("http.json", "the body is a secret (secret = true): it can be passed on, and not be read")
    end
    if body == "" then
        local status = rawget(result, "status")
        base.raise("http.json", ("%s: there is no JSON: the body is empty (status %d)"):format(url, status))
    end
    local ok, v = host.try(json.decode, (body:gsub("^\xEF\xBB\xBF", "")))
    if not ok then
        base.raise("http.json", ("%s: the body is not JSON: %s"):format(url, host.normalize(v).message))
    end
    return v
end

local RESULT = {
    __index = function(result, key)
        return key == "json" and function()
            return as_json(result)
        end or nil
    end,
}

local function bless(result)
    return type(result) == "table" and setmetatable(result, RESULT) or result
end

local function send(verb, opts)
    return host.http(request.build(verb, opts))
end

--- As host.try: ok, and the result or the error.
local function try(verb, opts)
    local ok, r = host.try(send, verb, opts)
    if ok then
        return true, bless(r)
    end
    if type(r) == "table" then
        bless(r.result)
    end
    return false, r
end

local function ask(verb, opts)
    local ok, r = try(verb, opts)
    if not ok then
        error(r, 0)
    end
    return r
end

--- Seconds that the server asks to wait with the next attempt, if it is one that may simply be made.
local function asked_to_wait(e)
    local r = type(e) == "table" and e.kind == "http.status" and e.result
    return r and (r.status == 429 or r.status == 503) and r.retry_after or nil
end

--- Asks, and does as the server says when it is asked to come back later.
local function patient(verb, opts)
    local ok, r = try(verb, opts)
    if ok then
        return r
    end
    local wait = asked_to_wait(r)
    if not wait or wait > PATIENCE then
        error(r, 0)
    end
    local text = "the server asks to wait (Retry-After)"
    host.event("record", { op = "attempt", value = { n = 1, of = 3, kind = r.kind, error = host.error_text(r) } })
    if wait > 0 then
        host.sleep { ["until"] = base.deadline(wait), text = text }
    end
    return require("rt.retry").retry({
        times = 2,
        delay = 0,
        title = "again",
        on = function(e)
            return (asked_to_wait(e) or math.huge) <= PATIENCE
        end,
    }, function()
        return ask(verb, opts)
    end)
end

local ONCE = { POST = true, PATCH = true }

local function run(verb, opts)
    if opts.retry then
        return require("rt.retry").retry(opts.retry, function()
            return ask(verb, opts)
        end)
    end
    local method = opts.method or "GET"
    local repeatable = opts.read or opts.idempotent or not (ONCE[method] or ONCE[tostring(method):upper()])
    if opts.retry == false or not repeatable then
        return ask(verb, opts)
    end
    return patient(verb, opts)
end

M.fields = {}

--- http{ method =, url =, … }
function M.call(opts)
    if type(opts) ~= "table" then
        base.usage 'http: its argument is a table: http{ url = "…" }; http.get("…") takes the URL first'
    end
    return run("http", base.options("http", opts))
end

for _, method in ipairs { "get", "head", "post", "put", "patch", "delete" } do
    local verb, word = "http." .. method, method:upper()
    M.fields[method] = function(url, opts)
        local all = { method = word, url = url }
        if opts ~= nil then
            for k, v in pairs(base.options(verb, opts)) do
                all[k] = v
            end
        end
        return run(verb, all)
    end
end

--- Server-sent events: fn is called with each; see rt/http_events.lua.
function M.fields.events(url, opts, fn)
    return require("rt.http_events").events(url, opts, fn)
end

return M
