/* Owns the counting of what passes in a time: a window that slides. */
#include "io/rate.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int64_t rb_rate_span(const char *text)
{
    int64_t total = 0;
    while (*text) {
        char *end;
        if (!isdigit((unsigned char)*text))
            return 0;
        int64_t n = strtoll(text, &end, 10);
        size_t len = strcspn(end, "0123456789");
        int64_t unit = len == 0                                 ? 1000000
                       : len == 2 && strncmp(end, "ms", 2) == 0 ? 1000
                       : len != 1                               ? 0
                       : *end == 's'                            ? 1000000
                       : *end == 'm'                            ? 60000000
                       : *end == 'h'                            ? 3600000000
                       : *end == 'd'                            ? 86400000000
                                                                : 0;
        if (n > 1000000 || !unit)
            return 0;
        total += n * unit;
        text = end + len;
    }
    return total;
}

int rb_rate_init(struct rb_rate *r, const char *text)
{
    *r = (struct rb_rate){0};
    if (!text)
        return RB_OK;
    char *slash;
    long n = isdigit((unsigned char)*text) ? strtol(text, &slash, 10) : 0;
    if (n < 1 || *slash != '/')
        return RB_EINVAL;
    r->window = rb_rate_span(slash + 1);
    if (r->window <= 0)
        return RB_EINVAL;
    r->max = n > RB_RATE_MAX ? RB_RATE_MAX : (int)n;
    r->times = rb_alloc((size_t)r->max * sizeof(*r->times));
    return RB_OK;
}

void rb_rate_release(struct rb_rate *r)
{
    free(r->times);
    *r = (struct rb_rate){0};
}

int64_t rb_rate_opens(const struct rb_rate *r, int64_t now)
{
    if (!r->max || r->used < (size_t)r->max)
        return now;
    int64_t at = r->times[r->next] + r->window; /* the oldest of the last max */
    return at > now ? at : now;
}

void rb_rate_count(struct rb_rate *r, int64_t at)
{
    if (!r->max)
        return;
    r->times[r->next] = at;
    r->next = (r->next + 1) % (size_t)r->max;
    if (r->used < (size_t)r->max)
        r->used++;
}

bool rb_rate_admit(struct rb_rate *r, int64_t now)
{
    if (rb_rate_opens(r, now) > now)
        return false;
    rb_rate_count(r, now);
    return true;
}
