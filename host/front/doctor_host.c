/* rbhost doctor HOST: what commands on another machine rely on. Asks it in three sessions: what it is, how it is set
 * up, and what old receipts may go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind_ssh.h"
#include "front/doctor.h"
#include "front/text.h"
#include "loop/loop.h"

#define CONNECT_MS 30000
#define ANSWER_MAX ((size_t)64 << 10)

/* Lines of verdict, what and text, with tabs between. */
static const char look[] =
    "t=$(printf '\\t')\n"
    "say() { printf '%s\\t%s\\t%s\\n' \"$1\" \"$2\" \"$3\"; }\n"
    "at=${XDG_STATE_HOME:-$HOME/.local/state}/rbhost/receipts\n"
    "if [ -d \"$at\" ]; then\n"
    "    cd \"$at\" || exit 0\n"
    "    n=$(($(find . ! -name . -prune -type d | wc -l))) old=$(($(find . ! -name . -prune -type d -mtime +7 | wc "
    "-l)))\n"
    "    if [ \"$old\" -gt 0 ]; then say warn receipts \"$n in $at, $old of them older than 7 days; --clean sweeps "
    "them\"\n"
    "    else say ok receipts \"$n in $at\"; fi\n"
    "    case $(ls -ld . | cut -c5-10) in ------) ;; *) say fail receipts \"others can read $at: chmod 700 $at\" ;; "
    "esac\n"
    "    fs=$(stat -f -c %T . 2>/dev/null)\n"
    "    case $fs in nfs* | cifs | smb* | afs | fuseblk) say warn 'file system' \"$at is on $fs: another machine may "
    "see the"
    " same receipts; set XDG_STATE_HOME to a local folder\" ;; esac\n"
    "    set -- $(df -Pk . 2>/dev/null | tail -n 1)\n"
    "    if [ -z \"$4\" ]; then :\n"
    "    elif [ \"$4\" -lt 65536 ]; then say fail 'disk space' \"$(($4 / 1024)) MB are free: make room, a command is "
    "not"
    " started when its receipt has none\"\n"
    "    else say ok 'disk space' \"$(($4 / 1024)) MB free\"; fi\n"
    "    set -- $(df -Pi . 2>/dev/null | tail -n 1)\n"
    "    case $4 in '' | *[!0-9]* | 0) ;; *) [ \"$4\" -ge 1000 ] || say fail inodes \"$4 are free: make room\" ;; "
    "esac\n"
    "fi\n"
    "me=$(id -un)\n"
    "kill=$(cat /usr/lib/systemd/logind.conf /etc/systemd/logind.conf /usr/lib/systemd/logind.conf.d/*.conf"
    " /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf 2>/dev/null |"
    " sed -n 's/^ *KillUserProcesses *= *//p' | tail -n 1)\n"
    "case $kill in\n"
    "[yYtT1]* | on) if [ -e \"/var/lib/systemd/linger/$me\" ]; then say ok sessions \"KillUserProcesses is on, and $me"
    " lingers\"\n"
    "    else say fail sessions \"KillUserProcesses is on (logind.conf): commands end with the connection; loginctl"
    " enable-linger $me\"; fi ;;\n"
    "*) say ok sessions 'what runs outlives its connection' ;;\n"
    "esac\n"
    "for p in sha256sum sha256 shasum openssl none; do command -v \"$p\" >/dev/null 2>&1 && break; done\n"
    "if [ \"$p\" = none ]; then say warn digest 'no sha256sum, sha256, shasum or openssl: ssh.upload and ssh.download "
    "need"
    " one'\n"
    "else say ok digest \"$p\"; fi\n"
    "if ! command -v sudo >/dev/null 2>&1; then say ok sudo 'there is none'\n"
    "elif sudo -n true 2>/dev/null; then say ok sudo 'wants no password'\n"
    "else say ok sudo 'wants a password: sudo = { password = secret(…) }, or a rule with NOPASSWD'; fi\n";

struct visit {
    struct rb_loop loop;
    struct rb_ssh_target target;
    /* The answer of the last request. */
    enum rb_ssh_end end;
    enum rb_ssh_why why;
    int code;
    struct rb_buf out, said; /* its output, its error output */
    char text[400];
};

