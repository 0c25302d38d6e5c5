/*
 * pytorch_dict.h: the dict of a state_dict and its tensors, in whatever file torch.save() wrote.
 */
#ifndef GPT2I_PYTORCH_DICT_H
#define GPT2I_PYTORCH_DICT_H

#include "pickle.h"
#include "tensors.h"

#define GPT2I_PYTORCH_PICKLE_MAX_BYTES ((uint64_t)1 << 20) /* of all; GPT-2 XL's has 200,000 */
#define GPT2I_PYTORCH_TENSORS_MAX      8192
#define GPT2I_PYTORCH_CONFIG_BYTES     256

/* Whose file it is.  Of others than Hugging Face's, config.json is made here. */
enum gpt2i_pytorch_form { GPT2I_PYTORCH_DICT_HF, GPT2I_PYTORCH_NANOGPT, GPT2I_PYTORCH_MINGPT };

struct gpt2i_pytorch {
    struct gpt2i_tensors *tensors;
    bool
        is_linear; /* no file of Hugging Face: matrices are Linear's, and room is left for a config */
    const char *compiled;          /* what is left out before the names of tensors; NULL: nothing */
    struct gpt2i_tensors storages; /* by name: where their bytes are */
    char prefix[GPT2I_TENSOR_NAME_BYTES +
                sizeof "data/"]; /* of the storages' names before their keys */
    struct gpt2i_pickle pickle;
    void *block; /* the machine's, and the pickles */
    size_t block_bytes;
    const struct gpt2i_pickle_value *dict;       /* of the tensors */
    const struct gpt2i_pickle_value *model_args; /* of a checkpoint of nanoGPT */
    struct gpt2i_error *error;
};

/* Fails with "PATH: what". */
GPT2I_HIDDEN int32_t gpt2i_pytorch_fail(const struct gpt2i_pytorch *reader, int32_t status,
                                        const char *what);

/* Reads the bytes that hold the pickles, and makes the machine for them. */
GPT2I_HIDDEN int32_t gpt2i_pytorch_read_pickles(struct gpt2i_pytorch *reader, uint64_t offset,
                                                uint64_t n_bytes);

/* The next pickle, which must be a dict. */
GPT2I_HIDDEN int32_t gpt2i_pytorch_run_dict(struct gpt2i_pytorch *reader);

/* Checks that the dict has tensors under names, and counts the bytes of these. */
GPT2I_HIDDEN int32_t gpt2i_pytorch_check_dict(const struct gpt2i_pytorch *reader,
                                              uint64_t *name_bytes);

/* The storage of a TENSOR. */
GPT2I_HIDDEN const struct gpt2i_pickle_value *
gpt2i_pytorch_storage_of(const struct gpt2i_pytorch *reader,
                         const struct gpt2i_pickle_value *tensor);

/* The bytes of the storage with this key; NULL if there is none. */
GPT2I_HIDDEN struct gpt2i_tensor *gpt2i_pytorch_find_storage(const struct gpt2i_pytorch *reader,
                                                             const struct gpt2i_pickle_value *key);

/* The bytes of a STORAGE, by its type and number of elements; false where they are too many. */
GPT2I_HIDDEN bool gpt2i_pytorch_storage_bytes(const struct gpt2i_pytorch *reader,
                                              const struct gpt2i_pickle_value *storage,
                                              uint64_t *n_bytes);

/* Lists the tensors of the checked dict. */
GPT2I_HIDDEN int32_t gpt2i_pytorch_read_tensors(struct gpt2i_pytorch *reader, uint64_t name_bytes);

#endif
