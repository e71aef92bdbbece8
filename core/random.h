/* The one random generator of PageLab: splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
 * number generators", 2014). Everything random derives from the run's seed through it. */
#ifndef CORE_RANDOM_H
#define CORE_RANDOM_H

#include <stdint.h>

/* The output function: a bijection of 64-bit words. `fill pattern=N` writes it of (N xor offset/8). */
static inline uint64_t splitmix64(uint64_t value)
{
    value += 0x9e3779b97f4a7c15ull;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
    return value ^ (value >> 31);
}

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t value = splitmix64(random->state);
    random->state += 0x9e3779b97f4a7c15ull;
    return value;
}

/* The same of a source that several CPUs draw from. */
static inline uint64_t random_next_shared(struct random *random)
{
    return splitmix64(__atomic_fetch_add(&random->state, 0x9e3779b97f4a7c15ull, __ATOMIC_RELAXED));
}

/* Exactly uniform in 0..bound-1 (rejection, expected draws below 2); bound is not 0. */
static inline uint64_t random_below(struct random *random, uint64_t bound)
{
    uint64_t reject_below = -bound % bound;
    uint64_t value = random_next(random);
    while (value < reject_below)
        value = random_next(random);
    return value % bound;
}

#endif
