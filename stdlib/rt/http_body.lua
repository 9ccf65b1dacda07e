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

local function number_text(verb, what, v)
    if v ~= v or v == math.huge or v == -math.huge then
        base.usage("%s: %s is no finite number", verb, what)
    end
    local text = tostring(v)
    return tonumber(text) == v and text or ("%.17g"):format(v) -- 2^53 is not 9.007199254741e+15
end

local function scalar(verb, what, v)
    if math.type(v) then
        return number_text(verb, what, v)
    elseif type(v) == "boolean" then
        return tostring(v)
    elseif type(v) == "string" or host.is_secret(v) then
        return v
    end
    local kind = v == null and "null: leave it out, or say what is meant" or "a " .. type(v)
    base.usage("%s: %s must be a text, a number or a boolean, not %s", verb, what, kind)
end

--- The values of one name: itself, or the elements of a list.
---@return any[]
function M.values(verb, what, v)
    if type(v) ~= "table" then
        return { v }
    end
    for k in pairs(v) do
        if math.type(k) ~= "integer" then
            base.usage("%s: %s is one value or a list of values, and has the name %s", verb, what, tostring(k))
        end
    end
    return v
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
        for _, v in ipairs(M.values(verb, what .. "." .. k, t[k])) do
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
    local out = pairs_text(verb, "query", query, { url, "" })
    if #out > 2 and not text:find "[?&]$" then
        out[2] = text:find "?" and "&" or "?"
    end
    return out
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
    elseif v[1] ~= nil then
        local count = 0
        for _ in pairs(v) do
            count = count + 1
        end
        if count ~= #v then
            base.usage "http: json has a table that is neither a list nor one of names"
        end
        for i, x in ipairs(v) do
            out[#out + 1] = i == 1 and "[" or ","
            write_json(x, out, depth + 1)
        end
        out[#out + 1] = "]"
    else
        for i, k in ipairs(sorted(v)) do
            if type(k) ~= "string" then
                base.usage "http: json has a table that is neither a list nor one of names"
            end
            out[#out + 1] = (i == 1 and "{" or ",") .. json.encode(k) .. ":"
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

local PART = { file = true, name = true, type = true }

--- One part of a form: its head, and the file whose text stands behind it, or its text.
local function add_part(verb, what, field, v, path, out)
    local head = 'Content-Disposition: form-data; name=' .. quoted(verb, "multipart", field)
    if type(v) ~= "table" then
        out[#out + 1] = head .. "\r\n\r\n"
        out[#out + 1] = scalar(verb, what, v)
        return
    end
    for k in pairs(v) do
        if not PART[k] then
            base.usage("%s: %s is a text or { file =, name =, type = }, not %s", verb, what, tostring(k))
        end
    end
    local file = path(verb, what .. ".file", v.file)
    local name = quoted(verb, what .. ".name", v.name or file:match "[^/]*$")
    local kind = base.expect(verb, what .. ".type", v.type or "application/octet-stream", "string")
    if kind:find "%c" then
        base.usage("%s: %s.type is one line", verb, what)
    end
    out[#out + 1] = ("%s; filename=%s\r\nContent-Type: %s\r\n\r\n"):format(head, name, kind)
    out[#out + 1] = { path = file }
end

--- Each field a text, { file = path, name =, type = }, or a list of these (RFC 7578). The boundary is the same whenever
--- it is replayed.
---@return table pieces
---@return string type of the content
function M.multipart(verb, fields, path)
    base.expect(verb, "multipart", fields, "table")
    local boundary = ("rbhost-%016x%016x"):format(math.random(0), math.random(0))
    local out = {}
    for _, k in ipairs(sorted(fields)) do
        local v, what = fields[k], "multipart." .. tostring(k)
        for _, one in ipairs(type(v) == "table" and v[1] ~= nil and M.values(verb, what, v) or { v }) do
            out[#out + 1] = ("--%s\r\n"):format(boundary)
            add_part(verb, what, k, one, path, out)
            out[#out + 1] = "\r\n"
        end
    end
    out[#out + 1] = ("--%s--\r\n"):format(boundary)
    return out, "multipart/form-data; boundary=" .. boundary
end

return M
