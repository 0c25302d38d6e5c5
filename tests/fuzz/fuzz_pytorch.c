/*
 * fuzz_pytorch.c: any file of torch.save() or of llm.c, through gpt2_model_load_sources().
 *
 * The first byte of the input chooses the name of the file, the rest is the file.  One that is accepted has tensors
 * inside it, under names that differ, and a model that loads runs.
 */
#include "fuzz.h"
#include "formats/tensors.h"

static const struct {
    const char *name;
    gpt2i_tensors_open *open;
    const char *config;
} kinds[] = {
    {"pytorch_model.bin", gpt2i_pytorch_open,
     "{\"vocab_size\":3,\"n_positions\":2,\"n_embd\":2,\"n_layer\":1,\"n_head\":1}"},
    {"ckpt.pt", gpt2i_nanogpt_open, "{}"},
    {"model.pt", gpt2i_mingpt_open, "{\"model\":{\"n_head\":1}}"},
    {"model.bin", gpt2i_llmc_open, "{}"},
};

#define N_KINDS (sizeof kinds / sizeof kinds[0])

static void check_tensors(const struct gpt2i_tensors *tensors, bool has_config)
{
    CHECK((tensors->config != NULL) == has_config);
    CHECK(tensors->config == NULL || tensors->config[strlen(tensors->config) - 1] == '}');
    for (size_t i = 0; i < tensors->n_tensors; i++) {
        const struct gpt2i_tensor *tensor = &tensors->items[i];
        uint64_t n = tensor->n_bytes;

        CHECK(i == 0 || strcmp(tensor[-1].name, tensor->name) < 0);
        CHECK(gpt2i_tensors_find(tensors, tensor->name) == tensor);
        CHECK(tensor->source == tensors->source && tensor->offset <= tensors->source->size_bytes);
        CHECK(n <= tensors->source->size_bytes - tensor->offset);
        CHECK(tensor->n_dims >= 0 && tensor->n_dims <= GPT2I_TENSOR_DIMS);
        for (int32_t d = 0; d < tensor->n_dims && n > 0; d++) {
            CHECK(tensor->dims[d] > 0 && n % tensor->dims[d] == 0);
            n /= tensor->dims[d];
        }
        CHECK(n == 0 || n == 1 || n == 2 || n == 4 || n == 8);
    }
}

/* One token, whatever its numbers. */
static void run(const gpt2_model *model)
{
    gpt2_session_params params;
    gpt2_session *session;
    const int32_t id = 0;
    int32_t status;

    CHECK(gpt2_session_params_init(&params, sizeof params) == GPT2_OK);
    params.n_ctx = 1;
    params.n_batch = 1;
    status = gpt2_session_create(model, &params, &session);
    CHECK(status == GPT2_OK || status == GPT2_ERR_MEMORY); /* large blocks are refused */
    if (status == GPT2_OK)
        CHECK(gpt2_forward(session, &id, 1, 1) == GPT2_OK);
    gpt2_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gpt2i_tensors tensors;
    char line[200] = "";
    struct gpt2i_error error = {line, sizeof line};
    size_t kind = size == 0 ? 0 : data[0] % N_KINDS;
    const gpt2_source sources[] = {
        {kinds[kind].name, size < 2 ? "" : (const char *)data + 1, size < 2 ? 0 : size - 1, NULL,
         NULL},
        {"config.json", kinds[kind].config, strlen(kinds[kind].config), NULL, NULL},
    };
    const struct gpt2i_files files = {.list = sources, .n_list = 2};
    gpt2_model_params params;
    gpt2_model *model;
    int32_t status, loaded;

    blocks_refuse_above((size_t)4 << 20);
    status = kinds[kind].open(&tensors, &files, kinds[kind].name, &error);
    if (status == GPT2_OK)
        check_tensors(&tensors, kind > 0);
    else
        check_load_failure(status, line);
    gpt2i_tensors_close(&tensors);
    CHECK(gpt2_model_params_init(&params, sizeof params) == GPT2_OK);
    params.n_threads = 1;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    loaded = gpt2_model_load_sources(sources, 2, &params, &model);
    CHECK((loaded == GPT2_OK) == (model != NULL));
    if (loaded == GPT2_OK) {
        CHECK(status == GPT2_OK && line[0] == '\0');
        run(model);
    } else {
        CHECK(status == GPT2_OK || loaded == status);
        check_load_failure(loaded, line);
    }
    gpt2_model_free(model);
    CHECK(blocks_in_use() == 0);
    return 0;
}
