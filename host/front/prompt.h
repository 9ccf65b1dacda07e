/* Questions to the person at the terminal, one at a time, a line each; the loop goes on meanwhile. The terminal stays
 * in its normal line mode, so nothing has to be restored after a crash. */
#ifndef RB_PROMPT_H
#define RB_PROMPT_H

#include "front/display.h"
#include "loop/loop.h"

struct rb_prompt;

struct rb_prompt_options {
    struct rb_cli *cli; /* borrowed, as all here */
    struct rb_loop *loop;
    struct rb_view *view;
    struct rb_display *display;
    /* A decision was taken: kind, target and data as for rb_run_decide(). An error is shown and the question asked
     * again. */
    int (*decide)(void *arg, const char *kind, const char *target, const char *data_json, struct rb_err *err);
    /* End of input at a question (Ctrl-D). */
    void (*on_eof)(void *arg);
    void *arg;
};

/* NULL when the terminal can not be read. */
struct rb_prompt *rb_prompt_new(const struct rb_prompt_options *opt);
/* Looks at view->open: asks what is not asked yet, withdraws what somebody else has answered. After each event. */
void rb_prompt_update(struct rb_prompt *p);
/* A question of the caller's own, when nothing else is asked: on_line gets the answer without spaces around it;
 * returning false asks again (without `block`). `block` (lines, may be NULL) stands above. */
void rb_prompt_ask(struct rb_prompt *p, const char *block, const char *prompt,
                   bool (*on_line)(void *arg, const char *line));
/* The process has come back to the foreground. */
void rb_prompt_resume(struct rb_prompt *p);
void rb_prompt_free(struct rb_prompt *p); /* the handle closes with the loop's release */

/* Blocking questions, before the loop runs. The answer without its line end into out; hidden: without echo.
 * RB_ECANCELED at end of input. */
int rb_prompt_read(const char *question, bool hidden, struct rb_buf *out);

#endif
