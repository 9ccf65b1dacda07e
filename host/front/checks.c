/* Owns the table of a run's checks: one row each, in the order of the runbook: stage, check, verdict, how it was
 * proved. */
#include <stdlib.h>
#include <string.h>

#include "front/display.h"
#include "front/text.h"

enum { STAGE, CHECK, VERDICT, PROOF, COLUMNS };

#define CELL_MAX 60   /* columns of the first two; what is longer is cut */
#define PROOF_MAX 100 /* of the last, which pads nothing */

struct table {
    char *(*rows)[COLUMNS];
    size_t count, width[COLUMNS];
};

static char *cell(const char *text, size_t columns)
{
    struct rb_buf b;
    rb_buf_init(&b, 4096);
    size_t first = strcspn(text, "\n");
    rb_text_fit(&b, text, first, columns);
    return b.len ? rb_buf_detach(&b) : rb_strdup("");
}

static bool within(const struct rb_node *node, const struct rb_node *above)
{
    while (node && node != above)
        node = node->parent;
    return node;
}

/* The evidence that it and what lies below it have kept; of one that failed, why. */
static char *proof(const struct rb_view *v, const struct rb_node *node)
{
    struct rb_buf b;
    if (node->error && *node->error)
        return cell(node->error, PROOF_MAX);
    rb_buf_init(&b, 4096);
    RB_LIST_EACH (it, &v->notes) {
        const struct rb_note *n = RB_CONTAINER(it, struct rb_note, link);
        if (strcmp(n->kind, "evidence") == 0 && within(n->node, node))
            rb_buf_addf(&b, "%s%s: %.*s", b.len ? "; " : "", n->name ? n->name : "",
                        n->text ? (int)strcspn(n->text, "\n") : 0, n->text ? n->text : "");
    }
    char *text = cell(rb_buf_text(&b), PROOF_MAX);
    rb_buf_release(&b);
    return text;
}

static void add(struct table *t, char *const cells[COLUMNS])
{
    t->rows = rb_realloc(t->rows, (t->count + 1) * sizeof(*t->rows));
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t width = rb_text_width(cells[i], strlen(cells[i]));
        t->rows[t->count][i] = cells[i];
        t->width[i] = width > t->width[i] ? width : t->width[i];
    }
    t->count++;
}

static void collect(struct table *t, const struct rb_view *v, const struct rb_node *p)
{
    static const char *const verdicts[] = {"runs", "waits", "in doubt", "stopped", "pass", "FAIL", "skip", "would"};
    RB_LIST_EACH (it, &p->children) {
        const struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        if (c->type == RB_NODE_CHECK)
            add(t, (char *[COLUMNS]){cell(c->stage ? c->stage : "", CELL_MAX), cell(c->title, CELL_MAX),
                                     rb_strdup(verdicts[c->state]), proof(v, c)});
        collect(t, v, c);
    }
}

void rb_checks_table(const struct rb_view *v, struct rb_buf *out)
{
    struct table t = {0};
    add(&t, (char *[COLUMNS]){rb_strdup("stage"), rb_strdup("check"), rb_strdup("verdict"), rb_strdup("proof")});
    collect(&t, v, &v->root);
    for (size_t row = 0; row < t.count; row++) {
        for (size_t i = 0; i < COLUMNS; i++) {
            const char *text = t.rows[row][i];
            rb_buf_adds(out, text);
            if (i + 1 < COLUMNS)
                rb_text_pad(out, t.width[i] - rb_text_width(text, strlen(text)) + 2);
            free(t.rows[row][i]);
        }
        while (out->len && out->data[out->len - 1] == ' ')
            out->data[--out->len] = '\0';
        rb_buf_addc(out, '\n');
    }
    if (t.count == 1)
        rb_buf_adds(out, "(this run has no checks)\n");
    free(t.rows);
}
