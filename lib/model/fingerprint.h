/*
 * fingerprint.h: a number that tells models apart.
 */
#ifndef GPT2I_FINGERPRINT_H
#define GPT2I_FINGERPRINT_H

#include "model.h"

/*
 * A checksum of all hyper-parameters and weights that logits depend on.  Files of different formats
 * that hold the same numbers have the same, if the weights have the same types in memory.  Reads all
 * weights.
 */
GPT2I_HIDDEN uint64_t gpt2i_fingerprint(const gpt2_model *model);

#endif
