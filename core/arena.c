/* A stack of memory given by the caller. */
#include "core/arena.h"

#include "core/text.h"

#define ARENA_ALIGN 16

/* Moves the top up to a multiple of `align`, counted in addresses, and takes size_bytes from there. */
static void *take(struct arena *arena, size_t size_bytes, size_t align)
{
    size_t top = (size_t)(uintptr_t)arena->base + arena->used_bytes;
    size_t padding = -top & (align - 1);
    size_t left = arena->size_bytes - arena->used_bytes;
    if (padding > left || size_bytes > left - padding)
        return NULL;
    char *memory = arena->base + arena->used_bytes + padding;
    arena->used_bytes += padding + size_bytes;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    void *memory = take(arena, size_bytes, ARENA_ALIGN);
    if (memory != NULL)
        memset(memory, 0, size_bytes);
    return memory;
}

void *arena_alloc_pages(struct arena *arena, size_t size_bytes)
{
    return take(arena, size_bytes, PAGE_SIZE);
}

char *arena_copy(struct arena *arena, const char *data, size_t size_bytes)
{
    if (size_bytes == SIZE_MAX)
        return NULL;
    char *copy = take(arena, size_bytes + 1, 1);
    if (copy == NULL)
        return NULL;
    if (size_bytes > 0)
        memcpy(copy, data, size_bytes);
    copy[size_bytes] = '\0';
    return copy;
}
