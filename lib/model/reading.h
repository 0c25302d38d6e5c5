/*
 * reading.h: reading weights from a file on several threads.
 */
#ifndef GPT2I_READING_H
#define GPT2I_READING_H

#include "names.h"

/*
 * Reads and packs all weights of the list, whose places are set, on up to 'n_threads' threads.
 * Errors: GPT2_ERR_FILE, _FORMAT (two tensors that must be equal are not), _MEMORY, _THREAD.
 */
GPT2I_HIDDEN int32_t gpt2i_weights_read(struct gpt2i_weight_list *list, int32_t n_threads,
                                        struct gpt2i_error *error);

#endif
