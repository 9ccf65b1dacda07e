/* Owns the picture of a run that is made from its events (docs/journal.md). Knows no terminal, no store but for reading events, and
 * decides nothing. */
#include "front/view.h"

#include <stdlib.h>
#include <string.h>

#include "front/text.h"

#define KEEP_LINE 4096 /* bytes of a line that is kept */

static uint32_t hash_of(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h;
}

static void set(char **slot, const char *text)
{
    if (*slot == text)
        return;
    free(*slot);
    *slot = rb_strdup(text);
}

static void set_clean(char **slot, const char *text)
{
    struct rb_buf b;
    rb_buf_init(&b, KEEP_LINE);
    if (text)
        rb_text_line(&b, text, strlen(text));
    free(*slot);
    *slot = text ? rb_buf_detach(&b) : NULL;
    if (text && !*slot)
        *slot = rb_strdup("");
    rb_buf_release(&b);
}

static const char *get(const json_t *data, const char *name)
{
    return json_string_value(json_object_get(data, name));
}

static int64_t number(const json_t *data, const char *name)
{
    return json_integer_value(json_object_get(data, name));
}

/* -- nodes -------------------------------------------------------------------------------------------------------------- */

static struct rb_node *find(const struct rb_view *v, const char *key, size_t n)
{
    struct rb_node *p = v->buckets[hash_of(key, n) % RB_COUNT(v->buckets)];
    while (p && (strncmp(p->key, key, n) != 0 || p->key[n]))
        p = p->next;
    return p;
}

/* Length of the scope of a key: up to its last separator, 0 when it is at the top. "\/" is no separator. */
static size_t scope_of(const char *key, size_t n)
{
    while (n--)
        if (key[n] == '/') {
            size_t back = 0;
            while (back < n && key[n - 1 - back] == '\\')
                back++;
            if (back % 2 == 0)
                return n;
        }
    return 0;
}

/* The last part of a key, unescaped and neutral. */
static char *label_of(const char *key, size_t n)
{
    struct rb_buf raw, out;
    size_t at = scope_of(key, n);
    rb_buf_init(&raw, KEEP_LINE);
    rb_buf_init(&out, KEEP_LINE);
    for (size_t i = at ? at + 1 : 0; i < n; i++) {
        if (key[i] == '\\' && i + 1 < n)
            i++;
        rb_buf_addc(&raw, key[i]);
    }
    rb_text_line(&out, rb_buf_text(&raw), raw.len);
    rb_buf_release(&raw);
    char *text = rb_buf_detach(&out);
    return text ? text : rb_strdup("");
}

static struct rb_node *node_at(struct rb_view *v, const char *key, size_t n, enum rb_node_type type, int64_t at)
{
    struct rb_node *p = find(v, key, n);
    if (p || n == 0)
        return p ? p : &v->root;
    size_t scope = scope_of(key, n);
    p = rb_alloc(sizeof(*p));
    p->parent = scope ? node_at(v, key, scope, RB_NODE_BRANCH, at) : &v->root;
    p->type = type;
    p->key = rb_strndup(key, n);
    p->title = label_of(key, n);
    p->started = at;
    rb_list_init(&p->open);
    rb_list_init(&p->children);
    rb_list_push(&p->parent->children, &p->link);
    struct rb_node **bucket = &v->buckets[hash_of(key, n) % RB_COUNT(v->buckets)];
    p->next = *bucket;
    *bucket = p;
    return p;
}

static void node_clear(struct rb_node *p)
{
    free(p->key);
    free(p->title);
    free(p->stage);
    free(p->op);
    free(p->where);
    free(p->last);
    free(p->error);
    json_decref(p->args);
}

static void node_drop(struct rb_view *v, struct rb_node *p)
{
    struct rb_node **at = &v->buckets[hash_of(p->key, strlen(p->key)) % RB_COUNT(v->buckets)];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    rb_list_remove(&p->link);
    rb_list_remove(&p->open);
    node_clear(p);
    free(p);
}

static void free_children(struct rb_node *p)
{
    RB_LIST_EACH_SAFE(it, tmp, &p->children) {
        struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        free_children(c);
        node_clear(c);
        free(c);
    }
    rb_list_init(&p->children);
}

