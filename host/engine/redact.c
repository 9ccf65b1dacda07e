/* Owns the automaton and the ways of reading. Knows no run.
 *
 * A way of reading gives, token by token, the bytes that a text stands for and where each began: "%41" is an A that
 * began three bytes ago. A match in what was read is a range of the text. Ranges that overlap, of one way or of
 * several, are replaced as one, by the name of the longest: nothing of any secret is left standing between two. */
#include "engine/redact.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "engine/secretmem.h"

#define OPEN "\xE2\x80\xB9secret:" /* ‹secret: */
#define CLOSE "\xE2\x80\xBA"       /* › */
#define TOKEN_MAX 16               /* bytes of the longest token: a surrogate pair has 12 */
#define STRIPPED_MIN 6             /* what is left of a secret without its quotes must be so long to be looked for */
#define HELD_SLACK ((size_t)64 << 10)

enum reading { PLAIN, URL, ESCAPED, UNQUOTED, BASE64, HEX, READINGS };

/* So many bytes in a row may be passed over inside a match: \r\n, ": ", '"'"'. */
static const size_t skip_max[READINGS] = {[UNQUOTED] = 64, [BASE64] = 2, [HEX] = 2};

struct node {
    uint32_t child, sibling, fail; /* 0: none; as fail it is the root */
    uint32_t depth;
    uint32_t best; /* the longest pattern that ends here, + 1 */
    uint8_t byte;
};

struct pattern {
    const char *bytes;
    size_t len;
    size_t secret;
};

struct secret {
    char *name;
    char *forms; /* secretmem: the text, then the other patterns */
    size_t len, forms_len;
};

struct range {
    size_t from, to;
    size_t secret; /* the longest of those that are in it */
};

struct rb_redactor {
    struct secret *secrets;
    size_t secret_count;
    struct pattern *patterns;
    size_t pattern_count;
    struct node *nodes; /* secretmem; [0] is the root */
    size_t node_count, node_cap;
    uint32_t first[256]; /* the root's children */
    size_t longest;      /* pattern */
    size_t *starts;      /* ring: where the last bytes that were read began */
    size_t mask;
    bool built;
    struct range *ranges; /* of the text that is looked at */
    size_t range_count, range_cap;
};

/* -- the set ------------------------------------------------------------------------------------------------------- */

struct rb_redactor *rb_redactor_new(void)
{
    return rb_alloc(sizeof(struct rb_redactor));
}

static void drop_automaton(struct rb_redactor *r)
{
    rb_secretmem_free(r->nodes, r->node_cap * sizeof(*r->nodes));
    free(r->starts);
    r->nodes = NULL;
    r->starts = NULL;
    r->built = false;
}

void rb_redactor_free(struct rb_redactor *r)
{
    if (!r)
        return;
    drop_automaton(r);
    for (size_t i = 0; i < r->secret_count; i++) {
        rb_secretmem_free(r->secrets[i].forms, r->secrets[i].forms_len);
        free(r->secrets[i].name);
    }
    free(r->secrets);
    free(r->patterns);
    free(r->ranges);
    free(r);
}

bool rb_redactor_any(const struct rb_redactor *r)
{
    return r && r->secret_count;
}

static bool is_quote(char c)
{
    return c == '\'' || c == '"' || c == '\\';
}

static void add_pattern(struct rb_redactor *r, size_t secret, const char *bytes, size_t len)
{
    r->patterns = rb_realloc(r->patterns, (r->pattern_count + 1) * sizeof(*r->patterns));
    r->patterns[r->pattern_count++] = (struct pattern){bytes, len, secret};
    r->longest = len > r->longest ? len : r->longest;
}

/* The characters of base64 that hold nothing but the text, which begins `skip` bytes into a group of three; and those
 * with the one behind them, as it is when zero bits follow (the end, a line feed). Returns the end of what it wrote. */
static char *add_base64(struct rb_redactor *r, size_t secret, const char *text, size_t len, size_t skip, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t first = (8 * skip + 5) / 6, last = 8 * (skip + len) / 6, bits = 8 * (skip + len);
    char *from = to;
    for (size_t i = first; i <= last; i++) {
        unsigned v = 0;
        if (i == last && 6 * i >= bits)
            break;
        for (size_t b = 6 * i; b < 6 * i + 6; b++) {
            size_t at = b / 8;
            unsigned bit = at >= skip && at < skip + len ? (unsigned char)text[at - skip] >> (7 - b % 8) & 1 : 0;
            v = v << 1 | bit;
        }
        *to++ = digits[v];
    }
    add_pattern(r, secret, from, last - first);
    if ((size_t)(to - from) > last - first)
        add_pattern(r, secret, from, (size_t)(to - from));
    return to;
}

