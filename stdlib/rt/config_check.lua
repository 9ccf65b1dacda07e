-- What a configuration may hold: each of its keys, with units and nearest words. Collects every problem with its path.
-- The larger parts have modules of their own, loaded where they are in the file.
local phrase = require "rt.phrase"
local plain = require "rt.plain"
local scalars = require "rt.scalars"
local words = require "rt.words"

local M = {}

-- What the checks are given: `c.path` is where they are, `c.add` says what is wrong there.
local C = {}
C.__index = C

function C:wrong(text, ...)
    self.add(self.path, text, ...)
end

--- Runs fn(value) one key deeper.
function C:at(key, fn, ...)
    self.path[#self.path + 1] = key
    fn(self, ...)
    self.path[#self.path] = nil
end

--- Is v a table with names? Says so if not.
function C:named(v, example)
    if type(v) == "table" and #v == 0 then
        return true
    end
    self:wrong("got %s, expected a table with names: %s", phrase.show(v), example)
    return false
end

--- Each key of the table v by its check: known = { key = fn(c, value) }.
function C:each(v, known)
    for _, k in ipairs(plain.sorted(v)) do
        self:at(k, function()
            if type(k) ~= "string" then
                self:wrong "a value without a key"
            elseif known[k] then
                known[k](self, v[k])
            else
                self:wrong("unknown key%s", words.hint(k, known, true))
            end
        end)
    end
end

function C:text(v)
    if plain.line_of_text(v) then
        return true
    end
    self:wrong("got %s, expected one line of text", phrase.show(v))
    return false
end

function C:path_of_file(v)
    if self:text(v) and v:find("^~") then
        self:wrong("%s: ~ is not expanded: write the whole path", phrase.show(v))
    end
end

function C:boolean(v)
    if type(v) ~= "boolean" then
        self:wrong("got %s, expected true or false", phrase.show(v))
    end
end

function C:duration(v)
    local s = scalars.seconds(v)
    if not s or s <= 0 then
        self:wrong('got %s, expected a duration such as "10s" or "1m30s"', phrase.show(v))
    end
end

function C:whole(v, min, max)
    if math.type(v) ~= "integer" or v < min or v > max then
        self:wrong("got %s, expected a whole number from %d to %d", phrase.show(v), min, max)
    end
end

local SIZES = { [""] = 1, B = 1, KiB = 1024, MiB = 1024 ^ 2, GiB = 1024 ^ 3 }

-- Bytes of 65536 or "64MiB"; nil when it is none.
local function bytes_of(v)
    local n, unit
    if type(v) == "string" then
        n, unit = v:match("^(%d+) ?(%a*)$")
    elseif math.type(v) == "integer" then
        n, unit = v, ""
    end
    local bytes = n and SIZES[unit] and tonumber(n) * SIZES[unit] or 0
    return bytes >= 1 and bytes <= 2 ^ 53 and math.tointeger(bytes) or nil
end

function C:size(v)
    if not bytes_of(v) then
        self:wrong('got %s, expected bytes: a number, or text such as "64MiB"', phrase.show(v))
    end
end

--- { secret = "name" }, where that secret is there. False when v is no such table.
function C:secret(v)
    if type(v) ~= "table" then
        return false
    end
    self:each(v, { secret = function(_, name)
        local known = type(self.config.secrets) == "table" and self.config.secrets or {}
        if type(name) ~= "string" then
            self:wrong("got %s, expected the name of a secret", phrase.show(name))
        elseif known[name] == nil then
            self:wrong(
                "there is no secret %s in `secrets`%s",
                phrase.show(name),
                words.hint(name, known, next(known) ~= nil)
            )
        end
    end })
    if v.secret == nil then
        self:wrong 'expected { secret = "name" }'
    end
    return true
end

--- A text or a secret.
function C:text_or_secret(v)
    return self:secret(v) or self:text(v)
end

--- Text that must not stand in a file that many read.
function C:only_secret(v)
    if not self:secret(v) then
        self:wrong 'stands here in clear: give { secret = "name" }, and the name its source in `secrets`'
    end
end

function C:strings(v, what, fits)
    return plain.strings(v, self.path, self.add, what, fits)
end

-- -- the keys -------------------------------------------------------------------------------------------------------

local top = {}

function top.roots(c, v)
    c:strings(v, "folders", function(s)
        return not s:find("^~")
    end)
end

top.journal = C.path_of_file

top.secret_key = C.path_of_file -- "credential:NAME" passes

function top.env(c, v)
    c:strings(v, "names of environment variables", function(s)
        return s:find("^[%a_][%w_]*$") ~= nil
    end)
end

function top.environment(c, v)
    if type(v) ~= "string" or not v:find("^%w[%w_.-]*$") or #v > 32 then
        c:wrong("got %s, expected a word such as prod", phrase.show(v))
    end
end

local function count(c, v)
    c:whole(v, 1, 1000000)
end

local LIMITS = {
    lua_memory = C.size,
    slice_warn = C.duration,
    slice_max = C.duration,
    max_output = C.size,
    max_exec = count,
    max_tasks = count,
    park_grace = C.duration,
    cancel_grace = C.duration,
    notice_after = C.duration,
}

-- What is right becomes numbers: seconds, bytes.
function top.limits(c, v)
    if not c:named(v, '{ max_exec = 16, slice_max = "2s" }') then
        return
    end
    c:each(v, LIMITS)
    for k, check in pairs(LIMITS) do
        if check == C.duration then
            v[k] = v[k] and scalars.seconds(v[k])
        elseif check == C.size then
            v[k] = v[k] and bytes_of(v[k])
        end
    end
end

local PERSON = {
    user = C.text,
    name = C.text,
    slack = C.text,
    mattermost = C.text,
    token = C.text,
    email = C.text,
    ssh_key = C.text,
}

function top.people(c, v)
    if not c:named(v, '{ ada = { user = "al", slack = "U024BE7LH" } }') then
        return
    end
    for _, name in ipairs(plain.sorted(v)) do
        c:at(name, function()
            if type(name) ~= "string" then
                c:wrong "a person without a name"
            elseif c:named(v[name], '{ user = "al" }') then
                c:each(v[name], PERSON)
            end
        end)
    end
end

for key, part in pairs {
    dsns = "rt.config_outside",
    http = "rt.config_outside",
    secrets = "rt.config_outside",
    channels = "rt.config_channels",
    policy = "rt.config_policy",
    ssh = "rt.config_ssh",
} do
    top[key] = function(c, v)
        require(part)[key](c, v)
    end
end

--- All that is wrong with it, in the order of its keys: {path, text}.
---@param config table
---@return table[]
function M.problems(config)
    local problems, add = plain.collector()
    local c = setmetatable({ add = add, path = {}, config = config }, C)
    if #config > 0 then
        c:wrong "the configuration is a table with names: return { roots = { … } }"
    else
        c:each(config, top)
    end
    return problems
end

return M
