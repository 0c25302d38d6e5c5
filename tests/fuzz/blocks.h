/*
 * blocks.h: the library's blocks under blocks.c.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <stddef.h>

/* How many the library has not freed. */
size_t blocks_in_use(void);

/* Larger ones are refused, which spares the time to fill them. */
void blocks_refuse_above(size_t n_bytes);

#endif
