/* Owns the patterns of the policy: reading them once, comparing names with them. Each kind is compared part by part,
 * never as one text, so that what stands in one part can not be taken for another. Knows no run. */
#include "engine/policy_rules.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/policy_url.h"

enum { PATH_CAP = 4096, PORT_ANY = -1, PORT_STANDARD = 0 };

/* A pattern of http, in parts. */
struct http_rule {
    char *methods;           /* ",GET,HEAD,"; NULL: any */
    bool plain, secure;      /* the schemes */
    char *host;              /* in its one form when it has no wildcard */
    bool host_glob, address; /* it has one; it is an address */
    int port;
    char *path, *query; /* NULL: any */
};

/* A pattern of ssh, or a name of it, in parts: [user@]host[:port]. NULL: not said. */
struct ssh_rule {
    char *user, *host, *port;
};

struct rb_rule {
    char *text;        /* as written */
    const char *bad;   /* why it can not be used; NULL */
    char **words;      /* exec: in the form of the name's; NULL-terminated */
    char *glob;        /* file: absolute; others: the text */
    size_t base;       /* file: length of the folder before the first wildcard */
    bool is_path;      /* a file, or the one of a sqlite: DSN */
    bool literal;      /* of a path: no wildcard */
    const char *stops; /* of a text: what `*` does not cross */
    struct http_rule http;
    struct ssh_rule ssh;
};

static const char *const names[RB_REACH_COUNT] = {"exec", "http", "ssh", "sql", "file", "notify"};

const char *rb_reach_name(enum rb_reach kind)
{
    return kind < RB_REACH_COUNT ? names[kind] : NULL;
}

enum rb_reach rb_reach_of(const char *name)
{
    unsigned i = 0;
    while (i < RB_REACH_COUNT && strcmp(names[i], name) != 0)
        i++;
    return (enum rb_reach)i;
}

const char *rb_rule_text(const struct rb_rules *rules, size_t i)
{
    return i < rules->n ? rules->list[i].text : NULL;
}

/* -- globs and paths ----------------------------------------------------------------------------------------------- */

/* Where matching goes back to: behind a wildcard of the pattern, and how far it reaches in the text. */
struct retreat {
    size_t p, t;
    bool set;
};

bool rb_policy_glob(const char *pattern, size_t pn, const char *text, size_t tn, const char *stops)
{
    struct retreat one = {0}, all = {0};
    size_t p = 0, t = 0;
    for (;;) {
        if (p + 1 < pn && pattern[p] == '*' && pattern[p + 1] == '*') {
            while (p < pn && pattern[p] == '*')
                p++;
            all = (struct retreat){p, t, true};
            one.set = false;
        } else if (p < pn && pattern[p] == '*') {
            one = (struct retreat){++p, t, true};
        } else if (p < pn && t < tn && pattern[p] == text[t]) {
            p++;
            t++;
        } else if (p == pn && t == tn) {
            return true;
        } else if (one.set && one.t < tn && !strchr(stops, text[one.t])) {
            p = one.p;
            t = ++one.t;
        } else if (all.set && all.t < tn) {
            p = all.p;
            t = ++all.t;
            one.set = false;
        } else {
            return false;
        }
    }
}

bool rb_policy_path(const char *path, char *out, size_t n)
{
    size_t len = 0;
    if (*path != '/')
        return false;
    while (*path) {
        path += strspn(path, "/");
        size_t part = strcspn(path, "/");
        if (part == 2 && path[0] == '.' && path[1] == '.') {
            while (len && out[--len] != '/')
                ;
        } else if (part && !(part == 1 && *path == '.')) {
            if (len + part + 2 > n)
                return false;
            out[len++] = '/';
            memcpy(out + len, path, part);
            len += part;
        }
        path += part;
    }
    if (!len)
        out[len++] = '/';
    out[len] = '\0';
    return true;
}

/* -- compiling ----------------------------------------------------------------------------------------------------- */

