/*
 * matrix.c: where the weights of a matrix lie in its panels.
 */
#include "matrix.h"
#include "../kernels/half.h"
#include "../kernels/widen.h"

/* Rows are packed in tiles of these: a panel's width is a multiple of the outputs. */
#define TILE_OUTPUTS GPT2I_LANES
#define TILE_INPUTS  64

static size_t element_bytes(const struct gpt2i_matrix *matrix)
{
    return gpt2i_type_bytes(matrix->type);
}

/* Bytes of an output's weights: n_in of them, or whole blocks. */
static size_t output_bytes(const struct gpt2i_matrix *matrix)
{
    if (gpt2i_matrix_is_quantised(matrix))
        return gpt2i_ceil_div(matrix->n_in, GPT2I_Q_BLOCK) * gpt2i_q_block_bytes(matrix->type);
    return matrix->n_in * element_bytes(matrix);
}

uint64_t gpt2i_matrix_bytes(const struct gpt2i_matrix *matrix)
{
    return (uint64_t)gpt2i_round_up(matrix->n_out, GPT2I_LANES) * output_bytes(matrix);
}

size_t gpt2i_matrix_n_panels(const struct gpt2i_matrix *matrix)
{
    return gpt2i_ceil_div(matrix->n_out, GPT2I_PANEL);
}

/* Outputs, padding included, of the panel that begins with output 'first'. */
static size_t panel_width(const struct gpt2i_matrix *matrix, size_t first)
{
    return gpt2i_min(gpt2i_round_up(matrix->n_out - first, GPT2I_LANES), GPT2I_PANEL);
}

/* Which element has input 0 and output 'out'; those of the next inputs are '*stride' elements apart. */
static size_t find_output(const struct gpt2i_matrix *matrix, size_t out, size_t *stride)
{
    size_t in_panel = out % GPT2I_PANEL;
    size_t first = out - in_panel;

    *stride = panel_width(matrix, first);
    return first * matrix->n_in + in_panel;
}

/* ----------------------------------------------------------------------------- quantised blocks -- */

/* The block of inputs that 'block' counts, of output 'out', in its panel. */
struct place {
    char *d;       /* uint16_t */
    uint8_t *quad; /* its first four inputs; in Q4 the next four are in the upper halves */
    size_t stride; /* from quad to quad of bytes */
};

static struct place find_block(const struct gpt2i_matrix *matrix, size_t out, size_t block)
{
    size_t in_panel = out % GPT2I_PANEL;
    size_t first = out - in_panel;
    size_t width = panel_width(matrix, first);
    char *at = (char *)matrix->panels + first * output_bytes(matrix) +
               block * width * gpt2i_q_block_bytes(matrix->type);
    struct place place = {
        .d = at + in_panel * sizeof(uint16_t),
        .quad = (uint8_t *)at + width * sizeof(uint16_t) + in_panel * 4,
        .stride = width * 4,
    };

    return place;
}

/* Quantises n inputs of an output, 'stride' floats apart, from a first one of a block on. */
static void pack_quantised(const struct gpt2i_matrix *matrix, size_t out, size_t first_in,
                           const float *x, size_t stride, size_t n)
{
    for (size_t k = 0; k < n; k += GPT2I_Q_BLOCK) {
        struct place place = find_block(matrix, out, (first_in + k) / GPT2I_Q_BLOCK);
        size_t n_block = gpt2i_min(n - k, GPT2I_Q_BLOCK);
        float block[GPT2I_Q_BLOCK];
        struct gpt2i_q_weights weights;

        for (size_t i = 0; i < n_block; i++)
            block[i] = x[(k + i) * stride];
        if (matrix->type == GPT2_TYPE_Q8) {
            gpt2i_quantise_q8(&weights, block, n_block);
            for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
                place.quad[i / 4 * place.stride + i % 4] = weights.q[i];
        } else {
            gpt2i_quantise_q4(&weights, block, n_block);
            for (size_t i = 0; i < GPT2I_Q_BLOCK; i += 8) {
                for (size_t j = 0; j < 4; j++)
                    place.quad[i / 8 * place.stride + j] =
                        (uint8_t)(weights.q[i + j] | weights.q[i + 4 + j] << 4);
            }
        }
        memcpy(place.d, &weights.d, sizeof weights.d);
    }
}

static uint32_t load_4(const unsigned char *bytes)
{
    uint32_t four;

    memcpy(&four, bytes, sizeof four);
    return four;
}

static void store_4(uint8_t *bytes, uint32_t four)
{
    memcpy(bytes, &four, sizeof four);
}

/* Blocks of Q8_0 of n outputs side by side in one panel, 'row_bytes' apart. */
static void pack_q8_0(const struct place *place, const unsigned char *blocks, size_t row_bytes,
                      size_t n)
{
    for (size_t i = 0; i < GPT2I_Q_BLOCK / 4; i++) {
        const unsigned char *q = blocks + sizeof(uint16_t) + 4 * i;
        uint8_t *to = place->quad + i * place->stride;

        for (size_t r = 0; r < n; r++, q += row_bytes)
            store_4(to + 4 * r, load_4(q) ^ 0x80808080u);
    }
}

