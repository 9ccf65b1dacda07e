/* rbhost show: one run as it stands: header, tree with verdicts and evidence, open gates, what can be undone, the next
 * command. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "front/cmds.h"
#include "front/display.h"
#include "front/next.h"
#include "front/reach.h"
#include "front/text.h"

struct values {
    int checks;
};

static const struct rb_opt options[] = {
    {"checks", 'c', RB_OPT_BOOL, offsetof(struct values, checks), NULL,
     "only its checks, as a table: stage, check, verdict, and the evidence or why it failed", 0},
    {0},
};

struct show {
    struct rb_cli *cli;
    struct rb_view view;
    struct rb_run_row row;
    bool owned, colour;
    struct rb_buf out;
};

static int on_event(void *arg, const struct rb_event *ev)
{
    struct show *s = arg;
    rb_view_event(&s->view, ev, NULL);
    return 0;
}

static void field(struct show *s, const char *name, const char *text)
{
    if (text && *text)
        rb_buf_addf(&s->out, "%-10s %s\n", name, text);
}

static void header(struct show *s)
{
    struct rb_buf b;
    char at[24], span[16], line[80], owner[256];
    struct rb_view *v = &s->view;
    rb_buf_init(&b, 64 << 10);
    field(s, "run", v->id);
    rb_buf_addf(&b, "%s%s%s%s%s", v->runbook ? v->runbook : "",
                v->title && *v->title && v->runbook && strcmp(v->title, v->runbook) != 0 ? ": " : "",
                v->title && *v->title && v->runbook && strcmp(v->title, v->runbook) != 0 ? v->title : "",
                v->dry ? " (dry)" : "", v->destructive ? " (destructive)" : "");
    field(s, "runbook", rb_buf_text(&b));
    field(s, "file", v->file);
    field(s, "status", rb_cmd_status_word(&s->row, s->owned));
    if (s->owned) {
        rb_store_owner_describe(s->cli->store, s->row.owner, owner, sizeof(owner));
        rb_buf_reset(&b);
        rb_text_line(&b, owner, strlen(owner));
        field(s, "owner", rb_buf_text(&b));
    }
    field(s, "error", v->error);
    field(s, "at", v->error ? v->where : NULL);
    field(s, "parked", strcmp(v->status, "parked") == 0 ? v->park : NULL);
    field(s, "actor", v->actor);
    field(s, "reason", v->reason);
    field(s, "site", v->environment);
    field(s, "freeze", v->override);
    if (v->allow) {
        rb_buf_reset(&b);
        rb_reach_short(v->allow, NULL, v->folder, &b);
        field(s, "reach", rb_buf_text(&b));
    }
    field(s, "key", s->row.key);
    rb_text_time(s->row.created, at);
    rb_clock_span((s->row.ended ? s->row.ended : s->owned ? rb_clock_wall() : s->row.updated) - s->row.created, span);
    snprintf(line, sizeof(line), "%s, %s %s", at, s->row.ended ? "took" : "for", span);
    field(s, "started", line);
    if (json_object_size(json_object_get(v->start, "params"))) {
        const char *name;
        json_t *value;
        json_object_foreach(json_object_get(v->start, "params"), name, value)
        {
            rb_buf_reset(&b);
            rb_text_line(&b, name, strlen(name));
            rb_buf_adds(&b, " = ");
            rb_text_value(&b, value);
            field(s, "param", rb_buf_text(&b));
        }
    }
    rb_buf_release(&b);
}

static const char *state_word(const struct rb_node *p)
{
    static const char *const words[] = {"runs", "waits", "DOUBT", "stopped", "pass", "FAIL", "skip", "would"};
    return words[p->state];
}

static void paint(struct show *s, const struct rb_node *p)
{
    static const char *const codes[] = {"36", "33", "31", "33", "32", "31", "2", "33"};
    if (s->colour)
        rb_buf_addf(&s->out, "\x1b[%sm%-7s\x1b[0m ", codes[p->state], p->type == RB_NODE_BRANCH ? "" : state_word(p));
    else
        rb_buf_addf(&s->out, "%-7s ", p->type == RB_NODE_BRANCH ? "" : state_word(p));
}

static void notes_of(struct show *s, const struct rb_node *p, int depth)
{
    RB_LIST_EACH (it, &s->view.notes) {
        const struct rb_note *n = RB_CONTAINER(it, struct rb_note, link);
        const char *text = n->text ? n->text : "";
        if (n->node != p)
            continue;
        rb_buf_addf(&s->out, "%-7s %*s%s%s%s: ", "", p->parent ? depth * 2 + 2 : 0, "", n->kind,
                    n->name && *n->name ? " " : "", n->name ? n->name : "");
        for (;;) {
            size_t len = strcspn(text, "\n");
            rb_buf_addf(&s->out, "%.*s\n", (int)len, text);
            text += len;
            if (!*text++)
                break;
            rb_buf_addf(&s->out, "%-7s %*s", "", p->parent ? depth * 2 + 4 : 2, "");
        }
    }
}

static void tree(struct show *s, const struct rb_node *p, int depth)
{
    notes_of(s, p, depth ? depth - 1 : 0);
    RB_LIST_EACH (it, &p->children) {
        const struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        char span[16];
        paint(s, c);
        rb_buf_addf(&s->out, "%*s", depth * 2, "");
        if (c->type == RB_NODE_OP)
            rb_buf_addf(&s->out, "#%lld ", (long long)c->n);
        if (c->stage && *c->stage)
            rb_buf_addf(&s->out, "%s: ", c->stage);
        rb_buf_addf(&s->out, "%s%s", c->would ? "would: " : "", c->title);
        if (c->ended && c->started && c->type != RB_NODE_BRANCH) {
            rb_clock_span(c->ended - c->started, span);
            rb_buf_addf(&s->out, "  (%s)", span);
        }
        if (c->error && *c->error)
            rb_buf_addf(&s->out, "  %s", c->error);
        else if (c->type == RB_NODE_OP && c->last && *c->last) {
            rb_buf_adds(&s->out, "  ");
            rb_text_fit(&s->out, c->last, strlen(c->last), 100);
        }
        if (c->twice)
            rb_buf_adds(&s->out, "  (may have run twice)");
        rb_buf_addc(&s->out, '\n');
        tree(s, c, depth + 1);
    }
    if (p->ops)
        rb_buf_addf(&s->out, "        %*s%d operation%s (-v shows them)\n", depth * 2, "", p->ops,
                    p->ops == 1 ? "" : "s");
}

static void print(struct show *s)
{
    header(s);
    rb_buf_addc(&s->out, '\n');
    size_t before = s->out.len;
    tree(s, &s->view.root, 0);
    if (s->out.len > before)
        rb_buf_addc(&s->out, '\n');
    if (!rb_list_empty(&s->view.open)) {
        rb_buf_adds(&s->out, "open\n");
        rb_next_open(s->cli, &s->view, s->owned, &s->out);
    }
    if (!rb_list_empty(&s->view.undos)) {
        rb_buf_adds(&s->out, "can be undone, the last one first\n");
        for (struct rb_list *it = s->view.undos.prev; it != &s->view.undos; it = it->prev) {
            const struct rb_view_undo *u = RB_CONTAINER(it, struct rb_view_undo, link);
            rb_buf_addf(&s->out, "  %lld %s\n", (long long)u->n, u->title);
        }
    }
    if (rb_next_advice(&s->view))
        rb_buf_addf(&s->out, "%s\n", rb_next_advice(&s->view));
    if (!rb_view_asks(&s->view) && strcmp(s->view.status, "succeeded") != 0) {
        rb_buf_adds(&s->out, "next       ");
        rb_next_first(s->cli, &s->view, s->owned, &s->out);
        rb_buf_addc(&s->out, '\n');
    }
}

/* -- JSON ---------------------------------------------------------------------------------------------------------- */

