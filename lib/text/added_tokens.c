/*
 * added_tokens.c: the table of added tokens, and the search for them.
 *
 * The table is sorted, so what begins as a text does stands right before the place where the text itself
 * would stand.  A search halves the table to find that place, and goes from the token there to shorter
 * ones that begin it.  For each byte of a text with which a token begins it compares with at most 17
 * tokens, and takes at most 2 * GPT2I_ADDED_BYTES steps more, however the tokens were chosen.
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
static void sink_added(gpt2i_added_order *compare, const char *text,
                       struct gpt2i_added_token *tokens, size_t at, size_t n)
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
        sink_added(compare, text, tokens, i - 1, n_tokens);
    for (size_t n = n_tokens; n > 1; n--) {
        struct gpt2i_added_token largest = tokens[0];

        tokens[0] = tokens[n - 1];
        tokens[n - 1] = largest;
        sink_added(compare, text, tokens, 0, n - 1);
    }
}

/* The longest other token that a token begins with: the one before it, or one that begins that. */
static void find_shorter(const char *text, const struct gpt2i_added_token *tokens, size_t n_tokens,
                         uint32_t *shorter)
{
    for (size_t i = 0; i < n_tokens; i++) {
        uint32_t found = (uint32_t)i;

        while (found > 0 && (tokens[found - 1].length >= tokens[i].length ||
                             memcmp(text + tokens[found - 1].offset, text + tokens[i].offset,
                                    tokens[found - 1].length) != 0))
            found = shorter[found - 1];
        shorter[i] = found;
    }
}

static void make_set(struct gpt2i_added_set *set, const char *text,
                     const struct gpt2i_added_token *tokens, size_t n_tokens, uint32_t *shorter)
{
    memset(set, 0, sizeof *set);
    set->tokens = tokens;
    set->n_tokens = n_tokens;
    set->text = text;
    set->shorter = shorter;
    find_shorter(text, tokens, n_tokens, shorter);
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
                      const struct gpt2i_added_token *tokens, size_t n_tokens, uint32_t *shorter)
{
    size_t n_first = 0;

    while (n_first < n_tokens && pass_of(&tokens[n_first]) == 0)
        n_first++;
    make_set(&sets[0], text, tokens, n_first, shorter);
    make_set(&sets[1], text, tokens + n_first, n_tokens - n_first, shorter + n_first);
}

/* Whether a token comes before the text bytes[n_bytes], or is what it begins with. */
static bool is_before(const struct gpt2i_added_set *set, const struct gpt2i_added_token *token,
                      const unsigned char *bytes, size_t n_bytes)
{
    int order = memcmp(set->text + token->offset, bytes, gpt2i_min(token->length, n_bytes));

    return order < 0 || (order == 0 && token->length <= n_bytes);
}

/* The longest token that bytes[n_bytes] begin with: the last one before them, or one that begins it. */
static const struct gpt2i_added_token *longest(const struct gpt2i_added_set *set,
                                               const unsigned char *bytes, size_t n_bytes)
{
    size_t n_before = 0, n_same = 0;
    const char *text;

    for (size_t end = set->n_tokens; n_before < end;) {
        size_t middle = n_before + (end - n_before) / 2;

        if (is_before(set, &set->tokens[middle], bytes, n_bytes))
            n_before = middle + 1;
        else
            end = middle;
    }
    if (n_before == 0)
        return NULL;
    text = set->text + set->tokens[n_before - 1].offset;
    n_bytes = gpt2i_min(n_bytes, set->tokens[n_before - 1].length);
    while (n_same < n_bytes && (unsigned char)text[n_same] == bytes[n_same])
        n_same++;
    while (n_before > 0 && set->tokens[n_before - 1].length > n_same)
        n_before = set->shorter[n_before - 1];
    return n_before == 0 ? NULL : &set->tokens[n_before - 1];
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
