/* Owns the talk with a master's control socket: the bytes of PROTOCOL.mux and one connection that carries one request.
 * Knows neither processes nor what a session is for.
 *
 * - Everything that a request needs leaves in one sendmmsg(): hello, request, and the three descriptors, each with a
 *   byte of its own, as the master reads them one by one. It reads no further than a packet's end, so that the
 *   descriptors are not lost to its buffer.
 * - Has it begun? A master acts on a request when it has read the last descriptor's byte. If not all was sent, or if
 *   the connection ends by a reset (a socket that closes with bytes unread resets its peer), it has not. An end of
 *   file after all was sent says nothing: the master may have passed the request on and died before it said so. */
#include "io/ssh_mux.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fault.h"

#define VERSION 4
#define NO_ESCAPE 0xffffffffu
#define CHUNK 4096
#define SHORT 16384 /* far less than a socket holds */
#define CHUNKS_PER_TURN 16

/* -- packets ------------------------------------------------------------------------------------------------------- */

static void put_u32(struct rb_buf *out, uint32_t v)
{
    const char bytes[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    rb_buf_add(out, bytes, sizeof(bytes));
}

static void put_text(struct rb_buf *out, const char *s)
{
    size_t n = strlen(s);
    put_u32(out, (uint32_t)n);
    rb_buf_add(out, s, n);
}

void rb_mux_put_hello(struct rb_buf *out)
{
    put_u32(out, 8);
    put_u32(out, RB_MUX_HELLO);
    put_u32(out, VERSION);
}

void rb_mux_put_session(struct rb_buf *out, uint32_t request, const char *command)
{
    put_u32(out, (uint32_t)(4 * 10 + strlen(command)));
    put_u32(out, RB_MUX_C_NEW_SESSION);
    put_u32(out, request);
    put_text(out, ""); /* reserved */
    put_u32(out, 0);   /* a terminal */
    put_u32(out, 0);   /* X11 */
    put_u32(out, 0);   /* the agent */
    put_u32(out, 0);   /* a subsystem */
    put_u32(out, NO_ESCAPE);
    put_text(out, ""); /* the terminal's type */
    put_text(out, command);
}

void rb_mux_put_alive(struct rb_buf *out, uint32_t request)
{
    put_u32(out, 8);
    put_u32(out, RB_MUX_C_ALIVE);
    put_u32(out, request);
}

/* The bytes of a packet that are still to be read. */
struct cursor {
    const unsigned char *p;
    size_t left;
    bool bad; /* it wanted more than there was */
};

static uint32_t take_u32(struct cursor *c)
{
    if (c->left < 4) {
        c->bad = true;
        return 0;
    }
    uint32_t v = (uint32_t)c->p[0] << 24 | (uint32_t)c->p[1] << 16 | (uint32_t)c->p[2] << 8 | c->p[3];
    c->p += 4;
    c->left -= 4;
    return v;
}

static void take_text(struct cursor *c, char *out, size_t room)
{
    uint32_t n = take_u32(c);
    if (c->bad || n > c->left) {
        c->bad = true;
        return;
    }
    size_t kept = n < room - 1 ? n : room - 1;
    for (size_t i = 0; i < kept; i++)
        out[i] = (char)(c->p[i] >= 0x20 && c->p[i] < 0x7f ? c->p[i] : '?');
    out[kept] = '\0';
    c->p += n;
    c->left -= n;
}

long rb_mux_take(const char *p, size_t n, struct rb_mux_message *out, struct rb_err *err)
{
    struct cursor c = {.p = (const unsigned char *)p, .left = n};
    if (n < 4)
        return 0;
    uint32_t len = take_u32(&c);
    if (len < 4 || len > RB_MUX_REPLY_MAX)
        return rb_err_set(err, RB_EINVAL, "the master sent a packet of %u bytes", len);
    if (c.left < len)
        return 0;
    c.left = len;
    memset(out, 0, sizeof(*out));
    out->type = take_u32(&c);
    switch (out->type) {
    case RB_MUX_HELLO: out->value = take_u32(&c); break; /* names and values of extensions may follow */
    case RB_MUX_S_DENIED:
    case RB_MUX_S_FAILURE:
        out->request = take_u32(&c);
        take_text(&c, out->text, sizeof(out->text));
        break;
    case RB_MUX_S_EXIT:
        out->session = take_u32(&c);
        out->value = take_u32(&c);
        break;
    case RB_MUX_S_ALIVE:
        out->request = take_u32(&c);
        out->value = take_u32(&c);
        break;
    case RB_MUX_S_OPENED:
        out->request = take_u32(&c);
        out->session = take_u32(&c);
        break;
    case RB_MUX_S_TTY_FAIL: out->session = take_u32(&c); break;
    default: return rb_err_set(err, RB_EINVAL, "the master sent a packet of the unknown type 0x%08x", out->type);
    }
    if (c.bad)
        return rb_err_set(err, RB_EINVAL, "the master sent a packet that is too short for its type 0x%08x", out->type);
    return 4 + (long)len;
}

/* -- a connection -------------------------------------------------------------------------------------------------- */

struct rb_mux {
    uv_poll_t poll;
    int fd;
    struct rb_mux_options opt; /* path and command are not kept */
    bool session;
    struct rb_buf out;
    size_t sent;  /* of out, then one for each descriptor */
    size_t total; /* out.len, and 3 for a session */
    struct rb_buf in;
    uint32_t id; /* the session's, once opened */
    bool greeted, opened, exited, over;
    int code;
};

static void on_closed(uv_handle_t *h)
{
    struct rb_mux *m = RB_CONTAINER(h, struct rb_mux, poll);
    rb_buf_release(&m->out);
    rb_buf_release(&m->in);
    free(m);
}

void rb_mux_close(struct rb_mux *m)
{
    if (m->over)
        return;
    m->over = true;
    uv_close((uv_handle_t *)&m->poll, on_closed);
    close(m->fd);
    m->fd = -1;
}

bool rb_mux_is_sent(const struct rb_mux *m)
{
    return m->sent == m->total;
}

static void end(struct rb_mux *m, enum rb_mux_end how, const char *text)
{
    if (m->over)
        return;
    rb_mux_close(m); /* frees it only from the loop */
    m->opt.on_end(m->opt.arg, how, m->code, text);
}

/* The connection has ended in order, which after the beginning of a session is its end. */
static void hung_up(struct rb_mux *m, const char *text)
{
    if (m->exited)
        end(m, RB_MUX_EXITED, text);
    else if (m->opened)
        end(m, RB_MUX_CLOSED, text);
    else
        end(m, m->session && rb_mux_is_sent(m) ? RB_MUX_UNSURE : RB_MUX_UNREACHED, text);
}

/* It is of no more use. taken: the master may have read the whole request. */
static void give_up(struct rb_mux *m, bool taken, const char *text)
{
    if (m->exited)
        end(m, RB_MUX_EXITED, text);
    else
        end(m, m->opened || (m->session && taken && rb_mux_is_sent(m)) ? RB_MUX_UNSURE : RB_MUX_UNREACHED, text);
}

/* Sends what is left, as far as it goes. 0, or an errno. */
static int send_rest(struct rb_mux *m)
{
    while (!rb_mux_is_sent(m)) {
        struct mmsghdr messages[4];
        struct iovec iov[4];
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control[4];
        int n = 0;
        memset(messages, 0, sizeof(messages));
        memset(control, 0, sizeof(control));
        if (m->sent < m->out.len) {
            iov[n] = (struct iovec){m->out.data + m->sent, m->out.len - m->sent};
            messages[n].msg_hdr = (struct msghdr){.msg_iov = &iov[n], .msg_iovlen = 1};
            n++;
        }
        /* A text that goes in part must not be followed by a descriptor. A short one always goes whole. */
        size_t first = m->sent > m->out.len ? m->sent - m->out.len : 0;
        size_t last = m->sent + SHORT >= m->out.len ? m->total - m->out.len : 0;
        for (size_t i = first; i < last; i++, n++) {
            struct msghdr *msg = &messages[n].msg_hdr;
            iov[n] = (struct iovec){"", 1};
            *msg = (struct msghdr){.msg_iov = &iov[n],
                                   .msg_iovlen = 1,
                                   .msg_control = control[n].bytes,
                                   .msg_controllen = sizeof(control[n].bytes)};
            struct cmsghdr *c = CMSG_FIRSTHDR(msg);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(c), &m->opt.fds[i], sizeof(int));
        }
        int went = sendmmsg(m->fd, messages, (unsigned)n, MSG_NOSIGNAL);
        if (went < 0 && errno == EINTR)
            continue;
        if (went < 0)
            return errno;
        for (int i = 0; i < went; i++)
            m->sent += messages[i].msg_len;
    }
    if (m->session)
        rb_fault_point("ssh.sent");
    return 0;
}

