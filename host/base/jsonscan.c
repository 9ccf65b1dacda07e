/* Owns the quick look at a member of a JSON object. The text is the host's own, so it is well-formed unless damaged:
 * then a look-up finds nothing, and never reads past the end. */
#include "base/jsonscan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* p at the opening quote; returns behind the closing one */
static const char *skip_string(const char *p, const char *end)
{
    const char *begin = ++p;
    for (; p < end; p++) {
        p = memchr(p, '"', (size_t)(end - p));
        if (!p)
            break;
        size_t escapes = 0;
        while (p - escapes > begin && p[-1 - (ptrdiff_t)escapes] == '\\')
            escapes++;
        if (escapes % 2 == 0)
            return p + 1;
    }
    return end;
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

static const char *skip_value(const char *p, const char *end)
{
    int depth = 0;
    while (p < end) {
        switch (*p) {
        case '"':
            p = skip_string(p, end);
            if (!depth)
                return p;
            continue;
        case '{':
        case '[': depth++; break;
        case '}':
        case ']':
            if (!depth)
                return p;
            if (--depth == 0)
                return p + 1;
            break;
        case ',':
        case ' ':
        case '\n':
        case '\t':
        case '\r':
            if (!depth)
                return p;
            break;
        default: break;
        }
        p++;
    }
    return end;
}

bool rb_json_next(const char **at, const char *end, struct rb_slice *key, struct rb_slice *value)
{
    const char *p = skip_blanks(*at, end);
    if (p < end && (*p == '{' || *p == ','))
        p = skip_blanks(p + 1, end);
    if (p >= end || *p != '"')
        return false;
    key->p = p + 1;
    p = skip_string(p, end);
    key->n = p > key->p ? (size_t)(p - key->p - 1) : 0;
    p = skip_blanks(p, end);
    if (p >= end || *p != ':')
        return false;
    value->p = skip_blanks(p + 1, end);
    p = skip_value(value->p, end);
    value->n = (size_t)(p - value->p);
    *at = p;
    return true;
}

struct rb_slice rb_json_member(const char *json, size_t n, const char *key)
{
    const char *p = json;
    size_t key_len = strlen(key);
    struct rb_slice name, value;
    while (rb_json_next(&p, json + n, &name, &value))
        if (name.n == key_len && memcmp(name.p, key, key_len) == 0)
            return value;
    return (struct rb_slice){NULL, 0};
}

int64_t rb_json_member_int(const char *json, size_t n, const char *key, int64_t otherwise)
{
    struct rb_slice s = rb_json_member(json, n, key);
    if (!s.p || !s.n || s.n > 20 || (*s.p != '-' && (*s.p < '0' || *s.p > '9')))
        return otherwise;
    char text[24];
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    char *stop;
    errno = 0;
    long long v = strtoll(text, &stop, 10);
    return *stop || errno ? otherwise : v;
}

bool rb_json_member_true(const char *json, size_t n, const char *key)
{
    struct rb_slice s = rb_json_member(json, n, key);
    return s.n == 4 && memcmp(s.p, "true", 4) == 0;
}

bool rb_json_member_is(const char *json, size_t n, const char *key, const char *want)
{
    struct rb_slice s = rb_json_member(json, n, key);
    size_t len = strlen(want);
    return s.n == len + 2 && *s.p == '"' && memcmp(s.p + 1, want, len) == 0;
}

/* The length without a character at the end that is not whole. */
static size_t whole_characters(const char *s, size_t n)
{
    size_t lead = n;
    while (lead && n - lead < 3 && ((unsigned char)s[lead - 1] & 0xC0) == 0x80)
        lead--;
    if (!lead || (unsigned char)s[lead - 1] < 0xC0)
        return n;
    unsigned char c = (unsigned char)s[lead - 1];
    size_t size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    return n - (lead - 1) < size ? lead - 1 : n;
}

bool rb_json_member_text(const char *json, size_t n, const char *key, char *out, size_t n_out)
{
    struct rb_slice s = rb_json_member(json, n, key);
    if (n_out)
        *out = '\0';
    if (s.n < 2 || *s.p != '"')
        return false;
    size_t len = 0;
    for (size_t i = 1; i + 1 < s.n && len + 1 < n_out; i++) {
        char c = s.p[i];
        if (c == '\\' && i + 2 < s.n) {
            c = s.p[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'u' ? '?' : c;
            if (s.p[i] == 'u')
                i += 4;
        }
        out[len++] = c;
    }
    if (len + 1 == n_out) /* perhaps cut: not in the middle of a character */
        len = whole_characters(out, len);
    if (n_out)
        out[len] = '\0';
    return true;
}
