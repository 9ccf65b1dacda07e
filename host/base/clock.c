/* Owns the reading of clocks and the text of times. In the fault build the wall clock can be wrong by as many seconds
 * as RBHOST_FAULT_CLOCK says. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#ifdef RB_FAULT
#include <stdlib.h>

static int64_t wrong_by(void)
{
    const char *seconds = getenv("RBHOST_FAULT_CLOCK");
    return seconds ? strtoll(seconds, NULL, 10) * 1000000 : 0;
}
#else
#define wrong_by() 0
#endif

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t rb_clock_wall(void)
{
    return read_clock(CLOCK_REALTIME) + wrong_by();
}

int64_t rb_clock_boot(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

int64_t rb_clock_thread_cpu(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void rb_clock_format(int64_t wall_us, char out[32])
{
    int64_t sec = wall_us / 1000000, us = wall_us % 1000000;
    if (us < 0) {
        us += 1000000;
        sec--;
    }
    time_t t = (time_t)sec;
    struct tm tm;
    gmtime_r(&t, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%06dZ", (int)us);
}

void rb_clock_span(int64_t us, char out[16])
{
    if (us < 0)
        us = 0;
    int64_t s = us / 1000000;
    if (us < 1000000)
        snprintf(out, 16, "%dms", (int)(us / 1000));
    else if (s < 60)
        snprintf(out, 16, "%d.%ds", (int)s, (int)(us / 100000 % 10));
    else if (s < 3600)
        snprintf(out, 16, "%dm%02ds", (int)(s / 60), (int)(s % 60));
    else if (s < 86400)
        snprintf(out, 16, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
    else
        snprintf(out, 16, "%lldd%02dh", (long long)(s / 86400), (int)(s / 3600 % 24));
}
