/*
 * test_checkpoints.c: the twelve checkpoints, on real trained weights with somebody else's numbers.
 *
 * Two sources give the activations of three sequences of 11 tokens: nano-sort, minGPT's own tensors
 * from PyTorch (skipped where ../shared is not there), and the demo model, tensors from Hugging Face
 * transformers that tests/hf/make_demo_reference.py wrote.  A struct source says where each lies.
 */
#include "reference.h"
#include "model/session.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define N_SEQUENCES  3
#define N_ROWS       11  /* tokens of each */
#define LONG_TEXT    150 /* tokens for the KV cache: three pages, where the context has them */

/* Where the tensors are.  'names' and 'head_names' are NULL where there are none of the kind. */
struct source {
    const char *name;
    const char *model;
    const char *tensors;
    bool in_shared;            /* the two paths begin in ../shared */
    size_t n_inner;            /* sequences that have the points inside block 0 */
    const char *const *names;  /* of tensors by tap; NULL: gpt2_tap_name() */
    const char *tokens;        /* the ids, as floats */
    const char *head_names[3]; /* q, k and v as [n_head, 11, head_dim] */
    const char *attn_resid;    /* embed + h.0.attn.out; NULL: the sum of those two */
    size_t n_probs;            /* last rows that have probabilities */
    const char *greedy_json; /* a file with cases of ids and greedy; NULL: the tensors sN.greedy */
    size_t n_prompt;         /* of sN.greedy's ids */
    size_t n_greedy;         /* of them all */
    size_t n_generated;      /* greedy ids of all sequences, the prompts not counted */
};

static const char *const nano_names[GPT2_TAP_COUNT] = {
    [GPT2_TAP_EMBED] = "x",         [GPT2_TAP_LN_1] = "ln1",         [GPT2_TAP_ATTN_QKV] = "qkv",
    [GPT2_TAP_ATTN_SCORES] = "att", [GPT2_TAP_ATTN_PROBS] = "attSm", [GPT2_TAP_ATTN_CTX] = "y",
    [GPT2_TAP_ATTN_OUT] = "yProj",  [GPT2_TAP_LN_2] = "ln2",         [GPT2_TAP_MLP_FC] = "fc",
    [GPT2_TAP_MLP_ACT] = "gelu",    [GPT2_TAP_MLP_OUT] = "mlp",      [GPT2_TAP_BLOCK] = "block",
    [GPT2_TAP_LN_F] = "ln_f",       [GPT2_TAP_LOGITS] = "lm_head",
};

static const struct source sources[] = {
    {
        .name = "nano-sort",
        .model = "models/nano-sort",
        .tensors = "models/nano-sort/partials.safetensors",
        .in_shared = true,
        .n_inner = N_SEQUENCES,
        .names = nano_names,
        .tokens = "idx",
        .head_names = {"q", "k", "v"},
        .attn_resid = "attnResid",
        .n_probs = N_ROWS,
        .greedy_json = "models/nano-sort/reference.json",
        .n_generated = 5, /* two of the three prompts fill the context */
    },
    {
        .name = "demo-model",
        .model = "examples/demo-model",
        .tensors = "tests/data/demo-model.safetensors",
        .n_inner = 1,
        .tokens = "tokens",
        .n_probs = 1,
        .n_prompt = 4,
        .n_greedy = 16,
        .n_generated = N_SEQUENCES * 12,
    },
};

static struct fixture {
    const struct source *source;
    struct gpt2i_tensors tensors;
    gpt2_model *model;
    gpt2_model_info info;
    int32_t ids[N_SEQUENCES][N_ROWS];
    struct reference_run runs[N_SEQUENCES]; /* all our activations of each */
} fixture;

/* The path of a file of the source; false if it is not there. */
static bool locate(char path[PATH_BYTES], const char *name)
{
    if (fixture.source->in_shared)
        return reference_shared(path, name);
    (void)snprintf(path, PATH_BYTES, "%s", name);
    return true; /* or else whoever opens it fails */
}

/* A tensor of one sequence. */
static float *tensor(size_t sequence, const char *name, size_t n_floats)
{
    const struct source *source = fixture.source;
    char prefixed[64];

    (void)snprintf(prefixed, sizeof prefixed, "s%zu.%s", sequence, name);
    return source->names != NULL
               ? reference_tensor(&fixture.tensors, name, sequence, N_SEQUENCES, n_floats)
               : reference_tensor(&fixture.tensors, prefixed, 0, 1, n_floats);
}

