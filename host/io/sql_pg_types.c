/* Owns what values look like on the way: the server's text format becomes typed values, typed values become parameters.
 * Text and not binary, because every type has it, and the server's own reading and writing of it is exact. The session
 * is set to UTC and ISO dates (sql_pg_connect.c). Knows no connection. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "io/sql_pg.h"

#define CHUNK ((size_t)32 << 10)
#define DEPTH_MAX 6 /* dimensions of an array; MAXDIM of the server */

/* pg_type.dat of PostgreSQL: these numbers are the same in every server. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_NUMERIC = 1700,
    OID_JSONB = 3802,
    OID_TEXT = 25,
};

/* Arrays, and what they are of; what is text to us anyway is told as text. */
static const struct {
    Oid array, element;
} arrays[] = {
    {1000, OID_BOOL},
    {1001, OID_BYTEA},
    {1002, OID_TEXT} /* "char" */,
    {1003, OID_TEXT} /* name */,
    {1005, OID_INT2},
    {1007, OID_INT4},
    {1009, OID_TEXT},
    {1014, OID_TEXT} /* char(n) */,
    {1015, OID_TEXT},
    {1016, OID_INT8},
    {1021, OID_FLOAT4},
    {1022, OID_FLOAT8},
    {1028, OID_OID},
    {1040, OID_TEXT} /* macaddr */,
    {1041, OID_TEXT} /* inet */,
    {1115, OID_TIMESTAMP},
    {1182, OID_TEXT} /* date */,
    {1183, OID_TEXT} /* time */,
    {1185, OID_TIMESTAMPTZ},
    {1187, OID_TEXT} /* interval */,
    {1231, OID_NUMERIC},
    {1270, OID_TEXT} /* timetz */,
    {1561, OID_TEXT} /* bit */,
    {1563, OID_TEXT} /* varbit */,
    {199, OID_JSON},
    {143, OID_TEXT} /* xml */,
    {651, OID_TEXT} /* cidr */,
    {791, OID_TEXT} /* money */,
    {2951, OID_TEXT} /* uuid */,
    {3807, OID_JSONB},
};

/* -- memory -------------------------------------------------------------------------------------------------------- */

struct pg_chunk {
    struct pg_chunk *next;
    size_t used, size;
    _Alignas(max_align_t) char data[];
};

void *rb_pg_arena(struct pg_arena *a, size_t n)
{
    size_t wanted = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct pg_chunk *c = a->chunks;
    a->used += n;
    if (!c || c->size - c->used < wanted) {
        size_t size = wanted > CHUNK ? wanted : CHUNK;
        c = rb_alloc(sizeof(*c) + size);
        c->size = size;
        c->next = a->chunks;
        a->chunks = c;
    }
    void *p = c->data + c->used;
    c->used += wanted;
    return p;
}

char *rb_pg_arena_text(struct pg_arena *a, const char *text, size_t n)
{
    char *p = rb_pg_arena(a, n + 1);
    memcpy(p, text, n);
    p[n] = '\0';
    return p;
}

void rb_pg_arena_release(struct pg_arena *a)
{
    while (a->chunks) {
        struct pg_chunk *c = a->chunks;
        a->chunks = c->next;
        free(c);
    }
    *a = (struct pg_arena){0};
}

/* -- from the server ----------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "\x0aff"; a server that was told bytea_output = escape: "a\\b\012". The value never grows. */
static void set_bytes(struct pg_arena *a, const char *text, size_t len, struct rb_sql_value *out)
{
    char *to = rb_pg_arena(a, len + 1), *p = to;
    if (len >= 2 && text[0] == '\\' && text[1] == 'x') {
        for (size_t i = 2; i + 1 < len; i += 2)
            *p++ = (char)(hex_digit(text[i]) << 4 | hex_digit(text[i + 1]));
    } else {
        for (size_t i = 0; i < len; i++) {
            if (text[i] != '\\') {
                *p++ = text[i];
            } else if (i + 3 < len && text[i + 1] != '\\') {
                *p++ = (char)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
                i += 3;
            } else {
                *p++ = '\\';
                i++;
            }
        }
    }
    *out = (struct rb_sql_value){.type = RB_SQL_BYTES, .text = to, .len = (size_t)(p - to)};
}

static void set_text(struct pg_arena *a, const char *text, size_t len, struct rb_sql_value *out)
{
    /* a database in SQL_ASCII keeps whatever it is given */
    enum rb_sql_type type = rb_utf8_valid(text, len) ? RB_SQL_TEXT : RB_SQL_BYTES;
    *out = (struct rb_sql_value){.type = type, .text = rb_pg_arena_text(a, text, len), .len = len};
}

