/* Owns the answer to the question whether a run may reach something, and its words. Patterns are policy_rules.c's,
 * classes of addresses policy_address.c's. */
#include "engine/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/core.h"
#include "engine/policy_address.h"
#include "engine/policy_params.h"
#include "engine/policy_rules.h"
#include "engine/policy_url.h"
#include "engine/runbook.h"

enum { SHOWN_MAX = 300, LIST_MAX = 6 };

enum said { UNSAID, YES, NO };

/* The site's, compiled once in a process. */
struct rb_policy_site {
    struct rb_rule_set allow, deny;
    enum said loopback, link_local;
};

/* A run's. */
struct rb_policy {
    bool open; /* neither the header nor the site says anything */
    struct rb_rule_set header;
    struct rb_policy_site *site; /* borrowed */
};

/* -- compiling ----------------------------------------------------------------------------------------------------- */

static enum said said(const json_t *v)
{
    return json_is_true(v) ? YES : json_is_false(v) ? NO : UNSAID;
}

static struct rb_policy_site *site_of(struct rb_host *h)
{
    if (h->policy)
        return h->policy;
    const json_t *policy = rb_host_config(h, "policy");
    h->policy = rb_alloc(sizeof(*h->policy));
    rb_rules_compile(&h->policy->allow, json_object_get(policy, "allow"), NULL, false);
    rb_rules_compile(&h->policy->deny, json_object_get(policy, "deny"), NULL, true);
    h->policy->loopback = said(json_object_get(policy, "loopback"));
    h->policy->link_local = said(json_object_get(policy, "link_local"));
    return h->policy;
}

/* Compiled at the first question. The run is const for who asks: this is a cache. */
static const struct rb_policy *policy_of(const struct rb_run *asking)
{
    struct rb_run *run = (struct rb_run *)(uintptr_t)asking;
    if (run->policy)
        return run->policy;
    struct rb_policy *p = run->policy = rb_alloc(sizeof(*p));
    struct rb_slice allow = rb_json_member(run->header_json, strlen(run->header_json), "allow");
    json_t *table = allow.p ? json_loadb(allow.p, allow.n, JSON_ALLOW_NUL, NULL) : NULL;
    if (table) {
        json_t *params = json_loads(run->params_json, JSON_ALLOW_NUL, NULL), *filled = rb_policy_fill(table, params);
        json_decref(params);
        json_decref(table);
        table = filled;
    }
    rb_rules_compile(&p->header, table, run->folder, false);
    json_decref(table);
    p->site = site_of(run->host);
    p->open = !p->header.stated && !p->site->allow.stated && !p->site->deny.stated;
    return p;
}

void rb_policy_free(struct rb_run *run)
{
    if (run->policy)
        rb_rules_release(&run->policy->header);
    free(run->policy);
    run->policy = NULL;
}

void rb_policy_site_free(struct rb_host *h)
{
    if (h->policy) {
        rb_rules_release(&h->policy->allow);
        rb_rules_release(&h->policy->deny);
    }
    free(h->policy);
    h->policy = NULL;
}

void rb_policy_word(struct rb_buf *name, const char *word)
{
    if (name->len)
        rb_buf_addc(name, ' ');
    for (const char *p = word; *p; p++) {
        if (*p == ' ' || *p == '\\')
            rb_buf_addc(name, '\\');
        rb_buf_addc(name, *p);
    }
}

/* -- the words of a refusal ---------------------------------------------------------------------------------------- */

struct question {
    const struct rb_run *run;
    const struct rb_policy *policy;
    enum rb_reach kind;
    const char *name;
};

/* "file:line" of a kind's list in the header, or the file alone. */
static void header_place(const struct question *q, char *out, size_t n)
{
    char key[32];
    const struct rb_source *main = rb_strmap_get(&q->run->sources, "@main", 5);
    snprintf(key, sizeof(key), "allow.%s", rb_reach_name(q->kind));
    int line = main ? rb_header_line(q->run->file, main->text, main->len, key) : 0;
    if (line)
        snprintf(out, n, "%s:%d", q->run->file, line);
    else
        snprintf(out, n, "%s", q->run->file);
}

