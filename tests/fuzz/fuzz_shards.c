/*
 * fuzz_shards.c: any index of shards, through gpt2i_shards_open().
 *
 * The input is the index.  Its shards are "one" with the tensors b and a, "two" with c, and "twin" with
 * c and a.  An index that is accepted gives the tensors of the shards that it names, each once.
 */
#include "fuzz.h"
#include "formats/tensors.h"

#define INDEX "model.safetensors.index.json"
#define ENTRY(name, range) \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":" range "}"

static const struct {
    const char *name;
    const char *header;
    size_t n_data;
} shards[] = {
    {"one", "{" ENTRY("b", "[0,1]") "," ENTRY("a", "[1,2]") "}", 2},
    {"two", "{" ENTRY("c", "[0,1]") "}", 1},
    {"twin", "{" ENTRY("c", "[0,1]") "," ENTRY("a", "[1,2]") "}", 2},
};

#define N_SHARDS (sizeof shards / sizeof shards[0])

/* The index and the shards, which lie in 'bytes'. */
static void put_sources(gpt2_source sources[N_SHARDS + 1], unsigned char bytes[N_SHARDS][256],
                        const uint8_t *index, size_t n_bytes)
{
    memset(sources, 0, (N_SHARDS + 1) * sizeof sources[0]);
    for (size_t i = 0; i < N_SHARDS; i++) {
        size_t length = strlen(shards[i].header);

        memset(bytes[i], 0, 256);
        bytes[i][0] = (unsigned char)length;
        memcpy(bytes[i] + 8, shards[i].header, length);
        sources[i].name = shards[i].name;
        sources[i].bytes = bytes[i];
        sources[i].n_bytes = 8 + length + shards[i].n_data;
    }
    sources[N_SHARDS].name = INDEX;
    sources[N_SHARDS].bytes = n_bytes == 0 ? (const void *)"" : index;
    sources[N_SHARDS].n_bytes = n_bytes;
}

static void check_tensors(const struct gpt2i_tensors *tensors)
{
    size_t n_tensors = 0;

    CHECK(tensors->n_shards <= 2); /* "twin" has what the others have */
    for (size_t i = 0; i < tensors->n_shards; i++) {
        n_tensors += tensors->shards[i].n_tensors;
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(tensors->shards[i].source->path, tensors->shards[j].source->path) != 0);
    }
    CHECK(tensors->n_tensors == n_tensors);
    for (size_t i = 0; i < n_tensors; i++) {
        const struct gpt2i_tensor *tensor = &tensors->items[i];

        CHECK(i == 0 || strcmp(tensor[-1].name, tensor->name) < 0);
        CHECK(gpt2i_tensors_find(tensors, tensor->name) == tensor);
        CHECK(tensor->n_bytes == 1 && tensor->offset < tensor->source->size_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char bytes[N_SHARDS][256];
    static struct gpt2i_tensors tensors;
    gpt2_source sources[N_SHARDS + 1];
    const struct gpt2i_files files = {.list = sources, .n_list = N_SHARDS + 1};
    char line[160] = "";
    struct gpt2i_error error = {line, sizeof line};
    int32_t status;

    put_sources(sources, bytes, data, size);
    status = gpt2i_shards_open(&tensors, &files, INDEX, gpt2i_safetensors_open, &error);
    if (status != GPT2_OK)
        check_load_failure(status, line);
    else
        check_tensors(&tensors);
    gpt2i_tensors_close(&tensors);
    CHECK(blocks_in_use() == 0);
    return 0;
}
