/*
 * api_tokenizer.c: tokenizers, and from ids to text.
 */
#include "api_text.h"

struct fuzz_tokenizer fuzz_tokenizers[FUZZ_N_TOKENIZERS];

/* ----------------------------------------------------------------------------------- opening -- */

void fuzz_tokenizers_open(void)
{
    static const char *const directories[FUZZ_N_TOKENIZERS] = {"examples/demo-model",
                                                               FUZZ_DIRECTORY "/odd", FUZZ_HOLES};
    static const int32_t sizes[FUZZ_N_TOKENIZERS] = {2560, 97, 11},
                         eots[FUZZ_N_TOKENIZERS] = {2559, 96, 10};

    for (size_t i = 0; i < FUZZ_N_TOKENIZERS; i++) {
        fuzz_tokenizers[i].directory = directories[i];
        fuzz_tokenizers[i].n_vocab = sizes[i];
        fuzz_tokenizers[i].eot = eots[i];
        for (int c = 0; c < 256; c++)
            fuzz_tokenizers[i].has_byte[c] = i == 0 || (i == 1 && c >= '!' && c <= '~') ||
                                             (i == 2 && ((c >= 'a' && c <= 'c') || c == ' '));
        REQUIRE(gpt2_tokenizer_load(directories[i], NULL, &fuzz_tokenizers[i].handle) == GPT2_OK,
                "%s cannot be loaded", directories[i]);
        REQUIRE(gpt2_encoder_create(fuzz_tokenizers[i].handle, NULL, &fuzz_tokenizers[i].judge) ==
                    GPT2_OK,
                "no encoder");
    }
}

void fuzz_tokenizers_close(void)
{
    for (size_t i = 0; i < FUZZ_N_TOKENIZERS; i++) {
        gpt2_encoder_free(fuzz_tokenizers[i].judge);
        gpt2_tokenizer_free(fuzz_tokenizers[i].handle);
    }
}

/* -------------------------------------------------------------------------------- tokenizers -- */

static bool has_id(size_t tokenizer, int32_t id)
{
    return id >= 0 && id < fuzz_tokenizers[tokenizer].n_vocab;
}

/* The vocabulary of FUZZ_HOLES leaves ids out: they have no bytes. */
static bool has_bytes(size_t tokenizer, int32_t id)
{
    return tokenizer != 2 || id == 0 || id == 2 || id == 5 || id >= 7;
}

static int32_t random_id(size_t tokenizer, size_t one_wrong_in)
{
    static const int32_t wrong[] = {-1, INT32_MIN, INT32_MAX};

    if (fuzz_chance(one_wrong_in))
        return fuzz_chance(2) ? fuzz_tokenizers[tokenizer].n_vocab : PICK(wrong);
    return (int32_t)fuzz_below((size_t)fuzz_tokenizers[tokenizer].n_vocab);
}

static void do_tokenizer_getters(void)
{
    size_t at = fuzz_below(FUZZ_N_TOKENIZERS);
    const gpt2_tokenizer *handle = fuzz_chance(4) ? NULL : fuzz_tokenizers[at].handle;
    const char *name = handle == NULL ? "NULL" : fuzz_tokenizers[at].directory;
    int32_t found;

    fuzz_call(FUZZ_gpt2_tokenizer_n_vocab, "%s", name);
    found = gpt2_tokenizer_n_vocab(handle);
    REQUIRE(found == (handle == NULL ? 0 : fuzz_tokenizers[at].n_vocab), "found %d", (int)found);
    fuzz_call(FUZZ_gpt2_tokenizer_eot, "%s", name);
    found = gpt2_tokenizer_eot(handle);
    REQUIRE(found == (handle == NULL ? -1 : fuzz_tokenizers[at].eot), "found %d", (int)found);
    fuzz_call(FUZZ_gpt2_tokenizer_bos, "%s", name);
    found = gpt2_tokenizer_bos(handle); /* no file names another */
    REQUIRE(found == (handle == NULL ? -1 : fuzz_tokenizers[at].eot), "found %d", (int)found);
    fuzz_call(FUZZ_gpt2_tokenizer_is_added, "%s", name);
    found = gpt2_tokenizer_is_added(handle, random_id(at, 4));
    REQUIRE(found == 0 || (found == 1 && handle != NULL), "found %d", (int)found);
    fuzz_call(FUZZ_gpt2_tokenizer_free, "NULL");
    gpt2_tokenizer_free(NULL);
}

