-- rt.config and what checks its parts: every key, what it may hold, what is said of what it may not, and where.
local lu = require "luaunit"
local config = require "rt.config"

-- Line 1 is `return {`, so what is given begins on line 2.
local function read(body)
    return config.read("return {\n" .. body .. "\n}", "c.lua")
end

local function wrong(body, said)
    local value, why = read(body)
    lu.assertNil(value, body)
    lu.assertEquals(why, "c.lua:2: " .. said)
end

local function good(body)
    local value, why = read(body)
    lu.assertNil(why)
    return value
end

local SECRETS = 'secrets = { pw = { file = "/pw" }, hook = { env = "HOOK" } }, '

TestConfig = {}

-- Every key that there is.
local EVERYTHING = [[
        roots = { "/srv/runbooks" }, journal = "/var/lib/j.db", env = { "HTTPS_PROXY" }, environment = "prod",
        limits = { lua_memory = "64MiB", slice_warn = "50ms", slice_max = 2, max_output = 65536, max_exec = 16,
            max_tasks = 100, park_grace = "1s", cancel_grace = "1m30s" },
        people = { ada = { user = "al", slack = "U1" } },
        dsns = { app = "sqlite:/srv/app.db", mem = "sqlite::memory:", svc = "postgres:service=x",
            pg = { dsn = "postgres://app@db/app?sslmode=require", password = { secret = "pw" }, read_only = true,
                max_connections = 4 } },
        http = { proxy = "http://proxy:3128", no_proxy = { "localhost", "*.corp" }, proxy_env = true, ca_file = "/ca",
            timeout = "30s", connect_timeout = "10s", max_connections = 64 },
        ssh = { config = "/etc/rbhost/ssh_config", connect_timeout = "10s", max_connections = 24,
            hosts = { web = { "web[01-20]", "db*" }, all = { "web", "deploy@db1:2222" } } },
        secrets = { pw = { env = "TOKEN" }, b = { file = "/path" }, c = { credential = "name" },
            d = { command = { "pass", "show", "x" } }, e = { stdin = true } },
        policy = { allow = { exec = { "git" }, http = { "https://*" }, sql = { "app" }, file = { "/srv/**" },
                notify = { "ops" } }, deny = { exec = { "rm" } },
            freeze = { { from = "2026-12-20T00:00:00Z", to = "2027-01-04T00:00:00Z", reason = "holidays",
                runbooks = { "promote*" } }, { weekly = "fri 16:00 - mon 06:00", reason = "weekend", tz = "+01:00" } },
            loopback = true, link_local = false },
        channels = { ops = { type = "slack", url = { secret = "pw" }, min_severity = "warning", fallback = "mail",
                rate = "10/1m" }, mail = { type = "email", server = "mail:587", from = "a@b.c", to = { "d@e.f" } } },
    ]]

function TestConfig.test_everything_at_once()
    good(EVERYTHING)
end

