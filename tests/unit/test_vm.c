/* The VM: its memory, its budget and what no script can hold up; waits inside coroutines; places and texts of errors.
 * Guards for the bugs of Lua 5.4.4 are here where they freeze or crash the host. */
#include <stdlib.h>

#include "vm_fixture.h"

/* -- budget and memory are sticky ---------------------------------------------------------------------------------- */

/* Each must end the run, whatever it catches; a small budget keeps the tests fast. */
static void ends_with(const char *code, const char *kind, const struct rb_vm_options *opt)
{
    struct rb_vm vm;
    struct rb_buf out;
    rb_buf_init(&out, FIXTURE_TEXT);
    open_vm(&vm, opt);
    bool ok = run_lua(&vm, code, &out);
    if (ok || strncmp(rb_buf_text(&out), kind, strlen(kind)) != 0)
        fail_msg("\n  code: %s\n  gave: %s\n  expected an error of kind %s", code, rb_buf_text(&out), kind);
    assert_int_equal(vm.dead, strcmp(kind, "budget:") == 0 ? RB_VM_BUDGET : RB_VM_MEMORY);
    /* And it stays dead, in the next slice too. */
    assert_false(run_lua(&vm, "while true do pcall(function() while true do end end) end", &out));
    assert_int_equal(strncmp(rb_buf_text(&out), kind, strlen(kind)), 0);
    rb_buf_release(&out);
    rb_vm_close(&vm);
}

static void test_endless_loops_end(void **state)
{
    (void)state;
    static const char *const loops[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "repeat until pcall(error)",
        "xpcall(function() while true do end end, function(e) while true do end end) return 1",
        "xpcall(function() error('x') end, function(e) while true do end end) return 1",
        "do local x <close> = setmetatable({}, { __close = function() while true do end end }) end return 1",
        "pcall(function() local x <close> = setmetatable({}, { __close = function() while true do end end }) "
        "error('y') end) return 1",
        "local t = {} for i = 1, 5 do t[i] = setmetatable({}, { __close = function() while true do end end }) end\n"
        "pcall(function() local a <close>, b = t[1] local c <close> = t[2] local d <close> = t[3] while true do end "
        "end) return 1",
        "coroutine.resume(coroutine.create(function() while true do end end)) return 1",
        "pcall(coroutine.wrap(function() while true do end end)) return 1",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() while true "
        "do end end }) coroutine.yield() end)\n"
        "coroutine.resume(co) coroutine.close(co) return 1",
        "while true do coroutine.wrap(function() coroutine.yield() end)() end",
        "local function f() while true do pcall(f) end end f()",
        "for x in function() return 1 end do end",
        "local t = setmetatable({}, { __index = function() while true do end end }) pcall(function() return t.x end) "
        "return 1",
        "local t = setmetatable({}, { __tostring = function() while true do end end }) pcall(tostring, t) return 1",
        "pcall(table.sort, { 3, 2, 1 }, function() while true do end end) return 1",
        "local m = { __lt = function() while true do end end } pcall(table.sort, { setmetatable({}, m), "
        "setmetatable({}, m) }) return 1",
        "local t = setmetatable({}, { __len = function() return math.maxinteger end, __index = function() return 1 end "
        "}) pcall(table.concat, t) return 1",
        "pcall(load('while true do end')) return 1",
        "pcall(load, function() while true do end end) return 1",
        "pcall(load, function() return ' ' end) return 1",
        "pcall(string.gsub, 'aaa', 'a', function() while true do end end) return 1",
        "pcall(string.find, ('a'):rep(400), ('a*'):rep(3) .. 'b') return 1",
        "pcall(string.find, ('a'):rep(2500), ('a*'):rep(3) .. 'b') return 1",
        "pcall(string.match, ('a'):rep(2500), ('a-'):rep(5) .. 'b') return 1",
        "pcall(string.gsub, ('a'):rep(2500), ('a?'):rep(60) .. 'b', '') return 1",
        "pcall(string.find, ('('):rep(100000), '%b()') return 1",
        "for _ in ('a'):rep(2500):gmatch(('a*'):rep(4) .. 'b') do end return 1",
        "goto again ::again:: goto again",
    };
    struct rb_vm_options opt = {.slice_max_us = 20000};
    for (size_t i = 0; i < RB_COUNT(loops); i++)
        ends_with(loops[i], "budget:", &opt);
}

