/* Owns where things are: the configuration file, the state folder, the runbook roots. Knows no
 * command and opens no journal. */
#include "front/config.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/nearest.h"

#define MAX_DEPTH 8 /* folders below a root */
#define MAX_RUNBOOKS 4096

enum limit_unit { UNIT_COUNT, UNIT_BYTES, UNIT_US, UNIT_MS };

static const struct {
    const char *name;
    enum limit_unit unit;
    size_t offset;
    size_t size;
} limits[] = {
#define LIMIT(name, unit, member) \
    { \
        name, unit, offsetof(struct rb_limits, member), sizeof(((struct rb_limits *)0)->member) \
    }
    LIMIT("lua_memory", UNIT_BYTES, lua_memory),     LIMIT("slice_warn", UNIT_US, slice_warn_us),
    LIMIT("slice_max", UNIT_US, slice_max_us),       LIMIT("max_output", UNIT_BYTES, max_output),
    LIMIT("max_exec", UNIT_COUNT, max_exec),         LIMIT("max_tasks", UNIT_COUNT, max_tasks),
    LIMIT("park_grace", UNIT_MS, park_grace_ms),     LIMIT("cancel_grace", UNIT_MS, cancel_grace_ms),
    LIMIT("notice_after", UNIT_MS, notice_after_ms),
#undef LIMIT
};

static const char *home(void)
{
    const char *h = getenv("HOME");
    if (h && *h == '/')
        return h;
    struct passwd *pw = getpwuid(getuid());
    return pw && pw->pw_dir && *pw->pw_dir == '/' ? pw->pw_dir : NULL;
}

/* An XDG variable counts only when it is an absolute path (basedir-spec). */
static bool xdg(const char *variable, const char *fallback, char *out, size_t n)
{
    const char *dir = getenv(variable);
    if (dir && *dir == '/')
        return (size_t)snprintf(out, n, "%s/rbhost", dir) < n;
    const char *h = home();
    return h && (size_t)snprintf(out, n, "%s/%s/rbhost", h, fallback) < n;
}

bool rb_config_find(const char *given, char *path, size_t n)
{
    if (given) {
        snprintf(path, n, "%s", given);
        return true;
    }
    char dir[4000];
    if (xdg("XDG_CONFIG_HOME", ".config", dir, sizeof(dir))) {
        snprintf(path, n, "%s/config.lua", dir);
        if (access(path, F_OK) == 0)
            return true;
    }
    snprintf(path, n, "/etc/rbhost/config.lua");
    return access(path, F_OK) == 0;
}

int rb_config_state(char *path, size_t n, struct rb_err *err)
{
    if (!xdg("XDG_STATE_HOME", ".local/state", path, n))
        return rb_err_set(err, RB_ENOENT,
                          "there is no place for the journal: neither XDG_STATE_HOME nor HOME is an absolute path; "
                          "set one of them, or give --journal FILE");
    return RB_OK;
}

bool rb_config_secret_key(const json_t *config, char *path, size_t n)
{
    static const char credential[] = "credential:";
    const char *given = json_string_value(json_object_get(config, "secret_key")), *dir;
    char folder[4000];
    if (given && strncmp(given, credential, sizeof(credential) - 1) == 0) {
        dir = getenv("CREDENTIALS_DIRECTORY");
        return dir && (size_t)snprintf(path, n, "%s/%s", dir, given + sizeof(credential) - 1) < n;
    }
    if (given)
        return (size_t)snprintf(path, n, "%s", given) < n;
    return xdg("XDG_CONFIG_HOME", ".config", folder, sizeof(folder)) &&
           (size_t)snprintf(path, n, "%s/secret.key", folder) < n;
}

/* The value of one limit in its unit; rt/config_check.lua has made seconds and bytes of it. */
static int64_t limit_value(const json_t *v, enum limit_unit unit)
{
    double n = json_number_value(v);
    return (int64_t)(unit == UNIT_US ? n * 1e6 : unit == UNIT_MS ? n * 1e3 : n);
}

json_t *rb_config_read(const char *path, struct rb_err *err)
{
    struct rb_buf text;
    rb_buf_init(&text, 16 << 20);
    json_error_t je;
    json_t *config = NULL;
    if (rb_config_load(path, &text, err) < 0)
        goto end;
    config = json_loadb(rb_buf_text(&text), text.len, JSON_ALLOW_NUL, &je);
    if (!config)
        rb_err_set(err, RB_EINVAL, "%s: %s", path, je.text);
    if (json_is_array(config) && json_array_size(config) == 0) {
        json_decref(config);
        config = json_object();
    }
end:
    rb_buf_release(&text);
    return config;
}

void rb_config_limits(const json_t *config, struct rb_limits *out)
{
    *out = (struct rb_limits){0};
    const json_t *table = json_object_get(config, "limits");
    for (size_t i = 0; i < RB_COUNT(limits); i++) {
        const json_t *v = json_object_get(table, limits[i].name);
        int64_t n = v ? limit_value(v, limits[i].unit) : 0;
        char *slot = (char *)out + limits[i].offset;
        if (n > 0 && limits[i].size == sizeof(int))
            *(int *)slot = (int)n;
        else if (n > 0)
            *(int64_t *)slot = n;
    }
}

static int64_t member(const struct rb_limits *l, size_t i)
{
    const char *slot = (const char *)l + limits[i].offset;
    return limits[i].size == sizeof(int) ? *(const int *)(const void *)slot : *(const int64_t *)(const void *)slot;
}

