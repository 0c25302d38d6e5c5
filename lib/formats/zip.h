/*
 * zip.h: the directory of a zip file whose entries are stored as they are, without compression.
 */
#ifndef GPT2I_ZIP_H
#define GPT2I_ZIP_H

#include "tensors.h"

/*
 * Fills 'entries' with the names of a zip file's entries and where their bytes lie; entries->source
 * is the open file.  Entries of dtype "" and no dimensions, sorted by name.
 * Errors: GPT2_ERR_FORMAT, _UNSUPPORTED (compressed, encrypted, several disks), _FILE, _MEMORY.
 */
GPT2I_HIDDEN int32_t gpt2i_zip_read(struct gpt2i_tensors *entries, struct gpt2i_error *error);

#endif
