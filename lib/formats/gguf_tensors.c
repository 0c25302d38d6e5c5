/*
 * gguf_tensors.c: the tensors of a GGUF file under Hugging Face's names.
 *
 * A tensor is its name, the number of its dimensions (u32), the dimensions (u64), innermost first, its
 * type (u32) and where its bytes begin (u64), counted from the beginning of all data.  llama.cpp's
 * converter turns the matrices of Conv1D round: in a GGUF file they are [n_out, n_in].
 */
#include "gguf_config.h"
#include "gguf_values.h"
#include "tensors.h"
#include "../kernels/widen.h"

#include <inttypes.h>
#include <stdio.h>

#define TENSOR_BYTES    33 /* the least of one in the list: 8 + 1, 4, 8, 4, 8 */
#define GGUF_NAME_BYTES 48 /* of Hugging Face's names, NUL included */
#define MAX_ALIGNMENT   (1u << 30)

/* Types by ggml's numbers. */
static const struct file_type {
    uint32_t number;
    int32_t type; /* GPT2_TYPE_*, -1: not supported */
    const char *name;
} file_types[] = {
    {0, GPT2_TYPE_F32, "F32"},
    {1, GPT2_TYPE_F16, "F16"},
    {2, GPT2_TYPE_Q4_0, "Q4_0"},
    {3, GPT2_TYPE_Q4_1, "Q4_1"},
    {6, GPT2_TYPE_Q5_0, "Q5_0"},
    {7, GPT2_TYPE_Q5_1, "Q5_1"},
    {8, GPT2_TYPE_Q8, "Q8_0"},
    {9, -1, "Q8_1"},
    {10, -1, "Q2_K"},
    {11, -1, "Q3_K"},
    {12, GPT2_TYPE_Q4_K, "Q4_K"},
    {13, GPT2_TYPE_Q5_K, "Q5_K"},
    {14, GPT2_TYPE_Q6_K, "Q6_K"},
    {15, -1, "Q8_K"},
    {16, -1, "IQ2_XXS"},
    {17, -1, "IQ2_XS"},
    {18, -1, "IQ3_XXS"},
    {19, -1, "IQ1_S"},
    {20, GPT2_TYPE_Q4, "IQ4_NL"},
    {21, -1, "IQ3_S"},
    {22, -1, "IQ2_S"},
    {23, -1, "IQ4_XS"},
    {24, -1, "I8"},
    {25, -1, "I16"},
    {26, -1, "I32"},
    {27, -1, "I64"},
    {28, GPT2_TYPE_F64, "F64"},
    {29, -1, "IQ1_M"},
    {30, GPT2_TYPE_BF16, "BF16"},
    {34, -1, "TQ1_0"},
    {35, -1, "TQ2_0"},
    {39, -1, "MXFP4"},
};

#define WANTED_TYPES "F64, F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, Q4_K, Q5_K or Q6_K"

/* llama.cpp's names, without .weight or .bias, and Hugging Face's; those in a block without its prefix. */
static const struct tensor_name {
    const char *file;
    const char *name;
    bool in_block;
    bool is_linear; /* Conv1D's weight */
} tensor_names[] = {
    {"token_embd", "wte", false, false},        {"position_embd", "wpe", false, false},
    {"output_norm", "ln_f", false, false},      {"output", "lm_head", false, false},
    {"attn_norm", "ln_1", true, false},         {"attn_qkv", "attn.c_attn", true, true},
    {"attn_output", "attn.c_proj", true, true}, {"ffn_norm", "ln_2", true, false},
    {"ffn_up", "mlp.c_fc", true, true},         {"ffn_down", "mlp.c_proj", true, true},
};

/* What is read of a file, twice: to count, and then to keep. */
struct list {
    struct gpt2i_tensors *tensors;
    char config[GPT2I_GGUF_CONFIG_BYTES];
    uint64_t n_vocab; /* rows of the embeddings */
    bool has_head;
    uint64_t alignment;
};

/* -------------------------------------------------------------------------------------- names -- */

/* The number of a block at 'text', and how many characters it has; 0 if it is none. */
static size_t read_block(const char *text, size_t length, unsigned *block)
{
    size_t n = 0;

    for (*block = 0; n < length && n < 4 && text[n] >= '0' && text[n] <= '9'; n++)
        *block = *block * 10 + (unsigned)(text[n] - '0');
    return n > 1 && text[0] == '0' ? 0 : n;
}

/* What comes after a dot in a name. */
static struct gpt2i_gguf_string after(struct gpt2i_gguf_string name, const char *dot)
{
    struct gpt2i_gguf_string rest = {dot + 1, (size_t)(name.text + name.length - dot) - 1};

