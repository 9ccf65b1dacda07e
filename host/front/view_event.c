/* Owns what each event (docs/journal.md) changes in a run's picture. Knows no terminal and no store. */
#include <stdlib.h>
#include <string.h>

#include "base/jsonscan.h"
#include "front/again.h"
#include "front/text.h"
#include "front/view.h"
#include "front/view_nodes.h"

#define NAME_COLUMNS 400 /* of an operation's words, when nobody gave it a title: a script may be long */

static const char *get(const json_t *data, const char *name)
{
    return json_string_value(json_object_get(data, name));
}

static int64_t number(const json_t *data, const char *name)
{
    return json_integer_value(json_object_get(data, name));
}

static char *value_text(const json_t *value)
{
    struct rb_buf b;
    rb_buf_init(&b, RB_VIEW_LINE);
    rb_text_value(&b, value);
    char *text = rb_buf_detach(&b);
    return text ? text : rb_strdup("");
}

/* The last line of a text, or the value on one line. */
static void set_last(struct rb_node *p, const json_t *value)
{
    const char *text = rb_text_of(value);
    struct rb_buf b;
    rb_buf_init(&b, RB_VIEW_LINE);
    if (text)
        rb_text_last(&b, text, strlen(text));
    else
        rb_text_value(&b, value);
    if (b.len) {
        free(p->last);
        p->last = rb_buf_detach(&b);
    }
    rb_buf_release(&b);
}

static void settle(struct rb_node *p, enum rb_node_state state, const struct rb_event *ev)
{
    p->state = state;
    p->ended = ev->at;
    p->end_seq = ev->seq;
    rb_view_set(&p->error, NULL);
    rb_list_remove(&p->open);
}

static void reopen(struct rb_node *p, enum rb_node_state state)
{
    p->state = state;
    p->ended = 0;
    p->end_seq = 0;
    p->shown = p->answered = false;
    rb_view_set(&p->error, NULL);
}

static void set_error(struct rb_node *p, const json_t *error)
{
    const char *text = json_is_object(error) ? get(error, "message") : json_string_value(error);
    if (text)
        rb_view_set_clean(&p->error, text);
    else if (error && !json_is_null(error)) {
        free(p->error);
        p->error = value_text(error);
    }
}

static void add_note(struct rb_view *v, struct rb_node *node, const struct rb_event *ev, const char *kind,
                     const char *name, const json_t *value)
{
    if (!v->keep_notes)
        return;
    struct rb_note *n = rb_alloc(sizeof(*n));
    struct rb_buf b;
    const char *text = rb_text_of(value);
    rb_buf_init(&b, 16 << 10);
    if (text)
        rb_text_block(&b, text, strlen(text), "");
    else
        rb_text_value(&b, value);
    n->node = node;
    n->at = ev->at;
    n->kind = rb_strdup(kind);
    rb_view_set_clean(&n->name, name);
    n->text = rb_buf_detach(&b);
    rb_list_push(&v->notes, &n->link);
}

static struct rb_node *scope_node(struct rb_view *v, const struct rb_event *ev)
{
    size_t n = strlen(ev->key), scope = rb_node_scope(ev->key, n);
    struct rb_node *p = rb_node_find(v, ev->key, n); /* the key of a step itself */
    if (p && p->type != RB_NODE_OP)
        return p;
    return scope ? rb_node_at(v, ev->key, scope, RB_NODE_BRANCH, ev->at) : &v->root;
}

static struct rb_node *on_step_start(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    const char *type = get(data, "type"), *title = get(data, "title");
    struct rb_node *p = rb_node_at(v, ev->key, strlen(ev->key), RB_NODE_STEP, ev->at);
    p->type = type && strcmp(type, "checklist") == 0 ? RB_NODE_CHECKLIST
              : type && strcmp(type, "check") == 0   ? RB_NODE_CHECK
                                                     : RB_NODE_STEP;
    p->started = ev->at;
    reopen(p, RB_NODE_RUNNING);
    if (title)
        rb_view_set_clean(&p->title, title);
    rb_view_set_clean(&p->stage, get(data, "stage"));
    return p;
}

