/* Owns the table library of the sandbox but for sort (lua_sort.c). Lua's `#t` of a list with holes is any of its
 * borders, another one in another process: here whatever takes the length of a table raises when the table has a
 * hole. */
#include <limits.h>
#include <string.h>

#include "engine/lua_lib.h"

/* In the registry, weak: large tables whose elements 1 … n were seen to be a sequence. */
static const char verified_key = 0;

enum { SMALL = 64 }; /* tables of up to so many entries are looked through each time */

enum { READ = 1, WRITE = 2, LENGTH = 4 };

/* A table, or something that behaves like one in the way that is needed. */
static void check_table(lua_State *L, int arg, int need)
{
    static const char *const event[] = {"__index", "__newindex", "__len"};
    if (lua_type(L, arg) == LUA_TTABLE)
        return;
    for (int i = 0; i < 3; i++) {
        if (!(need & 1 << i))
            continue;
        if (luaL_getmetafield(L, arg, event[i]) == LUA_TNIL)
            luaL_checktype(L, arg, LUA_TTABLE);
        lua_pop(L, 1);
    }
}

static int raise_hole(lua_State *L, const char *function, lua_Integer at)
{
    return luaL_error(L,
                      "table.%s: the list has a hole: there is no element %I but a later one (keep null in its place, "
                      "or count yourself)",
                      function, (LUAI_UACINT)at);
}

/* Looks at up to most keys (0: all). Returns -1 when there are more; otherwise the number of positive integer keys, the
 * largest of them in *last: equal for a sequence. */
static lua_Integer count_elements(lua_State *L, int table, lua_Integer most, lua_Integer *last)
{
    lua_Integer n = 0, seen = 0;
    *last = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if (most > 0 && ++seen > most) {
            lua_pop(L, 2);
            return -1;
        }
        if (lua_isinteger(L, -2) && lua_tointeger(L, -2) > 0) {
            n++;
            if (lua_tointeger(L, -2) > *last)
                *last = lua_tointeger(L, -2);
        }
        if (most == 0)
            rb_vm_tick(L);
    }
    return n;
}

static lua_Integer first_missing(lua_State *L, int table)
{
    lua_Integer i = 1;
    while (lua_rawgeti(L, table, i) != LUA_TNIL) {
        lua_pop(L, 1);
        i++;
        rb_vm_tick(L);
    }
    lua_pop(L, 1);
    return i;
}

static void set_verified(lua_State *L, int table, lua_Integer n)
{
    rb_lib_weak(L, &verified_key);
    lua_pushvalue(L, table);
    lua_pushinteger(L, n);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Appending to a large list must not look through all of it each time: what was verified once is only looked at between
 * the old length and the new one. */
static lua_Integer large_length(lua_State *L, int table, const char *function)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, table);
    rb_lib_weak(L, &verified_key);
    lua_pushvalue(L, table);
    bool known = lua_rawget(L, -2) == LUA_TNUMBER;
    lua_Integer was = lua_tointeger(L, -1);
    lua_pop(L, 2);
    if (!known) {
        lua_Integer last;
        if (count_elements(L, table, 0, &last) != last)
            raise_hole(L, function, first_missing(L, table));
        n = last;
    }
    for (lua_Integer i = was + 1; known && i <= n; i++) {
        if (lua_rawgeti(L, table, i) == LUA_TNIL)
            raise_hole(L, function, i);
        lua_pop(L, 1);
    }
    for (lua_Integer i = n + 1; known && i <= was; i++) {
        if (lua_rawgeti(L, table, i) != LUA_TNIL)
            raise_hole(L, function, first_missing(L, table));
        lua_pop(L, 1);
    }
    if (!known || was != n)
        set_verified(L, table, n);
    return n;
}

lua_Integer rb_lib_length(lua_State *L, int index, const char *function)
{
    index = lua_absindex(L, index);
    if (luaL_getmetafield(L, index, "__len") != LUA_TNIL) {
        lua_pop(L, 1);
        return luaL_len(L, index);
    }
    if (lua_type(L, index) != LUA_TTABLE)
        return luaL_len(L, index);
    lua_Integer last;
    lua_Integer n = lua_rawlen(L, index) > SMALL ? -1 : count_elements(L, index, SMALL, &last);
    if (n < 0)
        return large_length(L, index, function);
    if (n != last)
        raise_hole(L, function, first_missing(L, index));
    return n;
}

