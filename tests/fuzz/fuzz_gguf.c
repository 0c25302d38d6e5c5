/*
 * fuzz_gguf.c: any GGUF file, through gpt2_model_load_sources() and gpt2_tokenizer_load_sources().
 *
 * A file that is accepted has tensors inside it, none over another, under names that differ; its model
 * runs, and its tokenizer gives back the bytes of a text.
 */
#include "fuzz.h"
#include "formats/tensors.h"
#include "kernels/widen.h"

static void check_tensors(const struct gpt2i_tensors *tensors)
{
    CHECK(tensors->config != NULL && tensors->config[strlen(tensors->config) - 1] == '}');
    for (size_t i = 0; i < tensors->n_tensors; i++) {
        const struct gpt2i_tensor *tensor = &tensors->items[i];
        uint64_t n = tensor->n_bytes / gpt2i_type_bytes(tensor->type);

        CHECK(i == 0 || strcmp(tensor[-1].name, tensor->name) < 0);
        CHECK(gpt2i_tensors_find(tensors, tensor->name) == tensor);
        CHECK(tensor->source == tensors->source && tensor->offset >= tensors->data_offset);
        CHECK(tensor->offset <= tensor->source->size_bytes);
        CHECK(tensor->n_bytes <= tensor->source->size_bytes - tensor->offset);
        CHECK(tensor->n_bytes % gpt2i_type_bytes(tensor->type) == 0);
        CHECK(tensor->n_dims >= 1 && tensor->n_dims <= GPT2I_TENSOR_DIMS);
        for (int32_t d = 0; d < tensor->n_dims; d++) {
            uint64_t dim = tensor->dims[d];

            if (d == tensor->n_dims - 1)
                dim /= gpt2i_type_block(tensor->type);
            CHECK(dim > 0 && n % dim == 0);
            n /= dim;
        }
        CHECK(n == 1);
        for (size_t j = 0; j < i; j++)
            CHECK(tensor->offset + tensor->n_bytes <= tensors->items[j].offset ||
                  tensors->items[j].offset + tensors->items[j].n_bytes <= tensor->offset);
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

/* Where every byte of it has a token, a text comes back. */
static void round_trip(const gpt2_tokenizer *tokenizer)
{
    static const char text[] = "a b  ab<|endoftext|>c1\xff";
    gpt2_encoder_params params;
    gpt2_encoder *encoder;
    int32_t ids[sizeof text];
    char decoded[4 * sizeof text];
    size_t n_ids, n_bytes;
    int32_t status;

    CHECK(gpt2_encoder_params_init(&params, sizeof params) == GPT2_OK);
    CHECK(gpt2_encoder_create(tokenizer, &params, &encoder) == GPT2_OK);
    status = gpt2_encode(encoder, text, strlen(text), 0, ids, sizeof text, &n_ids);
    CHECK(status == GPT2_OK || status == GPT2_ERR_TOKEN);
    if (status == GPT2_OK) {
        CHECK(n_ids <= strlen(text));
        CHECK(gpt2_decode(tokenizer, ids, n_ids, decoded, sizeof decoded, &n_bytes, NULL, 0) ==
              GPT2_OK);
        CHECK(n_bytes == strlen(text) && same_bytes(decoded, text, n_bytes));
    }
    gpt2_encoder_free(encoder);
}

static void check_tokenizer(const gpt2_source *source)
{
    gpt2_tokenizer_params params;
    gpt2_tokenizer *tokenizer;
    char line[200] = "";
    int32_t status;

    CHECK(gpt2_tokenizer_params_init(&params, sizeof params) == GPT2_OK);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    status = gpt2_tokenizer_load_sources(source, 1, &params, &tokenizer);
    CHECK((status == GPT2_OK) == (tokenizer != NULL));
    if (status != GPT2_OK)
        check_load_failure(status, line);
    else
        round_trip(tokenizer);
    gpt2_tokenizer_free(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gpt2i_tensors tensors;
    char line[200] = "";
    struct gpt2i_error error = {line, sizeof line};
    const gpt2_source source = {"model.gguf", size == 0 ? (const void *)"" : data, size, NULL,
                                NULL};
    const struct gpt2i_files files = {.list = &source, .n_list = 1};
    gpt2_model_params params;
    gpt2_model *model;
    int32_t status, loaded;

    blocks_refuse_above((size_t)4 << 20);
    status = gpt2i_gguf_tensors_open(&tensors, &files, "model.gguf", &error);
    if (status == GPT2_OK)
        check_tensors(&tensors);
    else
        check_load_failure(status, line);
    gpt2i_tensors_close(&tensors);
    CHECK(gpt2_model_params_init(&params, sizeof params) == GPT2_OK);
    params.n_threads = 1;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    loaded = gpt2_model_load_sources(&source, 1, &params, &model);
    CHECK((loaded == GPT2_OK) == (model != NULL));
    if (loaded == GPT2_OK) {
        CHECK(status == GPT2_OK && line[0] == '\0');
        run(model);
    } else {
        check_load_failure(loaded, line);
    }
    gpt2_model_free(model);
    check_tokenizer(&source);
    CHECK(blocks_in_use() == 0);
    return 0;
}
