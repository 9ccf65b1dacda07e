-- The static check of a runbook: what can be known to be wrong without running it. Works on the tree of rt.parse and
-- the words of rt.words; the header's own problems come from rt.reader.
local lexer = require "rt.lexer"
local options = require "rt.lint_options"
local sql = require "rt.lint_sql"
local parse = require "rt.parse"
local plain = require "rt.plain"
local reader = require "rt.reader"
local tree = require "rt.tree"
local words = require "rt.words"

local M = {}

local BITWISE = { ["~"] = true, ["|"] = true, ["&"] = true }

-- In a file of tests the globals that LuaUnit looks for are the file's own.
local function is_tests_own(node, file)
    local name = node.tag == "Name" and tree.global_path(node)
    return name and name:find "^[Tt]est" and (file:match "[^/]*$"):find "^test_" and true or false
end

-- A global name, or a field of a library: (node of kind Name or Index, the node around it).
local function check_global(node, above, report)
    local path = tree.global_path(node)
    if not path then
        return
    end
    local whole = above and above.tag == "Index" and above[1] == node and tree.global_path(above)
    local root, field = path:match("^([^.]*)%.?(.*)$")
    if node.tag == "Name" then
        if root == "_ENV" or words.globals[root] then
            return
        end
        report(
            node.at,
            "error",
            words.unknown_global(
                whole and words.absent[root] and not words.absent[whole] and whole or root,
                root
            )
        )
    elseif path:find("^_G%.[%a_][%w_]*$") then
        if not words.globals[field] then
            report(node.at, "error", words.unknown_global(field))
        end
    elseif type(words.globals[root]) == "table"
 and not words.globals[root][field] then
        report(node.at, "error", words.unknown_field(root, field))
    end
end

local function check_set(node, report, file)
    for i = 1, node.n do
        local target = node[i]
        local path = not is_tests_own(target, file) and tree.global_path(target)
        target.assigned = true
        if path and target.tag == "Name" then
            local word = node.is_function and "local function" or "local"
            local text = words.globals[path]
                    and "the global %s can not be assigned; write %s %s for a variable of your own"
                or "assignment to the global %s; write %s %s"
            report(target.at, "error", text:format(path, word, path))
        elseif path then
            local root, field = path:match("^([^.]*)%.(.*)$")
            if root == "_G" then
                report(target.at, "error", ("assignment to the global %s; write local %s"):format(field, field))
            elseif type(words.globals[root]) == "table" then
                report(
                    target.at,
                    "error",
                    ("%s can not be assigned: the library %s is read-only"):format(path, root)
                )
            end
        end
    end
end

-- A constant on the left and a parenthesised and/or on the right: Lua 5.4.4 makes wrong code of it once the function
-- has more than 255 constants (fixed in 5.4.5).
local function check_bitwise(node, report)
    local left, right = node[1], node[2]
    while right.tag == "Paren" and right[1].tag == "Paren" do
        right = right[1]
    end
    if
        BITWISE[node.op]
        and left.kind == "number"
        and right.tag == "Paren"
        and (right[1].op == "or" or right[1].op == "and")
    then
        report(
            node.at,
            "warning",
            ("Lua 5.4.4 can compute this wrong: keep (… %s …) in a local before %s"):format(
                right[1].op,
                node.op
            )
        )
    end
end

-- Functions that C code of Lua calls back: nothing in them may wait.
local UNYIELDABLE = { ["table.sort"] = true, ["string.gsub"] = true }

local function check_waits(node, path, report)
    local name = UNYIELDABLE[path] and path or node.tag == "Method" and node.name == "gsub" and "gsub"
    if not name then
        return
    end
    for i = node.tag == "Method" and 3 or 2, #node do
        if node[i].tag == "Function" then
            tree.walk(node[i], function(inner)
                local op = inner.tag == "Call" and tree.global_path(inner[1])
                if op and words.waits[op] then
                    report(
                        inner.at,
                        "warning",
                        ("%s can not wait inside the function of %s; collect first, then call it"):format(
                            op,
                            name
                        )
                    )
                end
            end)
        end
    end
end

local function check_header(root, text, file, report)
    local calls = tree.calls(root, "runbook")
    for i = 2, #calls do
        report(calls[i].at, "error", "runbook{…} is called a second time")
    end
    local data, message, problems = reader.header(text, file)
    if problems then
        for _, p in ipairs(problems) do
            local path = plain.path_text(p.path)
            report(p.at, "error", "header: " .. (path == "" and "" or path .. ": ") .. p.text)
        end
    elseif not data then
        local line, said = message:match("^[^\n]-:(%d+): ([^\n]*)")
        report(nil, "error", said or message, tonumber(line) or 1)
    end
end

--- The findings of a text, in the order of the text: {line, column, level = "error" | "warning", text}.
---@param text string
---@param file string
---@return table[]
function M.check(text, file)
    local findings, seen = {}, {}
    local locate = lexer.locator(text)
    local function report(at, level, said, line)
        local column = 1
        if at then
            line, column = locate(at)
        end
        local id = ("%d:%d:%s"):format(line, column, said)
        if not seen[id] then
            seen[id] = true
            findings[#findings + 1] = { line = line, column = column, level = level, text = said }
        end
    end

    local chunk, message = reader.compile(text, file, {})
    if not chunk then
        local line, said = message:match(":(%d+): ([^\n]*)")
        local caret = message:match("\n    ( *)^$")
        report(nil, "error", said or message, tonumber(line) or 1)
        findings[1].column = caret and #caret + 1 or 1
        return findings
    end
    local root = parse.tree(text)
    tree.walk(root, function(node, above)
        local tag = node.tag
        if tag == "Set" then
            check_set(node, report, file)
        elseif tag == "Binary" then
            check_bitwise(node, report)
        elseif tag == "Call" or tag == "Method" then
            local path = tag == "Call" and tree.global_path(node[1])
            check_waits(node, path, report)
            sql.check_call(node, report)
            if tag == "Call" then
                options.check_call(node, path, report)
            end
        elseif (tag == "Name" or tag == "Index") and not node.assigned and not is_tests_own(node, file) then
            check_global(node, above, report)
        end
    end)
    check_header(root, text, file, report)
    table.sort(findings, function(a, b)
        if a.line ~= b.line then
            return a.line < b.line
        end
        return a.column < b.column
    end)
    return findings
end

--- The findings as text, "file:line:column: level: text" a line, and how many are errors and warnings.
---@param text string
---@param file string
---@return string, integer, integer
function M.report(text, file)
    local lines, errors, findings = {}, 0, M.check(text, file)
    for i, f in ipairs(findings) do
        lines[i] = ("%s:%d:%d: %s: %s\n"):format(file, f.line, f.column, f.level, f.text)
        errors = errors + (f.level == "error" and 1 or 0)
    end
    return table.concat(lines), errors, #findings - errors
end

return M
