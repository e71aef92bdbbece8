/* Page tables. See page_directory.h. */
#include "core/mm/page_directory.h"

#include "core/check.h"
#include "core/mm/internal.h"

static void count(enum counter counter, uint64_t change)
{
    machine_cpu()->counters[counter] += change;
}

static entry_t *table_at(phys_t table)
{
    return machine_phys_to_virt(table);
}

/* --- life ---------------------------------------------------------------------------------------------- */

result_t page_directory_init(struct page_directory *directory)
{
    directory->table_count = 0;
    directory->root = PHYS_NONE;
    phys_t root;
    if (frames_take(FRAME_TABLE, &root) != OK)
        return ENOMEM;

    entry_t *entries = table_at(root);
    const entry_t *kernel = table_at(mm.kernel_directory.root);
    machine_page_clear(entries);
    for (uint32_t i = 0; i < mm.root_slot_count; i++)
        entries[mm.root_slots[i]] = kernel[mm.root_slots[i]];
    directory->root = root;
    count(COUNTER_PT_ALLOC, 1);
    return OK;
}

/* Frees the table that a root entry points to, and all below it; each table's live count tells when its
 * last entry has been seen. */
static void free_tables_below(entry_t entry, struct frame_batch *batch)
{
    struct {
        entry_t *entries;
        unsigned index;
        unsigned left;
    } stack[5];
    unsigned depth = 0;
    stack[0].entries = table_at(entry_phys(entry));
    stack[0].index = 0;
    stack[0].left = frame_of(entry_phys(entry))->live;
    for (;;) {
        unsigned here = machine_levels - 1 - depth; /* level of the entries of this table */
        if (stack[depth].left == 0) {
            frame_batch_add(batch, frame_of_virt(stack[depth].entries));
            if (depth-- == 0)
                return;
            continue;
        }
        entry_t child = stack[depth].entries[stack[depth].index++];
        if (!entry_is_present(child))
            continue;
        stack[depth].left--;
        if (here == 2) {
            if (LIKELY(entry_is_table(child)))
                frame_batch_add(batch, frame_of(entry_phys(child)));
            continue;
        }
        depth++;
        stack[depth].entries = table_at(entry_phys(child));
        stack[depth].index = 0;
        stack[depth].left = frame_of(entry_phys(child))->live;
    }
}

/* Frees all user tables and the root; returns how many frames that were. */
static uint64_t free_all(struct page_directory *directory)
{
    struct frame_batch batch;
    frame_batch_init(&batch);
    entry_t *root = table_at(directory->root);
    unsigned left = frame_of(directory->root)->live;
    for (unsigned i = 0; left != 0; i++) {
        if (!entry_is_present(root[i]))
            continue;
        left--;
        free_tables_below(root[i], &batch);
    }
    frame_batch_add(&batch, frame_of(directory->root));
    uint64_t freed = batch.count;
    count(COUNTER_PT_FREE, freed);
    frame_batch_end(&batch);
    directory->root = PHYS_NONE;
    directory->table_count = 0;
    return freed;
}

void page_directory_fini(struct page_directory *directory)
{
    if (directory->root.value != PHYS_NONE.value)
        (void)free_all(directory);
}

/* --- single entries -------------------------------------------------------------------------------------- */

static result_t add_table(struct page_directory *directory, entry_t *entry)
{
    phys_t table;
    if (frames_take(FRAME_TABLE, &table) != OK)
        return ENOMEM;
    machine_page_clear(table_at(table));
    *entry = entry_table(table, ENTRY_TABLE_BITS | ENTRY_USER);
    frame_of_virt(entry)->live++;
    directory->table_count++;
    count(COUNTER_PT_ALLOC, 1);
    return OK;
}

result_t page_directory_reserve_upper(struct page_directory *directory, uint64_t address,
                                      entry_t **upper)
{
    if (LIKELY(page_directory_descend(directory, address, upper) == 2))
        return OK;
    entry_t *table = table_at(directory->root);
    for (unsigned level = machine_levels; level > 2; level--) {
        entry_t *entry = &table[machine_table_index(address, level)];
        if (!entry_is_present(*entry) && add_table(directory, entry) != OK) {
            page_directory_prune(directory, address);
            return ENOMEM;
        }
        table = table_at(entry_phys(*entry));
    }
    *upper = &table[machine_table_index(address, 2)];
    return OK;
}

