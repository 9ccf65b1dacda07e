/* Words for shells come out as they went in, whoever reads them; answers are the same however they are cut; the texts
 * are sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/ssh_far.h"
#include "io/ssh_far_sh.h"

/* Runs argv with `input` on its standard input; its output goes to *out. Returns its exit code, -1: not there. */
static int run(const char *const *argv, const char *input, size_t len, struct rb_buf *out)
{
    int in[2], back[2];
    FILE *text = tmpfile(); /* a file: neither side waits for the other */
    assert_non_null(text);
    assert_int_equal(fwrite(input, 1, len, text), len);
    rewind(text);
    assert_int_equal(pipe(back), 0);
    in[0] = fileno(text);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        dup2(in[0], 0);
        dup2(back[1], 1);
        close(back[0]);
        close(back[1]);
        execvp(argv[0], (char *const *)argv);
        _exit(126);
    }
    close(back[1]);
    rb_buf_init(out, 1 << 24);
    char part[65536];
    ssize_t n;
    while ((n = read(back[0], part, sizeof(part))) > 0)
        rb_buf_add(out, part, (size_t)n);
    close(back[0]);
    fclose(text);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? (WEXITSTATUS(status) == 126 ? -1 : WEXITSTATUS(status)) : 128 + WTERMSIG(status);
}

/* Numbers that are the same in each run. */
static unsigned seed = 1;
static unsigned next_number(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % below;
}

/* A word of up to 40 bytes, most of them such as shells do something with. */
static void odd_word(char *word)
{
    static const char odd[] = "'\"\\`$!*?[]{}()<>|&;#~^%=-+:, \t\n/.a1\x01\x7f\xc3\xa9\xff";
    size_t n = next_number(41);
    for (size_t i = 0; i < n; i++)
        word[i] = next_number(4) ? odd[next_number(sizeof(odd) - 1)] : (char)(1 + next_number(255));
    word[n] = '\0';
}

static const char *const shells[][4] = {{"dash", "-c"},           {"bash", "-c"}, {"bash", "--posix", "-c"},
                                        {"busybox", "ash", "-c"}, {"zsh", "-c"},  {"mksh", "-c"}};

static void test_quote(void **state)
{
    (void)state;
    for (size_t s = 0; s < RB_COUNT(shells); s++) {
        struct rb_buf script, want, got;
        rb_buf_init(&script, 1 << 20);
        rb_buf_init(&want, 1 << 20);
        rb_buf_adds(&script, "printf '%s,'");
        for (int i = 0; i < 300; i++) {
            char word[64];
            odd_word(word);
            rb_buf_addc(&script, ' ');
            assert_int_equal(rb_far_quote(&script, word, strlen(word), NULL), RB_OK);
            rb_buf_addf(&want, "%s,", word);
        }
        const char *argv[6] = {NULL};
        size_t n = 0;
        while (shells[s][n]) {
            argv[n] = shells[s][n];
            n++;
        }
        argv[n] = rb_buf_text(&script);
        int rc = run(argv, "", 0, &got);
        if (rc >= 0) {
            assert_int_equal(rc, 0);
            assert_string_equal(rb_buf_text(&got), rb_buf_text(&want));
            assert_int_equal(got.len, want.len);
        } else {
            print_message("# there is no %s\n", argv[0]);
        }
        rb_buf_release(&got);
        rb_buf_release(&want);
        rb_buf_release(&script);
    }
}

static void test_plain_through_login_shells(void **state)
{
    (void)state;
    static const char *const logins[] = {"dash", "bash", "zsh", "tcsh", "fish", "mksh"};
    for (size_t l = 0; l < RB_COUNT(logins); l++)
        for (int round = 0; round < 60; round++) {
            char words[8][64];
            const char *argv[11] = {"printf", "<%s>"};
            struct rb_buf want, got;
            rb_buf_init(&want, 1 << 20);
            for (int i = 0; i < 8; i++) {
                odd_word(words[i]);
                argv[i + 2] = words[i];
                rb_buf_addf(&want, "<%s>", words[i]);
            }
            struct rb_far_command c = {.argv = argv, .posix_login = round % 2 && strcmp(logins[l], "fish") != 0};
            struct rb_far_request r;
            struct rb_err err = {0};
            assert_int_equal(rb_far_plain(&c, &r, &err), RB_OK);
            const char *login[] = {logins[l], "-c", rb_buf_text(&r.command), NULL};
            int rc = run(login, rb_buf_text(&r.input), r.input.len, &got);
            if (rc >= 0) {
                struct rb_far_head head;
                size_t skip = rb_far_strip(rb_buf_text(&got), got.len, &head);
                assert_true(head.pid > 1);
                assert_string_equal(rb_buf_text(&got) + skip, rb_buf_text(&want));
            }
            rb_far_request_release(&r);
            rb_buf_release(&got);
            rb_buf_release(&want);
        }
}

