/* Owns the walk from Lua values to journal JSON; the way back is value_decode.c's. Knows no events: where large strings
 * go is the codec's business. */
#include "engine/value.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/lua_lib.h"
#include "engine/secret.h"

#define PLACEHOLDER "\xE2\x80\xB9secret:"
#define PLACEHOLDER_END "\xE2\x80\xBA"

#define SMALL 16 /* members of a table */

struct path {
    const struct path *up;
    const char *name; /* a string key, or NULL */
    lua_Integer index;
    const char *odd; /* any other key as text, or NULL */
};

struct encoder {
    lua_State *L;
    const struct rb_codec *codec;
    struct rb_buf *out;
    struct rb_err *err;
};

static void path_text(const struct path *p, struct rb_buf *out)
{
    if (!p)
        return;
    path_text(p->up, out);
    if (p->odd)
        rb_buf_addf(out, "[%s]", p->odd);
    else if (!p->name)
        rb_buf_addf(out, "[%lld]", (long long)p->index);
    else
        rb_buf_addf(out, "%s%.80s", p->up ? "." : "", p->name);
}

static int refuse(struct encoder *e, const struct path *p, const char *why)
{
    struct rb_buf where;
    rb_buf_init(&where, 400);
    path_text(p, &where);
    rb_err_set(e->err, RB_EINVAL,
               "%s %s; only plain data can be kept: nil, booleans, numbers, strings and tables of these without holes "
               "or cycles",
               rb_buf_text(&where), why);
    rb_buf_release(&where);
    return RB_EINVAL;
}

/* Whole microseconds below a thousand million seconds, as times are: their decimal has 15 digits at most, so it is the
 * only one that short, and "%g" would not use an exponent. */
static bool encode_micros(struct encoder *e, double d)
{
    char text[8] = ".000000";
    if (!(d >= 1e-4 && d < 1e9))
        return false;
    int64_t us = (int64_t)(d * 1e6 + 0.5);
    int64_t part = us % 1000000;
    if ((double)us / 1e6 != d || !part)
        return false;
    size_t n = 7;
    for (size_t i = 6; i > 0; i--, part /= 10)
        text[i] = (char)('0' + part % 10);
    while (text[n - 1] == '0')
        n--;
    rb_buf_addi(e->out, us / 1000000);
    rb_buf_add(e->out, text, n);
    return true;
}

static void encode_number(struct encoder *e, int index)
{
    if (lua_isinteger(e->L, index)) {
        rb_buf_addi(e->out, lua_tointeger(e->L, index));
        return;
    }
    double d = (double)lua_tonumber(e->L, index);
    if (isnan(d)) {
        rb_buf_adds(e->out, "{\"$num\":\"nan\"}");
    } else if (isinf(d)) {
        rb_buf_adds(e->out, d > 0 ? "{\"$num\":\"inf\"}" : "{\"$num\":\"-inf\"}");
    } else if (!encode_micros(e, d)) {
        char text[40];
        snprintf(text, sizeof(text), "%.17g", d);
        double back = strtod(text, NULL);
        for (int digits = 1; digits < 17 && back == d; digits++) {
            /* the shortest text that reads back as the same number */
            char shorter[40];
            snprintf(shorter, sizeof(shorter), "%.*g", digits, d);
            if (strtod(shorter, NULL) == d) {
                memcpy(text, shorter, sizeof(text));
                break;
            }
        }
        rb_buf_adds(e->out, text);
        if (!strpbrk(text, ".e"))
            rb_buf_adds(e->out, ".0");
    }
}

static size_t utf8_head(const char *s, size_t n) /* RB_VALUE_HEAD bytes at most, not in the middle of a character */
{
    size_t k = n < RB_VALUE_HEAD ? n : RB_VALUE_HEAD;
    while (k > 0 && k < n && ((unsigned char)s[k] & 0xC0) == 0x80)
        k--;
    return k;
}

