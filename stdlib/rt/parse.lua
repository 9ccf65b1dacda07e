-- Lua 5.4 text to a tree, for text that Lua itself has accepted. Names are resolved: a local has its declaration, a
-- global has none.
--
-- A node is { tag = …, at = byte offset, children … }, the children in order of evaluation:
--   Block    statements          Name      (name; decl; env: a local _ENV decides)
--   Local    exprs               Const     (kind: number, string, nil, true, false, ...; value)
--   Set      targets, exprs      Function  block
--            (n: targets)        Call      function, args      Method  object, args (name)
--   Return   exprs               Index     object, key         Paren   expr
--   If, While, Repeat, For, Do:  Table     Items               Binary  left, right (op)
--            exprs and blocks    Item      value, or key and   Unary   operand (op)
--   Goto, Label, Break                     value (key: its text when it is literal; value)
local P = require "rt.parse_expr"
local lexer = require "rt.lexer"

local M = {}

local ENDS = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true, eof = true }

local statement = {} -- by first token; each begins after it, `node` has its place

local function finish_block(self, node, ...)
    node[#node + 1] = self:block(...)
    self:expect "end"
    return node
end

statement["do"] = function(self, node)
    node.tag = "Do"
    return finish_block(self, node)
end

statement["while"] = function(self, node)
    node.tag = "While"
    node[1] = self:expr()
    self:expect "do"
    return finish_block(self, node)
end

statement["repeat"] = function(self, node)
    node.tag = "Repeat"
    node[1] = self:block(nil, function(block) -- the condition sees the block's locals
        self:expect "until"
        block[#block + 1] = self:expr()
    end)
    return node
end

statement["if"] = function(self, node)
    node.tag = "If"
    repeat
        node[#node + 1] = self:expr()
        self:expect "then"
        node[#node + 1] = self:block()
    until not self:take "elseif"
    if self:take "else" then
        node[#node + 1] = self:block()
    end
    self:expect "end"
    return node
end

statement["for"] = function(self, node)
    node.tag = "For"
    local names = {}
    repeat
        names[#names + 1] = self:expect "name"
    until not self:take ","
    if not self:take "=" then
        self:expect "in"
    end
    self:exprs(node)
    self:expect "do"
    return finish_block(self, node, function()
        for _, name in ipairs(names) do
            self:declare(name)
        end
    end)
end

statement["function"] = function(self, node)
    node.tag, node.n, node.is_function = "Set", 1, true
    local target, is_method = self:name(), false
    while self:kind() == "." or self:kind() == ":" do
        is_method = self:kind() == ":"
        self.i = self.i + 1
        target = { tag = "Index", at = target.at, target, self:constant "string" }
    end
    node[1], node[2] = target, self:body(is_method)
    return node
end

statement["local"] = function(self, node)
    node.tag = "Local"
    if self:take "function" then
        self:expect "name"
        self:declare(self.values[self.i - 1])
        node[1] = self:body()
        return node
    end
    local names = {}
    repeat
        names[#names + 1] = self:expect "name"
        if self:take "<" then
            self:expect "name"
            self:expect ">"
        end
    until not self:take ","
    if self:take "=" then
        self:exprs(node)
    end
    for _, name in ipairs(names) do -- visible only after the whole statement
        self:declare(name)
    end
    return node
end

statement["goto"] = function(self, node)
    node.tag = "Goto"
    self:expect "name"
    return node
end

statement["::"] = function(self, node)
    node.tag = "Label"
    self:expect "name"
    self:expect "::"
    return node
end

statement["break"] = function(_, node)
    node.tag = "Break"
    return node
end
statement[";"] = statement["break"]

function P:statement()
    local kind = self:kind()
    if statement[kind] then
        local node = self:node(nil)
        self.i = self.i + 1
        return statement[kind](self, node)
    end
    local first = self:suffixed()
    if self:kind() ~= "=" and self:kind() ~= "," then
        return first
    end
    local node = { tag = "Set", at = first.at, first }
    while self:take "," do
        node[#node + 1] = self:suffixed()
    end
    node.n = #node
    self:expect "="
    return self:exprs(node)
end

-- A block in a scope of its own; `before` declares what is visible in it from its start, `after` sees its locals.
function P:block(before, after)
    self.scope = { names = {}, outer = self.scope }
    if before then
        before()
    end
    local block = self:node "Block"
    while not ENDS[self:kind()] do
        if self:kind() == "return" then
            local node = self:node "Return"
            self.i = self.i + 1
            if not ENDS[self:kind()] and self:kind() ~= ";" then
                self:exprs(node)
            end
            self:take ";"
            block[#block + 1] = node
            break
        end
        block[#block + 1] = self:statement()
    end
    if after then
        after(block)
    end
    self.scope = self.scope.outer
    return block
end

--- The tree of a text. Raises {at, what} for what Lua would not have accepted.
---@param text string
---@return table
function M.tree(text)
    local kinds, values, places = lexer.tokens(text)
    local self = setmetatable({ kinds = kinds, values = values, places = places, i = 1 }, P)
    local block = self:block()
    if self:kind() ~= "eof" then
        self:fail "<eof> expected"
    end
    return block
end

return M
