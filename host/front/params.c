/* Owns the way of parameters from words, files and answers to one JSON object. Values stay strings: their types are the
 * header's matter. */
#include "front/params.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/nearest.h"
#include "front/prompt.h"
#include "front/text.h"

#define MAX_VALUE (8u << 20) /* bytes of a parameter or of a parameter file */

struct params {
    struct rb_cli *cli;
    const json_t *header;
    json_t *values;         /* name → text of its JSON, in the order given */
    json_t *secret_from;    /* name → "file:/path" */
    struct rb_buf problems; /* one a line */
    bool stdin_taken;
};

static const json_t *declared(const struct params *p, const char *name)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(p->header, "params"), i, e)
    {
        const char *known = json_string_value(json_object_get(e, "name"));
        if (known && strcmp(known, name) == 0)
            return e;
    }
    return NULL;
}

static bool is_secret(const json_t *param)
{
    const char *type = json_string_value(json_object_get(param, "type"));
    return type && strcmp(type, "secret") == 0;
}

static void problem(struct params *p, const char *fmt, ...) RB_PRINTF(2, 3);

static void problem(struct params *p, const char *fmt, ...)
{
    va_list ap;
    if (p->problems.len)
        rb_buf_addc(&p->problems, '\n');
    va_start(ap, fmt);
    rb_buf_addfv(&p->problems, fmt, ap);
    va_end(ap);
}

/* A whole file, "-" standard input. 0 or an error that names it. */
static int read_all(struct params *p, const char *path, struct rb_buf *out, struct rb_err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    char chunk[65536];
    struct stat st;
    ssize_t n;
    if (is_stdin && p->stdin_taken)
        return rb_err_set(err, RB_EINVAL, "standard input can be read only once");
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rb_err_sys(err, RB_ENOENT, errno, "%s", path);
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (!is_stdin)
            close(fd);
        return rb_err_set(err, RB_EINVAL, "%s: is a directory", path);
    }
    p->stdin_taken = p->stdin_taken || is_stdin;
    while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || rb_buf_add(out, chunk, (size_t)n) < 0)
            break;
    }
    int saved = errno;
    if (!is_stdin)
        close(fd);
    if (n < 0)
        return rb_err_sys(err, RB_EIO, saved, "%s", path);
    if (out->cut)
        return rb_err_set(err, RB_ETOOBIG, "%s: more than %u MiB", is_stdin ? "standard input" : path, MAX_VALUE >> 20);
    return RB_OK;
}

static void set_text(struct params *p, const char *name, const char *value, size_t n)
{
    struct rb_buf b;
    struct rb_json j;
    rb_buf_init(&b, 8u * MAX_VALUE);
    rb_json_init(&j, &b);
    rb_json_string(&j, value, n);
    json_object_set_new(p->values, name, json_stringn_nocheck(rb_buf_text(&b), b.len));
    rb_buf_release(&b);
}

/* The content of a file without its last line end, as $(…) of a shell has it. */
static void set_from_file(struct params *p, const char *name, const char *path)
{
    struct rb_buf b;
    struct rb_err err;
    rb_buf_init(&b, MAX_VALUE);
    if (!*path) {
        problem(p, "%s=@: the name of the file is missing", name);
    } else if (read_all(p, path, &b, &err) < 0) {
        problem(p, "%s: %s", name, err.msg);
    } else {
        size_t n = b.len;
        if (n && b.data[n - 1] == '\n')
            n--;
        if (n && b.data[n - 1] == '\r')
            n--;
        set_text(p, name, rb_buf_text(&b), n);
    }
    rb_buf_release(&b);
}

static void take_pair(struct params *p, const char *pair, json_t *seen)
{
    const char *eq = strchr(pair, '=');
    size_t n = eq ? (size_t)(eq - pair) : 0;
    if (!n) {
        problem(p, "'%s' is no parameter; write key=value, key=@FILE or key=@-", pair);
        return;
    }
    char *name = rb_strndup(pair, n);
    const char *value = eq + 1;
    if (!rb_utf8_valid(name, n))
        problem(p, "the name of a parameter is not UTF-8");
    else if (json_object_get(seen, name))
        problem(p, "%s is given twice", name);
    else if (*value == '@' && value[1] != '@') {
        set_from_file(p, name, value + 1);
        char real[PATH_MAX];
        if (is_secret(declared(p, name)) && realpath(value + 1, real)) { /* a resume reads it there again */
            json_t *from = json_sprintf("file:%s", real);
            if (from)
                json_object_set_new(p->secret_from, name, from);
        }
    } else if (is_secret(declared(p, name)))
        problem(
            p,
            "%s is a secret: an argument can be seen by every user of this machine and stays in the shell's history; "
            "write %s=@FILE or %s=@-",
            name, name, name);
    else
        set_text(p, name, *value == '@' ? value + 1 : value, strlen(*value == '@' ? value + 1 : value));
    if (rb_utf8_valid(name, n))
        json_object_set_new(seen, name, json_true());
    free(name);
}

