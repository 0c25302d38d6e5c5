/*
 * widen.h: the numbers of a file as floats, and floats as numbers of 16 bits.
 */
#ifndef GPT2I_WIDEN_H
#define GPT2I_WIDEN_H

#include "../base/common.h"

/* How many elements make a block of GPT2_TYPE_* in a file, 1 if each stands alone, and its bytes. */
GPT2I_HIDDEN size_t gpt2i_type_block(int32_t type);
GPT2I_HIDDEN size_t gpt2i_type_bytes(int32_t type);

/* Bytes of n elements, whole blocks. */
static inline size_t gpt2i_type_size(int32_t type, size_t n)
{
    return n / gpt2i_type_block(type) * gpt2i_type_bytes(type);
}

/*
 * Where n elements as they are in a file must be for gpt2i_widen(): at the end of 'buffer', which has
 * room for n floats; of F64, for which it has room too, at its beginning.
 */
GPT2I_HIDDEN unsigned char *gpt2i_widen_place(float *buffer, int32_t type, size_t n);

/* Turns n elements into the first n floats of 'buffer', exactly; F64 by the rounding that is set. */
GPT2I_HIDDEN void gpt2i_widen(float *buffer, int32_t type, size_t n);

/*
 * Rounds n floats in place to F16 or BF16, to nearest even: 'buffer' then begins with n uint16_t.
 * Returns which is the first finite one that becomes infinite; n if none does.
 */
GPT2I_HIDDEN size_t gpt2i_narrow(float *buffer, int32_t type, size_t n);

/* Puts n little-endian elements of 16 bits into the machine's order of bytes, in place. */
GPT2I_HIDDEN void gpt2i_order_16(void *elements, size_t n);

#endif
