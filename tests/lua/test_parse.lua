-- rt.lexer, rt.parse: tokens, scopes and priorities of Lua 5.4, and that every Lua file of the repository parses.
local lu = require "luaunit"
local lexer = require "rt.lexer"
local parse = require "rt.parse"
local tree = require "rt.tree"

local ROOT = debug.getinfo(1, "S").source:match("^@(.-)tests/lua/[^/]*$")

local function read_file(path)
    local f = assert(io.open(path, "rb"))
    local text = f:read "a"
    f:close()
    return text
end

TestLexer = {}

local function tokens(text)
    local kinds, values = lexer.tokens(text)
    lu.assertEquals(kinds[#kinds], "eof")
    local out = {}
    for i = 1, #kinds - 1 do
        out[i] = kinds[i] == values[i] and kinds[i] or kinds[i] .. ":" .. values[i]
    end
    return table.concat(out, " ")
end

function TestLexer.test_tokens()
    lu.assertEquals(
        tokens "local x<const> = a.b[1] // 2 ~= 3 .. '4'",
        "local name:x < name:const > = name:a . name:b [ number:1 ] // number:2 ~= number:3 .. string:4"
    )
    lu.assertEquals(
        tokens "0x1p-4 3e+10 .5 1..2 0xA.8 ...",
        "number:0x1p-4 number:3e+10 number:.5 number:1..2 number:0xA.8 ..."
    )
    lu.assertEquals(tokens "goto a ::a:: & | ~ << >>", "goto name:a :: name:a :: & | ~ << >>")
    lu.assertEquals(tokens "-- c\n--[[ c\n]] a --[==[ ]] ]==] b --c", "name:a name:b")
    lu.assertEquals(tokens "#!/usr/bin/env rbhost\nx", "name:x")
    lu.assertEquals(tokens "\xEF\xBB\xBFx", "name:x")
end

function TestLexer.test_strings()
    lu.assertEquals(
        tokens [['a\'b' "\65\x42\u{43}\z
        d\
e"]],
        "string:a'b string:ABCd\ne"
    )
    lu.assertEquals(tokens "[[a]] [==[\nb]]\n]==] [=[\r\nc]=]", "string:a string:b]]\n string:c")
end

function TestLexer.test_places()
    local locate = lexer.locator "ab\ncd\n\ne"
    lu.assertEquals({ locate(1) }, { 1, 1 })
    lu.assertEquals({ locate(3) }, { 1, 3 })
    lu.assertEquals({ locate(5) }, { 2, 2 })
    lu.assertEquals({ locate(7) }, { 3, 1 })
    lu.assertEquals({ locate(8) }, { 4, 1 })
end

TestParse = {}

local function globals(text)
    local names = {}
    tree.walk(parse.tree(text), function(node)
        if node.tag == "Name" and not node.decl and not node.env then
            names[#names + 1] = node.name
        end
    end)
    return table.concat(names, " ")
end

function TestParse.test_scopes()
    lu.assertEquals(globals "local a = a; local function f() return f, a end", "a")
    lu.assertEquals(globals "local f = function() return f end", "f")
    lu.assertEquals(globals "do local a end a()", "a")
    lu.assertEquals(globals "repeat local a until a", "")
    lu.assertEquals(globals "while a do local a end", "a")
    lu.assertEquals(globals "for i, v in pairs(i) do print(i, v) end print(v)", "pairs i print print v")
    lu.assertEquals(globals "for i = i, 2 do i = i + 1 end", "i")
    lu.assertEquals(globals "if a then local a = 1 elseif a then else a() end", "a a a")
    lu.assertEquals(globals "function a.b.c:d(x, ...) return self, x, ... end", "a")
    lu.assertEquals(globals "local function f(a) return function(b) return a, b, c end end", "c")
    lu.assertEquals(globals "local a <const>, b <close> = 1, a return a, b", "a")
    lu.assertEquals(globals "local _ENV = {} x = y", "")
    lu.assertEquals(globals "goto x ::x:: local t = { a = b, [c] = d, e; f }", "b c d e f")
    lu.assertEquals(globals "a.b['c']:d 'e' { f } (g)", "a f g")
    lu.assertEquals(globals "return", "")
    lu.assertEquals(globals "return a;", "a")
end

function TestParse.test_priorities()
    local function show(node)
        if node.tag == "Binary" then
            return "(" .. show(node[1]) .. node.op .. show(node[2]) .. ")"
        elseif node.tag == "Unary" then
            return "(" .. node.op .. show(node[1]) .. ")"
        end
        return node.value or node.name
    end
    local function expr(text)
        return show(parse.tree("return " .. text)[1][1])
    end
    lu.assertEquals(expr "1+2*3^4^5", "(1+(2*(3^(4^5))))")
    lu.assertEquals(expr "-a^2", "(-(a^2))")
    lu.assertEquals(expr "a..b..c", "(a..(b..c))")
    lu.assertEquals(expr "a or b and c==d", "(aor(band(c==d)))")
    lu.assertEquals(expr "a|b~c&d<<e", "(a|(b~(c&(d<<e))))")
    lu.assertEquals(expr "not a==b", "((nota)==b)")
    lu.assertEquals(expr "a-b-c", "((a-b)-c)")
end

function TestParse.test_every_Lua_file_here_parses()
    local n = 0
    local list = assert(
        io.popen(("find '%sstdlib' '%stests' '%sexamples' -name '*.lua' 2>/dev/null"):format(ROOT, ROOT, ROOT))
    )
    for path in list:lines() do
        local text = read_file(path)
        if load((text:gsub("^#[^\n]*", ""))) then
            local ok, why = pcall(parse.tree, text)
            lu.assertTrue(ok, path .. ": " .. tostring(type(why) == "table" and why.what or why))
            n = n + 1
        end
    end
    list:close()
    lu.assertTrue(n >= 15, "only " .. n .. " files")
end

os.exit(lu.LuaUnit.run())
