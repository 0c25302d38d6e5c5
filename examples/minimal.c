/*
 * minimal.c: text from a prompt, in as few calls as it takes.
 *
 *     cc minimal.c $(pkg-config --cflags --libs gpt2) && ./a.out MODEL "Once upon a time"
 */
#include <gpt2.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    int32_t ids[256];
    size_t n_ids;
    int32_t status;
    int failed;
    const char *error;
    char line[GPT2_ERRBUF_BYTES] = "";
    gpt2_model_params params;
    gpt2_sample_params sampling;
    gpt2_model *model;
    gpt2_encoder *encoder = NULL;
    gpt2_session *session = NULL;
    gpt2_generator *generator = NULL;
    gpt2_generated step = {0};
    const gpt2_tokenizer *tokenizer;

    if (argc != 3) {
        fprintf(stderr, "usage: minimal MODEL TEXT\n");
        return 2;
    }
    gpt2_model_params_init(&params, sizeof params);
    params.errbuf = line; /* says what is wrong with the files, if anything is */
    params.errbuf_size = sizeof line;
    if (gpt2_model_load(argv[1], &params, &model) != GPT2_OK) {
        fprintf(stderr, "minimal: %s\n", line);
        return 1;
    }
    tokenizer = gpt2_model_tokenizer(model);
    status = gpt2_encoder_create(tokenizer, NULL, &encoder);
    if (status == GPT2_OK)
        status = gpt2_session_create(model, NULL, &session);
    if (status == GPT2_OK)
        status = gpt2_encode(encoder, argv[2], strlen(argv[2]), 0, ids, 256, &n_ids);
    if (status == GPT2_OK && n_ids == 0) /* an empty text begins with <|endoftext|> */
        ids[n_ids++] = gpt2_tokenizer_eot(tokenizer);

    gpt2_sample_params_init(&sampling, sizeof sampling);
    sampling.temperature = 0.8f;
    sampling.top_k = 40;
    if (status == GPT2_OK)
        status = gpt2_generator_create(session, NULL, &generator);
    if (status == GPT2_OK)
        status = gpt2_generator_start(generator, 0, ids, n_ids, 50, &sampling);
    printf("%s", argv[2]);
    while (status == GPT2_OK && step.finish == GPT2_FINISH_NOT_YET) {
        status = gpt2_generator_step(&generator, 1, &step);
        if (status == GPT2_OK)
            fwrite(step.text, 1, step.n_bytes, stdout);
    }
    printf("\n");
    error = status == GPT2_OK ? gpt2_generator_error(generator) : gpt2_strerror(status);
    failed = *error != '\0';
    if (failed)
        fprintf(stderr, "minimal: %s\n", error);
    gpt2_generator_free(generator);
    gpt2_session_free(session);
    gpt2_encoder_free(encoder);
    gpt2_model_free(model);
    return failed;
}
