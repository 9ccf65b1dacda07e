-- The words of a runbook: every global, the fields of its libraries, the option keys of its verbs, the keys of the
-- header. One table for the sandbox's "did you mean", for `rbhost check` and for the test that compares it with
-- stdlib/meta.
local nearest = require "rt.nearest"

local M = { nearest = nearest }

local function set(text, into)
    local s = into or {}
    for w in text:gmatch("%S+") do
        s[w] = true
    end
    return s
end

local EFFECT = "timeout retry title read idempotent secret on_doubt "
local FILE = "timeout retry title "
local FILE_ACT = FILE .. "on_doubt "
local EXEC = EFFECT .. "cwd env stdin check max_output survive"
local SSH = EXEC .. " sudo connect_timeout"
local COPY = "from to timeout connect_timeout retry title on_doubt "
local WIRE = "headers query auth bearer tls unix max_body proxy connect_timeout http2 "
local HTTP = EFFECT .. WIRE .. "follow expect save "
local URL, PATH = { "a URL" }, { "a path" }
local HTTP_BODY = HTTP .. "json form multipart body"

-- Each verb that takes a literal option table: which argument it is, its keys, and whether it also has positions (a
-- list). For `rbhost check`: what stands before it (takes), keys of which one must be there (needs), values that are
-- something else here than elsewhere.
M.options = {
    exec = { arg = 2, keys = set(EXEC) },
    ["exec.sh"] = { arg = 2, keys = set(EXEC) },
    http = { arg = 1, keys = set(HTTP_BODY .. " method url"), needs = { "url" } },
    ["http.get"] = { arg = 2, takes = URL, keys = set(HTTP) },
    ["http.head"] = { arg = 2, takes = URL, keys = set(HTTP) },
    ["http.post"] = { arg = 2, takes = URL, keys = set(HTTP_BODY) },
    ["http.put"] = { arg = 2, takes = URL, keys = set(HTTP_BODY) },
    ["http.patch"] = { arg = 2, takes = URL, keys = set(HTTP_BODY) },
    ["http.delete"] = { arg = 2, takes = URL, keys = set(HTTP_BODY) },
    ["http.events"] = {
        arg = 2,
        takes = URL,
        keys = set("title timeout method json reconnect max_event last_id " .. WIRE),
    },
    ["file.read"] = { arg = 2, takes = PATH, keys = set(FILE .. "max cut secret") },
    ["file.stat"] = { arg = 2, takes = PATH, keys = set(FILE .. "follow") },
    ["file.list"] = { arg = 2, takes = PATH, keys = set(FILE .. "recursive depth glob max cut") },
    ["file.digest"] = { arg = 2, takes = PATH, keys = set(FILE) },
    ["file.write"] = { arg = 3, takes = { "a path", "a text" }, keys = set(FILE_ACT .. "mode backup create expect") },
    ["file.remove"] = { arg = 2, takes = PATH, keys = set(FILE_ACT .. "recursive missing_ok max") },
    ["file.mkdir"] = { arg = 2, takes = PATH, keys = set(FILE_ACT .. "parents mode") },
    ssh = { arg = 3, keys = set(SSH), takes = { "a host" } },
    ["ssh.each"] = { arg = 2, keys = set(SSH .. " limit fail_fast max_failures") },
    ["ssh.upload"] = {
        arg = 2,
        keys = set(COPY .. "content mode owner sudo"),
        takes = { "a host", "a table of options" },
        needs = { "from content", "to" },
    },
    ["ssh.download"] = {
        arg = 2,
        keys = set(COPY .. "max secret sudo"),
        takes = { "a host", "a table of options" },
        needs = { "from" },
    },
    step = { arg = 2, keys = set "retry timeout undo on_doubt" },
    check = { arg = 4, keys = set "acts timeout retry" },
    manual = { arg = 2, keys = set "type choices by timeout on_timeout" },
    approve = {
        arg = 1,
        list = true,
        keys = set "text by not_requester timeout on_timeout binds",
    },
    sleep = { arg = 2, takes = { "a duration" }, keys = set "title" },
    sleep_until = { arg = 2, takes = { "a time" }, keys = set "title" },
    signal = { arg = 2, takes = { "a name" }, keys = set "timeout title" },
    each = { arg = 2, keys = set "limit" },
    retry = {
        arg = 1,
        keys = set "times delay backoff max jitter on title",
        values = { max = "duration" },
    },
    shield = { arg = 2, keys = set "timeout" },
    random_secret = { arg = 2, keys = set "alphabet" },
    wait_until = { arg = 1, keys = set "title every timeout" },
    notify = {
        arg = 3,
        takes = { "a channel", "a message" },
        keys = set "timeout retry title check idempotent on_doubt",
    },
}
local SQL = EFFECT .. "max_rows max_bytes numeric script params"
M.options.sql = { arg = 2, list = true, keys = set(SQL) }
M.options["sql.open"] = { arg = 2, keys = set(EFFECT .. "max_rows max_bytes numeric attach") }
for _, name in ipairs { "query", "one", "value", "exec" } do
    M.options["db:" .. name] = M.options.sql
    M.options["tx:" .. name] =
        { arg = 1, list = true, keys = set "title timeout max_rows max_bytes numeric script secret params" }
end
M.options["db:each"] = { arg = 3, keys = set "timeout retry title max_rows max_bytes numeric batch key" }
M.options["db:backup"] = { arg = 2, keys = set "timeout retry title idempotent on_doubt" }
M.options["db:tx"] =
    { arg = 1, keys = set "title timeout attempts isolation read on_doubt exactly_once idempotent" }

