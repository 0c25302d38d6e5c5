/*
 * added_list.c: the added tokens that files name, and their ids.
 *
 * The ids are those that Hugging Face's tokenizers give, which do not look at the ids of the files.  A
 * file with others is refused: its readers disagree.
 */
#include "added_list.h"
#include "unicode.h"

void gpt2i_added_list_free(struct gpt2i_added_list *list)
{
    gpt2i_block_free(list->tokens, list->capacity * sizeof *list->tokens);
    gpt2i_block_free(list->text, list->text_capacity);
}

/* A block of at least n_bytes, and of twice the bytes before, with these in it. */
static void *grown(void *block, size_t *n_block, size_t n_bytes)
{
    size_t n_new = gpt2i_max(2 * *n_block, n_bytes);
    void *more = gpt2i_block_new(n_new);

    if (more == NULL)
        return NULL;
    if (*n_block > 0)
        memcpy(more, block, *n_block);
    gpt2i_block_free(block, *n_block);
    *n_block = n_new;
    return more;
}

/* Makes room for one token more of 'length' bytes. */
static bool make_room(struct gpt2i_added_list *list, size_t length)
{
    if (list->n_tokens == list->capacity) {
        size_t n_block = list->capacity * sizeof *list->tokens;
        void *tokens = grown(list->tokens, &n_block, 16 * sizeof *list->tokens);

        if (tokens == NULL)
            return false;
        list->tokens = tokens;
        list->capacity = n_block / sizeof *list->tokens;
    }
    if (length > list->text_capacity - list->n_bytes) {
        char *text = grown(list->text, &list->text_capacity, 4 * GPT2I_ADDED_BYTES);

        if (text == NULL)
            return false;
        list->text = text;
    }
    return true;
}

int32_t gpt2i_added_list_put(struct gpt2i_added_list *list, const char *path, const char *text,
                             size_t length, int32_t id, uint32_t flags, struct gpt2i_error *error)
{
    struct gpt2i_added_token *token;

    if (length == 0)
        return GPT2_OK;
    if (length > GPT2I_ADDED_BYTES)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: the added token \"%.*s\"... has %zu bytes, wanted at most %d", path,
                          gpt2i_shown_length(length), text, length, GPT2I_ADDED_BYTES);
    if (list->n_tokens == GPT2I_ADDED_TOKENS)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED, "%s: has more than %d added tokens", path,
                          GPT2I_ADDED_TOKENS);
    if (!make_room(list, length))
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %zu added tokens", path,
                          list->n_tokens + 1);
    token = &list->tokens[list->n_tokens++];
    token->offset = (uint32_t)list->n_bytes;
    token->length = (uint32_t)length;
    token->id = id;
    token->flags = flags;
    memcpy(list->text + list->n_bytes, text, length);
    list->n_bytes += length;
    return GPT2_OK;
}

static int compare_ids(const char *text, const struct gpt2i_added_token *a,
                       const struct gpt2i_added_token *b)
{
    (void)text;
    return a->id < b->id ? -1 : a->id > b->id;
}

void gpt2i_added_list_sort(struct gpt2i_added_list *list, size_t from)
{
    if (from < list->n_tokens)
        gpt2i_added_sort(compare_ids, list->text, list->tokens + from, list->n_tokens - from);
}

/* ----------------------------------------------------------------------------------- resolving -- */

static uint32_t last_flags(uint32_t flags)
{
    if ((flags & GPT2I_LISTED_PLAIN) != 0)
        flags = (flags & ~GPT2I_ADDED_NORMALIZED) |
                ((flags & GPT2I_ADDED_SPECIAL) != 0 ? 0 : GPT2I_ADDED_NORMALIZED);
    return flags & GPT2I_ADDED_FLAGS;
}

/* The flags of a token that is named again. */
static uint32_t flags_of_both(uint32_t before, uint32_t after)
{
    const uint32_t strips =
        GPT2I_ADDED_LSTRIP | GPT2I_ADDED_RSTRIP | GPT2I_ADDED_SINGLE_WORD | GPT2I_ADDED_SPECIAL;
    const uint32_t passes = GPT2I_ADDED_NORMALIZED | GPT2I_LISTED_PLAIN;
    bool is_own = (before & after & GPT2I_LISTED_OWN) != 0;
    bool is_weak = (after & GPT2I_LISTED_WEAK) != 0 ||
                   ((after & GPT2I_LISTED_WORD) != 0 && (before & strips) == 0) ||
                   ((after & GPT2I_LISTED_WORDS) != 0 && (before & GPT2I_LISTED_NAMED) != 0);

    if (is_weak)
        return before | GPT2I_ADDED_SPECIAL;
    if ((after & GPT2I_LISTED_NEW) != 0)
        return (before & GPT2I_LISTED_MORE) != 0 && (after & GPT2I_LISTED_MORE) == 0
                   ? before | GPT2I_ADDED_SPECIAL
                   : before;
    /* the pass stays that in which a special token was found first, or is the earlier one */
    if ((before & GPT2I_ADDED_SPECIAL) != 0 || (!is_own && (before & GPT2I_LISTED_MORE) != 0) ||
        ((before & GPT2I_LISTED_PLAIN) != 0 && (after & GPT2I_LISTED_FIXED) == 0))
        after = (after & ~passes) | (before & passes);
    else if ((last_flags(before) & GPT2I_ADDED_NORMALIZED) == 0 &&
             !(is_own && (after & GPT2I_ADDED_SPECIAL) != 0))
        after &= ~passes;
    return after | (before & (GPT2I_ADDED_SPECIAL | GPT2I_LISTED_NAMED | GPT2I_LISTED_MORE |
                              GPT2I_LISTED_OWN));
}

