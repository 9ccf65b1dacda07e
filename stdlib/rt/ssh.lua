-- ssh: how a host, a command and their options become the engine's. Lists of hosts are rt.ssh_hosts's, ssh.each is
-- rt.ssh_each's.
local base = require "rt.base"
local call = require "rt.call"
local hosts = require "rt.ssh_hosts"
local phrase = require "rt.phrase"

local M = { fields = {} }

local function bytes(verb, name, n, least)
    if n ~= nil and (math.type(n) ~= "integer" or n < least) then
        base.usage("%s: %s is a number of bytes", verb, name)
    end
    return n
end

-- true, or { password = secret }.
local function sudo(verb, v)
    if type(v) ~= "table" then
        if v ~= nil and type(v) ~= "boolean" then
            base.usage("%s: sudo is true, or { password = secret(…) }, not %s", verb, phrase.show(v))
        end
        return v or nil, nil
    end
    for k in pairs(v) do
        if k ~= "password" then
            base.usage("%s: unknown part %s of sudo; known: password", verb, phrase.show(k))
        end
    end
    if v.password ~= nil and not host.is_secret(v.password) then
        base.usage("%s: sudo.password must be a secret: { password = secret(\"name\") }", verb)
    end
    return true, v.password
end

-- What every request has: where to, and what holds for all of ssh.
local function request(verb, where, opts)
    local r = hosts.target(verb, where)
    r.sudo, r.sudo_password = sudo(verb, opts.sudo)
    r.connect_ms = call.milliseconds(opts.connect_timeout, verb .. ": connect_timeout")
    r.timeout_ms = call.milliseconds(opts.timeout, verb .. ": timeout")
    r.title, r.on_doubt, r.secret = opts.title, opts.on_doubt, opts.secret
    return r
end

-- Of shells themselves; the rest of what is none io/ssh_far.c knows.
local KEPT = {}
for name in ("UID EUID PPID SHELLOPTS BASHOPTS BASH_VERSINFO IFS"):gmatch "%S+" do
    KEPT[name] = true
end

-- What a shell over there could not be told, before anything begins.
local function check(verb, command, env)
    local name = type(command) == "table" and command[1]
    if type(name) == "string" and name:sub(1, 1) == "-" then
        base.usage("%s: a command's name can not begin with \"-\": %s", verb, phrase.show(name))
    end
    for k in pairs(type(env) == "table" and env or {}) do
        if type(k) == "string" and (not k:find "^[%a_][%w_]*$" or KEPT[k]) then
            base.usage("%s: env.%s is no variable that a shell can set", verb, k)
        end
    end
end

--- A command on a host, with options that were looked at.
---@param verb string
---@param where string|table
---@param command string[]|string
---@param opts table
---@return table
function M.run(verb, where, command, opts)
    local r = request(verb, where, opts)
    if type(command) == "table" then
        r.argv = command
    elseif host.is_secret(command) then
        base.usage("%s: the command is a secret: every user of the machine can see it; pass it by env or stdin", verb)
    else
        r.text = base.expect(verb, "the command (a list, or a text for the shell over there)", command, "string")
    end
    check(verb, command, opts.env)
    r.env = call.env(verb, opts.env)
    r.cwd, r.stdin, r.check = opts.cwd, opts.stdin, opts.check
    r.read, r.idempotent, r.survive = opts.read, opts.idempotent, opts.survive
    r.max_output = bytes(verb, "max_output", opts.max_output, 0)
    return call.retried(opts, function()
        return host.ssh(r)
    end)
end

M.call = function(where, command, opts)
    return M.run("ssh", where, command, base.options("ssh", opts))
end

--- A path of this machine: below the runbook's folder when it is relative.
local function here(path)
    return path:sub(1, 1) == "/" and path or base.info.folder and base.info.folder .. "/" .. path or path
end

local function path(verb, name, v)
    base.expect(verb, name, v, "string")
    if v == "" or v:find "%z" then
        base.usage("%s: %s is no path", verb, name)
    end
    return v
end

local function mode(verb, text)
    if text ~= nil and (type(text) ~= "string" or not text:find "^0?[0-7][0-7][0-7][0-7]?$") then
        base.usage('%s: mode is a text such as "0644" or "755"', verb)
    end
    return text
end

--- A file of this machine, or a text, as a file over there: whole, or not at all.
function M.fields.upload(where, opts)
    local verb = "ssh.upload"
    opts = base.options(verb, opts)
    local r = request(verb, where, opts)
    if (opts.from == nil) == (opts.content == nil) then
        base.usage("%s: what is sent is either from = PATH or content = TEXT", verb)
    elseif opts.content ~= nil and type(opts.content) ~= "string" and not host.is_secret(opts.content) then
        base.usage("%s: content must be a string, got %s", verb, phrase.show(opts.content))
    end
    r.from = opts.from and here(path(verb, "from", opts.from))
    r.content, r.to, r.mode = opts.content, path(verb, "to", opts.to), mode(verb, opts.mode)
    if opts.owner ~= nil and (type(opts.owner) ~= "string" or not opts.owner:find "^[%w_][%w_.-]*:?[%w_.-]*$") then
        base.usage('%s: owner is a text such as "app" or "app:www"', verb)
    end
    r.owner = opts.owner
    return call.retried(opts, function()
        return host.ssh_upload(r)
    end)
end

--- A file from over there: to a file of this machine, or as `content`.
function M.fields.download(where, opts)
    local verb = "ssh.download"
    opts = base.options(verb, opts)
    local r = request(verb, where, opts)
    r.from = path(verb, "from", opts.from)
    r.to = opts.to and here(path(verb, "to", opts.to))
    r.max = bytes(verb, "max", opts.max, 1)
    return call.retried(opts, function()
        return host.ssh_download(r)
    end)
end

M.fields.hosts = hosts.hosts

function M.fields.each(...)
    return require("rt.ssh_each").each(M.run, ...)
end

return M
