/* Page tables. See page_directory.h. */
#include "core/mm/page_directory.h"

#include "core/check.h"
#include "core/mm/internal.h"
#include "core/mm/section.h"
#include "core/mm/table_walk.h"

static void count(enum counter counter, uint64_t change)
{
    machine_cpu()->counters[counter] += change;
}

static entry_t *table_at(phys_t table)
{
    return machine_phys_to_virt(table);
}

/* --- ends of tables -------------------------------------------------------------------------------------- */

/* Ends a locked table that is empty, and unlocks another. True if it was empty. */
static bool table_end_if_empty(struct frame *table)
{
    if (table->live != 0) {
        table_unlock(table);
        return false;
    }
    if (__atomic_exchange_n(&table->table_lock, TABLE_GONE, __ATOMIC_RELEASE) != TABLE_LOCKED)
        table_wake(table);
    return true;
}

void page_directory_forget_hints(struct page_directory *directory)
{
    static uint64_t last;
    __atomic_store_n(&directory->generation, __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED),
                     __ATOMIC_RELEASE);
}

/* The number is read first: a table that leaves its place after it was found leaves it with another. */
struct table_place page_directory_find_anew(const struct page_directory *directory,
                                            uint64_t address)
{
    struct table_place place;
    uint64_t generation = __atomic_load_n(&directory->generation, __ATOMIC_ACQUIRE);
    if (!page_directory_find(directory, address, &place))
        return (struct table_place){0};
    machine_cpu()->table_hint = (struct table_hint){
        .number = address / TABLE_BYTES,
        .generation = generation,
        .upper = place.upper,
        .entries = place.entry - machine_table_index(address, 1),
        .table = place.table,
    };
    return place;
}

static void change_table_count(struct page_directory *directory, uint64_t change)
    REQUIRES(directory->lock)
{
    __atomic_store_n(&directory->table_count, directory->table_count + change, __ATOMIC_RELAXED);
}

/* --- life ---------------------------------------------------------------------------------------------- */

result_t page_directory_init(struct page_directory *directory)
{
    directory->table_count = 0;
    directory->root = PHYS_NONE;
    page_directory_forget_hints(directory);
    lock_init(&directory->lock, RANK_PAGE_DIRECTORY, "page directory");
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
static uint64_t free_all(struct page_directory *directory) REQUIRES(directory->lock)
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
    change_table_count(directory, -directory->table_count);
    return freed;
}

void page_directory_fini(struct page_directory *directory)
{
    lock_acquire(&directory->lock);
    if (directory->root.value != PHYS_NONE.value)
        (void)free_all(directory);
    lock_release(&directory->lock);
}

/* --- single entries -------------------------------------------------------------------------------------- */

static result_t add_table(struct page_directory *directory, entry_t *entry)
    REQUIRES(directory->lock)
{
    phys_t table;
    if (frames_take(FRAME_TABLE, &table) != OK)
        return ENOMEM;
    machine_page_clear(table_at(table));
    frame_of(table)->table_lock = TABLE_FREE;
    frame_of_virt(entry)->live++;
    change_table_count(directory, 1);
    count(COUNTER_PT_ALLOC, 1);
    entry_store(entry, entry_table(table, ENTRY_TABLE_BITS | ENTRY_USER));
    return OK;
}

result_t page_directory_reserve_upper_locked(struct page_directory *directory, uint64_t address,
                                             entry_t **upper)
{
    if (LIKELY(page_directory_descend(directory, address, upper) == 2))
        return OK;
    entry_t *table = table_at(directory->root);
    for (unsigned level = machine_levels; level > 2; level--) {
        entry_t *entry = &table[machine_table_index(address, level)];
        if (!entry_is_present(entry_peek(entry)) && add_table(directory, entry) != OK) {
            page_directory_prune_gathered(directory, address, NULL);
            return ENOMEM;
        }
        table = table_at(entry_phys(entry_peek(entry)));
    }
    *upper = &table[machine_table_index(address, 2)];
    return OK;
}

