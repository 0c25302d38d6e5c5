/*
 * tensor.c: a weight of a model as floats, in Hugging Face's orientation.
 */
#include "tensor.h"
#include "weight_put.h"

#include <inttypes.h>

#define PREFIX "transformer."
#define HEAD   "lm_head.weight" /* without the prefix */

static const struct gpt2i_weight *find_weight(const struct gpt2i_weight_list *list,
                                              const char *name)
{
    bool is_head = strcmp(name, HEAD) == 0;
    const char *after = strncmp(name, PREFIX, strlen(PREFIX)) == 0 ? name + strlen(PREFIX) : name;

    for (size_t i = 0; i < list->n_weights; i++) {
        const char *found = list->weights[i].name;

        if (strcmp(found, strcmp(found, HEAD) == 0 ? name : after) == 0)
            return &list->weights[i];
    }
    return is_head ? &list->weights[0] : NULL; /* the head is wte where they are tied */
}

int32_t gpt2i_tensor_read(const gpt2_model *model, const char *name, int64_t *shape, float *values,
                          size_t n_values, struct gpt2i_error *error)
{
    struct gpt2i_weight_list *list;
    const struct gpt2i_weight *weight;
    /* the list lets others write into the model */
    int32_t status = gpt2i_weight_list_new(&list, (gpt2_model *)model, NULL, error);

    if (status != GPT2_OK)
        return status;
    weight = find_weight(list, name);
    if (weight == NULL) {
        status = gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                            "gpt2_model_tensor: name is \"%s\", wanted that of a weight of this "
                            "model, such as wte.weight or h.%" PRId32 ".attn.c_attn.weight",
                            name, model->config.n_layer - 1);
    } else if (values != NULL && n_values < weight->n_rows * weight->n_columns) {
        status = gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                            "gpt2_model_tensor: n_values is %zu, but %s has %zu numbers", n_values,
                            weight->name, weight->n_rows * weight->n_columns);
    } else {
        bool is_vector = weight->kind == GPT2I_WEIGHT_VECTOR;

        shape[0] = (int64_t)(is_vector ? weight->n_columns : weight->n_rows);
        shape[1] = (int64_t)(is_vector ? 1 : weight->n_columns);
        if (values != NULL)
            gpt2i_weight_floats(weight, values);
    }
    gpt2i_weight_list_free(list);
    return status;
}
