/*
 * api.c: what the exported functions of all parts share.
 */
#include "api.h"

int32_t gpt2i_check_range(const char *name, int64_t value, int64_t min, int64_t max,
                          struct gpt2i_error *error)
{
    if (value >= min && value <= max)
        return GPT2_OK;
    return gpt2i_fail(error, GPT2_ERR_ARGUMENT, "%s is %lld, wanted %lld to %lld", name,
                      (long long)value, (long long)min, (long long)max);
}

int32_t gpt2i_session_begin(gpt2_session *session, struct gpt2i_error *error)
{
    if (session == NULL)
        return GPT2_ERR_ARGUMENT;
    error->text = session->error;
    error->capacity = sizeof session->error;
    if (session->running)
        return gpt2i_fail(error, GPT2_ERR_ARGUMENT,
                          "a gpt2_forward() runs on this session: its callbacks may call "
                          "gpt2_session_cancel() alone");
    gpt2i_error_clear(error);
    return GPT2_OK;
}
