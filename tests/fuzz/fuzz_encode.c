/*
 * fuzz_encode.c: any text with the demo model's tokenizer.
 *
 * The input's first byte is the options, the second where the text is cut when it is encoded in
 * parts; the rest is the text.  The ids are those of the definition of BPE, whatever the room, the
 * encoder and the cuts, decoding them gives the text, and their offsets are where its bytes are.  An encoder of short pieces gives the
 * same ids or says that a piece is too long.
 */
#include "encoding.h"
#include "text/unicode.h"

#define MOST_BYTES  4096
#define SMALL_PIECE 20

static gpt2_tokenizer *tokenizer;
static gpt2_encoder *large, *small;

static void set_up(void)
{
    gpt2_encoder_params params;
    unsigned char *memory;
    size_t n_bytes;

    CHECK(gpt2_tokenizer_load(DEMO, NULL, &tokenizer) == GPT2_OK);
    CHECK(gpt2_encoder_params_init(&params, sizeof params) == GPT2_OK);
    params.max_piece_bytes = MOST_BYTES;
    CHECK(gpt2_encoder_create(tokenizer, &params, &large) == GPT2_OK);
    params.max_piece_bytes = SMALL_PIECE;
    CHECK(gpt2_encoder_size(&params, &n_bytes) == GPT2_OK);
    memory = take_bytes(n_bytes + 3);
    CHECK(gpt2_encoder_init(tokenizer, &params, memory + 3, n_bytes, &small) == GPT2_OK);
}

static void check_decode(const struct encoding *wanted)
{
    char *back = take_bytes(wanted->n_bytes);
    size_t n_back;

    CHECK(gpt2_decode(tokenizer, wanted->ids, wanted->n_ids, back, wanted->n_bytes, &n_back, NULL,
                      0) == GPT2_OK);
    CHECK(n_back == wanted->n_bytes && same_bytes(back, wanted->text, n_back));
    free(back);
}

/* Token by token in the text: a character belongs to all tokens that have one of its bytes. */
static void check_offsets(const struct encoding *wanted)
{
    gpt2_offsets *offsets = take_bytes(wanted->n_ids * sizeof *offsets);
    size_t at = 0, end = 0, character = 0; /* text[at..end) is the character */

    CHECK(gpt2_token_offsets(tokenizer, wanted->ids, wanted->n_ids, offsets) == GPT2_OK);
    for (size_t i = 0; i < wanted->n_ids; i++) {
        const gpt2_offsets *found = &offsets[i];

        CHECK(found->first_byte == (i == 0 ? 0 : found[-1].end_byte));
        CHECK(found->first_byte < found->end_byte && found->end_byte <= wanted->n_bytes);
        for (size_t byte = found->first_byte; byte < found->end_byte; byte++) {
            uint32_t code_point;

            if (byte == end) {
                at = end;
                end += gpt2i_utf8_read(wanted->text + at, wanted->n_bytes - at, &code_point);
                end += end == at;
                character++;
            }
            CHECK(byte > found->first_byte || found->first_char == character - 1);
            CHECK(byte + 1 < found->end_byte || found->end_char == character);
        }
    }
    CHECK(end == wanted->n_bytes);
    free(offsets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct encoding wanted;

    if (tokenizer == NULL)
        set_up();
    if (size < 2 || size > MOST_BYTES)
        return 0;
    wanted = naive_encoding(tokenizer, data + 2, size - 2, data[0] & 1);
    check_whole(large, &wanted, MOST_BYTES);
    check_whole(small, &wanted, SMALL_PIECE);
    check_parts(large, &wanted, data[1], MOST_BYTES);
    check_parts(small, &wanted, data[1], SMALL_PIECE);
    check_each_cut(small, &wanted, SMALL_PIECE);
    check_decode(&wanted);
    check_offsets(&wanted);
    free(wanted.ids);
    return 0;
}