/* "2026-11-22 03:04:05.678+00" → "2026-11-22T03:04:05.678Z". What ISO 8601 has no word for (infinity, years before 1)
 * stays as the server writes it. */
static void set_time(struct pg_arena *a, const char *text, size_t len, struct rb_sql_value *out)
{
    const char *space = memchr(text, ' ', len);
    set_text(a, text, len, out);
    if (!space || text[0] < '0' || text[0] > '9' || text[len - 1] == 'C')
        return;
    char *own = (char *)(uintptr_t)out->text;
    own[space - text] = 'T';
    if (len > 3 && strcmp(own + len - 3, "+00") == 0) {
        own[len - 3] = 'Z';
        own[len - 2] = '\0';
        out->len = len - 2;
    }
}

/* One past the element of an array that begins at p; its text goes to `to`, without quotes. */
static const char *read_element(const char *p, const char *end, char *to, size_t *len, bool *quoted)
{
    char *q = to;
    *quoted = p < end && *p == '"';
    if (*quoted)
        p++;
    while (p < end && (*quoted ? *p != '"' : *p != ',' && *p != '}')) {
        if (*p == '\\' && p + 1 < end)
            p++;
        *q++ = *p++;
    }
    if (*quoted && p < end)
        p++;
    *q = '\0';
    *len = (size_t)(q - to);
    return p;
}

struct list {
    struct rb_sql_value *items;
    size_t count, cap;
};

static struct rb_sql_value *push(struct list *l)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 8;
        l->items = rb_realloc(l->items, l->cap * sizeof(*l->items));
    }
    return &l->items[l->count++];
}

/* p is behind a "{". NULL: this is no array as we know them. scratch has room for the whole text. */
static const char *read_list(struct pg_arena *a, Oid element, bool numeric, const char *p, const char *end, int depth,
                             char *scratch, struct rb_sql_value *out)
{
    struct list list = {0};
    if (depth > DEPTH_MAX)
        return NULL;
    while (p && p < end && *p != '}') {
        struct rb_sql_value *item = push(&list);
        if (*p == '{') {
            p = read_list(a, element, numeric, p + 1, end, depth + 1, scratch, item);
        } else {
            size_t len;
            bool quoted;
            p = read_element(p, end, scratch, &len, &quoted);
            if (!quoted && strcmp(scratch, "NULL") == 0)
                *item = (struct rb_sql_value){.type = RB_SQL_NULL};
            else
                rb_pg_value(a, element, scratch, len, numeric, item);
        }
        if (p && p < end && *p == ',')
            p++;
    }
    size_t bytes = list.count * sizeof(*list.items);
    *out = (struct rb_sql_value){.type = RB_SQL_LIST, .items = rb_pg_arena(a, bytes), .len = list.count};
    if (bytes)
        memcpy(out->items, list.items, bytes);
    free(list.items);
    return p && p < end ? p + 1 : NULL;
}

/* "{1,NULL,\"a b\"}", with "[0:1]=" before it where the first index is not 1. */
static bool set_list(struct pg_arena *a, Oid element, const char *text, size_t len, bool numeric,
                     struct rb_sql_value *out)
{
    const char *end = text + len, *p = text;
    if (*p == '[')
        p = memchr(p, '=', len) ? (const char *)memchr(p, '=', len) + 1 : p;
    if (p == end || *p != '{')
        return false;
    char *scratch = rb_alloc(len + 1);
    bool ok = read_list(a, element, numeric, p + 1, end, 1, scratch, out) != NULL;
    free(scratch);
    return ok;
}

static Oid element_of(Oid array)
{
    for (size_t i = 0; i < RB_COUNT(arrays); i++)
        if (arrays[i].array == array)
            return arrays[i].element;
    return 0;
}

void rb_pg_value(struct pg_arena *a, Oid type, const char *text, size_t len, bool numeric, struct rb_sql_value *out)
{
    switch (type) {
    case OID_BOOL: *out = (struct rb_sql_value){.type = RB_SQL_BOOL, .i = text[0] == 't'}; return;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID: *out = (struct rb_sql_value){.type = RB_SQL_INT, .i = strtoll(text, NULL, 10)}; return;
    case OID_NUMERIC:
        if (!numeric)
            break;
        /* fall through */
    case OID_FLOAT4:
    case OID_FLOAT8: *out = (struct rb_sql_value){.type = RB_SQL_FLOAT, .f = strtod(text, NULL)}; return;
    case OID_BYTEA: set_bytes(a, text, len, out); return;
    case OID_TIMESTAMP:
    case OID_TIMESTAMPTZ: set_time(a, text, len, out); return;
    case OID_JSON:
    case OID_JSONB:
        set_text(a, text, len, out);
        out->type = RB_SQL_JSON;
        return;
    default: break;
    }
    Oid element = element_of(type);
    if (!element || !set_list(a, element, text, len, numeric, out))
        set_text(a, text, len, out);
}

