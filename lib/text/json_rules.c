/*
 * json_rules.c: reading a JSON object by a table of the keys that it may have, and their values.
 */
#include "json_rules.h"

int32_t gpt2i_fail_value(const struct gpt2i_json *json, const char *object, const char *key,
                         const struct gpt2i_json_event *found, const char *wanted, int32_t status,
                         struct gpt2i_error *error)
{
    char shown[GPT2I_JSON_SHOWN_BYTES];

    return gpt2i_fail(error, status, "%s: byte %zu: %s%s: found %s, wanted %s", json->path,
                      json->at, object, key, gpt2i_json_show(found, shown), wanted);
}

/* One value against its rule. */
static int32_t check_value(struct gpt2i_json *json, const char *object,
                           const struct gpt2i_rule *rule, struct gpt2i_error *error)
{
    static const char *const words[] = {
        [GPT2I_BOOLEAN] = "true or false", [GPT2I_FALSE_ONLY] = "false", [GPT2I_TRUE_ONLY] = "true",
        [GPT2I_EMPTY] = "null or \"\"",    [GPT2I_OFF] = "null or 0",
    };
    const char *wanted = rule->wanted == GPT2I_THE_TEXT ? rule->text : words[rule->wanted];
    struct gpt2i_json_event found;
    bool is_truth, is_known = false, fits = false;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status != GPT2_OK)
        return status;
    is_truth = found.type == GPT2I_JSON_TRUE || found.type == GPT2I_JSON_FALSE;
    switch (rule->wanted) {
    case GPT2I_BOOLEAN:
        fits = is_truth;
        break;
    case GPT2I_FALSE_ONLY:
    case GPT2I_TRUE_ONLY:
        is_known = is_truth;
        fits = found.type == (rule->wanted == GPT2I_TRUE_ONLY ? GPT2I_JSON_TRUE : GPT2I_JSON_FALSE);
        break;
    case GPT2I_EMPTY:
        is_known = found.type == GPT2I_JSON_STRING;
        fits = found.type == GPT2I_JSON_NULL || (is_known && found.length == 0);
        break;
    case GPT2I_OFF: {
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
    return gpt2i_fail_value(json, object, rule->key, &found, wanted,
                            is_known ? GPT2_ERR_UNSUPPORTED : GPT2_ERR_FORMAT, error);
}

int32_t gpt2i_read_object(struct gpt2i_json *json, const char *object,
                          const struct gpt2i_rule *rules, size_t n_rules, gpt2i_read_kept *kept,
                          void *context, struct gpt2i_error *error)
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
        if (rules[i].wanted == GPT2I_KEPT)
            status = kept(context, json, i, error);
        else if (rules[i].wanted == GPT2I_ANYTHING)
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

int32_t gpt2i_read_bool(struct gpt2i_json *json, const char *object, const char *key, bool *value,
                        struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    int32_t status = gpt2i_json_next(json, &found, error);

    if (status == GPT2_OK && found.type != GPT2I_JSON_TRUE && found.type != GPT2I_JSON_FALSE)
        return gpt2i_fail_value(json, object, key, &found, "true or false", GPT2_ERR_FORMAT, error);
    *value = found.type == GPT2I_JSON_TRUE;
    return status;
}

int32_t gpt2i_peek_type(const struct gpt2i_json *json, struct gpt2i_json_event *type,
                        struct gpt2i_error *error)
{
    struct gpt2i_json ahead = *json;
    struct gpt2i_json_event key;
    int32_t status = gpt2i_json_next(&ahead, &key, error);

    type->type = GPT2I_JSON_NULL;
    type->text = "";
    type->length = 0;
    if (status != GPT2_OK || key.type != GPT2I_JSON_OBJECT_BEGIN)
        return status;
    status = gpt2i_json_next(&ahead, &key, error);
    while (status == GPT2_OK && key.type == GPT2I_JSON_KEY) {
        if (gpt2i_json_equal(&key, "type"))
            return gpt2i_json_next(&ahead, type, error);
        status = gpt2i_json_skip(&ahead, error);
        if (status == GPT2_OK)
            status = gpt2i_json_next(&ahead, &key, error);
    }
    return status;
}
