/*
 * test_limit.c: the arithmetic of `gpt2 bench`: what a call for many texts takes at least, for a model
 * and machines whose numbers can be checked by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../src/bench/work.c"

/*
 * Weights of the blocks: 3 (4 10 10 + 2 10 40) = 3600; of the head: 10 * 50 = 500.  Embeddings of
 * positions: 100.  Of 5000 parameters in 20000 bytes, a token needs 4900: 19600 bytes.
 */
static const gpt2_model_info model = {
    .n_vocab = 50,
    .n_positions = 10,
    .n_embd = 10,
    .n_layer = 3,
    .n_head = 2,
    .n_kv_head = 2,
    .n_inner = 40,
    .tied_head = 1,
    .n_parameters = 5000,
    .memory_bytes = 20000,
};

#define KV_BYTES 240 /* of a position: 2 * 3 * 10 floats */

static void equal(double found, double wanted)
{
    double difference = found > wanted ? found - wanted : wanted - found;

    if (difference > 1e-12 * wanted)
        fail_msg("found %.15g, wanted %.15g", found, wanted);
}

static void test_reading(void **state)
{
    const struct machine reads = {100, 1e18}; /* bytes are slow, operations take no time */

    (void)state;
    assert_int_equal(token_bytes(&model), 19600);
    equal(batch_seconds(&model, KV_BYTES, 1, 0, &reads), 196);
    equal(batch_seconds(&model, KV_BYTES, 4, 0, &reads), 196); /* once for all texts */
    equal(batch_seconds(&model, KV_BYTES, 4, 4 * 5, &reads), 196 + 20 * 2.4);
    equal(batch_seconds(&model, KV_BYTES / 2.0, 4, 4 * 5, &reads), 196 + 20 * 1.2);
}

static void test_multiplying(void **state)
{
    const struct machine multiplies = {1e18, 100};

    (void)state;
    equal(prefill_flops(&model, 4), 2 * (3600 * 4 + 500) + 120 * 10);
    /* 2 * 4100 operations for each text, and 4 * 3 * 10 for each position that it sees, its own too */
    equal(batch_seconds(&model, KV_BYTES, 1, 0, &multiplies), 82 + 1.2);
    equal(batch_seconds(&model, KV_BYTES, 4, 0, &multiplies), 4 * (82 + 1.2));
    equal(batch_seconds(&model, KV_BYTES, 4, 4 * 5, &multiplies), 4 * (82 + 6 * 1.2));
}

/* The matrices have one limit and attention the other: the larger time of each counts. */
static void test_sum(void **state)
{
    const struct machine machine = {100, 120};

    (void)state;
    /* matrices: 196 or 4 * 8200 / 120 = 273; attention: 20 * 2.4 = 48 or 24 positions: 24 */
    equal(batch_seconds(&model, KV_BYTES, 4, 4 * 5, &machine), 4 * 8200 / 120.0 + 48);
    /* matrices: 196 or 8200 / 120 = 68; attention: 0 or 1 */
    equal(batch_seconds(&model, KV_BYTES, 1, 0, &machine), 196 + 1);
}

/* Heads that share keys and values have a c_attn of 10 * 20 weights in place of 10 * 30. */
static void test_multi_query(void **state)
{
    gpt2_model_info shared = model;

    (void)state;
    shared.n_kv_head = 1;
    equal(prefill_flops(&shared, 4), 2 * ((3600 - 3 * 100) * 4 + 500) + 120 * 10);
}

/* A head of its own is read; the embeddings of tokens and positions are not. */
static void test_own_head(void **state)
{
    gpt2_model_info untied = model;

    (void)state;
    untied.tied_head = 0;
    untied.n_parameters = 5500;
    untied.memory_bytes = 22000;
    assert_int_equal(token_bytes(&untied), 4 * 4900);
}

/* Weights of 16 bits: 4100 of 2 bytes; 800 numbers of norms and biases stay floats. */
static void test_half_weights(void **state)
{
    gpt2_model_info halves = model;

    (void)state;
    halves.memory_type = GPT2_TYPE_F16;
    assert_int_equal(token_bytes(&halves), 8200 + 3200);
    halves.memory_type = GPT2_TYPE_BF16;
    assert_int_equal(token_bytes(&halves), 8200 + 3200);
}

/*
 * 32 weights have 34 bytes in Q8 and 18 in Q4.  The 3600 weights of the layers are 112.5 times 32, the
 * 500 of the head 15.625 times; the head has Q8 in both.  3200 bytes of floats.
 */
static void test_quantised_weights(void **state)
{
    gpt2_model_info quantised = model;

    (void)state;
    quantised.memory_type = GPT2_TYPE_Q8;
    assert_int_equal(token_bytes(&quantised), 3825 + 531 + 3200);
    quantised.memory_type = GPT2_TYPE_Q4;
    assert_int_equal(token_bytes(&quantised), 2025 + 531 + 3200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_multiplying),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_multi_query),
        cmocka_unit_test(test_own_head),
        cmocka_unit_test(test_half_weights),
        cmocka_unit_test(test_quantised_weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