static struct rb_node *on_step_end(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    const char *verdict = get(data, "verdict");
    struct rb_node *p = rb_node_at(v, ev->key, strlen(ev->key), RB_NODE_STEP, ev->at);
    bool fail = verdict && strcmp(verdict, "fail") == 0, skip = verdict && strcmp(verdict, "skip") == 0;
    bool cut = verdict && strcmp(verdict, "cancelled") == 0, would = verdict && strcmp(verdict, "would") == 0;
    settle(p,
           fail    ? RB_NODE_FAIL
           : skip  ? RB_NODE_SKIP
           : cut   ? RB_NODE_STOPPED
           : would ? RB_NODE_WOULD
                   : RB_NODE_PASS,
           ev);
    if (fail)
        set_error(p, json_object_get(data, "error"));
    if (skip || would || (fail && !p->error))
        rb_view_set_clean(&p->error, get(data, "why"));
    return p;
}

/* The words of an operation: its title, else op and arguments. */
static void name_op(struct rb_node *p, const json_t *data)
{
    const char *title = get(data, "title"), *op = get(data, "op");
    const json_t *args = json_object_get(data, "args");
    if (op)
        rb_view_set_clean(&p->op, op);
    if (title) {
        rb_view_set_clean(&p->title, title);
    } else if (args || !p->title || !p->args) {
        struct rb_buf words, b;
        rb_buf_init(&words, RB_VIEW_LINE);
        rb_buf_init(&b, RB_VIEW_LINE);
        rb_text_op(&words, p->op ? p->op : "operation", args);
        rb_text_fit(&b, rb_buf_text(&words), words.len, NAME_COLUMNS);
        free(p->title);
        p->title = rb_buf_detach(&b);
        rb_buf_release(&words);
    }
    rb_view_set_clean(&p->where, get(data, "where"));
}

static bool is_wait(const char *kind)
{
    return strcmp(kind, "wait") == 0;
}

static struct rb_node *on_begin(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = rb_node_at(v, ev->key, strlen(ev->key), RB_NODE_OP, ev->at);
    p->type = RB_NODE_OP;
    p->n = ev->seq;
    p->started = ev->at;
    p->until = number(data, "until");
    p->twice = json_is_true(json_object_get(data, "twice"));
    reopen(p, is_wait(ev->kind) ? RB_NODE_WAITS : RB_NODE_RUNNING);
    name_op(p, data);
    json_decref(p->args);
    p->args = json_incref(json_object_get(data, "args"));
    rb_view_set(&p->last, NULL);
    rb_list_remove(&p->open);
    if (is_wait(ev->kind))
        rb_list_push(&v->open, &p->open);
    return p;
}

/* Of the value of a command or a decision: the first of these that says something. */
static const char *const said[] = {"stdout", "stderr", "comment", "value", "status", "body"};

static bool says(const json_t *x)
{
    const char *text = rb_text_of(x);
    return x && !json_is_null(x) && (!text || *text);
}

/* What the result of a command or a decision shows: its last line. */
static void set_result(struct rb_node *p, const json_t *data)
{
    const json_t *value = json_object_get(data, "value"), *error = json_object_get(data, "error");
    if (!value || json_is_null(value))
        value = json_object_get(error, "result");
    if (json_is_object(value)) {
        for (size_t i = 0; i < RB_COUNT(said); i++) {
            const json_t *x = json_object_get(value, said[i]);
            if (says(x)) {
                set_last(p, x);
                return;
            }
        }
    } else if (value && !json_is_null(value) && !json_is_true(value) &&
               !(json_is_array(value) && !json_array_size(value))) {
        set_last(p, value);
    }
}

static struct rb_node *on_result(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = rb_node_at(v, ev->key, strlen(ev->key), RB_NODE_OP, ev->at);
    const json_t *ok = json_object_get(data, "ok"), *error = json_object_get(data, "error");
    bool failed = ok ? !json_is_true(ok) : error && !json_is_null(error);
    p->type = RB_NODE_OP;
    if (!p->n) {
        p->n = ev->seq;
        p->started = ev->at - number(data, "us");
    }
    if (!p->op || json_object_get(data, "args"))
        name_op(p, data);
    bool skip = get(data, "as") && strcmp(get(data, "as"), "skip") == 0;
    settle(p, failed ? RB_NODE_FAIL : skip ? RB_NODE_SKIP : RB_NODE_PASS, ev);
    p->would = get(data, "as") && strcmp(get(data, "as"), "dry") == 0;
    set_result(p, data);
    p->twice = p->twice || json_is_true(json_object_get(data, "twice"));
    if (failed)
        set_error(p, error);
    else if (skip)
        rb_view_set_clean(&p->error, get(json_object_get(data, "actor"), "reason"));
    if (p->last)
        rb_view_set(&p->parent->last, p->last);
    json_decref(p->args);
    p->args = NULL;
    return p;
}

