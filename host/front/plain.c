/* Owns the display off a terminal: one line for each event, no colour, no prompt. Knows nothing of the engine. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "front/display.h"
#include "front/text.h"

#define LINE_MAX_BYTES 2000

static const char *get(const json_t *data, const char *name)
{
    return json_string_value(json_object_get(data, name));
}

/* "Roll out / web1 / health": the titles from the top. */
static void add_path(struct rb_buf *out, const struct rb_node *p)
{
    if (!p || !p->parent)
        return;
    if (p->parent->parent) {
        add_path(out, p->parent);
        rb_buf_adds(out, " / ");
    }
    if (p->stage && *p->stage)
        rb_buf_addf(out, "%s: ", p->stage);
    rb_buf_adds(out, p->title);
}

static void add_word(struct rb_buf *out, const char *word)
{
    rb_buf_addf(out, "%-9s ", word);
}

static void add_span(struct rb_buf *out, const struct rb_node *p)
{
    char span[16];
    if (!p->ended || !p->started)
        return;
    rb_clock_span(p->ended - p->started, span);
    rb_buf_addf(out, "  (%s)", span);
}

static void add_text(struct rb_buf *out, const char *before, const char *text)
{
    if (text && *text) {
        rb_buf_adds(out, before);
        rb_text_line(out, text, strlen(text));
    }
}

static const char *actor_of(const json_t *data)
{
    const json_t *a = json_object_get(data, "actor");
    const char *claimed = get(a, "claimed");
    return json_is_string(a) ? json_string_value(a) : claimed && *claimed ? claimed : get(a, "name");
}

static void run_line(struct rb_buf *out, const char *run, const struct rb_event *ev, const json_t *data)
{
    const json_t *error = json_object_get(data, "error");
    const char *status = get(data, "status"), *kind = strchr(ev->kind, '.') + 1;
    add_word(out, strncmp(ev->kind, "undo.", 5) == 0 ? "undo" : "run");
    if (strcmp(ev->kind, "run.start") == 0) /* so that whoever reads the lines can name the run */
        rb_buf_addf(out, "%s ", run);
    if (strcmp(kind, "start") == 0 && get(data, "runbook")) {
        add_text(out, "", get(data, "runbook"));
        rb_buf_adds(out, json_is_true(json_object_get(data, "dry")) ? " started as a dry run" : " started");
        add_text(out, " in ", get(data, "environment"));
        rb_buf_adds(out, json_is_true(json_object_get(data, "destructive")) ? ", destructive" : "");
    } else if (strcmp(kind, "state") == 0 || strcmp(kind, "end") == 0) {
        rb_buf_adds(out, status ? status : kind);
        add_text(out, ": ", get(data, "waiting"));
        add_text(out, ": ", json_is_string(error) ? json_string_value(error) : get(error, "message"));
    } else if (strcmp(kind, "park") == 0) {
        rb_buf_adds(out, "parked");
        add_text(out, ": ", get(data, "why"));
    } else {
        json_int_t skip = json_integer_value(json_object_get(data, "skip"));
        rb_buf_adds(out, kind);
        if (skip && strcmp(ev->kind, "undo.start") == 0)
            rb_buf_addf(out, " without compensation %lld", (long long)skip);
    }
    add_text(out, " by ", actor_of(data));
    add_text(out, ": ", get(data, "reason"));
    add_text(out, "; the freeze was overridden: ", get(json_object_get(data, "freeze_override"), "reason"));
}

static void step_line(struct rb_buf *out, const struct rb_event *ev, const struct rb_node *p, const json_t *data)
{
    if (strcmp(ev->kind, "step.start") == 0) {
        const char *type = get(data, "type");
        add_word(out, type ? type : "step");
        add_path(out, p);
        return;
    }
    const char *verdict = get(data, "verdict");
    add_word(out, verdict && strcmp(verdict, "fail") == 0 ? "FAIL" : verdict ? verdict : "end");
    add_path(out, p);
    add_text(out, ": ", p ? p->error : NULL);
    if (p)
        add_span(out, p);
}

