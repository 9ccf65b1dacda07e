/* Parts of the shim that know nothing of receipts: lines of text, SHA-256, fault points. */
#ifndef RB_SHIM_PARTS_H
#define RB_SHIM_PARTS_H

#include <stddef.h>
#include <stdint.h>

/* A line that is being made; what does not fit is left out. */
struct line {
    char text[512];
    size_t len;
};
void line_text(struct line *l, const char *s);
void line_number(struct line *l, char before, int64_t n);
void line_hex(struct line *l, char before, const uint8_t *p, size_t n);

struct hash {
    uint32_t state[8];
    uint64_t total;
    uint8_t block[64];
};
void hash_begin(struct hash *h);
void hash_add(struct hash *h, const void *p, size_t n);
void hash_end(struct hash *h, uint8_t out[32]);

/* In a fault build the request names a point by its number (shim.c lists them) and what to do there. */
#ifdef RB_FAULT
struct fault {
    uint32_t at, whom;
    long shim, command; /* pids */
};
extern struct fault fault;
void fault_point(uint32_t number);
#else
#define fault_point(number) ((void)0)
#endif

#endif