static void test_memory_ends(void **state)
{
    (void)state;
    static const char *const greedy[] = {
        "pcall(string.rep, 'x', 1e9) return 1",
        "pcall(string.rep, 'xy', math.maxinteger) return 1",
        "pcall(string.rep, '', math.maxinteger, 'y') return 1",
        "pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end) return 1",
        "pcall(function() local s = 'x' while true do s = s .. s end end) return 1",
        "local t = {} for i = 1, 1e9 do pcall(function() t[i] = ('x'):rep(1e5) .. i end) end",
        "coroutine.wrap(function() local s = 'x' while true do s = s .. s end end)() return 1",
        "local ok, e = coroutine.resume(coroutine.create(function() local s = 'x' while true do s = s .. s end end)) "
        "return 1",
        "pcall(table.move, { 1 }, 1, 1e15, 2) return 1",
        "local s, t = ('x'):rep(1e6), {} for i = 1, 1000 do t[i] = s end pcall(table.concat, t) return 1",
        "pcall(string.gsub, ('x'):rep(1e6), 'x', ('y'):rep(1000)) return 1",
        "pcall(string.pack, 'c1000000000', 'x') return 1",
        "pcall(load, function() return ('x'):rep(1e6) end) return 1",
        "xpcall(function() local s = 'x' while true do s = s .. s end end, function(e) return e end) return 1",
        "pcall(function() local x <close> = setmetatable({}, { __close = function() pcall(string.rep, 'x', 1e9) end }) "
        "error('y') end) return 1",
        "local t = {} for i = 1, 20 do t = { t, t } end pcall(json.encode, t) local s = {} for i = 1, 40 do s = { s, s "
        "} end pcall(json.encode, s) return 1",
    };
    struct rb_vm_options opt = {.memory = 8 << 20, .slice_max_us = 60000000};
    for (size_t i = 0; i < RB_COUNT(greedy); i++)
        ends_with(greedy[i], "memory:", &opt);
}

/* What the script may catch: its own mistakes. */
static void test_catchable(void **state)
{
    (void)state;
    expect("local function f() return f() + 1 end return select('#', pcall(f)), (pcall(f))", "2 false");
    expect("local function g() return pcall(g) end return (g())", "true");
    expect("local ok, e = pcall(string.find, 'a', ('('):rep(40)) return ok, e", "false too many captures");
    expect("return pcall(table.unpack, {}, 1, 1e7)", "false too many results to unpack");
    expect("return select(2, pcall(error)), (select(2, pcall(error, { code = 7 }))).code", "nil 7");
    expect("return pcall(error, 'text', 0)", "false text");
    expect("return pcall(error, 'text')", "false text");
    expect("return pcall(function() error('text') end)", "false t.lua:1: text");
    expect("return xpcall(function(...) return ... end, print or error, 1, 2)", "lua: t.lua:1: unknown global 'print'");
    expect("return xpcall(function(...) return ... end, error, 1, 2)", "true 1 2");
    expect("return xpcall(function() error('x', 0) end, function(e) return e .. e end)", "false xx");
    expect("return pcall(xpcall, error)", "false bad argument #2 to 'xpcall' (function expected, got no value)");
    expect("return pcall(pcall)", "false bad argument #1 to 'pcall' (value expected)");
}

/* The warning comes once a slice and says where. */
static char slow_where[64];
static int slow_calls;

static void on_slow(void *arg, int64_t us, const char *where)
{
    assert_ptr_equal(arg, slow_where);
    assert_true(us >= 1000);
    slow_calls++;
    snprintf(slow_where, sizeof slow_where, "%s", where);
}

