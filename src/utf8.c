/*
 * utf8.c: which bytes begin a character, and which may follow (Unicode, table 3-7).
 */
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of a character that begins with 'lead'; 1 also for what begins none. */
static size_t character_bytes(unsigned char lead)
{
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 1;
}

/* May 'byte' follow 'before', the lead or a later byte of a character? */
static bool may_follow(unsigned char before, unsigned char byte)
{
    switch (before) {
    case 0xe0:
        return byte >= 0xa0 && byte <= 0xbf;
    case 0xed:
        return byte >= 0x80 && byte <= 0x9f; /* no surrogates */
    case 0xf0:
        return byte >= 0x90 && byte <= 0xbf;
    case 0xf4:
        return byte >= 0x80 && byte <= 0x8f; /* nothing beyond U+10FFFF */
    default:
        return byte >= 0x80 && byte <= 0xbf;
    }
}

size_t utf8_push(struct utf8_stream *stream, unsigned char byte, unsigned char out[UTF8_MOST_BYTES])
{
    size_t n_out = 0;

    if (stream->n_held > 0 && !may_follow(stream->held[stream->n_held - 1], byte)) {
        n_out = stream->n_held;
        memcpy(out, stream->held, n_out);
        stream->n_held = 0;
    }
    if (stream->n_held == 0 && character_bytes(byte) == 1) {
        out[n_out++] = byte;
        return n_out;
    }
    stream->held[stream->n_held++] = byte;
    if (stream->n_held < character_bytes(stream->held[0]))
        return n_out;
    memcpy(out, stream->held, stream->n_held);
    n_out = stream->n_held;
    stream->n_held = 0;
    return n_out;
}
