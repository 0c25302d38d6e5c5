/*
 * tokenizer_write.c: tokenizer.json and tokenizer_config.json of a tokenizer in memory.
 */
#include "tokenizer_write.h"
#include "pretokenize.h"
#include "tokenizer_build.h"
#include "unicode.h"

#include <inttypes.h>

/* -------------------------------------------------------------------------------------- lists -- */

/* The merges by their ranks; a rank that a later one replaced has none. */
static void list_merges(struct gpt2i_token_lists *lists)
{
    const gpt2_tokenizer *tokenizer = lists->tokenizer;
    size_t n = 0;

    for (size_t i = 0; i <= tokenizer->merge_mask; i++) {
        uint64_t slot = tokenizer->merge_slots[i];
        size_t rank_plus_1 = (size_t)(slot & ((1u << GPT2I_RANK_BITS) - 1));

        if (slot != 0 && rank_plus_1 <= tokenizer->n_merges)
            lists->pairs[rank_plus_1] = (slot >> GPT2I_RANK_BITS) + 1; /* 0: none */
    }
    for (size_t i = 1; i <= tokenizer->n_merges; i++) {
        if (lists->pairs[i] != 0)
            lists->pairs[n++] = lists->pairs[i] - 1;
    }
    lists->n_merges = n;
}

/*
 * Whether the file would be one that is read again: a native file can have merges of huge tokens, whose
 * texts together are quadratic in its size.
 */
static bool is_writable(const struct gpt2i_token_lists *lists)
{
    const uint32_t *offsets = lists->tokenizer->offsets;
    const uint32_t mask = (1u << GPT2I_ID_BITS) - 1;
    uint64_t n_bytes = offsets[lists->tokenizer->n_vocab];

    for (size_t i = 0; i < lists->n_merges; i++) {
        uint32_t left = (uint32_t)(lists->pairs[i] >> GPT2I_ID_BITS);
        uint32_t right = (uint32_t)lists->pairs[i] & mask;

        n_bytes += offsets[left + 1] - offsets[left] + offsets[right + 1] - offsets[right];
    }
    return n_bytes <= GPT2I_MAX_TOKENIZER_FILE_BYTES;
}

static int32_t fail_token(struct gpt2i_error *error, int32_t id, const char *what)
{
    return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                      "a tokenizer file cannot have the token %" PRId32 ": %s", id, what);
}

static bool is_utf8(const unsigned char *text, size_t length)
{
    uint32_t code_point;
    size_t n;

    for (; length > 0; text += n, length -= n) {
        n = gpt2i_utf8_read(text, length, &code_point);
        if (n == 0)
            return false;
    }
    return true;
}

/* The added tokens by their ids. */
static int32_t list_added(struct gpt2i_token_lists *lists, struct gpt2i_error *error)
{
    const gpt2_tokenizer *tokenizer = lists->tokenizer;

    for (size_t i = 0; i < tokenizer->n_added; i++) {
        const struct gpt2i_added_token *token = &tokenizer->added_tokens[i];
        const char *text = tokenizer->added_text + token->offset;
        char wanted[GPT2I_ADDED_BYTES];
        size_t n_wanted = gpt2i_bytes_of_symbol(text, token->length, wanted);
        const char *bytes;
        size_t n_bytes;

        (void)gpt2i_token_bytes(tokenizer, token->id, &bytes, &n_bytes);
        if (lists->added[token->id] != 0)
            return fail_token(error, token->id, "it is two added tokens");
        if (n_bytes != n_wanted || memcmp(bytes, wanted, n_bytes) != 0)
            return fail_token(error, token->id, "its bytes are not those of the added token");
        if (!is_utf8((const unsigned char *)text, token->length))
            return fail_token(error, token->id, "the added token is not UTF-8");
        lists->added[token->id] = (uint32_t)i + 1;
    }
    return GPT2_OK;
}

