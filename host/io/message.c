/* Owns messages: their words, their forms that are no vendor's, and the cutting of what is too long. */
#include "io/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"

#define MARK " … [cut]"

static const char *const severities[RB_SEVERITIES] = {"debug", "info", "warning", "error", "critical"};
static const char *const actions[] = {"trigger", "acknowledge", "resolve"};

const char *rb_severity_word(enum rb_severity s)
{
    return severities[s];
}

static int index_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; word && i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return (int)i;
    return RB_EINVAL;
}

int rb_severity_parse(const char *word, enum rb_severity *out)
{
    int i = index_of(word, severities, RB_COUNT(severities));
    if (i >= 0)
        *out = (enum rb_severity)i;
    return i < 0 ? i : RB_OK;
}

const char *rb_action_word(enum rb_message_action a)
{
    return actions[a];
}

int rb_action_parse(const char *word, enum rb_message_action *out)
{
    int i = index_of(word, actions, RB_COUNT(actions));
    if (i >= 0)
        *out = (enum rb_message_action)i;
    return i < 0 ? i : RB_OK;
}

/* -- memory -------------------------------------------------------------------------------------------------------- */

void rb_message_field(struct rb_message *m, const char *name, const char *value)
{
    m->fields = rb_realloc(m->fields, (m->n_fields + 1) * sizeof(*m->fields));
    m->fields[m->n_fields++] = (struct rb_field){rb_strdup(name), rb_strdup(value)};
}

void rb_message_copy(struct rb_message *to, const struct rb_message *from)
{
    *to = (struct rb_message){.id = rb_strdup(from->id),
                              .title = rb_strdup(from->title),
                              .text = rb_strdup(from->text),
                              .severity = from->severity,
                              .action = from->action,
                              .dedup = rb_strdup(from->dedup),
                              .at = from->at,
                              .runbook = rb_strdup(from->runbook),
                              .run = rb_strdup(from->run),
                              .environment = rb_strdup(from->environment)};
    for (size_t i = 0; i < from->n_fields; i++)
        rb_message_field(to, from->fields[i].name, from->fields[i].value);
}

void rb_message_release(struct rb_message *m)
{
    for (size_t i = 0; i < m->n_fields; i++) {
        free(m->fields[i].name);
        free(m->fields[i].value);
    }
    char *const owned[] = {m->id, m->title, m->text, m->dedup, m->runbook, m->run, m->environment};
    for (size_t i = 0; i < RB_COUNT(owned); i++)
        free(owned[i]);
    free(m->fields);
    *m = (struct rb_message){0};
}

/* -- text ---------------------------------------------------------------------------------------------------------- */

void rb_text_cut(struct rb_buf *out, const char *text, size_t max)
{
    size_t n = strlen(text);
    if (n <= max) {
        rb_buf_add(out, text, n);
        return;
    }
    n = max > strlen(MARK) ? max - strlen(MARK) : 0;
    while (n && ((unsigned char)text[n] & 0xc0) == 0x80) /* not in the middle of a character */
        n--;
    rb_buf_add(out, text, n);
    rb_buf_adds(out, MARK);
}

/* Bytes of the character at p; 0 when it is none. */
static size_t character(const char *p, size_t left)
{
    unsigned char c = (unsigned char)*p;
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return n <= left && rb_utf8_valid(p, n) ? n : 0;
}

void rb_text_clean(struct rb_buf *out, const char *text, size_t n, bool line)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        size_t len = character(text + i, n - i);
        if (!len) {
            rb_buf_adds(out, "\xef\xbf\xbd");
            i++;
            continue;
        }
        if (c == '\n' || c == '\t')
            rb_buf_addc(out, line ? ' ' : (char)c);
        else if (c == '\r' && (i + 1 < n && text[i + 1] == '\n'))
            ; /* the newline is next */
        else if (c < 0x20 || c == 0x7f)
            rb_buf_addc(out, ' ');
        else
            rb_buf_add(out, text + i, len);
        i += len;
    }
}

void rb_message_headline(const struct rb_message *m, size_t max, struct rb_buf *out)
{
    const char *from = m->title && *m->title ? m->title : m->text;
    char *line = rb_strndup(from, strcspn(from, "\n"));
    rb_text_cut(out, line, max);
    free(line);
}

void rb_message_origin(const struct rb_message *m, struct rb_buf *out)
{
    const char *sep = "";
    if (m->runbook) {
        rb_buf_addf(out, "runbook %s", m->runbook);
        sep = " · ";
    }
    if (m->run) {
        rb_buf_addf(out, "%srun %s", sep, m->run);
        sep = " · ";
    }
    if (m->environment)
        rb_buf_addf(out, "%s%s", sep, m->environment);
}

void rb_message_plain(const struct rb_message *m, bool title, size_t max, struct rb_buf *out)
{
    struct rb_buf tail, text;
    rb_buf_init(&tail, max / 2);
    rb_buf_init(&text, RB_MESSAGE_TEXT + 1024);
    if (m->n_fields)
        rb_buf_addc(&tail, '\n');
    for (size_t i = 0; i < m->n_fields; i++)
        rb_buf_addf(&tail, "\n%s: %s", m->fields[i].name, m->fields[i].value);
    if (m->runbook || m->run || m->environment) {
        rb_buf_adds(&tail, "\n\n");
        rb_message_origin(m, &tail);
    }
    if (title && m->title && *m->title)
        rb_buf_addf(&text, "%s\n\n", m->title);
    rb_buf_adds(&text, m->text);
    rb_text_cut(out, rb_buf_text(&text), max - tail.len);
    if (!tail.cut) /* else perhaps half a character */
        rb_buf_add(out, rb_buf_text(&tail), tail.len);
    rb_buf_release(&tail);
    rb_buf_release(&text);
}

void rb_message_json(const struct rb_message *m, const char *channel, struct rb_buf *out)
{
    struct rb_json j;
    char at[32];
    rb_clock_format(m->at, at);
    rb_json_init(&j, out);
    rb_json_object(&j);
    rb_json_ktext(&j, "id", m->id);
    rb_json_ktext(&j, "at", at);
    rb_json_ktext(&j, "channel", channel);
    rb_json_ktext(&j, "severity", rb_severity_word(m->severity));
    rb_json_ktext(&j, "title", m->title);
    rb_json_ktext(&j, "text", m->text);
    if (m->n_fields) {
        rb_json_key(&j, "fields");
        rb_json_object(&j);
        for (size_t i = 0; i < m->n_fields; i++)
            rb_json_ktext(&j, m->fields[i].name, m->fields[i].value);
        rb_json_end_object(&j);
    }
    rb_json_ktext(&j, "action", rb_action_word(m->action));
    rb_json_ktext(&j, "dedup", m->dedup);
    rb_json_ktext(&j, "runbook", m->runbook);
    rb_json_ktext(&j, "run", m->run);
    rb_json_ktext(&j, "environment", m->environment);
    rb_json_end_object(&j);
}
