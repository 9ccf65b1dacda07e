/* Owns the question whether a freeze window holds at a time. That the windows are well formed was checked when the
 * configuration was read (rt/config_policy.lua). Starts and stops nothing. */
#include "front/freeze.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/policy_rules.h"
#include "engine/run.h"
#include "front/text.h"

enum { WEEK = 7 * 1440 };

/* "+01:00", "Z" in seconds; false: there is none, the host's own time counts. */
static bool offset_of(const char *text, long *seconds)
{
    int hours, minutes;
    *seconds = 0;
    if (!text || !*text)
        return false;
    if (*text == 'Z')
        return true;
    if (sscanf(text + 1, "%2d:%2d", &hours, &minutes) != 2)
        return false;
    *seconds = (hours * 3600L + minutes * 60L) * (*text == '-' ? -1 : 1);
    return true;
}

/* Seconds since 1970 of fields in that zone, or in the host's. */
static int64_t seconds_of(struct tm *tm, const char *zone, const char *tz)
{
    long offset;
    if (offset_of(*zone ? zone : tz, &offset))
        return (int64_t)timegm(tm) - offset;
    tm->tm_isdst = -1;
    return (int64_t)mktime(tm);
}

/* "2026-12-20", "2026-12-20T08:00", with seconds, Z or an offset. end: a date alone means its end. */
static int64_t time_of(const char *text, const char *tz, bool end)
{
    struct tm tm = {0};
    int n = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &n) != 3)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    const char *rest = text + n;
    if (*rest) {
        sscanf(rest + 1, "%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &n);
        rest += 1 + n;
        if (*rest == ':') {
            tm.tm_sec = (int)strtol(rest + 1, NULL, 10);
            rest += 3;
        }
    } else if (end) {
        tm.tm_mday++;
    }
    return seconds_of(&tm, rest, tz);
}

/* Minutes since Sunday 00:00 of "fri 16:00". */
static int minute_of_week(const char *text)
{
    static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    int hours = 0, minutes = 0, day = 0;
    text += strspn(text, " ");
    for (int i = 0; i < 7; i++)
        if (strncasecmp(text, days[i], 3) == 0)
            day = i;
    text += strcspn(text, " ");
    sscanf(text, " %2d:%2d", &hours, &minutes);
    return day * 1440 + hours * 60 + minutes;
}

/* The end of the weekly window in which the time stands, seconds; 0: in none. */
static int64_t weekly_end(const char *weekly, const char *tz, int64_t now)
{
    const char *dash = strstr(weekly, " - ");
    if (!dash)
        return 0;
    int from = minute_of_week(weekly), to = minute_of_week(dash + 3);
    long offset = 0;
    struct tm tm;
    bool fixed = offset_of(tz, &offset);
    time_t t = (time_t)(now + offset);
    if (!(fixed ? gmtime_r(&t, &tm) : localtime_r(&t, &tm)))
        return 0;
    int minute = tm.tm_wday * 1440 + tm.tm_hour * 60 + tm.tm_min;
    int since = ((minute - from) % WEEK + WEEK) % WEEK, length = ((to - from) % WEEK + WEEK) % WEEK;
    if (since >= length)
        return 0;
    tm.tm_min += length - since;
    tm.tm_sec = 0;
    return seconds_of(&tm, "", tz);
}

static bool is_meant(const json_t *window, const char *runbook)
{
    const json_t *runbooks = json_object_get(window, "runbooks"), *e;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)runbooks, i, e)
    {
        const char *pattern = json_string_value(e);
        if (pattern && rb_policy_glob(pattern, strlen(pattern), runbook, strlen(runbook), "/"))
            return true;
    }
    return !runbooks;
}

bool rb_freeze_at(const json_t *policy, const char *runbook, int64_t at, struct rb_freeze *out)
{
    const json_t *windows = json_object_get(policy, "freeze"), *w;
    size_t i;
    *out = (struct rb_freeze){0};
    json_array_foreach((json_t *)(uintptr_t)windows, i, w)
    {
        const char *weekly = json_string_value(json_object_get(w, "weekly")),
                   *tz = json_string_value(json_object_get(w, "tz")),
                   *from = json_string_value(json_object_get(w, "from")),
                   *to = json_string_value(json_object_get(w, "to"));
        int64_t now = at / 1000000, end = 0;
        if (!is_meant(w, runbook))
            continue;
        if (weekly)
            end = weekly_end(weekly, tz, now);
        else if (from && to && now >= time_of(from, tz, false))
            end = time_of(to, tz, true);
        if (end > now && end * 1000000 > out->until)
            *out = (struct rb_freeze){i + 1, end * 1000000, json_string_value(json_object_get(w, "reason"))};
    }
    return out->until != 0;
}

int rb_freeze_thaw(struct rb_cli *cli, const char *runbook, const char *override, char **recorded)
{
    struct rb_freeze f;
    struct rb_buf window;
    struct rb_json j;
    char at[24], member[40];
    if (override && !*override)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "--override-freeze needs a reason: why may it not wait?");
    if (!runbook || !rb_freeze_at(json_object_get(cli->config, "policy"), runbook, rb_clock_wall(), &f))
        return RB_EXIT_OK;
    rb_text_time(f.until, at);
    snprintf(member, sizeof(member), "policy.freeze.%zu", f.index);
    if (!override)
        return rb_cli_fail(cli, RB_EXIT_DENIED,
                           "%s is frozen until %s: %s (policy.freeze, %s:%d); nothing was started. If it may not "
                           "wait: --override-freeze REASON",
                           runbook, at, f.reason, cli->config_found, rb_config_line(cli->config_found, member));
    rb_cli_note(cli, "%s is frozen until %s: %s; overridden: %s", runbook, at, f.reason, override);
    rb_buf_init(&window, 64 << 10);
    rb_json_init(&j, &window);
    rb_json_object(&j);
    rb_json_ktext(&j, "reason", override);
    rb_json_ktext(&j, "window", f.reason);
    rb_json_kint(&j, "until", f.until);
    rb_json_end_object(&j);
    free(*recorded);
    *recorded = rb_buf_detach(&window);
    return RB_EXIT_OK;
}
