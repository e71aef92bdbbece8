/* The page tables of a space, in the machine's own format.
 *
 * Concepts: tables count their present entries in their frame, so that an empty one is seen and freed
 * at once, without a scan or a side table. Walks skip what is absent at the level where it is absent.
 *
 *   root ... level 2: upper entry --> level-1 table: 512 entries of 4 KiB
 *                     W taken back        entries keep their W: the write protection of a fork costs
 *                     by a fork           one store for 2 MiB
 *
 * A level-1 table remembers in its frame which leaf of which object its data entries show (`shows`),
 * or that they are mixed. Entries of the shared zero page are never writable and do not count as data.
 * An upper entry may also be a large page: the 512 frames of a leaf, whose first one remembers the leaf
 * instead. It is split, into a table of 512 entries, before a part of it changes.
 * Invariants: an upper entry without W is a large page or has a table below it that is not mixed; a large
 * page lies in one region; `live` is the number of present entries; tables of the user half are counted
 * in table_count, the root and the harness window are not.
 * Locking: the space's lock, or the object's for entries that show its slots (stage 5: a bit per
 * table). */
#ifndef CORE_MM_PAGE_DIRECTORY_H
#define CORE_MM_PAGE_DIRECTORY_H

#include "core/machine.h"
#include "core/mm/frames.h"
#include "core/mm/tlb.h"
#include "core/result.h"

#define TABLE_BYTES (2 * MIB) /* what one level-1 table maps */
#define TABLE_MIXED ((const void *)1)

struct page_directory {
    phys_t root;
    uint64_t table_count;
};

/* Where an address's 4 KiB entry is, and the level-2 entry above it. */
struct table_place {
    entry_t *upper;
    entry_t *entry;
};

/* A root with the kernel half and the harness window; costs one frame. ENOMEM. */
result_t page_directory_init(struct page_directory *directory);
/* Frees all user tables and the root without looking at level-1 entries and without flushing: it must
 * not be loaded anywhere. Also fit for a directory that failed half-way. */
void page_directory_fini(struct page_directory *directory);

/* One step down a walk: follows *entry to its table and on to the address's entry there. False: there
 * is no table. */
static inline bool table_step(entry_t **entry, uint64_t address, unsigned level)
{
    entry_t above = **entry;
    entry_t *table = machine_phys_to_virt(entry_phys(above));
    *entry = &table[machine_table_index(address, level)];
    return LIKELY(entry_is_table(above));
}

/* Goes down to the address's level-2 entry. Returns 2, or the level of the
 * entry which is absent (*entry is nothing then). O(levels), unrolled: every fault comes here. */
static inline unsigned page_directory_descend(const struct page_directory *directory,
                                              uint64_t address, entry_t **entry)
{
    entry_t *root = machine_phys_to_virt(directory->root);
    *entry = &root[machine_table_index(address, 4)];
    if (UNLIKELY(machine_levels == 5)) {
        *entry = &root[machine_table_index(address, 5)];
        if (!table_step(entry, address, 4))
            return 5;
    }
    if (!table_step(entry, address, 3))
        return 4;
    return table_step(entry, address, 2) ? 2 : 3;
}

/* The level-2 entry of the large page that maps an address; NULL: none does. O(levels). */
static inline entry_t *page_directory_large(const struct page_directory *directory,
                                            uint64_t address)
{
    entry_t *entry;
    if (page_directory_descend(directory, address, &entry) != 2 || !entry_is_page(*entry, 2))
        return NULL;
    return entry;
}

/* The entry's place; false when there is no table, a large page included. O(levels). */
static inline bool page_directory_find(const struct page_directory *directory, uint64_t address,
                                       struct table_place *place)
{
    entry_t *entry;
    if (UNLIKELY(page_directory_descend(directory, address, &entry) != 2))
        return false;
    place->upper = entry;
    bool found = table_step(&entry, address, 1);
    place->entry = entry;
    return found;
}

/* Makes the tables that are missing; not where a large page is. ENOMEM: nothing changed. O(levels). */
result_t page_directory_add_tables(struct page_directory *directory, uint64_t address,
                                   struct table_place *place);

/* The entry's place, with tables made if they are missing. ENOMEM: nothing changed. O(levels). */
static inline result_t page_directory_reserve(struct page_directory *directory, uint64_t address,
                                              struct table_place *place)
{
    if (LIKELY(page_directory_find(directory, address, place)))
        return OK;
    return page_directory_add_tables(directory, address, place);
}

