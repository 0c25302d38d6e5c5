/*
 * weights.c: the block of a model's weights, and what lies where in it.
 */
#include "weights.h"
#include "names.h"
#include "reading.h"
#include "../base/arena.h"

/* Measures (arena over NULL), or places every weight and tells the model where. */
static void weights_layout(struct gpt2i_arena *arena, const struct gpt2i_weight_list *list)
{
    for (size_t i = 0; i < list->n_weights; i++) {
        const struct gpt2i_weight *weight = &list->weights[i];

        if (weight->matrix != NULL)
            weight->matrix->panels =
                gpt2i_arena_take_stream(arena, gpt2i_matrix_bytes(weight->matrix), 1);
        else
            *weight->floats = gpt2i_arena_take(arena, (uint64_t)weight->n_rows * weight->n_columns,
                                               sizeof(float));
    }
}

/*
 * The type in memory of a matrix of a file's type, unless the caller wants another: the nearest of those
 * that kernels have and that change no weight, else Q8.
 */
static int32_t type_in_memory(int32_t file_type)
{
    switch (file_type) {
    case GPT2_TYPE_F64:
        return GPT2_TYPE_F32;
    case GPT2_TYPE_Q4_0:
        return GPT2_TYPE_Q4;
    default:
        return file_type <= GPT2_TYPE_Q4 ? file_type : GPT2_TYPE_Q8;
    }
}

/* The types of the matrices: those of the file, or params->weight_type; docs/quantization.md. */
static void choose_types(gpt2_model *model, const struct gpt2i_weight_list *list,
                         int32_t weight_type)
{
    for (size_t i = 0; i < list->n_weights; i++) {
        const struct gpt2i_weight *weight = &list->weights[i];
        struct gpt2i_matrix *matrix = weight->matrix;

        if (matrix == NULL)
            continue;
        matrix->type = type_in_memory(weight->tensor->type);
        if (weight_type != GPT2_TYPE_AS_FILE && weight_type != matrix->type)
            matrix->type =
                weight_type == GPT2_TYPE_Q4 && weight->is_embedding ? GPT2_TYPE_Q8 : weight_type;
        memcpy(matrix->table,
               weight->tensor->type == GPT2_TYPE_Q4_0 ? gpt2i_q4_0_table : gpt2i_iq4_nl_table,
               sizeof matrix->table);
        if (gpt2i_matrix_is_quantised(matrix))
            model->max_quantised_in = gpt2i_max(model->max_quantised_in, matrix->n_in);
    }
}

static int32_t place_weights(gpt2_model *model, const struct gpt2i_weight_list *list,
                             struct gpt2i_error *error)
{
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena place;

    weights_layout(&measure, list);
    place = gpt2i_arena_over(measure.overflow ? NULL : gpt2i_block_new(measure.used_bytes));
    if (place.base == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %zu bytes of weights",
                          list->tensors->source->path, measure.used_bytes);
    model->weights = place.base;
    model->weights_bytes = measure.used_bytes;
    weights_layout(&place, list);
    if (model->config.tie_word_embeddings)
        model->lm_head.weight = model->wte;
    return GPT2_OK;
}

static void count_parameters(gpt2_model *model, const struct gpt2i_weight_list *list)
{
    model->weight_type = list->weights[0].tensor->type;
    for (size_t i = 0; i < list->n_weights; i++) {
        const struct gpt2i_weight *weight = &list->weights[i];

        if (weight->matrix != NULL)
            model->file_types |= 1u << weight->tensor->type;
        if (weight->tensor != NULL)
            model->n_parameters += (uint64_t)weight->n_rows * weight->n_columns;
    }
}

int32_t gpt2i_weights_load(gpt2_model **out, struct gpt2i_config *config,
                           const struct gpt2i_tensors *tensors, const gpt2_model_params *params,
                           struct gpt2i_error *error)
{
    struct gpt2i_weight_list *list = NULL;
    gpt2_model *model = NULL;
    int32_t status = gpt2i_config_settle(config, tensors, error);

    *out = NULL;
    if (status == GPT2_OK)
        status = gpt2i_model_new(&model, config, error);
    if (status == GPT2_OK)
        status = gpt2i_weight_list_new(&list, model, tensors, error);
    if (status == GPT2_OK)
        status = gpt2i_weight_list_find(list, config, error);
    if (status == GPT2_OK) {
        choose_types(model, list, params->weight_type);
        status = place_weights(model, list, error);
    }
    if (status == GPT2_OK) {
        count_parameters(model, list);
        status = gpt2i_weights_read(list, params, error);
    }
    gpt2i_weight_list_free(list);
    if (status != GPT2_OK) {
        gpt2i_model_free(model);
        return status;
    }
    *out = model;
    return GPT2_OK;
}