static void test_slow_slice(void **state)
{
    (void)state;
    struct rb_vm_options opt = {
        .slice_warn_us = 1000, .slice_max_us = 30000, .on_slow_slice = on_slow, .arg = slow_where};
    slow_calls = 0;
    ends_with("\n\nwhile true do end", "budget:", &opt);
    assert_int_equal(slow_calls, 1);
    assert_string_equal(slow_where, "t.lua:3");
}

/* Each allocation fails in turn, in opening and in running: no crash, nothing leaks, and no pcall of the script goes
 * on. */
static void test_each_allocation_fails(void **state)
{
    (void)state;
    static const char code[] =
        "local t = {} for i = 1, 20 do t['k' .. i] = { i, tostring(i) } end\n"
        "for k, v in pairs(t) do t[k] = v[1] end\n"
        "local co = coroutine.wrap(function(a) local b = coroutine.yield(a) return b end) co(1) co(2)\n"
        "local ok = pcall(function() local s = ('x'):rep(100):gsub('x', 'yy') return json.decode(json.encode { a = { "
        "1, s } }) end)\n"
        "table.sort({ 3, 2, 1 }, function(a, b) return a < b end) local f = load('return 1') f()\n"
        "return pcall(error, { 1 })";
    struct rb_buf out;
    rb_buf_init(&out, FIXTURE_TEXT);
    bool done = false;
    long n;
    for (n = 1; !done; n++) {
        struct rb_vm vm;
        open_vm(&vm, NULL);
        vm.oom_after = n;
        lua_State *L = vm.L;
        lua_pushcfunction(L, luaopen_base); /* a slot for the chunk */
        lua_pop(L, 1);
        struct rb_err err = {.code = 0};
        if (rb_vm_load(L, code, strlen(code), "@t.lua", &err) == 0) {
            int status = lua_pcall(L, 0, LUA_MULTRET, 0);
            done = status == LUA_OK && vm.oom_after > 1;
            /* Lua itself goes on when it can not make its table of strings larger. */
            if (status == LUA_OK && vm.oom_after == 1)
                assert_int_equal(vm.dead, RB_VM_ALIVE);
        } else {
            assert_int_equal(vm.dead, RB_VM_MEMORY);
        }
        vm.oom_after = 0;
        rb_vm_close(&vm);
        assert_int_equal(vm.used, 0);
        assert_true(n < 5000);
    }
    assert_true(n > 100);
    rb_buf_release(&out);
}

static void test_opening_is_cheap(void **state)
{
    (void)state;
    struct rb_vm vm;
    open_vm(&vm, NULL);
    lua_gc(vm.L, LUA_GCCOLLECT);
    if (vm.used > 60 * 1024)
        fail_msg("a new VM holds %zu bytes", vm.used);
    rb_vm_close(&vm);
    for (size_t limit = 0; limit < 40000; limit += 997) { /* too little memory is an error and no crash */
        struct rb_vm_options opt = {.memory = limit + 1};
        struct rb_err err = {.code = 0};
        if (rb_vm_open(&vm, &opt, &err) == 0)
            rb_vm_close(&vm);
        else
            assert_int_equal(err.code, RB_ETOOBIG);
        assert_int_equal(vm.used, 0);
    }
}

/* -- coroutines ---------------------------------------------------------------------------------------------------- */

