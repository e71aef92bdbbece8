/* The firmware's memory map, made trustworthy. */
#include "efi/memory_map.h"

#include "core/text.h"

#include <efi.h>

/* Page tables hold 52 bits of physical address; the direct map has room for 64 TiB. */
#define PHYS_LIMIT (64 * TIB)

/* Newer than the headers of gnu-efi. */
#define MEMORY_NON_VOLATILE 0x8000ull      /* EFI_MEMORY_NV */
#define MEMORY_SPECIFIC_PURPOSE 0x40000ull /* EFI_MEMORY_SP: kept for a device's driver */
#define MEMORY_CACHEABILITY \
    (EFI_MEMORY_UC | EFI_MEMORY_WC | EFI_MEMORY_WT | EFI_MEMORY_WB | EFI_MEMORY_UCE)

static const uint8_t kind_of_type[] = {
    [EfiReservedMemoryType] = MEMORY_RESERVED,      [EfiLoaderCode] = MEMORY_BOOT_TEMPORARY,
    [EfiLoaderData] = MEMORY_BOOT_TEMPORARY,        [EfiBootServicesCode] = MEMORY_USABLE,
    [EfiBootServicesData] = MEMORY_USABLE,          [EfiRuntimeServicesCode] = MEMORY_RUNTIME_CODE,
    [EfiRuntimeServicesData] = MEMORY_RUNTIME_DATA, [EfiConventionalMemory] = MEMORY_USABLE,
    [EfiUnusableMemory] = MEMORY_UNUSABLE,          [EfiACPIReclaimMemory] = MEMORY_ACPI_RECLAIM,
    [EfiACPIMemoryNVS] = MEMORY_ACPI_NVS,           [EfiMemoryMappedIO] = MEMORY_MMIO,
    [EfiMemoryMappedIOPortSpace] = MEMORY_MMIO,     [EfiPalCode] = MEMORY_RESERVED,
};

/* Types from 14 on (persistent, unaccepted, the manufacturers') are nothing that the core may use, and
 * neither is RAM that is set aside or cannot be cached. */
static uint32_t kind_of(const EFI_MEMORY_DESCRIPTOR *descriptor)
{
    if (descriptor->Type >= ARRAY_COUNT(kind_of_type))
        return MEMORY_RESERVED;
    uint32_t kind = kind_of_type[descriptor->Type];
    uint64_t attribute = descriptor->Attribute;
    bool uncached = (attribute & MEMORY_CACHEABILITY) != 0 && (attribute & EFI_MEMORY_WB) == 0;
    bool set_aside = (attribute & (MEMORY_NON_VOLATILE | MEMORY_SPECIFIC_PURPOSE)) != 0;
    return kind == MEMORY_USABLE && (uncached || set_aside) ? MEMORY_RESERVED : kind;
}

bool memory_kind_is_mapped(uint32_t kind)
{
    return kind <= MEMORY_RUNTIME_DATA;
}

_Static_assert(MEMORY_RESERVED == MEMORY_RUNTIME_DATA + 1 && MEMORY_USABLE == 0,
               "the kinds that are RAM stand before those that are not");

/* The range of a descriptor, clipped and aligned: memory shrinks to whole pages, anything else grows.
 * Returns false when nothing is left; *odd when it had to be changed. */
static bool to_range(const EFI_MEMORY_DESCRIPTOR *descriptor, struct boot_memory_range *range,
                     bool *odd)
{
    uint64_t start = descriptor->PhysicalStart;
    uint64_t pages = descriptor->NumberOfPages;
    *odd =
        start >= PHYS_LIMIT || pages > (PHYS_LIMIT - start) / PAGE_SIZE || !is_page_aligned(start);
    if (start >= PHYS_LIMIT || pages == 0)
        return false;
    if (pages > (PHYS_LIMIT - start) / PAGE_SIZE)
        pages = (PHYS_LIMIT - start) / PAGE_SIZE;

    uint32_t kind = kind_of(descriptor);
    uint64_t end = start + pages * PAGE_SIZE;
    start = memory_kind_is_mapped(kind) ? page_ceil(start) : page_floor(start);
    end = memory_kind_is_mapped(kind) ? page_floor(end) : page_ceil(end);
    *range = (struct boot_memory_range){
        .start = start,
        .page_count = end > start ? (end - start) / PAGE_SIZE : 0,
        .kind = kind,
        .efi_type = descriptor->Type,
    };
    return range->page_count > 0;
}

