/* What a run may reach: the header's `allow`, and the site's policy in the configuration, which narrows it further.
 * Asked in the way of an op, before its intent (effect.c).
 *
 * Names, by kind:
 *   exec    the command and its arguments, joined by spaces: "git verify-tag v1"; a pattern without a space is held
 *           against argv[0] alone
 *   http    "METHOD URL", the URL as it will be asked for; each hop of a redirect is asked about again
 *   sql     the name of a DSN of the configuration, else the DSN without its password
 *   file    the absolute path, without . and ..
 *   notify  the channel */
#ifndef RB_POLICY_H
#define RB_POLICY_H

#include "base/err.h"

struct rb_run;

/* RB_EDENIED with a sentence that names what was refused, by whom, and what to do. */
int rb_policy_check(const struct rb_run *run, const char *kind, const char *name, struct rb_err *err);

#endif
