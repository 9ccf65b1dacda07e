/* Owns who works where: destinations, their masters, the queue before them. A session's own way is ssh_session.c's, a
 * master's is ssh_master.c's.
 *
 * - What differs in the target is another destination, but for the times.
 * - Everything is decided at one place, once a turn: serve() gives waiting sessions to masters that have room and
 *   starts masters for the rest; deliver() calls on_done. Whatever happens elsewhere only notes it and wakes them.
 * - Not too many masters start at once: in all, for the sake of this machine, and for each destination, as sshd turns
 *   away who knocks when ten others do (MaxStartups 10:30:100). One that was turned away so is started again, later.
 * - A server may let a connection have fewer sessions than we think (MaxSessions). One that it refuses goes to another
 *   master, and as many as there were are its cap from then on.
 * - A session that asks a master which then does not take its whole request has not begun, and goes to another. */
#include "io/ssh.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strmap.h"
#include "io/ssh_session.h"

#define STARTING_MAX 24     /* masters, in all, unless a target says otherwise */
#define STARTING_EACH_MAX 6 /* for one destination */
#define MASTERS_EACH_MAX 32 /* for one destination: 256 sessions */
#define REFUSALS_MAX 8      /* then it is given up */
#define KNOCKS_MAX 5        /* at a server that has too many who knock */
#define KNOCK_MS 200        /* doubled each time */
#define BUSY_MS 5           /* a master whose socket is full */
#define IDLE_MS (5 * 60000) /* a master without a session is kept so long */
#define COMMAND_MAX 131071  /* Linux, MAX_ARG_STRLEN: what a shell over there can be given */

struct pool {
    struct rb_loop_guest guest;
    struct rb_loop *loop;
    struct rb_turn turn;
    struct rb_ssh_folder folder;
    uv_fs_event_t watch; /* on the folder */
    bool watched;
    int null_fd;
    unsigned next; /* number of the next control socket */
    unsigned starting;
    struct rb_strmap by_key; /* struct dest */
    struct rb_list dests;    /* the same; who was served last comes last */
    struct rb_list loose;    /* struct rb_ssh that are in no queue and at no master: their output is still read */
    struct rb_list ended;    /* struct rb_ssh whose on_done has to be called */
    bool look;               /* something has changed */
};

struct dest {
    struct pool *pool;
    struct rb_list link;
    struct rb_ssh_target target; /* its texts are its own */
    struct rb_list masters, queue;
    unsigned cap;              /* sessions that a master of it may have */
    unsigned starting;         /* of the masters */
    unsigned knocks;           /* that were in vain, */
    int64_t knocking;          /* since when */
    struct rb_timer again;     /* not before */
    char *known[RB_SSH_FACTS]; /* rb_ssh_remember() */
};

static void wake(struct pool *p)
{
    p->look = true;
    rb_loop_again(p->loop);
}

/* -- targets ------------------------------------------------------------------------------------------------------- */

/* ssh puts names into the command lines of proxies. What a shell would understand there it refuses itself, since
 * 9.6. */
static bool fits(const char *s, const char *not_these)
{
    if (!*s || *s == '-')
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f || strchr(not_these, *s))
            return false;
    return true;
}

static int check_target(const struct rb_ssh_target *t, struct rb_err *err)
{
    const struct {
        const char *what, *text, *not_these;
    } texts[] = {
        {"host", t->host, " '`\"$\\;&<>|(){},"}, {"user", t->user, "'`\";&<>|(){}"},
        {"jump", t->jump, " '`\"$\\;&<>|(){}"},  {"config", t->config, ""},
        {"identity", t->identity, ""},
    };
    if (!t->host)
        return rb_err_set(err, RB_EINVAL, "there is no host to connect to");
    for (size_t i = 0; i < RB_COUNT(texts); i++)
        if (texts[i].text && !fits(texts[i].text, texts[i].not_these))
            return rb_err_set(
                err, RB_EINVAL,
                "ssh can not be given this %s: it is empty, begins with \"-\" or has characters that do not"
                " belong there",
                texts[i].what);
    if (t->port < 0 || t->port > 65535)
        return rb_err_set(err, RB_EINVAL, "there is no port %d", t->port);
    return RB_OK;
}

