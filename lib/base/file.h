/*
 * file.h: reading files by offset, for loaders only.
 *
 * Bytes are copied out by read calls and never mapped: a file that another process cuts short gives
 * a status, where a mapping would give a signal.
 */
#ifndef GPT2I_FILE_H
#define GPT2I_FILE_H

#include "status.h"

#define GPT2I_PATH_BYTES 4096 /* longest path, NUL included */

struct gpt2i_file {
    intptr_t handle;
    uint64_t size_bytes;
    char path[GPT2I_PATH_BYTES]; /* for error lines */
};

/* directory/name into path[GPT2I_PATH_BYTES]. */
GPT2I_HIDDEN int32_t gpt2i_path_join(char *path, const char *directory, const char *name,
                                     struct gpt2i_error *error);

/* True unless there is nothing at 'path'; what is there may still fail to open. */
GPT2I_HIDDEN bool gpt2i_file_exists(const char *path);

/* Opens a regular file.  Errors: GPT2_ERR_FILE.  On failure nothing stays open. */
GPT2I_HIDDEN int32_t gpt2i_file_open(struct gpt2i_file *file, const char *path,
                                     struct gpt2i_error *error);

/*
 * Reads exactly 'n_bytes' from 'offset'.  Errors: GPT2_ERR_FILE, also for an early end.
 * Any number of threads may read one file.
 */
GPT2I_HIDDEN int32_t gpt2i_file_read(const struct gpt2i_file *file, uint64_t offset, void *bytes,
                                     size_t n_bytes, struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_file_close(struct gpt2i_file *file);

/*
 * A whole small file as one block with a NUL behind it; its length is file_bytes.
 * A file above 'max_bytes' is refused with GPT2_ERR_FORMAT.
 * The caller frees text with gpt2i_block_free(text, text_bytes).
 */
struct gpt2i_text_file {
    char *text;
    size_t file_bytes;
    size_t text_bytes;
};
GPT2I_HIDDEN int32_t gpt2i_text_file_read(struct gpt2i_text_file *out, const char *path,
                                          uint64_t max_bytes, struct gpt2i_error *error);

GPT2I_HIDDEN void gpt2i_text_file_free(struct gpt2i_text_file *file);

#endif
