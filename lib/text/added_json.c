/*
 * added_json.c: an added token as the files of Hugging Face write it: an object of its text and its flags.
 */
#include "added_json.h"
#include "json_rules.h"

enum { ID, CONTENT, SINGLE_WORD, LSTRIP, RSTRIP, NORMALIZED, SPECIAL, TYPE, N_RULES };

static const struct gpt2i_rule rules[N_RULES] = {
    [ID] = {"id", GPT2I_KEPT, true, NULL},
    [CONTENT] = {"content", GPT2I_KEPT, true, NULL},
    [SINGLE_WORD] = {"single_word", GPT2I_KEPT, false, NULL},
    [LSTRIP] = {"lstrip", GPT2I_KEPT, false, NULL},
    [RSTRIP] = {"rstrip", GPT2I_KEPT, false, NULL},
    [NORMALIZED] = {"normalized", GPT2I_KEPT, false, NULL},
    [SPECIAL] = {"special", GPT2I_KEPT, false, NULL},
    [TYPE] = {"__type", GPT2I_THE_TEXT, false, "AddedToken"},
};

static const uint32_t flags_of_rules[N_RULES] = {
    [SINGLE_WORD] = GPT2I_ADDED_SINGLE_WORD, [LSTRIP] = GPT2I_ADDED_LSTRIP,
    [RSTRIP] = GPT2I_ADDED_RSTRIP,           [NORMALIZED] = GPT2I_ADDED_NORMALIZED,
    [SPECIAL] = GPT2I_ADDED_SPECIAL,
};

struct added_reader {
    const char *object;
    const struct gpt2i_rule *rules;
    struct gpt2i_added_object *token;
};

static int32_t read_token_text(const struct gpt2i_json *json, const struct gpt2i_json_event *found,
                               const char *object, struct gpt2i_added_object *token,
                               struct gpt2i_error *error)
{
    token->length = 0;
    if (found->type != GPT2I_JSON_STRING)
        return gpt2i_fail_value(json, object, "content", found, "a string", GPT2_ERR_FORMAT, error);
    if (found->length > sizeof token->text)
        return gpt2i_fail_value(json, object, "content", found, "a shorter text",
                                GPT2_ERR_UNSUPPORTED, error);
    return gpt2i_json_string(json, found, token->text, sizeof token->text, &token->length, error);
}

int32_t gpt2i_added_text(const struct gpt2i_json *json, const struct gpt2i_json_event *found,
                         const char *object, struct gpt2i_added_object *token,
                         struct gpt2i_error *error)
{
    token->id = -1;
    token->flags = 0;
    token->is_string = true;
    return read_token_text(json, found, object, token, error);
}

static int32_t read_kept(void *context, struct gpt2i_json *json, size_t rule,
                         struct gpt2i_error *error)
{
    const struct added_reader *reader = context;
    struct gpt2i_added_object *token = reader->token;
    const char *key = reader->rules[rule].key;
    size_t known = (size_t)(&reader->rules[rule] - rules);
    struct gpt2i_json_event found;
    uint64_t id;
    bool value;
    int32_t status;

    if (known != ID && known != CONTENT) {
        status = gpt2i_read_bool(json, reader->object, key, &value, error);
        token->flags |= status == GPT2_OK && value ? flags_of_rules[known] : 0;
        if (known == NORMALIZED)
            token->flags &= ~GPT2I_LISTED_PLAIN;
        return status;
    }
    status = gpt2i_json_next(json, &found, error);
    if (status == GPT2_OK && known == ID) {
        status = gpt2i_json_u64(json, &found, ((uint64_t)1 << GPT2I_ID_BITS) - 1, &id, error);
        token->id = (int32_t)id;
    } else if (status == GPT2_OK) {
        status = read_token_text(json, &found, reader->object, token, error);
    }
    return status;
}

int32_t gpt2i_added_object_read(struct gpt2i_json *json, const char *object, bool with_id,
                                struct gpt2i_added_object *token, struct gpt2i_error *error)
{
    struct added_reader reader = {object, rules + !with_id, token};

    token->length = 0;
    token->id = -1;
    token->flags = GPT2I_LISTED_PLAIN;
    token->is_string = false;
    return gpt2i_read_object(json, object, reader.rules, N_RULES - !with_id, read_kept, &reader,
                             error);
}

int32_t gpt2i_added_array_read(struct gpt2i_json *json, struct gpt2i_added_list *list,
                               struct gpt2i_error *error)
{
    struct gpt2i_added_object token;
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status == GPT2_OK && found.type != GPT2I_JSON_ARRAY_BEGIN)
        return gpt2i_fail_value(json, "", "added_tokens", &found, "an array", GPT2_ERR_FORMAT,
                                error);
    while (status == GPT2_OK) {
        status = gpt2i_json_next(json, &found, error);
        if (status != GPT2_OK || found.type == GPT2I_JSON_ARRAY_END)
            break;
        if (found.type != GPT2I_JSON_OBJECT_BEGIN)
            return gpt2i_fail_value(json, "", "added_tokens", &found, "an object", GPT2_ERR_FORMAT,
                                    error);
        status = gpt2i_added_object_read(json, "added_tokens.", true, &token, error);
        if (status == GPT2_OK)
            status = gpt2i_added_list_put(list, json->path, token.text, token.length, token.id,
                                          token.flags, error);
    }
    return status;
}
