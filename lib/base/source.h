/*
 * source.h: where the bytes of a model come from.
 *
 * A source is a file, a block of the caller's memory, or the caller's read callback.  Sources are
 * found by name ("config.json") in a directory or in the caller's list.
 */
#ifndef GPT2I_SOURCE_H
#define GPT2I_SOURCE_H

#include "os.h"
#include "status.h"

/* The names of all sources that are read, but for shards. */
#define GPT2I_CONFIG_NAME           "config.json"
#define GPT2I_WEIGHTS_NAME          "model.safetensors"
#define GPT2I_INDEX_NAME            "model.safetensors.index.json" /* it names its shards */
#define GPT2I_PYTORCH_NAME          "pytorch_model.bin"
#define GPT2I_PYTORCH_INDEX_NAME    "pytorch_model.bin.index.json" /* it names its shards */
#define GPT2I_NANOGPT_NAME          "ckpt.pt"
#define GPT2I_MINGPT_NAME           "model.pt"
#define GPT2I_LLMC_NAME             "model.bin"
#define GPT2I_GGUF_NAME             "model.gguf"
#define GPT2I_VOCAB_NAME            "vocab.json"
#define GPT2I_MERGES_NAME           "merges.txt"
#define GPT2I_TOKENIZER_NAME        "tokenizer.json"
#define GPT2I_TOKENIZER_CONFIG_NAME "tokenizer_config.json"
#define GPT2I_SPECIAL_MAP_NAME      "special_tokens_map.json"
#define GPT2I_ADDED_NAME            "added_tokens.json"
#define GPT2I_TIKTOKEN_NAME         "r50k_base.tiktoken"
#define GPT2I_NATIVE_NAME           "native.safetensors"

/* A directory, or one file, or a list. */
struct gpt2i_files {
    const char *directory;
    size_t n_cut; /* characters at the end of 'directory' that are not part of it */
    const char
        *weights;     /* the file of weights in the directory, under any name; NULL: to be found */
    const char *file; /* a native file, under any name */
    const gpt2_source *list; /* if both are NULL */
    size_t n_list;
};

struct gpt2i_source {
    uint64_t size_bytes;
    struct gpt2i_os_file file;
    const gpt2_source *given; /* an item of the caller's list; NULL: a file */
    size_t block_bytes;       /* of the block that this struct begins */
    char path[];              /* for error lines: DIRECTORY/NAME, or NAME */
};

/* The file at 'path' if it is a regular one, else the directory. */
GPT2I_HIDDEN struct gpt2i_files gpt2i_files_at(const char *path);

/* The directory that one file is in, whose weights it has. */
GPT2I_HIDDEN struct gpt2i_files gpt2i_files_around(const struct gpt2i_files *file);

/* Whether they are one native file, which has everything. */
GPT2I_HIDDEN bool gpt2i_files_are_native(const struct gpt2i_files *files);

/*
 * '*exists' is false if there is nothing of that name; what is there may still fail to open.
 * Errors: GPT2_ERR_MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_source_exists(const struct gpt2i_files *files, const char *name,
                                         bool *exists, struct gpt2i_error *error);

/*
 * Opens a source, as one block of memory.  Errors: GPT2_ERR_FILE, _MEMORY; '*source' is NULL then, and
 * nothing stays open.
 */
GPT2I_HIDDEN int32_t gpt2i_source_open(struct gpt2i_source **source,
                                       const struct gpt2i_files *files, const char *name,
                                       struct gpt2i_error *error);

/*
 * Reads exactly 'n_bytes' from 'offset'.  Errors: GPT2_ERR_FILE, also for an early end.
 * Any number of threads may read one source.
 */
GPT2I_HIDDEN int32_t gpt2i_source_read(const struct gpt2i_source *source, uint64_t offset,
                                       void *bytes, size_t n_bytes, struct gpt2i_error *error);

/* NULL is ignored. */
GPT2I_HIDDEN void gpt2i_source_close(struct gpt2i_source *source);

/* All bytes of a source in memory, after it has been closed. */
struct gpt2i_image {
    const unsigned char *bytes; /* aligned to GPT2I_ALIGN */
    size_t n_bytes;
    void *block;   /* to free; NULL: none */
    void *mapping; /* to unmap; NULL: none */
};

/*
 * The bytes without a copy: the mapped file, or the caller's memory, which the image borrows.  False if
 * that cannot be: the source is a read callback, the memory is not aligned, or the system does not map.
 */
GPT2I_HIDDEN bool gpt2i_source_share(const struct gpt2i_source *source, struct gpt2i_image *image);

/* Does nothing if all is zero. */
GPT2I_HIDDEN void gpt2i_image_free(struct gpt2i_image *image);

/*
 * A whole small source as one block with a NUL behind it; its length is n_bytes.
 * One above 'max_bytes' is refused with GPT2_ERR_FORMAT.  Freed with gpt2i_text_free().
 */
struct gpt2i_text {
    char *text;
    size_t n_bytes;
    struct gpt2i_source *source; /* open until the text is freed: its path is for error lines */
};
GPT2I_HIDDEN int32_t gpt2i_text_read(struct gpt2i_text *text, const struct gpt2i_files *files,
                                     const char *name, uint64_t max_bytes,
                                     struct gpt2i_error *error);

/* Does nothing after a failed read, or if all is zero. */
GPT2I_HIDDEN void gpt2i_text_free(struct gpt2i_text *text);

#endif
