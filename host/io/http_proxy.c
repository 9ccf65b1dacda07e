/* Owns the question through which proxy a URL is reached: the configuration's, or the environment's where the
 * configuration says so. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/http_url.h"

/* "host", ".domain" and "*.domain" (and what is below it), "*". */
static bool passes_by(const char *host, const char *pattern, size_t n)
{
    char text[256];
    if (!n || n >= sizeof(text))
        return false;
    memcpy(text, pattern, n);
    text[n] = '\0';
    if (text[0] == '.') {
        size_t len = strlen(host);
        return !strcasecmp(host, text + 1) || (len > n && !strcasecmp(host + len - n, text));
    }
    return fnmatch(text, host, FNM_CASEFOLD) == 0;
}

static bool in_list(const char *host, const char *list)
{
    while (list && *list) {
        list += strspn(list, ", ");
        size_t n = strcspn(list, ", ");
        if (passes_by(host, list, n))
            return true;
        list += n;
    }
    return false;
}

static const char *variable(const char *lower, const char *upper)
{
    const char *v = getenv(lower);
    if ((!v || !*v) && upper)
        v = getenv(upper);
    return v && *v ? v : NULL;
}

void rb_http_proxy(const json_t *config, const struct rb_http_url *url, struct rb_buf *out)
{
    const json_t *pattern, *list = json_object_get(config, "no_proxy");
    const char *proxy = json_string_value(json_object_get(config, "proxy"));
    size_t i;
    json_array_foreach((json_t *)list, i, pattern)
    {
        const char *text = json_string_value(pattern);
        if (text && passes_by(url->host, text, strlen(text)))
            return;
    }
    if (!proxy && json_is_true(json_object_get(config, "proxy_env"))) {
        /* HTTP_PROXY in capitals is not taken: a web server puts a header of its client there */
        proxy =
            !strcasecmp(url->scheme, "https") ? variable("https_proxy", "HTTPS_PROXY") : variable("http_proxy", NULL);
        if (!proxy)
            proxy = variable("all_proxy", "ALL_PROXY");
        if (in_list(url->host, variable("no_proxy", "NO_PROXY")))
            return;
    }
    if (proxy)
        rb_buf_adds(out, proxy);
}
