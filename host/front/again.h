/* What helps a run that has failed: a retry, which goes by the source that the run began with, or only a mended runbook
 * that is run anew. */
#ifndef RB_AGAIN_H
#define RB_AGAIN_H

#include "front/view.h"

/* Would a retry fail in the same way, as far as the run's end (the data of run.end) tells? */
bool rb_again_hopeless(const json_t *end);

/* "rbhost run FILE key=value …": the run once more from its beginning, with the parameters it had. */
void rb_again_command(const struct rb_cli *cli, const struct rb_view *v, struct rb_buf *out);

#endif
