/*
 * fuzz_decode.c: any ids with the demo model's tokenizer.
 *
 * The input is ids in two bytes each, nearly all of them in the vocabulary.  Decoding gives the
 * bytes of the tokens one after another, all of them or a status.  In parts it gives the same, and
 * each part but the last ends where no character is unfinished.
 */
#include "fuzz.h"
#include "text/unicode.h"

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

    CHECK(gpt2_decode(tokenizer, ids, n_ids, text, n_wanted, &n_bytes, NULL, 0) == GPT2_OK);
    CHECK(n_bytes == n_wanted && same_bytes(text, wanted, n_bytes));
    free(text);
    if (n_wanted == 0)
        return;
    CHECK(gpt2_decode(tokenizer, ids, n_ids, NULL, 0, &n_bytes, NULL, 0) == GPT2_ERR_BUFFER);
    CHECK(n_bytes == n_wanted);
    text = take_bytes(n_wanted - 1);
    CHECK(gpt2_decode(tokenizer, ids, n_ids, text, n_wanted - 1, &n_bytes, NULL, 0) ==
          GPT2_ERR_BUFFER);
    CHECK(n_bytes == n_wanted);
    free(text);
}

/* True if these 1 to 3 bytes are the beginning of a character, but not all of it. */
static bool is_unfinished(const char *bytes, size_t n_bytes)
{
    static const unsigned char ends[] = {0x80, 0x90, 0xa0};
    unsigned char character[4];
    uint32_t code_point;

    memcpy(character, bytes, n_bytes);
    memset(character + n_bytes, 0x80, sizeof character - n_bytes);
    for (size_t i = 0; i < sizeof ends; i++) {
        character[n_bytes] = ends[i];
        if (gpt2i_utf8_read(character, sizeof character, &code_point) > n_bytes)
            return true;
    }
    return false;
}

/* How many bytes at the end of text[n_bytes] have to wait. */
static size_t unfinished(const char *text, size_t n_bytes)
{
    for (size_t n = 1; n <= 3 && n <= n_bytes; n++) {
        if (is_unfinished(text + n_bytes - n, n))
            return n;
    }
    return 0;
}

/* Parts of 0 to 3 ids, by 'cuts'.  Before each part come calls that must not count. */
static void check_parts(const int32_t *ids, size_t n_ids, uint32_t cuts, const char *wanted,
                        size_t n_wanted)
{
    static const int32_t no_id = -1;
    gpt2_decode_state state = {0};
    size_t at = 0, n_read = 0, n_written = 0;
    bool more = true;

    while (more) {
        size_t n = (cuts >> 16) % 4, n_bytes, n_now, n_part = 0;
        uint32_t flags;
        char *text;

        cuts = cuts * 1103515245 + 12345;
        n = n > n_ids - at ? n_ids - at : n;
        more = at + n < n_ids || cuts >> 30 == 0; /* the last may have no ids */
        flags = more ? GPT2_DECODE_MORE : 0;
        for (size_t i = 0; i < n; i++) {
            const char *bytes;

            CHECK(gpt2_tokenizer_token_bytes(tokenizer, ids[at + i], &bytes, &n_bytes) == GPT2_OK);
            n_part += n_bytes;
        }
        n_read += n_part;
        n_now = n_read - (more ? unfinished(wanted, n_read) : 0) - n_written;
        text = take_bytes(n_now);
        CHECK(gpt2_decode_part(tokenizer, &state, &no_id, 1, flags, text, n_now, &n_bytes, NULL,
                               0) == GPT2_ERR_TOKEN);
        if (n_now > 0) {
            CHECK(gpt2_decode_part(tokenizer, &state, ids + at, n, flags, text, n_now - 1, &n_bytes,
                                   NULL, 0) == GPT2_ERR_BUFFER);
            CHECK(n_bytes == n_now);
        }
        CHECK(gpt2_decode_part(tokenizer, &state, ids + at, n, flags, text, n_now, &n_bytes, NULL,
                               0) == GPT2_OK);
        CHECK(n_bytes == n_now && same_bytes(text, wanted + n_written, n_now));
        CHECK(state.n_held == n_read - n_written - n_now);
        free(text);
        n_written += n_now;
        at += n;
    }
    CHECK(n_written == n_wanted && state.n_held == 0);
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
        if (gpt2_tokenizer_token_bytes(tokenizer, ids[i], &bytes, &n_bytes) != GPT2_OK) {
            valid = false;
            continue;
        }
        CHECK(n_bytes <= sizeof wanted - n_wanted);
        memcpy(wanted + n_wanted, bytes, n_bytes);
        n_wanted += n_bytes;
    }
    if (valid) {
        check_whole(ids, n_ids, wanted, n_wanted);
        check_parts(ids, n_ids, (uint32_t)n_wanted * 65537, wanted, n_wanted);
    } else {
        size_t n_bytes;

        CHECK(gpt2_decode(tokenizer, ids, n_ids, wanted, sizeof wanted, &n_bytes, NULL, 0) ==
              GPT2_ERR_TOKEN);
        CHECK(n_bytes == 0);
    }
    free(ids);
    return 0;
}
