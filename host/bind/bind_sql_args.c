/* Owns the arguments of `sql`: from the table of rt/sql.lua to a request, to what the journal shows of it, and from the
 * name of a DSN to what the configuration says. A password leaves here apart from its DSN. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "base/json.h"
#include "base/nearest.h"
#include "bind/args.h"
#include "bind/bind_sql.h"
#include "engine/error.h"
#include "engine/policy.h"
#include "engine/value.h"

#define PARAMS_MAX 32766
#define PARAM_BYTES_MAX ((size_t)256 << 20)
#define SHOWN_MAX 1024 /* of a parameter; longer ones are shown by their digest */
#define TEXT_SHOWN_MAX 65536

/* -- the DSN ------------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdefABCDEF", *at = c ? strchr(digits, c) : NULL;
    return !at ? -1 : at - digits < 16 ? (int)(at - digits) : (int)(at - digits) - 6;
}

char *rb_url_text(const char *s, size_t n)
{
    char *out = rb_alloc(n + 1);
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        bool coded = s[i] == '%' && i + 2 < n && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0;
        out[len++] = coded ? (char)(hex_digit(s[i + 1]) << 4 | hex_digit(s[i + 2])) : s[i];
        i += coded ? 2 : 0;
    }
    return out;
}

/* Where "password=" stands among the words of a DSN ("?password=x", "password='a b'"): what it and its value take up.
 * NULL: nowhere. */
static const char *find_password(const char *dsn, size_t *len)
{
    for (const char *p = dsn; (p = strcasestr(p, "password")); p += 8) {
        const char *value = p + 8 + strspn(p + 8, " ");
        if (*value != '=')
            continue;
        value += 1 + strspn(value + 1, " ");
        size_t n = strcspn(value, strstr(dsn, "://") ? "&#" : " \t\n");
        if (*value == '\'')
            for (n = 1; value[n] && (value[n] != '\'' || value[n - 1] == '\\');)
                n++;
        *len = (size_t)(value - p) + n;
        return p;
    }
    return NULL;
}

/* Appends a DSN without its passwords; that of a URL's user goes to *password, decoded. What stands as password=… is
 * only left out of what is shown (password NULL): libpq reads it, and takes it for its own. */
static void without_password(const char *dsn, struct rb_buf *out, char **password)
{
    const char *host = strstr(dsn, "://"), *stop = host ? host + 3 + strcspn(host + 3, "/?") : NULL;
    const char *at = NULL, *colon = NULL, *word;
    size_t len;
    for (const char *p = host ? host + 3 : NULL; p && p < stop; p++)
        at = *p == '@' ? p : at;
    colon = at ? memchr(host + 3, ':', (size_t)(at - host - 3)) : NULL;
    if (colon) {
        rb_buf_add(out, dsn, (size_t)(colon - dsn));
        if (password)
            *password = rb_url_text(colon + 1, (size_t)(at - colon - 1));
        dsn = at;
    }
    while (!password && strncmp(rb_buf_text(out), "sqlite:", 7) != 0 && (word = find_password(dsn, &len))) {
        rb_buf_add(out, dsn, (size_t)(word - dsn));
        rb_buf_adds(out, "password=…");
        dsn = word + len;
    }
    rb_buf_adds(out, dsn);
}

/* What the policy and people are shown of a DSN: of SQLite the file, of others all but the password. */
static void show_dsn(struct rb_buf *shown)
{
    if (strncmp(rb_buf_text(shown), "sqlite:", 7) == 0) {
        size_t n = strcspn(shown->data, "?");
        shown->data[n] = '\0';
        shown->len = n;
    }
}

static int unknown_dsn(const struct sql_op *op, const json_t *dsns, struct rb_err *err)
{
    const char *name;
    json_t *v;
    size_t n = 0;
    const char **names = rb_alloc((json_object_size(dsns) + 1) * sizeof(*names));
    json_object_foreach((json_t *)(uintptr_t)dsns, name, v) names[n++] = name;
    const char *near = rb_nearest(op->dsn, names, n);
    rb_err_set(err, RB_EINVAL,
               near ? "sql: there is no DSN %.100s in the configuration; did you mean %s?"
                    : "sql: there is no DSN %.100s in the configuration (dsns = { … }), and it is none itself: "
                      "sqlite:/path or postgres://…%s",
               op->shown, near ? near : "");
    free(names);
    return RB_EINVAL;
}

