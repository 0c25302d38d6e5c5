/*
 * weights.h: from the named tensors of a file to the packed weights of a model.
 */
#ifndef GPT2I_WEIGHTS_H
#define GPT2I_WEIGHTS_H

#include "../base/arena.h"
#include "model.h"
#include "../formats/tensors.h"

/* Which tensor of the file goes where in the model. */
struct gpt2i_weight_map;

/*
 * Finds every tensor that 'config' asks for and checks its shape and type.  The map borrows
 * 'tensors'; it is freed with gpt2i_weight_map_free().
 * Errors: GPT2_ERR_FORMAT (missing, wrong shape), _UNSUPPORTED (a type, or a tensor of the blocks
 * that GPT-2 does not have), _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_weight_map_new(struct gpt2i_weight_map **map,
                                          const struct gpt2i_config *config,
                                          const struct gpt2i_tensors *tensors,
                                          struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_weight_map_free(struct gpt2i_weight_map *map);

/* Places a model and its weights in an arena; fills in the model's pointers if the arena places. */
GPT2I_HIDDEN gpt2_model *gpt2i_weights_layout(struct gpt2i_arena *arena,
                                              struct gpt2i_weight_map *map);

/* Reads and packs all weights, on 'n_threads' threads.  Errors: GPT2_ERR_FILE, _MEMORY, _THREAD. */
GPT2I_HIDDEN int32_t gpt2i_weights_read(const struct gpt2i_weight_map *map, int32_t n_threads,
                                        struct gpt2i_error *error);

/* All of it: a model with its weights, from the tensors of a file. */
GPT2I_HIDDEN int32_t gpt2i_weights_load(gpt2_model **out, const struct gpt2i_config *config,
                                        const struct gpt2i_tensors *tensors, int32_t n_threads,
                                        struct gpt2i_error *error);

#endif
