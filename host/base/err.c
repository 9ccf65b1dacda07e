/* Owns error text and the end of the process for lack of memory. Knows nothing of who prints. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rb_err_set(struct rb_err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        char text[RB_ERR_MAX]; /* the arguments may point into err->msg */
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        err->code = code;
        memcpy(err->msg, text, sizeof(text));
    }
    return code;
}

int rb_err_sys(struct rb_err *err, int code, int errnum, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        char text[RB_ERR_MAX];
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        rb_err_set(err, code, "%s: %s", text, strerror(errnum));
    }
    return code;
}

int rb_err_of(int errnum)
{
    switch (errnum) {
    case EACCES:
    case EPERM: return RB_EDENIED;
    case EROFS: return RB_EREADONLY;
    case ENOSPC:
    case EDQUOT: return RB_EFULL;
    default: return RB_EIO;
    }
}

int rb_err_prefix(struct rb_err *err, const char *fmt, ...)
{
    if (!err)
        return RB_OK;
    va_list ap;
    char text[RB_ERR_MAX / 2];
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return rb_err_set(err, err->code, "%s: %s", text, err->msg);
}

void rb_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("rbhost: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputs("\n", stderr);
    va_end(ap);
    abort();
}

#ifdef RB_OOM
/* Tests: RBHOST_OOM_C=n makes the n-th allocation of the process fail, whichever thread it is for. */
static bool fails(void)
{
    static atomic_long made;
    const char *which = getenv("RBHOST_OOM_C");
    return which && atomic_fetch_add(&made, 1) + 1 == strtol(which, NULL, 10);
}
#else
#define fails() false
#endif

/* Not inlined, or the compiler would make calloc() of it and of the memset() below. */
static __attribute__((noinline)) void *block(size_t n)
{
    return fails() ? NULL : malloc(n);
}

/* glibc's calloc() passes by the blocks that a thread has just given back; only for a large one is it worth that, since
 * what comes fresh from the kernel is zero already. */
#define LARGE ((size_t)64 << 10)

static void *make(size_t n, bool zero)
{
    size_t size = n ? n : 1;
    bool large = size >= LARGE;
    void *p = !large ? block(size) : fails() ? NULL : calloc(1, size);
    if (!p)
        rb_die("out of memory (%zu bytes); the run can be resumed", n);
    return zero && !large ? memset(p, 0, size) : p;
}

void *rb_alloc(size_t n)
{
    return make(n, true);
}

void *rb_realloc(void *p, size_t n)
{
    void *q = fails() ? NULL : realloc(p, n ? n : 1);
    if (!q)
        rb_die("out of memory (%zu bytes); the run can be resumed", n);
    return q;
}

char *rb_strdup(const char *s)
{
    return s ? rb_strndup(s, strlen(s)) : NULL;
}

char *rb_strndup(const char *s, size_t n)
{
    char *p = make(n + 1, false);
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}
