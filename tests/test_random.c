/*
 * test_random.c: Philox4x32-10 against the known answers of Random123, its authors' library.
 */
#include "tiny_model.h"

#include "decode/random.h"

/* Random123's kat_vectors. */
static void test_philox(void **state)
{
    static const struct {
        uint64_t seed, position, stream;
        uint32_t words[4];
    } vectors[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         0x85a308d3243f6a88,
         0x0370734413198a2e,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    uint32_t words[4];

    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        gpt2i_philox(words, vectors[i].seed, vectors[i].position, vectors[i].stream);
        assert_memory_equal(words, vectors[i].words, sizeof words);
    }
    assert_true(gpt2i_uniform(0) == 0.0f && gpt2i_uniform(255) == 0.0f);
    assert_true(gpt2i_uniform(256) == 0x1p-24f);
    assert_true(gpt2i_uniform(UINT32_MAX) == 1.0f - 0x1p-24f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_philox)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
