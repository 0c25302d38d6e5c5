/*
 * checksum.h: a checksum of bytes, for damage that happens by chance.  It is no protection against
 * bytes that somebody made to deceive.
 */
#ifndef GPT2I_CHECKSUM_H
#define GPT2I_CHECKSUM_H

#include "common.h"

/*
 * The checksum of what 'before' is the checksum of (0: nothing), then of n bytes.  The same bytes cut
 * at other places have another checksum.  Any change inside one word of 8 bytes, counted from 'bytes',
 * changes it.
 */
GPT2I_HIDDEN uint64_t gpt2i_checksum(uint64_t before, const void *bytes, size_t n);

#endif
