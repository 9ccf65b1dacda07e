/* Owns the text that people see: made harmless, measured, cut, quoted. Knows values of the journal, but no run and no
 * terminal. */
#include "front/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS "\xe2\x80\xa6"    /* U+2026 */

/* Decodes one character. Returns its length, or 0 when the bytes are not UTF-8 (RFC 3629). */
static size_t decode(const unsigned char *s, size_t n, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s[0] < 0x80                   ? 1
                 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                 : (s[0] & 0xf0) == 0xe0       ? 3
                 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                               : 0;
    if (!len || len > n)
        return 0;
    uint32_t c = len == 1 ? s[0] : s[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *cp = c;
    return len;
}

/* Controls (C0, DEL, C1), and the characters that reorder or hide what stands around them. */
static bool is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
           c == 0x200e || c == 0x200f || c == 0x2028 || c == 0x2029 || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

/* Length of the escape sequence that begins at s (s[0] is ESC): CSI … final, OSC/DCS/APC/PM/SOS … ST or BEL, else ESC
 * x. A sequence that does not end within the text is as long as the text. */
static size_t escape(const unsigned char *s, size_t n)
{
    if (n < 2)
        return n;
    size_t i = 2;
    if (s[1] == '[') {
        while (i < n && s[i] >= 0x20 && s[i] < 0x40)
            i++;
        return i < n && s[i] >= 0x40 && s[i] < 0x7f ? i + 1 : i;
    }
    if (strchr("]PX^_", s[1])) {
        while (i < n && s[i] != 0x07 && s[i] != '\n' && !(s[i] == 0x1b && i + 1 < n && s[i + 1] == '\\'))
            i++;
        return i >= n || s[i] == '\n' ? i : s[i] == 0x07 ? i + 1 : i + 2;
    }
    while (i - 1 < n && s[i - 1] >= 0x20 && s[i - 1] < 0x30) /* intermediates, as in ESC ( B */
        i++;
    return i < n ? i : n;
}

static void clean(struct rb_buf *out, const char *text, size_t n, const char *indent)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t len = decode(s + i, n - i, &c);
        if (len == 1 && c == 0x1b) {
            i += escape(s + i, n - i);
            continue;
        }
        if (len == 1 && c == '\r' && i + 1 < n && s[i + 1] == '\n') {
            i++;
            continue;
        }
        if (!len || (is_unsafe(c) && c != '\t' && c != '\n'))
            rb_buf_adds(out, REPLACEMENT);
        else if (c == '\t')
            rb_buf_addc(out, ' ');
        else if (c == '\n' && !indent)
            rb_buf_addc(out, ' ');
        else if (c == '\n') {
            rb_buf_addc(out, '\n');
            rb_buf_adds(out, indent);
        } else
            rb_buf_add(out, s + i, len);
        i += len ? len : 1;
    }
}

void rb_text_line(struct rb_buf *out, const char *s, size_t n)
{
    while (n && (s[n - 1] == '\n' || s[n - 1] == '\r'))
        n--;
    clean(out, s, n, NULL);
}

void rb_text_block(struct rb_buf *out, const char *s, size_t n, const char *indent)
{
    while (n && (s[n - 1] == '\n' || s[n - 1] == '\r'))
        n--;
    clean(out, s, n, indent);
}

void rb_text_last(struct rb_buf *out, const char *s, size_t n)
{
    while (n) {
        while (n && strchr(" \t\r\n", s[n - 1]))
            n--;
        size_t start = n;
        while (start && s[start - 1] != '\n' && s[start - 1] != '\r')
            start--;
        size_t before = out->len;
        rb_text_line(out, s + start, n - start);
        if (out->len > before)
            return;
        n = start;
    }
}

bool rb_text_locale(void)
{
    static int utf8 = -1;
    if (utf8 >= 0)
        return utf8;
    utf8 = setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (!utf8)
        setlocale(LC_CTYPE, "C.UTF-8"); /* for wcwidth(): what commands print may be UTF-8 all the same */
    return utf8;
}

static size_t width_of(uint32_t c)
{
    if (c < 0x80)
        return 1;
    int w = wcwidth((wchar_t)c);
    return w < 0 ? 1 : (size_t)w;
}

size_t rb_text_width(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t width = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0xfffd;
        size_t len = decode(s + i, n - i, &c);
        width += width_of(c);
        i += len ? len : 1;
    }
    return width;
}

size_t rb_text_fit(struct rb_buf *out, const char *text, size_t n, size_t columns)
{
    const unsigned char *s = (const unsigned char *)text;
    if (!columns)
        return 0;
    size_t width = 0, fits = 0, used = 0; /* fits: bytes that leave room for the ellipsis */
    for (size_t i = 0; i < n;) {
        uint32_t c = 0xfffd;
        size_t len = decode(s + i, n - i, &c), w = width_of(c);
        if (width + w > columns) {
            rb_buf_add(out, text, fits);
            rb_buf_adds(out, ELLIPSIS);
            return used + 1;
        }
        width += w;
        i += len ? len : 1;
        if (width < columns) {
            fits = i;
            used = width;
        }
    }
    rb_buf_add(out, text, n);
    return width;
}

void rb_text_pad(struct rb_buf *out, size_t columns)
{
    while (columns--)
        rb_buf_addc(out, ' ');
}

bool rb_text_next(const char **rest, const char **line, size_t *n)
{
    if (!*rest || !**rest)
        return false;
    *line = *rest;
    *n = strcspn(*rest, "\n");
    *rest += *n + ((*rest)[*n] == '\n');
    return true;
}

