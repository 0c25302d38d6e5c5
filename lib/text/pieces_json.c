/*
 * pieces_json.c: the pre_tokenizer of a tokenizer.json.  In Hugging Face each step cuts the pieces of the
 * step before.  Here they become rules for one scanner, which gives the same pieces.
 *
 * ByteLevel is the last step: it turns bytes into characters, of which other steps would see classes that
 * the bytes do not have.
 */
#include "pieces_json.h"
#include "json_rules.h"
#include "pretokenize.h"

/* GPT-2's pattern, and the same in the words of tiktoken. */
static const char *const patterns[] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
};

#define NAME "pre_tokenizer."

enum { LEVEL_TYPE, LEVEL_PREFIX, LEVEL_OFFSETS, LEVEL_REGEX };

static const struct gpt2i_rule level_rules[] = {
    [LEVEL_TYPE] = {"type", GPT2I_THE_TEXT, true, "ByteLevel"},
    [LEVEL_PREFIX] = {"add_prefix_space", GPT2I_KEPT, true, NULL},
    [LEVEL_OFFSETS] = {"trim_offsets", GPT2I_BOOLEAN, false, NULL},
    [LEVEL_REGEX] = {"use_regex", GPT2I_KEPT, false, NULL},
};

static const struct gpt2i_rule digits_rules[] = {
    {"type", GPT2I_THE_TEXT, true, "Digits"},
    {"individual_digits", GPT2I_KEPT, true, NULL},
};

enum { SPLIT_TYPE, SPLIT_PATTERN, SPLIT_BEHAVIOR, SPLIT_INVERT };

static const struct gpt2i_rule split_rules[] = {
    [SPLIT_TYPE] = {"type", GPT2I_THE_TEXT, true, "Split"},
    [SPLIT_PATTERN] = {"pattern", GPT2I_KEPT, true, NULL},
    [SPLIT_BEHAVIOR] = {"behavior", GPT2I_KEPT, true, NULL},
    [SPLIT_INVERT] = {"invert", GPT2I_KEPT, true, NULL},
};

static const struct gpt2i_rule pattern_rules[] = {{"Regex", GPT2I_KEPT, true, NULL}};

enum { SEQUENCE_TYPE, SEQUENCE_STEPS };

static const struct gpt2i_rule sequence_rules[] = {
    [SEQUENCE_TYPE] = {"type", GPT2I_THE_TEXT, true, "Sequence"},
    [SEQUENCE_STEPS] = {"pretokenizers", GPT2I_KEPT, true, NULL},
};

/* One step of the file. */
struct pieces_step {
    uint32_t *rules; /* of the steps so far */
    bool use_regex;
    bool prefix;
    bool each_digit;
    bool is_level;
    bool is_removed; /* Split: what its pattern finds is not a piece, but what it does not find */
    bool is_inverted;
};

static int32_t read_level(void *context, struct gpt2i_json *json, size_t rule,
                          struct gpt2i_error *error)
{
    struct pieces_step *step = context;

    return gpt2i_read_bool(json, NAME, level_rules[rule].key,
                           rule == LEVEL_REGEX ? &step->use_regex : &step->prefix, error);
}

static int32_t read_digits(void *context, struct gpt2i_json *json, size_t rule,
                           struct gpt2i_error *error)
{
    struct pieces_step *step = context;

    return gpt2i_read_bool(json, NAME, digits_rules[rule].key, &step->each_digit, error);
}

static int32_t read_pattern(void *context, struct gpt2i_json *json, size_t rule,
                            struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);

    (void)context;
    (void)rule;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0] && status == GPT2_OK; i++) {
        if (gpt2i_json_equal(&found, patterns[i]))
            return GPT2_OK;
    }
    if (status != GPT2_OK)
        return status;
    return gpt2i_fail_value(
        json, NAME, "pattern.Regex", &found, "GPT-2's pattern",
        found.type == GPT2I_JSON_STRING ? GPT2_ERR_UNSUPPORTED : GPT2_ERR_FORMAT, error);
}

static int32_t read_split(void *context, struct gpt2i_json *json, size_t rule,
                          struct gpt2i_error *error)
{
    struct pieces_step *step = context;
    struct gpt2i_json_event found;
    int32_t status;

    if (rule == SPLIT_INVERT)
        return gpt2i_read_bool(json, NAME, "invert", &step->is_inverted, error);
    status = gpt2i_json_next(json, &found, error);
    if (status != GPT2_OK)
        return status;
    if (rule == SPLIT_PATTERN) {
        if (found.type != GPT2I_JSON_OBJECT_BEGIN)
            return gpt2i_fail_value(json, NAME, "pattern", &found, "an object", GPT2_ERR_FORMAT,
                                    error);
        return gpt2i_read_object(json, NAME "pattern.", pattern_rules, GPT2I_N_RULES(pattern_rules),
                                 read_pattern, step, error);
    }
    step->is_removed = gpt2i_json_equal(&found, "Removed");
    if (step->is_removed || gpt2i_json_equal(&found, "Isolated"))
        return GPT2_OK;
    return gpt2i_fail_value(
        json, NAME, "behavior", &found, "\"Isolated\" or \"Removed\"",
        found.type == GPT2I_JSON_STRING ? GPT2_ERR_UNSUPPORTED : GPT2_ERR_FORMAT, error);
}

