/* Owns json of the sandbox: plain JSON for the outside world (the journal's own text, which keeps bytes and more, is
 * value.c's). Encoding walks the Lua values directly, with keys in order, so that equal values give equal text;
 * decoding is jansson's parser.
 *
 * Integers and floats stay apart both ways (1 and 1.0), null is the light userdata `null`, an empty table is [] unless
 * it is marked as an object. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/lua_lib.h"
#include "engine/secret.h"
#include "engine/value.h"

#define TEXT_META "rbhost.json.text"
#define TREE_META "rbhost.json.tree"

enum { DEPTH = 200 };

static const char objects_key = 0; /* in the registry, weak: empty tables that are objects */

/* -- marks --------------------------------------------------------------------------------------------------------- */

bool rb_lib_is_json_object(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    rb_lib_weak(L, &objects_key);
    lua_pushvalue(L, index);
    bool is = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 2);
    return is;
}

void rb_lib_mark_json_object(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    rb_lib_weak(L, &objects_key);
    lua_pushvalue(L, index);
    lua_pushboolean(L, true);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* json.object([t]) → t, which is {} and not [] in JSON when it is empty. */
static int l_object(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    rb_lib_mark_json_object(L, 1);
    return 1;
}

/* -- encoding ------------------------------------------------------------------------------------------------------ */

/* Where the walk is, from the inside out. */
struct place {
    const struct place *outer;
    const char *key; /* NULL: an index */
    lua_Integer index;
    int depth;
};

static int gc_text(lua_State *L)
{
    rb_buf_release(luaL_checkudata(L, 1, TEXT_META));
    return 0;
}

static struct rb_buf *push_text(lua_State *L)
{
    struct rb_buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    rb_buf_init(b, rb_vm_of(L)->opt.memory);
    if (luaL_newmetatable(L, TEXT_META)) {
        lua_pushcfunction(L, gc_text);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return b;
}

static void write_place(struct rb_buf *out, const struct place *p)
{
    if (!p->outer) {
        rb_buf_adds(out, "value");
        return;
    }
    write_place(out, p->outer);
    if (!p->key)
        rb_buf_addf(out, "[%lld]", (long long)p->index);
    else if (p->key[strspn(p->key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0' &&
             *p->key)
        rb_buf_addf(out, ".%s", p->key);
    else
        rb_buf_addf(out, "[\"%.60s\"]", p->key);
}

static int refuse(lua_State *L, const struct place *p, const char *why)
{
    struct rb_buf *text = push_text(L);
    write_place(text, p);
    return luaL_error(L, "json.encode: %s %s", rb_buf_text(text), why);
}

static void encode(lua_State *L, int index, const struct place *p, struct rb_buf *out);

static void encode_float(lua_State *L, lua_Number n, const struct place *p, struct rb_buf *out)
{
    if (!isfinite(n))
        refuse(L, p, "is not a finite number");
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, n);
        if (strtod(text, NULL) == n)
            break;
    }
    rb_buf_adds(out, text);
    if (!strpbrk(text, ".e"))
        rb_buf_adds(out, ".0");
}

static void encode_string(lua_State *L, int index, const struct place *p, struct rb_buf *out)
{
    size_t n;
    const char *s = lua_tolstring(L, index, &n);
    if (!rb_utf8_valid(s, n))
        refuse(L, p, "is not UTF-8 text (base64.encode makes any bytes text)");
    rb_json_quote(out, s, n);
}

static void encode_list(lua_State *L, int index, lua_Integer n, const struct place *p, struct rb_buf *out)
{
    struct place inner = {.outer = p, .depth = p->depth + 1};
    rb_buf_addc(out, '[');
    for (lua_Integer i = 1; i <= n; i++) {
        if (i > 1)
            rb_buf_addc(out, ',');
        inner.index = i;
        lua_rawgeti(L, index, i);
        encode(L, lua_gettop(L), &inner, out);
        lua_pop(L, 1);
    }
    rb_buf_addc(out, ']');
}

static void encode_object(lua_State *L, int index, lua_Integer n, const struct place *p, struct rb_buf *out)
{
    struct place inner = {.outer = p, .depth = p->depth + 1};
    rb_lib_sorted_keys(L, index, n);
    int keys = lua_gettop(L);
    rb_buf_addc(out, '{');
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, keys, i);
        inner.key = lua_tostring(L, -1);
        if (i > 1)
            rb_buf_addc(out, ',');
        encode_string(L, lua_gettop(L), &inner, out);
        rb_buf_addc(out, ':');
        lua_pushvalue(L, -1);
        lua_rawget(L, index);
        encode(L, lua_gettop(L), &inner, out);
        lua_pop(L, 2);
    }
    rb_buf_addc(out, '}');
    lua_pop(L, 1);
}

