/* Parameters in the patterns of a header: "{api}/health" is the health of the API that the run was given. */
#ifndef RB_POLICY_PARAMS_H
#define RB_POLICY_PARAMS_H

#include <jansson.h>
#include <stdbool.h>

/* A new table as `allow` (docs/policy.md), each {name} replaced by the value of that parameter of params (an object).
 * Borrows both. What has no value, or one that would be a wildcard, leaves its pattern out. */
json_t *rb_policy_fill(const json_t *allow, const json_t *params);

bool rb_policy_has_params(const char *pattern);

#endif
