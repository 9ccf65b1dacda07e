/* Owns the texts of secrets while a run is in this process. They are in no event, no message and no Lua string. */
#include "engine/secret.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "base/jsonscan.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/redact.h"
#include "engine/secret_source.h"
#include "engine/secretmem.h"

#define OPEN "\xE2\x80\xB9secret:" /* ‹secret: */
#define CLOSE "\xE2\x80\xBA"       /* › */
#define EXPANDED_MAX ((size_t)256 << 20)
#define LINE_MIN 12

struct rb_secret {
    struct rb_secret *next;
    char *name, *text; /* text: secretmem */
    size_t len;
};

/* -- where they come from ------------------------------------------------------------------------------------------ */

static struct rb_secret *find(const struct rb_run *run, const char *name, size_t len)
{
    for (struct rb_secret *s = run->secrets; s; s = s->next)
        if (strlen(s->name) == len && memcmp(s->name, name, len) == 0)
            return s;
    return NULL;
}

/* Of a text of several lines a part may come back: its lines are looked for, too, but for those that frame a key. */
static void add_lines(struct rb_run *run, const char *name, const char *text, size_t len)
{
    const char *end = text + len, *next;
    for (const char *p = text; p < end; p = next + 1) {
        next = memchr(p, '\n', (size_t)(end - p));
        next = next ? next : end;
        const char *to = next > p && next[-1] == '\r' ? next - 1 : next;
        if (to - p >= LINE_MIN && (size_t)(to - p) < len && memcmp(p, "-----", 5) != 0 &&
            !memmem(p, (size_t)(to - p), OPEN, sizeof(OPEN) - 1))
            rb_redactor_add(run->redactor, name, p, (size_t)(to - p));
    }
}

void rb_secret_learn(struct rb_run *run, const char *name, const char *text, size_t len)
{
    struct rb_secret *s = find(run, name, strlen(name));
    if (s && s->len == len && memcmp(s->text, text, len) == 0)
        return;
    if (!s) {
        s = rb_alloc(sizeof(*s));
        s->name = rb_strdup(name);
        s->next = run->secrets;
        run->secrets = s;
    } else {
        rb_secretmem_free(s->text, s->len + 1);
    }
    s->text = rb_secretmem_copy(text, len);
    s->len = len;
    if (!run->redactor)
        run->redactor = rb_redactor_new();
    /* A result of secret = true may be large: opaque, but not looked for. */
    if (len > RB_SECRET_MAX || memmem(text, len, OPEN, sizeof(OPEN) - 1))
        return;
    rb_redactor_add(run->redactor, name, text, len);
    add_lines(run, name, text, len);
}

void rb_secret_free(struct rb_run *run)
{
    while (run->secrets) {
        struct rb_secret *s = run->secrets;
        run->secrets = s->next;
        rb_secretmem_free(s->text, s->len + 1);
        free(s->name);
        free(s);
    }
    rb_redactor_free(run->redactor);
    free(run->secret_kinds);
}

bool rb_secret_size(const struct rb_run *run, const char *name, size_t *len)
{
    const struct rb_secret *s = find(run, name, strlen(name));
    *len = s ? s->len : 0;
    return s != NULL;
}

bool rb_secret_any(const struct rb_run *run)
{
    return run->secrets != NULL;
}

bool rb_secret_name_good(const char *name, size_t len)
{
    return len > 0 && len <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
}

/* Of the names that the runbook has in its text: those that are parameters are there already. */
static int declare(struct rb_run *run, const json_t *kinds, struct rb_err *err)
{
    const char *name, *text;
    size_t len;
    json_t *v;
    int rc = RB_OK;
    json_object_foreach((json_t *)(uintptr_t)kinds, name, v)
    {
        if (find(run, name, strlen(name)))
            continue;
        if (rb_vault_take(run->host, name, &text, &len))
            rb_secret_learn(run, name, text, len);
        else
            rc = rb_err_set(err, RB_EAGAIN, "the secret %s is still to be fetched", name);
    }
    return rc;
}