result_t page_directory_reserve_upper(struct page_directory *directory, uint64_t address,
                                      entry_t **upper)
{
    lock_acquire(&directory->lock);
    result_t result = page_directory_reserve_upper_locked(directory, address, upper);
    lock_release(&directory->lock);
    return result;
}

result_t page_directory_add_tables_locked(struct page_directory *directory, uint64_t address,
                                          struct table_place *place)
{
    if (page_directory_reserve_upper_locked(directory, address, &place->upper) != OK)
        return ENOMEM;
    ASSERT(!entry_is_page(entry_peek(place->upper), 2));
    if (!entry_is_present(entry_peek(place->upper)) && add_table(directory, place->upper) != OK) {
        page_directory_prune_gathered(directory, address, NULL);
        return ENOMEM;
    }
    entry_t *table = table_at(entry_phys(entry_peek(place->upper)));
    place->entry = &table[machine_table_index(address, 1)];
    place->table = frame_of_virt(table);
    return OK;
}

result_t page_directory_add_tables(struct page_directory *directory, uint64_t address,
                                   struct table_place *place)
{
    lock_acquire(&directory->lock);
    result_t result = page_directory_add_tables_locked(directory, address, place);
    lock_release(&directory->lock);
    return result;
}

/* With a gather the frame is freed when that is flushed: processors keep pointers to tables, too. */
static void free_table(struct page_directory *directory, entry_t *entry, struct tlb_gather *gather)
    REQUIRES(directory->lock)
{
    phys_t table = entry_phys(entry_peek(entry));
    entry_store(entry, 0);
    page_directory_forget_hints(directory);
    if (gather)
        tlb_gather_table(gather, table);
    else
        section_free_table(table);
    frame_of_virt(entry)->live--;
    change_table_count(directory, -1ull);
    count(COUNTER_PT_FREE, 1);
}

/* Of a table that is not locked. */
static bool is_empty(entry_t entry, unsigned level)
{
    struct frame *table = frame_of(entry_phys(entry));
    if (level > 2)
        return table->live == 0;
    table_lock_held(table);
    return table_end_if_empty(table);
}

void page_directory_prune_gathered(struct page_directory *directory, uint64_t address,
                                   struct tlb_gather *gather)
{
    entry_t *path[5];
    unsigned depth = 0;
    entry_t *table = table_at(directory->root);
    for (unsigned level = machine_levels; level >= 2; level--) {
        entry_t *entry = &table[machine_table_index(address, level)];
        entry_t below = entry_load(entry);
        if (!entry_is_table(below))
            break;
        path[depth++] = entry;
        table = table_at(entry_phys(below));
    }
    while (depth-- > 0 && is_empty(entry_load(path[depth]), machine_levels - depth))
        free_table(directory, path[depth], gather);
}

void page_directory_prune(struct page_directory *directory, uint64_t address)
{
    lock_acquire(&directory->lock);
    page_directory_prune_gathered(directory, address, NULL);
    lock_release(&directory->lock);
}

void page_directory_settle(struct table_place *place)
{
    entry_t *entries = table_at(entry_phys(entry_load(place->upper)));
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i += 4) {
        entry_drop_write(&entries[i]);
        entry_drop_write(&entries[i + 1]);
        entry_drop_write(&entries[i + 2]);
        entry_drop_write(&entries[i + 3]);
    }
    entry_store(place->upper, entry_with_write(entry_load(place->upper)));
}

void page_directory_change_shown(struct table_place place, const void *leaf)
{
    struct frame *table = place.table;
    bool mixed = table->shows || leaf == TABLE_MIXED;
    /* A full barrier: see is_mixed(). */
    (void)__atomic_exchange_n(&table->shows, mixed ? TABLE_MIXED : leaf, __ATOMIC_SEQ_CST);
    if (mixed && !entry_is_writable(entry_load(place.upper)))
        page_directory_settle(&place);
}