/*
 * The same for indices of 4 bits: in ggml i and i + 16, here i and i + 4 of eight, are the halves of a
 * byte.
 */
static void pack_4_bits(const struct place *place, const unsigned char *blocks, size_t row_bytes,
                        size_t n)
{
    for (size_t i = 0; i < 2; i++) {
        const unsigned char *q = blocks + sizeof(uint16_t) + 8 * i;
        uint8_t *low = place->quad + i * place->stride;
        uint8_t *high = low + 2 * place->stride;

        for (size_t r = 0; r < n; r++, q += row_bytes) {
            uint32_t first = load_4(q), second = load_4(q + 4);

            store_4(low + 4 * r, (first & 0x0f0f0f0fu) | (second & 0x0f0f0f0fu) << 4);
            store_4(high + 4 * r, (first >> 4 & 0x0f0f0f0fu) | (second & 0xf0f0f0f0u));
        }
    }
}

void gpt2i_matrix_pack_blocks(const struct gpt2i_matrix *matrix, const unsigned char *rows,
                              size_t first_out, size_t n_rows)
{
    size_t block_bytes = gpt2i_q_block_bytes(matrix->type);
    size_t n_blocks = matrix->n_in / GPT2I_Q_BLOCK;
    size_t row_bytes = n_blocks * block_bytes;
    size_t n;

    for (size_t row = 0; row < n_rows; row += n, rows += n * row_bytes) {
        size_t out = first_out + row;

        n = gpt2i_min(n_rows - row, GPT2I_PANEL - out % GPT2I_PANEL);
        for (size_t k = 0; k < n_blocks; k++) {
            struct place place = find_block(matrix, out, k);
            const unsigned char *blocks = rows + k * block_bytes;

            for (size_t r = 0; r < n; r++) {
                uint16_t d = gpt2i_load_le16(blocks + r * row_bytes);

                memcpy(place.d + r * sizeof d, &d, sizeof d);
            }
            if (matrix->type == GPT2_TYPE_Q8)
                pack_q8_0(&place, blocks, row_bytes, n);
            else
                pack_4_bits(&place, blocks, row_bytes, n);
        }
    }
}

/* The inverses of pack_q8_0() and pack_4_bits(). */
static void unpack_q8_0(unsigned char *q, const struct place *place)
{
    for (size_t i = 0; i < GPT2I_Q_BLOCK; i++)
        q[i] = place->quad[i / 4 * place->stride + i % 4] ^ GPT2I_Q_OFFSET;
}

static void unpack_4_bits(unsigned char *q, const struct place *place)
{
    for (size_t i = 0; i < 16; i++) {
        const uint8_t *low = place->quad + i / 8 * place->stride;
        const uint8_t *high = low + 2 * place->stride;
        unsigned shift = i / 4 % 2 * 4;

        q[i] = (unsigned char)((low[i % 4] >> shift & 15) | (high[i % 4] >> shift & 15) << 4);
    }
}

void gpt2i_matrix_unpack_blocks(unsigned char *row, const struct gpt2i_matrix *matrix, size_t out)
{
    size_t block_bytes = gpt2i_q_block_bytes(matrix->type);

    for (size_t k = 0; k < matrix->n_in / GPT2I_Q_BLOCK; k++) {
        struct place place = find_block(matrix, out, k);
        unsigned char *block = row + k * block_bytes;
        uint16_t d;

        memcpy(&d, place.d, sizeof d);
        gpt2i_store_le(block, d, sizeof d);
        if (matrix->type == GPT2_TYPE_Q8)
            unpack_q8_0(block + sizeof d, &place);
        else
            unpack_4_bits(block + sizeof d, &place);
    }
}

static void unpack_quantised(float *to, size_t stride, const struct gpt2i_matrix *matrix,
                             size_t out)
{
    for (size_t k = 0; k < matrix->n_in; k++) {
        struct place place = find_block(matrix, out, k / GPT2I_Q_BLOCK);
        size_t i = k % GPT2I_Q_BLOCK;
        uint16_t d;
        uint8_t q;

        memcpy(&d, place.d, sizeof d);
        if (matrix->type == GPT2_TYPE_Q8)
            q = place.quad[i / 4 * place.stride + i % 4];
        else
            q = matrix->table[place.quad[i / 8 * place.stride + i % 4] >> (i / 4 % 2 * 4) & 15];
        to[k * stride] = gpt2i_float_of_half(d) * (float)(q - GPT2I_Q_OFFSET);
    }
}

void gpt2i_matrix_order_scales(const struct gpt2i_matrix *matrix)
{
    size_t n_blocks = gpt2i_ceil_div(matrix->n_in, GPT2I_Q_BLOCK);

    for (size_t first = 0; first < matrix->n_out; first += GPT2I_PANEL) {
        for (size_t block = 0; block < n_blocks; block++)
            gpt2i_order_16(find_block(matrix, first, block).d, panel_width(matrix, first));
    }
}

