/*
 * weights.c: which tensor is which weight, and packing them.
 *
 * Everything is driven by one list of slots, a slot for each weight of the model: its name, its
 * shape, and where it goes.  The list is made once; finding, placing and packing walk along it.
 */
#include "weights.h"
#include "pack.h"
#include "../base/threads.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#define FILE_NAME_BYTES (NAME_BYTES + 16)
#define NAME_BYTES      64
#define SLOTS_PER_BLOCK 12
#define SLOTS_OUTSIDE   5          /* wte, wpe, ln_f's two, lm_head */
#define STAGING_BYTES   (1u << 20) /* what one thread reads at a time: fits a level-2 cache */

enum slot_kind {
    SLOT_ROWS,   /* [n_rows, n_columns] kept as it is; vectors have one row */
    SLOT_IN_OUT, /* [n_in, n_out], packed */
    SLOT_OUT_IN  /* [n_out, n_in], packed */
};

struct slot {
    char name[NAME_BYTES]; /* without the file's prefix */
    enum slot_kind kind;
    bool is_vector;
    bool is_bias;  /* zeros where the file has no biases at all */
    size_t n_rows; /* as in the file */
    size_t n_columns;
    const struct gpt2i_tensor *tensor; /* NULL: zeros */
    float *weights;                    /* in the model's block, once placed */
};

struct gpt2i_weight_map {
    struct gpt2i_config config;
    const struct gpt2i_tensors *tensors;
    const char *prefix; /* of the names in the file: "transformer." or "" */
    bool has_biases;    /* else none is there, and all are zeros */
    size_t n_slots;
    size_t block_bytes;
    struct slot slots[];
};

/* ---------------------------------------------------------------------------------- the list -- */

static void add_slot(struct gpt2i_weight_map *map, const char *layer, const char *name,
                     enum slot_kind kind, size_t n_rows, size_t n_columns)
{
    struct slot *slot = &map->slots[map->n_slots++];

    (void)snprintf(slot->name, sizeof slot->name, "%s%s", layer, name);
    slot->kind = kind;
    slot->n_rows = n_rows;
    slot->n_columns = n_columns;
}

/* A vector: the gain or bias of a norm, the bias of a matrix. */
static void add_vector(struct gpt2i_weight_map *map, const char *layer, const char *name, size_t n)
{
    size_t length = strlen(name);

    add_slot(map, layer, name, SLOT_ROWS, 1, n);
    map->slots[map->n_slots - 1].is_vector = true;
    map->slots[map->n_slots - 1].is_bias = strcmp(name + length - 5, ".bias") == 0;
}

static void list_slots(struct gpt2i_weight_map *map)
{
    const struct gpt2i_config *config = &map->config;
    size_t n_embd = (size_t)config->n_embd;
    size_t n_inner = (size_t)config->n_inner;
    char layer[24];

    add_slot(map, "", "wte.weight", SLOT_OUT_IN, (size_t)config->n_vocab, n_embd);
    add_slot(map, "", "wpe.weight", SLOT_ROWS, (size_t)config->n_positions, n_embd);
    for (int32_t i = 0; i < config->n_layer; i++) {
        (void)snprintf(layer, sizeof layer, "h.%d.", i);
        add_vector(map, layer, "ln_1.weight", n_embd);
        add_vector(map, layer, "ln_1.bias", n_embd);
        add_slot(map, layer, "attn.c_attn.weight", SLOT_IN_OUT, n_embd, 3 * n_embd);
        add_vector(map, layer, "attn.c_attn.bias", 3 * n_embd);
        add_slot(map, layer, "attn.c_proj.weight", SLOT_IN_OUT, n_embd, n_embd);
        add_vector(map, layer, "attn.c_proj.bias", n_embd);
        add_vector(map, layer, "ln_2.weight", n_embd);
        add_vector(map, layer, "ln_2.bias", n_embd);
        add_slot(map, layer, "mlp.c_fc.weight", SLOT_IN_OUT, n_embd, n_inner);
        add_vector(map, layer, "mlp.c_fc.bias", n_inner);
        add_slot(map, layer, "mlp.c_proj.weight", SLOT_IN_OUT, n_inner, n_embd);
        add_vector(map, layer, "mlp.c_proj.bias", n_embd);
    }
    add_vector(map, "", "ln_f.weight", n_embd);
    add_vector(map, "", "ln_f.bias", n_embd);
    if (!config->tie_word_embeddings)
        add_slot(map, "", "lm_head.weight", SLOT_OUT_IN, (size_t)config->n_vocab, n_embd);
}

