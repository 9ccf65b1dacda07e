-- A configuration: a Lua table of plain data, from text that runs in an empty environment.
local lexer = require "rt.lexer"
local parse = require "rt.parse"
local phrase = require "rt.phrase"
local plain = require "rt.plain"
local reader = require "rt.reader"

local M = {}

-- "file:line" of what a path names, as far as a literal table at the end of the file goes.
local function place(text, file, path)
    local ok, tree = pcall(parse.tree, text)
    if not ok then -- the table alone: no newline comes before it, so lines are the same
        tree = parse.tree("return " .. text)
    end
    local last = tree[#tree]
    if not last or last.tag ~= "Return" or not last[1] then
        return file .. ":1"
    end
    return ("%s:%d"):format(file, (lexer.locator(text)(reader.place({ at = last.at, false, last[1] }, path))))
end

--- The table, or nil and what is wrong: "file:line: …".
---@param text string `return { … }`, or the table alone
---@param file string
---@return table?, string?
function M.read(text, file)
    local function refuse(_, name)
        name = type(name) == "string" and name or phrase.show(name)
        error(("%s is not there: a configuration is plain data, read in an empty environment"):format(name), 2)
    end
    local env = setmetatable({}, { __index = refuse, __newindex = refuse })
    local chunk, message = reader.compile(text, file, env)
    if not chunk then
        local alone = load("return " .. text, "@" .. file, "t", env)
        if not alone then
            return nil, message
        end
        chunk = alone
    end
    local ok, value = pcall(chunk)
    if not ok then
        return nil, type(value) == "string" and value or ("%s: raised %s"):format(file, phrase.show(value))
    elseif type(value) ~= "table" then
        return nil,
            ("%s:1: the file returns %s, expected a table: return { … }"):format(file, phrase.show(value))
    end
    local where, what = plain.foreign(value, {})
    if where then
        local path = plain.path_text(where)
        return nil,
            ("%s: %s is %s; a configuration is plain data"):format(
                place(text, file, where),
                path == "" and "the table" or path,
                what
            )
    end
    return value
end

return M
