/* What all memory types share. See object.h. */
#include "core/mm/object.h"

#include "core/mm/space.h"

void object_init(struct object *object, const struct object_ops *ops, uint64_t page_count,
                 uint16_t phase)
{
    object->ops = ops;
    lock_init(&object->lock, RANK_OBJECT, "object");
    object->references = 1;
    object->phase = phase;
    object->exclusive = false;
    object->page_count = page_count;
    list_init(&object->regions);
    object->fork_copy = NULL;
    object->audit_round = 0;
}

void object_attach(struct object *object, struct region *region)
{
    lock_acquire(&object->lock);
    list_add_last(&object->regions, &region->object_link);
    lock_release(&object->lock);
}

void object_detach(struct object *object, struct region *region)
{
    lock_acquire(&object->lock);
    list_remove(&region->object_link);
    lock_release(&object->lock);
}

static void unmap_slot_in(struct region *region, uint64_t slot)
{
    uint64_t page_count = region_size_bytes(region) >> PAGE_SHIFT;
    if (slot < region->first_slot || slot - region->first_slot >= page_count)
        return;
    uint64_t address = region->node.base + ((slot - region->first_slot) << PAGE_SHIFT);
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    page_directory_unmap(&region->space->directory, address, address + PAGE_SIZE, &gather);
    tlb_gather_flush(&gather, region->space);
}

void object_unmap_slot_everywhere_but(struct object *object, uint64_t slot,
                                      const struct region *region)
{
    for (struct list_node *link = object->regions.next; link != &object->regions;
         link = link->next) {
        if (region_of_link(link) != region)
            unmap_slot_in(region_of_link(link), slot);
    }
}
