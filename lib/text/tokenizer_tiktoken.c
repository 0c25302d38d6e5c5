/*
 * tokenizer_tiktoken.c: makes a tokenizer.json of tiktoken's tokens and ranks, and reads that.
 *
 * A line is a token in base64, a space and its rank.  There are no merges: two neighbours become one token
 * if there is one of their bytes, that of the lowest rank first.  So the merge that makes a token is what
 * is left of its bytes when the tokens of lower ranks have been made, as in transformers'
 * TikTokenConverter.  That must be two tokens.
 */
#include "tokenizer_tiktoken.h"
#include "dictionary.h"
#include "tokenizer_build.h"
#include "tokenizer_made.h"

#include <inttypes.h>

#define MAX_FILE_BYTES  ((uint64_t)8 << 20) /* GPT-2's has 0.8 MB */
#define MAX_TOKEN_BYTES 256
#define MAX_GAPS        256 /* ranks below the largest that no token has; of p50k_base: one */
#define NO_RANK         UINT32_MAX

struct token {
    uint32_t offset; /* in struct ranks.bytes */
    uint32_t length;
    uint32_t rank;
    uint32_t left_length; /* of the first of its two parts; 0: it is a single byte */
};

struct ranks {
    const struct gpt2i_text *file;
    struct token *tokens; /* in the order of the file */
    size_t n_tokens;
    unsigned char *bytes; /* of all */
    size_t n_bytes;
    uint32_t *slots; /* index of a token + 1, by the hash of its bytes; 0: none */
    size_t slot_mask;
    uint64_t seed;
    uint32_t *by_rank; /* [n_ranks]: index of a token + 1; 0: none */
    size_t n_ranks;
};

/* -------------------------------------------------------------------------------------- lines -- */

static int32_t fail_line(const struct ranks *ranks, size_t number, const char *line, size_t length,
                         struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_FORMAT,
                      "%s: line %zu: found \"%.*s\", wanted a token of 1 to %d bytes in base64, a "
                      "space and its rank",
                      ranks->file->source->path, number, gpt2i_shown_length(length), line,
                      MAX_TOKEN_BYTES);
}

static int32_t base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Writes the bytes of base64 text[length] and returns how many; 0 if it is none. */
static size_t read_base64(const char *text, size_t length, unsigned char *bytes)
{
    size_t n_padding = 0, n = 0;

    if (length == 0 || length % 4 != 0)
        return 0;
    n_padding = text[length - 1] != '=' ? 0 : text[length - 2] != '=' ? 1 : 2;
    for (size_t i = 0; i < length; i += 4) {
        size_t n_out = i + 4 == length ? 3 - n_padding : 3;
        uint32_t group = 0;

        for (size_t j = 0; j < 4; j++) {
            int32_t value = j > n_out ? 0 : base64_value(text[i + j]);

            if (value < 0)
                return 0;
            group = group << 6 | (uint32_t)value;
        }
        for (size_t j = 0; j < n_out; j++)
            bytes[n++] = (unsigned char)(group >> (16 - 8 * j));
    }
    return n;
}

/* The rank behind the space; false if it is none. */
static bool read_rank(const char *text, size_t length, uint32_t *rank)
{
    *rank = 0;
    if (length == 0 || length > 7)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *rank = *rank * 10 + (uint32_t)(text[i] - '0');
    }
    return true;
}

/* The token of these bytes, or NULL; '*slot' is where it is, or would be: NULL if no slot is free. */
static struct token *find_token(const struct ranks *ranks, const unsigned char *bytes,
                                size_t length, uint32_t **slot)
{
    size_t at = (size_t)gpt2i_hash(bytes, length, ranks->seed) & ranks->slot_mask;

    for (int probe = 0; probe < GPT2I_PROBES; probe++, at = (at + 1) & ranks->slot_mask) {
        struct token *token;

        *slot = &ranks->slots[at];
        if (**slot == 0)
            return NULL;
        token = &ranks->tokens[**slot - 1];
        if (token->length == length && memcmp(ranks->bytes + token->offset, bytes, length) == 0)
            return token;
    }
    *slot = NULL;
    return NULL;
}

static int32_t add_token(struct ranks *ranks, size_t number, size_t length, uint32_t rank,
                         struct gpt2i_error *error)
{
    const char *path = ranks->file->source->path;
    struct token *token = &ranks->tokens[ranks->n_tokens];
    uint32_t *slot;

