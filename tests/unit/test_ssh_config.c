/* The hosts that an ssh configuration names. */
#include "io/ssh_config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

static char folder[256];

static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void add(void *arg, const char *name)
{
    strcat(strcat(arg, name), " ");
}

static int begin(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char path[512];
    snprintf(folder, sizeof(folder), "%s/home.XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/.ssh", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    *state = folder;
    return 0;
}

static void words_of_host(void **state)
{
    char names[1000] = "", path[512];
    (void)state;
    put("c",
        "# Host no\nHost web1 web2\n  HostName x\nhost=db1\nHOST \"a b\" c # not this\n\tHost web*.lab !x q? plain\n"
        "Hostname no\nMatch host no\nHost\n");
    snprintf(path, sizeof(path), "%s/c", folder);
    rb_ssh_config_names(path, folder, add, names);
    assert_string_equal(names, "web1 web2 db1 a b c plain ");
}

static void includes(void **state)
{
    char names[1000] = "", path[512];
    (void)state;
    put(".ssh/config", "Include more.* ~/other nowhere\nHost last\nInclude config\n");
    put(".ssh/more.a", "Host a\n");
    put(".ssh/more.b", "Host b\nInclude more.b\n");
    put("other", "Host other\n");
    snprintf(path, sizeof(path), "%s/.ssh/config", folder);
    rb_ssh_config_names(path, folder, add, names);
    assert_true(strncmp(names, "a b b ", 6) == 0); /* a circle ends */
    assert_non_null(strstr(names, " other last "));
    assert_true(strlen(names) < sizeof(names) - 1);
}

static void nothing_there(void **state)
{
    char names[1000] = "";
    (void)state;
    rb_ssh_config_names("/nonexistent", NULL, add, names);
    assert_string_equal(names, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(words_of_host, begin),
        cmocka_unit_test_setup(includes, begin),
        cmocka_unit_test_setup(nothing_there, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
