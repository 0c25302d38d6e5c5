/*
 * tap.c: calling the caller's callback, and the names of the points.
 */
#include "tap.h"
#include "../base/fpstate.h"

#include <stdio.h>

int32_t gpt2i_tap_show(struct gpt2i_taps *taps, int32_t kind, int32_t layer, int32_t head,
                       const struct gpt2i_tap_rows *rows, size_t n_columns, size_t row_stride,
                       float *data)
{
    const struct gpt2i_sequence *sequence = rows->span->sequence;
    int32_t position = (int32_t)(rows->span->first_position + rows->span->n_cut + rows->n_skipped);
    gpt2_tap tap = {
        .struct_size = sizeof tap,
        .kind = kind,
        .layer = layer,
        .head = head,
        .first_row = position - gpt2i_sequence_position(sequence),
        .first_position = position,
        .n_rows = (int32_t)rows->n_rows,
        .n_columns = (int32_t)n_columns,
        .row_stride = row_stride,
        .data = data,
        .sequence = sequence->number,
    };
    char name[32];
    int32_t ends;

    if (!gpt2i_tap_wants(taps, GPT2_TAP_BIT(kind)))
        return GPT2_OK;
    gpt2i_fpstate_leave(*taps->host_state); /* the callback is the host's code */
    ends = taps->callback(taps->user, &tap);
    *taps->host_state = gpt2i_fpstate_enter();
    if (ends == 0)
        return GPT2_OK;
    (void)gpt2i_tap_name(kind, layer, name, sizeof name);
    return gpt2i_fail(&taps->error, GPT2_ERR_CANCELLED, "cancelled by the tap at %s", name);
}

int32_t gpt2i_tap_name(int32_t kind, int32_t layer, char *name, size_t capacity)
{
    static const struct {
        const char *name;
        bool in_block;
    } points[GPT2_TAP_COUNT] = {
        [GPT2_TAP_EMBED] = {"embed", false},
        [GPT2_TAP_LN_1] = {"ln_1", true},
        [GPT2_TAP_ATTN_QKV] = {"attn.qkv", true},
        [GPT2_TAP_ATTN_SCORES] = {"attn.scores", true},
        [GPT2_TAP_ATTN_PROBS] = {"attn.probs", true},
        [GPT2_TAP_ATTN_CTX] = {"attn.ctx", true},
        [GPT2_TAP_ATTN_OUT] = {"attn.out", true},
        [GPT2_TAP_LN_2] = {"ln_2", true},
        [GPT2_TAP_MLP_FC] = {"mlp.fc", true},
        [GPT2_TAP_MLP_ACT] = {"mlp.act", true},
        [GPT2_TAP_MLP_OUT] = {"mlp.out", true},
        [GPT2_TAP_BLOCK] = {"block", true},
        [GPT2_TAP_LN_F] = {"ln_f", false},
        [GPT2_TAP_LOGITS] = {"logits", false},
    };
    int written;

    if (kind < 0 || kind >= GPT2_TAP_COUNT || (points[kind].in_block && layer < 0))
        return GPT2_ERR_ARGUMENT;
    written = points[kind].in_block ? snprintf(name, capacity, "h.%d.%s", layer, points[kind].name)
                                    : snprintf(name, capacity, "%s", points[kind].name);
    return written < 0 || (size_t)written >= capacity ? GPT2_ERR_BUFFER : GPT2_OK;
}