    if (rank >= ranks->n_ranks)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: line %zu: the rank: found %" PRIu32
                          ", wanted at most %zu for its number of lines",
                          path, number, rank, ranks->n_ranks - 1);
    if (ranks->by_rank[rank] != 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: line %zu: a second token has rank %" PRIu32,
                          path, number, rank);
    if (find_token(ranks, ranks->bytes + ranks->n_bytes, length, &slot) != NULL)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: line %zu: its token has a rank already",
                          path, number);
    if (slot == NULL)
        return gpt2i_fail_collisions(path, error);
    token->offset = (uint32_t)ranks->n_bytes;
    token->length = (uint32_t)length;
    token->rank = rank;
    ranks->n_bytes += length;
    *slot = ranks->by_rank[rank] = (uint32_t)++ranks->n_tokens;
    return GPT2_OK;
}

/* As Python's splitlines() and split(), lines end with \n or \r\n, and blank ones are passed over. */
static int32_t read_lines(struct ranks *ranks, struct gpt2i_error *error)
{
    const char *line = ranks->file->text, *end = line + ranks->file->n_bytes;
    int32_t status = GPT2_OK;

    for (size_t number = 1; line < end && status == GPT2_OK; number++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *next = newline == NULL ? end : newline + 1;
        size_t length = (size_t)((newline == NULL ? end : newline) - line), n_text, n_bytes;
        const char *space;
        uint32_t rank;

        if (length > 0 && line[length - 1] == '\r')
            length--;
        space = memchr(line, ' ', length);
        n_text = space == NULL ? length : (size_t)(space - line);
        if (length > 0) {
            n_bytes = n_text / 4 * 3 > MAX_TOKEN_BYTES + 2
                          ? 0
                          : read_base64(line, n_text, ranks->bytes + ranks->n_bytes);
            if (space == NULL || n_bytes == 0 || n_bytes > MAX_TOKEN_BYTES ||
                !read_rank(space + 1, length - n_text - 1, &rank))
                return fail_line(ranks, number, line, length, error);
            status = add_token(ranks, number, n_bytes, rank, error);
        }
        line = next;
    }
    if (status == GPT2_OK && ranks->n_tokens == 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: has no tokens", ranks->file->source->path);
    return status;
}

/* ------------------------------------------------------------------------------------- merges -- */

/* The rank of what the bytes [from .. to] of a token are, if it is below the token's. */
static uint32_t rank_below(const struct ranks *ranks, const struct token *token, size_t from,
                           size_t to)
{
    uint32_t *slot;
    const struct token *found =
        find_token(ranks, ranks->bytes + token->offset + from, to - from, &slot);

    return found == NULL || found->rank >= token->rank ? NO_RANK : found->rank;
}

/* How many parts are left of a token; '*left_length' is the first one's. */
static size_t split(const struct ranks *ranks, const struct token *token, uint32_t *left_length)
{
    uint32_t begins[MAX_TOKEN_BYTES + 1];   /* of the parts; behind them the length */
    uint32_t together[MAX_TOKEN_BYTES + 1]; /* the rank of part i with the next one */
    size_t n = token->length;

    for (size_t i = 0; i <= n; i++) {
        begins[i] = (uint32_t)i;
        together[i] = i + 2 <= n ? rank_below(ranks, token, i, i + 2) : NO_RANK;
    }
    while (n > 2) {
        size_t best = 0;

        for (size_t i = 1; i + 1 < n; i++)
            best = together[i] < together[best] ? i : best;
        if (together[best] == NO_RANK)
            break;
        n--;
        for (size_t i = best + 1; i <= n; i++) {
            begins[i] = begins[i + 1];
            together[i] = together[i + 1];
        }
        together[best] =
            best + 2 <= n ? rank_below(ranks, token, begins[best], begins[best + 2]) : NO_RANK;
        if (best > 0)
            together[best - 1] = rank_below(ranks, token, begins[best - 1], begins[best + 1]);
    }
    *left_length = begins[1];
    return n;
}

static int32_t find_merges(struct ranks *ranks, struct gpt2i_error *error)
{
    for (size_t i = 0; i < ranks->n_tokens; i++) {
        struct token *token = &ranks->tokens[i];
        size_t n_parts = token->length == 1 ? 2 : split(ranks, token, &token->left_length);

        if (n_parts != 2)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: the token of rank %" PRIu32 " is %zu tokens of lower ranks, "
                              "wanted two, which are merged",
                              ranks->file->source->path, token->rank, n_parts);
    }
    return GPT2_OK;
}

/* -------------------------------------------------------------------------------------- file -- */

/* Bytes of a token in GPT-2's alphabet, as a part of a JSON string. */
static size_t alphabet(const struct ranks *ranks, const struct token *token, size_t from, size_t to,
                       char *text)
{
    size_t n = 0;

    for (size_t i = from; i < to; i++)
        n += gpt2i_alphabet_put(text + n, ranks->bytes[token->offset + i]);
    return n;
}