result_t page_directory_add_tables(struct page_directory *directory, uint64_t address,
                                   struct table_place *place)
{
    if (page_directory_reserve_upper(directory, address, &place->upper) != OK)
        return ENOMEM;
    ASSERT(!entry_is_page(*place->upper, 2));
    if (!entry_is_present(*place->upper) && add_table(directory, place->upper) != OK) {
        page_directory_prune(directory, address);
        return ENOMEM;
    }
    entry_t *table = table_at(entry_phys(*place->upper));
    place->entry = &table[machine_table_index(address, 1)];
    return OK;
}

/* With a gather the frame is freed when that is flushed: processors keep pointers to tables, too. */
static void free_table(struct page_directory *directory, entry_t *entry, struct tlb_gather *gather)
{
    phys_t table = entry_phys(*entry);
    *entry = 0;
    if (gather)
        tlb_gather_table(gather, table);
    else
        frames_give(table);
    frame_of_virt(entry)->live--;
    directory->table_count--;
    count(COUNTER_PT_FREE, 1);
}

void page_directory_prune_gathered(struct page_directory *directory, uint64_t address,
                                   struct tlb_gather *gather)
{
    entry_t *path[5];
    unsigned depth = 0;
    entry_t *table = table_at(directory->root);
    for (unsigned level = machine_levels; level >= 2; level--) {
        entry_t *entry = &table[machine_table_index(address, level)];
        if (!entry_is_table(*entry))
            break;
        path[depth++] = entry;
        table = table_at(entry_phys(*entry));
    }
    while (depth-- > 0 && frame_of(entry_phys(*path[depth]))->live == 0)
        free_table(directory, path[depth], gather);
}

void page_directory_prune(struct page_directory *directory, uint64_t address)
{
    page_directory_prune_gathered(directory, address, NULL);
}

void page_directory_settle(struct table_place *place)
{
    entry_t *entries = table_at(entry_phys(*place->upper));
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i += 4) {
        entries[i] = entry_without_write(entries[i]);
        entries[i + 1] = entry_without_write(entries[i + 1]);
        entries[i + 2] = entry_without_write(entries[i + 2]);
        entries[i + 3] = entry_without_write(entries[i + 3]);
    }
    *place->upper = entry_with_write(*place->upper);
}

void page_directory_change_shown(struct table_place *place, const void *leaf)
{
    struct frame *table = table_frame(place);
    if (!table->shows && leaf != TABLE_MIXED) {
        table->shows = leaf;
        return;
    }
    if (!entry_is_writable(*place->upper))
        page_directory_settle(place);
    table->shows = TABLE_MIXED;
}

/* --- splitting large pages --------------------------------------------------------------------------------- */

/* The large page that has the address inside, not as its first. */
static entry_t *large_across(const struct page_directory *directory, uint64_t address)
{
    return address % TABLE_BYTES != 0 ? page_directory_large(directory, address) : NULL;
}

result_t page_directory_reserve_split(const struct page_directory *directory, uint64_t base,
                                      uint64_t end, struct frame_reserve *reserve)
{
    const entry_t *first = large_across(directory, base);
    const entry_t *last = large_across(directory, end);
    if (first && frame_reserve_add(reserve) != OK)
        return ENOMEM;
    return last && last != first ? frame_reserve_add(reserve) : OK;
}

void page_directory_split_large(struct page_directory *directory, entry_t *upper, phys_t table)
{
    entry_t *entries = table_at(table);
    entry_t large = *upper;
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++)
        entries[i] = entry_piece(large, i);
    frame_of(table)->live = MACHINE_TABLE_ENTRIES;
    frame_of(table)->shows = frame_of(entry_phys(large))->shows;
    *upper = entry_table(table, ENTRY_TABLE_BITS | ENTRY_USER);
    directory->table_count++;
    count(COUNTER_PT_ALLOC, 1);
}

static void split_across(struct page_directory *directory, uint64_t address,
                         struct frame_reserve *reserve, struct tlb_gather *gather)
{
    entry_t *upper = large_across(directory, address);
    if (!upper)
        return;
    page_directory_split_large(directory, upper, frame_reserve_take(reserve, FRAME_TABLE));
    /* Both sizes translate alike, but some processors stop when they hold both. */
    tlb_gather_page(gather, address);
}

void page_directory_split(struct page_directory *directory, uint64_t base, uint64_t end,
                          struct frame_reserve *reserve, struct tlb_gather *gather)
{
    split_across(directory, base, reserve, gather);
    split_across(directory, end, reserve, gather);
}

/* --- ranges ------------------------------------------------------------------------------------------------ */