/* The id of a token; a new one is entered. */
static int32_t give_id(struct gpt2i_added_token *token, const char *text, const char *path,
                       struct gpt2i_dictionary *dictionary, size_t *next_id,
                       struct gpt2i_error *error)
{
    int32_t id = gpt2i_dictionary_find(dictionary, text, token->length);
    bool is_new = id < 0;

    if (is_new)
        id = (int32_t)*next_id;
    if (token->id >= 0 && token->id != id)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: the id of the added token \"%.*s\": found %d, wanted %d, %s", path,
                          gpt2i_shown_length(token->length), text, (int)token->id, (int)id,
                          is_new ? "the next after the vocabulary" : "its id in the vocabulary");
    token->id = id;
    if (!is_new)
        return GPT2_OK;
    if (*next_id >= (size_t)1 << GPT2I_ID_BITS)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: there are more tokens than ids", path);
    (*next_id)++;
    return gpt2i_dictionary_add(dictionary, text, token->length, id, error);
}

/* Flags for which more of a text would have to be known than an encoder holds. */
static int32_t check_flags(const struct gpt2i_added_list *list, const char *path,
                           struct gpt2i_error *error)
{
    uint32_t any[GPT2I_ADDED_PASSES] = {0};

    for (size_t i = 0; i < list->n_tokens; i++)
        any[(list->tokens[i].flags & GPT2I_ADDED_NORMALIZED) != 0] |= list->tokens[i].flags;
    for (size_t i = 0; i < list->n_tokens; i++) {
        const struct gpt2i_added_token *token = &list->tokens[i];
        const unsigned char *text = (const unsigned char *)list->text + token->offset;
        int pass = (token->flags & GPT2I_ADDED_NORMALIZED) != 0;
        size_t length;
        uint32_t last;
        size_t n_last = gpt2i_utf8_last(text, token->length, &last);
        const char *flag = NULL;

        if (gpt2i_class_at(text, token->length, &length) == GPT2I_SPACE &&
            (any[pass] & GPT2I_ADDED_RSTRIP) != 0)
            flag = "rstrip";
        if (gpt2i_class_at(text + token->length - n_last, n_last, &length) == GPT2I_SPACE &&
            pass == 1 && (any[0] & GPT2I_ADDED_LSTRIP) != 0)
            flag = "lstrip";
        if (flag != NULL)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: the added token \"%.*s\" has white space at an end, which "
                              "libgpt2 %s cannot have beside a token with \"%s\"",
                              path, gpt2i_shown_length(token->length), (const char *)text,
                              GPT2I_VERSION, flag);
    }
    return GPT2_OK;
}

int32_t gpt2i_added_list_resolve(struct gpt2i_added_list *list, struct gpt2i_dictionary *dictionary,
                                 struct gpt2i_error *error)
{
    size_t next_id = dictionary->n_own, n = 0;

    for (size_t i = 0; i < list->n_tokens; i++) {
        struct gpt2i_added_token token = list->tokens[i];
        const char *path =
            i < list->n_of_path || list->more_path == NULL ? list->path : list->more_path;
        const char *text = list->text + token.offset;
        struct gpt2i_symbol *symbol;
        int32_t status;

        if ((token.flags & GPT2I_LISTED_KNOWN) != 0 &&
            gpt2i_dictionary_find(dictionary, text, token.length) < 0)
            continue;
        status = give_id(&token, text, path, dictionary, &next_id, error);
        if (status != GPT2_OK)
            return status;
        symbol = &dictionary->symbols[dictionary->by_id[token.id] - 1];
        if (symbol->added_plus_1 != 0) {
            uint32_t *flags = &list->tokens[symbol->added_plus_1 - 1].flags;

            *flags = flags_of_both(*flags, token.flags);
        } else {
            symbol->added_plus_1 = (uint32_t)n + 1;
            list->tokens[n++] = token;
        }
    }
    list->n_tokens = n;
    for (size_t i = 0; i < n; i++)
        list->tokens[i].flags = last_flags(list->tokens[i].flags);
    gpt2i_added_sort(gpt2i_added_compare, list->text, list->tokens, n);
    return check_flags(list, dictionary->path, error);
}
