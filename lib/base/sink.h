/*
 * sink.h: where a file that is written goes: the caller's write callback, in chunks.
 */
#ifndef GPT2I_SINK_H
#define GPT2I_SINK_H

#include "common.h"

#define GPT2I_SINK_CHUNK_BYTES ((size_t)1 << 20)

struct gpt2i_sink {
    gpt2_write_callback write; /* NULL: bytes are only counted */
    void *user;
    unsigned char *chunk; /* [GPT2I_SINK_CHUNK_BYTES], of the caller */
    size_t n_chunk;       /* bytes that wait in it */
    uint64_t n_bytes;     /* so far */
    bool refused;         /* by 'write'; all that follows is dropped */
};

/* NULL: zeros. */
GPT2I_HIDDEN void gpt2i_sink_bytes(struct gpt2i_sink *sink, const void *bytes, uint64_t n_bytes);

/* The n lower bytes of a number, the lowest first. */
GPT2I_HIDDEN void gpt2i_sink_number(struct gpt2i_sink *sink, uint64_t number, size_t n);

/* Text of printf's form, at most 255 bytes; no floats. */
GPT2I_HIDDEN void gpt2i_sink_text(struct gpt2i_sink *sink, const char *format, ...)
    GPT2I_FORMAT(2, 3);

/* Gives the bytes that wait to 'write'. */
GPT2I_HIDDEN void gpt2i_sink_flush(struct gpt2i_sink *sink);

#endif