int rb_sql_resolve(struct sql_op *op, struct rb_err *err)
{
    const json_t *dsns = rb_effect_config(&op->effect, "dsns"), *v = json_object_get(dsns, op->dsn);
    const json_t *dsn = json_is_object(v) ? json_object_get(v, "dsn") : v, *password = json_object_get(v, "password");
    if (!v && !strchr(op->dsn, ':'))
        return unknown_dsn(op, dsns, err);
    if (v && !json_is_string(dsn))
        return rb_err_set(err, RB_EINVAL, "sql: dsns.%s of the configuration has no dsn", op->shown);
    free(op->real);
    free(op->password);
    free(op->password_secret);
    op->password = op->password_secret = NULL;
    struct rb_buf plain;
    rb_buf_init(&plain, 65536);
    without_password(v ? json_string_value(dsn) : op->dsn, &plain, &op->password);
    op->real = rb_buf_detach(&plain);
    if (json_is_string(password)) {
        free(op->password);
        op->password = rb_strdup(json_string_value(password));
    } else if (json_is_object(password)) {
        op->password_secret = rb_strdup(json_string_value(json_object_get(password, "secret")));
    }
    if (json_is_true(json_object_get(v, "read_only")) && !op->read) {
        snprintf(op->effect.error_kind, sizeof(op->effect.error_kind), "sql.readonly");
        return rb_err_set(err, RB_EDENIED, "sql: %s is read-only in the configuration (read_only = true)", op->shown);
    }
    op->of_the_site = v != NULL;
    op->max_connections = (size_t)json_integer_value(json_object_get(v, "max_connections"));
    op->driver = rb_sql_driver_of(op->real, err);
    if (!op->driver)
        return rb_err_prefix(err, "sql: %s", op->shown);
    if (op->attach && op->attach[0] && op->driver != &rb_sql_sqlite)
        return rb_err_set(err, RB_EINVAL, "sql: %s: only a database of SQLite can have others attached", op->shown);
    return RB_OK;
}

static void read_dsn(lua_State *L, struct sql_op *op)
{
    struct rb_buf *real = rb_effect_buf(L, 65536), *said = rb_effect_buf(L, 65536), *shown = rb_effect_buf(L, 65536);
    lua_getfield(L, 1, "dsn");
    rb_secret_expand(L, -1, real, "sql: the DSN");
    rb_secret_shown(L, -1, said, "sql: the DSN");
    without_password(rb_buf_text(said), shown, NULL);
    show_dsn(shown);
    if (memchr(rb_buf_text(real), '\0', real->len))
        rb_error_raise(L, "usage", "not_started", "sql: the DSN contains a NUL byte");
    op->dsn = rb_strdup(rb_buf_text(real));
    op->shown = rb_strdup(rb_buf_text(shown));
    rb_effect_reach(&op->effect, "sql", op->shown, strlen(op->shown));
    lua_pop(L, 4);
}

/* -- parameters ---------------------------------------------------------------------------------------------------- */

static void free_value(struct rb_sql_value *v)
{
    if (v->type == RB_SQL_TEXT || v->type == RB_SQL_BYTES)
        free((char *)(uintptr_t)v->text);
    for (size_t i = 0; v->type == RB_SQL_LIST && i < v->len; i++)
        free_value(&v->items[i]);
    if (v->type == RB_SQL_LIST)
        free(v->items);
}

static void set_text(struct rb_sql_value *v, const char *s, size_t n, bool bytes)
{
    char *copy = rb_alloc(n + 1);
    memcpy(copy, s, n);
    v->type = bytes || !rb_utf8_valid(s, n) || memchr(s, '\0', n) ? RB_SQL_BYTES : RB_SQL_TEXT;
    v->text = copy;
    v->len = n;
}

static void show_text(struct rb_json *j, const char *s, size_t n)
{
    if (n <= SHOWN_MAX) {
        rb_json_string(j, s, n);
        return;
    }
    char hex[RB_SHA_HEX];
    rb_sha_of_hex(s, n, hex);
    rb_json_object(j);
    rb_json_kint(j, "size", (int64_t)n);
    rb_json_ktext(j, "sha256", hex);
    rb_json_end_object(j);
}

static void refuse_printed(lua_State *L, const char *s, size_t n, const char *parameter)
{
    char what[100];
    snprintf(what, sizeof(what), "sql: parameter %s", parameter);
    rb_secret_refuse_printed(L, s, n, what);
}

static void read_value(lua_State *L, int index, struct rb_sql_value *v, struct rb_json *j, const char *what, int depth);

