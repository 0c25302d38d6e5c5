/*
 * native_model.c: a model whose weights lie in a native file.
 *
 * The header's names and shapes say which bytes are which weight; none is moved.
 */
#include "native_model.h"
#include "../text/tokenizer_native.h"

#include <inttypes.h>
#include <stdio.h>

void gpt2i_native_name(const struct gpt2i_weight *weight, const char *last,
                       char name[GPT2I_NATIVE_NAME_BYTES])
{
    size_t length = strlen(weight->name) - strlen("weight"); /* every matrix ends so */

    (void)snprintf(name, GPT2I_NATIVE_NAME_BYTES, "%.*s%s", (int)length, weight->name, last);
}

static const char *const dtype_names[] = {
    [GPT2_TYPE_F32] = "F32", [GPT2_TYPE_F16] = "F16", [GPT2_TYPE_BF16] = "BF16",
    [GPT2_TYPE_Q8] = "U8",   [GPT2_TYPE_Q4] = "U8",
};

const char *gpt2i_native_dtype(int32_t type)
{
    return dtype_names[type];
}

/* The elements of a tensor that must have 'n_wanted' of them. */
static int32_t find_elements(const struct gpt2i_native *native, const char *name, const char *dtype,
                             size_t element_bytes, uint64_t n_wanted, const void **elements,
                             struct gpt2i_error *error)
{
    uint64_t n_elements;
    int32_t status =
        gpt2i_native_find(native, name, dtype, element_bytes, elements, &n_elements, error);

    if (status == GPT2_OK && n_elements != n_wanted)
        status = gpt2i_fail(error, GPT2_ERR_FORMAT,
                            "%s: tensor %s has %" PRIu64 " elements, wanted %" PRIu64,
                            native->tensors.source->path, name, n_elements, n_wanted);
    return status;
}

/* The type and the panels of a matrix: the one type whose dtype and size the tensor 'name' has. */
static int32_t use_panels(const struct gpt2i_native *native, const char *name,
                          struct gpt2i_matrix *matrix, struct gpt2i_error *error)
{
    const struct gpt2i_tensor *tensor = gpt2i_tensors_find(&native->tensors, name);
    const char *path = native->tensors.source->path;
    bool is_found = false;

    if (tensor == NULL)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: tensor %s is missing", path, name);
    for (int32_t type = GPT2_TYPE_F32; type <= GPT2_TYPE_Q4 && !is_found; type++) {
        matrix->type = type;
        is_found = strcmp(tensor->dtype, dtype_names[type]) == 0 &&
                   tensor->n_bytes == gpt2i_matrix_bytes(matrix);
    }
    if (!is_found)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: tensor %s has %" PRIu64 " bytes of %s, which is no type of %zu "
                          "outputs by %zu inputs",
                          path, name, tensor->n_bytes, tensor->dtype, matrix->n_out, matrix->n_in);
    if (tensor->offset % GPT2I_ALIGN != 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: tensor %s begins at byte %" PRIu64 ", wanted a multiple of %d", path,
                          name, tensor->offset, GPT2I_ALIGN);
    matrix->panels = (void *)(native->image.bytes + tensor->offset);
    if (!gpt2i_is_little_endian() && gpt2i_matrix_is_quantised(matrix)) /* it is a copy then */
        gpt2i_matrix_order_scales(matrix);
    return GPT2_OK;
}

static int32_t use_matrix(const struct gpt2i_native *native, const struct gpt2i_weight *weight,
                          struct gpt2i_error *error)
{
    struct gpt2i_matrix *matrix = weight->matrix;
    char name[GPT2I_NATIVE_NAME_BYTES];
    const void *table;
    int32_t status;

    gpt2i_native_name(weight, "panels", name);
    status = use_panels(native, name, matrix, error);
    if (status != GPT2_OK || matrix->type != GPT2_TYPE_Q4)
        return status;
    gpt2i_native_name(weight, "table", name);
    status = find_elements(native, name, "U8", 1, sizeof matrix->table, &table, error);
    if (status == GPT2_OK)
        memcpy(matrix->table, table, sizeof matrix->table);
    return status;
}

/* The copy of the head, if the file has one. */
static int32_t use_shortlist(gpt2_model *model, const struct gpt2i_native *native,
                             struct gpt2i_error *error)
{
    const struct gpt2i_matrix *head = &model->lm_head.weight;
    struct gpt2i_shortlist shortlist = {.copy = {.weight = *head}};
    const void *norms = NULL;
    int32_t status;