static void answer(struct rb_mux *m, const struct rb_mux_message *msg)
{
    switch (msg->type) {
    case RB_MUX_HELLO:
        if (msg->value != VERSION || m->greeted) {
            give_up(m, true, "the master speaks another version of the protocol");
            return;
        }
        m->greeted = true;
        return;
    case RB_MUX_S_OPENED:
        if (!m->session || m->opened)
            break;
        m->opened = true;
        m->id = msg->session;
        if (m->opt.on_opened)
            m->opt.on_opened(m->opt.arg, m->id);
        return;
    case RB_MUX_S_EXIT:
        if (!m->opened || m->exited || msg->session != m->id)
            break;
        m->exited = true;
        m->code = (int)msg->value;
        if (m->opt.on_exit)
            m->opt.on_exit(m->opt.arg, m->code);
        return;
    case RB_MUX_S_FAILURE:
        if (m->opened)
            break;
        end(m, RB_MUX_REFUSED, msg->text);
        return;
    case RB_MUX_S_DENIED:
        if (m->opened)
            break;
        end(m, RB_MUX_DENIED, msg->text);
        return;
    case RB_MUX_S_ALIVE:
        if (m->session)
            break;
        end(m, RB_MUX_ALIVE, "");
        return;
    case RB_MUX_S_TTY_FAIL: return; /* none was asked for */
    default: break;
    }
    give_up(m, true, "the master answers what was not asked");
}

