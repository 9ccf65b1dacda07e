/* Owns the order in which scripts walk tables: numbers by value, then strings by bytes, then false and true. Lua's own
 * order differs from process to process (its hashes are seeded), and a replay must take the same path. Keys of any
 * other type have no order that could be repeated and are refused.
 *
 * A walk sees the keys that were there at its start, less those that have become nil meanwhile. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/lua_lib.h"

static const char cache_key =
    0; /* in the registry: { table, its sorted keys, position of the key that next gave last } */

/* A key without its Lua value. Strings are borrowed from the stack or the table. */
struct key {
    enum { KEY_NUMBER, KEY_STRING, KEY_BOOLEAN } type;
    bool integer;
    union {
        lua_Integer i;
        lua_Number n;
        bool b;
        const char *s;
    } u;
    size_t len;
    lua_Integer place; /* before sorting */
};

/* The key at index, which stays where it is. Raises for what has no order. */
static struct key key_at(lua_State *L, int index, const char *function)
{
    struct key k = {.place = 0};
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        k.type = KEY_NUMBER;
        k.integer = lua_isinteger(L, index);
        if (k.integer)
            k.u.i = lua_tointeger(L, index);
        else
            k.u.n = lua_tonumber(L, index);
        return k;
    case LUA_TSTRING:
        k.type = KEY_STRING;
        k.u.s = lua_tolstring(L, index, &k.len);
        return k;
    case LUA_TBOOLEAN:
        k.type = KEY_BOOLEAN;
        k.u.b = lua_toboolean(L, index);
        return k;
    default:
        luaL_error(L,
                   "%s: a key is a %s, and such keys have no order that is the same on replay; keep a list, or use a "
                   "name as the key",
                   function, luaL_typename(L, index));
        return k;
    }
}

/* Exact, also where a double can not hold the integer. A float key is never integral within the range of integers. */
static int compare_numbers(const struct key *a, const struct key *b)
{
    if (a->integer && b->integer)
        return a->u.i < b->u.i ? -1 : a->u.i > b->u.i;
    if (!a->integer && !b->integer)
        return a->u.n < b->u.n ? -1 : a->u.n > b->u.n;
    if (!a->integer)
        return -compare_numbers(b, a);
    lua_Number f = b->u.n;
    if (f >= 9223372036854775808.0)
        return -1;
    if (f < -9223372036854775808.0)
        return 1;
    lua_Number low = floor(f);
    lua_Integer whole = (lua_Integer)low;
    if (a->u.i != whole)
        return a->u.i < whole ? -1 : 1;
    return f > low ? -1 : 0;
}

static int compare(const void *x, const void *y)
{
    const struct key *a = x, *b = y;
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    if (a->type == KEY_NUMBER)
        return compare_numbers(a, b);
    if (a->type == KEY_BOOLEAN)
        return (int)a->u.b - (int)b->u.b;
    int d = memcmp(a->u.s, b->u.s, a->len < b->len ? a->len : b->len);
    return d != 0 ? d : a->len < b->len ? -1 : a->len > b->len;
}

/* Number of keys; *sequence: they are 1, 2, … n, in this order. */
static lua_Integer count_keys(lua_State *L, int table, bool *sequence)
{
    lua_Integer n = 0;
    *sequence = true;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        n++;
        *sequence = *sequence && lua_isinteger(L, -2) && lua_tointeger(L, -2) == n;
        rb_vm_tick(L);
    }
    return n;
}

/* [-0, +1, e] pushes the list of table's n keys in order. */
static void push_sorted(lua_State *L, int table, lua_Integer n, const char *function)
{
    luaL_checkstack(L, 8, "keys of a table");
    struct key *keys = lua_newuserdatauv(L, (size_t)n * sizeof *keys, 0);
    lua_createtable(L, (int)n, 0); /* in Lua's order; keeps strings alive */
    int raw = lua_gettop(L);
    lua_Integer i = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        keys[i] = key_at(L, -2, function);
        keys[i].place = i + 1;
        i++;
        lua_pushvalue(L, -2);
        lua_rawseti(L, raw, i);
        rb_vm_tick(L);
    }
    qsort(keys, (size_t)n, sizeof *keys, compare); /* no two are equal */
    lua_createtable(L, (int)n, 0);
    for (i = 0; i < n; i++) {
        lua_rawgeti(L, raw, keys[i].place);
        lua_rawseti(L, -2, i + 1);
    }
    lua_replace(L, raw - 1);
    lua_settop(L, raw - 1);
}

void rb_lib_sorted_keys(lua_State *L, int index, lua_Integer n)
{
    push_sorted(L, lua_absindex(L, index), n, "keys");
}

