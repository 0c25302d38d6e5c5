/*
 * host.c: what the fuzz targets share: the files of a model, in memory.
 */
#include "fuzz.h"

static const char *const names[] = {"config.json",
                                    "model.safetensors",
                                    "vocab.json",
                                    "merges.txt",
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "added_tokens.json",
                                    "r50k_base.tiktoken"};

gpt2_source host_sources[9];
size_t host_n_sources;

void host_put_file(const char *name, size_t name_length, const void *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        gpt2_source source = {names[i], n_bytes == 0 ? "" : bytes, n_bytes, NULL, NULL};

        if (strlen(names[i]) != name_length || memcmp(names[i], name, name_length) != 0)
            continue;
        for (size_t j = 0; j < host_n_sources; j++) {
            if (host_sources[j].name == names[i])
                return; /* the first of a name counts */
        }
        host_sources[host_n_sources++] = source;
    }
}

void host_remove_files(void)
{
    host_n_sources = 0;
}

void *take_bytes(size_t n_bytes)
{
    void *bytes = malloc(n_bytes + (n_bytes == 0));

    CHECK(bytes != NULL);
    return bytes;
}

void check_load_failure(int32_t status, const char *line)
{
    CHECK(status == GPT2_ERR_FILE || status == GPT2_ERR_FORMAT || status == GPT2_ERR_MEMORY ||
          status == GPT2_ERR_UNSUPPORTED);
    CHECK(line[0] != '\0');
    CHECK(strchr(line, '\n') == NULL);
}

struct part take_part(const uint8_t **data, size_t *size, int end)
{
    const uint8_t *found = *size == 0 ? NULL : memchr(*data, end, *size);
    struct part part = {*data, found == NULL ? *size : (size_t)(found - *data)};

    *data += part.n_bytes + (found != NULL);
    *size -= part.n_bytes + (found != NULL);
    return part;
}
