/* Owns the reading of a primitive's arguments from Lua. Knows no primitive. */
#include "bind/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/err.h"
#include "engine/effect.h"
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

#define WORDS_MAX 100000

char **rb_args_words(lua_State *L, const char *verb, const char *field, const char *what, bool secrets, size_t max)
{
    size_t n = lua_getfield(L, 1, field) == LUA_TTABLE ? lua_rawlen(L, -1) : 0;
    if (n > WORDS_MAX)
        rb_error_raise(L, "usage", "not_started", "%s: %d elements of %s are more than %d", verb, (int)n, what,
                       WORDS_MAX);
    /* Owned by the Lua state until it is whole: reading an element may raise. */
    struct rb_buf *text = rb_effect_buf(L, max);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        size_t from = text->len;
        snprintf(name, sizeof(name), "%s: %s %d", verb, what, (int)i + (secrets ? 1 : 0));
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        if (!secrets && rb_secret_is(L, -1))
            rb_error_raise(
                L, "usage", "not_started",
                "%s is a secret: every user of the machine can see the arguments of a command; pass it by env or stdin",
                name);
        rb_secret_expand(L, -1, text, name);
        lua_pop(L, 1);
        if (text->cut)
            rb_error_raise(L, "usage", "not_started", "%s: the command is larger than %d MiB", verb, (int)(max >> 20));
        if (text->len > from && memchr(text->data + from, '\0', text->len - from))
            rb_error_raise(L, "usage", "not_started", "%s contains a NUL byte, which no command can be given", name);
        rb_buf_addc(text, '\0');
    }
    char **list = rb_alloc((n + 1) * sizeof(*list));
    const char *p = rb_buf_text(text);
    for (size_t i = 0; i < n; i++, p += strlen(p) + 1)
        list[i] = rb_strdup(p);
    lua_pop(L, 2);
    return list;
}

void rb_args_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void rb_args_assume_command(lua_State *L, const char *as)
{
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "code");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "stdout");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "stderr");
    lua_pushnumber(L, 0);
    lua_setfield(L, -2, "time");
    lua_pushstring(L, as);
    lua_setfield(L, -2, "assumed");
}