/* ----------------------------------------------------------------------------------- finding -- */

static int32_t fail_shape(const struct gpt2i_tensor *tensor, const struct slot *slot,
                          struct gpt2i_error *error)
{
    char found[96];
    char wanted[48];
    size_t length = 0;

    found[0] = '\0';
    for (int32_t i = 0; i < tensor->n_dims; i++)
        length += (size_t)snprintf(found + length, sizeof found - length, "%s%" PRIu64,
                                   i == 0 ? "" : ", ", tensor->dims[i]);
    if (slot->is_vector)
        (void)snprintf(wanted, sizeof wanted, "%zu", slot->n_columns);
    else
        (void)snprintf(wanted, sizeof wanted, "%zu, %zu", slot->n_rows, slot->n_columns);
    return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: %s has shape [%s], config.json wants [%s]",
                      tensor->file->path, tensor->name, found, wanted);
}

/* The tensor of a slot under its name in the file, 'name'; NULL if there is none. */
static const struct gpt2i_tensor *look_up(const struct gpt2i_weight_map *map,
                                          const struct slot *slot, char name[FILE_NAME_BYTES])
{
    bool is_outside = strncmp(slot->name, "lm_head.", 8) == 0;

    (void)snprintf(name, FILE_NAME_BYTES, "%s%s", is_outside ? "" : map->prefix, slot->name);
    return gpt2i_tensors_find(map->tensors, name);
}

/* nanoGPT can leave out all biases; a single one that is missing is a damaged file. */
static bool has_biases(const struct gpt2i_weight_map *map)
{
    char name[FILE_NAME_BYTES];

    for (size_t i = 0; i < map->n_slots; i++) {
        if (map->slots[i].is_bias && look_up(map, &map->slots[i], name) != NULL)
            return true;
    }
    return false;
}

static int32_t find_tensor(struct gpt2i_weight_map *map, struct slot *slot,
                           struct gpt2i_error *error)
{
    char name[FILE_NAME_BYTES];
    const struct gpt2i_tensor *tensor = look_up(map, slot, name);
    bool fits;

    if (tensor == NULL && slot->is_bias && !map->has_biases)
        return GPT2_OK;
    if (tensor == NULL)
        return gpt2i_fail(error, GPT2_ERR_FORMAT, "%s: tensor %s is missing",
                          map->tensors->file.path, name);
    fits = slot->is_vector ? tensor->n_dims == 1 && tensor->dims[0] == slot->n_columns
                           : tensor->n_dims == 2 && tensor->dims[0] == slot->n_rows &&
                                 tensor->dims[1] == slot->n_columns;
    if (!fits)
        return fail_shape(tensor, slot, error);
    if (tensor->type < 0)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: %s has type %s, wanted F32, F16 or BF16", tensor->file->path, name,
                          tensor->dtype);
    slot->tensor = tensor;
    return GPT2_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static bool is_listed(const struct gpt2i_weight_map *map, const struct gpt2i_tensor *tensor)
{
    for (size_t i = 0; i < map->n_slots; i++) {
        if (map->slots[i].tensor == tensor)
            return true;
    }
    return false;
}

/*
 * A tensor of the language model that GPT-2 does not have would be left out of the result in
 * silence: refused.  Other heads that lie in the file beside it do not matter to it.
 */
