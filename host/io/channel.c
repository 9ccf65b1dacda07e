/* Owns the list of the kinds of channels. */
#include "io/channel.h"

#include <stdlib.h>
#include <string.h>

static const struct rb_channel_kind kinds[] = {
    {"terminal", RB_WAY_TERMINAL, false, NULL, NULL},
    {"file", RB_WAY_FILE, false, NULL, NULL},
    {"exec", RB_WAY_EXEC, false, NULL, NULL},
    {"slack", RB_WAY_HTTP, false, rb_slack_shape, rb_slack_refusal},
    {"mattermost", RB_WAY_HTTP, false, rb_mattermost_shape, rb_mattermost_refusal},
    {"ntfy", RB_WAY_HTTP, false, rb_ntfy_shape, rb_ntfy_refusal},
    {"pagerduty", RB_WAY_HTTP, true, rb_pagerduty_shape, rb_pagerduty_refusal},
    {"webhook", RB_WAY_HTTP, true, rb_webhook_shape, NULL},
    {"email", RB_WAY_MAIL, false, NULL, NULL},
};

const struct rb_channel_kind *rb_channel_kind(const json_t *channel)
{
    const char *type = rb_channel_text(channel, "type");
    for (size_t i = 0; type && i < RB_COUNT(kinds); i++)
        if (strcmp(kinds[i].type, type) == 0)
            return &kinds[i];
    return NULL;
}

const char *rb_channel_text(const json_t *channel, const char *key)
{
    return json_string_value(json_object_get(channel, key));
}

void rb_request_init(struct rb_request *r)
{
    *r = (struct rb_request){0};
    rb_buf_init(&r->url, 8192);
    rb_buf_init(&r->body, (size_t)1 << 20);
}

void rb_request_header(struct rb_request *r, const char *fmt, ...)
{
    struct rb_buf line;
    va_list ap;
    rb_buf_init(&line, 128 << 10);
    va_start(ap, fmt);
    rb_buf_addfv(&line, fmt, ap);
    va_end(ap);
    r->headers = rb_realloc(r->headers, (r->n_headers + 2) * sizeof(*r->headers));
    r->headers[r->n_headers++] = rb_strdup(rb_buf_text(&line));
    r->headers[r->n_headers] = NULL;
    rb_buf_release(&line);
}

void rb_request_release(struct rb_request *r)
{
    for (size_t i = 0; i < r->n_headers; i++)
        free(r->headers[i]);
    free(r->headers);
    rb_buf_release(&r->url);
    rb_buf_release(&r->body);
    *r = (struct rb_request){0};
}
