/*
 * random.c: Philox4x32-10.
 */
#include "random.h"

void gpt2i_philox(uint32_t words[4], uint64_t seed, uint64_t position, uint64_t stream)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t x[4] = {(uint32_t)position, (uint32_t)(position >> 32), (uint32_t)stream,
                     (uint32_t)(stream >> 32)};

    for (int round = 0; round < 10; round++) {
        uint64_t product_0 = (uint64_t)0xD2511F53u * x[0];
        uint64_t product_1 = (uint64_t)0xCD9E8D57u * x[2];

        x[0] = (uint32_t)(product_1 >> 32) ^ x[1] ^ key[0];
        x[2] = (uint32_t)(product_0 >> 32) ^ x[3] ^ key[1];
        x[1] = (uint32_t)product_1;
        x[3] = (uint32_t)product_0;
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    memcpy(words, x, sizeof x);
}
