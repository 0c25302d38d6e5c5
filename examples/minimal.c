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
    char line[GPT2_ERRBUF_BYTES] = "";
    gpt2_model_params params;
    gpt2_sample_params sampling;
    gpt2_model *model;
    gpt2_encoder *encoder = NULL;
    gpt2_session *session = NULL;
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
    printf("%s", argv[2]);
    for (int i = 0; i < 50 && status == GPT2_OK; i++) {
        const char *bytes;
        size_t n_bytes;

        status = gpt2_forward(session, ids, n_ids, 1);
        if (status == GPT2_OK)
            status = gpt2_sample(session, GPT2_LAST_ROW, &sampling, ids);
        n_ids = 1;
        if (status != GPT2_OK || ids[0] == gpt2_tokenizer_eot(tokenizer))
            break;
        gpt2_tokenizer_token_bytes(tokenizer, ids[0], &bytes, &n_bytes);
        fwrite(bytes, 1, n_bytes, stdout);
    }
    printf("\n");
    if (status != GPT2_OK)
        fprintf(stderr, "minimal: %s\n", gpt2_strerror(status));
    gpt2_session_free(session);
    gpt2_encoder_free(encoder);
    gpt2_model_free(model);
    return status == GPT2_OK ? 0 : 1;
}
