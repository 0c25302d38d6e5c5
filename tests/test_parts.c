/*
 * test_parts.c: text that comes in parts gives what it gives as a whole, in both directions, and a
 * part that is refused changes nothing.
 */
#define DIRECTORY TESTS_TMP "/parts"
#include "text_helpers.h"

#include "text/unicode.h"

#define MOST_BYTES 512

/* What decides where pieces end: whole, and cut in the middle. */
static const char *const bits[] = {
    "a",
    "b",
    " ",
    "  ",
    "\n",
    "\t",
    "'",
    "'s",
    "'re",
    "'l",
    "l",
    "\xc3\xa9",
    "1",
    "22",
    "!",
    "?!",
    "\xff",
    "\xe2",
    "\x80",
    "\xf0\x9f",
    "\xcc\x81",
    "<",
    "|>",
    EOT,
    "<|endo",
    "ftext|",
    "\xe3\x80\x80",
    "\xc2\xa0",
    "the ",
    "hello",
    "zzzzzzzzzzzz",
    "            ",
    "\xe6\xbc\xa2",
    "\xf0\x9f\x98\x80",
};

static size_t random_text(char text[MOST_BYTES])
{
    size_t n_bytes = 0;
    size_t first = random_below(COUNT(bits)), n_kinds = 1 + random_below(COUNT(bits) - (int)first);

    for (uint32_t i = random_below(40); i > 0; i--) {
        const char *bit = bits[first + random_below((uint32_t)n_kinds)];

        memcpy(text + n_bytes, bit, strlen(bit));
        n_bytes += strlen(bit);
    }
    return n_bytes;
}

struct stream {
    gpt2_encoder *encoder;
    uint32_t flags;
    int32_t ids[2 * MOST_BYTES];
    size_t n_ids;
};

/* One part; sometimes with too little room at first, which must not matter. */
static int32_t push(struct stream *stream, const char *part, size_t n_bytes, bool is_last)
{
    char *copy = malloc(n_bytes + (n_bytes == 0)); /* a step outside would be seen */
    uint32_t flags = stream->flags | (is_last ? 0 : GPT2_ENCODE_MORE);
    int32_t *room = stream->ids + stream->n_ids;
    size_t n_ids, wanted;
    int32_t status;

    assert_non_null(copy);
    memcpy(copy, part, n_bytes);
    status = gpt2_encode(stream->encoder, copy, n_bytes, flags, room, random_below(3), &n_ids);
    if (status == GPT2_ERR_BUFFER) {
        wanted = n_ids;
        assert_non_null(strstr(gpt2_encoder_error(stream->encoder), "the buffer has room for"));
        assert_int_equal(
            gpt2_encode(stream->encoder, copy, n_bytes, flags, room, wanted - 1, &n_ids),
            GPT2_ERR_BUFFER);
        status = gpt2_encode(stream->encoder, copy, n_bytes, flags, room, wanted, &n_ids);
        assert_int_equal(status, GPT2_OK);
        assert_int_equal(n_ids, wanted);
    }
    stream->n_ids += n_ids;
    free(copy);
    return status;
}

static void test_cuts(void **state)
{
    static const size_t pieces[] = {1, 2, 5, 8, 16, 40, MOST_BYTES};
    gpt2_tokenizer *tokenizer;
    int n_refused = 0;

    (void)state;
    assert_int_equal(load(DEMO, &tokenizer), GPT2_OK);
    for (size_t s = 0; s < COUNT(pieces); s++) {
        struct stream stream = {NULL};
        gpt2_encoder_params params;

        assert_int_equal(gpt2_encoder_params_init(&params, sizeof params), GPT2_OK);
        params.max_piece_bytes = pieces[s];
        assert_int_equal(gpt2_encoder_create(tokenizer, &params, &stream.encoder), GPT2_OK);
        for (int i = 0; i < 6000; i++) {
            char text[MOST_BYTES];
            size_t n_bytes = random_text(text), at = 0, n_part, n_whole;
            uint32_t longest = 2 + random_below(30);
            int32_t whole[MOST_BYTES], status, wanted;
            bool is_last = false;

            stream.flags = random_below(2) != 0 ? GPT2_ENCODE_SPECIAL : 0;
            stream.n_ids = 0;
            wanted = gpt2_encode(stream.encoder, text, n_bytes, stream.flags, whole, MOST_BYTES,
                                 &n_whole);
            do {
                n_part = random_below(longest);
                n_part = n_part < n_bytes - at ? n_part : n_bytes - at;
                is_last = at + n_part == n_bytes && random_below(2) != 0;
                status = push(&stream, text + at, n_part, is_last);
                at += n_part;
            } while (status == GPT2_OK && !is_last);
            assert_int_equal(status, wanted);
            if (status != GPT2_OK) {
                assert_int_equal(status, GPT2_ERR_PIECE);
                assert_int_equal(gpt2_encoder_reset(stream.encoder), GPT2_OK);
                n_refused++;
                continue;
            }
            assert_int_equal(stream.n_ids, n_whole);
            assert_memory_equal(stream.ids, whole, n_whole * sizeof whole[0]);
        }
        gpt2_encoder_free(stream.encoder);
    }
    assert_true(n_refused > 1000);
    gpt2_tokenizer_free(tokenizer);
}

