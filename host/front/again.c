/* Owns the knowledge of what a retry can not mend, and the command that runs a mended runbook. Which commands are shown
 * where is next.c's. */
#include "front/again.h"

#include <stdlib.h>
#include <string.h>

#include "front/text.h"

#define LINE_MAX_BYTES 4000

static const char *get(const json_t *data, const char *name)
{
    const char *text = json_string_value(json_object_get(data, name));
    return text ? text : "";
}

/* A refusal by the header stands in the source; one by the site is gone when its configuration is another. */
static bool refused_by_header(const json_t *error)
{
    const char *text = get(error, "message");
    return strstr(text, "the header's allow.") || strstr(text, " of the header");
}

/* One error, or each of those that it is made of. */
static bool stays(const json_t *error)
{
    const json_t *errors = json_object_get(error, "errors");
    const char *kind = get(error, "kind");
    size_t i;
    json_t *e;
    json_array_foreach((json_t *)errors, i, e)
    {
        if (!stays(e))
            return false;
    }
    return json_array_size(errors) || strcmp(kind, "usage") == 0 ||
           (strcmp(kind, "policy") == 0 && refused_by_header(error));
}

/* Ended by no operation and no step, but not for what the host said of its code: a line of the runbook. */
static bool by_its_own_line(const json_t *end)
{
    static const char *const host[] = {"nondeterminism", "budget", "memory", "internal", "journal"};
    const json_t *error = json_object_get(end, "error");
    for (size_t i = 0; i < RB_COUNT(host); i++)
        if (strcmp(host[i], get(error, "kind")) == 0)
            return false;
    return error && !json_array_size(json_object_get(end, "failing")) &&
           !json_array_size(json_object_get(end, "failing_steps")) && strcmp(get(end, "status"), "timed_out") != 0;
}

bool rb_again_hopeless(const json_t *end)
{
    return stays(json_object_get(end, "error")) || by_its_own_line(end);
}

/* Texts as they are, the rest as JSON, which every type of parameter takes. Of a secret there is only the place that it
 * came from: without one it is asked for. False: it does not go on a line. */
static bool add_param(const json_t *start, const char *name, const json_t *value, struct rb_buf *out)
{
    const char *text = json_string_value(value), *from = get(json_object_get(start, "secret_from"), name);
    bool secret = json_object_get(value, "$secret");
    struct rb_buf word;
    if (json_is_null(value) || (secret && strncmp(from, "file:", 5) != 0))
        return true;
    char *json = text || secret ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    rb_buf_init(&word, LINE_MAX_BYTES);
    rb_buf_addf(&word, "%s=%s", name, secret ? "@" : text && *text == '@' ? "@" : "");
    rb_buf_adds(&word, secret ? from + 5 : text ? text : json);
    bool fits = !word.cut && !json_object_get(value, "$blob");
    for (size_t i = 0; i < word.len && fits; i++)
        fits = (unsigned char)word.data[i] >= ' ' && word.data[i] != 0x7f;
    rb_buf_addc(out, ' ');
    rb_text_shell(out, rb_buf_text(&word));
    rb_buf_release(&word);
    free(json);
    return fits;
}

static void add_params(const json_t *start, struct rb_buf *out)
{
    struct rb_buf words;
    const char *name;
    json_t *value;
    bool fit = true;
    rb_buf_init(&words, LINE_MAX_BYTES);
    json_object_foreach(json_object_get(start, "params"), name, value) fit =
        add_param(start, name, value, &words) && fit;
    if (fit && !words.cut) /* else the run says what is missing */
        rb_buf_add(out, rb_buf_text(&words), words.len);
    rb_buf_release(&words);
}

static void add_option(const char *option, const char *value, struct rb_buf *out)
{
    if (!*value)
        return;
    rb_buf_addf(out, " %s ", option);
    rb_text_shell(out, value);
}

void rb_again_command(const struct rb_cli *cli, const struct rb_view *v, struct rb_buf *out)
{
    const char *file = get(v->start, "file"), *folder = get(v->start, "folder"), *base = strrchr(file, '/');
    struct rb_buf path;
    rb_buf_init(&path, 16384);
    if (*folder && *file != '/')
        rb_buf_addf(&path, "%s/", strcmp(folder, "/") == 0 ? "" : folder);
    rb_buf_adds(&path, *folder && *file != '/' && base ? base + 1 : file);
    rb_buf_addf(out, "%s run ", rb_cli_self(cli));
    rb_text_shell(out, rb_buf_text(&path));
    add_params(v->start, out);
    add_option("--limit", get(v->start, "limit"), out);
    add_option("--confirm", v->destructive && v->runbook ? v->runbook : "", out);
    rb_buf_adds(out, v->dry ? " --dry" : "");
    rb_buf_release(&path);
}