static void do_token_bytes(void)
{
    size_t at = fuzz_below(FUZZ_N_TOKENIZERS), n_bytes = 99, n_decoded;
    int32_t id = random_id(at, 4);
    const char *bytes = (const char *)fuzz_tokenizers, **out = fuzz_chance(16) ? NULL : &bytes;
    size_t *n_out = fuzz_chance(16) ? NULL : &n_bytes;
    const gpt2_tokenizer *handle = fuzz_chance(16) ? NULL : fuzz_tokenizers[at].handle;
    char decoded[256];

    fuzz_call(FUZZ_gpt2_tokenizer_token_bytes, "%s, id %d, bytes %s, n_bytes %s",
              handle == NULL ? "NULL" : fuzz_tokenizers[at].directory, (int)id,
              out == NULL ? "NULL" : "given", n_out == NULL ? "NULL" : "given");
    fuzz_may(handle == NULL || out == NULL || n_out == NULL, GPT2_ERR_ARGUMENT);
    fuzz_may(handle != NULL && !has_id(at, id), GPT2_ERR_TOKEN);
    if (fuzz_result(gpt2_tokenizer_token_bytes(handle, id, out, n_out))) {
        REQUIRE(gpt2_decode(handle, &id, 1, decoded, sizeof decoded, &n_decoded, NULL, 0) ==
                        GPT2_OK &&
                    n_decoded == n_bytes && (n_bytes > 0) == has_bytes(at, id) &&
                    memcmp(decoded, bytes, n_bytes) == 0,
                "found bytes that are not what gpt2_decode() gives");
        return;
    }
    REQUIRE((out == NULL || bytes == NULL) && (n_out == NULL || n_bytes == 0),
            "found bytes after a failure, expected NULL and 0");
}

/* The errbuf of a decoding call: one line after a failure, nothing after success. */
static void check_line(int32_t status, const char *errbuf, size_t errbuf_bytes)
{
    if (errbuf == NULL)
        return;
    REQUIRE(memchr(errbuf, '\0', errbuf_bytes) != NULL, "found a line without an end");
    REQUIRE((errbuf[0] == '\0') == (status == GPT2_OK || errbuf_bytes == 1), "found \"%s\" for %d",
            errbuf, (int)status);
}

