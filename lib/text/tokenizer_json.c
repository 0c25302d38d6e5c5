/*
 * tokenizer_json.c: reads tokenizer.json, the one file of a tokenizer of Hugging Face.
 *
 * The file describes steps: normalizer, pre_tokenizer, model, post_processor, decoder.  Those of byte-level
 * BPE are the only ones here.  Each object of the file has a table of rules: its keys, and the values with
 * which encoding gives Hugging Face's ids.  Every other key and value is refused by name.
 */
#include "tokenizer_json.h"
#include "added_json.h"
#include "json_rules.h"
#include "merges_json.h"
#include "pieces_json.h"
#include "pretokenize.h"
#include "special_files.h"

/* What the walk through the file finds.  The parsers stand before the values. */
struct json_parts {
    const struct gpt2i_text *file;
    struct gpt2i_json vocab;
    struct gpt2i_json merges;
    size_t n_merges;
    size_t unknown_at; /* the byte where a rule for bytes without a token is; 0: there is none */
    const char *unknown_key; /* its key */
    uint32_t cut_rules;
    bool is_sequence; /* the pre_tokenizer */
    struct gpt2i_added_list added;
};

/* ---------------------------------------------------------------------------- steps of the file -- */

/* The keys of a ByteLevel that is no pre_tokenizer: only its type counts. */
static const struct gpt2i_rule byte_level_rules[] = {
    {"type", GPT2I_THE_TEXT, true, "ByteLevel"},
    {"add_prefix_space", GPT2I_BOOLEAN, false, NULL},
    {"trim_offsets", GPT2I_BOOLEAN, false, NULL},
    {"use_regex", GPT2I_BOOLEAN, false, NULL}};
/* Every normalizer changes the text: this fails at its type. */
static const struct gpt2i_rule no_rules[] = {
    {"type", GPT2I_THE_TEXT, true, "none: normalizer null"}};

/* A step that is a ByteLevel, or null if 'or_null'. */
static int32_t read_byte_level(struct gpt2i_json *json, const char *key, const char *object,
                               const struct gpt2i_rule *rules, size_t n_rules, bool or_null,
                               struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status != GPT2_OK || (or_null && found.type == GPT2I_JSON_NULL))
        return status;
    if (found.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_fail_value(
            json, "", key, &found, or_null ? "an object or null" : "an object",
            found.type == GPT2I_JSON_NULL ? GPT2_ERR_UNSUPPORTED : GPT2_ERR_FORMAT, error);
    return gpt2i_read_object(json, object, rules, n_rules, NULL, NULL, error);
}

/* What puts special tokens around a text, which encoding does not: gpt2_tokenizer_bos() is there. */
static const struct gpt2i_rule template_rules[] = {
    {"type", GPT2I_THE_TEXT, true, "TemplateProcessing"},
    {"single", GPT2I_ANYTHING, false, NULL},
    {"pair", GPT2I_ANYTHING, false, NULL},
    {"special_tokens", GPT2I_ANYTHING, false, NULL},
};
/* No post_processor changes the ids of the text itself, so the steps of a Sequence are not looked at. */
static const struct gpt2i_rule processors_rules[] = {
    {"type", GPT2I_THE_TEXT, true, "Sequence"},
    {"processors", GPT2I_ANYTHING, true, NULL},
};

static int32_t read_post(struct gpt2i_json *json, struct gpt2i_error *error)
{
    struct gpt2i_json_event type, begin;
    int32_t status = gpt2i_peek_type(json, &type, error);
    bool is_template = status == GPT2_OK && gpt2i_json_equal(&type, "TemplateProcessing");

    if (status != GPT2_OK)
        return status;
    if (!is_template && !gpt2i_json_equal(&type, "Sequence"))
        return read_byte_level(json, "post_processor", "post_processor.", byte_level_rules,
                               GPT2I_N_RULES(byte_level_rules), true, error);
    status = gpt2i_json_next(json, &begin, error);
    if (status != GPT2_OK)
        return status;
    return gpt2i_read_object(
        json, "post_processor.", is_template ? template_rules : processors_rules,
        is_template ? GPT2I_N_RULES(template_rules) : GPT2I_N_RULES(processors_rules), NULL, NULL,
        error);
}

enum { MODEL_VOCAB, MODEL_MERGES, MODEL_UNK_TOKEN, MODEL_BYTE_FALLBACK };