/* Its hexadecimal digits and its base64. Returns the end of what it wrote. */
static char *add_encoded(struct rb_redactor *r, size_t secret, const char *text, size_t len, char *to)
{
    static const char digits[] = "0123456789abcdef";
    char *from = to;
    for (size_t i = 0; i < len; i++) {
        *to++ = digits[(unsigned char)text[i] >> 4];
        *to++ = digits[(unsigned char)text[i] & 15];
    }
    add_pattern(r, secret, from, 2 * len);
    for (size_t skip = 0; skip < 3; skip++)
        to = add_base64(r, secret, text, len, skip, to);
    return to;
}

static void forget(struct rb_buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    rb_buf_release(b);
}

/* As it stands in a JSON text, which may be encoded as a whole; empty where that is the text itself. */
static void quote(const char *text, size_t len, struct rb_buf *out)
{
    rb_buf_init(out, SIZE_MAX / 2);
    if (!rb_utf8_valid(text, len))
        return;
    out->cap = 6 * len + 3; /* at once: nothing of it is left where it grew */
    out->data = rb_alloc(out->cap);
    rb_json_quote(out, text, len);
    if (out->len == len + 2)
        forget(out);
}

void rb_redactor_add(struct rb_redactor *r, const char *name, const char *text, size_t len)
{
    struct rb_buf quoted;
    if (len < RB_REDACT_MIN)
        return;
    for (size_t i = 0; i < r->secret_count; i++)
        if (r->secrets[i].len == len && memcmp(r->secrets[i].forms, text, len) == 0)
            return;
    quote(text, len, &quoted);
    size_t inner = quoted.len ? quoted.len - 2 : 0, n = r->secret_count;
    size_t size = 3 * len + 2 * (len + inner) + 3 * ((len + inner) * 4 / 3 + 8);
    char *to = rb_secretmem_alloc(size), *from = to;
    r->secrets = rb_realloc(r->secrets, (n + 1) * sizeof(*r->secrets));
    r->secrets[n] = (struct secret){rb_strdup(name), to, len, size};
    r->secret_count++;
    drop_automaton(r);

    memcpy(to, text, len);
    add_pattern(r, n, from, len);
    from = to += len;
    for (size_t i = 0; i < len; i++)
        *to++ = text[i] == '+' ? ' ' : text[i];
    add_pattern(r, n, from, len);
    from = to;
    for (size_t i = 0; i < len; i++)
        if (!is_quote(text[i]))
            *to++ = text[i];
    if (to - from >= STRIPPED_MIN)
        add_pattern(r, n, from, (size_t)(to - from));
    to = add_encoded(r, n, text, len, to);
    if (inner)
        add_encoded(r, n, quoted.data + 1, inner, to);
    forget(&quoted);
}

/* -- the automaton ------------------------------------------------------------------------------------------------- */

static uint32_t child_of(const struct rb_redactor *r, uint32_t at, uint8_t byte)
{
    if (!at)
        return r->first[byte];
    uint32_t c = r->nodes[at].child;
    while (c && r->nodes[c].byte != byte)
        c = r->nodes[c].sibling;
    return c;
}

static void insert(struct rb_redactor *r, size_t which)
{
    const struct pattern *p = &r->patterns[which];
    uint32_t at = 0;
    for (size_t i = 0; i < p->len; i++) {
        uint8_t byte = (uint8_t)p->bytes[i];
        uint32_t next = child_of(r, at, byte);
        if (!next) {
            next = (uint32_t)r->node_count++;
            r->nodes[next] =
                (struct node){.byte = byte, .depth = (uint32_t)i + 1, .sibling = at ? r->nodes[at].child : 0};
            if (at)
                r->nodes[at].child = next;
            else
                r->first[byte] = next;
        }
        at = next;
    }
    r->nodes[at].best = (uint32_t)which + 1;
}

static uint32_t step(const struct rb_redactor *r, uint32_t at, uint8_t byte)
{
    uint32_t next;
    while (!(next = child_of(r, at, byte)) && at)
        at = r->nodes[at].fail;
    return next;
}

