/*
 * widen.c: F32, F16 and BF16 to float.
 */
#include "widen.h"

size_t gpt2i_type_bytes(int32_t type)
{
    return type == GPT2_TYPE_F32 ? 4 : 2;
}

static float float_of_bits(uint32_t bits)
{
    float out;

    memcpy(&out, &bits, sizeof out);
    return out;
}

static float widen_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t magnitude = (uint32_t)(half & 0x7fffu) << 13;

    if ((half & 0x7c00u) == 0x7c00u) /* infinity, NaN */
        return float_of_bits(sign | 0x7f800000u | magnitude);
    if ((half & 0x7c00u) == 0) /* zero, denormal: a count of 2^-24 */
        return float_of_bits(sign | 0x3f800000u) * ((float)(half & 0x3ffu) * 0x1p-24f);
    return float_of_bits(sign | (magnitude + ((127u - 15u) << 23)));
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
            buffer[i] = float_of_bits(gpt2i_load_le32(from));
        else if (type == GPT2_TYPE_F16)
            buffer[i] = widen_f16(gpt2i_load_le16(from));
        else
            buffer[i] = float_of_bits((uint32_t)gpt2i_load_le16(from) << 16);
    }
}