static int32_t refuse_strangers(const struct gpt2i_weight_map *map, struct gpt2i_error *error)
{
    static const char *const ours[] = {"h.", "wte.", "wpe.", "ln_f.", "lm_head."};

    for (size_t i = 0; i < map->tensors->n_tensors; i++) {
        const struct gpt2i_tensor *tensor = &map->tensors->items[i];
        const char *name = tensor->name;
        bool is_ours = false;

        if (strncmp(name, map->prefix, strlen(map->prefix)) == 0)
            name += strlen(map->prefix);
        for (size_t j = 0; j < sizeof ours / sizeof ours[0]; j++)
            is_ours = is_ours || strncmp(name, ours[j], strlen(ours[j])) == 0;
        /* the causal mask, and a copy of wte where the head is tied to it */
        if (!is_ours || ends_with(name, ".attn.bias") || ends_with(name, ".attn.masked_bias") ||
            (map->config.tie_word_embeddings && strcmp(name, "lm_head.weight") == 0))
            continue;
        if (!is_listed(map, tensor))
            return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                              "%s: tensor %s has no place in a GPT-2 of %d layers",
                              map->tensors->file.path, tensor->name, map->config.n_layer);
    }
    return GPT2_OK;
}

int32_t gpt2i_weight_map_new(struct gpt2i_weight_map **out, const struct gpt2i_config *config,
                             const struct gpt2i_tensors *tensors, struct gpt2i_error *error)
{
    size_t n_slots = SLOTS_OUTSIDE + SLOTS_PER_BLOCK * (size_t)config->n_layer;
    size_t block_bytes = sizeof(struct gpt2i_weight_map) + n_slots * sizeof(struct slot);
    struct gpt2i_weight_map *map = gpt2i_block_new(block_bytes);
    int32_t status = GPT2_OK;

    *out = NULL;
    if (map == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "no memory for a list of %zu tensors", n_slots);
    map->config = *config;
    map->tensors = tensors;
    map->block_bytes = block_bytes;
    map->prefix =
        gpt2i_tensors_find(tensors, "transformer.wte.weight") != NULL ? "transformer." : "";
    list_slots(map);
    map->has_biases = has_biases(map);
    for (size_t i = 0; i < map->n_slots && status == GPT2_OK; i++)
        status = find_tensor(map, &map->slots[i], error);
    if (status == GPT2_OK)
        status = refuse_strangers(map, error);
    if (status != GPT2_OK) {
        gpt2i_weight_map_free(map);
        return status;
    }
    *out = map;
    return GPT2_OK;
}

void gpt2i_weight_map_free(struct gpt2i_weight_map *map)
{
    if (map != NULL)
        gpt2i_block_free(map, map->block_bytes);
}

/* ----------------------------------------------------------------------------------- placing -- */

/* Floats that a slot takes in the model. */
static uint64_t slot_floats(const struct slot *slot)
{
    switch (slot->kind) {
    case SLOT_IN_OUT:
        return gpt2i_packed_floats(slot->n_rows, slot->n_columns);
    case SLOT_OUT_IN:
        return gpt2i_packed_floats(slot->n_columns, slot->n_rows);
    default:
        return (uint64_t)slot->n_rows * slot->n_columns;
    }
}

/* The next slots of the list, in the order of list_slots(). */
static struct gpt2i_norm take_norm(const struct slot **next)
{
    struct gpt2i_norm norm = {.gain = (*next)[0].weights, .bias = (*next)[1].weights};

    *next += 2;
    return norm;
}

static struct gpt2i_linear take_linear(const struct slot **next)
{
    struct gpt2i_linear linear = {.w = (*next)[0].weights,
                                  .bias = (*next)[1].weights,
                                  .n_in = (*next)[0].n_rows,
                                  .n_out = (*next)[0].n_columns};

    *next += 2;
    return linear;
}

/* A matrix [n_out, n_in] without bias. */
static struct gpt2i_linear take_embedding(const struct slot **next)
{
    struct gpt2i_linear linear = {
        .w = (*next)->weights, .n_in = (*next)->n_columns, .n_out = (*next)->n_rows};

