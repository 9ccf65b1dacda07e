-- rt.header, rt.pattern: what a header may be, and what is said of what is wrong.
-- Runs with plain lua5.4 too: lua5.4 tests/lua/test_header.lua (package.path: stdlib/?.lua).
local lu = require "luaunit"
local header = require "rt.header"
local pattern = require "rt.pattern"

local function problems(spec)
    local _, list = header.capture(spec)
    return header.message(list)
end

local function lines(...)
    return "wrong header:\n  " .. table.concat({ ... }, "\n  ")
end

TestHeader = {}

function TestHeader.test_the_example_of_the_design()
    local data, list = header.capture {
        name = "promote",
        title = "Promote a release",
        params = {
            version = { "string", required = true, match = "^v%d+%.%d+%.%d+$", help = "release tag" },
            prom = { "url", default = "http://127.0.0.1:9090" },
            hosts = { "list", default = { "web1", "web2" } },
            token = { "secret" },
        },
        allow = { exec = { "git", "docker" }, http = { "http://127.0.0.1:*" }, ssh = { "web*" }, sql = { "app" } },
        lock = "promote:{prom}",
        timeout = "2h",
        on_failure = "ask",
        notify = { waiting = "ops", failed = { "ops", "mail" } },
        env = { "DEPLOY_ENV" },
    }
    lu.assertEquals(list, {})
    lu.assertEquals(data, {
        name = "promote",
        title = "Promote a release",
        params = {
            { name = "hosts", type = "list", default = { "web1", "web2" } },
            { name = "prom", type = "url", default = "http://127.0.0.1:9090" },
            { name = "token", type = "secret" },
            { name = "version", type = "string", required = true, match = "^v%d+%.%d+%.%d+$", help = "release tag" },
        },
        allow = { exec = { "git", "docker" }, http = { "http://127.0.0.1:*" }, ssh = { "web*" }, sql = { "app" } },
        lock = "promote:{prom}",
        timeout = 7200,
        timeout_text = "2h",
        on_failure = "ask",
        notify = { waiting = { "ops" }, failed = { "ops", "mail" } },
        env = { "DEPLOY_ENV" },
    })
end

function TestHeader.test_all_problems_at_once()
    lu.assertEquals(
        problems {
            nam = "x",
            title = "two\nlines",
            params = { a = { "strng" }, b = { "integer", min = 5, max = 1 } },
            timeout = "soon",
            on_failure = "aks",
        },
        lines(
            "nam: unknown key; did you mean name?",
            'title: got "two\\nlines", expected one line of text',
            'params.a: unknown type "strng"; did you mean string?',
            "params.b: min 5 is more than max 1",
            'timeout: got "soon", expected a duration such as "30m" or "2h"',
            'on_failure: got "aks"; did you mean ask?'
        )
    )
end

function TestHeader.test_what_is_no_table()
    lu.assertEquals(problems(nil), lines('got nothing, expected a table: runbook { name = "…", params = { … } }'))
    lu.assertEquals(problems "x", lines('got "x", expected a table: runbook { name = "…", params = { … } }'))
    lu.assertEquals(problems { "x" }, lines(
        "[1]: a value without a key; known: allow destructive env lock name notify on_failure params timeout title"))
    lu.assertEquals(problems { params = 3 }, lines('params: got 3, expected a table: { name = { "type", … } }'))
    lu.assertEquals(problems { params = { { "string" } } }, lines(
        'params[1]: a parameter needs a name: params = { name = { "type", … } }'))
    lu.assertEquals(problems { params = { a = "string" } },
        lines('params.a: got "string", expected { "type", … }, for example a = { "string", required = true }'))
    lu.assertEquals(problems { params = { a = { type = "string" } } },
        lines('params.a: the type comes first, without a name: { "string", … }'))
end

function TestHeader.test_functions_are_refused_everywhere()
    local f = function() end
    lu.assertEquals(
        problems { name = f, title = f, params = { a = { "string", default = f, help = f }, b = f }, allow = f,
            env = { f }, notify = { failed = f } },
        lines(
            "name: got a function, expected letters, digits and _ - . /, such as db/promote",
            "title: got a function, expected one line of text",
            "params.a.help: got a function, expected one line of text",
            "params.a.default: got a function, expected text",
            'params.b: got a function, expected { "type", … }, for example b = { "string", required = true }',
            'allow: got a function, expected a table such as { exec = { "git" } }',
            'notify.failed: got a function, expected a list of channels: { "…" }',
            "env: got a function, expected a list of names of environment variables"
        )
    )
