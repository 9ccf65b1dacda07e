/* Owns the one form of a URL that the policy compares. Strict where programs differ about what a URL means: what could
 * be read in two ways is refused. Knows no rules. */
#include "engine/policy_url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* -- the host ------------------------------------------------------------------------------------------------------ */

static bool put_v4(const unsigned char *b, char out[256])
{
    snprintf(out, 256, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]);
    return true;
}

static bool host_v6(const char *text, size_t n, char out[256])
{
    char name[64];
    struct in6_addr a;
    const char *zone = memchr(text, '%', n); /* fe80::1%eth0: which wire, not which host */
    size_t len = zone ? (size_t)(zone - text) : n;
    if (len >= sizeof(name))
        return false;
    memcpy(name, text, len);
    name[len] = '\0';
    if (inet_pton(AF_INET6, name, &a) != 1)
        return false;
    return IN6_IS_ADDR_V4MAPPED(&a) ? put_v4(a.s6_addr + 12, out) : inet_ntop(AF_INET6, &a, out, 256) != NULL;
}

/* Is the last label a number? Then the whole is an IPv4 address in one of its old forms, or nothing. */
static bool ends_in_number(const char *host)
{
    const char *dot = strrchr(host, '.'), *p = dot ? dot + 1 : host;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
        return strspn(p + 2, "0123456789abcdef") == strlen(p + 2);
    return *p && strspn(p, "0123456789") == strlen(p);
}

bool rb_policy_host(const char *text, size_t n, char out[256], bool *address)
{
    *address = true;
    if (n > 1 && text[0] == '[')
        return text[n - 1] == ']' && host_v6(text + 1, n - 2, out);
    if (memchr(text, ':', n))
        return host_v6(text, n, out);
    if (n && text[n - 1] == '.')
        n--;
    if (n == 0 || n > 253)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool dot = c == '.' && i && text[i - 1] != '.';
        if (!is_alpha(c) && !is_digit(c) && c != '-' && c != '_' && !dot)
            return false;
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    out[n] = '\0';
    *address = ends_in_number(out);
    struct in_addr a;
    if (*address)
        return inet_aton(out, &a) && put_v4((const unsigned char *)&a, out);
    return true;
}

/* -- the path ------------------------------------------------------------------------------------------------------ */

