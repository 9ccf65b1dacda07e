/* Streams of events, as they may be cut: the same events come out of whole texts and of single bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bind/sse.h"

static void on_event(void *arg, const char *event, const struct rb_buf *data, const char *id)
{
    rb_buf_addf(arg, "%s|%s|%s;", id, event, rb_buf_text(data));
}

/* Feeds text in pieces of n bytes; the events as one text. */
static int64_t feed(const char *text, size_t len, size_t n, struct rb_buf *out)
{
    struct rb_sse s;
    rb_buf_init(out, 65536);
    rb_sse_init(&s, 1000);
    s.on_event = on_event;
    s.arg = out;
    for (size_t at = 0; at < len; at += n)
        assert_int_equal(rb_sse_feed(&s, text + at, len - at < n ? len - at : n), RB_OK);
    int64_t retry = s.retry_ms;
    rb_sse_release(&s);
    return retry;
}

static const struct {
    const char *text, *events;
    int64_t retry;
} table[] = {
    {"data: a\n\n", "|message|a;", -1},
    {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", "|message|a;|message|b;|message|c;", -1},
    {"\xEF\xBB\xBF"
     "data: a\n\n",
     "|message|a;", -1},
    {": comment\n\ndata: a\ndata:b\ndata\n\n", "|message|a\nb\n;", -1},
    {"id: 1\nevent: x\ndata:  two spaces\n\ndata: b\n\n", "1|x| two spaces;1|message|b;", -1},
    {"id: 1\ndata: a\n\nid\ndata: b\n\n", "1|message|a;|message|b;", -1},
    {"event: x\n\ndata: a\n\n", "|message|a;", -1},
    {"retry: 250\nretry: 5x\nretry:\nfoo: bar\nDATA: no\n\n", "", 250},
    {"data: never whole\n", "", -1},
    {"data\n\n", "|message|;", -1},
};

static void test_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < RB_COUNT(table); i++) {
        for (size_t n = 1; n < 12; n++) {
            struct rb_buf out;
            int64_t retry = feed(table[i].text, strlen(table[i].text), n, &out);
            assert_string_equal(rb_buf_text(&out), table[i].events);
            assert_int_equal(retry, table[i].retry);
            rb_buf_release(&out);
        }
    }
}

static void test_an_id_with_a_nul_is_none(void **state)
{
    (void)state;
    struct rb_buf out;
    static const char text[] = "id: 1\nid: 2\0x\ndata: a\n\n";
    feed(text, sizeof(text) - 1, 3, &out);
    assert_string_equal(rb_buf_text(&out), "1|message|a;");
    rb_buf_release(&out);
}

static void test_what_is_too_big(void **state)
{
    (void)state;
    struct rb_sse s;
    struct rb_buf out;
    int rc = RB_OK;
    rb_buf_init(&out, 65536);
    rb_sse_init(&s, 100);
    s.on_event = on_event;
    s.arg = &out;
    for (int i = 0; i < 20 && !rc; i++) /* no line of it is */
        rc = rb_sse_feed(&s, "data: ten bytes.\n", 17);
    assert_int_equal(rc, RB_ETOOBIG);
    rb_sse_release(&s);
    rb_buf_release(&out);
}

static void test_a_new_connection(void **state)
{
    (void)state;
    struct rb_sse s;
    struct rb_buf out;
    rb_buf_init(&out, 65536);
    rb_sse_init(&s, 100);
    s.on_event = on_event;
    s.arg = &out;
    assert_int_equal(rb_sse_feed(&s, "id: 7\ndata: a\n\ndata: half", 25), RB_OK);
    rb_sse_restart(&s);
    assert_int_equal(rb_sse_feed(&s, "data: b\n\n", 9), RB_OK);
    assert_string_equal(rb_buf_text(&out), "7|message|a;7|message|b;");
    assert_int_equal(rb_sse_feed(&s, "id: 8\ndata: torn", 16), RB_OK);
    rb_sse_restart(&s); /* the eighth has not been seen: it must be asked for */
    assert_string_equal(rb_buf_text(&s.id), "7");
    rb_sse_release(&s);
    rb_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_an_id_with_a_nul_is_none),
        cmocka_unit_test(test_what_is_too_big),
        cmocka_unit_test(test_a_new_connection),
    };
    return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