static void op_line(struct rb_buf *out, const struct rb_event *ev, const struct rb_node *p, const json_t *data)
{
    bool result = strcmp(ev->kind, "result") == 0, wait = strcmp(ev->kind, "wait") == 0;
    bool failed = result && p && p->state == RB_NODE_FAIL, skip = result && p && p->state == RB_NODE_SKIP;
    add_word(out, failed                    ? "failed"
                  : skip                    ? "skip"
                  : result && p && p->would ? "would"
                  : result                  ? "done"
                  : wait                    ? "waits"
                                            : "start");
    rb_buf_addf(out, "#%lld ", (long long)(p ? p->n : ev->seq));
    if (wait && p && p->op && rb_node_decision(p))
        rb_buf_addf(out, "%s: ", p->op);
    add_path(out, p);
    if (wait && p && p->until) {
        char at[24];
        rb_text_time(p->until, at);
        rb_buf_addf(out, "  until %s", at);
    }
    if (p && p->twice)
        rb_buf_adds(out, "  (may have run twice)");
    if (!result || !p)
        return;
    add_text(out, ": ", failed || skip ? p->error : p->last);
    add_text(out, "  by ", actor_of(data));
    add_span(out, p);
}

static void text_line(struct rb_buf *out, const struct rb_event *ev, const struct rb_node *p, const json_t *data)
{
    bool evidence = strcmp(ev->kind, "evidence") == 0;
    const json_t *value = json_object_get(data, evidence ? "value" : "text");
    const char *level = get(data, "level"), *text = rb_text_of(value);
    add_word(out, level ? level : ev->kind);
    if (evidence) {
        add_path(out, p);
        add_text(out, p && p->parent ? ": " : "", get(data, "name"));
        rb_buf_adds(out, " = ");
    }
    if (text)
        rb_text_line(out, text, strlen(text));
    else
        rb_text_value(out, value);
}

static void other_line(struct rb_buf *out, const struct rb_event *ev, const struct rb_node *p, const json_t *data)
{
    static const char *const shown[] = {"op", "title", "name", "ask", "as", "why", "reason", "comment", "n", "value"};
    bool undo = strcmp(ev->kind, "undo") == 0;
    add_word(out, undo ? "can undo" : ev->kind);
    if (p && p->parent)
        add_path(out, p);
    if (undo) {
        add_text(out, p && p->parent ? ": " : "", get(data, "title"));
        return;
    }
    for (size_t i = 0; i < RB_COUNT(shown); i++) {
        const json_t *x = json_object_get(data, shown[i]);
        if (!x || json_is_null(x))
            continue;
        rb_buf_addf(out, "%s%s ", out->data[out->len - 1] == ' ' ? "" : "  ", shown[i]);
        rb_text_value(out, x);
    }
    add_text(out, "  by ", actor_of(data));
}

enum { HOSTS_SHOWN = 8 };

/* What a list of hosts stood for, when that was more than its words. */
static bool hosts_line(struct rb_buf *out, const json_t *lists)
{
    size_t i, k, total = 0;
    const json_t *list, *host;
    bool telling = false;
    json_array_foreach((json_t *)(uintptr_t)lists, i, list)
    {
        total += json_array_size(list);
        telling = telling || json_array_size(list) != 1;
    }
    if (!telling)
        return false;
    add_word(out, "hosts");
    rb_buf_addf(out, "%zu:", total);
    size_t n = 0;
    json_array_foreach((json_t *)(uintptr_t)lists, i, list) json_array_foreach((json_t *)(uintptr_t)list, k, host)
    {
        if (n++ < HOSTS_SHOWN && json_is_string(host))
            add_text(out, " ", json_string_value(host));
    }
    if (total > HOSTS_SHOWN)
        rb_buf_addf(out, " … and %zu more", total - HOSTS_SHOWN);
    return true;
}

/* A sleep that was cut short since nobody waits for it any more: no failure, and nothing to be told. */
static bool is_cut_sleep(const struct rb_event *ev, const struct rb_node *p, const json_t *data)
{
    const char *kind = get(json_object_get(data, "error"), "kind");
    return strcmp(ev->kind, "result") == 0 && p && p->op && strncmp(p->op, "sleep", 5) == 0 && kind &&
           strcmp(kind, "cancelled") == 0;
}

static bool record_line(struct rb_buf *out, const struct rb_event *ev, const struct rb_node *p, const json_t *data)
{
    const char *op = get(data, "op");
    if (op && strcmp(op, "ssh.limit") == 0)
        return false;
    if (op && strcmp(op, "ssh.hosts") == 0)
        return hosts_line(out, json_object_get(data, "value"));
    if (op && (strcmp(op, "timeout") == 0 || strcmp(op, "race") == 0)) {
        add_word(out, op);
        rb_text_value(out, json_object_get(data, "value"));
        rb_buf_adds(out, *op == 't' ? " are over" : " was first");
        return true;
    }
    other_line(out, ev, p, data);
    return true;
}

