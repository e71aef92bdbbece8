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

struct fault_result linear_show(struct object *object, struct region *region, uint64_t address,
                                phys_t page, uint64_t cache_bits)
{
    (void)object;
    struct table_place place;
    struct fault_result result = {FAULT_NOMEM, COUNTER_FAULT_TOTAL};
    if (page_directory_reserve(&region->space->directory, address, &place) == OK) {
        entry_t entry = entry_page(page, region->entry_bits | cache_bits, 1);
        entry_t before = *place.entry;
        if (!entry_is_writable(*place.upper))
            page_directory_settle(&place);
        page_directory_set(&place, entry, TABLE_MIXED);
        result.outcome = FAULT_RESOLVED;
        result.event = COUNTER_FAULT_RESIDENT;
        if (entry_is_present(before)) {
            machine_flush_page(virt(address));
            if ((before & ~(ENTRY_ACCESSED | ENTRY_DIRTY)) == entry)
                result.event = COUNTER_FAULT_SPURIOUS;
        }
    }
    return result;
}

struct fault_result linear_fault(struct object *object, struct region *region, uint64_t address,
                                 unsigned access)
{
    (void)access;
    phys_t page = frame_at(linear_of(object), region_slot(region, address));
    lock_acquire(&object->lock);
    struct fault_result result =
        linear_show(object, region, address, page, region_cache_bits(region, CACHE_WRITE_BACK));
    lock_release(&object->lock);
    return result;
}

result_t linear_fork(struct object *object, struct space *space, struct tlb_gather *gather,
                     struct object **copy)
{
    (void)space;
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
