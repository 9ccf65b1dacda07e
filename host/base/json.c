/* Owns the making of JSON text and the two encodings it needs (UTF-8 check, base64). Knows nothing of events. */
#include "base/json.h"

#include <string.h>

void rb_json_init(struct rb_json *j, struct rb_buf *out)
{
    j->out = out;
    j->comma = false;
}

static void before(struct rb_json *j)
{
    if (j->comma)
        rb_buf_addc(j->out, ',');
    j->comma = true;
}

static void open_with(struct rb_json *j, char c)
{
    before(j);
    rb_buf_addc(j->out, c);
    j->comma = false;
}

static void close_with(struct rb_json *j, char c)
{
    rb_buf_addc(j->out, c);
    j->comma = true;
}

void rb_json_object(struct rb_json *j)
{
    open_with(j, '{');
}

void rb_json_array(struct rb_json *j)
{
    open_with(j, '[');
}

void rb_json_end_object(struct rb_json *j)
{
    close_with(j, '}');
}

void rb_json_end_array(struct rb_json *j)
{
    close_with(j, ']');
}

void rb_json_key(struct rb_json *j, const char *key)
{
    before(j);
    rb_json_quote(j->out, key, strlen(key));
    rb_buf_addc(j->out, ':');
    j->comma = false;
}

void rb_json_int(struct rb_json *j, int64_t v)
{
    before(j);
    rb_buf_addi(j->out, v);
}

void rb_json_bool(struct rb_json *j, bool v)
{
    before(j);
    rb_buf_adds(j->out, v ? "true" : "false");
}

void rb_json_null(struct rb_json *j)
{
    before(j);
    rb_buf_adds(j->out, "null");
}

static bool quote_plain(struct rb_buf *out, const char *s, size_t n);

void rb_json_string(struct rb_json *j, const char *s, size_t n)
{
    before(j);
    if (quote_plain(j->out, s, n))
        return;
    if (rb_utf8_valid(s, n)) {
        rb_json_quote(j->out, s, n);
    } else {
        rb_buf_adds(j->out, "{\"$b64\":\"");
        rb_base64(j->out, s, n);
        rb_buf_adds(j->out, "\"}");
    }
}

void rb_json_text(struct rb_json *j, const char *s)
{
    if (s)
        rb_json_string(j, s, strlen(s));
    else
        rb_json_null(j);
}

void rb_json_raw(struct rb_json *j, const char *json, size_t n)
{
    before(j);
    rb_buf_add(j->out, json, n);
}

void rb_json_kint(struct rb_json *j, const char *key, int64_t v)
{
    rb_json_key(j, key);
    rb_json_int(j, v);
}

void rb_json_kbool(struct rb_json *j, const char *key, bool v)
{
    rb_json_key(j, key);
    rb_json_bool(j, v);
}

void rb_json_ktext(struct rb_json *j, const char *key, const char *s)
{
    if (!s)
        return;
    rb_json_key(j, key);
    rb_json_text(j, s);
}

void rb_json_kraw(struct rb_json *j, const char *key, const char *json, size_t n)
{
    rb_json_key(j, key);
    rb_json_raw(j, json, n);
}

/* Eight bytes at a time, where most text is plain ASCII: the high bit of each byte of the sum of these says what it
 * is. */
#define EACH(byte) (0x0101010101010101u * (uint64_t)(byte))

