/* Owns the fault points of the crash tests. Empty in the product. */
#include "base/fault.h"

#ifdef RB_FAULT
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long passed;       /* of any point */
static long passed_named; /* of the point that is asked for */

static void log_passage(const char *name)
{
    const char *path = getenv("RBHOST_FAULT_LOG");
    if (!path)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        dprintf(fd, "%ld %s\n", passed, name);
        close(fd);
    }
}

void rb_fault_point(const char *name)
{
    const char *want = getenv("RBHOST_FAULT");
    if (!want)
        return;
    pthread_mutex_lock(&mutex);
    passed++;
    log_passage(name);
    int sig = strncmp(want, "kill:", 5) == 0 ? SIGKILL : strncmp(want, "stop:", 5) == 0 ? SIGSTOP : 0;
    if (sig) {
        const char *colon = strrchr(want + 5, ':');
        bool hit;
        if (colon) {
            size_t n = (size_t)(colon - want - 5);
            if (strlen(name) == n && strncmp(name, want + 5, n) == 0)
                passed_named++;
            else
                n = 0;
            hit = n && passed_named == atol(colon + 1);
        } else {
            hit = passed == atol(want + 5);
        }
        if (hit) /* to this thread: it takes the signal before it goes on, whatever the others do meanwhile */
            pthread_kill(pthread_self(), sig);
    }
    pthread_mutex_unlock(&mutex);
}

bool rb_mutation(const char *name)
{
    const char *want = getenv("RBHOST_MUTATE");
    return want && strcmp(want, name) == 0;
}
#else
typedef int rb_fault_is_empty; /* ISO C wants something in every file */
#endif