static void put_ranks(struct gpt2i_made_text *text, const void *context)
{
    static const char level[] = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}";
    const struct ranks *ranks = context;
    char symbols[2 * MAX_TOKEN_BYTES + 1];
    size_t eot = 0;

    while (eot < ranks->n_ranks && ranks->by_rank[eot] != 0)
        eot++;
    gpt2i_put(text, "{\"added_tokens\":[{\"id\":");
    gpt2i_put_number(text, eot);
    gpt2i_put(text, ",\"content\":\"" GPT2I_EOT_TEXT "\",\"normalized\":false,\"special\":true}]");
    gpt2i_put(text, ",\"pre_tokenizer\":");
    gpt2i_put(text, level);
    gpt2i_put(text, ",\"decoder\":");
    gpt2i_put(text, level);
    gpt2i_put(text, ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"" GPT2I_EOT_TEXT "\":");
    gpt2i_put_number(text, eot);
    for (size_t i = 0; i < ranks->n_tokens; i++) {
        const struct token *token = &ranks->tokens[i];

        gpt2i_put(text, ",");
        gpt2i_put_string(text, symbols, alphabet(ranks, token, 0, token->length, symbols));
        gpt2i_put(text, ":");
        gpt2i_put_number(text, token->rank);
    }
    gpt2i_put(text, "},\"merges\":[");
    for (size_t rank = 0, n = 0; rank < ranks->n_ranks; rank++) {
        const struct token *token;
        size_t length;

        if (ranks->by_rank[rank] == 0)
            continue;
        token = &ranks->tokens[ranks->by_rank[rank] - 1];
        if (token->length == 1)
            continue;
        length = alphabet(ranks, token, 0, token->left_length, symbols);
        symbols[length++] = ' ';
        length += alphabet(ranks, token, token->left_length, token->length, symbols + length);
        gpt2i_put(text, n++ == 0 ? "" : ",");
        gpt2i_put_string(text, symbols, length);
    }
    gpt2i_put(text, "]}}");
}

static void ranks_layout(struct gpt2i_arena *arena, struct ranks *ranks, size_t n_lines)
{
    size_t n_slots = 2;

    while (n_slots < 2 * n_lines)
        n_slots *= 2;
    ranks->n_ranks = n_lines + MAX_GAPS;
    ranks->slot_mask = n_slots - 1;
    ranks->tokens = gpt2i_arena_take(arena, n_lines, sizeof *ranks->tokens);
    ranks->slots = gpt2i_arena_take(arena, n_slots, sizeof *ranks->slots);
    ranks->by_rank = gpt2i_arena_take(arena, ranks->n_ranks, sizeof *ranks->by_rank);
    ranks->bytes = gpt2i_arena_take(arena, ranks->file->n_bytes, 1);
}

static size_t count_lines(const struct gpt2i_text *file)
{
    size_t n = 1;

    for (size_t i = 0; i < file->n_bytes; i++)
        n += file->text[i] == '\n';
    return n;
}

static int32_t read_ranks(const struct gpt2i_text *file, gpt2_tokenizer **tokenizer,
                          struct gpt2i_error *error)
{
    struct ranks ranks = {.file = file};
    struct gpt2i_arena arena = gpt2i_arena_over(NULL);
    size_t n_lines = count_lines(file), block_bytes;
    void *block;
    int32_t status;

    if (n_lines > (size_t)1 << (GPT2I_ID_BITS - 1))
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED, "%s: has %zu lines, wanted at most %u",
                          file->source->path, n_lines, 1u << (GPT2I_ID_BITS - 1));
    ranks_layout(&arena, &ranks, n_lines);
    block_bytes = arena.used_bytes;
    block = gpt2i_block_new(block_bytes); /* zeros */
    if (block == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %zu bytes of its tokens",
                          file->source->path, block_bytes);
    arena = gpt2i_arena_over(block);
    ranks_layout(&arena, &ranks, n_lines);
    ranks.seed = gpt2i_hash((const unsigned char *)file->text, file->n_bytes, 1) | 1;
    status = read_lines(&ranks, error);
    if (status == GPT2_OK)
        status = find_merges(&ranks, error);
    if (status == GPT2_OK)
        status = gpt2i_tokenizer_read_made(file->source->path, "its ranks", put_ranks, &ranks,
                                           tokenizer, error);
    gpt2i_block_free(block, block_bytes);
    return status;
}

int32_t gpt2i_tokenizer_read_tiktoken(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                                      struct gpt2i_error *error)
{
    struct gpt2i_text file;
    int32_t status = gpt2i_text_read(&file, files, GPT2I_TIKTOKEN_NAME, MAX_FILE_BYTES, error);

    *tokenizer = NULL;
    if (status != GPT2_OK)
        return status;
    status = read_ranks(&file, tokenizer, error);
    gpt2i_text_free(&file);
    return status;
}
