-- The part of the static check that knows statements of databases: values that are joined into their text, and writes
-- in checks. A statement is what sql(dsn, …) is given, and what a function of a db is given that begins like one.
local text_of = require "rt.sql_text"
local tree = require "rt.tree"

local M = {}

local FUNCTIONS = { query = true, one = true, value = true, exec = true, each = true }
local WORDS = {}
for word in
    ([[SELECT VALUES WITH INSERT UPDATE DELETE REPLACE CREATE DROP ALTER PRAGMA EXPLAIN SHOW TABLE TRUNCATE MERGE
    VACUUM ANALYZE REINDEX GRANT REVOKE COMMENT COPY CALL DO SET LOCK REFRESH]]):gmatch "%a+"
do
    WORDS[word] = true
end

-- The literal that a text begins with, which others may be joined to.
local function beginning(node)
    while node.tag == "Paren" or node.tag == "Binary" and node.op == ".." do
        node = node[1]
    end
    return node.kind == "string" and node or nil
end

-- Is anything in it not literal?
local function is_joined(node)
    local joined = false
    tree.walk(node, function(part)
        if part.tag == "Binary" and part.op == ".." or part.tag == "Paren" then
            return nil
        end
        joined = joined or part.kind ~= "string"
        return false
    end)
    return joined
end

--- The statement of a call, where it begins with a literal: its node and that literal; or nothing. options: the call's
--- one table.
---@param node table
---@return table? statement, table? first, table? options
local function statement(node)
    local arg, sure
    if node.tag == "Call" and tree.global_path(node[1]) == "sql" then
        arg, sure = node[3], true
    elseif node.tag == "Method" and FUNCTIONS[node.name] then
        arg = node[2]
    end
    local options
    if arg and arg.tag == "Table" then
        options = arg
        arg = nil
        for _, item in ipairs(options) do
            if not item.key and not item.computed then
                arg = item.value
                break
            end
        end
    end
    local first = arg and beginning(arg)
    if first and (sure or WORDS[text_of.first_word(first.value)]) then
        return arg, first, options
    end
end

--- Reports values that are joined into a statement.
---@param node table Call or Method
---@param report fun(at: integer, level: string, text: string)
function M.check_call(node, report)
    local arg, first = statement(node)
    if arg and is_joined(arg) then
        report(
            first.at,
            "warning",
            "the statement is joined from parts; values are parameters: (\"… WHERE id = ?\", id)"
        )
    end
end

--- Does this call write, as far as its text says?
---@param node table
---@return string? what is called
function M.writes(node)
    local arg, first, options = statement(node)
    if not arg or text_of.looks(first.value) then
        return nil
    end
    for _, item in ipairs(options or {}) do
        if item.key == "read" and item.value.kind ~= "false" and item.value.kind ~= "nil" then
            return nil
        end
    end
    if text_of.first_word(first.value) == "WITH" and (node.tag == "Method" and node.name ~= "exec") then
        return nil
    end
    return node.tag == "Call" and "sql" or "db:" .. node.name
end

return M