/* Breadth first: a node's fail is less deep than the node, so it is ready. */
static void link_failures(struct rb_redactor *r)
{
    uint32_t *queue = rb_alloc(r->node_count * sizeof(*queue));
    size_t head = 0, tail = 0;
    for (size_t b = 0; b < 256; b++)
        if (r->first[b])
            queue[tail++] = r->first[b];
    while (head < tail) {
        uint32_t at = queue[head++];
        struct node *n = &r->nodes[at];
        if (!n->best)
            n->best = r->nodes[n->fail].best;
        for (uint32_t c = n->child; c; c = r->nodes[c].sibling) {
            r->nodes[c].fail = step(r, n->fail, r->nodes[c].byte);
            queue[tail++] = c;
        }
    }
    free(queue);
}

static void build(struct rb_redactor *r)
{
    size_t size = 16;
    if (r->built)
        return;
    r->node_cap = 1;
    for (size_t i = 0; i < r->pattern_count; i++)
        r->node_cap += r->patterns[i].len;
    r->nodes = rb_secretmem_alloc(r->node_cap * sizeof(*r->nodes));
    r->node_count = 1;
    memset(r->first, 0, sizeof(r->first));
    for (size_t i = 0; i < r->pattern_count; i++)
        insert(r, i);
    link_failures(r);
    while (size < r->longest + TOKEN_MAX)
        size *= 2;
    r->starts = rb_alloc(size * sizeof(*r->starts));
    r->mask = size - 1;
    r->built = true;
}

/* -- the ways of reading ------------------------------------------------------------------------------------------- */

/* One token of a text. */
struct token {
    size_t len;     /* 0: it is not whole, more must come */
    uint8_t out[4]; /* what it stands for */
    size_t n;       /* bytes of it; 0: nothing, it is passed over */
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hex digits at p, `most` of them at most; gives how many there are. */
static size_t hex_digits(const char *p, size_t n, size_t most, unsigned *v)
{
    size_t k = 0;
    for (*v = 0; k < n && k < most && hex_value(p[k]) >= 0; k++)
        *v = *v << 4 | (unsigned)hex_value(p[k]);
    return k;
}

static struct token byte_token(size_t len, int byte)
{
    return (struct token){len, {(uint8_t)byte}, 1};
}

static struct token url_token(const char *p, size_t n, bool last)
{
    unsigned v;
    if (*p == '+')
        return byte_token(1, ' ');
    if (*p != '%')
        return byte_token(1, *p);
    size_t k = hex_digits(p + 1, n - 1, 2, &v);
    if (k == 2)
        return byte_token(3, v == '+' ? ' ' : (int)v);
    return !last && k + 1 == n ? (struct token){0} : byte_token(1, '%');
}

static struct token utf8_token(size_t len, unsigned v)
{
    struct token t = {.len = len};
    if (v < 0x80) {
        t.out[t.n++] = (uint8_t)v;
        return t;
    }
    size_t more = v < 0x800 ? 1 : v < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xC0, 0xE0, 0xF0};
    t.out[t.n++] = (uint8_t)(lead[more] | v >> (6 * more));
    while (more--)
        t.out[t.n++] = (uint8_t)(0x80 | (v >> (6 * more) & 63));
    return t;
}

/* \uXXXX, perhaps the first of a pair; \UXXXXXXXX. */
static struct token unicode_token(const char *p, size_t n, bool last)
{
    unsigned v, low;
    size_t most = p[1] == 'u' ? 4 : 8, k = hex_digits(p + 2, n - 2, most, &v);
    if (!last && k < most && k + 2 == n)
        return (struct token){0};
    if (k == 0 || (p[1] == 'u' && k < 4) || v > 0x10FFFF)
        return byte_token(2, p[1]);
    if (v < 0xD800 || v > 0xDBFF)
        return utf8_token(2 + k, v);
    if (!last && n < 12 && memcmp(p + 6, "\\u", n - 6 < 2 ? n - 6 : 2) == 0)
        return (struct token){0};
    if (n >= 12 && p[6] == '\\' && p[7] == 'u' && hex_digits(p + 8, 4, 4, &low) == 4 && low >= 0xDC00 && low < 0xE000)
        return utf8_token(12, 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00));
    return utf8_token(6, v);
}

