/*
 * bpe.c: byte-pair encoding of one piece of text.  The two neighbours whose merge has the lowest
 * rank become one token; of equal ranks, the leftmost.  This is repeated until nothing can merge.
 *
 * Three ways lead to the same ids.  Most pieces of ordinary text are tokens themselves: one look-up
 * finds them.  Other short pieces are merged in two small arrays.  Long pieces are merged in a linked
 * list.  A tree over it finds the lowest rank, so that n bytes take n log n steps.
 */
#include "bpe.h"

#define FAN_OUT    16 /* children of a node of the tree: 16 ranks are one cache line */
#define MAX_LEVELS 8  /* 16^8 > the longest piece, 2^31 */

/*
 * The list of a long piece.  A symbol is at the position of its first byte.  levels[0][i] is the rank
 * of merging the symbol at i with the next one; levels[k + 1][i] is the lowest of the 16 ranks from
 * levels[k][16 i] on.  The search for the leftmost lowest rank goes from the top level down.
 */
struct gpt2i_bpe_scratch {
    int32_t *symbols;
    uint32_t *next;
    uint32_t *previous;
    uint32_t *levels[MAX_LEVELS];
};

struct gpt2i_bpe_scratch *gpt2i_bpe_scratch_layout(struct gpt2i_arena *arena,
                                                   size_t max_piece_bytes)
{
    struct gpt2i_bpe_scratch *scratch = gpt2i_arena_take(arena, 1, sizeof *scratch);
    int32_t *symbols = gpt2i_arena_take(arena, max_piece_bytes, sizeof *symbols);
    uint32_t *next = gpt2i_arena_take(arena, max_piece_bytes, sizeof *next);
    uint32_t *previous = gpt2i_arena_take(arena, max_piece_bytes, sizeof *previous);
    size_t count = max_piece_bytes;

    for (int level = 0; level < MAX_LEVELS; level++) {
        size_t padded = gpt2i_ceil_div(count, FAN_OUT) * FAN_OUT;
        uint32_t *ranks = gpt2i_arena_take(arena, padded, sizeof *ranks);

        if (scratch != NULL)
            scratch->levels[level] = ranks;
        count = padded / FAN_OUT;
    }
    if (scratch == NULL)
        return NULL;
    scratch->symbols = symbols;
    scratch->next = next;
    scratch->previous = previous;
    return scratch;
}

/* ------------------------------------------------------------------------------ short pieces -- */

size_t gpt2i_bpe_short(const gpt2_tokenizer *tokenizer, const unsigned char *piece, size_t n_bytes,
                       int32_t ids[GPT2I_SHORT_BYTES])
{
    uint32_t ranks[GPT2I_SHORT_BYTES]; /* of merging ids[i] with ids[i + 1] */
    size_t n = n_bytes;

    for (size_t i = 0; i < n; i++) {
        ids[i] = tokenizer->byte_ids[piece[i]];
        if (ids[i] < 0)
            return 0;
        if (i > 0)
            ranks[i - 1] = gpt2i_merge_rank(tokenizer, ids[i - 1], ids[i]);
    }
    ranks[n - 1] = GPT2I_NO_RANK;
    for (;;) {
        size_t best = 0;

        for (size_t i = 1; i < n; i++)
            best = ranks[i] < ranks[best] ? i : best;
        if (ranks[best] == GPT2I_NO_RANK)
            return n;
        ids[best] = tokenizer->merge_ids[ranks[best]];
        n--;
        for (size_t i = best + 1; i < n; i++) {
            ids[i] = ids[i + 1];
            ranks[i] = ranks[i + 1];
        }
        ranks[best] = GPT2I_NO_RANK;
        if (best + 1 < n)
            ranks[best] = gpt2i_merge_rank(tokenizer, ids[best], ids[best + 1]);
        if (best > 0)
            ranks[best - 1] = gpt2i_merge_rank(tokenizer, ids[best - 1], ids[best]);
    }
}

/* ------------------------------------------------------------------------------- long pieces -- */

static uint32_t lowest_of_group(const uint32_t *ranks)
{
    uint32_t lowest = ranks[0];

    for (int i = 1; i < FAN_OUT; i++)
        lowest = ranks[i] < lowest ? ranks[i] : lowest;
    return lowest;
}

/* Fills the levels above levels[0][n], n > 0, and returns the top level, which has at most 16 ranks. */
static int build_tree(struct gpt2i_bpe_scratch *scratch, size_t n)
{
    int top = 0;

    for (;;) {
        uint32_t *ranks = scratch->levels[top];

        while (n % FAN_OUT != 0)
            ranks[n++] = GPT2I_NO_RANK;
        if (n == FAN_OUT)
            return top;
        n /= FAN_OUT;
        for (size_t i = 0; i < n; i++)
            scratch->levels[top + 1][i] = lowest_of_group(ranks + FAN_OUT * i);
        top++;
    }
}

