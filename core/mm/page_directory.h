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
 * instead; or, marked, 2 MiB that no leaf holds and that may not be RAM. It is split, into a table of 512
 * entries, before a part of it changes.
 * Invariants: an upper entry without W is a large page or has a table below it that is not mixed; a large
 * page lies in one region; `live` is the number of present entries; tables of the user half are counted
 * in table_count, the root and the harness window are not.
 * Locking: entries that show an object's slots are written with that object's lock held, unless it is alone
 * (object.h). What the objects of one table share, that is `live`, `shows`, and W of the upper entry, each table guards by a bit of its
 * own, which is also held to write its entries. Tables come and go, and level-2 entries become
 * tables and large pages, under the directory's lock. Walks that find an entry take neither lock: they are
 * made between section_enter() and section_leave() (section.h), or with the directory's lock held, and a
 * table which they have found may be gone by the time its bit is taken: then they start again. Range
 * operations take the directory's lock themselves. */
#ifndef CORE_MM_PAGE_DIRECTORY_H
#define CORE_MM_PAGE_DIRECTORY_H

#include "core/lock.h"
#include "core/machine.h"
#include "core/mm/frames.h"
#include "core/mm/table_lock.h"
#include "core/mm/tlb.h"
#include "core/result.h"

#define TABLE_BYTES (2 * MIB) /* what one level-1 table maps */
#define TABLE_MIXED ((const void *)1)
/* In the entry of a large page that is no leaf: its first page may have no frame's entry. */
#define LARGE_WITHOUT_LEAF ENTRY_SOFTWARE

struct page_directory {
    phys_t root;
    uint64_t table_count;
    struct lock lock;
    /* A number that no directory has had before, whenever a table has left its place; atomic. */
    uint64_t generation;
};

/* Where an address's 4 KiB entry is, and the level-2 entry above it. */
struct table_place {
    entry_t *upper;
    entry_t *entry;
    struct frame *table; /* of the level-1 table */
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
    entry_t above = entry_load(*entry);
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
    if (page_directory_descend(directory, address, &entry) != 2 ||
        !entry_is_page(entry_load(entry), 2))
        return NULL;
    return entry;
}

/* The entry's place; false when there is no table, a large page included. O(levels). */
__attribute__((always_inline)) static inline bool
page_directory_find(const struct page_directory *directory, uint64_t address,
                    struct table_place *place)
{
    entry_t *upper;
    if (UNLIKELY(page_directory_descend(directory, address, &upper) != 2))
        return false;
    entry_t above = entry_load(upper);
    entry_t *entries = machine_phys_to_virt(entry_phys(above));
    place->upper = upper;
    place->entry = &entries[machine_table_index(address, 1)];
    place->table = frame_of(entry_phys(above));
    return LIKELY(entry_is_table(above));
}

/* The same for faults, which most often come one behind the other: each CPU remembers the table that it
 * found last, as processors do. In a section. No table: place->table is NULL. */
struct table_place page_directory_find_anew(const struct page_directory *directory,
                                            uint64_t address);

__attribute__((always_inline)) static inline bool
page_directory_find_again(const struct page_directory *directory, uint64_t address,
                          struct table_place *place)
{
    const struct table_hint *hint = &machine_cpu()->table_hint;
    if (UNLIKELY(hint->number != address / TABLE_BYTES ||
                 hint->generation != __atomic_load_n(&directory->generation, __ATOMIC_ACQUIRE))) {
        *place = page_directory_find_anew(directory, address);
        return place->table != NULL;
    }
    place->upper = hint->upper;
    place->entry = &hint->entries[machine_table_index(address, 1)];
    place->table = hint->table;
    return true;
}

/* Makes the tables that are missing; not where a large page is. ENOMEM: nothing changed. O(levels). */
result_t page_directory_add_tables(struct page_directory *directory, uint64_t address,
                                   struct table_place *place);

/* The entry's place, with tables made if they are missing. Not locked: others may remove the table again
 * while it is empty. ENOMEM: nothing changed. O(levels). */
