/*
 * names.c: Hugging Face's names of GPT-2's weights.
 *
 * One list has an entry for each weight of the model: its name, its shape, and where it goes.  Finding
 * tensors, placing and reading weights walk along it.
 */
#include "names.h"
#include "../base/arena.h"

#include <inttypes.h>
#include <stdio.h>

#define FILE_NAME_BYTES   80 /* a weight's name behind a file's prefix */
#define WEIGHTS_PER_BLOCK 12
#define WEIGHTS_OUTSIDE   5 /* wte, wpe, ln_f's two, lm_head */

/* ---------------------------------------------------------------------------------- the list -- */

static struct gpt2i_weight *add_weight(struct gpt2i_weight_list *list, const char *layer,
                                       const char *name, enum gpt2i_weight_kind kind, size_t n_rows,
                                       size_t n_columns)
{
    struct gpt2i_weight *weight = &list->weights[list->n_weights++];

    (void)snprintf(weight->name, sizeof weight->name, "%s%s", layer, name);
    weight->kind = kind;
    weight->n_rows = n_rows;
    weight->n_columns = n_columns;
    return weight;
}

static void add_embedding(struct gpt2i_weight_list *list, const char *name,
                          struct gpt2i_matrix *matrix)
{
    struct gpt2i_weight *weight =
        add_weight(list, "", name, GPT2I_WEIGHT_OUT_IN, matrix->n_out, matrix->n_in);

    weight->matrix = matrix;
    weight->is_embedding = true;
}

static void add_linear(struct gpt2i_weight_list *list, const char *layer, const char *weight_name,
                       const char *bias_name, struct gpt2i_linear *linear)
{
    struct gpt2i_matrix *matrix = &linear->weight;
    struct gpt2i_weight *bias;

    add_weight(list, layer, weight_name, GPT2I_WEIGHT_IN_OUT, matrix->n_in, matrix->n_out)->matrix =
        matrix;
    bias = add_weight(list, layer, bias_name, GPT2I_WEIGHT_VECTOR, 1, matrix->n_out);
    bias->floats = &linear->bias;
    bias->is_bias = true;
}

static void add_norm(struct gpt2i_weight_list *list, const char *layer, const char *gain_name,
                     const char *bias_name, size_t n_embd, struct gpt2i_norm *norm)
{
    struct gpt2i_weight *bias;

    add_weight(list, layer, gain_name, GPT2I_WEIGHT_VECTOR, 1, n_embd)->floats = &norm->gain;
    bias = add_weight(list, layer, bias_name, GPT2I_WEIGHT_VECTOR, 1, n_embd);
    bias->floats = &norm->bias;
    bias->is_bias = true;
}

/* The weight's shape in the file where that has Linear's orientation. */
static void turn(struct gpt2i_weight *weight)
{
    size_t n_rows = weight->n_rows;

    weight->kind = GPT2I_WEIGHT_OUT_IN;
    weight->n_rows = weight->n_columns;
    weight->n_columns = n_rows;
}

static void list_weights(struct gpt2i_weight_list *list, gpt2_model *model)
{
    const struct gpt2i_config *config = &model->config;
    size_t n_embd = (size_t)config->n_embd;
    char layer[24];

    add_embedding(list, "wte.weight", &model->wte);
    add_weight(list, "", "wpe.weight", GPT2I_WEIGHT_ROWS, (size_t)config->n_positions, n_embd)
        ->floats = &model->wpe;
    for (int32_t i = 0; i < config->n_layer; i++) {
        struct gpt2i_block *block = &model->h[i];

        (void)snprintf(layer, sizeof layer, "h.%d.", i);
        add_norm(list, layer, "ln_1.weight", "ln_1.bias", n_embd, &block->ln_1);
        add_linear(list, layer, "attn.c_attn.weight", "attn.c_attn.bias", &block->c_attn);
        add_linear(list, layer, "attn.c_proj.weight", "attn.c_proj.bias", &block->attn_c_proj);
        add_norm(list, layer, "ln_2.weight", "ln_2.bias", n_embd, &block->ln_2);
        add_linear(list, layer, "mlp.c_fc.weight", "mlp.c_fc.bias", &block->c_fc);
        add_linear(list, layer, "mlp.c_proj.weight", "mlp.c_proj.bias", &block->mlp_c_proj);
    }
    add_norm(list, "", "ln_f.weight", "ln_f.bias", n_embd, &model->ln_f);
    if (!config->tie_word_embeddings)
        add_embedding(list, "lm_head.weight", &model->lm_head.weight);
    for (size_t i = 0; i < list->n_weights && config->is_bigcode; i++) {
        if (list->weights[i].kind == GPT2I_WEIGHT_IN_OUT)
            turn(&list->weights[i]);
    }
}

/* ----------------------------------------------------------------------------------- finding -- */

/* The prefix of names in the file; lm_head has none. */
static const char *find_prefix(const struct gpt2i_tensors *tensors)
{
    return gpt2i_tensors_find(tensors, "transformer.wte.weight") != NULL ||
                   gpt2i_tensors_find(tensors, "transformer.wpe.weight") != NULL
               ? "transformer."
               : "";
}