/* The reference of a point; 'layer' counts only for GPT2_TAP_BLOCK, others are block 0's. */
static float *theirs(size_t sequence, int32_t kind, int32_t layer)
{
    const char *const *names = fixture.source->names;
    char name[32];

    if (names == NULL)
        assert_int_equal(gpt2_tap_name(kind, layer, name, sizeof name), GPT2_OK);
    else if (kind == GPT2_TAP_BLOCK)
        (void)snprintf(name, sizeof name, "%s%d", names[kind], layer);
    else
        (void)snprintf(name, sizeof name, "%s", names[kind]);
    return tensor(sequence, name, reference_run_floats(&fixture.runs[sequence], kind));
}

static int open_fixture(void **state)
{
    char path[PATH_BYTES];
    gpt2_session *session;

    (void)state;
    if (!locate(path, fixture.source->tensors))
        return 0;
    reference_tensors_open(&fixture.tensors, path);
    (void)locate(path, fixture.source->model);
    fixture.model = reference_model(path, &fixture.info);
    session = reference_session(fixture.model, 1, N_ROWS);
    for (size_t s = 0; s < N_SEQUENCES; s++) {
        int32_t *ids = reference_to_ids(tensor(s, fixture.source->tokens, N_ROWS), N_ROWS);

        memcpy(fixture.ids[s], ids, sizeof fixture.ids[s]);
        free(ids);
        reference_run(&fixture.runs[s], session, &fixture.info, fixture.ids[s], N_ROWS, N_ROWS,
                      GPT2_TAP_ALL);
    }
    gpt2_session_free(session);
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    for (size_t s = 0; s < N_SEQUENCES; s++)
        reference_run_free(&fixture.runs[s]);
    gpt2_model_free(fixture.model);
    gpt2i_tensors_close(&fixture.tensors);
    return 0;
}

/* Every checkpoint begins with this. */
static void need_fixture(void **state)
{
    (void)state;
    if (fixture.model == NULL)
        skip();
}

/* ------------------------------------------------------------------------------ the checkpoints -- */

/* Every sequence for which the source has this point, against ours. */
static void check_point(int32_t kind, int32_t layer, double limit)
{
    bool inner = kind >= GPT2_TAP_LN_1 && kind <= GPT2_TAP_MLP_OUT;
    size_t n_sequences = inner ? fixture.source->n_inner : (size_t)N_SEQUENCES;
    size_t n_floats = reference_run_floats(&fixture.runs[0], kind);
    size_t n_masked = n_sequences * (size_t)fixture.info.n_head * (N_ROWS * (N_ROWS - 1) / 2);
    struct reference_difference difference = {0};
    char name[32];

    for (size_t s = 0; s < n_sequences; s++) {
        float *reference = theirs(s, kind, layer);

        reference_compare(&difference, fixture.runs[s].taps[layer][kind], reference, n_floats);
        free(reference);
    }
    assert_int_equal(gpt2_tap_name(kind, layer, name, sizeof name), GPT2_OK);
    reference_check(&difference, fixture.source->name, name, limit, n_sequences * n_floats);
    assert_int_equal(difference.n_infinite, kind == GPT2_TAP_ATTN_SCORES ? n_masked : 0);
}

static void checkpoint_01_layer_norm(void **state)
{
    need_fixture(state);
    check_point(GPT2_TAP_LN_1, 0, 1e-5);
    check_point(GPT2_TAP_LN_2, 0, 1e-5);
    check_point(GPT2_TAP_LN_F, 0, 1e-5);
}

