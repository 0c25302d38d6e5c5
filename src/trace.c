/*
 * trace.c: `gpt2 trace`: every activation of a text, in one .safetensors file.
 *
 * Each tap of the library becomes one tensor for the whole text.  The library shows it in parts; each
 * part is written to its place in the file at once.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gpt2.h>

#include "command.h"
#include "messages.h"
#include "options.h"
#include "outfile.h"
#include "platform.h"
#include "setup.h"
#include "tensorfile.h"

#define N_BLOCK_TAPS (GPT2_TAP_BLOCK - GPT2_TAP_LN_1 + 1)

struct trace {
    struct tensor_file file;
    struct tensor *tensors; /* tokens, embed, the taps of each layer, ln_f, logits */
    size_t n_tensors;
    uint64_t n_rows;
    float *filler; /* [2, n_rows]: -inf and 0, for the columns of later tokens */
};

static struct tensor *find_tensor(const struct trace *trace, int32_t kind, int32_t layer)
{
    switch (kind) {
    case GPT2_TAP_EMBED:
        return &trace->tensors[1];
    case GPT2_TAP_LN_F:
        return &trace->tensors[trace->n_tensors - 2];
    case GPT2_TAP_LOGITS:
        return &trace->tensors[trace->n_tensors - 1];
    default:
        return &trace->tensors[2 + layer * N_BLOCK_TAPS + (kind - GPT2_TAP_LN_1)];
    }
}

static bool is_attention_matrix(int32_t kind)
{
    return kind == GPT2_TAP_ATTN_SCORES || kind == GPT2_TAP_ATTN_PROBS;
}

static uint64_t tap_width(int32_t kind, const gpt2_model_info *info)
{
    switch (kind) {
    case GPT2_TAP_ATTN_QKV:
        return (uint64_t)info->n_embd / (uint64_t)info->n_head *
               ((uint64_t)info->n_head + 2 * (uint64_t)info->n_kv_head);
    case GPT2_TAP_MLP_FC:
    case GPT2_TAP_MLP_ACT:
        return (uint64_t)info->n_inner;
    case GPT2_TAP_LOGITS:
        return (uint64_t)info->n_vocab;
    default:
        return (uint64_t)info->n_embd;
    }
}

static void describe(struct trace *trace, int32_t kind, int32_t layer, const gpt2_model_info *info)
{
    struct tensor *tensor = find_tensor(trace, kind, layer);

    gpt2_tap_name(kind, layer, tensor->name, sizeof tensor->name);
    tensor->type = TENSOR_F32;
    if (is_attention_matrix(kind)) {
        tensor->n_dims = 3;
        tensor->shape[0] = (uint64_t)info->n_head;
        tensor->shape[1] = trace->n_rows;
        tensor->shape[2] = trace->n_rows;
    } else {
        tensor->n_dims = 2;
        tensor->shape[0] = trace->n_rows;
        tensor->shape[1] = tap_width(kind, info);
    }
}

static enum outcome describe_all(struct trace *trace, const gpt2_model_info *info, size_t n_rows)
{
    struct tensor *tokens;

    trace->n_rows = n_rows;
    trace->n_tensors = 4 + (size_t)info->n_layer * N_BLOCK_TAPS;
    trace->tensors = calloc(trace->n_tensors, sizeof *trace->tensors);
    trace->filler = malloc(2 * n_rows * sizeof *trace->filler);
    if (trace->tensors == NULL || trace->filler == NULL)
        return complain_memory();
    for (size_t i = 0; i < n_rows; i++) {
        trace->filler[i] = -INFINITY;
        trace->filler[n_rows + i] = 0.0f;
    }
    tokens = &trace->tensors[0];
    snprintf(tokens->name, sizeof tokens->name, "tokens");
    tokens->type = TENSOR_I64;
    tokens->n_dims = 1;
    tokens->shape[0] = n_rows;
    describe(trace, GPT2_TAP_EMBED, -1, info);
    for (int32_t layer = 0; layer < info->n_layer; layer++) {
        for (int32_t kind = GPT2_TAP_LN_1; kind <= GPT2_TAP_BLOCK; kind++)
            describe(trace, kind, layer, info);
    }
    describe(trace, GPT2_TAP_LN_F, -1, info);
    describe(trace, GPT2_TAP_LOGITS, -1, info);
    return OUTCOME_DONE;
}

