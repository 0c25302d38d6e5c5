/*
 * unicode.c: reading UTF-8 and looking up classes.  The tables are made by scripts, see
 * unicode_tables.h and word_table.h.
 */
#include "unicode.h"
#include "unicode_tables.h"
#include "word_table.h"

#define S GPT2I_SPACE
#define L GPT2I_LETTER
#define N GPT2I_NUMBER

/* clang-format off */
const uint8_t gpt2i_ascii_class[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S, S, 0, 0, /* \t \n \v \f \r */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    N, N, N, N, N, N, N, N, N, N, 0, 0, 0, 0, 0, 0,
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, 0,
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, 0,
};
/* clang-format on */

#undef S
#undef L
#undef N

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t gpt2i_utf8_read(const unsigned char *bytes, size_t n_bytes, uint32_t *code_point)
{
    unsigned char lead;

    if (n_bytes == 0)
        return 0;
    lead = bytes[0];
    if (lead < 0x80) {
        *code_point = lead;
        return 1;
    }
    if (n_bytes < 2 || !is_continuation(bytes[1]) || lead < 0xc2 || lead > 0xf4)
        return 0;
    if (lead < 0xe0) {
        *code_point = (uint32_t)(lead & 0x1f) << 6 | (bytes[1] & 0x3f);
        return 2;
    }
    if (n_bytes < 3 || !is_continuation(bytes[2]))
        return 0;
    if (lead < 0xf0) {
        uint32_t value =
            (uint32_t)(lead & 0x0f) << 12 | (uint32_t)(bytes[1] & 0x3f) << 6 | (bytes[2] & 0x3f);

        if (value < 0x800 || (value >= 0xd800 && value < 0xe000)) /* overlong, surrogate */
            return 0;
        *code_point = value;
        return 3;
    }
    if (n_bytes < 4 || !is_continuation(bytes[3]))
        return 0;
    *code_point = (uint32_t)(lead & 0x07) << 18 | (uint32_t)(bytes[1] & 0x3f) << 12 |
                  (uint32_t)(bytes[2] & 0x3f) << 6 | (bytes[3] & 0x3f);
    return *code_point < 0x10000 || *code_point > 0x10ffff ? 0 : 4;
}

size_t gpt2i_utf8_unfinished(const unsigned char *bytes, size_t n_bytes)
{
    unsigned char whole[4] = {0, 0x80, 0x80, 0x80};
    uint32_t code_point;
    size_t n = 1, wanted;

    while (n < 3 && n < n_bytes && is_continuation(bytes[n_bytes - n]))
        n++;
    if (n > n_bytes)
        return 0;
    memcpy(whole, bytes + n_bytes - n, n);
    if (whole[0] < 0xc2 || whole[0] > 0xf4)
        return 0;
    wanted = whole[0] < 0xe0 ? 2 : whole[0] < 0xf0 ? 3 : 4;
    if (n >= wanted)
        return 0;
    /* after a valid second byte any continuation byte is valid: 0x80 stands for it */
    return n == 1 || gpt2i_utf8_read(whole, sizeof whole, &code_point) == wanted ? n : 0;
}

size_t gpt2i_utf8_last(const unsigned char *bytes, size_t n_bytes, uint32_t *code_point)
{
    for (size_t n = 1; n <= 4 && n <= n_bytes; n++) {
        if (gpt2i_utf8_read(bytes + n_bytes - n, n, code_point) == n)
            return n;
    }
    *code_point = UINT32_MAX;
    return 1;
}

bool gpt2i_is_word(uint32_t code_point)
{
    size_t low = 0,
           high = GPT2I_N_WORD_RANGES; /* the first range that ends at code_point or later */

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (word_ranges[middle][1] < code_point)
            low = middle + 1;
        else
            high = middle;
    }
    return low < GPT2I_N_WORD_RANGES && word_ranges[low][0] <= code_point;
}

enum gpt2i_class gpt2i_class_of(uint32_t code_point)
{
    uint32_t block, at;

    if (code_point >= GPT2I_UNICODE_LIMIT)
        return GPT2I_OTHER;
    block = unicode_index[code_point >> GPT2I_UNICODE_SHIFT];
    at = code_point & ((1u << GPT2I_UNICODE_SHIFT) - 1);
    return (enum gpt2i_class)(unicode_blocks[4 * block + at / 32] >> (2 * (at % 32)) & 3);
}
