/* The clocks, each with its one use. All in microseconds unless the name says otherwise. */
#ifndef RB_CLOCK_H
#define RB_CLOCK_H

#include "base/rb.h"

/* since 1970 (CLOCK_REALTIME): what a person is shown, deadlines that outlive the process */
int64_t rb_clock_wall(void);
int64_t rb_clock_boot(void);       /* CLOCK_BOOTTIME: counts suspended time; waits while alive */
int64_t rb_clock_thread_cpu(void); /* CPU time of this thread: the budget of a slice */

/* "2026-11-22T03:04:05.678901Z" (RFC 3339) into out[32]. */
void rb_clock_format(int64_t wall_us, char out[32]);
/* "1.2s", "3m04s", "2h05m" into out[16], for people. */
void rb_clock_span(int64_t us, char out[16]);

#endif