/* What was found out about an operation that has begun, or said of it; false: the event is none of these. */
static bool about_line(struct rb_buf *out, const struct rb_event *ev, const struct rb_node *p, const json_t *data)
{
    static const struct {
        const char *kind, *word, *what;
    } kinds[] = {{"doubt", "doubt", NULL},
                 {"doubt.call", "doubt", "its on_doubt is asked"},
                 {"resolve", "resolved", NULL},
                 {"op.unstarted", "unstarted", "it had not begun"},
                 {"op.stop", "stop", NULL}};
    for (size_t i = 0; i < RB_COUNT(kinds); i++) {
        if (strcmp(kinds[i].kind, ev->kind) != 0)
            continue;
        add_word(out, kinds[i].word);
        rb_buf_addf(out, "#%lld ", (long long)json_integer_value(json_object_get(data, "n")));
        add_path(out, p);
        add_text(out, ": ", kinds[i].what);
        add_text(out, ": ", get(data, "as"));
        add_text(out, ": ", get(data, "why"));
        add_text(out, ": ", get(data, "comment"));
        add_text(out, "  by ", actor_of(data));
        return true;
    }
    return false;
}

static void notice_line(struct rb_buf *out, const json_t *data)
{
    const char *what = get(data, "for"), *by = get(data, "by");
    bool ok = json_is_true(json_object_get(data, "ok"));
    add_word(out, ok ? "told" : "not told");
    add_text(out, "", get(data, "channel"));
    add_text(out, " through ", by);
    if (what && strcmp(what, "more") == 0)
        rb_buf_addf(out, ": %lld more", (long long)json_integer_value(json_object_get(data, "held")));
    else
        add_text(out, ": ", what);
    add_text(out, ": ", get(data, "error"));
}

bool rb_plain_event(struct rb_buf *out, const char *run, const struct rb_event *ev, const struct rb_node *node,
                    const json_t *data)
{
    static const char *const texts[] = {"log", "note", "evidence"}, *const ops[] = {"intent", "wait", "result"};
    char at[12];
    size_t before = out->len;
    bool shown = true;
    if (is_cut_sleep(ev, node, data))
        return false;
    rb_text_clock(ev->at, at);
    rb_buf_addf(out, "%s  ", at);
    for (size_t i = 0; i < RB_COUNT(texts); i++) {
        if (strcmp(ev->kind, texts[i]) == 0) {
            text_line(out, ev, node, data);
            return true;
        }
        if (strcmp(ev->kind, ops[i]) == 0) {
            op_line(out, ev, node, data);
            return true;
        }
    }
    if (strncmp(ev->kind, "run.", 4) == 0 || strcmp(ev->kind, "undo.start") == 0 || strcmp(ev->kind, "undo.end") == 0)
        run_line(out, run, ev, data);
    else if (strncmp(ev->kind, "step.", 5) == 0)
        step_line(out, ev, node, data);
    else if (strcmp(ev->kind, "notice") == 0)
        notice_line(out, data);
    else if (strcmp(ev->kind, "record") == 0)
        shown = record_line(out, ev, node, data);
    else if (!about_line(out, ev, node, data))
        other_line(out, ev, node, data);
    if (!shown)
        out->len = before;
    return shown;
}

static void on_event(struct rb_display *d, const struct rb_event *ev, struct rb_node *node, const json_t *data)
{
    struct rb_buf line, out;
    if (d->cli->quiet > 0)
        return;
    rb_buf_init(&line, 64 << 10);
    rb_buf_init(&out, 64 << 10);
    if (rb_plain_event(&line, d->view->id, ev, node, data)) {
        if (line.len > LINE_MAX_BYTES)
            rb_text_fit(&out, rb_buf_text(&line), line.len, LINE_MAX_BYTES);
        else
            rb_buf_add(&out, rb_buf_text(&line), line.len);
        rb_buf_addc(&out, '\n');
        rb_cli_write(STDOUT_FILENO, rb_buf_text(&out), out.len);
    }
    rb_buf_release(&line);
    rb_buf_release(&out);
}

static void on_free(struct rb_display *d)
{
    free(d);
}

struct rb_display *rb_plain_new(struct rb_cli *cli, struct rb_view *view)
{
    struct rb_display *d = rb_alloc(sizeof(*d));
    d->cli = cli;
    d->view = view;
    d->event = on_event;
    d->free = on_free;
    return d;
}

struct rb_display *rb_display_new(struct rb_cli *cli, struct rb_view *view, struct rb_loop *loop)
{
    if (cli->json > 0)
        return rb_jsonout_new(cli, view);
    if (loop && cli->quiet <= 0 && rb_cli_live(cli))
        return rb_tty_new(cli, view, loop);
    return rb_plain_new(cli, view);
}
