/* Owns a file request: its memory, its way to the pool and back, and the words for what went wrong. Knows nothing of
 * how a path is reached (file_path.c) nor of what the verbs do (file_read.c, file_write.c, file_remove.c). */
#include "io/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "io/file_at.h"

struct rb_file *rb_file_new(enum rb_file_verb verb)
{
    struct rb_file *f = rb_alloc(sizeof(*f));
    f->verb = verb;
    f->place.bases[0] = f->place.bases[1] = f->backup.bases[0] = f->backup.bases[1] = 1;
    f->mode = (mode_t)-1;
    f->mode_of_new = 0644;
    f->fd = f->temp_fd = -1;
    rb_buf_init(&f->content, SIZE_MAX / 2);
    return f;
}

static void forget_entries(struct rb_file *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->entries[i].name);
    f->count = 0;
}

/* What a driver was to take and did not. */
static void close_opened(struct rb_file *f)
{
    if (f->temp_fd >= 0) {
        close(f->temp_fd);
        unlinkat(f->fd, f->temp, 0);
    }
    if (f->fd >= 0)
        close(f->fd);
    f->fd = f->temp_fd = -1;
}

void rb_file_free(struct rb_file *f)
{
    close_opened(f);
    forget_entries(f);
    free(f->entries);
    free(f->place.path);
    free(f->place.elsewhere);
    free(f->backup.path);
    free(f->backup.elsewhere);
    free(f->glob);
    free(f->refuse);
    free(f->target);
    rb_buf_release(&f->content);
    free(f);
}

static void look_at_refused(struct rb_file *f)
{
    static const char *const behind[] = {"", "-wal", "-shm", ".d"};
    char path[RB_FILE_PATH_MAX + 8];
    struct stat st;
    f->refused_count = 0;
    for (size_t i = 0; i < RB_COUNT(behind) && f->refuse; i++) {
        snprintf(path, sizeof(path), "%s%s", f->refuse, behind[i]);
        if (stat(path, &st))
            continue;
        f->refused[f->refused_count].dev = st.st_dev;
        f->refused[f->refused_count++].ino = st.st_ino;
    }
}

bool rb_file_refused(struct rb_file *f, const struct stat *st)
{
    for (int i = 0; i < f->refused_count; i++)
        if (f->refused[i].dev == st->st_dev && f->refused[i].ino == st->st_ino) {
            rb_file_fail_as(f, "policy", "is, or holds, the journal of this host, which no runbook may touch");
            return true;
        }
    return false;
}

static void on_pool(struct rb_work *w)
{
    static void (*const verbs[])(struct rb_file *) = {
        [RB_FILE_READ] = rb_file_do_read,     [RB_FILE_STAT] = rb_file_do_stat,   [RB_FILE_LIST] = rb_file_do_list,
        [RB_FILE_DIGEST] = rb_file_do_digest, [RB_FILE_WRITE] = rb_file_do_write, [RB_FILE_REMOVE] = rb_file_do_remove,
        [RB_FILE_MKDIR] = rb_file_do_mkdir,   [RB_FILE_OPEN] = rb_file_do_open,   [RB_FILE_BEGIN] = rb_file_do_begin,
    };
    struct rb_file *f = RB_CONTAINER(w, struct rb_file, work);
    if (rb_file_stopping(f))
        return;
    look_at_refused(f);
    verbs[f->verb](f);
}

static void on_back(struct rb_work *w, int status)
{
    struct rb_file *f = RB_CONTAINER(w, struct rb_file, work);
    if (status == RB_ECANCELED)
        f->end = RB_FILE_STOPPED;
    f->on_done(f);
}

static void begin(struct rb_file *f)
{
    f->end = RB_FILE_DONE;
    f->kind[0] = f->text[0] = '\0';
    f->found = f->was_cut = f->backed_up = false;
    free(f->place.elsewhere);
    free(f->backup.elsewhere);
    free(f->target);
    f->place.elsewhere = f->backup.elsewhere = f->target = NULL;
    forget_entries(f);
}

void rb_file_start(struct rb_loop *loop, struct rb_file *f)
{
    begin(f);
    f->work.run = on_pool;
    f->work.on_done = on_back;
    rb_work_start(loop, &f->work);
}