static inline result_t page_directory_reserve(struct page_directory *directory, uint64_t address,
                                              struct table_place *place)
{
    bool found = page_directory_find_again(directory, address, place);
    return LIKELY(found) ? OK : page_directory_add_tables(directory, address, place);
}

/* The same down to the level-2 entry only. */
result_t page_directory_reserve_upper(struct page_directory *directory, uint64_t address,
                                      entry_t **upper);
/* The same for who holds the lock: until it is released no other CPU removes what they have made. */
result_t page_directory_add_tables_locked(struct page_directory *directory, uint64_t address,
                                          struct table_place *place) REQUIRES(directory->lock);
result_t page_directory_reserve_upper_locked(struct page_directory *directory, uint64_t address,
                                             entry_t **upper) REQUIRES(directory->lock);
/* Frees the tables above an address that are empty; for a reserve that was not used. */
void page_directory_prune(struct page_directory *directory, uint64_t address);
/* The same; with a gather, for tables that may have been used: their frames are freed with that. */
void page_directory_prune_gathered(struct page_directory *directory, uint64_t address,
                                   struct tlb_gather *gather) REQUIRES(directory->lock);

/* Locks the table of a place that was reserved or found; where it is gone by now, a new one. ENOMEM. */
static inline result_t table_place_lock(struct page_directory *directory, uint64_t address,
                                        struct table_place *place)
{
    while (UNLIKELY(!table_lock(place->table))) {
        if (page_directory_reserve(directory, address, place) != OK)
            return ENOMEM;
    }
    return OK;
}

static inline void table_place_unlock(const struct table_place *place)
{
    table_unlock(place->table);
}

/* After a table has been moved: what CPUs remember of the directory's tables is out of date. */
void page_directory_forget_hints(struct page_directory *directory);

/* The leaf at an address was copied: where a table, or a large page, shows `before` it shows `leaf`. */
void page_directory_follow(struct page_directory *directory, uint64_t address, const void *before,
                           const void *leaf);

void page_directory_change_shown(struct table_place place, const void *leaf);

/* Writes an entry of a locked table. leaf: whose data it shows; NULL for the zero page; TABLE_MIXED when its index is
 * not the leaf's. A previous translation is the caller's to flush. */
static inline void page_directory_set(struct table_place *place, entry_t entry, const void *leaf)
{
    struct frame *table = place->table;
    if (leaf && UNLIKELY(table->shows != leaf) && LIKELY(table->shows != TABLE_MIXED))
        page_directory_change_shown(*place, leaf);
    table->live = (uint16_t)(table->live + !entry_is_present(entry_peek(place->entry)));
    entry_store(place->entry, entry);
}

/* Takes W from all entries of a locked table and gives it back to the upper one. */
void page_directory_settle(struct table_place *place);

void page_directory_unmap_present(struct page_directory *directory, uint64_t base, uint64_t end,
                                  struct tlb_gather *gather);

/* Removes the entries of a range, and tables that become empty. A large page that reaches beyond the
 * range loses its one entry: who wants the rest to stay mapped splits it before. O(present). */
static inline void page_directory_unmap(struct page_directory *directory, uint64_t base,
                                        uint64_t end, struct tlb_gather *gather)
{
    if (__atomic_load_n(&directory->table_count, __ATOMIC_RELAXED) != 0)
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
void page_directory_split_large(struct page_directory *directory, entry_t *upper, phys_t table)
    REQUIRES(directory->lock);
/* Splitting the large pages that lie across either end of a range, in two steps: reserve puts frames for
 * the tables into the reserve (ENOMEM), split takes them out. */
result_t page_directory_reserve_split(struct page_directory *directory, uint64_t base, uint64_t end,
                                      struct frame_reserve *reserve);
void page_directory_split(struct page_directory *directory, uint64_t base, uint64_t end,
                          struct frame_reserve *reserve, struct tlb_gather *gather);

/* Takes over what `from` maps in [base, end), where nothing is mapped here, tables where none are in the
 * way; and ends `from`, which has nothing else. Cannot fail. O(tables). */
void page_directory_take_over(struct page_directory *directory, struct page_directory *from,
                              uint64_t base, uint64_t end);

#endif
