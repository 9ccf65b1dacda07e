/* Owns the rules of an answer that can be known from the run's events: types of values, who a gate is for. Sends
 * nothing. */
#include "front/answer.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "front/text.h"

const char *rb_answer_type(const struct rb_node *node)
{
    return node->op && strcmp(node->op, "manual") == 0 ? json_string_value(json_object_get(node->args, "type")) : NULL;
}

static void add_string(struct rb_buf *json, const char *text)
{
    struct rb_json j;
    rb_json_init(&j, json);
    rb_json_string(&j, text, strlen(text));
}

static int add_boolean(const char *text, struct rb_buf *json)
{
    static const char *const yes[] = {"true", "yes", "y"}, *const no[] = {"false", "no", "n"};
    for (size_t i = 0; i < RB_COUNT(yes); i++) {
        if (strcmp(text, yes[i]) == 0)
            return rb_buf_adds(json, "true");
        if (strcmp(text, no[i]) == 0)
            return rb_buf_adds(json, "false");
    }
    return RB_EINVAL;
}

static int add_number(const char *text, bool whole, struct rb_buf *json)
{
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    bool fits = whole ? json_is_integer(v) : json_is_number(v);
    json_decref(v);
    return fits ? rb_buf_adds(json, text) : RB_EINVAL;
}

static int add_choice(const struct rb_node *node, const char *text, struct rb_buf *json, struct rb_err *err)
{
    const json_t *choices = json_object_get(node->args, "choices");
    struct rb_buf all;
    size_t i;
    json_t *e;
    rb_buf_init(&all, 1024);
    json_array_foreach((json_t *)choices, i, e)
    {
        const char *choice = json_string_value(e);
        if (choice && strcmp(choice, text) == 0) {
            rb_buf_release(&all);
            add_string(json, text);
            return RB_OK;
        }
        rb_buf_adds(&all, i ? ", " : "");
        rb_text_value(&all, e);
    }
    rb_err_set(err, RB_EINVAL, "'%s' is none of %s", text, rb_buf_text(&all));
    rb_buf_release(&all);
    return RB_EINVAL;
}

int rb_answer_value(const struct rb_node *node, const char *text, struct rb_buf *json, struct rb_err *err)
{
    const char *type = rb_answer_type(node);
    int rc = RB_OK;
    if (!type) {
        json_t *v = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        if (v)
            rb_buf_adds(json, text);
        else
            add_string(json, text);
        json_decref(v);
    } else if (strcmp(type, "choice") == 0) {
        return add_choice(node, text, json, err);
    } else if (strcmp(type, "boolean") == 0) {
        rc = add_boolean(text, json);
    } else if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0) {
        rc = add_number(text, *type == 'i', json);
    } else {
        add_string(json, text);
    }
    return rc < 0 ? rb_err_set(err, rc, "'%s' is not of type %s", text, type) : RB_OK;
}

static bool is_member(const char *user, const char *group)
{
    const struct group *gr = getgrnam(group);
    for (char **m = gr ? gr->gr_mem : NULL; m && *m; m++)
        if (strcmp(*m, user) == 0)
            return true;
    gid_t gid = gr ? gr->gr_gid : 0;
    const struct passwd *pw = gr ? getpwnam(user) : NULL;
    return pw && pw->pw_gid == gid;
}

int rb_answer_allowed(const struct rb_node *node, const struct rb_actor *actor, const char *requester,
                      struct rb_err *err)
{
    const json_t *by = json_object_get(node->args, "by");
    struct rb_buf names;
    bool listed = !by || json_is_null(by);
    int rc = RB_OK;
    rb_buf_init(&names, 1024);
    for (size_t i = 0; !listed && i < (json_is_array(by) ? json_array_size(by) : 1); i++) {
        const char *name = json_string_value(json_is_array(by) ? json_array_get(by, i) : by);
        listed = name && (strcmp(name, actor->name) == 0 || is_member(actor->name, name));
        rb_buf_addf(&names, "%s%s", i ? ", " : "", name ? name : "");
    }
    if (!listed)
        rc = rb_err_set(err, RB_EDENIED, "#%lld is for %s to decide, not for %s", (long long)node->n,
                        names.len ? rb_buf_text(&names) : "nobody", actor->name);
    else if (json_is_true(json_object_get(node->args, "not_requester")) && requester &&
             strcmp(requester, actor->name) == 0)
        rc = rb_err_set(err, RB_EDENIED, "%s started this run, and #%lld wants another person", actor->name,
                        (long long)node->n);
    rb_buf_release(&names);
    return rc;
}
