/* The sandbox as a script meets it: what is in, what is refused and in which words, and a guard for each bug of the
 * distribution's Lua (each row of the table is code and what it gives). */
#include "vm_fixture.h"

struct row {
    const char *code, *gives;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect(rows[i].code, rows[i].gives);
}

/* -- what is in ---------------------------------------------------------------------------------------------------- */

static void test_environment_is_a_list(void **state)
{
    (void)state;
    expect("local t = {} for k in pairs(_G) do t[#t + 1] = k end return table.concat(t, ' ')",
           "_G _VERSION assert base64 collectgarbage coroutine duration error getmetatable hash hmac ipairs json load "
           "math next null os pairs "
           "pcall rawequal rawget rawlen rawset require select setmetatable step string table tonumber tostring type "
           "utf8 xpcall");
    static const struct row libraries[] = {
        {"return string",
         "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper"},
        {"return table", "concat insert move pack remove sort unpack"},
        {"return os", "clock date difftime time"},
        {"return coroutine", "close create isyieldable resume running status wrap yield"},
        {"return utf8", "char charpattern codepoint codes len offset"},
        {"return math", "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi "
                        "rad random randomseed sin "
                        "sqrt tan tointeger type ult"},
        {"return json", "decode encode object"},
        {"return base64", "decode decode_url encode encode_url"},
        {"return hash", "md5 sha1 sha256 sha512"},
        {"return hmac", "md5 sha1 sha256 sha512"},
        {"return duration", "format parse"},
    };
    for (size_t i = 0; i < RB_COUNT(libraries); i++) {
        char code[256];
        snprintf(code, sizeof code,
                 "local t = {} for k in pairs((function() %s end)()) do t[#t + 1] = k end return table.concat(t, ' ')",
                 libraries[i].code);
        expect(code, libraries[i].gives);
    }
}

static void test_what_is_absent(void **state)
{
    (void)state;
    static const char *const names[] = {"io",         "debug", "package", "dofile", "loadfile",
                                        "loadstring", "print", "warn",    "arg",    "unpack"};
    for (size_t i = 0; i < RB_COUNT(names); i++) {
        char code[128], part[128];
        snprintf(code, sizeof code, "return %s", names[i]);
        snprintf(part, sizeof part, "unknown global '%s'", names[i]);
        expect_part(code, part);
    }
    static const struct row rows[] = {
        {"return os.execute, os.exit, os.getenv, os.remove, os.rename, os.tmpname, os.setlocale",
         "nil nil nil nil nil nil nil"},
        {"return string.dump, ('x').dump, coroutine.debug, math.pow", "nil nil nil nil"},
        {"return pcall(collectgarbage)",
         "false collectgarbage('collect') is not available, only collectgarbage('count')"},
        {"return pcall(collectgarbage, 'stop')",
         "false collectgarbage('stop') is not available, only collectgarbage('count')"},
        {"return math.type(collectgarbage('count'))", "float"},
    };
    check(rows, RB_COUNT(rows));
}

/* -- globals and libraries are read-only --------------------------------------------------------------------------- */

static void test_globals(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"stpe()", "lua: t.lua:1: unknown global 'stpe' (did you mean 'step'?)"},
        {"return Step", "lua: t.lua:1: unknown global 'Step' (did you mean 'step'?)"},
        {"return zzzzzzzz", "lua: t.lua:1: unknown global 'zzzzzzzz'"},
        {"return _G.stepp", "lua: t.lua:1: unknown global 'stepp' (did you mean 'step'?)"},
        {"return rawget(_G, 'stepp'), rawget(_G, 'step')", "nil 1"},
        {"count = 1", "lua: t.lua:1: assignment to undeclared global 'count': write 'local count' (a runbook has no "
                      "globals of its own)"},
        {"\nfunction helper() end", "lua: t.lua:2: assignment to undeclared global 'helper': write 'local helper' (a "
                                    "runbook has no globals of its "
                                    "own)"},
        {"step = nil", "lua: t.lua:1: global 'step' is read-only; choose another name and write 'local' before it"},
        {"_G.step = 2", "lua: t.lua:1: global 'step' is read-only; choose another name and write 'local' before it"},
        {"rawset(_G, 'step', 2)", "lua: t.lua:1: rawset: this table is read-only"},
        {"local _ENV = { step = 5 } return step", "5"},
        {"return _G._G == _G", "true"},
    };
    check(rows, RB_COUNT(rows));
}