static void key_of(struct rb_buf *key, const struct rb_ssh_target *t)
{
    const char *texts[] = {t->host, t->user, t->config, t->identity, t->jump};
    rb_buf_init(key, 64 * 1024);
    for (size_t i = 0; i < RB_COUNT(texts); i++) {
        rb_buf_adds(key, texts[i] ? texts[i] : "");
        rb_buf_addc(key, '\n');
    }
    rb_buf_addf(key, "%d", t->port);
}

static void on_again(struct rb_timer *t)
{
    wake(RB_CONTAINER(t, struct dest, again)->pool);
}

static struct dest *dest_of(struct pool *p, const struct rb_ssh_target *t)
{
    struct rb_buf key;
    key_of(&key, t);
    void **slot = rb_strmap_at(&p->by_key, key.data, key.len);
    rb_buf_release(&key);
    if (*slot)
        return *slot;
    struct dest *d = *slot = rb_alloc(sizeof(*d));
    d->pool = p;
    d->target = (struct rb_ssh_target){
        .host = rb_strdup(t->host),
        .user = rb_strdup(t->user),
        .port = t->port,
        .config = rb_strdup(t->config),
        .identity = rb_strdup(t->identity),
        .jump = rb_strdup(t->jump),
        .connect_ms = t->connect_ms,
    };
    d->cap = RB_SSH_SESSIONS;
    rb_list_init(&d->masters);
    rb_list_init(&d->queue);
    rb_timer_init(&d->again, p->loop, on_again);
    rb_list_init(&d->link);
    rb_list_push(&p->dests, &d->link);
    return d;
}

static void forget(struct dest *d)
{
    for (size_t i = 0; i < RB_COUNT(d->known); i++) {
        free(d->known[i]);
        d->known[i] = NULL;
    }
}

static void free_dest(void *value)
{
    struct dest *d = value;
    rb_timer_disarm(&d->again);
    free((char *)(uintptr_t)d->target.host);
    free((char *)(uintptr_t)d->target.user);
    free((char *)(uintptr_t)d->target.config);
    free((char *)(uintptr_t)d->target.identity);
    free((char *)(uintptr_t)d->target.jump);
    forget(d);
    free(d);
}

/* -- sessions ------------------------------------------------------------------------------------------------------ */

/* Every session is in exactly one list. */
static void move(struct rb_ssh *s, struct rb_list *to)
{
    rb_list_remove(&s->link);
    rb_list_push(to, &s->link);
}

static void enqueue(struct dest *d, struct rb_ssh *s)
{
    move(s, &d->queue);
    wake(d->pool);
}

/* Before the others: it has waited already. */
static void enqueue_first(struct dest *d, struct rb_ssh *s)
{
    rb_list_remove(&s->link);
    rb_list_push(d->queue.next, &s->link); /* before the first */
    wake(d->pool);
}

static void fail_all(struct dest *d, enum rb_ssh_why why, const char *text)
{
    struct rb_list failed;
    rb_list_init(&failed);
    for (struct rb_list *l = rb_list_pop(&d->queue); l; l = rb_list_pop(&d->queue))
        rb_list_push(&failed, l);
    for (struct rb_list *l = rb_list_pop(&failed); l; l = rb_list_pop(&failed))
        rb_ssh_session_end(RB_CONTAINER(l, struct rb_ssh, link), RB_SSH_NOT_STARTED, why, text);
}

static uint64_t idle_ms(const struct dest *d)
{
    return d->target.idle_ms ? d->target.idle_ms : IDLE_MS;
}

/* It no longer takes room on its master. */
static void leave_master(struct rb_ssh *s)
{
    struct rb_ssh_master *m = s->master;
    if (!m)
        return;
    move(s, &((struct dest *)s->dest)->pool->loose);
    s->master = NULL;
    m->count--;
    if (m->count == 0 && m->state == RB_SSH_MASTER_UP) {
        if (m->cap == 0)
            rb_ssh_master_close(m);
        else
            rb_timer_arm_ms(&m->idle, idle_ms(s->dest));
    }
    wake(((struct dest *)s->dest)->pool);
}

