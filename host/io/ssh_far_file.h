/* What is said to the shell on another machine to put a file there, or to get one: one line for the session, whose
 * standard input or output is the file itself. Texts only, as ssh_far.h. */
#ifndef RB_SSH_FAR_FILE_H
#define RB_SSH_FAR_FILE_H

#include "base/buf.h"
#include "base/err.h"

struct rb_far_file {
    const char *path;        /* over there; relative: below the folder that a session begins in */
    bool sudo;               /* through `sudo -n` */
    uint64_t size;           /* upload: its bytes; download: at most so many */
    const char *sha256;      /* upload: hex */
    const char *mode;        /* upload: octal, or NULL: that of the file that is replaced, else */
    const char *mode_of_new; /* this */
    /* upload: "user" or "user:group", or NULL: that of the file that is replaced, where it may */
    const char *owner;
    const char *tag; /* upload: names the temporary file; the same on a repetition */
};

/* upload: standard input is the file. It grows under a temporary name and gets its own when size and digest are right.
 * Answer on stdout: "rbhost-done" or "rbhost-no WHY". */
int rb_far_upload(const struct rb_far_file *f, struct rb_buf *command, struct rb_err *err);
/* download: standard output is the file. Answers on stderr, lines: "rbhost-no WHY", or "rbhost-mode OCTAL", then,
 * behind the file, "rbhost-sum HEX" (digest of the file over there, read again). */
int rb_far_download(const struct rb_far_file *f, struct rb_buf *command, struct rb_err *err);

/* The text of the answer "rbhost-NAME TEXT" among lines, copied and cut; false: it is not there. */
bool rb_far_file_said(const char *lines, size_t len, const char *name, char *out, size_t n);

#endif