static void check_cuts(struct pair pair, const char *text, uint32_t flags)
{
    struct stream stream = {.encoder = pair.encoder, .flags = flags};
    size_t n_bytes = strlen(text), n_whole;
    int32_t *whole = encode(pair, text, n_bytes, flags, &n_whole);

    for (size_t cut = 0; cut <= n_bytes; cut++) {
        stream.n_ids = 0;
        assert_int_equal(push(&stream, text, cut, false), GPT2_OK);
        assert_int_equal(push(&stream, text + cut, n_bytes - cut, true), GPT2_OK);
        assert_int_equal(stream.n_ids, n_whole);
        assert_memory_equal(stream.ids, whole, n_whole * sizeof *whole);
    }
    free(whole);
}

/* Texts whose pieces depend on what stands far behind them, cut at each place. */
static void test_each_cut(void **state)
{
    static const char *const texts[] = {
        "a \xe3\x80\x80" EOT "b",
        "a  " EOT,
        "a  <|endoftext|",
        "a \xe3\x80\x80\xe3\x80\x80x",
        "don't we'll 've",
        "'l 'll 'lll",
        "  \xf0\x9f\x98\x80",
        "\xe3\x80\x80 \xe6\xbc\xa2\xe6",
        EOT EOT " " EOT,
        "\xc2\xa0\xc2\xa0 a",
        "12  12",
        " \n\n " EOT "\n",
    };
    struct pair pair = open_pair(DEMO);

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        check_cuts(pair, texts[i], 0);
        check_cuts(pair, texts[i], GPT2_ENCODE_SPECIAL);
    }
    close_pair(pair);

    /* a space and an ideographic space, whose first byte it may be merged with */
    put_vocabulary("{\"\xc4\xa0\":0,\"\xc3\xa3\":1,\"\xc4\xa2\":2,\"\xc4\xa0\xc3\xa3\":3,"
                   "\"<|endoftext|>\":4}",
                   "\xc4\xa0 \xc3\xa3\n");
    pair = open_pair(DIRECTORY);
    check_ids(pair, " \xe3\x80\x80" EOT, 17, GPT2_ENCODE_SPECIAL, (int32_t[]){3, 2, 2, 4}, 4);
    check_cuts(pair, " \xe3\x80\x80" EOT, GPT2_ENCODE_SPECIAL);
    close_pair(pair);
}

/* A vocabulary of two letters: other bytes have no token. */
static void test_refused_parts(void **state)
{
    struct stream stream = {NULL};
    gpt2_encoder_params params;
    gpt2_tokenizer *tokenizer;
    char spaces[200];
    size_t n_ids;

    (void)state;
    put_vocabulary("{\"a\":0,\"b\":1,\"ab\":2,\"\xc4\xa0\":3}", "a b\n");
    assert_int_equal(load(DIRECTORY, &tokenizer), GPT2_OK);
    assert_int_equal(gpt2_encoder_params_init(&params, sizeof params), GPT2_OK);
    params.max_piece_bytes = 50;
    assert_int_equal(gpt2_encoder_create(tokenizer, &params, &stream.encoder), GPT2_OK);
    memset(spaces, ' ', sizeof spaces);
    assert_int_equal(push(&stream, "ab a", 4, false), GPT2_OK);
    for (int i = 0; i < 2; i++) { /* a byte without a token, and then a piece, at either end */
        assert_int_equal(push(&stream, "c", 1, true), GPT2_ERR_TOKEN);
        assert_non_null(strstr(gpt2_encoder_error(stream.encoder), "0x63 at offset 4 of the text"));
        assert_int_equal(push(&stream, spaces, 200, i == 0), GPT2_ERR_PIECE);
        assert_non_null(strstr(gpt2_encoder_error(stream.encoder), "at offset 4 of the text"));
        assert_int_equal(gpt2_encode(stream.encoder, "b", 1, 0x40, NULL, 0, &n_ids),
                         GPT2_ERR_ARGUMENT);
    }
    assert_int_equal(push(&stream, "b", 1, true), GPT2_OK);
    assert_int_equal(stream.n_ids, 3);
    assert_memory_equal(stream.ids, ((int32_t[]){2, 3, 2}), 3 * sizeof(int32_t));

    stream.n_ids = 0; /* what was held is forgotten */
    assert_int_equal(push(&stream, "bbb", 3, false), GPT2_OK);
    assert_int_equal(gpt2_encoder_reset(stream.encoder), GPT2_OK);
    assert_int_equal(push(&stream, "ab", 2, true), GPT2_OK);
    assert_int_equal(stream.n_ids, 1);
    gpt2_encoder_free(stream.encoder);
    gpt2_tokenizer_free(tokenizer);
}

