/*
 * quantised_template.h: matrix products with weights of 8 and 4 bits, written once.
 *
 * docs/numerics.md defines them: integer sums in blocks of 32 along k, which are exact in any order, then
 * one fma of a block.  An instruction set's file defines, beside TARGET and v16 of kernels_template.h:
 *
 *     v16i                      16 integers of 32 bits
 *     v16i_set1 v16_of_ints     of one integer; to floats, exact below 2^24
 *     q_quads q_load(bytes)     4 bytes for each of 16 outputs: weights as they lie in memory
 *     q_table q_load_table      a table of 16 bytes
 *     q_low q_high(table, quads)            table[byte & 15], table[byte >> 4], for each byte
 *     q_weights q_weights_of(quads)         bytes 0..255, in the form that q_dot() takes
 *     Q_INPUT                   the type of a quantised activation in memory
 *     q_store(Q_INPUT *to, v16) stores 16 activations, which are integers in [-127, 127]
 *     q_input q_input_of(const Q_INPUT *)   four of them, for all outputs
 *     q_dot(sums, weights, input)           adds the four products of each output
 *     Q_START(sum)              what sums begin with, where 'sum' is that of the block's activations:
 *                               it takes back the offset of the weights
 *     Q_TILES(ROW)              the sizes of register tiles, largest rows first
 *     Q_MAX_SUMS Q_MAX_GROUPS   of these tiles
 *     ADD_QUANTISED             the function that fills the table
 *     QUANTISED_NAME            if defined: the set's name, where it has no other kernels
 */
#include "lanes.h"
#include "quantised.h"

/* A block of a row of activations: d q. */
struct q_inputs {
    float d;
    int32_t start;
    Q_INPUT q[GPT2I_Q_BLOCK];
};

#define Q_QUADS (GPT2I_Q_BLOCK / 4)

/* Blocks that all rows are multiplied by before the next ones: they stay in the first cache. */
#define Q_BLOCKS_TOGETHER 8

/* With fewer rows the weights come from memory: they are fetched as far ahead. */
#define Q_FEW_ROWS    12
#define Q_FETCH_BYTES 4096

static TARGET void quantise_block(struct q_inputs *block, v16 low, v16 high)
{
    const v16 zero = v16_set1(0.0f);
    const v16 round = v16_set1(0x1.8p23f); /* adding it rounds to an integer */
    v16 larger = v16_max(v16_max(low, v16_sub(zero, low)), v16_max(high, v16_sub(zero, high)));
    float max = v16_fold_max(larger);
    float bad = v16_fold_add(v16_add(v16_mul(low, zero), v16_mul(high, zero)));
    v16 factor = zero;

    block->d = 0.0f;
    if (bad != 0.0f) { /* NaN, which infinities give, too */
        block->d = NAN;
        low = high = zero;
    } else if (max >= 0x1p-100f) {
        block->d = max / 127.0f;
        factor = v16_set1(127.0f / max);
    }
    low = v16_sub(v16_add(v16_mul(low, factor), round), round);
    high = v16_sub(v16_add(v16_mul(high, factor), round), round);
    q_store(block->q, low);
    q_store(block->q + GPT2I_LANES, high);
    block->start = Q_START((int32_t)v16_fold_add(v16_add(low, high)));
}

static TARGET void quantise(void *blocks, const float *x, size_t n)
{
    struct q_inputs *block = blocks;

    for (; n >= GPT2I_Q_BLOCK; n -= GPT2I_Q_BLOCK, x += GPT2I_Q_BLOCK, block++)
        quantise_block(block, v16_load(x), v16_load(x + GPT2I_LANES));
    if (n > 0) {
        float tail[GPT2I_Q_BLOCK] = {0.0f};

        memcpy(tail, x, n * sizeof tail[0]);
        quantise_block(block, v16_load(tail), v16_load(tail + GPT2I_LANES));
    }
}

/* What lies where in the panel of a product. */
struct q_panel {
    size_t width; /* outputs, padding included */
    size_t block_bytes;
    size_t bytes;
};

