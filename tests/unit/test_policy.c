/* What a run may reach: patterns of each kind, URLs that try to look like others, addresses, who narrows whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/core.h"
#include "engine/policy.h"
#include "engine/policy_address.h"
#include "engine/policy_rules.h"
#include "engine/policy_url.h"

/* A run with a header and a configuration, as far as the policy looks at one. */
struct site {
    struct rb_host host;
    struct rb_run run;
    struct rb_err err;
};

static struct site *site(const char *header, const char *config)
{
    struct site *s = rb_alloc(sizeof(*s));
    s->host.config_json = rb_strdup(config);
    s->host.config_file = "/etc/rbhost/config.lua";
    s->run.host = &s->host;
    s->run.file = rb_strdup("book.lua");
    s->run.folder = rb_strdup("/srv/books");
    s->run.header_json = rb_strdup(header);
    rb_strmap_init(&s->run.sources);
    return s;
}

static void end(struct site *s)
{
    rb_policy_free(&s->run);
    rb_policy_site_free(&s->host);
    json_decref(s->host.config);
    free(s->host.config_json);
    free(s->run.file);
    free(s->run.folder);
    free(s->run.header_json);
    free(s);
}

/* Does one pattern, as `allow` or as `deny`, match a name? */
static bool matches(const char *kind, const char *pattern, const char *name, bool wide)
{
    struct rb_rule_set set;
    const char *bad;
    json_t *table = json_pack("{s:[s]}", kind, pattern);
    enum rb_reach k = rb_reach_of(kind);
    rb_rules_compile(&set, table, "/srv/books", wide);
    bool yes = rb_rules_match(&set.kinds[k], k, name, &bad, NULL) != NULL;
    rb_rules_release(&set);
    json_decref(table);
    return yes;
}

struct row {
    const char *pattern, *name;
    bool yes;
};

static void expect(const char *kind, const struct row *rows, size_t n, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        bool got = matches(kind, rows[i].pattern, rows[i].name, wide);
        if (got != rows[i].yes)
            fail_msg("%s pattern \"%s\" and \"%s\": %s, expected %s", kind, rows[i].pattern, rows[i].name,
                     got ? "matches" : "does not match", rows[i].yes ? "a match" : "none");
    }
}

static void commands(void **state)
{
    static const struct row rows[] = {
        {"git", "git", true},
        {"git", "git push --force", true},
        {"git", "gitx", false},
        {"git", "/usr/bin/git", false},
        {"git", "./git", false},
        {"/usr/bin/git", "/usr/bin/git log", true},
        {"/usr/bin/*", "/usr/bin/git", true},
        {"/usr/bin/*", "/usr/bin/x/git", false},
        {"*", "/anything/at/all", true},
        {"git verify-tag *", "git verify-tag v1", true},
        {"git verify-tag *", "git verify-tag", false},
        {"git verify-tag *", "git verify-tag v1 v2", false},
        {"git verify-tag *", "git verify-tag v1\\ v2", true},
        {"git verify-tag *", "git push v1", false},
        {"git verify-tag *", "git verify-tag ", true}, /* an empty argument is one */
        {"git verify-tag v1", "git verify-tag\\ v1", false},
        {"git log **", "git log", true},
        {"git log **", "git log --oneline -5", true},
        {"git log **", "git logs", false},
        {"psql -c select\\ *", "psql -c select\\ 1", true},
        {"psql -c select\\ *", "psql -c select 1", false},
        {"psql -c select\\ *", "psql -c delete\\ 1", false},
        {"sh", "sh -c rm\\ -rf", true},
        {"tool --mode=*", "tool --mode=a/b", true},
        {"a *b*c", "a xbyc", true},
        {"a *b*c", "a xby", false},
    };
    (void)state;
    expect("exec", rows, RB_COUNT(rows), false);
    static const struct row wide[] = {
        {"rm", "/bin/rm -rf /", true}, {"rm", "./rm", true}, {"rm", "rmdir", false}, {"/bin/rm", "rm", false}};
    expect("exec", wide, RB_COUNT(wide), true);
}