static struct token escaped_token(const char *p, size_t n, bool last)
{
    static const char from[] = "nrtbfvaeE", to[] = "\n\r\t\b\f\v\a\033\033";
    unsigned v = 0;
    if (*p != '\\')
        return byte_token(1, *p);
    if (n == 1)
        return last ? byte_token(1, '\\') : (struct token){0};
    const char *at = strchr(from, p[1]);
    if (p[1] && at)
        return byte_token(2, to[at - from]);
    if (p[1] == 'u' || p[1] == 'U')
        return unicode_token(p, n, last);
    if (p[1] == 'x') {
        size_t k = hex_digits(p + 2, n - 2, 2, &v);
        if (!last && k < 2 && k + 2 == n)
            return (struct token){0};
        return k ? byte_token(2 + k, (int)v) : byte_token(2, 'x');
    }
    if (p[1] >= '0' && p[1] <= '7') {
        size_t k = 0;
        for (; k < 3 && k + 1 < n && p[1 + k] >= '0' && p[1 + k] <= '7'; k++)
            v = v << 3 | (unsigned)(p[1 + k] - '0');
        if (!last && k < 3 && k + 1 == n)
            return (struct token){0};
        return byte_token(1 + k, (int)(v & 255));
    }
    return byte_token(2, p[1]);
}

static struct token next_token(enum reading how, const char *p, size_t n, bool last)
{
    char c = *p;
    switch (how) {
    case URL: return url_token(p, n, last);
    case ESCAPED: return escaped_token(p, n, last);
    case UNQUOTED: return is_quote(c) ? (struct token){.len = 1} : byte_token(1, c);
    case BASE64:
        if (c == '\n' || c == '\r')
            return (struct token){.len = 1};
        return byte_token(1, c == '-' ? '+' : c == '_' ? '/' : c);
    case HEX:
        if (c == ' ' || c == ':' || c == '-' || c == '\n' || c == '\r')
            return (struct token){.len = 1};
        return byte_token(1, c >= 'A' && c <= 'F' ? c | 0x20 : c);
    default: return byte_token(1, c);
    }
}

/* Does the text have what this way reads in another manner than PLAIN? */
static bool differs(enum reading how, const char *text, size_t n)
{
    switch (how) {
    case URL: return memchr(text, '%', n) || memchr(text, '+', n);
    case ESCAPED: return memchr(text, '\\', n);
    case UNQUOTED: return memchr(text, '\\', n) || memchr(text, '\'', n) || memchr(text, '"', n);
    default: return true;
    }
}

/* -- looking ------------------------------------------------------------------------------------------------------- */

static void join(const struct rb_redactor *r, struct range *a, const struct range *b)
{
    a->from = b->from < a->from ? b->from : a->from;
    a->to = b->to > a->to ? b->to : a->to;
    if (r->secrets[b->secret].len > r->secrets[a->secret].len)
        a->secret = b->secret;
}

/* Ranges of one reading come in the order of their ends. Those that overlap are one. */
static void found(struct rb_redactor *r, size_t first_of_reading, size_t from, size_t to, size_t secret)
{
    struct range add = {from, to, secret};
    while (r->range_count > first_of_reading && r->ranges[r->range_count - 1].to > add.from)
        join(r, &add, &r->ranges[--r->range_count]);
    if (r->range_count == r->range_cap) {
        r->range_cap = r->range_cap ? 2 * r->range_cap : 16;
        r->ranges = rb_realloc(r->ranges, r->range_cap * sizeof(*r->ranges));
    }
    r->ranges[r->range_count++] = add;
}

/* Reads the text in one way. Returns where what may still become a match begins; n: nothing may. */
static size_t look(struct rb_redactor *r, enum reading how, const char *text, size_t n, bool last)
{
    uint32_t at = 0;
    size_t count = 0, skipped = 0, i = 0, first_of_reading = r->range_count;
    while (i < n) {
        if (!at && how == PLAIN) /* most of most texts */
            while (i < n && !r->first[(uint8_t)text[i]])
                i++;
        if (i == n)
            break;
        struct token t = next_token(how, text + i, n - i, last);
        if (!t.len)
            break;
        if (!t.n && ++skipped > skip_max[how])
            at = 0;
        for (size_t k = 0; k < t.n; k++) {
            skipped = 0;
            r->starts[count++ & r->mask] = i;
            at = step(r, at, t.out[k]);
            if (r->nodes[at].best) {
                const struct pattern *p = &r->patterns[r->nodes[at].best - 1];
                found(r, first_of_reading, r->starts[(count - p->len) & r->mask], i + t.len, p->secret);
            }
        }
        i += t.len;
    }
    while (at && !r->nodes[at].child) /* it is whole: only an end of it may be a beginning */
        at = r->nodes[at].fail;
    return at ? r->starts[(count - r->nodes[at].depth) & r->mask] : i;
}

