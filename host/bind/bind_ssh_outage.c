/* Owns what whoever watches is told of a connection that went down under commands which go on over there: once when it
 * is lost and once when it stands again, however many commands of the run wait for it. Nothing of that is recorded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind_ssh_op.h"
#include "engine/core.h"
#include "loop/loop.h"

/* Of one run and one host. */
struct ssh_outage {
    struct rb_list link;
    struct rb_run *run;
    char *name;
    int waiting; /* commands */
    bool over;   /* one of them has reached the host again */
};

struct outages {
    struct rb_loop_guest guest;
    struct rb_list all;
};

static void release(struct rb_loop_guest *g)
{
    free(RB_CONTAINER(g, struct outages, guest)); /* ops end before their loop does, so nothing is in the list */
}

static struct outages *outages_of(struct rb_loop *loop)
{
    struct rb_loop_guest *g = rb_loop_guest_find(loop, release);
    if (g)
        return RB_CONTAINER(g, struct outages, guest);
    struct outages *o = rb_alloc(sizeof(*o));
    o->guest.release = release;
    rb_list_init(&o->all);
    rb_loop_guest_add(loop, &o->guest);
    return o;
}

static struct ssh_outage *find(struct outages *o, struct rb_run *run, const char *name)
{
    RB_LIST_EACH (it, &o->all) {
        struct ssh_outage *x = RB_CONTAINER(it, struct ssh_outage, link);
        if (x->run == run && strcmp(x->name, name) == 0)
            return x;
    }
    struct ssh_outage *x = rb_alloc(sizeof(*x));
    x->run = run;
    x->name = rb_strdup(name);
    x->over = true;
    rb_list_push(&o->all, &x->link);
    return x;
}

static void tell(const struct ssh_outage *x, const char *what)
{
    const struct rb_observer *o = &x->run->observer;
    char line[400];
    snprintf(line, sizeof(line), "%.300s: %s", x->name, what);
    if (o->on_told)
        o->on_told(o->arg, x->run, line);
}

void rb_ssh_outage_begin(struct ssh_op *op)
{
    if (!op->outage) {
        op->outage = find(outages_of(rb_effect_loop(&op->effect)), op->effect.run, op->where.name);
        op->outage->waiting++;
    }
    if (!op->outage->over)
        return;
    op->outage->over = false;
    tell(op->outage, op->effect.looking ? "no connection, trying again" : "connection lost, trying again");
}

void rb_ssh_outage_end(struct ssh_op *op, bool connected)
{
    struct ssh_outage *x = op->outage;
    if (!x)
        return;
    op->outage = NULL;
    if (connected && !x->over) {
        x->over = true;
        tell(x, "connected again");
    }
    if (--x->waiting)
        return;
    rb_list_remove(&x->link);
    free(x->name);
    free(x);
}