/* A secret that is also the value of another parameter: the script gets what the journal has. */
static void clean_params(struct rb_run *run)
{
    struct rb_buf clean_json;
    rb_buf_init(&clean_json, SIZE_MAX / 2);
    if (rb_secret_filter(run, true, run->params_json, strlen(run->params_json), &clean_json)) {
        explicit_bzero(run->params_json, strlen(run->params_json));
        free(run->params_json);
        run->params_json = rb_buf_detach(&clean_json);
    }
    rb_buf_release(&clean_json);
}

int rb_secret_declare(struct rb_run *run, const char *names_json, struct rb_err *err)
{
    json_t *names = json_loads(names_json, 0, NULL), *kinds = json_object(), *v;
    int rc = RB_OK;
    size_t i;
    json_array_foreach(names, i, v)
    {
        const char *name = json_string_value(v), *kind = "parameter";
        if (!rc && !rb_secret_name_good(name, json_string_length(v)))
            rc = rb_err_set(err, RB_EINVAL, "secret \"%.80s\" is no " RB_SECRET_NAME, name);
        if (!rc && !find(run, name, strlen(name)) && !(kind = rb_secret_source_kind(run->host, name, err)))
            rc = RB_EINVAL;
        if (!rc)
            json_object_set_new(kinds, name, json_string(kind));
    }
    if (!rc)
        rc = declare(run, kinds, err);
    if (!rc)
        clean_params(run);
    if (!rc && json_object_size(kinds))
        run->secret_kinds = json_dumps(kinds, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(names);
    json_decref(kinds);
    return rc;
}

/* The names that earlier parts of the run have fetched by operations of their own. */
static void add_fetched(struct rb_run *run, json_t *kinds)
{
    char name[80];
    for (size_t i = 1; i <= run->replay.count; i++) {
        const struct rb_recorded *ev = rb_replay_at(&run->replay, (int64_t)i);
        struct rb_slice value = {0};
        if (strcmp(ev->kind, "result") == 0 && rb_json_member_is(ev->data, ev->data_len, "op", "secret"))
            value = rb_json_member(ev->data, ev->data_len, "value");
        if (value.p && rb_json_member_text(value.p, value.n, "$secret", name, sizeof(name)))
            json_object_set_new(kinds, name, json_string(""));
    }
}

int rb_secret_declare_again(struct rb_run *run, struct rb_err *err)
{
    const struct rb_recorded *ev = rb_replay_at(&run->replay, 1);
    struct rb_slice s = rb_json_member(ev->data, ev->data_len, "secrets");
    json_t *kinds = s.p ? json_loadb(s.p, s.n, 0, NULL) : json_object();
    run->secret_kinds = s.p ? rb_strndup(s.p, s.n) : NULL;
    add_fetched(run, kinds);
    int rc = declare(run, kinds, err);
    json_decref(kinds);
    return rc;
}

bool rb_secret_declared(const struct rb_run *run, const char *name)
{
    const char *p = run->params_json, *k = run->secret_kinds;
    struct rb_slice given = p ? rb_json_member(p, strlen(p), name) : (struct rb_slice){0};
    return (k && rb_json_member(k, strlen(k), name).p) ||
           (given.p && rb_json_member_is(given.p, given.n, "$secret", name));
}

void rb_secret_fetch(struct rb_run *run, const char *name, struct rb_secret_wait *w)
{
    const struct rb_secret *s = find(run, name, strlen(name));
    w->run = run;
    rb_list_init(&w->link);
    if (s)
        w->fn(w, s->text, s->len, NULL);
    else
        rb_secret_source_get(run->host, name, w);
}

/* -- in Lua -------------------------------------------------------------------------------------------------------- */

static const char *template_of(lua_State *L, int index)
{
    return luaL_testudata(L, index, RB_SECRET_META);
}

bool rb_secret_is(lua_State *L, int index)
{
    return template_of(L, index) != NULL;
}

static int l_concat(lua_State *L)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= 2; i++) {
        const char *t = template_of(L, i);
        size_t n;
        const char *s = t ? t : luaL_checklstring(L, i, &n);
        if (!t && (strlen(s) != n || strstr(s, OPEN)))
            return rb_error_raise(
                L, "usage", "not_started",
                "this text can not be joined to a secret: it has a NUL byte or a placeholder of a secret in it");
        luaL_addstring(&b, s);
    }
    luaL_pushresult(&b);
    rb_secret_push(L, lua_tostring(L, -1));
    return 1;
}