static void words_stay_words(void **state)
{
    struct rb_buf b;
    (void)state;
    rb_buf_init(&b, 1000);
    rb_policy_word(&b, "git");
    rb_policy_word(&b, "a b\\c");
    rb_policy_word(&b, "");
    assert_string_equal(rb_buf_text(&b), "git a\\ b\\\\c ");
    assert_true(matches("exec", "git * *", rb_buf_text(&b), false));
    assert_false(matches("exec", "git *", rb_buf_text(&b), false));
    rb_buf_release(&b);
}

static void urls(void **state)
{
    static const struct row rows[] = {
        {"https://api.example.com", "GET https://api.example.com/a/b?c", true},
        {"https://api.example.com/*", "GET https://api.example.com/a/b", true},
        {"https://api.example.com/", "GET https://api.example.com/a/b", true},
        {"https://api.example.com", "GET http://api.example.com/", false},
        {"*://api.example.com", "GET http://api.example.com/", true},
        {"https://api.example.com", "GET https://api.example.com:444/", false},
        {"https://api.example.com", "GET https://api.example.com:443/", true},
        {"https://api.example.com:*", "GET https://api.example.com:444/", true},
        {"https://api.example.com/health", "GET https://api.example.com/health", true},
        {"https://api.example.com/health", "GET https://api.example.com/healthy", false},
        {"https://api.example.com/health", "GET https://api.example.com/health/x", false},
        {"https://h/v1/*/items", "GET https://h/v1/a/items", true},
        {"https://h/v1/*/items", "GET https://h/v1/a/b/items", false},
        {"https://h/v1/**/items", "GET https://h/v1/a/b/items", true},
        {"https://*.corp:8443/v1/**", "POST https://a.b.corp:8443/v1/x", true},
        {"https://*.corp:8443/v1/**", "POST https://corp:8443/v1/x", false},
        {"https://*.corp:8443/v1/**", "POST https://a.corp/v1/x", false},
        {"https://web*.corp", "GET https://web12.corp/", true},
        {"https://web*.corp", "GET https://web1.evil.corp/", false},
        {"http://127.0.0.*:*", "GET http://127.0.0.9:8080/", true},
        {"http://*.0.1", "GET http://127.0.0.1/", false},
        {"GET https://h", "GET https://h/", true},
        {"GET https://h", "POST https://h/", false},
        {"GET,HEAD https://h", "HEAD https://h/", true},
        {"GET,HEAD https://h", "EA https://h/", false},
        {"http://[::1]:*", "GET http://[::1]:99/", true},
        {"http://[::1]:*", "GET http://[0:0:0:0:0:0:0:1]:99/", true},
        {"http://127.0.0.1:*", "GET http://[::ffff:127.0.0.1]:1/", true},
        {"http://LOCALHOST.", "GET http://localhost/", true},
        {"https://h/find?kind=*", "GET https://h/find?kind=a", true},
        {"https://h/find?kind=*", "GET https://h/find?x=a", false},
        {"https://h/find", "GET https://h/find?x=a", true},
    };
    (void)state;
    expect("http", rows, RB_COUNT(rows), false);
    static const struct row wide[] = {{"http://evil.example", "GET http://evil.example:8080/x", true},
                                      {"http://evil.example", "GET https://evil.example/x", false}};
    expect("http", wide, RB_COUNT(wide), true);
}

