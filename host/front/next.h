/* What a person can do next with a run: exact commands, the same in summaries, `show`, bare `rbhost` and JSON. */
#ifndef RB_NEXT_H
#define RB_NEXT_H

#include "front/view.h"

/* Adds the commands that fit the run's status and what is open in it, one a line, the likeliest first. owned: a living
 * process holds it. */
void rb_next_commands(const struct rb_cli *cli, const struct rb_view *v, bool owned, struct rb_buf *out);

/* What a person has to do before those, one line; NULL: nothing. */
const char *rb_next_advice(const struct rb_view *v);

/* The commands that settle one open node, one a line behind the indent. */
void rb_next_decide(const struct rb_cli *cli, const struct rb_view *v, const struct rb_node *node, bool owned,
                    const char *indent, struct rb_buf *out);

/* What is open, for people, each with its commands, indented: "  #14 approve: Promote v2?" … */
void rb_next_open(const struct rb_cli *cli, const struct rb_view *v, bool owned, struct rb_buf *out);

/* What runs on after a park, one line each. */
void rb_next_running(struct rb_view *v, struct rb_buf *out);

/* The first command only, on one line. */
void rb_next_first(const struct rb_cli *cli, const struct rb_view *v, bool owned, struct rb_buf *out);

#endif
