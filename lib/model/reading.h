/*
 * reading.h: reading weights from a file on several threads.
 */
#ifndef GPT2I_READING_H
#define GPT2I_READING_H

#include "names.h"

/*
 * Reads and packs all weights of the list, whose places are set, on up to params->n_threads threads,
 * and calls params->progress.
 * Errors: GPT2_ERR_FILE, _FORMAT (two tensors that must be equal are not), _UNSUPPORTED (a number is
 * too large for the type of its matrix), _MEMORY, _THREAD, _CANCELLED.
 */
GPT2I_HIDDEN int32_t gpt2i_weights_read(struct gpt2i_weight_list *list,
                                        const gpt2_model_params *params, struct gpt2i_error *error);

#endif