size_t gpt2i_matrix_quantised_panel(const struct gpt2i_matrix *matrix, size_t panel,
                                    struct gpt2i_quantised_matmul *matmul)
{
    size_t first = panel * GPT2I_PANEL;

    matmul->w = (const char *)matrix->panels + first * output_bytes(matrix);
    matmul->table = matrix->table;
    matmul->n_blocks = gpt2i_ceil_div(matrix->n_in, GPT2I_Q_BLOCK);
    matmul->n_outputs = gpt2i_min(matrix->n_out - first, GPT2I_PANEL);
    return first;
}

/* ---------------------------------------------------------------------------------- all types -- */

void gpt2i_matrix_pack_inputs(const struct gpt2i_matrix *matrix, const void *rows, size_t first_in,
                              size_t n_rows)
{
    size_t bytes;

    if (gpt2i_matrix_is_quantised(matrix)) {
        for (size_t out = 0; out < matrix->n_out; out++)
            pack_quantised(matrix, out, first_in, (const float *)rows + out, matrix->n_out, n_rows);
        return;
    }
    bytes = element_bytes(matrix);
    for (size_t first = 0; first < matrix->n_out; first += GPT2I_PANEL) {
        size_t n = gpt2i_min(matrix->n_out - first, GPT2I_PANEL);
        size_t stride;
        size_t to = find_output(matrix, first, &stride) + first_in * stride;

        for (size_t r = 0; r < n_rows; r++, to += stride)
            memcpy((char *)matrix->panels + to * bytes,
                   (const char *)rows + (r * matrix->n_out + first) * bytes, n * bytes);
    }
}

/*
 * Rows that are outputs side by side in one panel, from the input 'first_in' on.  All that they write
 * stays in the first cache until its lines are full.
 */
static void pack_tile(const struct gpt2i_matrix *matrix, const void *rows, size_t out,
                      size_t n_rows, size_t first_in, size_t n_in)
{
    size_t stride;
    size_t to = find_output(matrix, out, &stride) + first_in * stride;

    for (size_t r = 0; r < n_rows; r++) {
        size_t from = r * matrix->n_in + first_in;

        if (matrix->type == GPT2_TYPE_F32) {
            for (size_t k = 0; k < n_in; k++)
                ((float *)matrix->panels)[to + r + k * stride] = ((const float *)rows)[from + k];
        } else {
            for (size_t k = 0; k < n_in; k++)
                ((uint16_t *)matrix->panels)[to + r + k * stride] =
                    ((const uint16_t *)rows)[from + k];
        }
    }
}

void gpt2i_matrix_pack_outputs(const struct gpt2i_matrix *matrix, const void *rows,
                               size_t first_out, size_t n_rows)
{
    size_t row_bytes = matrix->n_in * element_bytes(matrix);
    size_t n;

    if (gpt2i_matrix_is_quantised(matrix)) {
        for (size_t r = 0; r < n_rows; r++)
            pack_quantised(matrix, first_out + r, 0, (const float *)rows + r * matrix->n_in, 1,
                           matrix->n_in);
        return;
    }
    for (size_t row = 0; row < n_rows; row += n) {
        size_t out = first_out + row;

        n = gpt2i_min(n_rows - row, TILE_OUTPUTS - out % TILE_OUTPUTS);
        for (size_t k = 0; k < matrix->n_in; k += TILE_INPUTS)
            pack_tile(matrix, (const char *)rows + row * row_bytes, out, n, k,
                      gpt2i_min(matrix->n_in - k, TILE_INPUTS));
    }
}

void gpt2i_matrix_unpack(float *to, size_t stride, const struct gpt2i_matrix *matrix, size_t out)
{
    size_t w_stride;
    size_t from = find_output(matrix, out, &w_stride);

    if (gpt2i_matrix_is_quantised(matrix)) {
        unpack_quantised(to, stride, matrix, out);
    } else if (matrix->type == GPT2_TYPE_F32) {
        for (size_t k = 0; k < matrix->n_in; k++)
            to[k * stride] = ((const float *)matrix->panels)[from + k * w_stride];
    } else {
        const uint16_t *weights = (const uint16_t *)matrix->panels + from;
        bool is_f16 = matrix->type == GPT2_TYPE_F16;

        for (size_t k = 0; k < matrix->n_in; k++)
            to[k * stride] = is_f16 ? gpt2i_float_of_half(weights[k * w_stride])
                                    : gpt2i_float_of_bf16(weights[k * w_stride]);
    }
}

size_t gpt2i_matrix_panel(const struct gpt2i_matrix *matrix, size_t panel,
                          struct gpt2i_matmul *matmul)
{
    size_t first = panel * GPT2I_PANEL;

    matmul->w = (const char *)matrix->panels +
                find_output(matrix, first, &matmul->w_stride) * element_bytes(matrix);
    matmul->w_type = matrix->type;
    matmul->n_k = matrix->n_in;
    matmul->n_outputs = gpt2i_min(matrix->n_out - first, GPT2I_PANEL);
    return first;
}
