/*
 * pages.h: which pages of the KV cache are in use, and by how many sequences.
 */
#ifndef GPT2I_PAGES_H
#define GPT2I_PAGES_H

#include "../base/arena.h"

struct gpt2i_pages {
    int32_t *n_owners; /* [n_pages] sequences that use a page; 0: it is free */
    int32_t n_pages;
    int32_t n_free;
};

/* Places the counts; n_pages is set. */
GPT2I_HIDDEN void gpt2i_pages_layout(struct gpt2i_pages *pages, struct gpt2i_arena *arena);

/* Frees all pages. */
GPT2I_HIDDEN void gpt2i_pages_reset(struct gpt2i_pages *pages);

/*
 * Takes the first free page from 'wish' on, at most n_pages; after the last page it goes on with the
 * first.  At least one must be free.
 */
GPT2I_HIDDEN int32_t gpt2i_pages_take(struct gpt2i_pages *pages, int32_t wish);

/* One more, or one fewer, sequence uses a page. */
GPT2I_HIDDEN void gpt2i_pages_share(struct gpt2i_pages *pages, int32_t page);
GPT2I_HIDDEN void gpt2i_pages_release(struct gpt2i_pages *pages, int32_t page);

#endif
