/*
 * fuzz_decode.c: any ids with the demo model's tokenizer.
 *
 * The input is ids in two bytes each, nearly all of them in the vocabulary.  Decoding gives the
 * bytes of the tokens one after another, all of them or a status.
 */
#include "fuzz.h"

#define MOST_IDS 2048

static gpt2_tokenizer *tokenizer;

static int32_t id_of(const uint8_t *bytes)
{
    static const int32_t odd[] = {-1, INT32_MIN, INT32_MAX, 1 << 21};
    int32_t n_vocab = gpt2_tokenizer_n_vocab(tokenizer);

    return bytes[1] == 0xff ? odd[bytes[0] % 4] : (bytes[0] | bytes[1] << 8) % (n_vocab + 1);
}

static void check_whole(const int32_t *ids, size_t n_ids, const char *wanted, size_t n_wanted)
{
    char *text = take_bytes(n_wanted);
    size_t n_bytes;

    CHECK(gpt2_decode(tokenizer, ids, n_ids, text, n_wanted, &n_bytes) == GPT2_OK);
    CHECK(n_bytes == n_wanted && same_bytes(text, wanted, n_bytes));
    free(text);
    if (n_wanted == 0)
        return;
    CHECK(gpt2_decode(tokenizer, ids, n_ids, NULL, 0, &n_bytes) == GPT2_ERR_BUFFER);
    CHECK(n_bytes == n_wanted);
    text = take_bytes(n_wanted - 1);
    CHECK(gpt2_decode(tokenizer, ids, n_ids, text, n_wanted - 1, &n_bytes) == GPT2_ERR_BUFFER);
    CHECK(n_bytes == n_wanted);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char wanted[MOST_IDS * 32];
    int32_t *ids;
    size_t n_ids = size / 2, n_wanted = 0;
    bool valid = true;

    if (tokenizer == NULL)
        CHECK(gpt2_tokenizer_load(DEMO, NULL, &tokenizer) == GPT2_OK);
    if (n_ids > MOST_IDS)
        return 0;
    ids = take_bytes(n_ids * sizeof *ids);
    for (size_t i = 0; i < n_ids; i++) {
        const char *bytes;
        size_t n_bytes;

        ids[i] = id_of(data + 2 * i);
        if (gpt2_token_bytes(tokenizer, ids[i], &bytes, &n_bytes) != GPT2_OK) {
            valid = false;
            continue;
        }
        CHECK(n_bytes <= sizeof wanted - n_wanted);
        memcpy(wanted + n_wanted, bytes, n_bytes);
        n_wanted += n_bytes;
    }
    if (valid) {
        check_whole(ids, n_ids, wanted, n_wanted);
    } else {
        size_t n_bytes;

        CHECK(gpt2_decode(tokenizer, ids, n_ids, wanted, sizeof wanted, &n_bytes) ==
              GPT2_ERR_TOKEN);
        CHECK(n_bytes == 0);
    }
    free(ids);
    return 0;
}
