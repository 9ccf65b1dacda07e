/* Owns the walk from journal JSON back to Lua values, the reverse of value.c. */
#include "engine/value.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/lua_lib.h"
#include "engine/secret.h"

struct decoder {
    lua_State *L;
    const struct rb_codec *codec;
    const char *start, *p, *end;
    struct rb_err *err;
};

static int bad(struct decoder *d, const char *why)
{
    return rb_err_set(d->err, RB_EINVAL, "not JSON at byte %zu: %s", (size_t)(d->p - d->start), why);
}

static void blanks(struct decoder *d)
{
    while (d->p < d->end && (*d->p == ' ' || *d->p == '\n' || *d->p == '\t' || *d->p == '\r'))
        d->p++;
}

static int hex4(struct decoder *d, unsigned *out)
{
    unsigned v = 0;
    if (d->end - d->p < 4)
        return bad(d, "\\u needs four hex digits");
    for (int i = 0; i < 4; i++) {
        char c = *d->p++;
        unsigned x = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 16;
        if (x == 16)
            return bad(d, "\\u needs four hex digits");
        v = v << 4 | x;
    }
    *out = v;
    return RB_OK;
}

static int unicode(struct decoder *d, struct rb_buf *out)
{
    unsigned v, low;
    int rc = hex4(d, &v);
    if (rc)
        return rc;
    if (v >= 0xD800 && v < 0xDC00) {
        if (d->end - d->p < 6 || d->p[0] != '\\' || d->p[1] != 'u')
            return bad(d, "lone surrogate");
        d->p += 2;
        rc = hex4(d, &low);
        if (rc)
            return rc;
        if (low < 0xDC00 || low > 0xDFFF)
            return bad(d, "lone surrogate");
        v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
    } else if (v >= 0xDC00 && v < 0xE000) {
        return bad(d, "lone surrogate");
    }
    char u[4];
    size_t n = 0;
    if (v < 0x80) {
        u[n++] = (char)v;
    } else if (v < 0x800) {
        u[n++] = (char)(0xC0 | v >> 6);
        u[n++] = (char)(0x80 | (v & 63));
    } else if (v < 0x10000) {
        u[n++] = (char)(0xE0 | v >> 12);
        u[n++] = (char)(0x80 | (v >> 6 & 63));
        u[n++] = (char)(0x80 | (v & 63));
    } else {
        u[n++] = (char)(0xF0 | v >> 18);
        u[n++] = (char)(0x80 | (v >> 12 & 63));
        u[n++] = (char)(0x80 | (v >> 6 & 63));
        u[n++] = (char)(0x80 | (v & 63));
    }
    rb_buf_add(out, u, n);
    return RB_OK;
}

/* A string at d->p into out (reset first). */
static int text(struct decoder *d, struct rb_buf *out)
{
    rb_buf_reset(out);
    d->p++;
    for (;;) {
        const char *from = d->p;
        while (d->p < d->end && *d->p != '"' && *d->p != '\\' && (unsigned char)*d->p >= 0x20)
            d->p++;
        rb_buf_add(out, from, (size_t)(d->p - from));
        if (d->p >= d->end)
            return bad(d, "a string has no end");
        char c = *d->p++;
        if (c == '"')
            return rb_utf8_valid(rb_buf_text(out), out->len) ? RB_OK : bad(d, "a string is not UTF-8");
        if (c != '\\' || d->p >= d->end)
            return bad(d, "control character in a string");
        c = *d->p++;
        static const char from_set[] = "\"\\/bfnrt", to_set[] = "\"\\/\b\f\n\r\t";
        const char *at = c ? strchr(from_set, c) : NULL;
        if (at) {
            rb_buf_addc(out, to_set[at - from_set]);
        } else if (c == 'u') {
            int rc = unicode(d, out);
            if (rc)
                return rc;
        } else {
            return bad(d, "unknown escape in a string");
        }
    }
}

