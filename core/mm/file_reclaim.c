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

/* Pages are looked at in groups of so many, all of one leaf: bit i stands for page + i. */
#define GROUP_PAGES 64u

/* Those of `count` pages that a region's entries say were accessed since this was asked last. */
static uint64_t forget_accesses_in(const struct region *region, uint64_t page, unsigned count)
{
    uint64_t first = region_first_slot(region);
    uint64_t end = region_end_slot(region);
    uint64_t accessed = 0;
    uint64_t low = page > first ? page : first;
    uint64_t high = page + count < end ? page + count : end;
    struct table_place place = {0};
    struct page_directory *directory = &region->space->directory;
    bool has_table = false;
    lock_acquire(&directory->lock);
    if (directory->table_count == 0)
        low = high;
    for (uint64_t at = low; at < high; at++, place.entry++) {
        uint64_t address = region_address(region, at);
        if (at == low || machine_table_index(address, 1) == 0)
            has_table = page_directory_find(directory, address, &place);
        if (has_table && entry_forget_access(place.entry))
            accessed |= 1ull << (at - page);
    }
    lock_release(&directory->lock);
    return accessed;
}

/* The same in any region. */
static uint64_t forget_accesses(const struct file *file, uint64_t page, unsigned count)
    REQUIRES(file->object.lock)
{
    uint64_t accessed = 0;
    const struct list_node *head = &file->object.regions;
    for (struct list_node *link = head->next; link != head; link = link->next)
        accessed |= forget_accesses_in(region_of_link(link), page, count);
    head = &file->privates;
    for (struct list_node *link = head->next; link != head; link = link->next) {
        for (unsigned i = 0; i < count; i++) {
            if (file_private_was_accessed(file_private_of_link(link), page + i))
                accessed |= 1ull << i;
        }
    }
    return accessed;
}

/* Those of `count` pages that may go in this stage. */
static uint64_t find_victims(const struct file *file, uint64_t page, unsigned count,
                             enum reclaim_stage stage) REQUIRES(file->object.lock)
{
    const uint64_t *slots = file_slot(file, page);
    uint64_t dirty = stage == RECLAIM_DIRTY ? SLOT_DIRTY : 0;
    uint64_t victims = 0;
    for (unsigned i = 0; i < count; i++) {
        if (slots[i] != 0 && (slots[i] & SLOT_DIRTY) == dirty)
            victims |= 1ull << i;
    }
    return victims == 0 ? 0 : victims & ~forget_accesses(file, page, count);
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

/* Drops the lowest row of *victims, at most `most` pages, and takes it out of them. Returns how many
 * went; *end: the page behind the row. */
static unsigned drop_lowest_row(struct file *file, uint64_t page, uint64_t *victims, uint64_t most,
                                enum reclaim_stage stage, uint64_t *end) REQUIRES(file->object.lock)
{
    unsigned first = (unsigned)__builtin_ctzll(*victims);
    uint64_t others = ~(*victims >> first);
    unsigned count = others == 0 ? GROUP_PAGES : (unsigned)__builtin_ctzll(others);
    if (count > most)
        count = (unsigned)most;
    uint64_t row = (count == GROUP_PAGES ? ~0ull : (1ull << count) - 1) << first;
    *victims &= ~row;
    *end = page + first + count;
    return drop_row(file, page + first, count, stage);
}

/* One round over [*page, end), which ends where enough has been won. */
static uint64_t sweep(struct file *file, uint64_t *page, uint64_t end, enum reclaim_stage stage,
                      uint64_t wanted) REQUIRES(file->object.lock)
{
    uint64_t won = 0;
    while (*page < end && won < wanted) {
        uint64_t start = *page;
        uint64_t leaf_end = (start | (LEAF_SLOTS - 1)) + 1;
        *page = leaf_end;
        if (!file_slot(file, start))
            continue;
        uint64_t stop = leaf_end < end ? leaf_end : end;
        unsigned count = stop - start < GROUP_PAGES ? (unsigned)(stop - start) : GROUP_PAGES;
        uint64_t victims = find_victims(file, start, count, stage);
        *page = start + count;
        while (victims != 0 && won < wanted) {
            uint64_t row_end;
            won += drop_lowest_row(file, start, &victims, wanted - won, stage, &row_end);
            if (won >= wanted)
                *page = row_end;
        }
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
