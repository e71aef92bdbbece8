/* What all memory types share. See object.h. */
#include "core/mm/object.h"

#include "core/mm/internal.h"
#include "core/mm/space.h"
#include "core/write_window.h"

void object_set_exclusive(struct object *object, bool exclusive)
{
    uint8_t others = object->company & (uint8_t)~OBJECT_SHARED;
    object->company = exclusive ? others : others | OBJECT_SHARED;
}

void object_name(struct object *object)
{
    object->named = true;
    object_set_exclusive(object, false);
    lock_acquire(&mm.lock);
    list_add_last(&mm.named, &object->named_link);
    lock_release(&mm.lock);
}

result_t object_drop(struct object *object)
{
    if (object_region_count(object) != 0)
        return EBUSY;
    object_unname(object);
    return OK;
}

void object_unname(struct object *object)
{
    object_write_begin();
    object->named = false;
    lock_acquire(&mm.lock);
    list_remove(&object->named_link);
    lock_release(&mm.lock);
    object_put(object);
    object_write_end();
}

uint64_t object_region_count(struct object *object)
{
    uint64_t count = 0;
    lock_acquire(&object->lock);
    for (struct list_node *link = object->regions.next; link != &object->regions; link = link->next)
        count++;
    if (object->ops->other_regions)
        count += object->ops->other_regions(object);
    lock_release(&object->lock);
    return count;
}

static void unmap_slots_in(struct region *region, uint64_t first, uint64_t end)
{
    uint64_t region_end = region_end_slot(region);
    if (first < region_first_slot(region))
        first = region_first_slot(region);
    if (end > region_end)
        end = region_end;
    if (first >= end)
        return;
    uint64_t address = region_address(region, first);
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    page_directory_unmap(&region->space->directory, address,
                         address + ((end - first) << PAGE_SHIFT), &gather);
    tlb_gather_flush(&gather, region->space);
}

void object_unmap_slots_everywhere_but(struct object *object, uint64_t slot, uint64_t count,
                                       const struct region *region)
{
    for (struct list_node *link = object->regions.next; link != &object->regions;
         link = link->next) {
        if (region_of_link(link) != region)
            unmap_slots_in(region_of_link(link), slot, slot + count);
    }
}