static void test_libraries_are_read_only(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"string.format = nil", "lua: t.lua:1: string.format can not be assigned: 'string' is read-only"},
        {"json.x = 1", "lua: t.lua:1: json.x can not be assigned: 'json' is read-only"},
        {"return pcall(rawset, table, 'insert', 1)", "false rawset: this table is read-only"},
        {"return pcall(setmetatable, math, {})", "false cannot change a protected metatable"},
        {"return pcall(table.insert, os, 1)", "false 'os' is read-only"},
        {"return pcall(table.move, { 1 }, 1, 1, 1, utf8)", "false 'utf8' is read-only"},
        {"return getmetatable(string), getmetatable(''), getmetatable(_G)", "false false false"},
        {"return pcall(setmetatable, '', {})", "false bad argument #1 to 'setmetatable' (table expected, got string)"},
        /* neither pairs nor next hands out the table behind the face */
        {"local f, t, k = pairs(string) return t == string, type(f), k", "true function nil"},
        {"local n = 0 for k, f in next, string do assert(string[k] == f) n = n + 1 end return n", "16"},
        {"return next(string)", "byte function"},
        {"local f, s = pairs(string) return pcall(rawset, s, 'rep', 1)", "false rawset: this table is read-only"},
        {"return ('x'):rep(3), ('%d'):format(7), ('abc'):upper(), #'abc'", "xxx 7 ABC 3"},
        {"return '10' + 1, '3' * '4', -'2', 10 .. ''", "11 12 -2 10"},
    };
    check(rows, RB_COUNT(rows));
}

/* -- the same in every process ------------------------------------------------------------------------------------- */

