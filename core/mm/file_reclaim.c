/* Winning back the frames of a file's pages: a clock over the cache, one window at a time.
 *
 *   cache   ......|==== window ====|............
 *                 ^ hand           first round: what was accessed gets a second chance
 *                                  second round: what was not accessed since
 *
 * A window has twice as many pages as are wanted, so what a page costs does not depend on how many are
 * resident. Rows of pages go together: entries, one flush, then frames. */
#include "core/mm/file.h"
#include "core/mm/internal.h"
#include "core/mm/space.h"

static bool was_accessed_in(const struct region *region, uint64_t page)
{
    struct table_place place;
    uint64_t page_count = region_size_bytes(region) >> PAGE_SHIFT;
    if (page < region->first_slot || page - region->first_slot >= page_count)
        return false;
    uint64_t address = region->node.base + ((page - region->first_slot) << PAGE_SHIFT);
    return page_directory_find(&region->space->directory, address, &place) &&
           entry_forget_access(place.entry);
}

/* In any region, since this was asked last. */
static bool was_accessed(const struct file *file, uint64_t page) REQUIRES(file->object.lock)
{
    bool accessed = false;
    const struct list_node *head = &file->object.regions;
    for (struct list_node *link = head->next; link != head; link = link->next)
        accessed |= was_accessed_in(region_of_link(link), page);
    head = &file->privates;
    for (struct list_node *link = head->next; link != head; link = link->next)
        accessed |= file_private_was_accessed(file_private_of_link(link), page);
    return accessed;
}

/* How many pages from this one on, all of one leaf, may go in this stage. *looked_at: how many this was
 * asked of; the last may have had its second chance by that. */
static unsigned count_row(const struct file *file, uint64_t page, uint64_t end,
                          enum reclaim_stage stage, unsigned *looked_at) REQUIRES(file->object.lock)
{
    const uint64_t *slots = file_slot(file, page);
    uint64_t in_leaf = LEAF_SLOTS - page % LEAF_SLOTS;
    uint64_t most = end - page < in_leaf ? end - page : in_leaf;
    bool dirty = stage == RECLAIM_DIRTY;
    unsigned count = 0;
    while (count < most && count < FILE_WRITE_MAX && slots[count] != 0 &&
           ((slots[count] & SLOT_DIRTY) != 0) == dirty && !was_accessed(file, page + count))
        count++;
    *looked_at = count < most && count < FILE_WRITE_MAX ? count + 1 : count;
    return count;
}

/* Returns how many pages went: all or, when they cannot be written back, none. */
static unsigned drop_row(struct file *file, uint64_t page, unsigned count, enum reclaim_stage stage)
    REQUIRES(file->object.lock)
{
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    if (stage == RECLAIM_DIRTY && file_write_back(file, page, count) != OK)
        return 0;
    file_unmap_everywhere(file, page, count);
    frame_batch_init(&batch);
    slot_table_drop(&file->table, page, count, &batch, &freed, &dropped);
    frame_batch_end(&batch);
    enum counter counter = stage == RECLAIM_DIRTY ? COUNTER_RECLAIM_DIRTY : COUNTER_RECLAIM_CLEAN;
    machine_cpu()->counters[counter] += freed;
    return (unsigned)freed;
}

/* One round over [*page, end), which ends where enough has been won. */
static uint64_t sweep(struct file *file, uint64_t *page, uint64_t end, enum reclaim_stage stage,
                      uint64_t wanted) REQUIRES(file->object.lock)
{
    uint64_t won = 0;
    while (*page < end && won < wanted) {
        if (!file_slot(file, *page)) {
            *page = (*page | (LEAF_SLOTS - 1)) + 1;
            continue;
        }
        uint64_t most = wanted - won < end - *page ? wanted - won : end - *page;
        unsigned looked_at;
        unsigned count = count_row(file, *page, *page + most, stage, &looked_at);
        if (count != 0)
            won += drop_row(file, *page, count, stage);
        *page += looked_at;
    }
    return won;
}

uint64_t file_reclaim(struct object *object, enum reclaim_stage stage, uint64_t wanted)
{
    struct file *file = file_of(object);
    uint64_t won = 0;
    if (stage == RECLAIM_VOLATILE)
        return 0;
    lock_acquire(&file->object.lock);
    for (uint64_t left = object->page_count; left > 0 && won < wanted;) {
        if (file->hand >= object->page_count)
            file->hand = 0;
        uint64_t start = file->hand;
        uint64_t window = 2 * wanted < left ? 2 * wanted : left;
        if (window > object->page_count - start)
            window = object->page_count - start;
        for (unsigned round = 0; round < 2 && won < wanted; round++) {
            file->hand = start;
            won += sweep(file, &file->hand, start + window, stage, wanted - won);
        }
        left -= window;
    }
    lock_release(&file->object.lock);
    return won;
}
