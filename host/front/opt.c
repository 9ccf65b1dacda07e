/* Owns the reading of options from arguments and the environment. Knows no command: tables come from outside. */
#include "front/opt.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"

#define MAX_NAMES 96 /* options that one command and the program have together, twice for their --no- forms */

/* Where an option was said, for messages: "--wait", "-C" or "RBHOST_WAIT". */
struct said {
    const struct rb_opt *opt;
    void *slot;
    const char *as;
};

static bool takes_value(const struct rb_opt *o)
{
    return o->type != RB_OPT_BOOL && o->type != RB_OPT_COUNT;
}

static void *slot_of(const struct rb_opt_set *set, const struct rb_opt *o)
{
    return (char *)set->values + o->offset;
}

int rb_opt_span(const char *text, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t total = 0;
    const char *p = text;
    if (!isdigit((unsigned char)*p))
        return RB_EINVAL;
    while (*p) {
        if (!isdigit((unsigned char)*p))
            return RB_EINVAL;
        char *end;
        errno = 0;
        long long n = strtoll(p, &end, 10);
        if (errno || n > INT32_MAX)
            return RB_EINVAL;
        size_t len = strspn(end, "abcdefghijklmnopqrstuvwxyz"), i = 0;
        int64_t factor = 0;
        for (i = 0; i < RB_COUNT(units); i++)
            if (strlen(units[i].unit) == len && strncmp(units[i].unit, end, len) == 0)
                factor = units[i].ms;
        if (len == 0 && p == text && *end == '\0')
            factor = 1000;
        if (!factor)
            return RB_EINVAL;
        if (total > INT64_MAX / 4)
            return RB_EINVAL;
        total += n * factor;
        p = end + len;
    }
    *ms = total;
    return RB_OK;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; n && p; p = strchr(p, '|')) {
        if (*p == '|')
            p++;
        if (strncmp(p, text, n) == 0 && (p[n] == '|' || p[n] == '\0'))
            return true;
    }
    return false;
}

/* Stores a value that was given as text. */
static int set_value(const struct said *s, const char *text, struct rb_err *err)
{
    const struct rb_opt *o = s->opt;
    switch (o->type) {
    case RB_OPT_TEXT: *(const char **)s->slot = text; return RB_OK;
    case RB_OPT_CHOICE:
        if (!is_choice(o->arg, text))
            return rb_err_set(err, RB_EINVAL, "%s: '%s' is not one of %s", s->as, text, o->arg);
        *(const char **)s->slot = text;
        return RB_OK;
    case RB_OPT_NUMBER: {
        char *end;
        errno = 0;
        long long n = strtoll(*text == '#' ? text + 1 : text, &end, 10);
        if (errno || *end || end == text || n < 0)
            return rb_err_set(err, RB_EINVAL, "%s: '%s' is not a whole number of 0 or more", s->as, text);
        *(int64_t *)s->slot = n;
        return RB_OK;
    }
    case RB_OPT_SPAN:
        if (rb_opt_span(text, s->slot) < 0)
            return rb_err_set(err, RB_EINVAL, "%s: '%s' is not a duration; write it as 90s, 30m, 1h30m or 2d", s->as,
                              text);
        return RB_OK;
    case RB_OPT_BOOL:
    case RB_OPT_COUNT: break;
    }
    return RB_OK;
}

static void set_flag(const struct said *s, bool no)
{
    int *v = s->slot;
    if (s->opt->type == RB_OPT_COUNT)
        *v = no ? 0 : *v + 1;
    else
        *v = no ? -1 : 1;
}

/* An optional value that was left out. */
static void set_bare(const struct said *s)
{
    if (s->opt->type == RB_OPT_TEXT || s->opt->type == RB_OPT_CHOICE)
        *(const char **)s->slot = "";
    else
        *(int64_t *)s->slot = -1;
}