static int l_tostring(lua_State *L)
{
    lua_pushstring(L, template_of(L, 1));
    return 1;
}

void rb_secret_push(lua_State *L, const char *template_text)
{
    size_t n = strlen(template_text) + 1;
    memcpy(lua_newuserdatauv(L, n, 0), template_text, n);
    if (luaL_newmetatable(L, RB_SECRET_META)) {
        lua_pushcfunction(L, l_concat);
        lua_setfield(L, -2, "__concat");
        lua_pushcfunction(L, l_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushliteral(L, "secret");
        lua_setfield(L, -2, "__metatable");
        lua_pushliteral(L, "secret"); /* "attempt to get length of a secret value" */
        lua_setfield(L, -2, "__name");
    }
    lua_setmetatable(L, -2);
}

void rb_secret_push_name(lua_State *L, const char *name)
{
    lua_pushfstring(L, OPEN "%s" CLOSE, name);
    rb_secret_push(L, lua_tostring(L, -1));
    lua_remove(L, -2);
}

void rb_secret_refuse_printed(lua_State *L, const char *text, size_t n, const char *what)
{
    if (memmem(text, n, OPEN, sizeof(OPEN) - 1))
        rb_error_raise(
            L, "usage", "not_started",
            "%s contains the placeholder of a secret as text: pass the secret itself, not what was printed of it",
            what);
}

void rb_secret_shown(lua_State *L, int index, struct rb_buf *out, const char *what)
{
    const char *t = template_of(L, index);
    size_t n;
    if (t) {
        rb_buf_adds(out, t);
        return;
    }
    if (lua_type(L, index) != LUA_TSTRING && lua_type(L, index) != LUA_TNUMBER)
        rb_error_raise(L, "usage", "not_started", "%s must be a string, not a %s", what, luaL_typename(L, index));
    lua_pushvalue(L, index);
    const char *s = lua_tolstring(L, -1, &n);
    rb_secret_refuse_printed(L, s, n, what);
    rb_buf_add(out, s, n);
    lua_pop(L, 1);
}

/* The first placeholder of a known secret in the text; its end in *to. NULL: none. */
static const struct rb_secret *placeholder(const struct rb_run *run, const char *p, const char *end, const char **from,
                                           const char **to)
{
    for (; (*from = memmem(p, (size_t)(end - p), OPEN, sizeof(OPEN) - 1)); p = *from + 1) {
        const char *name = *from + sizeof(OPEN) - 1;
        const char *close = memmem(name, (size_t)(end - name), CLOSE, sizeof(CLOSE) - 1);
        const struct rb_secret *s = close ? find(run, name, (size_t)(close - name)) : NULL;
        *to = close ? close + sizeof(CLOSE) - 1 : end;
        if (s)
            return s;
    }
    return NULL;
}

void rb_secret_restore(const struct rb_run *run, const char *text, size_t n, struct rb_buf *out)
{
    const char *end = text + n, *from, *to;
    const struct rb_secret *s;
    for (; (s = placeholder(run, text, end, &from, &to)); text = to) {
        rb_buf_add(out, text, (size_t)(from - text));
        rb_buf_add(out, s->text, s->len);
    }
    rb_buf_add(out, text, (size_t)(end - text));
}

void rb_secret_expand(lua_State *L, int index, struct rb_buf *out, const char *what)
{
    const char *p = template_of(L, index);
    const struct rb_run *run = rb_run_of(L);
    if (!p) {
        rb_secret_shown(L, index, out, what);
        return;
    }
    for (const char *open = p; (open = strstr(open, OPEN)); open++) {
        const char *name = open + sizeof(OPEN) - 1, *close = strstr(name, CLOSE);
        if (!close || !find(run, name, (size_t)(close - name)))
            rb_error_raise(L, "usage", "not_started", "%s: there is no secret %s in this run", what, p);
    }
    rb_secret_restore(run, p, strlen(p), out);
}

int rb_secret_l_equal(lua_State *L)
{
    struct rb_buf a, b;
    rb_buf_init(&a, EXPANDED_MAX);
    rb_buf_init(&b, EXPANDED_MAX);
    luaL_argcheck(L, rb_secret_is(L, 1) || lua_type(L, 1) == LUA_TSTRING, 1, "a secret or a string");
    luaL_argcheck(L, rb_secret_is(L, 2) || lua_type(L, 2) == LUA_TSTRING, 2, "a secret or a string");
    rb_secret_expand(L, 1, &a, "secret.equal");
    rb_secret_expand(L, 2, &b, "secret.equal");
    unsigned char differ = a.len != b.len;
    for (size_t i = 0; i < a.len && i < b.len; i++)
        differ |= (unsigned char)(a.data[i] ^ b.data[i]); /* as long for a near miss as for a far one */
    rb_buf_release(&a);
    rb_buf_release(&b);
    lua_pushboolean(L, !differ);
    return 1;
}

/* -- out of what comes back ---------------------------------------------------------------------------------------- */

void rb_secret_redact(const struct rb_run *run, const char *text, size_t n, struct rb_buf *out)
{
    rb_redact(run->redactor, text, n, out);
}

size_t rb_secret_tail(const struct rb_run *run, const char *text, size_t n)
{
    return rb_redact_tail(run->redactor, text, n);
}

/* [new reference] the value with its texts, and the keys of its objects, redacted. */
static json_t *clean(const struct rb_run *run, json_t *v)
{
    const char *key;
    json_t *item, *copy;
    size_t i;
    if (json_is_string(v)) {
        struct rb_buf out;
        rb_buf_init(&out, SIZE_MAX / 2);
        rb_redact(run->redactor, json_string_value(v), json_string_length(v), &out);
        copy = json_stringn_nocheck(rb_buf_text(&out), out.len);
        rb_buf_release(&out);
        return copy;
    }
    if (json_is_array(v)) {
        copy = json_array();
        json_array_foreach(v, i, item) json_array_append_new(copy, clean(run, item));
        return copy;
    }
    if (!json_is_object(v))
        return json_incref(v);
    copy = json_object();
    json_object_foreach(v, key, item)
    {
        struct rb_buf name;
        rb_buf_init(&name, SIZE_MAX / 2);
        rb_redact(run->redactor, key, strlen(key), &name);
        json_object_set_new_nocheck(copy, rb_buf_text(&name), clean(run, item));
        rb_buf_release(&name);
    }
    return copy;
}

bool rb_secret_same(const struct rb_run *run, const char *a, size_t an, const char *b, size_t bn)
{
    if (!rb_secret_any(run))
        return false;
    json_t *raw[] = {json_loadb(a, an, JSON_ALLOW_NUL, NULL), json_loadb(b, bn, JSON_ALLOW_NUL, NULL)};
    json_t *cleaned[] = {raw[0] ? clean(run, raw[0]) : NULL, raw[1] ? clean(run, raw[1]) : NULL};
    bool same = cleaned[0] && cleaned[1] && json_equal(cleaned[0], cleaned[1]);
    for (size_t i = 0; i < 2; i++) {
        json_decref(raw[i]);
        json_decref(cleaned[i]);
    }
    return same;
}

bool rb_secret_filter(void *arg, bool is_json, const char *text, size_t n, struct rb_buf *out)
{
    struct rb_run *run = arg;
    if (!rb_redact_finds(run->redactor, text, n))
        return false;
    run->filtered++;
    if (!is_json) {
        rb_redact(run->redactor, text, n, out);
        return true;
    }
    json_t *v = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_t *cleaned = v ? clean(run, v) : NULL;
    char *dump = cleaned ? json_dumps(cleaned, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    rb_buf_adds(out, dump ? dump : "{}");
    free(dump);
    json_decref(cleaned);
    json_decref(v);
    return true;
}
