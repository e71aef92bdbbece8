/* What core/mm keeps for each CPU: a few free frames and heap objects at hand.
 *
 * Concepts: `count` of a cache is its lock as well: who exchanges it for 0 owns the entries until it
 * stores the new count. A cache's own CPU takes and gives; when something runs out elsewhere others
 * empty it, under the lock of what it caches. Finding 0 (empty, or being emptied) leads there too. */
#ifndef CORE_MM_MM_CPU_H
#define CORE_MM_MM_CPU_H

#include "core/machine.h"

#define FRAME_CACHE_MAX 128

struct frame_cache {
    uint32_t count; /* atomic */
    uint32_t numbers[FRAME_CACHE_MAX];
};

#define HEAP_CLASSES 9
#define HEAP_CACHE_MAX 30

/* Objects of one heap class. */
struct heap_cache {
    uint32_t count; /* atomic */
    void *objects[HEAP_CACHE_MAX];
};

struct mm_cpu {
    bool inject_suspended; /* what it allocates now counts for no `inject` */
    uint64_t shortage;     /* frames that the last refused allocation lacked; see reclaim.h */
    struct frame_cache cache;
    struct heap_cache heap[HEAP_CLASSES];
} __attribute__((aligned(64)));

extern struct mm_cpu mm_cpus[CPU_MAX];

/* CPUs whose caches may hold something. The first one works before the machine counts any. */
static inline unsigned mm_cpu_count(void)
{
    unsigned count = machine_cpu_count();
    return count == 0 ? 1 : count;
}

#endif
