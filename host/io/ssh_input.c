/* Owns what a session's standard input is fed with. A disk may take its time, so a file is read on the pool, a piece at
 * a time; the loop only writes to a pipe. Knows no session. */
#include "io/ssh_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)256 << 10)

bool rb_ssh_input_init(struct rb_ssh_input *in, struct rb_loop *loop, const void *data, size_t len, int file)
{
    in->loop = loop;
    in->file = file >= 0 ? fcntl(file, F_DUPFD_CLOEXEC, 0) : -1; /* the caller may close it while the pool reads */
    if (data && len) {
        in->data = rb_alloc(len);
        memcpy(in->data, data, len);
        in->len = len;
    }
    return in->data || in->file >= 0;
}

static void drop_data(struct rb_ssh_input *in)
{
    if (in->data) /* it may be a password */
        explicit_bzero(in->data, in->len);
    free(in->data);
    in->data = NULL;
    in->len = in->sent = 0;
}

static void drop_file(struct rb_ssh_input *in)
{
    if (in->file >= 0)
        close(in->file);
    in->file = -1;
}

static void run(struct rb_work *w)
{
    struct rb_ssh_input *in = RB_CONTAINER(w, struct rb_ssh_input, work);
    do
        in->got = pread(in->file, in->data, PIECE, (off_t)in->at);
    while (in->got < 0 && errno == EINTR);
}

static void on_done(struct rb_work *w, int status)
{
    struct rb_ssh_input *in = RB_CONTAINER(w, struct rb_ssh_input, work);
    in->reading = false;
    in->len = status || in->got < 0 ? 0 : (size_t)in->got;
    in->at += in->len;
    if (!in->len) { /* its end. What can not be read is missing over there, where the size is known */
        drop_data(in);
        drop_file(in);
    }
    in->on_read(in);
}

static void read_on(struct rb_ssh_input *in)
{
    in->data = rb_alloc(PIECE);
    in->reading = true;
    in->work.run = run;
    in->work.on_done = on_done;
    rb_work_start(in->loop, &in->work);
}

enum rb_ssh_fed rb_ssh_input_feed(struct rb_ssh_input *in, int fd)
{
    if (in->reading)
        return RB_SSH_FED_WAIT;
    while (in->sent < in->len) {
        ssize_t n = write(fd, in->data + in->sent, in->len - in->sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return RB_SSH_FED_SOME;
        if (n < 0) /* EPIPE is no error: a command need not read its input */
            return RB_SSH_FED_ALL;
        in->sent += (size_t)n;
    }
    drop_data(in);
    if (in->file < 0)
        return RB_SSH_FED_ALL;
    read_on(in);
    return RB_SSH_FED_WAIT;
}

bool rb_ssh_input_left(const struct rb_ssh_input *in)
{
    return in->sent < in->len || in->file >= 0;
}

void rb_ssh_input_release(struct rb_ssh_input *in)
{
    drop_data(in);
    drop_file(in);
}
