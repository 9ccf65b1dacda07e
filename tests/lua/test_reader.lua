-- rt.reader, rt.config: how a header and a configuration are read without running a body.
local lu = require "luaunit"
local config = require "rt.config"
local reader = require "rt.reader"

TestReader = {}

local ONLY = "a header is read alone, before the run: only require may precede runbook{…}"

local function read(text)
    local data, message = reader.header(text, "dir/up.lua")
    return data or message
end

function TestReader.test_no_header()
    for _, text in ipairs {
        "",
        "print(1)",
        "-- runbook{}",
        "exec({'ls'}) error('x')",
        "local runbook = print runbook{}",
        "return 'runbook'",
    } do
        lu.assertEquals(read(text), { name = "up", params = {} })
    end
end

function TestReader.test_a_header_and_nothing_of_the_body()
    lu.assertEquals(
        read "local r = require 'rollout'\nlocal p = runbook{ name = 'x' }\nerror('the body ran')",
        { name = "x", params = {} }
    )
    lu.assertEquals(
        read "#!/usr/bin/env rbhost\nreturn runbook{}",
        { name = "up", params = {} }
    )
    lu.assertEquals(read "\xEF\xBB\xBFrunbook{}", { name = "up", params = {} })
    lu.assertEquals(
        read "local v = '^v' .. '%d+$'\nrunbook{ params = { v = { 'string', match = v } } }",
        { name = "up", params = { { name = "v", type = "string", match = "^v%d+$" } } }
    )
end

function TestReader.test_only_require_may_precede()
    lu.assertEquals(read "local a = 1\nprint(a)\nrunbook{}", "dir/up.lua:2: print is not there yet; " .. ONLY)
    lu.assertEquals(read "x = 5\nrunbook{}", "dir/up.lua:1: x can not be assigned; " .. ONLY)
    lu.assertEquals(
        read "local r = require 'r'\nr.go()\nrunbook{}",
        'dir/up.lua:2: module "r" can not be used before runbook{…}'
    )
    lu.assertEquals(
        read "local r = require 'r'\nr{}\nrunbook{}",
        'dir/up.lua:2: module "r" can not be used before runbook{…}'
    )
    lu.assertEquals(
        read "\nif false then runbook{} end",
        "dir/up.lua:2: runbook{…} was not reached: it stands at the top of the file; " .. ONLY
    )
    lu.assertEquals(read "require()\nrunbook{}", "dir/up.lua:1: require takes a module's name, got nothing")
end

function TestReader.test_a_header_that_raises()
    lu.assertEquals(read "\nrunbook{ name = nil .. 'x' }", "dir/up.lua:2: attempt to concatenate a nil value")
    lu.assertEquals(read "runbook{ name = f() }", "dir/up.lua:1: f is not there yet; " .. ONLY)
end

function TestReader.test_wrong_headers_name_lines()
    lu.assertEquals(
        read [[

runbook {
  nam = 'x',
  params = {
    a = { 'strng' },
    b = { 'list',
      of = 'x' },
  },
}]],
        table.concat({
            "dir/up.lua:2: wrong header:",
            "  line 3: nam: unknown key; did you mean name?",
            '  line 5: params.a: unknown type "strng"; did you mean string?',
            '  line 7: params.b.of: got "x", expected a type of element; '
                .. "known: boolean duration host integer number string url",
        }, "\n")
    )
    lu.assertEquals(
        read "runbook()",
        "dir/up.lua:1: wrong header:\n  line 1: got nothing, "
            .. 'expected a table: runbook { name = "…", params = { … } }'
    )
end

function TestReader.test_syntax_errors_have_the_line_and_a_caret()
    lu.assertEquals(
        read "local x = )",
        "dir/up.lua:1: unexpected symbol near ')'\n    local x = )\n              ^"
    )
    lu.assertEquals(read "\n\tlocal ä = }", "dir/up.lua:2: <name> expected near '<\\195>'\n     local ä = }")
    lu.assertEquals(read "x = = 3", "dir/up.lua:1: unexpected symbol near '='\n    x = = 3")
    lu.assertEquals(read "print(", "dir/up.lua:1: unexpected symbol near <eof>\n    print(")
end

function TestReader.test_requires()
    lu.assertEquals(
        reader.requires(
            [==[
        local a = require "a"
        local b, c = require('b.c'), require [[c]]
        require(x) require "a"
        do local require = print; require "no" end
        local function f() return require "late".x end
    ]==],
            "f.lua"
        ),
        { "a", "b.c", "c", "late" }
    )
    lu.assertEquals(reader.requires("print(1)", "f.lua"), {})
    lu.assertEquals(
        { reader.requires("= 1", "f.lua") },
        { nil, "f.lua:1: unexpected symbol near '='\n    = 1\n    ^" }
    )
end

TestConfig = {}

local function refused(text)
    local value, why = config.read(text, "c.lua")
    lu.assertNil(value)
    return why
end

function TestConfig.test_plain_data()
    lu.assertEquals(
        config.read("return { roots = { 'a', 'b' }, limits = { max_exec = 2, slice_max = '2s' } }", "c.lua"),
        { roots = { "a", "b" }, limits = { max_exec = 2, slice_max = 2 } }
    )
    lu.assertEquals(config.read("-- alone\n{ roots = {} }", "c.lua"), { roots = {} })
    lu.assertEquals(
        config.read("local t = { type = 'terminal' } return { channels = { a = t, b = t } }", "c.lua"),
        { channels = { a = { type = "terminal" }, b = { type = "terminal" } } }
    )
end

function TestConfig.test_refused()
    local EMPTY = " is not there: a configuration is plain data, read in an empty environment"
    lu.assertEquals(refused "", "c.lua:1: the file returns nothing, expected a table: return { … }")
    lu.assertEquals(refused "return 5", "c.lua:1: the file returns 5, expected a table: return { … }")
    lu.assertEquals(refused "\nx = 1", "c.lua:2: x" .. EMPTY)
    lu.assertEquals(refused "return { a = os.getenv('X') }", "c.lua:1: os" .. EMPTY)
    lu.assertEquals(
        refused "return {\n a = {\n  b = function() end } }",
        "c.lua:3: a.b is a function; a configuration is plain data"
    )
    lu.assertEquals(
        refused "local t = {} t.t = t return t",
        "c.lua:1: t is a table that contains itself; a configuration is plain data"
    )
    lu.assertStrContains(refused "return {", "c.lua:1: unexpected symbol near <eof>")
end

os.exit(lu.LuaUnit.run())
