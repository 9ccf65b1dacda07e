/* Owns the basic functions of the sandbox: protected calls, metatables, raw access, tostring. Knows nothing of tasks: a
 * cancellation is only a depth in vm->context.
 *
 * Protected calls of a task are numbered from the outside, 1, 2, …; context->depth is the number of the innermost. A
 * cancellation that was raised below number n passes through n, n-1, … 1, whatever the script does; unwind_depth goes
 * down with it, so that calls which <close> handlers make on the way are not taken for those. */
#include <stdio.h>
#include <string.h>

#include "engine/error.h"
#include "engine/lua_lib.h"
#include "engine/value.h"

/* -- protected calls ----------------------------------------------------------------------------------------------- */

int rb_lib_enter(lua_State *L)
{
    return ++rb_vm_of(L)->context->depth;
}

void rb_lib_leave(lua_State *L, bool failed, bool memory)
{
    struct rb_vm *vm = rb_vm_of(L);
    struct rb_vm_context *context = vm->context;
    int number = context->depth;
    if (context->depth > 0)
        context->depth--;
    if (!failed)
        return;
    if (memory)
        vm->dead = RB_VM_MEMORY;
    if (vm->dead) {
        const char *kind = rb_error_kind(L, -1);
        if (kind && strcmp(kind, vm->dead == RB_VM_MEMORY ? "memory" : "budget") == 0)
            lua_error(L); /* the first one knows where it happened */
        rb_vm_raise_dead(L);
    }
    if (number > 0 && context->unwind_depth >= number) {
        context->unwind_depth = number - 1;
        lua_error(L);
    }
}

/* Continuation of pcall and xpcall; extra: stack slots below the results. */
static int finish_pcall(lua_State *L, int status, lua_KContext extra)
{
    bool failed = status != LUA_OK && status != LUA_YIELD;
    rb_lib_leave(L, failed, status == LUA_ERRMEM);
    if (failed) {
        if (extra == 0 && rb_vm_of(L)->error_tables && lua_type(L, -1) == LUA_TSTRING)
            /* Lua's own errors are tables, too; what a script raised stays what it is */
            rb_error_normalize(L, lua_gettop(L));
        lua_pushboolean(L, false);
        lua_pushvalue(L, -2);
        return 2;
    }
    return lua_gettop(L) - (int)extra;
}

static int l_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, true);
    lua_insert(L, 1);
    rb_lib_enter(L);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall);
    return finish_pcall(L, status, 0);
}

/* Message handler of xpcall: the script's own is upvalue 1, and is not asked about errors that it can not hold up. */
static int on_error(lua_State *L)
{
    struct rb_vm *vm = rb_vm_of(L);
    lua_settop(L, 1);
    if (vm->dead || vm->context->unwind_depth >= vm->context->depth)
        return 1;
    if (vm->error_tables && lua_type(L, 1) == LUA_TSTRING)
        rb_error_normalize(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int l_xpcall(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, on_error, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, true);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2);
    rb_lib_enter(L);
    int status = lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, finish_pcall);
    return finish_pcall(L, status, 2);
}

/* -- text ---------------------------------------------------------------------------------------------------------- */

const char *rb_lib_tostring(lua_State *L, int index, size_t *len)
{
    index = lua_absindex(L, index);
    if (luaL_callmeta(L, index, "__tostring")) {
        if (!lua_isstring(L, -1))
            luaL_error(L, "'__tostring' must return a string");
        return lua_tolstring(L, -1, len);
    }
    int type = lua_type(L, index);
    if (type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING)
        return luaL_tolstring(L, index, len);
    if (rb_value_is_null(L, index)) {
        lua_pushliteral(L, "null");
        return lua_tolstring(L, -1, len);
    }
    int field = luaL_getmetafield(L, index, "__name");
    if (field != LUA_TSTRING) {
        if (field != LUA_TNIL)
            lua_pop(L, 1);
        lua_pushstring(L, lua_typename(L, type));
    }
    return lua_tolstring(L, -1, len);
}

static int l_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    rb_lib_tostring(L, 1, NULL);
    return 1;
}

/* -- tables -------------------------------------------------------------------------------------------------------- */

static void refuse_field(lua_State *L, const char *field, const char *why)
{
    lua_pushstring(L, field);
    if (lua_rawget(L, 2) != LUA_TNIL)
        luaL_error(L, "setmetatable: '%s' is not available: %s", field, why);
    lua_pop(L, 1);
}

static int l_setmetatable(lua_State *L)
{
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (type == LUA_TTABLE) {
        refuse_field(L, "__gc",
                     "when it runs depends on the collector; use a to-be-closed variable (local x <close> = …)");
        refuse_field(L, "__mode", "what a weak table holds depends on the collector");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int l_rawget(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    if (rb_lib_unwrap(L, 1))
        lua_replace(L, 1);
    lua_rawget(L, 1);
    return 1;
}

static int l_rawset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    if (rb_lib_unwrap(L, 1))
        return luaL_error(L, "rawset: this table is read-only");
    lua_rawset(L, 1);
    return 1;
}

static int l_rawlen(lua_State *L)
{
    int type = lua_type(L, 1);
    luaL_argexpected(L, type == LUA_TTABLE || type == LUA_TSTRING, 1, "table or string");
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

/* -- the rest ------------------------------------------------------------------------------------------------------ */

/* The count differs from process to process: for looking at, never for deciding. */
static int l_collectgarbage(lua_State *L)
{
    const char *what = luaL_optstring(L, 1, "collect");
    if (strcmp(what, "count") != 0)
        return luaL_error(L, "collectgarbage('%s') is not available, only collectgarbage('count')", what);
    lua_pushnumber(L, (lua_Number)rb_vm_of(L)->used / 1024);
    return 1;
}

static const luaL_Reg functions[] = {
    {"pcall", l_pcall},   {"xpcall", l_xpcall}, {"tostring", l_tostring}, {"setmetatable", l_setmetatable},
    {"rawget", l_rawget}, {"rawset", l_rawset}, {"rawlen", l_rawlen},     {"collectgarbage", l_collectgarbage},
    {NULL, NULL},
};

/* Taken over from Lua as they are. */
static const char *const plain[] = {"assert", "error",    "getmetatable", "ipairs",   "rawequal",
                                    "select", "tonumber", "type",         "_VERSION", NULL};

void rb_lib_base(lua_State *L, int env, int real)
{
    rb_lib_copy(L, real, env, plain);
    lua_pushvalue(L, env);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
