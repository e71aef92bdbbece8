/* 2 MiB pages of anonymous memory.
 *
 * Concepts: to an object a large page is a leaf like any other, which happens to hold 512 frames in a
 * row, each with its own reference count. So filling, copying, discarding and forking its content needs
 * nothing here: only its making, by the first write to an empty leaf. What maps it is one entry of
 * level 2 instead of a table; see page_directory.h. The first write after a fork gives W back to that
 * entry, or splits it. */
#include "core/mm/anonymous.h"

#include "core/check.h"
#include "core/mm/internal.h"
#include "core/mm/part.h"

_Static_assert(LARGE_PAGE_FRAMES == LEAF_SLOTS, "a large page is a leaf");
_Static_assert(LARGE_PAGE_FRAMES *PAGE_SIZE == TABLE_BYTES, "and takes the place of a table");

/* Makes the leaf of these slots, which is missing, of cleared frames in a row. */
static result_t make_leaf(struct anonymous *anonymous, uint64_t first_slot, struct leaf **leaf)
    REQUIRES(anonymous->object.lock)
{
    enum frame_source source = anonymous->committed ? FRAMES_PROMISED : FRAMES_UNPROMISED;
    struct leaf *before;
    phys_t first;
    result_t result = frames_take_large(source, &first);
    if (result != OK)
        return result;
    if (slot_table_own_leaf(&anonymous->table, first_slot, NULL, leaf, &before) != OK) {
        frames_return_large(source, first);
        return ENOMEM;
    }

    for (uint64_t i = 0; i < LEAF_SLOTS; i++) {
        phys_t page = phys(first.value + (i << PAGE_SHIFT));
        machine_page_clear(machine_phys_to_virt(page));
        slot_fill(leaf_frame(*leaf), &(*leaf)->slots[i], page);
    }
    machine_cpu()->counters[COUNTER_PAGE_ZEROED] += LEAF_SLOTS;
    frame_of(first)->shows = *leaf;
    return OK;
}

/* Makes the tables above a large page, and one of them count its entry already: none of them goes. */
static result_t reserve_entry(struct page_directory *directory, uint64_t base, entry_t **upper)
{
    lock_acquire(&directory->lock);
    result_t result = page_directory_reserve_upper_locked(directory, base, upper);
    if (result == OK)
        frame_of_virt(*upper)->live++;
    lock_release(&directory->lock);
    return result;
}

static void unreserve_entry(struct page_directory *directory, uint64_t base, const entry_t *upper)
{
    lock_acquire(&directory->lock);
    frame_of_virt(upper)->live--;
    page_directory_prune_gathered(directory, base, NULL);
    lock_release(&directory->lock);
}

/* Maps the 2 MiB around the address by a large page. EAGAIN: they are not all in the region, have data
 * or fit badly, or there is no run of frames. ENOMEM. */
static result_t map_large(struct anonymous *anonymous, struct region *region, uint64_t address)
    REQUIRES(anonymous->object.lock)
{
    struct page_directory *directory = &region->space->directory;
    uint64_t base = address & ~(TABLE_BYTES - 1);
    if (!region->in_phase || base < region->node.base || region->node.end - base < TABLE_BYTES)
        return EAGAIN;
    uint64_t slot = region_slot(region, base);
    if (slot_table_leaf(&anonymous->table, slot))
        return EAGAIN;

    entry_t *upper;
    struct leaf *leaf;
    if (reserve_entry(directory, base, &upper) != OK)
        return ENOMEM;
    result_t result = make_leaf(anonymous, slot, &leaf);
    if (result != OK) {
        unreserve_entry(directory, base, upper);
        return result;
    }

    /* Others may have read zeros. */
    if (!object_is_exclusive(&anonymous->object))
        object_unmap_slots_everywhere_but(&anonymous->object, slot, LEAF_SLOTS, region);
    lock_acquire(&directory->lock);
    entry_store(upper, entry_page(slot_phys(leaf->slots[0]), region->entry_bits, 2));
    lock_release(&directory->lock);
    return OK;
}

