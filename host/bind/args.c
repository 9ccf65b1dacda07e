/* Owns the reading of a primitive's arguments from Lua. Knows no primitive. */
#include "bind/args.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/err.h"
#include "engine/error.h"
#include "engine/secret.h"

char *rb_args_text(lua_State *L, int index, const char *verb, const char *field)
{
    size_t n;
    int type = lua_getfield(L, index, field);
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    if (type != LUA_TSTRING)
        rb_error_raise(L, "usage", "not_started", "%s: %s must be a string, not a %s", verb, field,
                       rb_secret_is(L, -1) ? "secret" : lua_typename(L, type));
    const char *s = lua_tolstring(L, -1, &n);
    if (memchr(s, '\0', n))
        rb_error_raise(L, "usage", "not_started", "%s: %s contains a NUL byte", verb, field);
    char *copy = rb_strndup(s, n);
    lua_pop(L, 1);
    return copy;
}

int64_t rb_args_int(lua_State *L, int index, const char *field, int64_t otherwise)
{
    int64_t v = lua_getfield(L, index, field) == LUA_TNIL ? otherwise : (int64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    return v;
}

bool rb_args_bool(lua_State *L, int index, const char *field, bool otherwise)
{
    bool v = lua_getfield(L, index, field) == LUA_TNIL ? otherwise : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return v;
}

void rb_args_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}
