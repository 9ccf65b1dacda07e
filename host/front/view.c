/* Owns the nodes of a run's picture and the questions that are asked about it. What an event changes is view_event.c's.
 * Knows no terminal and decides nothing. */
#include "front/view.h"

#include <stdlib.h>
#include <string.h>

#include "front/text.h"
#include "front/view_nodes.h"

static uint32_t hash_of(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h;
}

void rb_view_set(char **slot, const char *text)
{
    if (*slot == text)
        return;
    free(*slot);
    *slot = rb_strdup(text);
}

void rb_view_set_clean(char **slot, const char *text)
{
    struct rb_buf b;
    rb_buf_init(&b, RB_VIEW_LINE);
    if (text)
        rb_text_line(&b, text, strlen(text));
    free(*slot);
    *slot = text ? rb_buf_detach(&b) : NULL;
    if (text && !*slot)
        *slot = rb_strdup("");
    rb_buf_release(&b);
}

/* -- nodes --------------------------------------------------------------------------------------------------------- */

struct rb_node *rb_node_find(const struct rb_view *v, const char *key, size_t n)
{
    struct rb_node *p = v->buckets[hash_of(key, n) % RB_COUNT(v->buckets)];
    while (p && (strncmp(p->key, key, n) != 0 || p->key[n]))
        p = p->next;
    return p;
}

size_t rb_node_scope(const char *key, size_t n)
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
    size_t at = rb_node_scope(key, n);
    rb_buf_init(&raw, RB_VIEW_LINE);
    rb_buf_init(&out, RB_VIEW_LINE);
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

struct rb_node *rb_node_at(struct rb_view *v, const char *key, size_t n, enum rb_node_type type, int64_t at)
{
    struct rb_node *p = rb_node_find(v, key, n);
    if (p || n == 0)
        return p ? p : &v->root;
    size_t scope = rb_node_scope(key, n);
    p = rb_alloc(sizeof(*p));
    p->parent = scope ? rb_node_at(v, key, scope, RB_NODE_BRANCH, at) : &v->root;
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

void rb_node_drop(struct rb_view *v, struct rb_node *p)
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
    RB_LIST_EACH_SAFE (it, tmp, &p->children) {
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

void rb_view_undos_clear(struct rb_view *v)
{
    RB_LIST_EACH_SAFE (it, tmp, &v->undos)
        undo_free(RB_CONTAINER(it, struct rb_view_undo, link));
}

void rb_view_release(struct rb_view *v)
{
    if (!v->notes.next) /* never initialised */
        return;
    RB_LIST_EACH_SAFE (it, tmp, &v->notes) {
        struct rb_note *n = RB_CONTAINER(it, struct rb_note, link);
        free(n->kind);
        free(n->name);
        free(n->text);
        free(n);
    }
    rb_view_undos_clear(v);
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
    free(v->folder);
    free(v->environment);
    free(v->override);
    json_decref(v->allow);
    json_decref(v->start);
    json_decref(v->running);
    memset(v, 0, sizeof(*v));
}

void rb_view_keep(struct rb_view *v, bool ops, bool notes)
{
    v->keep_ops = ops;
    v->keep_notes = notes;
}

void rb_view_watch(struct rb_view *v, const struct rb_cli *cli, const char *id)
{
    rb_view_init(v, id);
    rb_view_keep(v, cli->verbose > 0, false);
    v->brief = cli->quiet > 0 || cli->json > 0;
}

static struct rb_node *by_number(struct rb_node *root, int64_t n)
{
    RB_LIST_EACH (it, &root->children) {
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

/* -- questions ----------------------------------------------------------------------------------------------------- */

struct rb_node *rb_view_open(const struct rb_view *v, int64_t n)
{
    RB_LIST_EACH (it, &v->open) {
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
    return strcmp(p->op, "manual") == 0    ? "answer"
           : strcmp(p->op, "approve") == 0 ? "approve"
           : strcmp(p->op, "signal") == 0  ? "signal"
                                           : NULL;
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
    RB_LIST_EACH (it, &v->open) {
        const struct rb_node *p = RB_CONTAINER(it, struct rb_node, open);
        n += rb_node_decision(p) != NULL && !p->answered;
    }
    return n;
}