result_t memory_map_paint(struct memory_map *map, const struct boot_memory_range *range)
{
    uint64_t start = range->start;
    uint64_t end = memory_range_end(range);
    size_t first = 0;
    while (first < map->count && memory_range_end(&map->ranges[first]) <= start)
        first++;
    size_t behind = first;
    while (behind < map->count && map->ranges[behind].start < end)
        behind++;

    /* ranges[first..behind) are covered, but for the head of the first and the tail of the last. */
    struct boot_memory_range pieces[3];
    size_t piece_count = 0;
    if (first < behind && map->ranges[first].start < start) {
        pieces[piece_count] = map->ranges[first];
        pieces[piece_count++].page_count = (start - map->ranges[first].start) / PAGE_SIZE;
    }
    pieces[piece_count++] = *range;
    if (first < behind && memory_range_end(&map->ranges[behind - 1]) > end) {
        pieces[piece_count] = map->ranges[behind - 1];
        pieces[piece_count].page_count =
            (memory_range_end(&map->ranges[behind - 1]) - end) / PAGE_SIZE;
        pieces[piece_count++].start = end;
    }
    size_t count = map->count - (behind - first) + piece_count;
    if (count > map->capacity)
        return ENOMEM;

    memmove(&map->ranges[first + piece_count], &map->ranges[behind],
            (map->count - behind) * sizeof(map->ranges[0]));
    memcpy(&map->ranges[first], pieces, piece_count * sizeof(pieces[0]));
    map->count = count;
    return OK;
}

/* Joins neighbours of the same kind; the result has the firmware's type of the larger part. */
static void merge(struct memory_map *map)
{
    size_t count = 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_memory_range *next = &map->ranges[i];
        struct boot_memory_range *last = count > 0 ? &map->ranges[count - 1] : NULL;
        if (last == NULL || last->kind != next->kind || memory_range_end(last) != next->start) {
            map->ranges[count++] = *next;
            continue;
        }
        if (next->page_count > last->page_count)
            last->efi_type = next->efi_type;
        last->page_count += next->page_count;
    }
    map->count = count;
}

static bool overlaps(const struct memory_map *map, const struct boot_memory_range *range)
{
    for (size_t i = 0; i < map->count; i++) {
        if (map->ranges[i].start < memory_range_end(range) &&
            memory_range_end(&map->ranges[i]) > range->start)
            return true;
    }
    return false;
}

static result_t paint_kind(struct memory_map *map, const struct memory_descriptors *descriptors,
                           uint32_t kind)
{
    const char *bytes = descriptors->data;
    for (size_t offset = 0; descriptors->size_bytes - offset >= descriptors->stride;
         offset += descriptors->stride) {
        EFI_MEMORY_DESCRIPTOR descriptor;
        memcpy(&descriptor, bytes + offset, sizeof(descriptor));
        if (kind_of(&descriptor) != kind)
            continue;
        struct boot_memory_range range;
        bool odd;
        bool any = to_range(&descriptor, &range, &odd);
        map->repaired += odd || (any && overlaps(map, &range));
        if (!any)
            continue;
        result_t result = memory_map_paint(map, &range);
        if (result != OK)
            return result;
    }
    return OK;
}

result_t memory_map_from_firmware(struct memory_map *map,
                                  const struct memory_descriptors *descriptors)
{
    if (descriptors->stride < sizeof(EFI_MEMORY_DESCRIPTOR))
        return EINVAL;

    map->count = 0;
    map->repaired = 0;
    for (uint32_t kind = 0; kind < MEMORY_KIND_COUNT; kind++) {
        result_t result = paint_kind(map, descriptors, kind);
        if (result != OK)
            return result;
    }

    merge(map);
    return OK;
}

bool memory_map_is_mapped(const struct memory_map *map, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_memory_range *range = &map->ranges[i];
        if (range->start < end && memory_range_end(range) > start &&
            memory_kind_is_mapped(range->kind))
            return true;
    }
    return false;
}

uint64_t memory_map_find_page(const struct memory_map *map, uint64_t first, uint64_t end)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_memory_range *range = &map->ranges[i];
        uint64_t page = range->start > first ? range->start : first;
        if (range->kind == MEMORY_USABLE && page < end && page < memory_range_end(range))
            return page;
    }
    return 0;
}