static void on_ended(struct rb_ssh *s)
{
    struct dest *d = s->dest;
    leave_master(s);
    if (s->state != RB_SSH_ENDED)
        return;
    move(s, &d->pool->ended);
    wake(d->pool);
}

static void on_unreached(struct rb_ssh *s)
{
    struct rb_ssh_master *m = s->master;
    leave_master(s);
    if (m && m->state == RB_SSH_MASTER_UP)
        rb_ssh_master_close(m); /* it listens no more: it is ending */
    if (++s->refusals > REFUSALS_MAX)
        rb_ssh_session_end(s, RB_SSH_NOT_STARTED, RB_SSH_WHY_LOST, "connections go down as soon as they stand");
    else
        enqueue_first(s->dest, s);
}

static void on_refused(struct rb_ssh *s, const char *text)
{
    struct dest *d = s->dest;
    struct rb_ssh_master *m = s->master;
    bool virgin = m && !m->used && m->count == 1;
    if (m) {
        unsigned others = m->count - 1;
        m->cap = others < m->cap ? others : m->cap;
        if (others && !m->left_some && others < d->cap)
            d->cap = others;
    }
    leave_master(s);
    if (virgin || ++s->refusals > REFUSALS_MAX)
        rb_ssh_session_end(s, RB_SSH_NOT_STARTED, RB_SSH_WHY_SESSION, text);
    else
        enqueue_first(d, s);
}

static void on_losing(struct rb_ssh *s)
{
    if (s->master)
        rb_ssh_master_close(s->master); /* if it is not gone it is of no use; its end tells us more */
    else
        rb_ssh_session_end(s, RB_SSH_LOST, RB_SSH_WHY_LOST, s->text[0] ? s->text : "the connection has ended");
}

static const struct rb_ssh_watcher watcher = {
    .on_unreached = on_unreached,
    .on_refused = on_refused,
    .on_losing = on_losing,
    .on_ended = on_ended,
};

/* -- masters ------------------------------------------------------------------------------------------------------- */

/* One that had stood is gone. Its sessions hear of it by themselves, and then know what it said. */
static void release_sessions(struct pool *p, struct rb_ssh_master *m)
{
    while (!rb_list_empty(&m->sessions)) {
        struct rb_ssh *s = RB_CONTAINER(m->sessions.next, struct rb_ssh, link);
        move(s, &p->loose);
        s->master = NULL;
        snprintf(s->text, sizeof(s->text), "%s", m->text);
        if (s->state == RB_SSH_LOSING)
            rb_ssh_session_end(s, RB_SSH_LOST, RB_SSH_WHY_LOST, m->text);
    }
}

/* One did not come to stand. Who waits for it waits for the others, if there are any. */
static void start_failed(struct dest *d, const struct rb_ssh_master *m)
{
    bool others = d->starting || !rb_list_empty(&d->masters);
    bool in_time = rb_clock_boot() - d->knocking < (int64_t)m->connect_ms * 1000;
    if (others || (m->busy && in_time && d->knocks + 1 < KNOCKS_MAX))
        rb_timer_arm_ms(&d->again, (uint64_t)KNOCK_MS << (d->knocks < KNOCKS_MAX ? d->knocks++ : d->knocks));
    else {
        d->knocks = 0;
        fail_all(d, m->why, m->text);
    }
}

static void on_master(void *arg, struct rb_ssh_master *m)
{
    struct dest *d = arg;
    struct pool *p = d->pool;
    if (m->state == RB_SSH_MASTER_UP || !m->stood) {
        d->starting--;
        p->starting--;
    }
    wake(p);
    if (m->state == RB_SSH_MASTER_UP) {
        d->knocks = 0;
        rb_timer_arm_ms(&m->idle, idle_ms(d));
        return;
    }
    rb_list_remove(&m->link);
    if (m->stood) {
        forget(d);
        release_sessions(p, m);
    } else {
        start_failed(d, m);
    }
}

