/* The two halves of the shim: how a command begins (shim.c), and what happens until it has ended (life.c). */
#ifndef RB_SHIM_LIFE_H
#define RB_SHIM_LIFE_H

#include <stdbool.h>

#include "shim/parts.h"
#include "shim/shim.h"
#include "shim/sys.h"

#define REPORT_FD 1
#define ROOT_FD 2

/* One output of the command. */
struct stream {
    int number; /* 1, 2 */
    int fd;     /* -1: at its end */
    int file;   /* -1: nothing has come yet */
    bool full;  /* what comes now is counted only: the cap, or a disk that takes no more */
    uint64_t kept, total;
    struct hash hash;
    const char *name; /* of its file, below ROOT_FD */
};

struct command {
    const struct rb_shim_request *request;
    const char *input; /* what has not been written to it yet */
    uint64_t input_left;
    int input_fd; /* -1: it has all, or wants no more */
    int signals;  /* signalfd: CHLD, RB_SHIM_STOP, RB_SHIM_NOW */
    int lock;
    long pid;
    int64_t started;
    struct stream out[2];
};

int64_t now_us(void); /* CLOCK_BOOTTIME */
/* False: it did not fit in the pipe now, or nobody reads it. */
bool report(enum rb_shim_kind kind, int stream, const void *data, size_t len);
bool write_whole(int fd, const void *data, size_t len);
/* Gives it as much input as it takes now. */
void feed(struct command *c);
/* Nothing of the request is needed any more but its head; it may hold secrets. */
void forget_request(struct command *c);
/* Returns when it has ended and that is written down. */
void live(struct command *c);

#endif
