/* Error text that travels next to a status code. */
#ifndef RB_ERR_H
#define RB_ERR_H

#include "base/rb.h"

#define RB_ERR_MAX 2048

struct rb_err {
    int code; /* RB_E… or 0 */
    char msg[RB_ERR_MAX];
};

/* Sets code and text (cut at RB_ERR_MAX). Returns code, so that `return rb_err_set(…)` reads well. `err` may be
 * NULL. */
int rb_err_set(struct rb_err *err, int code, const char *fmt, ...) RB_PRINTF(3, 4);

/* As rb_err_set, with ": " and the system's words for `errnum` at the end. */
int rb_err_sys(struct rb_err *err, int code, int errnum, const char *fmt, ...) RB_PRINTF(4, 5);

/* The status code for an errno of a file system: RB_EDENIED, RB_EREADONLY, RB_EFULL, else RB_EIO. */
int rb_err_of(int errnum);

/* Puts "text: " before what is there. */
int rb_err_prefix(struct rb_err *err, const char *fmt, ...) RB_PRINTF(2, 3);

/* The one place where rbhost ends for lack of memory or a broken invariant: prints and aborts. The journal makes
 * it a crash to resume from. */
void rb_die(const char *fmt, ...) RB_PRINTF(1, 2) RB_NORETURN;

/* Allocation that never returns NULL; rb_die() on failure. */
void *rb_alloc(size_t n); /* zeroed */
void *rb_realloc(void *p, size_t n);
char *rb_strdup(const char *s); /* NULL gives NULL */
char *rb_strndup(const char *s, size_t n);

#endif
