/* Freeze windows of the site's policy: times in which runs do not start. */
#ifndef RB_FREEZE_H
#define RB_FREEZE_H

#include <jansson.h>

#include "front/cli.h"

struct rb_freeze {
    size_t index;       /* of the window, from 1 */
    int64_t until;      /* wall µs: when it ends */
    const char *reason; /* borrowed from the policy */
};

/* Is a runbook of this name frozen at this time (wall µs)? The window that ends last counts. policy: the
 * configuration's, checked; may be NULL. */
bool rb_freeze_at(const json_t *policy, const char *runbook, int64_t at, struct rb_freeze *out);

/* Nothing starts in a freeze window, unless somebody says why: 0, or the exit code after saying so. override: the
 * reason; NULL none. *recorded (owned; replaced): JSON {"reason","window","until"} for the journal when one was
 * overridden. */
int rb_freeze_thaw(struct rb_cli *cli, const char *runbook, const char *override, char **recorded);

#endif
