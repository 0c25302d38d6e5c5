/*
 * ggml.h: the numbers that blocks of ggml's quantised types stand for.
 */
#ifndef GPT2I_GGML_H
#define GPT2I_GGML_H

#include "../base/common.h"

#define GPT2I_GGML_BLOCK 32  /* elements of a block, */
#define GPT2I_GGML_SUPER 256 /* and of one of a _K type */

#define GPT2I_GGML_BYTES 210 /* the largest block */

/* The floats of one block of GPT2_TYPE_*: the numbers of ggml's own code, bit by bit. */
GPT2I_HIDDEN void gpt2i_ggml_widen(float *to, int32_t type, const unsigned char *block);

#endif
