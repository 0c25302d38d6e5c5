/*
 * matmul_template.h: the matrix product with weights of one type.  kernels_template.h includes it once
 * for each type, and defines before:
 *
 *     W_TYPE           what the names of the functions end with
 *     W_ELEMENT        the C type of one weight in memory
 *     W_LOAD(w)        16 weights as floats, from 'const W_ELEMENT *w' at any alignment
 *     W_FETCH_STEPS    how many steps of k ahead the weights are fetched into the first cache
 *     W_WITHOUT_ROW    if defined: matmul_row_TYPE() is not wanted
 *     W_WIDENS         if defined: many rows widen the weights first; matmul_any_f32() is there
 *
 * It defines matmul_any_TYPE() and matmul_row_TYPE(), and undefines these again.
 */

#define JOIN(name, type)        OF_SET(name##_##type)
#define JOIN_VALUES(name, type) JOIN(name, type)
#define NAMED(name)             JOIN_VALUES(name, W_TYPE)

#define K_TOGETHER 64 /* a multiple of GPT2I_K_BLOCK */

/*
 * With fewer rows than this, memory is slower than the FMA units.  The weights that a tile needs
 * W_FETCH_STEPS later are then fetched from the second cache into the first, so that they do not queue
 * behind lines that come from memory.
 */
#define FEW_ROWS 20

/*
 * Cache lines of the weights that come after the present ones.  They are fetched into the second cache
 * evenly, 1, 2 or 4 lines a step, while the present weights are multiplied.  In bursts they would
 * delay the loads of the present ones.
 */
struct NAMED(fetch) {
    const char *lines;
    const char *end;
    size_t lines_a_step;
};

TARGET_INLINE void NAMED(fetch_step)(struct NAMED(fetch) * fetch)
{
    if (fetch->lines >= fetch->end)
        return;
    GPT2I_FETCH(fetch->lines);
    if (fetch->lines_a_step > 1) {
        GPT2I_FETCH(fetch->lines + 64);
        if (fetch->lines_a_step > 2) {
            GPT2I_FETCH(fetch->lines + 128);
            GPT2I_FETCH(fetch->lines + 192);
        }
    }
    fetch->lines += fetch->lines_a_step * 64;
}

/*
 * One register tile: R rows by G groups from (row, group) on, k in [k, end); the last group keeps
 * n_last lanes.  R, G, FETCHES and FEW (rows) are constants where this is inlined.
 */
TARGET_INLINE void NAMED(matmul_tile)(const struct gpt2i_matmul *m, size_t row, size_t group,
                                      size_t k, size_t end, const size_t R, const size_t G,
                                      size_t n_last, const bool FETCHES, const bool FEW,
                                      struct NAMED(fetch) fetch)
{
    const float *x = m->x + row * m->x_stride + k;
    const W_ELEMENT *w = (const W_ELEMENT *)m->w + group * GPT2I_LANES + k * m->w_stride;
    const size_t last = (G - 1) * GPT2I_LANES;
    float *y = m->y + row * m->y_stride + group * GPT2I_LANES;
    bool from_zero = k == 0 && !m->adds;

    do {
        size_t n_steps = gpt2i_min(end - k, GPT2I_K_BLOCK);
        v16 c[TILE_MAX_SUMS]; /* [R][G] */

        UNROLL
        for (size_t i = 0; i < R * G; i++)
            c[i] = v16_set1(0.0f);
        for (size_t step = 0; step < n_steps; step++) {
            v16 w_k[TILE_MAX_GROUPS];

            if (FETCHES && FEW) {
                UNROLL
                for (size_t i = 0; i < G * GPT2I_LANES; i += 64 / sizeof(W_ELEMENT))
                    GPT2I_FETCH_SOON(w + W_FETCH_STEPS * m->w_stride + i);
            }
            if (FETCHES)
                NAMED(fetch_step)(&fetch);
            UNROLL
            for (size_t g = 0; g < G; g++)
                w_k[g] = W_LOAD(w + g * GPT2I_LANES);
            UNROLL
            for (size_t r = 0; r < R; r++) {
                v16 x_k = v16_set1(x[r * m->x_stride]);

                UNROLL
                for (size_t g = 0; g < G; g++)
                    c[r * G + g] = v16_fma(x_k, w_k[g], c[r * G + g]);
            }
            x++;
            w += m->w_stride;
        }
        UNROLL
        for (size_t r = 0; r < R; r++) {
            float *y_r = y + r * m->y_stride;

            UNROLL
            for (size_t g = 0; g < G - 1; g++)
                add_to_total(y_r + g * GPT2I_LANES, GPT2I_LANES, from_zero, c[r * G + g]);
            add_to_total(y_r + last, n_last, from_zero, c[r * G + G - 1]);
        }
        from_zero = false;
        k += n_steps;
    } while (k < end);
    if (m->bias == NULL || end < m->n_k)
        return;
    for (size_t r = 0; r < R; r++)
        add_floats(y + r * m->y_stride, m->bias + group * GPT2I_LANES, last + n_last);
}

