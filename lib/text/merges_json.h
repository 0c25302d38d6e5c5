/*
 * merges_json.h: the merges of a tokenizer.json.
 */
#ifndef GPT2I_MERGES_JSON_H
#define GPT2I_MERGES_JSON_H

#include "tokenizer_build.h"

struct gpt2i_merges_json {
    struct gpt2i_merge_reader reader;
    struct gpt2i_json json;
    char *text; /* the file's */
    size_t number;
};

/* Passes over the array that is the parser's next value; '*n_merges' is how many elements it has. */
GPT2I_HIDDEN int32_t gpt2i_merges_json_count(struct gpt2i_json *json, size_t *n_merges,
                                             struct gpt2i_error *error);

/*
 * Begins to read the array that is the next value of 'json'.  The file's 'text', which the parser walks
 * through, changes where a merge has been read.
 */
GPT2I_HIDDEN int32_t gpt2i_merges_json_begin(struct gpt2i_merges_json *merges,
                                             const struct gpt2i_json *json, size_t n_merges,
                                             char *text, struct gpt2i_error *error);

#endif
