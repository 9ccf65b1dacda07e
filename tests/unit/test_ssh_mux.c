/* The multiplexing protocol: its bytes, and a master that is slow, wrong, hostile or gone at every moment. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/ssh_mux.h"

static struct rb_loop loop;
static char path[100];
static int listener;

/* -- bytes --------------------------------------------------------------------------------------------------------- */

static void test_what_is_said(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 1000);
    rb_mux_put_hello(&b);
    assert_int_equal(b.len, 12);
    assert_memory_equal(b.data, "\0\0\0\x08\0\0\0\1\0\0\0\4", 12);
    rb_buf_reset(&b);
    rb_mux_put_session(&b, 7, "id");
    const char want[] = "\0\0\0\x2a\x10\0\0\2\0\0\0\7"                             /* length, type, request */
                        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff" /* reserved, four wishes, escape */
                        "\0\0\0\0\0\0\0\2id";
    assert_int_equal(b.len, sizeof(want) - 1);
    assert_memory_equal(b.data, want, sizeof(want) - 1);
    rb_buf_reset(&b);
    rb_mux_put_alive(&b, 3);
    assert_memory_equal(b.data, "\0\0\0\x08\x10\0\0\4\0\0\0\3", 12);
    rb_buf_release(&b);
}

#define HELLO "\0\0\0\x08\0\0\0\1\0\0\0\4"
#define OPENED "\0\0\0\x0c\x80\0\0\6\0\0\0\0\0\0\0\5"
#define EXIT_7 "\0\0\0\x0c\x80\0\0\4\0\0\0\5\0\0\0\7"
#define REFUSED "\0\0\0\x0f\x80\0\0\3\0\0\0\0\0\0\0\3no!"
#define DENIED "\0\0\0\x0f\x80\0\0\2\0\0\0\0\0\0\0\3nay"
#define ALIVE "\0\0\0\x0c\x80\0\0\5\0\0\0\0\0\0\1\0"
#define TTY_FAIL "\0\0\0\x08\x80\0\0\x08\0\0\0\5"
#define BYTES(s) s, sizeof(s) - 1

static void test_what_is_understood(void **state)
{
    (void)state;
    struct rb_mux_message m;
    struct rb_err err;
    assert_int_equal(rb_mux_take(BYTES(HELLO), &m, &err), 12);
    assert_int_equal(m.value, 4);
    assert_int_equal(rb_mux_take(BYTES(EXIT_7 HELLO), &m, &err), 16);
    assert_true(m.type == RB_MUX_S_EXIT);
    assert_int_equal(m.session, 5);
    assert_int_equal(m.value, 7);
    assert_int_equal(rb_mux_take(BYTES(REFUSED), &m, &err), 19);
    assert_string_equal(m.text, "no!");
    static const char long_text[] = "\0\0\x02\x0c\x80\0\0\3\0\0\0\0\0\0\2\0";
    char big[16 + 512];
    memcpy(big, long_text, 16);
    memset(big + 16, 'a', 512);
    big[16] = '\n';
    assert_int_equal(rb_mux_take(big, sizeof(big), &m, &err), (long)sizeof(big));
    assert_int_equal(strlen(m.text), 255); /* cut, and printable */
    assert_int_equal(m.text[0], '?');
    /* extensions */
    assert_int_equal(rb_mux_take(BYTES("\0\0\0\x14\0\0\0\1\0\0\0\4\0\0\0\1x\0\0\0\0more"), &m, &err), 24);
}

static void test_every_beginning_waits_for_the_rest(void **state)
{
    (void)state;
    const struct {
        const char *p;
        size_t n;
    } all[] = {{BYTES(HELLO)}, {BYTES(OPENED)}, {BYTES(EXIT_7)}, {BYTES(REFUSED)}, {BYTES(DENIED)}, {BYTES(ALIVE)}};
    for (size_t i = 0; i < RB_COUNT(all); i++) {
        for (size_t n = 0; n < all[i].n; n++) {
            struct rb_mux_message m;
            struct rb_err err;
            char *exact = malloc(n ? n : 1);
            memcpy(exact, all[i].p, n);
            assert_int_equal(rb_mux_take(exact, n, &m, &err), 0);
            free(exact);
        }
    }
}