/* Whether a token is written in the alphabet of bytes. */
static bool is_in_alphabet(const struct gpt2i_token_lists *lists, int32_t id)
{
    const struct gpt2i_added_token *added = gpt2i_added_of(lists, id);
    char written[2 * GPT2I_ADDED_BYTES];
    const char *bytes;
    size_t n_bytes, n_written = 0;

    if (added == NULL)
        return true;
    (void)gpt2i_token_bytes(lists->tokenizer, id, &bytes, &n_bytes);
    for (size_t i = 0; i < n_bytes; i++)
        n_written += gpt2i_alphabet_put(written + n_written, (unsigned char)bytes[i]);
    return n_written == added->length &&
           memcmp(written, lists->tokenizer->added_text + added->offset, n_written) == 0;
}

/* Each token of one byte is that byte's, and each byte has the token that the file will give it. */
static int32_t check_bytes(const struct gpt2i_token_lists *lists, struct gpt2i_error *error)
{
    const gpt2_tokenizer *tokenizer = lists->tokenizer;

    for (int32_t id = 0; id < tokenizer->n_vocab; id++) {
        const char *bytes = tokenizer->bytes + tokenizer->offsets[id];

        if (tokenizer->offsets[id + 1] - tokenizer->offsets[id] == 1 && is_in_alphabet(lists, id) &&
            tokenizer->byte_ids[(unsigned char)*bytes] != id)
            return fail_token(error, id, "as one character, it would become a byte's token");
    }
    for (int byte = 0; byte < 256; byte++) {
        int32_t id = tokenizer->byte_ids[byte];

        if (id >= 0 && (tokenizer->offsets[id + 1] - tokenizer->offsets[id] != 1 ||
                        (unsigned char)tokenizer->bytes[tokenizer->offsets[id]] != byte ||
                        !is_in_alphabet(lists, id)))
            return fail_token(error, id, "it is a byte's token and has other bytes");
    }
    return GPT2_OK;
}

/* No two tokens may be written as the same text. */
static int32_t check_texts(const struct gpt2i_token_lists *lists, struct gpt2i_error *error)
{
    const gpt2_tokenizer *tokenizer = lists->tokenizer;
    struct gpt2i_added_token *sorted = lists->sorted;
    size_t n = 0;

    for (int32_t id = 0; id < tokenizer->n_vocab; id++) {
        uint32_t offset = tokenizer->offsets[id];

        if (tokenizer->offsets[id + 1] > offset && is_in_alphabet(lists, id))
            sorted[n++] =
                (struct gpt2i_added_token){offset, tokenizer->offsets[id + 1] - offset, id, 0};
    }
    gpt2i_added_sort(gpt2i_added_compare, tokenizer->bytes, sorted, n);
    for (size_t i = 1; i < n; i++) {
        if (gpt2i_added_compare(tokenizer->bytes, &sorted[i - 1], &sorted[i]) == 0)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "a tokenizer file cannot have the tokens %" PRId32 " and %" PRId32
                              ": both would be written with the same %" PRIu32 " bytes",
                              (int32_t)gpt2i_min((size_t)sorted[i - 1].id, (size_t)sorted[i].id),
                              (int32_t)gpt2i_max((size_t)sorted[i - 1].id, (size_t)sorted[i].id),
                              sorted[i].length);
    }
    return n > 0
               ? GPT2_OK
               : gpt2i_fail(error, GPT2_ERR_UNSUPPORTED, "a tokenizer file cannot have no tokens");
}

/* Whether the bytes of a merge's two tokens are those of the token that it makes. */
static bool is_same_merge(const struct gpt2i_token_lists *lists, int32_t left, int32_t right,
                          int32_t made)
{
    const int32_t ids[] = {left, right, made};
    const char *bytes[3];
    size_t n[3];

    for (int i = 0; i < 3; i++) {
        if (!gpt2i_token_bytes(lists->tokenizer, ids[i], &bytes[i], &n[i]) || n[i] == 0 ||
            !is_in_alphabet(lists, ids[i]))
            return false;
    }
    return n[2] == n[0] + n[1] && memcmp(bytes[2], bytes[0], n[0]) == 0 &&
           memcmp(bytes[2] + n[0], bytes[1], n[1]) == 0;
}

