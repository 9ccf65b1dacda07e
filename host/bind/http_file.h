/* The files of a request: of its body, and the one that its answer is saved to. For bind/ only. */
#ifndef RB_BIND_HTTP_FILE_H
#define RB_BIND_HTTP_FILE_H

#include "base/err.h"

struct rb_run;

/* Opens what the run's policy lets it reach under this path, by whatever links, and nothing else: a file for reading;
 * or, where name is given (256 bytes, filled), the folder in which that name is to be written. A descriptor, or -1 with
 * err: RB_EDENIED is the policy's no. */
int rb_http_file_open(const struct rb_run *run, const char *path, char *name, struct rb_err *err);

#endif
