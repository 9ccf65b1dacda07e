/* Owns what flows: the head and the body of the answer as they come, the body of the request as it goes, the file that
 * an answer is saved to. Knows nothing of connections.
 *
 * A file grows under a name of its own beside the one that was asked for, and gets that name only when it is whole and
 * on the disk. Writing it is a copy into the page cache; bringing it to the disk waits, and is done on the pool. */
#include "io/http_exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "io/file.h"

#define STOP 0 /* to libcurl: less than it gave */

/* -- the head ------------------------------------------------------------------------------------------------------ */

static void list_head(struct rb_http *h)
{
    h->result.headers = rb_realloc(h->result.headers, ((size_t)h->head_lines + 1) * sizeof(char *));
    char *p = h->head.data;
    for (int i = 0; i < h->head_lines; i++, p += strlen(p) + 1)
        h->result.headers[i] = p;
    h->result.headers[h->head_lines] = NULL;
}

static void head_ends(struct rb_http *h)
{
    long status = 0;
    h->api->easy_getinfo(h->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) /* "100 Continue", "103 Early Hints": the answer is still to come */
        return;
    h->head_whole = true;
    h->result.status = (int)status;
    list_head(h);
    rb_http_note_peer(h);
    if (h->opt.on_head)
        h->opt.on_head(h->opt.arg, &h->result);
}

size_t rb_http_on_head(char *data, size_t size, size_t n, void *arg)
{
    struct rb_http *h = arg;
    size_t len = size * n, given = len;
    if (h->head_whole) /* trailers */
        return given;
    while (len && (data[len - 1] == '\n' || data[len - 1] == '\r'))
        len--;
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0 && !memchr(data, ':', len)) {
        rb_buf_reset(&h->head);
        h->head_lines = 0;
        return given;
    }
    if (!len) {
        head_ends(h);
        return h->cancelled ? STOP : given;
    }
    if (memchr(data, '\0', len)) {
        rb_http_set_error(h, "protocol", "a header of the answer has a NUL byte in it");
        return STOP;
    }
    if ((data[0] == ' ' || data[0] == '\t') && h->head_lines) /* the line before goes on (RFC 9112 5.2) */
        h->head.len--;
    else
        h->head_lines++;
    rb_buf_add(&h->head, data, len);
    rb_buf_addc(&h->head, '\0');
    if (h->head.cut) {
        rb_http_set_error(h, "too_big", "the headers of the answer are larger than %zu bytes", RB_HTTP_HEAD_MAX);
        return STOP;
    }
    return given;
}

/* -- the body ------------------------------------------------------------------------------------------------------ */