static void take_all(struct rb_mux *m)
{
    size_t at = 0;
    while (!m->over) {
        struct rb_mux_message msg;
        struct rb_err err;
        long n = rb_mux_take(m->in.data + at, m->in.len - at, &msg, &err);
        if (n < 0) {
            give_up(m, true, err.msg);
            return;
        }
        if (n == 0)
            break;
        at += (size_t)n;
        if (!m->greeted && msg.type != RB_MUX_HELLO) {
            give_up(m, true, "the master does not greet");
            return;
        }
        answer(m, &msg);
    }
    if (at && m->in.len > at)
        memmove(m->in.data, m->in.data + at, m->in.len - at);
    m->in.len -= at;
}

static void receive(struct rb_mux *m)
{
    for (int i = 0; i < CHUNKS_PER_TURN && !m->over; i++) {
        char chunk[CHUNK];
        ssize_t n = recv(m->fd, chunk, sizeof(chunk), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            if (n == 0)
                hung_up(m, "the master hung up");
            else /* reset: it has left bytes of the request unread; anything else says nothing of that */
                give_up(m, errno != ECONNRESET, strerror(errno));
            return;
        }
        if (rb_buf_add(&m->in, chunk, (size_t)n)) {
            give_up(m, true, "the master says more than it should");
            return;
        }
        take_all(m);
        if ((size_t)n < sizeof(chunk))
            return;
    }
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct rb_mux *m = RB_CONTAINER(h, struct rb_mux, poll);
    if (events & UV_READABLE || status < 0)
        receive(m);
    if (m->over || !(events & UV_WRITABLE) || rb_mux_is_sent(m))
        return;
    int errnum = send_rest(m);
    if (errnum && errnum != EAGAIN) { /* what it had to say may be there to be read yet */
        receive(m);
        give_up(m, false, strerror(errnum));
    } else if (rb_mux_is_sent(m)) {
        uv_poll_start(&m->poll, UV_READABLE, on_poll);
    }
}

static int connect_to(const char *path, struct rb_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(at.sun_path))
        return rb_err_set(err, RB_EIO, "the path of a control socket is too long: %s", path);
    memcpy(at.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return rb_err_sys(err, RB_EIO, errno, "can not make a socket");
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0) /* of this kind it stands at once, or not at all */
        return fd;
    int errnum = errno;
    close(fd);
    return rb_err_sys(err, errnum == EAGAIN ? RB_EAGAIN : RB_ENOENT, errnum, "can not reach the master at %s", path);
}

int rb_mux_start(struct rb_loop *loop, const struct rb_mux_options *opt, struct rb_mux **out, struct rb_err *err)
{
    if (opt->command && strlen(opt->command) > RB_MUX_REQUEST_MAX - 64)
        return rb_err_set(err, RB_ETOOBIG, "the command has %zu bytes, ssh takes %d", strlen(opt->command),
                          RB_MUX_REQUEST_MAX - 64);
    int fd = connect_to(opt->path, err);
    if (fd < 0)
        return fd;
    struct rb_mux *m = rb_alloc(sizeof(*m));
    int rc = uv_poll_init(&loop->uv, &m->poll, fd);
    if (rc) {
        close(fd);
        free(m);
        return rb_err_set(err, RB_EIO, "can not watch a socket: %s", uv_strerror(rc));
    }
    m->fd = fd;
    m->opt = *opt;
    m->opt.path = m->opt.command = NULL;
    m->session = opt->command != NULL;
    rb_buf_init(&m->out, RB_MUX_REQUEST_MAX + 64);
    rb_buf_init(&m->in, RB_MUX_REPLY_MAX + CHUNK + 4);
    rb_mux_put_hello(&m->out);
    if (m->session)
        rb_mux_put_session(&m->out, 0, opt->command);
    else
        rb_mux_put_alive(&m->out, 0);
    m->total = m->out.len + (m->session ? 3 : 0);
    int errnum = send_rest(m);
    if (errnum && errnum != EAGAIN) {
        rb_err_sys(err, RB_ENOENT, errnum, "can not speak to the master");
        rb_mux_close(m);
        return RB_ENOENT;
    }
    uv_poll_start(&m->poll, UV_READABLE | (rb_mux_is_sent(m) ? 0 : UV_WRITABLE), on_poll);
    *out = m;
    return RB_OK;
}
