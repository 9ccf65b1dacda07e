/* Owns the knowledge of which command helps in which state. Knows no terminal and runs nothing. */
#include "front/next.h"

#include <string.h>

#include "front/again.h"
#include "front/answer.h"
#include "front/text.h"

static bool is(const struct rb_view *v, const char *status)
{
    return strcmp(v->status, status) == 0;
}

/* One that could be retried. */
static bool failed(const struct rb_view *v)
{
    return !v->undone && (is(v, "failed") || is(v, "timed_out") || is(v, "denied"));
}

const char *rb_next_advice(const struct rb_view *v)
{
    return failed(v) && v->hopeless
               ? "a retry goes by the source that the run began with, and would fail in the same way: mend the runbook"
               : NULL;
}

void rb_next_decide(const struct rb_cli *cli, const struct rb_view *v, const struct rb_node *p, bool owned,
                    const char *indent, struct rb_buf *out)
{
    const char *self = rb_cli_self(cli), *what = rb_node_decision(p), *go = owned ? "" : " --resume";
    long long n = (long long)p->n;
    if (!what || p->answered)
        return;
    if (strcmp(what, "approve") == 0) {
        rb_buf_addf(out, "%s%s approve %s %lld%s\n", indent, self, v->id, n, go);
        rb_buf_addf(out, "%s%s deny %s %lld%s\n", indent, self, v->id, n, go);
    } else if (strcmp(what, "answer") == 0) {
        rb_buf_addf(out, "%s%s answer %s %lld %s%s\n", indent, self, v->id, n,
                    rb_answer_type(p) ? "--value VALUE" : "done", go);
        rb_buf_addf(out, "%s%s answer %s %lld failed%s\n", indent, self, v->id, n, go);
    } else if (strcmp(what, "resolve") == 0) {
        static const char *const as[] = {"done", "retry", "fail"};
        for (size_t i = 0; i < RB_COUNT(as); i++)
            rb_buf_addf(out, "%s%s resolve %s %lld %s%s\n", indent, self, v->id, n, as[i], go);
    } else {
        const char *name = json_string_value(json_is_string(p->args) ? p->args : json_object_get(p->args, "name"));
        rb_buf_addf(out, "%s%s signal %s ", indent, self, v->id);
        rb_text_shell(out, name ? name : "NAME");
        rb_buf_addf(out, "%s\n", go);
    }
}

void rb_next_commands(const struct rb_cli *cli, const struct rb_view *v, bool owned, struct rb_buf *out)
{
    const char *self = rb_cli_self(cli);
    RB_LIST_EACH (it, &v->open)
        rb_next_decide(cli, v, RB_CONTAINER(it, struct rb_node, open), owned, "", out);
    if (owned)
        rb_buf_addf(out, "%s attach %s\n", self, v->id);
    else if (is(v, "running") || is(v, "waiting") || is(v, "in_doubt") || is(v, "parked") || is(v, "undoing") ||
             is(v, "lost")) /* by this process; the journal knows it as running */
        rb_buf_addf(out, "%s resume %s\n", self, v->id);
    else if (is(v, "moved"))
        rb_buf_addf(out, "%s resume %s --take-back\n", self, v->id);
    else if (failed(v) && v->hopeless) {
        rb_again_command(cli, v, out);
        rb_buf_addc(out, '\n');
    } else if (failed(v))
        rb_buf_addf(out, "%s retry %s\n", self, v->id);
    if (!owned && !rb_list_empty(&v->undos) &&
        (is(v, "failed") || is(v, "cancelled") || is(v, "denied") || is(v, "timed_out"))) {
        rb_buf_addf(out, "%s undo %s\n", self, v->id);
        if (v->undone) { /* the one that has failed is the last of them */
            const struct rb_view_undo *u = RB_CONTAINER(v->undos.prev, struct rb_view_undo, link);
            rb_buf_addf(out, "%s undo %s --skip %lld --reason WHY\n", self, v->id, (long long)u->n);
        }
    }
    if (!owned && (is(v, "succeeded") || is(v, "failed") || is(v, "cancelled") || is(v, "denied") ||
                   is(v, "timed_out") || is(v, "undone")))
        rb_buf_addf(out, "%s show %s\n", self, v->id);
}

void rb_next_open(const struct rb_cli *cli, const struct rb_view *v, bool owned, struct rb_buf *out)
{
    RB_LIST_EACH (it, &v->open) {
        const struct rb_node *p = RB_CONTAINER(it, struct rb_node, open);
        const char *decided = p->answered ? " (decided; it counts as soon as the run goes on)" : "";
        if (p->state == RB_NODE_DOUBT)
            rb_buf_addf(out, "  #%lld in doubt: %s: did it happen?%s%s%s%s\n", (long long)p->n, p->title,
                        p->error ? " (" : "", p->error ? p->error : "", p->error ? ")" : "", decided);
        else if (p->until && !rb_node_decision(p)) {
            char at[24];
            rb_text_time(p->until, at);
            rb_buf_addf(out, "  #%lld %s, until %s\n", (long long)p->n, p->title, at);
        } else
            rb_buf_addf(out, "  #%lld %s: %s%s\n", (long long)p->n, p->op ? p->op : "waits", rb_node_text(p), decided);
        rb_next_decide(cli, v, p, owned, "      ", out);
    }
}

void rb_next_running(struct rb_view *v, struct rb_buf *out)
{
    size_t i;
    json_t *e;
    json_array_foreach(v->running, i, e)
    {
        const char *key = json_string_value(json_object_get(e, "key"));
        int64_t n = json_integer_value(json_object_get(e, "n"));
        const struct rb_node *p = n ? rb_view_find(v, n) : NULL;
        bool runs_on = json_is_true(json_object_get(e, "runs_on"));
        rb_buf_adds(out, runs_on ? "  goes on without the host: " : "  was running: ");
        if (n)
            rb_buf_addf(out, "#%lld ", (long long)n);
        if (p)
            rb_buf_adds(out, p->title);
        else if (key)
            rb_text_line(out, key, strlen(key));
        rb_buf_addc(out, '\n');
    }
}

void rb_next_first(const struct rb_cli *cli, const struct rb_view *v, bool owned, struct rb_buf *out)
{
    struct rb_buf all;
    rb_buf_init(&all, 64 << 10);
    rb_next_commands(cli, v, owned, &all);
    rb_buf_add(out, rb_buf_text(&all), strcspn(rb_buf_text(&all), "\n"));
    rb_buf_release(&all);
}
