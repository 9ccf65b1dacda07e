/* Files as one request each, on the thread pool: read, stat, list, digest, write, remove, mkdir, and opening for
 * others. No link is followed by itself: where one is in the way the request ends as RB_FILE_ELSEWHERE with the path
 * that it leads to; whoever asked decides whether that may be reached and asks again. So neither "..", nor a link, nor
 * a folder that is swapped for a link meanwhile leads to a place that was not agreed to (openat2(2),
 * RESOLVE_NO_SYMLINKS). */
#ifndef RB_FILE_H
#define RB_FILE_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/sha.h"
#include "loop/work.h"

enum rb_file_verb {
    RB_FILE_READ,
    RB_FILE_STAT,
    RB_FILE_LIST,
    RB_FILE_DIGEST,
    RB_FILE_WRITE,
    RB_FILE_REMOVE,
    RB_FILE_MKDIR,
    RB_FILE_OPEN, /* for a driver that reads it itself: fd of a regular file */
    /* for a driver that writes it itself: fd of its folder, `name` there, and a temporary file to rename */
    RB_FILE_BEGIN,
};

enum rb_file_end {
    RB_FILE_DONE,
    RB_FILE_FAILED,    /* and nothing is changed, but for what the text says */
    RB_FILE_UNSURE,    /* it may or may not have taken place, or may not last */
    RB_FILE_STOPPED,   /* by rb_file_stop(), before anything was changed */
    RB_FILE_ELSEWHERE, /* a link is in the way: place->elsewhere */
};

#define RB_FILE_PATH_MAX 4096

struct rb_file_place {
    char *path; /* absolute and normal: rb_file_normal(). Owned */
    /* Lengths of two beginnings of path: the first is opened whatever links it holds, the rest up to the second without
     * leaving the first, all behind that without any link. 1 and 1: none is followed. */
    size_t bases[2];
    char *elsewhere; /* owned */
};

struct rb_file_entry {
    char *name; /* below the folder that was listed; owned */
    unsigned char type;
};

struct rb_file {
    /* The request, filled by the caller and owned by this struct. */
    enum rb_file_verb verb;
    const char *as;                     /* who asks, in its messages; NULL: the verb's name. Borrowed */
    struct rb_file_place place, backup; /* backup.path NULL: none is wanted */
    struct rb_buf content;              /* WRITE: what to write; READ: what was read */
    size_t max;                         /* READ: bytes; LIST, REMOVE: entries */
    bool cut;                           /* READ, LIST: more than max is no error */
    bool follow;                        /* STAT: what a link leads to */
    bool recursive, missing_ok, parents, create;
    int depth;          /* LIST, recursive: levels of folders */
    char *glob;         /* LIST: of the name, or of the path below the folder when it has a slash; NULL */
    mode_t mode;        /* WRITE, MKDIR; (mode_t)-1: as docs/file.md says */
    mode_t mode_of_new; /* WRITE without a mode, where nothing is replaced */
    bool expects;       /* WRITE: only over a content with this digest */
    uint8_t expected[RB_SHA_LEN];
    char tag[17]; /* names this operation in its temporary files; "" for reads */
    /* A SQLite database that this process has open, or NULL: it, what belongs to it (-wal, -shm, .d) and folders that
     * hold it are left alone. Even to read it is harm: closing the descriptor would drop SQLite's locks. */
    char *refuse;
    bool again; /* it may have been done before: looks first */
    bool sweep; /* it was begun before: removes what it left */

    /* The result, valid in on_done. */
    enum rb_file_end end;
    char kind[24]; /* "file.not_found" … of a failure */
    char text[2048];
    bool found; /* STAT: there is something; REMOVE: there was; MKDIR: it was made */
    bool was_cut, backed_up;
    struct stat st;
    char *target; /* STAT of a link */
    char owner[64], group[64];
    uint8_t digest[RB_SHA_LEN];
    uint64_t size;
    struct rb_file_entry *entries;
    size_t count, room;
    int fd, temp_fd; /* OPEN, BEGIN: whoever takes one leaves -1 here */
    char name[256], temp[64];

    void (*on_done)(struct rb_file *f); /* on the loop, once for each start */
    void *arg;
    struct rb_work work;
    atomic_bool stop;
    struct {
        dev_t dev;
        ino_t ino;
    } refused[4];
    int refused_count;
};

/* A request on the heap, all zero but for its defaults. */
struct rb_file *rb_file_new(enum rb_file_verb verb);
/* Not while it is started. */
void rb_file_free(struct rb_file *f);

/* on_done follows, never from within. After RB_FILE_ELSEWHERE it may be started again with another path. */
void rb_file_start(struct rb_loop *loop, struct rb_file *f);
/* Asks it to end early; on_done still follows. What is past its last moment to stop becomes done. */
void rb_file_stop(struct rb_file *f);

/* Makes what is in a folder last. 0 or -errno. */
int rb_file_sync_folder(int dir);

/* The path without ".", "..", "//" and a slash at its end; relative ones are below folder, which is absolute. By the
 * text alone: the disk is not asked. RB_EINVAL: empty, or too long. */
int rb_file_normal(const char *folder, const char *path, struct rb_buf *out, struct rb_err *err);

#endif
