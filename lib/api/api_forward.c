/*
 * api_forward.c: the exported functions that run tokens and return logits.
 */
#include "api.h"
#include "../model/batch.h"

#include <inttypes.h>
#include <stdio.h>

int32_t gpt2i_check_ids(const gpt2_session *session, const int32_t *tokens, size_t first,
                        size_t end, const char *label, struct gpt2i_error *error)
{
    int32_t n_vocab = session->model->config.n_vocab;

    for (size_t i = first; i < end; i++) {
        if (tokens[i] < 0 || tokens[i] >= n_vocab)
            return gpt2i_fail(error, GPT2_ERR_TOKEN, "%stoken %zu is %d, wanted 0 to %d", label, i,
                              tokens[i], n_vocab - 1);
    }
    return GPT2_OK;
}

static int32_t check_tokens(const gpt2_session *session, const gpt2_batch_item *item,
                            const char *label, struct gpt2i_error *error)
{
    const struct gpt2i_sequences *sequences = &session->sequences;
    const struct gpt2i_sequence *sequence = &sequences->all[item->sequence];
    int32_t position = gpt2i_sequence_position(sequence);

    if (!sequences->shifts && item->n_tokens > (size_t)(sequences->n_ctx - sequence->n_ids))
        return gpt2i_fail(error, GPT2_ERR_CONTEXT,
                          "%s%zu tokens at position %d do not fit into a context of %d positions",
                          label, item->n_tokens, position, sequences->n_ctx);
    if (item->n_tokens > (size_t)(INT32_MAX - position))
        return gpt2i_fail(error, GPT2_ERR_CONTEXT,
                          "%s%zu tokens at position %d: a text has at most %d tokens", label,
                          item->n_tokens, position, INT32_MAX);
    return gpt2i_check_ids(session, item->tokens, 0, item->n_tokens, label, error);
}

int32_t gpt2i_take_item(gpt2_session *session, const gpt2_batch_item *item, size_t i,
                        const char *function, const char *label, struct gpt2i_error *error)
{
    struct gpt2i_item *taken = &session->items[i];
    int32_t status =
        gpt2i_sequences_find(&session->sequences, item->sequence, label, &taken->sequence, error);

    if (status != GPT2_OK)
        return status;
    if (item->reserved != 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %sreserved is %d, wanted 0", function,
                          label, item->reserved);
    if (item->n_tokens == 0)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %sn_tokens is 0, wanted 1 or more",
                          function, label);
    if (item->tokens == NULL)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: %stokens is NULL", function, label);
    taken->tokens = item->tokens;
    taken->n_tokens = item->n_tokens;
    taken->n_kept = gpt2i_min(item->n_logit_rows, item->n_tokens);
    taken->n_top = 0;
    return check_tokens(session, item, label, error);
}

int32_t gpt2i_check_twice(gpt2_session *session, size_t n_items, const char *function,
                          struct gpt2i_error *error)
{
    size_t twice = SIZE_MAX;

    for (size_t i = 0; i < n_items; i++) {
        struct gpt2i_sequence *sequence = session->items[i].sequence;

        if (sequence->is_running && twice == SIZE_MAX)
            twice = i;
        sequence->is_running = true;
    }
    for (size_t i = 0; i < n_items; i++)
        session->items[i].sequence->is_running = false;
    if (twice == SIZE_MAX)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                      "%s: item %zu: sequence %d is in an earlier item, too", function, twice,
                      session->items[twice].sequence->number);
}

int32_t gpt2i_check_items(const gpt2_session *session, const void *items, size_t n_items,
                          const char *function, struct gpt2i_error *error)
{
    if (items == NULL)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: items is NULL", function);
    if (n_items == 0 || n_items > (size_t)session->sequences.n_sequences)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s: n_items is %zu, wanted 1 to %d", function,
                          n_items, session->sequences.n_sequences);
    return GPT2_OK;
}

int32_t gpt2i_check_rows(const gpt2_session *session, size_t n_items, const char *function,
                         struct gpt2i_error *error)
{
    uint64_t n_rows = 0; /* items may share their tokens: a size_t of 32 bits could overflow */

    for (size_t i = 0; i < n_items; i++)
        n_rows += session->items[i].n_kept;
    if (n_rows > (uint64_t)session->n_logit_rows)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "%s: n_logit_rows is %" PRIu64 ", the session was made for %d", function,
                          n_rows, session->n_logit_rows);
    return GPT2_OK;
}

int32_t gpt2_forward(gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                     size_t n_logit_rows)
{
    const gpt2_batch_item item = {0, 0, tokens, n_tokens, n_logit_rows};
    struct gpt2i_error error;
    int32_t status = gpt2i_session_begin(session, &error);

    if (status == GPT2_OK)
        status = gpt2i_take_item(session, &item, 0, "gpt2_forward", "", &error);
    if (status == GPT2_OK)
        status = gpt2i_check_rows(session, 1, "gpt2_forward", &error);
    return status == GPT2_OK ? gpt2i_batch_run(session, 1) : status;
}

int32_t gpt2_forward_batch(gpt2_session *session, const gpt2_batch_item *items, size_t n_items)
{
    struct gpt2i_error error;
    int32_t status = gpt2i_session_begin(session, &error);

    if (status == GPT2_OK)
        status = gpt2i_check_items(session, items, n_items, "gpt2_forward_batch", &error);
    for (size_t i = 0; i < n_items && status == GPT2_OK; i++) {
        char label[GPT2I_LABEL_BYTES];

        (void)snprintf(label, sizeof label, "item %zu: ", i);
        status = gpt2i_take_item(session, &items[i], i, "gpt2_forward_batch", label, &error);
    }
    if (status == GPT2_OK)
        status = gpt2i_check_twice(session, n_items, "gpt2_forward_batch", &error);
    if (status == GPT2_OK)
        status = gpt2i_check_rows(session, n_items, "gpt2_forward_batch", &error);
    return status == GPT2_OK ? gpt2i_batch_run(session, n_items) : status;
}

static int32_t find_logits(gpt2_session *session, size_t item, int32_t row, const char *function,
                           const float **logits)
{
    struct gpt2i_error error;
    size_t kept;
    int32_t position;
    int32_t status;

    if (logits != NULL)
        *logits = NULL;
    status = gpt2i_session_begin(session, &error);
    if (status != GPT2_OK)
        return status;
    if (logits == NULL)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "%s: logits is NULL", function);
    status = gpt2i_batch_find_row(session, item, row, false, &kept, &position, &error);
    if (status == GPT2_OK)
        *logits = session->logits + kept * (size_t)session->model->config.n_vocab;
    return status;
}

int32_t gpt2_session_logits(gpt2_session *session, int32_t row, const float **logits)
{
    return find_logits(session, 0, row, "gpt2_session_logits", logits);
}

int32_t gpt2_batch_logits(gpt2_session *session, size_t item, int32_t row, const float **logits)
{
    return find_logits(session, item, row, "gpt2_batch_logits", logits);
}
