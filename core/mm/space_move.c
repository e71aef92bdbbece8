/* Moving what is mapped: page tables change hands, bytes stay where they are.
 *
 *   source   |....|tttt|tttt|..|      tables that lie in the range as a whole are hung under the target's
 *   target   |....|tttt|tttt|..|      level-2 entries when both sides are congruent modulo 2 MiB; all
 *                                     else goes entry by entry
 *
 * A large page is an entry of level 2: it moves like a table, or piece by piece. Each region moves with what
 * it shows, at once for whoever has its object's lock.
 */
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/space_identity.h"
#include "core/mm/table_walk.h"

struct move {
    struct space *space;
    struct range range;
    struct region *first; /* in the range */
    uint64_t target;
    /* What empty tables may be left in the source or the target. */
    bool upper_left; /* of level 2 */
    bool table_left; /* of level 1, because not all moves as a whole */
};

static uint64_t target_of(const struct move *move, uint64_t address)
{
    return move->target + (address - move->range.base);
}

static bool congruent(const struct move *move)
{
    return ((move->target ^ move->range.base) & (TABLE_BYTES - 1)) == 0;
}

/* The target may lie in a gap of the source: then what has arrived there must not move again. */
static bool has_arrived(const struct move *move, uint64_t address)
{
    return address - move->target < move->range.size_bytes;
}

static bool meets_target(const struct move *move, uint64_t base, uint64_t size_bytes)
{
    return has_arrived(move, base) || move->target - base < size_bytes;
}

static bool moves_whole(const struct move *move, const struct table_walk *walk)
{
    return congruent(move) && !meets_target(move, walk->table_base, TABLE_BYTES) &&
           table_walk_first(walk) == 0 && table_walk_last(walk) == MACHINE_TABLE_ENTRIES;
}

/* From a table that moves as a whole: how many lie behind each other, this one included, at the source as at
 * the target. Absent ones count, too. */
static uint64_t count_row(const struct move *move, const struct table_walk *walk)
{
    uint64_t at = walk->table_base;
    uint64_t target = target_of(move, at);
    uint64_t row = walk->end - at;
    if (meets_target(move, at, row))
        return 1;
    row = row < GIB - at % GIB ? row : GIB - at % GIB;
    row = row < GIB - target % GIB ? row : GIB - target % GIB;
    return row / TABLE_BYTES;
}

/* --- reserve ---------------------------------------------------------------------------------------------- */

/* Frees the empty tables of the source or of the target: with the gather, or at once. O(tables + GiB). */
static void prune_range(const struct move *move, struct page_directory *directory, uint64_t base,
                        struct tlb_gather *gather) REQUIRES(directory->lock)
{
    uint64_t end = base + move->range.size_bytes;
    struct table_walk walk = table_walk(directory, base, end);
    while (move->table_left && table_walk_next(&walk)) {
        if (table_walk_is_large(&walk))
            continue;
        page_directory_prune_gathered(directory, walk.table_base, gather);
        walk.upper = NULL; /* its table may be gone */
    }
    /* Tables above those that have moved as a whole. */
    for (uint64_t at = base; at < end; at = (at | (GIB - 1)) + 1)
        page_directory_prune_gathered(directory, at, gather);
}

static bool is_empty(const struct table_walk *walk)
{
    struct frame *table = frame_of(entry_phys(entry_load(walk->upper)));
    table_lock_held(table);
    bool empty = table->live == 0;
    table_unlock(table);
    return empty;
}

static inline result_t reserve_upper(struct page_directory *directory, uint64_t address,
                                     entry_t **upper) REQUIRES(directory->lock)
{
    if (LIKELY(page_directory_descend(directory, address, upper) == 2))
        return OK;
    return page_directory_reserve_upper_locked(directory, address, upper);
}

static result_t reserve_entry(struct page_directory *directory, uint64_t address,
                              struct table_place *place) REQUIRES(directory->lock)
{
    if (page_directory_find(directory, address, place))
        return OK;
    return page_directory_add_tables_locked(directory, address, place);
}