static void test_coroutines(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) error('e' .. c, 0) end)\n"
         "return coroutine.status(co), coroutine.resume(co, 1, 2)",
         "suspended true 3"},
        {"local co = coroutine.create(function(a) local c = coroutine.yield(a) error('e' .. c, 0) end) "
         "coroutine.resume(co, 1)\n"
         "local ok, e = coroutine.resume(co, 'x') return ok, e, coroutine.status(co), coroutine.resume(co)",
         "false ex dead false cannot resume dead coroutine"},
        {"local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) local s = 0 for i in co do "
         "s = s * 10 + i end return s",
         "123"},
        {"local co = coroutine.wrap(function() error('x', 0) end) return pcall(co)", "false x"},
        {"local co = coroutine.wrap(function() error('x', 0) end) return pcall(function() local v = co() end)",
         "false t.lua:1: x"},
        {"local co = coroutine.wrap(function() error({ 5 }) end) local ok, e = pcall(co) return ok, e[1]", "false 5"},
        {"local co co = coroutine.create(function() return coroutine.status(co), coroutine.resume(co) end) return "
         "coroutine.resume(co)",
         "true running false cannot resume non-suspended coroutine"},
        {"local a a = coroutine.create(function() local b = coroutine.create(function() return coroutine.status(a), "
         "pcall(coroutine.close, a) end)\n"
         "return coroutine.resume(b) end) return coroutine.resume(a)",
         "true true normal false cannot close a normal coroutine"},
        {"return pcall(coroutine.yield, 1)", "false attempt to yield from outside a coroutine"},
        {"local co, main = coroutine.running() return main, coroutine.isyieldable(), pcall(coroutine.close, co)",
         "true false false cannot close a running coroutine"},
        {"local co = coroutine.running() return coroutine.resume(co)", "false cannot resume non-suspended coroutine"},
        {"local co = coroutine.create(function() return coroutine.isyieldable(), select(2, coroutine.running()) end) "
         "return coroutine.resume(co)",
         "true true false"},
        {"local log = {} local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = "
         "function(_, e) log[1] = tostring(e) end }) coroutine.yield() end)\n"
         "coroutine.resume(co) return coroutine.close(co), coroutine.status(co), log[1], coroutine.close(co)",
         "true dead nil true"},
        {"local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() error('c', "
         "0) end }) coroutine.yield() end)\n"
         "coroutine.resume(co) return coroutine.close(co)",
         "false c"},
        {"local log = '' local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = "
         "function(_, e) log = log .. e end }) error('z', 0) end)\n"
         "local ok, e = coroutine.resume(co) return ok, e, log",
         "false z z"},
        {"local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() "
         "coroutine.yield() end }) coroutine.yield() end)\n"
         "coroutine.resume(co) return coroutine.close(co)",
         "false t.lua:1: attempt to yield in a coroutine that is being closed"},
        {"return pcall(coroutine.resume, 1)",
         "false bad argument #1 to 'coroutine.resume' (coroutine expected, got number)"},
        {"return pcall(coroutine.create, 1)",
         "false bad argument #1 to 'coroutine.create' (function expected, got number)"},
        /* a yield through pcall, metamethods and iterators */
        {"local co = coroutine.wrap(function() local ok, v = pcall(function() return coroutine.yield(1) + 1 end) "
         "coroutine.yield(v)\n"
         "local t = setmetatable({}, { __index = function(_, k) return coroutine.yield(k) end }) "
         "coroutine.yield(t.key)\n"
         "for x in function(_, n) return coroutine.yield('it') end do coroutine.yield(x) end return 'end' end)\n"
         "return co(), co(5), co(), co('v'), co(), co('x'), co(), co(nil)",
         "1 6 key v it x it end"},
        {"local co = coroutine.wrap(function() table.sort({ 2, 1 }, function() coroutine.yield() end) end) return "
         "pcall(co)",
         "false t.lua:1: attempt to yield across a C-call boundary (inside table.sort, gsub, require …)"},
        /* pcalls that are open in a coroutine count only while it runs */
        {"local co = coroutine.wrap(function() return pcall(function() return pcall(function() coroutine.yield(1) "
         "error('in', 0) end) end) end)\n"
         "co() local ok, e = pcall(error, 'out', 0) local a, b, c = co() return ok, e, a, b, c",
         "false out true false in"},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++)
        expect(rows[i][0], rows[i][1]);
}

