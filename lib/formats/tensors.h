/*
 * tensors.h: what every weight file is turned into: named tensors and where their bytes lie.
 *
 * Names are looked up exactly.  Bytes stay in the source: whoever wants a tensor reads its range with
 * gpt2i_source_read(tensor->source, tensor->offset, ...).
 */
#ifndef GPT2I_TENSORS_H
#define GPT2I_TENSORS_H

#include "../base/source.h"

#define GPT2I_TENSOR_DIMS       4   /* max dimensions of a tensor */
#define GPT2I_TENSOR_NAME_BYTES 256 /* longest name, NUL included */
#define GPT2I_TENSORS_MAX       65536

struct gpt2i_tensor {
    const char *name;  /* NUL-terminated, in the block of the tensors */
    const char *dtype; /* as the file spells it, "F16"; NUL-terminated */
    int32_t type;      /* GPT2_TYPE_*, -1 for any other dtype */
    int32_t n_dims;
    uint64_t dims[GPT2I_TENSOR_DIMS]; /* outermost first */
    const struct gpt2i_source *source;
    uint64_t offset; /* of its first byte in the file */
    uint64_t n_bytes;
    bool in_index;  /* the index of the shards names it */
    bool is_out_in; /* a matrix [n_out, n_in] (Linear) where GPT-2 has [n_in, n_out] (Conv1D) */
};

struct gpt2i_tensors {
    struct gpt2i_source *source;  /* the file, or the index of shards; for error lines its path */
    struct gpt2i_tensors *shards; /* the open files that an index names; NULL: there is one file */
    size_t n_shards;
    size_t shards_bytes;
    uint64_t data_offset; /* of the first tensor in the file */
    size_t n_tensors;
    struct gpt2i_tensor *items; /* sorted by name, no name twice */
    char *names;                /* room for the names, filled by the reader of the format */
    const char *native_version; /* what the metadata of native files have; else NULL */
    const char *config; /* likewise, and in other files with a config: the text of config.json */
    void *block;        /* items and names */
    size_t block_bytes;
};

/* Opens a file of a format.  Nothing stays open if it fails. */
typedef int32_t gpt2i_tensors_open(struct gpt2i_tensors *tensors, const struct gpt2i_files *files,
                                   const char *name, struct gpt2i_error *error);

/* A .safetensors file. */
GPT2I_HIDDEN gpt2i_tensors_open gpt2i_safetensors_open;

/* A file of torch.save() that holds a state_dict, in either of its forms. */
GPT2I_HIDDEN gpt2i_tensors_open gpt2i_pytorch_open;

/* A checkpoint of nanoGPT, with its config. */
GPT2I_HIDDEN gpt2i_tensors_open gpt2i_nanogpt_open;

/* A model of minGPT, whose config.json it reads. */
GPT2I_HIDDEN gpt2i_tensors_open gpt2i_mingpt_open;

/* A model file of llm.c, with its config. */
GPT2I_HIDDEN gpt2i_tensors_open gpt2i_llmc_open;

/* A GGUF file of a GPT-2; it has a config. */
GPT2I_HIDDEN gpt2i_tensors_open gpt2i_gguf_tensors_open;

/*
 * The shards that the index 'name' names, "model.safetensors.index.json"; 'open_shard' opens each of
 * them.  Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED (too many shards), _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_shards_open(struct gpt2i_tensors *tensors,
                                       const struct gpt2i_files *files, const char *name,
                                       gpt2i_tensors_open *open_shard, struct gpt2i_error *error);

/* Closes all sources and frees the blocks; does nothing after a failed open, or if all is zero. */
GPT2I_HIDDEN void gpt2i_tensors_close(struct gpt2i_tensors *tensors);

/* NULL if there is none of that name. */
GPT2I_HIDDEN const struct gpt2i_tensor *gpt2i_tensors_find(const struct gpt2i_tensors *tensors,
                                                           const char *name);

/* What the readers of formats share; each opens tensors->source, and closes tensors when it fails. */

/* One block for 'n_tensors' items and for texts of 'name_bytes' together, NULs included. */
GPT2I_HIDDEN int32_t gpt2i_tensors_allocate(struct gpt2i_tensors *tensors, size_t n_tensors,
                                            uint64_t name_bytes, struct gpt2i_error *error);

/* The product of dims and 'element_bytes'; false where it exceeds 2^63 - 1. */
GPT2I_HIDDEN bool gpt2i_tensor_size(const struct gpt2i_tensor *tensor, uint64_t element_bytes,
                                    uint64_t *n_bytes);

/*
 * Refuses tensors that begin before 'data_offset', reach past the end of the file or overlap, and,
 * unless 'gaps' allows them, bytes from data_offset on that belong to no tensor.
 * Leaves the items in the order of their bytes.
 */
GPT2I_HIDDEN int32_t gpt2i_tensors_check_ranges(struct gpt2i_tensors *tensors, uint64_t data_offset,
                                                bool gaps, struct gpt2i_error *error);

/* Sorts the items by name, for gpt2i_tensors_find(), and refuses a name that comes twice. */
GPT2I_HIDDEN int32_t gpt2i_tensors_sort(struct gpt2i_tensors *tensors, struct gpt2i_error *error);

#endif
