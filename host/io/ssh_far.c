/* Owns what is said to the shell on another machine: one line for the login shell, and what follows on standard input.
 * The texts themselves are in ssh_far/, the answers are read in ssh_far_answer.c. Knows no connection.
 *
 * Three kinds of shell read a request. The user's login shell, which may be csh or fish, sees only a line of words that
 * all shells read the same (plain_word()), unless it is known to read as /bin/sh does (add_line()). That line starts
 * /bin/sh, which reads the rest from its input a line at a time: first the text, with what it is to do set before it;
 * then, for a command, what that is (add_what()), which may be secret and so never is an argument or a file. What is
 * left is the command's own input. */
#include "io/ssh_far.h"

#include <string.h>
#include <sys/random.h>

#include "io/ssh_far_sh.h"
#ifdef RB_FAULT
#include <stdlib.h>
#endif

#define REQUEST_MAX ((size_t)1 << 31)
#define LINE_MAX_BYTES 900 /* old csh takes words of 1,024 bytes */
#define ID_MAX 100
#define OUTPUT_MAX ((uint64_t)1 << 50)
#define SHELL "exec /bin/sh -c 'IFS= read -r rb_s&&eval \"$rb_s\"' rbhost"

void rb_far_request_release(struct rb_far_request *r)
{
    if (r->input.data)
        explicit_bzero(r->input.data, r->input.cap);
    rb_buf_release(&r->input);
    rb_buf_release(&r->command);
}

int rb_far_quote(struct rb_buf *out, const char *word, size_t len, struct rb_err *err)
{
    if (memchr(word, '\0', len))
        return rb_err_set(err, RB_EINVAL, "a word for a shell can not hold a NUL");
    rb_buf_addc(out, '\'');
    for (size_t i = 0; i < len; i++) {
        if (word[i] == '\'')
            rb_buf_adds(out, "'\\''");
        else
            rb_buf_addc(out, word[i]);
    }
    rb_buf_addc(out, '\'');
    return out->cut ? rb_err_set(err, RB_ETOOBIG, "a command is too large for a shell") : RB_OK;
}

/* A word within one line of sh: as rb_far_quote(), with line ends from a variable. */
static void add_word(struct rb_buf *out, const char *word)
{
    rb_buf_addc(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            rb_buf_adds(out, "'\\''");
        else if (*word == '\n')
            rb_buf_adds(out, "'\"$rb_nl\"'");
        else
            rb_buf_addc(out, *word);
    }
    rb_buf_addc(out, '\'');
}

static void add_set(struct rb_buf *out, const char *name, const char *value)
{
    rb_buf_addf(out, "%s=", name);
    add_word(out, value ? value : "");
    rb_buf_addc(out, ';');
}

/* Between single quotes every shell takes it as it stands. */
static bool plain_word(const char *word)
{
    for (; *word; word++)
        if (*word < 0x20 || *word > 0x7e || strchr("'!\\", *word))
            return false;
    return true;
}

static void begin(struct rb_far_request *out)
{
    rb_buf_init(&out->command, 4096);
    rb_buf_init(&out->input, REQUEST_MAX);
}

static int finish(struct rb_far_request *out, struct rb_err *err)
{
    if (!out->input.cut && !out->command.cut)
        return RB_OK;
    rb_far_request_release(out);
    return rb_err_set(err, RB_ETOOBIG, "a command and its input are more than can be sent (2 GiB)");
}

