/* The limit of row 6: N sequential commands through one connection of OpenSSH's client, by its multiplexing protocol
 * and nothing else: blocking, no loop, no capture beyond reading both outputs to their end.
 *
 *   limit_mux CONTROL-SOCKET N COMMAND */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HELLO 1u
#define NEW_SESSION 0x10000002u
#define EXIT_MESSAGE 0x80000004u
#define OPENED 0x80000006u

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static char *put(char *p, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        *p++ = (char)(v >> shift);
    return p;
}

static void read_all(int fd, void *p, size_t n)
{
    for (char *at = p; n;) {
        ssize_t got = read(fd, at, n);
        if (got <= 0)
            fail("the master went away");
        at += got;
        n -= (size_t)got;
    }
}

static uint32_t take(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The type of the next packet; its last number in *last. */
static uint32_t next(int fd, uint32_t *last)
{
    unsigned char head[4], body[4096];
    read_all(fd, head, 4);
    uint32_t n = take(head);
    if (n < 8 || n > sizeof(body))
        fail("a packet");
    read_all(fd, body, n);
    *last = take(body + n - 4);
    return take(body);
}

static void send_fd(int to, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {"", 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    if (sendmsg(to, &msg, 0) != 1)
        fail("sendmsg");
}

static void run(const struct sockaddr_un *at, const char *command, int null)
{
    char request[4096], *p = request, chunk[65536];
    int out[2], err[2], fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint32_t n = (uint32_t)strlen(command), last;
    if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        fail("connect");
    p = put(put(put(p, 8), HELLO), 4);
    p = put(put(put(put(p, 40 + n), NEW_SESSION), 0), 0);
    p = put(put(put(put(p, 0), 0), 0), 0);
    p = put(put(put(p, 0xffffffffu), 0), n);
    memcpy(p, command, n);
    p += n;
    if (write(fd, request, (size_t)(p - request)) != p - request)
        fail("write");
    send_fd(fd, null);
    send_fd(fd, out[1]);
    send_fd(fd, err[1]);
    close(out[1]);
    close(err[1]);
    if (next(fd, &last) != HELLO || next(fd, &last) != OPENED)
        fail("no session");
    if (next(fd, &last) != EXIT_MESSAGE || last != 0)
        fail("the command failed");
    while (read(out[0], chunk, sizeof(chunk)) > 0 || read(err[0], chunk, sizeof(chunk)) > 0)
        continue;
    if (read(fd, chunk, 1) != 0)
        fail("the session is still open");
    close(out[0]);
    close(err[0]);
    close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (argc != 4 || strlen(argv[1]) >= sizeof(at.sun_path) || strlen(argv[3]) > 2048)
        return 2;
    memcpy(at.sun_path, argv[1], strlen(argv[1]));
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (long n = atol(argv[2]); n > 0; n--)
        run(&at, argv[3], null);
    return 0;
}
