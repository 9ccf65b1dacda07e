-- Questions about a tree of rt.parse.
local M = {}

--- Calls fn(node, above) for every node, before its children; `above` is the node around it. fn returns false to leave
--- the children out. No recursion: a sum of a thousand terms is a tree a thousand levels deep.
---@param root table
---@param fn fun(node: table, above: table?): boolean?
function M.walk(root, fn)
    local nodes, around, n = { root }, {}, 1
    while n > 0 do
        local node, above = nodes[n], around[n]
        n = n - 1
        if fn(node, above) ~= false then
            for i = #node, 1, -1 do
                n = n + 1
                nodes[n], around[n] = node[i], node
            end
        end
    end
end

--- The name of a global or of a field of one: "exec", "exec.sh", or nil.
---@param node table
---@return string?
function M.global_path(node)
    if node.tag == "Name" then
        return not node.decl and not node.env and node.name or nil
    elseif node.tag == "Index" and node[1].tag == "Name" and node[2].kind == "string" then
        local outer = M.global_path(node[1])
        return outer and outer .. "." .. node[2].value
    end
end

--- Every call of a global by this dotted name, in order of appearance.
---@param tree table
---@param path string
---@return table[]
function M.calls(tree, path)
    local found = {}
    M.walk(tree, function(node)
        if node.tag == "Call" and M.global_path(node[1]) == path then
            found[#found + 1] = node
        end
    end)
    return found
end

--- The literal first arguments of a global's calls, each once, in order of appearance: `require "x"`, `secret "x"`.
---@param tree table
---@param path string
---@return string[]
function M.literals(tree, path)
    local names, seen = {}, {}
    for _, call in ipairs(M.calls(tree, path)) do
        local arg = call[2]
        if arg and arg.kind == "string" and not seen[arg.value] then
            seen[arg.value] = true
            names[#names + 1] = arg.value
        end
    end
    return names
end

return M