static bool start_master(struct dest *d)
{
    struct pool *p = d->pool;
    struct rb_ssh_master *m;
    struct rb_err err;
    char path[RB_SSH_PATH_MAX];
    if (d->knocks == 0)
        d->knocking = rb_clock_boot();
    bool failed = rb_ssh_folder_check(&p->folder, &p->watched, &err) != RB_OK;
    snprintf(path, sizeof(path), "%.76s/%x", p->folder.path, p->next++);
    if (failed || rb_ssh_master_start(p->loop, &d->target, path, p->watched, on_master, d, &m, &err)) {
        if (rb_list_empty(&d->masters))
            fail_all(d, RB_SSH_WHY_CLIENT, err.msg);
        return false;
    }
    m->cap = d->cap;
    rb_list_push(&d->masters, &m->link);
    d->starting++;
    p->starting++;
    return true;
}

/* -- once a turn --------------------------------------------------------------------------------------------------- */

/* The master with the most room; NULL when none has any. */
static struct rb_ssh_master *find_room(const struct dest *d)
{
    struct rb_ssh_master *best = NULL;
    RB_LIST_EACH (l, &d->masters) {
        struct rb_ssh_master *m = RB_CONTAINER(l, struct rb_ssh_master, link);
        if (m->state == RB_SSH_MASTER_UP && m->count < m->cap && (!best || m->count < best->count))
            best = m;
    }
    return best;
}

/* false: the others have to wait. */
static bool dispatch(struct dest *d, struct rb_ssh_master *m)
{
    struct rb_err err;
    struct rb_ssh *s = RB_CONTAINER(rb_list_pop(&d->queue), struct rb_ssh, link);
    s->master = m;
    m->count++;
    rb_list_push(&m->sessions, &s->link);
    rb_timer_disarm(&m->idle);
    int rc = rb_ssh_session_begin(s, d->pool->null_fd, &err);
    if (!rc)
        return true;
    leave_master(s);
    if (rc == RB_EAGAIN) {
        enqueue_first(d, s);
        rb_timer_arm_ms(&d->again, BUSY_MS); /* wakes us */
        return false;
    }
    if (rc != RB_ENOENT) {
        rb_ssh_session_end(s, RB_SSH_NOT_STARTED, RB_SSH_WHY_CLIENT, err.msg);
        return true;
    }
    rb_ssh_master_close(m);
    if (++s->refusals > REFUSALS_MAX)
        rb_ssh_session_end(s, RB_SSH_NOT_STARTED, RB_SSH_WHY_LOST, err.msg);
    else
        enqueue_first(d, s);
    return true;
}

static unsigned length(const struct rb_list *head)
{
    unsigned n = 0;
    RB_LIST_EACH (l, head)
        n++;
    return n;
}

static void serve(struct dest *d)
{
    struct rb_ssh_master *m;
    struct pool *p = d->pool;
    while (!rb_list_empty(&d->queue) && (m = find_room(d)))
        if (!dispatch(d, m))
            return;
    if (rb_timer_armed(&d->again))
        return;
    unsigned wanted = (length(&d->queue) + d->cap - 1) / d->cap;
    while (d->starting < wanted && d->starting < STARTING_EACH_MAX &&
           p->starting < (d->target.starting ? d->target.starting : STARTING_MAX) &&
           length(&d->masters) < MASTERS_EACH_MAX)
        if (!start_master(d))
            return;
}

static void deliver(struct pool *p)
{
    struct rb_list now;
    rb_list_init(&now);
    for (struct rb_list *l = rb_list_pop(&p->ended); l; l = rb_list_pop(&p->ended))
        rb_list_push(&now, l);
    for (struct rb_list *l = rb_list_pop(&now); l; l = rb_list_pop(&now))
        rb_ssh_session_done(RB_CONTAINER(l, struct rb_ssh, link));
}

