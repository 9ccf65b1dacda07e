-- rt.params and the types below it: what is accepted for each type, what it becomes, and what is said of what is not.
local lu = require "luaunit"
local header = require "rt.header"
local params = require "rt.params"
local scalars = require "rt.scalars"

-- A decoder that knows the three texts of this file: the host's is jansson.
local JSON = {
    ["[1, 2]"] = { 1, 2 },
    ['["a,b", "c"]'] = { "a,b", "c" },
    ['{"a": "x=y"}'] = { a = "x=y" },
}
local function json(text)
    return JSON[text] or error("line 1, column 2: wrong")
end

local function list_of(spec)
    local data, problems = header.capture { params = spec }
    lu.assertEquals(problems, {})
    return data.params
end

-- The value that `raw` gives for one parameter, or the problem.
local function try(entry, raw)
    local values, problems = params.resolve(list_of { p = entry }, { p = raw }, json)
    if #problems > 0 then
        lu.assertEquals(#problems, 1)
        lu.assertNil(values.p)
        return { bad = problems[1].text }
    end
    return values.p
end

local function accepts(entry, cases)
    for _, case in ipairs(cases) do
        local got = try(entry, case[1])
        lu.assertEquals(got, case[2])
        lu.assertEquals(math.type(got), math.type(case[2]))
    end
end

local function refuses(entry, raws, text)
    for _, raw in ipairs(raws) do
        local got = try(entry, raw)
        lu.assertIsTable(got, tostring(raw))
        lu.assertIsString(got.bad, tostring(raw))
        if text then
            lu.assertStrContains(got.bad, text)
        end
    end
end

TestTypes = {}

function TestTypes.test_string()
    accepts({ "string" }, { { "", "" }, { "a\nb", "a\nb" }, { "ä", "ä" }, { "1", "1" } })
    refuses({ "string" }, { 1, true, {} }, "expected text")
    refuses({ "string" }, { "a\0b" }, "it has a NUL byte")
    refuses({ "string" }, { "\xff" }, 'got "\\xff" (it is not UTF-8), expected text')
    accepts({ "string", min = 2, max = 3 }, { { "äö", "äö" }, { "abc", "abc" } })
    refuses({ "string", min = 2, max = 3 }, { "a", "abcd", "äöüß" }, "expected text, 2 to 3 characters")
    accepts({ "string", match = "^v%d+$" }, { { "v1", "v1" } })
    refuses({ "string", match = "^v%d+$" }, { "v", "xv1", "v1\n" }, "expected text that matches ^v%d+$")
    refuses({ "string", choices = { "a", "b" } }, { "c", "" }, "expected one of a, b")
end

function TestTypes.test_integer()
    accepts({ "integer" }, { { "42", 42 }, { "-7", -7 }, { "+7", 7 }, { "007", 7 }, { 5, 5 }, { 5.0, 5 },
        { "9223372036854775807", math.maxinteger },
        { "-9223372036854775808", math.mininteger } })
    refuses({ "integer" }, { "", " 1", "1 ", "1.0", "1e3", "0x10", "1_000", "one", 1.5, true, {}, 0 / 0, math.huge,
        2 ^ 63 }, "expected an integer")
    refuses({ "integer" }, { "9223372036854775808" },
        'got "9223372036854775808" (it does not fit into 64 bits), expected an integer')
    refuses({ "integer", min = 1, max = 10 }, { "0", "11", 0, 11 }, "expected an integer, 1 to 10")
    refuses({ "integer", min = 1 }, { "0" }, "expected an integer, at least 1")
    refuses({ "integer", max = 1 }, { "2" }, "expected an integer, at most 1")
    accepts({ "integer", choices = { 1, 2 } }, { { "2", 2 }, { 1, 1 } })
    refuses({ "integer", choices = { 1, 2 } }, { "3" }, "expected one of 1, 2")
end

function TestTypes.test_number()
    accepts({ "number" }, { { "1.5", 1.5 }, { "3", 3 }, { "-2e3", -2000.0 }, { ".5", 0.5 }, { 0.25, 0.25 }, { 3,
        3 } })
    refuses({ "number" }, { "", "x", "nan", "inf", "1e400", "0x1p4", "1,5", "--1", ".", true, 0 / 0, math.huge,
        -math.huge }, "expected a number")
    refuses({ "number", min = 0, max = 1 }, { "1.01", -0.5 }, "expected a number, 0 to 1")
end

function TestTypes.test_boolean()
    accepts({ "boolean" }, { { "true", true }, { "false", false }, { "yes", true }, { "NO", false }, { "on", true },
        { "off", false },
        { "1", true }, { "0", false }, { true, true }, { false, false } })
    refuses({ "boolean" }, { "", "2", "maybe", 1, 0, {} }, "expected true or false")
end

function TestTypes.test_choice()
    accepts({ "choice", choices = { "blue", "green", 3 } }, { { "blue", "blue" }, { "3", 3 }, { 3, 3 } })
    refuses({ "choice", choices = { "blue", "green" } }, { "Blue", "", "blue ", {}, true },
        "expected one of blue, green")
end

function TestTypes.test_list()
    accepts({ "list" }, { { "a,b", { "a", "b" } }, { " a , b ", { "a", "b" } }, { "", {} }, { " ", {} }, { "a",
        { "a" } }, { { "x" }, { "x" } }, { {}, {} },
        { '["a,b", "c"]', { "a,b", "c" } } })
    accepts({ "list" }, {
        { "web[01,03]", { "web[01,03]" } },
        { "web[01,03], db[1-2,[4,5]],x", { "web[01,03]", "db[1-2,[4,5]]", "x" } },
        { "a[,b", { "a[", "b" } },
        { "a],b[", { "a]", "b[" } },
    })
    refuses({ "list" }, { "a,,b" }, 'got "a,,b" (element 2 is empty), expected a list (a,b,c or a JSON array)')
    refuses({ "list" }, { "," }, "element 1 is empty")
    refuses({ "list" }, { "[1" }, "it is not valid JSON")
    refuses({ "list" }, { 1, true, { a = 1 }, { 1, nil, 3 } }, "expected a list")
    accepts({ "list", of = "integer" }, { { "1,2", { 1, 2 } }, { "[1, 2]", { 1, 2 } } })
    refuses({ "list", of = "integer" }, { "1,x" },
        'got "1,x" (element 2 is "x"), expected a list (a,b,c or a JSON array), each an integer')
    refuses({ "list", min = 1, max = 2 }, { "", "a,b,c" }, "1 to 2 elements")
    refuses({ "list", choices = { "a", "b" } }, { "a,c" }, 'element 2 is "c"')
    refuses({ "list", match = "^w%d$" }, { "w1,x" }, "each text that matches ^w%d$")
end

function TestTypes.test_map()
    accepts({ "map" }, { { "a=1,b=2", { a = "1", b = "2" } }, { "", {} }, { "a=", { a = "" } }, { "a=x=y",
        { a = "x=y" } }, { " a = 1 ", { a = "1" } },
        { '{"a": "x=y"}', { a = "x=y" } }, { { a = "1" }, { a = "1" } } })
    accepts({ "map", of = "integer" }, { { "a=1", { a = 1 } } })
    refuses({ "map", of = "integer" }, { "a=1,b=x" }, 'b is "x"')
    refuses({ "map" }, { "a" }, '"a" is not key=value')
    refuses({ "map" }, { "=1" }, '"=1" is not key=value')
    refuses({ "map" }, { "a=1,a=2" }, "a is there twice")
    refuses({ "map" }, { "{", 1, { "x" } }, "expected a map")
    refuses({ "map", max = 1 }, { "a=1,b=2" }, "at most 1 entries")
end

function TestTypes.test_duration()
    accepts({ "duration" }, { { "90s", "90s" }, { "1h30m", "1h30m" }, { "500ms", "500ms" }, { "1.5h", "1.5h" },
        { "2w", "2w" }, { "90", 90 }, { 90, 90 },
        { 0.5, 0.5 }, { "0", 0 }, { "1h 30m", "1h 30m" } })
    refuses({ "duration" }, { "", "s", "1x", "1h1h", "30m1h", "-5s", "1.s", "1h ", " 1h", -1, true, {}, 0 / 0,
        "1e3s", "9999999999999w" }, "expected a duration")
    refuses({ "duration", min = "10s", max = "1h" }, { "9s", "61m", 3601, 9 },
        "expected a duration such as 90s or 1h30m, 10s to 1h")
    lu.assertEquals(scalars.seconds "1d2h3m4s5ms", 86400 + 7200 + 180 + 4.005)
end

function TestTypes.test_url()
    accepts({ "url" }, { { "http://127.0.0.1:9090", "http://127.0.0.1:9090" }, { "https://a.b/c?d=e#f",
        "https://a.b/c?d=e#f" },
        { "http://[::1]:80/x", "http://[::1]:80/x" }, { "postgres://u@db/app", "postgres://u@db/app" },
            { "ssh+git://h", "ssh+git://h" } })
    refuses({ "url" }, { "", "foo", "http:/x", "http://", "http:///x", "://x", "http://a b", "http://a:b",
        "http://a:", "http://a:99999", "http://-a",
        "http://a/\n", "1http://a", 5, "http://[::1" }, "expected a URL such as https://host/path")
end

function TestTypes.test_host()
    accepts({ "host" }, { { "web1", "web1" }, { "db_1.example.org", "db_1.example.org" }, { "10.0.0.1",
        "10.0.0.1" }, { "::1", "::1" },
        { "fe80::1%eth0", "fe80::1%eth0" }, { "[2001:db8::1]", "[2001:db8::1]" }, { "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8" } })
    refuses({ "host" }, { "", "-x", "a..b", ".a", "a.", "a b", "a/b", "a:80", "u@h", "256.0.0.1", "1.2.3", ":::",
        "1::2::3", "12345::", ("a"):rep(64),
        ("a."):rep(130) .. "a", 5 }, "expected a host name or an IP address")
end

function TestTypes.test_file()
    accepts({ "file" }, { { "a.txt", "a.txt" }, { "/x y", "/x y" } })
    refuses({ "file" }, { "", 5 }, "expected the path of a file")
end

function TestTypes.test_secret_is_never_shown()
    accepts({ "secret" }, { { "12345678", "12345678" }, { "\xff\0\xffxxxxx", "\xff\0\xffxxxxx" } })
    refuses({ "secret" }, { "hunter2" }, "got a secret (it has 7 bytes), expected a secret, at least 8 bytes")
    refuses({ "secret", match = "^tok_" }, { "hunter2hunter2" },
        "got a secret, expected a secret that matches ^tok_, at least 8 bytes")
    refuses({ "secret", min = 4, max = 9 }, { "1234567", "1234567890" }, "8 to 9 bytes")
    for _, raw in ipairs { "hunter2", 1234567, { "hunter2" } } do
        local text = try({ "secret" }, raw).bad
        lu.assertNotStrContains(text, "hunter2")
        lu.assertNotStrContains(text, "1234567")
    end
end

TestResolve = {}

function TestResolve.test_all_problems_in_one_message()
    local list = list_of {
        version = { "string", required = true, match = "^v%d+%.%d+%.%d+$", help = "release tag" },
        prom = { "url", default = "http://127.0.0.1:9090" },
        batch = { "integer", min = 1, max = 10, default = 3 },
        api = { "url", required = true },
    }
    local values, problems = params.resolve(list, { version = "1.2", batch = "11", verison = "v1.2.3",
        ["x y"] = "1" }, json)
    lu.assertEquals(params.message(problems), table.concat({
        "bad parameters:",
        "  api: missing, expected a URL such as https://host/path",
        '  batch: got "11", expected an integer, 1 to 10',
        '  version: got "1.2", expected text that matches ^v%d+%.%d+%.%d+$ (release tag)',
        "  verison: unknown parameter; did you mean version?",
        "  x y: unknown parameter; known: api batch prom version",
    }, "\n"))
    lu.assertEquals(values, { prom = "http://127.0.0.1:9090" })
end

function TestResolve.test_defaults_and_null()
    local null = io.stdout -- any userdata: the host's is a light one
    local list = list_of { a = { "string", default = "x" }, b = { "boolean", default = false }, c = { "integer" },
        d = { "list", default = {} } }
    local values, problems = params.resolve(list, { a = null, c = null }, json)
    lu.assertEquals(problems, {})
    lu.assertEquals(values, { a = "x", b = false, d = {} })
end

function TestResolve.test_no_parameters()
    local _, problems = params.resolve({}, { x = "1" }, json)
    lu.assertEquals(params.message(problems), "bad parameter:\n  x: unknown parameter; this runbook takes none")
end

function TestResolve.test_a_long_message_says_how_many_more()
    local given = {}
    for i = 1, 100 do
        given[("p%03d"):format(i)] = "1"
    end
    local _, problems = params.resolve({}, given, json)
    local text = params.message(problems, 300)
    lu.assertTrue(#text < 400)
    lu.assertStrContains(text, "  … and 95 more")
end

function TestResolve.test_schema()
    local schema = params.schema(list_of {
        n = { "integer", min = 1, max = 10, required = true, help = "how many" },
        hosts = { "list", of = "host", min = 1, default = { "a" } },
        env = { "choice", choices = { "a", "b" }, required = true, default = "a" },
        t = { "secret" },
    })
    lu.assertEquals(schema, {
        type = "object",
        additionalProperties = false,
        required = { "n" },
        properties = {
            n = { type = "integer", minimum = 1, maximum = 10, description = "how many" },
            hosts = { type = "array", items = { type = "string" }, minItems = 1, default = { "a" } },
            env = { enum = { "a", "b" }, default = "a" },
            t = { type = "string", minLength = 8, writeOnly = true },
        },
    })
    lu.assertEquals(params.schema {}, { type = "object", additionalProperties = false })
end

os.exit(lu.LuaUnit.run())
