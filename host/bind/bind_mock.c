/* Owns a rehearsal: the run of a runbook whose ops wait for a test's answer. Each op is made by its own primitive, with
 * its checks, its digest and what it reaches; then its type is replaced by one of ours, which starts nothing.
 *
 * Time stands still while anything goes on. When every task waits for time alone, the clock goes to the earliest of
 * what they wait for. */
#include "bind/bind_mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <lauxlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "bind/bind.h"
#include "engine/core.h"
#include "engine/effect.h"
#include "engine/error.h"
#include "engine/secret.h"
#include "engine/value.h"

#define REQUEST_MAX ((size_t)16 << 20)
#define REPLY_MAX ((size_t)64 << 20)
#define EVENTS_MAX ((size_t)256 << 20)
#define STEPS_MAX 20000 /* calls and sleeps of one rehearsal */
#define DEPTH_MAX 40

struct rb_rehearsal {
    struct rb_stage stage;
    struct rb_turn turn;
    struct rb_run_options options;
    struct rb_actor actor;
    struct rb_host *host;
    struct rb_loop *loop;
    struct rb_run *run;
    char id[RB_RUN_ID_MAX];
    json_t *secrets, *env;
    char *groups, *limit;
    struct rb_list calls; /* struct call.link, in the order of their starts */
    int64_t last;         /* number of the last call */
    int told;             /* calls that the bench works on */
    int steps;
    const char *verb, *kind; /* of the primitive that is being called; NULL */
    struct rb_buf request;   /* what it was called with */
    struct rb_buf events;    /* JSON, with commas between */
    char *status, *error;
    bool stopped, endless, stuck;
    rb_rehearsal_fn *on_news, *on_stopped;
    void *arg;
};

enum call_state {
    CALL_MADE, /* the run has not started it yet */
    CALL_NEW,  /* the bench has not been told */
    CALL_TOLD,
    CALL_TIMED, /* it ends at `until` */
};

/* An op of a rehearsal. Owned by its effect, whose type it is. */
struct call {
    struct rb_effect_type type;
    const struct rb_effect_type *real;
    struct rb_effect *effect;
    struct rb_rehearsal *of;
    struct rb_list link; /* once it has started */
    enum call_state state;
    int64_t n, until;
    const char *verb;
    struct rb_buf request;
    struct rb_buf reply; /* JSON of its value */
    bool failed, has_result;
    char kind[32];
    char *message;
    enum rb_outcome outcome;
    char *verdict, *said, *who; /* of a person who takes their time: as type->decide has them; NULL */
};

static struct call *call_of(const struct rb_effect *e)
{
    return RB_CONTAINER(e->type, struct call, type);
}

/* -- the type of an op --------------------------------------------------------------------------------------------- */

static bool is_wait(const struct call *c)
{
    return strcmp(c->verb, "sleep") == 0;
}

static void leave(struct call *c)
{
    if (c->state == CALL_TOLD)
        c->of->told--;
    c->state = CALL_MADE;
    rb_list_remove(&c->link);
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct call *c = call_of(e);
    struct rb_rehearsal *r = c->of;
    (void)err;
    c->n = ++r->last;
    c->state = is_wait(c) ? CALL_TIMED : CALL_NEW;
    c->until = e->until;
    rb_list_push(&r->calls, &c->link);
    r->endless |= ++r->steps > STEPS_MAX;
    if (c->state == CALL_NEW || r->endless)
        r->on_news(r->arg);
    return RB_OK;
}

static void cancel(struct rb_effect *e, bool now)
{
    struct call *c = call_of(e);
    (void)now;
    leave(c);
    rb_effect_failed(e, "cancelled", e->cls == RB_CLASS_EFFECT ? RB_OUTCOME_UNKNOWN : RB_OUTCOME_FAILED, false,
                     "%s was cancelled", c->real->kind);
}

static void push(struct rb_effect *e, lua_State *L)
{
    struct call *c = call_of(e);
    struct rb_err err;
    if (!c->reply.len || rb_value_decode(L, c->reply.data, c->reply.len, NULL, &err))
        lua_pushnil(L);
}

