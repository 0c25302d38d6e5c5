/*
 * dictionary.c: parses a JSON object of symbols and ids, such as vocab.json.  It is walked twice: first to count, then to fill the one
 * block whose layout depends on the counts.
 */
#include "dictionary.h"
#include "../base/arena.h"

#define MAX_IDS     ((size_t)1 << GPT2I_ID_BITS)
#define SHOWN_BYTES 40

int gpt2i_shown_length(size_t length)
{
    return (int)gpt2i_min(length, SHOWN_BYTES);
}

int32_t gpt2i_fail_collisions(const char *path, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_FORMAT,
                      "%s: more than %d entries collide in a hash table: not a vocabulary", path,
                      GPT2I_PROBES);
}

/* As gpt2i_dictionary_find().  If the symbol is missing, '*slot' receives the empty slot for it, or
   SIZE_MAX if no slot within GPT2I_PROBES is empty. */
static int32_t find_symbol(const struct gpt2i_dictionary *dictionary, const char *text,
                           size_t length, size_t *slot)
{
    size_t at = (size_t)gpt2i_hash((const unsigned char *)text, length, dictionary->seed) &
                dictionary->slot_mask;

    for (int probe = 0; probe < GPT2I_PROBES; probe++) {
        uint32_t index_plus_1 = dictionary->slots[at];
        const struct gpt2i_symbol *symbol;

        *slot = at;
        if (index_plus_1 == 0)
            return -1;
        symbol = &dictionary->symbols[index_plus_1 - 1];
        if (symbol->length == length &&
            memcmp(dictionary->text + symbol->offset, text, length) == 0)
            return symbol->id;
        at = (at + 1) & dictionary->slot_mask;
    }
    *slot = SIZE_MAX;
    return -1;
}

int32_t gpt2i_dictionary_find(const struct gpt2i_dictionary *dictionary, const char *text,
                              size_t length)
{
    size_t slot;

    return find_symbol(dictionary, text, length, &slot);
}

int32_t gpt2i_dictionary_find_own(const struct gpt2i_dictionary *dictionary, const char *text,
                                  size_t length)
{
    int32_t id = gpt2i_dictionary_find(dictionary, text, length);

    return id >= 0 && dictionary->by_id[id] <= dictionary->n_own ? id : -1;
}

/* Enters the symbol text[text_bytes .. text_bytes + length]. */
static int32_t add_symbol(struct gpt2i_dictionary *dictionary, size_t length, int32_t id,
                          struct gpt2i_error *error)
{
    const char *text = dictionary->text + dictionary->text_bytes;
    uint32_t index = (uint32_t)dictionary->n_symbols;
    uint32_t with_this_id = dictionary->by_id[id];
    size_t slot;
    int32_t id_before = find_symbol(dictionary, text, length, &slot);

    if (id_before >= 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: \"%.*s\" appears twice, with the ids %d and %d", dictionary->path,
                          gpt2i_shown_length(length), text, id_before, id);
    if (with_this_id != 0) {
        const struct gpt2i_symbol *other = &dictionary->symbols[with_this_id - 1];

        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: \"%.*s\" and \"%.*s\" both have the id %d",
                          dictionary->path, gpt2i_shown_length(other->length),
                          dictionary->text + other->offset, gpt2i_shown_length(length), text, id);
    }
    if (slot == SIZE_MAX)
        return gpt2i_fail_collisions(dictionary->path, error);
    dictionary->symbols[index].offset = (uint32_t)dictionary->text_bytes;
    dictionary->symbols[index].length = (uint32_t)length;
    dictionary->symbols[index].id = id;
    dictionary->slots[slot] = index + 1;
    dictionary->by_id[id] = index + 1;
    return GPT2_OK;
}

/*
 * Walks through the object.  While dictionary->text is NULL it counts; afterwards it fills the arrays
 * that dictionary_layout() has placed.
 */
static int32_t walk_vocab(struct gpt2i_dictionary *dictionary, struct gpt2i_json *json,
                          struct gpt2i_error *error)
{
    struct gpt2i_json_event event;
    size_t capacity = dictionary->text_bytes;
    int32_t status;

