-- mock.files: files in memory, for a runbook that writes and reads again. It answers all of `file`; a test looks at it
-- and changes it, also from the answers of commands that copy or remove.
local base = require "rt.base"

local hash = host.global "hash"

local M = {}

local FILES = {}
FILES.__index = FILES

local function parent(path)
    return path:match "^(.*)/[^/]+$"
end

--- A file, and the folders above it.
---@param path string
---@param content string?
---@param more table? mode, owner … of its stat
function FILES:put(path, content, more)
    local entry = { type = "file", content = content or "", mode = "0644", owner = "root", group = "root" }
    for k, v in pairs(more or {}) do
        entry[k] = v
    end
    self.entries[path] = entry
    self:folder(parent(path))
end

--- A folder, and those above it.
function FILES:folder(path, more)
    while path and path ~= "" do
        self.entries[path] = self.entries[path] or { type = "folder", mode = "0755", owner = "root", group = "root" }
        for k, v in pairs(more or {}) do
            self.entries[path][k] = v
        end
        path, more = parent(path), nil
    end
end

--- The content of a file; nil where there is none.
function FILES:get(path)
    local entry = self.entries[path]
    return entry and entry.content
end

function FILES:copy(from, to)
    self:put(to, self:get(from))
end

function FILES:move(from, to)
    self.entries[to], self.entries[from] = self.entries[from], nil
end

--- A path and all below it. Was it there?
function FILES:remove(path)
    local there = self.entries[path] ~= nil
    for name in pairs(self.entries) do
        if name == path or name:sub(1, #path + 1) == path .. "/" then
            self.entries[name] = nil
        end
    end
    return there
end

--- The paths of all files, sorted.
---@return string[]
function FILES:paths()
    local out = {}
    for path, entry in pairs(self.entries) do
        out[#out + 1] = entry.type == "file" and path or nil
    end
    table.sort(out)
    return out
end

local function gone(call)
    local text = ("file.%s: %s: no such file or directory"):format(call.verb, call.path)
    return require("rt.mock_answers").fail { kind = "file.not_found", message = text }
end

local VERBS = {}

function VERBS.read(files, call)
    return files:get(call.path) or gone(call)
end

function VERBS.digest(files, call)
    local content = files:get(call.path)
    return content and hash.sha256(content) or gone(call)
end

function VERBS.stat(files, call)
    local entry = files.entries[call.path]
    if not entry then
        return false
    end
    local out = { size = #(entry.content or "") }
    for k, v in pairs(entry) do
        if k ~= "content" then
            out[k] = v
        end
    end
    return out
end

function VERBS.list(files, call)
    if not files.entries[call.path] then
        return gone(call)
    end
    local out = {}
    for path, entry in pairs(files.entries) do -- in the order of their names
        if parent(path) == call.path then
            out[#out + 1] = { name = path:match "[^/]+$", type = entry.type }
        end
    end
    return out
end

function VERBS.write(files, call)
    files:put(call.path, call.content, { mode = call.mode })
    return true
end

function VERBS.mkdir(files, call)
    local new = files.entries[call.path] == nil
    files:folder(call.path, { mode = call.mode })
    return new
end

function VERBS.remove(files, call)
    if not files.entries[call.path] and not call.request.missing_ok then
        return gone(call)
    end
    return files:remove(call.path)
end

FILES.__call = function(files, call)
    return VERBS[call.verb](files, call)
end

--- Files in memory.
---@param given table? path → content, { content =, mode =, owner = }, or true for a folder
function M.new(given)
    local files = setmetatable({ entries = {} }, FILES)
    for path, v in pairs(base.expect("mock.files", "its argument", given or {}, "table")) do
        if v == true then
            files:folder(path)
        elseif type(v) == "table" then
            files:put(path, v.content, v)
        else
            files:put(path, base.expect("mock.files", "the content of " .. path, v, "string"))
        end
    end
    return files
end

return M
