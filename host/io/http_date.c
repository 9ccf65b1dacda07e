/* Owns dates as HTTP has them, and what an answer says of when to come back. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "io/http.h"

static const char *value_of(char *const *headers, const char *name)
{
    size_t n = strlen(name);
    for (char *const *h = headers; h && *h; h++)
        if (strncasecmp(*h, name, n) == 0 && (*h)[n] == ':')
            return *h + n + 1 + strspn(*h + n + 1, " \t");
    return NULL;
}

/* The three forms of RFC 9110 5.6.7, of which the first is sent today. The host has no locale but C. */
static bool read_date(const char *text, int64_t *out)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %e %H:%M:%S %Y"};
    for (size_t i = 0; text && i < RB_COUNT(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        if (end && !*end) {
            *out = (int64_t)timegm(&tm);
            return true;
        }
    }
    return false;
}

double rb_http_retry_after(const struct rb_http_result *r)
{
    const char *text = value_of(r->headers, "Retry-After");
    int64_t at, now;
    if (!text)
        return -1;
    size_t digits = strspn(text, "0123456789");
    if (digits && !text[digits])
        return digits > 9 ? 1e9 : strtod(text, NULL);
    if (!read_date(text, &at))
        return -1;
    if (!read_date(value_of(r->headers, "Date"), &now)) /* its own clock, where it tells it */
        now = rb_clock_wall() / 1000000;
    return at > now ? (double)(at - now) : 0;
}
