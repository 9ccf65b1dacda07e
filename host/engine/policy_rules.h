/* Patterns of the policy, compiled: what `allow` and `deny` may say for each kind of reach (docs/policy.md). Matching
 * allocates nothing but the parts of an ssh name. */
#ifndef RB_POLICY_RULES_H
#define RB_POLICY_RULES_H

#include <jansson.h>

#include "base/err.h"

enum rb_reach {
    RB_REACH_EXEC,
    RB_REACH_HTTP,
    RB_REACH_SSH,
    RB_REACH_SQL,
    RB_REACH_FILE,
    RB_REACH_NOTIFY,
    RB_REACH_COUNT
};

/* "exec" …; NULL past the last. */
const char *rb_reach_name(enum rb_reach kind);
/* RB_REACH_COUNT: it is none. */
enum rb_reach rb_reach_of(const char *name);

struct rb_rule;

/* The patterns of one kind. `stated` without any: nothing. */
struct rb_rules {
    bool stated, wide;
    struct rb_rule *list;
    size_t n;
};

/* What a table { exec = {…}, http = {…} } says. */
struct rb_rule_set {
    bool stated; /* there is a table: what it does not name is not in it */
    struct rb_rules kinds[RB_REACH_COUNT];
};

/* table: JSON object, or NULL: nothing is stated. folder: absolute, where relative patterns of files begin. wide: the
 * patterns forbid, so what they leave open is all of it (any port; a program by any path). */
void rb_rules_compile(struct rb_rule_set *set, const json_t *table, const char *folder, bool wide);
void rb_rules_release(struct rb_rule_set *set);

/* The pattern that the name matches, as it was written; NULL: none. name: as policy.h has it for the kind. *bad: a
 * pattern, or the name, that can not be judged (then nothing was matched), and why. base (of files; may be NULL):
 * length of the part of the path that the pattern names without wildcards, a folder. */
const char *rb_rules_match(const struct rb_rules *rules, enum rb_reach kind, const char *name, const char **bad,
                           size_t *base);

/* Does a pattern of http name this host literally, with this port (0: any)? For addresses (policy.h). */
bool rb_rules_names_host(const struct rb_rules *rules, const char *host, int port);

/* Is what this pattern of the header names within the site's patterns? MAYBE: a part of it, or that can not be said. */
enum rb_within { RB_WITHIN_NO, RB_WITHIN_MAYBE, RB_WITHIN_YES };
enum rb_within rb_rules_within(const struct rb_rules *site, enum rb_reach kind, const struct rb_rules *header,
                               size_t i);

const char *rb_rule_text(const struct rb_rules *rules, size_t i);

/* The absolute path without ".", ".." and double slashes; false: it does not fit, or is not absolute. */
bool rb_policy_path(const char *path, char *out, size_t n);

/* `*` is any text without a character of `stops`, `**` any text. */
bool rb_policy_glob(const char *pattern, size_t pn, const char *text, size_t tn, const char *stops);

#endif
