/* The kernel's own half: direct map, image, dynamic range, and the harness window of all spaces.
 *
 *   0xffff800000000000  direct map: RAM and firmware tables, largest pages, no execute; the core's text
 *                       is left out, so that nothing writable maps it; the framebuffer, not cached; at
 *                       check level 2 of 4 KiB pages, those of the heap read-only
 *   0xffffc00000000000  dynamic range: stacks with guard pages, devices
 *   0xffffffff80000000  the core's image: text rx, rodata r, data rw
 *
 * Concepts: kernel_tree says what every address of it is. All but the dynamic range is reserved from the
 * start by regions that take no memory, so that the tree's holes are what the dynamic range has free.
 * Invariants: all supervisor, global, and never writable and executable at once. The identity roots
 * for starting CPUs and for firmware calls are the exception; no space ever has them, nor the tree. */
#include "core/check.h"
#include "core/log.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/kernel_tables.h"
#include "core/mm/mm.h"

/* The frame database, the framebuffer, the image's segments, and what lies between them. */
#define RESERVED_MAX 32

static const struct boot_info *boot_info;
static struct kernel_region reserved[RESERVED_MAX];
static size_t reserved_count;

static unsigned largest_level(void)
{
    unsigned level = 1;
    while (level < 3 && machine_has_page_level(level + 1))
        level++;
    return level;
}

/* --- direct map and image --------------------------------------------------------------------------------- */

static bool is_direct_mapped(uint32_t kind)
{
    return kind != MEMORY_MMIO && kind != MEMORY_RESERVED && kind != MEMORY_UNUSABLE;
}

/* Where the loader put a linked address. */
static phys_t image_phys(uint64_t linked)
{
    return phys(boot_info->core_image.start + (linked - BOOT_CORE_BASE));
}

/* Where single pages change their rights none is global: another CPU's old translation ends with the
 * root it has loaded. */
static result_t direct_map_range(uint64_t start, uint64_t end)
{
    uint64_t bits = ENTRY_WRITE | ENTRY_NO_EXEC | (heap.checked ? 0 : ENTRY_GLOBAL);
    if (start >= end)
        return OK;
    return kernel_tables_map(&mm.kernel_directory, BOOT_DIRECT_MAP_BASE + start, phys(start),
                             end - start, bits, heap.checked ? 1 : largest_level());
}

void kernel_page_protect(phys_t page, enum kernel_page_rights rights)
{
    struct table_place place;
    uint64_t address = BOOT_DIRECT_MAP_BASE + page.value;
    bool found = page_directory_find(&mm.kernel_directory, address, &place);
    ASSERT(heap.checked && found && entry_is_present(*place.entry));
    *place.entry = rights == KERNEL_PAGE_WRITABLE ? entry_with_write(*place.entry)
                                                  : entry_without_write(*place.entry);
    machine_flush_page(virt(address));
}

/* Maps [start, end) but for what the image maps without W (text and constants). */
static result_t direct_map_around_image(uint64_t start, uint64_t end)
{
    size_t count;
    const struct image_segment *segments = machine_image_segments(&count);
    for (size_t i = 0; i < count; i++) {
        uint64_t low = image_phys(segments[i].start).value;
        uint64_t high = image_phys(segments[i].end).value;
        if ((segments[i].bits & ENTRY_WRITE) != 0 || high <= start || low >= end)
            continue;
        result_t result = direct_map_range(start, low);
        if (result != OK)
            return result;
        start = high;
    }
    return direct_map_range(start, end);
}

static result_t map_memory(void)
{
    size_t count = boot_info->memory_map.size_bytes / sizeof(struct boot_memory_range);
    const struct boot_memory_range *map = machine_phys_to_virt(phys(boot_info->memory_map.start));
    for (size_t i = 0; i < count;) {
        uint64_t start = map[i].start;
        uint64_t end = start;
        if (!is_direct_mapped(map[i].kind)) {
            i++;
            continue;
        }
        /* Neighbours are mapped together, so that large pages can span them. */
        while (i < count && map[i].start == end && is_direct_mapped(map[i].kind))
            end += map[i++].page_count * PAGE_SIZE;
        if (direct_map_around_image(start, end) != OK)
            return ENOMEM;
    }
    return OK;
}

/* The framebuffer, where the direct map would have it if it were RAM: so the boot page tables have it
 * too, and what draws on it need not know which are loaded. */
static result_t map_framebuffer(void)
{
    const struct boot_framebuffer *framebuffer = &boot_info->framebuffer;
    uint64_t start = page_floor(framebuffer->start);
    uint64_t end = page_ceil(framebuffer->start + framebuffer->size_bytes);
    if (framebuffer->is_mapped == 0)
        return OK;
    mm.screen = phys(start);
    mm.screen_pages = (end - start) >> PAGE_SHIFT;
    return kernel_tables_map(
        &mm.kernel_directory, BOOT_DIRECT_MAP_BASE + start, phys(start), end - start,
        ENTRY_WRITE | ENTRY_NO_EXEC | ENTRY_GLOBAL | mm.write_combining, largest_level());
}

