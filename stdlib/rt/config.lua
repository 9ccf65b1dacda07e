-- A configuration: a Lua table of plain data, from text that runs in an empty environment. What its keys may hold is
-- rt.config_check's; where in the file each stands is found in the parse tree.
local lexer = require "rt.lexer"
local parse = require "rt.parse"
local phrase = require "rt.phrase"
local plain = require "rt.plain"
local reader = require "rt.reader"

local M = {}

-- The tree of the table at the end of the file, and the function from a place to a line; nil when it is not written
-- out.
local function literal(text)
    local ok, tree = pcall(parse.tree, text)
    if not ok then -- the table alone: no newline comes before it, so lines are the same
        tree = parse.tree("return " .. text)
    end
    local last = tree[#tree]
    return last and last.tag == "Return" and last[1] and { at = last.at, false, last[1] } or nil, lexer.locator(text)
end

-- The line of what a path names, as far as a literal table at the end of the file goes.
local function lines_of(text)
    local node, locate
    return function(path)
        if not locate then
            node, locate = literal(text)
        end
        return node and locate(reader.place(node, path)) or 1
    end
end

local function evaluate(text, file)
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
            ("%s:%d: %s is %s; a configuration is plain data"):format(
                file,
                lines_of(text)(where),
                path == "" and "the table" or path,
                what
            )
    end
    return value
end

--- The table, or nil and all that is wrong with it: lines "file:line: path: …".
---@param text string `return { … }`, or the table alone
---@param file string
---@return table?, string?
function M.read(text, file)
    local value, message = evaluate(text, file)
    if not value then
        return nil, message
    end
    local problems = require("rt.config_check").problems(value)
    if #problems == 0 then
        return value
    end
    local line, list = lines_of(text), {}
    for i, p in ipairs(problems) do
        p.line, p.order = line(p.path), i
    end
    table.sort(problems, function(a, b)
        return a.line < b.line or a.line == b.line and a.order < b.order
    end)
    for i, p in ipairs(problems) do
        local path = plain.path_text(p.path)
        list[i] = ("%s:%d: %s%s"):format(file, p.line, path == "" and "" or path .. ": ", p.text)
    end
    if #list == 1 then
        return nil, list[1]
    end
    return nil, plain.lines(("%d things are wrong:"):format(#list), list, 1800)
end

--- The line of a setting ("policy.allow.exec"), or of what encloses it.
---@param text string
---@param _ string its file
---@param member string
---@return integer
function M.line(text, _, member)
    local path = {}
    for name in member:gmatch("[^.]+") do
        path[#path + 1] = math.tointeger(tonumber(name)) or name
    end
    return lines_of(text)(path)
end

--- Every setting of the file with its line, sorted: {path, line, value}. A list of texts is one setting; a table that
--- names a secret, too.
---@param text string
---@param file string
---@return table[]?, string?
function M.settings(text, file)
    local value, message = M.read(text, file)
    if not value then
        return nil, message
    end
    local line, out = lines_of(text), {}
    local function walk(v, path)
        local leaf = type(v) ~= "table" or v.secret ~= nil or next(v) == nil
        if not leaf and #v > 0 then
            leaf = true
            for _, e in ipairs(v) do
                leaf = leaf and type(e) ~= "table"
            end
        end
        if leaf then
            out[#out + 1] = { path = plain.path_text(path), line = line(path), value = v }
            return
        end
        for _, k in ipairs(plain.sorted(v)) do
            path[#path + 1] = k
            walk(v[k], path)
            path[#path] = nil
        end
    end
    for _, k in ipairs(plain.sorted(value)) do
        walk(value[k], { k })
    end
    return out
end

return M