/* { bytes = s } as rt/sql.lua makes it of sql.bytes(s), { list = { … } } of a list */
static void read_table(lua_State *L, int index, struct rb_sql_value *v, struct rb_json *j, const char *what, int depth)
{
    size_t n;
    if (lua_getfield(L, index, "bytes") == LUA_TSTRING) {
        const char *s = lua_tolstring(L, -1, &n);
        refuse_printed(L, s, n, what);
        set_text(v, s, n, true);
        show_text(j, s, n);
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    if (lua_getfield(L, index, "list") != LUA_TTABLE || depth > 6)
        rb_error_raise(
            L, "usage", "not_started",
            "sql: parameter %s is a table; give json.encode(…) of it, or a list where the database takes one", what);
    n = lua_rawlen(L, -1);
    if (n > PARAMS_MAX)
        rb_error_raise(L, "usage", "not_started", "sql: parameter %s has more than %d elements", what, PARAMS_MAX);
    v->items = rb_alloc((n + 1) * sizeof(*v->items));
    v->type = RB_SQL_LIST;
    rb_json_array(j);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        v->len = i + 1;
        read_value(L, lua_gettop(L), &v->items[i], j, what, depth + 1);
        lua_pop(L, 1);
    }
    rb_json_end_array(j);
    lua_pop(L, 1);
}

static void read_value(lua_State *L, int index, struct rb_sql_value *v, struct rb_json *j, const char *what, int depth)
{
    size_t n;
    const char *s;
    luaL_checkstack(L, 8, "a parameter");
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        v->type = RB_SQL_BOOL;
        v->i = lua_toboolean(L, index);
        rb_json_bool(j, v->i);
        return;
    case LUA_TNUMBER: {
        struct rb_err err;
        struct rb_buf *text = rb_effect_buf(L, 64);
        if (lua_isinteger(L, index)) {
            v->type = RB_SQL_INT;
            v->i = lua_tointeger(L, index);
        } else {
            v->type = RB_SQL_FLOAT;
            v->f = lua_tonumber(L, index);
        }
        rb_value_encode(L, index, "parameter", NULL, text, &err);
        rb_json_raw(j, rb_buf_text(text), text->len);
        lua_pop(L, 1);
        return;
    }
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &n);
        refuse_printed(L, s, n, what);
        set_text(v, s, n, false);
        show_text(j, s, n);
        return;
    case LUA_TTABLE: read_table(L, index, v, j, what, depth); return;
    default: break;
    }
    if (rb_value_is_null(L, index)) {
        rb_json_null(j);
    } else if (rb_secret_is(L, index)) {
        struct rb_buf *real = rb_effect_buf(L, PARAM_BYTES_MAX), *shown = rb_effect_buf(L, PARAM_BYTES_MAX);
        rb_secret_expand(L, index, real, what);
        rb_secret_shown(L, index, shown, what);
        set_text(v, rb_buf_text(real), real->len, false);
        show_text(j, rb_buf_text(shown), shown->len);
        lua_pop(L, 2);
    } else {
        rb_error_raise(L, "usage", "not_started",
                       "sql: parameter %s is a %s; it can be a text, a number, a boolean, null, sql.bytes(…) or a "
                       "secret",
                       what, luaL_typename(L, index));
    }
}