static const struct {
    const char *what, *p;
    size_t n;
} nonsense[] = {
    {"a huge length", BYTES("\xff\xff\xff\xff\x80\0\0\6")},
    {"a length over the cap", BYTES("\0\1\0\1\x80\0\0\6")},
    {"a length without a type", BYTES("\0\0\0\3\0\0\0")},
    {"no length", BYTES("\0\0\0\0")},
    {"an unknown type", BYTES("\0\0\0\4\x12\x34\x56\x78")},
    {"a hello without a version", BYTES("\0\0\0\4\0\0\0\1")},
    {"an opened without a session", BYTES("\0\0\0\x08\x80\0\0\6\0\0\0\0")},
    {"an exit without a code", BYTES("\0\0\0\x08\x80\0\0\4\0\0\0\5")},
    {"a text longer than its packet", BYTES("\0\0\0\x0f\x80\0\0\3\0\0\0\0\0\0\0\4no!")},
    {"a text of all the world", BYTES("\0\0\0\x0f\x80\0\0\3\0\0\0\0\xff\xff\xff\xffno!")},
    {"a failure without a text", BYTES("\0\0\0\x08\x80\0\0\3\0\0\0\0")},
};

static void test_nonsense(void **state)
{
    (void)state;
    for (size_t i = 0; i < RB_COUNT(nonsense); i++) {
        struct rb_mux_message m;
        struct rb_err err = {0};
        if (rb_mux_take(nonsense[i].p, nonsense[i].n, &m, &err) != RB_EINVAL)
            fail_msg("%s is taken", nonsense[i].what);
        assert_true(err.msg[0] != '\0');
    }
}

static void test_bytes_of_chance(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 50000; round++) {
        char bytes[64];
        size_t n = (size_t)round % sizeof(bytes);
        char *exact = malloc(n ? n : 1);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] = (char)(seed >> 24);
        }
        if (n > 8 && round % 2) { /* a packet that fits, of a type that is known */
            memcpy(bytes, "\0\0\0", 3);
            bytes[3] = (char)(n - 4);
            memcpy(bytes + 4, "\x80\0\0", 3);
            bytes[7] = (char)(2 + seed % 5);
        }
        memcpy(exact, bytes, n);
        struct rb_mux_message m;
        struct rb_err err;
        long took = rb_mux_take(exact, n, &m, &err);
        assert_true(took == RB_EINVAL || (took >= 0 && took <= (long)n));
        free(exact);
    }
}

/* -- a connection -------------------------------------------------------------------------------------------------- */

struct talk {
    struct rb_mux *mux;
    int server; /* the master's end */
    int opened, exited, ended;
    enum rb_mux_end end;
    int code;
    char text[300];
    bool close_on_opened;
};

static void on_opened(void *arg, uint32_t session)
{
    struct talk *t = arg;
    t->opened++;
    assert_int_equal(session, 5);
    if (t->close_on_opened)
        rb_mux_close(t->mux);
}

static void on_exit_code(void *arg, int code)
{
    struct talk *t = arg;
    t->exited++;
    t->code = code;
}

static void on_end(void *arg, enum rb_mux_end end, int code, const char *text)
{
    struct talk *t = arg;
    t->ended++;
    t->end = end;
    if (end == RB_MUX_EXITED)
        assert_int_equal(code, t->code);
    snprintf(t->text, sizeof(t->text), "%s", text);
}

static int setup(void **state)
{
    (void)state;
    struct rb_err err;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(path, sizeof(path), "/tmp/rbt-mux.%d", (int)getpid());
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    unlink(path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 5))
        return -1;
    return rb_loop_init(&loop, &err);
}

static int teardown(void **state)
{
    (void)state;
    close(listener);
    unlink(path);
    assert_int_equal(rb_loop_release(&loop), 0);
    return 0;
}

static void begin(struct talk *t, const char *command)
{
    struct rb_err err = {0};
    struct rb_mux_options opt = {.path = path,
                                 .command = command,
                                 .fds = {0, 1, 2},
                                 .on_opened = on_opened,
                                 .on_exit = on_exit_code,
                                 .on_end = on_end,
                                 .arg = t};
    *t = (struct talk){0};
    if (rb_mux_start(&loop, &opt, &t->mux, &err))
        fail_msg("%s", err.msg);
    t->server = accept(listener, NULL, NULL);
    assert_true(t->server >= 0);
}

/* Takes what the client has said, as the master does: the packets, then a byte and a descriptor three times. */
static void take_request(struct talk *t, size_t len)
{
    char bytes[4096];
    while (len) {
        ssize_t n = recv(t->server, bytes, len < sizeof(bytes) ? len : sizeof(bytes), MSG_DONTWAIT);
        if (n < 0) { /* the rest comes when there is room */
            assert_int_equal(errno, EAGAIN);
            uv_run(&loop.uv, UV_RUN_NOWAIT);
            continue;
        }
        assert_true(n > 0);
        len -= (size_t)n;
    }
    for (int i = 0; i < 3; i++) {
        char byte;
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(4 * sizeof(int))];
        } control;
        struct iovec iov = {&byte, 1};
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
        while (recvmsg(t->server, &msg, MSG_DONTWAIT) != 1)
            uv_run(&loop.uv, UV_RUN_NOWAIT);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        assert_non_null(c);
        assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(int)));
        int fd;
        struct stat got, own;
        memcpy(&fd, CMSG_DATA(c), sizeof(int));
        assert_int_equal(fstat(fd, &got), 0);
        assert_int_equal(fstat(i, &own), 0);
        assert_int_equal(got.st_ino, own.st_ino);
        close(fd);
    }
    assert_int_equal(recv(t->server, bytes, 1, MSG_DONTWAIT), -1); /* and nothing more */
}