static void test_coroutine_caps(void **state)
{
    (void)state;
    /* 200,000, each made inside the one before */
    expect("local deepest = 0 local function n(d) if d > deepest then deepest = d end if d == 200000 then return "
           "'reached' end\n"
           "local ok, e = coroutine.resume(coroutine.create(function() return n(d + 1) end)) if not ok then error(e, "
           "0) end return e end\n"
           "local ok, e = pcall(n, 1) return ok, e, deepest",
           "false too many coroutines, each resumed by the one before 61");
    expect("local t = {} local ok, e = pcall(function() for i = 1, 200000 do t[i] = coroutine.create(error) end end) "
           "return ok, e, #t",
           "false t.lua:1: more than 10000 coroutines are alive 10000");
    expect("for i = 1, 50000 do coroutine.wrap(function() coroutine.yield(1) end)() end return 'collected'",
           "collected");
    expect("for i = 1, 50000 do coroutine.wrap(function() end)() end return 'ended'", "ended");
    /* facts: the distribution's coroutine.close crashes in such a chain from 20,000 on */
    expect("local last, deepest, depth = nil, 0, 0\n"
           "for i = 1, 9900 do local before = last local co = coroutine.create(function()\n"
           "local x <close> = setmetatable({}, { __close = function() depth = depth + 1 if depth > deepest then "
           "deepest = depth end\n"
           "if before then coroutine.close(before) end depth = depth - 1 end }) coroutine.yield() end)\n"
           "coroutine.resume(co) last = co end return coroutine.close(last), deepest",
           "true 30");
}

/* A stand-in for the engine: tasks that wait and are resumed. */
static int l_wait(lua_State *L)
{
    if (!rb_vm_can_wait(L))
        return luaL_error(L, "can not wait here");
    lua_settop(L, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&rb_await_sentinel);
    return lua_yield(L, 1);
}

/* Cancels the task of the caller, as the engine does. */
static int l_cancel(lua_State *L)
{
    struct rb_vm_context *context = rb_vm_of(L)->context;
    context->unwind_depth = context->depth;
    return rb_error_raise(L, "cancelled", NULL, "cancelled: test");
}

struct engine {
    struct rb_vm vm;
    lua_State *task[2];
    struct rb_vm_context context[2];
    int waits;
};

/* Runs code as task n until it ends; feeds each of its waits with nothing. between: run each time it waits, by the
 * other task. */
static int step_task(struct engine *e, int n)
{
    int results = 0;
    lua_State *co = e->task[n];
    e->vm.context = &e->context[n];
    rb_vm_slice(&e->vm);
    int (*go)(lua_State *, lua_State *, int, int *) = lua_resume;
    int status = go(co, e->vm.L, lua_status(co) == LUA_YIELD ? 0 : lua_gettop(co) - 1, &results);
    if (status == LUA_YIELD) {
        assert_int_equal(results, 1);
        assert_ptr_equal(lua_touserdata(co, -1), &rb_await_sentinel);
        lua_pop(co, 1);
        e->waits++;
    }
    return status;
}

static void start_engine(struct engine *e, const char *first, const char *second)
{
    memset(e, 0, sizeof *e);
    open_vm(&e->vm, NULL);
    rb_vm_push_env(e->vm.L);
    lua_pushcfunction(e->vm.L, l_wait);
    lua_setfield(e->vm.L, -2, "wait");
    lua_pushcfunction(e->vm.L, l_cancel);
    lua_setfield(e->vm.L, -2, "cancel");
    lua_newtable(e->vm.L);
    lua_setfield(e->vm.L, -2, "shared");
    lua_pop(e->vm.L, 1);
    const char *code[2] = {first, second};
    for (int i = 0; i < 2; i++) {
        struct rb_err err = {.code = 0};
        e->context[i].unwind_depth = -1;
        e->task[i] = lua_newthread(e->vm.L);
        if (code[i] && rb_vm_load(e->task[i], code[i], strlen(code[i]), "@t.lua", &err) < 0)
            fail_msg("%s", err.msg);
    }
}