/* One host and one folder are allowed. None of these is there, whatever it looks like. */
static void urls_that_look_like_others(void **state)
{
    static const char *const tricks[] = {
        "http://good.example@evil/v1/x",
        "http://good.example:80@evil/v1/x",
        "http://good.example%40evil/v1/x",
        "http://a@good.example@evil/v1/x",
        "http://evil@evil.example/v1/x",
        "http://good.example.evil/v1/x",
        "http://good.example.evil.:80/v1/x",
        "http://evilgood.example/v1/x",
        "http://evil/good.example/v1/x",
        "http://evil?good.example/v1/x",
        "http://evil#good.example/v1/x",
        "http://evil\\good.example/v1/x",
        "http://good.example\\@evil/v1/x",
        "http://good.example\t.evil/v1/x",
        "http://good.example%2eevil/v1/x",
        "http://good.example%2Fevil/v1/x",
        "http://good\xe3\x80\x82"
        "example/v1/x",
        "http://[good.example]/v1/x",
        "http://[::1]good.example/v1/x",
        "http://good.example:8080/v1/x",
        "http://good.example:080:80/v1/x",
        "http://good.example:99999/v1/x",
        "http://good.example:/80/v1/x",
        "https://good.example/v1/x",
        "ftp://good.example/v1/x",
        "http:/good.example/v1/x",
        "//good.example/v1/x",
        "http://good.example/v1/../admin",
        "http://good.example/v1/%2e%2e/admin",
        "http://good.example/v1/%2E./admin",
        "http://good.example/v1/.%2e/admin",
        "http://good.example/v1/x/../../admin",
        "http://good.example/v1/..%2fadmin",
        "http://good.example/v1/x%2f..%2f..%2fadmin",
        "http://good.example/v1/..%5cadmin",
        "http://good.example/v1/..\\admin",
        "http://good.example/v1/..;/admin",
        "http://good.example/v1/..;a=b/admin",
        "http://good.example/v1",
        "http://good.example/V1/x",
        "http://good.example/v1x/y",
        "http://good.example//v1/x",
        "http://good.example/x?/v1/",
        "http:///v1/x",
        "http://:80/v1/x",
        "http://./v1/x",
        "",
    };
    static const char *const same[] = {
        "http://good.example/v1/x",
        "HTTP://GOOD.EXAMPLE/v1/x",
        "http://good.example./v1/x",
        "http://good.example:80/v1/x",
        "http://good.example:0080/v1/x",
        "http://good.example:/v1/x",
        "http://user:pass@good.example/v1/x",
        "http://good.example/v1/./x",
        "http://good.example/v1/y/../x",
        "http://good.example/%76%31/x",
        "http://good.example/x/../v1/x",
        "http://good.example/v1/a%2fb",
        "http://good.example/v1/x?../../admin",
        "http://good.example/v1/...",
    };
    char name[300];
    (void)state;
    for (size_t i = 0; i < RB_COUNT(tricks); i++) {
        snprintf(name, sizeof(name), "GET %s", tricks[i]);
        if (matches("http", "http://good.example/v1/*", name, false))
            fail_msg("%s is taken for http://good.example/v1/", tricks[i]);
    }
    for (size_t i = 0; i < RB_COUNT(same); i++) {
        snprintf(name, sizeof(name), "GET %s", same[i]);
        if (!matches("http", "http://good.example/v1/*", name, false))
            fail_msg("%s is below http://good.example/v1/, and is not taken for it", same[i]);
    }
}

/* Whatever bytes are put around and into an allowed URL: what is allowed has that host. */
static void random_urls(void **state)
{
    static const char bits[] = "/@:.?#%\\[]2e2Fx0;*-good.example";
    unsigned seed = 12345, allowed = 0;
    (void)state;
    for (int round = 0; round < 200000; round++) {
        char name[128] = "GET http://", why_text[1];
        const char *why = why_text;
        size_t n = 11, extra = (unsigned)rand_r(&seed) % 6;
        const char *host = "good.example";
        size_t cut = (unsigned)rand_r(&seed) % 13;
        memcpy(name + n, host, cut);
        n += cut;
        for (size_t i = 0; i < extra; i++)
            name[n++] = bits[(unsigned)rand_r(&seed) % (sizeof(bits) - 1)];
        memcpy(name + n, host + cut, 13 - cut);
        n += 12 - cut;
        memcpy(name + n, "/v1/x", 6);
        struct rb_policy_url u;
        if (!matches("http", "http://good.example/v1/*", name, false))
            continue;
        allowed++;
        assert_int_equal(rb_policy_url_read(name, &u, &why), 0);
        assert_string_equal(u.host, "good.example");
        /* the same by a reading of its own: behind the last @ before the first / ? # */
        const char *from = name + 11, *stop = from + strcspn(from, "/?#"),
                   *at = memrchr(from, '@', (size_t)(stop - from));
        from = at ? at + 1 : from;
        size_t len = (size_t)(stop - from);
        const char *colon = memchr(from, ':', len);
        len = colon ? (size_t)(colon - from) : len;
        if (len && from[len - 1] == '.')
            len--;
        if (len != 12 || strncasecmp(from, host, 12) != 0)
            fail_msg("%s is allowed, and its host is %.*s", name, (int)len, from);
        assert_null(strstr(u.path, "/../"));
        assert_int_equal(strncmp(u.path, "/v1/", 4), 0);
    }
    assert_true(allowed > 1000); /* or the property was hardly asked */
}

