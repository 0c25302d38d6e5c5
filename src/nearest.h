/*
 * nearest.h: which name somebody may have meant.
 */
#ifndef NEAREST_H
#define NEAREST_H

#include <stddef.h>

#define NEAREST_BYTES 32 /* longer texts have no nearest name */

struct nearest {
    const char *written;
    size_t length;
    size_t distance;           /* of 'found'; a name must be nearer to take its place */
    char found[NEAREST_BYTES]; /* "": none is near */
};

/* Looks for written[length]. */
struct nearest nearest_to(const char *written, size_t length);

/* Takes 'name' if it is nearer than those before. */
void nearest_try(struct nearest *nearest, const char *name);

#endif
