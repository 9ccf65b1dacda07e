/* Owns what a DSN stands for. libpq fills it in from the service file, the environment and its defaults, as it does for
 * psql; we take the result apart, because names must be looked up without blocking and hosts tried one by one, each
 * with a limit of its own. Reads files: runs on the pool. Knows no connection that lives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "io/sql_pg.h"

#define PLACES_MAX 64 /* names and their addresses */
#define NO_FILE "/nonexistent/rbhost"

/* "postgres://…" is libpq's own; behind "postgres:" stand its keywords. */
static const char *conninfo_of(const char *dsn)
{
    const char *colon = strchr(dsn, ':');
    return colon[1] == '/' && colon[2] == '/' ? dsn : colon + 1;
}

/* May libpq's complaint about it be shown? It quotes what it does not understand, which may be a password; a name that
 * it does not know is none. */
static bool may_be_quoted(const char *conninfo, const char *message)
{
    return (!strchr(conninfo, '@') && !strstr(conninfo, "pass")) ||
           strncmp(message, "invalid URI query parameter: ", 29) == 0;
}

static int check(const char *conninfo, struct rb_err *why)
{
    char *message = NULL, said[300] = "";
    PQconninfoOption *all = rb_pq.PQconninfoParse(conninfo, &message);
    if (all) {
        rb_pq.PQconninfoFree(all);
        return RB_OK;
    }
    if (message && may_be_quoted(conninfo, message))
        rb_pg_tidy(message, said, sizeof(said));
    if (message)
        rb_pq.PQfreemem(message);
    return rb_err_set(why, RB_EINVAL, "the DSN can not be read%s%s",
                      said[0] ? ": " : " (libpq's words may hold a secret)", said);
}

/* Asks libpq to fill in all options for a connection, and stops it right before it connects by giving one of them a
 * value that does not exist. libpq has no call for it: PQconninfoParse knows no service file, PQconndefaults no DSN.
 * other: one more that is not asked for. */
static PQconninfoOption *fill_in(const char *conninfo, const char *broken, const char *other, struct rb_err *why)
{
    const char *keys[] = {"dbname", broken, other, NULL}, *values[] = {conninfo, "?", NO_FILE, NULL};
    PGconn *pq = rb_pq.PQconnectStartParams(keys, values, 1);
    if (!pq)
        rb_die("out of memory");
    PQconninfoOption *all = rb_pq.PQconninfo(pq);
    bool filled = false;
    for (PQconninfoOption *o = all; o && o->keyword; o++)
        filled = filled || (strcmp(o->keyword, broken) == 0 && o->val);
    if (!filled) { /* "definition of service "x" not found": it did not come that far */
        char said[600];
        rb_pg_tidy(rb_pq.PQerrorMessage(pq), said, sizeof(said));
        rb_err_set(why, RB_EINVAL, "%s", said);
        rb_pq.PQconninfoFree(all);
        all = NULL;
    }
    rb_pq.PQfinish(pq);
    return all;
}

static const char *value_of(const PQconninfoOption *all, const char *keyword)
{
    for (; all->keyword; all++)
        if (strcmp(all->keyword, keyword) == 0)
            return all->val && all->val[0] ? all->val : NULL;
    return NULL;
}

static void add(struct pg_settings *s, const char *key, const char *value)
{
    s->keys = rb_realloc(s->keys, (s->count + 2) * sizeof(*s->keys));
    s->values = rb_realloc(s->values, (s->count + 2) * sizeof(*s->values));
    s->keys[s->count] = rb_strdup(key);
    s->values[s->count++] = rb_strdup(value);
    s->keys[s->count] = s->values[s->count] = NULL;
}

static bool has(const struct pg_settings *s, const char *key)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->keys[i], key) == 0)
            return true;
    return false;
}

/* What is ours to say, or is said elsewhere. */
static bool is_ours(const char *key)
{
    static const char *const ours[] = {"host",
                                       "hostaddr",
                                       "port",
                                       "password",
                                       "channel_binding",
                                       "gssencmode",
                                       "client_encoding",
                                       "connect_timeout",
                                       "replication",
                                       "target_session_attrs"};
    if (strncmp(key, "service", 7) == 0)
        return true;
    for (size_t i = 0; i < RB_COUNT(ours); i++)
        if (strcmp(key, ours[i]) == 0)
            return true;
    return false;
}

/* libpq does not read a file of passwords that others may read, and prints so on our error output, at each look. So it
 * is not shown one, and whoever is refused then reads why. */
static void check_passfile(struct pg_settings *s, const PQconninfoOption *all)
{
    const char *path = value_of(all, "passfile"), *home = getenv("HOME");
    char own[512];
    struct stat st;
    if (!path) {
        snprintf(own, sizeof(own), "%s/.pgpass", home ? home : "");
        path = own;
    }
    if (stat(path, &st) || (S_ISREG(st.st_mode) && !(st.st_mode & 077)))
        return;
    if (S_ISREG(st.st_mode))
        snprintf(s->advice, sizeof(s->advice),
                 "%.200s is not read, because others can read it (mode %04o): chmod 600 %.200s", path,
                 (unsigned)(st.st_mode & 07777), path);
    else
        snprintf(s->advice, sizeof(s->advice), "%.200s is not read, because it is no regular file", path);
    add(s, "passfile", NO_FILE);
}