-- Whatever stands in place of whatever: it is said, with its line, and nothing of ours breaks.
function TestConfig.test_anything_in_place_of_anything()
    local check = require "rt.config_check"
    local odd = { 5, -1.5, math.huge, "", "x", "\0\n", true, false, {}, { 1 }, { "a", "b" }, { a = 1 }, { [2] = "x" } }
    table.insert(odd, { secret = 5 })
    table.insert(odd, { { {} } })
    local tried = 0
    local function each(whole, t)
        local keys = {}
        for k in pairs(t) do
            keys[#keys + 1] = k
        end
        for _, k in ipairs(keys) do
            local was = t[k]
            for i = 1, #odd do
                t[k] = odd[i]
                local ok, list = pcall(check.problems, whole)
                lu.assertTrue(ok, tostring(list))
                for _, p in ipairs(list) do
                    lu.assertIsString(p.text)
                end
                tried = tried + 1
            end
            t[k] = was
            if type(was) == "table" then
                each(whole, was)
            end
        end
    end
    local everything = load("return {" .. EVERYTHING .. "}")()
    each(everything, everything)
    lu.assertTrue(tried > 1000, tried)
    lu.assertEquals(check.problems(load("return {" .. EVERYTHING .. "}")()), {})
end

function TestConfig.test_every_problem_has_its_line()
    local _, why = config.read("return {\n rots = {},\n limits = {\n  max_exec = 0,\n  max_tasks = 'x' } }", "c.lua")
    lu.assertEquals(why, table.concat({
        "3 things are wrong:",
        "  c.lua:2: rots: unknown key; did you mean roots?",
        "  c.lua:4: limits.max_exec: got 0, expected a whole number from 1 to 1000000",
        '  c.lua:5: limits.max_tasks: got "x", expected a whole number from 1 to 1000000',
    }, "\n"))
    lu.assertEquals(select(2, config.read("local t = { 1 }\nreturn { roots = t }", "c.lua")),
        "c.lua:2: roots: got 1, expected a list of folders") -- where the table is not written out: what encloses it
    lu.assertEquals(select(2, config.read("return { 1 }", "c.lua")),
        "c.lua:1: the configuration is a table with names: return { roots = { … } }")
end

function TestConfig.test_plain_keys()
    wrong('roots = "x"', 'roots: got "x", expected a list of folders: { "…" }')
    wrong('roots = { "~/x" }', 'roots: got "~/x", expected a list of folders')
    wrong('journal = "~/j.db"', 'journal: "~/j.db": ~ is not expanded: write the whole path')
    wrong("journal = 5", "journal: got 5, expected one line of text")
    wrong('env = { "A-B" }', 'env: got "A-B", expected a list of names of environment variables')
    wrong('environment = "a b"', 'environment: got "a b", expected a word such as prod')
    wrong("people = { ada = 5 }", 'people.ada: got 5, expected a table with names: { user = "al" }')
    wrong("people = { ada = { unix = 'x' } }",
        "people.ada.unix: unknown key; known: email mattermost name slack ssh_key token user")
end

function TestConfig.test_limits()
    lu.assertEquals(good("limits = { lua_memory = '64MiB', slice_max = '1m', max_output = 7 }").limits,
        { lua_memory = 64 << 20, slice_max = 60, max_output = 7 })
    wrong("limits = { max_exce = 5 }", "limits.max_exce: unknown key; did you mean max_exec?")
    wrong("limits = { lua_memory = '64MB' }",
        'limits.lua_memory: got "64MB", expected bytes: a number, or text such as "64MiB"')
    wrong("limits = { slice_max = '5x' }",
        'limits.slice_max: got "5x", expected a duration such as "10s" or "1m30s"')
    wrong("limits = { max_tasks = 1.5 }", "limits.max_tasks: got 1.5, expected a whole number from 1 to 1000000")
end

function TestConfig.test_dsns()
    local clear = 'a password stands in clear in the DSN: write { dsn = "…", password = { secret = "name" } }'
    wrong('dsns = { a = "postgres://me:pw@db/app" }', "dsns.a: " .. clear)
    wrong('dsns = { a = "postgresql://db/app?x=1&password=pw" }', "dsns.a: " .. clear)
    wrong('dsns = { a = "postgres:host=db password=pw" }', "dsns.a: " .. clear)
    wrong('dsns = { a = { dsn = "postgres://db/app", password = "pw" } }',
        'dsns.a.password: stands here in clear: give { secret = "name" }, and the name its source in `secrets`')
    wrong(SECRETS .. 'dsns = { a = { dsn = "postgres://db/app", password = { secret = "pv" } } }',
        'dsns.a.password.secret: there is no secret "pv" in `secrets`; did you mean pw?')
    wrong('dsns = { a = { dsn = "postgres://db/app", password = {} } }',
        'dsns.a.password: expected { secret = "name" }')
    wrong('dsns = { a = { password = { secret = "pw" } }, }, ' .. SECRETS, "dsns.a: `dsn` is missing")
    wrong(SECRETS .. 'dsns = { a = { dsn = "sqlite:/x", password = { secret = "pw" } } }',
        "dsns.a: an SQLite file has no password")
    wrong('dsns = { a = { dsn = "sqlite:/x", max_connections = 2 } }', "dsns.a: max_connections is for PostgreSQL")
    wrong('dsns = { a = { dsn = "postgres:service=x", max_connections = 0 } }',
        "dsns.a.max_connections: got 0, expected a whole number from 1 to 1000")
    wrong('dsns = { a = "mysql://db/app" }',
        'dsns.a: got "mysql://db/app", expected sqlite:/path, postgres://user@host/database or postgres:service=name')
    wrong('dsns = { a = "sqlite://x" }', 'dsns.a: got "sqlite://x", expected sqlite:/path/of/the.db')
    wrong('dsns = { ["a b"] = "sqlite:/x" }', 'dsns["a b"]: a name is letters, digits, _ . and -')
    wrong('dsns = { a = { dsn = "sqlite:/x", readonly = true } }',
        "dsns.a.readonly: unknown key; did you mean read_only?")
end

function TestConfig.test_http()
    wrong('http = { proxy = "proxy" }', 'http.proxy: got "proxy", expected a URL such as http://proxy:3128')
    wrong('http = { proxy = "http://me:pw@proxy" }',
        "http.proxy: a password stands in clear in the URL: "
            .. "leave it to the environment (HTTPS_PROXY, proxy_env = true)")
    wrong('http = { no_proxy = { "http://x" } }',
        'http.no_proxy: got "http://x", expected a list of hosts such as "localhost" or "*.corp"')
    wrong("http = { max_connections = 0 }", "http.max_connections: got 0, expected a whole number from 1 to 10000")
    wrong("http = { time_out = 5 }", "http.time_out: unknown key; did you mean timeout?")
    wrong("http = { proxy_env = 1 }", "http.proxy_env: got 1, expected true or false")
end

function TestConfig.test_secrets()
    wrong('secrets = { a = "hunter2" }',
        'secrets.a: a secret stands here in clear: name where it is, as in { env = "TOKEN" } or { file = "/path" }')
    wrong('secrets = { a = { env = "A", file = "/x" } }',
        "secrets.a: expected one source: env, file, credential, command or stdin, got 2")
    wrong("secrets = { a = { command = {} } }", "secrets.a.command: the command is empty")
    wrong('secrets = { a = { credential = "../x" } }',
        'secrets.a.credential: got "../x", expected the name of a credential of systemd')
    wrong("secrets = { a = { stdin = 1 } }", "secrets.a.stdin: got 1, expected true")
    lu.assertNotStrContains(select(2, read 'secrets = { a = "hunter2" }'), "hunter2")
end

function TestConfig.test_policy()
    wrong("policy = { alow = {} }", "policy.alow: unknown key; did you mean allow?")
    wrong('policy = { allow = { exce = { "git" } } }', "policy.allow.exce: unknown key; did you mean exec?")
    wrong('policy = { deny = { http = { "evil" } } }',
        'policy.deny.http[1]: "evil": expected a URL such as "https://host/path", perhaps with methods before it')
    wrong('policy = { allow = { file = { "data" } } }', 'policy.allow.file[1]: "data": expected an absolute path')
    wrong("policy = { loopback = 'yes' }", 'policy.loopback: got "yes", expected true or false')
end

function TestConfig.test_freeze()
    local function window(body, said)
        wrong("policy = { freeze = { { reason = 'r', " .. body .. " } } }", "policy.freeze[1]" .. said)
    end
    local TIME = ', expected a time such as "2026-12-20T08:00:00Z" or "2026-12-20"'
    window("from = '2026-13-01', to = '2027-01-01'", '.from: got "2026-13-01"' .. TIME)
    window("from = 'tomorrow', to = '2027-01-01'", '.from: got "tomorrow"' .. TIME)
    window("from = '2026-12-01T25:00', to = '2027-01-01'", '.from: got "2026-12-01T25:00"' .. TIME)
    window("from = '2026-12-01'", ': expected `from` and `to`, or `weekly = "fri 16:00 - mon 06:00"`')
    window("from = '2026-12-02', to = '2026-12-01'", ": it ends (2026-12-01) before it begins (2026-12-02)")
    window("weekly = 'friday'", '.weekly: got "friday", expected a part of the week such as "fri 16:00 - mon 06:00"')
    window("weekly = 'fri 16:00 - fri 16:00'",
        '.weekly: got "fri 16:00 - fri 16:00", expected a part of the week such as "fri 16:00 - mon 06:00"')
    window("weekly = 'fri 16:00 - mon 06:00', from = '2026-12-01'",
        ": a window is either weekly or has `from` and `to`")
    window("weekly = 'fri 16:00 - mon 06:00', tz = 'CET'",
        '.tz: got "CET", expected an offset from UTC such as "+01:00" (without it: the local time of the host)')
    window("from = '2026-02-30', to = '2026-03-01'",
        '.from: got "2026-02-30", expected a time such as "2026-12-20T08:00:00Z" or "2026-12-20"')
    window("from = '2026-02-01', to = '2027-02-29'",
        '.to: got "2027-02-29", expected a time such as "2026-12-20T08:00:00Z" or "2026-12-20"')
    window("from = '2026-02-01T10:00:00+02:00', to = '2026-02-01T09:00:00+01:00'",
        ": it ends (2026-02-01T09:00:00+01:00) before it begins (2026-02-01T10:00:00+02:00)")
    window("from = '2026-02-02T00:00:00Z', to = '2026-02-02T01:00:00+01:00'",
        ": it ends (2026-02-02T01:00:00+01:00) before it begins (2026-02-02T00:00:00Z)")
    window("from = '2026-02-02T10:00', to = '2026-02-01'",
        ": it ends (2026-02-01) before it begins (2026-02-02T10:00)")
    good "policy = { freeze = { { from = '2026-02-01T10:00+02:00', to = '2026-02-01T09:00+00:00', reason = 'r' } } }"
    good "policy = { freeze = { { from = '2028-02-29', to = '2028-02-29', reason = 'r' } } }"
    wrong("policy = { freeze = { { from = '2026-12-01', to = '2026-12-02' } } }",
        "policy.freeze[1]: `reason` is missing: whoever is refused reads it")
    wrong("policy = { freeze = { from = '2026-12-01' } }",
        'policy.freeze: got a map, expected a list of windows: { { from = "…", to = "…", reason = "…" } }')
    good "policy = { freeze = { { from = '2026-12-01T10:00:30+01:00', to = '2026-12-02 10:00', reason = 'r' } } }"
end

function TestConfig.test_channels()
    local TYPES = "; known: email exec file mattermost ntfy pagerduty slack terminal webhook"
    wrong("channels = { a = {} }", "channels.a: `type` is missing" .. TYPES)
    wrong("channels = { a = { type = 'slak' } }", 'channels.a.type: got "slak"; did you mean slack?')
    wrong("channels = { a = { type = 'slack' } }", "channels.a: a channel of type slack needs `url`")
    wrong("channels = { a = { type = 'file', path = '/x', url = 'http://x' } }", "channels.a.url: unknown key; "
        .. "known: fallback min_severity on_doubt path rate timeout type")
    wrong("channels = { a = { type = 'exec', command = 'x' } }",
        'channels.a.command: got "x", expected a list of words of a command: { "…" }')
    wrong("channels = { a = { type = 'pagerduty', key = 'abc' } }",
        'channels.a.key: stands here in clear: give { secret = "name" }, and the name its source in `secrets`')
    wrong("channels = { a = { type = 'terminal', fallback = 'b' } }",
        'channels.a.fallback: there is no channel "b"; known: a')
    wrong("channels = { a = { type = 'terminal', fallback = 'a' } }",
        "channels.a.fallback: a channel can not fall back to itself")
    wrong("channels = { a = { type = 'terminal', rate = '10' } }",
        'channels.a.rate: got "10", expected a number in a time, such as "10/1m"')
    wrong("channels = { a = { type = 'terminal', min_severity = 'loud' } }",
        'channels.a.min_severity: got "loud"; known: critical debug error info warning')
    wrong("channels = { a = { type = 'email', server = 'm', from = 'x', to = 'b@c' } }",
        'channels.a.from: got "x", expected an address such as ops@example.com')
end

function TestConfig.test_settings_and_lines()
    local text = 'return {\n  roots = { "/a" },\n  policy = {\n    allow = {\n      exec = { "git" },\n    },\n  },\n}'
    lu.assertEquals(config.settings(text, "c.lua"), {
        { path = "policy.allow.exec", line = 5, value = { "git" } },
        { path = "roots", line = 2, value = { "/a" } },
    })
    lu.assertEquals(config.line(text, "c.lua", "policy.allow.exec"), 5)
    lu.assertEquals(config.line(text, "c.lua", "policy.deny.exec"), 3)
    lu.assertEquals(config.line(text, "c.lua", "nothing"), 1)
end

os.exit(lu.LuaUnit.run())
