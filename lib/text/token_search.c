/*
 * token_search.c: where the added tokens of a text are, with what their flags say of the characters
 * around them.
 *
 * A token that its flags refuse, or a special one where these do not count, is passed over whole: the
 * search goes on behind it, as in Hugging Face.  So the place remembers how far a search has come.
 */
#include "token_search.h"
#include "unicode.h"

#define ALONE_LENGTH GPT2I_EOT_BYTES /* without added tokens */

size_t gpt2i_look_ahead(const gpt2_tokenizer *tokenizer)
{
    const struct gpt2i_added_set *sets = tokenizer->added;
    /* the end of a token of the second pass may be the beginning of one of the first */
    size_t longest = sets[0].max_length + sets[1].max_length;
    uint32_t flags = sets[0].any_flags | sets[1].any_flags;

    return 3 + gpt2i_max(longest, ALONE_LENGTH) +
           ((flags & (GPT2I_ADDED_SINGLE_WORD | GPT2I_ADDED_RSTRIP)) != 0 ? 4 : 0);
}

void gpt2i_search_begin(struct gpt2i_token_search *search, const gpt2_tokenizer *tokenizer,
                        const unsigned char *bytes, size_t n_bytes, uint64_t offset,
                        const struct gpt2i_encode_place *place)
{
    search->tokenizer = tokenizer;
    search->bytes = bytes;
    search->n_bytes = n_bytes;
    search->offset = offset;
    search->first = (size_t)(place->at - offset);
    search->look_ahead = gpt2i_look_ahead(tokenizer);
    for (int pass = 0; pass < GPT2I_ADDED_PASSES; pass++) {
        const struct gpt2i_added_set *set = &tokenizer->added[pass];
        uint64_t from = place->search_from[pass];

        search->is_active[pass] =
            set->n_tokens > 0 &&
            (search->has_special || (set->all_flags & GPT2I_ADDED_SPECIAL) == 0);
        search->is_known[pass] = false;
        search->from[pass] = (size_t)((from > place->at ? from : place->at) - offset);
    }
}

/* Whether the character before bytes[at] belongs to a word, in the text that the pass sees. */
static bool is_word_before(const struct gpt2i_token_search *search,
                           const struct gpt2i_encode_place *place, int pass, size_t at)
{
    uint32_t code_point;

    if (pass == 1 && search->offset + at == place->stretch_from)
        return false;
    if (at == search->first)
        return place->word_before;
    (void)gpt2i_utf8_last(search->bytes + search->first, at - search->first, &code_point);
    return gpt2i_is_word(code_point);
}

static bool is_word_behind(const struct gpt2i_token_search *search, size_t at, size_t end)
{
    uint32_t code_point;

    return gpt2i_utf8_read(search->bytes + at, end - at, &code_point) > 0 &&
           gpt2i_is_word(code_point);
}

/* Where the white space begins that ends at bytes[at]. */
static size_t space_begin(const struct gpt2i_token_search *search, size_t least, size_t at)
{
    while (at > least) {
        uint32_t code_point;
        size_t n = gpt2i_utf8_last(search->bytes + least, at - least, &code_point);
        size_t length;

        if (gpt2i_class_at(search->bytes + at - n, n, &length) != GPT2I_SPACE)
            break;
        at -= n;
    }
    return at;
}

static size_t space_end(const struct gpt2i_token_search *search, size_t at, size_t end)
{
    size_t length;

    while (at < end && gpt2i_class_at(search->bytes + at, end - at, &length) == GPT2I_SPACE)
        at += length;
    return at;
}

/*
 * Whether more bytes leave a found token as it is: no longer one can begin there, and what its flags look
 * at is known.  A token of the second pass can also be cut off by one of the first.
 */