/* Where weights lie that are wanted soon after those at 'offset': in the panel, or in the next one. */
TARGET_INLINE const char *q_ahead(const struct gpt2i_quantised_matmul *m, size_t offset,
                                  size_t panel_bytes)
{
    size_t ahead = offset + Q_FETCH_BYTES;

    if (ahead < panel_bytes)
        return (const char *)m->w + ahead;
    return m->next == NULL ? m->w : (const char *)m->next + (ahead - panel_bytes);
}

/*
 * One register tile: R rows by G groups from (row, group) on, blocks [block, end); the last group keeps
 * n_last lanes.  R, G, BITS and FETCHES are constants where this is inlined.
 */
TARGET_INLINE void q_tile(const struct gpt2i_quantised_matmul *m, struct q_panel panel, size_t row,
                          size_t group, size_t block, size_t end, const size_t R, const size_t G,
                          size_t n_last, const size_t BITS, const bool FETCHES)
{
    const char *w = (const char *)m->w + block * panel.block_bytes;
    const struct q_inputs *x =
        (const struct q_inputs *)(const void *)((const char *)m->x + row * m->x_stride_bytes) +
        block;
    const size_t x_stride = m->x_stride_bytes / sizeof *x;
    float *y = m->y + row * m->y_stride + group * GPT2I_LANES;
    v16 totals[Q_MAX_SUMS]; /* [R][G] */
    q_table table = q_load_table(m->table);

    UNROLL
    for (size_t r = 0; r < R; r++) {
        UNROLL
        for (size_t g = 0; g < G; g++)
            totals[r * G + g] = block == 0 ? v16_set1(0.0f)
                                           : load_upto(y + r * m->y_stride + g * GPT2I_LANES, 0,
                                                       g + 1 < G ? GPT2I_LANES : n_last);
    }
    for (; block < end; block++, w += panel.block_bytes, x++) {
        const char *quads = w + panel.width * sizeof(uint16_t) + group * GPT2I_LANES * 4;
        const char *ahead = q_ahead(m, block * panel.block_bytes, panel.bytes);
        v16i sums[Q_MAX_SUMS];

        UNROLL
        for (size_t r = 0; r < R; r++) {
            UNROLL
            for (size_t g = 0; g < G; g++)
                sums[r * G + g] = v16i_set1(x[r * x_stride].start);
        }
        for (size_t quad = 0; quad < Q_QUADS; quad += 8 / BITS) {
            q_quads raw[Q_MAX_GROUPS];

            UNROLL
            for (size_t g = 0; g < G; g++) {
                if (FETCHES)
                    GPT2I_FETCH_SOON(ahead + g * 64);
                raw[g] = q_load(quads + g * GPT2I_LANES * 4);
            }
            UNROLL
            for (size_t half = 0; half < 8 / BITS; half++) {
                q_weights w_k[Q_MAX_GROUPS];

                UNROLL
                for (size_t g = 0; g < G; g++)
                    w_k[g] = q_weights_of(BITS == 8   ? raw[g]
                                          : half == 0 ? q_low(table, raw[g])
                                                      : q_high(table, raw[g]));
                UNROLL
                for (size_t r = 0; r < R; r++) {
                    q_input x_k = q_input_of(x[r * x_stride].q + (quad + half) * 4);

                    UNROLL
                    for (size_t g = 0; g < G; g++)
                        sums[r * G + g] = q_dot(sums[r * G + g], w_k[g], x_k);
                }
            }
            quads += panel.width * 4;
            ahead += panel.width * 4;
        }
        UNROLL
        for (size_t g = 0; g < G; g++) {
            v16 d_w = v16_load_f16((const uint16_t *)(const void *)w + (group + g) * GPT2I_LANES);

            UNROLL
            for (size_t r = 0; r < R; r++)
                totals[r * G + g] =
                    v16_fma(v16_of_ints(sums[r * G + g]), v16_mul(d_w, v16_set1(x[r * x_stride].d)),
                            totals[r * G + g]);
        }
    }
    UNROLL
    for (size_t r = 0; r < R; r++) {
        UNROLL
        for (size_t g = 0; g < G; g++)
            store_upto(y + r * m->y_stride + g * GPT2I_LANES, 0, g + 1 < G ? GPT2I_LANES : n_last,
                       totals[r * G + g]);
    }
    if (m->bias == NULL || end < m->n_blocks)
        return;
    for (size_t r = 0; r < R; r++)
        add(y + r * m->y_stride, m->bias + group * GPT2I_LANES, (G - 1) * GPT2I_LANES + n_last);
}

