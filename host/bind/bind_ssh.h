/* What the files of ssh in bind/ share: where to, a command on its way, and what is said of how it ended. For
 * bind_ssh*.c; the doctor in front/ takes its words from here. */
#ifndef RB_BIND_SSH_H
#define RB_BIND_SSH_H

#include <lua.h>

#include "base/json.h"
#include "engine/effect.h"
#include "io/ssh.h"
#include "io/ssh_far.h"
#include "io/timer.h"

#define RB_SSH_GRACE_MS 5000 /* between TERM and KILL over there */
#define RB_SSH_STDIN_MAX ((size_t)256 << 20)
#define RB_SSH_ARGS_MAX ((size_t)8 << 20)

/* Where to. The texts are owned but for the configuration's file. */
struct ssh_where {
    char *name; /* as the runbook calls it */
    char *host, *user, *identity, *jump, *config;
    int port;
    unsigned starting; /* as in rb_ssh_target */
    uint64_t connect_ms, idle_ms;
};
void rb_ssh_where_release(struct ssh_where *w);
struct rb_ssh_target rb_ssh_where_target(const struct ssh_where *w); /* borrows */

/* -- bind_ssh_args.c ----------------------------------------------------------------------------------------------- */

/* [-0, +0, e] the host of the table at 1: its parts, what the policy is asked, and "host", "user" … of the arguments
 * that are shown. */
void rb_ssh_read_where(lua_State *L, const char *verb, struct rb_effect *e, struct ssh_where *w, struct rb_json *j);
/* [-0, +0, e] sudo of the table at 1: whether, and its password as a copy, or NULL. */
bool rb_ssh_read_sudo(lua_State *L, const char *verb, char **password, struct rb_json *j);
/* [-0, +0, e] a text or a secret of the table at 1, expanded, as a copy of *len bytes; NULL when it is absent. Its size
 * and the digest of what may be shown of it are written under the key. */
char *rb_ssh_read_bytes(lua_State *L, const char *verb, const char *field, size_t max, size_t *len, struct rb_json *j);
void rb_ssh_wipe(char *text, size_t len); /* and frees it; NULL is one */

/* -- bind_ssh_place.c ---------------------------------------------------------------------------------------------- */

/* Where a command starts, as its intent keeps it: the machine that was found, and how it was reached. */
void rb_ssh_place_write(const struct ssh_where *w, const struct rb_far_place *place, struct rb_buf *json);
int rb_ssh_place_read(const char *json, size_t len, struct ssh_where *w, struct rb_far_place *place,
                      struct rb_err *err);
/* Marks a place: the outcome came with the launch itself, nothing can start it any more, so its receipt may go wholly
 * and not only be emptied. */
void rb_ssh_place_over(struct rb_buf *json);
/* rb_effect_type.recorded: the receipt is emptied a moment later, with others. */
void rb_ssh_recorded(struct rb_loop *loop, const char *place, const char *id);

/* -- bind_ssh_say.c ------------------------------------------------------------------------------------------------ */

/* One request to a host, in a session of its own; the answer is its output. */
struct ssh_say;
struct ssh_said {
    bool ran;  /* its session came to an end by itself, with code; else nothing can be said */
    bool late; /* there was no end of it in time, which is why it did not */
    int code;
    enum rb_ssh_why why; /* why it was not begun */
    const char *text;    /* borrowed for the call, one line */
    const char *out;
    size_t out_len;
};
/* fn once, never from within; then *say is gone. Releases the request. NULL: err says why, fn does not come. */
struct ssh_say *rb_ssh_say(struct rb_loop *loop, const struct rb_ssh_target *target, struct rb_far_request *r,
                           void (*fn)(void *arg, const struct ssh_said *said), void *arg, struct rb_err *err);
/* It is closed so long after its session was opened; two minutes when nobody says so. */
void rb_ssh_say_within(struct ssh_say *s, uint64_t ms);
/* fn will not come any more; what was asked is still asked. drop: not even that. */
void rb_ssh_say_leave(struct ssh_say *s);
void rb_ssh_say_drop(struct ssh_say *s);

/* -- bind_ssh_words.c ---------------------------------------------------------------------------------------------- */

/* What it is for people when it was not begun: what was tried, what came back, what to do. */
void rb_ssh_words_why(struct rb_buf *out, const struct rb_ssh_target *t, enum rb_ssh_why why, const char *text);
/* "ssh -F FILE -p 2222 deploy@web1": how a person gets there in a shell, with these words between. */
void rb_ssh_words_command(struct rb_buf *out, const struct rb_ssh_target *t, const char *options);
/* "ssh.refused" */
void rb_ssh_kind(enum rb_ssh_why why, char kind[32]);
/* What answers is none that can run commands. */
#define RB_SSH_NO_SHELL "the shell over there did not answer as one (a forced command, an account without a shell?)"

#endif