/* -- the functions ------------------------------------------------------------------------------------------------- */

static int l_insert(lua_State *L)
{
    check_table(L, 1, READ | WRITE | LENGTH);
    lua_Integer end = rb_lib_length(L, 1, "insert");
    end = (lua_Integer)((lua_Unsigned)end + 1);
    lua_Integer at = end;
    int n = lua_gettop(L);
    if (n == 3) {
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, (lua_Unsigned)at - 1u < (lua_Unsigned)end, 2, "position out of bounds");
        for (lua_Integer i = end; i > at; i--) {
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
            rb_vm_tick(L);
        }
    } else if (n != 2) {
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

static int l_remove(lua_State *L)
{
    check_table(L, 1, READ | WRITE | LENGTH);
    lua_Integer size = rb_lib_length(L, 1, "remove");
    lua_Integer at = luaL_optinteger(L, 2, size);
    if (lua_gettop(L) > 1 && at != size)
        luaL_argcheck(L, (lua_Unsigned)at - 1u <= (lua_Unsigned)size, 2, "position out of bounds");
    lua_geti(L, 1, at);
    for (; at < size; at++) {
        lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
        rb_vm_tick(L);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

static void add_element(lua_State *L, luaL_Buffer *b, lua_Integer i)
{
    lua_geti(L, 1, i);
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
    luaL_addvalue(b);
}

static int l_concat(lua_State *L)
{
    check_table(L, 1, READ | LENGTH);
    size_t nsep;
    const char *sep = luaL_optlstring(L, 2, "", &nsep);
    lua_Integer i = luaL_optinteger(L, 3, 1);
    lua_Integer last = lua_isnoneornil(L, 4) ? rb_lib_length(L, 1, "concat") : luaL_checkinteger(L, 4);
    double bytes = 0;
    for (lua_Integer k = i; k <= last && lua_type(L, 1) == LUA_TTABLE; k++) {
        int type = lua_rawgeti(L, 1, k);
        bytes += (double)nsep + (type == LUA_TSTRING ? (double)lua_rawlen(L, -1) : 1);
        lua_pop(L, 1);
        if (type == LUA_TNIL || k == LUA_MAXINTEGER)
            break;
        rb_vm_tick(L);
    }
    rb_vm_need(L, bytes);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (; i < last; i++) {
        add_element(L, &b, i);
        luaL_addlstring(&b, sep, nsep);
        rb_vm_tick(L);
    }
    if (i == last)
        add_element(L, &b, i);
    luaL_pushresult(&b);
    return 1;
}

static int l_pack(lua_State *L)
{
    int n = lua_gettop(L);
    lua_createtable(L, n, 1);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--)
        lua_seti(L, 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, 1, "n");
    return 1;
}

static int l_unpack(lua_State *L)
{
    lua_Integer i = luaL_optinteger(L, 2, 1);
    lua_Integer last = lua_isnoneornil(L, 3) ? rb_lib_length(L, 1, "unpack") : luaL_checkinteger(L, 3);
    if (i > last)
        return 0;
    lua_Unsigned n = (lua_Unsigned)last - (lua_Unsigned)i;
    if (n >= (lua_Unsigned)INT_MAX || !lua_checkstack(L, (int)(n + 1)))
        return luaL_error(L, "too many results to unpack");
    for (; i < last; i++)
        lua_geti(L, 1, i);
    lua_geti(L, 1, last);
    return (int)(n + 1);
}

static int l_move(lua_State *L)
{
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    check_table(L, 1, READ);
    check_table(L, target, WRITE);
    if (last >= first) {
        luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
        lua_Integer n = last - first + 1;
        luaL_argcheck(L, to <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
        rb_vm_need(L, (double)n * 16); /* a slot of an array each */
        bool upwards = to > last || to <= first || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
        for (lua_Integer k = 0; k < n; k++) {
            lua_Integer i = upwards ? k : n - 1 - k;
            lua_geti(L, 1, first + i);
            lua_seti(L, target, to + i);
            rb_vm_tick(L);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

void rb_lib_table(lua_State *L, int real)
{
    (void)real;
    static const luaL_Reg functions[] = {
        {"insert", l_insert}, {"remove", l_remove}, {"concat", l_concat},  {"pack", l_pack},
        {"unpack", l_unpack}, {"move", l_move},     {"sort", rb_lib_sort}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
