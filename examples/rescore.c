/*
 * rescore.c: ranks the sentences of a file, one a line, by log-probability: docs/rescore.md.
 *
 *     cc rescore.c $(pkg-config --cflags --libs gpt2) && ./a.out MODEL FILE
 */
#include "example.h"

enum { MAX_SENTENCES = 256, MAX_BYTES = 1000 };

static struct sentence {
    char text[MAX_BYTES + 2];   /* with room for a newline and a NUL */
    int32_t ids[MAX_BYTES + 1]; /* <|endoftext|>, then the sentence */
    size_t n_ids;
    double logp; /* the sum over all ids but the first */
} all[MAX_SENTENCES + 1];

/* Reads and encodes the lines that are not empty.  Returns how many. */
static size_t read_sentences(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t n = 0, size;

    while (file != NULL && n <= MAX_SENTENCES && fgets(all[n].text, MAX_BYTES + 2, file)) {
        size = strcspn(all[n].text, "\r\n");
        if (size > MAX_BYTES)
            break;
        all[n].text[size] = '\0';
        all[n].ids[0] = info.eot_token;
        check(gpt2_encode(encoder, all[n].text, size, 0, all[n].ids + 1, MAX_BYTES, &all[n].n_ids));
        n += all[n].n_ids++ > 0;
    }
    if (n == 0 || n > MAX_SENTENCES || ferror(file) || !feof(file))
        fail(path, "wanted 1 to 256 lines of at most 1000 bytes");
    fclose(file);
    return n;
}

static int best_first(const void *a, const void *b)
{
    double x = ((const struct sentence *)a)->logp, y = ((const struct sentence *)b)->logp;

    return (x < y) - (x > y);
}

int main(int argc, char **argv)
{
    static gpt2_score_item items[MAX_SENTENCES];
    static gpt2_token_score scores[MAX_SENTENCES][MAX_BYTES]; /* [i][j]: of all[i].ids[j + 1] */
    gpt2_score_item common = {.tokens = all[0].ids, .n_prefix = 1, .scores = scores[0]};
    size_t n, n_longest = 0, n_common, n_run, n_alone = 0, n_items = 0;

    if (argc != 3)
        fail("usage", "rescore MODEL FILE");
    load(argv[1]);
    n = read_sentences(argv[2]);
    n_common = all[0].n_ids;
    for (size_t i = 0; i < n; i++) {
        n_common = n_common_ids(all[0].ids, n_common, all[i].ids, all[i].n_ids);
        n_longest = all[i].n_ids > n_longest ? all[i].n_ids : n_longest;
        n_alone += all[i].n_ids - 1;
    }
    params.n_sequences = 1 + (int32_t)n;
    params.n_ctx = (int32_t)n_longest;
    params.n_logit_rows = 64; /* so many are scored at a time */
    start();

    /* The common ids but the last run once. */
    common.n_tokens = n_common;
    n_run = n_common - 1;
    if (n_common > 1)
        check(gpt2_score(session, &common, 1, &score_params));
    /* Behind them a fork for each sentence runs the last common id and what follows. */
    for (size_t i = 0; i < n; i++) {
        gpt2_score_item *item = &items[n_items];

        if (all[i].n_ids == n_common)
            continue;
        *item = (gpt2_score_item){.tokens = all[i].ids + n_common - 1, .n_prefix = 1};
        item->n_tokens = all[i].n_ids - (n_common - 1);
        item->scores = scores[i] + n_common - 1;
        check(gpt2_sequence_fork(session, 0, (int32_t)n_common - 1, &item->sequence));
        n_run += item->n_tokens - 1;
        n_items++;
    }
    if (n_items > 0)
        check(gpt2_score(session, items, n_items, &score_params));

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j + 1 < all[i].n_ids; j++)
            all[i].logp += scores[j + 1 < n_common ? 0 : i][j].logprob;
    qsort(all, n, sizeof *all, best_first);
    for (size_t i = 0; i < n; i++)
        printf("%12.6f %10.6f  %s\n", all[i].logp, all[i].logp / (all[i].n_ids - 1), all[i].text);
    printf("%zu tokens run, %zu without sharing\n", n_run, n_alone);
    finish();
    return 0;
}
