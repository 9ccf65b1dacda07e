/* Owns the waits that a person or a signal ends: approve, manual, signal. Who may decide is checked here, against the
 * actor that the system knows; a claimed name satisfies nobody. Groups of the configuration, quorum and signatures come
 * with their own part. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/jsonscan.h"
#include "bind/bind.h"
#include "engine/effect.h"
#include "engine/error.h"
#include "engine/value.h"

enum gate_kind { GATE_APPROVE, GATE_MANUAL, GATE_SIGNAL };

struct gate_op {
    struct rb_effect effect;
    enum gate_kind kind;
    char *name; /* of a signal */
    char **by;  /* names that may decide; NULL: anybody; an empty list: nobody */
    size_t by_count;
    char *not_requester; /* a name that may not approve; NULL */
    char *value_type;    /* of a manual answer: string integer number boolean choice; NULL: none */
    char **choices;
    size_t choice_count;
    bool timed_out;
    struct rb_buf value; /* JSON of the result */
    struct rb_timer timer;
};

static struct gate_op *gate_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct gate_op, effect);
}

static void on_time(struct rb_timer *t)
{
    struct gate_op *op = RB_CONTAINER(t, struct gate_op, timer);
    op->timed_out = true;
    rb_effect_failed(&op->effect, "timeout", RB_OUTCOME_FAILED, false, "nobody answered in time: %s",
                     op->effect.title ? op->effect.title : op->effect.type->kind);
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    (void)err;
    struct gate_op *op = gate_of(e);
    if (op->kind == GATE_SIGNAL && rb_effect_take_letter(e, op->name))
        return RB_OK;
    if (e->until)
        rb_timer_arm(&op->timer, rb_clock_boot() + e->until - rb_clock_wall());
    return RB_OK;
}

static void cancel(struct rb_effect *e, bool now)
{
    (void)now;
    rb_timer_disarm(&gate_of(e)->timer);
    rb_effect_failed(e, "cancelled", RB_OUTCOME_FAILED, false, "cancelled while it waited for a person");
}

static void push(struct rb_effect *e, lua_State *L)
{
    struct gate_op *op = gate_of(e);
    struct rb_err err;
    if (!op->value.len || rb_value_decode(L, op->value.data, op->value.len, NULL, &err))
        lua_newtable(L);
}

