/* Owns the shape of errors as Lua values and their text. Knows nothing of what kinds there are beyond "lua", nor of who
 * catches them. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "engine/error.h"
#include "engine/lua_lib.h"
#include "engine/value.h"

#define ERROR_META "rbhost.error"

enum { TEXT_MAX = 4096 };

/* [-0, +1, m] t[field] when that is a string without metamethods, else nil. */
static const char *string_field(lua_State *L, int index, const char *field)
{
    index = lua_absindex(L, index);
    lua_pushstring(L, field);
    if (lua_rawget(L, index) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    return lua_tostring(L, -1);
}

/* One line: where: message. Line breaks inside the message stay a person's: they become "; " so that a log keeps its
 * lines. */
static int l_error_tostring(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *where = string_field(L, 1, "where");
    const char *message = string_field(L, 1, "message");
    const char *kind = string_field(L, 1, "kind");
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    if (where && *where) {
        luaL_addstring(&b, where);
        luaL_addstring(&b, ": ");
    }
    if (!message)
        message = kind ? kind : "error";
    for (const char *p = message; *p; p++) {
        if (*p == '\n' && p[1] == '\0')
            break;
        if (*p == '\n')
            luaL_addstring(&b, "; ");
        else if (*p != '\r')
            luaL_addchar(&b, *p);
    }
    luaL_pushresult(&b);
    return 1;
}

static int l_error_concat(lua_State *L) /* "failed: " .. e */
{
    luaL_tolstring(L, 1, NULL);
    luaL_tolstring(L, 2, NULL);
    lua_concat(L, 2);
    return 1;
}

static void push_metatable(lua_State *L)
{
    if (luaL_newmetatable(L, ERROR_META)) {
        lua_pushcfunction(L, l_error_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushcfunction(L, l_error_concat);
        lua_setfield(L, -2, "__concat");
        lua_pushliteral(L, "error");
        lua_setfield(L, -2, "__name");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
}

void rb_error_bless(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    push_metatable(L);
    lua_setmetatable(L, index);
}

/* [-0, +1, m] table with kind, message (on top of the stack before, taken) and where. */
static void make(lua_State *L, const char *kind, const char *outcome, const char *where)
{
    lua_createtable(L, 0, 6);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, outcome ? outcome : "failed"); /* every error says what is known of the outcome */
    lua_setfield(L, -2, "outcome");
    if (where && *where) {
        lua_pushstring(L, where);
        lua_setfield(L, -2, "where");
    }
    rb_error_bless(L, -1);
}

static void push(lua_State *L, const char *kind, const char *outcome, const char *fmt, va_list ap)
{
    luaL_checkstack(L, 8, "an error");
    char text[TEXT_MAX], where[512];
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    rb_vm_where(L, where, sizeof where);
    lua_pushstring(L, text);
    make(L, kind, outcome, where);
}

void rb_error_push(lua_State *L, const char *kind, const char *outcome, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    push(L, kind, outcome, fmt, ap);
    va_end(ap);
}

int rb_error_raise(lua_State *L, const char *kind, const char *outcome, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    push(L, kind, outcome, fmt, ap);
    va_end(ap);
    return lua_error(L);
}

bool rb_error_is(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, ERROR_META);
    bool is = lua_istable(L, -1) && lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is;
}

const char *rb_error_kind(lua_State *L, int index)
{
    if (!rb_error_is(L, index))
        return NULL;
    const char *kind = string_field(L, index, "kind");
    lua_pop(L, 1); /* the table still holds it */
    return kind;
}

/* Lua puts "file:line: " before the message of an error that it raises itself: how long is that prefix? 0: there is
 * none. */
static size_t place_length(const char *s)
{
    for (const char *p = strchr(s, ':'); p; p = strchr(p + 1, ':')) {
        const char *end = p + 1;
        while (isdigit((unsigned char)*end))
            end++;
        if (end > p + 1 && end[0] == ':' && end[1] == ' ' && !memchr(s, '\n', (size_t)(p - s)))
            return (size_t)(end - s);
    }
    return 0;
}

void rb_error_normalize(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    if (rb_error_is(L, index))
        return;
    luaL_checkstack(L, 8, "an error");
    char where[512] = "";
    if (lua_type(L, index) == LUA_TSTRING) {
        const char *s = lua_tostring(L, index);
        size_t place = place_length(s);
        if (place > 0 && strncmp(s, "stdlib/rt/", 10) != 0)
            snprintf(where, sizeof where, "%.*s", (int)place, s);
        else
            rb_vm_where(L, where, sizeof where);
        lua_pushstring(L, place > 0 ? s + place + 2 : s);
    } else {
        rb_vm_where(L, where, sizeof where);
        struct rb_buf text;
        rb_buf_init(&text, TEXT_MAX);
        rb_vm_error_text(L, index, &text);
        char copy[TEXT_MAX + 1];
        snprintf(copy, sizeof copy, "%s", rb_buf_text(&text));
        rb_buf_release(&text);
        lua_pushstring(L, copy);
    }
    make(L, "lua", NULL, where);
    if (lua_type(L, index) != LUA_TSTRING && !lua_isnil(L, index)) {
        lua_pushvalue(L, index);
        lua_setfield(L, -2, "value"); /* what the script raised */
    }
    lua_replace(L, index);
}

/* [-0, +1, m] the table at 1 as data, when it is some. */
static void push_table_text(lua_State *L)
{
    struct rb_buf data;
    struct rb_err err;
    rb_buf_init(&data, 400);
    if (rb_value_encode(L, 1, "error", NULL, &data, &err) == RB_OK || data.cut)
        lua_pushfstring(L, "an error without a message: %s%s", rb_buf_text(&data), data.cut ? "…" : "");
    else
        lua_pushliteral(L, "an error without a message");
    rb_buf_release(&data);
}

/* Protected: a script's __tostring may raise. (value) → text */
static int to_text(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TTABLE && luaL_getmetafield(L, 1, "__tostring") == LUA_TNIL &&
        string_field(L, 1, "message"))
        return 1; /* a table that looks like an error */
    lua_settop(L, 1);
    if (lua_isnil(L, 1))
        lua_pushliteral(L, "error(nil)");
    else if (lua_type(L, 1) == LUA_TSTRING)
        lua_pushvalue(L, 1);
    else if (lua_type(L, 1) == LUA_TTABLE && luaL_getmetafield(L, 1, "__tostring") == LUA_TNIL)
        push_table_text(L);
    else {
        lua_settop(L, 1);
        size_t len;
        rb_lib_tostring(L, 1, &len);
    }
    return 1;
}

void rb_vm_error_text(lua_State *L, int index, struct rb_buf *out)
{
    index = lua_absindex(L, index);
    if (!lua_checkstack(L, 6)) {
        rb_buf_adds(out, "stack overflow");
        return;
    }
    lua_pushcfunction(L, to_text);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK || lua_type(L, -1) != LUA_TSTRING) {
        rb_buf_addf(out, "(an error object, a %s, whose text can not be had)", luaL_typename(L, index));
    } else {
        size_t n;
        const char *s = lua_tolstring(L, -1, &n);
        while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r'))
            n--;
        for (size_t i = 0; i < n; i++) {
            if (s[i] == '\n')
                rb_buf_adds(out, "; ");
            else
                rb_buf_addc(out, s[i]);
        }
    }
    lua_pop(L, 1);
}
