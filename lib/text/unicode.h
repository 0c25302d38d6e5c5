/*
 * unicode.h: UTF-8, and the four classes of characters that GPT-2's pattern distinguishes.
 *
 * Text may be any bytes.  A byte at which no well-formed UTF-8 sequence begins (Unicode, table 3-7)
 * is a character by itself, of the class "other"; the next byte is looked at afresh.
 */
#ifndef GPT2I_UNICODE_H
#define GPT2I_UNICODE_H

#include "../base/common.h"

enum gpt2i_class {
    GPT2I_OTHER,  /* all that is none of the following, ill-formed bytes included */
    GPT2I_LETTER, /* \p{L}: the general categories Lu, Ll, Lt, Lm, Lo */
    GPT2I_NUMBER, /* \p{N}: Nd, Nl, No */
    GPT2I_SPACE   /* \s: the property White_Space */
};

/* The classes of ASCII, of Unicode like all others. */
GPT2I_HIDDEN_TABLE extern const uint8_t gpt2i_ascii_class[128];

/*
 * The length of the well-formed sequence at the beginning of bytes[n_bytes], and its code point;
 * 0 if there is none.
 */
GPT2I_HIDDEN size_t gpt2i_utf8_read(const unsigned char *bytes, size_t n_bytes,
                                    uint32_t *code_point);

/*
 * How many bytes at the end of bytes[n_bytes] begin a well-formed sequence that more bytes would
 * complete: 0 to 3.
 */
GPT2I_HIDDEN size_t gpt2i_utf8_unfinished(const unsigned char *bytes, size_t n_bytes);

/* The length of the last character of bytes[n_bytes], n_bytes > 0, and its code point: UINT32_MAX for
   a byte that is no well-formed UTF-8. */
GPT2I_HIDDEN size_t gpt2i_utf8_last(const unsigned char *bytes, size_t n_bytes,
                                    uint32_t *code_point);

/* Whether a character belongs to words: \w as in Hugging Face's tokenizers. */
GPT2I_HIDDEN bool gpt2i_is_word(uint32_t code_point);

/* The class of a code point; Unicode 16.0. */
GPT2I_HIDDEN enum gpt2i_class gpt2i_class_of(uint32_t code_point);

/* The class of the character at the beginning of bytes[n_bytes], n_bytes > 0, and its length. */
static inline enum gpt2i_class gpt2i_class_at(const unsigned char *bytes, size_t n_bytes,
                                              size_t *length)
{
    uint32_t code_point;

    if (bytes[0] < 0x80) {
        *length = 1;
        return (enum gpt2i_class)gpt2i_ascii_class[bytes[0]];
    }
    *length = gpt2i_utf8_read(bytes, n_bytes, &code_point);
    if (*length == 0) {
        *length = 1;
        return GPT2I_OTHER;
    }
    return gpt2i_class_of(code_point);
}

#endif