void rb_text_shell(struct rb_buf *out, const char *word)
{
    static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,#";
    if (*word && *word != '#' && strspn(word, harmless) == strlen(word)) {
        rb_buf_adds(out, word);
        return;
    }
    rb_buf_addc(out, '\'');
    for (const char *p = word; *p; p++) {
        if (*p == '\'')
            rb_buf_adds(out, "'\\''");
        else
            rb_buf_addc(out, *p);
    }
    rb_buf_addc(out, '\'');
}

const char *rb_text_of(const json_t *v)
{
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_object(v) && json_object_get(v, "$blob"))
        return rb_text_of(json_object_get(v, "head"));
    return NULL;
}

static size_t base64_bytes(const char *s)
{
    size_t n = strlen(s), pad = n >= 2 ? (size_t)(s[n - 1] == '=') + (size_t)(s[n - 2] == '=') : 0;
    return n / 4 * 3 - pad;
}

void rb_text_value(struct rb_buf *out, const json_t *v)
{
    const json_t *x;
    if (!v)
        return;
    if (json_is_string(v)) {
        rb_text_line(out, json_string_value(v), json_string_length(v));
        return;
    }
    if (json_is_object(v) && json_is_string(x = json_object_get(v, "$secret"))) {
        rb_buf_adds(out, "\xe2\x80\xb9secret:");
        rb_text_line(out, json_string_value(x), json_string_length(x));
        rb_buf_adds(out, "\xe2\x80\xba");
        return;
    }
    if (json_is_object(v) && json_is_string(x = json_object_get(v, "$b64"))) {
        rb_buf_addf(out, "(%zu bytes that are not text)", base64_bytes(json_string_value(x)));
        return;
    }
    if (json_is_object(v) && json_is_string(x = json_object_get(v, "$num"))) {
        rb_buf_adds(out, json_string_value(x));
        return;
    }
    if (json_is_object(v) && json_object_get(v, "$blob")) {
        rb_text_value(out, json_object_get(v, "head"));
        rb_buf_addf(out, " \xe2\x80\xa6 (%lld bytes)", (long long)json_integer_value(json_object_get(v, "size")));
        return;
    }
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text)
        rb_text_line(out, text, strlen(text));
    free(text);
}

/* A list of strings as a command line. */
static void add_words(struct rb_buf *out, const json_t *list)
{
    size_t i;
    json_t *e;
    json_array_foreach((json_t *)list, i, e)
    {
        struct rb_buf word, quoted;
        rb_buf_init(&word, 4096);
        rb_buf_init(&quoted, 8192);
        rb_text_value(&word, e);
        rb_text_shell(&quoted, rb_buf_text(&word));
        if (i)
            rb_buf_addc(out, ' ');
        rb_buf_add(out, rb_buf_text(&quoted), quoted.len);
        rb_buf_release(&word);
        rb_buf_release(&quoted);
    }
}

#define WRITES_SHOWN 3
#define PARAMS_SHOWN 120

/* Of a statement: its parameters, and of a COMMIT what it keeps. Who is asked about it has to know. */
static void add_statement(struct rb_buf *out, const json_t *args)
{
    const json_t *params = json_object_get(args, "params"), *writes = json_object_get(args, "writes");
    if (json_array_size(params) || json_object_size(params)) {
        struct rb_buf text;
        rb_buf_init(&text, PARAMS_SHOWN);
        rb_text_value(&text, params);
        rb_buf_addc(out, ' ');
        rb_text_line(out, rb_buf_text(&text), text.len);
        rb_buf_adds(out, text.cut ? "…" : "");
        rb_buf_release(&text);
    }
    for (size_t i = 0; i < json_array_size(writes); i++) {
        rb_buf_adds(out, i ? "; " : " of ");
        if (i == WRITES_SHOWN) {
            rb_buf_adds(out, "…");
            break;
        }
        rb_text_value(out, json_array_get(writes, i));
    }
}

void rb_text_op(struct rb_buf *out, const char *op, const json_t *args)
{
    static const char *const names[] = {"argv",  "text",     "script", "sh",        "name", "key",
                                        "title", "duration", "url",    "statement", "path", "backup"};
    rb_buf_adds(out, op);
    if (json_is_array(args) && json_array_size(args) && json_is_string(json_array_get(args, 0))) {
        rb_buf_addc(out, ' ');
        add_words(out, args);
        return;
    }
    if (json_is_string(args)) {
        rb_buf_addc(out, ' ');
        rb_text_value(out, args);
        return;
    }
    if (json_is_string(json_object_get(args, "method"))) {
        rb_buf_addc(out, ' ');
        rb_text_value(out, json_object_get(args, "method"));
    }
    if (json_is_string(json_object_get(args, "dsn"))) {
        rb_buf_addc(out, ' ');
        rb_text_value(out, json_object_get(args, "dsn"));
    }
    for (size_t i = 0; i < RB_COUNT(names) && json_is_object(args); i++) {
        const json_t *v = json_object_get(args, names[i]);
        if (!v)
            continue;
        rb_buf_addc(out, ' ');
        if (json_is_array(v))
            add_words(out, v);
        else
            rb_text_value(out, v);
        break;
    }
    add_statement(out, args);
}

static void local(int64_t wall_us, struct tm *tm)
{
    time_t t = (time_t)(wall_us / 1000000);
    localtime_r(&t, tm);
}

void rb_text_time(int64_t wall_us, char out[24])
{
    struct tm tm;
    local(wall_us, &tm);
    strftime(out, 24, "%Y-%m-%d %H:%M:%S", &tm);
}

void rb_text_clock(int64_t wall_us, char out[12])
{
    struct tm tm;
    local(wall_us, &tm);
    strftime(out, 12, "%H:%M:%S", &tm);
}