static bool is_unreserved(int c)
{
    return is_alpha((char)c) || is_digit((char)c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* One character of a path: decoded where that means the same. *slash: some server takes it as a slash. */
static size_t path_char(const char *p, const char *end, char *out, size_t *len, bool *slash)
{
    int hi = *p == '%' && end - p > 2 ? hex(p[1]) : -1, lo = hi < 0 ? -1 : hex(p[2]);
    int c = lo < 0 ? (unsigned char)*p : hi * 16 + lo;
    *slash = (lo >= 0 && c == '/') || c == '\\';
    if ((lo < 0 && c < 0x80) || is_unreserved(c)) {
        out[0] = (char)c;
        *len = 1;
    } else {
        static const char digits[] = "0123456789ABCDEF";
        out[0] = '%';
        out[1] = digits[c >> 4];
        out[2] = digits[c & 15];
        *len = 3;
    }
    return lo < 0 ? 1 : 3;
}

/* Is a segment ".." for a server that decodes slashes or takes parameters away ("..;x")? */
static bool hides_parent(const char *segment, size_t n, bool odd)
{
    if (n >= 3 && memcmp(segment, "..;", 3) == 0)
        return true;
    if (!odd)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool begins = i == 0 || segment[i - 1] == '\\' || (i >= 3 && strncasecmp(segment + i - 3, "%2f", 3) == 0) ||
                      (i >= 3 && strncasecmp(segment + i - 3, "%5c", 3) == 0);
        if (!begins || i + 2 > n || segment[i] != '.' || segment[i + 1] != '.')
            continue;
        const char *rest = segment + i + 2;
        size_t left = n - i - 2;
        if (!left || *rest == '\\' || *rest == ';' || (left >= 3 && strncasecmp(rest, "%2f", 3) == 0) ||
            (left >= 3 && strncasecmp(rest, "%5c", 3) == 0))
            return true;
    }
    return false;
}

/* The segment from `from` on is whole: does what "." and ".." say. Returns the path's new length, behind a slash unless
 * it was the last. */
static size_t close_segment(char *path, size_t from, size_t len, bool last)
{
    size_t n = len - from;
    if (n == 1 && path[from] == '.')
        return from;
    if (n == 2 && path[from] == '.' && path[from + 1] == '.') {
        if (from > 1)
            for (from--; path[from - 1] != '/'; from--)
                ;
        return from;
    }
    if (!last)
        path[len++] = '/';
    return len;
}

static const char *read_path(const char *p, const char *end, struct rb_policy_url *u)
{
    size_t len = 1, from = 1;
    bool odd = false;
    u->path[0] = '/';
    if (p < end)
        p++; /* the slash */
    for (;; p++) {
        while (p < end && *p != '/') {
            char c[3];
            size_t n;
            bool slash;
            p += path_char(p, end, c, &n, &slash);
            odd = odd || slash;
            if (len + n + 2 >= sizeof(u->path))
                return "its path is longer than 8 KiB";
            memcpy(u->path + len, c, n);
            len += n;
        }
        if (hides_parent(u->path + from, len - from, odd))
            return "its path can be read in two ways";
        len = from = close_segment(u->path, from, len, p >= end);
        odd = false;
        if (p >= end)
            break;
    }
    u->path[len] = '\0';
    return NULL;
}

/* -- the whole ----------------------------------------------------------------------------------------------------- */

static const char *read_authority(const char *p, const char *end, struct rb_policy_url *u)
{
    const char *at = memchr(p, '@', (size_t)(end - p));
    if (at && memchr(at + 1, '@', (size_t)(end - at - 1)))
        return "it has two @ before its host";
    if (at)
        p = at + 1;
    const char *colon = NULL;
    if (p < end && *p == '[') {
        const char *close = memchr(p, ']', (size_t)(end - p));
        colon = close && close + 1 < end ? close + 1 : NULL;
        if (!close || (colon && *colon != ':'))
            return "its host is none";
    } else {
        colon = memchr(p, ':', (size_t)(end - p));
        if (colon && memchr(colon + 1, ':', (size_t)(end - colon - 1)))
            return "its host is none (an IPv6 address stands in brackets)";
    }
    if (!rb_policy_host(p, (size_t)((colon ? colon : end) - p), u->host, &u->address))
        return "its host is none (letters, digits, - and dots; others as xn--…)";
    u->port = u->secure ? 443 : 80;
    if (colon && colon + 1 < end) {
        u->port = 0;
        for (p = colon + 1; p < end; p++) {
            if (!is_digit(*p) || u->port > 65535)
                return "its port is none";
            u->port = u->port * 10 + (*p - '0');
        }
        if (u->port < 1 || u->port > 65535)
            return "its port is none";
    }
    return NULL;
}

int rb_policy_url_read(const char *text, struct rb_policy_url *u, const char **why)
{
    const char *space = strchr(text, ' '), *p = space ? space + 1 : text;
    u->method[0] = '\0';
    *why = "its method is none";
    if (space) {
        size_t n = (size_t)(space - text);
        if (n == 0 || n >= sizeof(u->method))
            return RB_EINVAL;
        for (size_t i = 0; i < n; i++)
            u->method[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
        u->method[n] = '\0';
    }
    *why = "it begins neither with http:// nor with https://";
    u->secure = strncasecmp(p, "https://", 8) == 0;
    if (!u->secure && strncasecmp(p, "http://", 7) != 0)
        return RB_EINVAL;
    p += u->secure ? 8 : 7;
    for (const char *c = p; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f) {
            *why = "it holds a space or a control character";
            return RB_EINVAL;
        }
    const char *slash = p + strcspn(p, "/?#\\"), *end = p + strcspn(p, "?#");
    if (*slash == '\\') {
        *why = "a backslash stands in its host";
        return RB_EINVAL;
    }
    if ((*why = read_authority(p, slash, u)) || (*why = read_path(slash, end, u)))
        return RB_EINVAL;
    u->query = *end == '?' ? end + 1 : end;
    u->query_len = *end == '?' ? strcspn(u->query, "#") : 0;
    return RB_OK;
}