void page_directory_follow(struct page_directory *directory, uint64_t address, const void *before,
                           const void *leaf)
{
    entry_t *upper;
    lock_acquire(&directory->lock);
    bool found = directory->table_count != 0 &&
                 page_directory_descend(directory, address, &upper) == 2 &&
                 entry_is_present(entry_load(upper));
    if (found) {
        struct frame *table = frame_of(entry_phys(entry_load(upper)));
        bool large = entry_is_page(entry_load(upper), 2);
        if (!large)
            table_lock_held(table);
        if (table->shows == before)
            __atomic_store_n(&table->shows, leaf, __ATOMIC_RELAXED);
        if (!large)
            table_unlock(table);
    }
    lock_release(&directory->lock);
}

/* --- splitting large pages --------------------------------------------------------------------------------- */

/* The large page that has the address inside, not as its first. */
static entry_t *large_across(const struct page_directory *directory, uint64_t address)
{
    return address % TABLE_BYTES != 0 ? page_directory_large(directory, address) : NULL;
}

result_t page_directory_reserve_split(struct page_directory *directory, uint64_t base, uint64_t end,
                                      struct frame_reserve *reserve)
{
    lock_acquire(&directory->lock);
    const entry_t *first = large_across(directory, base);
    const entry_t *last = large_across(directory, end);
    lock_release(&directory->lock);
    if (first && frame_reserve_add(reserve) != OK)
        return ENOMEM;
    return last && last != first ? frame_reserve_add(reserve) : OK;
}

/* What a table in the place of the large page shows. */
static const void *shown_by_large(entry_t large)
{
    return (large & LARGE_WITHOUT_LEAF) != 0 ? TABLE_MIXED : frame_of(entry_phys(large))->shows;
}

void page_directory_split_large(struct page_directory *directory, entry_t *upper, phys_t table)
{
    entry_t *entries = table_at(table);
    entry_t large = entry_peek(upper);
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++)
        entries[i] = entry_piece(large, i);
    frame_of(table)->live = MACHINE_TABLE_ENTRIES;
    frame_of(table)->shows = shown_by_large(large);
    frame_of(table)->table_lock = TABLE_FREE;
    change_table_count(directory, 1);
    count(COUNTER_PT_ALLOC, 1);
    entry_store(upper, entry_table(table, ENTRY_TABLE_BITS | ENTRY_USER));
}

static void split_across(struct page_directory *directory, uint64_t address,
                         struct frame_reserve *reserve, struct tlb_gather *gather)
    REQUIRES(directory->lock)
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
    lock_acquire(&directory->lock);
    split_across(directory, base, reserve, gather);
    split_across(directory, end, reserve, gather);
    lock_release(&directory->lock);
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
        if (entry_is_present(entry_load(walk->upper)))
            return true;
    }
    return false;
}

/* Clears present entries first..last-1; the table's count tells when none is left. */
static void clear_entries(const struct table_walk *walk, struct frame *table,
                          struct tlb_gather *gather)
{
    entry_t *entries = table_walk_entries(walk);
    unsigned last = table_walk_last(walk);
    for (unsigned i = table_walk_first(walk); i < last && table->live != 0; i++) {
        if (!entry_is_present(entry_peek(&entries[i])))
            continue;
        entry_store(&entries[i], 0);
        table->live--;
        tlb_gather_page(gather, walk->table_base + i * PAGE_SIZE);
    }
}

__attribute__((noinline)) static void clear_large(const struct table_walk *walk,
                                                  struct tlb_gather *gather)
{
    entry_store(walk->upper, 0);
    frame_of_virt(walk->upper)->live--;
    tlb_gather_page(gather, walk->table_base);
}

