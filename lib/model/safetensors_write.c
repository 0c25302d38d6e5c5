/*
 * safetensors_write.c: writing model.safetensors, which transformers reads.
 *
 * Matrices have the type that they have in memory, F32 where they are quantised; the rest is F32.
 */
#include "weight_put.h"
#include "writers.h"
#include "../kernels/widen.h"

#include <inttypes.h>

#define ALIGNMENT 8 /* of the data, as Hugging Face's writer does */

static const char *dtype_of(int32_t type)
{
    static const char *const names[] = {
        [GPT2_TYPE_F32] = "F32", [GPT2_TYPE_F16] = "F16", [GPT2_TYPE_BF16] = "BF16"};

    return names[type];
}

static int32_t written_type_of(const struct gpt2i_weight *weight)
{
    return weight->matrix == NULL || gpt2i_matrix_is_quantised(weight->matrix)
               ? GPT2_TYPE_F32
               : weight->matrix->type;
}

static void put_safetensors_header(struct gpt2i_sink *sink, const struct gpt2i_weight_list *list)
{
    uint64_t at = 0;

    gpt2i_sink_text(sink, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < list->n_weights; i++) {
        const struct gpt2i_weight *weight = &list->weights[i];
        int32_t type = written_type_of(weight);
        bool is_head = strncmp(weight->name, "lm_head.", 8) == 0;
        uint64_t end = at + (uint64_t)weight->n_rows * weight->n_columns * gpt2i_type_bytes(type);

        gpt2i_sink_text(sink, ",\"%s%s\":{\"dtype\":\"%s\",\"shape\":[",
                        is_head ? "" : "transformer.", weight->name, dtype_of(type));
        if (weight->kind != GPT2I_WEIGHT_VECTOR)
            gpt2i_sink_text(sink, "%zu,", weight->n_rows);
        gpt2i_sink_text(sink, "%zu],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", weight->n_columns,
                        at, end);
        at = end;
    }
    gpt2i_sink_text(sink, "}");
}

int32_t gpt2i_safetensors_write(const gpt2_model *model, struct gpt2i_weight_list *list,
                                struct gpt2i_sink *sink, struct gpt2i_error *error)
{
    struct gpt2i_sink measure = {.write = NULL};
    int32_t status = GPT2_OK;
    uint64_t header_bytes;

    (void)model;
    put_safetensors_header(&measure, list);
    header_bytes = (measure.n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    gpt2i_sink_number(sink, header_bytes, 8);
    put_safetensors_header(sink, list);
    gpt2i_sink_bytes(sink, "       ", header_bytes - measure.n_bytes);
    for (size_t i = 0; i < list->n_weights && status == GPT2_OK && !sink->refused; i++)
        status =
            gpt2i_weight_put(sink, &list->weights[i], written_type_of(&list->weights[i]), error);
    return status;
}
