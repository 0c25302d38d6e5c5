/*
 * fuzz_vocab.c: any vocab.json and merges.txt, and a text for the tokenizer that they make.
 *
 * The input is vocab.json, a byte 0xff, merges.txt, a byte 0xff, the text.  A tokenizer that loads
 * encodes as the definition of BPE says, and decodes what it has encoded to the same bytes.
 */
#include "encoding.h"

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
    else
        CHECK(line[0] == '\0');
    return tokenizer;
}

/* Every id has bytes, or the vocabulary leaves it out; no other has.  Of large ids some are tried. */
static void check_tokens(const gpt2_tokenizer *tokenizer)
{
    int32_t n_vocab = gpt2_tokenizer_n_vocab(tokenizer);
    int32_t eot = gpt2_tokenizer_eot(tokenizer);
    const char *bytes;
    size_t n_bytes, n_all;
    unsigned sum = 0;

    CHECK(n_vocab > 0 && eot >= -1 && eot < n_vocab);
    for (int32_t id = 0; id < n_vocab; id += 1 + id / 64) {
        CHECK(gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes) == GPT2_OK);
        CHECK(gpt2_decode(tokenizer, &id, 1, NULL, 0, &n_all, NULL, 0) ==
              (n_bytes == 0 ? GPT2_OK : GPT2_ERR_BUFFER));
        CHECK(n_all == n_bytes);
        for (size_t i = 0; i < n_bytes; i++)
            sum += (unsigned char)bytes[i];
    }
    CHECK(sum <= UINT32_MAX); /* a use, so that they are read */
    CHECK(gpt2_tokenizer_token_bytes(tokenizer, n_vocab, &bytes, &n_bytes) == GPT2_ERR_TOKEN);
    CHECK(gpt2_tokenizer_token_bytes(tokenizer, -1, &bytes, &n_bytes) == GPT2_ERR_TOKEN);
    if (eot >= 0) {
        CHECK(gpt2_tokenizer_token_bytes(tokenizer, eot, &bytes, &n_bytes) == GPT2_OK);
        CHECK(n_bytes == GPT2I_EOT_BYTES && same_bytes(bytes, GPT2I_EOT_TEXT, n_bytes));
    }
}

static void check_text(const gpt2_tokenizer *tokenizer, gpt2_encoder *encoder, struct part text,
                       bool special)
{
    struct encoding wanted = naive_encoding(tokenizer, text.bytes, text.n_bytes, special);

    check_whole(encoder, &wanted, text.n_bytes + 1);
    check_parts(encoder, &wanted, (uint8_t)text.n_bytes, text.n_bytes + 1);
    check_each_cut(encoder, &wanted, text.n_bytes + 1);
    if (wanted.n_ids != SIZE_MAX) {
        char *back = take_bytes(text.n_bytes);
        size_t n_back;

        CHECK(gpt2_decode(tokenizer, wanted.ids, wanted.n_ids, back, text.n_bytes, &n_back, NULL,
                          0) == GPT2_OK);
        CHECK(n_back == text.n_bytes && same_bytes(back, text.bytes, n_back));
        free(back);
    }
    free(wanted.ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct part vocab = take_part(&data, &size, 0xff);
    struct part merges = take_part(&data, &size, 0xff);
    struct part text = {data, size};
    gpt2_tokenizer *tokenizer;

    blocks_refuse_above(65536);
    host_put_file("vocab.json", 10, vocab.bytes, vocab.n_bytes);
    host_put_file("merges.txt", 10, merges.bytes, merges.n_bytes);
    tokenizer = load();
    host_remove_files();
    CHECK(blocks_in_use() == (tokenizer != NULL));
    if (tokenizer != NULL) {
        gpt2_encoder_params params;
        gpt2_encoder *encoder;

        check_tokens(tokenizer);
        CHECK(gpt2_encoder_params_init(&params, sizeof params) == GPT2_OK);
        params.max_piece_bytes = text.n_bytes + 1;
        CHECK(gpt2_encoder_create(tokenizer, &params, &encoder) == GPT2_OK);
        check_text(tokenizer, encoder, text, false);
        check_text(tokenizer, encoder, text, true);
        gpt2_encoder_free(encoder);
        gpt2_tokenizer_free(tokenizer);
        CHECK(blocks_in_use() == 0);
    }
    return 0;
}