    return rest;
}

/* Hugging Face's name of a tensor; false if GPT-2 has none of this name. */
static bool translate(struct gpt2i_gguf_string file_name, char name[GGUF_NAME_BYTES],
                      bool *is_linear)
{
    struct gpt2i_gguf_string rest = file_name; /* without what is known already */
    bool in_block = rest.length > 4 && memcmp(rest.text, "blk.", 4) == 0;
    unsigned block = 0;
    const char *dot;
    bool is_weight;

    if (in_block) {
        size_t n = read_block(rest.text + 4, rest.length - 4, &block);

        if (n == 0 || rest.length < 4 + n + 1 || rest.text[4 + n] != '.')
            return false;
        rest.text += 4 + n + 1;
        rest.length -= 4 + n + 1;
    }
    dot = memchr(rest.text, '.', rest.length);
    if (dot == NULL)
        return false;
    is_weight = gpt2i_gguf_equal(after(rest, dot), "weight");
    if (!is_weight && !gpt2i_gguf_equal(after(rest, dot), "bias"))
        return false;
    rest.length = (size_t)(dot - rest.text);
    for (size_t i = 0; i < sizeof tensor_names / sizeof tensor_names[0]; i++) {
        const struct tensor_name *known = &tensor_names[i];
        char prefix[16] = "";

        if (known->in_block != in_block || !gpt2i_gguf_equal(rest, known->file))
            continue;
        if (in_block)
            (void)snprintf(prefix, sizeof prefix, "h.%u.", block);
        (void)snprintf(name, GGUF_NAME_BYTES, "%s%s.%s", prefix, known->name,
                       is_weight ? "weight" : "bias");
        *is_linear = known->is_linear && is_weight;
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------------------------ tensors -- */

static int32_t fail_gguf_tensor(const struct gpt2i_gguf_reader *reader,
                                struct gpt2i_gguf_string name, int32_t status, const char *what,
                                uint64_t found, const char *wanted)
{
    return gpt2i_fail(reader->error, status, "%s: tensor %.*s: %s: found %" PRIu64 ", wanted %s",
                      reader->gguf->source->path, gpt2i_gguf_shown(name), name.text, what, found,
                      wanted);
}

/* The dimensions: outermost first in 'tensor'. */
static int32_t take_dims(struct gpt2i_gguf_reader *reader, struct gpt2i_gguf_string name,
                         struct gpt2i_tensor *tensor)
{
    const unsigned char *bytes = NULL;
    uint32_t n_dims;
    int32_t status = gpt2i_gguf_take(reader, "the number of dimensions", sizeof n_dims, &bytes);

    if (status != GPT2_OK)
        return status;
    n_dims = gpt2i_load_le32(bytes);
    if (n_dims < 1 || n_dims > GPT2I_TENSOR_DIMS)
        return fail_gguf_tensor(reader, name, GPT2_ERR_FORMAT, "the number of dimensions", n_dims,
                                "1 to 4");
    status = gpt2i_gguf_take(reader, "dimensions", n_dims * sizeof(uint64_t), &bytes);
    tensor->n_dims = (int32_t)n_dims;
    for (uint32_t i = 0; i < n_dims && status == GPT2_OK; i++) {
        uint64_t dim = gpt2i_load_le64(bytes + i * sizeof dim);

        if (dim < 1 || dim > INT64_MAX)
            return fail_gguf_tensor(reader, name, GPT2_ERR_FORMAT, "a dimension", dim,
                                    "1 to 2^63 - 1");
        tensor->dims[n_dims - 1 - i] = dim;
    }
    return status;
}

static int32_t take_tensor_type(struct gpt2i_gguf_reader *reader, struct gpt2i_gguf_string name,
                                struct gpt2i_tensor *tensor)
{
    const unsigned char *bytes = NULL;
    uint32_t number;
    int32_t status = gpt2i_gguf_take(reader, "a type", sizeof number, &bytes);

    if (status != GPT2_OK)
        return status;
    number = gpt2i_load_le32(bytes);
    for (size_t i = 0; i < sizeof file_types / sizeof file_types[0]; i++) {
        if (file_types[i].number != number)
            continue;
        tensor->dtype = file_types[i].name;
        tensor->type = file_types[i].type;
        if (tensor->type >= 0)
            return GPT2_OK;
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                          "%s: tensor %.*s has type %s, wanted " WANTED_TYPES,
                          reader->gguf->source->path, gpt2i_gguf_shown(name), name.text,
                          tensor->dtype);
    }
    return fail_gguf_tensor(reader, name, GPT2_ERR_UNSUPPORTED, "type", number,
                            "the number of " WANTED_TYPES);
}

/* The bytes of a tensor whose dimensions and type are known. */
static int32_t find_size(const struct gpt2i_gguf_reader *reader, struct gpt2i_gguf_string name,
                         struct gpt2i_tensor *tensor)
{
    size_t block = gpt2i_type_block(tensor->type);
    struct gpt2i_tensor blocks = *tensor;
    uint64_t *row = &blocks.dims[blocks.n_dims - 1];

    if (*row % block != 0)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: tensor %.*s: rows of %" PRIu64
                          " elements, wanted a multiple of %zu, a block of %s",
                          reader->gguf->source->path, gpt2i_gguf_shown(name), name.text, *row,
                          block, tensor->dtype);
    *row /= block;
    if (!gpt2i_tensor_size(&blocks, gpt2i_type_bytes(tensor->type), &tensor->n_bytes))
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: tensor %.*s: the product of its dimensions is above 2^63 - 1 bytes",
                          reader->gguf->source->path, gpt2i_gguf_shown(name), name.text);
    return GPT2_OK;
}

