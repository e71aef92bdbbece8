/* The page tables that the core starts on. */
#include "efi/page_tables.h"

#include "core/text.h"

#include <cpuid.h>

#define ENTRIES 512
#define INDEX_BITS 9

#define PTE_PRESENT (1ull << 0)
#define PTE_WRITE (1ull << 1)
#define PTE_LARGE (1ull << 7)
#define PTE_NO_EXECUTE (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

#define CR4_LA57 (1ull << 12)
#define CPUID_FEATURES_EXTENDED 0x80000001
#define CPUID_NX (1u << 20)
#define CPUID_1G (1u << 26)

/* At the two ends of a run of memory: page table, page directory and the table above it. */
#define TABLES_PER_RUN 6

static uint64_t read_cr4(void)
{
    uint64_t cr4;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    return cr4;
}

void page_tables_init(struct page_tables *tables, void *pool, size_t pool_count)
{
    unsigned eax, ebx, ecx, edx = 0;
    (void)__get_cpuid(CPUID_FEATURES_EXTENDED, &eax, &ebx, &ecx, &edx);
    *tables = (struct page_tables){
        .pool = pool,
        .pool_count = pool_count,
        .levels = (read_cr4() & CR4_LA57) != 0 ? 5 : 4,
        .has_nx = (edx & CPUID_NX) != 0,
        .has_1g = (edx & CPUID_1G) != 0,
    };
}

static uint64_t *new_table(struct page_tables *tables)
{
    if (tables->used_count == tables->pool_count)
        return NULL;
    uint64_t *table = tables->pool[tables->used_count++];
    memset(table, 0, PAGE_SIZE);
    return table;
}

result_t page_tables_reset(struct page_tables *tables)
{
    tables->used_count = 0;
    tables->root = new_table(tables);
    return tables->root != NULL ? OK : ENOMEM;
}

/* How much an entry covers at a level; level 1 is the lowest. */
static uint64_t entry_size(unsigned level)
{
    return PAGE_SIZE << (INDEX_BITS * (level - 1));
}

static size_t entry_index(uint64_t virt, unsigned level)
{
    return (virt / entry_size(level)) % ENTRIES;
}

static unsigned largest_level(const struct page_tables *tables, const struct page_mapping *rest)
{
    unsigned level = tables->has_1g ? 3 : 2;
    while (level > 1 && (((rest->virt | rest->phys) & (entry_size(level) - 1)) != 0 ||
                         rest->size_bytes < entry_size(level)))
        level--;
    return level;
}

static uint64_t leaf_bits(const struct page_tables *tables, enum page_rights rights, unsigned level)
{
    uint64_t bits = PTE_PRESENT | (level > 1 ? PTE_LARGE : 0);
    if (rights == PAGE_READ_WRITE)
        bits |= PTE_WRITE;
    if (rights != PAGE_READ_EXECUTE && tables->has_nx)
        bits |= PTE_NO_EXECUTE;
    return bits;
}

static result_t map_one(struct page_tables *tables, const struct page_mapping *mapping,
                        unsigned leaf_level)
{
    uint64_t *table = tables->root;
    for (unsigned level = tables->levels; level > leaf_level; level--) {
        uint64_t *entry = &table[entry_index(mapping->virt, level)];
        if ((*entry & PTE_LARGE) != 0)
            return EEXIST;
        if ((*entry & PTE_PRESENT) == 0) {
            uint64_t *below = new_table(tables);
            if (below == NULL)
                return ENOMEM;
            *entry = (uint64_t)(uintptr_t)below | PTE_PRESENT | PTE_WRITE;
        }
        table = (uint64_t *)(uintptr_t)(*entry & PTE_ADDRESS);
    }
    uint64_t *leaf = &table[entry_index(mapping->virt, leaf_level)];
    if (*leaf != 0)
        return EEXIST;
    *leaf = mapping->phys | leaf_bits(tables, mapping->rights, leaf_level);
    return OK;
}

result_t page_tables_map(struct page_tables *tables, const struct page_mapping *mapping)
{
    struct page_mapping rest = *mapping;
    while (rest.size_bytes > 0) {
        unsigned level = largest_level(tables, &rest);
        result_t result = map_one(tables, &rest, level);
        if (result != OK)
            return result;
        rest.virt += entry_size(level);
        rest.phys += entry_size(level);
        rest.size_bytes -= entry_size(level);
    }
    return OK;
}

/* The longest stretch of mapped memory from range *index on, whatever its kinds; *index then stands
 * behind it. Size 0: there is none left. */
static struct page_mapping next_run(const struct memory_map *map, size_t *index)
{
    while (*index < map->count && !memory_kind_is_mapped(map->ranges[*index].kind))
        (*index)++;
    if (*index == map->count)
        return (struct page_mapping){.size_bytes = 0};

    uint64_t start = map->ranges[*index].start;
    uint64_t end = start;
    while (*index < map->count && memory_kind_is_mapped(map->ranges[*index].kind) &&
           map->ranges[*index].start == end)
        end = memory_range_end(&map->ranges[(*index)++]);
    return (struct page_mapping){
        .virt = BOOT_DIRECT_MAP_BASE + start,
        .phys = start,
        .size_bytes = end - start,
        .rights = PAGE_READ_WRITE,
    };
}

result_t page_tables_map_memory(struct page_tables *tables, const struct memory_map *map)
{
    size_t index = 0;
    for (struct page_mapping run = next_run(map, &index); run.size_bytes > 0;
         run = next_run(map, &index)) {
        result_t result = page_tables_map(tables, &run);
        if (result != OK)
            return result;
    }
    return OK;
}

size_t page_tables_estimate(const struct page_tables *tables, const struct memory_map *map)
{
    size_t count = 1;
    size_t index = 0;
    for (struct page_mapping run = next_run(map, &index); run.size_bytes > 0;
         run = next_run(map, &index)) {
        count += TABLES_PER_RUN + run.size_bytes / entry_size(4);
        if (!tables->has_1g)
            count += run.size_bytes / entry_size(3);
    }
    return count;
}