/* Each merge in memory is one of the list, and makes what the file will say. */
static int32_t check_merges(const struct gpt2i_token_lists *lists, struct gpt2i_error *error)
{
    const gpt2_tokenizer *tokenizer = lists->tokenizer;
    size_t n_slots = 0, next_rank = 0;

    for (size_t i = 0; i <= tokenizer->merge_mask; i++)
        n_slots += tokenizer->merge_slots[i] != 0;
    for (size_t i = 0; i < lists->n_merges; i++) {
        int32_t left = (int32_t)(lists->pairs[i] >> GPT2I_ID_BITS);
        int32_t right = (int32_t)lists->pairs[i] & ((1 << GPT2I_ID_BITS) - 1);
        size_t rank = gpt2i_merge_rank(tokenizer, left, right);

        if (rank < next_rank || rank >= tokenizer->n_merges ||
            !is_same_merge(lists, left, right, tokenizer->merge_ids[rank]))
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "a tokenizer file cannot have the merge of %" PRId32 " and %" PRId32
                              ": its rank or the token that it makes is another one's",
                              left, right);
        next_rank = rank + 1;
    }
    return n_slots == lists->n_merges
               ? GPT2_OK
               : gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                            "a tokenizer file cannot have %zu merges that have %zu ranks", n_slots,
                            lists->n_merges);
}

static void lists_layout(struct gpt2i_arena *arena, struct gpt2i_token_lists *lists)
{
    lists->pairs = gpt2i_arena_take(arena, lists->tokenizer->n_merges + 1, sizeof *lists->pairs);
    lists->added =
        gpt2i_arena_take(arena, (uint64_t)lists->tokenizer->n_vocab, sizeof *lists->added);
    lists->sorted =
        gpt2i_arena_take(arena, (uint64_t)lists->tokenizer->n_vocab, sizeof *lists->sorted);
}

int32_t gpt2i_token_lists_new(struct gpt2i_token_lists *lists, const gpt2_tokenizer *tokenizer,
                              struct gpt2i_error *error)
{
    struct gpt2i_arena arena = gpt2i_arena_over(NULL);
    int32_t status;

    memset(lists, 0, sizeof *lists);
    lists->tokenizer = tokenizer;
    lists_layout(&arena, lists);
    lists->block_bytes = arena.used_bytes;
    arena = gpt2i_arena_over(gpt2i_block_new(lists->block_bytes)); /* zeros */
    if (arena.base == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for %zu bytes to write the tokenizer",
                          lists->block_bytes);
    lists_layout(&arena, lists);
    list_merges(lists);
    status = list_added(lists, error);
    if (status == GPT2_OK && !is_writable(lists))
        status = gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                            "the tokens and merges of the tokenizer have over %" PRIu64
                            " bytes, which no tokenizer file may have",
                            GPT2I_MAX_TOKENIZER_FILE_BYTES);
    if (status == GPT2_OK)
        status = check_bytes(lists, error);
    if (status == GPT2_OK)
        status = check_texts(lists, error);
    if (status == GPT2_OK)
        status = check_merges(lists, error);
    if (status != GPT2_OK)
        gpt2i_token_lists_free(lists);
    return status;
}

void gpt2i_token_lists_free(struct gpt2i_token_lists *lists)
{
    gpt2i_block_free(lists->pairs, lists->block_bytes); /* the first in the block */
    lists->pairs = NULL;
}

/* ------------------------------------------------------------------------------------- tokens -- */

