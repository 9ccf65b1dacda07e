/* Owns one ssh process that holds a connection open: how it is called, when it stands, why it has ended. Knows nothing
 * of sessions.
 *
 * - It stands when its control socket is there: ssh makes it after the authentication, and listens before it gives the
 *   socket its name.
 * - It is started by a shell that leaves a watcher behind and becomes ssh. The watcher's input is a pipe that nobody
 *   but
 *   the host holds the other end of; when that ends, however the host may have gone, the watcher kills its own process
 *   group, which is ssh, what ssh has started, and itself. While the watcher lives the group's number can not be
 *   anybody else's. */
#include "io/ssh_master.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"

#define SAID_MAX 16384
#define GRACE_MS 2000
#define DRAIN_MS 100
#define DROP_MS 200
#define LOOK_MS 20
#define ARGS_MAX 64

extern char **environ;

/* $0 is the control socket, "$@" is ssh and its arguments. A command in the background has no input but what it is
 * given, hence the third descriptor. */
static const char watcher[] = "exec 3<&0\n"
                              "group=$$\n"
                              "{ read -r _; rm -f -- \"$0\"; kill -9 -\"$group\"; } <&3 >/dev/null 2>&1 &\n"
                              "exec \"$@\" </dev/null 3<&-\n";

static void disarm(struct rb_ssh_master *m)
{
    rb_timer_disarm(&m->limit);
    rb_timer_disarm(&m->look);
    rb_timer_disarm(&m->idle);
}

static void on_proc_done(void *arg, struct rb_proc_result *result)
{
    struct rb_ssh_master *m = arg;
    const char *said = rb_buf_text(&result->err.buf);
    m->proc = NULL;
    disarm(m);
    if (m->stood) {
        m->why = RB_SSH_WHY_LOST;
        rb_ssh_last_line(said, result->err.buf.len, m->text);
        if (!m->text[0])
            snprintf(m->text, sizeof(m->text), "the connection has ended");
    } else if (m->timed_out) {
        m->why = RB_SSH_WHY_TIMEOUT;
        snprintf(m->text, sizeof(m->text), "no connection within %g s", (double)m->connect_ms / 1000);
    } else {
        m->why = rb_ssh_why_of(said, result->err.buf.len, result->code, m->text);
        m->busy = m->why == RB_SSH_WHY_UNREACHABLE && strstr(said, "kex_exchange_identification") != NULL;
    }
    unlink(m->path);
    m->state = RB_SSH_MASTER_GONE;
    m->on_change(m->arg, m);
    free(m);
}

void rb_ssh_master_look(struct rb_ssh_master *m)
{
    if (m->state != RB_SSH_MASTER_STARTING || faccessat(AT_FDCWD, m->path, F_OK, 0))
        return;
    rb_fault_point("ssh.master-up");
    disarm(m);
    m->state = RB_SSH_MASTER_UP;
    m->stood = true;
    m->on_change(m->arg, m);
}

static void on_look(struct rb_timer *t)
{
    struct rb_ssh_master *m = RB_CONTAINER(t, struct rb_ssh_master, look);
    rb_timer_arm_ms(&m->look, LOOK_MS);
    rb_ssh_master_look(m);
}

static void on_limit(struct rb_timer *t)
{
    struct rb_ssh_master *m = RB_CONTAINER(t, struct rb_ssh_master, limit);
    rb_ssh_master_look(m);
    if (m->state != RB_SSH_MASTER_STARTING)
        return;
    m->timed_out = true;
    rb_ssh_master_close(m);
}

static void on_idle(struct rb_timer *t)
{
    rb_ssh_master_close(RB_CONTAINER(t, struct rb_ssh_master, idle));
}