/* Were every byte to look at all that is held, this would take an hour. */
static void test_byte_by_byte(void **state)
{
    struct pair pair = open_pair(DEMO);
    int32_t *ids = malloc((MILLION + 200) * sizeof *ids);
    int32_t *whole;
    char *text = malloc(MILLION);
    size_t n_ids = 0, n_whole, n;

    (void)state;
    assert_non_null(ids);
    assert_non_null(text);
    memset(text, 'z', MILLION);
    for (int i = 0; i < 1000; i++)
        text[MILLION / 2 + 300 * i] = ' ';
    whole = encode(pair, text, MILLION, 0, &n_whole);
    for (size_t i = 0; i < MILLION; i++) {
        assert_int_equal(gpt2_encode(pair.encoder, text + i, 1,
                                     i + 1 < MILLION ? GPT2_ENCODE_MORE : 0, ids + n_ids,
                                     MILLION + 200 - n_ids, &n),
                         GPT2_OK);
        n_ids += n;
    }
    assert_int_equal(n_ids, n_whole);
    assert_memory_equal(ids, whole, n_ids * sizeof *ids);
    free(whole);
    free(text);
    free(ids);
    close_pair(pair);
}

/* ------------------------------------------------------------------------------------ decode -- */

/* Pieces of characters that can go on, by their definition: the beginnings of all characters. */
static void test_unfinished(void **state)
{
    static unsigned char begins[1 << 24]; /* by length and up to three bytes */
    unsigned char bytes[4] = {0};

    (void)state;
    for (uint32_t c = 0x80; c < 0x110000; c++) {
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        uint32_t key = 0;

        if (c >= 0xd800 && c < 0xe000)
            continue;
        bytes[0] = (unsigned char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c >> (6 * (n - 1)));
        for (size_t i = 1; i < n; i++)
            bytes[i] = (unsigned char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
        for (size_t i = 0; i + 1 < n; i++) {
            key = key << 8 | bytes[i];
            begins[key] = (unsigned char)(i + 1);
        }
    }
    for (uint32_t three = 0; three < 1 << 24; three++) {
        size_t wanted = 0;

        for (uint32_t n = 3; n > 0; n--) {
            uint32_t last = three & ((1u << (8 * n)) - 1);

            if (begins[last] == n && last >> (8 * (n - 1)) >= 0xc2) {
                wanted = n;
                break;
            }
        }
        bytes[0] = (unsigned char)(three >> 16);
        bytes[1] = (unsigned char)(three >> 8);
        bytes[2] = (unsigned char)three;
        if (gpt2i_utf8_unfinished(bytes, 3) != wanted)
            fail_msg("%06x: %zu bytes are unfinished", (unsigned)three, wanted);
        if (three >> 16 == 0) {
            size_t least = three >> 8 == 0 ? 1 : 2;

            assert_int_equal(gpt2i_utf8_unfinished(bytes + 3 - least, least), wanted);
        }
    }
    assert_int_equal(gpt2i_utf8_unfinished(bytes, 0), 0);
}

static void test_whole_characters(void **state)
{
    struct pair pair = open_pair(DEMO);
    gpt2_decode_state held = {0}, before;
    size_t n_bytes, n_waits = 0;
    char text[MOST_BYTES], out[MOST_BYTES];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        size_t n_text = random_text(text), n_out = 0, n_ids, n;
        int32_t *ids = encode(pair, text, n_text, 0, &n_ids), status;

        for (size_t at = 0; at < n_ids; at += n) {
            n = 1 + random_below(3);
            n = n < n_ids - at ? n : n_ids - at;
            before = held;
            status = gpt2_decode_part(pair.tokenizer, &held, ids + at, n, GPT2_DECODE_MORE, NULL, 0,
                                      &n_bytes, NULL, 0);
            assert_int_equal(status, n_bytes > 0 ? GPT2_ERR_BUFFER : GPT2_OK);
            if (n_bytes == 0)
                continue; /* taken */
            assert_memory_equal(&held, &before, sizeof held);
            assert_int_equal(gpt2_decode_part(pair.tokenizer, &held, ids + at, n, GPT2_DECODE_MORE,
                                              out + n_out, n_bytes, &n_bytes, NULL, 0),
                             GPT2_OK);
            n_out += n_bytes;
            assert_memory_equal(out, text, n_out);
            n_waits += held.n_held > 0;
            assert_int_equal(gpt2i_utf8_unfinished((unsigned char *)text, n_out + held.n_held),
                             held.n_held);
        }
        assert_int_equal(gpt2_decode_part(pair.tokenizer, &held, NULL, 0, 0, out + n_out,
                                          sizeof out - n_out, &n_bytes, NULL, 0),
                         GPT2_OK);
        assert_int_equal(n_out + n_bytes, n_text);
        assert_memory_equal(out, text, n_text);
        assert_int_equal(held.n_held, 0);
        free(ids);
    }
    assert_true(n_waits > 500);
    close_pair(pair);
}

