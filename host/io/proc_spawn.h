/* The start of a child, up to the moment it exists. Only for io/proc.c. */
#ifndef RB_PROC_SPAWN_H
#define RB_PROC_SPAWN_H

#include <sys/types.h>

#include "io/proc.h"

/* Starts opt's command in a session of its own with fds[0..2] as its input, output and errors (borrowed; none of them
 * is 0, 1 or 2, rb_loop_init() sees to that), every signal at its default and unblocked, and no other descriptor.
 * Errors as rb_proc_start(). */
int rb_proc_spawn(const struct rb_proc_options *opt, const int fds[3], pid_t *pid, struct rb_err *err);

#endif
