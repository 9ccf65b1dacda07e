/* What tests with a loop share: the loop of each test, what must not be left behind it, and the first loop of the
 * program. */
#ifndef RB_TEST_LOOP_FIXTURE_H
#define RB_TEST_LOOP_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"

static struct rb_loop loop;
static int waiting; /* ends that have not come; whoever counts stops the loop at the last one */
static int fds_before;

static inline int count_entries(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static inline int count_fds(void)
{
    return count_entries("/proc/self/fd");
}

static inline int loop_setup(void **state)
{
    (void)state;
    struct rb_err err;
    waiting = 0;
    fds_before = count_fds();
    return rb_loop_init(&loop, &err);
}

static inline int loop_teardown(void **state)
{
    (void)state;
    assert_int_equal(rb_loop_release(&loop), 0);
    assert_int_equal(count_fds(), fds_before);
    return 0;
}

static inline void one_has_ended(void)
{
    if (--waiting == 0)
        rb_loop_stop(&loop);
}

/* Not even a zombie. */
static inline void assert_no_child(void)
{
    errno = 0;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Of the whole program. The first loop opens what libuv keeps for the life of the process. */
static inline int first_loop(void **state)
{
    (void)state;
    struct rb_err err;
    alarm(600); /* a hang is a failure */
    if (rb_loop_init(&loop, &err))
        return -1;
    return rb_loop_release(&loop);
}

#define T_LOOP(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

#endif
