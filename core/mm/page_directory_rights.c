/* Changing the rights of what page tables map. See page_directory.h. */
#include "core/mm/page_directory_rights.h"

#include "core/mm/table_walk.h"

/* Changes `count` entries of which so many may be present that a whole flush will do. */
__attribute__((noinline)) static void protect_many(entry_t *entries, unsigned count,
                                                   const struct rights_change *change,
                                                   struct tlb_gather *gather)
{
    entry_t keep = change->keep;
    entry_t set = change->set;
    entry_t differences = 0;
#pragma GCC unroll 4
    for (unsigned i = 0; i < count; i++) {
        entry_t old = entry_peek(&entries[i]);
        if (!entry_is_present(old))
            continue;
        entry_t new = (old & keep) | set;
        differences |= old ^ new;
        entry_store(&entries[i], new);
    }
    if (differences != 0)
        tlb_gather_all(gather);
}

/* Changes `count` entries of one locked table, the first of which is that of `address`. */
static inline void protect_entries(const struct table_place *first, unsigned count,
                                   uint64_t address, const struct rights_change *change,
                                   struct tlb_gather *gather)
{
    if (count > TLB_GATHER_MAX && first->table->live > TLB_GATHER_MAX) {
        protect_many(first->entry, count, change, gather);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        entry_t old = entry_peek(&first->entry[i]);
        entry_t new = (old & change->keep) | change->set;
        if (!entry_is_present(old) || new == old)
            continue;
        entry_store(&first->entry[i], new);
        tlb_gather_page(gather, address + i * PAGE_SIZE);
    }
}

static void protect_large(const struct table_walk *walk, const struct rights_change *change,
                          struct tlb_gather *gather)
{
    entry_t old = entry_load(walk->upper);
    entry_t new = (old & change->keep) | change->set;
    if (new == old)
        return;
    entry_store(walk->upper, new);
    tlb_gather_page(gather, walk->table_base);
}

static void protect_tables(struct page_directory *directory, uint64_t base, uint64_t end,
                           const struct rights_change *change, struct tlb_gather *gather)
    REQUIRES(directory->lock)
{
    struct table_walk walk = table_walk(directory, base, end);
    while (table_walk_next(&walk)) {
        if (table_walk_is_large(&walk)) {
            protect_large(&walk, change, gather);
            continue;
        }
        unsigned first = table_walk_first(&walk);
        struct table_place place = {.upper = walk.upper,
                                    .entry = &table_walk_entries(&walk)[first],
                                    .table = frame_of(entry_phys(entry_load(walk.upper)))};
        table_lock_held(place.table);
        protect_entries(&place, table_walk_last(&walk) - first, walk.table_base + first * PAGE_SIZE,
                        change, gather);
        table_place_unlock(&place);
    }
}

void page_directory_protect(struct page_directory *directory, uint64_t base, uint64_t end,
                            uint64_t bits, struct tlb_gather *gather)
{
    struct rights_change change = rights_change_to(bits);
    lock_acquire(&directory->lock);
    protect_tables(directory, base, end, &change, gather);
    lock_release(&directory->lock);
}

/* --- taking W from all ----------------------------------------------------------------------------------- */

static void write_protect_entries(const struct table_walk *walk, struct tlb_gather *gather)
{
    entry_t *entries = table_walk_entries(walk);
    unsigned last = table_walk_last(walk);
    for (unsigned i = table_walk_first(walk); i < last; i++) {
        if (!entry_is_writable(entry_peek(&entries[i])))
            continue;
        entry_drop_write(&entries[i]);
        tlb_gather_page(gather, walk->table_base + i * PAGE_SIZE);
    }
}

/* Whoever makes the table a mixture, because another object has come in, has set it before it looks whether
 * the upper entry has W; here W goes before. So one of the two sees the other. */
static bool is_mixed(const struct frame *table)
{
    return __atomic_load_n(&table->shows, __ATOMIC_RELAXED) == TABLE_MIXED;
}

/* Takes W from a row of level-2 entries, up to one that is absent or above a mixture. Returns how many; a
 * large page, whose first frame never shows a mixture, is one. */
static uint64_t write_protect_row(entry_t *upper, uint64_t count, bool *changed)
{
    uint64_t done = 0;
    for (; done < count; done++) {
        entry_t above = entry_load(&upper[done]);
        const struct frame *table = frame_of(entry_phys(above));
        if (!entry_is_present(above) || UNLIKELY(is_mixed(table)))
            break;
        if (!entry_is_writable(above))
            continue;
        *changed = true;
        entry_drop_write_shared(&upper[done]);
        if (UNLIKELY(is_mixed(table)))
            break;
    }
    return done;
}

__attribute__((noinline)) static void
write_protect_mixed(const struct table_walk *walk, struct frame *table, struct tlb_gather *gather)
{
    struct table_place place = {.upper = walk->upper, .table = table};
    table_lock_held(table);
    if (!entry_is_writable(entry_load(walk->upper)))
        page_directory_settle(&place);
    write_protect_entries(walk, gather);
    table_unlock(table);
}

void page_directory_write_protect(struct page_directory *directory, uint64_t base, uint64_t end,
                                  struct tlb_gather *gather)
{
    lock_acquire(&directory->lock);
    bool changed = false;
    struct table_walk walk = table_walk(directory, base, end);
    while (table_walk_next(&walk)) {
        uint64_t row = write_protect_row(walk.upper, table_walk_neighbours(&walk), &changed);
        if (UNLIKELY(row == 0))
            write_protect_mixed(&walk, frame_of(entry_phys(entry_load(walk.upper))), gather);
        else
            table_walk_skip(&walk, row - 1);
    }
    if (changed)
        tlb_gather_all(gather);
    lock_release(&directory->lock);
}