static void set_rank(struct gpt2i_bpe_scratch *scratch, int top, size_t at, uint32_t rank)
{
    scratch->levels[0][at] = rank;
    for (int level = 0; level < top; level++) {
        size_t parent = at / FAN_OUT;
        uint32_t lowest = lowest_of_group(scratch->levels[level] + FAN_OUT * parent);

        if (scratch->levels[level + 1][parent] == lowest)
            break;
        scratch->levels[level + 1][parent] = lowest;
        at = parent;
    }
}

/* Where the leftmost pair of the lowest rank is. */
static size_t find_lowest(const struct gpt2i_bpe_scratch *scratch, int top, uint32_t lowest)
{
    size_t at = 0;

    for (int level = top; level >= 0; level--) {
        const uint32_t *ranks = scratch->levels[level] + FAN_OUT * at;
        size_t i = 0;

        while (ranks[i] != lowest)
            i++;
        at = FAN_OUT * at + i;
    }
    return at;
}

/* As gpt2i_bpe_piece(), for a piece of any length; n_prefix (0 or 1) spaces are in front of it. */
static bool merge_long(const gpt2_tokenizer *tokenizer, struct gpt2i_bpe_scratch *scratch,
                       uint32_t n_prefix, const unsigned char *piece, size_t n_bytes,
                       struct gpt2i_id_output *output)
{
    int32_t *symbols = scratch->symbols;
    uint32_t *next = scratch->next, *previous = scratch->previous;
    const uint32_t end = (uint32_t)n_bytes + n_prefix;
    int top;

    for (uint32_t i = 0; i < end; i++) {
        symbols[i] = tokenizer->byte_ids[i < n_prefix ? ' ' : piece[i - n_prefix]];
        if (symbols[i] < 0)
            return false;
        next[i] = i + 1;
        previous[i] = i - 1; /* of the first: never read */
        if (i > 0)
            scratch->levels[0][i - 1] = gpt2i_merge_rank(tokenizer, symbols[i - 1], symbols[i]);
    }
    scratch->levels[0][end - 1] = GPT2I_NO_RANK;
    top = build_tree(scratch, end);
    for (;;) {
        uint32_t lowest = lowest_of_group(scratch->levels[top]);
        uint32_t left, right, rank = GPT2I_NO_RANK;

        if (lowest == GPT2I_NO_RANK)
            break;
        left = (uint32_t)find_lowest(scratch, top, lowest);
        right = next[left];
        symbols[left] = tokenizer->merge_ids[lowest];
        next[left] = next[right];
        set_rank(scratch, top, right, GPT2I_NO_RANK);
        if (next[left] < end) {
            previous[next[left]] = left;
            rank = gpt2i_merge_rank(tokenizer, symbols[left], symbols[next[left]]);
        }
        set_rank(scratch, top, left, rank);
        if (left > 0) {
            uint32_t before = previous[left];

            rank = gpt2i_merge_rank(tokenizer, symbols[before], symbols[left]);
            set_rank(scratch, top, before, rank);
        }
    }
    for (uint32_t i = 0; i < end; i = next[i])
        gpt2i_put_id(output, symbols[i]);
    return true;
}

bool gpt2i_bpe_piece(const gpt2_tokenizer *tokenizer, struct gpt2i_bpe_scratch *scratch,
                     const unsigned char *piece, size_t n_bytes, struct gpt2i_id_output *output)
{
    int32_t ids[GPT2I_SHORT_BYTES];
    size_t n;

    if (n_bytes > GPT2I_SHORT_BYTES)
        return merge_long(tokenizer, scratch, 0, piece, n_bytes, output);
    ids[0] = gpt2i_find_piece(tokenizer, piece, n_bytes);
    n = ids[0] >= 0 ? 1 : gpt2i_bpe_short(tokenizer, piece, n_bytes, ids);
    for (size_t i = 0; i < n; i++)
        gpt2i_put_id(output, ids[i]);
    return n > 0;
}

bool gpt2i_bpe_prefixed(const gpt2_tokenizer *tokenizer, struct gpt2i_bpe_scratch *scratch,
                        const unsigned char *piece, size_t n_bytes, struct gpt2i_id_output *output)
{
    return merge_long(tokenizer, scratch, 1, piece, n_bytes, output);
}