static void encode_table(lua_State *L, int index, const struct place *p, struct rb_buf *out)
{
    if (p->depth >= DEPTH)
        refuse(L, p, "is nested too deeply (does a table contain itself?)");
    luaL_checkstack(L, 10, "json.encode");
    lua_Integer n = 0, numbers = 0, strings = 0, last = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        n++;
        strings += lua_type(L, -2) == LUA_TSTRING;
        if (lua_isinteger(L, -2) && lua_tointeger(L, -2) > 0) {
            numbers++;
            last = lua_tointeger(L, -2) > last ? lua_tointeger(L, -2) : last;
        }
        rb_vm_tick(L);
    }
    if (n == 0)
        rb_buf_adds(out, rb_lib_is_json_object(L, index) ? "{}" : "[]");
    else if (strings == n)
        encode_object(L, index, n, p, out);
    else if (numbers == n && last == n)
        encode_list(L, index, n, p, out);
    else if (numbers == n)
        refuse(L, p, "is a list with holes (keep null in their places)");
    else
        refuse(L, p, "has keys that are neither all strings nor a list's 1, 2, 3 …");
}

static void encode(lua_State *L, int index, const struct place *p, struct rb_buf *out)
{
    char number[32];
    rb_vm_tick(L);
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: rb_buf_adds(out, lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            snprintf(number, sizeof number, "%lld", (long long)lua_tointeger(L, index));
            rb_buf_adds(out, number);
        } else {
            encode_float(L, lua_tonumber(L, index), p, out);
        }
        break;
    case LUA_TSTRING: encode_string(L, index, p, out); break;
    case LUA_TTABLE: encode_table(L, index, p, out); break;
    default:
        if (rb_value_is_null(L, index)) {
            rb_buf_adds(out, "null");
            break;
        }
        lua_pushfstring(
            L, rb_secret_is(L, index) ? "is a secret: pass it to an operation, which puts its text in" : "is a %s",
            luaL_typename(L, index));
        refuse(L, p, lua_tostring(L, -1));
    }
    if (out->cut)
        rb_vm_need(L, (double)rb_vm_of(L)->opt.memory * 2);
}

static int l_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (lua_isnil(L, 1))
        return luaL_error(L, "json.encode: value is nil (write null)");
    struct rb_buf *out = push_text(L);
    struct place top = {.outer = NULL};
    encode(L, 1, &top, out);
    lua_pushlstring(L, rb_buf_text(out), out->len);
    rb_buf_release(out);
    return 1;
}

/* -- decoding ------------------------------------------------------------------------------------------------------ */

static int gc_tree(lua_State *L)
{
    json_t **tree = luaL_checkudata(L, 1, TREE_META);
    json_decref(*tree);
    *tree = NULL;
    return 0;
}

static void push_json(lua_State *L, const json_t *v, int depth)
{
    if (depth > DEPTH)
        luaL_error(L, "json.decode: nested more than %d levels deep", DEPTH);
    luaL_checkstack(L, 6, "json.decode");
    rb_vm_tick(L);
    switch (json_typeof(v)) {
    case JSON_OBJECT: {
        lua_createtable(L, 0, (int)json_object_size(v));
        const char *key;
        json_t *item;
        json_object_foreach((json_t *)(uintptr_t)v, key, item)
        {
            lua_pushstring(L, key);
            push_json(L, item, depth + 1);
            lua_rawset(L, -3);
        }
        if (json_object_size(v) == 0)
            rb_lib_mark_json_object(L, -1);
        break;
    }
    case JSON_ARRAY:
        lua_createtable(L, (int)json_array_size(v), 0);
        for (size_t i = 0; i < json_array_size(v); i++) {
            push_json(L, json_array_get(v, i), depth + 1);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    case JSON_STRING: lua_pushlstring(L, json_string_value(v), json_string_length(v)); break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(v)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(v)); break;
    case JSON_TRUE: lua_pushboolean(L, true); break;
    case JSON_FALSE: lua_pushboolean(L, false); break;
    case JSON_NULL: rb_value_push_null(L); break;
    }
}

static int l_decode(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    lua_settop(L, 1);
    rb_vm_need(L, (double)n * 8); /* the parser's tree is C's memory, which the allocator of the state does not see */
    json_t **tree = lua_newuserdatauv(L, sizeof *tree, 0);
    *tree = NULL;
    if (luaL_newmetatable(L, TREE_META)) {
        lua_pushcfunction(L, gc_tree);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    json_error_t error;
    *tree = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!*tree)
        return luaL_error(L, "json.decode: line %d, column %d: %s", error.line, error.column, error.text);
    push_json(L, *tree, 0);
    json_decref(*tree);
    *tree = NULL;
    return 1;
}

void rb_lib_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", l_encode},
        {"decode", l_decode},
        {"object", l_object},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