static void test_order(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"local t, out = { b = 1, a = 1, [3] = 1, [1] = 1, [2.5] = 1, [-7] = 1, [true] = 1, [false] = 1, aa = 1, [''] "
         "= 1, A = 1 }, {}\n"
         "for k in pairs(t) do out[#out + 1] = tostring(k) end return table.concat(out, ',')",
         "-7,1,2.5,3,,A,a,aa,b,false,true"},
        {"local t, out = { b = 1, a = 1, [3] = 1, [1] = 1, [2.5] = 1, [true] = 1 }, {}\n"
         "local k = next(t) while k ~= nil do out[#out + 1] = tostring(k) k = next(t, k) end return table.concat(out, "
         "',')",
         "1,2.5,3,a,b,true"},
        {"local t = { [math.maxinteger] = 1, [2^63] = 2, [math.mininteger] = 3, [-2^63 * 2] = 4, [math.maxinteger - 1] "
         "= 5, [1/0] = 6, [0.5] = 7 }\n"
         "local out = {} for _, v in pairs(t) do out[#out + 1] = v end return table.concat(out, ',')",
         "4,3,7,5,1,2,6"},
        {"local t = { ['\\0b'] = 1, ['\\0a'] = 2, ['\\xff'] = 3, z = 4 } local out = {} for _, v in pairs(t) do "
         "out[#out + 1] = v end\n"
         "return table.concat(out, ',')",
         "2,1,4,3"},
        {"for k in pairs { [{}] = 1 } do end",
         "lua: t.lua:1: pairs: a key is a table, and such keys have no order that is the same on replay; keep a "
         "list, or use a name as the key"},
        /* what a walk may do to its table */
        {"local t = { a = 1, b = 2, c = 3 } local out = {} for k in pairs(t) do t.b = nil t.d = 4 out[#out + 1] = k "
         "end return table.concat(out)",
         "ac"},
        {"local t = { 1, 2, 3, 4 } local s = 0 for i, v in pairs(t) do t[3] = nil t[5] = 9 s = s * 10 + v end return s",
         "124"},
        {"local t = { x = 1, y = 2 } for k in pairs(t) do t[k] = nil end return next(t)", "nil"},
        {"local t = {} for i = 1, 500 do t['k' .. i] = i end local k, n = next(t), 0\n"
         "while k do t[k] = nil n = n + 1 k = next(t, k) end return n, next(t)",
         "500 nil"},
        {"local t = { a = 1, c = 3 } local k = next(t, 'a') t.b = 2 return k, next(t, 'a'), next(t, 'b'), next(t, "
         "'zz')",
         "c b c nil"},
        {"local f, t = pairs { a = 1, b = 2, c = 3 } return f(t, 'b'), f(t), f(t, 'a')", "c a b 2"},
        {"local t = setmetatable({}, { __pairs = function(x) return function(_, k) if not k then return 'p', 1 end "
         "end, x end })\n"
         "local out = {} for k, v in pairs(t) do out[#out + 1] = k .. v end return table.concat(out)",
         "p1"},
        {"return pcall(pairs)", "false bad argument #1 to 'pairs' (value expected)"},
        {"for k in pairs(nil) do end", "lua: t.lua:1: bad argument #1 to 'for iterator' (table expected, got nil)"},
        {"for i, v in ipairs { 5, 6, nil, 7 } do assert(i < 3) end return next {}", "nil"},
        /* text of objects */
        {"return tostring {}, tostring(pairs), tostring(coroutine.create(pairs)), tostring(null)",
         "table function thread null"},
        {"return string.format('%s %s %5.2s|', {}, pairs, 'abc'), #tostring(setmetatable({}, { __name = 'kind' }))",
         "table function    ab| 4"},
        {"return pcall(string.format, '%p', {})",
         "false string.format: '%p' is not available: addresses differ from process to process"},
        {"return pcall(string.format, '%d %p', 1, 1)",
         "false string.format: '%p' is not available: addresses differ from process to process"},
        {"return tostring(setmetatable({}, { __tostring = function() return 'me' end }))", "me"},
        {"return pcall(tostring, setmetatable({}, { __tostring = function() return 1 end }))", "true 1"},
        {"return pcall(tostring, setmetatable({}, { __tostring = function() return {} end }))",
         "false '__tostring' must return a string"},
        /* records */
        {"return os.time(), os.difftime(5, 3)", "1700000000 2.0"},
        {"return pcall(os.clock)", "false the time is only available inside a run"},
        {"math.randomseed(42) local a = math.random(0) math.randomseed(42) return a == math.random(0), "
         "pcall(math.random, 2, 1)",
         "true false bad argument #2 to 'math.random' (interval is empty)"},
    };
    check(rows, RB_COUNT(rows));
    expect_part("return pcall(next, { [next] = 1 })", "next: a key is a function");
}

/* Forty states, forty hash seeds, one path. */
static void test_every_state_takes_the_same_path(void **state)
{
    (void)state;
    static const char code[] =
        "local t, out = {}, {}\n"
        "for i = 1, 300 do t['key' .. i * 7919 % 1009] = i t[i * 31 % 97 + 0.5] = i end\n"
        "for k, v in pairs(t) do out[#out + 1] = tostring(k) .. v if v % 3 == 0 then t[k] = nil end end\n"
        "for k in next, t do out[#out + 1] = tostring(k) end\n"
        "local s = {} for i = 1, 200 do s[i] = { i % 3, i } end table.sort(s, function(a, b) return a[1] < b[1] end)\n"
        "for i, v in ipairs(s) do out[#out + 1] = v[2] end\n"
        "out[#out + 1] = tostring(t) .. tostring(pairs) .. math.random(1 << 40) .. os.time() .. select(2, pcall(load "
        "'stpe()'))\n"
        "out[#out + 1] = json.encode { z = 1, y = { x = 1, w = 2 } }\n"
        "return hash.sha256(table.concat(out, ' '))";
    char first[FIXTURE_TEXT] = "";
    for (int i = 0; i < 40; i++) {
        struct rb_vm vm;
        struct rb_buf out;
        rb_buf_init(&out, FIXTURE_TEXT);
        open_vm(&vm, NULL);
        assert_true(run_lua(&vm, code, &out));
        if (i == 0)
            snprintf(first, sizeof first, "%s", rb_buf_text(&out));
        assert_string_equal(rb_buf_text(&out), first);
        rb_buf_release(&out);
        rb_vm_close(&vm);
    }
}