#define REQUEST_OF_ID (12 + 4 + 42)

static void says(struct talk *t, const char *p, size_t n)
{
    assert_int_equal(send(t->server, p, n, 0), (ssize_t)n);
    for (int i = 0; i < 3; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void hangs_up(struct talk *t)
{
    close(t->server);
    for (int i = 0; i < 5 && !t->ended; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void test_a_session(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, "id");
    assert_true(rb_mux_is_sent(t.mux)); /* all in one go */
    take_request(&t, REQUEST_OF_ID);
    says(&t, BYTES(HELLO OPENED));
    assert_int_equal(t.opened, 1);
    says(&t, BYTES(TTY_FAIL EXIT_7));
    assert_int_equal(t.exited, 1);
    assert_int_equal(t.ended, 0);
    hangs_up(&t);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.end, RB_MUX_EXITED);
    assert_int_equal(t.code, 7);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    struct talk t;
    const char all[] = HELLO OPENED EXIT_7;
    begin(&t, "id");
    take_request(&t, REQUEST_OF_ID);
    for (size_t i = 0; i < sizeof(all) - 1; i++)
        says(&t, all + i, 1);
    assert_int_equal(t.opened, 1);
    assert_int_equal(t.code, 7);
    hangs_up(&t);
    assert_int_equal(t.end, RB_MUX_EXITED);
}

/* At every byte of what a master says, it goes; having read the request, or not. */
static void test_gone_at_every_byte(void **state)
{
    (void)state;
    const char all[] = HELLO OPENED EXIT_7;
    for (int read_it = 0; read_it < 2; read_it++) {
        for (size_t n = 0; n < sizeof(all); n++) {
            struct talk t;
            enum rb_mux_end want = n >= 44 ? RB_MUX_EXITED : n >= 28 ? RB_MUX_CLOSED : RB_MUX_UNSURE;
            if (!read_it && n < 28)
                want = RB_MUX_UNREACHED; /* closed with bytes unread: it can not have begun */
            else if (!read_it && n < 44)
                want = RB_MUX_UNSURE; /* and yet it says that it has */
            begin(&t, "id");
            if (read_it)
                take_request(&t, REQUEST_OF_ID);
            if (n)
                says(&t, all, n);
            hangs_up(&t);
            assert_int_equal(t.ended, 1);
            if (t.end != want)
                fail_msg("after %zu bytes: end %d, wanted %d", n, t.end, want);
        }
    }
}

static void test_no(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, "id");
    take_request(&t, REQUEST_OF_ID);
    says(&t, BYTES(HELLO REFUSED));
    assert_int_equal(t.end, RB_MUX_REFUSED);
    assert_string_equal(t.text, "no!");
    close(t.server);
    begin(&t, "id");
    says(&t, BYTES(HELLO DENIED));
    assert_int_equal(t.end, RB_MUX_DENIED);
    close(t.server);
    assert_int_equal(t.ended, 1);
}

static void test_alive(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, NULL);
    says(&t, BYTES(HELLO ALIVE));
    assert_int_equal(t.end, RB_MUX_ALIVE);
    close(t.server);
    begin(&t, NULL);
    says(&t, BYTES(HELLO));
    hangs_up(&t);
    assert_int_equal(t.end, RB_MUX_UNREACHED);
}