/* The file may leave out "type": GPT-2's own does. */
static const struct gpt2i_rule model_rules[] = {
    [MODEL_VOCAB] = {"vocab", GPT2I_KEPT, true, NULL},
    [MODEL_MERGES] = {"merges", GPT2I_KEPT, true, NULL},
    [MODEL_UNK_TOKEN] = {"unk_token", GPT2I_KEPT, false, NULL},
    [MODEL_BYTE_FALLBACK] = {"byte_fallback", GPT2I_KEPT, false, NULL},
    {"type", GPT2I_THE_TEXT, false, "BPE"},
    {"dropout", GPT2I_OFF, false, NULL},
    {"fuse_unk", GPT2I_BOOLEAN, false, NULL}, /* for what unk_token is for */
    {"continuing_subword_prefix", GPT2I_EMPTY, false, NULL},
    {"end_of_word_suffix", GPT2I_EMPTY, false, NULL},
    {"ignore_merges", GPT2I_FALSE_ONLY, false, NULL},
};

/* unk_token and byte_fallback: harmless as long as every byte has a token. */
static int32_t read_unknown(struct json_parts *parts, struct gpt2i_json *json, size_t rule,
                            struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);
    bool is_on = found.type == (rule == MODEL_UNK_TOKEN ? GPT2I_JSON_STRING : GPT2I_JSON_TRUE);
    bool is_off = found.type == (rule == MODEL_UNK_TOKEN ? GPT2I_JSON_NULL : GPT2I_JSON_FALSE);

    if (status != GPT2_OK)
        return status;
    if (!is_on && !is_off)
        return gpt2i_fail_value(json, "model.", model_rules[rule].key, &found,
                                rule == MODEL_UNK_TOKEN ? "null or a string" : "true or false",
                                GPT2_ERR_FORMAT, error);
    if (is_on) {
        parts->unknown_at = json->at;
        parts->unknown_key = model_rules[rule].key;
    }
    return GPT2_OK;
}

static int32_t read_bpe_model(void *context, struct gpt2i_json *json, size_t rule,
                              struct gpt2i_error *error)
{
    struct json_parts *parts = context;

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

enum {
    FILE_ADDED_TOKENS,
    FILE_NORMALIZER,
    FILE_PRE_TOKENIZER,
    FILE_POST_PROCESSOR,
    FILE_DECODER,
    FILE_MODEL
};

/* transformers truncates and pads where its caller asks for it, whatever the file says. */
static const struct gpt2i_rule file_rules[] = {
    [FILE_ADDED_TOKENS] = {"added_tokens", GPT2I_KEPT, false, NULL},
    [FILE_NORMALIZER] = {"normalizer", GPT2I_KEPT, false, NULL},
    [FILE_PRE_TOKENIZER] = {"pre_tokenizer", GPT2I_KEPT, true, NULL},
    [FILE_POST_PROCESSOR] = {"post_processor", GPT2I_KEPT, false, NULL},
    [FILE_DECODER] = {"decoder", GPT2I_KEPT, true, NULL},
    [FILE_MODEL] = {"model", GPT2I_KEPT, true, NULL},
    {"version", GPT2I_THE_TEXT, false, "1.0"},
    {"truncation", GPT2I_ANYTHING, false, NULL},
    {"padding", GPT2I_ANYTHING, false, NULL},
};

static int32_t read_part(void *context, struct gpt2i_json *json, size_t rule,
                         struct gpt2i_error *error)
{
    struct json_parts *parts = context;
    struct gpt2i_json_event found;
    int32_t status;

