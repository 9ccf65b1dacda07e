/* Freeze windows: absolute and weekly, in a stated zone and in the host's, which runbooks, which window counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "front/freeze.h"

/* Wall µs of "2026-12-20T08:00:00" in UTC. */
static int64_t utc(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &tm));
    return (int64_t)timegm(&tm) * 1000000;
}

static void zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

struct row {
    const char *window, *at, *until; /* until: NULL: not frozen */
};

static void expect(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[500];
        struct rb_freeze f;
        snprintf(text, sizeof(text), "{\"freeze\":[{%s,\"reason\":\"r\"}]}", rows[i].window);
        json_t *policy = json_loads(text, 0, NULL);
        assert_non_null(policy);
        bool frozen = rb_freeze_at(policy, "db/promote", utc(rows[i].at), &f);
        if (frozen != (rows[i].until != NULL) || (frozen && f.until != utc(rows[i].until)))
            fail_msg("%s at %s: %s until %lld, expected %s", rows[i].window, rows[i].at, frozen ? "frozen" : "open",
                     (long long)(f.until / 1000000), rows[i].until ? rows[i].until : "open");
        json_decref(policy);
    }
}

#define FROM_TO(from, to) "\"from\":\"" from "\",\"to\":\"" to "\""
#define WEEKLY(text) "\"weekly\":\"" text "\",\"tz\":\"Z\""

static void absolute(void **state)
{
    static const struct row rows[] = {
        {FROM_TO("2026-12-20T00:00:00Z", "2027-01-04T06:00:00Z"), "2026-12-19T23:59:59", NULL},
        {FROM_TO("2026-12-20T00:00:00Z", "2027-01-04T06:00:00Z"), "2026-12-20T00:00:00", "2027-01-04T06:00:00"},
        {FROM_TO("2026-12-20T00:00:00Z", "2027-01-04T06:00:00Z"), "2027-01-04T05:59:59", "2027-01-04T06:00:00"},
        {FROM_TO("2026-12-20T00:00:00Z", "2027-01-04T06:00:00Z"), "2027-01-04T06:00:00", NULL},
        {FROM_TO("2026-12-20T10:00+02:00", "2026-12-20T12:00-01:30"), "2026-12-20T08:00:00", "2026-12-20T13:30:00"},
        {FROM_TO("2026-12-20T10:00+02:00", "2026-12-20T12:00-01:30"), "2026-12-20T07:59:59", NULL},
        {FROM_TO("2026-12-20 10:00", "2026-12-20 11:00") ",\"tz\":\"+01:00\"", "2026-12-20T09:30:00",
         "2026-12-20T10:00:00"},
        {FROM_TO("2026-12-20", "2026-12-21") ",\"tz\":\"Z\"", "2026-12-21T23:59:59", "2026-12-22T00:00:00"},
        {FROM_TO("2026-12-20", "2026-12-20") ",\"tz\":\"Z\"", "2026-12-20T12:00:00", "2026-12-21T00:00:00"},
    };
    (void)state;
    expect(rows, RB_COUNT(rows));
}

/* 2026-11-27 was a Friday. */
static void weekly(void **state)
{
    static const struct row rows[] = {
        {WEEKLY("fri 16:00 - mon 06:00"), "2026-11-27T15:59:59", NULL},
        {WEEKLY("fri 16:00 - mon 06:00"), "2026-11-27T16:00:00", "2026-11-30T06:00:00"},
        {WEEKLY("fri 16:00 - mon 06:00"), "2026-11-29T03:04:05", "2026-11-30T06:00:00"},
        {WEEKLY("fri 16:00 - mon 06:00"), "2026-11-30T06:00:00", NULL},
        {WEEKLY("mon 08:00 - mon 09:00"), "2026-11-30T08:59:59", "2026-11-30T09:00:00"},
        {WEEKLY("mon 09:00 - mon 08:00"), "2026-11-30T08:30:00", NULL}, /* all week but one hour */
        {WEEKLY("mon 09:00 - mon 08:00"), "2026-12-01T08:30:00", "2026-12-07T08:00:00"},
        {WEEKLY("Friday 00:00 - sat 24:00"), "2026-11-28T23:59:00", "2026-11-29T00:00:00"},
        {"\"weekly\":\"fri 16:00 - fri 18:00\",\"tz\":\"-05:00\"", "2026-11-27T21:30:00", "2026-11-27T23:00:00"},
        {"\"weekly\":\"fri 16:00 - fri 18:00\",\"tz\":\"-05:00\"", "2026-11-27T17:00:00", NULL},
        {"\"weekly\":\"sun 23:00 - mon 01:00\",\"tz\":\"+14:00\"", "2026-11-29T09:30:00", "2026-11-29T11:00:00"},
    };
    (void)state;
    expect(rows, RB_COUNT(rows));
}

static void in_the_zone_of_the_host(void **state)
{
    static const struct row rows[] = {
        {FROM_TO("2026-12-20", "2026-12-20"), "2026-12-19T23:30:00", "2026-12-20T23:00:00"},
        {FROM_TO("2026-12-20T10:00", "2026-12-20T12:00"), "2026-12-20T10:30:00", "2026-12-20T11:00:00"},
        {"\"weekly\":\"fri 16:00 - mon 06:00\"", "2026-11-27T15:00:00", "2026-11-30T05:00:00"},
        /* the clock goes back within it, at 01:00 UTC on 2026-10-25 */
        {"\"weekly\":\"fri 16:00 - mon 06:00\"", "2026-10-23T14:00:00", "2026-10-26T05:00:00"},
    };
    (void)state;
    zone("CET-1CEST,M3.5.0,M10.5.0/3");
    expect(rows, RB_COUNT(rows));
    zone("UTC0");
}

static void which_runbooks_and_which_window(void **state)
{
    struct rb_freeze f;
    (void)state;
    json_t *policy = json_loads(
        "{\"freeze\":[{\"from\":\"2026-12-20T00:00Z\",\"to\":\"2026-12-25T00:00Z\",\"reason\":\"a\"},"
        "{\"from\":\"2026-12-20T00:00Z\",\"to\":\"2026-12-30T00:00Z\",\"reason\":\"b\",\"runbooks\":[\"db/*\",\"x\"]},"
        "{\"from\":\"2026-12-20T00:00Z\",\"to\":\"2026-12-28T00:00Z\",\"reason\":\"c\",\"runbooks\":[\"**/web\"]}]}",
        0, NULL);
    assert_true(rb_freeze_at(policy, "db/promote", utc("2026-12-21T00:00:00"), &f));
    assert_string_equal(f.reason, "b"); /* the one that ends last */
    assert_int_equal(f.index, 2);
    assert_true(rb_freeze_at(policy, "promote", utc("2026-12-21T00:00:00"), &f));
    assert_string_equal(f.reason, "a");
    assert_false(rb_freeze_at(policy, "promote", utc("2026-12-26T00:00:00"), &f));
    assert_false(rb_freeze_at(policy, "db/a/b", utc("2026-12-26T00:00:00"), &f));
    assert_true(rb_freeze_at(policy, "a/b/web", utc("2026-12-26T00:00:00"), &f));
    assert_false(rb_freeze_at(NULL, "promote", utc("2026-12-21T00:00:00"), &f));
    json_decref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absolute),
        cmocka_unit_test(weekly),
        cmocka_unit_test(in_the_zone_of_the_host),
        cmocka_unit_test(which_runbooks_and_which_window),
    };
    zone("UTC0");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
