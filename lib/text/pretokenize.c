/*
 * pretokenize.c: GPT-2's pattern as a scanner, and the rules beside it.
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * The first alternative that matches wins, and each takes as much as it can.  In words: an English
 * contraction; else a run of letters, of numbers or of others, with one space (U+0020) before it;
 * else white space, of which the last character is left over if something else follows, so that
 * a word keeps its space.  The pattern matches any text without a gap.
 *
 * A run is scanned once, a run of white space at most twice: time is linear in the text.
 */
#include "pretokenize.h"
#include "unicode.h"

/* The length of the contraction at the apostrophe text[0], lower case only; 0 if it is none. */
static size_t contraction_length(const unsigned char *text, size_t n_bytes)
{
    if (n_bytes < 2)
        return 0;
    switch (text[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
        return 2;
    case 'r':
    case 'v':
        return n_bytes > 2 && text[2] == 'e' ? 3 : 0;
    case 'l':
        return n_bytes > 2 && text[2] == 'l' ? 3 : 0;
    default:
        return 0;
    }
}

/* Where the run of 'run' characters ends that goes on at text[at]. */
static size_t run_end(const unsigned char *text, size_t n_bytes, size_t at, enum gpt2i_class run)
{
    while (at < n_bytes) {
        size_t length = 1;

        if (text[at] < 0x80 ? gpt2i_ascii_class[text[at]] != run
                            : gpt2i_class_at(text + at, n_bytes - at, &length) != run)
            break;
        at += length;
    }
    return at;
}

/* \s+(?!\S)|\s+ for text that begins with a white-space character of first_length bytes. */
static size_t space_length(const unsigned char *text, size_t n_bytes, size_t first_length)
{
    size_t last = 0; /* where the run's last character begins */
    size_t at = first_length;

    while (at < n_bytes) {
        size_t length;

        if (gpt2i_class_at(text + at, n_bytes - at, &length) != GPT2I_SPACE)
            return last > 0 ? last : first_length;
        last = at;
        at += length;
    }
    return n_bytes;
}

size_t gpt2i_piece_length(const unsigned char *text, size_t n_bytes)
{
    size_t length;
    enum gpt2i_class first = gpt2i_class_at(text, n_bytes, &length);

    if (text[0] == '\'') {
        size_t contraction = contraction_length(text, n_bytes);

        if (contraction > 0)
            return contraction;
    } else if (first == GPT2I_SPACE) {
        size_t second_length;
        enum gpt2i_class second;

        if (text[0] != ' ' || n_bytes < 2)
            return space_length(text, n_bytes, length);
        second = gpt2i_class_at(text + 1, n_bytes - 1, &second_length);
        if (second == GPT2I_SPACE)
            return space_length(text, n_bytes, 1);
        return run_end(text, n_bytes, 1 + second_length, second);
    }
    return run_end(text, n_bytes, length, first);
}

/* ----------------------------------------------------------------------------------- other rules -- */

/* Where the run of characters ends that are no numbers. */
static size_t no_number_end(const unsigned char *text, size_t n_bytes)
{
    size_t at = 0, length;

    while (at < n_bytes && gpt2i_class_at(text + at, n_bytes - at, &length) != GPT2I_NUMBER)
        at += length;
    return at;
}

static bool is_number_at(const unsigned char *text, size_t n_bytes, size_t at)
{
    size_t length;

    return at < n_bytes && gpt2i_class_at(text + at, n_bytes - at, &length) == GPT2I_NUMBER;
}

size_t gpt2i_cut_length(uint32_t rules, const unsigned char *text, size_t n_bytes)
{
    size_t length;
    enum gpt2i_class first;

    if ((rules & GPT2I_CUT_DIGITS) == 0)
        return (rules & GPT2I_CUT_PATTERN) != 0 ? gpt2i_piece_length(text, n_bytes) : n_bytes;
    first = gpt2i_class_at(text, n_bytes, &length);
    if (first == GPT2I_NUMBER)
        return (rules & GPT2I_CUT_EACH_DIGIT) != 0 ? length
                                                   : run_end(text, n_bytes, length, GPT2I_NUMBER);
    if ((rules & GPT2I_CUT_PATTERN) == 0)
        return no_number_end(text, n_bytes);
    if (text[0] == ' ' && is_number_at(text, n_bytes, 1))
        return 1;
    if (first == GPT2I_SPACE && (rules & GPT2I_CUT_DIGITS_FIRST) != 0) {
        size_t end = run_end(text, n_bytes, length, GPT2I_SPACE);

        if (is_number_at(text, n_bytes, end))
            return end; /* nothing follows there that would want the last character */
    }
    return gpt2i_piece_length(text, n_bytes);
}

size_t gpt2i_cut_prefixed_length(uint32_t rules, const unsigned char *text, size_t n_bytes)
{
    size_t length, at = 0, last = 0;
    enum gpt2i_class first = gpt2i_class_at(text, n_bytes, &length);

    if ((rules & GPT2I_CUT_PATTERN) == 0)
        return n_bytes;
    if (first != GPT2I_SPACE)
        return run_end(text, n_bytes, length, first);
    for (; at < n_bytes; at += length) {
        if (gpt2i_class_at(text + at, n_bytes - at, &length) != GPT2I_SPACE)
            return last; /* the run without its last character; the space before it counts, too */
        last = at;
    }
    return n_bytes;
}
