/* Owns secrets that are parameters: given, read from the file that they came from, or fetched from the source that the
 * configuration has under the parameter's name. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/core.h"

/* The content of a file without its last line end. */
static int read_file(struct rb_run *run, const char *name, const char *path, struct rb_err *err)
{
    struct rb_buf text;
    char chunk[4096];
    ssize_t n = 0;
    rb_buf_init(&text, RB_SECRET_MAX + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us up */
    while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
        rb_buf_add(&text, chunk, (size_t)n);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    int rc = RB_OK;
    if (fd < 0 || n < 0) {
        rc = rb_err_sys(
            err, RB_EINVAL, saved,
            "the secret %s was read from %s, and can not be read again; `rbhost resume %s %s=@FILE` gives it anew",
            name, path, run->id, name);
    } else {
        while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
            text.len--;
        rb_secret_learn(run, name, rb_buf_text(&text), text.len);
    }
    explicit_bzero(chunk, sizeof(chunk));
    if (text.data)
        explicit_bzero(text.data, text.len);
    rb_buf_release(&text);
    return rc;
}

static int fetch(struct rb_run *run, const char *name, const json_t *from, struct rb_err *err)
{
    const char *where = json_string_value(json_object_get(from, name)), *text;
    size_t len;
    if (where && strncmp(where, "source:", 7) == 0) {
        if (!rb_vault_take(run->host, name, &text, &len))
            return rb_err_set(err, RB_EAGAIN, "the secret %s is still to be fetched", name);
        rb_secret_learn(run, name, text, len);
        return RB_OK;
    }
    if (where && strncmp(where, "file:", 5) == 0)
        return read_file(run, name, where + 5, err);
    return rb_err_set(err, RB_EINVAL,
                      "run %s needs its secret %s again, which is kept nowhere: `rbhost resume %s %s=@FILE` (or %s=@-)",
                      run->id, name, run->id, name, name);
}

int rb_secret_load(struct rb_run *run, const char *given_json, const char *from_json, struct rb_err *err)
{
    int rc = RB_OK;
    json_t *given = given_json ? json_loads(given_json, JSON_ALLOW_NUL, NULL) : NULL;
    json_t *from = from_json ? json_loads(from_json, 0, NULL) : NULL;
    json_t *params = json_loads(run->params_json, JSON_ALLOW_NUL, NULL), *value;
    const char *key;
    json_object_foreach(params, key, value)
    {
        const char *name = json_string_value(json_object_get(value, "$secret"));
        const json_t *text = name ? json_object_get(given, name) : NULL;
        if (!name || (rc && rc != RB_EAGAIN))
            continue;
        if (json_is_string(text))
            rb_secret_learn(run, name, json_string_value(text), json_string_length(text));
        else
            rc = fetch(run, name, from, err) ? err->code : rc;
        size_t len = 0;
        bool known = (!rc || rc == RB_EAGAIN) && rb_secret_size(run, name, &len);
        if (known && len < RB_SECRET_MIN)
            rc = rb_err_set(err, RB_EINVAL,
                            "the secret %s is shorter than %d bytes: it could not be kept out of the journal", name,
                            RB_SECRET_MIN);
        else if (known && len > RB_SECRET_MAX)
            rc = rb_err_set(err, RB_EINVAL, "the secret %s is larger than %d KiB", name, RB_SECRET_MAX >> 10);
    }
    json_decref(given);
    json_decref(from);
    json_decref(params);
    return rc;
}

/* [new reference] {name: kind} of the secret parameters that nobody gave and the configuration has a source for. */
static json_t *from_sources(struct rb_run *run, const json_t *header, const json_t *given)
{
    json_t *found = json_object(), *p;
    size_t i;
    json_array_foreach(json_object_get(header, "params"), i, p)
    {
        const char *name = json_string_value(json_object_get(p, "name"));
        const char *type = json_string_value(json_object_get(p, "type"));
        if (name && type && strcmp(type, "secret") == 0 && !json_object_get(given, name) &&
            json_object_get(rb_host_config(run->host, "secrets"), name))
            json_object_set_new(found, name, json_true());
    }
    return found;
}

/* The given parameters with those that come from sources, as JSON to be wiped and freed. */
int rb_secret_complete(struct rb_run *run, const char *header_json, const char *given_json, const char *from_json,
                       char **completed, struct rb_err *err)
{
    *completed = NULL;
    run->secret_from = rb_strdup(from_json);
    if (!strstr(header_json, "\"secret\"") || !rb_host_config(run->host, "secrets"))
        return RB_OK;
    json_t *header = json_loads(header_json, JSON_ALLOW_NUL, NULL);
    json_t *given = json_loads(given_json, JSON_ALLOW_NUL, NULL), *v;
    json_t *from = from_json ? json_loads(from_json, 0, NULL) : json_object();
    json_t *sources = from_sources(run, header, given);
    const char *name, *text, *kind;
    size_t len;
    int rc = RB_OK;
    json_object_foreach(sources, name, v)
    {
        if (rc && rc != RB_EAGAIN)
            continue;
        if (!(kind = rb_secret_source_kind(run->host, name, err))) {
            rc = err->code;
        } else if (!rb_vault_take(run->host, name, &text, &len)) {
            rc = rb_err_set(err, RB_EAGAIN, "the secret %s is still to be fetched", name);
        } else {
            json_object_set_new(given, name, json_stringn_nocheck(text, len));
            json_object_set_new(from, name, json_sprintf("source:%s", kind));
        }
    }
    if (!rc && json_object_size(sources)) {
        *completed = json_dumps(given, JSON_COMPACT);
        free(run->secret_from);
        run->secret_from = json_dumps(from, JSON_COMPACT);
    }
    json_decref(header);
    json_decref(given);
    json_decref(from);
    json_decref(sources);
    return rc;
}