static void flush_large(const struct region *region, uint64_t address)
{
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    tlb_gather_page(&gather, address);
    tlb_gather_flush(&gather, region->space);
}

/* The large page at the address is split, which the caller must flush, and its page becomes ours alone. */
static struct leaf *own_and_split(struct anonymous *anonymous, struct region *region,
                                  uint64_t address, struct own *own)
    REQUIRES(anonymous->object.lock)
{
    struct page_directory *directory = &region->space->directory;
    struct frame_reserve reserve = {0};
    if (frame_reserve_add(&reserve) != OK)
        return NULL;
    struct leaf *leaf = anonymous_own_page(anonymous, region, region_slot(region, address), own);
    if (leaf) {
        lock_acquire(&directory->lock);
        page_directory_split_large(directory, page_directory_large(directory, address),
                                   frame_reserve_take(&reserve, FRAME_TABLE));
        lock_release(&directory->lock);
    }
    frame_reserve_end(&reserve);
    return leaf;
}

struct leaf *anonymous_own_large(struct anonymous *anonymous, struct region *region,
                                 uint64_t address, struct own *own)
{
    uint64_t slot = region_slot(region, address);
    if (is_large_at(region, address)) {
        const struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
        if (leaf_is_shared(leaf) || frame_is_shared(slot_frame(leaf->slots[slot % LEAF_SLOTS])))
            return own_and_split(anonymous, region, address, own);
    }
    return anonymous_own_page(anonymous, region, slot, own);
}

/* A write to a large page: `upper` maps it. */
static struct fault_result write_large(struct anonymous *anonymous, struct region *region,
                                       uint64_t address, entry_t *upper)
    REQUIRES(anonymous->object.lock)
{
    struct page_directory *directory = &region->space->directory;
    struct own own = {COUNTER_FAULT_SPURIOUS, 0, PHYS_NONE};
    uint64_t slot = region_slot(region, address);
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    if (!entry_is_writable(entry_load(upper)) && leaf_is_exclusive(leaf)) {
        lock_acquire(&directory->lock);
        entry_store(upper, entry_with_write(entry_load(upper)));
        lock_release(&directory->lock);
        own.event = COUNTER_FAULT_COW_REUSE;
    } else if (!entry_is_writable(entry_load(upper))) {
        struct table_place place = {0};
        leaf = own_and_split(anonymous, region, address, &own);
        if (!leaf)
            return (struct fault_result){FAULT_NOMEM, COUNTER_FAULT_TOTAL};
        if (own.event == COUNTER_FAULT_RESIDENT)
            own.event = COUNTER_FAULT_COW_REUSE;
        else
            object_unmap_slot_elsewhere(&anonymous->object, slot, region);
        /* It shows at least this object, whose lock is held: it cannot go. */
        bool found = page_directory_find(directory, address, &place) && table_lock(place.table);
        ASSERT(found);
        phys_t page = slot_phys(leaf->slots[slot % LEAF_SLOTS]);
        page_directory_set(&place, entry_page(page, region->entry_bits, 1), leaf);
        table_place_unlock(&place);
    }
    flush_large(region, address);
    anonymous_put_replaced(own.replaced);
    return (struct fault_result){FAULT_RESOLVED, own.event};
}

bool anonymous_write_large(struct anonymous *anonymous, struct region *region, uint64_t address,
                           struct fault_result *result)
{
    entry_t *upper = page_directory_large(&region->space->directory, address);
    if (upper) {
        *result = write_large(anonymous, region, address, upper);
        return true;
    }
    result_t mapped = map_large(anonymous, region, address);
    *result = mapped == OK ? (struct fault_result){FAULT_RESOLVED, COUNTER_FAULT_ANON}
                           : (struct fault_result){FAULT_NOMEM, COUNTER_FAULT_TOTAL};
    return mapped != EAGAIN;
}
