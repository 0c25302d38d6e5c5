/*
 * info.c: `gpt2 info`: describes a model, one "key value" line for each fact.
 */
#include <inttypes.h>
#include <stdio.h>

#include <gpt2.h>

#include "command.h"
#include "messages.h"
#include "options.h"
#include "platform.h"
#include "setup.h"

#define ADDED_SHOWN 4 /* names of added tokens */

static const char *activation_name(int32_t activation)
{
    static const char *const names[] = {
        [GPT2_ACT_GELU_NEW] = "gelu_new",
        [GPT2_ACT_GELU] = "gelu",
        [GPT2_ACT_GELU_FAST] = "gelu_fast",
        [GPT2_ACT_GELU_PYTORCH_TANH] = "gelu_pytorch_tanh",
        [GPT2_ACT_RELU] = "relu",
        [GPT2_ACT_SILU] = "silu",
        [GPT2_ACT_QUICK_GELU] = "quick_gelu",
        [GPT2_ACT_TANH] = "tanh",
        [GPT2_ACT_MISH] = "mish",
    };

    if (activation < 0 || (size_t)activation >= sizeof names / sizeof names[0])
        return "unknown";
    return names[activation];
}

/* Asks a session of one position which kernels it runs. */
static enum outcome find_kernels(const struct options *options, const gpt2_model *model,
                                 char *kernels, size_t capacity)
{
    struct options small = *options;
    gpt2_session *session = NULL;
    enum outcome outcome;

    small.n_threads = 1;
    small.n_batch = 1;
    outcome = session_open(&small, model, 1, 1, &session);
    if (outcome == OUTCOME_DONE)
        snprintf(kernels, capacity, "%s", gpt2_session_kernels(session));
    session_close(session);
    return outcome;
}

static void print_number(const char *key, int64_t value)
{
    printf(KEY_FORMAT "%" PRId64 "\n", key, value);
}

/* A token's bytes, at most 40. */
static void print_token(const gpt2_tokenizer *tokenizer, int32_t id)
{
    const char *bytes;
    char shown[41] = "";
    size_t n_bytes;

    if (gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes) != GPT2_OK)
        return;
    for (size_t i = 0; i < n_bytes && i < sizeof shown - 1; i++)
        shown[i] = bytes[i] != '\0' ? bytes[i] : '?';
    replace_controls(shown);
    fputs(shown, stdout);
}

static void print_word(const char *key, const char *value)
{
    printf(KEY_FORMAT "%s\n", key, value);
}

/* The tokens that no merge makes: their number and the first few. */
static void print_added(const gpt2_tokenizer *tokenizer)
{
    int32_t n_added = 0, n_shown = 0, n_vocab = gpt2_tokenizer_n_vocab(tokenizer);

    for (int32_t id = 0; id < n_vocab; id++)
        n_added += gpt2_tokenizer_is_added(tokenizer, id);
    if (n_added == 0)
        return;
    printf(KEY_FORMAT "%d:", "added_tokens", (int)n_added);
    for (int32_t id = 0; id < n_vocab && n_shown < ADDED_SHOWN; id++) {
        if (gpt2_tokenizer_is_added(tokenizer, id)) {
            printf("%s ", n_shown > 0 ? "," : "");
            print_token(tokenizer, id);
            n_shown++;
        }
    }
    printf("%s\n", n_added > n_shown ? ", ..." : "");
}

/* The types of the matrices in the file, and that of most in memory where it is another. */
static void print_types(const gpt2_model_info *info)
{
    const char *before = "";

    printf(KEY_FORMAT, "weights");
    for (int32_t type = 0; type < 32; type++) {
        if ((info->file_types >> type & 1) == 0)
            continue;
        printf("%s%s", before, weight_type_name(type));
        before = ", ";
    }
    if (info->file_types == 1u << info->memory_type)
        printf("\n");
    else
        printf(" in the file, %s in memory\n", weight_type_name(info->memory_type));
}

static void print_info(const char *path, const gpt2_model *model, const gpt2_model_info *info,
                       const char *kernels, bool is_verified)
{
    const gpt2_tokenizer *tokenizer = gpt2_model_tokenizer(model);

    print_word("model", path);
    printf(KEY_FORMAT "%" PRIu64 " (%.1f million)\n", "parameters", info->n_parameters,
           (double)info->n_parameters / 1e6);
    print_number("n_layer", info->n_layer);
    print_number("n_head", info->n_head);
    print_number("n_kv_head", info->n_kv_head);
    print_number("n_embd", info->n_embd);
    print_number("n_inner", info->n_inner);
    print_number("n_vocab", info->n_vocab);
    print_number("n_positions", info->n_positions);
    print_word("activation", activation_name(info->activation));
    printf(KEY_FORMAT "%g\n", "layer_norm_epsilon", (double)info->layer_norm_epsilon);
    print_word("lm_head", info->tied_head != 0 ? "tied to wte" : "separate");
    print_types(info);
    if (tokenizer != NULL)
        printf(KEY_FORMAT "%d tokens\n", "tokenizer", (int)gpt2_tokenizer_n_vocab(tokenizer));
    else if (gpt2_model_tokenizer_error(model)[0] != '\0')
        printf(KEY_FORMAT "none: %s\n", "tokenizer", gpt2_model_tokenizer_error(model));
    else
        print_word("tokenizer", "none");
    print_added(tokenizer);
    if (info->eot_token >= 0)
        print_number("endoftext", info->eot_token);
    else
        print_word("endoftext", "none");
    printf(KEY_FORMAT "%" PRIu64 " (%.1f MiB)\n", "memory", info->memory_bytes,
           (double)info->memory_bytes / (1 << 20));
    print_word("kernels", kernels);
    if (is_verified)
        print_word("checksum", "as it was written");
    print_word("libgpt2", gpt2_version());
}

static enum outcome info(const struct options *options)
{
    char path[PATH_BYTES];
    char kernels[32];
    gpt2_model_info model_info;
    gpt2_model *model;
    enum outcome outcome = model_path(options, path);

    if (options->verify && options->model == NULL)
        return complain(OUTCOME_MISUSED, "--verify needs a native file: give it with -m");
    if (outcome == OUTCOME_DONE && options->verify && !platform_may_replace(path))
        return complain(OUTCOME_MISUSED, "--verify needs a native file, not the directory %s",
                        path);
    if (outcome == OUTCOME_DONE)
        outcome = model_open(options, &model, &model_info);
    if (outcome != OUTCOME_DONE)
        return outcome;
    outcome = find_kernels(options, model, kernels, sizeof kernels);
    if (outcome == OUTCOME_DONE)
        print_info(path, model, &model_info, kernels, options->verify);
    gpt2_model_free(model);
    return outcome;
}

const struct command command_info = {
    .name = "info",
    .summary = "describe a model: sizes, variant, memory",
    .synopsis = "[-m MODEL] [OPTIONS]",
    .help = "Loads the model and prints one key and its value on each line.  'memory' is the "
            "number of\n"
            "bytes of the loaded model.  'kernels' names the instructions that the library would "
            "use on\n"
            "this CPU.\n",
    .examples = "  gpt2 info -m models/gpt2\n"
                "  gpt2 info | awk '$1 == \"n_positions\" { print $2 }'\n",
    .option_groups = OPTIONS_MODEL | OPTIONS_WEIGHTS | OPTIONS_INFO,
    .run = info,
};
