/* The sandbox's find, match, gmatch and gsub against Lua's own: same results, same error texts, on a generated
 * corpus. */
#include "vm_fixture.h"

#ifdef RB_GCSTRESS
enum { PAIRS = 500 };
#else
enum { PAIRS = 200000 };
#endif

static uint32_t seed = 20261122;

static uint32_t draw(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* Gives one text for everything that the four functions do with a pattern, a subject, a replacement and a start. */
static const char probe[] =
    "local show\n"
    "local function list(...)\n"
    "    local t = { n = select('#', ...), ... }\n"
    "    for i = 1, t.n do t[i] = show(t[i]) end\n"
    "    return table.concat(t, ',')\n"
    "end\n"
    "function show(v) return type(v) == 'string' and string.format('%q', v) or math.type(v) and math.type(v) .. v or "
    "tostring(v) end\n"
    "local function all(s, p, i)\n"
    "    local out, n = {}, 0\n"
    "    for a, b, c in string.gmatch(s, p, i) do\n"
    "        n = n + 1\n"
    "        out[n] = list(a, b, c)\n"
    "    end\n"
    "    return table.concat(out, ';')\n"
    "end\n"
    "return function(s, p, r, i)\n"
    "    local f, m = string.find, string.match\n"
    "    return table.concat({\n"
    "        list(pcall(f, s, p, i)), list(pcall(f, s, p, i, true)), list(pcall(m, s, p, i)), list(pcall(all, s, p, "
    "i)),\n"
    "        list(pcall(string.gsub, s, p, r)), list(pcall(string.gsub, s, p, r, i)),\n"
    "        list(pcall(string.gsub, s, p, { a = 'x', b = false, ['1'] = 7, ab = {} })),\n"
    "        list(pcall(string.gsub, s, p, function(a, b) return b or (a ~= 'a' and a or nil) end)),\n"
    "    }, '|')\n"
    "end\n";

static const char *const items[] = {
    "a",     "b",     "ab",    ".",      "%a",      "%d",    "%w",   "%s",     "%x",     "%p",          "%c",
    "%u",    "%l",    "%g",    "%A",     "%D",      "%W",    "%S",   "%z",     "%Z",     "[abc]",       "[^a]",
    "[a-c]", "[%w_]", "[^%s]", "[]]",    "[^]]",    "[a-]",  "[-a]", "[%a-z]", "[a-%a]", "[%]]",        "[b-a]",
    "%b()",  "%bab",  "%baa",  "%f[%w]", "%f[^%w]", "%f[a]", "%1",   "%2",     "%0",     "%%",          "%.",
    "%(",    "1",     "_",     " ",      "(",       ")",     "()",   "(a)",    "(.)",    "(%a*)",       "(.-)",
    "^",     "$",     "*",     "+",      "-",       "?",     "*",    "+",      "-",      "?",           "]",
    "[",     "%",     "%b",    "%bx",    "%f",      "%fa",   "x",    "A",      "\xe9",   "[\x80-\xff]",
};
static const char subject_bytes[] = "aaabbbcAB(()) 1212_%].-x\xe9\0\n";
static const char *const replacements[] = {"<%0>", "%1", "[%2]", "%%", "", "x", "%", "%x", "%9", "%1%1", "a%0b%1"};

static size_t make_pattern(char *out)
{
    size_t n = 0;
    uint32_t count = draw(9);
    if (draw(8) == 0)
        out[n++] = '^';
    for (uint32_t i = 0; i < count; i++) {
        if (draw(60) == 0) {
            out[n++] = '\0';
            continue;
        }
        const char *item = items[draw(RB_COUNT(items))];
        memcpy(out + n, item, strlen(item));
        n += strlen(item);
    }
    if (draw(8) == 0)
        out[n++] = '$';
    return n;
}

static size_t make_subject(char *out)
{
    size_t n = draw(16);
    uint32_t few = draw(3); /* a third has few different bytes, so that repetitions meet something */
    for (size_t i = 0; i < n; i++)
        out[i] = subject_bytes[draw(few == 0 ? 5 : sizeof subject_bytes - 1)];
    return n;
}

static void push_probe(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, probe);
}

/* [-0, +1] */
static const char *ask(lua_State *L, const char *s, size_t ns, const char *p, size_t np, const char *r,
                       lua_Integer from, size_t *n)
{
    push_probe(L);
    lua_pushlstring(L, s, ns);
    lua_pushlstring(L, p, np);
    lua_pushstring(L, r);
    lua_pushinteger(L, from);
    if (lua_pcall(L, 4, 1, 0) != LUA_OK)
        fail_msg("the probe failed: %s", lua_tostring(L, -1));
    return lua_tolstring(L, -1, n);
}

static void compare(struct rb_vm *vm, lua_State *real, const char *s, size_t ns, const char *p, size_t np,
                    const char *r, lua_Integer from)
{
    size_t na, nb;
    rb_vm_slice(vm);
    const char *a = ask(vm->L, s, ns, p, np, r, from, &na);
    const char *b = ask(real, s, ns, p, np, r, from, &nb);
    if (na != nb || memcmp(a, b, na) != 0)
        fail_msg("\n  pattern '%.*s' subject '%.*s' replacement '%s' from %d\n  ours:  %s\n  Lua's: %s", (int)np, p,
                 (int)ns, s, r, (int)from, a, b);
    lua_pop(vm->L, 1);
    lua_pop(real, 1);
}

