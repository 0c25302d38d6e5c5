/*
 * merges_json.c: merges as tokenizer.json has them: strings "a b" in older files, pairs ["a", "b"] in
 * newer ones.  The two symbols of a merge are joined in the file's text, behind the parser: an escape
 * never becomes longer.
 */
#include "merges_json.h"

int32_t gpt2i_merges_json_count(struct gpt2i_json *json, size_t *n_merges,
                                struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    size_t n = 0;
    int32_t status = gpt2i_json_next(json, &found, error);

    *n_merges = 0;
    if (status == GPT2_OK && found.type != GPT2I_JSON_ARRAY_BEGIN)
        return gpt2i_json_fail(json, "model.merges: wanted an array", error);
    while (status == GPT2_OK) {
        struct gpt2i_json before = *json;

        status = gpt2i_json_next(json, &found, error);
        if (status != GPT2_OK || found.type == GPT2I_JSON_ARRAY_END)
            break;
        *json = before;
        status = gpt2i_json_skip(json, error);
        n++;
    }
    *n_merges = n;
    return status == GPT2_OK ? gpt2i_check_n_merges(json->path, n, error) : status;
}

static int32_t fail_merge(const struct gpt2i_merges_json *merges,
                          const struct gpt2i_json_event *found, struct gpt2i_error *error)
{
    char shown[GPT2I_JSON_SHOWN_BYTES];

    return gpt2i_fail(error, GPT2_ERR_FORMAT,
                      "%s: byte %zu: merge %zu: found %s, wanted \"a b\" or [\"a\", \"b\"]",
                      merges->reader.path, merges->json.at, merges->number,
                      gpt2i_json_show(found, shown));
}

static char *merge_place_of(struct gpt2i_merges_json *merges, const struct gpt2i_json_event *event)
{
    return merges->text + (event->text - merges->json.text);
}

/* ["a", "b"], of which '[' has been passed: b is written right behind a. */
static int32_t join_pair(struct gpt2i_merges_json *merges, struct gpt2i_merge *merge,
                         struct gpt2i_error *error)
{
    struct gpt2i_json_event found;
    char *to = NULL;
    size_t length = 0;
    int32_t status;

    for (int i = 0; i < 2; i++) {
        size_t n_bytes;

        status = gpt2i_json_next(&merges->json, &found, error);
        if (status == GPT2_OK && found.type != GPT2I_JSON_STRING)
            return fail_merge(merges, &found, error);
        if (status != GPT2_OK)
            return status;
        if (i == 0)
            to = merge_place_of(merges, &found);
        merge->left_length = length;
        status =
            gpt2i_json_string(&merges->json, &found, to + length, found.length, &n_bytes, error);
        if (status != GPT2_OK)
            return status;
        length += n_bytes;
    }
    merge->text = to;
    merge->length = length;
    status = gpt2i_json_next(&merges->json, &found, error);
    return status == GPT2_OK && found.type != GPT2I_JSON_ARRAY_END
               ? fail_merge(merges, &found, error)
               : status;
}

/* "a b", resolved to text[n_bytes]: the space is closed up. */
static int32_t join_string(const struct gpt2i_merges_json *merges,
                           const struct gpt2i_json_event *event, char *text, size_t n_bytes,
                           struct gpt2i_merge *merge, struct gpt2i_error *error)
{
    char *space = memchr(text, ' ', n_bytes);
    char *right = space == NULL ? text : space + 1;
    size_t n_right = n_bytes - (size_t)(right - text);

    if (space == NULL || memchr(right, ' ', n_right) != NULL)
        return fail_merge(merges, event, error);
    memmove(space, right, n_right);
    merge->text = text;
    merge->left_length = (size_t)(space - text);
    merge->length = n_bytes - 1;
    return GPT2_OK;
}

/* As in Hugging Face's reader, strings that begin with #version are passed over. */
static int32_t next_json_merge(struct gpt2i_merge_reader *reader, struct gpt2i_merge *merge,
                               bool *found, struct gpt2i_error *error)
{
    static const char version[] = "#version";
    struct gpt2i_merges_json *merges = (struct gpt2i_merges_json *)reader;

    for (;;) {
        struct gpt2i_json_event event;
        int32_t status = gpt2i_json_next(&merges->json, &event, error);
        size_t n_bytes;
        char *text;

        *found = status == GPT2_OK && event.type != GPT2I_JSON_ARRAY_END;
        if (!*found)
            return status;
        merge->number = ++merges->number;
        if (event.type == GPT2I_JSON_ARRAY_BEGIN)
            return join_pair(merges, merge, error);
        if (event.type != GPT2I_JSON_STRING)
            return fail_merge(merges, &event, error);
        text = merge_place_of(merges, &event);
        status = gpt2i_json_string(&merges->json, &event, text, event.length, &n_bytes, error);
        if (status != GPT2_OK)
            return status;
        if (n_bytes < sizeof version - 1 || memcmp(text, version, sizeof version - 1) != 0)
            return join_string(merges, &event, text, n_bytes, merge, error);
    }
}

int32_t gpt2i_merges_json_begin(struct gpt2i_merges_json *merges, const struct gpt2i_json *json,
                                size_t n_merges, char *text, struct gpt2i_error *error)
{
    struct gpt2i_json_event begin;

    memset(merges, 0, sizeof *merges);
    merges->reader.path = json->path;
    merges->reader.unit = "merge";
    merges->reader.vocab_name = "model.vocab";
    merges->reader.n_max = n_merges;
    merges->reader.next = next_json_merge;
    merges->json = *json;
    merges->text = text;
    return gpt2i_json_next(&merges->json, &begin, error);
}
