/*
 * special_files.c: what tokenizer_config.json, special_tokens_map.json and added_tokens.json add to a
 * vocabulary, as in transformers 4.46.
 *
 * Where tokenizer_config.json has "added_tokens_decoder", that has all tokens, and the other two files do
 * not count.  Else added_tokens.json has them, and special_tokens_map.json the words, before those of
 * tokenizer_config.json.  A word that is no token yet becomes one.  For the tokens of a tokenizer.json
 * its own flags count, or those of "added_tokens_decoder".
 */
#include "special_files.h"
#include "added_json.h"
#include "json_rules.h"
#include "tokenizer_build.h"

static const char *const word_keys[GPT2I_N_WORDS] = {
    [GPT2I_WORD_BOS] = "bos_token",  [GPT2I_WORD_EOS] = "eos_token", [GPT2I_WORD_UNK] = "unk_token",
    [GPT2I_WORD_SEP] = "sep_token",  [GPT2I_WORD_PAD] = "pad_token", [GPT2I_WORD_CLS] = "cls_token",
    [GPT2I_WORD_MASK] = "mask_token"};

/* ----------------------------------------------------------------------------------- the files -- */

/* A string or an object, of which the first event has been read. */
static int32_t read_token(struct gpt2i_json *json, const struct gpt2i_json_event *found,
                          const char *key, struct gpt2i_added_object *token,
                          struct gpt2i_error *error)
{
    if (found->type == GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_added_object_read(json, "", false, token, error);
    if (found->type == GPT2I_JSON_STRING)
        return gpt2i_added_text(json, found, "", token, error);
    return gpt2i_fail_value(json, "", key, found, "a string or an object", GPT2_ERR_FORMAT, error);
}

static int32_t read_word(struct gpt2i_json *json, int number, struct gpt2i_special_word *word,
                         struct gpt2i_error *error)
{
    struct gpt2i_added_object token;
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);

    memset(word, 0, sizeof *word);
    word->kind = GPT2I_WORD_NONE;
    if (status != GPT2_OK || found.type == GPT2I_JSON_NULL)
        return status;
    status = read_token(json, &found, word_keys[number], &token, error);
    if (status != GPT2_OK)
        return status;
    if (token.length > sizeof word->text)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: byte %zu: %s has %zu bytes, wanted at "
                          "most %zu",
                          json->path, json->at, word_keys[number], token.length, sizeof word->text);
    memcpy(word->text, token.text, token.length);
    word->length = token.length;
    word->flags = token.flags;
    word->kind = token.is_string ? GPT2I_WORD_STRING : GPT2I_WORD_OBJECT;
    return GPT2_OK;
}

/* The class of transformers that reads a tokenizer.json: GPT-2's where none is named. */
static int32_t read_class(struct gpt2i_special_files *special, struct gpt2i_json *json,
                          struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status != GPT2_OK || found.type == GPT2I_JSON_NULL)
        return status;
    if (found.type != GPT2I_JSON_STRING)
        return gpt2i_fail_value(json, "", "tokenizer_class", &found, "a string", GPT2_ERR_FORMAT,
                                error);
    special->is_plain = !gpt2i_json_equal(&found, "GPT2Tokenizer") &&
                        !gpt2i_json_equal(&found, "GPT2TokenizerFast");
    return GPT2_OK;
}

/* The value of one key. */
static int32_t read_special_value(struct gpt2i_special_files *special, struct gpt2i_json *json,
                                  const struct gpt2i_json_event *key, bool is_config,
                                  struct gpt2i_error *error)
{
    for (int i = 0; i < GPT2I_N_WORDS; i++) {
        if (gpt2i_json_equal(key, word_keys[i]))
            return read_word(json, i, &special->words[i], error);
    }
    if (gpt2i_json_equal(key, "additional_special_tokens"))
        special->additional[!is_config] = *json;
    else if (is_config && gpt2i_json_equal(key, "added_tokens_decoder"))
        special->decoder = *json;
    else if (is_config && gpt2i_json_equal(key, "add_prefix_space"))
        return gpt2i_read_bool(json, "", "add_prefix_space", &special->add_prefix_space, error);
    else if (is_config && gpt2i_json_equal(key, "tokenizer_class"))
        return read_class(special, json, error);
    return gpt2i_json_skip(json, error);
}