    *next += 1;
    return linear;
}

static void connect(gpt2_model *model, const struct gpt2i_weight_map *map)
{
    const struct slot *next = map->slots;

    model->config = map->config;
    model->wte = take_embedding(&next);
    model->wpe = take_embedding(&next).w;
    for (int32_t i = 0; i < map->config.n_layer; i++) {
        struct gpt2i_block *block = &model->h[i];

        block->ln_1 = take_norm(&next);
        block->c_attn = take_linear(&next);
        block->attn_c_proj = take_linear(&next);
        block->ln_2 = take_norm(&next);
        block->c_fc = take_linear(&next);
        block->mlp_c_proj = take_linear(&next);
    }
    model->ln_f = take_norm(&next);
    model->lm_head = map->config.tie_word_embeddings ? model->wte : take_embedding(&next);
    model->weight_type = map->slots[0].tensor->type;
    for (size_t i = 0; i < map->n_slots; i++) {
        if (map->slots[i].tensor != NULL)
            model->n_parameters += (uint64_t)map->slots[i].n_rows * map->slots[i].n_columns;
    }
}

gpt2_model *gpt2i_weights_layout(struct gpt2i_arena *arena, struct gpt2i_weight_map *map)
{
    gpt2_model *model = gpt2i_arena_take(arena, 1, sizeof *model);
    struct gpt2i_block *h =
        gpt2i_arena_take(arena, (uint64_t)map->config.n_layer, sizeof(struct gpt2i_block));

    for (size_t i = 0; i < map->n_slots; i++)
        map->slots[i].weights = gpt2i_arena_take(arena, slot_floats(&map->slots[i]), sizeof(float));
    if (model != NULL) {
        model->h = h;
        connect(model, map);
    }
    return model;
}

/* ----------------------------------------------------------------------------------- packing -- */

struct reading {
    const struct gpt2i_weight_map *map;
    unsigned char *staging; /* [n_threads][staging_bytes] */
    size_t staging_bytes;
    _Atomic int32_t status;    /* the first failure */
    struct gpt2i_error *error; /* written by the thread that set status */
};

/* Rows of a slot read at a time; outputs by 16, so that threads share no line of cache. */
static size_t rows_at_a_time(const struct reading *reading, const struct slot *slot)
{
    size_t n_rows = reading->staging_bytes / (slot->n_columns * sizeof(float));

    return slot->kind == SLOT_OUT_IN ? n_rows / GPT2I_LANES * GPT2I_LANES : n_rows;
}

static size_t slot_tasks(const struct reading *reading, const struct slot *slot)
{
    return slot->tensor == NULL ? 0 : gpt2i_ceil_div(slot->n_rows, rows_at_a_time(reading, slot));
}

static void read_rows(struct reading *reading, const struct slot *slot, size_t first_row,
                      float *staging)
{
    const struct gpt2i_tensor *tensor = slot->tensor;
    size_t n_rows = gpt2i_min(rows_at_a_time(reading, slot), slot->n_rows - first_row);
    size_t n = n_rows * slot->n_columns;
    size_t type_bytes = gpt2i_type_bytes(tensor->type);
    unsigned char *raw = (unsigned char *)staging + n * (sizeof(float) - type_bytes);
    char line[GPT2I_ERROR_BYTES];
    struct gpt2i_error error = {line, sizeof line};
    int32_t status =
        gpt2i_file_read(tensor->file, tensor->offset + first_row * slot->n_columns * type_bytes,
                        raw, n * type_bytes, &error);

    if (status != GPT2_OK) {
        int32_t none = GPT2_OK;

        if (atomic_compare_exchange_strong(&reading->status, &none, status))
            (void)gpt2i_fail(reading->error, status, "%s", line);
        return;
    }
    gpt2i_widen(staging, tensor->type, n);
    if (slot->kind == SLOT_IN_OUT)
        gpt2i_pack_in_out(slot->weights, staging, first_row, n_rows, slot->n_rows, slot->n_columns);
    else if (slot->kind == SLOT_OUT_IN)
        gpt2i_pack_out_in(slot->weights, staging, first_row, n_rows, slot->n_columns, slot->n_rows);
    else
        memcpy(slot->weights + first_row * slot->n_columns, staging, n * sizeof(float));
}