end

function TestHeader.test_names()
    for _, good in ipairs { "promote", "db/promote", "a.b-c_d", "9" } do
        lu.assertEquals(problems { name = good }, "wrong header:")
    end
    for _, bad in ipairs { "", "/x", "x/", "a//b", "../x", "a b", "-x", "ä", "x\n", ("x"):rep(129) } do
        lu.assertStrContains(problems { name = bad }, "name: got ")
    end
    for _, bad in ipairs { "x-y", "1x", "", "a b", ("x"):rep(65) } do
        lu.assertStrContains(problems { params = { [bad] = { "string" } } }, "is not a name for a parameter")
    end
end

function TestHeader.test_entries_that_contradict_themselves()
    local function of(entry)
        return problems { params = { p = entry } }
    end
    lu.assertEquals(of { "choice" }, lines "params.p: the type choice needs choices = { … }")
    lu.assertEquals(of { "choice", choices = {} },
        lines "params.p.choices: got an empty table, expected a list of one value or more")
    lu.assertEquals(of { "choice", choices = { "a", false } },
        lines "params.p.choices: choice 2 is false, expected text or a number")
    lu.assertEquals(of { "integer", choices = { 1, "x" } },
        lines 'params.p.choices: choice 2 is "x", expected an integer')
    lu.assertEquals(of { "choice", choices = { "a", "b" }, default = "c" },
        lines 'params.p.default: got "c", expected one of a, b')
    lu.assertEquals(of { "boolean", min = 1 }, lines "params.p.min: min has no meaning for the type boolean")
    lu.assertEquals(of { "string", min = -1 }, lines "params.p.min: got -1, expected a length, 0 or more")
    lu.assertEquals(of { "integer", max = 1.5 }, lines "params.p.max: got 1.5, expected an integer")
    lu.assertEquals(of { "duration", max = "x" }, lines 'params.p.max: got "x", expected a duration such as 90s')
    lu.assertEquals(of { "duration", min = "2h", max = "30m" }, lines "params.p: min 2h is more than max 30m")
    lu.assertEquals(of { "integer", match = "%d" },
        lines "params.p.match: match is for text, not for the type integer")
    lu.assertEquals(of { "string", match = "(a" },
        lines 'params.p.match: "(a" is not a valid Lua pattern: a ( has no )')
    lu.assertEquals(of { "string", of = "integer" },
        lines "params.p.of: of is for the types list and map, not for string")
    lu.assertEquals(of { "list", of = "lsit" },
        lines('params.p.of: got "lsit", expected a type of element; '
            .. "known: boolean duration host integer number string url"))
    lu.assertEquals(of { "list", of = "integer", default = { 1, "x" } },
        lines('params.p.default: got a list of 2 (element 2 is "x"), '
            .. "expected a list (a,b,c or a JSON array), each an integer"))
    lu.assertEquals(of { "integer", required = "yes" }, lines 'params.p.required: got "yes", expected true or false')
    lu.assertEquals(of { "integer", default = 11, max = 10 },
        lines "params.p.default: got 11, expected an integer, at most 10")
    lu.assertEquals(of { "secret", default = "12345678" },
        lines "params.p.default: a secret has no default: it would stand in the file for all to read")
    lu.assertEquals(of { "string", requird = true }, lines "params.p.requird: unknown key; did you mean required?")
end

function TestHeader.test_a_default_of_false_is_kept()
    local data, list = header.capture { params = { dry = { "boolean", default = false } } }
    lu.assertEquals(list, {})
    lu.assertEquals(data.params, { { name = "dry", type = "boolean", default = false } })
end