/* The arguments of the whole, into argv. Texts that had to be made are in made[]. */
static void arguments(const struct rb_ssh_master *m, const struct rb_ssh_target *t, const char *argv[ARGS_MAX],
                      char made[2][40])
{
    static const char *const forced[] = {
        "BatchMode=yes",          "ControlMaster=yes",       "ControlPersist=no",
        "ServerAliveInterval=15", "ClearAllForwardings=yes", "RequestTTY=no",
        "RemoteCommand=none",     "SessionType=none",        "ForkAfterAuthentication=no",
        "EscapeChar=none",        "PermitLocalCommand=no",   "LogLevel=ERROR",
    };
    size_t n = 0;
    argv[n++] = "/bin/sh";
    argv[n++] = "-c";
    argv[n++] = watcher;
    argv[n++] = m->path;
    argv[n++] = "ssh";
    for (size_t i = 0; i < RB_COUNT(forced); i++) {
        argv[n++] = "-o";
        argv[n++] = forced[i];
    }
    snprintf(made[0], sizeof(made[0]), "ConnectTimeout=%lu", (unsigned long)((m->connect_ms + 999) / 1000));
    argv[n++] = "-o";
    argv[n++] = made[0];
    argv[n++] = "-S";
    argv[n++] = m->path;
    const char *const words[][2] = {{"-F", t->config}, {"-i", t->identity}, {"-J", t->jump}, {"-l", t->user}};
    for (size_t i = 0; i < RB_COUNT(words); i++) {
        if (!words[i][1])
            continue;
        argv[n++] = words[i][0];
        argv[n++] = words[i][1];
    }
    if (t->port) {
        snprintf(made[1], sizeof(made[1]), "%d", t->port);
        argv[n++] = "-p";
        argv[n++] = made[1];
    }
    argv[n++] = "--";
    argv[n++] = t->host;
    argv[n] = NULL;
}

/* The host's environment; a jump host's ssh has no BatchMode, so nothing may open a window to ask. */
static const char **environment(void)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    const char **env = rb_alloc((n + 2) * sizeof(*env));
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "SSH_ASKPASS_REQUIRE=", 20) != 0)
            env[kept++] = environ[i];
    env[kept] = "SSH_ASKPASS_REQUIRE=never";
    return env;
}

int rb_ssh_master_start(struct rb_loop *loop, const struct rb_ssh_target *target, const char *path, bool watched,
                        void (*on_change)(void *arg, struct rb_ssh_master *m), void *arg, struct rb_ssh_master **out,
                        struct rb_err *err)
{
    const char *argv[ARGS_MAX];
    char made[2][40];
    struct rb_ssh_master *m = rb_alloc(sizeof(*m));
    snprintf(m->path, sizeof(m->path), "%s", path);
    m->loop = loop;
    m->connect_ms = target->connect_ms ? target->connect_ms : RB_SSH_CONNECT_MS;
    m->cap = RB_SSH_SESSIONS;
    m->on_change = on_change;
    m->arg = arg;
    rb_list_init(&m->link);
    rb_list_init(&m->sessions);
    rb_timer_init(&m->limit, loop, on_limit);
    rb_timer_init(&m->look, loop, on_look);
    rb_timer_init(&m->idle, loop, on_idle);
    unlink(m->path);
    arguments(m, target, argv, made);
    const char **env = environment();
    struct rb_proc_options opt = {
        .argv = argv,
        .envp = env,
        .stdin_data = "",
        .stdin_stays = true,
        .max_output = SAID_MAX,
        .grace_ms = GRACE_MS,
        .drain_ms = DRAIN_MS,
        .on_done = on_proc_done,
        .arg = m,
    };
    int rc = rb_proc_start(loop, &opt, &m->proc, err);
    free(env);
    if (rc) {
        free(m);
        return rc;
    }
    rb_fault_point("ssh.master-started");
    rb_timer_arm_ms(&m->limit, m->connect_ms);
    if (!watched)
        rb_timer_arm_ms(&m->look, LOOK_MS);
    *out = m;
    return RB_OK;
}

void rb_ssh_master_close(struct rb_ssh_master *m)
{
    if (m->state == RB_SSH_MASTER_GONE)
        return;
    disarm(m);
    m->state = RB_SSH_MASTER_ENDING;
    rb_proc_kill(m->proc);
}

void rb_ssh_master_drop(struct rb_ssh_master *m)
{
    disarm(m);
    rb_list_remove(&m->link);
    if (m->proc)
        rb_proc_drop(m->proc, DROP_MS);
    unlink(m->path);
    free(m);
}
