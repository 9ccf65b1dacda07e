/* Owns the files of an exchange: the one that is sent, read a chunk ahead, and the one that the answer goes to, written
 * a chunk behind and renamed when it is whole. All of it on the pool: while a disk takes its time libcurl waits, and
 * nobody else. Knows nothing of where the files are, nor of what the answer means. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "io/file.h"
#include "io/http_exchange.h"

#define CHUNK ((size_t)256 << 10) /* that is read ahead */
#define BEHIND_MAX ((size_t)1 << 20)

void rb_http_files_init(struct rb_http_files *f)
{
    *f = (struct rb_http_files){.body_fd = -1, .save_dir = -1, .save_fd = -1};
    rb_buf_init(&f->ca, SIZE_MAX / 2);
    rb_buf_init(&f->cert, SIZE_MAX / 2);
    rb_buf_init(&f->key, SIZE_MAX / 2);
}

static void close_files(struct rb_http_files *f)
{
    if (f->body_fd >= 0)
        close(f->body_fd);
    if (f->save_fd >= 0) {
        close(f->save_fd);
        unlinkat(f->save_dir, f->save_part, 0);
    }
    if (f->save_dir >= 0)
        close(f->save_dir);
    f->body_fd = f->save_fd = f->save_dir = -1;
}

void rb_http_files_release(struct rb_http_files *f)
{
    close_files(f);
    free(f->save_name);
    free(f->save_part);
    free(f->socket);
    if (f->key.data)
        explicit_bzero(f->key.data, f->key.cap);
    rb_buf_release(&f->ca);
    rb_buf_release(&f->cert);
    rb_buf_release(&f->key);
    rb_http_files_init(f);
}

bool rb_http_disk_busy(const struct rb_http *h)
{
    return h->disk.reading || h->disk.writing || h->disk.ending;
}

/* -- the request's body -------------------------------------------------------------------------------------------- */

/* Lets a test see what a disk does that takes its time. */
static void touch_disk(void)
{
    if (rb_mutation("slow-disk"))
        poll(NULL, 0, 1000);
}

static void read_run(struct rb_work *w)
{
    struct rb_http_disk *d = RB_CONTAINER(w, struct rb_http_disk, read);
    const struct rb_http *h = RB_CONTAINER(d, struct rb_http, disk);
    int64_t left = h->files.body_size - d->ahead_from;
    touch_disk();
    do
        d->ahead_len = pread(h->files.body_fd, d->ahead, left < (int64_t)CHUNK ? (size_t)left : CHUNK, d->ahead_from);
    while (d->ahead_len < 0 && errno == EINTR);
}

static void on_read_done(struct rb_work *w, int status)
{
    struct rb_http_disk *d = RB_CONTAINER(w, struct rb_http_disk, read);
    struct rb_http *h = RB_CONTAINER(d, struct rb_http, disk);
    d->reading = false;
    if (h->left || h->state != RB_HTTP_TRANSFERS) {
        rb_http_disk_came(h);
    } else if (status || d->ahead_len <= 0) {
        rb_http_set_error(h, "io", "%s became shorter, or can not be read, while it was sent", h->opt.body_file);
        rb_http_break(h);
    } else if (h->send_paused) {
        h->send_paused = false;
        rb_http_set_pause(h);
    }
}

size_t rb_http_on_read(char *data, size_t size, size_t n, void *arg)
{
    struct rb_http *h = arg;
    struct rb_http_disk *d = &h->disk;
    if (h->cancelled)
        return CURL_READFUNC_ABORT;
    if (d->sent >= h->files.body_size)
        return 0;
    int64_t at = d->sent - d->ahead_from;
    if (!d->reading && at >= 0 && at < d->ahead_len) {
        size_t got = (size_t)(d->ahead_len - at) < size * n ? (size_t)(d->ahead_len - at) : size * n;
        memcpy(data, d->ahead + at, got);
        d->sent += (int64_t)got;
        return got;
    }
    if (!d->reading) {
        if (!d->ahead)
            d->ahead = rb_alloc(CHUNK);
        d->ahead_from = d->sent;
        d->read.run = read_run;
        d->read.on_done = on_read_done;
        d->reading = true;
        rb_work_start(rb_http_loop(h), &d->read);
    }
    h->send_paused = true;
    return CURL_READFUNC_PAUSE; /* it asks again */
}

int rb_http_on_seek(void *arg, curl_off_t offset, int origin)
{
    struct rb_http *h = arg;
    if (origin != SEEK_SET || offset < 0 || offset > h->files.body_size)
        return CURL_SEEKFUNC_FAIL;
    h->disk.sent = offset;
    return CURL_SEEKFUNC_OK;
}

