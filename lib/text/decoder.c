/*
 * decoder.c: ids to text.  A character may come in several tokens, so its first bytes can wait in the
 * caller's state for the next call.
 */
#include "decoder.h"
#include "unicode.h"

/* The bytes of the tokens, one after another.  The last few may have to wait for the next call. */
struct byte_output {
    char *text;
    size_t capacity;
    size_t n_bytes;        /* also counts the bytes that do not fit */
    unsigned char last[3]; /* copies of the last bytes */
    size_t n_last;
};

static void put_bytes(struct byte_output *output, const void *bytes, size_t n_bytes)
{
    const unsigned char *from = bytes;
    size_t n_new = gpt2i_min(n_bytes, sizeof output->last);
    size_t n_old = gpt2i_min(output->n_last, sizeof output->last - n_new);

    if (n_bytes == 0)
        return;
    if (output->n_bytes < output->capacity)
        memcpy(output->text + output->n_bytes, from,
               gpt2i_min(n_bytes, output->capacity - output->n_bytes));
    output->n_bytes += n_bytes;
    memmove(output->last, output->last + output->n_last - n_old, n_old);
    memcpy(output->last + n_old, from + n_bytes - n_new, n_new);
    output->n_last = n_old + n_new;
}

int32_t gpt2i_decode(const gpt2_tokenizer *tokenizer, gpt2_decode_state *state, const int32_t *ids,
                     size_t n_ids, uint32_t flags, char *text, size_t capacity, size_t *n_bytes,
                     struct gpt2i_error *error)
{
    struct byte_output output = {.text = text, .capacity = capacity};
    size_t n_waiting = 0;

    *n_bytes = 0;
    put_bytes(&output, state->held, state->n_held);
    for (size_t i = 0; i < n_ids; i++) {
        const char *bytes;
        size_t length;

        if (!gpt2i_token_bytes(tokenizer, ids[i], &bytes, &length))
            return gpt2i_fail(error, GPT2_ERR_TOKEN, "id %zu is %d, wanted 0 to %d", i, (int)ids[i],
                              (int)tokenizer->n_ids - 1);
        if (length > SIZE_MAX - output.n_bytes)
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                              "the text has more bytes than an address space holds");
        put_bytes(&output, bytes, length);
    }
    if ((flags & GPT2_DECODE_MORE) != 0)
        n_waiting = gpt2i_utf8_unfinished(output.last, output.n_last);
    *n_bytes = output.n_bytes - n_waiting;
    if (*n_bytes > capacity)
        return gpt2i_fail(error, GPT2_ERR_BUFFER,
                          "the text has %zu bytes, the buffer has room for %zu", *n_bytes,
                          capacity);
    memset(state, 0, sizeof *state);
    memcpy(state->held, output.last + output.n_last - n_waiting, n_waiting);
    state->n_held = (uint32_t)n_waiting;
    return GPT2_OK;
}