const char *rb_config_limit(const struct rb_limits *l, size_t i, char *text, size_t n)
{
    if (i >= RB_COUNT(limits))
        return NULL;
    int64_t v = member(l, i) ? member(l, i) : member(&rb_limits_standard, i);
    if (limits[i].unit == UNIT_US || limits[i].unit == UNIT_MS)
        snprintf(text, n, "%.9gs", (double)v / (limits[i].unit == UNIT_US ? 1e6 : 1e3));
    else
        snprintf(text, n, "%lld", (long long)v);
    return limits[i].name;
}

/* -- runbooks below the roots -------------------------------------------------------------------------------------- */

struct found {
    char *name, *path;
};

struct finder {
    struct found *list;
    size_t n;
    size_t base; /* length of the root in `path` with its slash */
};

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_.-/", c));
}

/* Words joined by "/", none of them "", "." or "..". */
static bool is_runbook_name(const char *name)
{
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!is_name_char(p[i]))
                return false;
        p += n;
        if (!*p)
            return true;
    }
}

/* Folders of modules and of tests: what runbooks require stands in the former. */
static bool has_no_runbooks(const char *folder)
{
    return strcmp(folder, "lib") == 0 || strcmp(folder, "tests") == 0;
}

static void collect(struct finder *f, const char *dir, int depth)
{
    DIR *d = depth < MAX_DEPTH ? opendir(dir) : NULL;
    struct dirent *e;
    while (d && (e = readdir(d)) != NULL) {
        char path[4096];
        struct stat st;
        size_t n = strlen(e->d_name);
        if (e->d_name[0] == '.' || (size_t)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= sizeof(path) ||
            lstat(path, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && !has_no_runbooks(e->d_name))
            collect(f, path, depth + 1);
        else if (S_ISREG(st.st_mode) && n > 4 && strcmp(e->d_name + n - 4, ".lua") == 0 && f->n < MAX_RUNBOOKS) {
            char *name = rb_strdup(path + f->base);
            name[strlen(name) - 4] = '\0';
            f->list = rb_realloc(f->list, (f->n + 1) * sizeof(*f->list));
            f->list[f->n++] = (struct found){name, rb_strdup(path)};
        }
    }
    if (d)
        closedir(d);
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->name, ((const struct found *)b)->name);
}

int rb_config_each(const json_t *config, void (*each)(void *arg, const char *name, const char *path), void *arg,
                   struct rb_err *err)
{
    struct finder f = {0};
    const json_t *roots = json_object_get(config, "roots");
    if (json_array_size(roots) == 0)
        return rb_err_set(err, RB_ENOENT,
                          "no runbook roots are configured; write return { roots = { \"/path/to/runbooks\" } } "
                          "into ~/.config/rbhost/config.lua");
    for (size_t i = 0; i < json_array_size(roots); i++) {
        const char *root = json_string_value(json_array_get(roots, i));
        size_t before = f.n;
        f.base = strlen(root) + 1;
        collect(&f, root, 0);
        if (f.n > before)
            qsort(f.list + before, f.n - before, sizeof(*f.list), compare);
    }
    /* Names of an earlier root hide the same ones of a later root; then all are sorted. */
    size_t kept = 0;
    for (size_t i = 0; i < f.n; i++) {
        size_t k = 0;
        while (k < kept && strcmp(f.list[k].name, f.list[i].name) != 0)
            k++;
        if (k == kept) {
            f.list[kept++] = f.list[i];
        } else {
            free(f.list[i].name);
            free(f.list[i].path);
        }
    }
    if (kept)
        qsort(f.list, kept, sizeof(*f.list), compare);
    for (size_t i = 0; i < kept; i++) {
        each(arg, f.list[i].name, f.list[i].path);
        free(f.list[i].name);
        free(f.list[i].path);
    }
    free(f.list);
    return (int)kept;
}

struct names {
    char *list[MAX_RUNBOOKS];
    size_t n;
};

static void on_name(void *arg, const char *name, const char *path)
{
    struct names *names = arg;
    (void)path;
    if (names->n < MAX_RUNBOOKS)
        names->list[names->n++] = rb_strdup(name);
}

int rb_config_runbook(const json_t *config, const char *name, char *path, size_t n, struct rb_err *err)
{
    if (!is_runbook_name(name))
        return rb_err_set(err, RB_EINVAL,
                          "'%s' is neither a file nor the name of a runbook (letters, digits, _ . - and /)", name);
    const json_t *roots = json_object_get(config, "roots");
    for (size_t i = 0; i < json_array_size(roots); i++) {
        struct stat st;
        int len = snprintf(path, n, "%s/%s.lua", json_string_value(json_array_get(roots, i)), name);
        if (len > 0 && (size_t)len < n && stat(path, &st) == 0 && S_ISREG(st.st_mode))
            return RB_OK;
    }
    if (json_array_size(roots) == 0)
        return rb_err_set(err, RB_ENOENT,
                          "there is no file '%s', and no runbook roots are configured where a runbook of that name "
                          "could be",
                          name);
    struct names *names = rb_alloc(sizeof(*names));
    rb_config_each(config, on_name, names, NULL);
    const char *near = rb_nearest(name, (const char *const *)names->list, names->n);
    if (near)
        rb_err_set(err, RB_ENOENT, "there is no runbook '%s'; did you mean '%s'?", name, near);
    else
        rb_err_set(err, RB_ENOENT, "there is no file and no runbook '%s'; `rbhost list` shows the runbooks", name);
    for (size_t i = 0; i < names->n; i++)
        free(names->list[i]);
    free(names);
    return RB_ENOENT;
}