static void on_done(void *arg, struct rb_ssh_result *r)
{
    struct visit *v = arg;
    v->end = r->end;
    v->why = r->why;
    v->code = r->code;
    snprintf(v->text, sizeof(v->text), "%s", r->text);
    rb_buf_reset(&v->out);
    rb_buf_add(&v->out, rb_buf_text(&r->out.buf), r->out.buf.len);
    rb_buf_reset(&v->said);
    rb_buf_add(&v->said, rb_buf_text(&r->err.buf), r->err.buf.len);
    rb_loop_stop(&v->loop);
}

/* Asks, and waits for the answer. Releases the request. False: there is none, err says why. */
static bool ask(struct visit *v, struct rb_far_request *r, struct rb_err *err)
{
    struct rb_ssh *session;
    struct rb_ssh_options opt = {.target = v->target,
                                 .command = rb_buf_text(&r->command),
                                 .stdin_data = rb_buf_text(&r->input),
                                 .stdin_len = r->input.len,
                                 .stdin_fd = -1,
                                 .stdout_fd = -1,
                                 .max_output = ANSWER_MAX,
                                 .drain_ms = 1000,
                                 .on_done = on_done,
                                 .arg = v};
    int rc = rb_ssh_start(&v->loop, &opt, &session, err);
    rb_far_request_release(r);
    if (rc)
        return false;
    rb_loop_run(&v->loop);
    if (v->end == RB_SSH_EXITED)
        return true;
    rb_err_set(err, RB_EIO, "%s", v->text);
    return false;
}

/* Why it was not reached, as a run would say it: with the command that shows more or mends it. */
static void say_unreached(struct rb_doctor *d, const struct visit *v, const char *host, const char *why)
{
    struct rb_buf words, command;
    char kind[32];
    rb_buf_init(&words, 4096);
    rb_buf_init(&command, 4096);
    rb_ssh_kind(v->why, kind);
    rb_ssh_words_why(&words, &v->target, v->why, why);
    rb_ssh_words_command(&command, &v->target, "");
    if (!strchr(rb_buf_text(&words), '`')) /* else it has one already */
        rb_buf_addf(&words, "; `%s true` says more", rb_buf_text(&command));
    rb_doctor_say(d, RB_BAD, "connection", "%s: %s (kind %s)", host, rb_buf_text(&words), kind);
    rb_buf_release(&words);
    rb_buf_release(&command);
}

/* Something there is connected to, and it is no shell. */
static void say_no_shell(struct rb_doctor *d, struct visit *v, const char *host, const char *why)
{
    char line[300];
    struct rb_buf command;
    rb_buf_init(&command, 4096);
    rb_capture_last_line(&v->out, &v->said, line, sizeof(line));
    rb_ssh_words_command(&command, &v->target, "");
    rb_doctor_say(
        d, RB_BAD, "shell",
        "%s: commands are not run there by a shell (an account without one, a forced command?): %s; `%s 'echo "
        "$0'` shows what answers",
        host,
        line[0] ? line
        : *why  ? why
                : "nothing was said",
        rb_buf_text(&command));
    rb_buf_release(&command);
}

static bool find_place(struct rb_doctor *d, struct visit *v, const char *host, struct rb_far_place *place)
{
    struct rb_far_request r = {0};
    struct rb_err err = {0};
    bool asked = !rb_far_probe(&r, &err) && ask(v, &r, &err);
    if (!asked && v->end == RB_SSH_NOT_STARTED && v->why != RB_SSH_WHY_NONE) {
        say_unreached(d, v, host, err.msg);
        return false;
    }
    if (!asked || v->code || rb_far_read_place(rb_buf_text(&v->out), v->out.len, place, &err)) {
        say_no_shell(d, v, host, err.msg);
        return false;
    }
    rb_doctor_say(d, RB_FINE, "connection", "%s answers; user %s, machine %s, boot %s", host, place->user,
                  place->machine, place->boot);
    if (place->root[0])
        rb_doctor_say(d, RB_FINE, "commands",
                      "run under receipts: a crash or a cut connection leaves nothing in doubt");
    else
        rb_doctor_say(d, RB_BAD, "commands", "run without receipts, so a crash leaves them in doubt: %s", place->why);
    return true;
}

/* One line "verdict, what, text" of the answer. */
static void pass_on(struct rb_doctor *d, const char *line, size_t n)
{
    char copy[1024], *rest = copy;
    snprintf(copy, sizeof(copy), "%.*s", (int)n, line);
    const char *verdict = strsep(&rest, "\t"), *what = strsep(&rest, "\t");
    if (!what || !rest)
        return;
    rb_doctor_say(d,
                  strcmp(verdict, "fail") == 0   ? RB_BAD
                  : strcmp(verdict, "warn") == 0 ? RB_WARN
                                                 : RB_FINE,
                  what, "%s", rest);
}

