/*
 * work.c: the arithmetic of GPT-2, as the help of `gpt2 bench` states it: two operations for each
 * multiply-add of the matrices and of causal attention.  All else is small beside these.
 */
#include "work.h"

/* Bytes of a session of n_ctx positions; all its other sizes are the smallest. */
static double session_bytes(const gpt2_model *model, int32_t n_ctx, int32_t kv_type)
{
    gpt2_session_params params;
    size_t n_bytes;

    gpt2_session_params_init(&params, sizeof params);
    params.n_ctx = n_ctx;
    params.n_batch = 1;
    params.kv_type = kv_type;
    return gpt2_session_size(model, &params, &n_bytes) == GPT2_OK ? (double)n_bytes : 0;
}

double position_bytes(const gpt2_model *model, int32_t n_ctx, int32_t kv_type)
{
    int32_t half = (n_ctx + 1) / 2;

    if (n_ctx == half)
        return 0;
    return (session_bytes(model, n_ctx, kv_type) - session_bytes(model, half, kv_type)) /
           (n_ctx - half);
}

static double block_weights(const gpt2_model_info *info)
{
    double width = info->n_embd;
    double kv_width = width / info->n_head * info->n_kv_head;

    return info->n_layer * (2 * width * (width + kv_width) + 2 * width * info->n_inner);
}

static double head_weights(const gpt2_model_info *info)
{
    return (double)info->n_embd * info->n_vocab;
}

/* Bytes of a weight: a quantised block of 32 has a scale of 2 bytes. */
static double bytes_of_weight(int32_t type)
{
    return type == GPT2_TYPE_F32  ? 4.0
           : type == GPT2_TYPE_Q8 ? 34.0 / 32
           : type == GPT2_TYPE_Q4 ? 18.0 / 32
                                  : 2.0;
}

/* As if all matrices had the same type, but for the head, which has Q8 where the others have Q4. */
uint64_t token_bytes(const gpt2_model_info *info)
{
    int32_t head_type = info->memory_type == GPT2_TYPE_Q4 ? GPT2_TYPE_Q8 : info->memory_type;
    double n_weights = block_weights(info) + head_weights(info);
    double n_embeddings = (double)info->n_positions * info->n_embd +
                          (info->tied_head != 0 ? 0.0 : head_weights(info));
    double n_others = (double)info->n_parameters - n_weights - n_embeddings; /* norms, biases */

    return (uint64_t)(block_weights(info) * bytes_of_weight(info->memory_type) +
                      head_weights(info) * bytes_of_weight(head_type) + n_others * 4);
}

/* Of queries that see n_pairs positions, all together: a product with a key and one with a value. */
static double attention_flops(const gpt2_model_info *info, double n_pairs)
{
    return 2 * (2.0 * info->n_layer * info->n_embd * n_pairs);
}

double prefill_flops(const gpt2_model_info *info, int32_t n)
{
    return 2 * (block_weights(info) * n + head_weights(info)) +
           attention_flops(info, (double)n * (n + 1) / 2);
}

double score_flops(const gpt2_model_info *info, int32_t n)
{
    return prefill_flops(info, n) + 2 * head_weights(info) * (n - 1);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

double batch_seconds(const gpt2_model_info *info, double kv_bytes, int32_t n_texts,
                     double n_positions, const struct machine *machine)
{
    /* Each matrix has as many operations a byte as the others, so the larger of the two times is the
       same one for all of them. */
    double matrices_flops = 2 * (block_weights(info) + head_weights(info)) * n_texts;
    double matrices = larger((double)token_bytes(info) / machine->bytes_per_second,
                             matrices_flops / machine->flops_per_second);
    double attention =
        larger(kv_bytes * n_positions / machine->bytes_per_second,
               attention_flops(info, n_positions + n_texts) / machine->flops_per_second);

    return matrices + attention;
}