/* Makes the tables that a region will need at its target. */
static result_t reserve_for(struct move *move, const struct region *region)
    REQUIRES(move->space->directory.lock)
{
    struct table_walk walk =
        table_walk(&move->space->directory, region->node.base, region->node.end);
    result_t result = OK;
    while (result == OK && table_walk_next(&walk)) {
        struct table_place place;
        if (moves_whole(move, &walk)) {
            result = reserve_upper(&move->space->directory, target_of(move, walk.table_base),
                                   &place.upper);
            table_walk_skip(&walk, count_row(move, &walk) - 1);
            continue;
        }
        move->table_left = true;
        if (!table_walk_is_large(&walk) && is_empty(&walk))
            continue; /* has just been made here, in a gap of the source */
        uint64_t first = walk.table_base + table_walk_first(&walk) * PAGE_SIZE;
        uint64_t last = walk.table_base + (table_walk_last(&walk) - 1) * PAGE_SIZE;
        result = reserve_entry(&move->space->directory, target_of(move, first), &place);
        if (result == OK)
            result = reserve_entry(&move->space->directory, target_of(move, last), &place);
    }
    return result;
}

static result_t reserve_tables(struct move *move) REQUIRES(move->space->lock)
{
    uint64_t end = move->range.base + move->range.size_bytes;
    result_t result = OK;
    lock_acquire(&move->space->directory.lock);
    uint64_t tables = move->space->directory.table_count;
    for (struct region *region = move->first; region && result == OK;
         region = region_next_below(region, end))
        result = reserve_for(move, region);
    move->upper_left = move->space->directory.table_count != tables;
    if (result != OK)
        prune_range(move, &move->space->directory, move->target, NULL);
    lock_release(&move->space->directory.lock);
    return result;
}

/* No region of the range may leave it, and there must be one. */
static result_t check_source(struct move *move) REQUIRES(move->space->lock)
{
    uint64_t end = move->range.base + move->range.size_bytes;
    move->first = space_first_in(move->space, move->range);
    if (!move->first)
        return ENOENT;
    for (struct region *region = move->first; region; region = region_next_below(region, end)) {
        if (region->node.base < move->range.base || region->node.end > end)
            return EINVAL;
    }
    return OK;
}

/* Finds the target's range by placing the holder there for a moment: nobody else places anything while the
 * lock is held. A fixed one needs no holder. */
static result_t find_target(struct move *move, enum map_at at, uint64_t address,
                            struct region *holder) REQUIRES(move->space->lock)
{
    uint64_t size_bytes = move->range.size_bytes;
    move->target = address;
    if (at == MAP_AT_FIXED)
        return region_tree_is_free(&move->space->tree, address, size_bytes) ? OK : EEXIST;

    bool large = ((move->range.base | size_bytes) & (TABLE_BYTES - 1)) == 0;
    result_t result = ENOMEM;
    if (at == MAP_AT_RANDOM)
        result = region_tree_place_randomized(&move->space->tree, &holder->node, size_bytes,
                                              PAGE_SIZE, &move->space->random);
    else if (large)
        result = space_place_node(move->space, &holder->node, size_bytes, TABLE_BYTES);
    if (at == MAP_AT_ANY && result != OK)
        result = space_place_node(move->space, &holder->node, size_bytes, PAGE_SIZE);
    if (result != OK)
        return result;
    move->target = holder->node.base;
    region_tree_remove(&move->space->tree, &holder->node);
    return OK;
}

/* --- commit ----------------------------------------------------------------------------------------------- */

/* What a level-2 entry maps from `base` on. False: no more need be gathered, everything will be flushed. */
static bool gather_table(entry_t above, uint64_t base, struct tlb_gather *gather)
{
    if (!entry_is_table(above)) {
        tlb_gather_page(gather, base);
        return true;
    }
    if (frame_of(entry_phys(above))->live > TLB_GATHER_MAX) {
        tlb_gather_all(gather);
        return false;
    }
    const entry_t *entries = machine_phys_to_virt(entry_phys(above));
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
        if (entry_is_present(entry_peek(&entries[i])))
            tlb_gather_page(gather, base + i * PAGE_SIZE);
    }
    return true;
}