static void look_around(struct rb_doctor *d, struct visit *v)
{
    struct rb_far_request r = {0};
    struct rb_far_head head;
    struct rb_err err = {0};
    struct rb_far_command c = {.text = look, .timeout_ms = 60000, .grace_ms = 1000};
    if (rb_far_plain(&c, &r, &err) || !ask(v, &r, &err)) {
        rb_doctor_say(d, RB_BAD, "set-up", "could not be looked at: %s", err.msg);
        return;
    }
    size_t skip = rb_far_strip(rb_buf_text(&v->out), v->out.len, &head), n;
    const char *rest = rb_buf_text(&v->out) + skip, *line;
    while (rb_text_next(&rest, &line, &n))
        pass_on(d, line, n);
}

static void say_swept(struct rb_doctor *d, const struct visit *v)
{
    struct rb_far_answer a;
    struct rb_err err;
    rb_far_answer_init(&a);
    rb_far_answer_feed(&a, rb_buf_text(&v->out), v->out.len, &err);
    rb_doctor_say(d, RB_FINE, "clean", "%ld receipts older than 7 days are gone, %ld of them run and were left",
                  a.removed, a.left);
    rb_far_answer_release(&a);
}

static void sweep(struct rb_doctor *d, struct visit *v, const struct rb_far_place *place)
{
    struct rb_far_request r = {0};
    struct rb_err err = {0};
    if (!place->root[0])
        return;
    if (rb_far_forget(place, (const char *const[]){NULL}, false, &r, &err) || !ask(v, &r, &err))
        rb_doctor_say(d, RB_BAD, "clean", "%s", err.msg);
    else
        say_swept(d, v);
}

/* [user@]host[:port], an address of IPv6 with a port in brackets; cuts the name into its parts. False: it is none. */
static bool split(char *name, struct rb_ssh_target *t)
{
    char *host = name, *at = strrchr(name, '@'), *port = NULL;
    if (at) {
        *at = '\0';
        t->user = name;
        host = at + 1;
    }
    char *bracket = host[0] == '[' ? strchr(host, ']') : NULL, *colon = strrchr(host, ':');
    if (bracket) {
        *bracket = '\0';
        host++;
        if (bracket[1] && bracket[1] != ':')
            return false;
        port = bracket[1] ? bracket + 2 : NULL;
    } else if (colon && strchr(host, ':') == colon) {
        *colon = '\0';
        port = colon + 1;
    }
    t->host = host;
    t->port = port ? (int)strtol(port, NULL, 10) : 0;
    bool number = !port || (*port && strlen(port) < 6 && !port[strspn(port, "0123456789")]);
    return *host && !strpbrk(host, "[]") && (!at || *name) && number && (!port || (t->port > 0 && t->port <= 65535));
}

void rb_doctor_host(struct rb_doctor *d, const char *host, bool clean)
{
    struct visit v = {.target.connect_ms = CONNECT_MS};
    struct rb_far_place place;
    struct rb_err err;
    char name[512];
    const json_t *ssh = json_object_get(d->cli->config, "ssh");
    if ((size_t)snprintf(name, sizeof(name), "%s", host) >= sizeof(name) || !split(name, &v.target)) {
        rb_doctor_say(d, RB_BAD, "host", "\"%.200s\" names no host: expected host, user@host or user@host:port", host);
        return;
    }
    v.target.config = json_string_value(json_object_get(ssh, "config"));
    if (json_is_number(json_object_get(ssh, "connect_timeout")))
        v.target.connect_ms = (uint64_t)(json_number_value(json_object_get(ssh, "connect_timeout")) * 1000);
    if (rb_loop_init(&v.loop, &err) < 0) {
        rb_doctor_say(d, RB_BAD, "loop", "%s", err.msg);
        return;
    }
    rb_buf_init(&v.out, ANSWER_MAX);
    rb_buf_init(&v.said, ANSWER_MAX);
    if (find_place(d, &v, host, &place)) {
        look_around(d, &v);
        if (clean)
            sweep(d, &v, &place);
    }
    rb_buf_release(&v.out);
    rb_buf_release(&v.said);
    rb_loop_release(&v.loop);
}