static void test_line(void **state)
{
    (void)state;
    struct rb_far_request r;
    struct rb_err err;
    const char *argv[] = {"true", NULL};
    assert_int_equal(rb_far_plain(&(struct rb_far_command){.argv = argv}, &r, &err), RB_OK);
    assert_string_equal(rb_buf_text(&r.command),
                        "exec /bin/sh -c 'echo rbhost-pid $$ $SHELL;exec \"$@\"' rbhost 'true'");
    assert_int_equal(r.input.len, 0);
    rb_far_request_release(&r);
    assert_int_equal(rb_far_plain(&(struct rb_far_command){.text = "df -h | tail -n 1"}, &r, &err), RB_OK);
    assert_string_equal(rb_buf_text(&r.command), "exec /bin/sh -c 'echo rbhost-pid $$ $SHELL;df -h | tail -n 1'");
    rb_far_request_release(&r);
    struct rb_far_command known = {.argv = argv, .posix_login = true};
    assert_int_equal(rb_far_plain(&known, &r, &err), RB_OK);
    assert_string_equal(rb_buf_text(&r.command), "echo rbhost-pid $$;exec 'true'");
    rb_far_request_release(&r);
    known = (struct rb_far_command){.text = "df -h | tail -n 1", .posix_login = true};
    assert_int_equal(rb_far_plain(&known, &r, &err), RB_OK);
    assert_string_equal(rb_buf_text(&r.command), "echo rbhost-pid $$;exec /bin/sh -c 'df -h | tail -n 1'");
    rb_far_request_release(&r);
    /* What is secret, and what a login shell reads in its own way, is in the input alone. */
    const char *env[] = {"TOKEN=topsecret", NULL};
    const struct rb_far_place place = {"r", "b", "m", "u", ""};
    struct rb_far_command c = {.argv = argv,
                               .env = env,
                               .sudo = true,
                               .sudo_password = "topsecret",
                               .stdin_data = "topsecret",
                               .stdin_len = 9};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(i ? rb_far_launch(&place, "id-1", &c, &r, &err) : rb_far_plain(&c, &r, &err), RB_OK);
        assert_string_equal(rb_buf_text(&r.command), "exec /bin/sh -c 'IFS= read -r rb_s&&eval \"$rb_s\"' rbhost");
        assert_non_null(strstr(rb_buf_text(&r.input), "topsecret"));
        assert_string_equal(rb_buf_text(&r.input) + r.input.len - 9, "topsecret");
        rb_far_request_release(&r);
        assert_null(r.input.data);
    }
}

static void test_wrong(void **state)
{
    (void)state;
    struct rb_far_request r;
    struct rb_err err;
    struct rb_buf b;
    rb_buf_init(&b, 100);
    assert_int_equal(rb_far_quote(&b, "a\0b", 3, &err), RB_EINVAL);
    rb_buf_release(&b);
    static const char *const names[] = {"", "-x"};
    for (size_t i = 0; i < RB_COUNT(names); i++) {
        const char *argv[] = {names[i], NULL};
        assert_int_equal(rb_far_plain(&(struct rb_far_command){.argv = argv}, &r, &err), RB_EINVAL);
    }
    static const char *const envs[] = {"A.B=1", "1A=1", "=1", "A", "PPID=1", "IFS=x", "A B=1"};
    const struct rb_far_place place = {"r", "b", "m", "u", ""};
    for (size_t i = 0; i < RB_COUNT(envs); i++) {
        const char *env[] = {"OK=1", envs[i], NULL};
        struct rb_far_command c = {.text = "true", .env = env};
        assert_int_equal(rb_far_plain(&c, &r, &err), RB_EINVAL);
        assert_int_equal(rb_far_launch(&place, "x", &c, &r, &err), RB_EINVAL);
    }
    static const char *const ids[] = {"", ".", "..", "-a", "a/b", "a b", "id", "é", "a\n"};
    for (size_t i = 0; i < RB_COUNT(ids); i++) {
        const char *list[] = {"ok", ids[i], NULL};
        assert_int_equal(rb_far_launch(&place, ids[i], &(struct rb_far_command){.text = "true"}, &r, &err), RB_EINVAL);
        assert_int_equal(rb_far_look(&place, ids[i], false, 0, &r, &err), RB_EINVAL);
        assert_int_equal(rb_far_kill(&place, ids[i], 0, 0, &r, &err), RB_EINVAL);
        assert_int_equal(rb_far_forget(&place, list, true, &r, &err), RB_EINVAL);
    }
    assert_int_equal(rb_far_kill(NULL, NULL, 1, 0, &r, &err), RB_EINVAL);
    assert_int_equal(rb_far_kill(NULL, NULL, -5, 0, &r, &err), RB_EINVAL);
}

