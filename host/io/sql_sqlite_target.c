/* Owns what a DSN of SQLite means, and which files are not opened whatever it says: the journal of this host. The
 * journal has one writer in each process, with rules of its own (store/sqlite_writer.c); a second connection could
 * checkpoint under it, and 3.40.1 can corrupt a file then. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/sql_sqlite.h"

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "sqlite:/a%3Fb?…" → "/a?b", allocated. */
static char *path_of(const char *p, size_t n)
{
    char *path = rb_alloc(n + 1), *to = path;
    for (size_t i = 0; i < n; i++) {
        int high = i + 2 < n && p[i] == '%' ? hex(p[i + 1]) : -1, low = high < 0 ? -1 : hex(p[i + 2]);
        if (low >= 0 && (high || low)) {
            *to++ = (char)(high * 16 + low);
            i += 2;
        } else {
            *to++ = p[i];
        }
    }
    *to = '\0';
    return path;
}

static int option(struct sqlite_target *t, const char *name, size_t name_len, const char *value, size_t len,
                  struct rb_err *err)
{
    char word[64];
    snprintf(word, sizeof(word), "%.*s=%.*s", (int)name_len, name, (int)len, value);
    if (strcmp(word, "mode=ro") == 0)
        t->only_read = true;
    else if (strcmp(word, "mode=rw") == 0)
        t->create = false;
    else if (strcmp(word, "foreign_keys=on") == 0)
        t->foreign_keys = true;
    else if (strcmp(word, "mode=rwc") != 0 && strcmp(word, "foreign_keys=off") != 0)
        return rb_err_set(err, RB_EINVAL,
                          "%s is no option of a DSN of SQLite; there are mode=ro, mode=rw (the file must be there), "
                          "mode=rwc (the default: a write makes it), foreign_keys=on",
                          word);
    return RB_OK;
}

static int parse(struct sqlite_target *t, const char *dsn, struct rb_err *err)
{
    const char *path = dsn + strlen("sqlite:"), *query = strchr(path, '?');
    size_t n = query ? (size_t)(query - path) : strlen(path);
    if (n > 2 && strncmp(path, "///", 3) == 0) { /* sqlite:///srv/app.db, as others write it */
        path += 2;
        n -= 2;
    }
    if (n == 0 || path[0] != '/')
        return rb_err_set(err, RB_EINVAL, "the path of a database must be absolute: sqlite:/srv/app.db, not %.*s",
                          (int)n, path);
    t->path = path_of(path, n);
    for (const char *p = query; p && *p;) {
        const char *name = p + 1, *stop = name + strcspn(name, "&"), *equals = memchr(name, '=', (size_t)(stop - name));
        const char *value = equals ? equals + 1 : stop;
        int rc = option(t, name, (size_t)((equals ? equals : stop) - name), value, (size_t)(stop - value), err);
        if (rc)
            return rc;
        p = *stop ? stop : NULL;
    }
    return RB_OK;
}

static void make_key(struct sqlite_target *t, const struct rb_sql_open *opt)
{
    struct rb_buf key;
    rb_buf_init(&key, 1 << 20);
    rb_buf_addf(&key, "%s%s%s%s%s", t->read ? "r" : "w", t->only_read ? "o" : "", t->create ? "c" : "",
                t->foreign_keys ? "f" : "", " ");
    rb_buf_adds(&key, t->path);
    for (size_t i = 0; opt->attach && opt->attach[i]; i++) {
        rb_buf_addc(&key, '\n');
        rb_buf_adds(&key, opt->attach[i]);
    }
    t->key = rb_buf_detach(&key);
}

struct sqlite_target *rb_sql_sqlite_target_new(const struct rb_sql_open *opt, struct rb_err *err)
{
    struct sqlite_target *t = rb_alloc(sizeof(*t));
    t->read = opt->read;
    t->create = true;
    t->refuse = rb_strdup(opt->refuse_path);
    int rc = parse(t, opt->dsn, err);
    size_t n = 0;
    while (opt->attach && opt->attach[n])
        n++;
    t->attach = rb_alloc((n + 1) * sizeof(*t->attach));
    for (size_t i = 0; i < n && !rc; i++) {
        const char *path = strchr(opt->attach[i], '=');
        if (!path || path[1] != '/')
            rc = rb_err_set(err, RB_EINVAL, "the path of an attached database must be absolute: %s", opt->attach[i]);
        t->attach[i] = rb_strdup(opt->attach[i]);
    }
    if (rc) {
        rb_sql_sqlite_target_free(t);
        return NULL;
    }
    make_key(t, opt);
    return t;
}

void rb_sql_sqlite_target_free(struct sqlite_target *t)
{
    if (!t)
        return;
    for (size_t i = 0; t->attach && t->attach[i]; i++)
        free(t->attach[i]);
    free(t->attach);
    free(t->key);
    free(t->path);
    free(t->refuse);
    free(t);
}

/* -- what is not opened -------------------------------------------------------------------------------------------- */

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* "/srv/j.db" → "/srv" and "j.db" */
static const char *split(const char *path, char folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    snprintf(folder, PATH_MAX, "%.*s", slash && slash > path ? (int)(slash - path) : 1, slash ? path : ".");
    return slash ? slash + 1 : path;
}

bool rb_sql_sqlite_refuses(const struct sqlite_target *t, const char *path)
{
    static const char *const beside[] = {"", "-wal", "-shm", "-journal"};
    char other[PATH_MAX], folder[PATH_MAX], own[PATH_MAX];
    if (!t->refuse)
        return false;
    for (size_t i = 0; i < RB_COUNT(beside); i++) {
        snprintf(other, sizeof(other), "%s%s", t->refuse, beside[i]);
        if (same_file(path, other)) /* also by a symbolic or a hard link */
            return true;
    }
    const char *name = split(path, folder), *journal = split(t->refuse, own);
    size_t n = strlen(journal); /* one that is not there yet, by its name */
    return strncmp(name, journal, n) == 0 && (name[n] == '-' || name[n] == '\0') && same_file(folder, own);
}
