/* Owns the forms for machines that know what they were told: PagerDuty's Events API v2, and webhooks signed as Standard
 * Webhooks (standardwebhooks.com). Both know a message that comes twice by its id. */
#include <nettle/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "io/channel.h"

#define PAGERDUTY_URL "https://events.pagerduty.com/v2/enqueue"
#define PAGERDUTY_SUMMARY 1024
#define KEY_MIN 24 /* bytes of a signing secret, as the standard has them */
#define KEY_MAX 64

/* -- PagerDuty ----------------------------------------------------------------------------------------------------- */

static bool has_field(const struct rb_message *m, const char *name)
{
    for (size_t i = 0; i < m->n_fields; i++)
        if (strcmp(m->fields[i].name, name) == 0)
            return true;
    return false;
}

static void payload(struct rb_json *j, const json_t *c, const struct rb_message *m)
{
    static const char *const severities[RB_SEVERITIES] = {"info", "info", "warning", "error", "critical"};
    struct rb_buf b;
    char at[32];
    const char *source = rb_channel_text(c, "source");
    rb_buf_init(&b, 8192);
    rb_json_key(j, "payload");
    rb_json_object(j);
    rb_message_headline(m, PAGERDUTY_SUMMARY, &b);
    rb_json_key(j, "summary");
    rb_json_string(j, rb_buf_text(&b), b.len);
    rb_json_ktext(j, "source", source ? source : m->environment ? m->environment : "rbhost");
    rb_json_ktext(j, "severity", severities[m->severity]);
    rb_clock_format(m->at, at);
    rb_json_ktext(j, "timestamp", at);
    rb_json_ktext(j, "component", m->runbook);
    rb_json_ktext(j, "group", m->environment);
    rb_json_key(j, "custom_details");
    rb_json_object(j);
    rb_json_ktext(j, "text", has_field(m, "text") ? NULL : m->text);
    rb_json_ktext(j, "run", has_field(m, "run") ? NULL : m->run);
    for (size_t i = 0; i < m->n_fields; i++)
        rb_json_ktext(j, m->fields[i].name, m->fields[i].value);
    rb_json_end_object(j);
    rb_json_end_object(j);
    rb_buf_release(&b);
}

int rb_pagerduty_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r,
                       struct rb_err *err)
{
    (void)now;
    const char *url = rb_channel_text(c, "url"), *key = rb_channel_text(c, "key");
    struct rb_json j;
    if (!key || !*key)
        return rb_err_set(err, RB_EINVAL, "its key, the routing key of the service's integration, is empty");
    rb_buf_adds(&r->url, url ? url : PAGERDUTY_URL);
    rb_request_header(r, "Content-Type: application/json");
    rb_json_init(&j, &r->body);
    rb_json_object(&j);
    rb_json_ktext(&j, "routing_key", key);
    rb_json_ktext(&j, "event_action", rb_action_word(m->action));
    rb_json_ktext(&j, "dedup_key", m->dedup ? m->dedup : m->id);
    if (m->action == RB_TRIGGER) {
        rb_json_ktext(&j, "client", "rbhost");
        payload(&j, c, m);
    }
    rb_json_end_object(&j);
    return RB_OK;
}

/* {"status":"invalid event","message":"…","errors":["…"]} */
void rb_pagerduty_refusal(const char *body, size_t len, struct rb_buf *out)
{
    json_t *j = json_loadb(body, len, 0, NULL), *errors = json_object_get(j, "errors"), *one;
    const char *message = json_string_value(json_object_get(j, "message"));
    struct rb_buf all;
    size_t i;
    rb_buf_init(&all, 4096);
    rb_buf_adds(&all, message ? message : "");
    json_array_foreach(errors, i, one)
        rb_buf_addf(&all, "%s%s", all.len ? ": " : "", json_string_value(one) ? json_string_value(one) : "");
    struct rb_buf clean;
    rb_buf_init(&clean, 4096);
    rb_text_clean(&clean, all.len ? rb_buf_text(&all) : body, all.len ? all.len : len, true);
    rb_text_cut(out, rb_buf_text(&clean), 200);
    rb_buf_release(&clean);
    rb_buf_release(&all);
    json_decref(j);
}