/* -- to the server ------------------------------------------------------------------------------------------------- */

static void write_float(struct rb_buf *b, double f)
{
    if (isnan(f))
        rb_buf_adds(b, "NaN");
    else if (isinf(f))
        rb_buf_adds(b, f < 0 ? "-Infinity" : "Infinity");
    else
        rb_buf_addf(b, "%.17g", f);
}

static const char *write_element(struct rb_buf *b, const struct rb_sql_value *v, int depth);

static const char *write_list(struct rb_buf *b, const struct rb_sql_value *v, int depth)
{
    if (depth > DEPTH_MAX)
        return "an array has at most 6 dimensions";
    rb_buf_addc(b, '{');
    for (size_t i = 0; i < v->len; i++) {
        if (i)
            rb_buf_addc(b, ',');
        const char *why = write_element(b, &v->items[i], depth);
        if (why)
            return why;
    }
    rb_buf_addc(b, '}');
    return NULL;
}

/* In quotes, whatever it is: then nothing of it can be taken for NULL, a bracket or a comma. */
static const char *write_element(struct rb_buf *b, const struct rb_sql_value *v, int depth)
{
    switch (v->type) {
    case RB_SQL_NULL: rb_buf_adds(b, "NULL"); return NULL;
    case RB_SQL_BOOL: rb_buf_adds(b, v->i ? "t" : "f"); return NULL;
    case RB_SQL_INT: rb_buf_addf(b, "%lld", (long long)v->i); return NULL;
    case RB_SQL_FLOAT: write_float(b, v->f); return NULL;
    case RB_SQL_LIST: return write_list(b, v, depth + 1);
    case RB_SQL_BYTES:
        rb_buf_adds(b, "\"\\\\x");
        for (size_t i = 0; i < v->len; i++)
            rb_buf_addf(b, "%02x", (unsigned char)v->text[i]);
        rb_buf_addc(b, '"');
        return NULL;
    case RB_SQL_TEXT:
    case RB_SQL_JSON: break;
    }
    if (memchr(v->text, '\0', v->len))
        return "PostgreSQL's texts can not hold a NUL byte; pass it as bytes";
    rb_buf_addc(b, '"');
    for (size_t i = 0; i < v->len; i++) {
        if (v->text[i] == '"' || v->text[i] == '\\')
            rb_buf_addc(b, '\\');
        rb_buf_addc(b, v->text[i]);
    }
    rb_buf_addc(b, '"');
    return NULL;
}

/* Type 0: the server takes it as what stands there wants, as it does with a literal in quotes. */
const char *rb_pg_param(struct pg_arena *a, const struct rb_sql_value *v, struct pg_param *out)
{
    struct rb_buf b;
    const char *why = NULL;
    *out = (struct pg_param){0};
    rb_buf_init(&b, INT32_MAX / 2);
    switch (v->type) {
    case RB_SQL_NULL: return NULL;
    case RB_SQL_BOOL: rb_buf_adds(&b, v->i ? "true" : "false"); break;
    case RB_SQL_INT: rb_buf_addf(&b, "%lld", (long long)v->i); break;
    case RB_SQL_FLOAT: write_float(&b, v->f); break;
    case RB_SQL_TEXT:
    case RB_SQL_JSON:
        if (memchr(v->text, '\0', v->len))
            why = "PostgreSQL's texts can not hold a NUL byte; pass it as bytes";
        rb_buf_add(&b, v->text, v->len);
        break;
    case RB_SQL_BYTES:
        out->type = OID_BYTEA;
        out->format = 1;
        rb_buf_add(&b, v->text, v->len);
        break;
    case RB_SQL_LIST: why = write_list(&b, v, 1); break;
    }
    if (b.cut)
        why = "it is larger than 1 GiB, and PostgreSQL's values are not";
    if (!why) {
        out->len = (int)b.len;
        out->bytes = rb_pg_arena_text(a, rb_buf_text(&b), b.len);
    }
    rb_buf_release(&b);
    return why;
}
