/*
 * tokenizer_json.c: reads tokenizer.json, the one file of a tokenizer of Hugging Face.
 *
 * The file describes steps: normalizer, pre_tokenizer, model, post_processor, decoder.  GPT-2's are the
 * only ones here.  Each object of the file has a table of rules: its keys, and the values with which
 * encoding gives Hugging Face's ids.  Every other key and value is refused by name.
 */
#include "tokenizer_json.h"
#include "merges_json.h"

enum wanted {
    ANYTHING,   /* it cannot change an id */
    BOOLEAN,    /* likewise, but it is true or false */
    FALSE_ONLY, /* true changes ids */
    TRUE_ONLY,
    EMPTY,    /* null or "" */
    OFF,      /* null or 0 */
    THE_TEXT, /* one string */
    KEPT      /* read by the caller */
};

struct rule {
    const char *key;
    enum wanted wanted;
    bool required;
    const char *text; /* the one string */
};

/* What the walk through the file finds.  The parsers stand before the values. */
struct parts {
    const struct gpt2i_text *file;
    struct gpt2i_json vocab;
    struct gpt2i_json merges;
    size_t n_merges;
    size_t unknown_at; /* the byte where a rule for bytes without a token is; 0: there is none */
    const char *unknown_key; /* its key */
    int32_t eot;             /* the id that added_tokens gives <|endoftext|>, or -1 */
    size_t eot_at;           /* the byte where that stands */
};

/* Reads the value of a KEPT key. */
typedef int32_t read_kept(struct parts *parts, struct gpt2i_json *json, size_t rule,
                          struct gpt2i_error *error);

/* ------------------------------------------------------------------------------------- rules -- */

static int32_t fail_value(const struct gpt2i_json *json, const char *object, const char *key,
                          const struct gpt2i_json_event *found, const char *wanted, int32_t status,
                          struct gpt2i_error *error)
{
    char shown[GPT2I_JSON_SHOWN_BYTES];

    return gpt2i_fail(error, status, "%s: byte %zu: %s%s: found %s, wanted %s", json->path,
                      json->at, object, key, gpt2i_json_show(found, shown), wanted);
}

/* One value against its rule. */
static int32_t check_value(struct gpt2i_json *json, const char *object, const struct rule *rule,
                           struct gpt2i_error *error)
{
    static const char *const words[] = {
        [BOOLEAN] = "true or false", [FALSE_ONLY] = "false", [TRUE_ONLY] = "true",
        [EMPTY] = "null or \"\"",    [OFF] = "null or 0",
    };
    const char *wanted = rule->wanted == THE_TEXT ? rule->text : words[rule->wanted];
    struct gpt2i_json_event found;
    bool is_truth, is_known = false, fits = false;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status != GPT2_OK)
        return status;
    is_truth = found.type == GPT2I_JSON_TRUE || found.type == GPT2I_JSON_FALSE;
    switch (rule->wanted) {
    case BOOLEAN:
        fits = is_truth;
        break;
    case FALSE_ONLY:
    case TRUE_ONLY:
        is_known = is_truth;
        fits = found.type == (rule->wanted == TRUE_ONLY ? GPT2I_JSON_TRUE : GPT2I_JSON_FALSE);
        break;
    case EMPTY:
        is_known = found.type == GPT2I_JSON_STRING;
        fits = found.type == GPT2I_JSON_NULL || (is_known && found.length == 0);
        break;
    case OFF: {
        double number = 1;

        is_known = found.type == GPT2I_JSON_NUMBER;
        if (is_known)
            status = gpt2i_json_double(json, &found, &number, error);
        fits = found.type == GPT2I_JSON_NULL || number == 0;
        break;
    }
    default:
        is_known = found.type == GPT2I_JSON_STRING;
        fits = gpt2i_json_equal(&found, rule->text);
    }
    if (status != GPT2_OK || fits)
        return status;
    return fail_value(json, object, rule->key, &found, wanted,
                      is_known ? GPT2_ERR_UNSUPPORTED : GPT2_ERR_FORMAT, error);
}

/* Reads an object, whose '{' has been passed, by its rules.  'object' is its name, with a dot. */
static int32_t read_object(struct parts *parts, struct gpt2i_json *json, const char *object,
                           const struct rule *rules, size_t n_rules, read_kept *kept,
                           struct gpt2i_error *error)
{
    uint32_t seen = 0; /* bit i: rules[i] */
    struct gpt2i_json_event key;
    int32_t status = gpt2i_json_next(json, &key, error);

