/* Owns the forms of chats and phones: Slack's and Mattermost's incoming webhooks, ntfy. Each vendor's caps are his
 * published ones; what is longer is cut with a mark, because a message that is refused tells nobody. */
#include <string.h>

#include "io/channel.h"

#define SLACK_HEADER 150
#define SLACK_TEXT 3000
#define SLACK_FIELD 2000
#define SLACK_FIELDS 10       /* in a block */
#define MATTERMOST_TEXT 16000 /* of 16,383 characters of a post */
#define NTFY_TEXT 4000        /* of 4,096 bytes; beyond, ntfy makes an attachment of it */

static void json_string_of(struct rb_json *j, const char *key, const struct rb_buf *b)
{
    rb_json_key(j, key);
    rb_json_string(j, rb_buf_text(b), b->len);
}

static int begin(const json_t *c, struct rb_request *r, struct rb_err *err)
{
    const char *url = rb_channel_text(c, "url");
    if (!url || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0))
        return rb_err_set(err, RB_EINVAL, "its url is no http:// or https:// address");
    rb_buf_adds(&r->url, url);
    rb_request_header(r, "Content-Type: application/json");
    return RB_OK;
}

/* -- Slack --------------------------------------------------------------------------------------------------------- */

/* Slack's three characters: & < >. */
static void slack_escape(struct rb_buf *out, const char *text, size_t max)
{
    struct rb_buf cut;
    rb_buf_init(&cut, max + 64);
    for (size_t room = max;; room = room * 3 / 4) { /* until it fits, escaped */
        rb_buf_reset(&cut);
        rb_buf_reset(out);
        rb_text_cut(&cut, text, room);
        for (const char *p = rb_buf_text(&cut); *p; p++) {
            if (*p == '&')
                rb_buf_adds(out, "&amp;");
            else if (*p == '<')
                rb_buf_adds(out, "&lt;");
            else if (*p == '>')
                rb_buf_adds(out, "&gt;");
            else
                rb_buf_addc(out, *p);
        }
        if (out->len <= max)
            break;
    }
    rb_buf_release(&cut);
}

static void slack_text(struct rb_json *j, const char *key, const char *type, const char *text)
{
    if (key)
        rb_json_key(j, key);
    rb_json_object(j);
    rb_json_ktext(j, "type", type);
    rb_json_ktext(j, "text", text);
    rb_json_end_object(j);
}

static void slack_section(struct rb_json *j, const struct rb_message *m)
{
    struct rb_buf b;
    rb_buf_init(&b, 65536);
    rb_json_object(j);
    rb_json_ktext(j, "type", "section");
    slack_escape(&b, *m->text ? m->text : " ", SLACK_TEXT);
    slack_text(j, "text", "mrkdwn", rb_buf_text(&b));
    rb_json_end_object(j);
    for (size_t i = 0; i < m->n_fields; i++) {
        if (i % SLACK_FIELDS == 0) {
            rb_json_object(j);
            rb_json_ktext(j, "type", "section");
            rb_json_key(j, "fields");
            rb_json_array(j);
        }
        struct rb_buf name, line;
        rb_buf_init(&name, 4096);
        rb_buf_init(&line, 8192);
        slack_escape(&name, m->fields[i].name, 200);
        slack_escape(&b, m->fields[i].value, SLACK_FIELD - 300);
        rb_buf_addf(&line, "*%s*\n%s", rb_buf_text(&name), rb_buf_text(&b));
        slack_text(j, NULL, "mrkdwn", rb_buf_text(&line));
        rb_buf_release(&name);
        rb_buf_release(&line);
        if (i % SLACK_FIELDS == SLACK_FIELDS - 1 || i + 1 == m->n_fields) {
            rb_json_end_array(j);
            rb_json_end_object(j);
        }
    }
    rb_buf_release(&b);
}

static const char *emoji(const struct rb_message *m)
{
    static const char *const words[RB_SEVERITIES] = {
        ":mag:", ":information_source:", ":warning:", ":x:", ":rotating_light:"};
    return m->action == RB_RESOLVE ? ":white_check_mark:" : m->action == RB_ACKNOWLEDGE ? ":eyes:" : words[m->severity];
}