static void json_nodes(struct show *s, struct rb_json *j, const struct rb_node *p)
{
    rb_json_array(j);
    RB_LIST_EACH (it, &p->children) {
        static const char *const types[] = {"branch", "step", "checklist", "check", "op"};
        static const char *const states[] = {"running", "waiting", "in_doubt", "stopped",
                                             "pass",    "fail",    "skip",     "would"};
        const struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        rb_json_object(j);
        rb_json_ktext(j, "key", c->key);
        rb_json_ktext(j, "type", types[c->type]);
        if (c->type != RB_NODE_BRANCH)
            rb_json_ktext(j, "state", states[c->state]);
        rb_json_ktext(j, "title", c->title);
        rb_json_ktext(j, "stage", c->stage);
        rb_json_ktext(j, "op", c->op);
        if (c->n)
            rb_json_kint(j, "n", c->n);
        rb_json_ktext(j, "error", c->error);
        if (c->twice)
            rb_json_kbool(j, "twice", true);
        rb_jsonout_time(j, "started", c->started);
        rb_jsonout_time(j, "ended", c->ended);
        if (!rb_list_empty(&c->children)) {
            rb_json_key(j, "children");
            json_nodes(s, j, c);
        }
        rb_json_end_object(j);
    }
    rb_json_end_array(j);
}

