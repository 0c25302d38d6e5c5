/*
 * figures.c: the names of all figures of `gpt2 bench`, in the order of its output.
 */
#include <string.h>

#include "measure.h"

void name_figures(struct measurements *results)
{
    static const struct figure all[N_FIGURES] = {
        {.work = WORK_PREFILL, .n = 128, .key = "prefill_128", .label = "prefill of 128 tokens"},
        {.work = WORK_PREFILL, .n = 512, .key = "prefill_512", .label = "prefill of 512"},
        {.work = WORK_PREFILL, .n = 1000, .key = "prefill_1000", .label = "prefill of 1000"},
        {.work = WORK_SCORE, .n = 1000, .key = "score_1000", .label = "score of 1000 tokens"},
        /* while the text is long */
        {.work = WORK_DECODE, .n = 895, .key = "decode_895", .label = "decode at position 895"},
        {.work = WORK_DECODE, .n = 0, .key = "decode_0", .label = "decode at position 0"},
        {.work = WORK_BATCH, .n = 1, .key = "batch_1", .label = "batch of 1 text"},
        {.work = WORK_BATCH, .n = 4, .key = "batch_4", .label = "batch of 4"},
        {.work = WORK_BATCH, .n = 8, .key = "batch_8", .label = "batch of 8"},
        {.work = WORK_BATCH, .n = 16, .key = "batch_16", .label = "batch of 16"},
        {.work = WORK_BATCH, .n = 32, .key = "batch_32", .label = "batch of 32"},
    };

    static const struct row_figure rows[N_ROW_KINDS] = {
        [ROW_ARGMAX] = {.key = "argmax", .label = "draw of the likeliest"},
        [ROW_TEMPERATURE] = {.key = "draw", .label = "draw from all tokens"},
        [ROW_TOP_P] = {.key = "draw_top_k_top_p", .label = "draw, top-k and top-p"},
        [ROW_SCORE] = {.key = "score_row", .label = "score of a row"},
    };

    static const struct comparison pairs[N_PAIRS] = {
        [PAIR_LENGTHS] = {.key = "random_lengths_32", .label = "32 texts of random lengths"},
        [PAIR_TOGETHER] = {.key = "prefill_512_with_32", .label = "prefill of 512 with 32"},
        [PAIR_CACHE] = {.key = "f16_cache_895", .label = "32 texts, f16 cache"},
    };

    memcpy(results->figures, all, sizeof all);
    memcpy(results->rows, rows, sizeof rows);
    memcpy(results->comparisons, pairs, sizeof pairs);
}
