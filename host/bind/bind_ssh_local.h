/* The file of this machine that goes to another one, or comes from there; for bind_ssh_files.c only. */
#ifndef RB_BIND_SSH_LOCAL_H
#define RB_BIND_SSH_LOCAL_H

#include "base/err.h"
#include "base/sha.h"
#include "loop/work.h"

struct rb_run;

/* One piece of it on the pool. */
struct ssh_local {
    int fd, dir; /* of the file; of the folder that it is to be in. -1 */
    char name[256], part[64];
    uint64_t size;
    uint8_t digest[RB_SHA_LEN];
    unsigned mode;
    int failed;   /* errno; 0 */
    bool differs; /* from the digest that was expected */
    uint8_t expected[RB_SHA_LEN];
    struct rb_work work;
    void (*on_done)(struct ssh_local *l); /* NULL: nobody waits any more */
    bool busy;
};

void rb_ssh_local_init(struct ssh_local *l);
/* Not while it is busy. What is not kept is removed. */
void rb_ssh_local_close(struct ssh_local *l);

/* Opens what the run's policy lets it reach. RB_EDENIED: it does not. */
int rb_ssh_local_open(struct ssh_local *l, const struct rb_run *run, const char *path, struct rb_err *err);
/* A temporary file beside the path; tag names it. */
int rb_ssh_local_make(struct ssh_local *l, const struct rb_run *run, const char *path, const char *tag,
                      struct rb_err *err);

/* On the pool, then on_done: its size, digest and mode. */
void rb_ssh_local_digest(struct ssh_local *l, struct rb_loop *loop);
/* The same, and it gets its name when the digest is the expected one: whole, and on the disk. */
void rb_ssh_local_keep(struct ssh_local *l, struct rb_loop *loop);

#endif
