/*
 * api.c: what the exported functions of all parts share.
 */
#include "api.h"
#include "../base/source.h"

int32_t gpt2i_check_range(const char *name, int64_t value, int64_t min, int64_t max,
                          struct gpt2i_error *error)
{
    if (value >= min && value <= max)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s is %lld, wanted %lld to %lld", name,
                      (long long)value, (long long)min, (long long)max);
}

int32_t gpt2i_check_path(const char *function, const char *path, struct gpt2i_error *error)
{
    if (path[0] != '\0')
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                      "%s: path is empty, wanted a directory, a native or a GGUF file", function);
}

static bool is_known(const char *name)
{
    static const char *const names[] = {
        GPT2I_CONFIG_NAME,  GPT2I_WEIGHTS_NAME,          GPT2I_INDEX_NAME,
        GPT2I_PYTORCH_NAME, GPT2I_PYTORCH_INDEX_NAME,    GPT2I_VOCAB_NAME,
        GPT2I_MERGES_NAME,  GPT2I_TOKENIZER_NAME,        GPT2I_NATIVE_NAME,
        GPT2I_NANOGPT_NAME, GPT2I_MINGPT_NAME,           GPT2I_LLMC_NAME,
        GPT2I_GGUF_NAME,    GPT2I_TOKENIZER_CONFIG_NAME, GPT2I_SPECIAL_MAP_NAME,
        GPT2I_ADDED_NAME,   GPT2I_TIKTOKEN_NAME};
    bool known = false;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        known |= strcmp(name, names[i]) == 0;
    return known;
}

/* Shards have any names: those that the index gives them. */
static bool has_index(const gpt2_source *sources, size_t n_sources)
{
    bool found = false;

    for (size_t i = 0; i < n_sources; i++)
        found |=
            sources[i].name != NULL && (strcmp(sources[i].name, GPT2I_INDEX_NAME) == 0 ||
                                        strcmp(sources[i].name, GPT2I_PYTORCH_INDEX_NAME) == 0);
    return found;
}

int32_t gpt2i_check_sources(const char *function, const gpt2_source *sources, size_t n_sources,
                            struct gpt2i_error *error)
{
    bool may_be_shards = has_index(sources, n_sources);

    for (size_t i = 0; i < n_sources; i++) {
        const gpt2_source *source = &sources[i];

        if (source->name == NULL)
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: the name of source %zu is NULL",
                              function, i);
        if (!may_be_shards && !is_known(source->name))
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                              "%s: source %zu is \"%.40s\", wanted " GPT2I_CONFIG_NAME
                              ", " GPT2I_WEIGHTS_NAME " or another name of gpt2_source in gpt2.h",
                              function, i, source->name);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(sources[j].name, source->name) == 0)
                return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: sources %zu and %zu are both %s",
                                  function, j, i, source->name);
        }
        if ((source->bytes == NULL) == (source->read == NULL))
            return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %s has %s, wanted one of them",
                              function, source->name,
                              source->read == NULL ? "neither bytes nor a read callback"
                                                   : "both bytes and a read callback");
    }
    return GPT2_OK;
}

int32_t gpt2i_session_begin(gpt2_session *session, struct gpt2i_error *error)
{
    if (session == NULL)
        return GPT2_ERR_ARGUMENT;
    error->text = session->error;
    error->capacity = sizeof session->error;
    if (session->running)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "a call on this session still runs: its callback must return before "
                          "the next call");
    gpt2i_error_clear(error);
    return GPT2_OK;
}
