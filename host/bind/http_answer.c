/* Owns the answer of http as a value. Knows nothing of requests. */
#include "bind/http_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "bind/args.h"
#include "engine/secret.h"

#define HEADER_MAX ((size_t)512 << 10)

void rb_http_redact(const struct rb_run *run, struct rb_buf *b, bool cut)
{
    if (!rb_secret_any(run) || !b->len)
        return;
    if (cut) /* perhaps in the middle of one */
        b->len -= rb_secret_tail(run, b->data, b->len);
    struct rb_buf clean;
    rb_buf_init(&clean, SIZE_MAX / 2);
    rb_secret_redact(run, b->data, b->len, &clean);
    rb_buf_release(b);
    *b = clean;
}

static char *redacted(const struct rb_run *run, const char *text)
{
    struct rb_buf b;
    if (!rb_secret_any(run))
        return rb_strdup(text);
    rb_buf_init(&b, HEADER_MAX);
    rb_buf_adds(&b, text);
    rb_http_redact(run, &b, false);
    return b.data ? rb_buf_detach(&b) : rb_strdup("");
}

const char *rb_http_header(char *const *headers, const char *name)
{
    size_t n = strlen(name);
    for (char *const *h = headers; h && *h; h++)
        if (strncasecmp(*h, name, n) == 0 && (*h)[n] == ':')
            return *h + n + 1 + strspn(*h + n + 1, " \t");
    return NULL;
}

void rb_http_answer_take(struct rb_http_answer *a, const struct rb_run *run, struct rb_http_result *r)
{
    size_t n = 0;
    a->there = r->status > 0;
    a->status = r->status;
    a->body = r->body.buf;
    rb_buf_init(&r->body.buf, 0);
    a->total = r->body.total;
    a->cut = !r->error && a->body.cut;
    rb_http_redact(run, &a->body, a->cut || r->error);
    a->digest[0] = '\0';
    if (r->digested)
        rb_sha_hex(r->body.digest, a->digest);
    while (r->headers && r->headers[n])
        n++;
    a->headers = rb_alloc((n + 1) * sizeof(*a->headers));
    for (size_t i = 0; i < n; i++)
        a->headers[i] = redacted(run, r->headers[i]);
    a->time = r->time;
    memcpy(a->tls_issuer, r->tls_issuer, sizeof(a->tls_issuer));
    memcpy(a->tls_subject, r->tls_subject, sizeof(a->tls_subject));
    a->tls_not_after = r->tls_not_after;
    a->reused = r->reused;
    a->retry_after = rb_http_retry_after(r);
}

void rb_http_answer_reset(struct rb_http_answer *a)
{
    rb_buf_release(&a->body);
    rb_args_free(a->headers);
    rb_args_free(a->redirects);
    free(a->url);
    *a = (struct rb_http_answer){0};
}

/* -- in Lua -------------------------------------------------------------------------------------------------------- */

/* One header into the table on top: repeated ones are joined by ", ", of set-cookie each is an element of a list. */
static void push_header(lua_State *L, const char *line)
{
    const char *colon = strchr(line, ':');
    char name[256];
    size_t n = colon ? (size_t)(colon - line) : 0;
    if (!n || n >= sizeof(name))
        return;
    for (size_t i = 0; i < n; i++)
        name[i] = (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] + 32 : line[i]);
    name[n] = '\0';
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    lua_pushlstring(L, name, n);
    lua_pushvalue(L, -1);
    int type = lua_rawget(L, -3);
    if (strcmp(name, "set-cookie") == 0) {
        if (type == LUA_TNIL) {
            lua_pop(L, 1);
            lua_newtable(L);
        }
        lua_pushstring(L, value);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    } else if (type == LUA_TSTRING) {
        lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), value);
        lua_remove(L, -2);
    } else {
        lua_pop(L, 1);
        lua_pushstring(L, value);
    }
    lua_rawset(L, -3);
}

static void set_number(lua_State *L, const char *name, double v)
{
    if (v <= 0)
        return;
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    if (!text || !text[0])
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void push_times(lua_State *L, const struct rb_http_time *t)
{
    lua_createtable(L, 0, 5);
    set_number(L, "dns", t->dns);
    set_number(L, "connect", t->connect);
    set_number(L, "tls", t->tls);
    set_number(L, "first_byte", t->first_byte);
    lua_pushnumber(L, t->total);
    lua_setfield(L, -2, "total");
}

static void push_tls(lua_State *L, const struct rb_http_answer *a)
{
    char date[32];
    lua_createtable(L, 0, 3);
    set_text(L, "issuer", a->tls_issuer);
    set_text(L, "subject", a->tls_subject);
    rb_clock_format(a->tls_not_after * 1000000, date);
    lua_pushinteger(L, (lua_Integer)a->tls_not_after);
    lua_setfield(L, -2, "not_after");
    snprintf(date + 19, sizeof(date) - 19, "Z"); /* to the second */
    set_text(L, "valid_until", date);
}

static void push_saved(lua_State *L, const struct rb_http_answer *a)
{
    lua_createtable(L, 0, 3);
    set_text(L, "path", a->saved);
    lua_pushinteger(L, (lua_Integer)a->total);
    lua_setfield(L, -2, "size");
    set_text(L, "sha256", a->digest);
}

static void push_cut(lua_State *L, const struct rb_http_answer *a)
{
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)a->total);
    lua_setfield(L, -2, "total");
    set_text(L, "sha256", a->digest);
}

void rb_http_answer_push(const struct rb_http_answer *a, lua_State *L)
{
    lua_createtable(L, 0, 10);
    lua_pushinteger(L, a->status);
    lua_setfield(L, -2, "status");
    int headers = 0;
    while (a->headers && a->headers[headers])
        headers++;
    lua_createtable(L, 0, headers);
    for (int i = 0; i < headers; i++)
        push_header(L, a->headers[i]);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, rb_buf_text(&a->body), a->body.len);
    lua_setfield(L, -2, "body");
    set_text(L, "url", a->url);
    push_times(L, &a->time);
    lua_setfield(L, -2, "time");
    if (a->tls_issuer[0]) {
        push_tls(L, a);
        lua_setfield(L, -2, "tls");
    }
    lua_pushboolean(L, a->reused);
    lua_setfield(L, -2, "reused");
    if (a->saved) {
        push_saved(L, a);
        lua_setfield(L, -2, "saved");
    }
    if (a->cut) {
        push_cut(L, a);
        lua_setfield(L, -2, "body_cut");
    }
    if (a->retry_after >= 0) {
        lua_pushnumber(L, a->retry_after);
        lua_setfield(L, -2, "retry_after");
    }
    if (!a->redirects)
        return;
    lua_newtable(L);
    for (int i = 0; a->redirects[i]; i++) {
        lua_pushstring(L, a->redirects[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "redirects");
}

void rb_http_answer_assume(const char *as, lua_State *L)
{
    struct rb_http_answer a = {.status = 200, .retry_after = -1};
    rb_http_answer_push(&a, L);
    lua_pushstring(L, as);
    lua_setfield(L, -2, "assumed");
}