/* Characters below U+0800. */
static void put_character(struct gpt2i_sink *sink, uint32_t character, bool is_json)
{
    unsigned char utf8[2] = {(unsigned char)(0xc0 | character >> 6),
                             (unsigned char)(0x80 | (character & 0x3f))};

    if (is_json && (character < 0x20 || character == '"' || character == '\\'))
        gpt2i_sink_text(sink, "\\u%04" PRIx32, character);
    else if (character < 0x80)
        gpt2i_sink_bytes(sink, (const unsigned char[]){(unsigned char)character}, 1);
    else
        gpt2i_sink_bytes(sink, utf8, sizeof utf8);
}

/* Text as it is. */
static void put_token_text(struct gpt2i_sink *sink, const char *text, size_t n_bytes, bool is_json)
{
    for (size_t i = 0; i < n_bytes; i++) {
        if ((unsigned char)text[i] < 0x80)
            put_character(sink, (unsigned char)text[i], is_json);
        else
            gpt2i_sink_bytes(sink, text + i, 1);
    }
}

void gpt2i_token_put(struct gpt2i_sink *sink, const struct gpt2i_token_lists *lists, int32_t id,
                     bool is_json)
{
    const gpt2_tokenizer *tokenizer = lists->tokenizer;
    const struct gpt2i_added_token *added = gpt2i_added_of(lists, id);
    const char *bytes;
    size_t n_bytes;

    if (added != NULL) {
        put_token_text(sink, tokenizer->added_text + added->offset, added->length, is_json);
        return;
    }
    if (!gpt2i_token_bytes(tokenizer, id, &bytes, &n_bytes))
        return;
    for (size_t i = 0; i < n_bytes; i++)
        put_character(sink, gpt2i_character_of_byte((unsigned char)bytes[i]), is_json);
}

/* ------------------------------------------------------------------------------ tokenizer.json -- */

static const char *flag_text(bool value)
{
    return value ? "true" : "false";
}

static void put_added(struct gpt2i_sink *sink, const struct gpt2i_token_lists *lists)
{
    bool first = true;

    for (int32_t id = 0; id < lists->tokenizer->n_vocab; id++) {
        const struct gpt2i_added_token *token = gpt2i_added_of(lists, id);

        if (token == NULL)
            continue;
        gpt2i_sink_text(sink, "%s{\"id\":%" PRId32 ",\"content\":\"", first ? "" : ",", id);
        gpt2i_token_put(sink, lists, id, true);
        gpt2i_sink_text(sink,
                        "\",\"single_word\":%s,\"lstrip\":%s,\"rstrip\":%s,\"normalized\":%s,"
                        "\"special\":%s}",
                        flag_text(token->flags & GPT2I_ADDED_SINGLE_WORD),
                        flag_text(token->flags & GPT2I_ADDED_LSTRIP),
                        flag_text(token->flags & GPT2I_ADDED_RSTRIP),
                        flag_text(token->flags & GPT2I_ADDED_NORMALIZED),
                        flag_text(token->flags & GPT2I_ADDED_SPECIAL));
        first = false;
    }
}

static void put_level(struct gpt2i_sink *sink, bool has_prefix, bool use_regex)
{
    gpt2i_sink_text(sink,
                    "{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true,"
                    "\"use_regex\":%s}",
                    flag_text(has_prefix), flag_text(use_regex));
}

/* Steps that pieces_json.c turns into these rules. */
static void put_pre_tokenizer(struct gpt2i_sink *sink, uint32_t rules)
{
    bool has_pattern = (rules & GPT2I_CUT_PATTERN) != 0;
    bool digits_last = has_pattern && (rules & GPT2I_CUT_DIGITS_FIRST) == 0;

    if ((rules & GPT2I_CUT_DIGITS) == 0) {
        put_level(sink, (rules & GPT2I_CUT_PREFIX) != 0, has_pattern);
        return;
    }
    gpt2i_sink_text(sink, "{\"type\":\"Sequence\",\"pretokenizers\":[");
    if (digits_last) {
        gpt2i_sink_text(sink,
                        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"'s|'t|'re|'ve|'m|'ll|'d| "
                        "?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|");
        gpt2i_sink_text(sink,
                        "\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\",\"invert\":false},");
    }
    gpt2i_sink_text(sink, "{\"type\":\"Digits\",\"individual_digits\":%s},",
                    flag_text(rules & GPT2I_CUT_EACH_DIGIT));
    put_level(sink, false, has_pattern && !digits_last);
    gpt2i_sink_text(sink, "]}");
}

