/*
 * sink.c: collects the bytes of a file into chunks for the write callback.
 */
#include "sink.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_BYTES 256

void gpt2i_sink_flush(struct gpt2i_sink *sink)
{
    if (sink->n_chunk > 0)
        sink->refused = sink->write(sink->user, sink->chunk, sink->n_chunk) != 0;
    sink->n_chunk = 0;
}

void gpt2i_sink_bytes(struct gpt2i_sink *sink, const void *bytes, uint64_t n_bytes)
{
    const unsigned char *from = bytes;

    sink->n_bytes += n_bytes;
    while (n_bytes > 0 && sink->write != NULL && !sink->refused) {
        size_t room = GPT2I_SINK_CHUNK_BYTES - sink->n_chunk;
        size_t n = n_bytes < room ? (size_t)n_bytes : room;

        if (from == NULL) {
            memset(sink->chunk + sink->n_chunk, 0, n);
        } else {
            memcpy(sink->chunk + sink->n_chunk, from, n);
            from += n;
        }
        sink->n_chunk += n;
        n_bytes -= n;
        if (sink->n_chunk == GPT2I_SINK_CHUNK_BYTES)
            gpt2i_sink_flush(sink);
    }
}

void gpt2i_sink_number(struct gpt2i_sink *sink, uint64_t number, size_t n)
{
    unsigned char bytes[8];

    gpt2i_store_le(bytes, number, sizeof bytes);
    gpt2i_sink_bytes(sink, bytes, n);
}

void gpt2i_sink_text(struct gpt2i_sink *sink, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gpt2i_sink_bytes(sink, text, gpt2i_min((size_t)length, sizeof text - 1));
}
