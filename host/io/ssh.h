/* Commands on other machines, through OpenSSH's client: one `ssh -MN` (a master) for each destination, whose control
 * socket is spoken to directly (PROTOCOL.mux of OpenSSH 9.2). No process is started for a command, and what became of
 * it is known: never started, exited, ended by a signal, lost with the connection.
 *
 * Masters belong to the loop (a guest, as libcurl's handle is), are shared by all runs, carry at most RB_SSH_SESSIONS
 * sessions each (sshd's MaxSessions is 10), start in parallel under a limit, end with the host even when it is killed,
 * and are started again when they have died. The driver knows no Lua, no journal and nothing of what is run. */
#ifndef RB_SSH_H
#define RB_SSH_H

#include "io/proc.h"

#define RB_SSH_SESSIONS 8

struct rb_ssh; /* one command on its way */

/* Where to. Everything that is not said is ssh's own configuration's business. Texts are copied. */
struct rb_ssh_target {
    const char *host;     /* a name that ssh knows; not empty, no leading '-', no NUL, no control characters */
    const char *user;     /* or NULL */
    int port;             /* or 0 */
    const char *config;   /* file for `ssh -F`, or NULL */
    const char *identity; /* file for `ssh -i`, or NULL */
    const char *jump;     /* for `ssh -J`, or NULL */
    unsigned starting;    /* connections, to whatever target, that are made at the same time; 0: 24 */
    uint64_t connect_ms;  /* until the connection stands (authentication included); 0: 30 s */
    uint64_t idle_ms;     /* a connection that carries nothing is kept so long; 0: 5 min */
};

enum rb_ssh_end {
    RB_SSH_NOT_STARTED, /* it has certainly not begun: `why` and `text` say why. Rarely this comes after on_opened: the
                         * server has opened a session and refuses to run the command (SESSION) */
    RB_SSH_EXITED,      /* with `code` */
    RB_SSH_SIGNALLED,   /* the session closed without a code and the connection stands: a signal ended it */
    RB_SSH_LOST,        /* the connection went down after it had begun: nobody knows what became of it. `started` 0: it
                         * went down after it was sent and before the session was seen open, so it may have begun */
    RB_SSH_CLOSED,      /* rb_ssh_close() came before its end: what runs over there runs on. `started` as above */
};

/* Why it has not started. The name is the last part of the error's kind: ssh.refused. */
enum rb_ssh_why {
    RB_SSH_WHY_NONE,
    RB_SSH_WHY_NAME,             /* "name": the host's name was not found */
    RB_SSH_WHY_REFUSED,          /* "refused" */
    RB_SSH_WHY_TIMEOUT,          /* "timeout": no connection in time */
    RB_SSH_WHY_UNREACHABLE,      /* "unreachable": no route, network down, reset before the key exchange */
    RB_SSH_WHY_HOST_KEY,         /* "host_key": nobody has said that this key is the host's */
    RB_SSH_WHY_HOST_KEY_CHANGED, /* "host_key_changed" */
    RB_SSH_WHY_AUTH,             /* "auth": permission denied; the text names the methods that were tried */
    /* "config": ssh does not accept its configuration or an option, or the server's ciphers */
    RB_SSH_WHY_CONFIG,
    RB_SSH_WHY_SESSION, /* "session": the server opens no session */
    RB_SSH_WHY_CLIENT,  /* "client": there is no ssh here, or it can not be run */
    RB_SSH_WHY_LOST,    /* "lost": it went down: before the command was sent (NOT_STARTED), or after (LOST) */
};
const char *rb_ssh_why_name(enum rb_ssh_why why);

struct rb_ssh_result {
    enum rb_ssh_end end;
    int code; /* EXITED */
    enum rb_ssh_why why;
    const char *text; /* what ssh said, one printable line, never NULL */
    /* as in proc.h; output that nobody added to for a second, or for drain_ms if that is longer */
    bool held_open;
    bool stdin_short;       /* as in proc.h */
    int64_t started, ended; /* rb_clock_boot(); started: when the session was opened, 0 if never */
    struct rb_capture out, err;
};

struct rb_ssh_options {
    struct rb_ssh_target target;
    const char *command;    /* one text for the user's login shell over there, as ssh passes it on */
    const void *stdin_data; /* copied; NULL or of no length: empty input (/dev/null) */
    size_t stdin_len;
    int stdin_fd; /* > 2: a regular file that follows stdin_data, from its beginning; borrowed until on_done */
    /* > 2: output goes there and not to result.out; borrowed until on_done. ssh makes it non-blocking, which a pipe's
     * other holders notice */
    int stdout_fd;
    size_t max_output; /* for each stream */
    uint64_t drain_ms; /* how long to wait for end of file after the session has ended */
    /* The session is open: from now on it has begun. May be NULL. */
    void (*on_opened)(void *arg);
    /* As in proc.h; may be NULL. What it is given is captured all the same. */
    void (*on_output)(void *arg, int stream, const char *data, size_t len);
    /* Once, never from within rb_ssh_start(). `result` is borrowed; captures may be taken with rb_buf_detach(). */
    void (*on_done)(void *arg, struct rb_ssh_result *result);
    void *arg;
};

/* Non-zero: nothing was begun and on_done will not come. RB_EINVAL: a target that can not be; RB_ETOOBIG: a command
 * that no shell takes (128 KiB); RB_EDENIED: the folder of the control sockets is not ours alone; RB_EIO: the
 * system. */
int rb_ssh_start(struct rb_loop *loop, const struct rb_ssh_options *opt, struct rb_ssh **out, struct rb_err *err);

/* Lets go of it: the session's channel is closed, on_done follows soon with RB_SSH_CLOSED, with RB_SSH_NOT_STARTED and
 * RB_SSH_WHY_NONE when it was not sent yet, or with what had happened before. sshd does not end the command by that;
 * whoever wants it ended says so over there in another session. */
void rb_ssh_close(struct rb_ssh *s);

/* Whether a connection to it stands, so that a session would call nobody. */
bool rb_ssh_stands(struct rb_loop *loop, const struct rb_ssh_target *target);

/* A text that was found out about the machine behind a target and holds as long as a connection to it stands: kept
 * with its master, gone when that dies. recall: borrowed until the next turn, NULL when nothing is known. */
enum rb_ssh_fact { RB_SSH_PLACE, RB_SSH_SHELL, RB_SSH_FACTS };
void rb_ssh_remember(struct rb_loop *loop, const struct rb_ssh_target *target, enum rb_ssh_fact fact, const char *text);
const char *rb_ssh_recall(struct rb_loop *loop, const struct rb_ssh_target *target, enum rb_ssh_fact fact);

#endif