static result_t map_image(void)
{
    size_t count;
    const struct image_segment *segments = machine_image_segments(&count);
    for (size_t i = 0; i < count; i++) {
        result_t result = kernel_tables_map(
            &mm.kernel_directory, segments[i].start, image_phys(segments[i].start),
            segments[i].end - segments[i].start, segments[i].bits | ENTRY_GLOBAL, 1);
        if (result != OK)
            return result;
    }
    return OK;
}

/* --- reserved ranges ------------------------------------------------------------------------------------------ */

static void reserve(uint64_t base, uint64_t end, const char *name)
{
    ASSERT(reserved_count < RESERVED_MAX);
    struct kernel_region *region = &reserved[reserved_count++];
    region->start = base;
    region->name = name;
    result_t result =
        region_tree_place_specifically(&mm.kernel_tree, &region->node, base, end - base);
    ASSERT(result == OK);
}

/* The name for what nothing else has of [low, high). */
static void reserve_rest(uint64_t low, uint64_t high, const char *name)
{
    while (low < high) {
        const struct region_node *next = region_tree_find_from(&mm.kernel_tree, low);
        uint64_t end = next && next->base < high ? next->base : high;
        if (end > low)
            reserve(low, end, name);
        low = end < high ? next->end : high;
    }
}

static void reserve_direct_map(void)
{
    uint64_t database = BOOT_DIRECT_MAP_BASE + machine_virt_to_phys(frames.entries).value;
    uint64_t screen = BOOT_DIRECT_MAP_BASE + mm.screen.value;
    reserve(database, database + frames_database_bytes(), "frame database");
    if (mm.screen_pages != 0)
        reserve(screen, screen + (mm.screen_pages << PAGE_SHIFT), "framebuffer");
    reserve_rest(BOOT_DIRECT_MAP_BASE, KERNEL_RANGE_LOW, "direct map");
}

static const char *segment_name(const struct image_segment *segment)
{
    if ((segment->bits & ENTRY_WRITE) != 0)
        return "the core's data and stacks";
    return (segment->bits & ENTRY_NO_EXEC) != 0 ? "the core's constants" : "the core's text";
}

static void reserve_image(void)
{
    size_t count;
    const struct image_segment *segments = machine_image_segments(&count);
    for (size_t i = 0; i < count; i++) {
        if (segments[i].start < segments[i].end)
            reserve(segments[i].start, page_ceil(segments[i].end), segment_name(&segments[i]));
    }
    reserve_rest(KERNEL_RANGE_HIGH, KERNEL_TREE_HIGH, "nothing, never mapped");
}

/* --- start -------------------------------------------------------------------------------------------------- */

static result_t new_kernel_table(phys_t *table)
{
    if (frames_take_uninjected(FRAME_KERNEL, table) != OK)
        return ENOMEM;
    machine_page_clear(machine_phys_to_virt(*table));
    return OK;
}

/* Gives the dynamic range its root entries now, so that all spaces share them for good. */
static result_t reserve_dynamic_range(entry_t *root)
{
    uint64_t span = machine_level_size(machine_levels);
    for (uint64_t done = 0; done < KERNEL_RANGE_HIGH - KERNEL_RANGE_LOW; done += span) {
        entry_t *entry = &root[machine_table_index(KERNEL_RANGE_LOW + done, machine_levels)];
        phys_t table;
        if (entry_is_present(*entry))
            continue;
        if (new_kernel_table(&table) != OK)
            return ENOMEM;
        *entry = entry_table(table, ENTRY_TABLE_BITS);
    }
    return OK;
}

static void note_root_slots(const entry_t *root)
{
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
        if (!entry_is_present(root[i]))
            continue;
        ASSERT(mm.root_slot_count < KERNEL_ROOT_SLOTS_MAX);
        mm.root_slots[mm.root_slot_count++] = (uint16_t)i;
    }
}

result_t kernel_init(const struct boot_info *boot)
{
    boot_info = boot;
    mm.write_combining = machine_feature("pat") == 1 ? ENTRY_WRITE_COMBINING : ENTRY_UNCACHED;
    lock_init(&mm.kernel_lock, RANK_SPACE, "kernel space");
    region_tree_init(&mm.kernel_tree, KERNEL_TREE_LOW, KERNEL_TREE_HIGH);
    if (new_kernel_table(&mm.kernel_directory.root) != OK || map_memory() != OK ||
        map_framebuffer() != OK || map_image() != OK)
        return ENOMEM;
    entry_t *root = machine_phys_to_virt(mm.kernel_directory.root);
    if (reserve_dynamic_range(root) != OK)
        return ENOMEM;
    reserve_direct_map();
    reserve_image();
    return machine_load_first_root(mm.kernel_directory.root, mm_machine_services());
}