/* Found by key, else by number. */
static struct rb_node *op_of(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = rb_node_find(v, ev->key, strlen(ev->key));
    int64_t n = number(data, "n");
    return p && (!n || p->n == n) ? p : n ? rb_view_find(v, n) : p;
}

static struct rb_node *on_doubt(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = op_of(v, ev, data);
    if (!p)
        return NULL;
    rb_list_remove(&p->open);
    reopen(p, RB_NODE_DOUBT);
    rb_view_set_clean(&p->error, get(data, "why"));
    rb_list_push(&v->open, &p->open);
    return p;
}

static struct rb_node *on_resolve(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = op_of(v, ev, data);
    if (!p)
        return NULL;
    rb_list_remove(&p->open);
    p->state = RB_NODE_RUNNING;
    return p;
}

static struct rb_node *on_unstarted(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = op_of(v, ev, data);
    if (p)
        p->state = RB_NODE_STOPPED;
    return p;
}

static void stop_below(struct rb_node *p)
{
    RB_LIST_EACH (it, &p->children) {
        struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        if (c->state == RB_NODE_RUNNING)
            c->state = RB_NODE_STOPPED;
        stop_below(c);
    }
}

static void go_on_below(struct rb_node *p)
{
    RB_LIST_EACH (it, &p->children) {
        struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        if (c->state == RB_NODE_STOPPED)
            c->state = RB_NODE_RUNNING;
        go_on_below(c);
    }
}

/* A retry keeps the ordered events in these ranges; whatever ended with another one is open again. */
static bool is_kept(const json_t *keep, int64_t seq)
{
    size_t i;
    json_t *range;
    json_array_foreach((json_t *)keep, i, range)
    {
        if (seq >= json_integer_value(json_array_get(range, 0)) && seq <= json_integer_value(json_array_get(range, 1)))
            return true;
    }
    return false;
}

static void void_below(struct rb_node *p, const json_t *keep)
{
    RB_LIST_EACH (it, &p->children) {
        struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        if (c->end_seq && !is_kept(keep, c->end_seq))
            reopen(c, RB_NODE_RUNNING);
        void_below(c, keep);
    }
}

static void set_running(struct rb_view *v)
{
    rb_view_set(&v->error, NULL);
    rb_view_set(&v->where, NULL);
    rb_view_set(&v->park, NULL);
    json_decref(v->running);
    v->running = NULL;
    v->ended = 0;
    v->failing = 0;
    go_on_below(&v->root);
}

/* A compensation that a person leaves out: one that is skipped, with the reason. */
static void leave_out(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    char key[64], title[64];
    int64_t n = number(data, "skip");
    if (!n)
        return;
    snprintf(key, sizeof(key), "undo/%lld, left out", (long long)n);
    snprintf(title, sizeof(title), "compensation %lld", (long long)n);
    struct rb_node *p = rb_node_at(v, key, strlen(key), RB_NODE_STEP, ev->at);
    rb_view_set(&p->title, title);
    RB_LIST_EACH (it, &v->undos) {
        const struct rb_view_undo *u = RB_CONTAINER(it, struct rb_view_undo, link);
        if (u->n == n)
            rb_view_set(&p->title, u->title);
    }
    settle(p, RB_NODE_SKIP, ev);
    rb_view_set_clean(&p->error, get(data, "reason"));
}

