-- The expressions of Lua 5.4, and what a parser is: a place in a list of tokens and a scope. rt.parse adds the
-- statements and describes the tree.
local LEFT = {
    ["or"] = 1,
    ["and"] = 2,
    ["<"] = 3,
    [">"] = 3,
    ["<="] = 3,
    [">="] = 3,
    ["~="] = 3,
    ["=="] = 3,
    ["|"] = 4,
    ["~"] = 5,
    ["&"] = 6,
    ["<<"] = 7,
    [">>"] = 7,
    [".."] = 9,
    ["+"] = 10,
    ["-"] = 10,
    ["*"] = 11,
    ["/"] = 11,
    ["//"] = 11,
    ["%"] = 11,
    ["^"] = 14,
}
local RIGHT = { [".."] = 8, ["^"] = 13 }
local UNARY = { ["not"] = true, ["-"] = true, ["#"] = true, ["~"] = true }
local UNARY_PRIORITY = 12

local P = {} -- methods of a parser: kinds, values, places, i (the token now), scope
P.__index = P

function P:fail(what)
    error({ at = self.places[self.i], what = what }, 0)
end

function P:kind()
    return self.kinds[self.i]
end

function P:take(kind)
    if self.kinds[self.i] == kind then
        self.i = self.i + 1
        return self.values[self.i - 1]
    end
end

function P:expect(kind)
    return self:take(kind) or self:fail(kind .. " expected near " .. self.values[self.i])
end

function P:node(tag, ...)
    return { tag = tag, at = self.places[self.i], ... }
end

function P:declare(name)
    self.scope.names[name] = { name = name, at = self.places[self.i - 1] }
end

function P:find(name)
    local scope = self.scope
    while scope do
        if scope.names[name] then
            return scope.names[name]
        end
        scope = scope.outer
    end
end

function P:name()
    local node = self:node "Name"
    node.name = self:expect "name"
    node.decl = self:find(node.name)
    node.env = self:find "_ENV" ~= nil
    return node
end

function P:exprs(node)
    repeat
        node[#node + 1] = self:expr()
    until not self:take ","
    return node
end

function P:body(is_method)
    local node = self:node "Function"
    self:expect "("
    local params = {}
    while self:kind() ~= ")" do
        params[#params + 1] = self:take "name" or self:take "..." or self:fail "a parameter expected"
        self:take ","
    end
    self:expect ")"
    node[1] = self:block(function()
        if is_method then
            self:declare "self"
        end
        for _, p in ipairs(params) do
            self:declare(p)
        end
    end)
    self:expect "end"
    return node
end

function P:constant(kind)
    local node = self:node "Const"
    node.kind, node.value = kind, self.values[self.i]
    self.i = self.i + 1
    return node
end

function P:table()
    local node = self:node "Table"
    self:expect "{"
    while not self:take "}" do
        local item = self:node "Item"
        if self:kind() == "[" then
            self.i = self.i + 1
            item[1] = self:expr()
            item.key = item[1].tag == "Const" and item[1].kind == "string" and item[1].value or nil
            item.computed = item.key == nil
            self:expect "]"
            self:expect "="
        elseif self:kind() == "name" and self.kinds[self.i + 1] == "=" then
            item.key = self:take "name"
            self.i = self.i + 1
        end
        item.value = self:expr()
        item[#item + 1] = item.value
        node[#node + 1] = item
        if not self:take "," then
            self:take ";"
        end
    end
    return node
end

function P:arguments(node)
    if self:kind() == "string" then
        node[#node + 1] = self:constant "string"
    elseif self:kind() == "{" then
        node[#node + 1] = self:table()
    else
        self:expect "("
        if self:kind() ~= ")" then
            self:exprs(node)
        end
        self:expect ")"
    end
    return node
end

function P:suffixed()
    local node
    if self:kind() == "(" then
        node = self:node "Paren"
        self.i = self.i + 1
        node[1] = self:expr()
        self:expect ")"
    else
        node = self:name()
    end
    while true do
        local kind = self:kind()
        local outer
        if kind == "." then
            self.i = self.i + 1
            outer = {
                tag = "Index",
                at = node.at,
                node,
                self:kind() == "name" and self:constant "string" or self:fail "a name expected",
            }
        elseif kind == "[" then
            self.i = self.i + 1
            outer = { tag = "Index", at = node.at, node, self:expr() }
            self:expect "]"
        elseif kind == ":" then
            self.i = self.i + 1
            outer = { tag = "Method", at = self.places[self.i], node }
            outer.name = self:expect "name"
            self:arguments(outer)
        elseif kind == "(" or kind == "string" or kind == "{" then
            outer = self:arguments { tag = "Call", at = node.at, node }
        else
            return node
        end
        node = outer
    end
end

function P:simple()
    local kind = self:kind()
    if
        kind == "number"
        or kind == "string"
        or kind == "nil"
        or kind == "true"
        or kind == "false"
        or kind == "..."
    then
        return self:constant(kind)
    elseif kind == "{" then
        return self:table()
    elseif kind == "function" then
        self.i = self.i + 1
        return self:body()
    end
    return self:suffixed()
end

function P:expr(limit)
    local node
    if UNARY[self:kind()] then
        node = self:node "Unary"
        node.op = self:kind()
        self.i = self.i + 1
        node[1] = self:expr(UNARY_PRIORITY)
    else
        node = self:simple()
    end
    while true do
        local op = self:kind()
        local left = LEFT[op]
        if not left or left <= (limit or 0) then
            return node
        end
        local outer = self:node "Binary"
        self.i = self.i + 1
        outer.op, outer[1], outer[2] = op, node, self:expr(RIGHT[op] or left)
        node = outer
    end
end

return P