/* -- answers */

static void on_output(void *arg, int stream, const char *data, size_t len)
{
    struct rb_buf *b = arg;
    rb_buf_add(&b[stream], data, len);
}

static const char noisy[] =
    "Welcome\nno end: rbhost-far 1\nout 5\na\nb\ncrun 42\nerr 3\nxyzout 1\n!ended 3 0 1 0 0 6 3 0\nwhat comes later\n";

static void test_answer(void **state)
{
    (void)state;
    for (size_t n = 1; n < sizeof(noisy); n++) {
        struct rb_far_answer a;
        struct rb_buf out[3];
        for (int i = 0; i < 3; i++)
            rb_buf_init(&out[i], 100);
        rb_far_answer_init(&a);
        a.on_output = on_output;
        a.arg = out;
        for (size_t at = 0; at < sizeof(noisy) - 1; at += n)
            assert_int_equal(
                rb_far_answer_feed(&a, noisy + at, at + n < sizeof(noisy) ? n : sizeof(noisy) - 1 - at, NULL), RB_OK);
        assert_int_equal(a.state, RB_FAR_ENDED);
        assert_int_equal(a.pid, 42);
        assert_int_equal(a.code, 3);
        assert_true(a.timed_out && !a.stopped);
        assert_int_equal(a.total[0], 6);
        assert_string_equal(rb_buf_text(&out[1]), "a\nb\nc!");
        assert_string_equal(rb_buf_text(&out[2]), "xyz");
        for (int i = 0; i < 3; i++)
            rb_buf_release(&out[i]);
        rb_far_answer_release(&a);
    }
}

static void test_states(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum rb_far_state state;
        int rc;
        const char *why;
    } table[] = {
        {"", RB_FAR_NOTHING, 0, ""},
        {"rbhost-far 1\n", RB_FAR_NOTHING, 0, ""},
        {"ended 0 0 0 0 0 0 0 0\n", RB_FAR_NOTHING, 0, ""}, /* nobody has greeted: a login shell's words */
        {"rbhost-far 1\nrun 7\n", RB_FAR_RUNNING, 0, ""},
        {"rbhost-far 1\nrun 7\nended 0 0 0", RB_FAR_RUNNING, 0, ""},
        {"rbhost-far 1\nrun 7\nout 9\nended 0 0 ", RB_FAR_RUNNING, 0, ""},
        {"rbhost-far 1\nended 0 0 0\n", RB_FAR_NOTHING, RB_ECORRUPT, ""},
        {"rbhost-far 1\nended 0 9 0 1 0 0 0 0\n", RB_FAR_ENDED, 0, ""},
        {"rbhost-far 1\nrefused a\x01z\n", RB_FAR_REFUSED, 0, "a z"},
        {"rbhost-far 1\nabsent\n", RB_FAR_ABSENT, 0, ""},
        {"rbhost-far 1\nunknown because\n", RB_FAR_UNKNOWN, 0, "because"},
        {"rbhost-far 1\nelsewhere there\n", RB_FAR_ELSEWHERE, 0, "there"},
        {"rbhost-far 1\nrunning 12 still\n", RB_FAR_RUNNING, 0, "still"},
        {"rbhost-far 1\nforgot 3 1\n", RB_FAR_ABSENT, 0, ""},
        {"rbhost-far 1\nrun 7\nsh: what?\n", RB_FAR_RUNNING, RB_ECORRUPT, ""},
        {"rbhost-far 1\nrun 7\nsh: what?\nended 0 0 0 0 0 0 0 0\n", RB_FAR_RUNNING, RB_ECORRUPT, ""},
    };
    for (size_t i = 0; i < RB_COUNT(table); i++) {
        struct rb_far_answer a;
        rb_far_answer_init(&a);
        assert_int_equal(rb_far_answer_feed(&a, table[i].text, strlen(table[i].text), NULL), table[i].rc);
        assert_int_equal(a.state, table[i].state);
        assert_string_equal(a.why, table[i].why);
        if (a.corrupt) { /* the rest may be the command's own words */
            assert_int_equal(rb_far_answer_feed(&a, "ended 0 0 0 0 0 0 0 0\n", 22, NULL), RB_OK);
            assert_int_equal(a.state, table[i].state);
        }
        rb_far_answer_release(&a);
    }
}

