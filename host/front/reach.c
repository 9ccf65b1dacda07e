/* Owns the words for what a runbook may reach. Decides nothing: that is engine/policy.c's, in the way of each op. */
#include "front/reach.h"

#include <stdlib.h>
#include <string.h>

#include "engine/policy_params.h"
#include "engine/policy_rules.h"
#include "front/text.h"

/* One kind, as far as patterns can be compared. */
struct kind {
    const char *name;
    bool nothing, everything;
    json_t *allowed;    /* patterns that hold: the header's or the site's */
    json_t *refused;    /* the header's that the site does not have at all */
    const json_t *site; /* the site's, where some of the header's may be partly outside; NULL */
    const json_t *deny; /* borrowed; NULL */
    const char *by;     /* who refuses all of it: "header", "site"; NULL */
};

struct reach {
    struct rb_rule_set header, site;
    struct kind kinds[RB_REACH_COUNT];
};

static void compare(struct reach *r, enum rb_reach k, const json_t *mine)
{
    struct kind *kind = &r->kinds[k];
    const json_t *pattern;
    bool part = false;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)mine, i, pattern)
    {
        const char *text = rb_rule_text(&r->header.kinds[k], i);
        enum rb_within w = rb_policy_has_params(text) ? RB_WITHIN_MAYBE /* the values say it */
                                                      : rb_rules_within(&r->site.kinds[k], k, &r->header.kinds[k], i);
        json_array_append(w == RB_WITHIN_NO ? kind->refused : kind->allowed, (json_t *)(uintptr_t)pattern);
        part = part || w == RB_WITHIN_MAYBE;
    }
    if (!part)
        kind->site = NULL;
    kind->nothing = json_array_size(kind->allowed) == 0;
    kind->by = kind->nothing ? "site" : NULL;
}

static void look(struct reach *r, const json_t *allow, const json_t *policy, const char *folder)
{
    const json_t *site = json_object_get(policy, "allow"), *deny = json_object_get(policy, "deny");
    rb_rules_compile(&r->header, allow, folder ? folder : "/", false);
    rb_rules_compile(&r->site, site, NULL, false);
    for (unsigned k = 0; k < RB_REACH_COUNT; k++) {
        struct kind *kind = &r->kinds[k];
        const json_t *mine = json_object_get(allow, rb_reach_name((enum rb_reach)k)),
                     *theirs = json_object_get(site, rb_reach_name((enum rb_reach)k));
        *kind = (struct kind){.name = rb_reach_name((enum rb_reach)k),
                              .allowed = json_array(),
                              .refused = json_array(),
                              .deny = json_object_get(deny, rb_reach_name((enum rb_reach)k)),
                              .site = mine ? theirs : NULL};
        if (!json_array_size(kind->deny))
            kind->deny = NULL;
        if (allow && !json_array_size(mine)) {
            kind->nothing = true;
            kind->by = "header";
        } else if (site && !json_array_size(theirs)) {
            kind->nothing = true;
            kind->by = "site";
            if (mine)
                json_array_extend(kind->refused, (json_t *)(uintptr_t)mine);
        } else if (allow && site) {
            compare(r, (enum rb_reach)k, mine);
        } else if (allow || site) {
            json_array_extend(kind->allowed, (json_t *)(uintptr_t)(allow ? mine : theirs));
        } else {
            kind->everything = true;
        }
    }
}

static void release(struct reach *r)
{
    rb_rules_release(&r->header);
    rb_rules_release(&r->site);
    for (size_t k = 0; k < RB_REACH_COUNT; k++) {
        json_decref(r->kinds[k].allowed);
        json_decref(r->kinds[k].refused);
    }
}

static void add_names(struct rb_buf *out, const json_t *list)
{
    const json_t *e;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, e)
    {
        const char *text = json_string_value(e);
        rb_buf_adds(out, i ? ", " : "");
        rb_text_line(out, text ? text : "", text ? strlen(text) : 0);
    }
}

void rb_reach_short(const json_t *allow, const json_t *policy, const char *folder, struct rb_buf *out)
{
    struct reach r;
    bool first = true, all = true;
    look(&r, allow, policy, folder);
    for (size_t i = 0; i < RB_REACH_COUNT; i++) {
        const struct kind *k = &r.kinds[i];
        all = all && k->everything;
        if (k->nothing || k->everything)
            continue;
        rb_buf_addf(out, "%s%s ", first ? "" : "; ", k->name);
        add_names(out, k->allowed);
        first = false;
    }
    rb_buf_adds(out, all ? "everything" : first ? "nothing" : "; nothing else");
    for (size_t i = 0; i < RB_REACH_COUNT; i++) {
        if (!r.kinds[i].deny || r.kinds[i].nothing)
            continue;
        rb_buf_addf(out, "; never %s ", r.kinds[i].name);
        add_names(out, r.kinds[i].deny);
    }
    release(&r);
}

void rb_reach_lines(const json_t *allow, const json_t *policy, const char *folder, struct rb_buf *out)
{
    struct reach r;
    look(&r, allow, policy, folder);
    for (size_t i = 0; i < RB_REACH_COUNT; i++) {
        const struct kind *k = &r.kinds[i];
        rb_buf_addf(out, "  %-9s ", k->name);
        if (k->everything)
            rb_buf_adds(out, "everything");
        else if (k->nothing && strcmp(k->by, "header") == 0)
            rb_buf_adds(out, "nothing");
        else if (k->nothing)
            rb_buf_adds(out, "nothing: the site's policy refuses it");
        else
            add_names(out, k->allowed);
        rb_buf_addc(out, '\n');
        if (json_array_size(k->refused)) {
            rb_buf_addf(out, "  %-9s the site refuses ", "");
            add_names(out, k->refused);
            rb_buf_addc(out, '\n');
        }
        if (k->site && !k->nothing) {
            rb_buf_addf(out, "  %-9s and of these only what the site allows: ", "");
            add_names(out, k->site);
            rb_buf_addc(out, '\n');
        }
        if (k->deny && !k->nothing) {
            rb_buf_addf(out, "  %-9s never ", "");
            add_names(out, k->deny);
            rb_buf_addc(out, '\n');
        }
    }
    release(&r);
}

json_t *rb_reach_json(const json_t *allow, const json_t *policy, const char *folder)
{
    struct reach r;
    json_t *all = json_object();
    look(&r, allow, policy, folder);
    for (size_t i = 0; i < RB_REACH_COUNT; i++) {
        const struct kind *k = &r.kinds[i];
        json_t *one = json_object();
        json_object_set_new(one, "allow",
                            k->everything ? json_true()
                            : k->nothing  ? json_false()
                                          : json_incref(k->allowed));
        if (json_array_size(k->refused))
            json_object_set(one, "refused", k->refused);
        if (k->site && !k->nothing)
            json_object_set(one, "site", (json_t *)(uintptr_t)k->site);
        if (k->deny)
            json_object_set(one, "deny", (json_t *)(uintptr_t)k->deny);
        if (k->by)
            json_object_set_new(one, "by", json_string(k->by));
        json_object_set_new(all, k->name, one);
    }
    release(&r);
    return all;
}
