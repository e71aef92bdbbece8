/* The page tables that the core starts on: the core at its linked address, RAM and the firmware's
 * tables in the direct map, and the few bytes of loader code that switch to them one to one.
 *
 * Concepts: tables come from a pool that is set aside beforehand, since they are filled when memory
 * can no longer be asked for. Firmware runs one to one, so a table's address is its physical one. */
#ifndef EFI_PAGE_TABLES_H
#define EFI_PAGE_TABLES_H

#include "core/result.h"
#include "core/types.h"
#include "efi/memory_map.h"

enum page_rights { PAGE_READ_EXECUTE, PAGE_READ, PAGE_READ_WRITE };

struct page_tables {
    uint64_t (*pool)[512]; /* page aligned */
    size_t pool_count;
    size_t used_count;
    uint64_t *root;
    unsigned levels; /* 4, or 5 where the firmware runs with LA57 */
    bool has_nx;
    bool has_1g;
};

struct page_mapping {
    uint64_t virt;
    uint64_t phys;
    uint64_t size_bytes;
    enum page_rights rights;
};

/* Asks the CPU what it has and takes the pool; nothing is mapped yet. */
void page_tables_init(struct page_tables *tables, void *pool, size_t pool_count);

/* Starts again with an empty root. ENOMEM: the pool has not a single table. */
result_t page_tables_reset(struct page_tables *tables);

/* Maps with the largest pages that fit. Everything is page aligned. ENOMEM: the pool is used up;
 * EEXIST: something is mapped there. Does not undo what it has done. */
result_t page_tables_map(struct page_tables *tables, const struct page_mapping *mapping);

/* Maps all of the map that memory_kind_is_mapped() in the direct map. */
result_t page_tables_map_memory(struct page_tables *tables, const struct memory_map *map);

/* At most this many tables are needed for `map` in the direct map. */
size_t page_tables_estimate(const struct page_tables *tables, const struct memory_map *map);

#endif
