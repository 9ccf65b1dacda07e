/* Owns the opening of libpq. Knows nothing of connections. */
#include "io/pq_api.h"

#include <dlfcn.h>
#include <pthread.h>

struct rb_pq rb_pq;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool open_already;

/* POSIX has an object pointer hold a function's address; ISO C does not know of it. */
union address {
    void *object;
    void (*function)(void);
};

static int find_all(void *library, struct rb_err *err)
{
    union address found;
#define RB_PQ_FIND(name) \
    found.object = dlsym(library, #name); \
    if (!found.object) \
        return rb_err_set(err, RB_ENOENT, "the libpq that is installed is too old, it has no " #name); \
    rb_pq.name = (__typeof__(rb_pq.name))found.function;
    RB_PQ_EACH(RB_PQ_FIND)
#undef RB_PQ_FIND
    return RB_OK;
}

int rb_pq_open(struct rb_err *err)
{
    int rc = RB_OK;
    pthread_mutex_lock(&mutex);
    if (!open_already) {
        void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
        if (!library)
            rc = rb_err_set(err, RB_ENOENT,
                            "PostgreSQL is spoken to through libpq, which does not open here (%s); "
                            "install the package libpq5",
                            dlerror());
        else
            rc = find_all(library, err);
        open_already = rc == RB_OK;
    }
    pthread_mutex_unlock(&mutex);
    return rc;
}
