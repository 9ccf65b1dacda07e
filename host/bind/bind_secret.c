/* Owns `secret(name)`: the opaque value for a name. Knows no source: secret_source.c asks them. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "bind/args.h"
#include "bind/bind.h"
#include "engine/effect.h"
#include "engine/error.h"
#include "engine/secret.h"

struct secret_op {
    struct rb_effect effect;
    struct rb_secret_wait wait;
    char *name;
};

static struct secret_op *secret_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct secret_op, effect);
}

static void on_secret(struct rb_secret_wait *w, const char *text, size_t len, const struct rb_err *err)
{
    struct rb_effect *e = &RB_CONTAINER(w, struct secret_op, wait)->effect;
    (void)len;
    if (text)
        rb_effect_done(e);
    else
        rb_effect_failed(e, "secret", RB_OUTCOME_FAILED, false, "%s", err->msg);
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct secret_op *op = secret_of(e);
    (void)err;
    op->wait.fn = on_secret;
    rb_secret_fetch(e->run, op->name, &op->wait);
    return RB_OK;
}

static void cancel(struct rb_effect *e, bool now)
{
    (void)now;
    rb_secret_forget(&secret_of(e)->wait);
    rb_effect_failed(e, "cancelled", RB_OUTCOME_FAILED, false, "cancelled while the secret %s was fetched",
                     secret_of(e)->name);
}

static void push(struct rb_effect *e, lua_State *L)
{
    rb_secret_push_name(L, secret_of(e)->name);
}

static void release(struct rb_effect *e)
{
    struct secret_op *op = secret_of(e);
    rb_secret_forget(&op->wait);
    free(op->name);
    free(op);
}

static const struct rb_effect_type secret_type = {
    .kind = "secret", .start = start, .cancel = cancel, .push = push, .free = release};

int rb_bind_secret(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct secret_op *op = rb_effect_new(L, sizeof(*op), &secret_type, RB_CLASS_READ);
    struct rb_effect *e = &op->effect;
    rb_list_init(&op->wait.link);
    op->name = rb_args_text(L, 1, "secret", "name");
    if (!rb_secret_name_good(op->name, strlen(op->name)))
        rb_error_raise(L, "usage", "not_started", "secret: \"%.80s\" is no " RB_SECRET_NAME, op->name);
    if (rb_secret_declared(e->run, op->name)) {
        rb_secret_push_name(L, op->name);
        return 1;
    }
    struct rb_json j;
    rb_json_init(&j, &e->args);
    rb_json_object(&j);
    rb_json_ktext(&j, "name", op->name);
    rb_json_end_object(&j);
    return rb_effect_call(L, e);
}
