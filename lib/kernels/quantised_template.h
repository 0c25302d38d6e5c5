/*
 * quantised_template.h: matrix products with weights of 8 and 4 bits, written once.
 *
 * docs/numerics.md defines them: integer sums in blocks of 32 along k, which are exact in any order, then
 * one fma of a block.  An instruction set's file defines, beside SET, TARGET and v16 of kernels_template.h:
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
 *     Q_START(sum)              if q_dot() takes signed weights: what sums begin with, where 'sum' is that
 *                               of the block's activations
 *     Q_WIDENS                  if defined: for many rows, q_weights_of() is called once, not in each tile
 *     Q_UNROLL_QUADS            UNROLL, or nothing where that is faster
 *     Q_TILES(ROW)              the sizes of register tiles, largest rows first
 *     Q_MAX_SUMS Q_MAX_GROUPS   of these tiles
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

#ifndef Q_START
#define Q_START(sum) (-GPT2I_Q_OFFSET * (sum)) /* takes back the offset of the weights */
#endif

/* Blocks that all rows are multiplied by before the next ones: they stay in the first cache. */
#define Q_BLOCKS_TOGETHER 8

/* With one row the weights come from memory: they are fetched as far ahead. */
#define Q_FETCH_BYTES 1024

static TARGET void quantise_block(struct q_inputs *block, v16 low, v16 high)
{
    const v16 zero = v16_set1(0.0f);
    const v16 round = v16_set1(0x1.8p23f); /* adding it rounds to an integer */
    v16 larger = v16_max(v16_max(low, v16_sub(zero, low)), v16_max(high, v16_sub(zero, high)));
    float max = v16_fold_max(larger);
    bool is_zero = !(max >= 0x1p-100f);
    v16 factor = v16_set1(is_zero ? 0.0f : 127.0f / max);
    float sum;

    low = v16_sub(v16_fma(low, factor, round), round);
    high = v16_sub(v16_fma(high, factor, round), round);
    sum = v16_fold_add(v16_add(low, high));
    block->d = is_zero ? 0.0f : max / 127.0f;
    if (isnan(sum)) { /* NaN or infinity, which times 127 / infinity is NaN */
        block->d = NAN;
        low = high = zero;
        sum = 0.0f;
    }
    q_store(block->q, low);
    q_store(block->q + GPT2I_LANES, high);
    block->start = Q_START((int32_t)sum);
}

static TARGET void OF_SET(quantise)(void *blocks, const float *x, size_t n)
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

TARGET_INLINE struct q_panel q_panel_of(const struct gpt2i_quantised_matmul *m, const size_t BITS)
{
    size_t width = gpt2i_round_up(m->n_outputs, GPT2I_LANES);
    size_t block_bytes = width * (sizeof(uint16_t) + GPT2I_Q_BLOCK * BITS / 8);

    return (struct q_panel){width, block_bytes, m->n_blocks * block_bytes};
}

/*
 * Where weights lie that are wanted soon after those at 'offset': in the panel, or in the next one, or past
 * that if it is short, where fetching does no harm.
 */
TARGET_INLINE const char *q_ahead(const struct gpt2i_quantised_matmul *m, size_t offset,
                                  size_t panel_bytes)
{
    size_t ahead = offset + Q_FETCH_BYTES;

    if (ahead < panel_bytes)
        return (const char *)m->w + ahead;
    return m->next == NULL ? m->w : (const char *)m->next + (ahead - panel_bytes);
}

/* The 8 / BITS fours of weights of each output that 'quads' has. */
TARGET_INLINE void q_unpack(q_weights *weights, size_t stride, const char *quads, q_table table,
                            const size_t BITS)
{
    q_quads raw = q_load(quads);

    if (BITS == 8) {
        weights[0] = q_weights_of(raw);
    } else {
        weights[0] = q_weights_of(q_low(table, raw));
        weights[stride] = q_weights_of(q_high(table, raw));
    }
}

/*
 * One register tile: R rows by G groups from (row, group) on, blocks [block, end); the last group keeps
 * n_last lanes.  'widened' has the weights of these blocks, [k / 4][groups of the panel], where WIDENED.
 * R, G, BITS, FETCHES and WIDENED are constants where this is inlined.
 */