static int unknown_option(const struct rb_opt_set *sets, size_t n_sets, const char *name, size_t len,
                          struct rb_err *err)
{
    const char *names[MAX_NAMES];
    char no[MAX_NAMES][40];
    size_t n = 0;
    for (size_t i = 0; i < n_sets; i++)
        for (const struct rb_opt *o = sets[i].table; o && o->name; o++) {
            if (o->flags & RB_OPT_HIDDEN || n + 2 > MAX_NAMES)
                continue;
            names[n++] = o->name;
            if (!takes_value(o) && !(o->flags & RB_OPT_NOENV) && strncmp(o->name, "no-", 3) != 0) {
                snprintf(no[n], sizeof(no[n]), "no-%s", o->name);
                names[n] = no[n];
                n++;
            }
        }
    char word[80];
    snprintf(word, sizeof(word), "%.*s", (int)len, name);
    const char *near = rb_nearest(word, names, n);
    if (near)
        return rb_err_set(err, RB_EINVAL, "unknown option --%s; did you mean --%s?", word, near);
    return rb_err_set(err, RB_EINVAL, "unknown option --%s", word);
}

static bool find_long(const struct rb_opt_set *sets, size_t n_sets, const char *name, size_t len, struct said *s)
{
    for (size_t i = 0; i < n_sets; i++)
        for (const struct rb_opt *o = sets[i].table; o && o->name; o++)
            if (strlen(o->name) == len && strncmp(o->name, name, len) == 0) {
                s->opt = o;
                s->slot = slot_of(&sets[i], o);
                return true;
            }
    return false;
}

static bool find_short(const struct rb_opt_set *sets, size_t n_sets, char letter, struct said *s)
{
    for (size_t i = 0; i < n_sets; i++)
        for (const struct rb_opt *o = sets[i].table; o && o->name; o++)
            if (o->letter == letter) {
                s->opt = o;
                s->slot = slot_of(&sets[i], o);
                return true;
            }
    return false;
}

/* --name, --no-name, --name=value, --name value. Returns how many args it took, or an error. */
static int parse_long(const struct rb_opt_set *sets, size_t n_sets, char **args, int n, struct rb_err *err)
{
    const char *name = args[0] + 2, *eq = strchr(name, '=');
    size_t len = eq ? (size_t)(eq - name) : strlen(name);
    struct said s = {0};
    bool no = false;
    char as[64];
    snprintf(as, sizeof(as), "--%.*s", (int)(len < 60 ? len : 60), name);
    s.as = as;
    if (!find_long(sets, n_sets, name, len, &s)) {
        no = len > 3 && strncmp(name, "no-", 3) == 0 && find_long(sets, n_sets, name + 3, len - 3, &s);
        if (!no || (s.opt->flags & RB_OPT_NOENV) || takes_value(s.opt))
            return unknown_option(sets, n_sets, name, len, err);
    }
    if (!takes_value(s.opt)) {
        if (eq)
            return rb_err_set(err, RB_EINVAL, "%s takes no value", as);
        set_flag(&s, no);
        return 1;
    }
    int used = 1;
    const char *value = NULL;
    if (eq)
        value = eq + 1;
    else if (s.opt->flags & RB_OPT_OPTIONAL) {
        set_bare(&s);
        return 1;
    } else if (n < 2)
        return rb_err_set(err, RB_EINVAL, "%s needs a value: %s=%s", as, as, s.opt->arg);
    else {
        value = args[1];
        used = 2;
    }
    int rc = set_value(&s, value, err);
    return rc < 0 ? rc : used;
}

