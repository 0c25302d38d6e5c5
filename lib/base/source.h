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

/* The names of all sources that are read. */
#define GPT2I_CONFIG_NAME  "config.json"
#define GPT2I_WEIGHTS_NAME "model.safetensors"
#define GPT2I_VOCAB_NAME   "vocab.json"
#define GPT2I_MERGES_NAME  "merges.txt"

/* A directory, or a list. */
struct gpt2i_files {
    const char *directory; /* NULL: the list */
    const gpt2_source *list;
    size_t n_list;
};

struct gpt2i_source {
    uint64_t size_bytes;
    struct gpt2i_os_file file;
    const gpt2_source *given; /* an item of the caller's list; NULL: a file */
    size_t block_bytes;       /* of the block that this struct begins */
    char path[];              /* for error lines: DIRECTORY/NAME, or NAME */
};

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