/* --- dynamic range -------------------------------------------------------------------------------------------- */

/* A range of its own whose `start` lies to multiples of `align` as `like` does, with an unmapped page or
 * more in front. NULL: no memory. */
static struct kernel_region *create_region(const char *name, uint64_t size_bytes, uint64_t align,
                                           uint64_t like)
{
    uint64_t skipped = align + like % align;
    struct kernel_region *region = heap_alloc(sizeof *region);
    if (!region)
        return NULL;
    region->name = name;
    region->in_heap = true;
    lock_acquire(&mm.kernel_lock);
    result_t result =
        region_tree_place_anywhere(&mm.kernel_tree, &region->node, size_bytes + skipped, align);
    region->start = region->node.base + skipped;
    lock_release(&mm.kernel_lock);
    if (result != OK) {
        heap_free(region, sizeof *region);
        return NULL;
    }
    return region;
}

/* Unmaps it, whatever of it is mapped. */
static void destroy_region(struct kernel_region *region)
{
    lock_acquire(&mm.kernel_lock);
    kernel_tables_unmap(&mm.kernel_directory, region->start, region->node.end - region->start);
    region_tree_remove(&mm.kernel_tree, &region->node);
    lock_release(&mm.kernel_lock);
    heap_free(region, sizeof *region);
}

/* Large ranges (PCI's configuration space) by large pages, so that they cost no tables to speak of. */
static void *map_physical(const char *name, phys_t start, uint64_t size_bytes, uint64_t bits)
{
    uint64_t first = page_floor(start.value);
    uint64_t mapped_bytes = page_ceil(start.value + size_bytes) - first;
    unsigned level = mapped_bytes >= machine_level_size(2) && machine_has_page_level(2) ? 2 : 1;
    struct kernel_region *region =
        create_region(name, mapped_bytes, machine_level_size(level), first);
    if (!region)
        return NULL;
    lock_acquire(&mm.kernel_lock);
    result_t result = kernel_tables_map(&mm.kernel_directory, region->start, phys(first),
                                        mapped_bytes, bits | ENTRY_GLOBAL, level);
    lock_release(&mm.kernel_lock);
    if (result != OK) {
        destroy_region(region);
        return NULL;
    }
    return (void *)(region->start + (start.value - first));
}

volatile void *kernel_map_device(phys_t start, uint64_t size_bytes)
{
    return map_physical("a device", start, size_bytes,
                        ENTRY_WRITE | ENTRY_NO_EXEC | ENTRY_UNCACHED);
}

void kernel_unmap_device(volatile void *mapped)
{
    lock_acquire(&mm.kernel_lock);
    struct region_node *node = region_tree_find(&mm.kernel_tree, (uint64_t)mapped);
    lock_release(&mm.kernel_lock);
    struct kernel_region *region = node ? CONTAINER_OF(node, struct kernel_region, node) : NULL;
    ASSERT(region && region->in_heap && page_floor((uint64_t)mapped) == region->start);
    destroy_region(region);
}

const void *kernel_map_firmware(phys_t start, uint64_t size_bytes)
{
    return map_physical("firmware's tables", start, size_bytes, ENTRY_NO_EXEC);
}

void *kernel_device_memory_create(uint64_t page_count)
{
    phys_t first;
    if (frames_take_run(FRAME_KERNEL, page_count, 1, phys(4 * GIB), &first) != OK)
        return NULL;
    uint8_t *memory = machine_phys_to_virt(first);
    for (uint64_t i = 0; i < page_count; i++)
        machine_page_clear(memory + i * PAGE_SIZE);
    return memory;
}

static result_t map_stack(const struct kernel_region *region)
{
    for (uint64_t at = region->start; at < region->node.end; at += PAGE_SIZE) {
        phys_t page;
        if (frames_take_uninjected(FRAME_KERNEL, &page) != OK)
            return ENOMEM;
        frame_wipe(page);
        lock_acquire(&mm.kernel_lock);
        result_t result = kernel_tables_map(&mm.kernel_directory, at, page, PAGE_SIZE,
                                            ENTRY_WRITE | ENTRY_NO_EXEC | ENTRY_GLOBAL, 1);
        lock_release(&mm.kernel_lock);
        if (result != OK) {
            frames_give(page);
            return ENOMEM;
        }
    }
    return OK;
}

/* Of a stack that was mapped in part. */
static void unmap_stack(const struct kernel_region *region)
{
    struct table_place place;
    for (uint64_t at = region->start;
         page_directory_find(&mm.kernel_directory, at, &place) && entry_is_present(*place.entry);
         at += PAGE_SIZE) {
        phys_t page = entry_phys(*place.entry);
        lock_acquire(&mm.kernel_lock);
        kernel_tables_unmap(&mm.kernel_directory, at, PAGE_SIZE);
        lock_release(&mm.kernel_lock);
        frames_give(page);
    }
}