static void odd_addresses_in_urls(void **state)
{
    static const struct row rows[] = {
        {"http://127.0.0.1", "GET http://2130706433/", true},
        {"http://127.0.0.1", "GET http://0x7f.1/", true},
        {"http://127.0.0.1", "GET http://0177.0.0.1/", true},
        {"http://127.0.0.1", "GET http://127.1/", true},
        {"http://10.0.0.1", "GET http://2130706433/", false},
        {"http://*", "GET http://1.2.3.4.5/", false},
        {"http://*", "GET http://[::1%25lo]/", true},
        {"http://*", "GET http://[::g]/", false},
        {"http://*", "GET http://::1/", false},
        {"http://*", "GET http://[::1/", false},
    };
    (void)state;
    expect("http", rows, RB_COUNT(rows), false);
}

static void files(void **state)
{
    static const struct row rows[] = {
        {"/srv/app", "/srv/app", true},
        {"/srv/app", "/srv/app/a/b", true},
        {"/srv/app", "/srv/apple", false},
        {"/srv/app", "/srv/app/../etc", false},
        {"/srv/app/", "/srv/app/x", true},
        {"/srv/app/*", "/srv/app/x", true},
        {"/srv/app/*", "/srv/app/x/y", false},
        {"/srv/app/*", "/srv/app", false},
        {"/srv/app/**", "/srv/app/x/y", true},
        {"/srv/app/**", "/srv/app", true},
        {"/srv/app/**", "/srv/app/../../etc/passwd", false},
        {"/srv/*/logs/", "/srv/a/logs/x/y", true},
        {"/etc/*.conf", "/etc/a.conf", true},
        {"/etc/*.conf", "/etc/x/a.conf", false},
        {"data/*.csv", "/srv/books/data/a.csv", true},
        {"data/*.csv", "/data/a.csv", false},
        {"../other", "/srv/other/x", true},
        {"/", "/etc/passwd", true},
        {"/**", "/etc/passwd", true},
        {"/srv", "srv/x", false},
        {"/srv//app/./x", "/srv/app/x", true},
    };
    (void)state;
    expect("file", rows, RB_COUNT(rows), false);
}

static void whole_folders(void **state)
{
    static const struct row rows[] = {
        {"/srv", "/srv/x/**", true},
        {"/srv/x", "/srv/x/**", true},
        {"/srv/**", "/srv/x/**", true},
        {"/srv/x/**", "/srv/x/**", true},
        {"/srv/x/*", "/srv/x/**", false},
        {"/srv/x/*/*", "/srv/x/**", false},
        {"/srv/*/**", "/srv/x/**", true},
        {"/srv/x/*/**", "/srv/x/**", true},
        {"/srv/x/a*/**", "/srv/x/**", false},
        {"/srv/x/y/**", "/srv/x/**", false},
        {"/srv/xy", "/srv/x/**", false},
        {"/srv/x/a*", "/srv/x/**", false},
        {"/", "/**", true},
        {"/srv", "/**", false},
    };
    static const struct row wide[] = {
        {"/srv/x/y", "/srv/x/**", true},     {"/srv/x/y/*.key", "/srv/x/**", true},
        {"/srv/x", "/srv/x/**", true},       {"/srv/*/key", "/srv/x/**", true},
        {"/**/key", "/srv/x/**", true},      {"/srv/y", "/srv/x/**", false},
        {"/srv/xy/key", "/srv/x/**", false}, {"/srv", "/srv/x/**", true},
        {"/srv/a*/key", "/srv/x/**", false}, {"/etc", "/**", true},
    };
    (void)state;
    expect("file", rows, RB_COUNT(rows), false);
    expect("file", wide, RB_COUNT(wide), true);
}