static void write_string(struct encoder *e, const char *s, size_t n)
{
    struct rb_json j;
    rb_json_init(&j, e->out);
    if (!e->codec || !e->codec->blob_out || n <= RB_VALUE_BLOB_OVER) {
        rb_json_string(&j, s, n);
        return;
    }
    char digest[RB_SHA_HEX];
    e->codec->blob_out(e->codec->arg, s, n, digest);
    rb_buf_addf(e->out, "{\"$blob\":\"%s\",\"size\":%zu,\"head\":", digest, n);
    rb_json_string(&j, s, utf8_head(s, n));
    rb_buf_addc(e->out, '}');
}

static void encode_string(struct encoder *e, const char *s, size_t n)
{
    struct rb_buf other;
    rb_buf_init(&other, SIZE_MAX / 2);
    bool filtered = e->codec && e->codec->filter && e->codec->filter(e->codec->arg, false, s, n, &other);
    write_string(e, filtered ? rb_buf_text(&other) : s, filtered ? other.len : n);
    rb_buf_release(&other);
}

static int encode(struct encoder *e, int index, const struct path *p, int depth);

/* The keys of a table, sorted: numbers by value, then strings by bytes, then booleans. */
struct key {
    int type;
    lua_Number number;
    lua_Integer integer;
    bool is_integer;
    const char *s; /* stays valid: the table holds the string */
    size_t n;
};

static int rank(const struct key *k)
{
    return k->type == LUA_TNUMBER ? 0 : k->type == LUA_TSTRING ? 1 : 2;
}

static int by_key(const void *pa, const void *pb)
{
    const struct key *a = pa, *b = pb;
    if (rank(a) != rank(b))
        return rank(a) - rank(b);
    if (a->type == LUA_TNUMBER) {
        if (a->is_integer && b->is_integer)
            return a->integer < b->integer ? -1 : a->integer > b->integer;
        if (a->number != b->number)
            return a->number < b->number ? -1 : 1;
        return b->is_integer - a->is_integer; /* 2^63 - 1 and 2^63 are one float: without this their order is chance */
    }
    if (a->type == LUA_TSTRING) {
        size_t n = a->n < b->n ? a->n : b->n;
        int c = memcmp(a->s, b->s, n);
        return c ? c : a->n < b->n ? -1 : a->n > b->n;
    }
    return (int)a->integer - (int)b->integer;
}

/* What stands for a key that is neither text nor an integer in the path of an error. */
static const char *odd_text(const struct key *k, char out[40])
{
    if (k->type == LUA_TSTRING || k->is_integer)
        return NULL;
    if (k->type == LUA_TBOOLEAN)
        return k->integer ? "true" : "false";
    snprintf(out, 40, "%.14g", (double)k->number);
    return out;
}

static void push_key(lua_State *L, const struct key *k)
{
    if (k->type == LUA_TSTRING)
        lua_pushlstring(L, k->s, k->n);
    else if (k->type == LUA_TBOOLEAN)
        lua_pushboolean(L, (int)k->integer);
    else if (k->is_integer)
        lua_pushinteger(L, k->integer);
    else
        lua_pushnumber(L, k->number);
}

/* A small table with names for keys: its values wait on the stack until the names are in order. */
static int encode_small(struct encoder *e, int index, const struct path *p, int depth, size_t count)
{
    lua_State *L = e->L;
    struct key keys[SMALL];
    int base = lua_gettop(L);
    size_t n = 0;
    lua_pushnil(L);
    while (n < count && lua_next(L, index)) {
        struct key k = {.type = LUA_TSTRING, .integer = base + 1 + (lua_Integer)n};
        k.s = lua_tolstring(L, -2, &k.n);
        size_t at = n++;
        for (; at > 0 && by_key(&k, &keys[at - 1]) < 0; at--)
            keys[at] = keys[at - 1];
        keys[at] = k;
        lua_insert(L, -2);
    }
    int rc = RB_OK;
    rb_buf_addc(e->out, '{');
    for (size_t i = 0; i < n && !rc; i++) {
        struct path here = {p, keys[i].s, 0, NULL};
        if (i)
            rb_buf_addc(e->out, ',');
        rb_json_quote(e->out, keys[i].s, keys[i].n);
        rb_buf_addc(e->out, ':');
        rc = encode(e, (int)keys[i].integer, &here, depth);
    }
    rb_buf_addc(e->out, '}');
    lua_settop(L, base);
    return rc;
}

