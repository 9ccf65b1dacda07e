/* Owns the reading of what comes back from the shell on another machine. Pure: bytes in, a state out. What the rc files
 * of a login shell say before the first line of an answer is passed over. */
#include <stdlib.h>
#include <string.h>

#include "io/ssh_far.h"

#define LINE_MAX_BYTES 4096
#define GREETING "rbhost-far 1"

static void copy_word(char *out, size_t size, const char *from, size_t len)
{
    size_t n = len < size - 1 ? len : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? ' ' : from[i];
    out[n] = '\0';
}

static const char *after(const char *line, const char *word)
{
    size_t n = strlen(word);
    return strncmp(line, word, n) == 0 ? line + n : NULL;
}

/* The line that begins with `mark`, at the start of a line or behind what was said without a line end. Returns where
 * the mark ends, *end where the line does; NULL: it is not there, or not whole. */
static const char *find_line(const char *data, size_t len, const char *mark, const char **end)
{
    const char *at = memmem(data, len, mark, strlen(mark));
    if (!at)
        return NULL;
    at += strlen(mark);
    *end = memchr(at, '\n', (size_t)(data + len - at));
    return *end ? at : NULL;
}

/* Whether the shell at this path reads words, quotes, `;`, `$$` and `exec` as POSIX has them. sshd sets SHELL to the
 * login shell; nobody has to believe it blindly (see rb_far_plain()). */