static void on_turn(struct rb_turn *t)
{
    struct pool *p = RB_CONTAINER(t, struct pool, turn);
    if (!p->look)
        return;
    p->look = false;
    RB_LIST_EACH_SAFE (l, next, &p->dests)
        serve(RB_CONTAINER(l, struct dest, link));
    if (!rb_list_empty(&p->dests)) { /* another is the first next time */
        struct rb_list *first = rb_list_pop(&p->dests);
        rb_list_push(&p->dests, first);
    }
    deliver(p);
}

/* -- the pool ------------------------------------------------------------------------------------------------------ */

static void on_watch_closed(uv_handle_t *h)
{
    struct pool *p = h->data;
    free(p);
}

static void release(struct rb_loop_guest *g)
{
    struct pool *p = RB_CONTAINER(g, struct pool, guest);
    RB_LIST_EACH (l, &p->dests) {
        struct dest *d = RB_CONTAINER(l, struct dest, link);
        RB_LIST_EACH (k, &d->masters)
            rb_ssh_master_close(RB_CONTAINER(k, struct rb_ssh_master, link));
    }
    RB_LIST_EACH (l, &p->dests) {
        struct dest *d = RB_CONTAINER(l, struct dest, link);
        while (!rb_list_empty(&d->queue))
            rb_ssh_session_drop(RB_CONTAINER(d->queue.next, struct rb_ssh, link));
        while (!rb_list_empty(&d->masters)) {
            struct rb_ssh_master *m = RB_CONTAINER(d->masters.next, struct rb_ssh_master, link);
            while (!rb_list_empty(&m->sessions))
                rb_ssh_session_drop(RB_CONTAINER(m->sessions.next, struct rb_ssh, link));
            rb_ssh_master_drop(m);
        }
    }
    while (!rb_list_empty(&p->loose))
        rb_ssh_session_drop(RB_CONTAINER(p->loose.next, struct rb_ssh, link));
    while (!rb_list_empty(&p->ended))
        rb_ssh_session_drop(RB_CONTAINER(p->ended.next, struct rb_ssh, link));
    rb_strmap_release(&p->by_key, free_dest);
    rb_loop_turn_remove(p->loop, &p->turn);
    rb_ssh_folder_close(&p->folder);
    close(p->null_fd);
    uv_close((uv_handle_t *)&p->watch, on_watch_closed);
}

static void on_folder(uv_fs_event_t *h, const char *name, int events, int status)
{
    struct pool *p = h->data;
    (void)events;
    (void)status;
    RB_LIST_EACH (l, &p->dests) {
        struct dest *d = RB_CONTAINER(l, struct dest, link);
        if (!d->starting)
            continue;
        RB_LIST_EACH (k, &d->masters) {
            struct rb_ssh_master *m = RB_CONTAINER(k, struct rb_ssh_master, link);
            if (!name || strcmp(strrchr(m->path, '/') + 1, name) == 0)
                rb_ssh_master_look(m);
        }
    }
}

static int open_pool(struct rb_loop *loop, struct pool **out, struct rb_err *err)
{
    struct rb_loop_guest *g = rb_loop_guest_find(loop, release);
    if (g) {
        *out = RB_CONTAINER(g, struct pool, guest);
        return RB_OK;
    }
    int rc = rb_timer_open(loop, err);
    if (rc)
        return rc;
    struct pool *p = rb_alloc(sizeof(*p));
    p->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (p->null_fd < 0) {
        rc = rb_err_set(err, RB_EIO, "can not open /dev/null for ssh");
        goto fail;
    }
    rc = rb_ssh_folder_open(&p->folder, err);
    if (rc)
        goto fail;
    rc = uv_fs_event_init(&loop->uv, &p->watch); /* only fills it in; what may be missing shows at its start */
    if (rc) {
        rc = rb_err_set(err, RB_EIO, "can not watch ssh's control sockets: %s", uv_strerror(rc));
        rb_ssh_folder_close(&p->folder);
        goto fail;
    }
    p->watch.data = p;
    p->watched = uv_fs_event_start(&p->watch, on_folder, p->folder.path, 0) == 0;
    p->loop = loop;
    p->guest.release = release;
    p->turn.run = on_turn;
    rb_list_init(&p->guest.link);
    rb_list_init(&p->turn.link);
    rb_list_init(&p->dests);
    rb_list_init(&p->loose);
    rb_list_init(&p->ended);
    rb_strmap_init(&p->by_key);
    rb_loop_turn_add(loop, &p->turn);
    rb_loop_guest_add(loop, &p->guest);
    *out = p;
    return RB_OK;
fail:
    if (p->null_fd >= 0)
        close(p->null_fd);
    free(p);
    return rc;
}

