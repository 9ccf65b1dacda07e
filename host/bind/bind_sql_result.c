/* Owns what comes back from a database: kept until the script takes it, without secrets; as rows; as an error with the
 * place in the statement. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/bind_sql.h"
#include "engine/lua_lib.h"
#include "engine/value.h"

#define BLOCK ((size_t)64 << 10)
#define SHOWN_BEFORE 40 /* characters of a line of the statement around the place of an error */
#define SHOWN_BEHIND 30

/* -- memory -------------------------------------------------------------------------------------------------------- */

struct sql_block {
    struct sql_block *next;
    size_t used, size;
    _Alignas(16) char data[];
};

static void *take(struct sql_kept *k, size_t n)
{
    n = (n + 15) & ~(size_t)15;
    struct sql_block *b = k->blocks;
    if (!b || b->size - b->used < n) {
        size_t size = n > BLOCK ? n : BLOCK;
        b = rb_alloc(sizeof(*b) + size);
        b->size = size;
        b->next = k->blocks;
        k->blocks = b;
    }
    void *p = b->data + b->used;
    b->used += n;
    return p;
}

void rb_sql_kept_release(struct sql_kept *k)
{
    for (struct sql_block *b = k->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *k = (struct sql_kept){0};
}

/* A copy with secrets replaced. */
static char *keep_text(struct sql_op *op, const char *s, size_t n, size_t *len)
{
    struct rb_buf clean;
    rb_buf_init(&clean, SIZE_MAX / 2);
    if (rb_secret_any(op->effect.run)) {
        rb_secret_redact(op->effect.run, s, n, &clean);
        s = rb_buf_text(&clean);
        n = clean.len;
    }
    char *copy = take(&op->kept, n + 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    *len = n;
    rb_buf_release(&clean);
    return copy;
}

static struct rb_sql_value keep_value(struct sql_op *op, const struct rb_sql_value *v)
{
    struct rb_sql_value copy = *v;
    if (v->type == RB_SQL_TEXT || v->type == RB_SQL_BYTES || v->type == RB_SQL_JSON) {
        copy.text = keep_text(op, v->text, v->len, &copy.len);
    } else if (v->type == RB_SQL_LIST) {
        copy.items = take(&op->kept, (v->len + 1) * sizeof(*copy.items));
        for (size_t i = 0; i < v->len; i++)
            copy.items[i] = keep_value(op, &v->items[i]);
    }
    return copy;
}

static char **keep_texts(struct sql_op *op, char *const *from, size_t n)
{
    size_t len;
    char **texts = take(&op->kept, (n + 1) * sizeof(*texts));
    for (size_t i = 0; i < n; i++)
        texts[i] = keep_text(op, from[i], strlen(from[i]), &len);
    texts[n] = NULL;
    return texts;
}

void rb_sql_keep(struct sql_op *op, const struct rb_sql_result *r)
{
    size_t cells = r->row_count * r->column_count, notices = 0;
    rb_sql_kept_release(&op->kept);
    op->kept.r = *r;
    op->kept.r.columns = keep_texts(op, r->columns, r->column_count);
    op->kept.r.cells = take(&op->kept, (cells + 1) * sizeof(*r->cells));
    for (size_t i = 0; i < cells; i++)
        op->kept.r.cells[i] = keep_value(op, &r->cells[i]);
    while (r->notices && r->notices[notices])
        notices++;
    op->kept.r.notices = notices ? keep_texts(op, r->notices, notices) : NULL;
    if (op->read && r->more) {
        if (r->row_count >= op->max_rows)
            rb_sql_fail(&op->failure, "sql.too_big",
                        "there are more than %zu rows; add LIMIT, take them in batches with db:each, or say max_rows",
                        op->max_rows);
        else
            rb_sql_fail(&op->failure, "sql.too_big",
                        "the rows have more than %zu bytes; select less, take them in batches with db:each, or say "
                        "max_bytes",
                        op->max_bytes);
    }
}

/* -- the value ----------------------------------------------------------------------------------------------------- */

/* [-0, +1, m] a JSON document as the script's json.decode gives it; one that it does not take stays text. */
static void push_json(lua_State *L, const struct rb_sql_value *v)
{
    rb_vm_push_env(L);
    lua_getfield(L, -1, "json");
    lua_getfield(L, -1, "decode");
    lua_pushlstring(L, v->text, v->len);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_pushlstring(L, v->text, v->len);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static void push_cell(lua_State *L, const struct rb_sql_value *v)
{
    luaL_checkstack(L, 6, "a value of a database");
    switch (v->type) {
    case RB_SQL_NULL: rb_value_push_null(L); break;
    case RB_SQL_BOOL: lua_pushboolean(L, v->i != 0); break;
    case RB_SQL_INT: lua_pushinteger(L, (lua_Integer)v->i); break;
    case RB_SQL_FLOAT: lua_pushnumber(L, v->f); break;
    case RB_SQL_TEXT:
    case RB_SQL_BYTES: lua_pushlstring(L, v->text, v->len); break;
    case RB_SQL_JSON: push_json(L, v); break;
    case RB_SQL_LIST:
        lua_createtable(L, (int)v->len, 0);
        for (size_t i = 0; i < v->len; i++) {
            push_cell(L, &v->items[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    }
}

static void push_list(lua_State *L, char *const *texts, size_t n)
{
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushstring(L, texts[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_rows(lua_State *L, const struct rb_sql_result *r)
{
    lua_createtable(L, (int)r->row_count, 0);
    push_list(L, r->columns, r->column_count);
    for (size_t i = 0; i < r->row_count; i++) {
        lua_createtable(L, 0, (int)r->column_count);
        for (size_t k = 0; k < r->column_count; k++) {
            lua_rawgeti(L, -2, (lua_Integer)k + 1);
            push_cell(L, &r->cells[i * r->column_count + k]);
            lua_rawset(L, -3);
        }
        lua_rawseti(L, -3, (lua_Integer)i + 1);
    }
    rb_lib_rows(L);
}

void rb_sql_push(struct rb_effect *e, lua_State *L)
{
    struct sql_op *op = RB_CONTAINER(e, struct sql_op, effect);
    const struct rb_sql_result *r = &op->kept.r;
    if (op->action == SQL_BEGIN) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, op->driver->scheme);
        lua_setfield(L, -2, "database");
        return;
    }
    if (op->action != SQL_RUN) {
        lua_pushnil(L);
        return;
    }
    if (op->read) {
        push_rows(L, r);
        return;
    }
    lua_createtable(L, 0, 4);
    if (r->changes >= 0) {
        lua_pushinteger(L, (lua_Integer)r->changes);
        lua_setfield(L, -2, "changes");
    }
    if (r->last_id) {
        lua_pushinteger(L, (lua_Integer)r->last_id);
        lua_setfield(L, -2, "last_id");
    }
    if (r->column_count) {
        push_rows(L, r);
        lua_setfield(L, -2, "rows");
    }
    if (r->more) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "more");
    }
    if (r->notices) {
        size_t n = 0;
        while (r->notices[n])
            n++;
        push_list(L, r->notices, n);
        lua_setfield(L, -2, "notices");
    }
}

void rb_sql_assume(struct rb_effect *e, lua_State *L)
{
    struct sql_op *op = RB_CONTAINER(e, struct sql_op, effect);
    if (op->action != SQL_RUN) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "changes");
    lua_newtable(L);
    lua_newtable(L);
    rb_lib_rows(L);
    lua_setfield(L, -2, "rows");
    lua_pushstring(L, e->as);
    lua_setfield(L, -2, "assumed");
}

/* -- the error ----------------------------------------------------------------------------------------------------- */

/* "; line 2: … WHERE ^frm = 1": the caret stands before the place. */
static void add_place(struct rb_buf *out, const char *text, int position)
{
    const char *p = text, *line = text;
    int number = 1;
    for (int i = 1; i < position && *p; i++) {
        if (*p == '\n') {
            number++;
            line = p + 1;
        }
        for (p++; ((unsigned char)*p & 0xC0) == 0x80; p++)
            ;
    }
    const char *from = p, *to = p;
    for (int i = 0; i < SHOWN_BEFORE && from > line; i++)
        for (from--; from > line && ((unsigned char)*from & 0xC0) == 0x80; from--)
            ;
    for (int i = 0; i < SHOWN_BEHIND && *to && *to != '\n'; i++)
        for (to++; ((unsigned char)*to & 0xC0) == 0x80; to++)
            ;
    rb_buf_addf(out, "; line %d: %s%.*s^%.*s%s", number, from > line ? "…" : "", (int)(p - from), from, (int)(to - p),
                p, *to && *to != '\n' ? "…" : "");
}

void rb_sql_op_failed(struct sql_op *op, const struct rb_sql_failure *f)
{
    struct rb_effect *e = &op->effect;
    struct rb_buf text, clean;
    if (f != &op->failure)
        op->failure = *f;
    rb_buf_init(&text, 8192);
    rb_buf_addf(&text, "%s: %s", op->shown, f->message);
    if (f->detail[0])
        rb_buf_addf(&text, ": %s", f->detail);
    if (f->position > 0 && op->action == SQL_RUN)
        add_place(&text, op->text, f->position);
    if (f->hint[0])
        rb_buf_addf(&text, "; %s", f->hint);
    rb_buf_init(&clean, 16384);
    rb_secret_redact(e->run, rb_buf_text(&text), text.len, &clean);
    e->retryable = f->retryable;
    rb_effect_failed(e, f->kind,
                     f->unknown && e->cls == RB_CLASS_EFFECT ? RB_OUTCOME_UNKNOWN
                     : f->not_started                        ? RB_OUTCOME_NOT_STARTED
                                                             : RB_OUTCOME_FAILED,
                     false, "%s", rb_buf_text(&clean));
    rb_buf_release(&text);
    rb_buf_release(&clean);
}

static void set_text(struct rb_effect *e, lua_State *L, const char *name, const char *text)
{
    if (!text[0])
        return;
    struct rb_buf clean;
    rb_buf_init(&clean, 16384);
    rb_secret_redact(e->run, text, strlen(text), &clean);
    lua_pushlstring(L, rb_buf_text(&clean), clean.len);
    rb_buf_release(&clean);
    lua_setfield(L, -2, name);
}

void rb_sql_explain(struct rb_effect *e, lua_State *L)
{
    const struct rb_sql_failure *f = &RB_CONTAINER(e, struct sql_op, effect)->failure;
    set_text(e, L, "code", f->code);
    set_text(e, L, "detail", f->detail);
    set_text(e, L, "hint", f->hint);
    set_text(e, L, "constraint", f->constraint);
    set_text(e, L, "table", f->table);
    set_text(e, L, "column", f->column);
    if (f->position > 0) {
        lua_pushinteger(L, f->position);
        lua_setfield(L, -2, "position");
    }
}
