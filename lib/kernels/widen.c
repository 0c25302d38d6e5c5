/*
 * widen.c: the types of files to float, and back.
 */
#include "widen.h"
#include "ggml.h"
#include "half.h"

#include <math.h>

static const struct {
    uint16_t n; /* elements */
    uint16_t n_bytes;
} blocks[] = {
    [GPT2_TYPE_F32] = {1, 4},
    [GPT2_TYPE_F16] = {1, 2},
    [GPT2_TYPE_BF16] = {1, 2},
    [GPT2_TYPE_Q8] = {GPT2I_GGML_BLOCK, 34},
    [GPT2_TYPE_Q4] = {GPT2I_GGML_BLOCK, 18},
    [GPT2_TYPE_F64] = {1, 8},
    [GPT2_TYPE_Q4_0] = {GPT2I_GGML_BLOCK, 18},
    [GPT2_TYPE_Q4_1] = {GPT2I_GGML_BLOCK, 20},
    [GPT2_TYPE_Q5_0] = {GPT2I_GGML_BLOCK, 22},
    [GPT2_TYPE_Q5_1] = {GPT2I_GGML_BLOCK, 24},
    [GPT2_TYPE_Q4_K] = {GPT2I_GGML_SUPER, 144},
    [GPT2_TYPE_Q5_K] = {GPT2I_GGML_SUPER, 176},
    [GPT2_TYPE_Q6_K] = {GPT2I_GGML_SUPER, 210},
};

size_t gpt2i_type_block(int32_t type)
{
    return blocks[type].n;
}

size_t gpt2i_type_bytes(int32_t type)
{
    return blocks[type].n_bytes;
}

static float float_of_f64(const unsigned char *element)
{
    uint64_t bits = gpt2i_load_le64(element);
    double x;

    memcpy(&x, &bits, sizeof x);
    return (float)x;
}

unsigned char *gpt2i_widen_place(float *buffer, int32_t type, size_t n)
{
    return (unsigned char *)buffer +
           (type == GPT2_TYPE_F64 ? 0 : n * sizeof(float) - gpt2i_type_size(type, n));
}

/* In place: the floats of a block end before the next block begins. */
static void widen_blocks(float *to, int32_t type, const unsigned char *from, size_t n)
{
    size_t n_block = gpt2i_type_block(type);
    size_t n_bytes = gpt2i_type_bytes(type);
    unsigned char block[GPT2I_GGML_BYTES];

    for (size_t i = 0; i < n; i += n_block, from += n_bytes) {
        memcpy(block, from, n_bytes);
        gpt2i_ggml_widen(to + i, type, block);
    }
}

void gpt2i_widen(float *buffer, int32_t type, size_t n)
{
    size_t type_bytes = gpt2i_type_bytes(type);
    const unsigned char *from = gpt2i_widen_place(buffer, type, n);

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (type == GPT2_TYPE_F32)
        return; /* they are floats already */
#endif
    if (gpt2i_type_block(type) > 1) {
        widen_blocks(buffer, type, from, n);
        return;
    }
    /* in place: element i is read before the write of float i can reach it */
    for (size_t i = 0; i < n; i++, from += type_bytes) {
        if (type == GPT2_TYPE_F32)
            buffer[i] = gpt2i_float_of_bits(gpt2i_load_le32(from));
        else if (type == GPT2_TYPE_F64)
            buffer[i] = float_of_f64(from);
        else if (type == GPT2_TYPE_F16)
            buffer[i] = gpt2i_float_of_half(gpt2i_load_le16(from));
        else
            buffer[i] = gpt2i_float_of_bf16(gpt2i_load_le16(from));
    }
}

size_t gpt2i_narrow(float *buffer, int32_t type, size_t n)
{
    unsigned char *to = (unsigned char *)buffer;
    size_t first_lost = n;

    for (size_t i = 0; i < n; i++, to += sizeof(uint16_t)) {
        float x = buffer[i];
        uint16_t half = type == GPT2_TYPE_F16 ? gpt2i_half_of_float(x) : gpt2i_bf16_of_float(x);
        uint16_t infinity = type == GPT2_TYPE_F16 ? 0x7c00 : 0x7f80;

        if ((half & 0x7fff) == infinity && isfinite(x) && first_lost == n)
            first_lost = i;
        memcpy(to, &half, sizeof half);
    }
    return first_lost;
}

void gpt2i_order_16(void *elements, size_t n)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    (void)elements;
    (void)n;
#else
    unsigned char *at = elements;

    for (size_t i = 0; i < n; i++, at += sizeof(uint16_t)) {
        uint16_t element = gpt2i_load_le16(at);

        memcpy(at, &element, sizeof element);
    }
#endif
}
