/* Owns the distance between words (optimal string alignment of Damerau and Levenshtein) and how far a hint may reach.
 * Knows nothing of who asks. */
#include <ctype.h>
#include <string.h>

#include "base/nearest.h"

enum { LONGEST = 64, SLIP = 2 }; /* distances are counted in half slips, so that a wrong case is the nearest mistake */

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int half_slips(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST)
        return SLIP * (int)(na > nb ? na : nb);
    int row[3][LONGEST + 1]; /* two rows back are needed for swaps of neighbours */
    for (size_t j = 0; j <= nb; j++)
        row[0][j] = SLIP * (int)j;
    for (size_t i = 1; i <= na; i++) {
        int *now = row[i % 3], *before = row[(i + 2) % 3], *older = row[(i + 1) % 3];
        now[0] = SLIP * (int)i;
        for (size_t j = 1; j <= nb; j++) {
            bool same = a[i - 1] == b[j - 1];
            bool alike = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            int best = before[j - 1] + (same ? 0 : alike ? 1 : SLIP);
            best = smaller(best, smaller(before[j], now[j - 1]) + SLIP);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && !same)
                best = smaller(best, older[j - 2] + SLIP);
            now[j] = best;
        }
    }
    return row[na % 3][nb];
}

int rb_nearest_distance(const char *a, const char *b)
{
    return (half_slips(a, b) + 1) / SLIP;
}

const char *rb_nearest(const char *word, const char *const *words, size_t n)
{
    size_t len = strlen(word);
    int reach = len <= 5 ? 1 : len <= 8 ? 2 : 3;
    int best = SLIP * reach + 1;
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        int d = half_slips(word, words[i]);
        size_t longer = strlen(words[i]) > len ? strlen(words[i]) : len;
        if (d < best && d < SLIP * (int)longer && len > 0) {
            best = d;
            found = words[i];
        }
    }
    return found;
}