/* [-0, +1] position in the sorted list of the first key that comes after the key at index. */
static lua_Integer position_after(lua_State *L, int list, int index, const char *function)
{
    struct key wanted = key_at(L, index, function);
    lua_Integer low = 1, high = (lua_Integer)lua_rawlen(L, list) + 1;
    while (low < high) {
        lua_Integer middle = low + (high - low) / 2;
        lua_rawgeti(L, list, middle);
        struct key k = key_at(L, -1, function);
        int d = compare(&k, &wanted);
        lua_pop(L, 1);
        if (d <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* [-0, +2|+1] pushes key and value of the first entry from position on that is still there, and returns its position;
 * pushes nil and returns 0 at the end. */
static lua_Integer push_entry(lua_State *L, int table, int list, lua_Integer position)
{
    for (;; position++) {
        if (lua_rawgeti(L, list, position) == LUA_TNIL)
            return 0;
        lua_pushvalue(L, -1);
        if (lua_rawget(L, table) != LUA_TNIL)
            return position;
        lua_pop(L, 2);
        rb_vm_tick(L);
    }
}

/* [-0, +1|+2] the smallest key and its value, without a list: `next(t) == nil` is how scripts ask whether a table is
 * empty. */
static int push_first(lua_State *L, int table)
{
    bool any = false;
    struct key least = {.place = 0};
    lua_pushnil(L); /* the smallest so far */
    int held = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct key k = key_at(L, -2, "next");
        if (!any || compare(&k, &least) < 0) {
            any = true;
            least = k;
            lua_pushvalue(L, -2);
            lua_replace(L, held);
        }
        rb_vm_tick(L);
    }
    if (!any)
        return 1;
    lua_pushvalue(L, held);
    lua_rawget(L, table);
    return 2;
}

static void forget(lua_State *L)
{
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &cache_key);
}

/* next(t, k): with the sorted keys of the table that was asked about last, so that a loop does not sort at each step.
 * The cache serves only the key that it gave last: whoever continues from another place, or starts anew, sees the table
 * as it is now. */
static int next_entry(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        forget(L);
        return push_first(L, 1);
    }
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &cache_key) == LUA_TTABLE) { /* 3 */
        lua_rawgeti(L, 3, 1);
        lua_rawgeti(L, 3, 2);
        lua_rawgeti(L, 3, 3);
        lua_Integer position = lua_tointeger(L, -1);
        lua_rawgeti(L, 5, position);
        if (lua_rawequal(L, 4, 1) && lua_rawequal(L, -1, 2)) {
            lua_settop(L, 5);
            lua_remove(L, 4);
            position = push_entry(L, 1, 4, position + 1);
            if (position == 0) {
                forget(L);
                return 1;
            }
            lua_pushinteger(L, position);
            lua_rawseti(L, 3, 3);
            return 2;
        }
    }
    lua_settop(L, 2);
    bool sequence;
    lua_Integer n = count_keys(L, 1, &sequence);
    lua_createtable(L, 3, 0);
    push_sorted(L, 1, n, "next"); /* 4 */
    lua_Integer position = push_entry(L, 1, 4, position_after(L, 4, 2, "next"));
    if (position == 0)
        return 1;
    lua_pushvalue(L, 1);
    lua_rawseti(L, 3, 1);
    lua_pushvalue(L, 4);
    lua_rawseti(L, 3, 2);
    lua_pushinteger(L, position);
    lua_rawseti(L, 3, 3);
    lua_pushvalue(L, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &cache_key);
    return 2;
}

static int l_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (rb_lib_unwrap(L, 1))
        lua_replace(L, 1);
    return next_entry(L);
}

/* [-0, +0|1, -] index of the table to look into: the one behind a face, which scripts must never hold, or t itself at
 * index 1. */
static int behind(lua_State *L)
{
    return rb_lib_unwrap(L, 1) ? lua_gettop(L) : 1;
}

/* Iterator over a sequence; upvalue 1: its length at the start. */
static int l_step_sequence(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer n = lua_tointeger(L, lua_upvalueindex(1));
    lua_Integer i = lua_isnoneornil(L, 2) ? 0 : lua_isinteger(L, 2) ? lua_tointeger(L, 2) : -1;
    if (i < 0)
        return l_next(L);
    int table = behind(L);
    while (i < n) {
        lua_pushinteger(L, ++i);
        if (lua_rawgeti(L, table, i) != LUA_TNIL)
            return 2;
        lua_pop(L, 2);
        rb_vm_tick(L);
    }
    lua_pushnil(L);
    return 1;
}

/* Iterator over sorted keys; upvalues: 1 the list, 2 position of the key that was given last, 3 the table. */
static int l_step_sorted(lua_State *L)
{
    lua_settop(L, 2);
    lua_Integer position = lua_tointeger(L, lua_upvalueindex(2));
    lua_rawgeti(L, lua_upvalueindex(1), position);
    if (!lua_rawequal(L, 1, lua_upvalueindex(3)) || !lua_rawequal(L, -1, 2)) {
        /* Somebody calls the iterator by hand, from another place. */
        lua_settop(L, 2);
        return l_next(L);
    }
    position = push_entry(L, behind(L), lua_upvalueindex(1), position + 1);
    lua_pushinteger(L, position);
    lua_replace(L, lua_upvalueindex(2));
    return position == 0 ? 1 : 2;
}

static int finish_pairs(lua_State *L, int status, lua_KContext ctx)
{
    (void)L;
    (void)status;
    (void)ctx;
    return 3;
}

static int l_pairs(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_insert(L, 1);
        lua_callk(L, 1, 3, 0, finish_pairs);
        return finish_pairs(L, 0, 0);
    }
    if (lua_type(L, 1) != LUA_TTABLE)
        return luaL_error(L, "bad argument #1 to 'for iterator' (table expected, got %s)", luaL_typename(L, 1));
    int table = behind(L);
    bool sequence;
    lua_Integer n = count_keys(L, table, &sequence);
    if (sequence) {
        lua_pushinteger(L, n);
        lua_pushcclosure(L, l_step_sequence, 1);
    } else {
        push_sorted(L, table, n, "pairs");
        lua_pushinteger(L, 0);
        lua_pushvalue(L, 1);
        lua_pushcclosure(L, l_step_sorted, 3);
    }
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

void rb_lib_pairs(lua_State *L, int env)
{
    lua_pushcfunction(L, l_pairs);
    lua_setfield(L, env, "pairs");
    lua_pushcfunction(L, l_next);
    lua_setfield(L, env, "next");
}
