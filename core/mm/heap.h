/* The kernel heap: slabs of equal objects, a page each, for the core's own structures.
 *
 * Concepts: a slab is one frame; its free list and count of live objects stand in the frame's entry, so
 * that objects fill the page. Sizes are rounded up to a class. Empty slabs stay until heap_trim(),
 * which reading `$free` calls.
 * Locking: the heap's lock; callers may hold any lock of a lower rank. */
#ifndef CORE_MM_HEAP_H
#define CORE_MM_HEAP_H

#include "core/lock.h"
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

#define HEAP_CLASSES 9

struct heap {
    struct lock lock;
    struct heap_class classes[HEAP_CLASSES];
};

extern struct heap heap;

void heap_init(void);

void *heap_class_alloc(struct heap_class *class);
void heap_class_free(struct heap_class *class, void *object);

/* Folds to a constant where the size is one. */
static inline struct heap_class *heap_class_of(uint64_t size_bytes)
{
    if (size_bytes <= 128)
        return &heap.classes[size_bytes <= 64 ? size_bytes > 32 : 2 + (size_bytes > 96)];
    if (size_bytes <= 256)
        return &heap.classes[4 + (size_bytes > 192)];
    return &heap.classes[6 + (size_bytes > 512) + (size_bytes > 1024)];
}

/* Not cleared; at most HEAP_OBJECT_MAX bytes, aligned to 16. NULL: no memory. O(1). */
static inline void *heap_alloc(uint64_t size_bytes)
{
    return heap_class_alloc(heap_class_of(size_bytes));
}

/* size_bytes as it was asked for. O(1). */
static inline void heap_free(void *object, uint64_t size_bytes)
{
    heap_class_free(heap_class_of(size_bytes), object);
}

/* Gives empty slabs back. O(slabs that have free objects). */
void heap_trim(void);
/* Objects in use, of all classes. */
uint64_t heap_live_count(void);

#endif
