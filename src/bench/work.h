/*
 * work.h: what tokens need at least: bytes to read, operations, and the time for both on a machine.
 *
 * An operation is a multiplication or an addition of two floats.  How the library stores a model and
 * its texts is not known here: their bytes are what the library says that it needs.
 */
#ifndef WORK_H
#define WORK_H

#include <stdint.h>

#include <gpt2.h>

struct machine {
    double bytes_per_second; /* that it reads */
    double flops_per_second;
};

/* Bytes of the weights that one token needs: the model without the embeddings, because a token needs
   only one row of these. */
uint64_t token_bytes(const gpt2_model_info *info);

/* By how many bytes a session grows with each position, from half of n_ctx to n_ctx: keys and values,
   and little else. */
double position_bytes(const gpt2_model *model, int32_t n_ctx, int32_t kv_type);

/* Operations of a text of n tokens in one call, with the logits of the last. */
double prefill_flops(const gpt2_model_info *info, int32_t n);

/* Operations of a text of n tokens with the logits of each. */
double score_flops(const gpt2_model_info *info, int32_t n);

/*
 * Seconds of one call that runs a token for each of n_texts texts and gives the logits of each: at
 * least the larger of reading time and multiplying time, for the matrices and for attention.  The
 * weights are read once for all texts.  The keys and values of each text are read by that text alone.
 *
 *   kv_bytes      of the keys and values of one position of one text
 *   n_positions   how many positions before these tokens the texts have, all together
 */
double batch_seconds(const gpt2_model_info *info, double kv_bytes, int32_t n_texts,
                     double n_positions, const struct machine *machine);

#endif