static void test_heads(void **state)
{
    (void)state;
    struct rb_far_head head;
    const char text[] = "motd\nrbhost-pid 77\nout\nrbhost-pid 5\n";
    for (size_t n = 0; n < sizeof(text); n++) {
        size_t skip = rb_far_strip(text, n, &head);
        assert_int_equal(skip, n >= 19 ? 19 : 0);
        assert_int_equal(head.pid, n >= 19 ? 77 : 0);
    }
    static const struct {
        const char *line;
        bool posix;
    } lines[] = {{"rbhost-pid 7 /bin/bash\n", true},      {"rbhost-pid 7 zsh\n", true},
                 {"rbhost-pid 7 /bin/tcsh\n", false},     {"rbhost-pid 7 /a b/sh\n", true},
                 {"rbhost-pid 7 /usr/bin/fish\n", false}, {"rbhost-pid 7\n", false},
                 {"rbhost-pid 7 /bin/bash2\n", false},    {"rbhost-pid 7 \n8 /bin/sh\n", false}};
    for (size_t i = 0; i < RB_COUNT(lines); i++) {
        assert_int_not_equal(rb_far_strip(lines[i].line, strlen(lines[i].line), &head), 0);
        assert_int_equal(head.pid, 7);
        assert_int_equal(head.posix, lines[i].posix);
    }
    const char no_pid[] = "rbhost-pid \n8 /bin/sh\n";
    assert_int_equal(rb_far_strip(no_pid, strlen(no_pid), &head), 12);
    assert_int_equal(head.pid, 0);
    const char no[] = "rbhost-no there is no folder /x\n";
    assert_int_equal(rb_far_strip(no, strlen(no), &head), strlen(no));
    assert_string_equal(head.why, "there is no folder /x");
    struct rb_far_place place;
    const char there[] = "hi\nrbhost-place 1 root boot machine 1000 \n";
    assert_int_equal(rb_far_read_place(there, strlen(there), &place, NULL), RB_OK);
    assert_string_equal(place.root, "root");
    assert_string_equal(place.user, "1000");
    const char none[] = "rbhost-place 1 - boot machine 0 the disk is full\n";
    assert_int_equal(rb_far_read_place(none, strlen(none), &place, NULL), RB_OK);
    assert_string_equal(place.root, "");
    assert_string_equal(place.why, "the disk is full");
    const char other[] = "This account is not available.\n";
    assert_int_equal(rb_far_read_place(other, strlen(other), &place, NULL), RB_EIO);
}

/* What the tool of the build made of the texts is sh, on one line. */
static void test_texts(void **state)
{
    (void)state;
    const char *const texts[] = {rb_far_sh_common, rb_far_sh_forget, rb_far_sh_kill, rb_far_sh_launch, rb_far_sh_look,
                                 rb_far_sh_plain,  rb_far_sh_probe,  rb_far_sh_sudo, rb_far_sh_watched};
    for (size_t i = 0; i < RB_COUNT(texts); i++) {
        struct rb_buf out;
        assert_null(strchr(texts[i], '\n'));
        const char *argv[] = {"dash", "-n", "-c", texts[i], NULL};
        assert_int_equal(run(argv, "", 0, &out), 0);
        rb_buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote),  cmocka_unit_test(test_plain_through_login_shells),
        cmocka_unit_test(test_line),   cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_answer), cmocka_unit_test(test_states),
        cmocka_unit_test(test_heads),  cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