static int encode_map(struct encoder *e, int index, const struct path *p, int depth, size_t count, bool object)
{
    struct key *keys = rb_alloc(count * sizeof(*keys));
    size_t n = 0;
    lua_pushnil(e->L);
    while (n < count && lua_next(e->L, index)) {
        struct key *k = &keys[n++];
        k->type = lua_type(e->L, -2);
        k->is_integer = lua_isinteger(e->L, -2);
        if (k->type == LUA_TSTRING)
            k->s = lua_tolstring(e->L, -2, &k->n);
        else if (k->type == LUA_TBOOLEAN)
            k->integer = lua_toboolean(e->L, -2);
        else {
            k->integer = lua_tointeger(e->L, -2);
            k->number = lua_tonumber(e->L, -2);
        }
        lua_pop(e->L, 1);
    }
    qsort(keys, n, sizeof(*keys), by_key);
    int rc = RB_OK;
    rb_buf_adds(e->out, object ? "{" : "{\"$map\":[");
    for (size_t i = 0; i < n && !rc; i++) {
        char odd[40];
        struct path here = {p, keys[i].s, keys[i].integer, odd_text(&keys[i], odd)};
        if (i)
            rb_buf_addc(e->out, ',');
        push_key(e->L, &keys[i]);
        if (object) {
            rb_json_quote(e->out, keys[i].s, keys[i].n);
            rb_buf_addc(e->out, ':');
        } else {
            rb_buf_addc(e->out, '[');
            rc = encode(e, lua_gettop(e->L), &here, depth);
            rb_buf_addc(e->out, ',');
        }
        lua_rawget(e->L, index);
        if (!rc)
            rc = encode(e, lua_gettop(e->L), &here, depth);
        lua_pop(e->L, 1);
        if (!object)
            rb_buf_addc(e->out, ']');
    }
    rb_buf_adds(e->out, object ? "}" : "]}");
    free(keys);
    return rc;
}

static int encode_table(struct encoder *e, int index, const struct path *p, int depth)
{
    if (depth >= RB_VALUE_DEPTH)
        return refuse(e, p, "is nested too deeply, or contains itself");
    lua_State *L = e->L;
    size_t count = 0, positive = 0;
    lua_Integer max = 0;
    bool strings = true, has_one = false;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        count++;
        int type = lua_type(L, -2);
        if (type == LUA_TSTRING) {
            size_t n;
            const char *s = lua_tolstring(L, -2, &n);
            if (n && (*s == '$' || !(rb_json_is_plain(s, n) || (rb_utf8_valid(s, n) && !memchr(s, '\0', n)))))
                strings = false; /* many a reader of JSON takes no NUL in a key, jansson is one */
        } else {
            strings = false;
            if (lua_isinteger(L, -2)) {
                lua_Integer i = lua_tointeger(L, -2);
                positive += i > 0;
                has_one |= i == 1;
                max = i > max ? i : max;
            } else if (type != LUA_TBOOLEAN && type != LUA_TNUMBER) {
                char why[80];
                snprintf(why, sizeof(why), "has a %s as a key", lua_typename(L, type));
                lua_pop(L, 2);
                return refuse(e, p, why);
            }
        }
        lua_pop(L, 1);
    }
    if (has_one && (size_t)max != positive)
        return refuse(e, p, "is a list with a hole");
    if (count == 0) {
        rb_buf_adds(e->out, rb_lib_is_json_object(L, index) ? "{}" : "[]");
        return RB_OK;
    }
    if (strings && count <= SMALL && lua_checkstack(L, SMALL + 8))
        return encode_small(e, index, p, depth + 1, count);
    if (strings || positive != count)
        return encode_map(e, index, p, depth + 1, count, strings);
    if (!has_one)
        return encode_map(e, index, p, depth + 1, count, false);
    rb_buf_addc(e->out, '[');
    for (lua_Integer i = 1; i <= max; i++) {
        struct path here = {p, NULL, i, NULL};
        if (i > 1)
            rb_buf_addc(e->out, ',');
        lua_rawgeti(L, index, i);
        int rc = encode(e, lua_gettop(L), &here, depth + 1);
        lua_pop(L, 1);
        if (rc)
            return rc;
    }
    rb_buf_addc(e->out, ']');
    return RB_OK;
}

