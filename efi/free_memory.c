/* What is free by the firmware's memory map. See free_memory.h. */
#include "efi/free_memory.h"

#include "core/text.h"

struct free_memory free_memory_get(void)
{
    struct free_memory map = {NULL, 0, 0};
    UINTN key = 0;
    UINT32 version = 0;
    UINTN size = 0;
    (void)firmware.boot->GetMemoryMap(&size, NULL, &key, &map.stride, &version);
    size += 16 * map.stride; /* the buffer itself makes it longer */
    void *buffer = size > 0 ? firmware_pool(size) : NULL;
    if (buffer == NULL)
        return map;
    map.size = size;
    if (EFI_ERROR(firmware.boot->GetMemoryMap(&map.size, buffer, &key, &map.stride, &version)) ||
        map.stride < sizeof(EFI_MEMORY_DESCRIPTOR))
        map.size = 0;
    map.descriptors = buffer;
    return map;
}

void free_memory_put(struct free_memory *map)
{
    if (map->descriptors != NULL)
        firmware_pool_free((void *)map->descriptors);
}

bool free_memory_next(const struct free_memory *map, UINTN *offset, struct stretch *stretch)
{
    while (*offset + map->stride <= map->size) {
        EFI_MEMORY_DESCRIPTOR descriptor;
        memcpy(&descriptor, map->descriptors + *offset, sizeof(descriptor));
        *offset += map->stride;
        if (descriptor.Type != EfiConventionalMemory)
            continue;
        *stretch =
            (struct stretch){descriptor.PhysicalStart,
                             descriptor.PhysicalStart + descriptor.NumberOfPages * PAGE_SIZE};
        return true;
    }
    return false;
}

uint64_t free_memory_bytes(void)
{
    struct free_memory map = free_memory_get();
    struct stretch stretch;
    UINTN offset = 0;
    uint64_t total = 0;
    while (free_memory_next(&map, &offset, &stretch))
        total += stretch.end - stretch.start;
    free_memory_put(&map);
    return total;
}