void rb_view_init(struct rb_view *v, const char *id)
{
    memset(v, 0, sizeof(*v));
    rb_list_init(&v->root.children);
    rb_list_init(&v->root.open);
    rb_list_init(&v->open);
    rb_list_init(&v->undos);
    rb_list_init(&v->notes);
    v->root.type = RB_NODE_BRANCH;
    if (id)
        strncpy(v->id, id, sizeof(v->id) - 1);
    v->status = rb_strdup("running");
}

static void undo_free(struct rb_view_undo *u)
{
    rb_list_remove(&u->link);
    free(u->title);
    free(u);
}

static void undos_clear(struct rb_view *v)
{
    RB_LIST_EACH_SAFE(it, tmp, &v->undos)
        undo_free(RB_CONTAINER(it, struct rb_view_undo, link));
}

void rb_view_release(struct rb_view *v)
{
    if (!v->notes.next) /* never initialised */
        return;
    RB_LIST_EACH_SAFE(it, tmp, &v->notes) {
        struct rb_note *n = RB_CONTAINER(it, struct rb_note, link);
        free(n->kind);
        free(n->name);
        free(n->text);
        free(n);
    }
    undos_clear(v);
    free_children(&v->root);
    node_clear(&v->root);
    free(v->runbook);
    free(v->title);
    free(v->actor);
    free(v->reason);
    free(v->file);
    free(v->status);
    free(v->waiting);
    free(v->error);
    free(v->where);
    free(v->park);
    json_decref(v->running);
    memset(v, 0, sizeof(*v));
}

void rb_view_keep(struct rb_view *v, bool ops, bool notes)
{
    v->keep_ops = ops;
    v->keep_notes = notes;
}

/* -- what an event changes -------------------------------------------------------------------------------------------------- */

static char *value_text(const json_t *value)
{
    struct rb_buf b;
    rb_buf_init(&b, KEEP_LINE);
    rb_text_value(&b, value);
    char *text = rb_buf_detach(&b);
    return text ? text : rb_strdup("");
}

/* The last line of a text, or the value on one line. */
static void set_last(struct rb_node *p, const json_t *value)
{
    const char *text = rb_text_of(value);
    struct rb_buf b;
    rb_buf_init(&b, KEEP_LINE);
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
    set(&p->error, NULL);
    rb_list_remove(&p->open);
}

static void reopen(struct rb_node *p, enum rb_node_state state)
{
    p->state = state;
    p->ended = 0;
    p->end_seq = 0;
    p->shown = p->answered = false;
    set(&p->error, NULL);
}

static void set_error(struct rb_node *p, const json_t *error)
{
    const char *text = json_is_object(error) ? get(error, "message") : json_string_value(error);
    if (text)
        set_clean(&p->error, text);
    else if (error && !json_is_null(error)) {
        free(p->error);
        p->error = value_text(error);
    }
}

static void add_note(struct rb_view *v, struct rb_node *node, const struct rb_event *ev, const char *kind, const char *name,
                     const json_t *value)
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
    set_clean(&n->name, name);
    n->text = rb_buf_detach(&b);
    rb_list_push(&v->notes, &n->link);
}

static struct rb_node *scope_node(struct rb_view *v, const struct rb_event *ev)
{
    size_t n = strlen(ev->key), scope = scope_of(ev->key, n);
    struct rb_node *p = find(v, ev->key, n); /* the key of a step itself */
    if (p && p->type != RB_NODE_OP)
        return p;
    return scope ? node_at(v, ev->key, scope, RB_NODE_BRANCH, ev->at) : &v->root;
}

static struct rb_node *on_step_start(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    const char *type = get(data, "type"), *title = get(data, "title");
    struct rb_node *p = node_at(v, ev->key, strlen(ev->key), RB_NODE_STEP, ev->at);
    p->type = type && strcmp(type, "checklist") == 0 ? RB_NODE_CHECKLIST : type && strcmp(type, "check") == 0 ? RB_NODE_CHECK : RB_NODE_STEP;
    p->started = ev->at;
    reopen(p, RB_NODE_RUNNING);
    if (title)
        set_clean(&p->title, title);
    set_clean(&p->stage, get(data, "stage"));
    return p;
}

static struct rb_node *on_step_end(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    const char *verdict = get(data, "verdict");
    struct rb_node *p = node_at(v, ev->key, strlen(ev->key), RB_NODE_STEP, ev->at);
    bool fail = verdict && strcmp(verdict, "fail") == 0, skip = verdict && strcmp(verdict, "skip") == 0;
    settle(p, fail ? RB_NODE_FAIL : skip ? RB_NODE_SKIP : RB_NODE_PASS, ev);
    if (fail)
        set_error(p, json_object_get(data, "error"));
    if (skip || (fail && !p->error))
        set_clean(&p->error, get(data, "why"));
    return p;
}

