/* Owns math, os and utf8 of the sandbox. What would differ between a run and its replay comes through the VM's hooks:
 * time, and the seeds of random numbers. Knows nothing of who records them. */
#include <string.h>

#include "engine/lua_lib.h"

/* -- math.random: xoshiro256** (Blackman and Vigna), one state for each task --------------------------------------- */

static uint64_t rotate_left(uint64_t x, int n)
{
    return (x << n) | (x >> (64 - n));
}

static uint64_t next_random(uint64_t s[4])
{
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

static void seed(struct rb_vm_context *context, lua_Integer a, lua_Integer b)
{
    context->random[0] = (uint64_t)a;
    context->random[1] = 0xff; /* never all zero */
    context->random[2] = (uint64_t)b;
    context->random[3] = 0;
    for (int i = 0; i < 16; i++)
        next_random(context->random);
    context->random_seeded = true;
}

static void seed_from_hook(lua_State *L)
{
    struct rb_vm *vm = rb_vm_of(L);
    if (!vm->opt.hooks.random_seed)
        luaL_error(L, "random numbers are only available inside a run");
    lua_pushcfunction(L, vm->opt.hooks.random_seed);
    lua_call(L, 0, 2);
    seed(vm->context, lua_tointeger(L, -2), lua_tointeger(L, -1));
    lua_pop(L, 2);
}

/* A number in 0 … limit, each as likely as any other. */
static uint64_t project(uint64_t random, uint64_t limit, uint64_t s[4])
{
    if ((limit & (limit + 1)) == 0)
        return random & limit;
    uint64_t mask = limit;
    for (int shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    random &= mask;
    while (random > limit)
        random = next_random(s) & mask;
    return random;
}

/* math.random([m [, n]]) as in Lua 5.4. */
static int l_random(lua_State *L)
{
    struct rb_vm_context *context = rb_vm_of(L)->context;
    if (!context->random_seeded)
        seed_from_hook(L);
    lua_Integer low = 1, high;
    int n = lua_gettop(L);
    uint64_t random = next_random(context->random);
    switch (n) {
    case 0: lua_pushnumber(L, (lua_Number)(random >> 11) * 0x1p-53); return 1;
    case 1:
        high = luaL_checkinteger(L, 1);
        if (high == 0) {
            lua_pushinteger(L, (lua_Integer)random);
            return 1;
        }
        break;
    case 2:
        low = luaL_checkinteger(L, 1);
        high = luaL_checkinteger(L, 2);
        break;
    default: return luaL_error(L, "wrong number of arguments");
    }
    luaL_argcheck(L, low <= high, n, "interval is empty");
    uint64_t offset = project(random, (uint64_t)high - (uint64_t)low, context->random);
    lua_pushinteger(L, (lua_Integer)(offset + (uint64_t)low));
    return 1;
}

/* With arguments the numbers follow from them; without, from a new seed that the run records. Only for the task that
 * calls it. */
static int l_randomseed(lua_State *L)
{
    if (lua_isnone(L, 1)) {
        seed_from_hook(L);
        return 0;
    }
    lua_Integer a;
    if (lua_isinteger(L, 1)) {
        a = lua_tointeger(L, 1);
    } else {
        lua_Number f = luaL_checknumber(L, 1);
        if (!lua_numbertointeger(f, &a))
            memcpy(&a, &f, sizeof a);
    }
    seed(rb_vm_of(L)->context, a, luaL_optinteger(L, 2, 0));
    return 0;
}

void rb_lib_math(lua_State *L, int real)
{
    static const char *const names[] = {"abs", "acos",       "asin", "atan", "ceil", "cos", "deg",
                                        "exp", "floor",      "fmod", "huge", "log",  "max", "maxinteger",
                                        "min", "mininteger", "modf", "pi",   "rad",  "sin", "sqrt",
                                        "tan", "tointeger",  "type", "ult",  NULL};
    lua_createtable(L, 0, (int)RB_COUNT(names) + 2);
    rb_lib_copy(L, real, -1, names);
    lua_pushcfunction(L, l_random);
    lua_setfield(L, -2, "random");
    lua_pushcfunction(L, l_randomseed);
    lua_setfield(L, -2, "randomseed");
}

/* -- os ------------------------------------------------------------------------------------------------------------ */

static int l_outside(lua_State *L)
{
    return luaL_error(L, "the time is only available inside a run");
}

static int l_difftime(lua_State *L)
{
    lua_Integer a = luaL_checkinteger(L, 1), b = luaL_checkinteger(L, 2);
    lua_pushnumber(L, (lua_Number)a - (lua_Number)b);
    return 1;
}

void rb_lib_os(lua_State *L)
{
    const struct rb_vm_hooks *hooks = &rb_vm_of(L)->opt.hooks;
    lua_createtable(L, 0, 4);
    lua_pushcfunction(L, hooks->os_time ? hooks->os_time : l_outside);
    lua_setfield(L, -2, "time");
    lua_pushcfunction(L, hooks->os_date ? hooks->os_date : l_outside);
    lua_setfield(L, -2, "date");
    lua_pushcfunction(L, hooks->os_clock ? hooks->os_clock : l_outside);
    lua_setfield(L, -2, "clock");
    lua_pushcfunction(L, l_difftime);
    lua_setfield(L, -2, "difftime");
}

/* -- utf8 ---------------------------------------------------------------------------------------------------------- */

/* Length of the sequence at s (n bytes are there), its value in *code; 0 when it is malformed. Lax: values up to 2^31 -
 * 1 and surrogates, as Lua's own. */
static size_t decode(const char *s, size_t n, bool lax, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000};
    unsigned char first = (unsigned char)s[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    size_t len = first >= 0xfe   ? 0
                 : first >= 0xfc ? 6
                 : first >= 0xf8 ? 5
                 : first >= 0xf0 ? 4
                 : first >= 0xe0 ? 3
                 : first >= 0xc0 ? 2
                                 : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t value = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
        value = (value << 6) | ((unsigned char)s[i] & 0x3f);
    }
    if (value < least[len] || (!lax && (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))))
        return 0;
    *code = value;
    return len;
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static int step_codes(lua_State *L, bool lax)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    lua_Integer at = lua_tointeger(L, 2); /* 1-based position of the character before, 0 at the start */
    size_t i = at > 0 ? (size_t)at : 0;
    if (at > 0)
        while (i < n && continues(s[i]))
            i++;
    if (i >= n)
        return 0;
    uint32_t code;
    size_t len = decode(s + i, n - i, lax, &code);
    if (len == 0 || (i + len < n && continues(s[i + len])))
        return luaL_error(L, "invalid UTF-8 code");
    lua_pushinteger(L, (lua_Integer)i + 1);
    lua_pushinteger(L, (lua_Integer)code);
    return 2;
}

static int l_step_strict(lua_State *L)
{
    return step_codes(L, false);
}

static int l_step_lax(lua_State *L)
{
    return step_codes(L, true);
}

/* 5.4.4's own passes over stray continuation bytes. */
static int l_codes(lua_State *L)
{
    bool lax = lua_toboolean(L, 2);
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    luaL_argcheck(L, n == 0 || !continues(s[0]), 1, "invalid UTF-8 code");
    lua_pushcfunction(L, lax ? l_step_lax : l_step_strict);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

void rb_lib_utf8(lua_State *L, int real)
{
    static const char *const names[] = {"char", "charpattern", "codepoint", "len", "offset", NULL};
    lua_createtable(L, 0, 6);
    rb_lib_copy(L, real, -1, names);
    lua_pushcfunction(L, l_codes);
    lua_setfield(L, -2, "codes");
}
