/* What the files of io/file_*.c share: reaching a path without following a link, and saying what went wrong. On the
 * pool's threads. */
#ifndef RB_FILE_AT_H
#define RB_FILE_AT_H

#include "io/file.h"

#define RB_FILE_TEMP ".rbhost-" /* begins the names of temporary files; the operation's tag follows */
#define RB_FILE_CHUNK ((size_t)256 << 10)

/* Opens the first len bytes of the place's path. -errno on failure; -ELOOP with place->elsewhere set where a link is in
 * the way. flags as open(2) without O_CREAT; O_CLOEXEC is added. */
int rb_file_open(struct rb_file_place *p, size_t len, int flags);
/* Opens the folder that the path is in, and gives the name in it (borrowed). */
int rb_file_open_parent(struct rb_file_place *p, const char **name);
/* The last part of the path is a link: sets elsewhere to what it leads to. -ELOOP, or why that can not be said. */
int rb_file_link_leads(struct rb_file_place *p);
/* Opens a name in a folder: no link, and not past a mount. */
int rb_file_open_below(int dir, const char *name, int flags);

/* Ends f with what errno stands for: "file.write: PATH what: words of the system; what to do". Returns -1. */
int rb_file_fail(struct rb_file *f, int err, const char *what);
/* Ends f with a kind and a sentence of one's own. Returns -1. */
int rb_file_fail_as(struct rb_file *f, const char *kind, const char *fmt, ...) RB_PRINTF(3, 4);
/* Is it to stop? Then f has ended. */
bool rb_file_stopping(struct rb_file *f);
/* Is it what f->refuse stands for? Then f has ended. */
bool rb_file_refused(struct rb_file *f, const struct stat *st);
const char *rb_file_verb_name(const struct rb_file *f);
const char *rb_file_type_name(mode_t mode);

/* The digest of what an open file holds, and its size. 0, -errno, or -ECANCELED with f ended. */
int rb_file_digest_of(struct rb_file *f, int fd, uint8_t sum[RB_SHA_LEN], uint64_t *size);

/* The verbs: each ends f, RB_FILE_DONE unless it says otherwise. */
void rb_file_do_read(struct rb_file *f);
void rb_file_do_digest(struct rb_file *f);
void rb_file_do_stat(struct rb_file *f);
void rb_file_do_list(struct rb_file *f);
void rb_file_do_write(struct rb_file *f);
void rb_file_do_remove(struct rb_file *f);
void rb_file_do_mkdir(struct rb_file *f);
void rb_file_do_open(struct rb_file *f);
void rb_file_do_begin(struct rb_file *f);

#endif
