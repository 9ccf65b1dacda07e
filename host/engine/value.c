/* Owns the two walks between Lua values and journal JSON. Knows no events: where large strings go is the codec's
 * business. */
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

void rb_value_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

bool rb_value_is_null(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TLIGHTUSERDATA && !lua_touserdata(L, index);
}

static void encode_number(struct encoder *e, int index)
{
    if (lua_isinteger(e->L, index)) {
        rb_buf_addf(e->out, "%lld", (long long)lua_tointeger(e->L, index));
        return;
    }
    double d = (double)lua_tonumber(e->L, index);
    if (isnan(d)) {
        rb_buf_adds(e->out, "{\"$num\":\"nan\"}");
    } else if (isinf(d)) {
        rb_buf_adds(e->out, d > 0 ? "{\"$num\":\"inf\"}" : "{\"$num\":\"-inf\"}");
    } else {
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

static void encode_string(struct encoder *e, const char *s, size_t n)
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
            if (n && (*s == '$' || !rb_utf8_valid(s, n) || memchr(s, '\0', n)))
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

/* Rows of a database: a list that knows the names of its columns. */
static int encode_rows(struct encoder *e, int index, const struct path *p, int depth)
{
    rb_buf_adds(e->out, "{\"$rows\":");
    int rc = encode_table(e, index, p, depth);
    if (rc || !rb_lib_rows_columns(e->L, index))
        return rc;
    rb_buf_adds(e->out, ",\"columns\":");
    rc = encode_table(e, lua_gettop(e->L), p, depth);
    lua_pop(e->L, 1);
    rb_buf_addc(e->out, '}');
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
        if (!rb_lib_rows_columns(L, index))
            return encode_table(e, index, p, depth);
        lua_pop(L, 1);
        return encode_rows(e, index, p, depth);
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

/* -- reading ------------------------------------------------------------------------------------------------------- */

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
        lua_pushfstring(L, PLACEHOLDER "%s" PLACEHOLDER_END, lua_tostring(L, -1));
        rb_secret_push(L, lua_tostring(L, -1));
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