/* -- what everybody may call --------------------------------------------------------------------------------------- */

int rb_ssh_start(struct rb_loop *loop, const struct rb_ssh_options *opt, struct rb_ssh **out, struct rb_err *err)
{
    struct pool *p = NULL;
    int rc = check_target(&opt->target, err);
    if (rc)
        return rc;
    if (strlen(opt->command) > COMMAND_MAX)
        return rb_err_set(err, RB_ETOOBIG,
                          "the command has %zu bytes and a shell takes %d; give it on standard input or in a file",
                          strlen(opt->command), COMMAND_MAX);
    rc = open_pool(loop, &p, err);
    if (rc)
        return rc;
    struct dest *d = dest_of(p, &opt->target);
    if (rb_list_empty(&d->masters))
        d->target.connect_ms = opt->target.connect_ms;
    d->target.starting = opt->target.starting;
    d->target.idle_ms = opt->target.idle_ms;
    struct rb_ssh *s = rb_ssh_session_new(loop, opt, &watcher);
    s->dest = d;
    enqueue(d, s);
    *out = s;
    return RB_OK;
}

void rb_ssh_close(struct rb_ssh *s)
{
    switch (s->state) {
    case RB_SSH_ENDED: return;
    case RB_SSH_ENDING: rb_ssh_session_end(s, s->result.end, RB_SSH_WHY_NONE, ""); return;
    case RB_SSH_WAITING: break;
    case RB_SSH_ASKED:
        if (!rb_mux_is_sent(s->mux))
            break;
        /* fall through */
    default:
        if (s->exited) {
            rb_ssh_session_end(s, RB_SSH_EXITED, RB_SSH_WHY_NONE, "");
            return;
        }
        if (s->master)
            s->master->left_some = true;
        rb_ssh_session_end(s, RB_SSH_CLOSED, RB_SSH_WHY_NONE, "");
        return;
    }
    rb_ssh_session_end(s, RB_SSH_NOT_STARTED, RB_SSH_WHY_NONE, "it was let go of before it was sent");
}

static bool stands(const struct dest *d)
{
    RB_LIST_EACH (l, &d->masters)
        if (RB_CONTAINER(l, struct rb_ssh_master, link)->state == RB_SSH_MASTER_UP)
            return true;
    return false;
}

bool rb_ssh_stands(struct rb_loop *loop, const struct rb_ssh_target *target)
{
    struct rb_loop_guest *g = rb_loop_guest_find(loop, release);
    return g && stands(dest_of(RB_CONTAINER(g, struct pool, guest), target));
}

void rb_ssh_remember(struct rb_loop *loop, const struct rb_ssh_target *target, enum rb_ssh_fact fact, const char *text)
{
    struct rb_loop_guest *g = rb_loop_guest_find(loop, release);
    if (!g)
        return;
    struct dest *d = dest_of(RB_CONTAINER(g, struct pool, guest), target);
    free(d->known[fact]);
    d->known[fact] = NULL;
    if (stands(d))
        d->known[fact] = rb_strdup(text);
}

const char *rb_ssh_recall(struct rb_loop *loop, const struct rb_ssh_target *target, enum rb_ssh_fact fact)
{
    struct rb_loop_guest *g = rb_loop_guest_find(loop, release);
    return g ? dest_of(RB_CONTAINER(g, struct pool, guest), target)->known[fact] : NULL;
}
