/*
 * nearest.c: which name somebody may have meant: the one that the fewest changes of a character make of
 * what was written, if they are at most a third of it.
 */
#include "nearest.h"

#include <string.h>

static size_t least(size_t a, size_t b, size_t c)
{
    size_t both = a < b ? a : b;

    return both < c ? both : c;
}

/* Characters to put in, take out or replace, or neighbours to swap: the optimal string alignment distance. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t rows[3][NEAREST_BYTES + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];

    for (size_t j = 0; j <= n_b; j++)
        above[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t *oldest = before;

        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1, row[j]);
        }
        before = above;
        above = row;
        row = oldest;
    }
    return above[n_b];
}

struct nearest nearest_to(const char *written, size_t length)
{
    struct nearest nearest = {written, length, length / 3 + 1, ""};

    return nearest;
}

void nearest_try(struct nearest *nearest, const char *name)
{
    size_t length = strlen(name), found;

    if (length >= NEAREST_BYTES || nearest->length >= NEAREST_BYTES)
        return;
    found = distance(nearest->written, nearest->length, name, length);
    if (found >= nearest->distance)
        return;
    nearest->distance = found;
    memcpy(nearest->found, name, length + 1);
}
