/* Owns what exec does to stay out of doubt: its effects run under a receipt below the journal's folder, and a resume
 * looks there (D3 "Receipts"). Where none can be kept the command runs without, and the intent says why. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/jsonscan.h"
#include "bind/bind_exec.h"

/* -- the receipts of a journal, opened at the first effect --------------------------------------------------------- */

struct kept {
    struct rb_loop_guest guest;
    struct rb_receipts *receipts; /* NULL: */
    char why[200];                /* it can not be opened */
};

static void on_release(struct rb_loop_guest *g)
{
    struct kept *k = RB_CONTAINER(g, struct kept, guest);
    if (k->receipts)
        rb_receipts_close(k->receipts);
    free(k);
}

static struct kept *kept_of(struct rb_loop *loop)
{
    struct rb_loop_guest *g = rb_loop_guest_find(loop, on_release);
    return g ? RB_CONTAINER(g, struct kept, guest) : NULL;
}

static struct kept *open_kept(struct rb_effect *e)
{
    struct rb_loop *loop = rb_effect_loop(e);
    struct kept *k = kept_of(loop);
    if (k)
        return k;
    struct rb_err err = {0};
    struct rb_buf path;
    k = rb_alloc(sizeof(*k));
    k->guest.release = on_release;
    rb_buf_init(&path, 8192);
    rb_buf_addf(&path, "%s.d/receipts", rb_effect_journal(e));
    if (rb_receipts_open(rb_buf_text(&path), &k->receipts, &err))
        snprintf(k->why, sizeof(k->why), "%.190s", err.msg);
    rb_buf_release(&path);
    rb_loop_guest_add(loop, &k->guest);
    return k;
}

/* -- places -------------------------------------------------------------------------------------------------------- */

void rb_exec_locate(struct rb_effect *e)
{
    const struct kept *k = open_kept(e);
    struct rb_buf place;
    struct rb_json j;
    rb_buf_init(&place, 4096);
    rb_json_init(&j, &place);
    rb_json_object(&j);
    if (k->receipts) {
        const struct rb_receipt_place *p = rb_receipts_place(k->receipts);
        rb_json_ktext(&j, "root", p->root);
        rb_json_ktext(&j, "boot", p->boot);
        rb_json_ktext(&j, "user", p->user);
    } else {
        rb_json_ktext(&j, "why", k->why);
    }
    rb_json_end_object(&j);
    rb_effect_located(e, place.data, place.len);
    rb_buf_release(&place);
}

static bool read_place(const struct rb_effect *e, struct rb_receipt_place *out)
{
    const char *p = rb_buf_text(&e->place);
    size_t n = e->place.len;
    *out = (struct rb_receipt_place){.root = ""};
    return rb_json_member_text(p, n, "root", out->root, sizeof(out->root)) &&
           rb_json_member_text(p, n, "boot", out->boot, sizeof(out->boot)) &&
           rb_json_member_text(p, n, "user", out->user, sizeof(out->user)) && out->root[0];
}

/* -- starting, and looking ----------------------------------------------------------------------------------------- */

static void on_done(void *arg, struct rb_receipt_result *r)
{
    struct exec_op *op = arg;
    struct rb_effect *e = &op->effect;
    op->receipt = NULL;
    switch (r->state) {
    case RB_RECEIPT_ENDED: rb_exec_ended(op, &r->proc); return;
    case RB_RECEIPT_ABSENT: rb_effect_absent(e); return;
    case RB_RECEIPT_REFUSED:
        rb_effect_failed(e, rb_exec_error_kind(r->err.code), RB_OUTCOME_NOT_STARTED, false, "%s", r->err.msg);
        return;
    case RB_RECEIPT_UNKNOWN:
    case RB_RECEIPT_ELSEWHERE: break;
    }
    if (e->looking)
        rb_effect_unsure(e, r->why);
    else
        rb_effect_failed(e, "exec.lost", RB_OUTCOME_UNKNOWN, false,
                         "`%.200s` was started, and what became of it is not known: %s", op->argv[0], r->why);
}

bool rb_exec_start_receipt(struct exec_op *op, const struct rb_proc_options *opt, int *rc, struct rb_err *err)
{
    struct rb_effect *e = &op->effect;
    struct kept *k = e->receipt ? open_kept(e) : NULL;
    char id[RB_RECEIPT_MAX];
    if (!k || !k->receipts)
        return false;
    rb_effect_receipt(e, id);
    *rc = rb_receipt_start(k->receipts, rb_effect_loop(e), id, opt, on_done, &op->receipt, err);
    return true;
}

void rb_exec_look(struct rb_effect *e)
{
    struct exec_op *op = exec_of(e);
    struct rb_receipt_place place;
    struct rb_proc_options opt;
    struct rb_err err = {0};
    char id[RB_RECEIPT_MAX], why[200];
    const struct kept *k = open_kept(e);
    if (!read_place(e, &place)) {
        if (!rb_json_member_text(e->place.data, e->place.len, "why", why, sizeof(why)))
            snprintf(why, sizeof(why), "the journal does not say where it was started");
        rb_effect_unsure(e, why);
        return;
    }
    if (!k->receipts) {
        rb_effect_unsure(e, k->why);
        return;
    }
    rb_exec_reset(op);
    rb_exec_options(op, &opt);
    rb_effect_receipt(e, id);
    if (rb_receipt_look(k->receipts, rb_effect_loop(e), &place, id, &opt, on_done, &op->receipt, &err))
        rb_effect_unsure(e, err.msg);
}

bool rb_exec_detach(struct rb_effect *e)
{
    struct exec_op *op = exec_of(e);
    if (!op->receipt)
        return false;
    rb_receipt_detach(op->receipt);
    op->receipt = NULL;
    return true;
}

void rb_exec_recorded(struct rb_loop *loop, const char *place, const char *id)
{
    const struct kept *k = kept_of(loop);
    (void)place;
    if (k && k->receipts)
        rb_receipts_forget(k->receipts, id);
}
