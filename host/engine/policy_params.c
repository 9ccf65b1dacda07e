/* Owns the filling in of parameters into the patterns of a header. A value stands for itself: what it holds is never a
 * wildcard, and in a command it is one word. Knows no run and judges nothing. */
#include "engine/policy_params.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/policy.h"
#include "engine/policy_rules.h"

enum { PATTERN_CAP = 64 << 10 };

/* The length of "{name}" at p; 0: there is none. */
static size_t placeholder(const char *p)
{
    size_t n = 1;
    if (p[0] != '{' || (p[1] >= '0' && p[1] <= '9'))
        return 0;
    while ((p[n] >= 'a' && p[n] <= 'z') || (p[n] >= 'A' && p[n] <= 'Z') || (p[n] >= '0' && p[n] <= '9') || p[n] == '_')
        n++;
    return n > 1 && p[n] == '}' ? n + 1 : 0;
}

/* Appends one value, or says no. */
static bool add_text(struct rb_buf *out, enum rb_reach kind, const json_t *value, bool before_slash)
{
    char number[32];
    const char *text = json_string_value(value);
    if (json_is_integer(value)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        text = number;
    }
    if (!text || !*text || strlen(text) != (json_is_string(value) ? json_string_length(value) : strlen(text)) ||
        strchr(text, '*'))
        return false;
    if (kind == RB_REACH_EXEC) { /* one word, or a part of one */
        struct rb_buf word;
        rb_buf_init(&word, PATTERN_CAP);
        rb_policy_word(&word, text);
        rb_buf_add(out, word.data, word.len);
        rb_buf_release(&word);
        return true;
    }
    size_t n = strlen(text);
    while (before_slash && n > 1 && text[n - 1] == '/') /* "http://host/" in "{api}/health" */
        n--;
    rb_buf_add(out, text, n);
    return true;
}

/* Of a command a list is its words; elsewhere each of its elements makes a pattern of its own (`nth`). */
static bool add_value(struct rb_buf *out, enum rb_reach kind, const json_t *value, size_t nth, bool before_slash)
{
    if (!json_is_array(value))
        return add_text(out, kind, value, before_slash);
    if (kind != RB_REACH_EXEC)
        return add_text(out, kind, json_array_get(value, nth), before_slash);
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i)
            rb_buf_addc(out, ' ');
        if (!add_text(out, kind, json_array_get(value, i), false))
            return false;
    }
    return json_array_size(value) > 0;
}

/* Appends the pattern with its values; false: it is left out. *lists: the elements of the longest list in it. */
static bool fill(struct rb_buf *out, enum rb_reach kind, const char *p, const json_t *params, size_t nth, size_t *lists)
{
    while (*p) {
        size_t n = placeholder(p);
        if (!n) {
            rb_buf_addc(out, *p++);
            continue;
        }
        char name[128];
        if (n - 2 >= sizeof(name))
            return false;
        memcpy(name, p + 1, n - 2);
        name[n - 2] = '\0';
        p += n;
        const json_t *value = json_object_get(params, name);
        size_t size = kind == RB_REACH_EXEC ? 0 : json_array_size(value);
        *lists = size > *lists ? size : *lists;
        if (!add_value(out, kind, value, nth, *p == '/'))
            return false;
    }
    return !out->cut;
}

bool rb_policy_has_params(const char *pattern)
{
    while (*pattern && !placeholder(pattern))
        pattern++;
    return *pattern != '\0';
}

static void add_pattern(json_t *list, enum rb_reach kind, const char *text, const json_t *params)
{
    size_t nth = 0, lists = 0;
    do {
        struct rb_buf out;
        rb_buf_init(&out, PATTERN_CAP);
        if (fill(&out, kind, text, params, nth, &lists))
            json_array_append_new(list, json_stringn(rb_buf_text(&out), out.len));
        rb_buf_release(&out);
    } while (++nth < lists);
}

json_t *rb_policy_fill(const json_t *allow, const json_t *params)
{
    json_t *out = json_object();
    const char *name;
    const json_t *patterns;
    json_object_foreach((json_t *)(uintptr_t)allow, name, patterns)
    {
        json_t *list = json_array();
        const json_t *pattern;
        size_t i;
        json_array_foreach((json_t *)(uintptr_t)patterns, i, pattern)
        {
            if (json_is_string(pattern))
                add_pattern(list, rb_reach_of(name), json_string_value(pattern), params);
        }
        json_object_set_new(out, name, list);
    }
    return out;
}
