/* The start of a child, up to the moment it exists. Only for io/proc.c and io/receipt.c. */
#ifndef RB_PROC_SPAWN_H
#define RB_PROC_SPAWN_H

#include <sys/types.h>

#include "io/proc.h"

/* Starts opt's command in a session of its own with fds[0..2] as its input, output and errors (borrowed; none of them
 * is 0, 1 or 2, rb_loop_init() sees to that), every signal at its default and unblocked, and no other descriptor.
 * Errors as rb_proc_start(). */
int rb_proc_spawn(const struct rb_proc_options *opt, const int fds[3], pid_t *pid, struct rb_err *err);

/* The parts of it. find: the folder that the command starts in (AT_FDCWD; the caller closes others, also after a
 * failure) and its program, as seen from there (initialised, to be released, also after a failure). */
int rb_proc_find(const struct rb_proc_options *opt, int *dir, struct rb_buf *path, struct rb_err *err);

struct rb_proc_size { /* of arguments and environment, for the error that they are too much */
    size_t longest, total;
};
void rb_proc_measure(const struct rb_proc_options *opt, struct rb_proc_size *size);

/* The program is there and may be executed, yet the system refused with errnum: says why. */
int rb_proc_explain(int errnum, int dir, const char *path, const char *cwd, const struct rb_proc_size *size,
                    struct rb_err *err);

#endif
