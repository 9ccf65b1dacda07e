-- rt.ssh_names: what names a host, what ranges stand for, which words name which host.
local lu = require "luaunit"
local names = require "rt.ssh_names"

TestSplit = {}

function TestSplit.test_what_names_a_host()
    local cases = {
        { "web1", { host = "web1" } },
        { "web1.example.com", { host = "web1.example.com" } },
        { "deploy@web1", { host = "web1", user = "deploy" } },
        { "web1:2222", { host = "web1", port = 2222 } },
        { "deploy@web1:2222", { host = "web1", user = "deploy", port = 2222 } },
        { "CORP\\ada@web1", { host = "web1", user = "CORP\\ada" } },
        { "ada@corp@web1", { host = "web1", user = "ada@corp" } },
        { "192.0.2.1:22", { host = "192.0.2.1", port = 22 } },
        { "2001:db8::1", { host = "2001:db8::1" } },
        { "::1", { host = "::1" } },
        { "[::1]", { host = "::1" } },
        { "ada@[fe80::1%eth0]:2200", { host = "fe80::1%eth0", user = "ada", port = 2200 } },
        { "backup$@nas", { host = "nas", user = "backup$" } },
    }
    for _, case in ipairs(cases) do
        lu.assertEquals(names.split(case[1]), case[2], case[1])
    end
end

-- What a shell, ssh's options or its tokens could read as something else is no host.
function TestSplit.test_what_names_none()
    for _, text in ipairs {
        "", "-oProxyCommand=x", "a b", "a;b", "$(x)", "`x`", "a\nb", "a/b", "@web1", "-l@web1", "web1:", "web1:0",
        "web1:65536", "web1:999999999999", "[::1", "[::1]x", "a'b", 'a"b', "a|b", "a&b", "a\0b", "~", "*", "web*",
        ("x"):rep(256), "ada@", "a b@web1", "$USER@web1", "ä",
    } do
        lu.assertNil(names.split(text), text)
    end
end

TestRanges = {}

function TestRanges.test_what_they_stand_for()
    local cases = {
        { "web1", { "web1" } },
        { "web[1-3]", { "web1", "web2", "web3" } },
        { "web[08-11]", { "web08", "web09", "web10", "web11" } },
        { "web[8-11]", { "web8", "web9", "web10", "web11" } },
        { "db[a-c].lab", { "dba.lab", "dbb.lab", "dbc.lab" } },
        { "[1,3,7-8]", { "1", "3", "7", "8" } },
        { "r[1-2]n[a-b]", { "r1na", "r1nb", "r2na", "r2nb" } },
        { "web[a,x1]", { "weba", "webx1" } },
        { "[::1]:22", { "[::1]:22" } },
        { "ada@web[1-2]:22", { "ada@web1:22", "ada@web2:22" } },
    }
    for _, case in ipairs(cases) do
        lu.assertEquals(names.expand(case[1]), case[2], case[1])
    end
    lu.assertEquals(#names.expand "web[0001-9999]", 9999)
end

function TestRanges.test_what_is_none()
    for _, text in ipairs {
        "web[3-1]", "web[a-3]", "web[c-a]", "web[a-C]", "web[1-]", "web[,]", "web[1,,2]", "web[1-99999999999]",
        "web[1-2-3]", "a[1-200]b[1-200]", "web[0-10000]",
    } do
        local list, wrong = names.expand(text)
        lu.assertNil(list, text)
        lu.assertStrContains(wrong, " ")
    end
end

TestWords = {}

function TestWords.test_lists()
    local keep, out = names.words "web[01,03], db1  !web03,!x*\n@y"
    lu.assertEquals(keep, { "web[01,03]", "db1", "@y" })
    lu.assertEquals(out, { "web03", "x*" })
    lu.assertEquals({ names.words "" }, { {}, {} })
end

function TestWords.test_which_host_is_named()
    local function named(pattern, host)
        local target = names.split(host)
        target.name = host
        return names.any_names({ pattern }, target)
    end
    lu.assertTrue(named("web*", "web1"))
    lu.assertTrue(named("web?", "deploy@web1:22"))
    lu.assertTrue(named("deploy@*", "deploy@web1"))
    lu.assertTrue(named("deploy@web?", "deploy@web1:22"))
    lu.assertTrue(named("web[1-3]", "web2"))
    lu.assertTrue(named("web1.lab", "web1.lab"))
    lu.assertFalse(named("web1.lab", "web1xlab"))
    lu.assertFalse(named("web", "web1"))
    lu.assertFalse(named("web[1-3]", "web4"))
    lu.assertFalse(named("web%d", "web1"))
end

os.exit(lu.LuaUnit.run())
