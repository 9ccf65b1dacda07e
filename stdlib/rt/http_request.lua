-- http: the options of a call, checked, as the table that the engine takes.
local base = require "rt.base"
local body = require "rt.http_body"
local call = require "rt.call"

local M = {}

local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, PATCH = true, DELETE = true } -- as they are written
local READS = { GET = true, HEAD = true, OPTIONS = true }
local IDEMPOTENT = { PUT = true, DELETE = true }
local BODIES = { "json", "form", "multipart", "body" }
local SAVE_MAX = 1 << 34

--- Absolute, as the policy knows files.
local function path(verb, what, name)
    base.expect(verb, what, name, "string")
    if name:sub(1, 1) ~= "/" then
        local folder = base.info.folder
        if not folder then
            base.usage("%s: %s must be an absolute path, got %s", verb, what, name)
        end
        name = folder .. "/" .. name
    end
    if (name .. "/"):find "/%.%.?/" then
        base.usage("%s: %s must be a path without . and .., got %s", verb, what, name)
    end
    return (name:gsub("//+", "/"))
end

--- "2xx", "200-299", 200, or a list of these, as pairs of numbers.
local function expect_pairs(verb, v, out)
    if math.type(v) == "integer" and v >= 100 and v <= 599 then
        out[#out + 1], out[#out + 2] = v, v
    elseif type(v) == "table" then
        for _, x in ipairs(v) do
            expect_pairs(verb, x, out)
        end
    else
        local class = type(v) == "string" and v:match "^([1-5])xx$"
        local from, to = (type(v) == "string" and v or ""):match "^([1-5]%d%d)%-([1-5]%d%d)$"
        if class then
            from, to = class .. "00", class .. "99"
        end
        if not from or from > to then
            local text = '%s: expect is a status, "2xx", "200-299", a list of these, or false, got %s'
            base.usage(text, verb, tostring(v))
        end
        out[#out + 1], out[#out + 2] = tonumber(from), tonumber(to)
    end
    return out
end

-- Joins are of two values where one may be a secret: see RB_VM_STACK_ROOM in engine/vm.h.
local function add_header(out, name, value)
    local before = name .. ": "
    out[#out + 1] = type(value) == "table" and { before, table.unpack(value) } or before .. value
end

local function headers_of(verb, opts)
    local out, keys, seen = {}, {}, {}
    if not opts.headers then
        return out, seen
    end
    local given = base.expect(verb, "headers", opts.headers, "table")
    for k in pairs(given) do
        if type(k) ~= "string" or not k:find "^[%w!#$%%&'*+%-.^_`|~]+$" then
            base.usage("%s: %s is no name of a header", verb, tostring(k))
        end
        keys[#keys + 1] = k
    end
    table.sort(keys)
    for _, k in ipairs(keys) do
        seen[k:lower()] = true
        if k:lower() == "content-length" or k:lower() == "transfer-encoding" then
            base.usage("%s: the header %s is made from the body: leave it out", verb, k)
        end
        for _, v in ipairs(body.values(verb, "headers." .. k, given[k])) do
            if type(v) ~= "string" and type(v) ~= "number" and not host.is_secret(v) then
                base.usage("%s: headers.%s must be a text, not a %s", verb, k, type(v))
            end
            add_header(out, k, v)
        end
    end
    return out, seen
end

local function authorize(verb, opts, headers, seen)
    if opts.bearer ~= nil and opts.auth ~= nil or (opts.bearer or opts.auth) and seen.authorization then
        base.usage("%s: one of auth, bearer and an Authorization header is enough", verb)
    end
    if opts.bearer ~= nil then
        if type(opts.bearer) ~= "string" and not host.is_secret(opts.bearer) then
            base.usage("%s: bearer must be a text or a secret", verb)
        end
        add_header(headers, "Authorization", "Bearer " .. opts.bearer)
    elseif opts.auth ~= nil then
        local auth = base.expect(verb, "auth", opts.auth, "table")
        local user, password = auth.user or auth[1], auth.password or auth[2]
        if type(user) ~= "string" or user:find ":" or type(password) ~= "string" and not host.is_secret(password) then
            base.usage("%s: auth is { user = …, password = … }, the password a text or a secret", verb)
        end
        add_header(headers, "Authorization", { "Basic ", { (user .. ":") .. password, "base64" } })
    end
end

--- Puts what the options say of a body into the request; returns its type.
local function put_body(verb, opts, request)
    local given
    for _, k in ipairs(BODIES) do
        if opts[k] ~= nil then
            if given then
                base.usage("%s: %s and %s: a request has one body", verb, given, k)
            end
            given = k
        end
    end
    if given == "json" then
        request.body = body.json(opts.json)
        return "application/json"
    elseif given == "form" then
        request.body = body.form(verb, opts.form)
        return "application/x-www-form-urlencoded"
    elseif given == "multipart" then
        local kind
        request.body, kind = body.multipart(verb, opts.multipart, path)
        return kind
    elseif given and type(opts.body) == "table" and not host.is_secret(opts.body) then
        for k in pairs(opts.body) do
            if k ~= "file" then
                base.usage("%s: body is a text or { file = path }, not %s; a table goes as json", verb, tostring(k))
            end
        end
        request.body_file = path(verb, "body.file", opts.body.file)
        return "application/octet-stream"
    elseif given then
        if type(opts.body) ~= "string" and not host.is_secret(opts.body) then
            base.usage("%s: body must be a text, a secret, or { file = path }; a table goes as json", verb)
        end
        request.body = opts.body
    end
end

local function flag(verb, what, v)
    if v ~= nil and type(v) ~= "boolean" then
        base.usage("%s: %s is true or false, got %s", verb, what, require("rt.phrase").show(v))
    end
    return v
end

local TLS = { ca = true, cert = true, key = true, key_password = true, insecure = true, name = true, pins = true }

local function tls_of(verb, tls)
    if tls == nil then
        return nil
    end
    local out = {}
    for k in pairs(base.expect(verb, "tls", tls, "table")) do
        if not TLS[k] then
            local hint = require("rt.words").hint(tostring(k), TLS, true)
            base.usage("%s: unknown option tls.%s%s", verb, tostring(k), hint)
        end
    end
    out.insecure, out.name = flag(verb, "tls.insecure", tls.insecure), tls.name
    out.key_password = tls.key_password
    for _, k in ipairs { "ca", "cert", "key" } do
        out[k] = tls[k] and path(verb, "tls." .. k, tls[k])
    end
    if tls.pins ~= nil then
        local pins = type(tls.pins) == "table" and tls.pins or { tls.pins }
        for _, pin in ipairs(pins) do
            if type(pin) ~= "string" or not pin:find "^sha256//[%w+/]+=*$" then
                base.usage('%s: tls.pins are of the form "sha256//…" (base64)', verb)
            end
        end
        out.pins = table.concat(pins, ";")
    end
    return out
end

local function whole(verb, what, v, least)
    if v ~= nil and (math.type(v) ~= "integer" or v < least) then
        base.usage("%s: %s must be a whole number from %d, got %s", verb, what, least, tostring(v))
    end
    return v
end

local function proxy_of(verb, v)
    if v ~= nil and type(v) ~= "boolean" then
        base.usage("%s: proxy = false means none; which one is used the configuration says (http.proxy)", verb)
    end
    return v
end

--- The table for host.http of a call's options, of which `verb` has none that it does not know.
---@param verb string "http.get"
---@param opts table
---@return table
function M.build(verb, opts)
    local method = opts.method or "GET"
    if not METHODS[method] then
        method = base.expect(verb, "method", method, "string"):upper()
        if not method:find "^[%w!#$%%&'*+%-.^_`|~]+$" then
            base.usage("%s: %s is no method of HTTP", verb, method)
        end
    end
    local read = flag(verb, "read", opts.read)
    if read == nil then
        read = READS[method] or false
    end
    local idempotent = flag(verb, "idempotent", opts.idempotent)
    if idempotent == nil then
        idempotent = IDEMPOTENT[method] or false
    end
    local request = {
        method = method,
        url = body.url(verb, opts.url, opts.query),
        read = read,
        idempotent = idempotent,
        on_doubt = opts.on_doubt,
        title = opts.title,
        secret = opts.secret,
        save = opts.save and path(verb, "save", opts.save),
        unix = opts.unix and path(verb, "unix", opts.unix),
        tls = tls_of(verb, opts.tls),
        follow = whole(verb, "follow", opts.follow, 0) or (method == "GET" or method == "HEAD") and 5 or 0,
        max_body = whole(verb, "max_body (bytes)", opts.max_body, 0) or opts.save and SAVE_MAX or nil,
        timeout_ms = call.milliseconds(opts.timeout, verb .. ": timeout"),
        connect_timeout_ms = call.milliseconds(opts.connect_timeout, verb .. ": connect_timeout"),
        http2 = flag(verb, "http2", opts.http2),
        proxy = proxy_of(verb, opts.proxy),
    }
    if opts.expect == false then
        request.expect = false
    elseif opts.expect ~= nil and opts.expect ~= true then
        request.expect = expect_pairs(verb, opts.expect, {})
    end
    local headers, seen = headers_of(verb, opts)
    authorize(verb, opts, headers, seen)
    local kind = put_body(verb, opts, request)
    if kind and not seen["content-type"] then
        add_header(headers, "Content-Type", kind)
    end
    request.headers = headers
    return request
end

return M
