/*
 * textjson.c: jansson takes UTF-8 only, and tokens are bytes.
 */
#include "textjson.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The length of the UTF-8 character that begins at 'bytes', 0 if none does. */
static size_t character_length(const unsigned char *bytes, size_t n_bytes)
{
    unsigned char first = bytes[0], min = 0x80, max = 0xbf; /* of the second byte */
    size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || n > n_bytes)
        return 0;
    if (first == 0xe0)
        min = 0xa0; /* less would have a shorter form */
    else if (first == 0xed)
        max = 0x9f; /* more is a surrogate */
    else if (first == 0xf0)
        min = 0x90;
    else if (first == 0xf4)
        max = 0x8f; /* more is beyond U+10FFFF */
    for (size_t i = 1; i < n; i++) {
        if (bytes[i] < min || bytes[i] > max)
            return 0;
        min = 0x80;
        max = 0xbf;
    }
    return n;
}

json_t *json_text(const char *bytes, size_t n_bytes)
{
    json_t *json = json_stringn(bytes, n_bytes); /* NULL if it is no UTF-8 */
    char *text;
    size_t n = 0;

    if (json != NULL)
        return json;
    text = malloc(3 * n_bytes + 1);
    for (size_t i = 0; i < n_bytes && text != NULL;) {
        size_t length = character_length((const unsigned char *)bytes + i, n_bytes - i);

        memcpy(text + n, length > 0 ? bytes + i : "\xef\xbf\xbd", length > 0 ? length : 3);
        n += length > 0 ? length : 3;
        i += length > 0 ? length : 1;
    }
    json = text == NULL ? NULL : json_stringn(text, n);
    free(text);
    return json;
}

json_t *json_tokens_text(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                         const char *bytes, size_t n_bytes)
{
    size_t n;
    char *text;
    json_t *json = NULL;

    (void)gpt2_decode(tokenizer, ids, n_ids, NULL, 0, &n, NULL, 0);
    text = malloc(n + n_bytes + 1);
    if (text != NULL && gpt2_decode(tokenizer, ids, n_ids, text, n + 1, &n, NULL, 0) == GPT2_OK) {
        if (n_bytes > 0)
            memcpy(text + n, bytes, n_bytes);
        json = json_text(text, n + n_bytes);
    }
    free(text);
    return json;
}

json_t *json_token_text(const gpt2_tokenizer *tokenizer, int32_t id)
{
    static const char digits[] = "0123456789abcdef";
    const char *bytes = "";
    size_t n_bytes = 0;
    json_t *json;
    char *text, *end;

    (void)gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes);
    if (n_bytes == 0)
        return json_sprintf("token_id:%d", (int)id);
    json = memchr(bytes, '\0', n_bytes) == NULL ? json_stringn(bytes, n_bytes) : NULL;
    if (json != NULL)
        return json;
    end = text = malloc(6 + 4 * n_bytes);
    if (text == NULL)
        return NULL;
    memcpy(end, "bytes:", 6);
    end += 6;
    for (size_t i = 0; i < n_bytes; i++) {
        *end++ = '\\';
        *end++ = 'x';
        *end++ = digits[(unsigned char)bytes[i] >> 4];
        *end++ = digits[bytes[i] & 15];
    }
    json = json_stringn(text, (size_t)(end - text));
    free(text);
    return json;
}

json_t *json_finite(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

json_t *json_likeliest(const gpt2_token_logprob *likeliest, int n)
{
    json_t *array = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(array, json_pack("{si so}", "id", likeliest[i].id, "logprob",
                                               json_finite(likeliest[i].logprob)));
    return array;
}
