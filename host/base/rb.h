/* Status codes and forward declarations that every file may use.
 *
 * A function that can fail returns 0 (or a count) on success and a negative RB_E… on failure, and fills the
 * `struct rb_err *` that is its last parameter with a sentence for a person. */
#ifndef RB_H
#define RB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rb_status {
    RB_OK = 0,
    RB_EIO = -1,       /* the system refused or failed; nothing is known to be damaged */
    RB_EINVAL = -2,    /* the caller's words are wrong: usage, parameters, a file that does not load */
    RB_ENOENT = -3,    /* there is no such thing */
    RB_EEXIST = -4,    /* it is there already */
    RB_EBUSY = -5,     /* somebody else holds it */
    RB_ESTALE = -6,    /* the epoch has moved on: another process owns the run */
    RB_ECORRUPT = -7,  /* the journal or a file is damaged */
    RB_EFULL = -8,     /* no space left */
    RB_EDENIED = -9,   /* not allowed */
    RB_ETOOBIG = -10,  /* a cap was reached */
    RB_EVERSION = -11, /* written by a newer rbhost */
    RB_ETIMEDOUT = -12,
    RB_ECANCELED = -13,
    RB_EAGAIN = -15,    /* something must be there first; the function says what */
    RB_EREADONLY = -14, /* the file or its file system can not be written */
};

#define RB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define RB_NORETURN __attribute__((noreturn))
#define RB_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define RB_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

struct rb_err;
struct rb_buf;
struct rb_loop;
struct rb_store;
struct rb_journal;
struct rb_run;
struct rb_task;

/* Version of the program, set by the build. */
#ifndef RB_VERSION
#define RB_VERSION "0.1.0"
#endif

/* The behaviour of replay that a run records at its start; a host refuses a run whose number it does not know. */
#define RB_REPLAY_VERSION 1

#endif