/* Moves tables from the walk's on, as many as it can: up to one that is in the way at the target. Of this and the
 * next two: false when a table cannot be had. */
static bool move_row(struct move *move, const struct table_walk *walk, uint64_t *row,
                     struct tlb_gather *gather) REQUIRES(move->space->directory.lock)
{
    entry_t *target = NULL;
    uint64_t count = count_row(move, walk);
    uint64_t i = 0;
    unsigned moved = 0;
    if (reserve_upper(&move->space->directory, target_of(move, walk->table_base), &target) != OK)
        return false;
    entry_t *source = walk->upper;
    bool gather_more = true;
    for (; i < count && !entry_is_present(entry_load(&target[i])); i++) {
        entry_t above = entry_load(&source[i]);
        if (!entry_is_present(above))
            continue;
        if (gather_more)
            gather_more = gather_table(above, walk->table_base + i * TABLE_BYTES, gather);
        entry_store(&target[i], above);
        entry_store(&source[i], 0);
        moved++;
    }
    page_directory_forget_hints(&move->space->directory);
    struct frame *from = frame_of_virt(source);
    struct frame *to = frame_of_virt(target);
    from->live = (uint16_t)(from->live - moved);
    to->live = (uint16_t)(to->live + moved);
    if (from->live == 0)
        move->upper_left = true;
    *row = i;
    return true;
}

static bool put_entry(const struct move *move, uint64_t address, entry_t entry)
    REQUIRES(move->space->directory.lock)
{
    struct table_place place = {0};
    if (reserve_entry(&move->space->directory, address, &place) != OK)
        return false;
    table_lock_held(place.table);
    page_directory_set(&place, entry, TABLE_MIXED);
    table_place_unlock(&place);
    return true;
}

/* Takes an entry out of a locked table, with W only if it may be used. */
static entry_t take_entry(const struct table_walk *walk, struct frame *table, unsigned index)
{
    entry_t *entry = &table_walk_entries(walk)[index];
    entry_t taken = entry_peek(entry);
    if (!entry_is_present(taken))
        return 0;
    if (!entry_is_writable(entry_load(walk->upper)))
        taken = entry_without_write(taken);
    entry_store(entry, 0);
    table->live--;
    return taken;
}

static bool move_entries(const struct move *move, const struct table_walk *walk,
                         struct tlb_gather *gather) REQUIRES(move->space->directory.lock)
{
    struct frame *table = frame_of(entry_phys(entry_load(walk->upper)));
    for (unsigned i = table_walk_first(walk); i < table_walk_last(walk); i++) {
        uint64_t address = walk->table_base + i * PAGE_SIZE;
        table_lock_held(table);
        entry_t entry = take_entry(walk, table, i);
        table_unlock(table);
        if (!entry_is_present(entry))
            continue;
        tlb_gather_page(gather, address);
        if (!put_entry(move, target_of(move, address), entry))
            return false;
    }
    return true;
}

static bool move_pieces(const struct move *move, const struct table_walk *walk,
                        struct tlb_gather *gather) REQUIRES(move->space->directory.lock)
{
    bool moved = true;
    for (unsigned i = 0; moved && i < MACHINE_TABLE_ENTRIES; i++)
        moved = put_entry(move, target_of(move, walk->table_base + i * PAGE_SIZE),
                          entry_piece(entry_load(walk->upper), i));
    entry_store(walk->upper, 0);
    frame_of_virt(walk->upper)->live--;
    tlb_gather_page(gather, walk->table_base);
    return moved;
}

/* What the region shows moves to its target. True if every leaf is still in one table only. A table that
 * cannot be had any more, because others have removed what was reserved, costs only faults. */