static void print_json(struct show *s)
{
    struct rb_view *v = &s->view;
    struct rb_json j;
    struct rb_buf next;
    rb_buf_init(&next, 64 << 10);
    rb_json_init(&j, &s->out);
    rb_json_object(&j);
    rb_json_ktext(&j, "id", v->id);
    rb_json_ktext(&j, "runbook", v->runbook);
    rb_json_ktext(&j, "title", v->title);
    rb_json_ktext(&j, "file", v->file);
    rb_json_ktext(&j, "status", s->row.status);
    rb_json_kbool(&j, "owned", s->owned);
    rb_json_ktext(&j, "error", v->error);
    rb_json_ktext(&j, "where", v->where);
    rb_json_ktext(&j, "actor", v->actor);
    rb_json_ktext(&j, "reason", v->reason);
    rb_json_kbool(&j, "dry", v->dry);
    rb_json_ktext(&j, "environment", v->environment);
    rb_json_ktext(&j, "freeze_override", v->override);
    if (v->destructive)
        rb_json_kbool(&j, "destructive", true);
    rb_json_kint(&j, "seq", s->row.seq);
    rb_jsonout_time(&j, "created", s->row.created);
    rb_jsonout_time(&j, "ended", s->row.ended);
    if (json_object_get(v->start, "params")) {
        char *text = json_dumps(json_object_get(v->start, "params"), JSON_COMPACT);
        rb_json_kraw(&j, "params", text, strlen(text));
        free(text);
    }
    rb_json_key(&j, "tree");
    json_nodes(s, &j, &v->root);
    rb_json_key(&j, "open");
    rb_json_array(&j);
    RB_LIST_EACH (it, &v->open) {
        const struct rb_node *p = RB_CONTAINER(it, struct rb_node, open);
        rb_json_object(&j);
        rb_json_kint(&j, "n", p->n);
        rb_json_ktext(&j, "op", p->op);
        rb_json_ktext(&j, "text", rb_node_text(p));
        rb_json_ktext(&j, "decision", rb_node_decision(p));
        rb_jsonout_time(&j, "until", p->until);
        rb_json_end_object(&j);
    }
    rb_json_end_array(&j);
    rb_json_key(&j, "undo");
    rb_json_array(&j);
    RB_LIST_EACH (it, &v->undos) {
        const struct rb_view_undo *u = RB_CONTAINER(it, struct rb_view_undo, link);
        rb_json_object(&j);
        rb_json_kint(&j, "n", u->n);
        rb_json_ktext(&j, "title", u->title);
        rb_json_end_object(&j);
    }
    rb_json_end_array(&j);
    rb_next_commands(s->cli, v, s->owned, &next);
    rb_jsonout_lines(&j, "next", rb_buf_text(&next));
    rb_json_end_object(&j);
    rb_buf_addc(&s->out, '\n');
    rb_buf_release(&next);
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct show s = {.cli = cli, .colour = rb_cli_color(cli, STDOUT_FILENO)};
    struct rb_err err;
    const struct values *v = values;
    int code = rb_cli_run(cli, RB_CLI_READ, argc ? argv[0] : NULL, &s.row);
    if (code)
        return code;
    rb_text_locale();
    rb_buf_init(&s.out, 1u << 30);
    rb_view_init(&s.view, s.row.id);
    rb_view_keep(&s.view, cli->verbose > 0, true);
    s.owned = rb_cmd_owned(cli, &s.row);
    if (rb_store_events(cli->store, s.row.id, 0, on_event, &s, &err) < 0 ||
        rb_view_load_signals(&s.view, cli->store, &err) < 0)
        code = rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    else if (cli->json > 0)
        print_json(&s);
    else if (v->checks)
        rb_checks_table(&s.view, &s.out);
    else
        print(&s);
    code = rb_cli_put(&s.out, code);
    rb_buf_release(&s.out);
    rb_view_release(&s.view);
    rb_run_row_release(&s.row);
    return code;
}

const struct rb_cmd rb_cmd_show = {
    .name = "show",
    .group = "Look",
    .operands = "[RUN]",
    .summary = "one run: its steps and evidence, what it waits for, what to do next",
    .example = "rbhost show 7h2mc\n"
               "rbhost show --checks",
    .text = "Without RUN: the latest. -v shows every operation.",
    .max = 1,
    .operand = RB_ARG_RUN,
    .options = options,
    .values = sizeof(struct values),
    .run = run,
};
