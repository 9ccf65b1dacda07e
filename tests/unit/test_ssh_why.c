/* Why a command has not started: the reasons read out of what ssh says, each of them for real, and texts that nobody
 * would write but somebody may send. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "io/ssh_why.h"
#include "ssh_fixture.h"

/* -- texts --------------------------------------------------------------------------------------------------------- */

static void reads(const char *said, int code, enum rb_ssh_why why, const char *line)
{
    char text[RB_SSH_TEXT_MAX];
    enum rb_ssh_why got = rb_ssh_why_of(said, strlen(said), code, text);
    assert_string_equal(rb_ssh_why_name(got), rb_ssh_why_name(why));
    assert_string_equal(text, line);
}

static void test_one_line(void **state)
{
    (void)state;
    reads("ssh: Could not resolve hostname nowhere: Name or service not known\r\n", 255, RB_SSH_WHY_NAME,
          "Could not resolve hostname nowhere: Name or service not known");
    reads("ssh: connect to host a port 22: Connection refused\r\n", 255, RB_SSH_WHY_REFUSED,
          "connect to host a port 22: Connection refused");
    reads("ssh: connect to host a port 22: Connection timed out", 255, RB_SSH_WHY_TIMEOUT,
          "connect to host a port 22: Connection timed out");
    reads("Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out\n", 255,
          RB_SSH_WHY_TIMEOUT, "Connection timed out during banner exchange");
    reads("ssh: connect to host a port 22: No route to host\n", 255, RB_SSH_WHY_UNREACHABLE,
          "connect to host a port 22: No route to host");
    reads("me@a: Permission denied (publickey,password).\r\n", 255, RB_SSH_WHY_AUTH,
          "me@a: Permission denied (publickey,password).");
    reads("Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\n"
          "Disconnected from 10.0.0.1 port 22\n",
          255, RB_SSH_WHY_AUTH, "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures");
    reads("/home/me/.ssh/config line 12: Bad yes/no argument: perhaps\n", 255, RB_SSH_WHY_CONFIG,
          "/home/me/.ssh/config line 12: Bad yes/no argument: perhaps");
    reads("/home/me/.ssh/config: line 3: Bad configuration option: frobnicate\n"
          "/home/me/.ssh/config: terminating, 1 bad configuration options\n",
          255, RB_SSH_WHY_CONFIG, "/home/me/.ssh/config: line 3: Bad configuration option: frobnicate");
    reads("Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa\n", 255,
          RB_SSH_WHY_CONFIG,
          "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa");
    reads("/bin/sh: 4: exec: ssh: not found\n", 127, RB_SSH_WHY_CLIENT,
          "there is no ssh here (Debian's package is openssh-client)");
    reads("", 255, RB_SSH_WHY_UNREACHABLE, "ssh ended and said nothing");
    reads("\n \r\n\t\n", 255, RB_SSH_WHY_UNREACHABLE, "ssh ended and said nothing");
    reads("something new\nand more of it\n", 255, RB_SSH_WHY_UNREACHABLE, "and more of it");
}

/* The reason comes before its consequences, which are said last. */
static void test_the_most_telling_line(void **state)
{
    (void)state;
    reads("ssh: connect to host bastion port 22: Connection refused\n"
          "kex_exchange_identification: Connection closed by remote host\n"
          "Connection closed by UNKNOWN port 65535\n",
          255, RB_SSH_WHY_REFUSED, "connect to host bastion port 22: Connection refused");
    reads("me@bastion: Permission denied (publickey).\nConnection closed by UNKNOWN port 65535\n", 255, RB_SSH_WHY_AUTH,
          "me@bastion: Permission denied (publickey).");
    reads("Load key \"/home/me/.ssh/id\": bad permissions\nme@a: Permission denied (publickey).\n", 255,
          RB_SSH_WHY_AUTH, "me@a: Permission denied (publickey). (Load key \"/home/me/.ssh/id\": bad permissions)");
    reads("@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\n"
          "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n"
          "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\n"
          "The fingerprint for the ED25519 key sent by the remote host is\nSHA256:Dmv+c/QJ.\n"
          "Please contact your system administrator.\n"
          "Offending ED25519 key in /home/me/.ssh/known_hosts:7\n"
          "Host key for web01.lab has changed and you have requested strict checking.\n"
          "Host key verification failed.\n",
          255, RB_SSH_WHY_HOST_KEY_CHANGED,
          "the host key of web01.lab has changed: it is now SHA256:Dmv+c/QJ, and another stands in "
          "/home/me/.ssh/known_hosts:7");
    reads("No ED25519 host key is known for web01.lab and you have requested strict checking.\n"
          "Host key verification failed.\n",
          255, RB_SSH_WHY_HOST_KEY,
          "No ED25519 host key is known for web01.lab and you have requested strict checking.");
}