static bool write_all(struct rb_http *h, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(h->save_fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rb_http_set_error(h, "io", "can not write to %s: %s", h->opt.save, strerror(errno));
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static void hash(struct rb_http *h, const char *data, size_t len)
{
    struct rb_capture *c = &h->result.body;
    if (!h->hashing) { /* it is too large: only from now on is its digest wanted, and it begins with what is kept */
        sha256_init(&c->sha);
        sha256_update(&c->sha, c->buf.len, (const uint8_t *)rb_buf_text(&c->buf));
        h->hashing = true;
    }
    sha256_update(&c->sha, len, (const uint8_t *)data);
}

size_t rb_http_on_body(char *data, size_t size, size_t n, void *arg)
{
    struct rb_http *h = arg;
    struct rb_capture *c = &h->result.body;
    size_t len = size * n;
    if (h->cancelled)
        return STOP;
    if (h->held) {
        h->paused = true;
        return CURL_WRITEFUNC_PAUSE; /* it comes again */
    }
    c->total += len;
    if (h->opt.on_data) {
        h->opt.on_data(h->opt.arg, data, len);
        return h->cancelled ? STOP : len;
    }
    uint64_t most = h->opt.cut_body ? RB_HTTP_BODY_MAX : h->opt.max_body;
    if (c->total > most) {
        rb_http_set_too_big(h, most);
        return STOP;
    }
    if (h->save_fd >= 0) {
        hash(h, data, len);
        return write_all(h, data, len) ? len : STOP;
    }
    if (h->hashing || c->total > h->opt.max_body)
        hash(h, data, len);
    rb_buf_add(&c->buf, data, len);
    return len;
}

/* -- the request's ------------------------------------------------------------------------------------------------- */

size_t rb_http_on_read(char *data, size_t size, size_t n, void *arg)
{
    struct rb_http *h = arg;
    int64_t left = h->body_size - h->body_at;
    size_t want = (int64_t)(size * n) < left ? size * n : (size_t)left;
    if (h->cancelled)
        return CURL_READFUNC_ABORT;
    if (!want)
        return 0;
    ssize_t got = pread(h->body_fd, data, want, (off_t)h->body_at);
    if (got <= 0) {
        rb_http_set_error(h, "io", "%s became shorter, or can not be read, while it was sent", h->opt.body_file);
        return CURL_READFUNC_ABORT;
    }
    h->body_at += got;
    return (size_t)got;
}

int rb_http_on_seek(void *arg, curl_off_t offset, int origin)
{
    struct rb_http *h = arg;
    if (origin != SEEK_SET || offset < 0 || offset > h->body_size)
        return CURL_SEEKFUNC_FAIL;
    h->body_at = offset;
    return CURL_SEEKFUNC_OK;
}

/* -- files --------------------------------------------------------------------------------------------------------- */

static int open_body(struct rb_http *h, struct rb_err *err)
{
    const struct rb_http_options *o = &h->opt;
    struct stat st;
    /* a FIFO must not hold us up */
    h->body_fd = o->open_file ? o->open_file(o->arg, o->body_file, NULL, err)
                              : open(o->body_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (h->body_fd < 0)
        return o->open_file ? err->code : rb_err_sys(err, RB_ENOENT, errno, "can not read %s", o->body_file);
    if (fstat(h->body_fd, &st) || !S_ISREG(st.st_mode))
        return rb_err_set(err, RB_EINVAL, "%s is not a regular file", o->body_file);
    h->body_size = (int64_t)st.st_size;
    return RB_OK;
}

static int open_save(struct rb_http *h, struct rb_err *err)
{
    const struct rb_http_options *o = &h->opt;
    struct rb_buf part;
    char name[256];
    static unsigned count;
    if (o->open_file) {
        int dir = o->open_file(o->arg, o->save, name, err);
        if (dir < 0)
            return err->code;
        h->save_dir = dir;
    }
    h->save_name = rb_strdup(o->open_file ? name : o->save);
    rb_buf_init(&part, 8192);
    rb_buf_addf(&part, "%s.part-%d-%u", h->save_name, (int)getpid(), ++count);
    h->save_part = rb_buf_detach(&part);
    h->save_fd = openat(h->save_dir, h->save_part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                        o->save_mode ? (mode_t)o->save_mode : 0644);
    if (h->save_fd < 0)
        return rb_err_sys(err, RB_EIO, errno, "can not write %s", o->save);
    return RB_OK;
}

int rb_http_open_files(struct rb_http *h, struct rb_err *err)
{
    int rc = h->opt.body_file ? open_body(h, err) : RB_OK;
    return !rc && h->opt.save ? open_save(h, err) : rc;
}

void rb_http_close_files(struct rb_http *h)
{
    if (h->body_fd >= 0)
        close(h->body_fd);
    if (h->save_fd >= 0) {
        close(h->save_fd);
        unlinkat(h->save_dir, h->save_part, 0);
    }
    if (h->save_dir >= 0)
        close(h->save_dir);
    h->body_fd = h->save_fd = -1;
    h->save_dir = AT_FDCWD;
    free(h->save_name);
    free(h->save_part);
    h->save_name = h->save_part = NULL;
}

static void sync_folder(const struct rb_http *h)
{
    const char *path = h->opt.save, *slash = strrchr(path, '/');
    if (h->save_dir >= 0) {
        rb_file_sync_folder(h->save_dir);
        return;
    }
    char *folder = slash ? rb_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : rb_strdup(".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        rb_file_sync_folder(fd);
        close(fd);
    }
    free(folder);
}

void rb_http_save_run(struct rb_work *w)
{
    struct rb_http *h = RB_CONTAINER(w, struct rb_http, work);
    bool mode = h->opt.save_mode && fchmod(h->save_fd, (mode_t)h->opt.save_mode);
    if (mode || fsync(h->save_fd) || renameat(h->save_dir, h->save_part, h->save_dir, h->save_name)) {
        h->work_errno = errno;
        return;
    }
    rb_fault_point("http.saved");
    sync_folder(h);
    close(h->save_fd);
    h->save_fd = -1;
}
