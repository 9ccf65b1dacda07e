/* Owns what the calls of ssh have in common in their arguments: the host, sudo, bytes that are sent; and what a
 * command is. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "bind/args.h"
#include "bind/bind_ssh_op.h"
#include "engine/error.h"
#include "engine/secret.h"

#define CONNECT_MS 30000

void rb_ssh_where_release(struct ssh_where *w)
{
    char *const owned[] = {w->name, w->host, w->user, w->identity, w->jump, w->config};
    for (size_t i = 0; i < RB_COUNT(owned); i++)
        free(owned[i]);
    *w = (struct ssh_where){0};
}

struct rb_ssh_target rb_ssh_where_target(const struct ssh_where *w)
{
    return (struct rb_ssh_target){.host = w->host,
                                  .user = w->user,
                                  .port = w->port,
                                  .config = w->config,
                                  .identity = w->identity,
                                  .jump = w->jump,
                                  .starting = w->starting,
                                  .connect_ms = w->connect_ms,
                                  .idle_ms = w->idle_ms};
}

/* A host as the policy knows it: [user@]host[:port]. */
static void reach(struct rb_effect *e, const char *user, const char *host, int port)
{
    struct rb_buf name;
    bool bracket = port && strchr(host, ':');
    rb_buf_init(&name, 2048);
    rb_buf_addf(&name, "%s%s%s%s%s", user ? user : "", user ? "@" : "", bracket ? "[" : "", host, bracket ? "]" : "");
    if (port)
        rb_buf_addf(&name, ":%d", port);
    rb_effect_reach(e, "ssh", rb_buf_text(&name), name.len);
    rb_buf_release(&name);
}

/* Each host on the way is reached, too. */
static void reach_jumps(struct rb_effect *e, const char *jump)
{
    while (*jump) {
        size_t n = strcspn(jump, ",");
        if (n)
            rb_effect_reach(e, "ssh", jump, n);
        jump += n + (jump[n] == ',');
    }
}

/* Of the configuration's `ssh`, in milliseconds. The Lua side has checked that it is a duration. */
static uint64_t configured_ms(const struct rb_effect *e, const char *key, uint64_t otherwise)
{
    const json_t *v = json_object_get(rb_effect_config(e, "ssh"), key);
    return json_is_number(v) ? (uint64_t)(json_number_value(v) * 1000) : otherwise;
}

void rb_ssh_read_where(lua_State *L, const char *verb, struct rb_effect *e, struct ssh_where *w, struct rb_json *j)
{
    w->name = rb_args_text(L, 1, verb, "name");
    w->host = rb_args_text(L, 1, verb, "host");
    w->user = rb_args_text(L, 1, verb, "user");
    w->identity = rb_args_text(L, 1, verb, "identity");
    w->jump = rb_args_text(L, 1, verb, "jump");
    w->port = (int)rb_args_int(L, 1, "port", 0);
    w->connect_ms = (uint64_t)rb_args_int(L, 1, "connect_ms", (int64_t)configured_ms(e, "connect_timeout", CONNECT_MS));
    w->idle_ms = configured_ms(e, "idle_timeout", 0);
    w->config = rb_strdup(json_string_value(json_object_get(rb_effect_config(e, "ssh"), "config")));
    w->starting = (unsigned)json_integer_value(json_object_get(rb_effect_config(e, "ssh"), "max_connections"));
    if (!w->host || !w->host[0] || w->host[0] == '-')
        rb_error_raise(L, "usage", "not_started", "%s: there is no host", verb);
    reach(e, w->user, w->host, w->port);
    if (w->jump)
        reach_jumps(e, w->jump);
    rb_json_ktext(j, "host", w->host);
    rb_json_ktext(j, "user", w->user);
    if (w->port)
        rb_json_kint(j, "port", w->port);
    rb_json_ktext(j, "jump", w->jump);
}

