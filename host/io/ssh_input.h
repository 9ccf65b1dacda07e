/* What a session's standard input is fed with: bytes, then a file of this machine. Only for io/ssh*.c. */
#ifndef RB_SSH_INPUT_H
#define RB_SSH_INPUT_H

#include "loop/work.h"

struct rb_ssh_input {
    struct rb_loop *loop;
    char *data; /* what is to be written next, NULL: nothing */
    size_t len, sent;
    int file; /* what follows, from `at` on; -1: nothing (any more). Ours */
    uint64_t at;
    ssize_t got;
    struct rb_work work;
    bool reading; /* a piece of the file, on the pool: it is freed afterwards only */
    /* It was read, and there may be something to write; or it is no longer wanted (reading is false). */
    void (*on_read)(struct rb_ssh_input *in);
};

/* Copies the bytes. file: a regular one, which stays the caller's and is read from its beginning; -1: none. There is
 * input at all when this is true. */
bool rb_ssh_input_init(struct rb_ssh_input *in, struct rb_loop *loop, const void *data, size_t len, int file);

enum rb_ssh_fed {
    RB_SSH_FED_SOME, /* as much as there was room for */
    RB_SSH_FED_WAIT, /* on_read tells when there is more */
    RB_SSH_FED_ALL,  /* or nobody reads it any more */
};
/* Writes to the descriptor, which does not block. */
enum rb_ssh_fed rb_ssh_input_feed(struct rb_ssh_input *in, int fd);

bool rb_ssh_input_left(const struct rb_ssh_input *in); /* was not all of it taken? */
/* Wipes and frees it: not while it is reading. */
void rb_ssh_input_release(struct rb_ssh_input *in);

#endif
