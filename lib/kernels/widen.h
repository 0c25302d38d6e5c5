/*
 * widen.h: the numbers of a file as floats.
 */
#ifndef GPT2I_WIDEN_H
#define GPT2I_WIDEN_H

#include "../base/common.h"

/* Bytes of one element of GPT2_TYPE_* in a file. */
GPT2I_HIDDEN size_t gpt2i_type_bytes(int32_t type);

/*
 * Widens n little-endian elements to float, exactly and in place: 'buffer' has room for n floats, and
 * the elements fill its last n * gpt2i_type_bytes(type) bytes.
 */
GPT2I_HIDDEN void gpt2i_widen(float *buffer, int32_t type, size_t n);

#endif
