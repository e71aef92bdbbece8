/* Moving what is mapped: page tables change hands, bytes stay where they are.
 *
 *   source   |....|tttt|tttt|..|      tables that lie in the range as a whole are hung under the target's
 *   target   |....|tttt|tttt|..|      level-2 entries when both sides are congruent modulo 2 MiB; all
 *                                     else goes entry by entry
 *
 * A large page is an entry of level 2: it moves like a table, or piece by piece.
 */
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/space_identity.h"

struct move {
    struct space *space;
    struct range range;
    uint64_t target;
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

static bool meets_target(const struct move *move, uint64_t table_base)
{
    return has_arrived(move, table_base) || move->target - table_base < TABLE_BYTES;
}

static bool moves_whole(const struct move *move, const struct table_walk *walk)
{
    return congruent(move) && !meets_target(move, walk->table_base) &&
           table_walk_first(walk) == 0 && table_walk_last(walk) == MACHINE_TABLE_ENTRIES;
}

/* --- reserve ---------------------------------------------------------------------------------------------- */

/* Frees the empty tables of a range: with the gather, or at once. O(tables + GiB). */
static void prune_range(struct page_directory *directory, uint64_t base, uint64_t size_bytes,
                        struct tlb_gather *gather)
{
    uint64_t end = base + size_bytes;
    struct table_walk walk = table_walk(directory, base, end);
    while (table_walk_next(&walk)) {
        if (table_walk_is_large(&walk) || frame_of(entry_phys(*walk.upper))->live != 0)
            continue;
        page_directory_prune_gathered(directory, walk.table_base, gather);
        walk.upper = NULL; /* its table may be gone */
    }
    /* Tables above those that have moved as a whole. */
    for (uint64_t at = base; at < end; at = (at | (GIB - 1)) + 1)
        page_directory_prune_gathered(directory, at, gather);
}

/* Makes the tables that the target will need. */
static result_t reserve_tables(const struct move *move)
{
    struct page_directory *directory = &move->space->directory;
    uint64_t end = move->range.base + move->range.size_bytes;
    struct table_walk walk = table_walk(directory, move->range.base, end);
    while (table_walk_next(&walk)) {
        struct table_place place;
        uint64_t first = walk.table_base + table_walk_first(&walk) * PAGE_SIZE;
        uint64_t last = walk.table_base + (table_walk_last(&walk) - 1) * PAGE_SIZE;
        if (!table_walk_is_large(&walk) && frame_of(entry_phys(*walk.upper))->live == 0)
            continue; /* has just been made here, in a gap of the source */
        result_t result =
            moves_whole(move, &walk)
                ? page_directory_reserve_upper(directory, target_of(move, first), &place.upper)
                : page_directory_reserve(directory, target_of(move, first), &place);
        if (result == OK && !moves_whole(move, &walk))
            result = page_directory_reserve(directory, target_of(move, last), &place);
        if (result != OK) {
            prune_range(directory, move->target, move->range.size_bytes, NULL);
            return ENOMEM;
        }
    }
    return OK;
}

/* No region of the range may leave it, and there must be one. */
static result_t check_source(struct space *space, struct range range) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    struct region *region = space_first_in(space, range);
    if (!region)
        return ENOENT;
    for (; region; region = region_next_below(region, end)) {
        if (region->node.base < range.base || region->node.end > end)
            return EINVAL;
    }
    return OK;
}

/* Holds the target's range until the regions come. */
static result_t place_target(struct space *space, struct range range, enum map_at at,
                             uint64_t address, struct region *holder) REQUIRES(space->lock)
{
    if (at == MAP_AT_FIXED)
        return region_tree_place_specifically(&space->tree, &holder->node, address,
                                              range.size_bytes);
    if (at == MAP_AT_RANDOM)
        return region_tree_place_randomized(&space->tree, &holder->node, range.size_bytes,
                                            PAGE_SIZE, &space->random);
    bool large = ((range.base | range.size_bytes) & (TABLE_BYTES - 1)) == 0;
    if (large && space_place_node(space, &holder->node, range.size_bytes, TABLE_BYTES) == OK)
        return OK;
    return space_place_node(space, &holder->node, range.size_bytes, PAGE_SIZE);
}

/* --- commit ----------------------------------------------------------------------------------------------- */

static void gather_table(const struct table_walk *walk, struct tlb_gather *gather)
{
    if (table_walk_is_large(walk)) {
        tlb_gather_page(gather, walk->table_base);
        return;
    }
    const entry_t *entries = table_walk_entries(walk);
    if (frame_of(entry_phys(*walk->upper))->live > TLB_GATHER_MAX) {
        tlb_gather_all(gather);
        return;
    }
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
        if (entry_is_present(entries[i]))
            tlb_gather_page(gather, walk->table_base + i * PAGE_SIZE);
    }
}