void *kernel_stack_create(uint64_t size_bytes)
{
    struct kernel_region *region = create_region("a stack", page_ceil(size_bytes), PAGE_SIZE, 0);
    if (!region)
        return NULL;
    if (map_stack(region) != OK) {
        unmap_stack(region);
        destroy_region(region);
        return NULL;
    }
    return (void *)region->node.end;
}

/* --- identity roots --------------------------------------------------------------------------------------------- */

phys_t kernel_identity_root_create(const struct identity_range *ranges, size_t count)
{
    struct page_directory identity = {.root = PHYS_NONE};
    if (frames_take_run(FRAME_KERNEL, 1, 1, phys(4 * GIB), &identity.root) != OK)
        return PHYS_NONE;
    machine_page_copy(machine_phys_to_virt(identity.root),
                      machine_phys_to_virt(mm.kernel_directory.root));
    for (size_t i = 0; i < count; i++) {
        uint64_t first = page_floor(ranges[i].start.value);
        uint64_t end = page_ceil(ranges[i].start.value + ranges[i].size_bytes);
        if (kernel_tables_map(&identity, first, phys(first), end - first, ENTRY_WRITE,
                              largest_level()) != OK) {
            kernel_identity_root_destroy(identity.root);
            return PHYS_NONE;
        }
    }
    return identity.root;
}

/* Frees the table that a root entry points to, and all below it. */
static void free_identity_tables(entry_t above)
{
    struct {
        phys_t table;
        unsigned index;
    } stack[5] = {{entry_phys(above), 0}};
    unsigned depth = 0;
    for (;;) {
        unsigned level = machine_levels - 1 - depth;
        if (level == 1 || stack[depth].index == MACHINE_TABLE_ENTRIES) {
            frames_give(stack[depth].table);
            if (depth-- == 0)
                return;
            continue;
        }
        const entry_t *entries = machine_phys_to_virt(stack[depth].table);
        entry_t entry = entries[stack[depth].index++];
        if (!entry_is_present(entry) || entry_is_page(entry, level))
            continue;
        stack[++depth].table = entry_phys(entry);
        stack[depth].index = 0;
    }
}

/* Frees what the low half does not share with the kernel's root. */
void kernel_identity_root_destroy(phys_t root)
{
    const entry_t *entries = machine_phys_to_virt(root);
    const entry_t *kernel = machine_phys_to_virt(mm.kernel_directory.root);
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES / 2; i++) {
        bool is_shared = entry_is_present(kernel[i]) &&
                         entry_phys(kernel[i]).value == entry_phys(entries[i]).value;
        if (entry_is_present(entries[i]) && !is_shared)
            free_identity_tables(entries[i]);
    }
    frames_give(root);
}

/* --- the harness window ------------------------------------------------------------------------------------------- */

#define WINDOW_SLOTS_OFFSET (64 * KIB)

/* Maps a page for user mode in the window, whose tables are the kernel's. */
static result_t map_in_window(uint64_t address, phys_t page, uint64_t bits)
{
    entry_t *table = machine_phys_to_virt(mm.kernel_directory.root);
    for (unsigned level = machine_levels; level > 1; level--) {
        entry_t *entry = &table[machine_table_index(address, level)];
        if (!entry_is_present(*entry)) {
            phys_t below;
            if (new_kernel_table(&below) != OK)
                return ENOMEM;
            *entry = entry_table(below, ENTRY_TABLE_BITS | ENTRY_USER);
        }
        table = machine_phys_to_virt(entry_phys(*entry));
    }
    table[machine_table_index(address, 1)] = entry_page(page, bits | ENTRY_USER, 1);
    return OK;
}

result_t kernel_window_init(void)
{
    static phys_t slot_pages[CPU_MAX];
    uint64_t slots = window_base() + WINDOW_SLOTS_OFFSET;
    if (map_in_window(window_base(), machine_user_program(), 0) != OK)
        return ENOMEM;
    for (unsigned cpu = 0; cpu < machine_cpu_count(); cpu++) {
        if (frames_take_uninjected(FRAME_HARNESS, &slot_pages[cpu]) != OK ||
            map_in_window(slots + cpu * PAGE_SIZE, slot_pages[cpu], ENTRY_WRITE | ENTRY_NO_EXEC) !=
                OK)
            return ENOMEM;
        machine_page_clear(machine_phys_to_virt(slot_pages[cpu]));
    }
    machine_access_init(window_base(), slots, slot_pages);
    note_root_slots(machine_phys_to_virt(mm.kernel_directory.root));
    return OK;
}