/*
 * A tile's share of the weights of the next K_TOGETHER steps.  After the last step those are the first
 * ones of m->next.
 */
TARGET_INLINE struct NAMED(fetch)
    NAMED(share_of_next)(const struct gpt2i_matmul *m, size_t row, size_t group, size_t k,
                         size_t end, const size_t R, const size_t G)
{
    const bool at_end = end == m->n_k;
    const W_ELEMENT *next = at_end ? m->next : (const W_ELEMENT *)m->w + end * m->w_stride;
    size_t n_k = gpt2i_min(at_end ? m->n_k : m->n_k - end, K_TOGETHER);
    size_t row_bytes = at_end ? m->next_row_bytes : m->w_stride * sizeof(W_ELEMENT);
    size_t n_lines = n_k * row_bytes / 64;
    size_t n_groups = gpt2i_ceil_div(m->n_outputs, GPT2I_LANES);
    size_t first = n_lines * (row * n_groups + R * group) / (m->n_rows * n_groups);
    size_t past = n_lines * (row * n_groups + R * (group + G)) / (m->n_rows * n_groups);
    struct NAMED(fetch) fetch = {NULL, NULL, gpt2i_ceil_div(past - first, end - k)};

    if (next == NULL)
        return fetch;
    fetch.lines = (const char *)next + first * 64;
    fetch.end = (const char *)next + past * 64;
    if (fetch.lines_a_step > 2)
        fetch.lines_a_step = 4;
    return fetch;
}

/* All groups of R rows from 'row' on, G at a time, then one by one. */
TARGET_INLINE void NAMED(matmul_rows)(const struct gpt2i_matmul *m, size_t row, size_t k,
                                      size_t end, const size_t R, const size_t G,
                                      const bool FETCHES, const bool FEW)
{
    size_t n_groups = gpt2i_ceil_div(m->n_outputs, GPT2I_LANES);
    size_t group = 0;

    for (; group + G <= n_groups; group += G)
        NAMED(matmul_tile)
    (m, row, group, k, end, R, G,
     gpt2i_min(m->n_outputs - (group + G - 1) * GPT2I_LANES, GPT2I_LANES), FETCHES, FEW,
     NAMED(share_of_next)(m, row, group, k, end, R, G));
    for (; G > 1 && group < n_groups; group++)
        NAMED(matmul_tile)
    (m, row, group, k, end, R, 1, gpt2i_min(m->n_outputs - group * GPT2I_LANES, GPT2I_LANES),
     FETCHES, FEW, NAMED(share_of_next)(m, row, group, k, end, R, 1));
}

/* Functions for each tile size, so that each has the registers to itself. */
#define DEFINE_MATMUL_ROWS(R, G)                                           \
    static TARGET __attribute__((noinline)) void NAMED(matmul_##R##_rows)( \
        const struct gpt2i_matmul *m, size_t row, size_t k, size_t end)    \
    {                                                                      \
        NAMED(matmul_rows)(m, row, k, end, R, G, true, false);             \
    }
#define DEFINE_MATMUL_FEW(R, G)                                           \
    static TARGET __attribute__((noinline)) void NAMED(matmul_##R##_few)( \
        const struct gpt2i_matmul *m, size_t row, size_t k, size_t end)   \
    {                                                                     \
        NAMED(matmul_rows)(m, row, k, end, R, G, true, true);             \
    }