/* Where the bytes begin, counted from the beginning of all data. */
static int32_t take_offset(const struct list *list, struct gpt2i_gguf_reader *reader,
                           struct gpt2i_gguf_string name, struct gpt2i_tensor *tensor)
{
    const unsigned char *bytes = NULL;
    int32_t status = gpt2i_gguf_take(reader, "an offset", sizeof tensor->offset, &bytes);

    if (status != GPT2_OK)
        return status;
    tensor->offset = gpt2i_load_le64(bytes);
    if (tensor->offset % list->alignment != 0)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: tensor %.*s: offset: found %" PRIu64
                          ", wanted a multiple of %" PRIu64 ", general.alignment",
                          reader->gguf->source->path, gpt2i_gguf_shown(name), name.text,
                          tensor->offset, list->alignment);
    return GPT2_OK;
}

/* What the bytes of tensors are aligned to; 32 if the file does not say. */
static int32_t find_alignment(struct list *list, const struct gpt2i_gguf *gguf,
                              struct gpt2i_error *error)
{
    const struct gpt2i_gguf_value *value = gpt2i_gguf_find(gguf, "general.alignment");
    int32_t status;

    list->alignment = 32;
    status = gpt2i_gguf_integer(gguf, "general.alignment", false, &list->alignment, error);
    if (status != GPT2_OK)
        return status;
    if (value != NULL && value->type != GPT2I_GGUF_U32) /* other readers refuse it too */
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: general.alignment: found type %" PRIu32 ", wanted %d, u32",
                          gguf->source->path, value->type, (int)GPT2I_GGUF_U32);
    if (list->alignment < 1 || list->alignment > MAX_ALIGNMENT ||
        (list->alignment & (list->alignment - 1)) != 0)
        return gpt2i_fail(error, GPT2_ERR_FORMAT,
                          "%s: general.alignment: found %" PRIu64
                          ", wanted a power of two up to 2^30",
                          gguf->source->path, list->alignment);
    return GPT2_OK;
}

/* One tensor of the list; its name is Hugging Face's. */
static int32_t take_tensor(const struct list *list, struct gpt2i_gguf_reader *reader,
                           struct gpt2i_tensor *tensor, char name[GGUF_NAME_BYTES])
{
    struct gpt2i_gguf_string file_name;
    int32_t status = gpt2i_gguf_take_name(reader, "the name of a tensor", &file_name);

    memset(tensor, 0, sizeof *tensor);
    if (status == GPT2_OK && !translate(file_name, name, &tensor->is_out_in))
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                          "%s: tensor %.*s has no place in a GPT-2", reader->gguf->source->path,
                          gpt2i_gguf_shown(file_name), file_name.text);
    if (status == GPT2_OK)
        status = take_dims(reader, file_name, tensor);
    if (status == GPT2_OK)
        status = take_tensor_type(reader, file_name, tensor);
    if (status == GPT2_OK)
        status = find_size(reader, file_name, tensor);
    if (status == GPT2_OK)
        status = take_offset(list, reader, file_name, tensor);
    return status;
}

/* ----------------------------------------------------------------------------------- the file -- */

/* Walks through the list of tensors; in the second walk, where there is room for them, keeps them. */
static int32_t walk_tensors(struct list *list, struct gpt2i_gguf_reader *reader,
                            uint64_t *name_bytes)
{
    struct gpt2i_tensors *tensors = list->tensors;
    int32_t status = GPT2_OK;

    *name_bytes = 0;
    for (uint64_t i = 0; i < reader->gguf->n_tensors && status == GPT2_OK; i++) {
        struct gpt2i_tensor tensor;
        char name[GGUF_NAME_BYTES];

        status = take_tensor(list, reader, &tensor, name);
        if (status != GPT2_OK)
            return status;
        if (strcmp(name, "wte.weight") == 0)
            list->n_vocab = tensor.dims[0];
        list->has_head |= strcmp(name, "lm_head.weight") == 0;
        if (tensors->items != NULL) {
            tensor.name = tensors->names + *name_bytes;
            tensor.source = tensors->source;
            memcpy(tensors->names + *name_bytes, name, strlen(name) + 1);
            tensors->items[i] = tensor;
        }
        *name_bytes += strlen(name) + 1;
    }
    return status;
}