function TestHeader.test_lock_names_parameters()
    local params = { api = { "url" }, token = { "secret" } }
    lu.assertEquals(problems { params = params, lock = "x:{api}" }, "wrong header:")
    lu.assertEquals(problems { params = params, lock = "x:{apy}" },
        lines "lock: {apy} is no parameter; did you mean api?")
    lu.assertEquals(problems { params = params, lock = "x:{token}" },
        lines "lock: {token} is a secret and can not be part of a key")
    lu.assertEquals(problems { params = params, lock = "x:{api" }, lines 'lock: a { or } stands alone in "x:{api"')
end

function TestHeader.test_allow()
    lu.assertEquals((header.capture { allow = {} }).allow, {})
    lu.assertEquals(problems { allow = { exec = "git" } },
        lines 'allow.exec: got "git", expected a list of commands: { "…" }')
    lu.assertEquals((header.capture { allow = { exec = { "git", "git status *", "/bin/*" } } }).allow,
        { exec = { "git", "git status *", "/bin/*" } })
    lu.assertEquals(problems { allow = { exce = {} } }, lines "allow.exce: unknown key; did you mean exec?")
end

function TestHeader.test_patterns_that_the_policy_could_not_understand()
    local function wrong(kind, allowed, text)
        lu.assertEquals(problems { allow = { [kind] = { allowed } } },
            lines(("allow.%s[1]: %q: %s"):format(kind, allowed, text)))
    end
    wrong("exec", " ", "it names no program")
    wrong("exec", "git ** x", "** stands for all the words that follow, so it is the last one")
    wrong("http", "example.com", 'expected a URL such as "https://host/path", perhaps with methods before it')
    wrong("http", "ftp://example.com", "its scheme is none of http, https and *")
    wrong("http", "http://me@example.com", "nothing stands before the host")
    wrong("http", "http://", "it has no host")
    wrong("http", "http://a b/", "before the URL stand methods: GET,HEAD")
    wrong("http", "http://a:x/", "its port is none: a number up to 65535, or *")
    wrong("http", "http://a%2fb/", "its host is none (letters, digits, - . and *)")
    wrong("http", "http://a/#x", "a # and what follows it is never sent")
    wrong("http", "G-T http://a/", "before the URL stand methods: GET,HEAD")
    wrong("file", "~/x", "~ is not expanded: write the whole path")
    wrong("sql", "postgres://me:pw@db/app", "a pattern holds no password: DSNs are compared without theirs")
    for _, good in ipairs { "http://*", "*://a", "GET,HEAD https://a.b:*/v1/**", "http://[::1]:80" } do
        lu.assertEquals(problems { allow = { http = { good } } }, "wrong header:")
    end
end

function TestHeader.test_destructive()
    lu.assertTrue((header.capture { destructive = true }).destructive)
    lu.assertNil((header.capture { destructive = false }).destructive)
    lu.assertEquals(problems { destructive = "yes" }, lines 'destructive: got "yes", expected true or false')
end

TestPattern = {}

function TestPattern.test_well_formed()
    for _, p in ipairs { "", "^v%d+%.%d+%.%d+$", "[]]", "[^]]", "[%]x]", "%b()", "%f[%w]", "()x%1", "(a)(b)%2",
        "a-", "[a-z%d_]*" } do
        lu.assertNil(pattern.problem(p))
    end
end

function TestPattern.test_malformed()
    local bad = { "(", ")", "[", "[]", "[^]", "%", "a%", "%b", "%b(", "%f", "%fa", "%1", "(%1)", "[%",
        ("()"):rep(33) }
    for _, p in ipairs(bad) do
        lu.assertIsString(pattern.problem(p), p)
    end
end

function TestPattern.test_agrees_with_Lua_where_Lua_looks()
    local subjects = { "", "a", "aaa()[]bbb", "x%1" }
    local alphabet = { "a", "%", "[", "]", "(", ")", "^", "-", "b", "f", "1" }
    local function try(p)
        if pattern.problem(p) == nil then
            for _, s in ipairs(subjects) do
                local ok, why = pcall(s.find, s, p)
                lu.assertTrue(ok, p .. ": " .. tostring(why))
            end
        end
    end
    for _, a in ipairs(alphabet) do
        for _, b in ipairs(alphabet) do
            for _, c in ipairs(alphabet) do
                for _, d in ipairs(alphabet) do
                    try(a .. b .. c .. d)
                end
            end
        end
    end
end

os.exit(lu.LuaUnit.run())