/* The words of an operation: its title, else op and arguments. */
static void name_op(struct rb_node *p, const json_t *data)
{
    const char *title = get(data, "title"), *op = get(data, "op");
    const json_t *args = json_object_get(data, "args");
    if (op)
        set_clean(&p->op, op);
    if (title) {
        set_clean(&p->title, title);
    } else if (args || !p->title || !p->args) {
        struct rb_buf b;
        rb_buf_init(&b, KEEP_LINE);
        rb_text_op(&b, p->op ? p->op : "operation", args);
        free(p->title);
        p->title = rb_buf_detach(&b);
        rb_buf_release(&b);
    }
    set_clean(&p->where, get(data, "where"));
}

static bool is_wait(const char *kind)
{
    return strcmp(kind, "wait") == 0;
}

static struct rb_node *on_begin(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = node_at(v, ev->key, strlen(ev->key), RB_NODE_OP, ev->at);
    p->type = RB_NODE_OP;
    p->n = ev->seq;
    p->started = ev->at;
    p->until = number(data, "until");
    p->twice = json_is_true(json_object_get(data, "twice"));
    reopen(p, is_wait(ev->kind) ? RB_NODE_WAITS : RB_NODE_RUNNING);
    name_op(p, data);
    json_decref(p->args);
    p->args = json_incref(json_object_get(data, "args"));
    set(&p->last, NULL);
    rb_list_remove(&p->open);
    if (is_wait(ev->kind))
        rb_list_push(&v->open, &p->open);
    return p;
}

/* What the result of a command or a decision shows: its last line. */
static void set_result(struct rb_node *p, const json_t *data)
{
    const json_t *value = json_object_get(data, "value"), *error = json_object_get(data, "error");
    if (!value || json_is_null(value))
        value = json_object_get(error, "result");
    if (json_is_object(value)) {
        static const char *const shown[] = {"stdout", "stderr", "comment", "value", "status", "body"};
        for (size_t i = 0; i < RB_COUNT(shown); i++) {
            const json_t *x = json_object_get(value, shown[i]);
            const char *text = rb_text_of(x);
            if (x && !json_is_null(x) && (!text || *text)) {
                set_last(p, x);
                return;
            }
        }
    } else if (value && !json_is_null(value) && !json_is_true(value) && !(json_is_array(value) && !json_array_size(value))) {
        set_last(p, value);
    }
}

static struct rb_node *on_result(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = node_at(v, ev->key, strlen(ev->key), RB_NODE_OP, ev->at);
    const json_t *ok = json_object_get(data, "ok"), *error = json_object_get(data, "error");
    bool failed = ok ? !json_is_true(ok) : error && !json_is_null(error);
    p->type = RB_NODE_OP;
    if (!p->n) {
        p->n = ev->seq;
        p->started = ev->at - number(data, "us");
    }
    if (!p->op || json_object_get(data, "args"))
        name_op(p, data);
    settle(p, failed ? RB_NODE_FAIL : RB_NODE_PASS, ev);
    set_result(p, data);
    p->twice = p->twice || json_is_true(json_object_get(data, "twice"));
    if (failed)
        set_error(p, error);
    if (p->last)
        set(&p->parent->last, p->last);
    json_decref(p->args);
    p->args = NULL;
    return p;
}

static struct rb_node *by_number(struct rb_node *root, int64_t n)
{
    RB_LIST_EACH(it, &root->children) {
        struct rb_node *c = RB_CONTAINER(it, struct rb_node, link), *p = c->n == n ? c : by_number(c, n);
        if (p)
            return p;
    }
    return NULL;
}

struct rb_node *rb_view_find(struct rb_view *v, int64_t n)
{
    return by_number(&v->root, n);
}

/* Found by key, else by number. */
static struct rb_node *op_of(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_node *p = find(v, ev->key, strlen(ev->key));
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
    RB_LIST_EACH(it, &p->children) {
        struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        if (c->state == RB_NODE_RUNNING)
            c->state = RB_NODE_STOPPED;
        stop_below(c);
    }
}

