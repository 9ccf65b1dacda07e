-- rt.words: what is near to what, and that stdlib/meta documents exactly the words that there are.
local lu = require "luaunit"
local words = require "rt.words"

local ROOT = debug.getinfo(1, "S").source:match "^@(.-)tests/lua/[^/]*$"

-- What the annotations declare: globals with their fields, and the fields of each class (with those that it inherits).
local function annotations()
    local globals, classes = {}, {}
    local class
    local function read(line)
        local name, parent = line:match "^%-%-%-@class rbhost%.(%w+):? ?r?b?h?o?s?t?%.?(%w*)"
        if name then
            classes[name] = {}
            class = classes[name]
            for k in pairs(classes[parent] or {}) do
                class[k] = true
            end
        end
        local field = line:match "^%-%-%-@field ([%a_][%w_]*)"
        if field then
            class[field] = true
        end
        local library, member = line:match "^function ([%w_]+)%.([%w_]+)"
        local global = line:match "^function ([%w_]+)%(" or line:match "^([%w_]+) = "
        if library then
            globals[library][member] = true
        elseif global then
            globals[global] = globals[global] or {}
        end
    end
    for _, topic in ipairs { "rbhost", "sql", "http", "ssh", "file", "notify" } do
        for line in io.lines(ROOT .. "stdlib/meta/" .. topic .. ".lua") do
            read(line)
        end
    end
    return globals, classes
end

local LUA = {}
for name in ([[assert error getmetatable setmetatable ipairs load next pairs pcall xpcall rawequal rawget rawlen
    rawset require select tonumber tostring type collectgarbage _VERSION _G string table math utf8 os
    coroutine]]):gmatch "%S+" do
    LUA[name] = true
end

TestWords = {}

function TestWords.test_nearest()
    lu.assertEquals(words.nearest("tiemout", words.globals), "timeout")
    lu.assertEquals(words.nearest("notAGlobal", words.globals), nil)
    lu.assertEquals(words.nearest("on-failure", words.header), "on_failure")
    lu.assertEquals(words.nearest("onFailure", words.header), "on_failure")
    lu.assertEquals(words.nearest("x", { y = true }), nil)
    lu.assertEquals(words.nearest(("x"):rep(1000), words.globals), nil)
    lu.assertEquals(words.nearest("b", { ab = true, ba = true }), "ab")
end

function TestWords.test_every_global_is_annotated_and_nothing_else()
    local globals = annotations()
    for name, fields in pairs(words.globals) do
        if not LUA[name] then
            lu.assertEquals(globals[name], type(fields) == "table" and fields or {}, name)
        end
    end
    for name in pairs(globals) do
        lu.assertNotNil(words.globals[name], name)
    end
end

function TestWords.test_every_option_is_annotated_and_nothing_else()
    local _, classes = annotations()
    local class_of = {
        exec = "ExecOptions",
        ["exec.sh"] = "ExecOptions",
        http = "HttpRequest",
        ["http.get"] = "HttpOptions",
        ["http.head"] = "HttpOptions",
        ["http.post"] = "HttpBodyOptions",
        ["http.put"] = "HttpBodyOptions",
        ["http.patch"] = "HttpBodyOptions",
        ["http.delete"] = "HttpBodyOptions",
        ["http.events"] = "HttpEventsOptions",
        ["file.read"] = "FileReadOptions",
        ["file.stat"] = "FileStatOptions",
        ["file.list"] = "FileListOptions",
        ["file.digest"] = "FileOptions",
        ["file.write"] = "FileWriteOptions",
        ["file.remove"] = "FileRemoveOptions",
        ["file.mkdir"] = "FileMkdirOptions",
        ssh = "SshOptions",
        ["ssh.each"] = "SshEachOptions",
        ["ssh.upload"] = "SshUploadOptions",
        ["ssh.download"] = "SshDownloadOptions",
        notify = "NotifyOptions",
        step = "StepOptions",
        check = "CheckOptions",
        manual = "Manual",
        approve = "Approve",
        sleep = "SleepOptions",
        sleep_until = "SleepOptions",
        signal = "SignalOptions",
        each = "EachOptions",
        retry = "RetryOptions",
        sql = "SqlOptions",
        ["sql.open"] = "SqlOpen",
        ["db:each"] = "EachRowOptions",
        ["db:backup"] = "BackupOptions",
        ["db:tx"] = "TxOptions",
        shield = "ShieldOptions",
        wait_until = "WaitOptions",
        random_secret = "RandomSecretOptions",
    }
    for _, name in ipairs { "query", "one", "value", "exec" } do
        class_of["db:" .. name], class_of["tx:" .. name] = "SqlOptions", "TxSqlOptions"
    end
    for verb, spec in pairs(words.options) do
        lu.assertEquals(classes[class_of[verb]], spec.keys, verb)
    end
    lu.assertEquals(classes.Header, words.header)
    lu.assertEquals(classes.Param, words.param)
    lu.assertEquals(classes.Allow, words.allow)
    lu.assertEquals(classes.Row, words.row)
    lu.assertEquals(classes.Rows, words.checklist)
end

os.exit(lu.LuaUnit.run())
