/*
 * utf8.h: cuts a stream of bytes between characters.
 *
 * Tokens are pieces of UTF-8 and may end in the middle of a character.  A stream holds back the
 * bytes of a character until the last one comes, at most three; bytes that cannot become a
 * character any more pass at once.
 */
#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

struct utf8_stream {
    unsigned char held[4];
    size_t n_held;
};

#define UTF8_MOST_BYTES 4

/*
 * Takes one byte and writes to 'out' those that may be printed now: as many as it returns,
 * 0 to UTF8_MOST_BYTES.  What is held back at the end lies in 'held'.
 */
size_t utf8_push(struct utf8_stream *stream, unsigned char byte,
                 unsigned char out[UTF8_MOST_BYTES]);

#endif
