/* At most so many in so long, counted over the last of them: "10/1m". Knows no clock: whoever asks says what time it
 * is. */
#ifndef RB_RATE_H
#define RB_RATE_H

#include "base/rb.h"

#define RB_RATE_MAX 1000

struct rb_rate {
    int max; /* 0: no limit */
    int64_t window;
    int64_t *times; /* of the last `max` that were let through, a ring */
    size_t next, used;
};

/* "90s", "1h30m", "60": µs; 0 when it is none. */
int64_t rb_rate_span(const char *text);
/* "10/1m", with a number and a unit (s, m, h, d) or both: "5/90s". RB_EINVAL for anything else. */
int rb_rate_init(struct rb_rate *r, const char *text);
void rb_rate_release(struct rb_rate *r);
/* May one more pass at this time? It counts when it may. */
bool rb_rate_admit(struct rb_rate *r, int64_t now);
/* One passed at that time, not earlier than those before it; whether it may have is not asked. */
void rb_rate_count(struct rb_rate *r, int64_t at);
int64_t rb_rate_opens(const struct rb_rate *r, int64_t now); /* when the next may */

#endif