/* -- Standard Webhooks --------------------------------------------------------------------------------------------- */

/* "v1,base64(HMAC-SHA256(key, id.timestamp.body))" of one secret, "whsec_" and base64. */
static int sign(const char *secret, const char *id, const char *stamp, const struct rb_buf *body, struct rb_buf *out,
                struct rb_err *err)
{
    struct rb_buf key;
    struct hmac_sha256_ctx ctx;
    uint8_t sum[SHA256_DIGEST_SIZE];
    if (strncmp(secret, "whsec_", 6) == 0)
        secret += 6;
    rb_buf_init(&key, 4096);
    if (rb_base64_decode(&key, secret, strlen(secret)) || key.len < KEY_MIN || key.len > KEY_MAX) {
        rb_buf_release(&key);
        return rb_err_set(err, RB_EINVAL, "its key is no signing secret: whsec_ and the base64 of %d to %d bytes",
                          KEY_MIN, KEY_MAX);
    }
    hmac_sha256_set_key(&ctx, key.len, (const uint8_t *)rb_buf_text(&key));
    hmac_sha256_update(&ctx, strlen(id), (const uint8_t *)id);
    hmac_sha256_update(&ctx, 1, (const uint8_t *)".");
    hmac_sha256_update(&ctx, strlen(stamp), (const uint8_t *)stamp);
    hmac_sha256_update(&ctx, 1, (const uint8_t *)".");
    hmac_sha256_update(&ctx, body->len, (const uint8_t *)rb_buf_text(body));
    hmac_sha256_digest(&ctx, sizeof(sum), sum);
    rb_buf_addf(out, "%sv1,", out->len ? " " : "");
    rb_base64(out, sum, sizeof(sum));
    rb_buf_release(&key);
    return RB_OK;
}

static int sign_all(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r, struct rb_err *err)
{
    const json_t *keys = json_object_get(c, "key");
    struct rb_buf signature;
    char stamp[24];
    snprintf(stamp, sizeof(stamp), "%lld", (long long)(now / 1000000));
    int rc = RB_OK;
    rb_buf_init(&signature, 8192);
    if (json_is_string(keys))
        rc = sign(json_string_value(keys), m->id, stamp, &r->body, &signature, err);
    for (size_t i = 0; !rc && i < json_array_size(keys); i++)
        rc = sign(json_string_value(json_array_get(keys, i)), m->id, stamp, &r->body, &signature, err);
    rb_request_header(r, "webhook-id: %s", m->id);
    rb_request_header(r, "webhook-timestamp: %s", stamp);
    if (signature.len)
        rb_request_header(r, "webhook-signature: %s", rb_buf_text(&signature));
    rb_buf_release(&signature);
    return rc;
}

int rb_webhook_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r, struct rb_err *err)
{
    struct rb_buf data;
    struct rb_json j;
    const char *name;
    json_t *value;
    char at[32];
    const char *url = rb_channel_text(c, "url");
    if (!url)
        return rb_err_set(err, RB_EINVAL, "its url is missing");
    rb_buf_adds(&r->url, url);
    rb_request_header(r, "Content-Type: application/json");
    json_object_foreach((json_t *)(uintptr_t)json_object_get(c, "headers"), name, value)
    {
        const char *text = json_string_value(value);
        if (!text || strpbrk(text, "\r\n") || strpbrk(name, "\r\n: "))
            return rb_err_set(err, RB_EINVAL, "its header %s can not be sent: a name, or a value of one line", name);
        rb_request_header(r, "%s: %s", name, text);
    }
    rb_buf_init(&data, (size_t)512 << 10);
    rb_message_json(m, NULL, &data);
    rb_clock_format(m->at, at);
    rb_json_init(&j, &r->body);
    rb_json_object(&j);
    rb_json_ktext(&j, "type", "rbhost.notification");
    rb_json_ktext(&j, "timestamp", at);
    rb_json_kraw(&j, "data", rb_buf_text(&data), data.len);
    rb_json_end_object(&j);
    rb_buf_release(&data);
    return sign_all(c, m, now, r, err);
}