static int number(struct decoder *d)
{
    const char *from = d->p;
    bool is_float = false;
    if (d->p < d->end && *d->p == '-')
        d->p++;
    if (d->end - d->p >= 2 && *d->p == '0' && d->p[1] >= '0' && d->p[1] <= '9')
        return bad(d, "a number may not begin with 0");
    const char *digits = d->p;
    while (d->p < d->end && ((*d->p >= '0' && *d->p <= '9') || *d->p == '.' || *d->p == 'e' || *d->p == 'E' ||
                             *d->p == '+' || *d->p == '-')) {
        is_float |= *d->p < '0' && *d->p != '-' ? true : *d->p == 'e' || *d->p == 'E';
        d->p++;
    }
    size_t n = (size_t)(d->p - from);
    char copy[64];
    if (d->p == digits || *digits < '0' || *digits > '9' || n >= sizeof(copy))
        return bad(d, "expected a value");
    memcpy(copy, from, n);
    copy[n] = '\0';
    char *stop;
    if (is_float) {
        double v = strtod(copy, &stop);
        const char *point = strchr(copy, '.'); /* of what strtod takes, JSON lacks "1." and "1.e5" */
        if (*stop || !isfinite(v) || (point && (point[1] < '0' || point[1] > '9')))
            return bad(d, "not a number");
        lua_pushnumber(d->L, v);
    } else if (!lua_stringtonumber(d->L, copy)) {
        return bad(d, "not a number");
    } else if (!lua_isinteger(d->L, -1)) {
        lua_pop(d->L, 1);
        return bad(d, "an integer does not fit 64 bits");
    }
    return RB_OK;
}

static int value(struct decoder *d, int depth);

static int array(struct decoder *d, int depth)
{
    lua_State *L = d->L;
    lua_newtable(L);
    d->p++;
    blanks(d);
    if (d->p < d->end && *d->p == ']') {
        d->p++;
        return RB_OK;
    }
    for (lua_Integer i = 1;; i++) {
        int rc = value(d, depth + 1);
        if (rc)
            return rc;
        lua_rawseti(L, -2, i);
        blanks(d);
        if (d->p < d->end && *d->p == ',') {
            d->p++;
            continue;
        }
        if (d->p < d->end && *d->p == ']') {
            d->p++;
            return RB_OK;
        }
        return bad(d, "expected , or ] in a list");
    }
}

/* [-1, +1] turns {"$map":…}, {"$b64":…} … on the top of the stack into what they stand for. */
static int unmark(struct decoder *d)
{
    lua_State *L = d->L;
    int t = lua_gettop(L);
    if (lua_getfield(L, t, "$map") == LUA_TTABLE) {
        lua_newtable(L);
        for (lua_Integer i = 1; lua_rawgeti(L, t + 1, i) == LUA_TTABLE; i++) {
            lua_rawgeti(L, -1, 1);
            lua_rawgeti(L, -2, 2);
            if (lua_isnil(L, -2) || rb_value_is_null(L, -2) ||
                (lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) != lua_tonumber(L, -2)))
                return bad(d, "a $map has a key that can not be one");
            lua_rawset(L, t + 2);
            lua_pop(L, 1);
        }
        lua_settop(L, t + 2);
        lua_replace(L, t);
    } else if (lua_getfield(L, t, "$rows") == LUA_TTABLE) {
        if (lua_getfield(L, t, "columns") != LUA_TTABLE)
            return bad(d, "$rows have no columns");
        rb_lib_rows(L);
        lua_replace(L, t);
    } else if (lua_getfield(L, t, "$b64") == LUA_TSTRING) {
        size_t n;
        const char *s = lua_tolstring(L, -1, &n);
        struct rb_buf raw;
        rb_buf_init(&raw, n);
        int rc = rb_base64_decode(&raw, s, n);
        if (!rc)
            lua_pushlstring(L, rb_buf_text(&raw), raw.len);
        rb_buf_release(&raw);
        if (rc)
            return bad(d, "$b64 is not base64");
        lua_replace(L, t);
    } else if (lua_getfield(L, t, "$num") == LUA_TSTRING) {
        const char *s = lua_tostring(L, -1);
        lua_pushnumber(L, strcmp(s, "inf") == 0 ? HUGE_VAL : strcmp(s, "-inf") == 0 ? -HUGE_VAL : (lua_Number)NAN);
        lua_replace(L, t);
    } else if (lua_getfield(L, t, "$secret") == LUA_TSTRING) {
        rb_secret_push_name(L, lua_tostring(L, -1));
        lua_replace(L, t);
    } else if (lua_getfield(L, t, "$secret_text") == LUA_TSTRING) {
        rb_secret_push(L, lua_tostring(L, -1));
        lua_replace(L, t);
    } else if (lua_getfield(L, t, "$blob") == LUA_TSTRING) {
        if (!d->codec || !d->codec->blob_in)
            return bad(d, "a $blob can not be read here");
        struct rb_buf raw;
        rb_buf_init(&raw, (size_t)1 << 31);
        int rc = d->codec->blob_in(d->codec->arg, lua_tostring(L, -1), &raw, d->err);
        if (!rc)
            lua_pushlstring(L, rb_buf_text(&raw), raw.len);
        rb_buf_release(&raw);
        if (rc)
            return rc;
        lua_replace(L, t);
    }
    lua_settop(L, t);
    return RB_OK;
}

