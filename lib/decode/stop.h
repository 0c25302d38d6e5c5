/*
 * stop.h: finds stop strings in a text that comes in parts.
 *
 * As soon as some stop string is complete, the text ends where it begins.  If several are complete at
 * the same byte, the longest counts.  Each string has a Knuth-Morris-Pratt automaton, so the time is
 * linear in the text.
 */
#ifndef GPT2I_STOP_H
#define GPT2I_STOP_H

#include "../base/arena.h"

struct gpt2i_stop {
    const char *bytes;
    size_t n_bytes; /* 1 or more */
    const size_t
        *fallback;    /* [n_bytes]: of the first i + 1 bytes, how many at their end are also the
                               beginning, and fewer than i + 1 */
    size_t n_matched; /* how many bytes at the end of the text begin the string */
};

struct gpt2i_stops {
    struct gpt2i_stop *all;
    size_t n;
};

/* Places copies of 'n' strings, none of them empty; over a NULL arena it only measures. */
GPT2I_HIDDEN struct gpt2i_stops gpt2i_stops_layout(struct gpt2i_arena *arena,
                                                   const char *const *strings, size_t n);

/* Another text begins. */
GPT2I_HIDDEN void gpt2i_stops_reset(struct gpt2i_stops *stops);

/*
 * Goes on with the next bytes of the text.  Returns 0, or the length of the stop string that is complete;
 * '*n_read' is then how many of the bytes belong to the text up to its end.  No byte may follow it
 * before a reset.
 */
GPT2I_HIDDEN size_t gpt2i_stops_find(struct gpt2i_stops *stops, const char *bytes, size_t n_bytes,
                                     size_t *n_read);

/* How many bytes at the end of the text may be the beginning of a stop string. */
GPT2I_HIDDEN size_t gpt2i_stops_n_held(const struct gpt2i_stops *stops);

#endif
