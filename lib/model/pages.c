/*
 * pages.c: taking and freeing pages of the KV cache.
 */
#include "pages.h"

void gpt2i_pages_layout(struct gpt2i_pages *pages, struct gpt2i_arena *arena)
{
    pages->n_owners = gpt2i_arena_take(arena, (uint64_t)pages->n_pages, sizeof(int32_t));
}

void gpt2i_pages_reset(struct gpt2i_pages *pages)
{
    memset(pages->n_owners, 0, (size_t)pages->n_pages * sizeof(int32_t));
    pages->n_free = pages->n_pages;
}

int32_t gpt2i_pages_take(struct gpt2i_pages *pages, int32_t wish)
{
    int32_t page = wish % pages->n_pages;

    while (pages->n_owners[page] > 0)
        page = page + 1 < pages->n_pages ? page + 1 : 0;
    pages->n_owners[page] = 1;
    pages->n_free--;
    return page;
}

void gpt2i_pages_share(struct gpt2i_pages *pages, int32_t page)
{
    pages->n_owners[page]++;
}

void gpt2i_pages_release(struct gpt2i_pages *pages, int32_t page)
{
    pages->n_owners[page]--;
    pages->n_free += pages->n_owners[page] == 0;
}