/* Runs one task to its end. */
static void expect_task(const char *code, int waits, const char *expected)
{
    struct engine e;
    start_engine(&e, code, NULL);
    int status;
    do
        status = step_task(&e, 0);
    while (status == LUA_YIELD);
    struct rb_buf out;
    rb_buf_init(&out, FIXTURE_TEXT);
    int top = lua_gettop(e.task[0]);
    if (status == LUA_OK)
        lua_pushstring(e.task[0], "");
    for (int i = status == LUA_OK ? 1 : top; i <= top; i++) {
        rb_buf_adds(&out, i > 1 && status == LUA_OK ? " " : "");
        if (lua_isboolean(e.task[0], i))
            rb_buf_adds(&out, lua_toboolean(e.task[0], i) ? "true" : "false");
        else
            rb_vm_error_text(e.task[0], i, &out);
    }
    char text[1024];
    snprintf(text, sizeof text, "%s", rb_buf_text(&out));
    for (char *at = strstr(text, "t.lua:1: "); at; at = strstr(text, "t.lua:1: ")) /* places are another test's */
        memmove(at, at + 9, strlen(at + 9) + 1);
    if (strcmp(text, expected) != 0)
        fail_msg("\n  code:     %s\n  gave:     %s\n  expected: %s", code, text, expected);
    assert_int_equal(e.waits, waits);
    if (status == LUA_OK) {
        assert_int_equal(e.context[0].depth, 0);
        assert_int_equal(e.context[0].nesting, 0);
    }
    assert_int_equal(e.context[0].blocked, 0);
    rb_buf_release(&out);
    rb_vm_close(&e.vm);
}

static void test_waits_inside_coroutines(void **state)
{
    (void)state;
    expect_task("wait() return 'a'", 1, "a");
    expect_task("local co = coroutine.wrap(function(x) wait() local y = coroutine.yield(x + 1) wait() wait() return y "
                "* 2 end) return co(1), co(10)",
                3, "2 20");
    expect_task("local function n(d) if d == 0 then wait() return 'deep' end return coroutine.wrap(function() return "
                "n(d - 1) end)() end return n(30)",
                1, "deep");
    expect_task("local co = coroutine.create(function() return pcall(function() wait() error('e', 0) end) end) return "
                "coroutine.resume(co)",
                1, "true false e");
    expect_task("local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() "
                "wait() shared.closed = 'closed' end }) error('e', 0) end)\n"
                "local ok, e = coroutine.resume(co) return ok, e, shared.closed",
                1, "false e closed");
    expect_task("local ok, e = pcall(function() local x <close> = setmetatable({}, { __close = function() wait() end "
                "}) error('e', 0) end) return ok, e",
                1, "false e");
    expect_task("for x in coroutine.wrap(function() for i = 1, 3 do wait() coroutine.yield(i) end end) do shared[x] = "
                "x end return #shared",
                3, "3");
    /* Where nothing can wait it is said before anything starts, also one coroutine further in. */
    expect_task("return pcall(table.sort, { 2, 1 }, function() wait() end)", 0, "false can not wait here");
    expect_task("return pcall(table.sort, { 2, 1 }, function() coroutine.wrap(function() wait() end)() end)", 0,
                "false can not wait here");
    expect_task("return pcall(string.gsub, 'a', 'a', function() wait() end)", 0, "false can not wait here");
    expect_task("local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() "
                "wait() end }) coroutine.yield() end)\n"
                "coroutine.resume(co) return coroutine.close(co)",
                0, "false can not wait here");
    expect_task(
        "pcall(table.sort, { 2, 1 }, function() coroutine.wrap(function() error() end)() end) wait() return 'after'", 1,
        "after");
}

/* A coroutine that waits is nobody else's to resume. */
static void test_waiting_coroutine_is_busy(void **state)
{
    (void)state;
    struct engine e;
    start_engine(&e,
                 "shared.co = coroutine.create(function() wait() return 'mine' end) return coroutine.resume(shared.co)",
                 "return coroutine.status(shared.co), coroutine.resume(shared.co)");
    assert_int_equal(step_task(&e, 0), LUA_YIELD);
    assert_int_equal(step_task(&e, 1), LUA_OK);
    assert_string_equal(lua_tostring(e.task[1], 1), "normal");
    assert_int_equal(lua_toboolean(e.task[1], 2), false);
    assert_string_equal(lua_tostring(e.task[1], 3), "cannot resume non-suspended coroutine");
    assert_int_equal(step_task(&e, 0), LUA_OK);
    assert_string_equal(lua_tostring(e.task[0], 2), "mine");
    rb_vm_close(&e.vm);
}