bool rb_ssh_read_sudo(lua_State *L, const char *verb, char **password, struct rb_json *j)
{
    char what[64];
    *password = NULL;
    if (!rb_args_bool(L, 1, "sudo", false))
        return false;
    if (lua_getfield(L, 1, "sudo_password") == LUA_TNIL) {
        rb_json_kbool(j, "sudo", true);
    } else {
        struct rb_buf *text = rb_effect_buf(L, RB_SECRET_MAX), *shown = rb_effect_buf(L, RB_SECRET_MAX);
        snprintf(what, sizeof(what), "%s: the password of sudo", verb);
        rb_secret_expand(L, -3, text, what);
        rb_secret_shown(L, -3, shown, what);
        if (memchr(rb_buf_text(text), '\n', text->len) || memchr(rb_buf_text(text), '\0', text->len))
            rb_error_raise(L, "usage", "not_started", "%s is more than one line, which sudo can not be given", what);
        rb_json_ktext(j, "sudo", rb_buf_text(shown));
        *password = rb_strdup(rb_buf_text(text));
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    return true;
}

char *rb_ssh_read_bytes(lua_State *L, const char *verb, const char *field, size_t max, size_t *len, struct rb_json *j)
{
    char what[64], hex[RB_SHA_HEX];
    *len = 0;
    if (lua_getfield(L, 1, field) == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    struct rb_buf *bytes = rb_effect_buf(L, max), *shown = rb_effect_buf(L, max);
    snprintf(what, sizeof(what), "%s: %s", verb, field);
    rb_secret_expand(L, -3, bytes, what);
    rb_secret_shown(L, -3, shown, what);
    if (bytes->cut)
        rb_error_raise(L, "usage", "not_started", "%s is larger than %d MiB", what, (int)(max >> 20));
    rb_sha_of_hex(rb_buf_text(shown), shown->len, hex);
    *len = bytes->len;
    rb_json_key(j, field);
    rb_json_object(j);
    rb_json_kint(j, "size", (int64_t)*len);
    rb_json_ktext(j, "sha256", hex);
    rb_json_end_object(j);
    char *copy = *len ? rb_buf_detach(bytes) : rb_strdup("");
    lua_pop(L, 3);
    return copy;
}

void rb_ssh_read_command(lua_State *L, struct ssh_op *op, struct rb_json *j)
{
    if (lua_getfield(L, 1, "argv") == LUA_TTABLE) {
        op->argv = rb_args_words(L, "ssh", "argv", "argument", false, RB_SSH_ARGS_MAX);
        if (!op->argv[0] || !op->argv[0][0])
            rb_error_raise(L, "usage", "not_started", "ssh: the command is an empty list, or its name is empty");
        rb_json_key(j, "argv");
        rb_json_array(j);
        for (size_t i = 0; op->argv[i]; i++)
            rb_json_string(j, op->argv[i], strlen(op->argv[i]));
        rb_json_end_array(j);
    } else {
        op->text = rb_args_text(L, 1, "ssh", "text");
        if (!op->text || !op->text[strspn(op->text, " \t\n")])
            rb_error_raise(L, "usage", "not_started", "ssh: the command is empty");
        struct rb_buf *plain = rb_effect_buf(L, RB_SSH_ARGS_MAX); /* refuses a placeholder that was printed */
        lua_getfield(L, 1, "text");
        rb_secret_expand(L, -1, plain, "ssh: the command");
        lua_pop(L, 2);
        rb_json_key(j, "text");
        rb_json_string(j, op->text, strlen(op->text));
    }
    lua_pop(L, 1);
    op->cwd = rb_args_text(L, 1, "ssh", "cwd");
    rb_json_ktext(j, "cwd", op->cwd);
    op->env = rb_args_words(L, "ssh", "env", "environment variable", true, RB_SSH_ARGS_MAX);
    if (!op->env[0])
        return;
    struct rb_buf *shown = rb_effect_buf(L, RB_SSH_ARGS_MAX);
    rb_json_key(j, "env");
    rb_json_array(j);
    lua_getfield(L, 1, "env");
    for (size_t i = 0; op->env[i]; i++) {
        rb_buf_reset(shown);
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        rb_secret_shown(L, -1, shown, "ssh: env");
        lua_pop(L, 1);
        rb_json_string(j, rb_buf_text(shown), shown->len);
    }
    rb_json_end_array(j);
    lua_pop(L, 2);
}

void rb_ssh_wipe(char *text, size_t len)
{
    if (text)
        explicit_bzero(text, len);
    free(text);
}