/* All groups of R rows from 'row' on, G at a time, then one by one. */
TARGET_INLINE void q_rows(const struct gpt2i_quantised_matmul *m, size_t row, size_t block,
                          size_t end, const size_t R, const size_t G, const size_t BITS,
                          const bool FETCHES)
{
    size_t n_groups = gpt2i_ceil_div(m->n_outputs, GPT2I_LANES);
    struct q_panel panel = {n_groups * GPT2I_LANES,
                            n_groups * GPT2I_LANES * (sizeof(uint16_t) + GPT2I_Q_BLOCK * BITS / 8),
                            0};
    size_t group = 0;

    panel.bytes = m->n_blocks * panel.block_bytes;
    for (; group + G <= n_groups; group += G)
        q_tile(m, panel, row, group, block, end, R, G,
               gpt2i_min(m->n_outputs - (group + G - 1) * GPT2I_LANES, GPT2I_LANES), BITS, FETCHES);
    for (; G > 1 && group < n_groups; group++)
        q_tile(m, panel, row, group, block, end, R, 1,
               gpt2i_min(m->n_outputs - group * GPT2I_LANES, GPT2I_LANES), BITS, FETCHES);
}

/* Functions for each tile size, so that each has the registers to itself. */
#define DEFINE_Q_ROWS_BITS(R, G, BITS)                                                \
    static TARGET __attribute__((noinline)) void q##BITS##_##R##_rows(                \
        const struct gpt2i_quantised_matmul *m, size_t row, size_t block, size_t end) \
    {                                                                                 \
        q_rows(m, row, block, end, R, G, BITS, R == 1);                               \
    }
#define DEFINE_Q_ROWS(R, G)     \
    DEFINE_Q_ROWS_BITS(R, G, 8) \
    DEFINE_Q_ROWS_BITS(R, G, 4)
Q_TILES(DEFINE_Q_ROWS)

#define RUN_Q_ROWS(R, G, BITS)                     \
    if (n_left >= R) {                             \
        q##BITS##_##R##_rows(m, row, block, next); \
        row += R;                                  \
        continue;                                  \
    }
#define RUN_Q8_ROWS(R, G) RUN_Q_ROWS(R, G, 8)
#define RUN_Q4_ROWS(R, G) RUN_Q_ROWS(R, G, 4)

#define DEFINE_MATMUL_Q(name, RUN)                                                \
    static TARGET void name(const struct gpt2i_quantised_matmul *m)               \
    {                                                                             \
        for (size_t block = 0; block < m->n_blocks; block += Q_BLOCKS_TOGETHER) { \
            size_t next = gpt2i_min(block + Q_BLOCKS_TOGETHER, m->n_blocks);      \
                                                                                  \
            for (size_t row = 0; row < m->n_rows;) {                              \
                size_t n_left = m->n_rows - row;                                  \
                                                                                  \
                Q_TILES(RUN)                                                      \
            }                                                                     \
        }                                                                         \
    }
DEFINE_MATMUL_Q(matmul_q8, RUN_Q8_ROWS)
DEFINE_MATMUL_Q(matmul_q4, RUN_Q4_ROWS)

void ADD_QUANTISED(struct gpt2i_kernels *kernels)
{
#ifdef QUANTISED_NAME
    kernels->name = QUANTISED_NAME;
#endif
    kernels->input_block_bytes = sizeof(struct q_inputs);
    kernels->quantise = quantise;
    kernels->matmul_q8 = matmul_q8;
    kernels->matmul_q4 = matmul_q4;
}
