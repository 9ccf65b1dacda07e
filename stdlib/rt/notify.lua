-- notify: how a message and its options become the engine's.
local base = require "rt.base"
local call = require "rt.call"
local words = require "rt.words"

local M = {}

local SEVERITIES = { debug = true, info = true, warning = true, error = true, critical = true }
local ACTIONS = { trigger = true, acknowledge = true, resolve = true }

local function one_of(what, v, known)
    if v ~= nil and (type(v) ~= "string" or not known[v]) then
        local show = require("rt.phrase").show
        base.usage("notify: %s is %s%s", what, show(v), words.hint(tostring(v), known, true))
    end
    return v
end

local function is_text(v)
    return type(v) == "string" or type(v) == "number" or host.is_secret(v)
end

--- { name = value } as a list of pairs, sorted by name; a list of pairs stays in its order.
local function pairs_of(fields)
    if fields == nil then
        return nil
    end
    base.expect("notify", "fields", fields, "table")
    local out = {}
    for k, v in pairs(fields) do
        if type(k) == "number" then
            if type(v) ~= "table" or not is_text(v[1]) or not is_text(v[2]) then
                base.usage "notify: fields is a table of texts by name, or a list of { name, text }"
            end
            out[#out + 1] = { v[1], v[2] }
        elseif type(v) == "boolean" then
            out[#out + 1] = { k, tostring(v) }
        elseif not is_text(v) then
            base.usage("notify: the field %s must be a text, got %s", tostring(k), require("rt.phrase").show(v))
        else
            out[#out + 1] = { k, v }
        end
    end
    return out
end

local function send(channel, message, opts)
    base.expect("notify", "the channel", channel, "string")
    if is_text(message) then
        message = { text = message }
    end
    base.expect("notify", "the message", message, "table")
    for k in pairs(message) do
        if not words.message[k] then
            local hint = words.hint(tostring(k), words.message, true)
            base.usage("notify: unknown part %s of a message%s", tostring(k), hint)
        end
    end
    opts = base.options("notify", opts)
    if message.text == nil and message.title == nil then
        base.usage 'notify: the message has no text: notify("ops", "done") or notify("ops", { text = … })'
    end
    if type(opts.check) ~= "boolean" and opts.check ~= nil then
        base.usage("notify: check is true or false, got %s", require("rt.phrase").show(opts.check))
    end
    one_of("severity", message.severity, SEVERITIES)
    local action = one_of("action", message.action, ACTIONS)
    if action and action ~= "trigger" and message.dedup == nil then
        base.usage("notify: action = %q says of what by dedup: the key that it was triggered with", action)
    end
    local id = opts.retry and require("rt.effects").uuid() or nil -- the same at each attempt
    local fields = pairs_of(message.fields)
    return call.retried(opts, function()
        return host.notify {
            channel = channel,
            text = message.text == nil and message.title or message.text,
            headline = message.text ~= nil and message.title or nil,
            severity = message.severity,
            action = action,
            dedup = message.dedup,
            fields = fields,
            id = id,
            check = opts.check,
            idempotent = opts.idempotent,
            on_doubt = opts.on_doubt,
            title = opts.title,
            timeout_ms = call.milliseconds(opts.timeout, "notify: timeout"),
        }
    end)
end

M.call = send
M.fields = {
    --- The thing that was told of by this key is over.
    resolve = function(channel, key, text)
        base.expect("notify.resolve", "the key", key, "string")
        return send(channel, { text = text or "resolved", dedup = key, action = "resolve" })
    end,
}

return M