/* A tensor of the first block's attention, and its name in the file. */
static const struct gpt2i_tensor *find_attention(const struct gpt2i_tensors *tensors,
                                                 const char *name_in_attention,
                                                 char name[FILE_NAME_BYTES])
{
    (void)snprintf(name, FILE_NAME_BYTES, "%sh.0.attn.%s", find_prefix(tensors), name_in_attention);
    return gpt2i_tensors_find(tensors, name);
}

int32_t gpt2i_config_settle(struct gpt2i_config *config, const struct gpt2i_tensors *tensors,
                            struct gpt2i_error *error)
{
    uint64_t n_embd = (uint64_t)config->n_embd;
    uint64_t n_shared =
        n_embd + 2 * gpt2i_config_head_dim(config); /* outputs with shared k and v */
    char name[FILE_NAME_BYTES];
    const struct gpt2i_tensor *c_attn = find_attention(tensors, "c_attn.weight", name);
    bool is_out_in, is_in_out;

    if (c_attn == NULL && find_attention(tensors, "kv_attn.weight", name) != NULL)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: found tensor %s, wanted c_attn.weight, with q, k and v, as "
                          "GPTBigCode has it",
                          tensors->source->path, name);
    if (config->is_bigcode || config->n_head == 1 || c_attn == NULL || c_attn->n_dims != 2)
        return GPT2_OK;
    is_out_in = c_attn->dims[0] == n_shared && c_attn->dims[1] == n_embd;
    is_in_out = c_attn->dims[0] == n_embd && c_attn->dims[1] == n_shared;
    config->n_kv_head = is_out_in || is_in_out ? 1 : config->n_head;
    config->is_bigcode = is_out_in;
    if (is_out_in && config->scale_attn_by_inverse_layer_idx)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: %s has the shape of GPTBigCode, which does not know "
                          "scale_attn_by_inverse_layer_idx of config.json",
                          tensors->source->path, name);
    return GPT2_OK;
}

/* The tensor of a weight under its name in the file, 'name'; NULL if there is none. */
static const struct gpt2i_tensor *look_up(const struct gpt2i_weight_list *list,
                                          const struct gpt2i_weight *weight,
                                          char name[FILE_NAME_BYTES])
{
    bool is_head = strncmp(weight->name, "lm_head.", 8) == 0;

    (void)snprintf(name, FILE_NAME_BYTES, "%s%s", is_head ? "" : list->prefix, weight->name);
    return gpt2i_tensors_find(list->tensors, name);
}

/* nanoGPT can leave out all biases; a single one that is missing is a damaged file. */
static bool has_biases(const struct gpt2i_weight_list *list)
{
    char name[FILE_NAME_BYTES];

    for (size_t i = 0; i < list->n_weights; i++) {
        if (list->weights[i].is_bias && look_up(list, &list->weights[i], name) != NULL)
            return true;
    }
    return false;
}

static int32_t fail_shape(const struct gpt2i_tensor *tensor, const struct gpt2i_weight *weight,
                          struct gpt2i_error *error)
{
    char found[96];
    char wanted[48];
    size_t length = 0;

    found[0] = '\0';
    for (int32_t i = 0; i < tensor->n_dims; i++)
        length += (size_t)snprintf(found + length, sizeof found - length, "%s%" PRIu64,
                                   i == 0 ? "" : ", ", tensor->dims[i]);
    if (weight->kind == GPT2I_WEIGHT_VECTOR)
        (void)snprintf(wanted, sizeof wanted, "%zu", weight->n_columns);
    else
        (void)snprintf(wanted, sizeof wanted, "%zu, %zu", weight->n_rows, weight->n_columns);
    return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %s has shape [%s], the config wants [%s]",
                      tensor->source->path, tensor->name, found, wanted);
}

static int32_t fail_missing(const struct gpt2i_tensors *tensors, const char *name,
                            struct gpt2i_error *error)
{
    if (tensors->n_tensors == 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: tensor %s is missing: the file has no tensors",
                          tensors->source->path, name);
    return gpt2i_fail(error, GPT2_ERR_FORMAT,
                      "%s: tensor %s is missing; the first of the %zu tensors is %s",
                      tensors->source->path, name, tensors->n_tensors, tensors->items[0].name);
}

/* Checks that a tensor can be this weight, and notes that it is used. */
static int32_t use_tensor(struct gpt2i_weight_list *list, struct gpt2i_weight *weight,
                          const struct gpt2i_tensor *tensor, struct gpt2i_error *error)
{
    bool fits;

    if (weight->kind == GPT2I_WEIGHT_IN_OUT && tensor->is_out_in)
        turn(weight);
    fits = weight->kind == GPT2I_WEIGHT_VECTOR
               ? tensor->n_dims == 1 && tensor->dims[0] == weight->n_columns
               : tensor->n_dims == 2 && tensor->dims[0] == weight->n_rows &&
                     tensor->dims[1] == weight->n_columns;

    if (!fits)
        return fail_shape(tensor, weight, error);
    if (tensor->type < 0)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: %s has type %s, wanted F64, F32, F16 or BF16", tensor->source->path,
                          tensor->name, tensor->dtype);
    list->is_used[tensor - list->tensors->items] = true;
    return GPT2_OK;
}