static void take_options(struct pg_settings *s, const PQconninfoOption *all, const char *own)
{
    const char *gss = value_of(all, "gssencmode"), *attrs = value_of(all, "target_session_attrs");
    for (const PQconninfoOption *o = all; o->keyword; o++)
        if (o->val && o->val[0] && !is_ours(o->keyword) && !has(s, o->keyword))
            add(s, o->keyword, o->val);
    if (own)
        add(s, "password", own);
    /* "prefer" would speak to a Kerberos server, and block, wherever a ticket lies about */
    add(s, "gssencmode", gss && strcmp(gss, "prefer") != 0 ? gss : "disable");
    add(s, "client_encoding", "UTF8");
    if (!has(s, "application_name"))
        add(s, "application_name", "rbhost");
    /* A peer that has gone without a word is found after a minute, not after two hours. */
    if (!has(s, "keepalives_idle"))
        add(s, "keepalives_idle", "30");
    if (!has(s, "keepalives_interval"))
        add(s, "keepalives_interval", "10");
    if (!has(s, "keepalives_count"))
        add(s, "keepalives_count", "3");
    if (!has(s, "tcp_user_timeout"))
        add(s, "tcp_user_timeout", "60000");
    s->prefer_standby = attrs && strcmp(attrs, "prefer-standby") == 0;
    add(s, "target_session_attrs", attrs ? attrs : "any");
}

void rb_pg_place_add(struct pg_settings *s, const char *host, const char *address, const char *port)
{
    if (s->place_count == PLACES_MAX)
        return;
    s->places = rb_realloc(s->places, (s->place_count + 1) * sizeof(*s->places));
    s->places[s->place_count++] =
        (struct pg_place){.host = rb_strdup(host), .address = rb_strdup(address), .port = rb_strdup(port)};
}

bool rb_pg_place_is_name(const struct pg_place *p)
{
    return p->host && !p->address && p->host[0] != '/' && p->host[0] != '@';
}

/* Takes what stands before the next comma off *list, into out; NULL when that is empty. */
static char *next_of(const char **list)
{
    if (!*list)
        return NULL;
    size_t n = strcspn(*list, ",");
    char *out = n ? rb_strndup(*list, n) : NULL;
    *list = (*list)[n] ? *list + n + 1 : NULL;
    return out;
}

static size_t count_of(const char *list)
{
    size_t n = list != NULL;
    for (; list && *list; list++)
        n += *list == ',';
    return n;
}

/* "a,b" with ports "1,2": one for each, or one port for all. */
static int take_places(struct pg_settings *s, const PQconninfoOption *all, struct rb_err *why)
{
    const char *hosts = value_of(all, "host"), *addresses = value_of(all, "hostaddr"), *ports = value_of(all, "port");
    size_t host_count = count_of(hosts), address_count = count_of(addresses), port_count = count_of(ports);
    size_t n = host_count > address_count ? host_count : address_count;
    if (n == 0)
        n = 1;
    if ((host_count && address_count && host_count != address_count) || (port_count > 1 && port_count != n))
        return rb_err_set(why, RB_EINVAL, "the DSN has %zu hosts, %zu hostaddr and %zu ports; these must fit",
                          host_count, address_count, port_count);
    const char *one_port = port_count == 1 ? ports : NULL;
    for (size_t i = 0; i < n; i++) {
        char *host = next_of(&hosts), *address = next_of(&addresses), *port = one_port ? NULL : next_of(&ports);
        rb_pg_place_add(s, host, address, one_port ? one_port : port);
        free(host);
        free(address);
        free(port);
    }
    return RB_OK;
}

struct pg_settings *rb_pg_settings(const char *dsn, const char *password, struct rb_err *why)
{
    const char *conninfo = conninfo_of(dsn);
    if (rb_pq_open(why) || check(conninfo, why))
        return NULL;
    /* with a password in its place, no file of passwords is looked at */
    PQconninfoOption *all = fill_in(conninfo, "channel_binding", "password", why);
    if (!all)
        return NULL;
    PQconninfoOption *rest = fill_in(conninfo, "gssencmode", "passfile", why); /* for what those two themselves are */
    struct pg_settings *s = rb_alloc(sizeof(*s));
    int rc = rest ? take_places(s, all, why) : RB_EINVAL;
    if (rc == RB_OK) {
        const char *binding = value_of(rest, "channel_binding"), *limit = value_of(all, "connect_timeout");
        const char *own = password ? password : value_of(rest, "password");
        if (!own)
            check_passfile(s, all);
        take_options(s, all, own);
        if (binding)
            add(s, "channel_binding", binding);
        s->host_limit = limit ? atoi(limit) : 0;
    }
    rb_pq.PQconninfoFree(all);
    rb_pq.PQconninfoFree(rest);
    if (rc == RB_OK)
        return s;
    rb_pg_settings_free(s);
    return NULL;
}

void rb_pg_settings_free(struct pg_settings *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        explicit_bzero(s->values[i], strlen(s->values[i])); /* one is the password */
        free(s->keys[i]);
        free(s->values[i]);
    }
    for (size_t i = 0; i < s->place_count; i++) {
        free(s->places[i].host);
        free(s->places[i].address);
        free(s->places[i].port);
    }
    free(s->keys);
    free(s->values);
    free(s->places);
    free(s);
}
