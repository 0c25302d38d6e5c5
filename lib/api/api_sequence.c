/*
 * api_sequence.c: the exported functions of sequences and their states.
 */
#include "api.h"
#include "../model/state.h"

/* Begins a call on an open sequence. */
static int32_t begin_call(gpt2_session *session, int32_t number, struct gpt2i_sequence **sequence,
                          struct gpt2i_error *error)
{
    int32_t status = gpt2i_session_begin(session, error);

    return status == GPT2_OK
               ? gpt2i_sequences_find(&session->sequences, number, "", sequence, error)
               : status;
}

int32_t gpt2_sequence_open(gpt2_session *session, int32_t *sequence)
{
    struct gpt2i_error error;
    struct gpt2i_sequence *opened;
    int32_t status;

    if (sequence != NULL)
        *sequence = 0;
    status = gpt2i_session_begin(session, &error);
    if (status == GPT2_OK && sequence == NULL)
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_sequence_open: sequence is NULL");
    if (status == GPT2_OK)
        status = gpt2i_sequence_open(&session->sequences, &opened, &error);
    if (status == GPT2_OK)
        *sequence = opened->number;
    return status;
}

int32_t gpt2_sequence_close(gpt2_session *session, int32_t sequence)
{
    struct gpt2i_error error;
    struct gpt2i_sequence *found;
    int32_t status = begin_call(session, sequence, &found, &error);

    if (status == GPT2_OK)
        gpt2i_sequence_close(&session->sequences, found);
    return status;
}

int32_t gpt2_sequence_fork(gpt2_session *session, int32_t sequence, int32_t position, int32_t *fork)
{
    struct gpt2i_error error;
    struct gpt2i_sequence *found;
    struct gpt2i_sequence *opened;
    int32_t status;

    if (fork != NULL)
        *fork = 0;
    status = begin_call(session, sequence, &found, &error);
    if (status == GPT2_OK && fork == NULL)
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_sequence_fork: fork is NULL");
    if (status == GPT2_OK)
        status = gpt2i_sequence_fork(&session->sequences, found, position, &opened, &error);
    if (status == GPT2_OK)
        *fork = opened->number;
    return status;
}

int32_t gpt2_sequence_truncate(gpt2_session *session, int32_t sequence, int32_t position)
{
    struct gpt2i_error error;
    struct gpt2i_sequence *found;
    int32_t status = begin_call(session, sequence, &found, &error);

    if (status == GPT2_OK)
        status = gpt2i_sequence_truncate(&session->sequences, found, position, &error);
    return status;
}

int32_t gpt2_sequence_position(gpt2_session *session, int32_t sequence, int32_t *position)
{
    struct gpt2i_error error;
    struct gpt2i_sequence *found;
    int32_t status;

    if (position != NULL)
        *position = 0;
    status = begin_call(session, sequence, &found, &error);
    if (status == GPT2_OK && position == NULL)
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_sequence_position: position is NULL");
    if (status == GPT2_OK)
        *position = gpt2i_sequence_position(found);
    return status;
}

int32_t gpt2_sequence_ids(gpt2_session *session, int32_t sequence, const int32_t **ids,
                          size_t *n_ids)
{
    struct gpt2i_error error;
    struct gpt2i_sequence *found;
    int32_t status;

    if (ids != NULL)
        *ids = NULL;
    if (n_ids != NULL)
        *n_ids = 0;
    status = begin_call(session, sequence, &found, &error);
    if (status == GPT2_OK && (ids == NULL || n_ids == NULL))
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_sequence_ids: %s is NULL",
                            ids == NULL ? "ids" : "n_ids");
    if (status != GPT2_OK)
        return status;
    *ids = found->ids;
    *n_ids = (size_t)found->n_ids;
    return GPT2_OK;
}

int32_t gpt2_sequence_save(gpt2_session *session, int32_t sequence, void *bytes, size_t capacity,
                           size_t *n_bytes)
{
    struct gpt2i_error error;
    struct gpt2i_sequence *found;
    int32_t status;

    if (n_bytes != NULL)
        *n_bytes = 0;
    status = begin_call(session, sequence, &found, &error);
    if (status == GPT2_OK && n_bytes == NULL)
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_sequence_save: n_bytes is NULL");
    if (status == GPT2_OK && bytes == NULL && capacity > 0)
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                            "gpt2_sequence_save: bytes is NULL, but capacity is %zu", capacity);
    if (status == GPT2_OK)
        status = gpt2i_state_size(session, found, n_bytes, &error);
    if (status != GPT2_OK)
        return status;
    if (capacity < *n_bytes)
        return gpt2i_fail(&error, GPT2_ERR_BUFFER,
                          "the state of sequence %d has %zu bytes, the buffer has room for %zu",
                          sequence, *n_bytes, capacity);
    gpt2i_state_save(session, found, bytes);
    return GPT2_OK;
}

int32_t gpt2_sequence_write(gpt2_session *session, int32_t sequence, gpt2_write_callback write,
                            void *user)
{
    struct gpt2i_error error;
    struct gpt2i_sequence *found;
    size_t n_bytes;
    int32_t status = begin_call(session, sequence, &found, &error);

    if (status == GPT2_OK && write == NULL)
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_sequence_write: write is NULL");
    if (status == GPT2_OK)
        status = gpt2i_state_size(session, found, &n_bytes, &error);
    return status == GPT2_OK ? gpt2i_state_write(session, found, write, user, &error) : status;
}

int32_t gpt2_sequence_restore(gpt2_session *session, int32_t sequence, const void *bytes,
                              size_t n_bytes)
{
    struct gpt2i_error error;
    struct gpt2i_sequence *found;
    int32_t status = begin_call(session, sequence, &found, &error);

    if (status == GPT2_OK && bytes == NULL)
        status = gpt2i_fail(&error, GPT2_ERR_ARGUMENT, "gpt2_sequence_restore: bytes is NULL");
    return status == GPT2_OK ? gpt2i_state_restore(session, found, bytes, n_bytes, &error) : status;
}