static int32_t find_tensor(struct gpt2i_weight_list *list, struct gpt2i_weight *weight,
                           bool may_be_absent, struct gpt2i_error *error)
{
    char name[FILE_NAME_BYTES];

    weight->tensor = look_up(list, weight, name);
    if (weight->tensor != NULL)
        return use_tensor(list, weight, weight->tensor, error);
    return may_be_absent ? GPT2_OK : fail_missing(list->tensors, name, error);
}

/*
 * Where the head is tied, a file may have lm_head.weight as well as wte.weight, which must then be
 * equal, or instead of it: safetensors.torch.save_model() keeps one of two names.
 */
static int32_t find_tied_head(struct gpt2i_weight_list *list, struct gpt2i_error *error)
{
    struct gpt2i_weight *wte = &list->weights[0];
    const struct gpt2i_tensor *head = gpt2i_tensors_find(list->tensors, "lm_head.weight");

    if (head == NULL)
        return wte->tensor != NULL ? GPT2_OK : find_tensor(list, wte, false, error);
    if (wte->tensor == NULL)
        wte->tensor = head;
    else
        wte->copy = head;
    return use_tensor(list, wte, head, error);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/*
 * A tensor of the language model that GPT-2 does not have would be left out of the result in
 * silence: it is refused.  Other heads in the same file do not matter to the language model.
 */
static int32_t check_unknown_tensors(const struct gpt2i_weight_list *list, int32_t n_layer,
                                     struct gpt2i_error *error)
{
    static const char *const ours[] = {"h.", "wte.", "wpe.", "ln_f.", "lm_head."};
    const char *prefix = list->prefix;

    for (size_t i = 0; i < list->tensors->n_tensors; i++) {
        const struct gpt2i_tensor *tensor = &list->tensors->items[i];
        const char *name = tensor->name;
        bool is_ours = false;

        if (strncmp(name, prefix, strlen(prefix)) == 0)
            name += strlen(prefix);
        for (size_t j = 0; j < sizeof ours / sizeof ours[0]; j++)
            is_ours = is_ours || strncmp(name, ours[j], strlen(ours[j])) == 0;
        /* the causal mask, which some files store */
        if (!is_ours || ends_with(name, ".attn.bias") || ends_with(name, ".attn.masked_bias"))
            continue;
        if (!list->is_used[i])
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: tensor %s has no place in a GPT-2 of %d layers",
                              list->tensors->source->path, tensor->name, n_layer);
    }
    return GPT2_OK;
}

int32_t gpt2i_weight_list_find(struct gpt2i_weight_list *list, const struct gpt2i_config *config,
                               struct gpt2i_error *error)
{
    bool no_biases;
    bool is_tied = config->tie_word_embeddings;
    int32_t status = GPT2_OK;

    list->prefix = find_prefix(list->tensors);
    no_biases = !has_biases(list);
    for (size_t i = 0; i < list->n_weights && status == GPT2_OK; i++) {
        struct gpt2i_weight *weight = &list->weights[i];
        bool may_be_absent = (weight->is_bias && no_biases) || (i == 0 && is_tied);

        status = find_tensor(list, weight, may_be_absent, error);
        if (i == 0 && is_tied && status == GPT2_OK)
            status = find_tied_head(list, error);
    }
    return status == GPT2_OK ? check_unknown_tensors(list, config->n_layer, error) : status;
}

static struct gpt2i_weight_list *list_layout(struct gpt2i_arena *arena, uint64_t n_weights,
                                             size_t n_tensors)
{
    struct gpt2i_weight_list *list = gpt2i_arena_take(arena, 1, sizeof *list);
    struct gpt2i_weight *weights = gpt2i_arena_take(arena, n_weights, sizeof *weights);
    bool *is_used = gpt2i_arena_take(arena, n_tensors, sizeof *is_used);

    if (list == NULL)
        return NULL;
    list->weights = weights;
    list->is_used = is_used;
    return list;
}

int32_t gpt2i_weight_list_new(struct gpt2i_weight_list **out, gpt2_model *model,
                              const struct gpt2i_tensors *tensors, struct gpt2i_error *error)
{
    uint64_t n_weights = WEIGHTS_OUTSIDE + WEIGHTS_PER_BLOCK * (uint64_t)model->config.n_layer;
    size_t n_tensors = tensors == NULL ? 0 : tensors->n_tensors;
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena place;

    *out = NULL;
    (void)list_layout(&measure, n_weights, n_tensors);
    place = gpt2i_arena_over(gpt2i_block_new(measure.used_bytes));
    if (place.base == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for a list of %zu tensors",
                          (size_t)n_weights);
    *out = list_layout(&place, n_weights, n_tensors);
    (*out)->tensors = tensors;
    (*out)->prefix = "";
    (*out)->block_bytes = measure.used_bytes;
    list_weights(*out, model);
    return GPT2_OK;
}

void gpt2i_weight_list_free(struct gpt2i_weight_list *list)
{
    if (list != NULL)
        gpt2i_block_free(list, list->block_bytes);
}
