/*
 * llmc.c: the model files of llm.c, "gpt2_124M.bin" and the like.
 *
 *     256 numbers of 32 bits, little-endian: 20240326, version, max_seq_len, vocab_size, num_layers,
 *                                            num_heads, channels, padded_vocab_size, zeros
 *     wte, wpe, then each weight of a block for all blocks (ln_1's two, c_attn's two, ...), ln_f's two
 *
 * All are of one type: F32 in version 3, BF16 in version 5.  Matrices are [n_out, n_in].  wte has rows
 * of zeros up to padded_vocab_size, which are left out.  llm.c's activation is gelu_new, its epsilon
 * 1e-5, and its head is tied.
 */
#include "tensors.h"

#include <inttypes.h>
#include <stdio.h>

#define MAGIC        20240326
#define HEADER_BYTES 1024
#define CONFIG_BYTES 256
#define NAME_BYTES   40 /* of a weight */
#define PER_BLOCK    12
#define OUTSIDE      4 /* wte, wpe, ln_f's two */

enum { FIRST, VERSION, N_POSITIONS, N_VOCAB, N_LAYER, N_HEAD, N_EMBD, N_VOCAB_PADDED, N_NUMBERS };

static const struct {
    const char *name;
    uint32_t max; /* so large that no product below exceeds 64 bits */
} numbers[N_NUMBERS] = {
    [N_POSITIONS] = {"max_seq_len", 1 << 24},
    [N_VOCAB] = {"vocab_size", 1 << 24},
    [N_LAYER] = {"num_layers", (GPT2I_TENSORS_MAX - OUTSIDE) / PER_BLOCK},
    [N_HEAD] = {"num_heads", 1 << 20},
    [N_EMBD] = {"channels", 1 << 20},
    [N_VOCAB_PADDED] = {"padded_vocab_size", 1 << 24},
};

struct llmc_reader {
    struct gpt2i_tensors *tensors;
    uint32_t header[N_NUMBERS];
    size_t n_tensors; /* so far */
    uint64_t at;      /* the byte where the next tensor begins */
    struct gpt2i_error *error;
};

static int32_t read_llmc_header(struct llmc_reader *reader)
{
    const struct gpt2i_source *source = reader->tensors->source;
    unsigned char bytes[4 * N_NUMBERS];
    uint32_t *header = reader->header;
    int32_t status;

    if (source->size_bytes < HEADER_BYTES)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: has %" PRIu64 " bytes, fewer than the %d of a header of llm.c",
                          source->path, source->size_bytes, HEADER_BYTES);
    status = gpt2i_source_read(source, 0, bytes, sizeof bytes, reader->error);
    if (status != GPT2_OK)
        return status;
    for (size_t i = 0; i < N_NUMBERS; i++)
        header[i] = gpt2i_load_le32(bytes + 4 * i);
    if (header[FIRST] != MAGIC)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: begins with the number %" PRIu32 ", wanted %d, as llm.c writes it",
                          source->path, header[FIRST], MAGIC);
    if (header[VERSION] != 3 && header[VERSION] != 5)
        return gpt2i_fail(reader->error, GPT2_ERR_UNSUPPORTED,
                          "%s: is a file of llm.c of version %" PRIu32 ", wanted 3 (float32) or 5 "
                          "(bfloat16)",
                          source->path, header[VERSION]);
    for (size_t i = N_POSITIONS; i < N_NUMBERS; i++) {
        if (header[i] == 0 || header[i] > numbers[i].max)
            return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                              "%s: %s is %" PRIu32 ", wanted 1 to %" PRIu32, source->path,
                              numbers[i].name, header[i], numbers[i].max);
    }
    if (header[N_VOCAB_PADDED] < header[N_VOCAB])
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: padded_vocab_size is %" PRIu32 ", less than vocab_size, %" PRIu32,
                          source->path, header[N_VOCAB_PADDED], header[N_VOCAB]);
    return GPT2_OK;
}

/* The bytes of all weights. */
static uint64_t data_bytes(const struct llmc_reader *reader)
{
    const uint32_t *header = reader->header;
    uint64_t n_embd = header[N_EMBD];
    uint64_t n_block = 12 * n_embd * n_embd + 13 * n_embd;

    return ((header[N_VOCAB_PADDED] + (uint64_t)header[N_POSITIONS] + 2) * n_embd +
            header[N_LAYER] * n_block) *
           (header[VERSION] == 3 ? 4 : 2);
}

