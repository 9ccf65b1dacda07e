/* What the host and the shim say to each other. Both are of one build, so structs go as they are.
 *
 * The shim is started with three descriptors: 0 is the request (a memory file, whole before the shim begins), 1 a pipe
 * that it reports through, 2 the receipts root. Its one argument is the receipt's folder; of that only the last part,
 * the id, is used. Nothing secret is in it, and its environment is empty. */
#ifndef RB_SHIM_H
#define RB_SHIM_H

#include <stdint.h>

#define RB_SHIM_MAGIC 0x72627331u                  /* "rbs1" */
#define RB_SHIM_SHELL_WORDS 2                      /* "/bin/sh", "--": before the arguments of a script without "#!" */
#define RB_SHIM_POINTERS (RB_SHIM_SHELL_WORDS + 2) /* beside those of arguments and environment */

enum rb_shim_flag {
    RB_SHIM_INPUT = 1, /* the command has an input; else /dev/null */
    RB_SHIM_LIVE = 2,  /* somebody watches: report what came */
};

enum rb_shim_fault {
    RB_SHIM_FAULT_SELF, /* KILL to whoever comes to the point */
    RB_SHIM_FAULT_SHIM, /* to the shim, at the child's points, too */
    RB_SHIM_FAULT_COMMAND,
    RB_SHIM_FAULT_STOP, /* STOP to whoever comes to it */
};

/* The head of the request. Behind it: room for pointers (argc + envc + RB_SHIM_POINTERS), the texts, each with its NUL,
 * in the order program, folder ("": the host's), arguments, environment; then the input. */
struct rb_shim_request {
    uint32_t magic;
    uint32_t flags;
    uint32_t argc, envc;
    uint64_t texts, input; /* where they begin */
    uint64_t size;         /* of all: a request that is cut starts nothing */
    uint64_t max_output;   /* of each stream */
    uint64_t timeout_ms;   /* 0: none */
    uint64_t grace_ms, drain_ms;
    uint32_t fault;      /* of a fault build: the number of a point */
    uint32_t fault_whom; /* enum rb_shim_fault: what happens there */
    char boot[64];
    /* Of a receipt that has gone: its folder under another name in the root, in which there is only the file "new"; ""
     * none. To use it again costs less than to remove it and make another: a file system that has just removed many
     * inodes looks at each of them when it wants one (ext4's recently_deleted()). */
    char spare[32];
};

/* Reports: a head, then len bytes, in one write of at most 4096 bytes, which a pipe keeps together. */
enum rb_shim_kind {
    RB_SHIM_STARTED = 1, /* the command's pid as int32_t */
    RB_SHIM_FAILED,      /* struct rb_shim_failure: it has never started, and there is no receipt */
    RB_SHIM_MORE,        /* there is more in the files */
    RB_SHIM_BEYOND,      /* output that the cap keeps out of the file; may be left out */
    RB_SHIM_ENDED,       /* the line "end …" of the lock */
};
struct rb_shim_head {
    uint8_t kind, stream;
    uint16_t len;
};
#define RB_SHIM_REPORT_MAX 4096

enum rb_shim_step {
    RB_SHIM_STEP_REQUEST, /* the request is cut or not ours */
    RB_SHIM_STEP_FOLDER,  /* making the receipt's folder */
    RB_SHIM_STEP_LOCK,    /* EEXIST: it was started before, or will never be */
    RB_SHIM_STEP_PIPES,
    RB_SHIM_STEP_FORK,
    RB_SHIM_STEP_NOTE, /* noting who the command is */
    RB_SHIM_STEP_CWD,
    RB_SHIM_STEP_EXEC,
};
struct rb_shim_failure {
    int32_t step, errnum;
};

/* In the line "end": why it ended. */
enum rb_shim_why { RB_SHIM_BY_ITSELF, RB_SHIM_TIMED_OUT, RB_SHIM_KILLED };

/* Signals of the host to the shim. Both also end what is left of a group whose leader has ended. */
#define RB_SHIM_STOP SIGTERM /* TERM to the command's group, KILL after the grace */
#define RB_SHIM_NOW SIGUSR1  /* KILL to it */

#endif