static int by_start(const void *pa, const void *pb)
{
    const struct range *a = pa, *b = pb;
    return a->from < b->from ? -1 : a->from > b->from;
}

/* All ways. Leaves sorted ranges that do not overlap, and returns up to where the text is settled. */
static size_t look_all(struct rb_redactor *r, const char *text, size_t n, bool last)
{
    size_t settled = n, kept = 0;
    build(r);
    r->range_count = 0;
    for (enum reading how = PLAIN; how < READINGS; how++) {
        if (!differs(how, text, n))
            continue;
        size_t to = look(r, how, text, n, last);
        settled = to < settled ? to : settled;
    }
    if (r->range_count > 1)
        qsort(r->ranges, r->range_count, sizeof(*r->ranges), by_start);
    for (size_t i = 0; i < r->range_count; i++) {
        struct range *a = kept ? &r->ranges[kept - 1] : NULL, b = r->ranges[i];
        if (!a || b.from >= a->to) {
            r->ranges[kept++] = b;
            continue;
        }
        join(r, a, &b);
    }
    r->range_count = kept;
    for (size_t i = kept; i--;) /* one that may grow is not settled */
        if (r->ranges[i].from < settled && r->ranges[i].to > settled)
            settled = r->ranges[i].from;
    return last ? n : settled;
}

/* An escape is not torn: what is held back begins where a token does. A run of backslashes begins one. */
static size_t whole_tokens(const char *text, size_t settled)
{
    size_t from = settled > TOKEN_MAX ? settled - TOKEN_MAX : 0;
    for (size_t i = from; i < settled; i++) {
        if (text[i] != '\\' && text[i] != '%')
            continue;
        while (i && text[i] == '\\' && text[i - 1] == '\\')
            i--;
        return i;
    }
    return settled;
}

static void write_out(struct rb_redactor *r, const char *text, size_t settled, struct rb_buf *out)
{
    size_t at = 0;
    for (size_t i = 0; i < r->range_count && r->ranges[i].from < settled; i++) {
        rb_buf_add(out, text + at, r->ranges[i].from - at);
        rb_buf_addf(out, OPEN "%s" CLOSE, r->secrets[r->ranges[i].secret].name);
        at = r->ranges[i].to;
    }
    if (at < settled)
        rb_buf_add(out, text + at, settled - at);
}

void rb_redact(struct rb_redactor *r, const char *text, size_t n, struct rb_buf *out)
{
    if (!rb_redactor_any(r) || !n) {
        rb_buf_add(out, text, n);
        return;
    }
    look_all(r, text, n, true);
    write_out(r, text, n, out);
}

bool rb_redact_finds(struct rb_redactor *r, const char *text, size_t n)
{
    if (!rb_redactor_any(r) || !n)
        return false;
    look_all(r, text, n, true);
    return r->range_count > 0;
}

size_t rb_redact_tail(struct rb_redactor *r, const char *text, size_t n)
{
    return rb_redactor_any(r) && n ? n - look_all(r, text, n, false) : 0;
}

void rb_redact_feed(struct rb_redactor *r, struct rb_redact_stream *s, const char *text, size_t n, struct rb_buf *out)
{
    struct rb_buf *held = &s->held;
    if (!n || (!rb_redactor_any(r) && !held->len)) {
        rb_buf_add(out, text, n);
        return;
    }
    held->max = SIZE_MAX / 2;
    rb_buf_add(held, text, n);
    size_t settled = whole_tokens(held->data, look_all(r, held->data, held->len, false));
    for (size_t i = r->range_count; i--;)
        if (r->ranges[i].from < settled && r->ranges[i].to > settled)
            settled = r->ranges[i].from;
    if (held->len - settled > 4 * r->longest + HELD_SLACK) /* a secret that goes on into itself without an end */
        settled = held->len;
    write_out(r, held->data, settled, out);
    memmove(held->data, held->data + settled, held->len - settled);
    explicit_bzero(held->data + held->len - settled, settled);
    held->len -= settled;
}

void rb_redact_end(struct rb_redactor *r, struct rb_redact_stream *s, struct rb_buf *out)
{
    if (s->held.len)
        rb_redact(r, s->held.data, s->held.len, out);
    if (s->held.data)
        explicit_bzero(s->held.data, s->held.cap);
    rb_buf_release(&s->held);
}