static void bases(void **state)
{
    static const struct {
        const char *header, *site, *path;
        size_t outer, inner;
    } rows[] = {
        {"/srv/app/**", NULL, "/srv/app/a/b", 8, 8},
        {"/srv/app", NULL, "/srv/app/a/b", 8, 8},
        {"/srv/app", NULL, "/srv/app", 4, 4},
        {"/srv/a*/x", NULL, "/srv/app/x", 4, 4},
        {"/srv/app/data/*", "/srv/**", "/srv/app/data/x", 4, 13},
        {"/srv/**", "/srv/app/data/*", "/srv/app/data/x", 4, 13},
        {"/*", NULL, "/x", 1, 1},
        {NULL, "/srv", "/srv/x", 4, 4},
        {NULL, NULL, "/srv/x", 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        char header[200] = "{}", config[200] = "{}";
        size_t got[2];
        if (rows[i].header)
            snprintf(header, sizeof(header), "{\"allow\":{\"file\":[\"%s\"]}}", rows[i].header);
        if (rows[i].site)
            snprintf(config, sizeof(config), "{\"policy\":{\"allow\":{\"file\":[\"%s\"]}}}", rows[i].site);
        struct site *s = site(header, config);
        assert_int_equal(rb_policy_check_path(&s->run, "file", rows[i].path, got, &s->err), 0);
        if (got[0] != rows[i].outer || got[1] != rows[i].inner)
            fail_msg("row %zu: bases %zu %zu, expected %zu %zu", i, got[0], got[1], rows[i].outer, rows[i].inner);
        end(s);
    }
}

static void databases(void **state)
{
    static const struct row rows[] = {
        {"app", "app", true},
        {"app", "apps", false},
        {"app*", "apps", true},
        {"sqlite:/srv/*.db", "sqlite:/srv/a.db", true},
        {"sqlite:/srv/*.db", "sqlite:/srv/a.db?mode=ro", true},
        {"sqlite:/srv/*.db", "sqlite:/srv/../etc/a.db", false},
        {"sqlite:/srv", "sqlite:srv/a.db", false},
        {"sqlite::memory:", "sqlite::memory:", true},
        {"sqlite:data.db", "sqlite:/srv/books/data.db", true},
        {"postgres://app@db/app", "postgres://app@db/app", true},
        {"postgres://*@db/*", "postgres://me@db/app", true},
        {"postgres://*@db/*", "postgres://me@evil/db/app", false},
        {"postgres://*@db/*", "postgres://me@db/app?host=evil", false},
        {"postgres://db:*/app", "postgres://db:5433/app", true},
        {"postgres://*.corp/app", "postgres://evil,x.corp/app", false},
        {"postgres:service=prod*", "postgres:service=prod2", true},
        {"postgres:service=prod*", "postgres:service=prod host=evil", false},
    };
    (void)state;
    expect("sql", rows, RB_COUNT(rows), false);
    static const struct row other[] = {{"ops", "ops", true}, {"ops-*", "ops-db", true}, {"ops", "dev", false}};
    expect("notify", other, RB_COUNT(other), false);
}

static void ssh_compares_user_host_and_port(void **state)
{
    static const struct row rows[] = {
        {"web*", "web1", true},
        {"web*", "deploy@web1:2222", true},
        {"web*", "web1.evil.example", false},
        {"web**", "web1.lab", true},
        {"*", "anything.at.all", true},
        {"*.lab", "web1.lab", true},
        {"*.lab", "a.web1.lab", false},
        {"web*", "db1", false},
        {"web1", "evil@web1", true},
        {"web1", "web1@evil", false},
        {"deploy@db1", "deploy@db1", true},
        {"deploy@db1", "root@db1", false},
        {"deploy@db1", "db1", false},
        {"deploy*@db1", "deploy2@db1:22", true},
        {"db1:22", "db1:22", true},
        {"db1:22", "db1:2222", false},
        {"db1:22", "db1", false},
        {"db1:*", "db1:22", true},
        {"DB1", "db1", true},
        {"db1", "Db1.", true},
        {"[::1]:22", "[::1]:22", true},
        {"::1", "[::1]:22", true},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"ada@corp@db1", "ada@corp@db1", true},
        {"corp@db1", "ada@corp@db1", false},
    };
    static const struct row wide[] = {
        {"root@*", "root@db1", true}, {"root@*", "db1", true},    {"root@*", "ada@db1", false},
        {"db1:22", "db1", true},      {"db1:22", "db1:2", false}, {"db1", "DB1.", true},
    };
    (void)state;
    expect("ssh", rows, RB_COUNT(rows), false);
    expect("ssh", wide, RB_COUNT(wide), true);
}

/* -- who says so --------------------------------------------------------------------------------------------------- */