static void move_table(const struct move *move, const struct table_walk *walk,
                       struct tlb_gather *gather)
{
    entry_t *target = NULL;
    result_t result = page_directory_reserve_upper(&move->space->directory,
                                                   target_of(move, walk->table_base), &target);
    ASSERT(result == OK); /* the tables have been made */
    gather_table(walk, gather);
    *target = *walk->upper;
    *walk->upper = 0;
    frame_of_virt(target)->live++;
    frame_of_virt(walk->upper)->live--;
}

static void move_entries(const struct move *move, const struct table_walk *walk,
                         struct tlb_gather *gather)
{
    struct frame *table = frame_of(entry_phys(*walk->upper));
    struct table_place source = {.upper = walk->upper};
    entry_t *entries = table_walk_entries(walk);
    if (!entry_is_writable(*walk->upper))
        page_directory_settle(&source);
    for (unsigned i = table_walk_first(walk); i < table_walk_last(walk); i++) {
        struct table_place place;
        uint64_t address = walk->table_base + i * PAGE_SIZE;
        if (!entry_is_present(entries[i]) || has_arrived(move, address))
            continue;
        result_t result =
            page_directory_reserve(&move->space->directory, target_of(move, address), &place);
        ASSERT(result == OK);
        page_directory_set(&place, entries[i], TABLE_MIXED);
        entries[i] = 0;
        table->live--;
        tlb_gather_page(gather, address);
    }
}

static void move_pieces(const struct move *move, const struct table_walk *walk,
                        struct tlb_gather *gather)
{
    if (has_arrived(move, walk->table_base))
        return;
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
        struct table_place place;
        uint64_t target = target_of(move, walk->table_base + i * PAGE_SIZE);
        result_t result = page_directory_reserve(&move->space->directory, target, &place);
        ASSERT(result == OK);
        page_directory_set(&place, entry_piece(*walk->upper, i), TABLE_MIXED);
    }
    *walk->upper = 0;
    frame_of_virt(walk->upper)->live--;
    tlb_gather_page(gather, walk->table_base);
}

/* Whatever the range holds, it fills tables. */
static bool is_of_whole_tables(const struct move *move)
{
    return congruent(move) &&
           ((move->range.base | move->range.size_bytes) & (TABLE_BYTES - 1)) == 0;
}

/* True if every leaf is still in one table only. */
static bool move_tables(const struct move *move)
{
    struct page_directory *directory = &move->space->directory;
    uint64_t end = move->range.base + move->range.size_bytes;
    struct tlb_gather gather;
    bool whole = is_of_whole_tables(move);
    tlb_gather_init(&gather);
    struct table_walk walk = table_walk(directory, move->range.base, end);
    while (table_walk_next(&walk)) {
        bool as_whole = moves_whole(move, &walk);
        if (as_whole)
            move_table(move, &walk, &gather);
        else if (table_walk_is_large(&walk))
            move_pieces(move, &walk, &gather);
        else
            move_entries(move, &walk, &gather);
        whole = whole && as_whole;
    }
    /* Only now: what one table has left another may need. */
    prune_range(directory, move->range.base, move->range.size_bytes, &gather);
    prune_range(directory, move->target, move->range.size_bytes, &gather);
    tlb_gather_flush(&gather, move->space);
    return whole;
}

static void move_region(const struct move *move, struct region *region, bool whole)
{
    struct region_tree *tree = &move->space->tree;
    uint64_t size_bytes = region_size_bytes(region);
    uint64_t base = target_of(move, region->node.base);
    region_tree_remove(tree, &region->node);
    result_t result = region_tree_place_specifically(tree, &region->node, base, size_bytes);
    ASSERT(result == OK); /* the holder has kept the place free */
    region_update_phase(region);
    if (region->object && !whole)
        region->object->scattered = true;
}

static void move_regions(const struct move *move, bool whole) REQUIRES(move->space->lock)
{
    struct region *region = space_first_in(move->space, move->range);
    uint64_t end = move->range.base + move->range.size_bytes;
    while (region) {
        struct region *next = region_next_below(region, end);
        if (!has_arrived(move, region->node.base))
            move_region(move, region, whole);
        region = next;
    }
}

static result_t move_locked(struct move *move, enum map_at at, uint64_t address,
                            struct region *holder) REQUIRES(move->space->lock)
{
    result_t result = check_source(move->space, move->range);
    if (result != OK)
        return result;
    space_identity_hold(move->space);
    result = place_target(move->space, move->range, at, address, holder);
    space_identity_release(move->space);
    if (result != OK)
        return result;
    move->target = holder->node.base;
    result = reserve_tables(move);
    if (result == OK) {
        bool whole = move_tables(move);
        region_tree_remove(&move->space->tree, &holder->node);
        move_regions(move, whole);
    } else {
        region_tree_remove(&move->space->tree, &holder->node);
    }
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
    struct region *holder = region_create(space, PROT_NONE);
    if (!holder)
        return ENOMEM;

    struct move move = {space, range, 0};
    lock_acquire(&move.space->lock);
    result = move_locked(&move, at, address, holder);
    space_check(space);
    lock_release(&move.space->lock);
    region_destroy(holder);
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
