/* Owns pinning: a run executes the sources that its journal holds, whatever has become of the files (D3 "Pinning"). The
 * runbook, the closure of its literal requires and the stdlib modules among them are stored at the start, a computed
 * require when it is loaded. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "engine/core.h"
#include "engine/embed.h"
#include "engine/runbook.h"

#define MODULES_MAX 1000

void rb_source_free(void *source)
{
    struct rb_source *s = source;
    if (s)
        free(s->text);
    free(s);
}

static bool keep(struct rb_run *run, const char *name, const char *text, size_t len)
{
    void **at = rb_strmap_at(&run->sources, name, strlen(name));
    if (*at)
        return false;
    struct rb_source *s = rb_alloc(sizeof(*s));
    s->text = rb_strndup(text, len);
    s->len = len;
    *at = s;
    return true;
}

/* A module's name is dotted words: no way out of the runbook's folder. */
static bool good_name(const char *name)
{
    size_t n = strlen(name);
    if (!n || n > 200 || *name == '.' || name[n - 1] == '.' || strstr(name, ".."))
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == n;
}

/* Looks a module up in the embedded stdlib, then below the runbook's folder. RB_ENOENT. */
static int look_up(struct rb_run *run, const char *name, struct rb_buf *text, struct rb_err *err)
{
    if (!good_name(name))
        return rb_err_set(err, RB_EINVAL,
                          "require: \"%s\" is no module name: letters, digits, _ and - in words joined by dots", name);
    for (const struct rb_embed *e = rb_stdlib; e->name; e++) {
        if (strcmp(e->name, name) == 0 && strncmp(name, "rt/", 3) != 0) {
            rb_buf_add(text, e->data, e->len);
            return RB_OK;
        }
    }
    char real_root[PATH_MAX], real_file[PATH_MAX];
    struct rb_buf path;
    rb_buf_init(&path, PATH_MAX);
    const char *slash = strrchr(run->file, '/');
    if (slash)
        rb_buf_add(&path, run->file, (size_t)(slash - run->file) + 1);
    else
        rb_buf_adds(&path, "./");
    char *root_ok = realpath(rb_buf_text(&path), real_root);
    for (const char *p = name; *p; p++)
        rb_buf_addc(&path, *p == '.' ? '/' : *p);
    rb_buf_adds(&path, ".lua");
    char *file_ok = root_ok ? realpath(rb_buf_text(&path), real_file) : NULL;
    int rc;
    if (!file_ok)
        rc = rb_err_set(err, RB_ENOENT, "require: there is no module \"%s\": neither in the library nor at %s", name,
                        rb_buf_text(&path));
    else if (strncmp(real_file, real_root, strlen(real_root)) != 0 || real_file[strlen(real_root)] != '/')
        rc = rb_err_set(err, RB_EDENIED, "require: %s leads out of the runbook's folder %s", rb_buf_text(&path),
                        real_root);
    else
        rc = rb_runbook_read(real_file, text, err);
    rb_buf_release(&path);
    return rc;
}

/* Pins one source and, by its literal requires, all that it names. Appends {name, digest} rows. A module that is not
 * found is left to the require itself: it may stand in a branch that is not taken. */
static int pin(struct rb_run *run, const char *name, const char *file, const char *text, size_t len,
               struct rb_json *rows, struct rb_err *err)
{
    char digest[RB_SHA_HEX];
    if (!keep(run, name, text, len))
        return RB_OK;
    if (run->sources.count > MODULES_MAX)
        return rb_err_set(err, RB_ETOOBIG, "the runbook requires more than %d modules", MODULES_MAX);
    if (run->journal)
        rb_journal_source(run->journal, name, text, len, digest);
    else
        digest[0] = '\0'; /* it is only looked at */
    rb_json_object(rows);
    rb_json_ktext(rows, "name", name);
    rb_json_ktext(rows, "digest", digest);
    rb_json_end_object(rows);
    if (!memmem(text, len, "require", 7))
        return RB_OK;
    struct rb_buf names;
    rb_buf_init(&names, 1 << 20);
    int rc = rb_requires_scan(file, text, len, &names, err);
    json_t *list = rc ? NULL : json_loadb(rb_buf_text(&names), names.len, 0, NULL);
    for (size_t i = 0; !rc && i < json_array_size(list); i++) {
        const char *module = json_string_value(json_array_get(list, i));
        struct rb_buf source;
        struct rb_err missing = {0};
        rb_buf_init(&source, RB_RUNBOOK_MAX);
        if (module && !look_up(run, module, &source, &missing))
            rc = pin(run, module, module, rb_buf_text(&source), source.len, rows, err);
        rb_buf_release(&source);
    }
    json_decref(list);
    rb_buf_release(&names);
    return rc;
}

