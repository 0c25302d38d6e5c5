/*
 * offsets.c: byte-level BPE loses nothing, so a token is where the bytes of the tokens before it end.
 * Characters are counted on the way; one may begin in a token and end in a later one.
 */
#include "offsets.h"
#include "unicode.h"

#define MAX_CHARACTER_BYTES 4

/*
 * The length of the character that begins at the first of the bytes[n_bytes], n_bytes > 0, which are the
 * last of ids[0]; the other tokens follow.  A byte at which no well-formed UTF-8 begins is a character.
 */
static size_t character_length(const gpt2_tokenizer *tokenizer, const char *bytes, size_t n_bytes,
                               const int32_t *ids, size_t n_ids)
{
    unsigned char ahead[MAX_CHARACTER_BYTES];
    size_t n_ahead = gpt2i_min(n_bytes, sizeof ahead);
    uint32_t code_point;
    size_t length;

    if ((unsigned char)bytes[0] < 0x80)
        return 1;
    memcpy(ahead, bytes, n_ahead);
    for (size_t i = 1; i < n_ids && n_ahead < sizeof ahead; i++) {
        size_t n;

        (void)gpt2i_token_bytes(tokenizer, ids[i], &bytes, &n_bytes);
        n = gpt2i_min(n_bytes, sizeof ahead - n_ahead);
        memcpy(ahead + n_ahead, bytes, n);
        n_ahead += n;
    }
    length = gpt2i_utf8_read(ahead, n_ahead, &code_point);
    return length == 0 ? 1 : length;
}

/* Whether all ids have a place in the vocabulary, and the end of the text one in an address space. */
static int32_t check_ids(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids)
{
    const char *bytes;
    size_t n_bytes = 0, n;

    for (size_t i = 0; i < n_ids; i++) {
        if (!gpt2i_token_bytes(tokenizer, ids[i], &bytes, &n))
            return GPT2_ERR_TOKEN;
        if (n > SIZE_MAX - n_bytes)
            return GPT2_ERR_ARGUMENT;
        n_bytes += n;
    }
    return GPT2_OK;
}

int32_t gpt2i_token_offsets(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                            gpt2_offsets *offsets)
{
    int32_t status = check_ids(tokenizer, ids, n_ids);
    size_t n_text = 0;       /* bytes so far */
    size_t n_characters = 0; /* those that have begun */
    size_t n_left = 0;       /* bytes of the last one that are still to come */

    for (size_t i = 0; i < n_ids && status == GPT2_OK; i++) {
        const char *bytes;
        size_t n_bytes;

        (void)gpt2i_token_bytes(tokenizer, ids[i], &bytes, &n_bytes);
        offsets[i].first_byte = n_text;
        offsets[i].first_char = n_characters - (n_left > 0);
        for (size_t j = 0; j < n_bytes; j++) {
            if (n_left == 0) {
                n_left = character_length(tokenizer, bytes + j, n_bytes - j, ids + i, n_ids - i);
                n_characters++;
            }
            n_left--;
        }
        n_text += n_bytes;
        offsets[i].end_byte = n_text;
        offsets[i].end_char = n_bytes > 0 ? n_characters : offsets[i].first_char;
    }
    return status;
}