/* The next tensor of the file; n_columns 0: a vector.  Behind its rows are n_padding more. */
static void add_tensor(struct llmc_reader *reader, const char *name, uint64_t n_rows,
                       uint64_t n_columns, uint64_t n_padding)
{
    bool is_single = reader->header[VERSION] == 3;
    struct gpt2i_tensor *tensor = &reader->tensors->items[reader->n_tensors];
    char *to = reader->tensors->names + CONFIG_BYTES + NAME_BYTES * reader->n_tensors++;
    uint64_t row_bytes = (n_columns == 0 ? 1 : n_columns) * (is_single ? 4 : 2);

    (void)snprintf(to, NAME_BYTES, "%s", name);
    tensor->name = to;
    tensor->dtype = is_single ? "F32" : "BF16";
    tensor->type = is_single ? GPT2_TYPE_F32 : GPT2_TYPE_BF16;
    tensor->n_dims = n_columns == 0 ? 1 : 2;
    tensor->dims[0] = n_rows;
    tensor->dims[1] = n_columns;
    tensor->source = reader->tensors->source;
    tensor->offset = reader->at;
    tensor->n_bytes = n_rows * row_bytes;
    tensor->is_out_in = true;
    reader->at += (n_rows + n_padding) * row_bytes;
}

/* A weight of the blocks, of all of them; the sizes are multiples of n_embd. */
static void add_blocks(struct llmc_reader *reader, const char *name, uint32_t n_rows,
                       uint32_t n_columns)
{
    uint64_t n_embd = reader->header[N_EMBD];
    char full[NAME_BYTES];

    for (uint32_t i = 0; i < reader->header[N_LAYER]; i++) {
        (void)snprintf(full, sizeof full, "h.%" PRIu32 ".%s", i, name);
        add_tensor(reader, full, n_rows * n_embd, n_columns * n_embd, 0);
    }
}

static void add_all(struct llmc_reader *reader)
{
    const uint32_t *header = reader->header;

    reader->at = HEADER_BYTES;
    add_tensor(reader, "wte.weight", header[N_VOCAB], header[N_EMBD],
               header[N_VOCAB_PADDED] - header[N_VOCAB]);
    add_tensor(reader, "wpe.weight", header[N_POSITIONS], header[N_EMBD], 0);
    add_blocks(reader, "ln_1.weight", 1, 0);
    add_blocks(reader, "ln_1.bias", 1, 0);
    add_blocks(reader, "attn.c_attn.weight", 3, 1);
    add_blocks(reader, "attn.c_attn.bias", 3, 0);
    add_blocks(reader, "attn.c_proj.weight", 1, 1);
    add_blocks(reader, "attn.c_proj.bias", 1, 0);
    add_blocks(reader, "ln_2.weight", 1, 0);
    add_blocks(reader, "ln_2.bias", 1, 0);
    add_blocks(reader, "mlp.c_fc.weight", 4, 1);
    add_blocks(reader, "mlp.c_fc.bias", 4, 0);
    add_blocks(reader, "mlp.c_proj.weight", 1, 4);
    add_blocks(reader, "mlp.c_proj.bias", 1, 0);
    add_tensor(reader, "ln_f.weight", header[N_EMBD], 0, 0);
    add_tensor(reader, "ln_f.bias", header[N_EMBD], 0, 0);
}

/* config.json as Hugging Face would have it. */
static void write_llmc_config(struct llmc_reader *reader)
{
    const uint32_t *header = reader->header;

    (void)snprintf(
        reader->tensors->names, CONFIG_BYTES,
        "{\"activation_function\":\"gelu_new\",\"n_positions\":%" PRIu32 ",\"vocab_size\":%" PRIu32
        ",\"n_layer\":%" PRIu32 ",\"n_head\":%" PRIu32 ",\"n_embd\":%" PRIu32 "}",
        header[N_POSITIONS], header[N_VOCAB], header[N_LAYER], header[N_HEAD], header[N_EMBD]);
    reader->tensors->config = reader->tensors->names;
}

static int32_t read_tensors(struct llmc_reader *reader)
{
    const struct gpt2i_source *source = reader->tensors->source;
    uint64_t n_bytes = HEADER_BYTES + data_bytes(reader);
    size_t n_tensors = PER_BLOCK * (size_t)reader->header[N_LAYER] + OUTSIDE;
    int32_t status;

    if (source->size_bytes != n_bytes)
        return gpt2i_fail(reader->error, GPT2_ERR_FORMAT,
                          "%s: has %" PRIu64 " bytes, wanted %" PRIu64 ", by its header",
                          source->path, source->size_bytes, n_bytes);
    status = gpt2i_tensors_allocate(reader->tensors, n_tensors,
                                    CONFIG_BYTES + n_tensors * NAME_BYTES, reader->error);
    if (status != GPT2_OK)
        return status;
    write_llmc_config(reader);
    add_all(reader);
    return gpt2i_tensors_sort(reader->tensors, reader->error);
}

int32_t gpt2i_llmc_open(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                        const char *name, struct gpt2i_error *error)
{
    struct llmc_reader reader = {.tensors = tensors, .error = error};
    int32_t status;

    memset(tensors, 0, sizeof *tensors);
    status = gpt2i_source_open(&tensors->source, files, name, error);
    if (status == GPT2_OK)
        status = read_llmc_header(&reader);
    if (status == GPT2_OK)
        status = read_tensors(&reader);
    if (status != GPT2_OK)
        gpt2i_tensors_close(tensors);
    return status;
}