/* Begins a request to /bin/sh that sets things before its text. */
static void begin_text(struct rb_far_request *out)
{
    begin(out);
    rb_buf_adds(&out->command, SHELL);
    unsigned char random[16] = {0};
    while (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        ;
    rb_buf_adds(&out->input, "rb_own_id=");
    for (size_t i = 0; i < sizeof(random); i++)
        rb_buf_addf(&out->input, "%02x", random[i]);
    rb_buf_addc(&out->input, ';');
#ifdef RB_FAULT
    add_set(&out->input, "rb_fault", getenv("RBHOST_FAR_FAULT"));
    rb_buf_addf(&out->input, "%s;", rb_far_sh_fault);
#endif
}

static void add_text(struct rb_far_request *out, const char *text)
{
    rb_buf_addf(&out->input, "%s;", text);
}

/* The verb that the texts before it have made. Ends the line. */
static void end_text(struct rb_far_request *out, const char *verb)
{
    rb_buf_addf(&out->input, "%s\n", verb);
}

/* What is a name for `export`, and none that a shell keeps for itself. */
static bool variable_ok(const char *name, size_t len)
{
    static const char *const kept[] = {"UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO", "IFS"};
    if (len == 0 || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    for (size_t i = 0; i < RB_COUNT(kept); i++)
        if (strlen(kept[i]) == len && memcmp(kept[i], name, len) == 0)
            return false;
    return true;
}

static int check_command(const struct rb_far_command *c, struct rb_err *err)
{
    if (c->argv && (!c->argv[0] || !c->argv[0][0]))
        return rb_err_set(err, RB_EINVAL, "a command must have a name");
    if (c->argv && c->argv[0][0] == '-')
        return rb_err_set(err, RB_EINVAL, "a command's name can not begin with \"-\": \"%s\"", c->argv[0]);
    for (size_t i = 0; c->env && c->env[i]; i++) {
        size_t len = strcspn(c->env[i], "=");
        if (!c->env[i][len] || !variable_ok(c->env[i], len))
            return rb_err_set(err, RB_EINVAL, "\"%.*s\" is no variable that a shell can set", (int)len, c->env[i]);
    }
    if (c->sudo_password && strchr(c->sudo_password, '\n'))
        return rb_err_set(err, RB_EINVAL, "a password for sudo can not hold a line end");
    return RB_OK;
}

static void add_argv(struct rb_buf *b, const struct rb_far_command *c)
{
    rb_buf_adds(b, "set --");
    for (size_t i = 0; c->argv && c->argv[i]; i++) {
        rb_buf_addc(b, ' ');
        add_word(b, c->argv[i]);
    }
    if (!c->argv) {
        rb_buf_adds(b, " /bin/sh -c ");
        add_word(b, c->text);
    }
}

/* The line that says what is to be run (rb_take() in ssh_far/sudo.sh). */
static void add_what(struct rb_buf *b, const struct rb_far_command *c)
{
    rb_buf_adds(b, "rb_nl=$(printf \"\\nx\");rb_nl=${rb_nl%x};");
    rb_buf_adds(b, "rb_cwd=");
    if (c->cwd && c->cwd[0] != '/') /* not an option, not a word of cd's own, not sought in CDPATH */
        rb_buf_adds(b, "./");
    add_word(b, c->cwd ? c->cwd : "");
    rb_buf_addc(b, ';');
    add_set(b, "rb_sudo", c->sudo ? "1" : "");
    add_set(b, "rb_password", c->sudo ? c->sudo_password : "");
    rb_buf_adds(b, "rb_names=");
    for (size_t i = 0; c->env && c->env[i]; i++)
        rb_buf_addf(b, "%s%.*s", i ? "," : "", (int)strcspn(c->env[i], "="), c->env[i]);
    rb_buf_adds(b, ";rb_env() { ");
    for (size_t i = 0; c->env && c->env[i]; i++) {
        size_t len = strcspn(c->env[i], "=");
        rb_buf_addf(b, "export %.*s=", (int)len, c->env[i]);
        add_word(b, c->env[i] + len + 1);
        rb_buf_addc(b, ';');
    }
    rb_buf_adds(b, ":; };");
    add_argv(b, c);
    rb_buf_addc(b, '\n');
}

static void add_times(struct rb_far_request *out, uint64_t timeout_ms, uint64_t grace_ms)
{
    rb_buf_addf(&out->input, "rb_timeout=%llu;rb_grace=%llu;", (unsigned long long)timeout_ms,
                (unsigned long long)grace_ms);
}

/* The cheapest: all is on the line, and the shell becomes the command: /bin/sh, or the login shell itself when it is
 * known to read the same, which saves the start of a program. False: it has no place there. */
static bool add_line(struct rb_buf *b, const struct rb_far_command *c)
{
    if ((c->env && c->env[0]) || c->cwd || c->sudo || c->timeout_ms)
        return false;
    if (c->posix_login)
        rb_buf_adds(b, c->argv ? "echo rbhost-pid $$;exec" : "echo rbhost-pid $$;exec /bin/sh -c '");
    else
        rb_buf_adds(b, "exec /bin/sh -c 'echo rbhost-pid $$ $SHELL;");
    if (!c->argv) {
        rb_buf_addf(b, "%s'", c->text);
        return plain_word(c->text) && !b->cut && b->len < LINE_MAX_BYTES;
    }
    if (!c->posix_login)
        rb_buf_adds(b, "exec \"$@\"' rbhost");
    for (size_t i = 0; c->argv[i]; i++) {
        if (!plain_word(c->argv[i]))
            return false;
        rb_buf_addf(b, " '%s'", c->argv[i]);
    }
    return !b->cut && b->len < LINE_MAX_BYTES;
}

int rb_far_plain(const struct rb_far_command *c, struct rb_far_request *out, struct rb_err *err)
{
    int rc = check_command(c, err);
    if (rc < 0)
        return rc;
    begin(out);
    if (!add_line(&out->command, c)) {
        rb_far_request_release(out);
        begin_text(out);
        if (c->sudo || c->timeout_ms) {
            add_times(out, c->timeout_ms, c->grace_ms);
            add_text(out, rb_far_sh_common);
            add_text(out, rb_far_sh_sudo);
            add_text(out, rb_far_sh_watched);
            end_text(out, "rb_watched");
        } else {
            end_text(out, rb_far_sh_plain);
        }
        add_what(&out->input, c);
    }
    rb_buf_add(&out->input, c->stdin_data, c->stdin_data ? c->stdin_len : 0);
    return finish(out, err);
}

int rb_far_bare(const struct rb_far_command *c, struct rb_far_request *out, struct rb_err *err)
{
    int rc = check_command(c, err);
    if (rc < 0)
        return rc;
    begin_text(out);
    if (c->sudo) {
        add_text(out, rb_far_sh_common);
        add_text(out, rb_far_sh_sudo);
    }
    end_text(out, rb_far_sh_bare);
    add_what(&out->input, c);
    rb_buf_add(&out->input, c->stdin_data, c->stdin_data ? c->stdin_len : 0);
    return finish(out, err);
}

int rb_far_probe(struct rb_far_request *out, struct rb_err *err)
{
    begin_text(out);
    add_text(out, rb_far_sh_common);
    add_text(out, rb_far_sh_probe);
    end_text(out, "rb_probe");
    return finish(out, err);
}

static int check_id(const char *id, struct rb_err *err)
{
    size_t len = strlen(id);
    if (len == 0 || len > ID_MAX || id[0] == '.' || id[0] == '-' ||
        strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != len || strcmp(id, "id") == 0)
        return rb_err_set(err, RB_EINVAL, "\"%.*s\" can not be a receipt's id", ID_MAX, id);
    return RB_OK;
}

static void begin_receipt(struct rb_far_request *out, const struct rb_far_place *place, const char *id,
                          const char *verb)
{
    begin_text(out);
    add_set(&out->input, "rb_do", verb);
    add_set(&out->input, "rb_root", place->root);
    add_set(&out->input, "rb_boot", place->boot);
    add_set(&out->input, "rb_machine", place->machine);
    add_set(&out->input, "rb_user", place->user);
    add_set(&out->input, "rb_id", id);
    rb_buf_adds(&out->input, "rb_limit=;rb_cancel=;");
}

int rb_far_launch(const struct rb_far_place *place, const char *id, const struct rb_far_command *c,
                  struct rb_far_request *out, struct rb_err *err)
{
    int rc = check_id(id, err);
    if (rc == RB_OK)
        rc = check_command(c, err);
    if (rc < 0)
        return rc;
    begin_receipt(out, place, id, "launch");
    add_times(out, c->timeout_ms, c->grace_ms);
    uint64_t max = c->max_output < OUTPUT_MAX ? c->max_output : OUTPUT_MAX;
    size_t input = c->stdin_data ? c->stdin_len : 0;
    rb_buf_addf(&out->input, "rb_max=%llu;rb_input=%zu;", (unsigned long long)max, input);
    add_text(out, rb_far_sh_common);
    add_text(out, rb_far_sh_sudo);
    add_text(out, rb_far_sh_look);
    end_text(out, rb_far_sh_launch);
    add_what(&out->input, c);
    rb_buf_add(&out->input, c->stdin_data, input);
    return finish(out, err);
}

int rb_far_look(const struct rb_far_place *place, const char *id, bool cancel, uint64_t grace_ms,
                struct rb_far_request *out, struct rb_err *err)
{
    int rc = check_id(id, err);
    if (rc < 0)
        return rc;
    begin_receipt(out, place, id, "look");
    rb_buf_adds(&out->input, cancel ? "rb_cancel=1;" : "");
    add_times(out, 0, grace_ms);
    add_text(out, rb_far_sh_common);
    add_text(out, rb_far_sh_look);
    end_text(out, "rb_out rbhost-far 1;rb_look");
    return finish(out, err);
}

int rb_far_kill(const struct rb_far_place *place, const char *id, long pid, uint64_t grace_ms,
                struct rb_far_request *out, struct rb_err *err)
{
    static const struct rb_far_place nowhere;
    int rc = id ? check_id(id, err) : RB_OK;
    if (rc < 0)
        return rc;
    if (!id && pid <= 1)
        return rb_err_set(err, RB_EINVAL, "%ld is no process group that can be ended", pid);
    begin_receipt(out, place ? place : &nowhere, id ? id : "", "kill");
    add_times(out, 0, grace_ms);
    add_text(out, rb_far_sh_common);
    if (id) {
        rb_buf_addf(&out->input, "rb_cancel=1;rb_limit=%llu;", (unsigned long long)(grace_ms + 8000));
        add_text(out, rb_far_sh_look);
        end_text(out, "rb_out rbhost-far 1;rb_look");
    } else {
        rb_buf_addf(&out->input, "rb_pid=%ld;", pid);
        add_text(out, rb_far_sh_kill);
        end_text(out, "rb_out rbhost-far 1;rb_kill_group");
    }
    return finish(out, err);
}

int rb_far_forget(const struct rb_far_place *place, const char *const *ids, bool all, struct rb_far_request *out,
                  struct rb_err *err)
{
    for (size_t i = 0; ids && ids[i]; i++) {
        int rc = check_id(ids[i], err);
        if (rc < 0)
            return rc;
    }
    begin_receipt(out, place, "", "forget");
    rb_buf_addf(&out->input, "rb_all=%s;rb_days=7;rb_list='", all ? "1" : "");
    for (size_t i = 0; ids && ids[i]; i++)
        rb_buf_addf(&out->input, "%s%s", i ? " " : "", ids[i]);
    rb_buf_adds(&out->input, "';");
    add_text(out, rb_far_sh_common);
    add_text(out, rb_far_sh_forget);
    end_text(out, "rb_out rbhost-far 1;rb_forget");
    return finish(out, err);
}