static int object(struct decoder *d, int depth)
{
    lua_State *L = d->L;
    bool marked = false;
    lua_newtable(L);
    d->p++;
    blanks(d);
    if (d->p < d->end && *d->p == '}') {
        d->p++;
        rb_lib_mark_json_object(L, lua_gettop(L));
        return RB_OK;
    }
    struct rb_buf key;
    rb_buf_init(&key, (size_t)1 << 31);
    int rc = RB_OK;
    while (!rc) {
        blanks(d);
        if (d->p >= d->end || *d->p != '"') {
            rc = bad(d, "expected a key in quotes");
            break;
        }
        rc = text(d, &key);
        if (rc)
            break;
        marked |= key.len && key.data[0] == '$';
        lua_pushlstring(L, rb_buf_text(&key), key.len);
        blanks(d);
        if (d->p >= d->end || *d->p != ':') {
            rc = bad(d, "expected : after a key");
            break;
        }
        d->p++;
        rc = value(d, depth + 1);
        if (rc)
            break;
        lua_rawset(L, -3);
        blanks(d);
        char c = d->p < d->end ? *d->p++ : '\0';
        if (c == '}')
            break;
        if (c != ',')
            rc = bad(d, "expected , or } in an object");
    }
    rb_buf_release(&key);
    return rc ? rc : marked ? unmark(d) : RB_OK;
}

static int literal(struct decoder *d, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(d->end - d->p) < n || memcmp(d->p, word, n) != 0)
        return bad(d, "expected a value");
    d->p += n;
    if (*word == 'n')
        rb_value_push_null(d->L);
    else
        lua_pushboolean(d->L, *word == 't');
    return RB_OK;
}

static int value(struct decoder *d, int depth)
{
    if (depth > 2 * RB_VALUE_DEPTH + 2 || !lua_checkstack(d->L, 10))
        return bad(d, "nested too deeply");
    blanks(d);
    if (d->p >= d->end)
        return bad(d, "the text ends too early");
    switch (*d->p) {
    case '{': return object(d, depth);
    case '[': return array(d, depth);
    case 't': return literal(d, "true");
    case 'f': return literal(d, "false");
    case 'n': return literal(d, "null");
    case '"': {
        struct rb_buf s;
        rb_buf_init(&s, (size_t)1 << 31);
        int rc = text(d, &s);
        if (!rc)
            lua_pushlstring(d->L, rb_buf_text(&s), s.len);
        rb_buf_release(&s);
        return rc;
    }
    default: return number(d);
    }
}

int rb_value_decode(lua_State *L, const char *json, size_t n, const struct rb_codec *codec, struct rb_err *err)
{
    struct decoder d = {L, codec, json, json, json + n, err};
    int top = lua_gettop(L);
    int rc = value(&d, 0);
    if (!rc) {
        blanks(&d);
        if (d.p != d.end)
            rc = bad(&d, "something follows the value");
    }
    if (rc)
        lua_settop(L, top);
    return rc;
}