/* math.random: Lua's numbers for the same seed. */
static void test_random_is_luas(void **state)
{
    (void)state;
    static const char code[] =
        "math.randomseed(11, 22) local t = {} for i = 1, 200 do t[#t + 1] = math.random(0) t[#t + 1] = math.random(i * "
        "7)\n"
        "t[#t + 1] = math.random(-i, i) t[#t + 1] = math.random(math.mininteger, math.maxinteger - i)\n"
        "t[#t + 1] = string.format('%a', math.random()) end return table.concat(t, ' ')";
    lua_State *real = luaL_newstate();
    luaL_openlibs(real);
    assert_int_equal(luaL_dostring(real, code), LUA_OK);
    expect(code, lua_tostring(real, -1));
    lua_close(real);
    expect("local t = {} for i = 1, 3 do t[i] = math.random(0) end math.randomseed(11, 22) for i = 1, 3 do assert(t[i] "
           "== math.random(0)) end return 1",
           "1");
}

static void test_sort(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"local t = { 3, 1, 2 } table.sort(t) return table.concat(t, ' ')", "1 2 3"},
        {"local t = { 'b', 'a', 'B' } table.sort(t, function(a, b) return a > b end) return table.concat(t, ' ')",
         "b a B"},
        {"local t = {} for i = 1, 500 do t[i] = { i % 7, i } end table.sort(t, function(a, b) return a[1] < b[1] end)\n"
         "for i = 2, 500 do local a, b = t[i - 1], t[i] assert(a[1] < b[1] or a[1] == b[1] and a[2] < b[2]) end return "
         "'stable'",
         "stable"},
        {"local t = { 1, 1.0, 1 } table.sort(t) return table.concat(t, ' ')", "1 1.0 1"},
        {"return pcall(table.sort, { 1, 'x' })", "false attempt to compare string with number"},
        {"return pcall(table.sort, { {}, {} })", "false attempt to compare two table values"},
        {"return pcall(table.sort, { 2, 1 }, 5)",
         "false bad argument #2 to 'table.sort' (function expected, got number)"},
        {"return pcall(table.sort, 5)", "false bad argument #1 to 'table.sort' (table expected, got number)"},
        {"local t = { 3, 1, 2 } local ok, e = pcall(table.sort, t, function() error('no', 0) end) return ok, e, "
         "table.concat(t, ' ')",
         "false no 3 1 2"},
        {"local t = {} for i = 1, 300 do t[i] = i * 7919 % 301 end table.sort(t, function() return true end) return #t",
         "300"},
        {"local t = {} for i = 1, 300 do t[i] = i * 7919 % 301 end table.sort(t) for i = 2, 300 do assert(t[i - 1] <= "
         "t[i]) end return #t",
         "300"},
        {"local t = {} for i = 1, 300 do t[i] = 'k' .. i * 7919 % 301 end table.sort(t) for i = 2, 300 do assert(t[i - "
         "1] < t[i]) end return #t",
         "300"},
        {"local m = { __lt = function(a, b) return a.v < b.v end } local t = {} for i, v in ipairs { 3, 1, 2 } do t[i] "
         "= setmetatable({ v = v }, m) end\n"
         "table.sort(t) return t[1].v, t[2].v, t[3].v",
         "1 2 3"},
        {"local t = { 2, 0/0, 1 } table.sort(t) return #t", "3"},
    };
    check(rows, RB_COUNT(rows));
}

