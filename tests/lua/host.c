/* Runs one file of LuaUnit tests inside the host's own Lua state, where the modules of stdlib/rt are the embedded ones
 * and string, table, pairs … are the host's:
 *
 *   host FILE [luaunit's arguments]
 *
 * Owns the globals that tests see: what stdlib/rt sees, and Lua's io, os and debug, which LuaUnit wants. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/vm.h"

static const char globals; /* its address is the key in the registry */

static int load_with_globals(lua_State *L, const char *path, int results)
{
    if (luaL_loadfile(L, path) != LUA_OK)
        return lua_error(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals);
    lua_setupvalue(L, -2, 1);
    lua_call(L, 0, results);
    return results;
}

static int l_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    struct rb_err err;
    if (strncmp(name, "rt.", 3) == 0) {
        if (rb_vm_rt(L, luaL_gsub(L, name + 3, ".", "/"), &err) < 0)
            return luaL_error(L, "%s", err.msg);
        return 1;
    }
    if (strcmp(name, "luaunit") != 0) { /* LuaUnit requires "math" and the like */
        lua_rawgetp(L, LUA_REGISTRYINDEX, &globals);
        if (lua_getfield(L, -1, name) != LUA_TTABLE)
            return luaL_error(L, "tests require rt modules and luaunit, not %s", name);
        return 1;
    }
    if (lua_getfield(L, LUA_REGISTRYINDEX, "luaunit") != LUA_TNIL)
        return 1;
    load_with_globals(L, "/usr/share/lua/5.4/luaunit.lua", 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, "luaunit");
    return 1;
}

static void add_library(lua_State *L, const char *name, lua_CFunction open)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    lua_setfield(L, -2, name);
}

static int run(lua_State *L)
{
    char **argv = lua_touserdata(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushglobaltable(L);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
    add_library(L, LUA_IOLIBNAME, luaopen_io);
    add_library(L, LUA_OSLIBNAME, luaopen_os);
    add_library(L, LUA_DBLIBNAME, luaopen_debug);
    lua_pushcfunction(L, l_require);
    lua_setfield(L, -2, "require");
    lua_newtable(L);
    for (int i = 1; argv[i]; i++) {
        lua_pushstring(L, argv[i]);
        lua_seti(L, -2, i - 1);
    }
    lua_setfield(L, -2, "arg");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals);
    return load_with_globals(L, argv[1], 0);
}

static int on_error(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

int main(int argc, char **argv)
{
    struct rb_vm vm;
    struct rb_err err;
    struct rb_vm_options opt = {.slice_max_us = 600 * INT64_C(1000000), .slice_warn_us = 600 * INT64_C(1000000)};
    if (argc < 2) {
        fputs("usage: host FILE [luaunit's arguments]\n", stderr);
        return 2;
    }
    if (rb_vm_open(&vm, &opt, &err) < 0) {
        fprintf(stderr, "host: %s\n", err.msg);
        return 1;
    }
    lua_pushcfunction(vm.L, on_error);
    lua_pushcfunction(vm.L, run);
    lua_pushlightuserdata(vm.L, argv);
    int status = lua_pcall(vm.L, 1, 0, 1);
    if (status != LUA_OK)
        fprintf(stderr, "host: %s\n", lua_tostring(vm.L, -1));
    rb_vm_close(&vm);
    return status == LUA_OK ? 0 : 1;
}
