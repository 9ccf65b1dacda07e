/* What a runbook may reach, in words: its header's `allow` and the policy of the configuration, which narrows it. */
#ifndef RB_REACH_H
#define RB_REACH_H

#include <jansson.h>

#include "base/buf.h"

/* One line: "exec git, docker; http http://127.0.0.1:*; nothing else". allow: of the header, NULL: it has none. policy:
 * of the configuration, NULL: none. folder: the runbook's, absolute, where relative paths begin; NULL: not known. */
void rb_reach_short(const json_t *allow, const json_t *policy, const char *folder, struct rb_buf *out);

/* A line for each kind, indented: what is allowed, what of it the site refuses, what it forbids. */
void rb_reach_lines(const json_t *allow, const json_t *policy, const char *folder, struct rb_buf *out);

/* {"exec": {"allow": true | false | […], "refused": […], "site": […], "deny": […]}, …}: allow true is everything, false
 * nothing; refused: what the header names and the site surely does not; site: what the site narrows it to. A new
 * reference. */
json_t *rb_reach_json(const json_t *allow, const json_t *policy, const char *folder);

#endif