/* Whatever comes: one printable line, no longer than it may be, no byte outside of what was given. */
static void test_odd_texts(void **state)
{
    (void)state;
    static const char *const parts[] = {"REMOTE HOST IDENTIFICATION HAS CHANGED",
                                        "Host key for ",
                                        "Offending ",
                                        " in ",
                                        "SHA256:",
                                        " has changed and you have requested strict checking",
                                        "Load key ",
                                        "Permission denied (",
                                        "ssh: ",
                                        " line ",
                                        "12",
                                        ": ",
                                        "\n",
                                        "\r",
                                        "\0\1\x7f\xff",
                                        "%s%n",
                                        "timed out",
                                        " ",
                                        "."};
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char said[600], text[RB_SSH_TEXT_MAX];
        size_t n = 0;
        seed = seed * 1664525 + 1013904223;
        for (uint32_t pieces = seed >> 28; pieces; pieces--) {
            seed = seed * 1664525 + 1013904223;
            const char *part = parts[(seed >> 16) % RB_COUNT(parts)];
            size_t len = *part ? strlen(part) : 4;
            if (n + len > sizeof(said))
                break;
            memcpy(said + n, part, len);
            n += len;
        }
        char *exact = malloc(n ? n : 1); /* so that a byte too far is seen */
        memcpy(exact, said, n);
        enum rb_ssh_why why = rb_ssh_why_of(exact, n, (int)(seed & 255), text);
        assert_true(why > RB_SSH_WHY_NONE && why <= RB_SSH_WHY_LOST);
        assert_true(text[0] != '\0' && strlen(text) < RB_SSH_TEXT_MAX);
        for (const char *p = text; *p; p++)
            assert_true(*p >= 0x20 && *p < 0x7f);
        rb_ssh_last_line(exact, n, text);
        assert_true(strlen(text) < RB_SSH_TEXT_MAX);
        free(exact);
    }
}

static void test_a_text_without_end(void **state)
{
    (void)state;
    static char said[100000];
    char text[RB_SSH_TEXT_MAX];
    for (size_t i = 0; i < sizeof(said); i++)
        said[i] = i % 3 ? 'x' : '\n';
    memset(said + 90000, 'y', 10000);
    assert_int_equal(rb_ssh_why_of(said, sizeof(said), 255, text), RB_SSH_WHY_UNREACHABLE);
    rb_ssh_last_line(said + 90000, 10000, text);
    assert_int_equal(strlen(text), RB_SSH_TEXT_MAX - 1);
}

/* -- for real ------------------------------------------------------------------------------------------------------ */

static void fails(const char *host, enum rb_ssh_why why, const char *part)
{
    struct far f;
    run(&f, host, "true");
    ends(&f, RB_SSH_NOT_STARTED, why);
    assert_int_equal(f.opened, 0);
    assert_int_equal(f.r.started, 0);
    if (!strstr(f.text, part))
        fail_msg("\"%s\" does not say \"%s\"", f.text, part);
    drop(&f);
}

static void test_name_not_found(void **state)
{
    (void)state;
    fails("no-such-host.invalid", RB_SSH_WHY_NAME, "Could not resolve hostname no-such-host.invalid");
}

static int listener(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void test_refused(void **state)
{
    (void)state;
    int port, fd = listener(&port); /* bound, and nobody listens */
    struct far f;
    struct rb_ssh_options opt = options(&f, "127.0.0.1", "true");
    opt.target.port = port;
    run_with(&f, &opt);
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_REFUSED);
    assert_non_null(strstr(f.text, "Connection refused"));
    close(fd);
    drop(&f);
}

static void test_time_out(void **state)
{
    (void)state;
    int port, fd = listener(&port);
    assert_int_equal(listen(fd, 5), 0); /* it takes the connection and never says a word */
    struct far f;
    struct rb_ssh_options opt = options(&f, "127.0.0.1", "true");
    opt.target.port = port;
    opt.target.connect_ms = 300;
    run_with(&f, &opt);
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_TIMEOUT);
    assert_string_equal(f.text, "no connection within 0.3 s");
    close(fd);
    drop(&f);
}

static int knocks;

static void hang_up(uv_poll_t *h, int status, int events)
{
    int fd;
    (void)status;
    (void)events;
    assert_int_equal(uv_fileno((uv_handle_t *)h, &fd), 0);
    int one = accept(fd, NULL, NULL);
    if (one >= 0)
        close(one);
    knocks++;
}