static void ask(struct site *s, const char *kind, const char *name, const char *said)
{
    int rc = rb_policy_check(&s->run, kind, name, &s->err);
    if (!said) {
        if (rc)
            fail_msg("%s %s is refused: %s", kind, name, s->err.msg);
        return;
    }
    assert_int_equal(rc, RB_EDENIED);
    if (!strstr(s->err.msg, said))
        fail_msg("%s %s: \"%s\" does not say \"%s\"", kind, name, s->err.msg, said);
}

static void the_header_and_the_site(void **state)
{
    (void)state;
    struct site *s = site("{}", NULL);
    ask(s, "exec", "anything", NULL);
    ask(s, "http", "GET nonsense", NULL);
    ask(s, "teleport", "x", "knows no reach");
    end(s);

    s = site("{\"allow\":{\"exec\":[\"git\",\"docker\"],\"file\":[]}}", NULL);
    ask(s, "exec", "git log", NULL);
    ask(s, "exec", "rm -rf /", "allow.exec (book.lua) names \"git\", \"docker\"");
    ask(s, "exec", "gitk", "the nearest is \"git\"");
    ask(s, "http", "GET http://a/", "names nothing of that kind");
    ask(s, "file", "/x", "names nothing of that kind");
    end(s);

    s = site("{\"allow\":{\"exec\":[\"git\",\"docker\"]}}",
             "{\"policy\":{\"allow\":{\"exec\":[\"git\",\"rm\"]},\"deny\":{\"exec\":[\"git push **\"]}}}");
    ask(s, "exec", "git log", NULL);
    ask(s, "exec", "git push origin", "policy.deny.exec of the configuration (/etc/rbhost/config.lua) has \"git push");
    ask(s, "exec", "/usr/bin/git push", "is forbidden at this site");
    ask(s, "exec", "docker ps", "not in this site's reach");
    ask(s, "exec", "rm x", "not in the runbook's reach"); /* the site never widens */
    ask(s, "http", "GET http://a/", "not in this site's reach");
    end(s);

    s = site("{}", "{\"policy\":{\"deny\":{\"http\":[\"http://evil.example\"]}}}");
    ask(s, "exec", "rm", NULL);
    ask(s, "http", "GET http://a/", NULL);
    ask(s, "http", "GET http://EVIL.example.:9/", "forbidden");
    ask(s, "http", "GET http://a%2f/", "can not be judged");
    end(s);

    s = site("{}", "{\"policy\":{\"deny\":{\"http\":[\"evil\"]}}}"); /* a pattern that can not be read forbids all */
    ask(s, "http", "GET http://a/", "can not be judged");
    end(s);

    s = site("{\"allow\":{\"sql\":[\"sqlite:data/*.db\"]}}", NULL); /* both relative to the runbook's folder */
    ask(s, "sql", "sqlite:data/x.db", NULL);
    ask(s, "sql", "sqlite:data/../x.db", "not in the runbook's reach");
    end(s);

    s = site("{\"allow\":{\"http\":[\"http://a/\"]}}", NULL);
    ask(s, "http", "GET http://me:hunter2hunter2@b/x?token=abc", "`GET http://b/x`");
    end(s);
}

/* Each kind, with a name that the pattern covers and one that it does not: refused by the header, by the site's allow,
 * by its deny. */
static void each_kind_is_refused_by_each(void **state)
{
    static const struct {
        const char *kind, *pattern, *inside, *outside;
    } rows[] = {
        {"exec", "git log **", "git log -1", "git push"},
        {"http", "https://api.example.com/v1/", "GET https://api.example.com/v1/x", "GET https://api.example.com/v2"},
        {"ssh", "web*", "web1", "db1"},
        {"sql", "app", "app", "billing"},
        {"file", "/srv/app/*.txt", "/srv/app/a.txt", "/srv/app/a.key"},
        {"notify", "ops", "ops", "everybody"},
    };
    (void)state;
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        char list[200], header[400], allow[400], deny[400], said[200];
        snprintf(list, sizeof(list), "{\"%s\":[\"%s\"]}", rows[i].kind, rows[i].pattern);
        snprintf(header, sizeof(header), "{\"allow\":%s}", list);
        snprintf(allow, sizeof(allow), "{\"policy\":{\"allow\":%s}}", list);
        snprintf(deny, sizeof(deny), "{\"policy\":{\"deny\":%s}}", list);
        struct site *s = site(header, NULL);
        ask(s, rows[i].kind, rows[i].inside, NULL);
        snprintf(said, sizeof(said), "the header's allow.%s (book.lua) names \"%s\"", rows[i].kind, rows[i].pattern);
        ask(s, rows[i].kind, rows[i].outside, said);
        end(s);
        s = site("{}", allow);
        ask(s, rows[i].kind, rows[i].inside, NULL);
        snprintf(said, sizeof(said), "policy.allow.%s of the configuration (/etc/rbhost/config.lua) names",
                 rows[i].kind);
        ask(s, rows[i].kind, rows[i].outside, said);
        end(s);
        s = site("{}", deny);
        ask(s, rows[i].kind, rows[i].outside, NULL);
        snprintf(said, sizeof(said), "policy.deny.%s of the configuration (/etc/rbhost/config.lua) has \"%s\"",
                 rows[i].kind, rows[i].pattern);
        ask(s, rows[i].kind, rows[i].inside, said);
        end(s);
        s = site("{\"allow\":{}}", NULL);
        ask(s, rows[i].kind, rows[i].inside, "names nothing of that kind");
        end(s);
    }
}