static lua_State *open_both(struct rb_vm *vm)
{
    struct rb_err err = {.code = 0};
    open_vm(vm, NULL);
    assert_int_equal(rb_vm_load(vm->L, probe, strlen(probe), "=probe", &err), 0);
    lua_call(vm->L, 0, 1);
    lua_rawsetp(vm->L, LUA_REGISTRYINDEX, probe);
    lua_State *real = luaL_newstate();
    assert_non_null(real);
    luaL_openlibs(real);
    assert_int_equal(luaL_loadbuffer(real, probe, strlen(probe), "=probe"), LUA_OK);
    lua_call(real, 0, 1);
    lua_rawsetp(real, LUA_REGISTRYINDEX, probe);
    return real;
}

static void test_corpus(void **state)
{
    (void)state;
    struct rb_vm vm;
    lua_State *real = open_both(&vm);
    char p[256], s[64];
    for (int i = 0; i < PAIRS; i++) {
        size_t np = make_pattern(p), ns = make_subject(s);
        compare(&vm, real, s, ns, p, np, replacements[draw(RB_COUNT(replacements))], (lua_Integer)draw(24) - 8);
    }
    lua_close(real);
    rb_vm_close(&vm);
}

static void repeat(struct rb_buf *b, const char *item, int n)
{
    rb_buf_reset(b);
    for (int i = 0; i < n; i++)
        rb_buf_adds(b, item);
}

/* The limits are Lua's, to the item. */
static void test_limits(void **state)
{
    (void)state;
    static const char *const repeated[] = {"a?", "a*", "a-", "a+", "(a)", "()", "(", "a", "%w?", "[a]?", "%b()", ")"};
    struct rb_vm vm;
    lua_State *real = open_both(&vm);
    struct rb_buf p;
    rb_buf_init(&p, 1 << 16);
    for (size_t i = 0; i < RB_COUNT(repeated); i++) {
        for (int n = 1; n < 260; n = n < 30 ? n * 2 : n < 36 ? n + 1 : n < 190 ? n + 50 : n + 1) {
            repeat(&p, repeated[i], n);
            compare(&vm, real, "b", 1, rb_buf_text(&p), p.len, "%0", 1);
            compare(&vm, real, "", 0, rb_buf_text(&p), p.len, "%0", 1);
        }
    }
    rb_buf_release(&p);
    lua_close(real);
    rb_vm_close(&vm);
}

static void test_arguments(void **state)
{
    (void)state;
    static const char *const calls[] = {
        "string.find()",
        "string.find('a')",
        "string.find('a', {})",
        "string.find(1, 1)",
        "string.find('a', 'a', 'x')",
        "string.find(nil, 'a')",
        "string.match('a', 'a', 1.5)",
        "string.match(12, '%d')",
        "string.gmatch()",
        "string.gmatch('a')",
        "string.gmatch('a', 'a', {})",
        "string.gsub()",
        "string.gsub('a')",
        "string.gsub('a', 'a')",
        "string.gsub('a', 'a', nil)",
        "string.gsub('a', 'a', true)",
        "string.gsub('a', 'a', 'b', {})",
        "string.gsub('a', 'a', 5)",
        "string.gsub('a', '', '-')",
        "string.gsub('abc', 'b', {b = true})",
        "string.gsub('abc', 'b', function() return {} end)",
        "string.gsub('abc', '%w', '%0%0', -1)",
        "string.gsub('abc', '%w', '%0%0', 2)",
        "string.gsub('hello world', '(o)()', '%2')",
        "string.find('a\\0b', '\\0')",
        "string.find('a\\0b', 'b', 1, true)",
        "string.find('', '')",
        "string.find('', '', 2)",
        "string.find('abc', '', 4)",
        "string.find('abc', '', 10)",
        "string.find('abc', 'b', -1)",
        "string.find('abc', 'b', math.mininteger)",
        "string.find('abc', 'b', math.maxinteger)",
        "string.gmatch('abc', '^a')()",
        "string.gsub('abc', '^a', 'x')",
        "string.gsub('aaa', '^a', 'x')",
        "('x'):find(1)",
        "('x'):gsub('x', error)",
    };
    struct rb_vm vm;
    lua_State *real = open_both(&vm);
    struct rb_buf ours;
    rb_buf_init(&ours, FIXTURE_TEXT);
    for (size_t i = 0; i < RB_COUNT(calls); i++) {
        char code[512];
        snprintf(code, sizeof code,
                 "local r = table.pack(pcall(function() return %s end)) for i = 1, r.n do r[i] = type(r[i]) .. "
                 "tostring(r[i]) end\n"
                 "return table.concat(r, ' ', 1, r.n)",
                 calls[i]);
        run_lua(&vm, code, &ours);
        assert_int_equal(luaL_loadbuffer(real, code, strlen(code), "@t.lua"), LUA_OK);
        lua_call(real, 0, 1);
        assert_string_equal(rb_buf_text(&ours), lua_tostring(real, -1));
        lua_pop(real, 1);
    }
    rb_buf_release(&ours);
    lua_close(real);
    rb_vm_close(&vm);
}

/* A long subject is no deep recursion, and a plain search is linear. */
static void test_large(void **state)
{
    (void)state;
    expect(
        "local s = ('a'):rep(1e6) return #s:match('.-$'), #s:match('a*'), s:find('b'), (s:gsub('a', 'b', 3)):sub(1, 5)",
        "1000000 1000000 nil bbbaa");
    expect("local s = ('a'):rep(4e6) return s:find(('a'):rep(2e6) .. 'b', 1, true)", "nil");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