/* Where and what, with the line and a caret below the place. */
static void bad_json(struct params *p, const char *called, const struct rb_buf *text, const json_error_t *je)
{
    const char *line = rb_buf_text(text);
    struct rb_buf shown;
    for (int i = 1; i < je->line && strchr(line, '\n'); i++)
        line = strchr(line, '\n') + 1;
    size_t n = strcspn(line, "\n"), column = je->column > 0 ? (size_t)je->column - 1 : 0;
    problem(p, "--params: %s:%d:%d: not valid JSON: %s", called, je->line, je->column, je->text);
    if (!n || n > 200 || column > n)
        return;
    rb_buf_init(&shown, 8192);
    rb_text_line(&shown, line, n);
    rb_buf_addf(&p->problems, "\n  %s\n  ", rb_buf_text(&shown));
    rb_buf_reset(&shown);
    rb_text_line(&shown, line, column);
    rb_text_pad(&p->problems, rb_text_width(rb_buf_text(&shown), shown.len));
    rb_buf_addc(&p->problems, '^');
    rb_buf_release(&shown);
}

static void take_file(struct params *p, const char *path)
{
    struct rb_buf b;
    struct rb_err err;
    json_error_t je;
    const char *called = strcmp(path, "-") == 0 ? "standard input" : path, *name;
    json_t *v;
    rb_buf_init(&b, MAX_VALUE);
    if (read_all(p, path, &b, &err) < 0) {
        problem(p, "--params: %s", err.msg);
        rb_buf_release(&b);
        return;
    }
    json_t *all = json_loadb(rb_buf_text(&b), b.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &je);
    if (!all)
        bad_json(p, called, &b, &je);
    else if (!json_is_object(all))
        problem(p, "--params: %s: must be one JSON object: {\"key\": value, …}", called);
    json_object_foreach(all, name, v)
    {
        char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text)
            json_object_set_new(p->values, name, json_string_nocheck(text));
        free(text);
    }
    json_decref(all);
    rb_buf_release(&b);
}

/* Names that the header does not have are the engine's to complain about, but not before a person was asked for the
 * others. */
static bool has_unknown(const struct params *p)
{
    const char *name;
    json_t *v;
    json_object_foreach(p->values, name, v)
    {
        if (!declared(p, name))
            return true;
    }
    return false;
}

static int ask_missing(struct params *p)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(p->header, "params"), i, e)
    {
        const char *name = json_string_value(json_object_get(e, "name")),
                   *type = json_string_value(json_object_get(e, "type"));
        const char *help = json_string_value(json_object_get(e, "help"));
        struct rb_buf question, answer;
        if (!name || !json_is_true(json_object_get(e, "required")) || json_object_get(p->values, name))
            continue;
        if (is_secret(e) && rb_cli_config(p->cli) == 0 &&
            json_object_get(json_object_get(p->cli->config, "secrets"), name))
            continue; /* it has a source */
        rb_buf_init(&question, 4096);
        rb_buf_init(&answer, MAX_VALUE);
        rb_text_line(&question, name, strlen(name));
        rb_buf_addf(&question, " (%s", type ? type : "string");
        if (help && *help) {
            rb_buf_adds(&question, ", ");
            rb_text_line(&question, help, strlen(help));
        }
        rb_buf_adds(&question, is_secret(e) ? "; not shown): " : "): ");
        int rc = rb_prompt_read(rb_buf_text(&question), is_secret(e), &answer);
        if (rc == 0 && answer.len)
            set_text(p, name, rb_buf_text(&answer), answer.len);
        rb_buf_release(&question);
        rb_buf_release(&answer);
        if (rc < 0)
            return rb_cli_fail(p->cli, RB_EXIT_USAGE, "%s is missing: end of input at the question", name);
    }
    return RB_EXIT_OK;
}

int rb_params_read(struct rb_cli *cli, const json_t *header, const char *params_file, char **pairs, int n,
                   struct rb_buf *json, struct rb_buf *secret_from)
{
    struct params p = {.cli = cli, .header = header, .values = json_object(), .secret_from = json_object()};
    json_t *seen = json_object(), *v;
    const char *name;
    struct rb_json j;
    int code = RB_EXIT_OK;
    rb_buf_init(&p.problems, 64 << 10);
    if (params_file)
        take_file(&p, params_file);
    for (int i = 0; i < n; i++)
        take_pair(&p, pairs[i], seen);
    if (p.problems.len)
        code = rb_cli_fail(cli, RB_EXIT_USAGE, "%s", rb_buf_text(&p.problems));
    else if (rb_cli_may_ask(cli) && !has_unknown(&p))
        code = ask_missing(&p);
    rb_json_init(&j, json);
    rb_json_object(&j);
    json_object_foreach(p.values, name, v)
    {
        rb_json_key(&j, name);
        rb_json_raw(&j, json_string_value(v), json_string_length(v));
    }
    rb_json_end_object(&j);
    char *from = secret_from && json_object_size(p.secret_from) ? json_dumps(p.secret_from, JSON_COMPACT) : NULL;
    if (from)
        rb_buf_adds(secret_from, from);
    free(from);
    json_decref(p.secret_from);
    json_decref(p.values);
    json_decref(seen);
    rb_buf_release(&p.problems);
    return code;
}