static void do_decode(void)
{
    size_t at = fuzz_below(FUZZ_N_TOKENIZERS), n_ids = fuzz_below(12), total = 0, n_bytes = 99;
    const gpt2_tokenizer *handle = fuzz_chance(16) ? NULL : fuzz_tokenizers[at].handle;
    size_t *n_out = fuzz_chance(16) ? NULL : &n_bytes, capacity, errbuf_bytes = 1 + fuzz_below(80);
    int32_t *ids = NULL;
    char *text = NULL;
    char wanted[4096], *errbuf = NULL;
    bool known = true;
    int32_t status;

    fuzz_call(FUZZ_gpt2_decode, " ");
    if (!fuzz_chance(4))
        errbuf = fuzz_temp(errbuf_bytes);
    if (!fuzz_chance(16)) {
        ids = fuzz_temp(n_ids * sizeof *ids);
        for (size_t i = 0; i < n_ids; i++) {
            const char *bytes;
            size_t n;

            ids[i] = random_id(at, 100);
            known &= has_id(at, ids[i]);
            if (gpt2_tokenizer_token_bytes(fuzz_tokenizers[at].handle, ids[i], &bytes, &n) ==
                GPT2_OK) {
                memcpy(wanted + total, bytes, n);
                total += n;
            }
        }
    }
    capacity = fuzz_chance(2) ? total : fuzz_below(total + 20);
    if (capacity > 0 && !fuzz_chance(16))
        text = fuzz_temp(capacity);
    fuzz_say("%s, ids %s, n_ids %zu, text %s, capacity %zu, n_bytes %s",
             handle == NULL ? "NULL" : fuzz_tokenizers[at].directory,
             ids == NULL ? "NULL" : "given", n_ids, text == NULL ? "NULL" : "given", capacity,
             n_out == NULL ? "NULL" : "given");
    fuzz_may(handle == NULL || n_out == NULL || (ids == NULL && n_ids > 0) ||
                 (text == NULL && capacity > 0),
             GPT2_ERR_ARGUMENT);
    fuzz_may(!known, GPT2_ERR_TOKEN);
    fuzz_may(known && total > capacity, GPT2_ERR_BUFFER);
    status = gpt2_decode(handle, ids, n_ids, text, capacity, n_out, errbuf, errbuf_bytes);
    check_line(status, errbuf, errbuf_bytes);
    if (fuzz_result(status))
        REQUIRE(total == 0 || memcmp(text, wanted, total) == 0, "found other bytes");
    if (n_out == NULL)
        return;
    total = status == GPT2_OK || status == GPT2_ERR_BUFFER ? total : 0;
    REQUIRE(n_bytes == total, "found %zu bytes, expected %zu", n_bytes, total);
}
/* ------------------------------------------------------------------------------------- texts -- */

size_t fuzz_random_text(char *text, const struct fuzz_tokenizer *tokenizer)
{
    static const char *const parts[] = {
        "the",
        " the",
        "'s",
        "'ll",
        " and",
        "1234",
        " ",
        "  ",
        "   ",
        "\xe3\x80\x80",
        "\xc2\xa0",
        "text|>",
        ("  " FUZZ_EOT),
        ("\n\n" FUZZ_EOT),
        "       ",
        "\n",
        "\t",
        "th",
        "Hello,",
        " It",
        "'",
        "!!!",
        "é",
        "漢字",
        "\xf0\x9f",
        "\xc3",
        "\0",
        FUZZ_EOT,
        "<|endof",
    };
    static const char *const ascii[] = {"the", "th", "e", "<|",    "they're",
                                        "!?",  "12", "x", FUZZ_EOT};
    static const char *const holes[] = {"a",   "b", "c",  "ab",           "aab",
                                        "abc", " ", "  ", ("  " FUZZ_EOT)};
    size_t length = fuzz_below(fuzz_chance(40) ? FUZZ_MOST_BYTES : 60);
    bool anything = fuzz_chance(10);
    size_t at = 0;

    while (at < length) {
        const char *part = tokenizer == &fuzz_tokenizers[0] || anything ? PICK(parts)
                           : tokenizer == &fuzz_tokenizers[1]           ? PICK(ascii)
                                                                        : PICK(holes);
        size_t n = fuzz_chance(200) ? 1 + fuzz_below(400) : 1;

        if (anything && fuzz_chance(3))
            text[at++] = (char)fuzz_below(256);
        for (; n > 0 && at + strlen(part) <= length; n--) {
            memcpy(text + at, part, strlen(part));
            at += strlen(part);
        }
        if (n > 0 || part[0] == '\0')
            text[at++] = tokenizer == &fuzz_tokenizers[2] ? 'c' : 'z';
    }
    return at < length ? at : length;
}

/* ------------------------------------------------------------------------------ text in parts -- */

