-- file: how its options become the engine's. Paths are made absolute, and refused, by the host.
local base = require "rt.base"
local call = require "rt.call"

local M = { fields = {} }

local MOST = { ["file.read"] = 64 << 20 } -- what the journal keeps of one result

--- A count of something, for the engine.
local function count(verb, name, n)
    local most = MOST[verb] or 1000000
    if n ~= nil and (math.type(n) ~= "integer" or n < 1 or n > most) then
        base.usage("%s: %s is a whole number from 1 to %d", verb, name, most)
    end
    return n
end

--- "0640" as a number. A number is refused: Lua has no octal ones, so 640 would be something else.
local function mode(verb, text)
    if text == nil then
        return nil
    end
    if type(text) ~= "string" or not text:find "^0?[0-7][0-7][0-7][0-7]?$" then
        base.usage('%s: mode is a text such as "0644" or "755"', verb)
    end
    return tonumber(text, 8)
end

local function backup(verb, b)
    if b == nil or b == false then
        return nil
    end
    if b ~= true and (type(b) ~= "string" or b == "" or b == ".") then
        base.usage('%s: backup is true (".bak" behind the name), another such ending, or a path', verb)
    end
    return b == true and ".bak" or b
end

local function create(verb, word)
    if word ~= nil and word ~= "new" then
        base.usage('%s: create is "new" (it must not be there), or absent', verb)
    end
    return word ~= nil
end

local function expect(verb, digest)
    if digest ~= nil and (type(digest) ~= "string" or #digest ~= 64 or digest:find "%X") then
        base.usage("%s: expect is a SHA-256 as 64 hexadecimal digits, as file.digest gives it", verb)
    end
    return digest and digest:lower()
end

local function run(name, path, opts, content)
    local verb = "file." .. name
    base.expect(verb, "the path", path, "string")
    opts = base.options(verb, opts)
    local request = {
        verb = name,
        path = path,
        content = content,
        mode = mode(verb, opts.mode),
        backup = backup(verb, opts.backup),
        create = create(verb, opts.create),
        expect = expect(verb, opts.expect),
        max = count(verb, "max", opts.max),
        depth = count(verb, "depth", opts.depth),
        glob = opts.glob,
        cut = opts.cut,
        follow = opts.follow,
        recursive = opts.recursive,
        missing_ok = opts.missing_ok,
        parents = opts.parents,
        title = opts.title,
        on_doubt = opts.on_doubt,
        secret = opts.secret,
        timeout_ms = call.milliseconds(opts.timeout, verb .. ": timeout"),
    }
    if request.create and request.expect then
        base.usage('%s: create = "new" and expect exclude each other', verb)
    end
    return call.retried(opts, function()
        return host.file(request)
    end)
end

--- The content; where it may be cut, the size of the whole file besides.
function M.fields.read(path, opts)
    local r = run("read", path, opts)
    if opts and opts.cut then
        return r.content, r.size
    end
    return r.content
end

--- What is there, nil when nothing is.
function M.fields.stat(path, opts)
    return run("stat", path, opts)
end

function M.fields.list(path, opts)
    return run("list", path, opts)
end

function M.fields.digest(path, opts)
    return run("digest", path, opts)
end

function M.fields.write(path, content, opts)
    if type(content) ~= "string" and not host.is_secret(content) then
        base.usage("file.write: the content must be a string, got %s", require("rt.phrase").show(content))
    end
    return run("write", path, opts, content)
end

function M.fields.remove(path, opts)
    return run("remove", path, opts)
end

function M.fields.mkdir(path, opts)
    return run("mkdir", path, opts)
end

return M