/* What a dry run or a skip takes it for. */
static void assume(struct rb_effect *e, lua_State *L)
{
    struct gate_op *op = gate_of(e);
    lua_newtable(L);
    if (op->kind == GATE_SIGNAL)
        return;
    lua_pushstring(L, op->kind == GATE_APPROVE ? "approved" : "done");
    lua_setfield(L, -2, op->kind == GATE_APPROVE ? "decision" : "verdict");
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static void release(struct rb_effect *e)
{
    struct gate_op *op = gate_of(e);
    if (op->timer.loop)
        rb_timer_disarm(&op->timer);
    free_list(op->by, op->by_count);
    free_list(op->choices, op->choice_count);
    rb_buf_release(&op->value);
    free(op->name);
    free(op->not_requester);
    free(op->value_type);
    free(op);
}

/* Is the user of this name a member of this unix group? */
static bool in_group(const char *user, const char *group)
{
    struct group gr, *found = NULL;
    struct passwd pw, *person = NULL;
    char text[16384], more[4096];
    if (getgrnam_r(group, &gr, text, sizeof(text), &found) || !found)
        return false;
    for (char **m = found->gr_mem; m && *m; m++)
        if (strcmp(*m, user) == 0)
            return true;
    return getpwnam_r(user, &pw, more, sizeof(more), &person) == 0 && person && person->pw_gid == found->gr_gid;
}

static int check_actor(struct gate_op *op, const char *actor, struct rb_err *err)
{
    char name[128] = "";
    rb_json_member_text(actor, strlen(actor), "name", name, sizeof(name));
    if (op->not_requester && strcmp(op->not_requester, name) == 0)
        return rb_err_set(err, RB_EDENIED, "%s started this run, and this gate wants another person", name);
    if (!op->by)
        return RB_OK;
    struct rb_buf who;
    rb_buf_init(&who, 400);
    for (size_t i = 0; i < op->by_count; i++) {
        if (strcmp(op->by[i], name) == 0 || in_group(name, op->by[i])) {
            rb_buf_release(&who);
            return RB_OK;
        }
        rb_buf_addf(&who, "%s%s", i ? ", " : "", op->by[i]);
    }
    rb_err_set(err, RB_EDENIED, "%s may not decide this: it is for %s", name,
               op->by_count ? rb_buf_text(&who) : "nobody (its list of people is empty)");
    rb_buf_release(&who);
    return RB_EDENIED;
}

/* A manual answer's value against the type that the runbook states. */
static int check_value(struct gate_op *op, struct rb_slice value, struct rb_err *err)
{
    const char *type = op->value_type;
    if (!type)
        return RB_OK;
    if (!value.p)
        return rb_err_set(err, RB_EINVAL, "the answer needs a value of type %s", type);
    bool is_text = *value.p == '"';
    bool is_number = *value.p == '-' || (*value.p >= '0' && *value.p <= '9');
    bool integer = is_number && !memchr(value.p, '.', value.n) && !memchr(value.p, 'e', value.n);
    bool fits = strcmp(type, "string") == 0    ? is_text
                : strcmp(type, "integer") == 0 ? integer
                : strcmp(type, "number") == 0  ? is_number
                : strcmp(type, "boolean") == 0 ? *value.p == 't' || *value.p == 'f'
                                               : is_text;
    if (fits && strcmp(type, "choice") == 0) {
        fits = false;
        for (size_t i = 0; i < op->choice_count && !fits; i++)
            fits = value.n == strlen(op->choices[i]) + 2 && memcmp(value.p + 1, op->choices[i], value.n - 2) == 0;
        if (!fits) {
            struct rb_buf list;
            rb_buf_init(&list, 400);
            for (size_t i = 0; i < op->choice_count; i++)
                rb_buf_addf(&list, "%s%s", i ? ", " : "", op->choices[i]);
            rb_err_set(err, RB_EINVAL, "%.*s is none of %s", value.n > 80 ? 80 : (int)value.n, value.p,
                       rb_buf_text(&list));
            rb_buf_release(&list);
            return RB_EINVAL;
        }
    }
    return fits ? RB_OK
                : rb_err_set(err, RB_EINVAL, "%.*s is no value of type %s", value.n > 80 ? 80 : (int)value.n, value.p,
                             type);
}

static int decide(struct rb_effect *e, const char *kind, const char *data, const char *actor, int64_t signal,
                  struct rb_err *err)
{
    struct gate_op *op = gate_of(e);
    size_t n = strlen(data);
    static const char *const commands[] = {"approve or deny", "answer", "signal"};
    bool fits = op->kind == GATE_SIGNAL   ? strcmp(kind, "signal") == 0
                : op->kind == GATE_MANUAL ? strcmp(kind, "answer") == 0
                                          : strcmp(kind, "approve") == 0 || strcmp(kind, "deny") == 0;
    if (!fits)
        return rb_err_set(err, RB_EINVAL, "operation #%lld waits for another kind of answer: use %s", (long long)e->n,
                          commands[op->kind]);
    int rc = check_actor(op, actor, err);
    if (rc)
        return rc;
    char verdict[16] = "", comment[1024] = "";
    struct rb_slice value = rb_json_member(data, n, "value");
    rb_json_member_text(data, n, "verdict", verdict, sizeof(verdict));
    rb_json_member_text(data, n, "comment", comment, sizeof(comment));
    if (op->kind == GATE_MANUAL) {
        if (!verdict[0])
            snprintf(verdict, sizeof(verdict), "done");
        if (strcmp(verdict, "done") != 0 && strcmp(verdict, "failed") != 0)
            return rb_err_set(err, RB_EINVAL, "a manual step is answered with done or failed, not \"%s\"", verdict);
        rc = strcmp(verdict, "done") == 0 ? check_value(op, value, err) : RB_OK;
        if (rc)
            return rc;
    }
    struct rb_json j;
    rb_buf_reset(&op->value);
    rb_json_init(&j, &op->value);
    rb_json_object(&j);
    char name[128] = "";
    rb_json_member_text(actor, strlen(actor), "name", name, sizeof(name));
    if (op->kind == GATE_APPROVE)
        rb_json_ktext(&j, "decision", strcmp(kind, "approve") == 0 ? "approved" : "denied");
    if (op->kind == GATE_MANUAL)
        rb_json_ktext(&j, "verdict", verdict);
    rb_json_ktext(&j, "by", name);
    struct rb_slice said = rb_json_member(data, n, "comment");
    if (said.p && comment[0])
        rb_json_kraw(&j, "comment", said.p, said.n);
    if (value.p)
        rb_json_kraw(&j, "value", value.p, value.n);
    rb_json_end_object(&j);
    rb_timer_disarm(&op->timer);
    rb_buf_adds(&e->actor, actor);
    e->signal = signal;
    if (op->kind == GATE_APPROVE && strcmp(kind, "deny") == 0)
        rb_effect_failed(e, "denied", RB_OUTCOME_FAILED, true, "%s denied: %s%s%s", name, e->title ? e->title : "",
                         comment[0] ? ": " : "", comment);
    else if (op->kind == GATE_MANUAL && strcmp(verdict, "failed") == 0)
        rb_effect_failed(e, "manual.failed", RB_OUTCOME_FAILED, true, "%s answered failed: %s%s%s", name,
                         e->title ? e->title : "", comment[0] ? ": " : "", comment);
    else
        rb_effect_done(e);
    return RB_OK;
}

static bool wants(struct rb_effect *e, const char *name)
{
    struct gate_op *op = gate_of(e);
    return op->kind == GATE_SIGNAL && strcmp(op->name, name) == 0;
}

#define TYPE(name) \
    { \
        .kind = name, .person = true, .start = start, .cancel = cancel, .push = push, .assume = assume, \
        .wants = wants, .decide = decide, .free = release \
    }
static const struct rb_effect_type types[] = {
    [GATE_APPROVE] = TYPE("approve"), [GATE_MANUAL] = TYPE("manual"), [GATE_SIGNAL] = TYPE("signal")};
#undef TYPE

/* A list of strings at index (or one string); absent: NULL. */
static char **string_list(lua_State *L, int index, size_t *n)
{
    *n = 0;
    if (lua_type(L, index) == LUA_TSTRING) {
        char **one = rb_alloc(sizeof(*one));
        one[0] = rb_strdup(lua_tostring(L, index));
        *n = 1;
        return one;
    }
    if (lua_type(L, index) != LUA_TTABLE)
        return NULL;
    size_t len = lua_rawlen(L, index);
    char **list = rb_alloc((len + 1) * sizeof(*list));
    for (size_t i = 0; i < len; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        list[i] = rb_strdup(lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
        lua_pop(L, 1);
    }
    *n = len;
    return list;
}

/* gate{ kind=, title=, name=, by=, not_requester=, type=, choices=, until=, shown = table of what the prompt and the
 * journal show } */
int rb_bind_gate(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "kind");
    const char *kind = luaL_checkstring(L, -1);
    enum gate_kind which = strcmp(kind, "approve") == 0  ? GATE_APPROVE
                           : strcmp(kind, "manual") == 0 ? GATE_MANUAL
                                                         : GATE_SIGNAL;
    struct gate_op *op = rb_effect_new(L, sizeof(*op), &types[which], RB_CLASS_WAIT);
    struct rb_effect *e = &op->effect;
    rb_buf_init(&op->value, (size_t)1 << 20);
    rb_timer_init(&op->timer, rb_effect_loop(e), on_time);
    op->kind = which;
    lua_getfield(L, 1, "title");
    e->title = rb_strdup(lua_tostring(L, -1));
    lua_getfield(L, 1, "name");
    op->name = rb_strdup(lua_tostring(L, -1));
    lua_getfield(L, 1, "by");
    op->by = string_list(L, lua_gettop(L), &op->by_count);
    lua_getfield(L, 1, "not_requester");
    op->not_requester = rb_strdup(lua_tostring(L, -1));
    lua_getfield(L, 1, "type");
    op->value_type = rb_strdup(lua_tostring(L, -1));
    lua_getfield(L, 1, "choices");
    op->choices = string_list(L, lua_gettop(L), &op->choice_count);
    lua_getfield(L, 1, "until");
    e->until = lua_tointeger(L, -1);
    struct rb_err err;
    lua_getfield(L, 1, "shown");
    if (rb_value_encode(L, -1, kind, NULL, &e->args, &err))
        return rb_error_raise(L, "usage", "not_started", "%s", err.msg);
    return rb_effect_call(L, e);
}
