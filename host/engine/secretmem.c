/* Owns the pages that secrets lie in. Knows no secret.
 *
 * Pages of their own keep what is long-lived out of core dumps and swap. What passes through ordinary memory on its
 * way (a command's environment, a body that is sent) can not all lie there, so the process as a whole is made
 * undumpable as soon as it holds a secret: that is not inherited by the commands it starts, and root can still attach a
 * debugger. */
#include "engine/secretmem.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/err.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED true /* the leak checker attaches to the process as a debugger does */
#else
#define INSTRUMENTED false
#endif

static size_t whole_pages(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (n + page - 1) / page * page;
}

void *rb_secretmem_alloc(size_t n)
{
    static bool opaque;
    if (!opaque && !INSTRUMENTED)
        prctl(PR_SET_DUMPABLE, 0);
    opaque = true;
    size_t size = whole_pages(n ? n : 1);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        rb_die("there is no memory for %zu bytes", n);
    madvise(p, size, MADV_DONTDUMP);
    mlock(p, size); /* as much as RLIMIT_MEMLOCK allows */
    return p;
}

void rb_secretmem_free(void *p, size_t n)
{
    if (!p)
        return;
    size_t size = whole_pages(n ? n : 1);
    explicit_bzero(p, size);
    munmap(p, size);
}

char *rb_secretmem_copy(const char *s, size_t n)
{
    char *p = rb_secretmem_alloc(n + 1);
    memcpy(p, s, n);
    return p;
}
