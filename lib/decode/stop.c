/*
 * stop.c: stop strings, by Knuth, Morris and Pratt.
 */
#include "stop.h"

/*
 * How many bytes begin the string at the end of a text, after one more byte.  Before it they were
 * n_matched, fewer than the string has.
 */
static size_t match(const char *string, const size_t *fallback, size_t n_matched, char byte)
{
    while (n_matched > 0 && string[n_matched] != byte)
        n_matched = fallback[n_matched - 1];
    return n_matched + (string[n_matched] == byte);
}

static void fill_fallback(size_t *fallback, const char *string, size_t n_bytes)
{
    fallback[0] = 0;
    for (size_t i = 1; i < n_bytes; i++)
        fallback[i] = match(string, fallback, fallback[i - 1], string[i]);
}

struct gpt2i_stops gpt2i_stops_layout(struct gpt2i_arena *arena, const char *const *strings,
                                      size_t n)
{
    struct gpt2i_stops stops = {gpt2i_arena_take(arena, n, sizeof *stops.all), n};

    for (size_t i = 0; i < n; i++) {
        size_t n_bytes = strlen(strings[i]);
        size_t *fallback = gpt2i_arena_take(arena, n_bytes, sizeof *fallback);
        char *bytes = gpt2i_arena_take(arena, n_bytes, 1);

        if (bytes == NULL)
            continue;
        memcpy(bytes, strings[i], n_bytes);
        fill_fallback(fallback, bytes, n_bytes);
        stops.all[i] = (struct gpt2i_stop){bytes, n_bytes, fallback, 0};
    }
    return stops;
}

void gpt2i_stops_reset(struct gpt2i_stops *stops)
{
    for (size_t i = 0; i < stops->n; i++)
        stops->all[i].n_matched = 0;
}

size_t gpt2i_stops_find(struct gpt2i_stops *stops, const char *bytes, size_t n_bytes,
                        size_t *n_read)
{
    for (size_t at = 0; at < n_bytes; at++) {
        size_t longest = 0;

        for (size_t i = 0; i < stops->n; i++) {
            struct gpt2i_stop *stop = &stops->all[i];

            stop->n_matched = match(stop->bytes, stop->fallback, stop->n_matched, bytes[at]);
            if (stop->n_matched == stop->n_bytes)
                longest = gpt2i_max(longest, stop->n_bytes);
        }
        if (longest > 0) {
            *n_read = at + 1;
            return longest;
        }
    }
    return 0;
}

size_t gpt2i_stops_n_held(const struct gpt2i_stops *stops)
{
    size_t n_held = 0;

    for (size_t i = 0; i < stops->n; i++)
        n_held = gpt2i_max(n_held, stops->all[i].n_matched);
    return n_held;
}
