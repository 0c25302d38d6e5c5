/*
 * params.h: the rule of growing structs (docs/abi.md), once for every params struct.
 */
#ifndef GPT2I_PARAMS_H
#define GPT2I_PARAMS_H

#include "status.h"

#define GPT2I_NO_ERRBUF SIZE_MAX

/* No struct will ever be as large: a larger struct_size was never set. */
#define GPT2I_STRUCT_MAX_BYTES 4096

/* Size of a struct whose last member is 'last': what a release that ends there has. */
#define GPT2I_SIZE_TO(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

/* A params struct as this library knows it. */
struct gpt2i_params_kind {
    const char *name;
    const void *defaults;
    size_t known_bytes;   /* sizeof the struct */
    size_t first_bytes;   /* its size in the first release: never to change */
    size_t errbuf_offset; /* of its errbuf, which errbuf_size follows; GPT2I_NO_ERRBUF: has none */
};

/* Fills a caller's struct of 'caller_bytes' with the defaults, and zeros what lies beyond them. */
GPT2I_HIDDEN int32_t gpt2i_params_init(void *to_caller, size_t caller_bytes,
                                       const struct gpt2i_params_kind *kind);

/*
 * Copies a caller's struct (NULL: the defaults) into 'known'.  Refuses one smaller than the first
 * release's, and one larger than known unless the part that is not known is all zero.
 * If the struct has an errbuf, 'error' is set to it, emptied, before anything can fail.
 */
GPT2I_HIDDEN int32_t gpt2i_params_take(void *known, const void *from_caller,
                                       const struct gpt2i_params_kind *kind,
                                       struct gpt2i_error *error);

#endif
