/*
 * config_text.c: writes a config.json.
 */
#include "config_text.h"
#include "../formats/decimal.h"

#include <inttypes.h>
#include <stdio.h>

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

void gpt2i_config_text(char text[GPT2I_CONFIG_TEXT_BYTES], const struct gpt2i_config *config)
{
    char epsilon[GPT2I_FLOAT_CHARS], eos[12], multi_query[24] = "";

    gpt2i_decimal_of_float(epsilon, config->layer_norm_epsilon);
    (void)snprintf(eos, sizeof eos, config->eos_token_id < 0 ? "null" : "%" PRId32,
                   config->eos_token_id);
    if (config->is_bigcode || config->n_kv_head < config->n_head)
        (void)snprintf(multi_query, sizeof multi_query, ",\"multi_query\":%s",
                       truth(config->n_kv_head == 1));
    (void)snprintf(text, GPT2I_CONFIG_TEXT_BYTES,
                   "{\"architectures\":[\"%s\"],\"model_type\":\"%s\""
                   ",\"vocab_size\":%" PRId32 ",\"n_positions\":%" PRId32 ",\"n_embd\":%" PRId32
                   ",\"n_layer\":%" PRId32 ",\"n_head\":%" PRId32 ",\"n_inner\":%" PRId32
                   ",\"activation_function\":\"%s\",\"layer_norm_epsilon\":%s%s"
                   ",\"scale_attn_weights\":%s,\"scale_attn_by_inverse_layer_idx\":%s"
                   ",\"tie_word_embeddings\":%s,\"bos_token_id\":%s,\"eos_token_id\":%s}",
                   config->is_bigcode ? "GPTBigCodeForCausalLM" : "GPT2LMHeadModel",
                   config->is_bigcode ? "gpt_bigcode" : "gpt2", config->n_vocab,
                   config->n_positions, config->n_embd, config->n_layer, config->n_head,
                   config->n_inner, gpt2i_activation_name(config->activation_function), epsilon,
                   multi_query, truth(config->scale_attn_weights),
                   truth(config->scale_attn_by_inverse_layer_idx),
                   truth(config->tie_word_embeddings), eos, eos);
}