/* A gpt2_tap_callback: writes one part to its place in the file. */
static int32_t write_part(void *user, const gpt2_tap *tap)
{
    struct trace *trace = user;
    const struct tensor *tensor = find_tensor(trace, tap->kind, tap->layer);
    bool is_matrix = is_attention_matrix(tap->kind);
    uint64_t n_columns = tensor->shape[tensor->n_dims - 1];
    uint64_t row = (uint64_t)tap->first_position;
    size_t n_known = (size_t)tap->n_columns;
    const float *filler = trace->filler;
    bool is_good = true;

    if (is_matrix)
        row += (uint64_t)tap->head * trace->n_rows;
    if (tap->kind == GPT2_TAP_ATTN_PROBS)
        filler += trace->n_rows;
    for (int32_t i = 0; i < tap->n_rows && is_good; i++, row++) {
        const float *values = tap->data + (size_t)i * tap->row_stride;
        uint64_t first = row * n_columns;

        is_good = tensor_file_write_f32(&trace->file, tensor, first, values, n_known);
        if (is_good && n_known < n_columns)
            is_good = tensor_file_write_f32(&trace->file, tensor, first + n_known, filler,
                                            (size_t)(n_columns - n_known));
    }
    return is_good ? 0 : 1;
}

/* Runs the text and fills the file. */
static enum outcome trace_ids(struct trace *trace, const struct options *options,
                              const gpt2_model *model, const struct ids *ids)
{
    int32_t n_ids = (int32_t)ids->count;
    int32_t n_per_call =
        options->n_batch > 0 && options->n_batch < n_ids ? options->n_batch : n_ids;
    gpt2_session *session = NULL;
    enum outcome outcome = session_open(options, model, n_ids, n_per_call, &session);

    if (outcome == OUTCOME_DONE &&
        !tensor_file_write_i64(&trace->file, &trace->tensors[0], 0, ids->data, ids->count))
        outcome = OUTCOME_FAILED;
    if (outcome == OUTCOME_DONE) {
        gpt2_session_set_tap(session, write_part, trace, GPT2_TAP_ALL);
        outcome = session_feed(options, session, ids, true);
        /* A write that fails ends the call as Ctrl-C does. */
        if (trace->file.has_failed)
            outcome = OUTCOME_FAILED;
    }
    session_close(session);
    return outcome;
}

static enum outcome write_trace(struct trace *trace, FILE *stream, const struct options *options,
                                const gpt2_model *model, const struct ids *ids)
{
    char producer[64];
    enum outcome outcome;

    snprintf(producer, sizeof producer, "gpt2 %s", gpt2_version());
    outcome = tensor_file_begin(&trace->file, stream, options->output, trace->tensors,
                                trace->n_tensors, producer);
    if (outcome == OUTCOME_DONE)
        outcome = trace_ids(trace, options, model, ids);
    return tensor_file_end(&trace->file, outcome);
}

static enum outcome replace_output(struct trace *trace, const struct options *options,
                                   const gpt2_model *model, const struct ids *ids)
{
    struct outfile outfile;
    enum outcome outcome = outfile_begin(&outfile, options->output);

    return outcome == OUTCOME_DONE
               ? outfile_end(&outfile, write_trace(trace, outfile.file, options, model, ids))
               : outcome;
}