/* Clears what lies in the range. True if the table is empty then, and gone. */
__attribute__((noinline)) static bool clear_table(const struct table_walk *walk,
                                                  struct tlb_gather *gather)
{
    struct frame *table = frame_of(entry_phys(entry_load(walk->upper)));
    table_lock_held(table);
    bool whole = table_walk_first(walk) == 0 && table_walk_last(walk) == MACHINE_TABLE_ENTRIES;
    if (whole && table->live > TLB_GATHER_MAX) {
        tlb_gather_page(gather, walk->table_base);
        tlb_gather_all(gather);
        table->live = 0;
    } else {
        clear_entries(walk, table, gather);
    }
    return table_end_if_empty(table);
}

/* Clears entries of one table that keeps others. False: there is no table, or it may be empty now. The
 * directory may have ended while its lock was waited for. */
static inline bool clear_some(struct page_directory *directory, uint64_t base, uint64_t end,
                              struct tlb_gather *gather) REQUIRES(directory->lock)
{
    struct table_place place;
    if (base / TABLE_BYTES != (end - 1) / TABLE_BYTES || directory->table_count == 0 ||
        !page_directory_find(directory, base, &place))
        return false;
    table_lock_held(place.table);
    for (; base < end && place.table->live != 0; base += PAGE_SIZE, place.entry++) {
        if (!entry_is_present(entry_peek(place.entry)))
            continue;
        entry_store(place.entry, 0);
        place.table->live--;
        tlb_gather_page(gather, base);
    }
    bool some_left = place.table->live != 0;
    table_unlock(place.table);
    return some_left;
}

__attribute__((noinline)) static void unmap_tables(struct page_directory *directory, uint64_t base,
                                                   uint64_t end, struct tlb_gather *gather)
    REQUIRES(directory->lock)
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

void page_directory_unmap_present(struct page_directory *directory, uint64_t base, uint64_t end,
                                  struct tlb_gather *gather)
{
    lock_acquire(&directory->lock);
    if (end - base >= TABLE_BYTES || !clear_some(directory, base, end, gather))
        unmap_tables(directory, base, end, gather);
    lock_release(&directory->lock);
}

static void move_table(entry_t *to, entry_t *from)
{
    entry_store(to, *from);
    *from = 0;
    frame_of_virt(to)->live++;
    frame_of_virt(from)->live--;
}

/* Copies what a level-1 table shows into one that is there already. */
static void copy_entries(entry_t *to, const entry_t *from)
{
    const void *shows = frame_of(entry_phys(*from))->shows;
    const entry_t *entries = table_at(entry_phys(*from));
    phys_t shown_in = entry_phys(entry_load(to));
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
        struct table_place place = {
            .upper = to, .entry = table_at(shown_in) + i, .table = frame_of(shown_in)};
        if (!entry_is_present(entries[i]))
            continue;
        table_lock_held(place.table);
        page_directory_set(&place, entries[i], shows);
        table_place_unlock(&place);
    }
}

void page_directory_take_over(struct page_directory *directory, struct page_directory *from,
                              uint64_t base, uint64_t end) NO_LOCK_ANALYSIS
{
    uint64_t tables = from->table_count + 1;
    lock_acquire(&directory->lock);
    for (uint64_t address = base; address < end;) {
        entry_t *to_table = table_at(directory->root);
        entry_t *from_table = table_at(from->root);
        unsigned level = machine_levels;
        for (;; level--) {
            entry_t *to = &to_table[machine_table_index(address, level)];
            entry_t *taken = &from_table[machine_table_index(address, level)];
            if (!entry_is_present(*taken))
                break;
            entry_t there = entry_load(to);
            if (!entry_is_present(there)) {
                move_table(to, taken);
                break;
            }
            if (level == 2) {
                copy_entries(to, taken);
                break;
            }
            to_table = table_at(entry_phys(there));
            from_table = table_at(entry_phys(*taken));
        }
        uint64_t span = machine_level_size(level);
        address = (address & ~(span - 1)) + span;
    }
    change_table_count(directory, tables - free_all(from));
    lock_release(&directory->lock);
}