static void checkpoint_02_qkv(void **state)
{
    const char *const *names = fixture.source->head_names;
    size_t n_embd = (size_t)fixture.info.n_embd;
    size_t head_dim;

    need_fixture(state);
    head_dim = n_embd / (size_t)fixture.info.n_head;
    check_point(GPT2_TAP_ATTN_QKV, 0, 1e-4);
    for (size_t part = 0; part < 3 && names[part] != NULL; part++) {
        struct reference_difference difference = {0};

        for (size_t s = 0; s < fixture.source->n_inner; s++) {
            float *qkv = fixture.runs[s].taps[0][GPT2_TAP_ATTN_QKV];
            float *reference = tensor(s, names[part], N_ROWS * n_embd); /* [head, row, head_dim] */

            for (size_t i = 0; i < N_ROWS * (size_t)fixture.info.n_head; i++)
                reference_compare(&difference,
                                  qkv + (i % N_ROWS * 3 + part) * n_embd + i / N_ROWS * head_dim,
                                  reference + i * head_dim, head_dim);
            free(reference);
        }
        reference_check(&difference, fixture.source->name, names[part], 1e-4,
                        fixture.source->n_inner * N_ROWS * n_embd);
    }
}

/* Fails at the first number of the cache that is not, to the bit, of h.N.attn.qkv; counts them. */
static size_t check_cache(const struct gpt2i_kvcache *kv, const struct reference_run *run)
{
    size_t n_embd = (size_t)run->info.n_embd;
    size_t n_equal = 0;

    assert_int_equal(kv->n_layer, run->info.n_layer);
    assert_int_equal(kv->n_head * kv->head_dim, n_embd);
    for (size_t layer = 0; layer < kv->n_layer; layer++) {
        for (size_t at = 0; at < (size_t)run->n_tokens; at++) {
            const float *qkv = run->taps[layer][GPT2_TAP_ATTN_QKV] + at * 3 * n_embd;

            for (size_t head = 0; head < kv->n_head; head++) {
                const float *keys = gpt2i_kv_keys(kv, layer, at / 64, head);
                const float *values = gpt2i_kv_values(kv, layer, at / 64, head);

                for (size_t d = 0; d < kv->head_dim; d++, n_equal += 2) {
                    const float *k = qkv + n_embd + head * kv->head_dim + d;
                    const float *v = k + n_embd;

                    assert_memory_equal(&keys[d * 64 + at % 64], k, sizeof *k);
                    assert_memory_equal(&values[at % 64 * kv->head_dim + d], v, sizeof *v);
                }
            }
        }
    }
    return n_equal;
}

static void checkpoint_03_kv_cache(void **state)
{
    static const int32_t steps[] = {LONG_TEXT, 1, 7};
    int32_t ids[LONG_TEXT];
    int32_t n_ids = fixture.info.n_positions < LONG_TEXT ? fixture.info.n_positions : LONG_TEXT;
    struct reference_run runs[COUNT(steps)];

    need_fixture(state);
    for (int32_t i = 0; i < n_ids; i++)
        ids[i] = fixture.ids[i / N_ROWS % N_SEQUENCES][i % N_ROWS];
    for (size_t i = 0; i < COUNT(steps); i++) {
        gpt2_session *session = reference_session(fixture.model, 1, n_ids); /* an empty cache */
        size_t n = (size_t)(2 * fixture.info.n_layer * fixture.info.n_embd * n_ids);

        reference_run(&runs[i], session, &fixture.info, ids, n_ids, steps[i],
                      GPT2_TAP_BIT(GPT2_TAP_ATTN_QKV));
        assert_int_equal(gpt2_session_position(session), n_ids);
        assert_int_equal(check_cache(&session->kv, &runs[0]), n); /* n > 0: the model has layers */
        print_message("  %s: %zu numbers of k and v equal to the bit, %d positions, %d at a time\n",
                      fixture.source->name, n, n_ids, steps[i] < n_ids ? steps[i] : n_ids);
        gpt2_session_free(session);
    }
    for (size_t i = 0; i < COUNT(steps); i++)
        reference_run_free(&runs[i]);
}

static void checkpoint_04_scores(void **state)
{
    need_fixture(state);
    check_point(GPT2_TAP_ATTN_SCORES, 0, 1e-4); /* -inf in the same places, and how many */
}

/* Their embeddings with what the first block's attention adds. */
static float *attention_residual(size_t sequence, size_t n)
{
    float *sum, *out;

    if (fixture.source->attn_resid != NULL)
        return tensor(sequence, fixture.source->attn_resid, n);
    sum = theirs(sequence, GPT2_TAP_EMBED, 0);
    out = theirs(sequence, GPT2_TAP_ATTN_OUT, 0);
    for (size_t i = 0; i < n; i++)
        sum[i] += out[i];
    free(out);
    return sum;
}