    while (status == GPT2_OK && key.type == GPT2I_JSON_KEY) {
        char shown[GPT2I_JSON_SHOWN_BYTES];
        size_t i = 0;

        while (i < n_rules && !gpt2i_json_equal(&key, rules[i].key))
            i++;
        if (i == n_rules)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: byte %zu: %s%s is a key that libgpt2 %s does not know",
                              json->path, json->at, object, gpt2i_json_show(&key, shown),
                              GPT2I_VERSION);
        if ((seen >> i & 1) != 0)
            return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: byte %zu: %s%s appears twice",
                              json->path, json->at, object, rules[i].key);
        seen |= (uint32_t)1 << i;
        if (rules[i].wanted == KEPT)
            status = kept(parts, json, i, error);
        else if (rules[i].wanted == ANYTHING)
            status = gpt2i_json_skip(json, error);
        else
            status = check_value(json, object, &rules[i], error);
        if (status == GPT2_OK)
            status = gpt2i_json_next(json, &key, error);
    }
    for (size_t i = 0; i < n_rules && status == GPT2_OK; i++) {
        if (rules[i].required && (seen >> i & 1) == 0)
            return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: byte %zu: %s%s is missing", json->path,
                              json->at, object, rules[i].key);
    }
    return status;
}

#define N_RULES(rules) (sizeof(rules) / sizeof(rules)[0])

/* ---------------------------------------------------------------------------- steps of the file -- */

/* The keys of a ByteLevel; where it is no pre_tokenizer, only its type counts. */
static const struct rule level_rules[] = {{"type", THE_TEXT, true, "ByteLevel"},
                                          {"add_prefix_space", BOOLEAN, false, NULL},
                                          {"trim_offsets", BOOLEAN, false, NULL},
                                          {"use_regex", BOOLEAN, false, NULL}};
static const struct rule pieces_rules[] = {{"type", THE_TEXT, true, "ByteLevel"},
                                           {"add_prefix_space", FALSE_ONLY, true, NULL},
                                           {"trim_offsets", BOOLEAN, false, NULL},
                                           {"use_regex", TRUE_ONLY, false, NULL}};
/* Every normalizer changes the text: this fails at its type. */
static const struct rule no_rules[N_RULES(level_rules)] = {
    {"type", THE_TEXT, true, "none: normalizer null"}};

/* A step that is a ByteLevel, or null if 'or_null'. */
static int32_t read_level(struct gpt2i_json *json, const char *key, const char *object,
                          const struct rule *rules, bool or_null, struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status != GPT2_OK || (or_null && found.type == GPT2I_JSON_NULL))
        return status;
    if (found.type != GPT2I_JSON_OBJECT_BEGIN)
        return fail_value(json, "", key, &found, or_null ? "an object or null" : "an object",
                          found.type == GPT2I_JSON_NULL ? GPT2_ERR_UNSUPPORTED : GPT2_ERR_FORMAT,
                          error);
    return read_object(NULL, json, object, rules, N_RULES(level_rules), NULL, error);
}

enum { MODEL_VOCAB, MODEL_MERGES, MODEL_UNK_TOKEN, MODEL_BYTE_FALLBACK };

/* The file may leave out "type": GPT-2's own does. */
static const struct rule model_rules[] = {
    [MODEL_VOCAB] = {"vocab", KEPT, true, NULL},
    [MODEL_MERGES] = {"merges", KEPT, true, NULL},
    [MODEL_UNK_TOKEN] = {"unk_token", KEPT, false, NULL},
    [MODEL_BYTE_FALLBACK] = {"byte_fallback", KEPT, false, NULL},
    {"type", THE_TEXT, false, "BPE"},
    {"dropout", OFF, false, NULL},
    {"fuse_unk", BOOLEAN, false, NULL}, /* for what unk_token is for */
    {"continuing_subword_prefix", EMPTY, false, NULL},
    {"end_of_word_suffix", EMPTY, false, NULL},
    {"ignore_merges", FALSE_ONLY, false, NULL},
};

/* unk_token and byte_fallback: harmless as long as every byte has a token. */
static int32_t read_unknown(struct parts *parts, struct gpt2i_json *json, size_t rule,
                            struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);
    bool is_on = found.type == (rule == MODEL_UNK_TOKEN ? GPT2I_JSON_STRING : GPT2I_JSON_TRUE);
    bool is_off = found.type == (rule == MODEL_UNK_TOKEN ? GPT2I_JSON_NULL : GPT2I_JSON_FALSE);

    if (status != GPT2_OK)
        return status;
    if (!is_on && !is_off)
        return fail_value(json, "model.", model_rules[rule].key, &found,
                          rule == MODEL_UNK_TOKEN ? "null or a string" : "true or false",
                          GPT2_ERR_FORMAT, error);
    if (is_on) {
        parts->unknown_at = json->at;
        parts->unknown_key = model_rules[rule].key;
    }
    return GPT2_OK;
}