static void test_cancellation_passes(void **state)
{
    (void)state;
    expect_task("pcall(function() pcall(function() cancel() end) end) return 'held up'", 0, "cancelled: test");
    expect_task("xpcall(cancel, function() shared.asked = true end) return 'held up'", 0, "cancelled: test");
    expect_task("coroutine.resume(coroutine.create(function() pcall(cancel) end)) return 'held up'", 0,
                "cancelled: test");
    expect_task("pcall(coroutine.wrap(function() pcall(cancel) end)) return 'held up'", 0, "cancelled: test");
    /* clean-up runs as usual on the way: it waits, and its own pcalls catch */
    expect_task("pcall(function() local x <close> = setmetatable({}, { __close = function() wait() local ok, e = "
                "pcall(error, 'inner', 0) error(e .. tostring(ok), 0) end })\n"
                "pcall(function() pcall(cancel) end) end) return 'held up'",
                1, "innerfalse");
    expect_task("pcall(function() local x <close> = setmetatable({}, { __close = function() wait() pcall(error) "
                "pcall(error) wait() end }) pcall(cancel) end) return 'held up'",
                2, "cancelled: test");
    expect_task("coroutine.wrap(function() local x <close> = setmetatable({}, { __close = function() wait() end }) "
                "cancel() end)()",
                1, "cancelled: test");
}

/* -- code, places, texts ------------------------------------------------------------------------------------------- */

static void test_loading(void **state)
{
    (void)state;
    struct rb_vm vm;
    struct rb_err err = {.code = 0};
    open_vm(&vm, NULL);
    assert_int_equal(rb_vm_load(vm.L, "x =", 3, "@dir/a.lua", &err), RB_EINVAL);
    assert_string_equal(err.msg, "dir/a.lua:1: unexpected symbol near <eof>");
    assert_int_equal(rb_vm_load(vm.L, "\x1bLua", 4, "@a.lua", &err), RB_EINVAL);
    assert_string_equal(err.msg, "a.lua: attempt to load a binary chunk (mode is 't')");
    static const char shebang[] = "\xEF\xBB\xBF#!/usr/bin/env rbhost\nerror('x')";
    assert_int_equal(rb_vm_load(vm.L, shebang, sizeof shebang - 1, "@a.lua", &err), 0);
    assert_int_equal(lua_pcall(vm.L, 0, 0, 0), LUA_ERRRUN);
    assert_string_equal(lua_tostring(vm.L, -1), "a.lua:2: x");
    assert_int_equal(rb_vm_load(vm.L, "# only this", 11, "@a.lua", &err), 0);
    assert_int_equal(rb_vm_load(vm.L, "", 0, "@a.lua", &err), 0);
    assert_int_equal(rb_vm_rt(vm.L, "no_such_module", &err), RB_EINVAL);
    assert_non_null(strstr(err.msg, "stdlib/rt/no_such_module.lua"));
    lua_settop(vm.L, 0);
    rb_vm_close(&vm);
}

static int l_trace(lua_State *L)
{
    struct rb_buf text;
    char where[64];
    rb_buf_init(&text, 4096);
    rb_vm_traceback(L, &text);
    rb_vm_where(L, where, sizeof where);
    lua_pushfstring(L, "%s\n%s", where, rb_buf_text(&text));
    rb_buf_release(&text);
    return 1;
}

static void test_places(void **state)
{
    (void)state;
    struct rb_vm vm;
    struct rb_buf out;
    rb_buf_init(&out, FIXTURE_TEXT);
    open_vm(&vm, NULL);
    rb_vm_push_env(vm.L);
    lua_pushcfunction(vm.L, l_trace);
    lua_setfield(vm.L, -2, "trace");
    lua_pop(vm.L, 1);
    run_lua(&vm, "local function inner()\n  local t = trace()\n  return t\nend\nlocal t = inner()\nreturn t", &out);
    assert_string_equal(rb_buf_text(&out), "t.lua:2;   t.lua:2: in local 'inner';   t.lua:5: in main chunk");
    rb_buf_release(&out);
    rb_vm_close(&vm);
}

