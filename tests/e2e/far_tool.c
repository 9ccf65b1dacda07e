/* For the tests of what is said to other machines' shells:
 *
 *   far_tool plain OUT [OPTION…] [-- ARGV…]            writes OUT.line (for a login shell's -c) and OUT.input
 *   far_tool launch OUT PLACE ID [OPTION…] [-- ARGV…]
 *   far_tool probe OUT
 *   far_tool look | cancel OUT PLACE ID [--grace MS]
 *   far_tool kill OUT PLACE ID | PID [--grace MS]
 *   far_tool forget | clean OUT PLACE ID…
 *   far_tool place < ANSWER                            "ROOT BOOT MACHINE USER", which is a PLACE, and why
 *   far_tool strip < ANSWER                            "PID SKIP WHY"
 *   far_tool answer DIR < ANSWER                       a line of what it says, DIR/1 and DIR/2 are the streams
 *
 * Options: --text T --cwd D --env N=V --sudo --password P --stdin FILE --timeout MS --grace MS --max BYTES */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/ssh_far.h"

static struct rb_err err;

static int fail(void)
{
    fprintf(stderr, "far_tool: %s\n", err.msg);
    return 1;
}

static void read_all(FILE *f, struct rb_buf *b)
{
    char part[65536];
    size_t n;
    rb_buf_init(b, (size_t)1 << 30);
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        rb_buf_add(b, part, n);
}

static void write_file(const char *out, const char *suffix, const struct rb_buf *b)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s.%s", out, suffix);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(rb_buf_text(b), 1, b->len, f) != b->len || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static int write_request(const char *out, struct rb_far_request *r)
{
    write_file(out, "line", &r->command);
    write_file(out, "input", &r->input);
    rb_far_request_release(r);
    return 0;
}

/* The options from argv[0] on. Leaves what is no option in *rest. */
static void read_options(char **argv, struct rb_far_command *c, struct rb_buf *input, char ***rest)
{
    static const char *env[100];
    size_t n = 0;
    *c = (struct rb_far_command){.grace_ms = 2000, .max_output = 1 << 20};
    for (; *argv && strncmp(*argv, "--", 2) == 0; argv++) {
        const char *name = *argv + 2;
        if (!*name) {
            c->argv = (const char *const *)argv + 1;
            break;
        }
        if (strcmp(name, "sudo") == 0) {
            c->sudo = true;
            continue;
        }
        const char *value = *++argv;
        if (strcmp(name, "text") == 0)
            c->text = value;
        else if (strcmp(name, "cwd") == 0)
            c->cwd = value;
        else if (strcmp(name, "env") == 0)
            env[n++] = value;
        else if (strcmp(name, "password") == 0)
            c->sudo_password = value;
        else if (strcmp(name, "timeout") == 0)
            c->timeout_ms = strtoull(value, NULL, 10);
        else if (strcmp(name, "grace") == 0)
            c->grace_ms = strtoull(value, NULL, 10);
        else if (strcmp(name, "max") == 0)
            c->max_output = strtoull(value, NULL, 10);
        else if (strcmp(name, "stdin") == 0) {
            FILE *f = fopen(value, "rb");
            if (!f)
                exit(2);
            read_all(f, input);
            fclose(f);
            c->stdin_data = rb_buf_text(input);
            c->stdin_len = input->len;
        }
    }
    env[n] = NULL;
    c->env = n ? env : NULL;
    *rest = argv;
}

static FILE *streams[3];

static void on_output(void *arg, int stream, const char *data, size_t len)
{
    (void)arg;
    fwrite(data, 1, len, streams[stream]);
}

static int answer(const char *dir)
{
    static const char *const names[] = {"nothing", "refused", "absent", "running", "ended", "unknown", "elsewhere"};
    struct rb_buf text;
    struct rb_far_answer a;
    for (int i = 1; i < 3; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%d", dir, i);
        streams[i] = fopen(path, "wb");
    }
    read_all(stdin, &text);
    rb_far_answer_init(&a);
    a.on_output = on_output;
    int rc = rb_far_answer_feed(&a, rb_buf_text(&text), text.len, &err);
    printf("%s pid=%ld code=%d signal=%d timed_out=%d stopped=%d held=%d full=%d out=%llu err=%llu removed=%ld "
           "left=%ld why=%s\n",
           rc < 0 ? "corrupt" : names[a.state], a.pid, a.code, a.signal, a.timed_out, a.stopped, a.held_open,
           a.disk_full, (unsigned long long)a.total[0], (unsigned long long)a.total[1], a.removed, a.left,
           rc < 0 ? err.msg : a.why);
    rb_far_answer_release(&a);
    rb_buf_release(&text);
    return fclose(streams[1]) | fclose(streams[2]);
}

static int place(void)
{
    struct rb_buf text;
    struct rb_far_place p;
    read_all(stdin, &text);
    int rc = rb_far_read_place(rb_buf_text(&text), text.len, &p, &err);
    rb_buf_release(&text);
    if (rc < 0)
        return fail();
    printf("%s %s %s %s\n%s\n", p.root[0] ? p.root : "-", p.boot, p.machine, p.user, p.why);
    return 0;
}

static int strip(void)
{
    struct rb_buf text;
    struct rb_far_head head;
    read_all(stdin, &text);
    size_t n = rb_far_strip(rb_buf_text(&text), text.len, &head);
    printf("%ld %zu %s\n", head.pid, n, head.why);
    rb_buf_release(&text);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    const char *op = argv[1], *out = argc > 2 ? argv[2] : NULL;
    struct rb_far_request r;
    struct rb_far_command c;
    struct rb_buf input;
    char **rest;
    rb_buf_init(&input, (size_t)1 << 30);
    int rc = RB_EINVAL;
    if (strcmp(op, "place") == 0)
        return place();
    if (strcmp(op, "strip") == 0)
        return strip();
    if (strcmp(op, "answer") == 0)
        return answer(out);
    if (strcmp(op, "probe") == 0) {
        rc = rb_far_probe(&r, &err);
    } else if (strcmp(op, "plain") == 0) {
        read_options(argv + 3, &c, &input, &rest);
        rc = rb_far_plain(&c, &r, &err);
    } else {
        struct rb_far_place p = {0};
        if (argc < 5 || sscanf(argv[3], "%63s %63s %63s %63s", p.root, p.boot, p.machine, p.user) != 4)
            return 2;
        const char *id = argv[4];
        read_options(argv + 5, &c, &input, &rest);
        if (strcmp(op, "launch") == 0)
            rc = rb_far_launch(&p, id, &c, &r, &err);
        else if (strcmp(op, "look") == 0 || strcmp(op, "cancel") == 0)
            rc = rb_far_look(&p, id, op[0] == 'c', c.grace_ms, &r, &err);
        else if (strcmp(op, "kill") == 0 && strspn(id, "0123456789") == strlen(id))
            rc = rb_far_kill(NULL, NULL, atol(id), c.grace_ms, &r, &err);
        else if (strcmp(op, "kill") == 0)
            rc = rb_far_kill(&p, id, 0, c.grace_ms, &r, &err);
        else if (strcmp(op, "forget") == 0 || strcmp(op, "clean") == 0)
            rc = rb_far_forget(&p, (const char *const *)argv + 4, op[0] == 'c', &r, &err);
    }
    rb_buf_release(&input);
    return rc < 0 ? fail() : write_request(out, &r);
}
