/* A stack of memory given by the caller, for everything that the harness builds: parsed scenarios,
 * compiled operations, samples. Nothing is freed singly: a mark is taken and released. */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include "core/types.h"

struct arena {
    char *base;
    size_t size_bytes;
    size_t used_bytes;
};

static inline void arena_init(struct arena *arena, void *memory, size_t size_bytes)
{
    *arena = (struct arena){.base = memory, .size_bytes = size_bytes};
}

/* Zeroed memory, aligned to 16 bytes; NULL when there is not enough. O(size). */
void *arena_alloc(struct arena *arena, size_t size_bytes);
/* The same without zeroing, aligned to a page: for samples. */
void *arena_alloc_pages(struct arena *arena, size_t size_bytes);
/* A zero-terminated copy; NULL when there is not enough. */
char *arena_copy(struct arena *arena, const char *data, size_t size_bytes);

static inline size_t arena_mark(const struct arena *arena)
{
    return arena->used_bytes;
}

static inline void arena_release(struct arena *arena, size_t mark)
{
    arena->used_bytes = mark;
}

#endif
