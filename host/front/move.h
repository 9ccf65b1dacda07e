/* A run between two journals: the event that ends it in one, and the one that it begins with in the other. */
#ifndef RB_MOVE_H
#define RB_MOVE_H

#include "front/cli.h"

/* Claims the run, appends `run.moved` with this status, and gives it up again. `field` ("to" or "from") names the file.
 * `was` is the status to go back to; NULL: none is recorded. RB_EBUSY when a living process owns it. */
int rb_move_mark(struct rb_store *s, const char *id, const char *status, const char *field, const char *file,
                 const char *was, struct rb_err *err);

/* The status that the run had before its last `run.moved`; "parked" when none is recorded. Into out. */
int rb_move_was(struct rb_store *s, const char *id, char out[24], struct rb_err *err);

#endif