int rb_source_pin_all(struct rb_run *run, const char *text, size_t len, struct rb_buf *json, struct rb_err *err)
{
    struct rb_json rows;
    rb_json_init(&rows, json);
    rb_json_array(&rows);
    int rc = pin(run, "@main", run->file, text, len, &rows, err);
    rb_json_end_array(&rows);
    return rc;
}

/* Most sources that have the word have it as a parameter's type: those are not parsed. */
static bool may_name_secret(const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    while ((p = memmem(p, (size_t)(end - p), "secret", 6))) {
        p += 6;
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r' || *p == '('))
            p++;
        if (p < end && (*p == '"' || *p == '\'' || *p == '[' || *p == '-'))
            return true;
    }
    return false;
}

int rb_source_secrets(const struct rb_run *run, struct rb_buf *names_json, struct rb_err *err)
{
    json_t *all = json_array();
    int rc = RB_OK;
    for (size_t i = 0; !rc && i < run->sources.cap; i++) {
        const struct rb_strmap_slot *slot = &run->sources.slots[i];
        const struct rb_source *s = slot->value;
        struct rb_buf names;
        if (!slot->key || !may_name_secret(s->text, s->len))
            continue;
        rb_buf_init(&names, 1 << 20);
        rc = rb_secrets_scan(strcmp(slot->key, "@main") == 0 ? run->file : slot->key, s->text, s->len, &names, err);
        json_t *list = rc ? NULL : json_loadb(rb_buf_text(&names), names.len, 0, NULL);
        json_array_extend(all, list);
        json_decref(list);
        rb_buf_release(&names);
    }
    char *text = json_dumps(all, JSON_COMPACT);
    rb_buf_adds(names_json, text);
    free(text);
    json_decref(all);
    return rc;
}

int rb_runbook_secrets(const char *file, struct rb_buf *names_json, struct rb_err *err)
{
    struct rb_run run = {.file = (char *)(uintptr_t)file};
    struct rb_buf text, rows;
    rb_strmap_init(&run.sources);
    rb_buf_init(&text, RB_RUNBOOK_MAX);
    rb_buf_init(&rows, (size_t)64 << 20);
    int rc = rb_runbook_read(file, &text, err);
    if (!rc)
        rc = rb_source_pin_all(&run, rb_buf_text(&text), text.len, &rows, err);
    if (!rc)
        rc = rb_source_secrets(&run, names_json, err);
    rb_strmap_release(&run.sources, rb_source_free);
    rb_buf_release(&text);
    rb_buf_release(&rows);
    return rc;
}

void rb_source_pin_again(const struct rb_run *from, struct rb_run *to, struct rb_buf *json)
{
    struct rb_json rows;
    rb_json_init(&rows, json);
    rb_json_array(&rows);
    for (size_t i = 0; i < from->sources.cap; i++) {
        const struct rb_strmap_slot *slot = &from->sources.slots[i];
        const struct rb_source *s = slot->value;
        char digest[RB_SHA_HEX];
        if (!slot->key)
            continue;
        keep(to, slot->key, s->text, s->len);
        rb_journal_source(to->journal, slot->key, s->text, s->len, digest);
        rb_json_object(&rows);
        rb_json_ktext(&rows, "name", slot->key);
        rb_json_ktext(&rows, "digest", digest);
        rb_json_end_object(&rows);
    }
    rb_json_end_array(&rows);
}

static int on_source(void *arg, const char *name, const char *digest, const char *data, size_t len)
{
    (void)digest;
    keep(arg, name, data, len);
    return 0;
}

int rb_source_load_pinned(struct rb_run *run, struct rb_err *err)
{
    return rb_store_sources(run->host->store, run->id, on_source, run, err);
}

int rb_source_find(void *arg, const char *name, struct rb_buf *text, char chunkname[256], struct rb_err *err)
{
    struct rb_run *run = arg;
    struct rb_source *s = rb_strmap_get(&run->sources, name, strlen(name));
    bool library = false;
    for (const struct rb_embed *e = rb_stdlib; e->name && !library; e++)
        library = strcmp(e->name, name) == 0;
    snprintf(chunkname, 256, "@%s%s.lua", library ? "stdlib/" : "", name);
    if (s) {
        rb_buf_add(text, s->text, s->len);
        return 1;
    }
    int rc = look_up(run, name, text, err);
    if (rc)
        return rc == RB_ENOENT ? 0 : rc;
    keep(run, name, rb_buf_text(text), text->len); /* a computed require: pinned now */
    char digest[RB_SHA_HEX];
    struct rb_buf data;
    struct rb_json j;
    rb_buf_init(&data, 4096);
    rb_journal_source(run->journal, name, rb_buf_text(text), text->len, digest);
    rb_json_init(&j, &data);
    rb_json_object(&j);
    rb_json_ktext(&j, "name", name);
    rb_json_ktext(&j, "digest", digest);
    rb_json_end_object(&j);
    rb_journal_append(run->journal, "", "source", data.data, data.len);
    rb_buf_release(&data);
    return 1;
}