static int32_t read_model(struct parts *parts, struct gpt2i_json *json, size_t rule,
                          struct gpt2i_error *error)
{
    if (rule == MODEL_MERGES) {
        parts->merges = *json;
        return gpt2i_merges_json_count(json, &parts->n_merges, error);
    }
    if (rule == MODEL_VOCAB) {
        parts->vocab = *json;
        return gpt2i_json_skip(json, error);
    }
    return read_unknown(parts, json, rule, error);
}

enum { ADDED_ID, ADDED_CONTENT };

/* With one added token and no normalizer, 'normalized' changes nothing. */
static const struct rule added_rules[] = {
    [ADDED_ID] = {"id", KEPT, true, NULL},    [ADDED_CONTENT] = {"content", KEPT, true, NULL},
    {"single_word", FALSE_ONLY, false, NULL}, {"lstrip", FALSE_ONLY, false, NULL},
    {"rstrip", FALSE_ONLY, false, NULL},      {"normalized", BOOLEAN, false, NULL},
    {"special", BOOLEAN, false, NULL},
};

static int32_t read_added(struct parts *parts, struct gpt2i_json *json, size_t rule,
                          struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    uint64_t id;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status == GPT2_OK && rule == ADDED_ID) {
        status = gpt2i_json_u64(json, &found, ((uint64_t)1 << GPT2I_ID_BITS) - 1, &id, error);
        parts->eot = (int32_t)id;
        parts->eot_at = json->at;
    } else if (status == GPT2_OK && !gpt2i_json_equal(&found, GPT2I_EOT_TEXT)) {
        status = fail_value(
            json, "added_tokens.", "content", &found, GPT2I_EOT_TEXT " alone",
            found.type == GPT2I_JSON_STRING ? GPT2_ERR_UNSUPPORTED : GPT2_ERR_FORMAT, error);
    }
    return status;
}

static int32_t read_added_tokens(struct parts *parts, struct gpt2i_json *json,
                                 struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status == GPT2_OK && found.type != GPT2I_JSON_ARRAY_BEGIN)
        return fail_value(json, "", "added_tokens", &found, "an array", GPT2_ERR_FORMAT, error);
    while (status == GPT2_OK) {
        status = gpt2i_json_next(json, &found, error);
        if (status != GPT2_OK || found.type == GPT2I_JSON_ARRAY_END)
            break;
        if (found.type != GPT2I_JSON_OBJECT_BEGIN)
            return fail_value(json, "", "added_tokens", &found, "an object", GPT2_ERR_FORMAT,
                              error);
        if (parts->eot >= 0)
            return fail_value(json, "", "added_tokens", &found, "the end after one token",
                              GPT2_ERR_UNSUPPORTED, error);
        status = read_object(parts, json, "added_tokens.", added_rules, N_RULES(added_rules),
                             read_added, error);
    }
    return status;
}

enum {
    FILE_ADDED_TOKENS,
    FILE_NORMALIZER,
    FILE_PRE_TOKENIZER,
    FILE_POST_PROCESSOR,
    FILE_DECODER,
    FILE_MODEL
};

/* transformers truncates and pads where its caller asks for it, whatever the file says. */
static const struct rule file_rules[] = {
    [FILE_ADDED_TOKENS] = {"added_tokens", KEPT, false, NULL},
    [FILE_NORMALIZER] = {"normalizer", KEPT, false, NULL},
    [FILE_PRE_TOKENIZER] = {"pre_tokenizer", KEPT, true, NULL},
    [FILE_POST_PROCESSOR] = {"post_processor", KEPT, false, NULL},
    [FILE_DECODER] = {"decoder", KEPT, true, NULL},
    [FILE_MODEL] = {"model", KEPT, true, NULL},
    {"version", THE_TEXT, false, "1.0"},
    {"truncation", ANYTHING, false, NULL},
    {"padding", ANYTHING, false, NULL},
};

static int32_t read_part(struct parts *parts, struct gpt2i_json *json, size_t rule,
                         struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    int32_t status;

    switch (rule) {
    case FILE_ADDED_TOKENS:
        return read_added_tokens(parts, json, error);
    case FILE_NORMALIZER:
        return read_level(json, "normalizer", "normalizer.", no_rules, true, error);
    case FILE_PRE_TOKENIZER:
        return read_level(json, "pre_tokenizer", "pre_tokenizer.", pieces_rules, false, error);
    case FILE_POST_PROCESSOR:
        return read_level(json, "post_processor", "post_processor.", level_rules, true, error);
    case FILE_DECODER:
        return read_level(json, "decoder", "decoder.", level_rules, false, error);
    default:
        status = gpt2i_json_next(json, &found, error);
        if (status == GPT2_OK && found.type != GPT2I_JSON_OBJECT_BEGIN)
            return fail_value(json, "", "model", &found, "an object", GPT2_ERR_FORMAT, error);
        return status == GPT2_OK ? read_object(parts, json, "model.", model_rules,
                                               N_RULES(model_rules), read_model, error)
                                 : status;
    }
}

