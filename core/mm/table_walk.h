/* Walking page tables range by range, skipping what is absent at the level where it is absent. */
#ifndef CORE_MM_TABLE_WALK_H
#define CORE_MM_TABLE_WALK_H

#include "core/mm/page_directory.h"

/* Steps over the level-1 tables and large pages that are present in [base, end), with the directory's lock
 * held. */
struct table_walk {
    const struct page_directory *directory;
    uint64_t base;
    uint64_t end;
    uint64_t next;       /* where the search goes on */
    uint64_t table_base; /* first address of the table or large page found */
    entry_t *upper;
};

static inline struct table_walk table_walk(const struct page_directory *directory, uint64_t base,
                                           uint64_t end)
{
    /* No root: a space on its way out, whose regions are still in the lists of their objects. */
    if (UNLIKELY(directory->root.value == PHYS_NONE.value))
        end = base;
    return (struct table_walk){.directory = directory, .base = base, .end = end, .next = base};
}

bool table_walk_search(struct table_walk *walk);

/* False at the end. O(1) amortised inside 1 GiB, O(levels) for each absent stretch. */
static inline bool table_walk_next(struct table_walk *walk)
{
    /* Most often the next table hangs on the next entry. */
    if (LIKELY(walk->upper != NULL && walk->next < walk->end && (walk->next & (GIB - 1)) != 0) &&
        LIKELY(entry_is_present(entry_load(&walk->upper[1])))) {
        walk->upper++;
        walk->table_base = walk->next;
        walk->next += TABLE_BYTES;
        return true;
    }
    return table_walk_search(walk);
}

/* The part of the table that lies in the range: indices first..last-1. */
static inline unsigned table_walk_first(const struct table_walk *walk)
{
    return walk->base > walk->table_base ? machine_table_index(walk->base, 1) : 0;
}

static inline unsigned table_walk_last(const struct table_walk *walk)
{
    return walk->end - walk->table_base < TABLE_BYTES ? machine_table_index(walk->end, 1)
                                                      : MACHINE_TABLE_ENTRIES;
}

/* How many entries there are from the one found to the end of its table or of the range. */
static inline uint64_t table_walk_neighbours(const struct table_walk *walk)
{
    uint64_t table_end = (walk->table_base | (GIB - 1)) + 1;
    uint64_t end = walk->end < table_end ? walk->end : table_end;
    return (end - walk->table_base + TABLE_BYTES - 1) / TABLE_BYTES;
}

/* Passes over so many of them. */
static inline void table_walk_skip(struct table_walk *walk, uint64_t count)
{
    walk->upper += count;
    walk->table_base += count * TABLE_BYTES;
    walk->next += count * TABLE_BYTES;
}

static inline bool table_walk_is_large(const struct table_walk *walk)
{
    return UNLIKELY(!entry_is_table(entry_load(walk->upper))); /* it is present */
}

/* Of a table. */
static inline entry_t *table_walk_entries(const struct table_walk *walk)
{
    return machine_phys_to_virt(entry_phys(entry_load(walk->upper)));
}

#endif