TARGET_INLINE void q_tile(const struct gpt2i_quantised_matmul *m, size_t row, size_t group,
                          size_t block, size_t end, const size_t R, const size_t G, size_t n_last,
                          const size_t BITS, const bool FETCHES, const bool WIDENED)
{
    const struct q_panel panel = q_panel_of(m, BITS);
    const char *w = (const char *)m->w + block * panel.block_bytes;
    const q_weights *widened = WIDENED ? (const q_weights *)m->widened + group : NULL;
    const size_t x_stride = m->x_stride_bytes / sizeof(struct q_inputs);
    const struct q_inputs *x = (const struct q_inputs *)m->x + row * x_stride + block;
    float *y = m->y + row * m->y_stride + group * GPT2I_LANES;
    q_table table = q_load_table(m->table);
    v16 totals[Q_MAX_SUMS]; /* [R][G] */

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
        Q_UNROLL_QUADS
        for (size_t quad = 0; quad < Q_QUADS; quad += 8 / BITS) {
            q_weights w_k[2 * Q_MAX_GROUPS]; /* [8 / BITS][G] */

            UNROLL
            for (size_t g = 0; g < G; g++) {
                if (FETCHES)
                    GPT2I_FETCH_SOON(ahead + g * GPT2I_LANES * 4);
                if (!WIDENED)
                    q_unpack(w_k + g, G, quads + g * GPT2I_LANES * 4, table, BITS);
            }
            UNROLL
            for (size_t i = 0; i < 8 / BITS; i++) {
                if (WIDENED) {
                    UNROLL
                    for (size_t g = 0; g < G; g++)
                        w_k[i * G + g] = widened[g];
                    widened += panel.width / GPT2I_LANES;
                }
                UNROLL
                for (size_t r = 0; r < R; r++) {
                    q_input x_k = q_input_of(x[r * x_stride].q + (quad + i) * 4);

                    UNROLL
                    for (size_t g = 0; g < G; g++)
                        sums[r * G + g] = q_dot(sums[r * G + g], w_k[i * G + g], x_k);
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
        add_floats(y + r * m->y_stride, m->bias + group * GPT2I_LANES,
                   (G - 1) * GPT2I_LANES + n_last);
}

/* All groups of R rows from 'row' on, G at a time, then one by one. */
TARGET_INLINE void q_rows(const struct gpt2i_quantised_matmul *m, size_t row, size_t block,
                          size_t end, const size_t R, const size_t G, const size_t BITS,
                          const bool WIDENED)
{
    size_t n_groups = gpt2i_ceil_div(m->n_outputs, GPT2I_LANES);
    size_t group = 0;

    for (; group + G <= n_groups; group += G)
        q_tile(m, row, group, block, end, R, G,
               gpt2i_min(m->n_outputs - (group + G - 1) * GPT2I_LANES, GPT2I_LANES), BITS, R == 1,
               WIDENED);
    for (; G > 1 && group < n_groups; group++)
        q_tile(m, row, group, block, end, R, 1,
               gpt2i_min(m->n_outputs - group * GPT2I_LANES, GPT2I_LANES), BITS, R == 1, WIDENED);
}

/* Functions for each tile size, so that each has the registers to itself. */
#define DEFINE_Q_ROWS_AS(name, R, G, BITS, WIDENED)                                           \
    static TARGET __attribute__((noinline)) void name(const struct gpt2i_quantised_matmul *m, \
                                                      size_t row, size_t block, size_t end)   \
    {                                                                                         \
        q_rows(m, row, block, end, R, G, BITS, WIDENED);                                      \
    }
#define DEFINE_Q_ROWS(R, G)                                 \
    DEFINE_Q_ROWS_AS(OF_SET(q8_##R##_rows), R, G, 8, false) \
    DEFINE_Q_ROWS_AS(OF_SET(q4_##R##_rows), R, G, 4, false)
Q_TILES(DEFINE_Q_ROWS)

#define RUN_ROWS(function, R)          \
    if (n_left >= R) {                 \
        function(m, row, block, next); \
        row += R;                      \
        continue;                      \
    }
#define RUN_Q8_ROWS(R, G) RUN_ROWS(OF_SET(q8_##R##_rows), R)
#define RUN_Q4_ROWS(R, G) RUN_ROWS(OF_SET(q4_##R##_rows), R)

/* All rows, n_together blocks after the other; prepare(m, block, next) comes before them. */
#define DEFINE_MATMUL(name, n_together, prepare, RUN)                      \
    static TARGET void name(const struct gpt2i_quantised_matmul *m)        \
    {                                                                      \
        for (size_t block = 0; block < m->n_blocks; block += n_together) { \
            size_t next = gpt2i_min(block + n_together, m->n_blocks);      \
                                                                           \
            prepare(m, block, next);                                       \
            for (size_t row = 0; row < m->n_rows;) {                       \
                size_t n_left = m->n_rows - row;                           \
                                                                           \
                Q_TILES(RUN)                                               \
            }                                                              \
        }                                                                  \
    }
#define PREPARE_NOTHING(m, block, next) ((void)0)

#ifndef Q_WIDENS
DEFINE_MATMUL(OF_SET(matmul_q8), Q_BLOCKS_TOGETHER, PREPARE_NOTHING, RUN_Q8_ROWS)
DEFINE_MATMUL(OF_SET(matmul_q4), Q_BLOCKS_TOGETHER, PREPARE_NOTHING, RUN_Q4_ROWS)
#else
DEFINE_MATMUL(q8_plain, Q_BLOCKS_TOGETHER, PREPARE_NOTHING, RUN_Q8_ROWS)
DEFINE_MATMUL(q4_plain, Q_BLOCKS_TOGETHER, PREPARE_NOTHING, RUN_Q4_ROWS)

#define Q_WIDEN_ROWS 20 /* rows from which on it pays to widen the weights first */

/* Blocks of a panel of GPT2I_Q_OUTPUTS that the workspace holds. */
#define Q_WIDENED_BLOCKS \
    (GPT2I_Q_WORKSPACE / (GPT2I_Q_OUTPUTS / GPT2I_LANES * Q_QUADS * sizeof(q_weights)))

/* Puts the weights of blocks [block, end) into the workspace, as q_tile() takes them. */
TARGET_INLINE void q_widen(const struct gpt2i_quantised_matmul *m, size_t block, size_t end,
                           const size_t BITS)
{
    const struct q_panel panel = q_panel_of(m, BITS);
    const size_t n_groups = panel.width / GPT2I_LANES;
    q_table table = q_load_table(m->table);
    q_weights *to = m->widened;

    for (; block < end; block++) {
        const char *quads =
            (const char *)m->w + block * panel.block_bytes + panel.width * sizeof(uint16_t);

        for (size_t quad = 0; quad < Q_QUADS; quad += 8 / BITS, to += 8 / BITS * n_groups) {
            for (size_t g = 0; g < n_groups; g++, quads += GPT2I_LANES * 4)
                q_unpack(to + g, n_groups, quads, table, BITS);
        }
    }
}

#define DEFINE_WIDENED_ROWS(R, G)                                  \
    DEFINE_Q_ROWS_AS(OF_SET(widened_q8_##R##_rows), R, G, 8, true) \
    DEFINE_Q_ROWS_AS(OF_SET(widened_q4_##R##_rows), R, G, 4, true)
Q_TILES(DEFINE_WIDENED_ROWS)

#define WIDEN_Q8(m, block, next)  q_widen(m, block, next, 8)
#define WIDEN_Q4(m, block, next)  q_widen(m, block, next, 4)
#define RUN_WIDENED_Q8_ROWS(R, G) RUN_ROWS(OF_SET(widened_q8_##R##_rows), R)
#define RUN_WIDENED_Q4_ROWS(R, G) RUN_ROWS(OF_SET(widened_q4_##R##_rows), R)
DEFINE_MATMUL(q8_widened, Q_WIDENED_BLOCKS, WIDEN_Q8, RUN_WIDENED_Q8_ROWS)
DEFINE_MATMUL(q4_widened, Q_WIDENED_BLOCKS, WIDEN_Q4, RUN_WIDENED_Q4_ROWS)

static TARGET void OF_SET(matmul_q8)(const struct gpt2i_quantised_matmul *m)
{
    if (m->widened != NULL && m->n_rows >= Q_WIDEN_ROWS)
        q8_widened(m);
    else
        q8_plain(m);
}

static TARGET void OF_SET(matmul_q4)(const struct gpt2i_quantised_matmul *m)
{
    if (m->widened != NULL && m->n_rows >= Q_WIDEN_ROWS)
        q4_widened(m);
    else
        q4_plain(m);
}
#endif

void OF_SET(gpt2i_quantised_add)(struct gpt2i_kernels *kernels)
{
    kernels->name = SET_TEXT;
    kernels->input_block_bytes = sizeof(struct q_inputs);
    kernels->quantise = OF_SET(quantise);
    kernels->matmul_q8 = OF_SET(matmul_q8);
    kernels->matmul_q4 = OF_SET(matmul_q4);
}