    if (gpt2i_tensors_find(&native->tensors, GPT2I_NATIVE_COPY) == NULL)
        return GPT2_OK;
    status = use_panels(native, GPT2I_NATIVE_COPY, &shortlist.copy.weight, error);
    if (status == GPT2_OK)
        status = find_elements(native, GPT2I_NATIVE_NORMS, "F32", sizeof(float),
                               2 * (uint64_t)head->n_out, &norms, error);
    if (status == GPT2_OK &&
        (shortlist.copy.weight.type != GPT2_TYPE_Q8 || head->type != GPT2_TYPE_F32))
        status = gpt2i_fail(error, GPT2_ERR_FORMAT,
                            "%s: tensor " GPT2I_NATIVE_COPY ": wanted 8 bits, beside a head in F32",
                            native->tensors.source->path);
    if (status != GPT2_OK)
        return status;
    shortlist.norms = (float *)norms;
    model->shortlist = shortlist;
    model->max_quantised_in = gpt2i_max(model->max_quantised_in, head->n_in);
    model->weights_bytes +=
        (size_t)gpt2i_matrix_bytes(&shortlist.copy.weight) + 2 * head->n_out * sizeof(float);
    return GPT2_OK;
}

static int32_t use_weight(gpt2_model *model, const struct gpt2i_native *native,
                          const struct gpt2i_weight *weight, struct gpt2i_error *error)
{
    uint64_t n = (uint64_t)weight->n_rows * weight->n_columns;
    const void *floats = NULL;
    int32_t status;

    if (weight->matrix == NULL) {
        status = find_elements(native, weight->name, "F32", sizeof(float), n, &floats, error);
        *weight->floats = (float *)floats;
        model->weights_bytes += (size_t)n * sizeof(float);
        return status;
    }
    status = use_matrix(native, weight, error);
    if (status != GPT2_OK)
        return status;
    model->weights_bytes += (size_t)gpt2i_matrix_bytes(weight->matrix);
    if (gpt2i_matrix_is_quantised(weight->matrix))
        model->max_quantised_in = gpt2i_max(model->max_quantised_in, weight->matrix->n_in);
    return GPT2_OK;
}

static int32_t use_weights(gpt2_model *model, const struct gpt2i_native *native,
                           struct gpt2i_error *error)
{
    struct gpt2i_weight_list *list;
    const void *n_parameters = NULL;
    int32_t status = gpt2i_weight_list_new(&list, model, NULL, error);

    for (size_t i = 0; status == GPT2_OK && i < list->n_weights; i++)
        status = use_weight(model, native, &list->weights[i], error);
    gpt2i_weight_list_free(list);
    if (status == GPT2_OK)
        status =
            find_elements(native, "n_parameters", "U64", sizeof(uint64_t), 1, &n_parameters, error);
    if (status != GPT2_OK)
        return status;
    model->n_parameters = *(const uint64_t *)n_parameters;
    model->weight_type = model->h[0].c_attn.weight.type;
    model->file_types = 1u << model->weight_type;
    if (model->config.tie_word_embeddings)
        model->lm_head.weight = model->wte;
    return use_shortlist(model, native, error);
}

/* A native file has the type that it was written with. */
static int32_t check_type(const gpt2_model *model, const struct gpt2i_native *native,
                          int32_t wanted, struct gpt2i_error *error)
{
    static const char *const names[] = {"f32", "f16", "bf16", "q8", "q4"};
    int32_t type = model->h[0].c_attn.weight.type;

    if (wanted == GPT2_TYPE_AS_FILE || wanted == type)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                      "%s: a native file keeps its type: found %s, wanted %s: convert the original "
                      "model",
                      native->tensors.source->path, names[type], names[wanted]);
}

static int32_t read_native_model(gpt2_model **model, const struct gpt2i_native *native,
                                 int32_t weight_type, struct gpt2i_error *error)
{
    const char *text = native->tensors.config;
    struct gpt2i_config config;
    int32_t status =
        gpt2i_config_parse(&config, text, strlen(text), native->tensors.source->path, error);

    *model = NULL;
    if (status == GPT2_OK)
        status = gpt2i_model_new(model, &config, error);
    if (status == GPT2_OK)
        status = use_weights(*model, native, error);
    if (status == GPT2_OK)
        status = check_type(*model, native, weight_type, error);
    if (status == GPT2_OK)
        status = gpt2i_tokenizer_of_native(&(*model)->tokenizer, native, error);
    if (status != GPT2_OK) {
        gpt2i_model_free(*model);
        *model = NULL;
    }
    return status;
}

int32_t gpt2i_native_read(gpt2_model **model, const struct gpt2i_files *files,
                          const gpt2_model_params *params, struct gpt2i_error *error)
{
    struct gpt2i_native native;
    int32_t status = gpt2i_native_open(&native, files, params->file_access, params->progress,
                                       params->progress_user, error);

    *model = NULL;
    if (status != GPT2_OK)
        return status;
    status = read_native_model(model, &native, params->weight_type, error);
    if (status != GPT2_OK) {
        gpt2i_native_close(&native);
        return status;
    }
    (*model)->image = gpt2i_native_take(&native);
    return GPT2_OK;
}
