/* What a person may answer to an open operation: checked before it is sent, by the prompt and by the commands. */
#ifndef RB_ANSWER_H
#define RB_ANSWER_H

#include "engine/run.h"
#include "front/view.h"

/* The type of the value that a manual step wants: string integer number boolean choice; NULL: none. Borrowed. */
const char *rb_answer_type(const struct rb_node *node);

/* A typed value as JSON of the type that the step states; without one: JSON as it is, anything else a string. RB_EINVAL
 * with a sentence. */
int rb_answer_value(const struct rb_node *node, const char *text, struct rb_buf *json, struct rb_err *err);

/* Is this gate for this actor to decide? RB_EDENIED with a sentence. The run's owner checks it again. */
int rb_answer_allowed(const struct rb_node *node, const struct rb_actor *actor, const char *requester,
                      struct rb_err *err);

#endif