void rb_file_stop(struct rb_file *f)
{
    atomic_store(&f->stop, true);
    rb_work_cancel(&f->work);
}

/* -- words --------------------------------------------------------------------------------------------------------- */

const char *rb_file_verb_name(const struct rb_file *f)
{
    static const char *const names[] = {"file.read",   "file.stat",  "file.list", "file.digest", "file.write",
                                        "file.remove", "file.mkdir", "open",      "save"};
    return f->as ? f->as : names[f->verb];
}

const char *rb_file_type_name(mode_t mode)
{
    return S_ISREG(mode)    ? "file"
           : S_ISDIR(mode)  ? "folder"
           : S_ISLNK(mode)  ? "link"
           : S_ISFIFO(mode) ? "fifo"
           : S_ISSOCK(mode) ? "socket"
           : S_ISCHR(mode)  ? "character device"
                            : "block device";
}

/* What an errno is called, and what to do about it. */
static const struct {
    int err;
    const char *kind, *advice;
} meanings[] = {
    {ENOENT, "file.not_found", NULL},
    {EACCES, "file.denied", "see the owner and the mode of it and of its folders"},
    {EPERM, "file.denied", "see the owner and the mode of it and of its folders"},
    {EEXIST, "file.exists", NULL},
    {ENOTEMPTY, "file.not_empty", "recursive = true removes what is in it, too"},
    {EISDIR, "file.is_directory", NULL},
    {ENOTDIR, "file.not_directory", NULL},
    {ENOSPC, "file.full", "make room on its disk and try again"},
    {EDQUOT, "file.full", "the quota is used up"},
    {EFBIG, "file.full", "it would be larger than a file may be here (ulimit -f)"},
    {EROFS, "file.readonly", NULL},
    {ELOOP, "file.loop", "the links on the way lead round in a circle, or change all the time"},
    {EXDEV, "file.mount", "another file system is mounted there"},
};

int rb_file_fail(struct rb_file *f, int err, const char *what)
{
    const char *kind = "file.io", *advice = NULL;
    if (err < 0)
        err = -err;
    for (size_t i = 0; i < RB_COUNT(meanings); i++)
        if (meanings[i].err == err) {
            kind = meanings[i].kind;
            advice = meanings[i].advice;
        }
    return rb_file_fail_as(f, kind, "%s: %s%s%s", what, strerror(err), advice ? "; " : "", advice ? advice : "");
}

int rb_file_fail_as(struct rb_file *f, const char *kind, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(f->text, sizeof(f->text), "%s: %.1000s ", rb_file_verb_name(f), f->place.path);
    va_start(ap, fmt);
    vsnprintf(f->text + n, sizeof(f->text) - (size_t)n, fmt, ap);
    va_end(ap);
    snprintf(f->kind, sizeof(f->kind), "%s", kind);
    f->end = RB_FILE_FAILED;
    return -1;
}

bool rb_file_stopping(struct rb_file *f)
{
    if (!atomic_load(&f->stop))
        return false;
    f->end = RB_FILE_STOPPED;
    return true;
}

/* -- paths as text ------------------------------------------------------------------------------------------------- */

int rb_file_normal(const char *folder, const char *path, struct rb_buf *out, struct rb_err *err)
{
    const char *const texts[] = {path[0] == '/' ? "" : folder, path};
    size_t start = out->len;
    if (!path[0])
        return rb_err_set(err, RB_EINVAL, "the path is empty");
    for (int i = 0; i < 2; i++)
        for (const char *p = texts[i]; *p;) {
            size_t n = strcspn(p, "/");
            if (n == 2 && p[0] == '.' && p[1] == '.') {
                while (out->len > start && out->data[--out->len] != '/')
                    ;
            } else if (n && !(n == 1 && p[0] == '.')) {
                rb_buf_addc(out, '/');
                rb_buf_add(out, p, n);
            }
            p += n + (p[n] == '/');
        }
    if (out->len == start)
        rb_buf_addc(out, '/');
    else
        out->data[out->len] = '\0';
    if (out->cut || out->len - start >= RB_FILE_PATH_MAX)
        return rb_err_set(err, RB_EINVAL, "the path is longer than %d bytes", RB_FILE_PATH_MAX - 1);
    return RB_OK;
}