static void go_on_below(struct rb_node *p)
{
    RB_LIST_EACH(it, &p->children) {
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
    json_array_foreach((json_t *)keep, i, range) {
        if (seq >= json_integer_value(json_array_get(range, 0)) && seq <= json_integer_value(json_array_get(range, 1)))
            return true;
    }
    return false;
}

static void void_below(struct rb_node *p, const json_t *keep)
{
    RB_LIST_EACH(it, &p->children) {
        struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        if (c->end_seq && !is_kept(keep, c->end_seq))
            reopen(c, RB_NODE_RUNNING);
        void_below(c, keep);
    }
}

static void set_running(struct rb_view *v)
{
    set(&v->error, NULL);
    set(&v->where, NULL);
    set(&v->park, NULL);
    json_decref(v->running);
    v->running = NULL;
    v->ended = 0;
    v->failing = 0;
    go_on_below(&v->root);
}

static void on_run(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    if (strcmp(ev->kind, "run.start") == 0) {
        const json_t *actor = json_object_get(data, "actor");
        const char *claimed = get(actor, "claimed");
        set_clean(&v->runbook, get(data, "runbook"));
        set_clean(&v->title, get(data, "title"));
        set_clean(&v->file, get(data, "file"));
        set_clean(&v->reason, get(data, "reason"));
        set_clean(&v->actor, json_is_string(actor) ? json_string_value(actor) : claimed && *claimed ? claimed : get(actor, "name"));
        v->dry = json_is_true(json_object_get(data, "dry"));
        v->started = ev->at;
    } else if (strcmp(ev->kind, "run.resume") == 0 || strcmp(ev->kind, "undo.start") == 0) {
        set_running(v);
    } else if (strcmp(ev->kind, "run.retry") == 0) {
        set_running(v);
        void_below(&v->root, json_object_get(data, "keep"));
    } else if (strcmp(ev->kind, "run.park") == 0) {
        set_clean(&v->park, get(data, "why"));
        json_decref(v->running);
        v->running = json_incref(json_object_get(data, "running"));
        stop_below(&v->root);
    } else if (strcmp(ev->kind, "run.end") == 0 || strcmp(ev->kind, "undo.end") == 0) {
        const json_t *error = json_object_get(data, "error"), *failing = json_object_get(data, "failing");
        v->ended = ev->at;
        set_clean(&v->error, json_is_string(error) ? json_string_value(error) : get(error, "message"));
        set_clean(&v->where, get(error, "where"));
        v->failing = json_integer_value(json_array_get(failing, 0));
        if (!v->failing)
            v->failing = number(error, "op");
        stop_below(&v->root);
        RB_LIST_EACH_SAFE(it, tmp, &v->open)
            rb_list_remove(it);
        const json_t *left = json_object_get(data, strcmp(ev->kind, "run.end") == 0 ? "undo" : "left");
        if (json_is_array(left)) {
            size_t i;
            json_t *e;
            undos_clear(v);
            json_array_foreach((json_t *)left, i, e) {
                struct rb_view_undo *u = rb_alloc(sizeof(*u));
                u->n = number(e, "n");
                set_clean(&u->title, get(e, "title"));
                rb_list_push(&v->undos, &u->link);
            }
        }
    }
}

static struct rb_node *on_undo(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    struct rb_view_undo *u = rb_alloc(sizeof(*u));
    u->n = number(data, "n");
    set_clean(&u->title, get(data, "title"));
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
    if (v->keep_ops || p->twice || p->type != RB_NODE_OP || p->state != RB_NODE_PASS || !rb_list_empty(&p->children))
        return;
    struct rb_node *parent = p->parent;
    if (parent == &v->root) {
        int kept = 0;
        struct rb_node *oldest = NULL;
        RB_LIST_EACH(it, &parent->children) {
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
    node_drop(v, p);
}

static struct rb_node *apply(struct rb_view *v, const struct rb_event *ev, const json_t *data)
{
    static const struct {
        const char *kind;
        struct rb_node *(*fn)(struct rb_view *v, const struct rb_event *ev, const json_t *data);
    } kinds[] = {
        {"step.start", on_step_start}, {"step.end", on_step_end}, {"intent", on_begin}, {"wait", on_begin}, {"result", on_result},
        {"doubt", on_doubt},           {"evidence", on_text},     {"note", on_text},    {"log", on_text},   {"undo", on_undo},
        {"resolve", on_resolve},       {"op.unstarted", on_unstarted},
    };
    for (size_t i = 0; i < RB_COUNT(kinds); i++)
        if (strcmp(kinds[i].kind, ev->kind) == 0)
            return kinds[i].fn(v, ev, data);
    if (strncmp(ev->kind, "run.", 4) == 0 || strncmp(ev->kind, "undo.", 5) == 0) {
        if (strcmp(ev->kind, "undo.clear") == 0)
            undos_clear(v);
        else
            on_run(v, ev, data);
    }
    return NULL;
}

struct rb_node *rb_view_event(struct rb_view *v, const struct rb_event *ev, json_t **data_json)
{
    if (data_json)
        *data_json = NULL;
    if (ev->seq <= v->seq)
        return NULL;
    v->seq = ev->seq;
    if (v->done) { /* kept until now so that whoever showed the last event could look at its node */
        forget(v, v->done);
        v->done = NULL;
    }
    json_t *data = json_loadb(ev->data, ev->data_len, JSON_ALLOW_NUL, NULL);
    struct rb_node *p = apply(v, ev, data);
    if (number(data, "signal") > v->signal)
        v->signal = number(data, "signal");
    const char *status = get(data, "status");
    if (status)
        set(&v->status, status);
    if (json_object_get(data, "waiting"))
        set_clean(&v->waiting, get(data, "waiting"));
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
    struct rb_node *p = node_at(v, key, strlen(key), RB_NODE_BRANCH, rb_clock_wall());
    struct rb_buf b;
    if (p == &v->root)
        return p;
    if (p->type != RB_NODE_OP) { /* a read: nothing was journaled before it started */
        p->type = RB_NODE_OP;
        set(&p->title, "read");
    }
    if (!p->n)
        p->n = op;
    rb_buf_init(&b, KEEP_LINE);
    rb_text_last(&b, data, n);
    if (b.len) {
        free(p->last);
        p->last = rb_buf_detach(&b);
    }
    rb_buf_release(&b);
    return p;
}

static int on_loaded(void *arg, const struct rb_event *ev)
{
    rb_view_event(arg, ev, NULL);
    return 0;
}

int rb_view_load(struct rb_view *v, struct rb_store *s, struct rb_err *err)
{
    return rb_store_events(s, v->id, v->seq, on_loaded, v, err);
}

static int on_signal(void *arg, const struct rb_signal_row *sig)
{
    static const char *const kinds[] = {"approve", "deny", "answer", "resolve"};
    struct rb_node *p = rb_view_open(arg, strtoll(sig->target, NULL, 10));
    for (size_t i = 0; p && i < RB_COUNT(kinds); i++)
        p->answered = p->answered || strcmp(sig->kind, kinds[i]) == 0;
    return 0;
}

int rb_view_load_signals(struct rb_view *v, struct rb_store *s, struct rb_err *err)
{
    return rb_list_empty(&v->open) ? RB_OK : rb_store_signals(s, v->id, v->signal, on_signal, v, err);
}

/* -- questions ---------------------------------------------------------------------------------------------------------------- */

struct rb_node *rb_view_open(const struct rb_view *v, int64_t n)
{
    RB_LIST_EACH(it, &v->open) {
        struct rb_node *p = RB_CONTAINER(it, struct rb_node, open);
        if (p->n == n)
            return p;
    }
    return NULL;
}

const char *rb_node_decision(const struct rb_node *p)
{
    if (p->state == RB_NODE_DOUBT)
        return "resolve";
    if (p->state != RB_NODE_WAITS || !p->op)
        return NULL;
    return strcmp(p->op, "manual") == 0 ? "answer" : strcmp(p->op, "approve") == 0 ? "approve" : strcmp(p->op, "signal") == 0 ? "signal" : NULL;
}

const char *rb_node_text(const struct rb_node *p)
{
    size_t n = p->op ? strlen(p->op) : 0;
    if (p->state == RB_NODE_WAITS && rb_node_decision(p) && n && strncmp(p->title, p->op, n) == 0 && p->title[n] == ' ')
        return p->title + n + 1;
    return p->title;
}

int rb_view_asks(const struct rb_view *v)
{
    int n = 0;
    RB_LIST_EACH(it, &v->open) {
        const struct rb_node *p = RB_CONTAINER(it, struct rb_node, open);
        n += rb_node_decision(p) != NULL && !p->answered;
    }
    return n;
}