/* Task i of all tasks of all slots. */
static void read_task(void *argument, size_t task, size_t worker)
{
    struct reading *reading = argument;
    const struct slot *slot = reading->map->slots;

    if (atomic_load(&reading->status) != GPT2_OK)
        return;
    while (task >= slot_tasks(reading, slot))
        task -= slot_tasks(reading, slot++);
    read_rows(reading, slot, task * rows_at_a_time(reading, slot),
              (float *)(void *)(reading->staging + worker * reading->staging_bytes));
}

int32_t gpt2i_weights_read(const struct gpt2i_weight_map *map, int32_t n_threads,
                           struct gpt2i_error *error)
{
    struct reading reading = {.map = map, .staging_bytes = STAGING_BYTES, .error = error};
    struct gpt2i_pool *pool = NULL;
    void *block = NULL;
    size_t block_bytes = 0;
    size_t n_tasks = 0;
    int32_t status;

    for (size_t i = 0; i < map->n_slots; i++)
        reading.staging_bytes = gpt2i_max(
            reading.staging_bytes,
            GPT2I_LANES * gpt2i_round_up(map->slots[i].n_columns * sizeof(float), GPT2I_ALIGN));
    for (size_t i = 0; i < map->n_slots; i++)
        n_tasks += slot_tasks(&reading, &map->slots[i]);
    for (int pass = 0; pass < 2; pass++) {
        struct gpt2i_arena arena = gpt2i_arena_over(block);

        pool = gpt2i_pool_layout(&arena, n_threads);
        reading.staging = gpt2i_arena_take(&arena, (uint64_t)n_threads, reading.staging_bytes);
        if (pass == 0) {
            block_bytes = arena.used_bytes;
            block = arena.overflow ? NULL : gpt2i_block_new(block_bytes);
            if (block == NULL)
                return gpt2i_fail(error, GPT2_ERR_MEMORY,
                                  "%s: no memory for %zu bytes to read its weights on %d threads",
                                  map->tensors->file.path, block_bytes, n_threads);
        }
    }
    status = gpt2i_pool_start(pool, n_threads, error);
    if (status == GPT2_OK) {
        gpt2i_pool_run(pool, read_task, &reading, n_tasks);
        gpt2i_pool_stop(pool);
        status = atomic_load(&reading.status);
    }
    gpt2i_block_free(block, block_bytes);
    return status;
}

int32_t gpt2i_weights_load(gpt2_model **out, const struct gpt2i_config *config,
                           const struct gpt2i_tensors *tensors, int32_t n_threads,
                           struct gpt2i_error *error)
{
    struct gpt2i_weight_map *map;
    struct gpt2i_arena measure = gpt2i_arena_over(NULL);
    struct gpt2i_arena place;
    gpt2_model *model = NULL;
    int32_t status = gpt2i_weight_map_new(&map, config, tensors, error);

    if (status != GPT2_OK)
        return status;
    (void)gpt2i_weights_layout(&measure, map);
    place = gpt2i_arena_over(measure.overflow ? NULL : gpt2i_block_new(measure.used_bytes));
    if (place.base == NULL) {
        status = gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %zu bytes of weights",
                            tensors->file.path, measure.used_bytes);
        goto done;
    }
    model = gpt2i_weights_layout(&place, map);
    model->block_bytes = measure.used_bytes;
    status = gpt2i_weights_read(map, n_threads, error);
    if (status != GPT2_OK) {
        gpt2i_model_free(model);
        model = NULL;
    }
done:
    gpt2i_weight_map_free(map);
    *out = model;
    return status;
}
