/*
 * api_tap.c: the exported functions of taps.
 */
#include "api.h"
#include "../model/tap.h"

int32_t gpt2_session_set_tap(gpt2_session *session, gpt2_tap_callback callback, void *user,
                             uint32_t kinds)
{
    struct gpt2i_error error;
    int32_t status = gpt2i_session_begin(session, &error);

    if (status != GPT2_OK)
        return status;
    if ((kinds & ~GPT2_TAP_ALL) != 0)
        return gpt2i_fail(&error, GPT2_ERR_ARGUMENT,
                          "gpt2_session_set_tap: kinds has bits beyond GPT2_TAP_ALL");
    session->taps.callback = callback;
    session->taps.user = user;
    session->taps.kinds = callback == NULL ? 0 : kinds;
    return GPT2_OK;
}

int32_t gpt2_tap_name(int32_t kind, int32_t layer, char *name, size_t capacity)
{
    if (name == NULL)
        return GPT2_ERR_ARGUMENT;
    return gpt2i_tap_name(kind, layer, name, capacity);
}