static void test_holes(void **state)
{
    (void)state;
#define HOLE(f, at) \
    "lua: t.lua:1: table." f ": the list has a hole: there is no element " at \
    " but a later one (keep null in its place, or count yourself)"
    static const struct row rows[] = {
        {"local t = { 1, 2, 3 } t[5] = 5 table.insert(t, 4)", HOLE("insert", "4")},
        {"local t = { 1, nil, 3 } table.insert(t, 1, 0)", HOLE("insert", "2")},
        {"local t = {} for i = 1, 5 do table.insert(t, i) end t[2] = nil table.remove(t)", HOLE("remove", "2")},
        {"local t = { 1, nil, 3 } local x = table.concat(t)", HOLE("concat", "2")},
        {"local t = { nil, nil, 3 } local x = table.unpack(t)", HOLE("unpack", "1")},
        {"local t = { 1, nil, 3 } table.sort(t)", HOLE("sort", "2")},
        {"local t = {} for i = 1, 1000 do t[i] = i end t[500] = nil table.sort(t)", HOLE("sort", "500")},
        {"return table.unpack({ 1, nil, 3 }, 1, 3)", "1 nil 3"},
        {"return table.concat({ 1, 2, nil, 4 }, ',', 1, 2)", "1,2"},
        {"local t = table.pack(1, nil, 3) return t.n, table.unpack(t, 1, t.n)", "3 1 nil 3"},
        {"local t = {} for i = 1, 300 do table.insert(t, i) end for i = 1, 100 do t[#t] = nil end for i = 1, 7 do "
         "table.insert(t, i) end\n"
         "return #t, table.remove(t), table.remove(t, 1), #t, t[1], t[205]",
         "207 7 1 205 2 6"},
        {"local t = { n = 3, x = 1, 5, 6 } table.insert(t, 7) return #t, t[3], table.remove(t, 1), #t", "3 7 5 2"},
        {"return table.remove {}, #table.pack(), table.remove({}, 0), pcall(table.remove, { 1 }, 5)",
         "nil 0 nil false bad argument #2 to 'table.remove' (position out of bounds)"},
        {"return pcall(table.insert, { 1 }, 5, 1)", "false bad argument #2 to 'table.insert' (position out of bounds)"},
        {"return pcall(table.insert, { 1 })", "false wrong number of arguments to 'insert'"},
        {"return pcall(table.concat, { 1, {} })", "false invalid value (at index 2) in table for 'concat'"},
        {"local t = setmetatable({}, { __len = function() return 2 end, __index = function(_, i) return i * 10 end }) "
         "return table.concat(t, ' ')",
         "10 20"},
        {"return table.concat(table.move({ 1, 2, 3, 4 }, 2, 4, 1), ' '), table.concat(table.move({ 1, 2, 3 }, 1, 3, "
         "2), ' ')",
         "2 3 4 4 1 1 2 3"},
    };
    check(rows, RB_COUNT(rows));
}

/* -- metatables, loading ------------------------------------------------------------------------------------------- */

static void test_metatables(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"setmetatable({}, { __gc = function() while true do end end })",
         "lua: t.lua:1: setmetatable: '__gc' is not available: when it runs depends on the collector; use a "
         "to-be-closed variable (local x <close> = …)"},
        {"setmetatable({}, { __mode = 'k' })",
         "lua: t.lua:1: setmetatable: '__mode' is not available: what a weak table holds depends on the collector"},
        {"local t = setmetatable({}, { __metatable = 'mine' }) return getmetatable(t), pcall(setmetatable, t, {})",
         "mine false cannot change a protected metatable"},
        {"return pcall(setmetatable, {}, 1)",
         "false bad argument #2 to 'setmetatable' (nil or table expected, got number)"},
        {"return pcall(setmetatable, 1, {})", "false bad argument #1 to 'setmetatable' (table expected, got number)"},
        {"local t = setmetatable({}, { __index = { a = 1 } }) return t.a, getmetatable(setmetatable(t, nil))", "1 nil"},
        /* a finaliser that comes later is none */
        {"local mt = {} local t = setmetatable({}, mt) local ran mt.__gc = function() ran = true end t = nil\n"
         "for i = 1, 200000 do local x = {} end return ran",
         "nil"},
        /* a mode that comes later makes nothing weak */
        {"local mt = {} local t = setmetatable({}, mt) mt.__mode = 'kv' for i = 1, 10 do t[i] = {} end\n"
         "for i = 1, 300000 do local x = {} end return #t, mt.__mode, rawget(mt, '__mo' .. 'de')",
         "10 kv kv"},
        {"return ({ __mode = 1 }).__mode, #'__mode', '__mode' == '__' .. 'mode'", "1 6 true"},
    };
    check(rows, RB_COUNT(rows));
}