static void put_vocab(struct gpt2i_sink *sink, const struct gpt2i_token_lists *lists)
{
    const gpt2_tokenizer *tokenizer = lists->tokenizer;
    bool first = true;

    for (int32_t id = 0; id < tokenizer->n_vocab; id++) {
        if (tokenizer->offsets[id] == tokenizer->offsets[id + 1])
            continue; /* the id has no token */
        gpt2i_sink_text(sink, first ? "\"" : ",\"");
        gpt2i_token_put(sink, lists, id, true);
        gpt2i_sink_text(sink, "\":%" PRId32, id);
        first = false;
    }
}

void gpt2i_tokenizer_put_json(struct gpt2i_sink *sink, const struct gpt2i_token_lists *lists)
{
    const int32_t mask = (1 << GPT2I_ID_BITS) - 1;

    gpt2i_sink_text(sink, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,"
                          "\"added_tokens\":[");
    put_added(sink, lists);
    gpt2i_sink_text(sink, "],\"normalizer\":null,\"pre_tokenizer\":");
    put_pre_tokenizer(sink, lists->tokenizer->cut_rules);
    gpt2i_sink_text(sink, ",\"post_processor\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
                          "\"trim_offsets\":false,\"use_regex\":true},");
    gpt2i_sink_text(sink, "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
                          "\"trim_offsets\":true,\"use_regex\":true},");
    gpt2i_sink_text(sink, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                          "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,");
    gpt2i_sink_text(sink, "\"fuse_unk\":false,\"byte_fallback\":false,\"vocab\":{");
    put_vocab(sink, lists);
    gpt2i_sink_text(sink, "},\"merges\":[");
    for (size_t i = 0; i < lists->n_merges; i++) {
        gpt2i_sink_text(sink, i == 0 ? "\"" : ",\"");
        gpt2i_token_put(sink, lists, (int32_t)(lists->pairs[i] >> GPT2I_ID_BITS), true);
        gpt2i_sink_text(sink, " ");
        gpt2i_token_put(sink, lists, (int32_t)lists->pairs[i] & mask, true);
        gpt2i_sink_text(sink, "\"");
    }
    gpt2i_sink_text(sink, "]}}\n");
}

/* null is a word, too: without the key a reader takes GPT-2's. */
static void put_word(struct gpt2i_sink *sink, const char *key,
                     const struct gpt2i_token_lists *lists, int32_t id)
{
    bool has_word = id >= 0 && id < lists->tokenizer->n_vocab && gpt2i_added_of(lists, id) != NULL;

    gpt2i_sink_text(sink, has_word ? ",\"%s\":\"" : ",\"%s\":null", key);
    if (!has_word)
        return;
    gpt2i_token_put(sink, lists, id, true);
    gpt2i_sink_text(sink, "\"");
}

void gpt2i_tokenizer_put_config(struct gpt2i_sink *sink, const struct gpt2i_token_lists *lists)
{
    gpt2i_sink_text(sink, "{\"tokenizer_class\":\"PreTrainedTokenizerFast\","
                          "\"clean_up_tokenization_spaces\":false,\"unk_token\":null");
    put_word(sink, "bos_token", lists, lists->tokenizer->bos);
    put_word(sink, "eos_token", lists, lists->tokenizer->eot);
    gpt2i_sink_text(sink, "}\n");
}
