-- DSNs and paths as runbooks write them, in the one form that the policy is asked about and the driver is given.
local base = require "rt.base"

local M = {}

local function normal(path)
    local parts = {}
    for part in path:gmatch "[^/]+" do
        if part == ".." then
            parts[#parts] = nil
        elseif part ~= "." then
            parts[#parts + 1] = part
        end
    end
    return "/" .. table.concat(parts, "/")
end

--- An absolute path without . and ..; a relative one is below the runbook's folder.
---@param path string
---@return string
function M.path(path)
    if path:sub(1, 1) ~= "/" then
        if not base.info.folder then
            base.usage("%s: this run does not know the folder of its runbook; give an absolute path", path)
        end
        path = base.info.folder .. "/" .. path
    end
    return normal(path)
end

-- Its percent signs are read before it is made normal, and only what has a meaning in a DSN is written with one: what
-- the policy is asked about is what is opened.
local function plain(path)
    return (path:gsub("%%(%x%x)", function(hex)
        return hex ~= "00" and string.char(tonumber(hex, 16)) or nil
    end))
end

local function coded(path)
    return (path:gsub("[%%?]", { ["%"] = "%25", ["?"] = "%3F" }))
end

--- A name of the configuration, or a DSN; the path of a file becomes absolute.
---@param verb string
---@param dsn any
---@return any
function M.read(verb, dsn)
    if host.is_secret(dsn) then
        return dsn
    end
    base.expect(verb, "the DSN", dsn, "string")
    local path, query = dsn:match "^sqlite:([^?]*)(.*)$"
    if not path then
        return dsn
    elseif path == "" or path == ":memory:" then
        base.usage("%s: a database in memory ends with its operation; name a file: sqlite:/path", verb)
    end
    return "sqlite:" .. coded(M.path((plain(path):gsub("^///", "/")))) .. query
end

return M