static bool is_settled(const struct gpt2i_token_search *search, int pass, size_t at,
                       const struct gpt2i_found_token *found)
{
    const uint32_t looks = GPT2I_ADDED_SINGLE_WORD | GPT2I_ADDED_RSTRIP;

    if (!search->has_more)
        return true;
    if ((found->token->flags & looks) != 0 || (pass == 1 && search->is_active[0]))
        return search->n_bytes - found->end >= search->look_ahead;
    return search->n_bytes - at >= search->tokenizer->added[pass].max_length;
}

/* The first token of a pass in bytes[.. end] that its flags allow. */
static void find_added(struct gpt2i_token_search *search, const struct gpt2i_encode_place *place,
                       int pass, size_t end)
{
    struct gpt2i_found_token *found = &search->found[pass];
    size_t from = search->from[pass];

    search->is_known[pass] = true;
    found->token = NULL;
    found->begin = found->end = search->n_bytes;
    found->is_settled = true;
    while (search->is_active[pass] && from < end) {
        size_t at;
        const struct gpt2i_added_token *token =
            gpt2i_added_find(&search->tokenizer->added[pass], search->bytes, from, end, &at);

        if (token == NULL)
            return;
        from = at + token->length;
        if ((token->flags & GPT2I_ADDED_SPECIAL) != 0 && !search->has_special)
            continue;
        if ((token->flags & GPT2I_ADDED_SINGLE_WORD) != 0 &&
            (is_word_before(search, place, pass, at) || is_word_behind(search, from, end)))
            continue;
        found->token = token;
        found->begin = at;
        found->end = from;
        if ((token->flags & GPT2I_ADDED_LSTRIP) != 0)
            found->begin = space_begin(search, (size_t)(place->at - search->offset), at);
        if ((token->flags & GPT2I_ADDED_RSTRIP) != 0)
            found->end = space_end(search, from, end);
        found->is_settled = is_settled(search, pass, at, found);
        return;
    }
}

const struct gpt2i_found_token *gpt2i_search_next(struct gpt2i_token_search *search,
                                                  const struct gpt2i_encode_place *place)
{
    if (!search->is_known[0])
        find_added(search, place, 0, search->n_bytes);
    if (!search->is_known[1])
        find_added(search, place, 1, search->found[0].begin);
    return &search->found[search->found[1].token != NULL];
}

void gpt2i_search_passed(struct gpt2i_token_search *search, struct gpt2i_encode_place *place)
{
    int pass = search->found[1].token != NULL;
    size_t end = search->found[pass].end;

    place->at = search->offset + end;
    place->begins_stretch = true;
    search->is_known[1] = false;
    search->from[1] = end;
    if (pass == 0) {
        search->is_known[0] = false;
        search->from[0] = end;
        place->stretch_from = place->at;
    }
}

/* Behind the last token that was passed over and begins before bytes[at]; 'at' or more. */
static size_t search_done(const struct gpt2i_token_search *search, int pass, size_t at)
{
    const struct gpt2i_added_set *set = &search->tokenizer->added[pass];
    bool passes_over = (set->any_flags & GPT2I_ADDED_SINGLE_WORD) != 0 ||
                       (!search->has_special && (set->any_flags & GPT2I_ADDED_SPECIAL) != 0);
    size_t end = pass == 1 && search->is_known[0] ? search->found[0].begin : search->n_bytes;
    size_t from = search->from[pass], begin;

    while (search->is_active[pass] && passes_over && from < at) {
        const struct gpt2i_added_token *token =
            gpt2i_added_find(set, search->bytes, from, end, &begin);

        if (token == NULL || begin >= at)
            break;
        from = begin + token->length;
    }
    return gpt2i_max(from, at);
}

void gpt2i_search_leave(const struct gpt2i_token_search *search, struct gpt2i_encode_place *place)
{
    const size_t at = (size_t)(place->at - search->offset);
    uint32_t code_point;

    if (at == search->first)
        return;
    for (int pass = 0; pass < GPT2I_ADDED_PASSES; pass++)
        place->search_from[pass] = search->offset + search_done(search, pass, at);
    (void)gpt2i_utf8_last(search->bytes + search->first, at - search->first, &code_point);
    place->word_before = gpt2i_is_word(code_point);
}
