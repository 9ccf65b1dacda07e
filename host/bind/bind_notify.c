/* Owns `notify`: a message to a channel of the configuration, as an op. How it gets there is engine/tell.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bind/args.h"
#include "bind/bind.h"
#include "engine/effect.h"
#include "engine/error.h"
#include "engine/run.h"
#include "engine/secret.h"
#include "engine/tell.h"
#include "io/channel.h"

struct notify_op {
    struct rb_effect effect;
    char *channel, *stated_id;
    struct rb_message message;
    bool check, delivered, ended;
    uint64_t timeout_ms;
    struct rb_telling *telling; /* while it is on its way */
    char *taker;                /* the channel that took it */
    char held[16];
    char error[900];
    enum rb_outcome outcome;
};

static struct notify_op *notify_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct notify_op, effect);
}

static void release(struct rb_effect *e)
{
    struct notify_op *op = notify_of(e);
    if (op->telling)
        rb_tell_drop(op->telling);
    rb_message_release(&op->message);
    free(op->channel);
    free(op->stated_id);
    free(op->taker);
    free(op);
}

static void on_told(void *arg, const struct rb_told *told)
{
    struct notify_op *op = arg;
    struct rb_effect *e = &op->effect;
    op->telling = NULL;
    op->ended = true;
    op->delivered = told->delivered;
    op->outcome = told->outcome;
    free(op->taker);
    op->taker = rb_strdup(told->channel ? told->channel : op->channel);
    snprintf(op->held, sizeof(op->held), "%s", told->held ? told->held : "");
    snprintf(op->error, sizeof(op->error), "%s", told->delivered || told->held ? "" : told->message);
    if (told->delivered || told->held || !op->check)
        rb_effect_done(e);
    else if (e->cancel_wanted)
        rb_effect_failed(e, "cancelled", told->outcome, true, "cancelled while it was being delivered: %s",
                         told->message);
    else
        rb_effect_failed(e, "notify.failed", told->outcome, true, "the message was not delivered: %s", told->message);
}

/* The same on a repetition out of doubt: the run and the key of the op. */
static void make_id(struct notify_op *op)
{
    char sum[RB_SHA_HEX];
    struct rb_buf id;
    const char *run = rb_run_id(op->effect.run), *of = op->stated_id ? op->stated_id : op->effect.key;
    rb_sha_of_hex(of, strlen(of), sum);
    rb_buf_init(&id, 200);
    rb_buf_addf(&id, "%s-%.16s", run, sum);
    free(op->message.id);
    op->message.id = rb_buf_detach(&id);
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct notify_op *op = notify_of(e);
    if (!rb_tell_channel(e->run, op->channel, err)) { /* not sooner: a replay must not depend on the configuration */
        snprintf(e->error_kind, sizeof(e->error_kind), "usage");
        return RB_ENOENT;
    }
    make_id(op);
    op->ended = false;
    op->message.at = rb_clock_wall();
    struct rb_tell_options opt = {.run = e->run,
                                  .channel = op->channel,
                                  .message = &op->message,
                                  .timeout_ms = op->timeout_ms,
                                  .fn = on_told,
                                  .arg = op};
    rb_tell_start(&opt, &op->telling);
    return RB_OK;
}

static void cancel(struct rb_effect *e, bool now)
{
    (void)now;
    struct notify_op *op = notify_of(e);
    if (op->telling)
        rb_tell_cancel(op->telling);
}

/* -- the result ---------------------------------------------------------------------------------------------------- */

static void set(lua_State *L, const char *field, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

static void push(struct rb_effect *e, lua_State *L)
{
    struct notify_op *op = notify_of(e);
    lua_createtable(L, 0, 5);
    if (!op->ended)
        return;
    lua_pushboolean(L, op->delivered);
    lua_setfield(L, -2, "delivered");
    set(L, "channel", op->taker);
    set(L, "id", op->message.id);
    if (op->held[0])
        set(L, "held", op->held);
    if (op->error[0])
        set(L, "error", op->error);
}

static void assume(struct rb_effect *e, lua_State *L)
{
    lua_createtable(L, 0, 3);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "delivered");
    set(L, "channel", notify_of(e)->channel);
    set(L, "assumed", e->as);
}

static const struct rb_effect_type notify_type = {
    .kind = "notify", .tells = true, .start = start, .cancel = cancel, .push = push, .assume = assume, .free = release};

/* -- the call ------------------------------------------------------------------------------------------------------ */

/* A text of the message: plain, because everybody who reads the channel reads it. */
static char *read_text(lua_State *L, int index, const char *what, bool line, size_t max)
{
    size_t n;
    if (rb_secret_is(L, index))
        rb_error_raise(L, "usage", "not_started",
                       "notify: %s holds a secret, and a message is read by everybody in the channel; what a channel "
                       "needs to know to be reached stands in the configuration",
                       what);
    if (lua_type(L, index) != LUA_TSTRING && lua_type(L, index) != LUA_TNUMBER)
        rb_error_raise(L, "usage", "not_started", "notify: %s must be a text, not a %s", what, luaL_typename(L, index));
    struct rb_buf *clean = rb_effect_buf(L, (size_t)4 << 20), *cut = rb_effect_buf(L, max + 64);
    lua_pushvalue(L, index);
    const char *text = lua_tolstring(L, -1, &n);
    if (n > max * 3 + 16) /* what is cut away need not be looked at */
        n = max * 3 + 16;
    struct rb_buf *whole = rb_effect_buf(L, max * 3 + 64); /* refuses a placeholder that was printed */
    lua_pushlstring(L, text, n);
    rb_secret_expand(L, -1, whole, what);
    rb_text_clean(clean, rb_buf_text(whole), whole->len, line);
    rb_text_cut(cut, rb_buf_text(clean), max);
    char *copy = rb_strdup(rb_buf_text(cut));
    lua_pop(L, 5);
    return copy;
}