/* "git verify-tag *" into words, where "\ " is a space in a word. */
static void compile_exec(struct rb_rule *r)
{
    const char *p = r->text;
    size_t n = 0;
    r->words = rb_alloc(sizeof(*r->words));
    for (;;) {
        p += strspn(p, " ");
        if (!*p)
            break;
        const char *from = p;
        while (*p && *p != ' ')
            p += *p == '\\' && p[1] ? 2 : 1;
        r->words = rb_realloc(r->words, (n + 2) * sizeof(*r->words));
        r->words[n++] = rb_strndup(from, (size_t)(p - from));
        r->words[n] = NULL;
    }
    if (!n)
        r->bad = "it is empty";
}

static const char *compile_host(struct http_rule *h, const char *p, size_t n)
{
    char host[256];
    if (n == 0)
        return "it has no host";
    h->host_glob = memchr(p, '*', n) != NULL;
    if (!h->host_glob) {
        if (!rb_policy_host(p, n, host, &h->address))
            return "its host is none";
        h->host = rb_strdup(host);
        return NULL;
    }
    if (memchr(p, '%', n) || memchr(p, '@', n) || memchr(p, '[', n) || memchr(p, ':', n))
        return "its host is none";
    h->host = rb_strndup(p, n);
    for (char *c = h->host; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    return NULL;
}

static const char *compile_port(struct http_rule *h, const char *p, size_t n, bool wide)
{
    h->port = wide ? PORT_ANY : PORT_STANDARD;
    if (n == 1 && *p == '*')
        h->port = PORT_ANY;
    else if (n) {
        h->port = 0;
        for (size_t i = 0; i < n; i++) {
            if (p[i] < '0' || p[i] > '9' || h->port > 65535)
                return "its port is none";
            h->port = h->port * 10 + (p[i] - '0');
        }
        if (h->port < 1 || h->port > 65535)
            return "its port is none";
    }
    return NULL;
}

/* The methods before the URL: "GET,HEAD". Returns where the URL begins. */
static const char *compile_methods(struct http_rule *h, const char *text)
{
    const char *space = strchr(text, ' ');
    if (!space)
        return text;
    size_t n = (size_t)(space - text);
    h->methods = rb_alloc(n + 3);
    h->methods[0] = ',';
    for (size_t i = 0; i < n; i++)
        h->methods[i + 1] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
    h->methods[n + 1] = ',';
    return space + strspn(space, " ");
}

/* The path in the form of a URL's; a last "/" or "/\*" is all below it. */
static const char *compile_path(struct http_rule *h, const char *p, size_t n)
{
    struct rb_policy_url url;
    const char *why;
    if (n == 0)
        return NULL;
    char *text = rb_alloc(n + 32);
    memcpy(text, "http://h", 8);
    memcpy(text + 8, p, n);
    int rc = rb_policy_url_read(text, &url, &why);
    free(text);
    if (rc)
        return why;
    size_t len = strlen(url.path);
    h->path = rb_alloc(len + 3);
    memcpy(h->path, url.path, len);
    if (len >= 2 && strcmp(h->path + len - 2, "/*") == 0)
        memcpy(h->path + len, "*", 2);
    else if (h->path[len - 1] == '/')
        memcpy(h->path + len, "**", 3);
    return NULL;
}

static const char *compile_http(struct rb_rule *r, bool wide)
{
    struct http_rule *h = &r->http;
    const char *p = compile_methods(h, r->text), *sep = strstr(p, "://"), *why;
    if (!sep || strchr(p, ' '))
        return "it is no URL: write \"https://host/path\"";
    size_t n = (size_t)(sep - p);
    h->plain = (n == 4 && strncmp(p, "http", 4) == 0) || (n == 1 && *p == '*');
    h->secure = (n == 5 && strncmp(p, "https", 5) == 0) || (n == 1 && *p == '*');
    if (!h->plain && !h->secure)
        return "its scheme is none of http, https and *";
    p = sep + 3;
    size_t authority = strcspn(p, "/?#"), host = authority;
    if (*p == '[') {
        const char *close = memchr(p, ']', authority);
        host = close ? (size_t)(close + 1 - p) : authority;
    } else {
        const char *colon = memchr(p, ':', authority);
        host = colon ? (size_t)(colon - p) : authority;
    }
    if (host < authority && p[host] != ':')
        return "its host is none";
    size_t port = host < authority ? host + 1 : authority;
    if ((why = compile_host(h, p, host)) || (why = compile_port(h, p + port, authority - port, wide)))
        return why;
    const char *path = p + authority;
    size_t path_len = strcspn(path, "?#");
    if (path[path_len] == '#')
        return "a # and what follows it is never sent";
    if (path[path_len] == '?')
        h->query = rb_strdup(path + path_len + 1);
    return compile_path(h, path, path_len);
}

static const char *compile_file(struct rb_rule *r, const char *pattern, const char *folder)
{
    char joined[PATH_CAP * 2], clean[PATH_CAP + 4];
    const char *text = pattern;
    r->is_path = true;
    if (*pattern != '/') {
        if (!folder || (size_t)snprintf(joined, sizeof(joined), "%s/%s", folder, pattern) >= sizeof(joined))
            return "it is not absolute";
        text = joined;
    }
    if (!rb_policy_path(text, clean, PATH_CAP))
        return "it is too long";
    size_t len = strlen(clean), given = strlen(pattern);
    if (given && pattern[given - 1] == '/' && strchr(clean, '*'))
        len += (size_t)snprintf(clean + len, 4, len > 1 ? "/**" : "**");
    r->literal = !strchr(clean, '*');
    r->glob = rb_strdup(clean);
    r->base = strcspn(clean, "*");
    while (!r->literal && r->base > 1 && clean[r->base - 1] != '/')
        r->base--;
    if (r->base > 1 && clean[r->base - 1] == '/')
        r->base--;
    return NULL;
}

/* A host is the same in capitals, and with the dot behind a whole name. */
static struct ssh_rule split_ssh(const char *text)
{
    struct ssh_rule s = {0};
    const char *at = strrchr(text, '@'), *host = at ? at + 1 : text, *colon = strchr(host, ':');
    size_t n = strlen(host);
    if (at)
        s.user = rb_strndup(text, (size_t)(at - text));
    if (*host == '[' && (colon = strchr(host, ']'))) {
        n = (size_t)(colon++ - ++host);
        colon = *colon == ':' ? colon : NULL;
    } else if (colon && !strchr(colon + 1, ':')) {
        n = (size_t)(colon - host);
    } else {
        colon = NULL; /* none, or an address of IPv6 */
    }
    if (colon)
        s.port = rb_strdup(colon + 1);
    while (n > 1 && host[n - 1] == '.')
        n--;
    s.host = rb_strndup(host, n);
    for (char *c = s.host; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return s;
}

static void release_ssh(struct ssh_rule *s)
{
    free(s->user);
    free(s->host);
    free(s->port);
}

static void compile(struct rb_rule *r, enum rb_reach kind, const char *folder, bool wide)
{
    switch (kind) {
    case RB_REACH_EXEC: compile_exec(r); break;
    case RB_REACH_HTTP: r->bad = compile_http(r, wide); break;
    case RB_REACH_FILE: r->bad = compile_file(r, r->text, folder); break;
    case RB_REACH_SSH: r->ssh = split_ssh(r->text); break;
    case RB_REACH_SQL:
        r->stops = "/?@:,&= "; /* between the parts of a DSN */
        if (strncmp(r->text, "sqlite:", 7) == 0 && r->text[7] != ':')
            r->bad = compile_file(r, r->text + 7, folder);
        else
            r->glob = rb_strdup(r->text);
        break;
    default:
        r->stops = "";
        r->glob = rb_strdup(r->text);
        break;
    }
    if (!*r->text)
        r->bad = "it is empty";
}

void rb_rules_compile(struct rb_rule_set *set, const json_t *table, const char *folder, bool wide)
{
    *set = (struct rb_rule_set){.stated = table != NULL};
    for (unsigned kind = 0; kind < RB_REACH_COUNT && table; kind++) {
        const json_t *list = json_object_get(table, names[kind]), *pattern;
        struct rb_rules *rules = &set->kinds[kind];
        size_t i;
        rules->stated = list != NULL;
        rules->wide = wide;
        if (!json_array_size(list))
            continue;
        rules->list = rb_alloc(json_array_size(list) * sizeof(*rules->list));
        json_array_foreach((json_t *)(uintptr_t)list, i, pattern)
        {
            struct rb_rule *r = &rules->list[rules->n++];
            r->text = rb_strdup(json_is_string(pattern) ? json_string_value(pattern) : "");
            compile(r, (enum rb_reach)kind, folder, wide);
        }
    }
}

void rb_rules_release(struct rb_rule_set *set)
{
    for (unsigned kind = 0; kind < RB_REACH_COUNT; kind++) {
        struct rb_rules *rules = &set->kinds[kind];
        for (size_t i = 0; i < rules->n; i++) {
            struct rb_rule *r = &rules->list[i];
            for (char **w = r->words; w && *w; w++)
                free(*w);
            char *const owned[] = {r->text, r->glob, r->http.methods, r->http.host, r->http.path, r->http.query};
            for (size_t k = 0; k < RB_COUNT(owned); k++)
                free(owned[k]);
            release_ssh(&r->ssh);
            free(r->words);
        }
        free(rules->list);
    }
    *set = (struct rb_rule_set){0};
}

/* -- matching ------------------------------------------------------------------------------------------------------ */

/* The next word of a name: up to a space that is not escaped. */
static size_t word_end(const char *p)
{
    size_t n = 0;
    while (p[n] && p[n] != ' ')
        n += p[n] == '\\' && p[n + 1] ? 2 : 1;
    return n;
}

static bool program_matches(const char *pattern, const char *name, size_t n, bool wide)
{
    if (strcmp(pattern, "*") == 0 || strcmp(pattern, "**") == 0)
        return true;
    if (rb_policy_glob(pattern, strlen(pattern), name, n, "/"))
        return true;
    if (!wide || strchr(pattern, '/'))
        return false;
    const char *slash = memrchr(name, '/', n); /* a name that is forbidden is so by each path */
    size_t skip = slash ? (size_t)(slash + 1 - name) : 0;
    return skip && rb_policy_glob(pattern, strlen(pattern), name + skip, n - skip, "/");
}

static bool exec_matches(const struct rb_rule *r, const char *name, bool wide)
{
    size_t n = word_end(name);
    if (!r->words[0] || !program_matches(r->words[0], name, n, wide))
        return false;
    if (!r->words[1])
        return true;
    char **w = r->words + 1;
    for (name += n; *w && *name; w++, name += n) {
        if (strcmp(*w, "**") == 0)
            return true;
        name++; /* the space */
        n = word_end(name);
        if (!rb_policy_glob(*w, strlen(*w), name, n, ""))
            return false;
    }
    return !*name && (!*w || (strcmp(*w, "**") == 0 && !w[1]));
}

static bool host_matches(const struct http_rule *h, const char *host, bool address)
{
    size_t n = strlen(h->host), hn = strlen(host);
    if (!h->host_glob)
        return strcmp(h->host, host) == 0;
    if (n == 1)
        return true;
    if (n > 2 && strncmp(h->host, "*.", 2) == 0 && !strchr(h->host + 2, '*')) /* every name below */
        return !address && hn > n - 1 && strcmp(host + hn - (n - 1), h->host + 1) == 0;
    return rb_policy_glob(h->host, n, host, hn, ".:");
}

static bool has_method(const char *methods, const char *method)
{
    size_t n = strlen(method);
    for (const char *p = methods; n && (p = strstr(p, method)); p++)
        if (p[-1] == ',' && p[n] == ',')
            return true;
    return false;
}

static bool http_matches(const struct http_rule *h, const struct rb_policy_url *u)
{
    int standard = u->secure ? 443 : 80;
    return (u->secure ? h->secure : h->plain) && (!h->methods || has_method(h->methods, u->method)) &&
           (h->port == PORT_ANY || u->port == (h->port == PORT_STANDARD ? standard : h->port)) &&
           host_matches(h, u->host, u->address) &&
           (!h->path || rb_policy_glob(h->path, strlen(h->path), u->path, strlen(u->path), "/")) &&
           (!h->query || rb_policy_glob(h->query, strlen(h->query), u->query, u->query_len, ""));
}

/* A path without wildcards is it and all below it; "/srv/\*\*" is /srv, too. */
static bool file_matches(const struct rb_rule *r, const char *path, size_t *base)
{
    size_t n = strlen(r->glob), len = strlen(path);
    bool same = strcmp(r->glob, path) == 0;
    bool below = r->literal && (n == 1 || (strncmp(r->glob, path, n) == 0 && path[n] == '/'));
    bool itself = n > 3 && strcmp(r->glob + n - 3, "/**") == 0 && rb_policy_glob(r->glob, n - 3, path, len, "/");
    if (!same && !below && !itself && (r->literal || !rb_policy_glob(r->glob, n, path, len, "/")))
        return false;
    if (base) {
        *base = r->base;
        if (*base >= len) /* it names the path itself: the folder that it is in */
            for (*base = len; *base > 1 && path[*base - 1] != '/'; --*base)
                ;
        if (*base > 1 && path[*base - 1] == '/')
            --*base;
    }
    return true;
}

/* Does the pattern cover all that is below the path ("PATH/\*\*" was asked)? As one that forbids: anything of it? */
static bool tree_matches(const struct rb_rule *r, const char *path, bool wide, size_t *base)
{
    char inside[PATH_CAP];
    size_t n = strlen(r->glob);
    const char *g = r->glob, *p = path;
    if (!wide) { /* a name that no pattern has; patterns without a last "/\*\*" end somewhere */
        bool deep = r->literal || (n > 2 && strcmp(g + n - 3, "/**") == 0);
        return deep &&
               (size_t)snprintf(inside, sizeof(inside), "%s/\001", n > 1 && !path[1] ? "" : path) < sizeof(inside) &&
               file_matches(r, inside, base);
    }
    if (file_matches(r, path, base))
        return true;
    for (p++, g++; *p; p += *p == '/', g += *g == '/') { /* do both go the same way as far as the path leads? */
        size_t pn = strcspn(p, "/"), gn = strcspn(g, "/");
        if (memmem(g, gn, "**", 2))
            return true;
        if (gn == 0 || !rb_policy_glob(g, gn, p, pn, "/"))
            return false;
        p += pn;
        g += gn;
    }
    return true;
}

/* What the pattern says of one part: nothing is all of it. What the name leaves to ssh's configuration (wide: could be
 * that, too). */
static bool part_matches(const char *pattern, const char *part, bool wide)
{
    if (!pattern)
        return true;
    return part ? rb_policy_glob(pattern, strlen(pattern), part, strlen(part), "") : wide;
}

static bool ssh_matches(const struct ssh_rule *r, const struct ssh_rule *name, bool wide)
{
    bool host =
        strcmp(r->host, "*") == 0 || rb_policy_glob(r->host, strlen(r->host), name->host, strlen(name->host), ".:");
    return host && part_matches(r->user, name->user, wide) && part_matches(r->port, name->port, wide);
}

static bool text_matches(const struct rb_rule *r, const char *name)
{
    return rb_policy_glob(r->glob, strlen(r->glob), name, strlen(name), r->stops);
}

const char *rb_rules_match(const struct rb_rules *rules, enum rb_reach kind, const char *name, const char **bad,
                           size_t *base)
{
    struct rb_policy_url url;
    char path[PATH_CAP];
    bool tree = false;
    *bad = NULL;
    if (!rules->n)
        return NULL;
    bool sqlite = kind == RB_REACH_SQL && strncmp(name, "sqlite:", 7) == 0 && name[7] != ':';
    if (kind == RB_REACH_HTTP && rb_policy_url_read(name, &url, bad))
        return NULL;
    if (kind == RB_REACH_FILE || sqlite) {
        char file[PATH_CAP];
        int n =
            snprintf(file, sizeof(file), "%.*s", sqlite ? (int)strcspn(name + 7, "?") : -1, sqlite ? name + 7 : name);
        if ((size_t)n >= sizeof(file) || !rb_policy_path(file, path, sizeof(path))) {
            *bad = "it is no absolute path of less than 4 KiB";
            return NULL;
        }
        n = (int)strlen(path);
        tree = kind == RB_REACH_FILE && n > 2 && strcmp(path + n - 3, "/**") == 0;
        if (tree)
            path[n > 3 ? n - 3 : 1] = '\0';
    }
    struct ssh_rule ssh = kind == RB_REACH_SSH ? split_ssh(name) : (struct ssh_rule){0};
    const char *found = NULL;
    for (size_t i = 0; i < rules->n && !found; i++) {
        const struct rb_rule *r = &rules->list[i];
        bool yes;
        if (r->bad) {
            *bad = r->bad;
            break;
        }
        if (kind == RB_REACH_EXEC)
            yes = exec_matches(r, name, rules->wide);
        else if (kind == RB_REACH_HTTP)
            yes = http_matches(&r->http, &url);
        else if (kind == RB_REACH_SSH)
            yes = ssh_matches(&r->ssh, &ssh, rules->wide);
        else if (r->is_path && tree)
            yes = tree_matches(r, path, rules->wide, base);
        else if (r->is_path)
            yes = (kind == RB_REACH_FILE || sqlite) && file_matches(r, path, base);
        else
            yes = text_matches(r, name);
        if (yes)
            found = r->text;
    }
    release_ssh(&ssh);
    return found;
}

bool rb_rules_names_host(const struct rb_rules *rules, const char *host, int port)
{
    for (size_t i = 0; i < rules->n; i++) {
        const struct http_rule *h = &rules->list[i].http;
        if (rules->list[i].bad || h->host_glob || strcmp(h->host, host) != 0)
            continue;
        if (!port || h->port == PORT_ANY || h->port == port ||
            (h->port == PORT_STANDARD && ((h->plain && port == 80) || (h->secure && port == 443))))
            return true;
    }
    return false;
}

/* Does the site have a pattern for the place that the header's pattern names literally? Others may be inside. */
static enum rb_within place_within(const struct rb_rules *site, enum rb_reach kind, const struct rb_rule *r)
{
    enum rb_within best = RB_WITHIN_NO;
    for (size_t i = 0; i < site->n; i++) {
        const struct rb_rule *s = &site->list[i];
        bool meets, all = false;
        if (s->bad)
            continue;
        if (kind == RB_REACH_EXEC) {
            meets = program_matches(s->words[0], r->words[0], strlen(r->words[0]), false);
            all = meets && !s->words[1];
        } else {
            meets = host_matches(&s->http, r->http.host, r->http.address);
            all = meets && !s->http.methods && !s->http.path && !s->http.query && s->http.port == PORT_ANY &&
                  (s->http.plain || !r->http.plain) && (s->http.secure || !r->http.secure);
        }
        if (meets && best == RB_WITHIN_NO)
            best = RB_WITHIN_MAYBE;
        if (all)
            best = RB_WITHIN_YES;
    }
    return best;
}

enum rb_within rb_rules_within(const struct rb_rules *site, enum rb_reach kind, const struct rb_rules *header, size_t i)
{
    const struct rb_rule *r = &header->list[i];
    const char *bad;
    if (r->bad || !site->n)
        return RB_WITHIN_NO;
    for (size_t k = 0; k < site->n; k++)
        if (strcmp(site->list[k].text, r->text) == 0 ||
            (r->is_path && site->list[k].is_path && strcmp(site->list[k].glob, r->glob) == 0))
            return RB_WITHIN_YES;
    if (kind == RB_REACH_EXEC || kind == RB_REACH_HTTP) {
        bool open = kind == RB_REACH_EXEC ? strchr(r->words[0], '*') != NULL : r->http.host_glob;
        return open ? RB_WITHIN_MAYBE : place_within(site, kind, r);
    }
    if (strchr(r->text, '*'))
        return RB_WITHIN_MAYBE;
    if (rb_rules_match(site, kind, r->is_path && kind == RB_REACH_FILE ? r->glob : r->text, &bad, NULL))
        return RB_WITHIN_YES;
    return r->is_path ? RB_WITHIN_MAYBE : RB_WITHIN_NO; /* what is below a folder may be named */
}