/* What a person has said is the primitive's own to show. */
static void push_decided(struct rb_effect *e, lua_State *L)
{
    call_of(e)->real->push(e, L);
}

static void release(struct rb_effect *e)
{
    struct call *c = call_of(e);
    leave(c);
    e->type = c->real;
    rb_buf_release(&c->request);
    rb_buf_release(&c->reply);
    free(c->message);
    free(c->verdict);
    free(c->said);
    free(c->who);
    free(c);
    if (e->type->free)
        e->type->free(e);
    else
        free(e);
}

/* Ops that reach nothing: memo, and a secret, which is one of the rehearsal's own or comes from nowhere. */
static bool is_harmless(const struct rb_effect *e)
{
    return strcmp(e->type->kind, "memo") == 0 || strcmp(e->type->kind, "secret") == 0;
}

/* The hook of the engine. A primitive that nobody has told us of is not started either: no answer fits it. */
static void on_called(struct rb_stage *stage, struct rb_effect *e)
{
    struct rb_rehearsal *r = RB_CONTAINER(stage, struct rb_rehearsal, stage);
    bool known = r->verb && (!*r->kind || strncmp(e->type->kind, r->kind, strlen(r->kind)) == 0);
    if (is_harmless(e))
        return;
    struct call *c = rb_alloc(sizeof(*c));
    c->real = e->type;
    c->effect = e;
    c->of = r;
    c->verb = known ? r->verb : "other";
    c->request = r->request;
    rb_buf_init(&r->request, REQUEST_MAX);
    if (!known) {
        rb_buf_reset(&c->request);
        rb_buf_adds(&c->request, "{}");
    }
    rb_buf_init(&c->reply, REPLY_MAX);
    rb_list_init(&c->link);
    c->type = (struct rb_effect_type){.kind = c->real->kind,
                                      .slots = c->real->slots,
                                      .person = c->real->person,
                                      .start = start,
                                      .cancel = cancel,
                                      .push = c->real->person ? push_decided : push,
                                      .assume = c->real->assume,
                                      .free = release};
    e->type = &c->type;
    e->receipt = false;
    r->verb = NULL;
}

/* -- what a primitive is called with ------------------------------------------------------------------------------- */

/* [-0, +0, m] plain data as JSON, secrets as their placeholders; what is neither is left out. */
static void add_shown(lua_State *L, int index, struct rb_buf *out, int depth)
{
    struct rb_err err;
    index = lua_absindex(L, index);
    if (depth > DEPTH_MAX || !lua_checkstack(L, 10)) {
        rb_buf_adds(out, "null");
    } else if (rb_secret_is(L, index)) {
        const char *text = luaL_tolstring(L, index, NULL);
        rb_json_quote(out, text, strlen(text));
        lua_pop(L, 1);
    } else if (lua_type(L, index) != LUA_TTABLE) {
        size_t before = out->len;
        if (rb_value_encode(L, index, "request", NULL, out, &err)) {
            out->len = before;
            rb_buf_adds(out, "null");
        }
    } else if (lua_rawlen(L, index)) {
        size_t n = lua_rawlen(L, index);
        for (size_t i = 1; i <= n; i++) {
            rb_buf_addc(out, i == 1 ? '[' : ',');
            lua_rawgeti(L, index, (lua_Integer)i);
            add_shown(L, -1, out, depth + 1);
            lua_pop(L, 1);
        }
        rb_buf_addc(out, ']');
    } else {
        bool first = true;
        rb_buf_addc(out, '{');
        for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
            const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
            if (!key || strcmp(key, "envp") == 0 || lua_type(L, -1) == LUA_TFUNCTION)
                continue;
            if (!first)
                rb_buf_addc(out, ',');
            first = false;
            rb_json_quote(out, key, strlen(key));
            rb_buf_addc(out, ':');
            add_shown(L, -1, out, depth + 1);
        }
        rb_buf_addc(out, '}');
    }
}