/* -- addresses ----------------------------------------------------------------------------------------------------- */

static const struct sockaddr *address(const char *text)
{
    static struct sockaddr_in a4;
    static struct sockaddr_in6 a6;
    if (strchr(text, ':')) {
        a6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        assert_int_equal(inet_pton(AF_INET6, text, &a6.sin6_addr), 1);
        return (const struct sockaddr *)&a6;
    }
    a4 = (struct sockaddr_in){.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &a4.sin_addr), 1);
    return (const struct sockaddr *)&a4;
}

static void classes(void **state)
{
    static const struct {
        const char *address;
        enum rb_address class;
    } rows[] = {
        {"127.0.0.1", RB_ADDRESS_LOOPBACK},
        {"127.255.0.9", RB_ADDRESS_LOOPBACK},
        {"0.0.0.0", RB_ADDRESS_LOOPBACK},
        {"0.1.2.3", RB_ADDRESS_LOOPBACK},
        {"::1", RB_ADDRESS_LOOPBACK},
        {"::", RB_ADDRESS_LOOPBACK},
        {"::ffff:127.0.0.1", RB_ADDRESS_LOOPBACK},
        {"::127.0.0.1", RB_ADDRESS_LOOPBACK},
        {"64:ff9b::127.0.0.1", RB_ADDRESS_LOOPBACK},
        {"2002:7f00:1::", RB_ADDRESS_LOOPBACK},
        {"169.254.169.254", RB_ADDRESS_LINK_LOCAL},
        {"::ffff:169.254.169.254", RB_ADDRESS_LINK_LOCAL},
        {"fe80::1", RB_ADDRESS_LINK_LOCAL},
        {"febf::1", RB_ADDRESS_LINK_LOCAL},
        {"fd00:ec2::254", RB_ADDRESS_LINK_LOCAL},
        {"100.100.100.200", RB_ADDRESS_LINK_LOCAL},
        {"168.63.129.16", RB_ADDRESS_LINK_LOCAL},
        {"10.0.0.1", RB_ADDRESS_OTHER},
        {"192.168.1.1", RB_ADDRESS_OTHER},
        {"128.0.0.1", RB_ADDRESS_OTHER},
        {"fd00::1", RB_ADDRESS_OTHER},
        {"fec0::1", RB_ADDRESS_OTHER},
        {"2001:db8::1", RB_ADDRESS_OTHER},
    };
    char text[64];
    (void)state;
    for (size_t i = 0; i < RB_COUNT(rows); i++)
        if (rb_address_class(address(rows[i].address)) != rows[i].class)
            fail_msg("%s is of class %d, expected %d", rows[i].address, rb_address_class(address(rows[i].address)),
                     rows[i].class);
    assert_string_equal(rb_address_text(address("127.255.0.9"), text), "127.255.0.9");
    assert_string_equal(rb_address_text(address("fe80::1"), text), "fe80::1");
    struct sockaddr_storage odd = {.ss_family = AF_UNIX};
    assert_int_equal(rb_address_class((struct sockaddr *)&odd), RB_ADDRESS_UNKNOWN);
    assert_string_equal(rb_address_text((struct sockaddr *)&odd, text), "an address of family 1");
}

