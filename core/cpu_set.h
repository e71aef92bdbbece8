/* A set of CPUs that any CPU may look at and change at any time.
 *
 * Concepts: adding and removing are full barriers, so that what stands before them in the program is
 * seen by whoever finds the CPU in the set, or not in it any more. */
#ifndef CORE_CPU_SET_H
#define CORE_CPU_SET_H

#include "core/cpu.h"

#define CPU_SET_WORDS (CPU_MAX / 64)

struct cpu_set {
    uint64_t words[CPU_SET_WORDS]; /* atomic */
};

static inline void cpu_set_add(struct cpu_set *set, unsigned cpu)
{
    __atomic_fetch_or(&set->words[cpu / 64], 1ull << cpu % 64, __ATOMIC_SEQ_CST);
}

static inline void cpu_set_remove(struct cpu_set *set, unsigned cpu)
{
    __atomic_fetch_and(&set->words[cpu / 64], ~(1ull << cpu % 64), __ATOMIC_SEQ_CST);
}

static inline bool cpu_set_has(const struct cpu_set *set, unsigned cpu)
{
    return (__atomic_load_n(&set->words[cpu / 64], __ATOMIC_SEQ_CST) >> cpu % 64 & 1) != 0;
}

/* The first CPU of the set from `from` on; CPU_MAX: there is none. */
static inline unsigned cpu_set_next(const struct cpu_set *set, unsigned from)
{
    while (from < CPU_MAX) {
        uint64_t word = __atomic_load_n(&set->words[from / 64], __ATOMIC_SEQ_CST) >> from % 64;
        if (word != 0)
            return from + (unsigned)__builtin_ctzll(word);
        from = (from / 64 + 1) * 64;
    }
    return CPU_MAX;
}

#endif