/* How many bytes at the end may become one character of UTF-8 together with what follows. */
static size_t unfinished(const unsigned char *text, size_t n)
{
    for (size_t k = n < 3 ? n : 3; k > 0; k--) {
        const unsigned char *c = text + n - k;
        size_t length = c[0] >= 0xc2 && c[0] <= 0xdf   ? 2
                        : c[0] >= 0xe0 && c[0] <= 0xef ? 3
                        : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
                                                       : 0;
        unsigned char least = c[0] == 0xe0 ? 0xa0 : c[0] == 0xf0 ? 0x90 : 0x80;
        unsigned char most = c[0] == 0xed ? 0x9f : c[0] == 0xf4 ? 0x8f : 0xbf;

        if (k < length && (k < 2 || (c[1] >= least && c[1] <= most)) &&
            (k < 3 || (c[2] >= 0x80 && c[2] <= 0xbf)))
            return k;
    }
    return 0;
}

/* One call: 'text' begins with what is held. */
static void decode_part(size_t at, gpt2_decode_state *state, bool more, unsigned char *text)
{
    const gpt2_tokenizer *handle = fuzz_chance(24) ? NULL : fuzz_tokenizers[at].handle;
    size_t n_ids = fuzz_below(4), n = state->n_held, n_held, n_bytes = 99, capacity;
    uint32_t flags = more ? GPT2_DECODE_MORE : 0;
    gpt2_decode_state before = *state, *given = fuzz_chance(24) ? NULL : state;
    size_t *n_out = fuzz_chance(24) ? NULL : &n_bytes, errbuf_bytes = 1 + fuzz_below(80);
    char *out = NULL, *errbuf = NULL;
    int32_t *ids = NULL;
    bool known = true;
    int32_t status;

    fuzz_call(FUZZ_gpt2_decode_part, " ");
    if (!fuzz_chance(4))
        errbuf = fuzz_temp(errbuf_bytes);
    ids = fuzz_temp(n_ids * sizeof *ids);
    for (size_t i = 0; i < n_ids; i++) {
        const char *bytes;
        size_t length;

        ids[i] = random_id(at, 40);
        if (at == 0 && fuzz_chance(2)) /* the tokens of single bytes from 0x80 on come early */
            ids[i] = (int32_t)fuzz_below(256);
        known &= has_id(at, ids[i]);
        if (gpt2_tokenizer_token_bytes(fuzz_tokenizers[at].handle, ids[i], &bytes, &length) ==
            GPT2_OK) {
            memcpy(text + n, bytes, length);
            n += length;
        }
    }
    n_held = more ? unfinished(text, n) : 0;
    capacity = fuzz_chance(2) ? n : fuzz_below(n + 5);
    if (capacity > 0 && !fuzz_chance(24))
        out = fuzz_temp(capacity);
    if (fuzz_chance(24)) {
        flags |= 2u << fuzz_below(31);
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    }
    if (fuzz_chance(24)) {
        state->n_held = before.n_held = fuzz_chance(2) ? 4 : UINT32_MAX;
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    }
    fuzz_say("%s, state %s with %u held, n_ids %zu, flags 0x%x, text %s, capacity %zu, n_bytes %s",
             handle == NULL ? "NULL" : fuzz_tokenizers[at].directory,
             given == NULL ? "NULL" : "given", (unsigned)state->n_held, n_ids, (unsigned)flags,
             out == NULL ? "NULL" : "given", capacity, n_out == NULL ? "NULL" : "given");
    fuzz_may(handle == NULL || given == NULL || n_out == NULL || (out == NULL && capacity > 0),
             GPT2_ERR_ARGUMENT);
    fuzz_may(!known, GPT2_ERR_TOKEN);
    fuzz_may(known && n - n_held > capacity, GPT2_ERR_BUFFER);
    status = gpt2_decode_part(handle, given, ids, n_ids, flags, out, capacity, n_out, errbuf,
                              errbuf_bytes);
    check_line(status, errbuf, errbuf_bytes);
    n -= n_held;
    if (fuzz_result(status)) {
        REQUIRE(n_bytes == n, "found %zu bytes, expected %zu", n_bytes, n);
        REQUIRE(n == 0 || memcmp(out, text, n) == 0, "found other bytes");
        REQUIRE(state->n_held == n_held && memcmp(state->held, text + n, n_held) == 0,
                "found %u bytes held, expected %zu", (unsigned)state->n_held, n_held);
        return;
    }
    REQUIRE(n_out == NULL || n_bytes == (status == GPT2_ERR_BUFFER ? n : 0),
            "found %zu bytes after a failure", n_bytes);
    REQUIRE(memcmp(&before, state, sizeof before) == 0, "found the state changed by a failure");
    if (state->n_held > 3)
        memset(state, 0, sizeof *state);
}