/* The same down to the level-2 entry only. */
result_t page_directory_reserve_upper(struct page_directory *directory, uint64_t address,
                                      entry_t **upper);
/* Frees the tables above an address that are empty; for a reserve that was not used. */
void page_directory_prune(struct page_directory *directory, uint64_t address);
/* The same for tables that may have been used: their frames are freed with the gather. */
void page_directory_prune_gathered(struct page_directory *directory, uint64_t address,
                                   struct tlb_gather *gather);

static inline struct frame *table_frame(const struct table_place *place)
{
    return frame_of(entry_phys(*place->upper));
}

void page_directory_change_shown(struct table_place *place, const void *leaf);

/* Writes an entry. leaf: whose data it shows; NULL for the zero page; TABLE_MIXED when its index is
 * not the leaf's. A previous translation is the caller's to flush. */
static inline void page_directory_set(struct table_place *place, entry_t entry, const void *leaf)
{
    struct frame *table = table_frame(place);
    if (leaf && UNLIKELY(table->shows != leaf))
        page_directory_change_shown(place, leaf);
    table->live = (uint16_t)(table->live + !entry_is_present(*place->entry));
    *place->entry = entry;
}

/* Takes W from all entries of a table and gives it back to the upper one. */
void page_directory_settle(struct table_place *place);

void page_directory_unmap_present(struct page_directory *directory, uint64_t base, uint64_t end,
                                  struct tlb_gather *gather);

/* Removes the entries of a range, and tables that become empty. A large page that reaches beyond the
 * range loses its one entry: who wants the rest to stay mapped splits it before. O(present). */
static inline void page_directory_unmap(struct page_directory *directory, uint64_t base,
                                        uint64_t end, struct tlb_gather *gather)
{
    if (directory->table_count != 0)
        page_directory_unmap_present(directory, base, end, gather);
}
/* Gives present entries of a range, which no large page leaves, other rights; W only to those that have
 * it. O(present). */
void page_directory_protect(struct page_directory *directory, uint64_t base, uint64_t end,
                            uint64_t bits, struct tlb_gather *gather);
/* Takes write permission from a range, at the level above where the table is not mixed. O(tables). */
void page_directory_write_protect(struct page_directory *directory, uint64_t base, uint64_t end,
                                  struct tlb_gather *gather);

/* Turns a large page into a table, `table`, of 512 entries with the same rights. Its translations are
 * the caller's to flush. */
void page_directory_split_large(struct page_directory *directory, entry_t *upper, phys_t table);
/* Splitting the large pages that lie across either end of a range, in two steps: reserve puts frames for
 * the tables into the reserve (ENOMEM), split takes them out. */
result_t page_directory_reserve_split(const struct page_directory *directory, uint64_t base,
                                      uint64_t end, struct frame_reserve *reserve);
void page_directory_split(struct page_directory *directory, uint64_t base, uint64_t end,
                          struct frame_reserve *reserve, struct tlb_gather *gather);

/* Takes over what `from` maps in [base, end), where nothing is mapped here, tables where none are in the
 * way; and ends `from`, which has nothing else. Cannot fail. O(tables). */
void page_directory_take_over(struct page_directory *directory, struct page_directory *from,
                              uint64_t base, uint64_t end);

/* Steps over the level-1 tables and large pages that are present in [base, end). */
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
    return (struct table_walk){.directory = directory, .base = base, .end = end, .next = base};
}

bool table_walk_search(struct table_walk *walk);

/* False at the end. O(1) amortised inside 1 GiB, O(levels) for each absent stretch. */
static inline bool table_walk_next(struct table_walk *walk)
{
    /* Most often the next table hangs on the next entry. */
    if (LIKELY(walk->upper != NULL && walk->next < walk->end && (walk->next & (GIB - 1)) != 0) &&
        LIKELY(entry_is_present(walk->upper[1]))) {
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

static inline bool table_walk_is_large(const struct table_walk *walk)
{
    return UNLIKELY(!entry_is_table(*walk->upper)); /* it is present */
}

/* Of a table. */
static inline entry_t *table_walk_entries(const struct table_walk *walk)
{
    return machine_phys_to_virt(entry_phys(*walk->upper));
}

#endif
