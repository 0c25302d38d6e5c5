/*
 * sequence.c: how far a text has come, and which of its rows have logits.
 */
#include "sequence.h"

void gpt2i_sequence_reset(struct gpt2i_sequence *sequence)
{
    memset(sequence, 0, sizeof *sequence);
}

void gpt2i_sequence_drop_rows(struct gpt2i_sequence *sequence)
{
    sequence->n_rows_kept = 0;
}

void gpt2i_sequence_append(struct gpt2i_sequence *sequence, size_t n_rows, size_t n_rows_kept)
{
    sequence->n_past += (int32_t)n_rows;
    sequence->n_rows = (int32_t)n_rows;
    sequence->n_rows_kept = (int32_t)n_rows_kept;
}

int32_t gpt2i_sequence_find_row(const struct gpt2i_sequence *sequence, int32_t row, size_t *kept,
                                int32_t *position, struct gpt2i_error *error)
{
    int32_t first_kept = sequence->n_rows - sequence->n_rows_kept;

    if (sequence->n_rows_kept == 0)
        return gpt2i_fail(error, GPT2_ERR_ROW,
                          "no logits are kept: the last forward asked for none, or it failed");
    if (row == GPT2_LAST_ROW)
        row = sequence->n_rows - 1;
    if (row < first_kept || row >= sequence->n_rows)
        return gpt2i_fail(error, GPT2_ERR_ROW,
                          "row is %d, the last forward kept the logits of rows %d to %d", row,
                          first_kept, sequence->n_rows - 1);
    *kept = (size_t)(row - first_kept);
    *position = sequence->n_past - (sequence->n_rows - 1 - row);
    return GPT2_OK;
}