static enum outcome trace_model(const struct options *options, const gpt2_model *model,
                                const gpt2_model_info *info, const struct ids *ids)
{
    struct trace trace = {0};
    enum outcome outcome;

    if (ids->count == 0)
        return complain(OUTCOME_FAILED, "the text has no tokens: nothing to trace");
    if (ids->count > (size_t)info->n_positions)
        return complain(OUTCOME_FAILED, "the text has %zu tokens, the context holds %d", ids->count,
                        (int)info->n_positions);
    outcome = describe_all(&trace, info, ids->count);
    if (outcome == OUTCOME_DONE)
        outcome = replace_output(&trace, options, model, ids);
    if (outcome == OUTCOME_DONE)
        note("%zu tokens, %zu tensors in %s", ids->count, trace.n_tensors, options->output);
    free(trace.tensors);
    free(trace.filler);
    return outcome;
}

static enum outcome trace(const struct options *options)
{
    struct prompt prompt = {0};
    gpt2_model_info info;
    gpt2_model *model;
    enum outcome outcome;

    if (options->output == NULL || options->output[0] == '\0' || strcmp(options->output, "-") == 0)
        return complain(OUTCOME_MISUSED, "trace needs the name of a file: -o OUT.safetensors");
    if (options->prompt == NULL && options->prompt_file == NULL && options->tokens == NULL)
        return complain(OUTCOME_MISUSED, "trace needs a text: -p TEXT, -f FILE or --tokens IDS");
    outcome = model_open(options, &model, &info);
    if (outcome != OUTCOME_DONE)
        return outcome;
    outcome = prompt_read(&prompt, options, model, &info);
    if (outcome == OUTCOME_DONE)
        outcome = trace_model(options, model, &info, &prompt.ids);
    prompt_free(&prompt);
    gpt2_model_free(model);
    return outcome;
}

const struct command command_trace = {
    .name = "trace",
    .summary = "write every activation of a text to a file",
    .synopsis = "[-m MODEL] (-p TEXT | -f FILE | --tokens IDS) -o OUT.safetensors [OPTIONS]",
    .help =
        "Runs a text of t tokens through the model and writes every intermediate result to a\n"
        "safetensors file, as F32:\n"
        "\n"
        "  tokens                           [t]             the ids, as I64\n"
        "  embed                            [t, n_embd]     wte[id] + wpe[position]\n"
        "  h.N.ln_1                         [t, n_embd]     first norm\n"
        "  h.N.attn.qkv                     [t, 3 n_embd]   c_attn: q, k, v side by side; less "
        "with\n"
        "                                                   multi-query attention\n"
        "  h.N.attn.scores                  [n_head, t, t]  q.k scaled; -inf: masked\n"
        "  h.N.attn.probs                   [n_head, t, t]  softmax of the scores\n"
        "  h.N.attn.ctx                     [t, n_embd]     probs.v, heads side by side\n"
        "  h.N.attn.out                     [t, n_embd]     c_proj, before the residual\n"
        "  h.N.ln_2                         [t, n_embd]     second norm\n"
        "  h.N.mlp.fc, h.N.mlp.act          [t, n_inner]    c_fc, and its activation function\n"
        "  h.N.mlp.out                      [t, n_embd]     c_proj, before the residual\n"
        "  h.N.block                        [t, n_embd]     the block's output\n"
        "  ln_f, logits                     [t, n_embd], [t, n_vocab]\n"
        "\n"
        "N is the number of the layer, from 0.  If FILE ends with a newline, that newline is not\n"
        "part of the text.\n",
    .examples = "  gpt2 trace -p 'Hello.' -o hello.safetensors\n"
                "  gpt2 trace -m models/nano-sort --tokens 0,2,1,1,0,2 -o sort.safetensors\n"
                "  python3 -c 'from safetensors.torch import load_file\n"
                "  print(load_file(\"hello.safetensors\")[\"h.0.attn.probs\"][0])'\n",
    .option_groups = OPTIONS_COMMON | OPTIONS_TEXT | OPTIONS_TOKENS | OPTIONS_OUTPUT,
    .run = trace,
};
