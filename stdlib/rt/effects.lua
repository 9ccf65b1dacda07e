-- sleep and the small records: how their options become the engine's.
local base = require "rt.base"
local call = require "rt.call"

local M = {}

local global = host.global
--- Durable: a resumed run sleeps the rest only.
---@param duration string|number
---@param opts { title: string? }?
function M.sleep(duration, opts)
    local seconds = base.seconds(duration, "sleep")
    opts = base.options("sleep", opts)
    host.sleep { ["until"] = base.deadline(seconds), text = tostring(duration), title = opts.title }
end

--- Until a time: seconds since 1970, or "2026-11-22T03:00:00Z" (RFC 3339, UTC).
---@param time number|string
---@param opts { title: string? }?
function M.sleep_until(time, opts)
    opts = base.options("sleep_until", opts)
    local at = type(time) == "number" and time or type(time) == "string" and host.parse_time(time)
    if not at then
        local text = 'sleep_until: expected seconds since 1970 or a time such as "2026-11-22T03:00:00Z", got %s'
        base.usage(text, tostring(time))
    end
    host.sleep { ["until"] = math.floor(at * 1e6), text = "until " .. tostring(time), title = opts.title }
end

--- Seconds since 1970, with microseconds; the same on replay.
---@return number
function M.now()
    return host.pin("now", function()
        return host.wall_us() / 1e6
    end)
end

--- A random UUID (version 4); the same on replay.
---@return string
function M.uuid()
    return host.pin("uuid", function()
        local b = { host.random_bytes(16):byte(1, 16) }
        b[7], b[9] = b[7] & 0x0f | 0x40, b[9] & 0x3f | 0x80
        return string.format("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", table.unpack(b))
    end)
end

--- A new random secret; the same on replay: it is encrypted in the journal.
---@param bits integer 64 to 4096, a multiple of 8
---@param opts { alphabet: "base64url"|"hex"? }?
---@return userdata
function M.random_secret(bits, opts)
    if math.type(bits) ~= "integer" or bits < 64 or bits > 4096 or bits % 8 ~= 0 then
        base.usage("random_secret: expected a number of bits from 64 to 4096, a multiple of 8, got %s", tostring(bits))
    end
    local alphabet = base.options("random_secret", opts).alphabet or "base64url"
    if alphabet ~= "base64url" and alphabet ~= "hex" then
        base.usage('random_secret: alphabet is "base64url" or "hex", not %s', tostring(alphabet))
    end
    return host.random_secret(bits // 8, alphabet == "hex")
end

--- A variable of the host's environment that the header or the configuration lets through; the same on replay.
---@param name string
---@return string?
function M.env(name)
    base.expect("env", "the name", name, "string")
    local value, allowed = host.getenv(name)
    for _, n in ipairs(call.let_through()) do
        allowed = allowed or n == name
    end
    if not allowed then
        local text = 'env: %s is not let through; name it in the header (env = { "%s" }) or in the configuration'
        base.raise("policy", text:format(name, name))
    end
    return host.pin("env", function()
        return value
    end)
end

local function line(level, ...)
    local parts = table.pack(...)
    for i = 1, parts.n do
        parts[i] = global "tostring"(parts[i])
    end
    host.event("log", { level = level, text = table.concat(parts, "\t", 1, parts.n) })
end

function M.print(...)
    line("print", ...)
end

function M.warn(...)
    line("warn", ...)
end

return M