TILES(DEFINE_MATMUL_ROWS)
TILES(DEFINE_MATMUL_FEW)
EVEN_TILES(DEFINE_MATMUL_FEW)

/* All rows, with k in [k, end). */
TARGET_INLINE void NAMED(matmul_all_rows)(const struct gpt2i_matmul *m, size_t k, size_t end)
{
    const bool few = m->n_rows < FEW_ROWS;
    size_t row = 0;

    while (row < m->n_rows) {
        size_t n_left = m->n_rows - row;

#define RUN_EVEN_ROWS(R, G)                      \
    if (few && n_left % R == 0) {                \
        NAMED(matmul_##R##_few)(m, row, k, end); \
        row += R;                                \
        continue;                                \
    }
#define RUN_MATMUL_ROWS(R, G)                         \
    if (n_left >= R) {                                \
        if (few)                                      \
            NAMED(matmul_##R##_few)(m, row, k, end);  \
        else                                          \
            NAMED(matmul_##R##_rows)(m, row, k, end); \
        row += R;                                     \
        continue;                                     \
    }
        EVEN_TILES(RUN_EVEN_ROWS)
        TILES(RUN_MATMUL_ROWS)
    }
}

#ifdef W_WIDENS
/* Widens GPT2I_K_BLOCK steps of k at a time: a tile would widen the weights again for its few rows. */
static TARGET void NAMED(matmul_widened)(const struct gpt2i_matmul *m)
{
    const W_ELEMENT *w = m->w;
    struct gpt2i_matmul part = *m;

    part.w = m->widened;
    part.w_stride = gpt2i_round_up(m->n_outputs, GPT2I_LANES);
    for (size_t k = 0; k < m->n_k; k += GPT2I_K_BLOCK) {
        float *to = m->widened;

        part.x = m->x + k;
        part.n_k = gpt2i_min(GPT2I_K_BLOCK, m->n_k - k);
        part.adds = m->adds || k > 0;
        for (size_t i = 0; i < part.n_k; i++, w += m->w_stride, to += part.w_stride) {
            for (size_t o = 0; o < part.w_stride; o += GPT2I_LANES)
                v16_store(to + o, W_LOAD(w + o));
        }
        if (k + part.n_k < m->n_k) {
            part.next = w;
            part.next_row_bytes = m->w_stride * sizeof(W_ELEMENT);
            part.bias = NULL;
        } else {
            part.next = m->next;
            part.next_row_bytes = m->next_row_bytes;
            part.bias = m->bias;
        }
        OF_SET(matmul_any_f32)(&part);
    }
}
#endif

/* K_TOGETHER steps of k at a time, so that their weights stay in the second cache for all rows. */
static TARGET void NAMED(matmul_any)(const struct gpt2i_matmul *m)
{
    size_t k = 0;

#ifdef W_WIDENS
    if (m->widened != NULL && m->n_rows >= FEW_ROWS) {
        NAMED(matmul_widened)(m);
        return;
    }
#endif
    do {
        size_t end = gpt2i_min(k + K_TOGETHER, m->n_k);

        NAMED(matmul_all_rows)(m, k, end);
        k = end;
    } while (k < m->n_k);
}

#ifndef W_WITHOUT_ROW
/* One row where fetching does not pay.  It reads the weights once: nothing is kept in a cache. */
static TARGET void NAMED(matmul_row)(const struct gpt2i_matmul *m)
{
    NAMED(matmul_rows)(m, 0, 0, m->n_k, 1, TILE_MAX_GROUPS, false, false);
}
#endif

#undef JOIN
#undef JOIN_VALUES
#undef NAMED
#undef K_TOGETHER
#undef FEW_ROWS
#undef DEFINE_MATMUL_ROWS
#undef DEFINE_MATMUL_FEW
#undef RUN_MATMUL_ROWS
#undef RUN_EVEN_ROWS
#undef W_TYPE
#undef W_ELEMENT
#undef W_LOAD
#undef W_FETCH_STEPS
#undef W_WITHOUT_ROW
#undef W_WIDENS