static bool is_posix(const char *path, size_t len)
{
    static const char *const names[] = {"sh", "bash", "dash", "ash", "ksh", "ksh93", "mksh", "lksh", "yash", "zsh"};
    const char *slash = memrchr(path, '/', len);
    const char *name = slash ? slash + 1 : path;
    size_t n = (size_t)(path + len - name);
    for (size_t i = 0; i < RB_COUNT(names); i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
            return true;
    return false;
}

size_t rb_far_strip(const char *data, size_t len, struct rb_far_head *head)
{
    *head = (struct rb_far_head){0};
    const char *end, *refused_end;
    const char *pid = find_line(data, len, "rbhost-pid ", &end);
    const char *refused = find_line(data, len, "rbhost-no ", &refused_end);
    if (refused && (!pid || refused < pid)) {
        copy_word(head->why, sizeof(head->why), refused, (size_t)(refused_end - refused));
        return (size_t)(refused_end + 1 - data);
    }
    if (!pid)
        return 0;
    char *shell;
    long n = strtol(pid, &shell, 10);
    if (shell <= end) { /* not a number of the next line */
        head->pid = n;
        shell += *shell == ' ';
        head->posix = is_posix(shell, (size_t)(end - shell));
    }
    return (size_t)(end + 1 - data);
}

int rb_far_read_place(const char *answer, size_t len, struct rb_far_place *out, struct rb_err *err)
{
    *out = (struct rb_far_place){0};
    const char *end;
    const char *at = find_line(answer, len, "rbhost-place 1 ", &end);
    if (!at)
        return rb_err_set(err, RB_EIO, "no POSIX shell answers there: %.*s", (int)(len < 200 ? len : 200), answer);
    char *const words[] = {out->root, out->boot, out->machine, out->user};
    for (size_t i = 0; i < RB_COUNT(words); i++) {
        size_t n = 0;
        while (at + n < end && at[n] != ' ')
            n++;
        if (n != 1 || at[0] != '-')
            copy_word(words[i], sizeof(out->root), at, n);
        at += n + (at + n < end);
    }
    copy_word(out->why, sizeof(out->why), at, (size_t)(end - at));
    if (out->root[0] && (!out->boot[0] || !out->machine[0])) {
        out->root[0] = '\0';
        const char *why = "nothing tells when the machine was started, or which it is";
        copy_word(out->why, sizeof(out->why), why, strlen(why));
    }
    return RB_OK;
}

void rb_far_answer_init(struct rb_far_answer *a)
{
    *a = (struct rb_far_answer){0};
    rb_buf_init(&a->pending, LINE_MAX_BYTES);
}

void rb_far_answer_release(struct rb_far_answer *a)
{
    rb_buf_release(&a->pending);
}

static bool settled(const struct rb_far_answer *a)
{
    return a->state != RB_FAR_NOTHING && a->state != RB_FAR_RUNNING;
}

static int settle(struct rb_far_answer *a, enum rb_far_state state, const char *why)
{
    a->state = state;
    copy_word(a->why, sizeof(a->why), why, strlen(why));
    return RB_OK;
}

/* ended CODE SIGNAL TIMED-OUT STOPPED HELD-OPEN TOTAL-OUT TOTAL-ERR DISK-FULL */
static int take_end(struct rb_far_answer *a, const char *text, struct rb_err *err)
{
    unsigned long long n[8];
    for (size_t i = 0; i < RB_COUNT(n); i++) {
        char *end;
        n[i] = strtoull(text, &end, 10);
        if (end == text)
            return rb_err_set(err, RB_ECORRUPT, "the shell over there tells an end that can not be read");
        text = end;
    }
    a->code = n[1] ? -1 : (int)n[0];
    a->signal = (int)n[1];
    a->timed_out = n[2] != 0;
    a->stopped = n[3] != 0;
    a->held_open = n[4] != 0;
    a->total[0] = n[5];
    a->total[1] = n[6];
    a->disk_full = n[7] != 0;
    return settle(a, RB_FAR_ENDED, a->disk_full ? "the disk over there is full: not all of its output was kept" : "");
}

static int take_frame(struct rb_far_answer *a, int stream, const char *length)
{
    a->frame_stream = stream;
    a->frame_left = strtoull(length, NULL, 10);
    return RB_OK;
}

static int take_line(struct rb_far_answer *a, const char *line, struct rb_err *err)
{
    const char *rest;
    if (!a->greeted) {
        size_t len = strlen(line), n = strlen(GREETING);
        a->greeted = len >= n && strcmp(line + len - n, GREETING) == 0;
        return RB_OK;
    }
    if ((rest = after(line, "out ")))
        return take_frame(a, 1, rest);
    if ((rest = after(line, "err ")))
        return take_frame(a, 2, rest);
    if ((rest = after(line, "run "))) {
        a->state = RB_FAR_RUNNING;
        a->pid = strtol(rest, NULL, 10);
        return RB_OK;
    }
    if ((rest = after(line, "ended ")))
        return take_end(a, rest, err);
    if ((rest = after(line, "refused ")))
        return settle(a, RB_FAR_REFUSED, rest);
    if (after(line, "absent"))
        return settle(a, RB_FAR_ABSENT, "");
    if ((rest = after(line, "unknown ")))
        return settle(a, RB_FAR_UNKNOWN, rest);
    if ((rest = after(line, "elsewhere ")))
        return settle(a, RB_FAR_ELSEWHERE, rest);
    if ((rest = after(line, "running "))) {
        char *why;
        a->pid = strtol(rest, &why, 10);
        return settle(a, RB_FAR_RUNNING, why + (*why == ' '));
    }
    if ((rest = after(line, "forgot "))) {
        char *end;
        a->removed = strtol(rest, &end, 10);
        a->left = strtol(end, NULL, 10);
        return settle(a, RB_FAR_ABSENT, "");
    }
    return rb_err_set(err, RB_ECORRUPT, "the shell over there says what can not be read: %.200s", line);
}

int rb_far_answer_feed(struct rb_far_answer *a, const char *data, size_t len, struct rb_err *err)
{
    while (len && !settled(a) && !a->corrupt) {
        if (a->frame_left) {
            size_t n = len < a->frame_left ? len : (size_t)a->frame_left;
            a->frame_left -= n;
            if (a->on_output)
                a->on_output(a->arg, a->frame_stream, data, n);
            data += n;
            len -= n;
            continue;
        }
        const char *end = memchr(data, '\n', len);
        size_t n = end ? (size_t)(end - data) : len;
        rb_buf_add(&a->pending, data, n);
        data += n;
        len -= n;
        if (!end)
            break;
        data++;
        len--;
        int rc = a->pending.cut && a->greeted
                     ? rb_err_set(err, RB_ECORRUPT, "the shell over there says too long a line")
                     : take_line(a, rb_buf_text(&a->pending), err);
        rb_buf_reset(&a->pending);
        if (rc < 0) {
            a->corrupt = true;
            return rc;
        }
    }
    return RB_OK;
}
