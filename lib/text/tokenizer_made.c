/*
 * tokenizer_made.c: a tokenizer.json that is made of a tokenizer in another format, and read.
 */
#include "tokenizer_made.h"
#include "tokenizer_build.h"
#include "tokenizer_json.h"

#include <inttypes.h>

void gpt2i_put_bytes(struct gpt2i_made_text *text, const char *bytes, size_t n)
{
    if (text->text != NULL)
        memcpy(text->text + text->length, bytes, n);
    text->length += n;
}

void gpt2i_put(struct gpt2i_made_text *text, const char *string)
{
    gpt2i_put_bytes(text, string, strlen(string));
}

void gpt2i_put_number(struct gpt2i_made_text *text, size_t number)
{
    char digits[20];
    size_t first = sizeof digits;

    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    gpt2i_put_bytes(text, digits + first, sizeof digits - first);
}

void gpt2i_put_string(struct gpt2i_made_text *text, const char *string, size_t length)
{
    size_t from = 0;

    gpt2i_put(text, "\"");
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)string[i];
        char escape[6] = {'\\', 'u', '0', '0', (char)('0' + c / 16), "0123456789abcdef"[c % 16]};

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        gpt2i_put_bytes(text, string + from, i - from);
        gpt2i_put_bytes(text, escape, sizeof escape);
        from = i + 1;
    }
    gpt2i_put_bytes(text, string + from, length - from);
    gpt2i_put(text, "\"");
}

static int32_t read_made_text(const char *path, const char *what,
                              const struct gpt2i_made_text *text, gpt2_tokenizer **tokenizer,
                              struct gpt2i_error *error)
{
    const gpt2_source source = {
        .name = GPT2I_TOKENIZER_NAME, .bytes = text->text, .n_bytes = text->length};
    const struct gpt2i_files files = {.list = &source, .n_list = 1};
    char line[GPT2_ERRBUF_BYTES];
    struct gpt2i_error inner = {line, sizeof line};
    int32_t status = gpt2i_tokenizer_read_json(&files, tokenizer, &inner);

    return status == GPT2_OK ? GPT2_OK
                             : gpt2i_fail(error, status, "%s: %s as %s", path, what, line);
}

int32_t gpt2i_tokenizer_read_made(const char *path, const char *what,
                                  void (*put_all)(struct gpt2i_made_text *text,
                                                  const void *context),
                                  const void *context, gpt2_tokenizer **tokenizer,
                                  struct gpt2i_error *error)
{
    struct gpt2i_made_text text = {NULL, 0};
    size_t n_bytes;
    int32_t status;

    put_all(&text, context);
    n_bytes = text.length;
    if (n_bytes > GPT2I_MAX_TOKENIZER_FILE_BYTES)
        return gpt2i_fail(error, GPT2_ERR_UNSUPPORTED,
                          "%s: its tokenizer has %zu bytes, wanted at most %" PRIu64
                          ", a limit of libgpt2",
                          path, n_bytes, GPT2I_MAX_TOKENIZER_FILE_BYTES);
    text.text = gpt2i_block_new(n_bytes);
    if (text.text == NULL)
        return gpt2i_fail(error, GPT2_ERR_MEMORY, "%s: no memory for %zu bytes of its tokenizer",
                          path, n_bytes);
    text.length = 0;
    put_all(&text, context);
    status = read_made_text(path, what, &text, tokenizer, error);
    gpt2i_block_free(text.text, n_bytes);
    return status;
}
