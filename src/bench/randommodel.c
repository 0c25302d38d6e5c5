/*
 * randommodel.c: weights like those of GPT-2 before its training: matrices and embeddings about normal
 * with a standard deviation of 0.02, gains 1, biases 0.
 */
#include "randommodel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gpt2.h>

#include "../messages.h"
#include "../platform.h"
#include "../setup.h"
#include "../tensorfile.h"

#define N_VOCAB     50257
#define N_POSITIONS 1024
#define HEAD_DIM    64

#define N_OTHER_TENSORS  4 /* wte, wpe and two of ln_f */
#define PIECE_VALUES     16384
#define PROGRESS_SECONDS 0.2

static const struct {
    const char *name;
    int32_t n_embd;
    int32_t n_layer;
} shapes[] = {
    [SHAPE_GPT2] = {"gpt2", 768, 12},
    [SHAPE_GPT2_MEDIUM] = {"gpt2-medium", 1024, 24},
    [SHAPE_GPT2_LARGE] = {"gpt2-large", 1280, 36},
    [SHAPE_GPT2_XL] = {"gpt2-xl", 1600, 48},
};

const char *random_model_name(enum shape shape)
{
    return shapes[shape].name;
}

/* What the published files of GPT-2 hold for each block, in units of n_embd; 0 columns: a vector. */
static const struct {
    const char *name;
    int32_t n_rows;
    int32_t n_columns;
} block_tensors[] = {
    {"ln_1.weight", 1, 0},      {"ln_1.bias", 1, 0},          {"attn.c_attn.weight", 1, 3},
    {"attn.c_attn.bias", 3, 0}, {"attn.c_proj.weight", 1, 1}, {"attn.c_proj.bias", 1, 0},
    {"ln_2.weight", 1, 0},      {"ln_2.bias", 1, 0},          {"mlp.c_fc.weight", 1, 4},
    {"mlp.c_fc.bias", 4, 0},    {"mlp.c_proj.weight", 4, 1},  {"mlp.c_proj.bias", 1, 0},
};

#define N_BLOCK_TENSORS (sizeof block_tensors / sizeof block_tensors[0])

struct writing {
    struct tensor_file file;
    struct tensor *tensors;
    size_t n_tensors;
    uint64_t random; /* the generator's state */
    uint64_t n_values;
    uint64_t n_written;
    double shown; /* when progress was last shown */
    const char *name;
    float piece[PIECE_VALUES];
};

/* n_columns 0: a vector */
static void add_tensor(struct writing *writing, const char *prefix, const char *name,
                       int32_t n_rows, int32_t n_columns)
{
    struct tensor *tensor = &writing->tensors[writing->n_tensors++];

    snprintf(tensor->name, sizeof tensor->name, "%s%s", prefix, name);
    tensor->type = TENSOR_F32;
    tensor->n_dims = n_columns > 0 ? 2 : 1;
    tensor->shape[0] = (uint64_t)n_rows;
    tensor->shape[1] = (uint64_t)n_columns;
    writing->n_values += tensor_elements(tensor);
}

static void add_tensors(struct writing *writing, int32_t n_embd, int32_t n_layer)
{
    char block[16];

    add_tensor(writing, "", "wte.weight", N_VOCAB, n_embd);
    add_tensor(writing, "", "wpe.weight", N_POSITIONS, n_embd);
    for (int i = 0; i < n_layer; i++) {
        snprintf(block, sizeof block, "h.%d.", i);
        for (size_t k = 0; k < N_BLOCK_TENSORS; k++)
            add_tensor(writing, block, block_tensors[k].name, block_tensors[k].n_rows * n_embd,
                       block_tensors[k].n_columns * n_embd);
    }
    add_tensor(writing, "", "ln_f.weight", n_embd, 0);
    add_tensor(writing, "", "ln_f.bias", n_embd, 0);
}

/* SplitMix64.  A value is the sum of four uniform numbers of 16 bits, so none is tiny, except 0. */
static void fill_normal(float *values, size_t n, uint64_t *random)
{
    const float mean = 4 * 65535 / 2.0f;
    const float deviation = 65536 * 0.57735027f; /* sqrt(4 / 12) */

    for (size_t i = 0; i < n; i++) {
        uint64_t x = *random += 0x9e3779b97f4a7c15u;
        uint32_t sum;

        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        x ^= x >> 31;
        sum = (uint32_t)(x & 0xffff) + (uint32_t)(x >> 16 & 0xffff) + (uint32_t)(x >> 32 & 0xffff) +
              (uint32_t)(x >> 48);
        values[i] = ((float)sum - mean) * (0.02f / deviation);
    }
}