/* As sshd does that has too many who knock (MaxStartups): tried again, not for ever. */
static void test_hung_up_at_once(void **state)
{
    (void)state;
    int port, fd = listener(&port);
    static uv_poll_t poll; /* closed when the loop is released */
    assert_int_equal(listen(fd, 5), 0);
    uv_poll_init(&loop.uv, &poll, fd);
    uv_poll_start(&poll, UV_READABLE, hang_up);
    struct far f;
    struct rb_ssh_options opt = options(&f, "127.0.0.1", "true");
    opt.target.port = port;
    knocks = 0;
    run_with(&f, &opt);
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_UNREACHABLE);
    assert_int_equal(knocks, 5);
    uv_close((uv_handle_t *)&poll, NULL);
    close(fd);
    drop(&f);
}

static void test_host_key(void **state)
{
    (void)state;
    lab("forget web04");
    fails("web04", RB_SSH_WHY_HOST_KEY, "No ED25519 host key is known for web04.lab");
    lab("alias asks web04 StrictHostKeyChecking=ask");
    fails("asks", RB_SSH_WHY_HOST_KEY, "its host key is not in known_hosts");
    lab("impostor web04");
    fails("web04", RB_SSH_WHY_HOST_KEY_CHANGED, "the host key of web04.lab has changed: it is now SHA256:");
    fails("web04", RB_SSH_WHY_HOST_KEY_CHANGED, "known_hosts:");
    lab("trust web04");
    struct far f;
    run(&f, "web04", "true"); /* and a failure is not remembered */
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    drop(&f);
}

static void test_permission_denied(void **state)
{
    (void)state;
    lab("alias denied web05 IdentityFile=%s", lab_other_key);
    fails("denied", RB_SSH_WHY_AUTH, "Permission denied (publickey).");
}

static void test_a_key_that_can_not_be_used(void **state)
{
    (void)state;
    char key[300];
    snprintf(key, sizeof(key), "%s/open", lab_dir);
    FILE *f = fopen(key, "w");
    fputs("-----BEGIN OPENSSH PRIVATE KEY-----\n", f);
    fclose(f);
    chmod(key, 0644);
    lab("alias open web05 IdentityFile=%s", key);
    fails("open", RB_SSH_WHY_AUTH, "(Load key \"");
}

static void test_configuration(void **state)
{
    (void)state;
    lab("alias odd web05 Frobnicate=yes");
    fails("odd", RB_SSH_WHY_CONFIG, "Bad configuration option: frobnicate");
    lab("alias odd web05");
    struct far f;
    struct rb_ssh_options opt = options(&f, "web05", "true");
    opt.target.config = "/no/such/file";
    run_with(&f, &opt);
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_CONFIG);
    drop(&f);
}

static void test_no_client(void **state)
{
    (void)state;
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nowhere", 1);
    fails("web05", RB_SSH_WHY_CLIENT, "openssh-client");
    setenv("PATH", path, 1);
    free(path);
}

static void test_no_session(void **state)
{
    (void)state;
    lab("set MaxSessions=0");
    fails("web06", RB_SSH_WHY_SESSION, "Session open refused by peer");
    lab("set MaxSessions=");
}

static void test_targets_that_can_not_be(void **state)
{
    (void)state;
    const struct rb_ssh_target targets[] = {
        {.host = NULL},
        {.host = ""},
        {.host = "-oProxyCommand=touch /tmp/x"},
        {.host = "a\nb"},
        {.host = "a b"},
        {.host = "a", .user = "-l"},
        {.host = "a", .user = ""},
        {.host = "a", .port = 65536},
        {.host = "a", .port = -1},
        {.host = "a", .jump = "-J"},
        {.host = "a", .config = "\x7f"},
        {.host = "$(id)"},
        {.host = "a", .user = "a;id"},
        {.host = "a", .jump = "b`id`"},
    };
    for (size_t i = 0; i < RB_COUNT(targets); i++) {
        struct far f;
        struct rb_err err = {0};
        struct rb_ssh_options opt = options(&f, "a", "true");
        opt.target = targets[i];
        assert_int_equal(rb_ssh_start(&loop, &opt, &f.ssh, &err), RB_EINVAL);
        assert_true(err.msg[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_the_most_telling_line),
        cmocka_unit_test(test_odd_texts),
        cmocka_unit_test(test_a_text_without_end),
        T_LOOP(test_name_not_found),
        T_LOOP(test_refused),
        T_LOOP(test_time_out),
        T_LOOP(test_hung_up_at_once),
        T_LOOP(test_host_key),
        T_LOOP(test_permission_denied),
        T_LOOP(test_a_key_that_can_not_be_used),
        T_LOOP(test_configuration),
        T_LOOP(test_no_client),
        T_LOOP(test_no_session),
        T_LOOP(test_targets_that_can_not_be),
    };
    return cmocka_run_group_tests(tests, start_lab, stop_part);
}