/* A text of a few calls. */
static void do_decode_part(void)
{
    size_t at = fuzz_below(FUZZ_N_TOKENIZERS);
    gpt2_decode_state state = {0};

    for (size_t left = fuzz_below(6); left > 0; left--) {
        unsigned char text[2048];

        memcpy(text, state.held, sizeof state.held);
        decode_part(at, &state, left > 1, text);
    }
}

static void do_token_offsets(void)
{
    size_t at = fuzz_below(FUZZ_N_TOKENIZERS), n_ids = fuzz_below(12), n_text = 0, n_chars = 0;
    const gpt2_tokenizer *handle = fuzz_chance(16) ? NULL : fuzz_tokenizers[at].handle;
    gpt2_offsets *offsets = NULL;
    int32_t *ids = NULL;
    bool known = true;

    fuzz_call(FUZZ_gpt2_token_offsets, " ");
    if (!fuzz_chance(16)) {
        ids = fuzz_temp(n_ids * sizeof *ids);
        for (size_t i = 0; i < n_ids; i++) {
            ids[i] = at == 0 && fuzz_chance(2) ? (int32_t)fuzz_below(256) : random_id(at, 40);
            known &= has_id(at, ids[i]);
        }
    }
    if (!fuzz_chance(16))
        offsets = fuzz_temp(n_ids * sizeof *offsets);
    fuzz_say("%s, ids %s, n_ids %zu, offsets %s",
             handle == NULL ? "NULL" : fuzz_tokenizers[at].directory,
             ids == NULL ? "NULL" : "given", n_ids, offsets == NULL ? "NULL" : "given");
    fuzz_may(handle == NULL || (n_ids > 0 && (ids == NULL || offsets == NULL)), GPT2_ERR_ARGUMENT);
    fuzz_may(!known, GPT2_ERR_TOKEN);
    if (!fuzz_result(gpt2_token_offsets(handle, ids, n_ids, offsets)))
        return;
    for (size_t i = 0; i < n_ids; i++) {
        const char *bytes;
        size_t n_bytes;

        REQUIRE(gpt2_tokenizer_token_bytes(handle, ids[i], &bytes, &n_bytes) == GPT2_OK &&
                    offsets[i].first_byte == n_text && offsets[i].end_byte == n_text + n_bytes,
                "found token %zu at bytes %zu to %zu, expected %zu to %zu", i,
                offsets[i].first_byte, offsets[i].end_byte, n_text, n_text + n_bytes);
        REQUIRE(n_bytes > 0 ? offsets[i].first_char < offsets[i].end_char
                            : offsets[i].first_char == offsets[i].end_char,
                "found token %zu without characters, or some without bytes", i);
        REQUIRE(offsets[i].first_char <= n_chars && offsets[i].first_char + (n_text > 0) >= n_chars,
                "found token %zu at character %zu after %zu", i, offsets[i].first_char, n_chars);
        n_text += n_bytes;
        n_chars = n_bytes > 0 ? offsets[i].end_char : n_chars;
    }
    REQUIRE(n_chars <= n_text && n_text <= 4 * n_chars, "found %zu characters in %zu bytes",
            n_chars, n_text);
}

const struct fuzz_action fuzz_tokenizer_actions[] = {
    {do_tokenizer_getters, 10}, {do_token_bytes, 20},   {do_decode, 25},
    {do_decode_part, 12},       {do_token_offsets, 12}, {NULL, 0},
};
