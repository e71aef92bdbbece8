/* What is free by the firmware's memory map: stretches of conventional memory. */
#ifndef EFI_FREE_MEMORY_H
#define EFI_FREE_MEMORY_H

#include "efi/firmware.h"

/* A copy of the map, which the firmware does not change any more. */
struct free_memory {
    const char *descriptors;
    UINTN size, stride;
};

struct stretch {
    uint64_t start;
    uint64_t end;
};

/* Empty when there is no memory for the copy. */
struct free_memory free_memory_get(void);
void free_memory_put(struct free_memory *map);

/* The next stretch from *offset on, which begins with 0; false at the end. */
bool free_memory_next(const struct free_memory *map, UINTN *offset, struct stretch *stretch);

/* The sum of all stretches as they are now. */
uint64_t free_memory_bytes(void);

#endif