static void test_decode_refusals(void **state)
{
    struct pair pair = open_pair(DEMO);
    gpt2_decode_state held = {0}, before;
    int32_t first_byte, ids[4] = {0, 0, 0, 70000};
    size_t n;
    char out[16], wanted_ids[64];

    (void)state;
    (void)sprintf(wanted_ids, "id 3 is 70000, wanted 0 to %d",
                  (int)gpt2_tokenizer_n_vocab(pair.tokenizer) - 1);
    assert_int_equal(gpt2_encode(pair.encoder, "\xf0", 1, 0, &first_byte, 1, &n), GPT2_OK);
    assert_int_equal(gpt2_decode_part(pair.tokenizer, &held, &first_byte, 1, GPT2_DECODE_MORE, out,
                                      sizeof out, &n, NULL, 0),
                     GPT2_OK);
    assert_int_equal(n, 0);
    assert_int_equal(held.n_held, 1);
    before = held;
#define REFUSED(status, wanted, ...)                                                \
    do {                                                                            \
        n = 77;                                                                     \
        assert_int_equal(gpt2_decode_part(__VA_ARGS__, line, sizeof line), status); \
        assert_string_equal(line, wanted);                                          \
        assert_memory_equal(&held, &before, sizeof held);                           \
    } while (0)
    REFUSED(GPT2_ERR_ARGUMENT, "gpt2_decode_part: flags is 0x2, wanted none but 0x1",
            pair.tokenizer, &held, NULL, 0, 2, out, sizeof out, &n);
    REFUSED(GPT2_ERR_TOKEN, wanted_ids, pair.tokenizer, &held, ids, 4, 0, out, sizeof out, &n);
    assert_int_equal(n, 0);
    REFUSED(GPT2_ERR_BUFFER, "the text has 1 bytes, the buffer has room for 0", pair.tokenizer,
            &held, NULL, 0, 0, NULL, 0, &n);
    assert_int_equal(n, 1);
    REFUSED(GPT2_ERR_ARGUMENT, "gpt2_decode_part: ids is NULL, but n_ids is 3", pair.tokenizer,
            &held, NULL, 3, 0, out, sizeof out, &n);
    REFUSED(GPT2_ERR_ARGUMENT, "gpt2_decode_part: text is NULL, but capacity is 5", pair.tokenizer,
            &held, NULL, 0, 0, NULL, 5, &n);
    REFUSED(GPT2_ERR_ARGUMENT, "gpt2_decode_part: state is NULL", pair.tokenizer, NULL, NULL, 0, 0,
            out, sizeof out, &n);
    held.n_held = 4;
    before = held;
    REFUSED(GPT2_ERR_ARGUMENT, "gpt2_decode_part: state->n_held is 4, wanted 0 to 3",
            pair.tokenizer, &held, NULL, 0, 0, out, sizeof out, &n);
    /* no line without a buffer, an empty one after success, a short one cut */
    assert_int_equal(gpt2_decode(pair.tokenizer, ids, 4, out, sizeof out, &n, NULL, 9),
                     GPT2_ERR_TOKEN);
    assert_int_equal(gpt2_decode(pair.tokenizer, ids, 4, out, sizeof out, &n, line, 5),
                     GPT2_ERR_TOKEN);
    assert_string_equal(line, "id 3");
    assert_int_equal(gpt2_decode(pair.tokenizer, ids, 1, out, sizeof out, &n, line, sizeof line),
                     GPT2_OK);
    assert_string_equal(line, "");
#undef REFUSED
    close_pair(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_each_cut),
        cmocka_unit_test(test_refused_parts),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_whole_characters),
        cmocka_unit_test(test_decode_refusals),
    };

    return cmocka_run_group_tests_name("parts", tests, make_directory, remove_directory);
}
