/* The file of this machine that goes to another one, or comes from there; for bind_ssh_files.c only. */
#ifndef RB_BIND_SSH_LOCAL_H
#define RB_BIND_SSH_LOCAL_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/sha.h"
#include "loop/work.h"

struct rb_effect;
struct rb_reach_file;

/* One piece of it on the pool. */
struct ssh_local {
    struct rb_reach_file *reach; /* while it is reached for */
    int refused;                 /* RB_EDENIED: the policy's no, RB_EIO: it can not be reached; 0 */
    char why[1024];              /* then */
    int fd, dir;                 /* of the file; of the folder that it is to be in. -1 */
    char name[256], part[64];
    uint64_t size;
    uint64_t want; /* what is kept: the last so many bytes of it */
    uint8_t digest[RB_SHA_LEN];
    unsigned mode;
    struct rb_loop *loop;
    int failed;   /* errno; 0 */
    bool differs; /* from the digest that was expected */
    uint8_t expected[RB_SHA_LEN];
    struct rb_work work;
    void (*on_done)(struct ssh_local *l); /* NULL: nobody waits any more */
    bool busy;
    atomic_bool stop;
};

void rb_ssh_local_init(struct ssh_local *l);
/* What is under way on the pool comes to its end soon, with failed = ECANCELED unless it is done. */
void rb_ssh_local_stop(struct ssh_local *l);
/* Not while it is busy. What is not kept is removed. */
void rb_ssh_local_close(struct ssh_local *l);

/* Reaches for what the run's policy lets it, then on_done: `refused`, or open for reading with its size, digest and
 * mode. Non-zero: nothing was begun (RB_EDENIED as above). */
int rb_ssh_local_open(struct ssh_local *l, struct rb_effect *e, const char *path, struct rb_err *err);
/* The same for a temporary file beside the path. */
int rb_ssh_local_make(struct ssh_local *l, struct rb_effect *e, const char *path, struct rb_err *err);

/* On the pool, then on_done: its size and digest; it gets its name when that is the expected one: whole, on the
 * disk. */
void rb_ssh_local_keep(struct ssh_local *l, struct rb_loop *loop);

#endif