/* A file that is an object; keys that are not known are passed over. */
static int32_t read_special_object(struct gpt2i_special_files *special,
                                   const struct gpt2i_text *file, bool is_config,
                                   struct gpt2i_error *error)
{
    struct gpt2i_json json;
    struct gpt2i_json_event key;
    int32_t status;

    gpt2i_json_begin(&json, file->text, file->n_bytes, file->source->path);
    status = gpt2i_json_next(&json, &key, error);
    if (status == GPT2_OK && key.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_json_fail(&json, "wanted an object", error);
    if (status == GPT2_OK)
        status = gpt2i_json_next(&json, &key, error);
    while (status == GPT2_OK && key.type == GPT2I_JSON_KEY) {
        status = read_special_value(special, &json, &key, is_config, error);
        if (status == GPT2_OK)
            status = gpt2i_json_next(&json, &key, error);
    }
    return status == GPT2_OK ? gpt2i_json_next(&json, &key, error) : status;
}

/* Reads a file if it is there. */
static int32_t read_special_text(struct gpt2i_text *text, const struct gpt2i_files *files,
                                 const char *name, bool *is_there, struct gpt2i_error *error)
{
    int32_t status = gpt2i_source_exists(files, name, is_there, error);

    if (status == GPT2_OK && *is_there)
        status = gpt2i_text_read(text, files, name, GPT2I_MAX_TOKENIZER_FILE_BYTES, error);
    return status;
}

int32_t gpt2i_special_read(struct gpt2i_special_files *special, const struct gpt2i_files *files,
                           struct gpt2i_error *error)
{
    bool has_config = false, has_map = false, has_added = false;
    int32_t status;

    memset(special, 0, sizeof *special);
    status =
        read_special_text(&special->config, files, GPT2I_TOKENIZER_CONFIG_NAME, &has_config, error);
    if (status == GPT2_OK && has_config)
        status = read_special_object(special, &special->config, true, error);
    if (status == GPT2_OK && special->decoder.text == NULL) {
        status = read_special_text(&special->map, files, GPT2I_SPECIAL_MAP_NAME, &has_map, error);
        if (status == GPT2_OK && has_map)
            status = read_special_object(special, &special->map, false, error);
        if (status == GPT2_OK)
            status = read_special_text(&special->added, files, GPT2I_ADDED_NAME, &has_added, error);
    }
    special->is_there = has_config || has_map || has_added;
    return status;
}

void gpt2i_special_free(struct gpt2i_special_files *special)
{
    gpt2i_text_free(&special->config);
    gpt2i_text_free(&special->map);
    gpt2i_text_free(&special->added);
}

/* ------------------------------------------------------------------------------------- the list -- */

/* The id that a key of "added_tokens_decoder", or a value of added_tokens.json, is. */
static int32_t read_id(const struct gpt2i_json *json, const struct gpt2i_json_event *found,
                       int32_t *id, struct gpt2i_error *error)
{
    struct gpt2i_json_event number = *found;
    uint64_t value;
    int32_t status;

    number.type = GPT2I_JSON_NUMBER;
    status = gpt2i_json_u64(json, &number, ((uint64_t)1 << GPT2I_ID_BITS) - 1, &value, error);
    *id = (int32_t)value;
    return status;
}

/* {"50257": {"content": ...}, ...}, or {"<|pad|>": 50257, ...} if 'is_added'. */
static int32_t list_object(struct gpt2i_json json, bool is_added, uint32_t more_flags,
                           struct gpt2i_added_list *list, struct gpt2i_error *error)
{
    const char *name = is_added ? "" : "added_tokens_decoder";
    struct gpt2i_added_object token;
    struct gpt2i_json_event key, value;
    int32_t status = gpt2i_json_next(&json, &key, error);

