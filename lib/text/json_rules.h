/*
 * json_rules.h: reading a JSON object by a table of the keys that it may have, and their values.  Every
 * other key and value is refused by name.
 */
#ifndef GPT2I_JSON_RULES_H
#define GPT2I_JSON_RULES_H

#include "../formats/json.h"

enum gpt2i_wanted {
    GPT2I_ANYTHING,   /* it cannot change an id */
    GPT2I_BOOLEAN,    /* likewise, but it is true or false */
    GPT2I_FALSE_ONLY, /* true changes ids */
    GPT2I_TRUE_ONLY,
    GPT2I_EMPTY,    /* null or "" */
    GPT2I_OFF,      /* null or 0 */
    GPT2I_THE_TEXT, /* one string */
    GPT2I_KEPT      /* read by the caller */
};

struct gpt2i_rule {
    const char *key;
    enum gpt2i_wanted wanted;
    bool required;
    const char *text; /* the one string */
};

#define GPT2I_N_RULES(rules) (sizeof(rules) / sizeof(rules)[0])

/* Reads the value of a KEPT key; 'context' is the caller's. */
typedef int32_t gpt2i_read_kept(void *context, struct gpt2i_json *json, size_t rule,
                                struct gpt2i_error *error);

/*
 * Reads an object, whose '{' has been passed, by at most 32 rules.  'object' is its name, with a dot.
 * Errors: GPT2_ERR_UNSUPPORTED, _FORMAT.
 */
GPT2I_HIDDEN int32_t gpt2i_read_object(struct gpt2i_json *json, const char *object,
                                       const struct gpt2i_rule *rules, size_t n_rules,
                                       gpt2i_read_kept *kept, void *context,
                                       struct gpt2i_error *error);

/* "PATH: byte N: OBJECTKEY: found ..., wanted ..." */
GPT2I_HIDDEN int32_t gpt2i_fail_value(const struct gpt2i_json *json, const char *object,
                                      const char *key, const struct gpt2i_json_event *found,
                                      const char *wanted, int32_t status,
                                      struct gpt2i_error *error);

/* A value that is true or false. */
GPT2I_HIDDEN int32_t gpt2i_read_bool(struct gpt2i_json *json, const char *object, const char *key,
                                     bool *value, struct gpt2i_error *error);

/* The value of "type" in the object that comes next, which is not passed over: "" if it has none or is
   no object. */
GPT2I_HIDDEN int32_t gpt2i_peek_type(const struct gpt2i_json *json, struct gpt2i_json_event *type,
                                     struct gpt2i_error *error);

#endif
