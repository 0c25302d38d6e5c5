/*
 * model.c: freeing a model.
 */
#include "model.h"
#include "../base/arena.h"
#include "../text/bpe.h"

void gpt2i_model_free(gpt2_model *model)
{
    if (model == NULL)
        return;
    gpt2i_tokenizer_free(model->tokenizer);
    gpt2i_block_free(model, model->block_bytes);
}
