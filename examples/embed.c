/*
 * embed.c: a program with its model inside, which opens no file.
 *
 *     gpt2 convert -m MODEL -o model.safetensors            (a native file: all of a model in one)
 *     cc -O2 -static -DMODEL='"model.safetensors"' embed.c gpt2.c -lm -pthread
 *     ./a.out "Once upon a time"
 *
 * gpt2.c and gpt2.h come from `make amalgamation`; libgpt2.a does instead of gpt2.c.  The model is used
 * where it lies in the program: it opens in milliseconds, and no weight is copied.  With the demo model
 * the program has 4.2 MB: 2.6 of the model, 0.75 of libgpt2, the rest is libc.
 * gcc and clang know .incbin; .rodata is what ELF calls its constants (Linux, the BSDs).
 */
#include <gpt2.h>
#include <stdio.h>
#include <string.h>

__asm__(".section .rodata\n"
        ".balign 64\n" /* as a native file wants, to be used where it is */
        "model_begin: .incbin \"" MODEL "\"\n"
        "model_end:\n"
        ".text\n");
extern const unsigned char model_begin[], model_end[];

int main(int argc, char **argv)
{
    gpt2_source file = {"native.safetensors", model_begin, 0, NULL, NULL};
    int32_t ids[256];
    size_t n_ids;
    int32_t status;
    char line[GPT2_ERRBUF_BYTES] = "";
    gpt2_model_params params;
    gpt2_sample_params sampling;
    gpt2_model *model;
    gpt2_encoder *encoder = NULL;
    gpt2_session *session = NULL;
    gpt2_generator *generator = NULL;
    gpt2_generated step = {0};

    if (argc != 2) {
        fprintf(stderr, "usage: embed TEXT\n");
        return 2;
    }
    file.n_bytes = (uint64_t)(model_end - model_begin);
    gpt2_model_params_init(&params, sizeof params);
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    if (gpt2_model_load_sources(&file, 1, &params, &model) != GPT2_OK) {
        fprintf(stderr, "embed: %s\n", line);
        return 1;
    }
    status = gpt2_encoder_create(gpt2_model_tokenizer(model), NULL, &encoder);
    if (status == GPT2_OK)
        status = gpt2_session_create(model, NULL, &session);
    if (status == GPT2_OK)
        status = gpt2_generator_create(session, NULL, &generator);
    if (status == GPT2_OK)
        status = gpt2_encode(encoder, argv[1], strlen(argv[1]), 0, ids, 256, &n_ids);
    if (status == GPT2_OK && n_ids == 0) /* an empty text begins with <|endoftext|> */
        ids[n_ids++] = gpt2_tokenizer_eot(gpt2_model_tokenizer(model));
    gpt2_sample_params_init(&sampling, sizeof sampling);
    sampling.temperature = 0.8f;
    sampling.top_k = 40;
    if (status == GPT2_OK)
        status = gpt2_generator_start(generator, 0, ids, n_ids, 50, &sampling);
    printf("%s", argv[1]);
    while (status == GPT2_OK && step.finish == GPT2_FINISH_NOT_YET) {
        status = gpt2_generator_step(&generator, 1, &step);
        if (status == GPT2_OK)
            fwrite(step.text, 1, step.n_bytes, stdout);
    }
    printf("\n");
    if (status != GPT2_OK)
        fprintf(stderr, "embed: %s\n", gpt2_strerror(status));
    gpt2_generator_free(generator);
    gpt2_session_free(session);
    gpt2_encoder_free(encoder);
    gpt2_model_free(model);
    return status != GPT2_OK;
}
