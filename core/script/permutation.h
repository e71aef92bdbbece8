/* A random order of 0..count-1 without a table: a Feistel network over the next even number of bits,
 * walked along its cycle until it is back below count (Black, Rogaway: "Ciphers with arbitrary finite
 * domains", 2002). Fewer than four steps a value on average. */
#ifndef CORE_SCRIPT_PERMUTATION_H
#define CORE_SCRIPT_PERMUTATION_H

#include "core/random.h"
#include "core/types.h"

#define PERMUTATION_ROUNDS 4

struct permutation {
    uint64_t count;
    unsigned half_bits;
    uint64_t keys[PERMUTATION_ROUNDS];
};

/* count is not 0. */
static inline void permutation_init(struct permutation *permutation, uint64_t count, uint64_t seed)
{
    unsigned bits = count <= 2 ? 1 : 64 - (unsigned)__builtin_clzll(count - 1);
    struct random random = {seed};
    permutation->count = count;
    permutation->half_bits = (bits + 1) / 2;
    for (unsigned i = 0; i < PERMUTATION_ROUNDS; i++)
        permutation->keys[i] = random_next(&random);
}

static inline uint64_t permutation_step(const struct permutation *permutation, uint64_t value)
{
    uint64_t mask = (1ull << permutation->half_bits) - 1;
    uint64_t left = value >> permutation->half_bits;
    uint64_t right = value & mask;
    for (unsigned i = 0; i < PERMUTATION_ROUNDS; i++) {
        uint64_t next = left ^ (splitmix64(right ^ permutation->keys[i]) & mask);
        left = right;
        right = next;
    }
    return left << permutation->half_bits | right;
}

/* The place of `index`, which is below count. */
static inline uint64_t permutation_at(const struct permutation *permutation, uint64_t index)
{
    uint64_t value = permutation_step(permutation, index);
    while (value >= permutation->count)
        value = permutation_step(permutation, value);
    return value;
}

#endif