static char *field_text(lua_State *L, const char *field, bool line, size_t max)
{
    char what[40], *text = NULL;
    snprintf(what, sizeof(what), "its %s", field);
    if (lua_getfield(L, 1, field) != LUA_TNIL)
        text = read_text(L, lua_gettop(L), what, line, max);
    lua_pop(L, 1);
    return text;
}

/* fields: a list of { name, value }, sorted by the Lua side. */
static void read_fields(lua_State *L, struct rb_message *m)
{
    if (lua_getfield(L, 1, "fields") == LUA_TTABLE) {
        lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
        if (n > RB_MESSAGE_FIELDS)
            rb_error_raise(L, "usage", "not_started", "notify: %d fields are more than %d", (int)n, RB_MESSAGE_FIELDS);
        m->fields = n ? rb_alloc((size_t)n * sizeof(*m->fields)) : NULL;
        for (lua_Integer i = 1; i <= n; i++) {
            lua_rawgeti(L, -1, i);
            lua_rawgeti(L, -1, 1);
            m->fields[m->n_fields++] = (struct rb_field){0};
            struct rb_field *f = &m->fields[m->n_fields - 1];
            f->name = read_text(L, lua_gettop(L), "the name of a field", true, 100);
            lua_pop(L, 1);
            lua_rawgeti(L, -1, 2);
            f->value = read_text(L, lua_gettop(L), "a field", false, 2000);
            lua_pop(L, 2);
        }
    }
    lua_pop(L, 1);
}

static void read_words(lua_State *L, struct rb_message *m)
{
    char *severity = rb_args_text(L, 1, "notify", "severity"), *action = rb_args_text(L, 1, "notify", "action");
    m->severity = RB_INFO;
    bool bad =
        (severity && rb_severity_parse(severity, &m->severity)) || (action && rb_action_parse(action, &m->action));
    free(severity);
    free(action);
    if (bad) /* the Lua side has said it better */
        rb_error_raise(L, "usage", "not_started", "notify: its severity or action is not known");
}

static void write_args(struct notify_op *op)
{
    const struct rb_message *m = &op->message;
    struct rb_effect *e = &op->effect;
    struct rb_json j;
    rb_json_init(&j, &e->args);
    rb_json_object(&j);
    rb_json_ktext(&j, "channel", op->channel);
    rb_json_ktext(&j, "title", m->title);
    rb_json_ktext(&j, "text", m->text);
    rb_json_ktext(&j, "severity", rb_severity_word(m->severity));
    if (m->action != RB_TRIGGER)
        rb_json_ktext(&j, "action", rb_action_word(m->action));
    rb_json_ktext(&j, "dedup", m->dedup);
    if (m->n_fields) {
        rb_json_key(&j, "fields");
        rb_json_object(&j);
        for (size_t i = 0; i < m->n_fields; i++)
            rb_json_ktext(&j, m->fields[i].name, m->fields[i].value);
        rb_json_end_object(&j);
    }
    rb_json_end_object(&j);
}

/* "notify ops: disk full": how the op is shown. */
static char *shown_title(const struct notify_op *op)
{
    struct rb_buf b;
    rb_buf_init(&b, 400);
    rb_buf_addf(&b, "notify %.100s: ", op->channel);
    rb_message_headline(&op->message, 72, &b);
    return rb_buf_detach(&b);
}

/* Telling twice is better than not at all, and than a run that stops to ask whether somebody was told: a message in
 * doubt is sent again, with the same id, unless the call, its step or the channel says otherwise. */
static void choose_on_doubt(struct notify_op *op, const json_t *channel)
{
    struct rb_effect *e = &op->effect;
    const char *word = rb_channel_text(channel, "on_doubt");
    if (rb_tell_dedups(channel))
        e->idempotent = true;
    if (e->doubt_stated)
        return;
    e->on_doubt = word && strcmp(word, "ask") == 0    ? RB_DOUBT_ASK
                  : word && strcmp(word, "fail") == 0 ? RB_DOUBT_FAIL
                                                      : RB_DOUBT_RETRY;
    e->doubt_stated = word != NULL;
}

int rb_bind_notify(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct notify_op *op = rb_effect_new(L, sizeof(*op), &notify_type, RB_CLASS_EFFECT);
    struct rb_effect *e = &op->effect;
    struct rb_err err;
    rb_effect_options(L, 1, e);
    op->channel = rb_args_text(L, 1, "notify", "channel");
    op->message.title = field_text(L, "headline", true, RB_MESSAGE_TITLE);
    op->message.text = field_text(L, "text", false, RB_MESSAGE_TEXT);
    op->message.dedup = field_text(L, "dedup", true, RB_MESSAGE_DEDUP);
    op->stated_id = rb_args_text(L, 1, "notify", "id");
    if (!op->message.text || !op->message.text[strspn(op->message.text, " \t\n")])
        rb_error_raise(L, "usage", "not_started", "notify: the message is empty");
    read_words(L, &op->message);
    read_fields(L, &op->message);
    op->check = rb_args_bool(L, 1, "check", true);
    op->timeout_ms = (uint64_t)rb_args_int(L, 1, "timeout_ms", 0);
    choose_on_doubt(op, rb_tell_channel(e->run, op->channel, &err));
    rb_tell_origin(e->run, &op->message);
    write_args(op);
    if (!e->title)
        e->title = shown_title(op);
    rb_effect_reach(e, "notify", op->channel, strlen(op->channel));
    return rb_effect_call(L, e);
}