/* The level-2 entry of *address, or of the first address behind it for which there is a level-2 table.
 * NULL when there is none below end. */
static entry_t *find_upper(const struct page_directory *directory, uint64_t *address, uint64_t end)
{
    while (*address < end) {
        entry_t *entry;
        unsigned level = page_directory_descend(directory, *address, &entry);
        if (LIKELY(level == 2))
            return entry;
        uint64_t span = machine_level_size(level);
        *address = (*address & ~(span - 1)) + span;
    }
    return NULL;
}

bool table_walk_search(struct table_walk *walk)
{
    while (walk->next < walk->end) {
        if (walk->upper && (walk->next & (GIB - 1)) != 0)
            walk->upper++;
        else
            walk->upper = find_upper(walk->directory, &walk->next, walk->end);
        if (!walk->upper)
            return false;
        walk->table_base = walk->next & ~(TABLE_BYTES - 1);
        walk->next = walk->table_base + TABLE_BYTES;
        if (entry_is_present(*walk->upper))
            return true;
    }
    return false;
}

/* Clears present entries first..last-1; the table's count tells when none is left. */
static void clear_entries(const struct table_walk *walk, struct tlb_gather *gather)
{
    struct frame *table = frame_of(entry_phys(*walk->upper));
    entry_t *entries = table_walk_entries(walk);
    unsigned last = table_walk_last(walk);
    for (unsigned i = table_walk_first(walk); i < last && table->live != 0; i++) {
        if (!entry_is_present(entries[i]))
            continue;
        entries[i] = 0;
        table->live--;
        tlb_gather_page(gather, walk->table_base + i * PAGE_SIZE);
    }
}

__attribute__((noinline)) static void clear_large(const struct table_walk *walk,
                                                  struct tlb_gather *gather)
{
    *walk->upper = 0;
    frame_of_virt(walk->upper)->live--;
    tlb_gather_page(gather, walk->table_base);
}

/* Clears what lies in the range. True if the table is empty then. */
__attribute__((noinline)) static bool clear_table(const struct table_walk *walk,
                                                  struct tlb_gather *gather)
{
    struct frame *table = frame_of(entry_phys(*walk->upper));
    bool whole = table_walk_first(walk) == 0 && table_walk_last(walk) == MACHINE_TABLE_ENTRIES;
    if (whole && table->live > TLB_GATHER_MAX) {
        tlb_gather_all(gather);
        table->live = 0;
    } else {
        clear_entries(walk, gather);
    }
    return table->live == 0;
}

void page_directory_unmap_present(struct page_directory *directory, uint64_t base, uint64_t end,
                                  struct tlb_gather *gather)
{
    struct table_walk walk = table_walk(directory, base, end);
    while (table_walk_next(&walk)) {
        struct frame *above = frame_of_virt(walk.upper);
        if (table_walk_is_large(&walk))
            clear_large(&walk, gather);
        else if (clear_table(&walk, gather))
            free_table(directory, walk.upper, gather);
        if (above->live == 0) {
            page_directory_prune_gathered(directory, walk.table_base, gather);
            walk.upper = NULL; /* its table may be gone */
        }
    }
}

/* A present entry becomes (entry & keep) | set. */
struct rights_change {
    entry_t keep;
    entry_t set;
};

/* Changes `count` entries of which so many may be present that a whole flush will do. */
static void protect_many(entry_t *entries, unsigned count, const struct rights_change *change,
                         struct tlb_gather *gather)
{
    entry_t keep = change->keep;
    entry_t set = change->set;
    entry_t differences = 0;
    for (unsigned i = 0; i < count; i++) {
        entry_t old = entries[i];
        if (!entry_is_present(old))
            continue;
        entry_t new = (old & keep) | set;
        differences |= old ^ new;
        entries[i] = new;
    }
    if (differences != 0)
        tlb_gather_all(gather);
}

/* Changes `count` entries of one table, the first of which is that of `address`. */
static inline void protect_entries(const struct table_place *first, unsigned count,
                                   uint64_t address, const struct rights_change *change,
                                   struct tlb_gather *gather)
{
    if (count > TLB_GATHER_MAX && table_frame(first)->live > TLB_GATHER_MAX) {
        protect_many(first->entry, count, change, gather);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        entry_t old = first->entry[i];
        entry_t new = (old & change->keep) | change->set;
        if (!entry_is_present(old) || new == old)
            continue;
        first->entry[i] = new;
        tlb_gather_page(gather, address + i * PAGE_SIZE);
    }
}