int rb_slack_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r, struct rb_err *err)
{
    (void)now;
    struct rb_json j;
    struct rb_buf b, escaped;
    int rc = begin(c, r, err);
    if (rc)
        return rc;
    rb_buf_init(&b, 65536);
    rb_buf_init(&escaped, 65536);
    rb_json_init(&j, &r->body);
    rb_json_object(&j);
    rb_message_headline(m, SLACK_HEADER, &b); /* what a phone shows, and who can not show blocks */
    slack_escape(&escaped, rb_buf_text(&b), SLACK_TEXT);
    json_string_of(&j, "text", &escaped);
    rb_json_ktext(&j, "username", rb_channel_text(c, "username"));
    rb_json_ktext(&j, "channel", rb_channel_text(c, "channel"));
    const char *icon = rb_channel_text(c, "icon");
    rb_json_ktext(&j, icon && *icon == ':' ? "icon_emoji" : "icon_url", icon);
    rb_json_key(&j, "blocks");
    rb_json_array(&j);
    if (m->title && *m->title) {
        rb_json_object(&j);
        rb_json_ktext(&j, "type", "header");
        slack_text(&j, "text", "plain_text", rb_buf_text(&b));
        rb_json_end_object(&j);
    }
    slack_section(&j, m);
    rb_json_object(&j);
    rb_json_ktext(&j, "type", "context");
    rb_json_key(&j, "elements");
    rb_json_array(&j);
    rb_buf_reset(&b);
    rb_message_origin(m, &b);
    slack_escape(&escaped, rb_buf_text(&b), 1000);
    rb_buf_reset(&b);
    rb_buf_addf(&b, "%s %s%s%s", emoji(m), rb_severity_word(m->severity), escaped.len ? " · " : "",
                rb_buf_text(&escaped));
    slack_text(&j, NULL, "mrkdwn", rb_buf_text(&b));
    rb_json_end_array(&j);
    rb_json_end_object(&j);
    rb_json_end_array(&j);
    rb_json_end_object(&j);
    rb_buf_release(&b);
    rb_buf_release(&escaped);
    return RB_OK;
}

static void one_line(const char *text, size_t n, struct rb_buf *out)
{
    struct rb_buf clean;
    rb_buf_init(&clean, 4096);
    rb_text_clean(&clean, text, n, true);
    rb_text_cut(out, rb_buf_text(&clean), 200);
    rb_buf_release(&clean);
}

/* Slack answers with a word: invalid_payload, channel_not_found … */
void rb_slack_refusal(const char *body, size_t len, struct rb_buf *out)
{
    one_line(body, len, out);
}

/* -- Mattermost ---------------------------------------------------------------------------------------------------- */

int rb_mattermost_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r,
                        struct rb_err *err)
{
    static const char *const colors[RB_SEVERITIES] = {"#909090", "#2389d7", "#e0a000", "#d24b4e", "#a00000"};
    (void)now;
    struct rb_json j;
    struct rb_buf b;
    int rc = begin(c, r, err);
    if (rc)
        return rc;
    rb_buf_init(&b, 65536);
    rb_json_init(&j, &r->body);
    rb_json_object(&j);
    rb_json_ktext(&j, "username", rb_channel_text(c, "username"));
    rb_json_ktext(&j, "channel", rb_channel_text(c, "channel"));
    const char *icon = rb_channel_text(c, "icon");
    rb_json_ktext(&j, icon && *icon == ':' ? "icon_emoji" : "icon_url", icon);
    rb_json_key(&j, "attachments");
    rb_json_array(&j);
    rb_json_object(&j);
    rb_message_headline(m, 500, &b);
    json_string_of(&j, "fallback", &b);
    rb_json_ktext(&j, "color", m->action == RB_RESOLVE ? "#339970" : colors[m->severity]);
    rb_json_ktext(&j, "title", m->title);
    rb_buf_reset(&b);
    size_t used = 0;
    for (size_t i = 0; i < m->n_fields; i++)
        used += strlen(m->fields[i].name) + strlen(m->fields[i].value);
    rb_text_cut(&b, m->text, used < MATTERMOST_TEXT / 2 ? MATTERMOST_TEXT - used : MATTERMOST_TEXT / 2);
    json_string_of(&j, "text", &b);
    if (m->n_fields) {
        rb_json_key(&j, "fields");
        rb_json_array(&j);
        size_t each = MATTERMOST_TEXT / 2 / m->n_fields;
        for (size_t i = 0; i < m->n_fields; i++) {
            rb_json_object(&j);
            rb_json_kbool(&j, "short", strlen(m->fields[i].value) <= 40);
            rb_json_ktext(&j, "title", m->fields[i].name);
            rb_buf_reset(&b);
            rb_text_cut(&b, m->fields[i].value, used < MATTERMOST_TEXT / 2 ? MATTERMOST_TEXT : each);
            json_string_of(&j, "value", &b);
            rb_json_end_object(&j);
        }
        rb_json_end_array(&j);
    }
    rb_buf_reset(&b);
    rb_buf_addf(&b, "%s", rb_severity_word(m->severity));
    if (m->runbook || m->run || m->environment)
        rb_buf_adds(&b, " · ");
    rb_message_origin(m, &b);
    json_string_of(&j, "footer", &b);
    rb_json_end_object(&j);
    rb_json_end_array(&j);
    rb_json_end_object(&j);
    rb_buf_release(&b);
    return RB_OK;
}

