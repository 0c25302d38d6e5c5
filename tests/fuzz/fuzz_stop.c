/*
 * fuzz_stop.c: stop strings in a text that comes in parts.
 *
 * The input is lines: stop strings, then an empty line, then the text.  Cut anywhere, the text ends
 * where a plain search ends it, and what is held back is all that may still be a part of a stop string.
 */
#include "fuzz.h"
#include "decode/stop.h"

#define MOST_STRINGS 16

struct plain {
    size_t end;    /* of the text when a string is complete; SIZE_MAX: never */
    size_t length; /* of the longest of the strings that are complete there */
};

/* Whether text[n] ends with the first n_bytes of 'string'. */
static bool ends_with(const uint8_t *text, size_t n, const char *string, size_t n_bytes)
{
    return n_bytes <= n && same_bytes(text + n - n_bytes, string, n_bytes);
}

static struct plain plain_search(const char *const *strings, size_t n_strings, const uint8_t *text,
                                 size_t n_text)
{
    struct plain plain = {SIZE_MAX, 0};

    for (size_t end = 1; end <= n_text && plain.length == 0; end++) {
        for (size_t i = 0; i < n_strings; i++) {
            size_t n_bytes = strlen(strings[i]);

            if (n_bytes > plain.length && ends_with(text, end, strings[i], n_bytes))
                plain = (struct plain){end, n_bytes};
        }
    }
    return plain;
}

static size_t plain_held(const char *const *strings, size_t n_strings, const uint8_t *text,
                         size_t n_text)
{
    size_t n_held = 0;

    for (size_t i = 0; i < n_strings; i++) {
        for (size_t n = strlen(strings[i]) - 1; n > n_held; n--) {
            if (ends_with(text, n_text, strings[i], n))
                n_held = n;
        }
    }
    return n_held;
}

/* The text in parts of 0 to max_part bytes. */
static void check_parts(struct gpt2i_stops *stops, const char *const *strings, const uint8_t *text,
                        size_t n_text, size_t max_part)
{
    struct plain plain = plain_search(strings, stops->n, text, n_text);
    uint32_t random = (uint32_t)(n_text * 65537 + max_part);
    size_t at = 0;

    gpt2i_stops_reset(stops);
    while (at < n_text) {
        size_t n, n_read = SIZE_MAX, length;
        char *part;

        random = random * 1103515245 + 12345;
        n = (random >> 16) % (max_part + 1);
        n = n > n_text - at ? n_text - at : n;
        part = take_bytes(n); /* exactly so many, for a sanitizer */
        memcpy(part, text + at, n);
        length = gpt2i_stops_find(stops, part, n, &n_read);
        free(part);
        if (length > 0) {
            CHECK(at + n_read == plain.end && length == plain.length);
            return;
        }
        at += n;
        CHECK(at < plain.end);
        CHECK(gpt2i_stops_n_held(stops) == plain_held(strings, stops->n, text, at));
    }
    CHECK(plain.end == SIZE_MAX);
}

/* The first lines, as strings; returns how many. */
static size_t take_strings(char **strings, const uint8_t **data, size_t *size)
{
    size_t n = 0;

    while (n < MOST_STRINGS) {
        struct part line = take_part(data, size, '\n');

        if (line.n_bytes == 0)
            break;
        strings[n] = take_bytes(line.n_bytes + 1);
        memcpy(strings[n], line.bytes, line.n_bytes);
        strings[n][line.n_bytes] = '\0';
        if (strings[n][0] != '\0')
            n++;
        else
            free(strings[n]);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *strings[MOST_STRINGS];
    size_t n = take_strings(strings, &data, &size);
    struct gpt2i_arena measure = gpt2i_arena_over(NULL), place;
    struct gpt2i_stops stops;
    void *memory;

    (void)gpt2i_stops_layout(&measure, (const char *const *)strings, n);
    memory = take_bytes(gpt2i_arena_unaligned_bytes(&measure));
    place = gpt2i_arena_over_unaligned(memory);
    stops = gpt2i_stops_layout(&place, (const char *const *)strings, n);
    for (size_t max_part = 1; max_part <= 16 && size <= 4000; max_part *= 4)
        check_parts(&stops, (const char *const *)strings, data, size, max_part);
    free(memory);
    while (n > 0)
        free(strings[--n]);
    return 0;
}
