/*
 * fuzz_tokenizer.c: any files of a tokenizer, and a text for what they make.
 *
 * The input is tokenizer.json, vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json, r50k_base.tiktoken and the text, with a byte 0xff between them; a file without bytes is not there.  A
 * tokenizer that loads gives the same ids for a text whole and in parts, and they decode.
 */
#include "fuzz.h"

#define MOST_CUTS 64
#define N_FILES   7

static gpt2_tokenizer *load(void)
{
    gpt2_tokenizer_params params;
    gpt2_tokenizer *tokenizer;
    char line[160] = "";
    int32_t status;

    CHECK(gpt2_tokenizer_params_init(&params, sizeof params) == GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    status = gpt2_tokenizer_load_sources(host_sources, host_n_sources, &params, &tokenizer);
    CHECK((status == GPT2_OK) == (tokenizer != NULL));
    if (status != GPT2_OK)
        check_load_failure(status, line);
    return tokenizer;
}

/* Into ids[capacity]: text in two parts; 'cut' SIZE_MAX: whole.  Each part is a block of its own size. */
static int32_t encode(gpt2_encoder *encoder, struct part text, size_t cut, uint32_t flags,
                      int32_t *ids, size_t capacity, size_t *n_ids)
{
    size_t at = 0, n;
    int32_t status = GPT2_OK;

    *n_ids = 0;
    for (int part = 0; part < 2 && status == GPT2_OK && at <= text.n_bytes; part++) {
        size_t n_bytes = part == 0 && cut < text.n_bytes ? cut : text.n_bytes - at;
        bool more = part == 0 && cut != SIZE_MAX;
        uint8_t *copy = take_bytes(n_bytes);

        if (n_bytes > 0)
            memcpy(copy, text.bytes + at, n_bytes);
        status =
            gpt2_encode(encoder, (const char *)copy, n_bytes, flags | (more ? GPT2_ENCODE_MORE : 0),
                        ids + *n_ids, capacity - *n_ids, &n);
        free(copy);
        at += n_bytes;
        if (status == GPT2_OK)
            *n_ids += n;
        if (!more)
            break;
    }
    if (status != GPT2_OK)
        CHECK(gpt2_encoder_reset(encoder) == GPT2_OK);
    return status;
}

static void check_text(const gpt2_tokenizer *tokenizer, gpt2_encoder *encoder, struct part text,
                       uint32_t flags)
{
    const size_t capacity = 2 * text.n_bytes + 1;
    int32_t *wanted = take_bytes(capacity * sizeof *wanted);
    int32_t *found = take_bytes(capacity * sizeof *found);
    size_t n_wanted, n_found, n_bytes;
    int32_t status = encode(encoder, text, SIZE_MAX, flags, wanted, capacity, &n_wanted);

    CHECK(status == GPT2_OK || status == GPT2_ERR_TOKEN);
    for (size_t cut = 0; cut <= text.n_bytes && cut < MOST_CUTS; cut++) {
        CHECK(encode(encoder, text, cut, flags, found, capacity, &n_found) == status);
        CHECK(status != GPT2_OK ||
              (n_found == n_wanted && same_bytes(found, wanted, n_wanted * sizeof *wanted)));
    }
    if (status == GPT2_OK) {
        status = gpt2_decode(tokenizer, wanted, n_wanted, NULL, 0, &n_bytes, NULL, 0);
        CHECK(status == (n_bytes == 0 ? GPT2_OK : GPT2_ERR_BUFFER));
    }
    free(found);
    free(wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[N_FILES] = {"tokenizer.json",
                                               "vocab.json",
                                               "merges.txt",
                                               "tokenizer_config.json",
                                               "special_tokens_map.json",
                                               "added_tokens.json",
                                               "r50k_base.tiktoken"};
    gpt2_tokenizer *tokenizer;
    struct part text;

    blocks_refuse_above(1 << 20);
    for (size_t i = 0; i < N_FILES; i++) {
        struct part file = take_part(&data, &size, 0xff);

        if (file.n_bytes > 0)
            host_put_file(names[i], strlen(names[i]), file.bytes, file.n_bytes);
    }
    text = (struct part){data, size};
    if (host_n_sources == 0)
        return 0;
    tokenizer = load();
    host_remove_files();
    CHECK(blocks_in_use() == (tokenizer != NULL));
    if (tokenizer != NULL) {
        gpt2_encoder_params params;
        gpt2_encoder *encoder;

        CHECK(gpt2_encoder_params_init(&params, sizeof params) == GPT2_OK);
        params.max_piece_bytes = text.n_bytes + 1;
        CHECK(gpt2_encoder_create(tokenizer, &params, &encoder) == GPT2_OK);
        check_text(tokenizer, encoder, text, 0);
        check_text(tokenizer, encoder, text, GPT2_ENCODE_SPECIAL);
        gpt2_encoder_free(encoder);
        gpt2_tokenizer_free(tokenizer);
        CHECK(blocks_in_use() == 0);
    }
    return 0;
}