/* "file:line" of a member of policy.KEY. */
static void site_place(const struct question *q, const char *key, char *out, size_t n)
{
    char path[64];
    snprintf(path, sizeof(path), "policy.%s.%s", key, rb_reach_name(q->kind));
    rb_host_config_place(q->run->host, path, out, n);
}

/* Appends the beginning of what was refused, without what may not be shown, as text. */
static void add_name(const struct question *q, struct rb_buf *out)
{
    const char *name = q->name;
    size_t n = strlen(name);
    if (q->kind == RB_REACH_HTTP) { /* keys stand in queries, passwords before the host */
        n = strcspn(name, "?#");
        const char *sep = strstr(name, "://"), *at = memchr(name, '@', n);
        if (sep && at && sep < at) {
            rb_buf_add(out, name, (size_t)(sep + 3 - name));
            n -= (size_t)(at + 1 - name);
            name = at + 1;
        }
    }
    struct rb_buf clean;
    rb_buf_init(&clean, RB_ERR_MAX * 4);
    if (n > RB_ERR_MAX) /* cut, perhaps in the middle of a secret */
        n = RB_ERR_MAX - rb_secret_tail(q->run, name, RB_ERR_MAX);
    rb_secret_redact(q->run, name, n, &clean);
    const char *text = rb_buf_text(&clean);
    bool valid = rb_utf8_valid(text, clean.len);
    size_t len = clean.len < SHOWN_MAX ? clean.len : SHOWN_MAX;
    while (valid && len < clean.len && len && ((unsigned char)text[len] & 0xC0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++)
        rb_buf_addc(out, !valid && (unsigned char)text[i] >= 0x80 ? '?' : text[i]);
    rb_buf_adds(out, len < clean.len ? "…" : "");
    rb_buf_release(&clean);
}

/* `the nearest is "git verify-tag *"`, or the first few, or that there is none. */
static void add_patterns(const struct question *q, const struct rb_rules *rules, struct rb_buf *out)
{
    size_t best = 0, longest = 0;
    const char *name = q->name, *text;
    const char *url = q->kind == RB_REACH_HTTP ? strchr(name, ' ') : NULL;
    name = url ? url + 1 : name;
    for (size_t i = 0; (text = rb_rule_text(rules, i)); i++) {
        size_t n = 0;
        const char *space = q->kind == RB_REACH_HTTP ? strchr(text, ' ') : NULL;
        text = space ? space + 1 : text;
        while (text[n] && text[n] == name[n])
            n++;
        if (n > longest) {
            longest = n;
            best = i;
        }
    }
    if (!rules->n)
        rb_buf_adds(out, "names nothing of that kind");
    else if (longest > (q->kind == RB_REACH_HTTP ? 9 : 2) && rules->n > 1)
        rb_buf_addf(out, "has nothing for it, the nearest is \"%.200s\"", rb_rule_text(rules, best));
    else {
        rb_buf_adds(out, "names ");
        for (size_t i = 0; i < LIST_MAX && (text = rb_rule_text(rules, i)); i++)
            rb_buf_addf(out, "%s\"%.100s\"", i ? ", " : "", text);
        rb_buf_adds(out, rules->n > LIST_MAX ? " …" : "");
    }
}

/* list: "the header's allow.exec"; place: its file and line; outside: what the name is not in; advice: what to do. */
static int refuse(const struct question *q, const struct rb_rules *rules, const char *list, const char *place,
                  const char *outside, const char *advice, const char *bad, struct rb_err *err)
{
    struct rb_buf b;
    rb_buf_init(&b, RB_ERR_MAX);
    rb_buf_addf(&b, "%s: `", rb_reach_name(q->kind));
    add_name(q, &b);
    if (bad) {
        rb_buf_addf(&b, "` is refused: it can not be judged by %s (%s), because %s", list, place, bad);
    } else {
        rb_buf_addf(&b, "` is not in %s: %s (%s) ", outside, list, place);
        add_patterns(q, rules, &b);
        rb_buf_addf(&b, "; %s", advice);
    }
    rb_err_set(err, RB_EDENIED, "%s", rb_buf_text(&b));
    rb_buf_release(&b);
    return RB_EDENIED;
}

static int refuse_header(const struct question *q, const char *bad, struct rb_err *err)
{
    char list[64], place[300];
    snprintf(list, sizeof(list), "the header's allow.%s", rb_reach_name(q->kind));
    header_place(q, place, sizeof(place));
    return refuse(q, &q->policy->header.kinds[q->kind], list, place, "the runbook's reach",
                  "name it there if the runbook needs it", bad, err);
}

#define ASK "ask whoever looks after the configuration"

static int refuse_site(const struct question *q, const char *bad, struct rb_err *err)
{
    char list[64], place[300];
    snprintf(list, sizeof(list), "policy.allow.%s of the configuration", rb_reach_name(q->kind));
    site_place(q, "allow", place, sizeof(place));
    return refuse(q, &q->policy->site->allow.kinds[q->kind], list, place, "this site's reach", ASK, bad, err);
}

static int refuse_denied(const struct question *q, const char *pattern, const char *bad, struct rb_err *err)
{
    char list[64], place[300];
    struct rb_buf b;
    snprintf(list, sizeof(list), "policy.deny.%s of the configuration", rb_reach_name(q->kind));
    site_place(q, "deny", place, sizeof(place));
    if (bad)
        return refuse(q, NULL, list, place, NULL, NULL, bad, err);
    rb_buf_init(&b, RB_ERR_MAX);
    rb_buf_addf(&b, "%s: `", rb_reach_name(q->kind));
    add_name(q, &b);
    rb_err_set(err, RB_EDENIED, "%s` is forbidden at this site: %s (%s) has \"%.200s\"; " ASK, rb_buf_text(&b), list,
               place, pattern);
    rb_buf_release(&b);
    return RB_EDENIED;
}

/* -- the questions ------------------------------------------------------------------------------------------------- */

static int check(const struct question *q, size_t bases[2], struct rb_err *err)
{
    const struct rb_policy *p = q->policy;
    const char *bad, *pattern;
    size_t base = 1;
    if (p->site->deny.stated) {
        pattern = rb_rules_match(&p->site->deny.kinds[q->kind], q->kind, q->name, &bad, NULL);
        if (pattern || bad)
            return refuse_denied(q, pattern, bad, err);
    }
    if (p->site->allow.stated) {
        if (!rb_rules_match(&p->site->allow.kinds[q->kind], q->kind, q->name, &bad, &base))
            return refuse_site(q, bad, err);
        bases[0] = bases[1] = base;
    }
    if (p->header.stated) {
        if (!rb_rules_match(&p->header.kinds[q->kind], q->kind, q->name, &bad, &base))
            return refuse_header(q, bad, err);
        bases[0] = !p->site->allow.stated || base < bases[0] ? base : bases[0];
        bases[1] = base > bases[1] ? base : bases[1];
    }
    return RB_OK;
}

int rb_policy_check(const struct rb_run *run, const char *kind, const char *name, struct rb_err *err)
{
    size_t bases[2] = {1, 1};
    char joined[8192];
    struct question q = {run, policy_of(run), rb_reach_of(kind), name};
    if (q.kind == RB_REACH_COUNT)
        return rb_err_set(err, RB_EDENIED, "%.40s: the policy knows no reach of this kind", kind);
    if (q.policy->open)
        return RB_OK;
    if (q.kind == RB_REACH_SQL && run->folder && strncmp(name, "sqlite:", 7) == 0 && name[7] != '/' && name[7] != ':' &&
        (size_t)snprintf(joined, sizeof(joined), "sqlite:%s/%s", run->folder, name + 7) < sizeof(joined))
        q.name = joined; /* where the driver will look for it */
    return check(&q, bases, err);
}

bool rb_policy_is_open(const struct rb_run *run)
{
    return policy_of(run)->open;
}

void rb_policy_database(struct rb_buf *name, const char *path)
{
    rb_buf_adds(name, "sqlite:");
    for (const char *p = path; *p; p++)
        if (*p == '?' || *p == '%')
            rb_buf_addf(name, "%%%02X", *p);
        else
            rb_buf_addc(name, *p);
}

int rb_policy_check_path(const struct rb_run *run, const char *kind, const char *path, size_t bases[2],
                         struct rb_err *err)
{
    struct question q = {run, policy_of(run), rb_reach_of(kind), path};
    struct rb_buf name;
    bases[0] = bases[1] = 1;
    if (q.policy->open)
        return RB_OK;
    rb_buf_init(&name, 3 * 8192);
    if (q.kind == RB_REACH_SQL) {
        rb_policy_database(&name, path);
        q.name = rb_buf_text(&name);
    }
    int rc = check(&q, bases, err);
    if (q.name != path && strcmp(q.name + strlen("sqlite:"), path) != 0)
        bases[0] = bases[1] = 1; /* lengths of another text: no link is followed unseen */
    rb_buf_release(&name);
    return rc;
}

/* -- addresses ----------------------------------------------------------------------------------------------------- */

/* Is the host this very class, written as an address, or localhost? */
static bool is_literal(const char *host, bool address, enum rb_address class)
{
    size_t n = strlen(host);
    if (address)
        return true;
    return class == RB_ADDRESS_LOOPBACK &&
           (strcmp(host, "localhost") == 0 || (n > 10 && strcmp(host + n - 10, ".localhost") == 0));
}

int rb_policy_check_address(const struct rb_run *run, const char *host, const struct sockaddr *address,
                            struct rb_err *err)
{
    const struct rb_policy *p = policy_of(run);
    char text[64], name[256];
    bool is_address = false;
    enum rb_address class = rb_address_class(address);
    if (class == RB_ADDRESS_OTHER)
        return RB_OK;
    if (class == RB_ADDRESS_UNKNOWN)
        return rb_err_set(err, RB_EDENIED, "http: %.200s resolves to %s, which the policy can not judge", host,
                          rb_address_text(address, text));
    bool loopback = class == RB_ADDRESS_LOOPBACK;
    const char *what = loopback ? "a loopback address of this machine"
                                : "a link-local address (as the metadata services of clouds are)";
    const char *key = loopback ? "loopback" : "link_local";
    enum said site = loopback ? p->site->loopback : p->site->link_local;
    if (site == YES)
        return RB_OK;
    if (site == NO) {
        char place[300];
        snprintf(name, sizeof(name), "policy.%s", key);
        rb_host_config_place(run->host, name, place, sizeof(place));
        return rb_err_set(err, RB_EDENIED, "http: %.200s is %s, %s; policy.%s = false (%s) forbids those", host,
                          rb_address_text(address, text), what, key, place);
    }
    if (!rb_policy_host(host, strlen(host), name, &is_address))
        return rb_err_set(err, RB_EDENIED, "http: %.200s is no host that the policy can judge", host);
    if (!is_literal(name, is_address, class)) {
        if (loopback && p->open)
            return RB_OK;
        return rb_err_set(err, RB_EDENIED,
                          "http: %.200s resolves to %s, %s: only a URL that names it literally may reach it%s; "
                          "policy.%s = true in the configuration lets every name",
                          host, rb_address_text(address, text), what,
                          p->open ? "" : ", and only if `allow` names it literally, too", key);
    }
    int port = rb_address_port(address);
    bool header = !p->header.stated || rb_rules_names_host(&p->header.kinds[RB_REACH_HTTP], name, port);
    bool allowed = !p->site->allow.stated || rb_rules_names_host(&p->site->allow.kinds[RB_REACH_HTTP], name, port);
    if (header && allowed)
        return RB_OK;
    return rb_err_set(err, RB_EDENIED,
                      "http: %.200s is %s: %s must name it literally, not by a wildcard (\"http://%.200s:*\"); or set "
                      "policy.%s = true in the configuration",
                      host, what, header ? "policy.allow.http of the configuration" : "allow.http of the header", name,
                      key);
}