static void checkpoint_05_attention_output(void **state)
{
    size_t n = N_ROWS * (size_t)fixture.info.n_embd;
    struct reference_difference difference = {0};

    need_fixture(state);
    check_point(GPT2_TAP_ATTN_CTX, 0, 1e-4);
    check_point(GPT2_TAP_ATTN_OUT, 0, 1e-4);
    for (size_t s = 0; s < fixture.source->n_inner; s++) {
        float *const *taps = fixture.runs[s].taps[0];
        float *reference = attention_residual(s, n);
        float *ours = reference_allocate(n, sizeof *ours);

        for (size_t i = 0; i < n; i++)
            ours[i] = taps[GPT2_TAP_EMBED][i] + taps[GPT2_TAP_ATTN_OUT][i];
        reference_compare(&difference, ours, reference, n);
        free(reference);
        free(ours);
    }
    reference_check(&difference, fixture.source->name, "embed + h.0.attn.out", 1e-4,
                    fixture.source->n_inner * n);
}

static void checkpoint_06_ffn(void **state)
{
    need_fixture(state);
    check_point(GPT2_TAP_MLP_FC, 0, 1e-4);
    check_point(GPT2_TAP_MLP_ACT, 0, 1e-4);
    check_point(GPT2_TAP_MLP_OUT, 0, 1e-4);
}

static void checkpoint_07_first_block(void **state)
{
    need_fixture(state);
    check_point(GPT2_TAP_EMBED, 0, 1e-4);
    for (int32_t layer = 0; layer < fixture.info.n_layer; layer++)
        check_point(GPT2_TAP_BLOCK, layer, 1e-4);
}

/* Our logits of all rows of a sequence. */
static const float *our_logits(size_t sequence)
{
    return fixture.runs[sequence].taps[0][GPT2_TAP_LOGITS];
}

static void checkpoint_08_logits(void **state)
{
    gpt2_session *session;

    need_fixture(state);
    check_point(GPT2_TAP_LOGITS, 0, 1e-3);
    session = reference_session(fixture.model, 1, N_ROWS);
    for (size_t s = 0; s < N_SEQUENCES; s++) { /* a caller without a tap reads the same ones */
        assert_int_equal(gpt2_session_reset(session), GPT2_OK);
        assert_memory_equal(reference_forward(session, fixture.ids[s], N_ROWS, N_ROWS),
                            our_logits(s), N_ROWS * (size_t)fixture.info.n_vocab * sizeof(float));
    }
    gpt2_session_free(session);
}

static void checkpoint_09_selected_row(void **state)
{
    size_t n_vocab = (size_t)fixture.info.n_vocab;
    gpt2_session *session;

    need_fixture(state);
    session = reference_session(fixture.model, 1, 1);
    for (size_t s = 0; s < N_SEQUENCES; s++) {
        for (size_t n = 1; n <= N_ROWS; n++) {
            const float *last;

            assert_int_equal(gpt2_session_reset(session), GPT2_OK);
            last = reference_forward(session, fixture.ids[s], n, 1);
            assert_memory_equal(last, our_logits(s) + (n - 1) * n_vocab, n_vocab * sizeof *last);
        }
    }
    gpt2_session_free(session);
    print_message("  %s: %zu logits of a last row alone equal to the bit\n", fixture.source->name,
                  N_SEQUENCES * N_ROWS * n_vocab);
}

static void checkpoint_10_argmax(void **state)
{
    size_t n_vocab = (size_t)fixture.info.n_vocab;
    double smallest_gap = INFINITY;

    need_fixture(state);
    for (size_t s = 0; s < N_SEQUENCES; s++) {
        float *reference = theirs(s, GPT2_TAP_LOGITS, 0);

        for (size_t r = 0; r < N_ROWS; r++) {
            const float *row = reference + r * n_vocab;
            double gap = reference_top2_gap(row, n_vocab);

            if (gap < 1e-3)
                print_message("  sequence %zu, row %zu: the best two are %.2g apart\n", s, r, gap);
            assert_int_equal(reference_argmax(our_logits(s) + r * n_vocab, n_vocab),
                             reference_argmax(row, n_vocab));
            smallest_gap = fmin(smallest_gap, gap);
        }
        free(reference);
    }
    print_message("  %s: argmax of %d rows equal, the best two at least %.2g apart\n",
                  fixture.source->name, N_SEQUENCES * N_ROWS, smallest_gap);
}