    if (status == GPT2_OK && key.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_fail_value(&json, "", name, &key, "an object", GPT2_ERR_FORMAT, error);
    while (status == GPT2_OK) {
        int32_t id = -1;

        status = gpt2i_json_next(&json, &key, error);
        if (status != GPT2_OK || key.type == GPT2I_JSON_OBJECT_END)
            break;
        status = gpt2i_json_next(&json, &value, error);
        if (status == GPT2_OK && is_added) {
            status = value.type != GPT2I_JSON_NUMBER
                         ? gpt2i_fail_value(&json, "", "an id", &value, "a number", GPT2_ERR_FORMAT,
                                            error)
                         : read_id(&json, &value, &id, error);
            key.type = GPT2I_JSON_STRING;
            if (status == GPT2_OK)
                status = gpt2i_added_text(&json, &key, "", &token, error);
            token.flags = GPT2I_LISTED_PLAIN;
        } else if (status == GPT2_OK) {
            status = read_id(&json, &key, &id, error);
            if (status == GPT2_OK && value.type != GPT2I_JSON_OBJECT_BEGIN)
                return gpt2i_fail_value(&json, "", name, &value, "an object", GPT2_ERR_FORMAT,
                                        error);
            if (status == GPT2_OK)
                status =
                    gpt2i_added_object_read(&json, "added_tokens_decoder.", false, &token, error);
        }
        if (status == GPT2_OK)
            status = gpt2i_added_list_put(list, json.path, token.text, token.length, id,
                                          token.flags | more_flags, error);
    }
    return status;
}

static struct gpt2i_special_word word_of(const struct gpt2i_special_files *special, int number)
{
    struct gpt2i_special_word word = special->words[number];

    if (word.kind == GPT2I_WORD_UNNAMED && number <= GPT2I_WORD_UNK) {
        memcpy(word.text, GPT2I_EOT_TEXT, GPT2I_EOT_BYTES);
        word.length = GPT2I_EOT_BYTES;
    }
    return word;
}

/* Whether one of the first 'n' words is this text. */
static bool is_word(const struct gpt2i_special_files *special, int n, const char *text,
                    size_t length)
{
    for (int i = 0; i < n; i++) {
        struct gpt2i_special_word word = word_of(special, i);

        if (word.length == length && memcmp(word.text, text, length) == 0)
            return true;
    }
    return false;
}

/* What a word is listed with.  GPT2Tokenizer makes tokens of its own four words, with the usual flags. */
static uint32_t flags_of_word(const struct gpt2i_special_files *special, bool has_json, int number,
                              const struct gpt2i_special_word *word)
{
    bool has_decoder = special->decoder.text != NULL;
    bool is_own = number <= GPT2I_WORD_UNK || number == GPT2I_WORD_PAD;

    uint32_t flags = GPT2I_ADDED_SPECIAL;

    if (has_json && special->is_there) {
        if (word->kind == GPT2I_WORD_UNNAMED)
            return flags | GPT2I_LISTED_NEW;
        return flags | GPT2I_LISTED_WORDS |
               (word->kind == GPT2I_WORD_OBJECT ? word->flags : GPT2I_LISTED_NEW);
    }
    if (word->kind == GPT2I_WORD_UNNAMED && (has_json || !special->is_there))
        flags |= GPT2I_LISTED_KNOWN;
    if (word->kind == GPT2I_WORD_OBJECT)
        return flags | word->flags | (has_decoder ? GPT2I_LISTED_WEAK : 0);
    if (has_json || !is_own)
        return flags | GPT2I_LISTED_WEAK;
    flags |= GPT2I_ADDED_NORMALIZED;
    if (has_decoder)
        flags |= word->kind == GPT2I_WORD_UNNAMED ? GPT2I_LISTED_WORD : GPT2I_LISTED_WEAK;
    else if (word->kind == GPT2I_WORD_UNNAMED)
        flags |= GPT2I_LISTED_FIXED;
    return flags;
}

static int32_t list_words(const struct gpt2i_special_files *special, bool has_json,
                          const char *path, struct gpt2i_added_list *list,
                          struct gpt2i_error *error)
{
    int32_t status = GPT2_OK;