    dictionary->n_symbols = 0;
    dictionary->text_bytes = 0;
    status = gpt2i_json_next(json, &event, error);
    if (status == GPT2_OK && event.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_json_fail(json, "wanted an object that maps tokens to ids", error);
    while (status == GPT2_OK) {
        struct gpt2i_json_event key;
        uint64_t id;
        size_t length;

        status = gpt2i_json_next(json, &key, error);
        if (status != GPT2_OK)
            return status;
        if (key.type == GPT2I_JSON_OBJECT_END)
            return GPT2_OK;
        status = gpt2i_json_next(json, &event, error);
        if (status == GPT2_OK)
            status = gpt2i_json_u64(json, &event, MAX_IDS - 1, &id, error);
        if (status != GPT2_OK)
            return status;
        length = key.length; /* escapes only become shorter */
        if (dictionary->text != NULL) {
            status = gpt2i_json_string(json, &key, dictionary->text + dictionary->text_bytes,
                                       capacity - dictionary->text_bytes, &length, error);
            if (status == GPT2_OK)
                status = add_symbol(dictionary, length, (int32_t)id, error);
        }
        dictionary->n_symbols++;
        dictionary->text_bytes += length;
        dictionary->n_ids = gpt2i_max(dictionary->n_ids, (size_t)id + 1);
        if (dictionary->n_symbols > MAX_IDS)
            return gpt2i_json_fail(json, "there are more tokens than ids", error);
    }
    return status;
}

/* With room for more symbols. */
static void dictionary_layout(struct gpt2i_dictionary *dictionary, size_t n_more, size_t more_bytes,
                              struct gpt2i_arena *arena)
{
    size_t n_symbols = dictionary->n_symbols + n_more;
    size_t n_slots = gpt2i_slots_for(n_symbols);

    dictionary->text = gpt2i_arena_take(arena, dictionary->text_bytes + more_bytes, 1);
    dictionary->symbols = gpt2i_arena_take(arena, n_symbols, sizeof *dictionary->symbols);
    dictionary->by_id =
        gpt2i_arena_take(arena, dictionary->n_ids + n_more, sizeof *dictionary->by_id);
    dictionary->slots = gpt2i_arena_take(arena, n_slots, sizeof *dictionary->slots);
    dictionary->slot_mask = n_slots - 1;
}

void gpt2i_dictionary_free(struct gpt2i_dictionary *dictionary)
{
    gpt2i_block_free(dictionary->block, dictionary->block_bytes);
}

int32_t gpt2i_dictionary_read(struct gpt2i_dictionary *dictionary, struct gpt2i_json *json,
                              size_t n_more, size_t more_bytes, uint64_t seed,
                              struct gpt2i_error *error)
{
    struct gpt2i_arena measure = gpt2i_arena_over(NULL), arena;
    struct gpt2i_json again = *json;
    int32_t status;

    memset(dictionary, 0, sizeof *dictionary);
    dictionary->path = json->path;
    dictionary->seed = seed;
    status = walk_vocab(dictionary, &again, error);
    if (status != GPT2_OK)
        return status;
    if (dictionary->n_symbols == 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: has no tokens", json->path);
    dictionary_layout(dictionary, n_more, more_bytes, &measure);
    dictionary->block_bytes = measure.used_bytes;
    dictionary->block = measure.overflow ? NULL : gpt2i_block_new(measure.used_bytes);
    if (dictionary->block == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for its %zu tokens", json->path,
                          dictionary->n_symbols);
    arena = gpt2i_arena_over(dictionary->block);
    dictionary_layout(dictionary, n_more, more_bytes, &arena);
    status = walk_vocab(dictionary, json, error);
    dictionary->n_own = dictionary->n_symbols;
    return status;
}

int32_t gpt2i_dictionary_add(struct gpt2i_dictionary *dictionary, const char *text, size_t length,
                             int32_t id, struct gpt2i_error *error)
{
    int32_t status;

    memcpy(dictionary->text + dictionary->text_bytes, text, length);
    status = add_symbol(dictionary, length, id, error);
    if (status != GPT2_OK)
        return status;
    dictionary->n_symbols++;
    dictionary->text_bytes += length;
    dictionary->n_ids = gpt2i_max(dictionary->n_ids, (size_t)id + 1);
    return GPT2_OK;
}
