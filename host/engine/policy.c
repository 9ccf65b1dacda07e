/* Owns the question whether a run may reach something. Knows no primitive beyond the names of policy.h. */
#include "engine/policy.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "engine/core.h"

/* A bare name is the one of PATH; a path is named as a path. */
static bool exec_matches(const char *pattern, const char *name)
{
    char command[4096];
    if (strchr(pattern, ' '))
        return fnmatch(pattern, name, 0) == 0;
    snprintf(command, sizeof(command), "%.*s", (int)strcspn(name, " "), name);
    return fnmatch(pattern, command, FNM_PATHNAME) == 0;
}

int rb_policy_check(const struct rb_run *run, const char *kind, const char *name, struct rb_err *err)
{
    int rc = RB_OK;
    json_t *header = json_loads(run->header_json, 0, NULL);
    const json_t *allow = json_object_get(header, "allow"), *list = json_object_get(allow, kind), *pattern;
    size_t i;
    bool found = !allow;
    json_array_foreach((json_t *)list, i, pattern)
    {
        found = found || (strcmp(kind, "exec") == 0 ? exec_matches(json_string_value(pattern), name)
                                                    : fnmatch(json_string_value(pattern), name, 0) == 0);
    }
    if (!found)
        rc = rb_err_set(err, RB_EDENIED,
                        "%s: `%.300s` is not in the runbook's reach (allow = { %s = { … } } in the header)", kind, name,
                        kind);
    json_decref(header);
    return rc;
}
