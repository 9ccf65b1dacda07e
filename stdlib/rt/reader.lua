-- Reading the header of a file without running its body: the text runs in an environment that has only `runbook` and
-- `require`, and `runbook` ends it. Also what a file requires by name, and errors of Lua's compiler with the line they
-- are about.
local header = require "rt.header"
local lexer = require "rt.lexer"
local parse = require "rt.parse"
local phrase = require "rt.phrase"
local tree = require "rt.tree"

local M = {}

local ONLY = "a header is read alone, before the run: only require may precede runbook{…}"

-- As the host's loader: a byte order mark and a line for the kernel are no Lua. Lines keep their numbers.
local function strip(text)
    return (text:gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", ""))
end

local function line_of(text, wanted)
    local n = 1
    for line in (text .. "\n"):gmatch("(.-)\r?\n") do
        if n == wanted then
            return line
        end
        n = n + 1
    end
end

--- A compiler's "file:line: message" with the line and, where the offending word stands in it once, a caret.
---@param message string
---@param text string
---@return string
function M.explain(message, text)
    local number, said = message:match(":(%d+): (.*)$")
    local line = number and line_of(text, tonumber(number))
    if not line or not line:find("%S") then
        return message
    elseif #line > 160 or not utf8.len(line) then
        return message
    end
    local shown = line:gsub("\t", " ")
    local word = said:match("near '(.*)'$")
    local at = word and line:find(word, 1, true)
    local caret = ""
    if at and not line:find(word, at + 1, true) then
        caret = "\n    " .. (" "):rep(utf8.len(line, 1, at) - 1) .. "^"
    end
    return ("%s\n    %s%s"):format(message, shown, caret)
end

-- Stands for a module until the run: it can be held, not used.
local function stand_in(name)
    local function refuse()
        error(("module %s can not be used before runbook{…}"):format(phrase.show(name)), 2)
    end
    local meta = { __metatable = false }
    for m in
        ("index newindex call concat len unm bnot eq lt le add sub mul div idiv mod pow band bor bxor shl shr"):gmatch(
            "%a+"
        )
    do
        meta["__" .. m] = refuse
    end
    return setmetatable({}, meta)
end

local function compile(text, file, env)
    local chunk, message = load(strip(text), "@" .. file, "t", env)
    if not chunk and not message:find("^.+:%d+: ") then
        return nil, ("%s: it does not compile: %s"):format(file, message) -- "C stack overflow" says no line
    elseif not chunk then
        return nil, M.explain(message, text)
    end
    return chunk
end

-- The first call of the global `runbook` in a text that compiles, and its place; nil when there is none.
local function find_call(text)
    local call = tree.calls(parse.tree(text), "runbook")[1]
    if call then
        local line, column = lexer.locator(text)(call.at)
        return call, line, column
    end
end

--- The place in the text of what a path in a header names: as far as the literal table goes.
---@param call table the node of runbook{…}
---@param path any[]
---@return integer at
function M.place(call, path)
    local at, node = call.at, call[2]
    for _, key in ipairs(path) do
        local found, n = nil, 0
        for _, item in ipairs(node and node.tag == "Table" and node or {}) do
            if not item.key and not item.computed then
                n = n + 1
            end
            if item.key == key or not item.key and not item.computed and n == key then
                found = item
            end
        end
        if not found then
            break
        end
        at, node = found.at, found.value
    end
    return at
end

-- Runs the text up to the header. Gives "none", "captured" and what it was called with, or "touched" (a global that is
-- not there) or "raised" and the error's text; then true when the text does not compile.
local function run(text, file)
    local done = {}
    local captured, touched
    local env = setmetatable({
        runbook = function(...)
            captured = { spec = ... }
            error(done, 0)
        end,
        require = function(name)
            if type(name) ~= "string" then
                error(("require takes a module's name, got %s"):format(phrase.show(name)), 2)
            end
            return stand_in(name)
        end,
    }, {
        __index = function(_, name)
            touched = true
            error(
                ("%s is not there yet; %s"):format(type(name) == "string" and name or phrase.show(name), ONLY),
                2
            )
        end,
        __newindex = function(_, name)
            touched = true
            error(
                ("%s can not be assigned; %s"):format(
                    type(name) == "string" and name or phrase.show(name),
                    ONLY
                ),
                2
            )
        end,
    })
    local chunk, message = compile(text, file, env)
    if not chunk then
        return "raised", message, true
    end
    local ok, why = pcall(chunk)
    if captured then
        return "captured", captured.spec
    elseif ok then
        return "none"
    end
    return touched and "touched" or "raised",
        type(why) == "string" and why or "the header raised " .. phrase.show(why)
end

--- The header of a file: a table {name = …, params = …, …}, or nil and the text of all that is wrong. When
--- the header itself is wrong, also the list of its problems (path, at, text), for the linter.
---@param text string
---@param file string its name, for messages and for the default of `name`
---@return table?, string?, table[]?
function M.header(text, file)
    local outcome, value, is_syntax = run(text, file)
    local data, problems
    if outcome == "captured" then
        data, problems = header.capture(value)
        if #problems > 0 then
            local call, line = find_call(text)
            local locate = lexer.locator(text)
            for _, p in ipairs(problems) do
                p.at = call and M.place(call, p.path) or 1
                p.line = call and locate(p.at) or 1
            end
            return nil, ("%s:%d: %s"):format(file, line or 1, header.message(problems, 1800)), problems
        end
    elseif is_syntax then
        return nil, value
    elseif text:find("runbook", 1, true) then
        local call, line = find_call(text)
        if call then
            return nil,
                outcome ~= "none" and value
                    or ("%s:%d: runbook{…} was not reached: it stands at the top of the file; %s"):format(
                        file,
                        line,
                        ONLY
                    )
        end
    end
    data = data or { params = {} }
    data.name = data.name or file:match("([^/]*)$"):gsub("%.lua$", "")
    return data
end

--- The line of a member of the header ("allow.exec"), or of what encloses it; 0 when the text has no header.
---@param text string
---@param _ string its file
---@param member string
---@return integer
function M.line(text, _, member)
    local call = find_call(text)
    local path = {}
    for name in member:gmatch("[^.]+") do
        path[#path + 1] = name
    end
    return call and (lexer.locator(text)(M.place(call, path))) or 0
end

local function literals(text, file, path)
    local chunk, message = compile(text, file, {})
    if not chunk then
        return nil, message
    elseif not text:find(path, 1, true) then
        return {}
    end
    return tree.literals(parse.tree(text), path)
end

--- The modules that a text requires by literal names, or nil and why it does not compile.
---@param text string
---@param file string
---@return string[]?, string?
function M.requires(text, file)
    return literals(text, file, "require")
end

--- The same of the secrets that it names.
---@param text string
---@param file string
---@return string[]?, string?
function M.secrets(text, file)
    return literals(text, file, "secret")
end

M.compile = compile
return M