/* Rows of a database, their columns on top of the stack. */
static int encode_rows(struct encoder *e, int index, const struct path *p, int depth)
{
    int columns = lua_gettop(e->L);
    rb_buf_adds(e->out, "{\"$rows\":");
    int rc = encode_table(e, index, p, depth);
    rb_buf_adds(e->out, ",\"columns\":");
    rc = rc ? rc : encode_table(e, columns, p, depth);
    rb_buf_addc(e->out, '}');
    lua_settop(e->L, columns - 1);
    return rc;
}

static int encode(struct encoder *e, int index, const struct path *p, int depth)
{
    lua_State *L = e->L;
    if (!lua_checkstack(L, 8))
        return refuse(e, p, "is nested too deeply");
    if (e->out->cut) /* a table that is reached in many ways is written each time: that could go on for ever */
        return RB_ETOOBIG;
    switch (lua_type(L, index)) {
    case LUA_TNIL: rb_buf_adds(e->out, "null"); return RB_OK;
    case LUA_TBOOLEAN: rb_buf_adds(e->out, lua_toboolean(L, index) ? "true" : "false"); return RB_OK;
    case LUA_TNUMBER: encode_number(e, index); return RB_OK;
    case LUA_TSTRING: {
        size_t n;
        const char *s = lua_tolstring(L, index, &n);
        encode_string(e, s, n);
        return RB_OK;
    }
    case LUA_TTABLE:
        return rb_lib_rows_columns(L, index) ? encode_rows(e, index, p, depth) : encode_table(e, index, p, depth);
    default: break;
    }
    if (rb_value_is_null(L, index)) {
        rb_buf_adds(e->out, "null");
        return RB_OK;
    }
    const char *secret = luaL_testudata(L, index, RB_SECRET_META);
    if (secret) {
        size_t n = strlen(secret);
        const char *name = secret + sizeof(PLACEHOLDER) - 1;
        bool alone = strncmp(secret, PLACEHOLDER, sizeof(PLACEHOLDER) - 1) == 0 && !strstr(name, PLACEHOLDER) &&
                     strstr(name, PLACEHOLDER_END) == secret + n - 3;
        rb_buf_adds(e->out, alone ? "{\"$secret\":" : "{\"$secret_text\":");
        rb_json_quote(e->out, alone ? name : secret, alone ? (size_t)(secret + n - 3 - name) : n);
        rb_buf_addc(e->out, '}');
        return RB_OK;
    }
    char why[40];
    snprintf(why, sizeof(why), "is a %s", luaL_typename(L, index));
    return refuse(e, p, why);
}

int rb_value_encode(lua_State *L, int index, const char *what, const struct rb_codec *codec, struct rb_buf *out,
                    struct rb_err *err)
{
    struct encoder e = {L, codec, out, err};
    struct path root = {NULL, what, 0, NULL};
    int top = lua_gettop(L);
    int rc = encode(&e, lua_absindex(L, index), &root, 0);
    lua_settop(L, top);
    if (rc != RB_EINVAL && out->cut)
        rc = rb_err_set(err, RB_ETOOBIG, "%s is larger than %zu bytes as JSON", what, out->max);
    return rc;
}