static void test_error_values(void **state)
{
    (void)state;
    struct rb_vm vm;
    struct rb_buf out;
    rb_buf_init(&out, FIXTURE_TEXT);
    open_vm(&vm, NULL);
    lua_State *L = vm.L;
    static const char *const rows[][4] = {
        /* raised, kind, where, message */
        {"error('x')", "lua", "t.lua:1", "x"},
        {"error('x', 0)", "lua", "", "x"},
        {"error('a: b: c', 0)", "lua", "", "a: b: c"},
        {"error('C:\\\\dir\\\\f.lua:7: b', 0)", "lua", "C:\\dir\\f.lua:7", "b"},
        {"error()", "lua", "", "error(nil)"},
        {"error({ code = 1 })", "lua", "", "an error without a message: {\"code\":1}"},
        {"error({ message = 'm' })", "lua", "", "m"},
        {"error(setmetatable({}, { __tostring = function() return 'obj' end }))", "lua", "", "obj"},
        {"error(setmetatable({}, { __tostring = function() error('no') end }))", "lua", "",
         "(an error object, a table, whose text can not be had)"},
        {"error(true)", "lua", "", "true"},
        {"error(12)", "lua", "", "12"},
        {"error(error)", "lua", "", "function"},
        {"local x = nil + 1", "lua", "t.lua:1", "attempt to perform arithmetic on a nil value"},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        struct rb_err err = {.code = 0};
        assert_int_equal(rb_vm_load(L, rows[i][0], strlen(rows[i][0]), "@t.lua", &err), 0);
        assert_int_not_equal(lua_pcall(L, 0, 0, 0), LUA_OK);
        rb_error_normalize(L, -1);
        assert_true(rb_error_is(L, -1));
        assert_string_equal(rb_error_kind(L, -1), rows[i][1]);
        lua_getfield(L, -1, "where");
        assert_string_equal(lua_isnil(L, -1) ? "" : lua_tostring(L, -1), rows[i][2]);
        lua_getfield(L, -2, "message");
        assert_string_equal(lua_tostring(L, -1), rows[i][3]);
        lua_settop(L, 0);
    }
    rb_error_push(L, "exec.exit", "failed", "two\nlines %d\n", 5);
    rb_buf_reset(&out);
    rb_vm_error_text(L, -1, &out);
    assert_string_equal(rb_buf_text(&out), "two; lines 5");
    lua_getfield(L, -1, "outcome");
    assert_string_equal(lua_tostring(L, -1), "failed");
    lua_pop(L, 1);
    lua_newtable(L);
    assert_null(rb_error_kind(L, -1));
    rb_error_bless(L, -1);
    assert_true(rb_error_is(L, -1));
    rb_buf_reset(&out);
    rb_vm_error_text(L, -1, &out);
    assert_string_equal(rb_buf_text(&out), "error");
    lua_settop(L, 0);
    rb_buf_release(&out);
    rb_vm_close(&vm);
    expect("local ok, e = pcall(function() local t = setmetatable({}, { __index = step }) return t end) return ok",
           "true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endless_loops_end),
        cmocka_unit_test(test_memory_ends),
        cmocka_unit_test(test_catchable),
        cmocka_unit_test(test_slow_slice),
        cmocka_unit_test(test_each_allocation_fails),
        cmocka_unit_test(test_opening_is_cheap),
        cmocka_unit_test(test_coroutines),
        cmocka_unit_test(test_coroutine_caps),
        cmocka_unit_test(test_waits_inside_coroutines),
        cmocka_unit_test(test_waiting_coroutine_is_busy),
        cmocka_unit_test(test_cancellation_passes),
        cmocka_unit_test(test_loading),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_error_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