static void on_run(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    if (get(data, "environment"))
        rb_view_set_clean(&v->environment, get(data, "environment"));
    if (get(json_object_get(data, "freeze_override"), "reason"))
        rb_view_set_clean(&v->override, get(json_object_get(data, "freeze_override"), "reason"));
    if (strcmp(ev->kind, "run.start") == 0) {
        const json_t *actor = json_object_get(data, "actor");
        const char *claimed = get(actor, "claimed");
        rb_view_set_clean(&v->runbook, get(data, "runbook"));
        rb_view_set_clean(&v->title, get(data, "title"));
        rb_view_set_clean(&v->file, get(data, "file"));
        rb_view_set(&v->folder, get(data, "folder"));
        rb_view_set_clean(&v->reason, get(data, "reason"));
        rb_view_set_clean(&v->actor, json_is_string(actor) ? json_string_value(actor)
                                     : claimed && *claimed ? claimed
                                                           : get(actor, "name"));
        v->dry = json_is_true(json_object_get(data, "dry"));
        v->destructive = json_is_true(json_object_get(data, "destructive"));
        json_decref(v->allow);
        v->allow = json_incref(json_object_get(data, "allow"));
        json_decref(v->start);
        v->start = json_incref((json_t *)(uintptr_t)data);
        v->started = ev->at;
    } else if (strcmp(ev->kind, "run.resume") == 0) {
        set_running(v);
    } else if (strcmp(ev->kind, "undo.start") == 0) {
        set_running(v);
        leave_out(v, ev, data);
    } else if (strcmp(ev->kind, "run.retry") == 0) {
        set_running(v);
        void_below(&v->root, json_object_get(data, "keep"));
    } else if (strcmp(ev->kind, "run.park") == 0) {
        rb_view_set_clean(&v->park, get(data, "why"));
        json_decref(v->running);
        v->running = json_incref(json_object_get(data, "running"));
        stop_below(&v->root);
    } else if (strcmp(ev->kind, "run.end") == 0 || strcmp(ev->kind, "undo.end") == 0) {
        const json_t *error = json_object_get(data, "error"), *failing = json_object_get(data, "failing");
        v->ended = ev->at;
        rb_view_set_clean(&v->error, json_is_string(error) ? json_string_value(error) : get(error, "message"));
        rb_view_set_clean(&v->where, get(error, "where"));
        v->hopeless = rb_again_hopeless(data);
        v->failing = json_integer_value(json_array_get(failing, 0));
        if (!v->failing)
            v->failing = number(error, "op");
        stop_below(&v->root);
        RB_LIST_EACH_SAFE (it, tmp, &v->open)
            rb_list_remove(it);
        const json_t *left = json_object_get(data, strcmp(ev->kind, "run.end") == 0 ? "undo" : "left");
        rb_view_undos_clear(v); /* what was registered and never armed, or has been undone */
        if (json_is_array(left)) {
            size_t i;
            json_t *e;
            json_array_foreach((json_t *)left, i, e)
            {
                struct rb_view_undo *u = rb_alloc(sizeof(*u));
                u->n = number(e, "n");
                rb_view_set_clean(&u->title, get(e, "title"));
                rb_list_push(v->undos.next, &u->link); /* to the front: the event has the last one first */
            }
        }
    }
}

static struct rb_node *on_undo(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_view_undo *u = rb_alloc(sizeof(*u));
    u->n = number(data, "n");
    rb_view_set_clean(&u->title, get(data, "title"));
    rb_list_push(&v->undos, &u->link);
    return scope_node(v, ev);
}

static struct rb_node *on_text(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = scope_node(v, ev);
    bool evidence = strcmp(ev->kind, "evidence") == 0;
    const json_t *value = json_object_get(data, evidence ? "value" : "text");
    const char *level = get(data, "level");
    set_last(p, value);
    add_note(v, p, ev, evidence ? "evidence" : level ? level : "note", get(data, "name"), value);
    return p;
}

/* An operation that is done is forgotten below a step (counted), and all but the last few at the top. */
static void forget(struct rb_view *v, struct rb_node *p)
{
    if (v->keep_ops || p->twice || p->would || p->type != RB_NODE_OP || p->state != RB_NODE_PASS ||
        !rb_list_empty(&p->children))
        return;
    struct rb_node *parent = p->parent;
    if (parent == &v->root) {
        int kept = 0;
        struct rb_node *oldest = NULL;
        RB_LIST_EACH (it, &parent->children) {
            struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
            if (c->type == RB_NODE_OP && c->state == RB_NODE_PASS) {
                oldest = oldest ? oldest : c;
                kept++;
            }
        }
        if (kept <= 8 || !oldest)
            return;
        p = oldest;
    }
    parent->ops++;
    rb_node_drop(v, p);
    /* A branch that has nothing left to show goes too; it comes back with its next operation. */
    while (parent->type == RB_NODE_BRANCH && parent->parent && rb_list_empty(&parent->children) && !v->keep_notes) {
        p = parent;
        parent = p->parent;
        parent->ops += p->ops;
        rb_node_drop(v, p);
    }
}

static struct rb_node *apply(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    static const struct {
        const char *kind;
        struct rb_node *(*fn)(struct rb_view *v, const struct rb_event *ev, const json_t *data);
    } kinds[] = {
        {"step.start", on_step_start},
        {"step.end", on_step_end},
        {"intent", on_begin},
        {"wait", on_begin},
        {"result", on_result},
        {"doubt", on_doubt},
        {"evidence", on_text},
        {"note", on_text},
        {"log", on_text},
        {"undo", on_undo},
        {"resolve", on_resolve},
        {"op.unstarted", on_unstarted},
        {"op.stop", op_of},
        {"doubt.call", op_of},
    };
    for (size_t i = 0; i < RB_COUNT(kinds); i++)
        if (strcmp(kinds[i].kind, ev->kind) == 0)
            return kinds[i].fn(v, ev, data);
    if (strncmp(ev->kind, "run.", 4) == 0 || strncmp(ev->kind, "undo.", 5) == 0) {
        v->undone = v->undone || strcmp(ev->kind, "undo.start") == 0;
        if (strcmp(ev->kind, "undo.clear") == 0)
            rb_view_undos_clear(v);
        else
            on_run(v, ev, data);
    }
    return NULL;
}