static void who_may_speak_to_this_machine(void **state)
{
    static const char none[] = "{}", meta[] = "{\"allow\":{\"http\":[\"http://169.254.169.254\"]}}",
                      names[] = "{\"allow\":{\"http\":[\"http://127.0.0.1:*\",\"http://localhost\"]}}",
                      wild[] = "{\"allow\":{\"http\":[\"http://"
                               "*:*\"]}}",
                      site_wild[] = "{\"policy\":{\"allow\":{\"http\":[\"http://"
                                    "*\"]}}}",
                      yes[] = "{\"policy\":{\"loopback\":true,\"link_local\":true}}",
                      no[] = "{\"policy\":{\"loopback\":false}}";
    static const struct {
        const char *header, *config, *host, *address;
        bool yes;
    } rows[] = {
        {none, NULL, "127.0.0.1", "127.0.0.1", true},
        {none, NULL, "app.internal", "127.0.0.1", true}, /* nothing is said: the command line */
        {none, NULL, "app.internal", "169.254.169.254", false},
        {none, NULL, "169.254.169.254", "169.254.169.254", true},
        {none, NULL, "localhost", "169.254.169.254", false},
        {none, NULL, "app.internal", "10.0.0.1", true},
        {names, NULL, "127.0.0.1", "127.0.0.1", true},
        {names, NULL, "localhost", "::1", true},
        {names, NULL, "LOCALHOST.", "127.0.0.1", true},
        {names, NULL, "2130706433", "127.0.0.1", true}, /* the same, written otherwise */
        {names, NULL, "rebind.example", "127.0.0.1", false},
        {names, NULL, "[::1]", "::1", false},
        {wild, NULL, "127.0.0.1", "127.0.0.1", false},
        {wild, NULL, "rebind.example", "127.0.0.1", false},
        {wild, NULL, "rebind.example", "::ffff:127.0.0.1", false},
        {wild, NULL, "rebind.example", "10.0.0.1", true},
        {wild, yes, "rebind.example", "127.0.0.1", true},
        {wild, yes, "rebind.example", "169.254.169.254", true},
        {none, site_wild, "127.0.0.1", "127.0.0.1", false},
        {names, site_wild, "127.0.0.1", "127.0.0.1", false},
        {names, no, "127.0.0.1", "127.0.0.1", false},
        {none, no, "x", "0.0.0.0", false},
        {meta, NULL, "169.254.169.254", "169.254.169.254", true},
        {meta, NULL, "metadata.internal", "169.254.169.254", false},
    };
    (void)state;
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        struct site *s = site(rows[i].header, rows[i].config);
        int rc = rb_policy_check_address(&s->run, rows[i].host, address(rows[i].address), &s->err);
        if ((rc == 0) != rows[i].yes)
            fail_msg("row %zu, %s at %s: %s", i, rows[i].host, rows[i].address, rc ? s->err.msg : "is allowed");
        end(s);
    }
}

static void a_port_is_part_of_what_is_named(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct site *s = site("{\"allow\":{\"http\":[\"http://127.0.0.1:8080\",\"http://127.0.0.1\",\"*://*:*\"]}}", NULL);
    static const struct {
        int port;
        bool yes;
    } rows[] = {{8080, true}, {80, true}, {443, false}, {22, false}, {0, true}};
    (void)state;
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        a.sin_port = htons((uint16_t)rows[i].port);
        int rc = rb_policy_check_address(&s->run, "127.0.0.1", (struct sockaddr *)&a, &s->err);
        if ((rc == 0) != rows[i].yes)
            fail_msg("port %d: %s", rows[i].port, rc ? s->err.msg : "is allowed");
    }
    end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands),
        cmocka_unit_test(words_stay_words),
        cmocka_unit_test(urls),
        cmocka_unit_test(urls_that_look_like_others),
        cmocka_unit_test(random_urls),
        cmocka_unit_test(odd_addresses_in_urls),
        cmocka_unit_test(files),
        cmocka_unit_test(whole_folders),
        cmocka_unit_test(bases),
        cmocka_unit_test(databases),
        cmocka_unit_test(ssh_compares_user_host_and_port),
        cmocka_unit_test(the_header_and_the_site),
        cmocka_unit_test(each_kind_is_refused_by_each),
        cmocka_unit_test(classes),
        cmocka_unit_test(who_may_speak_to_this_machine),
        cmocka_unit_test(a_port_is_part_of_what_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
