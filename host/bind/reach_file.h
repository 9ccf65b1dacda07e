/* A file that an op reaches for by its path: as those of file.read and file.write are, by their own opener, each link
 * on the way asked about. The asking is the loop's, the opening and reading the pool's: no disk holds anybody up. For
 * bind/ only. */
#ifndef RB_BIND_REACH_FILE_H
#define RB_BIND_REACH_FILE_H

#include "engine/effect.h"
#include "io/file.h"

struct rb_reach_file;

/* f: what was asked for; with rc 0 it is done (whoever takes its descriptors leaves -1 there), else message says why
 * not: RB_EDENIED is the policy's no, RB_EIO all else. Once, never from within rb_reach_file(); f is gone
 * afterwards. */
typedef void rb_reached_fn(void *arg, struct rb_file *f, int rc, const char *message);

/* Takes f (rb_file_new(), with what its verb wants but for the place) and reaches for the path, which the
 * policy is asked about by that kind ("file", "sql"). On failure nothing was
 * begun, f is gone, and on_reached does not come. The effect is borrowed until on_reached or rb_reach_file_leave(). */
int rb_reach_file(struct rb_effect *e, struct rb_file *f, const char *kind, const char *path, rb_reached_fn *on_reached,
                  void *arg, struct rb_reach_file **out, struct rb_err *err);
/* Names the op in f's temporary files, by what stays the same when it is done again. */
void rb_reach_tag(const struct rb_effect *e, struct rb_file *f);
/* Nobody waits for it any more: on_reached does not come, and it frees itself. */
void rb_reach_file_leave(struct rb_reach_file *r);

#endif
