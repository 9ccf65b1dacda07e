/* run --detach: the run goes on in a process of its own, and its id is printed. */
#ifndef RB_DETACH_H
#define RB_DETACH_H

#include "front/cli.h"

/* Forks before there is a thread or a loop. Returns -1 in the child, which goes on and has *ready_fd; in the parent the
 * exit code. */
int rb_detach(struct rb_cli *cli, int *ready_fd);

/* The child, once its run exists: output goes to the run's log file, then the parent is told the id. Closes
 * *ready_fd. */
void rb_detached(int *ready_fd, const char *run);

#endif
