/*
 * widen.c: F32, F16 and BF16 to float.
 */
#include "widen.h"
#include "half.h"

size_t gpt2i_type_bytes(int32_t type)
{
    return type == GPT2_TYPE_F32 ? 4 : 2;
}

void gpt2i_widen(float *buffer, int32_t type, size_t n)
{
    size_t type_bytes = gpt2i_type_bytes(type);
    const unsigned char *from = (const unsigned char *)buffer + n * (sizeof(float) - type_bytes);

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (type == GPT2_TYPE_F32)
        return; /* they are floats already */
#endif
    /* in place: element i is read before the write of float i can reach it */
    for (size_t i = 0; i < n; i++, from += type_bytes) {
        if (type == GPT2_TYPE_F32)
            buffer[i] = gpt2i_float_of_bits(gpt2i_load_le32(from));
        else if (type == GPT2_TYPE_F16)
            buffer[i] = gpt2i_float_of_half(gpt2i_load_le16(from));
        else
            buffer[i] = gpt2i_float_of_bits((uint32_t)gpt2i_load_le16(from) << 16);
    }
}