/* `params`: a list, or with `names` the list of what they are called. */
static void read_params(lua_State *L, struct sql_op *op, struct rb_json *j)
{
    if (lua_getfield(L, 1, "params") != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    int params = lua_gettop(L);
    bool named = lua_getfield(L, 1, "names") == LUA_TTABLE;
    size_t n = lua_rawlen(L, params);
    if (n > PARAMS_MAX)
        rb_error_raise(L, "usage", "not_started", "sql: more than %d parameters", PARAMS_MAX);
    op->params = rb_alloc((n + 1) * sizeof(*op->params));
    rb_json_key(j, "params");
    named ? rb_json_object(j) : rb_json_array(j);
    for (size_t i = 0; i < n; i++) {
        struct rb_sql_param *p = &op->params[i];
        char what[80];
        op->param_count = i + 1;
        snprintf(what, sizeof(what), "%zu", i + 1);
        if (named) {
            lua_rawgeti(L, params + 1, (lua_Integer)i + 1);
            p->name = rb_strdup(luaL_checkstring(L, -1));
            snprintf(what, sizeof(what), ":%.60s", p->name);
            rb_json_key(j, p->name);
            lua_pop(L, 1);
        }
        lua_rawgeti(L, params, (lua_Integer)i + 1);
        read_value(L, lua_gettop(L), &p->value, j, what, 0);
        lua_pop(L, 1);
    }
    named ? rb_json_end_object(j) : rb_json_end_array(j);
    lua_settop(L, params - 1);
}

/* -- the whole ----------------------------------------------------------------------------------------------------- */

static void read_attach(lua_State *L, struct sql_op *op, struct rb_json *j)
{
    if (lua_getfield(L, 1, "attach") != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    size_t n = lua_rawlen(L, -1);
    op->attach = rb_alloc((n + 1) * sizeof(*op->attach));
    rb_json_key(j, "attach");
    rb_json_array(j);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        const char *text = luaL_checkstring(L, -1), *path = strchr(text, '=');
        op->attach[i] = rb_strdup(text);
        rb_json_text(j, text);
        struct rb_buf *name = rb_effect_buf(L, 65536);
        rb_policy_database(name, path ? path + 1 : text);
        rb_effect_reach(&op->effect, "sql", rb_buf_text(name), name->len);
        lua_pop(L, 2);
    }
    rb_json_end_array(j);
    lua_pop(L, 1);
}

static void read_statement(lua_State *L, struct sql_op *op, struct rb_json *j)
{
    lua_getfield(L, 1, "text");
    size_t n;
    const char *text = luaL_checklstring(L, -1, &n);
    if (memchr(text, '\0', n))
        rb_error_raise(L, "usage", "not_started", "sql: the statement contains a NUL byte; give it as a parameter");
    if (!rb_utf8_valid(text, n))
        rb_error_raise(L, "usage", "not_started", "sql: the statement is not UTF-8; give bytes as a parameter");
    rb_secret_refuse_printed(L, text, n, "sql: the statement");
    op->text = rb_strdup(text);
    rb_json_key(j, op->action == SQL_BACKUP ? "backup" : "statement");
    if (n <= TEXT_SHOWN_MAX)
        rb_json_string(j, text, n);
    else
        show_text(j, text, n);
    lua_pop(L, 1);
}

void rb_sql_read_args(lua_State *L, struct sql_op *op)
{
    static const char *const actions[] = {"run", "begin", "commit", "backup", NULL};
    struct rb_effect *e = &op->effect;
    struct rb_json j;
    lua_getfield(L, 1, "action");
    op->action = (enum sql_action)luaL_checkoption(L, -1, NULL, actions);
    lua_pop(L, 1);
    rb_json_init(&j, &e->args);
    rb_json_object(&j);
    read_dsn(L, op);
    rb_json_key(&j, "dsn");
    rb_json_string(&j, op->shown, strlen(op->shown));
    read_statement(L, op, &j);
    read_params(L, op, &j);
    read_attach(L, op, &j);
    op->read = rb_args_bool(L, 1, "looks", false);
    op->script = rb_args_bool(L, 1, "script", false);
    op->numeric = rb_args_bool(L, 1, "numeric", false);
    op->max_rows = (size_t)rb_args_int(L, 1, "max_rows", 0);
    op->max_bytes = (size_t)rb_args_int(L, 1, "max_bytes", 0);
    op->timeout_ms = (uint64_t)rb_args_int(L, 1, "timeout_ms", 0);
    op->lock_ms = (uint64_t)rb_args_int(L, 1, "lock_ms", 0);
    op->isolation = rb_args_text(L, 1, "db:tx", "isolation");
    op->once = rb_args_text(L, 1, "db:tx", "once");
    char *key = rb_args_text(L, 1, "db:tx", "tx");
    if (key) {
        op->tx = rb_sql_tx_of(L, key, op->action == SQL_BEGIN);
        rb_json_ktext(&j, "tx", key);
        free(key);
        e->within_tx = true;
    }
    if (op->isolation)
        rb_json_ktext(&j, "isolation", op->isolation);
    if (lua_getfield(L, 1, "writes") == LUA_TTABLE) { /* what a COMMIT keeps, for whoever is asked about it */
        struct rb_err err;
        rb_json_key(&j, "writes");
        struct rb_buf *list = rb_effect_buf(L, 65536);
        rb_value_encode(L, -2, "writes", NULL, list, &err);
        rb_json_raw(&j, rb_buf_text(list), list->len);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (op->action == SQL_BACKUP)
        rb_effect_reach(e, "file", op->text, strlen(op->text));
    if (op->read)
        rb_json_kbool(&j, "read", true);
    rb_json_end_object(&j);
}

void rb_sql_free_args(struct sql_op *op)
{
    for (size_t i = 0; i < op->param_count; i++) {
        free((char *)(uintptr_t)op->params[i].name);
        free_value(&op->params[i].value);
    }
    free(op->params);
    rb_args_free(op->attach);
    free(op->dsn);
    free(op->shown);
    free(op->text);
    free(op->isolation);
    free(op->once);
    free(op->real);
    free(op->password);
    free(op->password_secret);
}