static uint64_t eight(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* Is a byte of the eight below n, at most 0x80? May say so of one behind such a byte, too. */
static uint64_t any_below(uint64_t v, unsigned n)
{
    return (v - EACH(n)) & ~v & EACH(0x80);
}

static uint64_t any_is(uint64_t v, unsigned c)
{
    return any_below(v ^ EACH(c), 1);
}

bool rb_utf8_valid(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s, *end = p + n;
    while (p < end) {
        if (end - p >= 8 && !(eight(p) & EACH(0x80))) {
            p += 8;
            continue;
        }
        if (*p < 0x80) {
            p++;
            continue;
        }
        int more;
        unsigned lo = 0x80, hi = 0xBF;
        if (*p >= 0xC2 && *p <= 0xDF) {
            more = 1;
        } else if (*p >= 0xE0 && *p <= 0xEF) {
            more = 2;
            if (*p == 0xE0)
                lo = 0xA0;
            if (*p == 0xED)
                hi = 0x9F;
        } else if (*p >= 0xF0 && *p <= 0xF4) {
            more = 3;
            if (*p == 0xF0)
                lo = 0x90;
            if (*p == 0xF4)
                hi = 0x8F;
        } else {
            return false;
        }
        if (end - p <= more || p[1] < lo || p[1] > hi)
            return false;
        for (int i = 2; i <= more; i++)
            if (p[i] < 0x80 || p[i] > 0xBF)
                return false;
        p += more + 1;
    }
    return true;
}

static bool needs_escape(uint64_t v)
{
    return any_below(v, 0x20) | any_is(v, '"') | any_is(v, '\\') | any_is(v, 0x7F);
}

/* Exact: no byte that is as it should be borrows from or carries into the next. */
static bool eight_are_plain(uint64_t v)
{
    uint64_t quote = (v ^ EACH('"')) - EACH(1), backslash = (v ^ EACH('\\')) - EACH(1);
    return !((v | (v - EACH(0x20)) | (v + EACH(1)) | quote | backslash) & EACH(0x80));
}

/* One to seven bytes, some of them twice. */
static uint64_t few(const char *s, size_t n)
{
    uint32_t from, to;
    if (n < 4) {
        const unsigned char *p = (const unsigned char *)s;
        return EACH(' ') >> 24 << 24 | (uint64_t)p[0] | (uint64_t)p[n / 2] << 8 | (uint64_t)p[n - 1] << 16;
    }
    memcpy(&from, s, sizeof(from));
    memcpy(&to, s + n - sizeof(to), sizeof(to));
    return (uint64_t)to << 32 | from;
}

bool rb_json_is_plain(const char *s, size_t n)
{
    if (n < 8)
        return n == 0 || eight_are_plain(few(s, n));
    for (size_t i = 0; i < n - 8; i += 8)
        if (!eight_are_plain(eight(s + i)))
            return false;
    return eight_are_plain(eight(s + n - 8));
}

/* Nearly all that is written: as it is. */
static bool quote_plain(struct rb_buf *out, const char *s, size_t n)
{
    char *p = rb_json_is_plain(s, n) ? rb_buf_extend(out, n + 2) : NULL;
    if (!p)
        return false;
    p[0] = p[n + 1] = '"';
    memcpy(p + 1, s, n);
    return true;
}

void rb_json_quote(struct rb_buf *out, const char *s, size_t n)
{
    if (quote_plain(out, s, n))
        return;
    rb_buf_addc(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        while (i + 8 <= n && !needs_escape(eight(s + i)))
            i += 8;
        if (i == n)
            break;
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        rb_buf_add(out, s + from, i - from);
        from = i + 1;
        switch (c) {
        case '"': rb_buf_adds(out, "\\\""); break;
        case '\\': rb_buf_adds(out, "\\\\"); break;
        case '\n': rb_buf_adds(out, "\\n"); break;
        case '\r': rb_buf_adds(out, "\\r"); break;
        case '\t': rb_buf_adds(out, "\\t"); break;
        default: rb_buf_addf(out, "\\u%04x", c);
        }
    }
    rb_buf_add(out, s + from, n - from);
    rb_buf_addc(out, '"');
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void rb_base64(struct rb_buf *out, const void *p, size_t n)
{
    const unsigned char *s = p;
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)s[i] << 16 | (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0) | (i + 2 < n ? s[i + 2] : 0);
        char four[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63], i + 1 < n ? alphabet[v >> 6 & 63] : '=',
                        i + 2 < n ? alphabet[v & 63] : '='};
        rb_buf_add(out, four, 4);
    }
}

int rb_base64_decode(struct rb_buf *out, const char *s, size_t n)
{
    if (n % 4)
        return RB_EINVAL;
    for (size_t i = 0; i < n; i += 4) {
        unsigned v = 0;
        int pad = 0;
        for (int k = 0; k < 4; k++) {
            const char *at = s[i + (size_t)k] ? strchr(alphabet, s[i + (size_t)k]) : NULL;
            if (s[i + (size_t)k] == '=' && i + 4 == n && k >= 2)
                pad++;
            else if (!at || pad)
                return RB_EINVAL;
            v = v << 6 | (at ? (unsigned)(at - alphabet) : 0);
        }
        char three[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
        if ((pad == 1 && (v & 0xFF)) || (pad == 2 && (v & 0xFFFF)))
            return RB_EINVAL;
        if (rb_buf_add(out, three, (size_t)(3 - pad)))
            return RB_ETOOBIG;
    }
    return RB_OK;
}