/* ByteLevel: puts a space in front of each piece so far, cuts by the pattern, then maps the bytes. */
static int32_t add_level(const struct gpt2i_json *json, struct pieces_step *step,
                         struct gpt2i_error *error)
{
    step->is_level = true;
    if (step->prefix && *step->rules != 0)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: byte %zu: " NAME "add_prefix_space: found true, wanted false behind "
                          "other steps",
                          json->path, json->at);
    *step->rules |=
        (step->prefix ? GPT2I_CUT_PREFIX : 0) | (step->use_regex ? GPT2I_CUT_PATTERN : 0);
    return GPT2_OK;
}

static void add_digits(const struct pieces_step *step)
{
    uint32_t *rules = step->rules;

    if ((*rules & (GPT2I_CUT_DIGITS | GPT2I_CUT_PATTERN)) == 0)
        *rules |= GPT2I_CUT_DIGITS_FIRST;
    *rules |= GPT2I_CUT_DIGITS | (step->each_digit ? GPT2I_CUT_EACH_DIGIT : 0);
}

/* The pattern leaves nothing out: pieces are what it finds, or inverted and removed, what it leaves. */
static int32_t add_split(const struct gpt2i_json *json, struct pieces_step *step,
                         struct gpt2i_error *error)
{
    if (step->is_removed != step->is_inverted)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: byte %zu: " NAME "invert: found %s, wanted %s with behavior \"%s\"",
                          json->path, json->at, step->is_inverted ? "true" : "false",
                          step->is_removed ? "true" : "false",
                          step->is_removed ? "Removed" : "Isolated");
    *step->rules |= GPT2I_CUT_PATTERN;
    return GPT2_OK;
}

/* A step that is no Sequence. */
static int32_t read_step(struct gpt2i_json *json, struct pieces_step *step,
                         struct gpt2i_error *error)
{
    struct gpt2i_json_event type, found;
    bool is_digits, is_split;
    int32_t status = gpt2i_peek_type(json, &type, error);

    if (status == GPT2_OK)
        status = gpt2i_json_next(json, &found, error);
    if (status != GPT2_OK)
        return status;
    if (found.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_fail_value(
            json, "", "pre_tokenizer", &found, "an object",
            found.type == GPT2I_JSON_NULL ? GPT2_ERR_UNSUPPORTED : GPT2_ERR_FORMAT, error);
    is_digits = gpt2i_json_equal(&type, "Digits");
    is_split = gpt2i_json_equal(&type, "Split");
    step->use_regex = true;
    if (is_digits) {
        status = gpt2i_read_object(json, NAME, digits_rules, GPT2I_N_RULES(digits_rules),
                                   read_digits, step, error);
        if (status == GPT2_OK)
            add_digits(step);
        return status;
    }
    if (is_split) {
        status = gpt2i_read_object(json, NAME, split_rules, GPT2I_N_RULES(split_rules), read_split,
                                   step, error);
        return status == GPT2_OK ? add_split(json, step, error) : status;
    }
    if (type.type == GPT2I_JSON_STRING && !gpt2i_json_equal(&type, "ByteLevel"))
        return gpt2i_fail_value(json, NAME, "type", &type, "ByteLevel, Digits, Split or Sequence",
                                GPT2_ERR_UNSUPPORTED, error);
    status = gpt2i_read_object(json, NAME, level_rules, GPT2I_N_RULES(level_rules), read_level,
                               step, error);
    return status == GPT2_OK ? add_level(json, step, error) : status;
}

static int32_t fail_last(const struct gpt2i_json *json, struct gpt2i_error *error)
{
    return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                      "%s: byte %zu: pre_tokenizer: wanted one ByteLevel, as the last step",
                      json->path, json->at);
}

static int32_t read_sequence(void *context, struct gpt2i_json *json, size_t rule,
                             struct gpt2i_error *error)
{
    struct pieces_step *step = context;
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status == GPT2_OK && found.type != GPT2I_JSON_ARRAY_BEGIN)
        return gpt2i_fail_value(json, NAME, sequence_rules[rule].key, &found, "an array",
                                GPT2_ERR_FORMAT, error);
    while (status == GPT2_OK) {
        struct gpt2i_json before = *json;
        struct pieces_step next = {.rules = step->rules};

        status = gpt2i_json_next(json, &found, error);
        if (status != GPT2_OK || found.type == GPT2I_JSON_ARRAY_END)
            break;
        if (step->is_level)
            return fail_last(json, error);
        *json = before;
        status = read_step(json, &next, error);
        step->is_level = next.is_level;
    }
    return status;
}

int32_t gpt2i_pieces_read(struct gpt2i_json *json, uint32_t *rules, struct gpt2i_error *error)
{
    struct pieces_step step = {.rules = rules};
    struct gpt2i_json_event type, begin;
    int32_t status = gpt2i_peek_type(json, &type, error);

    *rules = 0;
    if (status == GPT2_OK && gpt2i_json_equal(&type, "Sequence")) {
        status = gpt2i_json_next(json, &begin, error);
        if (status == GPT2_OK)
            status = gpt2i_read_object(json, NAME, sequence_rules, GPT2I_N_RULES(sequence_rules),
                                       read_sequence, &step, error);
    } else if (status == GPT2_OK) {
        status = read_step(json, &step, error);
    }
    return status == GPT2_OK && !step.is_level ? fail_last(json, error) : status;
}
