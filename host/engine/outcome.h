/* The outcome of an op as Lua value and as journal event, both ways. */
#ifndef RB_OUTCOME_H
#define RB_OUTCOME_H

#include "engine/core.h"

/* Makes the Lua value or error of a finished op (e->value_ref) and the data of its result event. Never raises. */
void rb_outcome_build(struct rb_effect *e, struct rb_buf *event);

/* Makes e->value_ref from a recorded result event. Non-zero: the event can not be read. */
int rb_outcome_read(struct rb_effect *e, const struct rb_recorded *ev, struct rb_err *err);

#endif