    for (int i = 0; i < GPT2I_N_WORDS && status == GPT2_OK; i++) {
        struct gpt2i_special_word word = word_of(special, i);

        if (word.kind == GPT2I_WORD_UNNAMED && has_json && special->is_plain)
            continue;
        if (!is_word(special, i, word.text, word.length))
            status = gpt2i_added_list_put(list, path, word.text, word.length, -1,
                                          flags_of_word(special, has_json, i, &word), error);
    }
    return status;
}

/* An array of strings and objects, or null. */
static int32_t list_additional(const struct gpt2i_special_files *special, bool has_json,
                               struct gpt2i_json json, struct gpt2i_added_list *list,
                               struct gpt2i_error *error)
{
    const bool has_decoder = special->decoder.text != NULL;
    struct gpt2i_added_object token;
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(&json, &found, error);

    if (status != GPT2_OK || found.type == GPT2I_JSON_NULL)
        return status;
    if (found.type != GPT2I_JSON_ARRAY_BEGIN)
        return gpt2i_fail_value(&json, "", "additional_special_tokens", &found, "an array",
                                GPT2_ERR_FORMAT, error);
    while (status == GPT2_OK) {
        uint32_t flags;

        status = gpt2i_json_next(&json, &found, error);
        if (status != GPT2_OK || found.type == GPT2I_JSON_ARRAY_END)
            break;
        status = read_token(&json, &found, "additional_special_tokens", &token, error);
        if (status != GPT2_OK || is_word(special, GPT2I_N_WORDS, token.text, token.length))
            continue;
        flags = GPT2I_ADDED_SPECIAL | (token.is_string ? 0 : token.flags);
        if (has_json)
            flags |= token.is_string ? GPT2I_LISTED_NEW : 0;
        else
            flags |= token.is_string || has_decoder ? GPT2I_LISTED_WEAK : 0;
        status = gpt2i_added_list_put(list, json.path, token.text, token.length, -1, flags, error);
    }
    return status;
}

int32_t gpt2i_special_list(const struct gpt2i_special_files *special, bool has_json,
                           struct gpt2i_added_list *list, struct gpt2i_error *error)
{
    const size_t from = list->n_tokens;
    const struct gpt2i_text *file = special->added.text != NULL    ? &special->added
                                    : special->config.text != NULL ? &special->config
                                                                   : &special->map;
    const char *path = file->text != NULL ? file->source->path : GPT2I_VOCAB_NAME;
    int32_t status = GPT2_OK;

    list->n_of_path = from;
    list->more_path = path;
    for (size_t i = 0; i < from; i++)
        list->tokens[i].flags |=
            GPT2I_LISTED_OWN |
            (special->decoder.text == NULL ? GPT2I_LISTED_NAMED | GPT2I_LISTED_MORE : 0);
    if (special->decoder.text != NULL) {
        status = list_object(special->decoder, false,
                             has_json ? GPT2I_LISTED_MORE | GPT2I_LISTED_NAMED : 0, list, error);
    } else if (special->added.text != NULL) {
        struct gpt2i_json json;

        gpt2i_json_begin(&json, special->added.text, special->added.n_bytes, path);
        status = list_object(json, true, has_json ? GPT2I_LISTED_MORE | GPT2I_LISTED_NEW : 0, list,
                             error);
    }
    if (status != GPT2_OK)
        return status;
    gpt2i_added_list_sort(list, from);
    status = list_words(special, has_json, path, list, error);
    for (int i = 0; i < 2 && status == GPT2_OK; i++) {
        if (special->additional[i].text != NULL)
            status = list_additional(special, has_json, special->additional[i], list, error);
    }
    return status;
}

int32_t gpt2i_special_id(const struct gpt2i_special_files *special, int number,
                         const struct gpt2i_dictionary *dictionary)
{
    struct gpt2i_special_word word = word_of(special, number);

    return word.length == 0 ? -1 : gpt2i_dictionary_find(dictionary, word.text, word.length);
}
