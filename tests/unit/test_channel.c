/* The forms of messages: cuts, cleaning, signatures, mails. What vendors take is tested against receivers (e2e/161). */
#include "io/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct rb_message message(const char *text)
{
    return (struct rb_message){.id = (char *)(uintptr_t) "run-1",
                               .text = (char *)(uintptr_t)text,
                               .severity = RB_ERROR,
                               .at = 1700000000123456};
}

static void test_cut(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 1000);
    rb_text_cut(&b, "short", 5);
    assert_string_equal(rb_buf_text(&b), "short");
    for (size_t max = 0; max < 60; max++) {
        rb_buf_reset(&b);
        rb_text_cut(&b, "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü", max);
        assert_true(rb_utf8_valid(rb_buf_text(&b), b.len));
        assert_true(b.len <= max || max < 12); /* the mark itself is 11 bytes */
        assert_non_null(strstr(rb_buf_text(&b), "[cut]"));
    }
    rb_buf_release(&b);
}

static void test_clean(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 1000);
    rb_text_clean(&b, "a\0b\x1b[1m\r\nü\xff\xed\xa0\x80\t\x7f.", 18, false);
    assert_true(rb_utf8_valid(rb_buf_text(&b), b.len));
    assert_string_equal(rb_buf_text(&b), "a b [1m\nü\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\t .");
    rb_buf_reset(&b);
    rb_text_clean(&b, "a\nb\tc", 5, true);
    assert_string_equal(rb_buf_text(&b), "a b c");
    rb_buf_release(&b);
}

static const char *header(const struct rb_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strncmp(r->headers[i], name, strlen(name)) == 0)
            return r->headers[i] + strlen(name);
    return NULL;
}

/* The example of the Standard Webhooks libraries: secret, id, time, body, signature. */
static void test_signature(void **state)
{
    (void)state;
    struct rb_request r;
    struct rb_err err;
    struct rb_message m = message("x");
    json_t *c = json_pack("{s:s,s:[s,s]}", "url", "http://h/", "key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                          "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    rb_request_init(&r);
    assert_int_equal(rb_webhook_shape(c, &m, 1614265330000000, &r, &err), RB_OK);
    assert_string_equal(header(&r, "webhook-id: "), "run-1");
    assert_string_equal(header(&r, "webhook-timestamp: "), "1614265330");
    const char *signatures = header(&r, "webhook-signature: ");
    assert_non_null(signatures);
    assert_true(strncmp(signatures, "v1,", 3) == 0 && strstr(signatures, " v1,") != NULL);
    rb_request_release(&r);
    json_decref(c);
    static const char *const bad[] = {"whsec_", "whsec_short", "whsec_AAAA", "plain words", ""};
    for (size_t i = 0; i < RB_COUNT(bad); i++) {
        c = json_pack("{s:s,s:s}", "url", "http://h/", "key", bad[i]);
        rb_request_init(&r);
        assert_int_equal(rb_webhook_shape(c, &m, 1, &r, &err), RB_EINVAL);
        rb_request_release(&r);
        json_decref(c);
    }
}

static json_t *mail_channel(const char *from, const char *to, const char *subject)
{
    return json_pack("{s:s,s:s,s:s*}", "from", from, "to", to, "subject", subject);
}

static void test_mail(void **state)
{
    (void)state;
    struct rb_mail mail = {0};
    struct rb_err err;
    struct rb_message m = message("line 1\n.line 2\n=é \nFrom here");
    m.title = (char *)(uintptr_t) "Überschrift mit einem langen, langen, langen, langen, langen, langen Titel";
    json_t *c = mail_channel("Ops Müller <ops@example.com>", "\"A, B\" <a@example.com>", "[rb]");
    assert_int_equal(rb_mail_shape(c, &m, &mail, &err), RB_OK);
    const char *data = rb_buf_text(&mail.data);
    assert_string_equal(mail.from, "ops@example.com");
    assert_string_equal(mail.to[0], "a@example.com");
    assert_non_null(strstr(data, "From: =?UTF-8?B?T3BzIE3DvGxsZXI=?= <ops@example.com>\r\n"));
    assert_non_null(strstr(data, "To: \"A, B\" <a@example.com>\r\n"));
    assert_non_null(strstr(data, "Message-ID: <run-1@example.com>\r\n"));
    assert_non_null(strstr(data, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"));
    assert_non_null(strstr(data, "\r\n\r\nline 1\r\n=2Eline 2\r\n=3D=C3=A9=20\r\nFrom here\r\n"));
    for (const char *p = data; (p = strchr(p, '\n')) != NULL; p++)
        assert_true(p > data && p[-1] == '\r');
    for (const char *p = data; *p; p = strchr(p, '\n') + 1)
        assert_true(strcspn(p, "\r") <= 78);
    rb_mail_release(&mail);
    json_decref(c);
    static const char *const bad[][2] = {{"x", "a@b"},        {"a@b\r\nBcc: c@d", "a@b"}, {"a@b", "A <a@b>\r\nX: y"},
                                         {"a@b", "a@b, c@d"}, {"a@b", "A\" B <a@b>"},     {"@b", "a@b"},
                                         {"ä@b", "a@b"}};
    for (size_t i = 0; i < RB_COUNT(bad); i++) {
        c = mail_channel(bad[i][0], bad[i][1], NULL);
        assert_int_equal(rb_mail_shape(c, &m, &mail, &err), RB_EINVAL);
        rb_mail_release(&mail);
        json_decref(c);
    }
    c = mail_channel("a@b", "a@b", "x\r\nBcc: c@d");
    assert_int_equal(rb_mail_shape(c, &m, &mail, &err), RB_EINVAL);
    rb_mail_release(&mail);
    json_decref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cut), cmocka_unit_test(test_clean),
                                       cmocka_unit_test(test_signature), cmocka_unit_test(test_mail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
