/*
 * added_tokens.c: the table of added tokens, and the search for them.
 *
 * The table is sorted, so the tokens that begin with given bytes stand together.  A search goes along the
 * text byte by byte, and halves the range of tokens that still fit.  It takes at most GPT2I_ADDED_BYTES
 * steps for each byte of a text, however the tokens were chosen, and no memory.
 */
#include "added_tokens.h"

static uint32_t pass_of(const struct gpt2i_added_token *token)
{
    return (token->flags & GPT2I_ADDED_NORMALIZED) != 0 ? 1 : 0;
}

int gpt2i_added_compare(const char *text, const struct gpt2i_added_token *a,
                        const struct gpt2i_added_token *b)
{
    int order;

    if (pass_of(a) != pass_of(b))
        return pass_of(a) < pass_of(b) ? -1 : 1;
    order = memcmp(text + a->offset, text + b->offset, gpt2i_min(a->length, b->length));
    if (order != 0)
        return order;
    return a->length < b->length ? -1 : a->length > b->length;
}

/* Lets tokens[at] sink to its place in the heap tokens[n]. */
static void sink(gpt2i_added_order *compare, const char *text, struct gpt2i_added_token *tokens,
                 size_t at, size_t n)
{
    struct gpt2i_added_token token = tokens[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= n)
            break;
        if (child + 1 < n && compare(text, &tokens[child], &tokens[child + 1]) < 0)
            child++;
        if (compare(text, &token, &tokens[child]) >= 0)
            break;
        tokens[at] = tokens[child];
        at = child;
    }
    tokens[at] = token;
}

/* A heap sort: no order of a file makes it slow, and it needs no memory. */
void gpt2i_added_sort(gpt2i_added_order *compare, const char *text,
                      struct gpt2i_added_token *tokens, size_t n_tokens)
{
    for (size_t i = n_tokens / 2; i > 0; i--)
        sink(compare, text, tokens, i - 1, n_tokens);
    for (size_t n = n_tokens; n > 1; n--) {
        struct gpt2i_added_token largest = tokens[0];

        tokens[0] = tokens[n - 1];
        tokens[n - 1] = largest;
        sink(compare, text, tokens, 0, n - 1);
    }
}

static void make_set(struct gpt2i_added_set *set, const char *text,
                     const struct gpt2i_added_token *tokens, size_t n_tokens)
{
    memset(set, 0, sizeof *set);
    set->tokens = tokens;
    set->n_tokens = n_tokens;
    set->text = text;
    set->all_flags = GPT2I_ADDED_FLAGS;
    for (size_t i = 0; i < n_tokens; i++) {
        unsigned char first = (unsigned char)text[tokens[i].offset];

        set->max_length = gpt2i_max(set->max_length, (size_t)tokens[i].length);
        set->any_flags |= tokens[i].flags;
        set->all_flags &= tokens[i].flags;
        set->begins[first] = 1;
        set->first_byte = i == 0 || set->first_byte == first ? (int32_t)first : -1;
    }
}

void gpt2i_added_sets(struct gpt2i_added_set sets[GPT2I_ADDED_PASSES], const char *text,
                      const struct gpt2i_added_token *tokens, size_t n_tokens)
{
    size_t n_first = 0;

    while (n_first < n_tokens && pass_of(&tokens[n_first]) == 0)
        n_first++;
    make_set(&sets[0], text, tokens, n_first);
    make_set(&sets[1], text, tokens + n_first, n_tokens - n_first);
}

/* The byte of a token at 'depth'; -1 behind its end. */
static int byte_at(const struct gpt2i_added_set *set, size_t token, size_t depth)
{
    const struct gpt2i_added_token *found = &set->tokens[token];

    return depth < found->length ? (unsigned char)set->text[found->offset + depth] : -1;
}

/* The first of the tokens [low, high) whose byte at 'depth' is 'least' or more. */
static size_t first_from(const struct gpt2i_added_set *set, size_t low, size_t high, size_t depth,
                         int least)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (byte_at(set, middle, depth) < least)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that bytes[n_bytes] begin with. */
static const struct gpt2i_added_token *longest(const struct gpt2i_added_set *set,
                                               const unsigned char *bytes, size_t n_bytes)
{
    const struct gpt2i_added_token *found = NULL;
    size_t low = 0, high = set->n_tokens; /* those that begin with bytes[depth] */

    for (size_t depth = 0; low < high; depth++) {
        if (set->tokens[low].length == depth)
            found = &set->tokens[low++];
        if (depth == n_bytes)
            break;
        low = first_from(set, low, high, depth, bytes[depth]);
        high = first_from(set, low, high, depth, bytes[depth] + 1);
    }
    return found;
}

const struct gpt2i_added_token *gpt2i_added_find(const struct gpt2i_added_set *set,
                                                 const unsigned char *bytes, size_t from,
                                                 size_t end, size_t *at)
{
    while (from < end) {
        const struct gpt2i_added_token *token;

        if (set->first_byte >= 0) {
            const unsigned char *found = memchr(bytes + from, set->first_byte, end - from);

            if (found == NULL)
                return NULL;
            from = (size_t)(found - bytes);
        } else if (!set->begins[bytes[from]]) {
            from++;
            continue;
        }
        token = longest(set, bytes + from, end - from);
        if (token != NULL) {
            *at = from;
            return token;
        }
        from++;
    }
    return NULL;
}