static bool is(struct rb_slice s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static json_t *parse(const char *p, size_t n)
{
    return json_loadb(p, n, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}

/* Of a value that is an object only the member that is said. */
static json_t *said_of(struct rb_slice value)
{
    json_t *out = json_object();
    for (size_t i = 0; i < RB_COUNT(said); i++) {
        struct rb_slice s = rb_json_member(value.p, value.n, said[i]);
        json_t *x = s.p ? parse(s.p, s.n) : NULL;
        bool enough = says(x);
        if (x)
            json_object_set_new_nocheck(out, said[i], x);
        if (enough)
            break;
    }
    return out;
}

/* A result is the largest of events, and most of it is never shown: a tree of all of it would cost more than making
 * it. */
static json_t *parse_result(const struct rb_event *ev)
{
    json_t *out = json_object();
    const char *p = ev->data;
    struct rb_slice key, value;
    while (rb_json_next(&p, ev->data + ev->data_len, &key, &value)) {
        char name[16];
        if (key.n >= sizeof(name) || is(key, "digest") || is(key, "sealed"))
            continue;
        memcpy(name, key.p, key.n);
        name[key.n] = '\0';
        json_t *x = is(key, "value") && value.n && *value.p == '{' ? said_of(value) : parse(value.p, value.n);
        if (x)
            json_object_set_new(out, name, x);
    }
    return out;
}

/* A read that went well, when nobody is shown such things: it has no node, and changes no other. */
static bool leaves_no_trace(const struct rb_view *v, const struct rb_event *ev)
{
    static const char *const traces[] = {"n", "as", "twice", "signal", "status", "waiting", "actor"};
    const char *p = ev->data;
    struct rb_slice key, value;
    bool ok = false;
    if (!v->brief || v->keep_ops || rb_node_find(v, ev->key, strlen(ev->key)))
        return false;
    while (rb_json_next(&p, ev->data + ev->data_len, &key, &value)) {
        for (size_t i = 0; i < RB_COUNT(traces); i++)
            if (is(key, traces[i]))
                return false;
        ok = ok || (is(key, "ok") && is(value, "true"));
    }
    return ok;
}

struct rb_node *rb_view_event(struct rb_view *v, const struct rb_event *ev, json_t **data_json)
{
    bool result = strcmp(ev->kind, "result") == 0;
    if (data_json)
        *data_json = NULL;
    if (ev->seq <= v->seq)
        return NULL;
    v->seq = ev->seq;
    if (v->done) { /* kept until now so that whoever showed the last event could look at its node */
        forget(v, v->done);
        v->done = NULL;
    }
    if (result && leaves_no_trace(v, ev))
        return NULL;
    json_t *data = result ? parse_result(ev) : json_loadb(ev->data, ev->data_len, JSON_ALLOW_NUL, NULL);
    struct rb_node *p = apply(v, ev, data);
    if (number(data, "signal") > v->signal)
        v->signal = number(data, "signal");
    const char *status = get(data, "status");
    if (status)
        rb_view_set(&v->status, status);
    if (json_object_get(data, "waiting"))
        rb_view_set_clean(&v->waiting, get(data, "waiting"));
    if (p && p->type == RB_NODE_OP && p->state == RB_NODE_PASS)
        v->done = p;
    if (data_json)
        *data_json = data;
    else
        json_decref(data);
    return p;
}

struct rb_node *rb_view_output(struct rb_view *v, int64_t op, const char *key, const char *data, size_t n)
{
    struct rb_node *p = rb_node_at(v, key, strlen(key), RB_NODE_BRANCH, rb_clock_wall());
    struct rb_buf b;
    if (p == &v->root)
        return p;
    if (p->type != RB_NODE_OP) { /* a read: nothing was journaled before it started */
        p->type = RB_NODE_OP;
        rb_view_set(&p->title, "read");
    }
    if (!p->n)
        p->n = op;
    rb_buf_init(&b, RB_VIEW_LINE);
    rb_text_last(&b, data, n);
    if (b.len) {
        free(p->last);
        p->last = rb_buf_detach(&b);
    }
    rb_buf_release(&b);
    return p;
}