static void show_progress(struct writing *writing)
{
    double now = platform_seconds();

    if (now - writing->shown < PROGRESS_SECONDS)
        return;
    writing->shown = now;
    progress("writing a random %s: %.0f %%", writing->name,
             100.0 * (double)writing->n_written / (double)writing->n_values);
}

static bool write_tensor(struct writing *writing, const struct tensor *tensor)
{
    bool is_vector = tensor->n_dims == 1;
    float same = strstr(tensor->name, ".bias") != NULL ? 0.0f : 1.0f;
    uint64_t n_values = tensor_elements(tensor);

    if (is_vector) {
        for (size_t i = 0; i < PIECE_VALUES; i++)
            writing->piece[i] = same;
    }
    for (uint64_t at = 0; at < n_values; at += PIECE_VALUES) {
        size_t n = n_values - at < PIECE_VALUES ? (size_t)(n_values - at) : PIECE_VALUES;

        if (!is_vector)
            fill_normal(writing->piece, n, &writing->random);
        if (!tensor_file_write_f32(&writing->file, tensor, at, writing->piece, n))
            return false;
        writing->n_written += n;
        show_progress(writing);
    }
    return true;
}

static enum outcome write_weights(struct writing *writing, const char *path)
{
    FILE *stream = fopen(path, "wb");
    enum outcome outcome;

    if (stream == NULL)
        return complain(OUTCOME_FAILED, "cannot write %s: %s", path, strerror(errno));
    outcome = tensor_file_begin(&writing->file, stream, path, writing->tensors, writing->n_tensors,
                                "gpt2 bench");
    for (size_t i = 0; i < writing->n_tensors && outcome == OUTCOME_DONE; i++) {
        if (!write_tensor(writing, &writing->tensors[i]))
            outcome = OUTCOME_FAILED;
    }
    progress_clear();
    outcome = tensor_file_end(&writing->file, outcome);
    if (fclose(stream) != 0 && outcome == OUTCOME_DONE)
        outcome = complain(OUTCOME_FAILED, "cannot write %s: %s", path, strerror(errno));
    return outcome;
}

static enum outcome write_config(enum shape shape, const char *path)
{
    FILE *file = fopen(path, "wb");
    bool is_good = file != NULL;

    if (is_good) {
        is_good = fprintf(file,
                          "{\"model_type\": \"gpt2\", \"activation_function\": \"gelu_new\", "
                          "\"layer_norm_epsilon\": 1e-05, \"vocab_size\": %d, "
                          "\"n_positions\": %d, \"n_embd\": %d, \"n_layer\": %d, \"n_head\": %d}\n",
                          N_VOCAB, N_POSITIONS, (int)shapes[shape].n_embd,
                          (int)shapes[shape].n_layer, (int)shapes[shape].n_embd / HEAD_DIM) > 0;
        is_good = fclose(file) == 0 && is_good;
    }
    if (!is_good)
        return complain(OUTCOME_FAILED, "cannot write %s: %s", path, strerror(errno));
    return OUTCOME_DONE;
}

enum outcome random_model_write(enum shape shape, const char *directory)
{
    size_t n_tensors = N_OTHER_TENSORS + N_BLOCK_TENSORS * (size_t)shapes[shape].n_layer;
    struct writing *writing = calloc(1, sizeof *writing);
    char path[PATH_BYTES + 32];
    enum outcome outcome = OUTCOME_DONE;

    if (writing != NULL)
        writing->tensors = calloc(n_tensors, sizeof *writing->tensors);
    if (writing == NULL || writing->tensors == NULL)
        outcome = complain_memory();
    if (outcome == OUTCOME_DONE) {
        snprintf(path, sizeof path, "%s/model.safetensors", directory);
        writing->name = shapes[shape].name;
        add_tensors(writing, shapes[shape].n_embd, shapes[shape].n_layer);
        outcome = write_weights(writing, path);
    }
    if (outcome == OUTCOME_DONE) { /* last: where it is, the model is complete */
        snprintf(path, sizeof path, "%s/config.json", directory);
        outcome = write_config(shape, path);
    }
    if (writing != NULL)
        free(writing->tensors);
    free(writing);
    return outcome;
}

enum outcome random_model_remove(const char *directory)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    char path[PATH_BYTES + 32];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        remove(path);
    }
    if (remove(directory) != 0)
        return complain(OUTCOME_FAILED, "cannot remove %s: %s", directory, strerror(errno));
    return OUTCOME_DONE;
}
