/* What is said to the shell on another machine to put a file there, or to get one. Texts only, as ssh_far.h. Answers
 * are lines of the error output: "rbhost-no WHY", and those below. */
#ifndef RB_SSH_FAR_FILE_H
#define RB_SSH_FAR_FILE_H

#include "io/ssh_far.h"

struct rb_far_file {
    const char *path;          /* over there; relative: below the folder that a session begins in */
    bool sudo;                 /* as in rb_far_command */
    const char *sudo_password; /* the same */
    uint64_t size;             /* upload: its bytes; download: at most so many */
    const char *sha256;        /* upload: hex */
    const char *mode;          /* upload: octal, or NULL: that of the file that is replaced, else */
    const char *mode_of_new;   /* this */
    /* upload: "user" or "user:group", or NULL: that of the file that is replaced, where it may */
    const char *owner;
    const char *tag; /* upload: names the temporary file; the same on a repetition, and on nothing else */
};

/* The file goes behind the request's input. It grows under a temporary name and gets its own when size and digest are
 * right: "rbhost-done". */
int rb_far_upload(const struct rb_far_file *f, struct rb_far_request *out, struct rb_err *err);
/* Standard output is the file, behind what the login has said. "rbhost-size BYTES", "rbhost-mode OCTAL"; then, behind
 * the file, "rbhost-sum HEX" (digest of so much of the file over there, read again). */
int rb_far_download(const struct rb_far_file *f, struct rb_far_request *out, struct rb_err *err);

/* The text of the answer "rbhost-NAME TEXT" among lines, copied and cut; false: it is not there. */
bool rb_far_file_said(const char *lines, size_t len, const char *name, char *out, size_t n);

#endif
