/*
 * added_json.h: an added token as the files of Hugging Face write it.
 */
#ifndef GPT2I_ADDED_JSON_H
#define GPT2I_ADDED_JSON_H

#include "added_list.h"
#include "../formats/json.h"

/* Text of this many bytes in a file, with its escapes, is read; longer ones are too long without them. */
#define GPT2I_ADDED_RAW_BYTES (6 * GPT2I_ADDED_BYTES)

/* One token, from a string or an object. */
struct gpt2i_added_object {
    char text[GPT2I_ADDED_RAW_BYTES];
    size_t length;
    int32_t id;     /* -1: the object gives none */
    uint32_t flags; /* GPT2I_ADDED_*, and GPT2I_LISTED_PLAIN where "normalized" is missing */
    bool is_string; /* it has no flags */
};

/* The text of a string.  Errors: GPT2_ERR_FORMAT, _UNSUPPORTED (too long). */
GPT2I_HIDDEN int32_t gpt2i_added_text(const struct gpt2i_json *json,
                                      const struct gpt2i_json_event *found, const char *object,
                                      struct gpt2i_added_object *token, struct gpt2i_error *error);

/*
 * The object whose '{' has been passed.  'object' is its name, with a dot.  'with_id': it has the id.
 * Errors: GPT2_ERR_FORMAT, _UNSUPPORTED (a key that is not known, too long).
 */
GPT2I_HIDDEN int32_t gpt2i_added_object_read(struct gpt2i_json *json, const char *object,
                                             bool with_id, struct gpt2i_added_object *token,
                                             struct gpt2i_error *error);

/* The array that comes next: "added_tokens" of tokenizer.json. */
GPT2I_HIDDEN int32_t gpt2i_added_array_read(struct gpt2i_json *json, struct gpt2i_added_list *list,
                                            struct gpt2i_error *error);

#endif