static int call(lua_State *L, const char *verb, const char *kind, lua_CFunction primitive)
{
    struct rb_rehearsal *r = RB_CONTAINER(rb_stage_of(L), struct rb_rehearsal, stage);
    rb_buf_reset(&r->request);
    add_shown(L, 1, &r->request, 0);
    r->verb = verb;
    r->kind = kind;
    return primitive(L);
}

#define PRIMITIVE(verb, kind, fn) \
    static int l_##verb(lua_State *L) \
    { \
        return call(L, #verb, kind, fn); \
    }
PRIMITIVE(exec, "exec", rb_bind_exec)
PRIMITIVE(sleep, "sleep", rb_bind_sleep)
PRIMITIVE(approve, "", rb_bind_gate)
PRIMITIVE(sql, "sql", rb_bind_sql)
PRIMITIVE(http, "http", rb_bind_http)
PRIMITIVE(http_event, "http.events", rb_bind_http_event)
PRIMITIVE(file, "file.", rb_bind_file)
PRIMITIVE(ssh, "ssh", rb_bind_ssh)
PRIMITIVE(ssh_upload, "ssh.upload", rb_bind_ssh_upload)
PRIMITIVE(ssh_download, "ssh.download", rb_bind_ssh_download)
PRIMITIVE(notify, "notify", rb_bind_notify)
#undef PRIMITIVE

static int l_ssh_groups(lua_State *L)
{
    struct rb_rehearsal *r = RB_CONTAINER(rb_stage_of(L), struct rb_rehearsal, stage);
    struct rb_err err;
    if (!r->groups || rb_value_decode(L, r->groups, strlen(r->groups), NULL, &err))
        lua_newtable(L);
    return 1;
}

static int l_ssh_names(lua_State *L) /* the ssh configuration of whoever tests is none of a test's */
{
    lua_newtable(L);
    return 1;
}

/* A variable has the value that the test gives, or none; whether it may be read is the engine's to say. */
static int l_getenv(lua_State *L)
{
    struct rb_rehearsal *r = RB_CONTAINER(rb_stage_of(L), struct rb_rehearsal, stage);
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    for (const struct rb_binding *b = rb_lib_outside; b->name; b++)
        if (strcmp(b->name, "getenv") == 0)
            b->fn(L);
    lua_pushstring(L, json_string_value(json_object_get(r->env, name)));
    lua_replace(L, -3);
    return 2;
}

static const struct rb_binding bindings[] = {
    {"exec", l_exec},
    {"sleep", l_sleep},
    {"gate", l_approve},
    {"sql", l_sql},
    {"http", l_http},
    {"http_event", l_http_event},
    {"file", l_file},
    {"ssh", l_ssh},
    {"ssh_upload", l_ssh_upload},
    {"ssh_download", l_ssh_download},
    {"ssh_groups", l_ssh_groups},
    {"ssh_names", l_ssh_names},
    {"notify", l_notify},
    {"getenv", l_getenv},
    {NULL, NULL},
};

/* -- answers ------------------------------------------------------------------------------------------------------- */

static void end(struct call *c)
{
    struct rb_effect *e = c->effect;
    struct rb_err err;
    leave(c);
    if (c->verdict && c->real->decide(e, c->verdict, c->said, c->who, 0, &err))
        rb_effect_failed(e, "usage", RB_OUTCOME_FAILED, false, "%s", err.msg);
    else if (c->verdict)
        return;
    else if (c->failed)
        rb_effect_failed(e, c->kind, c->outcome, c->has_result, "%s", c->message);
    else
        rb_effect_done(e);
}

static enum rb_outcome outcome_of(const char *word)
{
    return strcmp(word, "not_started") == 0 ? RB_OUTCOME_NOT_STARTED
           : strcmp(word, "unknown") == 0   ? RB_OUTCOME_UNKNOWN
                                            : RB_OUTCOME_FAILED;
}

/* [-0, +1, -] the text of a member of the table at index, borrowed while it is on the stack; NULL. */
static const char *member(lua_State *L, int index, const char *field)
{
    return lua_getfield(L, index, field) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* [-0, +0, e] what a person says goes the way of a real answer, which is refused where it does not fit. */
static void read_decision(lua_State *L, int index, struct call *c, bool now)
{
    struct rb_err err;
    struct rb_buf *who = rb_effect_buf(L, 4096);
    const char *kind = member(L, index, "decide"), *data = member(L, index, "data"), *by = member(L, index, "by");
    struct rb_json j;
    rb_json_init(&j, who);
    rb_json_object(&j);
    rb_json_ktext(&j, "name", by ? by : "somebody");
    rb_json_kint(&j, "uid", (int64_t)getuid());
    rb_json_end_object(&j);
    if (!now) {
        c->verdict = rb_strdup(kind);
        c->said = rb_strdup(data ? data : "{}");
        c->who = rb_strdup(rb_buf_text(who));
    } else if (c->real->decide(c->effect, kind, data ? data : "{}", rb_buf_text(who), 0, &err)) {
        rb_error_raise(L, "usage", "not_started", "%s", err.msg);
    } else {
        leave(c);
    }
    lua_pop(L, 4);
}

static void read_failure(lua_State *L, int index, struct call *c)
{
    const char *kind = member(L, index, "kind"), *message = member(L, index, "message"),
               *outcome = member(L, index, "outcome");
    c->failed = true;
    snprintf(c->kind, sizeof(c->kind), "%s", kind ? kind : c->real->kind);
    free(c->message);
    c->message = rb_strdup(message ? message : c->kind);
    c->outcome = outcome_of(outcome ? outcome : "");
    lua_getfield(L, index, "retryable");
    c->effect->retryable = lua_toboolean(L, -1);
    lua_pop(L, 4);
}

/* [-0, +0, e] what a call gets, and when it gets it. */
static int64_t read_answer(lua_State *L, int index, struct call *c)
{
    struct rb_err err;
    rb_buf_reset(&c->reply);
    if (lua_getfield(L, index, "value") != LUA_TNIL) {
        if (rb_value_encode(L, -1, "the answer", NULL, &c->reply, &err) || c->reply.cut)
            rb_error_raise(L, "usage", "not_started", "%s", c->reply.cut ? "the answer is too large" : err.msg);
        c->has_result = true;
    }
    if (lua_getfield(L, index, "error") == LUA_TTABLE)
        read_failure(L, lua_gettop(L), c);
    lua_getfield(L, index, "until");
    lua_getfield(L, index, "after");
    int64_t until = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : c->of->stage.clock + lua_tointeger(L, -1);
    lua_pop(L, 4);
    return until;
}

void rb_rehearsal_answer(lua_State *L, int index, struct rb_rehearsal *r, int64_t n)
{
    struct call *c = NULL;
    RB_LIST_EACH (it, &r->calls)
        if (RB_CONTAINER(it, struct call, link)->n == n)
            c = RB_CONTAINER(it, struct call, link);
    if (!c || c->state != CALL_TOLD) /* it was cancelled meanwhile */
        return;
    int64_t until = read_answer(L, index, c);
    bool now = until <= r->stage.clock, decided = lua_getfield(L, index, "decide") == LUA_TSTRING && c->real->decide;
    lua_pop(L, 1);
    if (decided)
        read_decision(L, index, c, now);
    else if (now)
        end(c);
    if (now)
        return;
    r->told--;
    c->state = CALL_TIMED;
    c->until = until;
    rb_loop_again(r->loop); /* perhaps there is nothing else to wait for */
}

/* -- the turn ------------------------------------------------------------------------------------------------------ */

/* The timed call that ends first; NULL: there is none, or the bench has something to answer. */
static struct call *earliest(struct rb_rehearsal *r)
{
    struct call *first = NULL;
    RB_LIST_EACH (it, &r->calls) {
        struct call *c = RB_CONTAINER(it, struct call, link);
        if (c->state == CALL_NEW)
            return NULL;
        if (c->state == CALL_TIMED && (!first || c->until < first->until))
            first = c;
    }
    return first;
}

static void on_turn(struct rb_turn *t)
{
    struct rb_rehearsal *r = RB_CONTAINER(t, struct rb_rehearsal, turn);
    if (r->stopped || r->endless || r->told || !rb_stage_idle(r->run))
        return;
    struct call *first = earliest(r);
    int64_t deadline = rb_stage_deadline(r->run);
    if (!first)
        return;
    if (deadline > r->stage.clock && first->until > deadline) { /* the time of the whole run is over before */
        r->stage.clock = deadline;
        rb_stage_time_over(r->run);
    } else if (first->until == INT64_MAX) {
        r->endless = r->stuck = true;
        r->on_news(r->arg);
    } else {
        if (first->until > r->stage.clock)
            r->stage.clock = first->until;
        end(first);
    }
}

/* -- what the bench is told ---------------------------------------------------------------------------------------- */

static void write_call(struct call *c, struct rb_buf *out)
{
    static const char *const classes[] = {"effect", "read", "wait"};
    struct rb_effect *e = c->effect;
    struct rb_json j;
    rb_json_init(&j, out);
    rb_json_object(&j);
    rb_json_kint(&j, "n", c->n);
    rb_json_ktext(&j, "verb", strcmp(c->verb, "approve") == 0 ? c->real->kind : c->verb);
    rb_json_ktext(&j, "kind", c->real->kind);
    rb_json_ktext(&j, "class", classes[e->cls]);
    rb_json_ktext(&j, "key", e->key);
    rb_json_ktext(&j, "where", e->where);
    rb_json_ktext(&j, "title", e->title);
    if (e->until)
        rb_json_kint(&j, "until", e->until);
    rb_json_kint(&j, "clock", c->of->stage.clock);
    rb_json_kraw(&j, "args", e->args.len ? e->args.data : "{}", e->args.len ? e->args.len : 2);
    rb_json_kraw(&j, "request", rb_buf_text(&c->request), c->request.len);
    rb_json_end_object(&j);
}

bool rb_rehearsal_next(struct rb_rehearsal *r, struct rb_buf *out)
{
    struct rb_json j;
    RB_LIST_EACH (it, &r->calls) {
        struct call *c = RB_CONTAINER(it, struct call, link);
        if (c->state != CALL_NEW || r->endless)
            continue;
        c->state = CALL_TOLD;
        r->told++;
        write_call(c, out);
        return true;
    }
    if (!r->stopped && !r->endless)
        return false;
    rb_json_init(&j, out);
    rb_json_object(&j);
    rb_json_kbool(&j, "ended", true);
    if (r->stuck)
        rb_json_kbool(&j, "stuck", true);
    else if (r->endless)
        rb_json_kint(&j, "endless", STEPS_MAX);
    rb_json_ktext(&j, "status", r->status);
    rb_json_ktext(&j, "error", r->error);
    rb_json_kint(&j, "clock", r->stage.clock);
    rb_buf_adds(out, ",\"events\":[");
    rb_buf_add(out, rb_buf_text(&r->events), r->events.len);
    rb_buf_adds(out, "]}");
    return true;
}

static void on_event(void *arg, struct rb_run *run, const struct rb_event *ev)
{
    struct rb_rehearsal *r = arg;
    struct rb_json j;
    (void)run;
    if (strcmp(ev->kind, "run.start") == 0) /* with the digests of all sources */
        return;
    if (r->events.len)
        rb_buf_addc(&r->events, ',');
    rb_json_init(&j, &r->events);
    rb_json_object(&j);
    rb_json_ktext(&j, "kind", ev->kind);
    rb_json_ktext(&j, "key", ev->key);
    rb_json_kraw(&j, "data", ev->data, ev->data_len);
    rb_json_end_object(&j);
}

static void on_stopped(void *arg, struct rb_run *run, const char *status, const char *error)
{
    struct rb_rehearsal *r = arg;
    (void)run;
    r->status = rb_strdup(status);
    r->error = rb_strdup(error);
    r->stopped = true;
    r->on_news(r->arg);
    r->on_stopped(r->arg);
}

/* -- its life ------------------------------------------------------------------------------------------------------ */

static void on_made(struct rb_stage *stage, struct rb_run *run)
{
    struct rb_rehearsal *r = RB_CONTAINER(stage, struct rb_rehearsal, stage);
    const char *name;
    json_t *v;
    json_object_foreach(r->secrets, name, v)
    {
        rb_secret_learn(run, name, json_string_value(v), json_string_length(v));
    }
}

static int check_secrets(const struct rb_rehearsal *r, struct rb_err *err)
{
    const char *name;
    json_t *v;
    json_object_foreach(r->secrets, name, v)
    {
        if (!rb_secret_name_good(name, strlen(name)))
            return rb_err_set(err, RB_EINVAL, "\"%.80s\" is no " RB_SECRET_NAME, name);
        if (json_string_length(v) < RB_SECRET_MIN)
            return rb_err_set(err, RB_EINVAL, "the secret %s has fewer than %d bytes", name, RB_SECRET_MIN);
    }
    return RB_OK;
}

struct rb_rehearsal *rb_rehearsal_new(const struct rb_rehearsal_options *opt, struct rb_err *err)
{
    struct rb_rehearsal *r = rb_alloc(sizeof(*r));
    r->stage = (struct rb_stage){
        .bindings = bindings, .clock = opt->clock, .began = opt->clock, .made = on_made, .called = on_called};
    r->host = opt->host;
    r->loop = opt->loop;
    r->secrets = opt->secrets_json ? json_loads(opt->secrets_json, 0, NULL) : NULL;
    r->env = opt->env_json ? json_loads(opt->env_json, 0, NULL) : NULL;
    r->groups = rb_strdup(opt->groups_json);
    r->limit = rb_strdup(opt->limit);
    r->on_news = opt->on_news;
    r->on_stopped = opt->on_stopped;
    r->arg = opt->arg;
    rb_list_init(&r->calls);
    rb_buf_init(&r->request, REQUEST_MAX);
    rb_buf_init(&r->events, EVENTS_MAX);
    snprintf(r->actor.name, sizeof(r->actor.name), "%s", opt->actor);
    r->actor.uid = (int)getuid();
    r->options = (struct rb_run_options){.params_json = opt->params_json,
                                         .actor = &r->actor,
                                         .later = true,
                                         .limit = r->limit,
                                         .dry = opt->dry,
                                         .wait_ms = -1,
                                         .stage = &r->stage,
                                         .observer = {.on_event = on_event, .on_stopped = on_stopped, .arg = r}};
    r->turn.run = on_turn;
    rb_list_init(&r->turn.link);
    int rc = check_secrets(r, err);
    if (!rc)
        rc = rb_run_start(r->host, opt->file, &r->options, &r->run, r->id, err);
    r->options.params_json = "{}";
    if (rc) {
        rb_rehearsal_free(r);
        return NULL;
    }
    rb_loop_turn_add(r->loop, &r->turn);
    return r;
}

int rb_rehearsal_again(struct rb_rehearsal *r, bool undo, struct rb_err *err)
{
    if (!r->stopped)
        return rb_err_set(err, RB_EINVAL, "the run goes on");
    rb_run_free(r->run);
    r->run = NULL;
    free(r->status);
    free(r->error);
    r->status = r->error = NULL;
    r->stage.began = r->stage.clock;
    int rc = undo ? rb_run_undo(r->host, r->id, &r->options, 0, &r->run, err)
                  : rb_run_retry(r->host, r->id, &r->options, 0, 0, &r->run, err);
    r->stopped = rc != RB_OK;
    return rc;
}

void rb_rehearsal_stop(struct rb_rehearsal *r)
{
    if (r->run && !r->stopped)
        rb_run_park(r->run, "the test is over", true);
}

bool rb_rehearsal_stopped(const struct rb_rehearsal *r)
{
    return r->stopped;
}

void rb_rehearsal_free(struct rb_rehearsal *r)
{
    rb_loop_turn_remove(r->loop, &r->turn);
    if (r->run)
        rb_run_free(r->run);
    json_decref(r->secrets);
    json_decref(r->env);
    rb_buf_release(&r->request);
    rb_buf_release(&r->events);
    free(r->groups);
    free(r->limit);
    free(r->status);
    free(r->error);
    free(r);
}
