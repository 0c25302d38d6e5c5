/*
 * manytexts.c: many texts in one session: forward calls for all of them.
 */
#include "manytexts.h"

#include <stdlib.h>
#include <string.h>

#include "../messages.h"
#include "../setup.h"

static gpt2_session_params params_of(const struct options *options, const struct many_sizes *sizes)
{
    gpt2_session_params params;

    gpt2_session_params_init(&params, sizeof params);
    params.n_threads = options->n_threads;
    if (options->cpu_mask >= 0)
        params.cpu_mask = (uint32_t)options->cpu_mask;
    params.n_ctx = sizes->n_ctx;
    params.n_sequences = sizes->n_sequences;
    params.n_pages = sizes->n_pages;
    params.n_logit_rows = MAX_PARTS;
    params.kv_type = sizes->kv_type;
    return params;
}

double many_bytes(const struct options *options, const gpt2_model *model,
                  const struct many_sizes *sizes)
{
    gpt2_session_params params = params_of(options, sizes);
    size_t n_bytes;

    return gpt2_session_size(model, &params, &n_bytes) == GPT2_OK ? (double)n_bytes : 0;
}

enum outcome many_open(struct many_texts *many, const struct options *options,
                       const gpt2_model *model, const struct many_sizes *sizes, const int32_t *ids)
{
    gpt2_session_params params = params_of(options, sizes);
    char detail[GPT2_ERRBUF_BYTES] = "";
    int32_t status;

    memset(many, 0, sizeof *many);
    many->ids = ids;
    params.errbuf = detail;
    params.errbuf_size = sizeof detail;
    status = gpt2_session_create(model, &params, &many->session);
    if (status != GPT2_OK)
        return complain_status(status, detail);
    for (int32_t i = 1; i <= N_TEXTS && status == GPT2_OK; i++) /* sequence 0 is open */
        status = gpt2_sequence_open(many->session, &many->texts[i]);
    return status == GPT2_OK ? OUTCOME_DONE : session_complain(many->session, status);
}

void many_close(struct many_texts *many)
{
    gpt2_session_free(many->session);
    many->session = NULL;
}

enum outcome many_run(struct many_texts *many, const struct part *parts, int32_t n_parts)
{
    gpt2_batch_item items[MAX_PARTS];
    int32_t status = GPT2_OK;

    for (int32_t i = 0; i < n_parts && status == GPT2_OK; i++) {
        int32_t position;

        status = gpt2_sequence_position(many->session, parts[i].sequence, &position);
        items[i] = (gpt2_batch_item){
            .sequence = parts[i].sequence,
            .tokens = many->ids + position,
            .n_tokens = (size_t)parts[i].n_tokens,
            .n_logit_rows = 1,
        };
    }
    if (status == GPT2_OK)
        status = gpt2_forward_batch(many->session, items, (size_t)n_parts);
    return status == GPT2_OK ? OUTCOME_DONE : session_complain(many->session, status);
}

enum outcome many_go_to(struct many_texts *many, int32_t n, int32_t position)
{
    struct part parts[MAX_PARTS];
    int32_t n_parts = 0;
    int32_t status = GPT2_OK;

    for (int32_t i = 0; i < n && status == GPT2_OK; i++) {
        int32_t now;

        status = gpt2_sequence_position(many->session, many->texts[i], &now);
        if (status == GPT2_OK && now > position)
            status = gpt2_sequence_truncate(many->session, many->texts[i], position);
        if (now < position)
            parts[n_parts++] = (struct part){many->texts[i], position - now};
    }
    if (status != GPT2_OK)
        return session_complain(many->session, status);
    return n_parts > 0 ? many_run(many, parts, n_parts) : OUTCOME_DONE;
}

enum outcome many_step(struct many_texts *many, int32_t n, int32_t n_steps)
{
    struct part parts[MAX_PARTS];
    enum outcome outcome = OUTCOME_DONE;

    for (int32_t i = 0; i < n; i++)
        parts[i] = (struct part){many->texts[i], 1};
    for (int32_t step = 0; step < n_steps && outcome == OUTCOME_DONE; step++)
        outcome = many_run(many, parts, n);
    return outcome;
}

enum outcome many_fill(struct many_texts *many, int32_t n_tokens)
{
    size_t n_bytes;
    void *state;
    int32_t status;
    enum outcome outcome = many_go_to(many, 1, n_tokens);

    if (outcome != OUTCOME_DONE)
        return outcome;
    (void)gpt2_sequence_save(many->session, many->texts[0], NULL, 0, &n_bytes); /* asks the size */
    state = malloc(n_bytes);
    if (state == NULL)
        return complain_memory();
    status = gpt2_sequence_save(many->session, many->texts[0], state, n_bytes, &n_bytes);
    for (int32_t i = 1; i < N_TEXTS && status == GPT2_OK; i++)
        status = gpt2_sequence_restore(many->session, many->texts[i], state, n_bytes);
    free(state);
    return status == GPT2_OK ? OUTCOME_DONE : session_complain(many->session, status);
}
