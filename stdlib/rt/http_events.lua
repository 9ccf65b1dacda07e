-- http.events: a stream of server-sent events, each an op of its own: a resumed run sees again those that it has seen,
-- and asks the server for what came after them.
local base = require "rt.base"
local call = require "rt.call"
local request = require "rt.http_request"

local M = {}

local VERB = "http.events"

local function build(url, opts, stream, last)
    local headers = {}
    for k, v in pairs(base.expect(VERB, "headers", opts.headers or {}, "table")) do
        headers[k] = v
    end
    headers["Accept"] = headers["Accept"] or "text/event-stream"
    headers["Last-Event-ID"] = last
    local t = {}
    for k, v in pairs(opts) do
        t[k] = v
    end
    t.url, t.headers, t.read, t.timeout = url, headers, true, nil
    local out = request.build(VERB, t)
    out.stream = stream
    out.silence_ms = call.milliseconds(opts.timeout, VERB .. ": timeout")
    out.reconnect = opts.reconnect
    out.max_event = opts.max_event
    return out
end

--- Calls fn with each event, { id, event, data }, until it returns true or "stop", or the server ends the stream.
---@param url string
---@param opts table
---@param fn fun(event: table): any
---@return integer events how many fn has seen
function M.events(url, opts, fn)
    if fn == nil and type(opts) == "function" then
        opts, fn = {}, opts
    end
    opts = base.options(VERB, opts)
    base.expect(VERB, "the function", fn, "function")
    if opts.max_event ~= nil and (math.type(opts.max_event) ~= "integer" or opts.max_event < 1) then
        base.usage("%s: max_event is a number of bytes", VERB)
    end
    base.expect(VERB, "reconnect", opts.reconnect or false, "boolean")
    return base.in_scope(opts.title or "events", function()
        local stream, last, seen = host.http_stream(), opts.last_id, 0
        local ok, e = host.try(function()
            while true do
                local event = host.http_event(build(url, opts, stream, last))
                if event.ended then
                    return
                end
                last, seen = event.id or last, seen + 1
                local word = fn(event)
                if word == true or word == "stop" then
                    return
                end
            end
        end)
        host.http_stream_close(stream)
        if not ok then
            error(e, 0)
        end
        return seen
    end)
end

return M
