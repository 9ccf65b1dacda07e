/* Whoever shows a run while it goes: a live tree on a terminal, one line an event off one, JSON lines for programs. */
#ifndef RB_DISPLAY_H
#define RB_DISPLAY_H

#include "base/json.h"
#include "front/view.h"

struct rb_display {
    struct rb_cli *cli;   /* borrowed */
    struct rb_view *view; /* borrowed; has already taken the event that is shown */
    /* An event has become durable. node: whose it is (may be NULL); data: its JSON (may be NULL). */
    void (*event)(struct rb_display *d, const struct rb_event *ev, struct rb_node *node, const json_t *data);
    /* Live output, provisional. */
    void (*output)(struct rb_display *d, int64_t op, const char *key, int stream, const char *data, size_t n);
    /* Somebody else is about to write to the terminal, and afterwards. May be NULL. */
    void (*hide)(struct rb_display *d);
    void (*show)(struct rb_display *d);
    /* A question at the terminal: lines above it (may be NULL) and the prompt, without a line end; then the line that
     * was typed, or NULL: it was withdrawn. Both may be NULL: questions are written as they are. */
    void (*ask)(struct rb_display *d, const char *block, const char *question);
    void (*asked)(struct rb_display *d, const char *line);
    /* The last word: exit code, and the commands that go on (lines). May be NULL. */
    void (*end)(struct rb_display *d, int exit_code, const char *next);
    void (*free)(struct rb_display *d);
};

struct rb_display *rb_plain_new(struct rb_cli *cli, struct rb_view *view);
struct rb_display *rb_jsonout_new(struct rb_cli *cli, struct rb_view *view);
struct rb_display *rb_tty_new(struct rb_cli *cli, struct rb_view *view, struct rb_loop *loop);
/* The one that fits: --json, a terminal that can be redrawn, or plain lines. loop: for the live tree's clock; NULL:
 * never live. */
struct rb_display *rb_display_new(struct rb_cli *cli, struct rb_view *view, struct rb_loop *loop);

/* One event as one line without its end: "03:04:05  pass      Roll out / web1  (1.2s)". False: it has none. */
bool rb_plain_event(struct rb_buf *out, const char *run, const struct rb_event *ev, const struct rb_node *node,
                    const json_t *data);
/* One event as one JSON object and a line end. */
void rb_jsonout_event(struct rb_buf *out, const char *run, const struct rb_event *ev);
/* Adds a member: a time as RFC 3339 text; nothing for 0. */
void rb_jsonout_time(struct rb_json *j, const char *key, int64_t wall_us);
/* Adds a member: an array of the lines of a text (may be NULL). */
void rb_jsonout_lines(struct rb_json *j, const char *key, const char *lines);
/* {"type":"version",…} and a line end: the first line of every JSON stream. */
void rb_jsonout_version(struct rb_buf *out);

/* The table of a run's checks: stage, check, verdict, proof. checks.c */
void rb_checks_table(const struct rb_view *v, struct rb_buf *out);

#endif