/* What no master says ends the talk, and what may have begun is not called never begun. */
static void test_hostile_masters(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t n;
        enum rb_mux_end end;
    } cases[] = {
        {BYTES("\0\0\0\x08\0\0\0\1\0\0\0\3"), RB_MUX_UNSURE}, /* another version */
        {BYTES(HELLO HELLO), RB_MUX_UNSURE},                  /* twice */
        {BYTES(OPENED), RB_MUX_UNSURE},                       /* no greeting */
        {BYTES(HELLO EXIT_7), RB_MUX_UNSURE},                 /* an end before the beginning */
        {BYTES(HELLO ALIVE), RB_MUX_UNSURE},                  /* the answer to another question */
        {BYTES(HELLO OPENED OPENED), RB_MUX_UNSURE},
        {BYTES(HELLO OPENED REFUSED), RB_MUX_UNSURE},
        {BYTES(HELLO OPENED DENIED), RB_MUX_UNSURE},
        {BYTES(HELLO OPENED EXIT_7 EXIT_7), RB_MUX_EXITED},
        {BYTES(HELLO OPENED "\0\0\0\x0c\x80\0\0\4\0\0\0\6\0\0\0\7"), RB_MUX_UNSURE}, /* of another session */
    };
    for (size_t i = 0; i < RB_COUNT(cases); i++) {
        struct talk t;
        begin(&t, "id");
        take_request(&t, REQUEST_OF_ID);
        says(&t, cases[i].p, cases[i].n);
        if (t.ended != 1 || t.end != cases[i].end)
            fail_msg("case %zu: ended %d, end %d, wanted %d", i, t.ended, t.end, cases[i].end);
        close(t.server);
    }
    for (size_t i = 0; i < RB_COUNT(nonsense); i++) {
        struct talk t;
        begin(&t, "id");
        take_request(&t, REQUEST_OF_ID);
        says(&t, BYTES(HELLO));
        says(&t, nonsense[i].p, nonsense[i].n);
        if (t.ended != 1 || t.end != RB_MUX_UNSURE)
            fail_msg("%s: ended %d, end %d", nonsense[i].what, t.ended, t.end);
        close(t.server);
    }
}

/* A request that does not fit into the socket: it follows when there is room, the descriptors behind it. */
static void test_a_request_larger_than_the_socket(void **state)
{
    (void)state;
    static char command[RB_MUX_REQUEST_MAX - 64 + 2];
    struct talk t;
    struct rb_err err;
    memset(command, 'x', RB_MUX_REQUEST_MAX - 64);
    begin(&t, command);
    assert_false(rb_mux_is_sent(t.mux));
    take_request(&t, 12 + 4 + 40 + strlen(command));
    assert_true(rb_mux_is_sent(t.mux));
    says(&t, BYTES(HELLO OPENED));
    assert_int_equal(t.opened, 1);
    rb_mux_close(t.mux);
    close(t.server);

    begin(&t, command);
    hangs_up(&t);
    assert_int_equal(t.end, RB_MUX_UNREACHED); /* it never had it all */

    struct rb_mux_options opt = {.path = path, .command = command, .on_end = on_end};
    command[RB_MUX_REQUEST_MAX - 64] = 'x';
    assert_int_equal(rb_mux_start(&loop, &opt, &t.mux, &err), RB_ETOOBIG);
}

static void test_hanging_up_ourselves(void **state)
{
    (void)state;
    struct talk t;
    begin(&t, "id");
    rb_mux_close(t.mux);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(t.ended, 0);
    close(t.server);
    begin(&t, "id");
    t.close_on_opened = true;
    says(&t, BYTES(HELLO OPENED EXIT_7 EXIT_7)); /* from within a callback: the rest is not looked at */
    assert_int_equal(t.opened, 1);
    assert_int_equal(t.exited, 0);
    assert_int_equal(t.ended, 0);
    close(t.server);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct rb_mux *mux;
    struct rb_err err;
    struct rb_mux_options opt = {.path = "/nowhere/at/all", .command = "id", .on_end = on_end};
    assert_int_equal(rb_mux_start(&loop, &opt, &mux, &err), RB_ENOENT);
    close(listener);
    opt.path = path; /* the socket of a master that was killed */
    assert_int_equal(rb_mux_start(&loop, &opt, &mux, &err), RB_ENOENT);
    assert_non_null(strstr(err.msg, path));
    listener = dup(2);
}

/* More want in than its queue holds, and it takes nobody: that must not block, and is no failure. */
static void test_a_master_that_takes_nobody(void **state)
{
    (void)state;
    struct rb_mux *mux[20];
    struct rb_err err;
    struct talk t = {0};
    int n = 0, rc = RB_OK;
    for (; n < 20; n++) {
        struct rb_mux_options opt = {.path = path, .command = "id", .fds = {0, 1, 2}, .on_end = on_end, .arg = &t};
        if ((rc = rb_mux_start(&loop, &opt, &mux[n], &err)))
            break;
    }
    assert_int_equal(rc, RB_EAGAIN);
    assert_true(n > 0);
    while (n--)
        rb_mux_close(mux[n]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_said),
        cmocka_unit_test(test_what_is_understood),
        cmocka_unit_test(test_every_beginning_waits_for_the_rest),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_bytes_of_chance),
        cmocka_unit_test_setup_teardown(test_a_session, setup, teardown),
        cmocka_unit_test_setup_teardown(test_byte_by_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_at_every_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_masters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_request_larger_than_the_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hanging_up_ourselves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_master_that_takes_nobody, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
