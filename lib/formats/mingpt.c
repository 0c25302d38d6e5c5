/*
 * mingpt.c: the models of minGPT, "model.pt" beside its "config.json".
 *
 * model.pt is a state_dict, whose shapes tell all sizes but the number of heads.  That is in the part
 * "model" of config.json: "n_head", or else a "model_type" of minGPT's list.  Matrices are those of
 * torch.nn.Linear, [n_out, n_in]; the activation is gelu_new; the head is not tied.
 */
#include "mingpt.h"
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

#define CONFIG_MAX_BYTES ((uint64_t)1 << 20)

static const struct {
    const char *name;
    uint64_t n_head;
} model_types[] = {
    {"openai-gpt", 12}, {"gpt2", 12},    {"gpt2-medium", 16}, {"gpt2-large", 20}, {"gpt2-xl", 25},
    {"gopher-44m", 16}, {"gpt-mini", 6}, {"gpt-micro", 4},    {"gpt-nano", 3},
};

/* A key of "model": the heads that it tells; others change nothing. */
static int32_t read_heads(struct gpt2i_json *json, const struct gpt2i_json_event *key,
                          uint64_t *n_head, struct gpt2i_error *error)
{
    char shown[GPT2I_JSON_SHOWN_BYTES];
    struct gpt2i_json_event event;
    bool is_type = gpt2i_json_equal(key, "model_type");
    int32_t status;

    if (!is_type && !gpt2i_json_equal(key, "n_head"))
        return gpt2i_json_skip(json, error);
    status = gpt2i_json_next(json, &event, error);
    if (status != GPT2_OK || event.type == GPT2I_JSON_NULL)
        return status;
    if (!is_type)
        return gpt2i_json_u64(json, &event, INT32_MAX, n_head, error);
    for (size_t i = 0; i < sizeof model_types / sizeof model_types[0]; i++) {
        if (event.type == GPT2I_JSON_STRING && gpt2i_json_equal(&event, model_types[i].name)) {
            *n_head = model_types[i].n_head;
            return GPT2_OK;
        }
    }
    return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                      "%s: model: model_type: found %s, wanted a name of minGPT's, such as "
                      "\"gpt-mini\"",
                      json->path, gpt2i_json_show(&event, shown));
}

typedef int32_t read_member(struct gpt2i_json *json, const struct gpt2i_json_event *key,
                            uint64_t *n_head, struct gpt2i_error *error);

/* An object; 'read' reads the value of each key. */
static int32_t read_json_object(struct gpt2i_json *json, read_member *read, uint64_t *n_head,
                                struct gpt2i_error *error)
{
    struct gpt2i_json_event event;
    int32_t status = gpt2i_json_next(json, &event, error);

    if (status == GPT2_OK && event.type != GPT2I_JSON_OBJECT_BEGIN)
        return gpt2i_json_fail(json, "wanted an object", error);
    while (status == GPT2_OK) {
        status = gpt2i_json_next(json, &event, error);
        if (status != GPT2_OK || event.type == GPT2I_JSON_OBJECT_END)
            break;
        status = read(json, &event, n_head, error);
    }
    return status;
}

/* A key of the file. */
static int32_t read_model_part(struct gpt2i_json *json, const struct gpt2i_json_event *key,
                               uint64_t *n_head, struct gpt2i_error *error)
{
    return gpt2i_json_equal(key, "model") ? read_json_object(json, read_heads, n_head, error)
                                          : gpt2i_json_skip(json, error);
}

static int32_t read_n_head(const struct gpt2i_files *files, uint64_t *n_head,
                           struct gpt2i_error *error)
{
    struct gpt2i_text file;
    struct gpt2i_json json;
    struct gpt2i_json_event event;
    int32_t status = gpt2i_text_read(&file, files, GPT2I_CONFIG_NAME, CONFIG_MAX_BYTES, error);

    *n_head = 0;
    if (status == GPT2_OK) {
        gpt2i_json_begin(&json, file.text, file.n_bytes, file.source->path);
        status = read_json_object(&json, read_model_part, n_head, error);
    }
    if (status == GPT2_OK)
        status = gpt2i_json_next(&json, &event, error); /* the end of the text */
    if (status == GPT2_OK && *n_head == 0)
        status = gpt2i_fail(error, GPT2_ERR_FORMAT,
                            "%s: the object \"model\" with n_head or model_type is missing, which "
                            "minGPT writes",
                            file.source->path);
    gpt2i_text_free(&file);
    return status;
}

/* A matrix of the state_dict, by its size 'i'; 0 if it is not there. */
static uint64_t size_of(const struct gpt2i_tensors *tensors, const char *name, int i)
{
    const struct gpt2i_tensor *tensor = gpt2i_tensors_find(tensors, name);

    return tensor != NULL && tensor->n_dims == 2 ? tensor->dims[i] : 0;
}

int32_t gpt2i_mingpt_config(const struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                            char config[GPT2I_PYTORCH_CONFIG_BYTES], struct gpt2i_error *error)
{
    char name[40];
    size_t n_layer = 0;
    uint64_t n_head;
    int32_t status = read_n_head(files, &n_head, error);

    if (status != GPT2_OK)
        return status;
    do
        (void)snprintf(name, sizeof name, "transformer.h.%zu.ln_1.weight", n_layer);
    while (gpt2i_tensors_find(tensors, name) != NULL && n_layer++ < tensors->n_tensors);
    (void)snprintf(config, GPT2I_PYTORCH_CONFIG_BYTES,
                   "{\"activation_function\":\"gelu_new\",\"tie_word_embeddings\":false,"
                   "\"n_layer\":%zu,\"n_head\":%" PRIu64 ",\"n_embd\":%" PRIu64
                   ",\"n_positions\":%" PRIu64 ",\"vocab_size\":%" PRIu64 "}",
                   n_layer, n_head, size_of(tensors, "transformer.wte.weight", 1),
                   size_of(tensors, "transformer.wpe.weight", 0),
                   size_of(tensors, "transformer.wte.weight", 0));
    return GPT2_OK;
}
