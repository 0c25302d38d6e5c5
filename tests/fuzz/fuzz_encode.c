/*
 * fuzz_encode.c: any text with the demo model's tokenizer.
 *
 * The input's first byte is the options, the second where the text is cut when it is encoded in
 * parts; the rest is the text.  The ids are those of the definition of BPE, whatever the room, the
 * encoder and the cuts, and decoding them gives the text.
 */
#include "naive_bpe.h"

#define MOST_BYTES 4096

struct encoded {
    const char *text;
    size_t n_bytes;
    uint32_t flags;
    int32_t *ids;
    size_t n_ids;
    size_t longest_piece;
};

static gpt2_tokenizer *tokenizer;
static gpt2_encoder *large, *small;

static gpt2_encoder *make_encoder(size_t max_stretch_bytes)
{
    gpt2_encoder_params params;
    gpt2_encoder *encoder;

    CHECK(gpt2_encoder_params_init(&params, sizeof params) == GPT2_OK);
    params.max_stretch_bytes = max_stretch_bytes;
    CHECK(gpt2_encoder_create(tokenizer, &params, &encoder) == GPT2_OK);
    return encoder;
}

/* Into ids[capacity], of just that size. */
static int32_t encode(gpt2_encoder *encoder, const struct encoded *text, size_t capacity,
                      size_t *n_ids)
{
    int32_t *ids = capacity == 0 ? NULL : take_bytes(capacity * sizeof *ids);
    int32_t status =
        gpt2_encode(encoder, text->text, text->n_bytes, text->flags, ids, capacity, n_ids);

    CHECK((status == GPT2_OK) == (gpt2_encoder_error(encoder)[0] == '\0'));
    if (status == GPT2_OK)
        CHECK(*n_ids == text->n_ids && same_bytes(ids, text->ids, *n_ids * sizeof *ids));
    free(ids);
    return status;
}

static void check_whole(gpt2_encoder *encoder, const struct encoded *text)
{
    size_t n_ids;

    CHECK(encode(encoder, text, text->n_ids, &n_ids) == GPT2_OK);
    CHECK(encode(encoder, text, text->n_bytes + 1, &n_ids) == GPT2_OK);
    if (text->n_ids > 0) {
        CHECK(encode(encoder, text, 0, &n_ids) == GPT2_ERR_BUFFER && n_ids == text->n_ids);
        CHECK(encode(encoder, text, text->n_ids - 1, &n_ids) == GPT2_ERR_BUFFER);
        CHECK(n_ids == text->n_ids);
    }
}

static void check_decode(const struct encoded *text)
{
    char *back = take_bytes(text->n_bytes);
    size_t n_back;

    CHECK(gpt2_decode(tokenizer, text->ids, text->n_ids, back, text->n_bytes, &n_back) == GPT2_OK);
    CHECK(n_back == text->n_bytes && same_bytes(back, text->text, n_back));
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct encoded text;
    size_t n_ids;

    if (tokenizer == NULL) {
        CHECK(gpt2_tokenizer_load(DEMO, NULL, &tokenizer) == GPT2_OK);
        large = make_encoder(MOST_BYTES);
        small = make_encoder(20);
    }
    if (size < 2 || size > MOST_BYTES)
        return 0;
    text.text = (const char *)data + 2;
    text.n_bytes = size - 2;
    text.flags = data[0] & 1 ? GPT2_ENCODE_SPECIAL : 0;
    text.ids = take_bytes(text.n_bytes * sizeof *text.ids);
    text.n_ids =
        naive_encode(tokenizer, data + 2, text.n_bytes, data[0] & 1, text.ids, &text.longest_piece);
    check_whole(large, &text);
    if (text.longest_piece <= 20) {
        check_whole(small, &text);
    } else {
        CHECK(encode(small, &text, text.n_bytes, &n_ids) == GPT2_ERR_STRETCH && n_ids == 0);
    }
    check_decode(&text);
    free(text.ids);
    return 0;
}
