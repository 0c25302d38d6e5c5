/*
 * rescore.c: ranks the sentences of a file, one a line, by log-probability: docs/rescore.md.
 *
 *     cc rescore.c $(pkg-config --cflags --libs gpt2) -lm && ./a.out MODEL FILE
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

/* The log-probability of an id is its logit less this. */
static double log_sum(const float *logits)
{
    double max = logits[0], sum = 0;

    for (int32_t id = 1; id < info.n_vocab; id++)
        max = logits[id] > max ? logits[id] : max;
    for (int32_t id = 0; id < info.n_vocab; id++)
        sum += exp(logits[id] - max);
    return max + log(sum);
}

static int best_first(const void *a, const void *b)
{
    double x = ((const struct sentence *)a)->logp, y = ((const struct sentence *)b)->logp;

    return (x < y) - (x > y);
}

int main(int argc, char **argv)
{
    static gpt2_batch_item items[MAX_SENTENCES];
    size_t n, n_longest = 0, n_common, n_rest = 0, n_alone = 0, n_items = 0;
    const float *logits;
    double norm;

    if (argc != 3)
        fail("usage", "rescore MODEL FILE");
    load(argv[1]);
    n = read_sentences(argv[2]);
    n_common = all[0].n_ids;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_common; j++)
            if (j == all[i].n_ids || all[i].ids[j] != all[0].ids[j])
                n_common = j;
        n_longest = all[i].n_ids > n_longest ? all[i].n_ids : n_longest;
        n_alone += all[i].n_ids - 1;
    }
    n_common -= n_common == n_longest; /* the last id of a sentence need not run */
    for (size_t i = 0; i < n; i++) {
        if (all[i].n_ids - 1 <= n_common)
            continue; /* it has at most one id behind the common ones: nothing is left to run */
        items[n_items].tokens = all[i].ids + n_common;
        items[n_items].n_tokens = items[n_items].n_logit_rows = all[i].n_ids - 1 - n_common;
        n_rest += items[n_items++].n_tokens;
    }
    params.n_sequences = 1 + (int32_t)n;
    params.n_ctx = (int32_t)n_longest;
    params.n_logit_rows = (int32_t)(n_rest > n_common ? n_rest : n_common);
    start();
    /* Row r has the logits of the id behind it.  Behind the last common id the sentences differ. */
    check(gpt2_forward(session, all[0].ids, n_common, n_common));
    for (size_t row = 0; row < n_common; row++) {
        check(gpt2_session_logits(session, (int32_t)row, &logits));
        norm = log_sum(logits);
        for (size_t i = 0; i < n; i++)
            if (row + 1 < all[i].n_ids)
                all[i].logp += logits[all[i].ids[row + 1]] - norm;
    }
    for (size_t i = 0; i < n_items; i++)
        check(gpt2_sequence_fork(session, 0, (int32_t)n_common, &items[i].sequence));
    if (n_items > 0)
        check(gpt2_forward_batch(session, items, n_items));
    for (size_t i = 0, item = 0; i < n; i++) {
        for (size_t row = 0; n_common + row + 1 < all[i].n_ids; row++) {
            check(gpt2_batch_logits(session, item, (int32_t)row, &logits));
            all[i].logp += logits[all[i].ids[n_common + row + 1]] - log_sum(logits);
        }
        item += all[i].n_ids - 1 > n_common; /* it was in the batch */
    }
    qsort(all, n, sizeof *all, best_first);
    for (size_t i = 0; i < n; i++)
        printf("%12.6f %10.6f  %s\n", all[i].logp, all[i].logp / (all[i].n_ids - 1), all[i].text);
    printf("%zu tokens run, %zu without sharing\n", n_common + n_rest, n_alone);
    finish();
    return 0;
}