/* A member of the JSON that came back, or the whole of it when it is none. */
static void member(const char *body, size_t len, const char *key, struct rb_buf *out)
{
    json_t *j = json_loadb(body, len, 0, NULL);
    const char *text = json_string_value(json_object_get(j, key));
    one_line(text ? text : body, text ? strlen(text) : len, out);
    json_decref(j);
}

void rb_mattermost_refusal(const char *body, size_t len, struct rb_buf *out)
{
    member(body, len, "message", out);
}

/* -- ntfy ---------------------------------------------------------------------------------------------------------- */

/* The topic is `topic`, or the last word of the url; what is posted to is the server's root. */
static int ntfy_place(const json_t *c, struct rb_request *r, const char **topic, struct rb_err *err)
{
    const char *url = rb_channel_text(c, "url"), *end = url + strlen(url);
    *topic = rb_channel_text(c, "topic");
    if (*topic)
        return RB_OK;
    while (end > url && end[-1] == '/')
        end--;
    const char *slash = end;
    while (slash > url && slash[-1] != '/')
        slash--;
    size_t root = (size_t)(strstr(url, "://") + 3 - url);
    if (slash <= url + root || slash == end)
        return rb_err_set(err, RB_EINVAL, "its url names no topic: https://ntfy.sh/my-topic, or topic = \"my-topic\"");
    *topic = slash;
    rb_buf_reset(&r->url);
    rb_buf_add(&r->url, url, (size_t)(slash - url));
    return RB_OK;
}

int rb_ntfy_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r, struct rb_err *err)
{
    static const int priorities[RB_SEVERITIES] = {1, 3, 4, 4, 5};
    static const char *const tags[RB_SEVERITIES] = {"mag", "information_source", "warning", "x", "rotating_light"};
    (void)now;
    const char *topic, *token = rb_channel_text(c, "token"), *user = rb_channel_text(c, "user");
    struct rb_json j;
    struct rb_buf b;
    int rc = begin(c, r, err);
    if (!rc)
        rc = ntfy_place(c, r, &topic, err);
    if (rc)
        return rc;
    rb_buf_init(&b, 65536);
    if (token) {
        rb_request_header(r, "Authorization: Bearer %s", token);
    } else if (user) {
        struct rb_buf pair;
        const char *password = rb_channel_text(c, "password");
        rb_buf_init(&pair, 65536);
        rb_buf_addf(&pair, "%s:%s", user, password ? password : "");
        rb_base64(&b, rb_buf_text(&pair), pair.len);
        rb_request_header(r, "Authorization: Basic %s", rb_buf_text(&b));
        rb_buf_release(&pair);
    }
    rb_json_init(&j, &r->body);
    rb_json_object(&j);
    rb_json_key(&j, "topic");
    rb_json_string(&j, topic, strcspn(topic, "/?#"));
    if (m->title && *m->title) {
        rb_buf_reset(&b);
        rb_message_headline(m, RB_MESSAGE_TITLE, &b);
        json_string_of(&j, "title", &b);
    }
    rb_buf_reset(&b);
    rb_message_plain(m, false, NTFY_TEXT, &b);
    json_string_of(&j, "message", &b);
    rb_json_kint(&j, "priority", m->action == RB_TRIGGER ? priorities[m->severity] : 3);
    rb_json_key(&j, "tags");
    rb_json_array(&j);
    rb_json_text(&j, m->action == RB_RESOLVE       ? "white_check_mark"
                     : m->action == RB_ACKNOWLEDGE ? "eyes"
                                                   : tags[m->severity]);
    rb_json_end_array(&j);
    rb_json_end_object(&j);
    rb_buf_release(&b);
    return RB_OK;
}

void rb_ntfy_refusal(const char *body, size_t len, struct rb_buf *out)
{
    member(body, len, "error", out);
}