/* -a, -abc, -ovalue, -o value. */
static int parse_short(const struct rb_opt_set *sets, size_t n_sets, char **args, int n, struct rb_err *err)
{
    for (const char *p = args[0] + 1; *p; p++) {
        struct said s = {0};
        char as[3] = {'-', *p, 0};
        s.as = as;
        if (!find_short(sets, n_sets, *p, &s)) {
            if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
                return rb_err_set(err, RB_EINVAL, "unknown option in '%s'", args[0]);
            return rb_err_set(err, RB_EINVAL, "unknown option %s%s%s", as, p[1] || p > args[0] + 1 ? " in " : "",
                              p[1] || p > args[0] + 1 ? args[0] : "");
        }
        if (!takes_value(s.opt)) {
            set_flag(&s, false);
            continue;
        }
        if (s.opt->flags & RB_OPT_OPTIONAL && !p[1]) {
            set_bare(&s);
            return 1;
        }
        if (!p[1] && n < 2)
            return rb_err_set(err, RB_EINVAL, "%s needs a value: %s %s", as, as, s.opt->arg);
        int rc = set_value(&s, p[1] ? p + 1 : args[1], err);
        return rc < 0 ? rc : p[1] ? 1 : 2;
    }
    return 1;
}

int rb_opt_parse(const struct rb_opt_set *sets, size_t n_sets, char **args, int n, bool stop_at_operand,
                 char **operands, int *n_operands, int *used, struct rb_err *err)
{
    int i = 0;
    bool ended = false;
    while (i < n) {
        char *a = args[i];
        if (ended || a[0] != '-' || a[1] == '\0') {
            if (stop_at_operand)
                break;
            operands[(*n_operands)++] = a;
            i++;
            continue;
        }
        if (strcmp(a, "--") == 0) {
            ended = true;
            i++;
            continue;
        }
        int rc = a[1] == '-' ? parse_long(sets, n_sets, args + i, n - i, err)
                             : parse_short(sets, n_sets, args + i, n - i, err);
        if (rc < 0)
            return rc;
        i += rc;
    }
    if (used)
        *used = i;
    return RB_OK;
}

void rb_opt_variable(const struct rb_opt *opt, char *out, size_t n)
{
    out[0] = '\0';
    if (opt->flags & RB_OPT_NOENV)
        return;
    snprintf(out, n, "RBHOST_%s", opt->name);
    for (char *p = out; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

static bool is_unset(const struct rb_opt *o, const void *slot)
{
    switch (o->type) {
    case RB_OPT_BOOL:
    case RB_OPT_COUNT: return *(const int *)slot == 0;
    case RB_OPT_TEXT:
    case RB_OPT_CHOICE: return *(const char *const *)slot == NULL;
    case RB_OPT_NUMBER:
    case RB_OPT_SPAN: return *(const int64_t *)slot == 0;
    }
    return false;
}

/* 1 yes, -1 no, 0 neither. */
static int truth(const char *text)
{
    static const char *const yes[] = {"1", "true", "yes", "on"}, *const no[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < RB_COUNT(yes); i++) {
        if (strcmp(text, yes[i]) == 0)
            return 1;
        if (strcmp(text, no[i]) == 0)
            return -1;
    }
    return 0;
}

int rb_opt_environment(const struct rb_opt_set *set, struct rb_err *err)
{
    for (const struct rb_opt *o = set->table; o && o->name; o++) {
        char name[64];
        rb_opt_variable(o, name, sizeof(name));
        const char *text = *name ? getenv(name) : NULL;
        struct said s = {o, slot_of(set, o), name};
        if (!text || !*text || !is_unset(o, s.slot))
            continue;
        int yes = truth(text), rc = RB_OK;
        if (!takes_value(o)) {
            if (o->type == RB_OPT_COUNT && isdigit((unsigned char)*text))
                *(int *)s.slot = atoi(text);
            else if (yes)
                *(int *)s.slot = o->type == RB_OPT_COUNT && yes < 0 ? 0 : yes;
            else
                rc = rb_err_set(err, RB_EINVAL, "%s: '%s' is neither yes nor no (1, true, yes, on; 0, false, no, off)",
                                name, text);
        } else if (o->flags & RB_OPT_OPTIONAL && yes) {
            if (yes > 0)
                set_bare(&s);
        } else {
            rc = set_value(&s, text, err);
        }
        if (rc < 0)
            return rc;
    }
    return RB_OK;
}