static void test_load(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"return load('return 1 + 1')()", "2"},
        {"return load('return step')()", "1"},
        {"return pcall(load('x = 1'))", "false [string \"x = 1\"]:1: assignment to undeclared global 'x': write 'local "
                                        "x' (a runbook has no globals of its "
                                        "own)"},
        {"return load('x = 1 return x, step', 'c', 't', {})()", "1 nil"},
        {"return load('\\27Lua')", "nil attempt to load a binary chunk (mode is 't')"},
        {"return load('\\27Lua', 'c', 'b')", "nil attempt to load a binary chunk (mode is 't')"},
        {"return load('return 1', 'c', 'b')", "nil attempt to load a text chunk (mode is 'b')"},
        {"return load('return', '=x')", "function"},
        {"return load('x =', '=x')", "nil x:1: unexpected symbol near <eof>"},
        {"local parts = { 'return ', '40', '+2' } local i = 0 return load(function() i = i + 1 return parts[i] end)()",
         "42"},
        {"return pcall(load, function() return 1 end)", "false reader function must return a string"},
        {"return pcall(load, 'return 1', 'c', 't', 5)", "false bad argument #4 to 'load' (table expected, got number)"},
        {"return pcall(load, 'return 1', '@stdlib/rt/x.lua')",
         "false bad argument #2 to 'load' (this name is the stdlib's)"},
        {"return pcall(load, {})", "false bad argument #1 to 'load' (function expected, got table)"},
    };
    check(rows, RB_COUNT(rows));
}

static int find_module(void *arg, const char *name, struct rb_buf *text, char chunkname[256], struct rb_err *err)
{
    static const struct row files[] = {
        {"good", "#!shebang\nlocal M = ... return { name = M, f = function() error('deep') end }"},
        {"a", "return require 'b'"},
        {"b", "return require 'c'"},
        {"c", "return require 'a'"},
        {"bad", "x x"},
        {"fails", "error('inside', 0)"},
        {"nothing", "local x"},
        {"forever", "while true do end"},
    };
    (*(int *)arg)++;
    if (strcmp(name, "refused") == 0)
        return rb_err_set(err, RB_EDENIED, "is a symlink out of the root");
    for (size_t i = 0; i < RB_COUNT(files); i++) {
        if (strcmp(files[i].code, name) != 0)
            continue;
        rb_buf_adds(text, files[i].gives);
        snprintf(chunkname, 256, "@lib/%s.lua", name);
        return 1;
    }
    return 0;
}

static void test_require(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"local m = require 'good' return m.name, m == require 'good'", "good true"},
        {"local m = require 'good' return pcall(m.f)", "false lib/good.lua:2: deep"},
        {"return require 'nothing'", "true"},
        {"require 'a'", "lua: lib/c.lua:1: modules require each other: a requires b requires c requires a"},
        {"return pcall(require, 'bad')", "false require 'bad': lib/bad.lua:1: syntax error near 'x'"},
        {"return pcall(require, 'fails'), pcall(require, 'fails')", "false false inside"},
        {"return pcall(require, 'refused')", "false require 'refused': is a symlink out of the root"},
        {"return pcall(require, 'missing.one')",
         "false module 'missing.one' not found: neither in the stdlib nor below the runbook's root"},
        {"return pcall(require, 'rt/header')",
         "false module 'rt/header' not found: neither in the stdlib nor below the runbook's root"},
        {"return pcall(require)", "false bad argument #1 to 'require' (string expected, got no value)"},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        int asked = 0;
        struct rb_vm_options opt = {.hooks = {.find_module = find_module, .arg = &asked}};
        expect_with(&opt, rows[i].code, rows[i].gives);
        if (i == 0)
            assert_int_equal(asked, 1); /* once a VM */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment_is_a_list),
        cmocka_unit_test(test_what_is_absent),
        cmocka_unit_test(test_globals),
        cmocka_unit_test(test_libraries_are_read_only),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_every_state_takes_the_same_path),
        cmocka_unit_test(test_random_is_luas),
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_metatables),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_require),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
