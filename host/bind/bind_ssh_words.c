/* Owns the words of what went wrong on the way to a host: what came back, and what to do. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "bind/bind_ssh.h"

void rb_ssh_kind(enum rb_ssh_why why, char kind[32])
{
    snprintf(kind, 32, "ssh.%s", why == RB_SSH_WHY_NONE ? "lost" : rb_ssh_why_name(why));
}

/* A word for a shell, in quotes where it needs them. */
static void add_word(struct rb_buf *out, const char *word)
{
    struct rb_err err;
    if (word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+=:,./-")])
        rb_far_quote(out, word, strlen(word), &err);
    else
        rb_buf_adds(out, word);
}

void rb_ssh_words_command(struct rb_buf *out, const struct rb_ssh_target *t, const char *options)
{
    rb_buf_addf(out, "ssh %s", options);
    const char *const words[][2] = {{"-F ", t->config}, {"-i ", t->identity}, {"-J ", t->jump}};
    for (size_t i = 0; i < RB_COUNT(words); i++) {
        if (!words[i][1])
            continue;
        rb_buf_adds(out, words[i][0]);
        add_word(out, words[i][1]);
        rb_buf_addc(out, ' ');
    }
    if (t->port)
        rb_buf_addf(out, "-p %d ", t->port);
    if (t->user) {
        add_word(out, t->user);
        rb_buf_addc(out, '@');
    }
    add_word(out, t->host);
}

/* What stands between two texts, or up to the end; its length. */
static const char *between(const char *text, const char *before, const char *after, size_t *n)
{
    const char *p = strstr(text, before), *end;
    if (!p)
        return NULL;
    p += strlen(before);
    end = after ? strstr(p, after) : p + strlen(p);
    *n = end ? (size_t)(end - p) : 0;
    return *n ? p : NULL;
}

/* How the key that is known is forgotten, as far as io/ssh_why.c could read where it stands. */
static void add_forget(struct rb_buf *out, const struct rb_ssh_target *t, const char *text)
{
    char word[600];
    size_t n;
    rb_buf_adds(out, "ssh-keygen ");
    const char *p = between(text, ", and another stands in ", NULL, &n);
    while (p && n && p[n - 1] != ':') /* the line behind the file's name */
        n--;
    if (p && n > 1) {
        snprintf(word, sizeof(word), "%.*s", (int)n - 1, p);
        rb_buf_adds(out, "-f ");
        add_word(out, word);
        rb_buf_addc(out, ' ');
    }
    rb_buf_adds(out, "-R ");
    p = between(text, "the host key of ", " has changed", &n);
    if (p)
        snprintf(word, sizeof(word), "%.*s", (int)n, p);
    else if (t->port && t->port != 22)
        snprintf(word, sizeof(word), "[%s]:%d", t->host, t->port);
    else
        snprintf(word, sizeof(word), "%s", t->host);
    add_word(out, word);
}

void rb_ssh_words_why(struct rb_buf *out, const struct rb_ssh_target *t, enum rb_ssh_why why, const char *text)
{
    switch (why) {
    case RB_SSH_WHY_NAME:
        rb_buf_addf(out, "the name of the host was not found (%.300s); look for it in DNS and in ssh's configuration",
                    text);
        break;
    case RB_SSH_WHY_REFUSED:
        rb_buf_addf(out, "the connection was refused (%.300s); is sshd running there, and is the port right?", text);
        break;
    case RB_SSH_WHY_TIMEOUT:
        rb_buf_addf(out, "no connection within %.3gs (%.300s); connect_timeout gives it longer, `",
                    (double)t->connect_ms / 1000, text);
        rb_ssh_words_command(out, t, "-v ");
        rb_buf_adds(out, "` shows where it hangs");
        break;
    case RB_SSH_WHY_UNREACHABLE:
        rb_buf_addf(out, "the host can not be reached (%.300s); look at the network between here and there", text);
        break;
    case RB_SSH_WHY_HOST_KEY:
        rb_buf_addf(out, "nobody has said yet that this key is the host's (%.300s); compare it, then accept it with `",
                    text);
        rb_ssh_words_command(out, t, "-o StrictHostKeyChecking=ask ");
        rb_buf_adds(out, " true`, which asks");
        break;
    case RB_SSH_WHY_HOST_KEY_CHANGED:
        rb_buf_addf(out,
                    "the host's key is another than the one that is known (%.300s): it was set up anew, or somebody "
                    "stands between. When you know that it is right: `",
                    text);
        add_forget(out, t, text);
        rb_buf_adds(out, "`, then accept the new one with `");
        rb_ssh_words_command(out, t, "-o StrictHostKeyChecking=ask ");
        rb_buf_adds(out, " true`");
        break;
    case RB_SSH_WHY_AUTH:
        rb_buf_addf(out, "it lets nobody in with what was offered (%.300s); try `", text);
        rb_ssh_words_command(out, t, "-o BatchMode=yes ");
        rb_buf_adds(out, " true`: a password is never asked for, a key is in a file or an agent");
        break;
    case RB_SSH_WHY_CONFIG: rb_buf_addf(out, "ssh does not accept its configuration: %.400s", text); break;
    case RB_SSH_WHY_SESSION:
        rb_buf_addf(out, "the server opens no session (%.300s); its log says why (MaxSessions, the user's shell)",
                    text);
        break;
    case RB_SSH_WHY_CLIENT:
        rb_buf_addf(out, "ssh can not be run here (%.300s); it is in the package openssh-client", text);
        break;
    case RB_SSH_WHY_LOST:
    case RB_SSH_WHY_NONE:
        rb_buf_addf(out, "the connection was lost before the command was accepted (%.300s)", text);
        break;
    }
}