static void checkpoint_11_probabilities(void **state)
{
    size_t n_rows = fixture.source->n_probs;
    size_t n_vocab = (size_t)fixture.info.n_vocab;
    struct reference_difference difference = {0};
    float *probs;

    need_fixture(state);
    check_point(GPT2_TAP_ATTN_PROBS, 0, 1e-6);
    probs = reference_allocate(n_vocab, sizeof *probs);
    for (size_t s = 0; s < N_SEQUENCES; s++) {
        float *reference = tensor(s, "probs", n_rows * n_vocab);

        for (size_t r = 0; r < n_rows; r++) {
            reference_softmax(our_logits(s) + (N_ROWS - n_rows + r) * n_vocab, probs, n_vocab);
            reference_compare(&difference, probs, reference + r * n_vocab, n_vocab);
        }
        free(reference);
    }
    free(probs);
    reference_check(&difference, fixture.source->name, "softmax of the logits", 1e-6,
                    N_SEQUENCES * n_rows * n_vocab);
}

/* Our greedy ids after the first n_prompt of 'reference' are the rest of it, three times. */
static void check_greedy(const int32_t *reference, size_t n_prompt, size_t n_ids)
{
    const gpt2_tokenizer *tokenizer = gpt2_model_tokenizer(fixture.model);
    int32_t *ids = reference_allocate(n_ids, sizeof *ids);

    assert_in_range(n_prompt, 1, n_ids);
    for (int run = 0; run < 3; run++) {
        gpt2_session *session = reference_session(fixture.model, 1, 1);

        memset(ids, 0xff, n_ids * sizeof *ids);
        memcpy(ids, reference, n_prompt * sizeof *ids);
        reference_greedy(session, ids, n_prompt, n_ids);
        assert_memory_equal(ids, reference, n_ids * sizeof *ids);
        gpt2_session_free(session);
    }
    if (tokenizer != NULL) {
        char *text = reference_text(tokenizer, ids, n_ids);

        print_message("  %s: \"%s\"\n", fixture.source->name, text);
        free(text);
    }
    free(ids);
}

static void checkpoint_12_greedy_text(void **state)
{
    const struct source *source = fixture.source;
    size_t n_generated = 0;

    need_fixture(state);
    for (size_t s = 0; s < N_SEQUENCES; s++) {
        size_t n_prompt = source->n_prompt, n_ids = source->n_greedy;
        int32_t *reference;

        if (source->greedy_json != NULL) {
            char path[PATH_BYTES];
            struct reference_json json;

            (void)locate(path, source->greedy_json);
            reference_json_open(&json, path);
            n_prompt = reference_length(reference_json(&json, "cases.%zu.ids", s));
            reference = reference_ids(reference_json(&json, "cases.%zu.greedy", s), &n_ids);
            reference_json_close(&json);
        } else {
            reference = reference_to_ids(tensor(s, "greedy", n_ids), n_ids);
        }
        check_greedy(reference, n_prompt, n_ids);
        n_generated += n_ids - n_prompt;
        free(reference);
    }
    assert_int_equal(n_generated, source->n_generated);
    print_message("  %s: %zu greedy ids equal, in three runs\n", source->name, n_generated);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoint_01_layer_norm),
        cmocka_unit_test(checkpoint_02_qkv),
        cmocka_unit_test(checkpoint_03_kv_cache),
        cmocka_unit_test(checkpoint_04_scores),
        cmocka_unit_test(checkpoint_05_attention_output),
        cmocka_unit_test(checkpoint_06_ffn),
        cmocka_unit_test(checkpoint_07_first_block),
        cmocka_unit_test(checkpoint_08_logits),
        cmocka_unit_test(checkpoint_09_selected_row),
        cmocka_unit_test(checkpoint_10_argmax),
        cmocka_unit_test(checkpoint_11_probabilities),
        cmocka_unit_test(checkpoint_12_greedy_text),
    };
    int failed = 0;

    for (size_t i = 0; i < COUNT(sources); i++) {
        fixture = (struct fixture){.source = &sources[i]};
        failed += cmocka_run_group_tests_name(sources[i].name, tests, open_fixture, close_fixture);
    }
    return failed;
}
