/* What people are told of a run that needs them or has ended: the same commands as its last words. */
#ifndef RB_FRONT_NOTICE_H
#define RB_FRONT_NOTICE_H

#include "front/view.h"

/* state as in the header's `notify`; error may be NULL; stays: a living process goes on driving it. */
void rb_notice_text(const struct rb_cli *cli, struct rb_view *v, const char *state, const char *error, bool stays,
                    struct rb_buf *out);

#endif
