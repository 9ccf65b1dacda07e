/* "Did you mean …?": the known word that is nearest to a mistyped one. */
#ifndef RB_NEAREST_H
#define RB_NEAREST_H

#include "base/rb.h"

/* The nearest of n words (the first of equals), or NULL when none is near enough to be worth a hint: one slip (insert,
 * drop, replace or swap of neighbours) for words of up to five bytes, two up to eight, three beyond; never all of a
 * word. Case counts as half a slip. The result is one of words. */
const char *rb_nearest(const char *word, const char *const *words, size_t n);

/* Number of such slips between a and b; words beyond 64 bytes count as very far. */
int rb_nearest_distance(const char *a, const char *b);

#endif
