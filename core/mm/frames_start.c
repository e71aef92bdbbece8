/* The frame database and its bitmap, made from the memory map. See frames.h. */
#include "core/check.h"
#include "core/log.h"
#include "core/mm/frames.h"
#include "core/mm/mm_cpu.h"
#include "core/text.h"

static const struct boot_memory_range *memory_map(const struct boot_info *boot, size_t *range_count)
{
    *range_count = boot->memory_map.size_bytes / sizeof(struct boot_memory_range);
    return machine_phys_to_virt(phys(boot->memory_map.start));
}

static enum frame_kind kind_of_memory(uint32_t kind)
{
    switch (kind) {
    case MEMORY_USABLE:
        return FRAME_FREE;
    case MEMORY_CORE:
    case MEMORY_BOOT_DATA:
    case MEMORY_BOOT_TEMPORARY:
        return FRAME_CORE;
    case MEMORY_MMIO:
    case MEMORY_RESERVED:
        return FRAME_NO_RAM;
    default:
        return FRAME_RESERVED;
    }
}

/* Bytes of the bitmap for `count` frames; fills in the levels when memory is given. */
static uint64_t bitmap_layout(uint64_t frame_count, uint64_t *memory)
{
    uint64_t words = frame_count;
    uint64_t total = 0;
    frames.levels = 0;
    do {
        words = (words + 63) / 64;
        if (memory)
            frames.level[frames.levels] = memory + total;
        frames.levels++;
        total += words;
    } while (words > 1);
    ASSERT(frames.levels <= FRAME_LEVELS_MAX);
    return total * sizeof(uint64_t);
}

/* The highest usable range that can hold the database. */
static uint64_t place_database(const struct boot_memory_range *map, size_t range_count,
                               uint64_t size_bytes)
{
    for (size_t i = range_count; i-- > 0;) {
        if (map[i].kind == MEMORY_USABLE && map[i].page_count * PAGE_SIZE >= size_bytes)
            return map[i].start + map[i].page_count * PAGE_SIZE - size_bytes;
    }
    return UINT64_MAX;
}

static void mark_range(uint64_t start, uint64_t page_count, enum frame_kind kind)
{
    uint64_t first = start >> PAGE_SHIFT;
    for (uint64_t i = first; i < first + page_count && i < frames.count; i++) {
        frames.entries[i].kind = (uint8_t)kind;
        frames.entries[i].references = kind == FRAME_FREE ? 0 : 1;
    }
}

/* Turns all entries of kind free in the range into free frames. */
static void release_range(uint64_t start, uint64_t page_count)
{
    uint64_t first = start >> PAGE_SHIFT;
    struct frame_batch batch;
    frame_batch_init(&batch);
    for (uint64_t i = first; i < first + page_count && i < frames.count; i++) {
        if (frames.entries[i].kind != FRAME_FREE)
            continue;
        frame_batch_add(&batch, &frames.entries[i]);
        frames.entries[i].flags = check_level >= 2 ? FRAME_FRESH : 0;
    }
    frame_batch_end(&batch);
}

result_t frames_init(const struct boot_info *boot)
{
    size_t range_count;
    const struct boot_memory_range *map = memory_map(boot, &range_count);
    lock_init(&frames.lock, RANK_FRAMES, "frames");
    for (unsigned cpu = 0; cpu < CPU_MAX; cpu++)
        cpus[cpu].mm = &mm_cpus[cpu];

    for (size_t i = 0; i < range_count; i++) {
        if (kind_of_memory(map[i].kind) == FRAME_NO_RAM)
            continue;
        frames.count = (map[i].start >> PAGE_SHIFT) + map[i].page_count;
        frames.ram_count += map[i].page_count;
    }
    uint64_t entries_bytes = page_ceil(frames.count * sizeof(struct frame));
    uint64_t bitmap_bytes = page_ceil(bitmap_layout(frames.count, NULL));
    uint64_t at = place_database(map, range_count, entries_bytes + bitmap_bytes);
    if (frames.count == 0 || at == UINT64_MAX) {
        log_error("no usable memory range of %lu KiB for the frame database: "
                  "PageLab needs a machine with at least 64 MiB",
                  (unsigned long)((entries_bytes + bitmap_bytes) / KIB));
        return ENOMEM;
    }

    frames.entries = machine_phys_to_virt(phys(at));
    ASSERT((uint64_t)frames.entries % FRAME_WORD_BYTES == 0);
    memset(frames.entries, 0, entries_bytes + bitmap_bytes);
    (void)bitmap_layout(frames.count, (uint64_t *)((char *)frames.entries + entries_bytes));
    for (size_t i = 0; i < range_count; i++)
        mark_range(map[i].start, map[i].page_count, kind_of_memory(map[i].kind));
    mark_range(at, (entries_bytes + bitmap_bytes) >> PAGE_SHIFT, FRAME_CORE);
    if (frames.entries[0].kind == FRAME_FREE)
        mark_range(0, 1, FRAME_RESERVED);
    for (size_t i = 0; i < range_count; i++) {
        if (map[i].kind == MEMORY_USABLE)
            release_range(map[i].start, map[i].page_count);
    }
    return OK;
}

uint64_t frames_database_bytes(void)
{
    return page_ceil((uint64_t)(frames.level[frames.levels - 1] + 1) - (uint64_t)frames.entries);
}

void frames_release_boot_memory(const struct boot_info *boot)
{
    size_t range_count;
    const struct boot_memory_range *map = memory_map(boot, &range_count);
    for (size_t i = 0; i < range_count; i++) {
        if (map[i].kind != MEMORY_BOOT_TEMPORARY)
            continue;
        mark_range(map[i].start, map[i].page_count, FRAME_FREE);
        if (map[i].start == 0)
            mark_range(0, 1, FRAME_RESERVED);
        release_range(map[i].start, map[i].page_count);
    }
}

void frames_seal(void)
{
    frames.usable_count = frames_unpromised();
}
