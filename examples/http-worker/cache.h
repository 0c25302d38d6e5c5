/*
 * cache.h: the sequences of the session, and their pages.
 *
 * A text reserves as many pages as it can ever need, so that no text that runs finds the KV cache full.
 * A sequence whose text has ended is kept: a later prompt with the same beginning is forked from it.
 * Kept sequences are closed, the oldest first, when their pages or numbers are needed.
 */
#ifndef WORKER_CACHE_H
#define WORKER_CACHE_H

#include <gpt2.h>
#include <stdbool.h>

struct kept {
    int32_t sequence;
    int32_t n_pages;
    uint64_t age; /* larger is younger */
};

struct cache {
    gpt2_session *session;
    int32_t n_pages, n_reserved;
    struct kept *kept;
    size_t n_kept, max_kept;
    uint64_t n_ever_kept;
};

enum { PAGE_TOKENS = 64, MIN_SHARED_TOKENS = 16 };

bool cache_init(struct cache *cache, gpt2_session *session, size_t max_kept);
void cache_destroy(struct cache *cache);

/* The pages that a text of n_tokens can need. */
int32_t cache_pages(size_t n_tokens);

/* Reserves pages, for which kept sequences may be closed; false if running texts have too many. */
bool cache_reserve(struct cache *cache, int32_t n_pages);

/*
 * Ends the use of a sequence and of its reserved pages.  The sequence is kept if it is worth it, and
 * 'may_keep'.
 */
void cache_end(struct cache *cache, int32_t sequence, int32_t n_reserved, bool may_keep);

/* How many of the first n_ids tokens of a sequence are 'ids'. */
size_t cache_common(struct cache *cache, int32_t sequence, const int32_t *ids, size_t n_ids);

/* Finds the kept sequence with the longest beginning of 'ids', -1 if none has any, and stores its length. */
int32_t cache_find(struct cache *cache, const int32_t *ids, size_t n_ids, size_t *n_common);

/* Opens a sequence with the first n_shared tokens of 'sequence'; an empty one if that is 0. */
int32_t cache_open(struct cache *cache, int32_t sequence, size_t n_shared, int32_t *opened);

#endif
