/* The files of receipts and the processes that they name. Only for io/receipt*.c. */
#ifndef RB_RECEIPT_FILES_H
#define RB_RECEIPT_FILES_H

#include <sys/types.h>

#include "io/receipt.h"
#include "io/timer.h"

/* A shim that has said all it has to say, or that was left behind: it is our child, and has to be reaped. */
struct rb_receipt_leaving {
    pid_t pid;
    bool detached; /* it may take long */
};

struct rb_receipts {
    char *path;
    int root; /* the folder itself: when it is replaced, this is still the one of place.root */
    int shim; /* the program, in memory; -1 until the first start */
    struct rb_receipt_place place;
    struct rb_loop *loop;   /* NULL until the first start or look */
    struct rb_timer reaper; /* looks at `leaving` */
    uint64_t reaper_ms;
    struct rb_receipt_leaving *leaving;
    size_t n_leaving, max_leaving;
    char **forgotten; /* ids, to be removed */
    size_t n_forgotten, max_forgotten;
    struct rb_timer linger; /* then they are */
    bool removing;          /* a batch of them is with the pool */
    unsigned *spares;       /* numbers of folders that can be used again (rb_receipt_spare_name()) */
    size_t n_spares;
    unsigned spare_next;
    struct rb_timer sweeper; /* once, in a process that stays */
    bool sweep;              /* the next batch takes what is old, too */
    bool closed;             /* when that is done, this is freed */
};

/* What the last line of a lock says (host/shim/life.c). */
struct rb_receipt_end {
    struct rb_proc_result proc; /* but the captures' bytes */
    uint64_t kept[2];           /* bytes in the files */
};

enum rb_receipt_lock_kind { RB_RECEIPT_LOCK_NONE, RB_RECEIPT_LOCK_TOMBSTONE, RB_RECEIPT_LOCK_HELD };

struct rb_receipt_lock {
    enum rb_receipt_lock_kind kind;
    long shim, child; /* 0: there is no line of it */
    int64_t shim_at, child_at;
    char boot[64];
    bool ended;
    struct rb_receipt_end end;
};

int rb_receipt_read_lock(int root, const char *id, struct rb_receipt_lock *lock, struct rb_err *err);
bool rb_receipt_read_end(const char *line, struct rb_receipt_end *end);

/* A pidfd of the process that had this number at that time and has not ended; RB_ENOENT when there is none, RB_EIO when
 * none can be had now. */
int rb_receipt_process(long pid, int64_t at);

/* From now on no launch of this id can start anything. RB_EEXIST: there is a lock. */
int rb_receipt_entomb(int root, const char *id, struct rb_err *err);

/* Removes a receipt, but no tombstone. */
void rb_receipt_remove(int root, const char *id);

/* Only what the command has written. False: something of it may still be there. */
bool rb_receipt_remove_output(int root, const char *id);

#define RB_RECEIPT_SPARES_MAX 64
#define RB_RECEIPT_SPARE_MAX 32
void rb_receipt_spare_name(char out[RB_RECEIPT_SPARE_MAX], unsigned number);
/* Empties a receipt whose command has ended, and keeps its folder under that name for the next one. False: it is as it
 * was, or as good as removed. */
bool rb_receipt_recycle(int root, const char *id, const char *spare);

/* The loop on which it works from now on. Ten seconds later what is older than 7 days goes. */
void rb_receipts_use(struct rb_receipts *r, struct rb_loop *loop);
/* Looks after a child of ours that ends soon or, detached, some day. */
void rb_receipt_leave(struct rb_receipts *r, pid_t shim, bool detached);

#endif