/* Counts, makes room, keeps. */
static int32_t read_list(struct gpt2i_gguf_reader *reader, void *user)
{
    struct list *list = user;
    struct gpt2i_tensors *tensors = list->tensors;
    const struct gpt2i_gguf *gguf = reader->gguf;
    struct gpt2i_gguf_reader again = *reader;
    uint64_t left = gguf->source->size_bytes - reader->at, name_bytes;
    int32_t status;

    tensors->source = gguf->source;
    if (gguf->n_tensors > GPT2I_TENSORS_MAX || gguf->n_tensors > left / TENSOR_BYTES)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: has %" PRIu64 " tensors, wanted at most %d, in %" PRIu64 " bytes",
                          gguf->source->path, gguf->n_tensors, GPT2I_TENSORS_MAX, left);
    status = find_alignment(list, gguf, reader->error);
    if (status == GPT2_OK)
        status = walk_tensors(list, reader, &name_bytes);
    if (status == GPT2_OK)
        status =
            gpt2i_gguf_config(list->config, gguf, list->n_vocab, !list->has_head, reader->error);
    if (status == GPT2_OK)
        status = gpt2i_tensors_allocate(tensors, (size_t)gguf->n_tensors,
                                        name_bytes + sizeof list->config, reader->error);
    if (status == GPT2_OK)
        status = walk_tensors(list, &again, &name_bytes);
    if (status != GPT2_OK)
        return status;
    memcpy(tensors->names + name_bytes, list->config, sizeof list->config);
    tensors->config = tensors->names + name_bytes;
    tensors->data_offset = gpt2i_round_up(reader->at, (size_t)list->alignment);
    for (size_t i = 0; i < tensors->n_tensors; i++) {
        uint64_t *offset = &tensors->items[i].offset;

        if (!gpt2i_add_u64(*offset, tensors->data_offset, offset))
            *offset = UINT64_MAX; /* beyond every file */
    }
    status = gpt2i_tensors_check_ranges(tensors, tensors->data_offset, true, reader->error);
    return status == GPT2_OK ? gpt2i_tensors_sort(tensors, reader->error) : status;
}

int32_t gpt2i_gguf_tensors_open(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                                const char *name, struct gpt2i_error *error)
{
    struct gpt2i_gguf gguf;
    struct list list = {.tensors = tensors};
    int32_t status;

    memset(tensors, 0, sizeof *tensors);
    status = gpt2i_gguf_open(&gguf, files, name, read_list, &list, error);
    if (status != GPT2_OK) {
        tensors->source = NULL; /* it is closed */
        gpt2i_tensors_close(tensors);
        return status;
    }
    gguf.source = NULL; /* it is the tensors' now */
    gpt2i_gguf_close(&gguf);
    return GPT2_OK;
}

/* ------------------------------------------------------------------------------------ writing -- */

void gpt2i_gguf_name(const char *name, char file_name[GPT2I_GGUF_NAME_BYTES])
{
    const char *rest = name, *dot;
    unsigned block = 0;
    bool in_block = strncmp(name, "h.", 2) == 0;

    if (in_block) /* "h.", the number, a dot */
        rest += 3 + read_block(name + 2, strlen(name + 2), &block);
    dot = strrchr(rest, '.'); /* before "weight" or "bias" */
    for (size_t i = 0; i < sizeof tensor_names / sizeof tensor_names[0]; i++) {
        if (tensor_names[i].in_block != in_block ||
            strlen(tensor_names[i].name) != (size_t)(dot - rest) ||
            memcmp(tensor_names[i].name, rest, (size_t)(dot - rest)) != 0)
            continue;
        if (in_block)
            (void)snprintf(file_name, GPT2I_GGUF_NAME_BYTES, "blk.%u.%s%s", block,
                           tensor_names[i].file, dot);
        else
            (void)snprintf(file_name, GPT2I_GGUF_NAME_BYTES, "%s%s", tensor_names[i].file, dot);
    }
}

uint32_t gpt2i_gguf_type_number(int32_t type)
{
    size_t i = 0;

    while (file_types[i].type != type)
        i++;
    return file_types[i].number;
}
