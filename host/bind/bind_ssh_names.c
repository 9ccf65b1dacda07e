/* Owns what lists of hosts may name besides hosts: the groups of the configuration, and the names that ssh's own has.
 * Both depend on the machine, so the Lua side makes a record of what comes of them. */
#include <stdlib.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "engine/core.h"
#include "io/ssh_config.h"

#define NAMES_MAX 100000

int rb_bind_ssh_groups(lua_State *L)
{
    const char *name, *text;
    const json_t *list, *member;
    json_t *groups = json_object_get(rb_host_config(rb_run_of(L)->host, "ssh"), "hosts");
    lua_newtable(L);
    json_object_foreach(groups, name, list)
    {
        size_t i;
        lua_createtable(L, (int)json_array_size(list), 0);
        json_array_foreach((json_t *)(uintptr_t)list, i, member) if ((text = json_string_value(member)))
        {
            lua_pushstring(L, text);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        lua_setfield(L, -2, name);
    }
    return 1;
}

/* [-0, +0, m] into the list on top, unless it is there: the table below has those. */
static void add_name(void *arg, const char *name)
{
    lua_State *L = arg;
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    if (n >= NAMES_MAX || lua_getfield(L, -2, name) != LUA_TNIL) {
        lua_settop(L, 2);
        return;
    }
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
    lua_setfield(L, -3, name);
    lua_pushstring(L, name);
    lua_rawseti(L, -2, n + 1);
}

int rb_bind_ssh_names(lua_State *L)
{
    const json_t *ssh = rb_host_config(rb_run_of(L)->host, "ssh");
    lua_settop(L, 0);
    lua_newtable(L);
    lua_newtable(L);
    rb_ssh_config_names(json_string_value(json_object_get(ssh, "config")), getenv("HOME"), add_name, L);
    return 1;
}
