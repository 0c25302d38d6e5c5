/*
 * checkpoint_file.h: builds nanoGPT's ckpt.pt and llm.c's files from the model.safetensors of a directory.
 *
 * What goes wrong in here fails the cmocka test that called.
 */
#ifndef CHECKPOINT_FILE_H
#define CHECKPOINT_FILE_H

#include "pytorch_file.h"

/*
 * A checkpoint, with an optimizer's state beside the model; its names begin with 'prefix', and one size
 * can be left out.
 */
void checkpoint_nanogpt(struct bytes *file, const struct tiny_model *tiny, const char *prefix,
                        const char *without);

/* The numbers of llm.c's header. */
enum {
    LLMC_MAGIC,
    LLMC_VERSION,
    LLMC_POSITIONS,
    LLMC_VOCAB,
    LLMC_LAYER,
    LLMC_HEAD,
    LLMC_EMBD,
    LLMC_VOCAB_PADDED,
    LLMC_NUMBERS
};

/* F32 or BF16, by the type of 'tiny', whose prefix is none; 'n_padding' rows of wte are NaN. */
void checkpoint_llmc(struct bytes *file, const struct tiny_model *tiny, uint32_t n_padding);

#endif