static void protect_large(const struct table_walk *walk, const struct rights_change *change,
                          struct tlb_gather *gather)
{
    entry_t new = (*walk->upper & change->keep) | change->set;
    if (new == *walk->upper)
        return;
    *walk->upper = new;
    tlb_gather_page(gather, walk->table_base);
}

static void protect_tables(struct page_directory *directory, uint64_t base, uint64_t end,
                           const struct rights_change *change, struct tlb_gather *gather)
{
    struct table_walk walk = table_walk(directory, base, end);
    while (table_walk_next(&walk)) {
        if (table_walk_is_large(&walk)) {
            protect_large(&walk, change, gather);
            continue;
        }
        unsigned first = table_walk_first(&walk);
        struct table_place place = {.upper = walk.upper,
                                    .entry = &table_walk_entries(&walk)[first]};
        protect_entries(&place, table_walk_last(&walk) - first, walk.table_base + first * PAGE_SIZE,
                        change, gather);
    }
}

void page_directory_protect(struct page_directory *directory, uint64_t base, uint64_t end,
                            uint64_t bits, struct tlb_gather *gather)
{
    entry_t rights = ENTRY_WRITE | ENTRY_NO_EXEC | ENTRY_USER;
    struct rights_change change = {
        .keep = entry_is_writable(bits) ? entry_with_write(~rights) : ~rights,
        .set = entry_without_write(bits),
    };
    struct table_place place;
    bool one_table = base / TABLE_BYTES == (end - 1) / TABLE_BYTES;
    if (one_table && LIKELY(page_directory_find(directory, base, &place)))
        protect_entries(&place, (unsigned)((end - base) >> PAGE_SHIFT), base, &change, gather);
    else
        protect_tables(directory, base, end, &change, gather);
}

static void move_table(entry_t *to, entry_t *from)
{
    *to = *from;
    *from = 0;
    frame_of_virt(to)->live++;
    frame_of_virt(from)->live--;
}

/* Copies what a level-1 table shows into one that is there already. */
static void copy_entries(entry_t *to, const entry_t *from)
{
    const void *shows = frame_of(entry_phys(*from))->shows;
    const entry_t *entries = table_at(entry_phys(*from));
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
        struct table_place place = {.upper = to, .entry = table_at(entry_phys(*to)) + i};
        if (entry_is_present(entries[i]))
            page_directory_set(&place, entries[i], shows);
    }
}

void page_directory_take_over(struct page_directory *directory, struct page_directory *from,
                              uint64_t base, uint64_t end)
{
    uint64_t tables = from->table_count + 1;
    for (uint64_t address = base; address < end;) {
        entry_t *to_table = table_at(directory->root);
        entry_t *from_table = table_at(from->root);
        unsigned level = machine_levels;
        for (;; level--) {
            entry_t *to = &to_table[machine_table_index(address, level)];
            entry_t *taken = &from_table[machine_table_index(address, level)];
            if (!entry_is_present(*taken))
                break;
            if (!entry_is_present(*to)) {
                move_table(to, taken);
                break;
            }
            if (level == 2) {
                copy_entries(to, taken);
                break;
            }
            to_table = table_at(entry_phys(*to));
            from_table = table_at(entry_phys(*taken));
        }
        uint64_t span = machine_level_size(level);
        address = (address & ~(span - 1)) + span;
    }
    directory->table_count += tables - free_all(from);
}

static void write_protect_entries(const struct table_walk *walk, struct tlb_gather *gather)
{
    entry_t *entries = table_walk_entries(walk);
    unsigned last = table_walk_last(walk);
    for (unsigned i = table_walk_first(walk); i < last; i++) {
        if (!entry_is_writable(entries[i]))
            continue;
        entries[i] = entry_without_write(entries[i]);
        tlb_gather_page(gather, walk->table_base + i * PAGE_SIZE);
    }
}

void page_directory_write_protect(struct page_directory *directory, uint64_t base, uint64_t end,
                                  struct tlb_gather *gather)
{
    struct table_walk walk = table_walk(directory, base, end);
    while (table_walk_next(&walk)) {
        /* A large page's first frame never shows a mixture: the one entry loses W. */
        if (frame_of(entry_phys(*walk.upper))->shows == TABLE_MIXED) {
            write_protect_entries(&walk, gather);
        } else if (entry_is_writable(*walk.upper)) {
            *walk.upper = entry_without_write(*walk.upper);
            tlb_gather_all(gather);
        }
    }
}