    switch (rule) {
    case FILE_ADDED_TOKENS:
        return gpt2i_added_array_read(json, &parts->added, error);
    case FILE_NORMALIZER:
        return read_byte_level(json, "normalizer", "normalizer.", no_rules, GPT2I_N_RULES(no_rules),
                               true, error);
    case FILE_PRE_TOKENIZER:
        status = gpt2i_peek_type(json, &found, error);
        parts->is_sequence = status == GPT2_OK && gpt2i_json_equal(&found, "Sequence");
        return status == GPT2_OK ? gpt2i_pieces_read(json, &parts->cut_rules, error) : status;
    case FILE_POST_PROCESSOR:
        return read_post(json, error);
    case FILE_DECODER:
        return read_byte_level(json, "decoder", "decoder.", byte_level_rules,
                               GPT2I_N_RULES(byte_level_rules), false, error);
    default:
        status = gpt2i_json_next(json, &found, error);
        if (status == GPT2_OK && found.type != GPT2I_JSON_OBJECT_BEGIN)
            return gpt2i_fail_value(json, "", "model", &found, "an object", GPT2_ERR_FORMAT, error);
        return status == GPT2_OK
                   ? gpt2i_read_object(json, "model.", model_rules, GPT2I_N_RULES(model_rules),
                                       read_bpe_model, parts, error)
                   : status;
    }
}

/* Finds the parts, and refuses what is not GPT-2's. */
static int32_t read_parts(struct json_parts *parts, struct gpt2i_error *error)
{
    struct gpt2i_json json;
    struct gpt2i_json_event found;
    int32_t status;

    gpt2i_json_begin(&json, parts->file->text, parts->file->n_bytes, parts->file->source->path);
    status = gpt2i_json_next(&json, &found, error);
    if (status == GPT2_OK && found.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_json_fail(&json, "wanted an object", error);
    if (status == GPT2_OK)
        status = gpt2i_read_object(&json, "", file_rules, GPT2I_N_RULES(file_rules), read_part,
                                   parts, error);
    return status == GPT2_OK ? gpt2i_json_next(&json, &found, error) : status;
}

/* --------------------------------------------------------------------------------- tokenizer -- */

/* A rule for bytes without a token must have none to act on. */
static int32_t check_unknown(const struct json_parts *parts, const gpt2_tokenizer *tokenizer,
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

/* Makes a tokenizer of what the walk has found. */
static int32_t build_tokenizer(struct json_parts *parts, const struct gpt2i_special_files *special,
                               gpt2_tokenizer **out, struct gpt2i_error *error)
{
    const struct gpt2i_text *file = parts->file;
    uint64_t seed = gpt2i_hash((const unsigned char *)file->text, file->n_bytes, 1) | 1;
    struct gpt2i_merges_json merges;
    struct gpt2i_dictionary dictionary;
    struct gpt2i_tokenizer_parts made = {.dictionary = &dictionary,
                                         .merges = &merges.reader,
                                         .added = &parts->added,
                                         .cut_rules = parts->cut_rules};
    gpt2_tokenizer *tokenizer = NULL;
    int32_t status = gpt2i_dictionary_read(&dictionary, &parts->vocab, parts->added.n_tokens,
                                           parts->added.n_bytes, seed, error);

    if (status == GPT2_OK)
        status = gpt2i_added_list_resolve(&parts->added, &dictionary, error);
    if (status == GPT2_OK)
        status =
            gpt2i_merges_json_begin(&merges, &parts->merges, parts->n_merges, file->text, error);
    if (status == GPT2_OK) {
        made.bos = gpt2i_special_id(special, GPT2I_WORD_BOS, &dictionary);
        made.eot = gpt2i_special_id(special, GPT2I_WORD_EOS, &dictionary);
        status = gpt2i_tokenizer_build(&made, &tokenizer, error);
    }
    gpt2i_dictionary_free(&dictionary);
    if (status == GPT2_OK)
        status = check_unknown(parts, tokenizer, error);
    if (status == GPT2_OK)
        *out = tokenizer;
    else
        gpt2i_tokenizer_free(tokenizer);
    return status;
}

/* The same with the tokens that other files name. */
static int32_t read_all(struct json_parts *parts, const struct gpt2i_files *files,
                        gpt2_tokenizer **tokenizer, struct gpt2i_error *error)
{
    struct gpt2i_special_files special;
    int32_t status = gpt2i_special_read(&special, files, error);

    if (status == GPT2_OK)
        status = gpt2i_special_list(&special, true, &parts->added, error);
    if (special.is_there && !special.is_plain && !parts->is_sequence) /* as GPT2TokenizerFast */
        parts->cut_rules = (parts->cut_rules & ~GPT2I_CUT_PREFIX) |
                           (special.add_prefix_space ? GPT2I_CUT_PREFIX : 0);
    if (status == GPT2_OK)
        status = build_tokenizer(parts, &special, tokenizer, error);
    gpt2i_special_free(&special);
    return status;
}

int32_t gpt2i_tokenizer_read_json(const struct gpt2i_files *files, gpt2_tokenizer **tokenizer,
                                  struct gpt2i_error *error)
{
    struct gpt2i_text file;
    struct json_parts parts = {.file = &file};
    int32_t status =
        gpt2i_text_read(&file, files, GPT2I_TOKENIZER_NAME, GPT2I_MAX_TOKENIZER_FILE_BYTES, error);

    *tokenizer = NULL;
    if (status != GPT2_OK)
        return status;
    parts.added.path = file.source->path;
    status = read_parts(&parts, error);
    if (status == GPT2_OK)
        status = read_all(&parts, files, tokenizer, error);
    gpt2i_added_list_free(&parts.added);
    gpt2i_text_free(&file);
    return status;
}
