-- What the documentation and the examples show is what `rbhost check` accepts.
local lu = require "luaunit"
local lint = require "rt.lint"

TestDocs = {}

-- The Lua in the documentation, and the examples.
function TestDocs.test_nothing_is_found_in_what_we_show()
    local root = debug.getinfo(1, "S").source:match "^@(.-)tests/lua/[^/]*$"
    local n = 0
    for _, path in ipairs { "docs/runbooks.md", "README.md" } do
        local file = io.open(root .. path)
        local text = file and file:read "a" or ""
        for block in text:gmatch "\n```lua\n(.-)\n```" do
            lu.assertEquals((lint.report(block, path)), "", path)
            n = n + 1
        end
    end
    lu.assertTrue(n >= 3, n .. " blocks")
    local list = assert(io.popen(("ls '%sexamples/'*.lua"):format(root)))
    for path in list:lines() do
        lu.assertEquals((lint.report(assert(io.open(path)):read "a", path)), "", path)
    end
    list:close()
end

os.exit(lu.LuaUnit.run())
