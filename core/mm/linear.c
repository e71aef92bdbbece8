/* Frames in a row behind an object. See linear.h. */
#include "core/mm/linear.h"

#include "core/mm/heap.h"
#include "core/mm/space.h"

result_t linear_create(const struct object_ops *ops, phys_t first, uint64_t page_count,
                       struct linear **out)
{
    struct linear *linear = heap_alloc(sizeof *linear);
    if (!linear)
        return ENOMEM;
    object_init(&linear->object, ops, page_count, 0);
    linear->first = first;
    *out = linear;
    return OK;
}

/* Slots are counted from the first frame whatever the address is. */
void linear_set_phase(struct object *object, uint16_t phase)
{
    (void)object;
    (void)phase;
}

static phys_t frame_at(const struct linear *linear, uint64_t slot)
{
    return phys(linear->first.value + (slot << PAGE_SHIFT));
}

/* What a fault came to that has put an entry where `before` was. */
static struct fault_result shown(entry_t before, entry_t entry, uint64_t address)
{
    struct fault_result result = {FAULT_RESOLVED, COUNTER_FAULT_RESIDENT};
    if (entry_is_present(before)) {
        machine_flush_page(virt(address));
        if ((before & ~(ENTRY_ACCESSED | ENTRY_DIRTY)) == entry)
            result.event = COUNTER_FAULT_SPURIOUS;
    }
    return result;
}

/* Does the region show all of the 2 MiB around the address, and do frames lie there as addresses do? */
static bool fits_large(const struct region *region, uint64_t address, phys_t page)
{
    uint64_t base = address & ~(TABLE_BYTES - 1);
    return base >= region->node.base && region->node.end - base >= TABLE_BYTES &&
           ((address ^ page.value) & (TABLE_BYTES - 1)) == 0;
}

/* Maps the 2 MiB around the address by one entry. EAGAIN: a part of them has small pages. ENOMEM. */
static result_t show_large(struct region *region, uint64_t address, phys_t page,
                           uint64_t cache_bits, struct fault_result *result)
{
    struct page_directory *directory = &region->space->directory;
    entry_t entry = entry_page(phys(page.value & ~(TABLE_BYTES - 1)),
                               region->entry_bits | cache_bits | LARGE_WITHOUT_LEAF, 2);
    entry_t *upper;
    lock_acquire(&directory->lock);
    result_t answer = page_directory_reserve_upper_locked(directory, address, &upper);
    if (answer == OK && entry_is_table(entry_load(upper)))
        answer = EAGAIN;
    if (answer == OK) {
        struct frame *table = frame_of_virt(upper);
        entry_t before = entry_load(upper);
        entry_store(upper, entry);
        table->live = (uint16_t)(table->live + !entry_is_present(before));
        *result = shown(before, entry, address);
    }
    lock_release(&directory->lock);
    return answer;
}

struct fault_result linear_show(struct object *object, struct region *region, uint64_t address,
                                phys_t page, uint64_t cache_bits)
{
    (void)object;
    struct table_place place;
    struct fault_result result = {FAULT_NOMEM, COUNTER_FAULT_TOTAL};
    if (UNLIKELY(region->large) && fits_large(region, address, page) &&
        show_large(region, address, page, cache_bits, &result) != EAGAIN)
        return result;
    if (page_directory_reserve(&region->space->directory, address, &place) != OK ||
        table_place_lock(&region->space->directory, address, &place) != OK)
        return result;
    entry_t entry = entry_page(page, region->entry_bits | cache_bits, 1);
    entry_t before = entry_load(place.entry);
    if (!entry_is_writable(entry_load(place.upper)))
        page_directory_settle(&place);
    page_directory_set(&place, entry, TABLE_MIXED);
    table_place_unlock(&place);
    return shown(before, entry, address);
}

struct fault_result linear_fault(struct object *object, struct region *region, uint64_t address,
                                 unsigned access)
{
    (void)access;
    lock_acquire(&object->lock);
    phys_t page = frame_at(linear_of(object), region_slot(region, address));
    struct fault_result result =
        linear_show(object, region, address, page, region_cache_bits(region, CACHE_WRITE_BACK));
    lock_release(&object->lock);
    return result;
}

result_t linear_fork(struct object *object, struct tlb_gather *gather, struct object **copy)
{
    (void)gather;
    object_get(object);
    *copy = object;
    return OK;
}

result_t linear_page(struct object *object, struct region *region, uint64_t address,
                     enum page_use use, phys_t *page)
{
    if (use == PAGE_FOR_WRITING && (object->ops->rights & PROT_WRITE) == 0)
        return EACCES;
    *page = frame_at(linear_of(object), region_slot(region, address));
    return OK;
}

uint64_t linear_resident(const struct object *object)
{
    return object->page_count;
}

const char *linear_check_entry(struct object *object, uint64_t slot, uint64_t entry)
{
    if (entry_phys(entry).value != frame_at(linear_of(object), slot).value)
        return "shows another frame than its object has";
    return NULL;
}
