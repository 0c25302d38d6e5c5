/*
 * api_model.c: the exported functions of models: arguments are checked here, the work is done in model/.
 */
#include "api.h"
#include "../base/threads.h"
#include "../model/load.h"
#include "../model/write.h"
#include "../model/tensor.h"

static const gpt2_model_params model_defaults = {
    .struct_size = sizeof(gpt2_model_params),
    .n_threads = 1,
    .weight_type = GPT2_TYPE_AS_FILE,
};

static const struct gpt2i_params_kind model_params = {
    .name = "gpt2_model_params",
    .defaults = &model_defaults,
    .known_bytes = sizeof(gpt2_model_params),
    .first_bytes = GPT2I_SIZE_TO(gpt2_model_params, progress_user),
    .errbuf_offset = offsetof(gpt2_model_params, errbuf),
};

static const gpt2_model_info info_defaults = {.struct_size = sizeof(gpt2_model_info)};

static const struct gpt2i_params_kind model_info = {
    .name = "gpt2_model_info",
    .defaults = &info_defaults,
    .known_bytes = sizeof(gpt2_model_info),
    .first_bytes = GPT2I_SIZE_TO(gpt2_model_info, memory_bytes),
    .errbuf_offset = GPT2I_NO_ERRBUF,
};

int32_t gpt2_model_params_init(gpt2_model_params *params, size_t struct_size)
{
    return gpt2i_params_init(params, struct_size, &model_params);
}

/* What both ways of loading check; 'given' is their first argument, 'name' its name. */
static int32_t take_model_params(gpt2_model_params *known, const gpt2_model_params *params,
                                 const char *function, const char *name, const void *given,
                                 gpt2_model **model, struct gpt2i_error *error)
{
    int32_t status;

    if (model != NULL)
        *model = NULL;
    status = gpt2i_params_take(known, params, &model_params, error);
    if (status == GPT2_OK && (given == NULL || model == NULL))
        status = gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %s is NULL", function,
                            given == NULL ? name : "model");
    if (status == GPT2_OK)
        status = gpt2i_check_range("gpt2_model_params.n_threads", known->n_threads, 0,
                                   GPT2I_MAX_THREADS, error);
    if (status == GPT2_OK)
        status = gpt2i_check_range("gpt2_model_params.weight_type", known->weight_type,
                                   GPT2_TYPE_AS_FILE, GPT2_TYPE_Q4, error);
    if (status == GPT2_OK)
        status = gpt2i_check_range("gpt2_model_params.file_access", known->file_access,
                                   GPT2_FILE_MAP, GPT2_FILE_READ, error);
    if (status == GPT2_OK)
        status = gpt2i_check_range("gpt2_model_params.shortlist", known->shortlist, 0, 1, error);
    if (status == GPT2_OK)
        status = gpt2i_check_range("gpt2_model_params.reserved", known->reserved, 0, 0, error);
    if (status == GPT2_OK)
        known->n_threads = gpt2i_thread_count(known->n_threads);
    return status;
}

int32_t gpt2_model_load(const char *path, const gpt2_model_params *params, gpt2_model **model)
{
    struct gpt2i_files files;
    struct gpt2i_error error = {NULL, 0};
    gpt2_model_params known;
    int32_t status =
        take_model_params(&known, params, "gpt2_model_load", "path", path, model, &error);

    if (status == GPT2_OK)
        status = gpt2i_check_path("gpt2_model_load", path, &error);
    if (status != GPT2_OK)
        return status;
    files = gpt2i_files_at(path);
    return gpt2i_model_read(model, &files, &known, &error);
}

int32_t gpt2_model_load_sources(const gpt2_source *sources, size_t n_sources,
                                const gpt2_model_params *params, gpt2_model **model)
{
    const struct gpt2i_files files = {.list = sources, .n_list = n_sources};
    struct gpt2i_error error = {NULL, 0};
    gpt2_model_params known;
    int32_t status = take_model_params(&known, params, "gpt2_model_load_sources", "sources",
                                       sources, model, &error);

    if (status == GPT2_OK)
        status = gpt2i_check_sources("gpt2_model_load_sources", sources, n_sources, &error);
    return status == GPT2_OK ? gpt2i_model_read(model, &files, &known, &error) : status;
}

int32_t gpt2_model_write(const gpt2_model *model, const char *name, gpt2_write_callback write,
                         void *user, char *errbuf, size_t errbuf_size)
{
    struct gpt2i_error error = {errbuf, errbuf_size};

    gpt2i_error_clear(&error);
    if (model == NULL || name == NULL || write == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_model_write: %s is NULL",
                          model == NULL  ? "model"
                          : name == NULL ? "name"
                                         : "write");
    return gpt2i_model_write(model, name, write, user, &error);
}

int32_t gpt2_model_tensor(const gpt2_model *model, const char *name, int64_t *shape, float *values,
                          size_t n_values, char *errbuf, size_t errbuf_size)
{
    struct gpt2i_error error = {errbuf, errbuf_size};

    gpt2i_error_clear(&error);
    if (model == NULL || name == NULL || shape == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_model_tensor: %s is NULL",
                          model == NULL  ? "model"
                          : name == NULL ? "name"
                                         : "shape");
    return gpt2i_tensor_read(model, name, shape, values, n_values, &error);
}

void gpt2_model_free(gpt2_model *model)
{
    gpt2i_model_free(model);
}

int32_t gpt2_model_info_init(gpt2_model_info *info, size_t struct_size)
{
    return gpt2i_params_init(info, struct_size, &model_info);
}

int32_t gpt2_model_get_info(const gpt2_model *model, gpt2_model_info *info)
{
    gpt2_model_info known = {0};

    if (model == NULL || info == NULL || info->struct_size < model_info.first_bytes ||
        info->struct_size > GPT2I_STRUCT_MAX_BYTES)
        return GPT2_ERR_ARGUMENT;
    known.struct_size = info->struct_size;
    known.n_vocab = model->config.n_vocab;
    known.n_positions = model->config.n_positions;
    known.n_embd = model->config.n_embd;
    known.n_layer = model->config.n_layer;
    known.n_head = model->config.n_head;
    known.n_kv_head = model->config.n_kv_head;
    known.file_types = model->file_types;
    known.n_inner = model->config.n_inner;
    known.activation = model->config.activation_function;
    known.tied_head = model->config.tie_word_embeddings;
    known.weight_type = model->weight_type;
    known.eot_token = model->eot_token;
    known.layer_norm_epsilon = model->config.layer_norm_epsilon;
    known.n_parameters = model->n_parameters;
    known.memory_type = model->h[0].c_attn.weight.type;
    known.memory_bytes = model->struct_bytes + model->weights_bytes + model->shortlist.block_bytes;
    memset(info, 0, info->struct_size);
    memcpy(info, &known, gpt2i_min(known.struct_size, sizeof known));
    return GPT2_OK;
}

const gpt2_tokenizer *gpt2_model_tokenizer(const gpt2_model *model)
{
    return model == NULL ? NULL : model->tokenizer;
}

const char *gpt2_model_tokenizer_error(const gpt2_model *model)
{
    return model == NULL ? "" : model->tokenizer_error;
}