/* Finds the parts, and refuses what is not GPT-2's. */
static int32_t read_parts(struct parts *parts, struct gpt2i_error *error)
{
    struct gpt2i_json json;
    struct gpt2i_json_event found;
    int32_t status;

    gpt2i_json_begin(&json, parts->file->text, parts->file->n_bytes, parts->file->source->path);
    status = gpt2i_json_next(&json, &found, error);
    if (status == GPT2_OK && found.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_json_fail(&json, "wanted an object", error);
    if (status == GPT2_OK)
        status = read_object(parts, &json, "", file_rules, N_RULES(file_rules), read_part, error);
    return status == GPT2_OK ? gpt2i_json_next(&json, &found, error) : status;
}

/* --------------------------------------------------------------------------------- tokenizer -- */

/*
 * <|endoftext|> of added_tokens has the id that the vocabulary gives it; if the vocabulary lacks it, the
 * id is the number of tokens there, as Hugging Face counts.
 */
static int32_t add_eot(const struct parts *parts, struct gpt2i_dictionary *dictionary,
                       struct gpt2i_error *error)
{
    int32_t id = gpt2i_dictionary_find(dictionary, GPT2I_EOT_TEXT, GPT2I_EOT_BYTES);
    int32_t wanted = id >= 0 ? id : (int32_t)dictionary->n_symbols;

    if (parts->eot < 0)
        return GPT2_OK;
    if (parts->eot != wanted)
        return gpt2i_fail(
            error, GPT2_ERR_FORMAT,
            "%s: byte %zu: added_tokens.id of " GPT2I_EOT_TEXT ": found %d, wanted %d, %s",
            dictionary->path, parts->eot_at, (int)parts->eot, (int)wanted,
            id >= 0 ? "its id in model.vocab" : "the number of tokens in model.vocab");
    return id >= 0
               ? GPT2_OK
               : gpt2i_dictionary_add(dictionary, GPT2I_EOT_TEXT, GPT2I_EOT_BYTES, wanted, error);
}

/* A rule for bytes without a token must have none to act on. */
static int32_t check_unknown(const struct parts *parts, const gpt2_tokenizer *tokenizer,
                             struct gpt2i_error *error)
{
    for (int byte = 0; byte < 256 && parts->unknown_at > 0; byte++) {
        if (tokenizer->byte_ids[byte] < 0)
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: byte %zu: model.%s is set and byte 0x%02x has no token in "
                              "model.vocab, wanted one for each byte",
                              parts->file->source->path, parts->unknown_at, parts->unknown_key,
                              (unsigned)byte);
    }
    return GPT2_OK;
}

static int32_t build(struct parts *parts, gpt2_tokenizer **out, struct gpt2i_error *error)
{
    const struct gpt2i_text *file = parts->file;
    uint64_t seed = gpt2i_hash((const unsigned char *)file->text, file->n_bytes, 1) | 1;
    struct gpt2i_merges_json merges;
    struct gpt2i_dictionary dictionary;
    gpt2_tokenizer *tokenizer = NULL;
    int32_t status =
        gpt2i_dictionary_read(&dictionary, &parts->vocab, GPT2I_EOT_BYTES, seed, error);

    if (status == GPT2_OK)
        status = add_eot(parts, &dictionary, error);
    if (status == GPT2_OK)
        status =
            gpt2i_merges_json_begin(&merges, &parts->merges, parts->n_merges, file->text, error);
    if (status == GPT2_OK)
        status = gpt2i_tokenizer_build(&dictionary, &merges.reader, &tokenizer, error);
    gpt2i_dictionary_free(&dictionary);
    if (status == GPT2_OK)
        status = check_unknown(parts, tokenizer, error);
    if (status == GPT2_OK)
        *out = tokenizer;
    else
        gpt2i_tokenizer_free(tokenizer);
    return status;
}

int32_t gpt2i_tokenizer_read_json(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                                  struct gpt2i_error *error)
{
    struct gpt2i_text file;
    struct parts parts = {.file = &file, .eot = -1};
    int32_t status =
        gpt2i_text_read(&file, files, GPT2I_TOKENIZER_NAME, GPT2I_MAX_TOKENIZER_FILE_BYTES, error);

    *tokenizer = NULL;
    if (status != GPT2_OK)
        return status;
    status = read_parts(&parts, error);
    if (status == GPT2_OK)
        status = build(&parts, tokenizer, error);
    gpt2i_text_free(&file);
    return status;
}