static bool move_tables(struct move *move, const struct region *region, struct tlb_gather *gather)
{
    bool whole =
        congruent(move) && ((region->node.base | region->node.end) & (TABLE_BYTES - 1)) == 0;
    bool moved = true;
    lock_acquire(&move->space->directory.lock);
    struct table_walk walk =
        table_walk(&move->space->directory, region->node.base, region->node.end);
    while (moved && table_walk_next(&walk)) {
        uint64_t row = 0;
        if (moves_whole(move, &walk))
            moved = move_row(move, &walk, &row, gather);
        if (moved && row != 0) {
            table_walk_skip(&walk, row - 1);
            continue;
        }
        whole = false;
        move->table_left = true;
        if (moved)
            moved = table_walk_is_large(&walk) ? move_pieces(move, &walk, gather)
                                               : move_entries(move, &walk, gather);
    }
    lock_release(&move->space->directory.lock);
    move->upper_left |= !moved;
    if (!moved)
        page_directory_unmap(&move->space->directory, region->node.base, region->node.end, gather);
    return whole;
}

static void move_region(struct move *move, struct region *region, struct tlb_gather *gather)
{
    struct region_tree *tree = &move->space->tree;
    uint64_t size_bytes = region_size_bytes(region);
    uint64_t base = target_of(move, region->node.base);
    uint64_t first_slot = region_first_slot(region);
    region_hold(region);
    bool whole = !region->object || move_tables(move, region, gather);
    region_tree_remove(tree, &region->node);
    result_t result = region_tree_place_specifically(tree, &region->node, base, size_bytes);
    ASSERT(result == OK); /* nobody else places anything meanwhile */
    if (region->object)
        region_set_first_slot(region, first_slot);
    region_release(region);
    if (!whole && object_is_exclusive(region->object))
        region->object->company |= OBJECT_SCATTERED;
}

static void move_regions(struct move *move) REQUIRES(move->space->lock)
{
    struct page_directory *directory = &move->space->directory;
    struct region *region = move->first;
    uint64_t end = move->range.base + move->range.size_bytes;
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    /* What is moved may become scattered, and with it all of its object. */
    space_set_busy(move->space, space_everywhere(move->space));
    while (region) {
        struct region *next = region_next_below(region, end);
        if (!has_arrived(move, region->node.base))
            move_region(move, region, &gather);
        region = next;
    }
    /* Only now: what one table has left another may need. */
    if (move->upper_left || move->table_left) {
        lock_acquire(&directory->lock);
        prune_range(move, directory, move->range.base, &gather);
        prune_range(move, directory, move->target, &gather);
        lock_release(&directory->lock);
    }
    tlb_gather_flush(&gather, move->space);
    space_end_busy(move->space);
}

static result_t move_locked(struct move *move, enum map_at at, uint64_t address,
                            struct region *holder) REQUIRES(move->space->lock)
{
    result_t result = check_source(move);
    if (result != OK)
        return result;
    space_identity_hold(move->space);
    result = find_target(move, at, address, holder);
    space_identity_release(move->space);
    if (result == OK)
        result = reserve_tables(move);
    if (result == OK)
        move_regions(move);
    return result;
}

static result_t move_once(struct space *space, struct range range, enum map_at at, uint64_t address,
                          virt_t *base)
{
    result_t result = space_validate_range(space, range);
    if (result == OK && at == MAP_AT_FIXED)
        result = space_validate_range(space, (struct range){address, range.size_bytes});
    if (result != OK)
        return result;
    struct region *holder = NULL;
    if (at != MAP_AT_FIXED && !(holder = region_create_bare(space)))
        return ENOMEM;

    struct move move = {.space = space, .range = range};
    struct dead_regions dead = {0};
    lock_acquire(&move.space->lock);
    result = move_locked(&move, at, address, holder);
    space_check(space);
    if (holder)
        region_bury(&dead, holder);
    space_unlock(move.space);
    region_destroy_dead(&dead);
    if (result == OK)
        *base = virt(move.target);
    return result;
}

result_t space_move(struct space *space, struct range range, enum map_at at, uint64_t address,
                    virt_t *base)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = move_once(space, range, at, address, base);
    } while (reclaim_retry(result, &tries));
    return result;
}
