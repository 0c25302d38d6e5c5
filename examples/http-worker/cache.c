/*
 * cache.c: which sequences are kept, and who may have pages.
 */
#include "cache.h"

#include <stdlib.h>

bool cache_init(struct cache *cache, gpt2_session *session, size_t max_kept)
{
    *cache = (struct cache){.session = session, .max_kept = max_kept};
    cache->n_pages = gpt2_session_n_free_pages(session);
    cache->kept = calloc(max_kept, sizeof *cache->kept);
    return cache->kept != NULL;
}

void cache_destroy(struct cache *cache)
{
    free(cache->kept);
}

int32_t cache_pages(size_t n_tokens)
{
    /* one more: while a step copies a shared page, the old page is still there */
    return (int32_t)((n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS) + 1;
}

static int32_t kept_pages(const struct cache *cache)
{
    int32_t n = 0;

    for (size_t i = 0; i < cache->n_kept; i++)
        n += cache->kept[i].n_pages;
    return n;
}

static void close_oldest(struct cache *cache)
{
    size_t oldest = 0;

    for (size_t i = 1; i < cache->n_kept; i++) {
        if (cache->kept[i].age < cache->kept[oldest].age)
            oldest = i;
    }
    (void)gpt2_sequence_close(cache->session, cache->kept[oldest].sequence);
    cache->kept[oldest] = cache->kept[--cache->n_kept];
}

bool cache_reserve(struct cache *cache, int32_t n_pages)
{
    if (n_pages > cache->n_pages - cache->n_reserved)
        return false;
    cache->n_reserved += n_pages;
    return true;
}

/* Closes kept sequences until all texts find the pages that they have reserved. */
static void make_room(struct cache *cache)
{
    while (cache->n_kept > 0 && kept_pages(cache) > cache->n_pages - cache->n_reserved)
        close_oldest(cache);
}

void cache_end(struct cache *cache, int32_t sequence, int32_t n_reserved, bool may_keep)
{
    const int32_t *ids;
    size_t n_ids;

    cache->n_reserved -= n_reserved;
    if (sequence < 0)
        return;
    if (!may_keep || gpt2_sequence_ids(cache->session, sequence, &ids, &n_ids) != GPT2_OK ||
        n_ids < MIN_SHARED_TOKENS) {
        (void)gpt2_sequence_close(cache->session, sequence);
        return;
    }
    if (cache->n_kept == cache->max_kept)
        close_oldest(cache);
    cache->kept[cache->n_kept++] =
        (struct kept){sequence, cache_pages(n_ids) - 1, ++cache->n_ever_kept};
    make_room(cache);
}

size_t cache_common(struct cache *cache, int32_t sequence, const int32_t *ids, size_t n_ids)
{
    const int32_t *old;
    size_t n_old, n = 0;

    if (gpt2_sequence_ids(cache->session, sequence, &old, &n_old) != GPT2_OK)
        return 0;
    while (n < n_ids && n < n_old && ids[n] == old[n])
        n++;
    return n;
}

int32_t cache_find(struct cache *cache, const int32_t *ids, size_t n_ids, size_t *n_common)
{
    int32_t sequence = -1;

    *n_common = 0;
    for (size_t i = 0; i < cache->n_kept; i++) {
        size_t n = cache_common(cache, cache->kept[i].sequence, ids, n_ids);

        if (n > *n_common) {
            *n_common = n;
            sequence = cache->kept[i].sequence;
        }
    }
    return sequence;
}

int32_t cache_open(struct cache *cache, int32_t sequence, size_t n_shared, int32_t *opened)
{
    int32_t status;

    for (size_t i = 0; i < cache->n_kept && n_shared > 0; i++) {
        if (cache->kept[i].sequence == sequence)
            cache->kept[i].age = ++cache->n_ever_kept;
    }
    status = n_shared > 0 ? gpt2_sequence_fork(cache->session, sequence, (int32_t)n_shared, opened)
                          : gpt2_sequence_open(cache->session, opened);
    make_room(cache);
    return status;
}
