/* The kernel heap: slabs of equal objects, a page each, for the core's own structures.
 *
 * Concepts: a slab is one frame; its free list and count of live objects stand in the frame's entry, so
 * that objects fill the page. Sizes are rounded up to a class. Empty slabs stay until heap_trim(),
 * which reading `$free` calls. At check level 2 the CPUs keep no objects at hand, slabs are read-only
 * outside write windows (core/write_window.h), and free objects are full of poison that whoever takes
 * them looks at.
 * Locking: the heap's lock; callers may hold any lock of a lower rank. */
#ifndef CORE_MM_HEAP_H
#define CORE_MM_HEAP_H

#include "core/lock.h"
#include "core/mm/inject.h"
#include "core/mm/mm_cpu.h"
#include "core/types.h"

#define HEAP_OBJECT_MAX 2048

struct heap_class {
    uint32_t size_bytes;
    uint32_t objects_per_slab;
    uint32_t available; /* frame numbers: first slab with free objects; 0: none */
    uint32_t full;      /* first slab without */
    uint64_t slab_count;
    uint64_t live_count;
};

struct heap {
    struct lock lock;
    bool checked; /* at check level 2; immutable after heap_init() */
    struct heap_class classes[HEAP_CLASSES];
};

extern struct heap heap;

void heap_init(void);

/* Folds to a constant where the size is one. */
static inline unsigned heap_class_of(uint64_t size_bytes)
{
    if (size_bytes <= 64)
        return size_bytes <= 32 ? 0 : 1;
    if (size_bytes <= 128)
        return size_bytes <= 96 ? 2 : 3;
    if (size_bytes <= 256)
        return size_bytes <= 192 ? 4 : 5;
    return size_bytes <= 512 ? 6 : size_bytes <= 1024 ? 7 : 8;
}

void *heap_class_alloc(unsigned class);
void heap_class_free(unsigned class, void *object);

/* Not cleared; at most HEAP_OBJECT_MAX bytes, aligned to 16. NULL: no memory. O(1), amortised. */
static inline void *heap_alloc(uint64_t size_bytes)
{
    unsigned class = heap_class_of(size_bytes);
    struct cpu *cpu = machine_cpu();
    struct heap_cache *cache = &cpu->mm->heap[class];
    if (injected_failure())
        return NULL;
    cpu->counters[COUNTER_HEAP_ALLOC]++;
    uint32_t claimed = __atomic_exchange_n(&cache->count, 0, __ATOMIC_ACQUIRE);
    if (UNLIKELY(claimed == 0))
        return heap_class_alloc(class);
    void *object = cache->objects[--claimed];
    __atomic_store_n(&cache->count, claimed, __ATOMIC_RELEASE);
    return object;
}

/* size_bytes as it was asked for. O(1), amortised. */
static inline void heap_free(void *object, uint64_t size_bytes)
{
    unsigned class = heap_class_of(size_bytes);
    struct cpu *cpu = machine_cpu();
    struct heap_cache *cache = &cpu->mm->heap[class];
    cpu->counters[COUNTER_HEAP_FREE]++;
    uint32_t claimed = __atomic_exchange_n(&cache->count, 0, __ATOMIC_ACQUIRE);
    if (UNLIKELY(claimed - 1 >= HEAP_CACHE_MAX - 1)) { /* 0 or HEAP_CACHE_MAX */
        __atomic_store_n(&cache->count, claimed, __ATOMIC_RELEASE);
        heap_class_free(class, object);
        return;
    }
    cache->objects[claimed] = object;
    __atomic_store_n(&cache->count, claimed + 1, __ATOMIC_RELEASE);
}

/* What a panic says about an address in a slab. */
void heap_describe_address(phys_t at);

/* Empties all CPUs' caches and gives empty slabs back. O(slabs that have free objects). */
void heap_trim(void);
/* Objects in use, of all classes. */
uint64_t heap_live_count(void);

#endif
