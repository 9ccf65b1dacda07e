/* The multiplexing protocol of OpenSSH's client (PROTOCOL.mux, version 4), from the client's side: one connection to a
 * master's control socket, which carries one request. Only for io/ssh*.c.
 *
 * A packet is a length and that many bytes: a type, then numbers (32 bits, the high byte first) and texts (a length
 * and its bytes). What comes in is not trusted: a length has a cap, a text ends where its packet does. */
#ifndef RB_SSH_MUX_H
#define RB_SSH_MUX_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

/* A request that is longer the master does not take. */
#define RB_MUX_REQUEST_MAX (256 * 1024)
/* What a master says is short; more than this is none. */
#define RB_MUX_REPLY_MAX (64 * 1024)

/* -- packets ------------------------------------------------------------------------------------------------------- */

#define RB_MUX_HELLO 0x00000001u
#define RB_MUX_C_NEW_SESSION 0x10000002u
#define RB_MUX_C_ALIVE 0x10000004u
#define RB_MUX_S_DENIED 0x80000002u
#define RB_MUX_S_FAILURE 0x80000003u
#define RB_MUX_S_EXIT 0x80000004u
#define RB_MUX_S_ALIVE 0x80000005u
#define RB_MUX_S_OPENED 0x80000006u
#define RB_MUX_S_TTY_FAIL 0x80000008u

struct rb_mux_message {
    uint32_t type;
    uint32_t request; /* DENIED, FAILURE, ALIVE, OPENED: which it answers */
    uint32_t session; /* OPENED, EXIT, TTY_FAIL */
    uint32_t value;   /* HELLO: version; EXIT: code; ALIVE: process id */
    char text[256];   /* DENIED, FAILURE: why, printable, perhaps cut */
};

void rb_mux_put_hello(struct rb_buf *out);
void rb_mux_put_session(struct rb_buf *out, uint32_t request, const char *command);
void rb_mux_put_alive(struct rb_buf *out, uint32_t request);

/* Takes one message from the n bytes at p. Returns how many it took, 0 when it is not all there yet, RB_EINVAL for what
 * no master says. */
long rb_mux_take(const char *p, size_t n, struct rb_mux_message *out, struct rb_err *err);

/* -- a connection -------------------------------------------------------------------------------------------------- */

enum rb_mux_end {
    RB_MUX_UNREACHED, /* it did not take the whole request: nothing has begun */
    RB_MUX_REFUSED,   /* the master says no (the server opens no session): nothing has begun */
    RB_MUX_DENIED,    /* the master may not be used: nothing has begun */
    RB_MUX_UNSURE,    /* it had the request, and went away without a word or talked nonsense */
    RB_MUX_EXITED,    /* the session was opened and has ended, with `code` */
    RB_MUX_CLOSED,    /* the session was opened and has ended, without a code */
    RB_MUX_ALIVE,     /* the answer to the other request */
};

struct rb_mux_options {
    const char *path;    /* of the control socket */
    const char *command; /* a session; NULL: is the master alive? */
    /* session: its standard streams; borrowed until on_opened or on_end. Each is made non-blocking */
    int fds[3];
    /* The session is open; may be NULL. */
    void (*on_opened)(void *arg, uint32_t session);
    /* The command has ended, its session may be open still; may be NULL. */
    void (*on_exit)(void *arg, int code);
    /* Once, never from within start; the connection frees itself after it. code: EXITED. text: a line, never NULL. */
    void (*on_end)(void *arg, enum rb_mux_end end, int code, const char *text);
    void *arg;
};

struct rb_mux;

/* Non-zero: nothing was said to anybody and on_end will not come. RB_ENOENT: nobody listens there; RB_EIO: the system;
 * RB_ETOOBIG: the command is too long; RB_EAGAIN: the master is busy, try again soon. */
int rb_mux_start(struct rb_loop *loop, const struct rb_mux_options *opt, struct rb_mux **out, struct rb_err *err);

/* Has the master (or may it have) the whole request? */
bool rb_mux_is_sent(const struct rb_mux *m);

/* Hangs up; on_end will not come. May be called from the callbacks but on_end. */
void rb_mux_close(struct rb_mux *m);

#endif