/* -- the answer's -------------------------------------------------------------------------------------------------- */

bool rb_http_saves(const struct rb_http *h)
{
    return h->files.save_fd >= 0 && !h->disk.unsaved;
}

void rb_http_unsave(struct rb_http *h, size_t max)
{
    h->enough = true;
    h->opt.cut_body = true;
    if (h->files.save_fd < 0)
        return;
    h->disk.unsaved = true;
    h->hashing = false;
    h->opt.max_body = h->result.body.buf.max = max;
}

static void write_run(struct rb_work *w)
{
    struct rb_http_disk *d = RB_CONTAINER(w, struct rb_http_disk, write);
    const struct rb_http *h = RB_CONTAINER(d, struct rb_http, disk);
    const char *p = d->on_its_way.data;
    touch_disk();
    for (size_t left = d->on_its_way.len; left && !d->write_errno;) {
        ssize_t n = write(h->files.save_fd, p, left);
        if (n >= 0) {
            p += n;
            left -= (size_t)n;
        } else if (errno != EINTR) {
            d->write_errno = errno;
        }
    }
}

static void on_written(struct rb_work *w, int status);

static void start_write(struct rb_http *h)
{
    struct rb_http_disk *d = &h->disk;
    struct rb_buf empty = d->on_its_way;
    d->on_its_way = d->behind;
    d->behind = empty;
    d->write.run = write_run;
    d->write.on_done = on_written;
    d->writing = true;
    rb_work_start(rb_http_loop(h), &d->write);
}

static void on_written(struct rb_work *w, int status)
{
    struct rb_http_disk *d = RB_CONTAINER(w, struct rb_http_disk, write);
    struct rb_http *h = RB_CONTAINER(d, struct rb_http, disk);
    d->writing = false;
    rb_buf_reset(&d->on_its_way);
    if (!h->left && (status || d->write_errno))
        rb_http_set_error(h, "io", "can not write to %s: %s", h->opt.save,
                          status ? "the host ends" : strerror(d->write_errno));
    if (h->left || h->state != RB_HTTP_TRANSFERS) {
        rb_http_disk_came(h);
        return;
    }
    if (h->result.error) {
        rb_http_break(h);
        return;
    }
    if (d->behind.len)
        start_write(h);
    if (h->paused && !h->held) {
        h->paused = false;
        rb_http_set_pause(h);
    }
}

bool rb_http_write_full(const struct rb_http *h, size_t len)
{
    return h->disk.writing && h->disk.behind.len && h->disk.behind.len + len > BEHIND_MAX;
}

void rb_http_write(struct rb_http *h, const char *data, size_t len)
{
    rb_buf_add(&h->disk.behind, data, len);
    if (!h->disk.writing)
        start_write(h);
}

/* -- the end ------------------------------------------------------------------------------------------------------- */

static int save(const struct rb_http_files *f)
{
    if (fsync(f->save_fd) || renameat(f->save_dir, f->save_part, f->save_dir, f->save_name))
        return errno;
    rb_fault_point("http.saved");
    rb_file_sync_folder(f->save_dir);
    return 0;
}

static void end_run(struct rb_work *w)
{
    struct rb_http_disk *d = RB_CONTAINER(w, struct rb_http_disk, end);
    struct rb_http_files *f = &RB_CONTAINER(d, struct rb_http, disk)->files;
    touch_disk();
    d->end_errno = d->keep ? save(f) : 0;
    if (d->keep && !d->end_errno) {
        close(f->save_fd);
        f->save_fd = -1;
    }
    close_files(f);
}

static void on_ended(struct rb_work *w, int status)
{
    struct rb_http_disk *d = RB_CONTAINER(w, struct rb_http_disk, end);
    struct rb_http *h = RB_CONTAINER(d, struct rb_http, disk);
    d->ending = false;
    if (status)
        close_files(&h->files);
    if (!h->left) {
        if (d->keep && (status || d->end_errno))
            rb_http_set_error(h, "io", "can not save the answer as %s: %s", h->opt.save,
                              status ? "the host ends" : strerror(d->end_errno));
        else
            h->result.saved = d->keep;
    }
    rb_http_disk_came(h);
}

bool rb_http_put_away(struct rb_http *h)
{
    struct rb_http_disk *d = &h->disk;
    bool keep = rb_http_saves(h) && !h->result.error;
    if (rb_http_disk_busy(h))
        return false;
    if (keep && d->behind.len) {
        start_write(h);
        return false;
    }
    if (h->files.body_fd < 0 && h->files.save_dir < 0)
        return true;
    d->keep = keep;
    d->end.run = end_run;
    d->end.on_done = on_ended;
    d->ending = true;
    rb_work_start(rb_http_loop(h), &d->end);
    return false;
}