-- Globals that wait: a function that Lua's C code calls back can not use them.
M.waits = set [[http http.get http.head http.post http.put http.patch http.delete http.events
    exec exec.sh sql secret ssh ssh.each ssh.upload ssh.download
    file.read file.stat file.list file.digest file.write file.remove file.mkdir
    step check checklist manual approve signal sleep sleep_until
    all settle each race timeout retry wait_until notify notify.resolve]]
-- Verbs that may change something: in a check they say read = true.
M.acts = set "exec exec.sh ssh ssh.upload http.post http.put http.patch http.delete notify notify.resolve"
M.message = set "text title severity fields dedup action" -- of notify
M.checklist = set "serial" -- keys of the table of rows
M.row = set "acts timeout retry" -- keys of one row

M.header = set "name title params allow destructive lock timeout on_failure notify env"
M.param = set "required default match min max choices of help"
M.types = set "string integer number boolean choice list map duration url host secret file"
M.allow = set "exec http ssh sql file notify"
M.notify = set "waiting in_doubt failed parked succeeded denied cancelled"

-- Globals. `true` is a function or a value, a table is a library with these fields.
M.globals = set [[
    runbook step check checklist manual approve evidence note fail skip undo settled signal memo restart_with
    now uuid env print warn sleep sleep_until all settle each race timeout retry wait_until shield secret null
    random_secret assert error getmetatable setmetatable ipairs load next pairs pcall xpcall rawequal rawget rawlen
    rawset require select tonumber tostring type collectgarbage _VERSION _G]]
M.globals.exec = set "sh"
M.globals.ssh = set "each upload download hosts"
M.globals.http = set "get head post put patch delete events"
M.globals.file = set "read stat list digest write remove mkdir"
M.globals.notify = set "resolve"
M.globals.secret = set "equal"
M.globals.sql = set "open bytes"
M.globals.json = set "encode decode object"
M.globals.base64 = set "encode decode encode_url decode_url"
M.globals.hash = set "sha256 sha512 sha1 md5"
M.globals.hmac = set "sha256 sha512 sha1 md5"
M.globals.duration = set "parse format"
M.globals.string =
    set "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper"
M.globals.table = set "concat insert move pack remove sort unpack"
M.globals.math =
    set [[abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad random
    randomseed sin sqrt tan tointeger type ult]]
M.globals.utf8 = set "char charpattern codepoint codes len offset"
M.globals.os = set "time date clock difftime"
M.globals.coroutine = set "close create isyieldable resume running status wrap yield"

-- Lua's own words that are not there, and what to do instead.
local exec_instead = "run a command with exec({ … })"
M.absent = {
    io = "use file.read(path) and file.write(path, text), or print(…) for a line in the log",
    ["os.execute"] = exec_instead,
    ["os.exit"] = "use fail(message), or return from the file",
    ["os.getenv"] = "use env(name)",
    ["os.remove"] = "use file.remove(path)",
    ["os.rename"] = exec_instead,
    ["os.tmpname"] = exec_instead .. " (mktemp)",
    ["os.setlocale"] = "the locale is always C",
    debug = "use print(…) and `rbhost log RUN`",
    package = "require finds the stdlib and files below the runbook's root",
    dofile = "use require",
    loadfile = "use require",
    ["string.dump"] = "bytecode is refused",
    lock = "it comes in a later version",
}

-- Words of Lua 5.1 and of other languages that people write from habit.
M.habits = {
    unpack = "table.unpack",
    loadstring = "load",
    setfenv = "load",
    getfenv = "load",
    module = "require",
    None = "nil",
    NULL = "nil",
    undefined = "nil",
    True = "true",
    False = "false",
    printf = "print",
    echo = "print",
    log = "print",
    confirm = "approve",
    parallel = "all",
    run = "exec",
    shell = "exec.sh",
    system = "exec.sh",
}

--- ` (did you mean "x"?)` or, when nothing is near, the known words if they are few, or nothing.
---@param word string
---@param known table<string, any>
---@param list? boolean name the known words when none is near
---@return string
function M.hint(word, known, list)
    local near = M.nearest(word, known)
    if near then
        return ("; did you mean %s?"):format(near)
    end
    if list then
        local names = {}
        for k in pairs(known) do
            names[#names + 1] = tostring(k)
        end
        table.sort(names)
        return #names > 0 and "; known: " .. table.concat(names, " ") or ""
    end
    return ""
end

--- What to say of a global that is not known: "foo", or "io.open", whose `root` is not known.
---@param name string
---@param root? string
---@return string
function M.unknown_global(name, root)
    local why = M.absent[name] or M.absent[root]
    if why then
        return ("%s is not available in a runbook: %s"):format(name, why)
    end
    local habit = M.habits[name]
    if habit then
        return ("unknown global %s; did you mean %s?"):format(name, habit)
    end
    return ("unknown global %s%s"):format(name, M.hint(name, M.globals))
end

--- The same of a field of a library.
---@param library string
---@param field string
---@return string
function M.unknown_field(library, field)
    local name = library .. "." .. field
    if M.absent[name] then
        return ("%s is not available in a runbook: %s"):format(name, M.absent[name])
    end
    local near = M.nearest(field, M.globals[library])
    return ("there is no %s%s"):format(name, near and ("; did you mean %s.%s?"):format(library, near) or "")
end

return M
