-- What of an http request is put together from values: query, form, JSON, multipart. A text is a list of pieces that
-- the engine joins, so that a secret is encoded there and is never a string here.
local base = require "rt.base"

local M = {}

local json = host.global "json"
local null = host.global "null"

local function sorted(t)
    local keys = {}
    for k in pairs(t) do
        keys[#keys + 1] = k
    end
    table.sort(keys, function(a, b)
        return tostring(a) < tostring(b)
    end)
    return keys
end

local function scalar(verb, what, v)
    if type(v) == "boolean" or math.type(v) then
        return tostring(v)
    elseif type(v) == "string" or host.is_secret(v) then
        return v
    end
    base.usage("%s: %s must be a text, a number or a boolean, not a %s", verb, what, type(v))
end

--- name=value&name=value, sorted by name; of a list each element.
local function pairs_text(verb, what, t, out)
    base.expect(verb, what, t, "table")
    local first = true
    local function add(k, v)
        if not first then
            out[#out + 1] = "&"
        end
        first = false
        out[#out + 1] = { tostring(k), "url" }
        out[#out + 1] = "="
        out[#out + 1] = { scalar(verb, what .. "." .. k, v), "url" }
    end
    for _, k in ipairs(sorted(t)) do
        if type(k) ~= "string" then
            base.usage("%s: %s is a table of names and values", verb, what)
        end
        for _, v in ipairs(type(t[k]) == "table" and t[k] or { t[k] }) do
            add(k, v)
        end
    end
    return out
end

--- The URL with the query behind it.
function M.url(verb, url, query)
    if type(url) ~= "string" and not host.is_secret(url) then
        base.usage("%s: the URL must be a text, not a %s", verb, type(url))
    end
    if not query then
        return url
    end
    local text = tostring(url)
    if text:find "#" then
        base.usage("%s: leave the # out of the URL: a query can not stand behind it", verb)
    end
    return pairs_text(verb, "query", query, { url, text:find "?" and "&" or "?" })
end

function M.form(verb, form)
    return pairs_text(verb, "form", form, {})
end

local function has_secret(v, seen)
    if host.is_secret(v) then
        return true
    elseif type(v) ~= "table" or seen[v] then
        return false
    end
    seen[v] = true
    for _, x in pairs(v) do
        if has_secret(x, seen) then
            return true
        end
    end
    return false
end

local function write_json(v, out, depth)
    if depth > 64 then
        base.usage "http: json is nested more than 64 deep"
    elseif host.is_secret(v) then
        out[#out + 1] = { v, "json" }
    elseif type(v) ~= "table" or v == null or not has_secret(v, {}) then
        out[#out + 1] = json.encode(v)
    elseif #v > 0 then
        for i, x in ipairs(v) do
            out[#out + 1] = i == 1 and "[" or ","
            write_json(x, out, depth + 1)
        end
        out[#out + 1] = "]"
    else
        for i, k in ipairs(sorted(v)) do
            out[#out + 1] = (i == 1 and "{" or ",") .. json.encode(tostring(k)) .. ":"
            write_json(v[k], out, depth + 1)
        end
        out[#out + 1] = "}"
    end
    return out
end

function M.json(v)
    return write_json(v, {}, 0)
end

local function quoted(verb, what, text)
    base.expect(verb, what, text, "string")
    return '"' .. text:gsub('[\r\n"]', { ["\r"] = "%0D", ["\n"] = "%0A", ['"'] = "%22" }) .. '"'
end

--- Each field a text or { file = path, name =, type = } (RFC 7578). The boundary is the same whenever it is replayed.
---@return table pieces
---@return string type of the content
function M.multipart(verb, fields, path)
    base.expect(verb, "multipart", fields, "table")
    local boundary = ("rbhost-%016x%016x"):format(math.random(0), math.random(0))
    local out = {}
    for _, k in ipairs(sorted(fields)) do
        local v = fields[k]
        local head = ("--%s\r\nContent-Disposition: form-data; name=%s"):format(boundary, quoted(verb, "multipart", k))
        if type(v) == "table" then
            for part in pairs(v) do
                if part ~= "file" and part ~= "name" and part ~= "type" then
                    local what = "%s: multipart.%s is a text or { file =, name =, type = }, not %s"
                    base.usage(what, verb, k, tostring(part))
                end
            end
            local file = path(verb, "multipart." .. k, v.file)
            local name = quoted(verb, "multipart." .. k .. ".name", v.name or file:match "[^/]*$")
            local kind = base.expect(verb, "multipart." .. k .. ".type", v.type or "application/octet-stream", "string")
            out[#out + 1] = ("%s; filename=%s\r\nContent-Type: %s\r\n\r\n"):format(head, name, kind)
            out[#out + 1] = { path = file }
        else
            out[#out + 1] = head .. "\r\n\r\n"
            out[#out + 1] = scalar(verb, "multipart." .. k, v)
        end
        out[#out + 1] = "\r\n"
    end
    out[#out + 1] = ("--%s--\r\n"):format(boundary)
    return out, "multipart/form-data; boundary=" .. boundary
end

return M
