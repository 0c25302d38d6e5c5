/*
 * autocomplete.c: the five likeliest next words after every key: docs/autocomplete.md.
 *
 *     cc autocomplete.c $(pkg-config --cflags --libs gpt2) -lm && ./a.out MODEL [TEXT] <KEYS
 */
#include "example.h"

enum { N_WORDS = 5, N_FORKS = 8, N_STEPS = 8, N_LIST = 128, MAX_TEXT = 4096, MAX_VOCAB = 65536 };

static struct word {
    char bytes[64];        /* of its tokens, then what else is typed, then zeros */
    size_t n_bytes, n_ids; /* of its tokens */
    int32_t ids[N_STEPS];
    double logprob;  /* -infinity in an empty place of the list */
} list[N_LIST];      /* whole words, then beginnings of words; of both the likeliest first */
static size_t n_run; /* list[n_run] is the first beginning, the next one that runs */

static int in_word(char c)
{
    return isalnum((unsigned char)c) || c == '\'' || c & 0x80;
}

/* Puts a word in its place among n words.  The last one drops out. */
static void insert(struct word *words, size_t n, const struct word *word)
{
    for (n--; n > 0 && words[n - 1].logprob < word->logprob; n--)
        words[n] = words[n - 1];
    words[n] = *word;
}

/* A beginning has run.  Adds the longer ones by the logits behind it, and makes it a whole word. */
static void extend(size_t place, const float *logits)
{
    struct word word = list[place], longer;
    gpt2_token_score score;
    const char *bytes;
    size_t n, i;

    check(gpt2_score_logits(session, logits, 0, &score_params, &score, NULL));
    for (int32_t id = 0; id < info.n_vocab; id++) {
        gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n);
        longer = word;
        longer.n_bytes += n;
        longer.logprob += (double)logits[id] - logits[0] + score.logprob; /* log-softmax */
        if (longer.logprob <= list[N_LIST - 1].logprob || longer.n_bytes >= sizeof word.bytes)
            continue;
        memcpy(longer.bytes + word.n_bytes, bytes, n);
        for (i = word.n_ids == 0 && n > 1 && *bytes == ' '; i < n && in_word(bytes[i]);)
            i++;
        if (i == n && strncmp(longer.bytes, word.bytes, strlen(word.bytes)) == 0 &&
            gpt2_encode(encoder, longer.bytes, longer.n_bytes, 0, longer.ids, N_STEPS,
                        &longer.n_ids) == GPT2_OK &&
            longer.n_ids == word.n_ids + 1 && longer.ids[word.n_ids] == id)
            insert(list + n_run, N_LIST - n_run, &longer); /* else these bytes have other ids */
    }
    word.logprob += log(word.n_ids > 0 && !word.bytes[word.n_bytes] ? score.class_prob : 0);
    insert(list, place + 1, &word);
}

/* Runs the text before the word that is typed, as far as it has changed, and searches for words. */
static void answer(const char *text)
{
    static float next[MAX_VOCAB]; /* the logits behind the text before the word, sequence 0 */
    static int32_t ids[MAX_TEXT + 1];
    const char *typed = text + strlen(text);
    size_t n_ids, n_old, n_same, n_tokens = 0, n_steps = 0, n;
    size_t half = (size_t)(info.n_positions - N_STEPS) / 2;
    gpt2_batch_item items[N_FORKS];
    const float *logits;
    const int32_t *old;

    while (typed > text && in_word(typed[-1]))
        typed--;
    typed -= typed > text && typed[-1] == ' ';
    check(gpt2_encode(encoder, text, (size_t)(typed - text), 0, ids + 1, MAX_TEXT, &n_ids));
    for (n_ids++; n_ids > 2 * half; n_ids -= half)
        memmove(ids, ids + half, (n_ids - half) * sizeof *ids); /* the oldest half is dropped */
    ids[0] = info.eot_token;
    check(gpt2_sequence_ids(session, 0, &old, &n_old));
    n_same = n_common_ids(ids, n_ids - (n_ids < n_old), old, n_old); /* the last must run again */
    if (n_same < n_ids) {
        check(gpt2_sequence_truncate(session, 0, (int32_t)n_same));
        check(gpt2_forward(session, ids + n_same, n_ids - n_same, 1));
        check(gpt2_session_logits(session, GPT2_LAST_ROW, &logits));
        memcpy(next, logits, (size_t)info.n_vocab * sizeof *next);
    }
    n = strlen(typed); /* a word that is too long is not looked for */
    /* It begins with no token.  A step runs the likeliest beginnings in one batch, each in a fork. */
    for (size_t i = 0; i < N_LIST; i++)
        list[i] = (struct word){.logprob = i > 0 || n >= sizeof list->bytes ? -INFINITY : 0};
    n_run = N_WORDS;
    strncpy(list[0].bytes, typed, sizeof list[0].bytes - 1);
    extend(0, next);
    for (; n_steps < N_STEPS && list[n_run].logprob > list[N_WORDS - 1].logprob; n_steps++) {
        for (n = 0; n < N_FORKS && list[n_run].logprob > list[N_WORDS - 1].logprob; n++, n_run++) {
            items[n] = (gpt2_batch_item){0, 0, list[n_run].ids, list[n_run].n_ids, 1};
            check(gpt2_sequence_fork(session, 0, (int32_t)n_ids, &items[n].sequence));
            n_tokens += items[n].n_tokens;
        }
        check(gpt2_forward_batch(session, items, n));
        for (size_t i = 0; i < n; i++) {
            check(gpt2_batch_logits(session, i, GPT2_LAST_ROW, &logits));
            extend(n_run - n + i, logits);
            check(gpt2_sequence_close(session, items[i].sequence));
        }
    }
    printf("%s|\n    ran %zu of %zu ids, then %zu tokens in %zu steps\n   ", text, n_ids - n_same,
           n_ids, n_tokens, n_steps);
    for (size_t i = 0; i < N_WORDS && list[i].logprob > -INFINITY; i++)
        printf(" [%s] %.6f", list[i].bytes, list[i].logprob);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static char text[MAX_TEXT + 1];
    static uint8_t ending[MAX_VOCAB / 8];
    const char *bytes;
    size_t n_bytes, n = 0;

    if (argc != 2 && argc != 3)
        fail("usage", "autocomplete MODEL [TEXT]");
    load(argv[1]);
    if (info.n_vocab > MAX_VOCAB || info.n_positions < 2 * N_STEPS)
        fail(argv[1], "wanted at most 65536 ids, and 16 or more positions");
    for (int32_t id = 0; id < info.n_vocab; id++) {
        gpt2_tokenizer_token_bytes(tokenizer, id, &bytes, &n_bytes);
        ending[id / 8] |= (uint8_t)((n_bytes == 0 || !in_word(*bytes)) << id % 8);
    }
    score_params.class_mask = ending; /* the ids that do not continue a word */
    params.n_sequences = 1 + N_FORKS;
    params.n_pages = (info.n_positions + 63) / 64 + 2 * N_FORKS; /* a fork shares all but two */
    start();
    if (argc == 3)
        answer(argv[2]);
    for (int key; argc == 2 && (key = getchar()) != EOF; answer(text)) {
        if (key == '\n' || key == '\0')
            n = 0;
        else if (key != '\b' && key != 0x7f)
            text[n < MAX_TEXT ? n++ : n] = (char)key;
        else
            while (n > 0 && (text[--n] & 0xc0) == 0x80)
                continue;
        text[n] = '\0';
    }
    finish();
    return 0;
}
