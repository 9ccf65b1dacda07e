/* Owns the text of notices. Which command helps is next.c's. */
#include "front/notice.h"

#include <stdlib.h>
#include <string.h>

#include "front/next.h"
#include "front/text.h"

/* "release-managers", "anna, ben": who may answer. */
static void who(const struct rb_node *p, struct rb_buf *out)
{
    json_t *by = json_object_get(p->args, "by"), *one;
    size_t i;
    if (json_is_string(by) && *json_string_value(by))
        rb_buf_adds(out, json_string_value(by));
    json_array_foreach(by, i, one)
        rb_buf_addf(out, "%s%s", i ? ", " : "", json_string_value(one) ? json_string_value(one) : "");
}

static void open_questions(const struct rb_cli *cli, const struct rb_view *v, bool doubts, bool stays,
                           struct rb_buf *out)
{
    RB_LIST_EACH (it, &v->open) {
        const struct rb_node *p = RB_CONTAINER(it, struct rb_node, open);
        struct rb_buf by;
        if (p->answered || !rb_node_decision(p) || (p->state == RB_NODE_DOUBT) != doubts)
            continue;
        rb_buf_init(&by, 1000);
        who(p, &by);
        if (by.len)
            rb_buf_addf(out, "  #%lld is for %s\n", (long long)p->n, rb_buf_text(&by));
        rb_buf_release(&by);
    }
    rb_next_open(cli, v, stays, out);
}

void rb_notice_text(const struct rb_cli *cli, struct rb_view *v, const char *state, const char *error, bool stays,
                    struct rb_buf *out)
{
    bool waits = strcmp(state, "waiting") == 0, doubt = strcmp(state, "in_doubt") == 0;
    if (error && *error)
        rb_buf_addf(out, "%s\n", error);
    if (strcmp(state, "parked") == 0)
        rb_next_running(v, out);
    if (waits || doubt) {
        open_questions(cli, v, doubt, stays, out);
    } else {
        char *status = v->status; /* as it will be in a moment */
        struct rb_buf next;
        v->status = rb_strdup(state);
        rb_buf_init(&next, 8192);
        rb_next_commands(cli, v, false, &next);
        const char *rest = rb_buf_text(&next), *line;
        size_t n;
        while (rb_text_next(&rest, &line, &n))
            rb_buf_addf(out, "  %.*s\n", (int)n, line);
        rb_buf_release(&next);
        free(v->status);
        v->status = status;
    }
    while (out->len && out->data[out->len - 1] == '\n')
        out->data[--out->len] = '\0';
}
