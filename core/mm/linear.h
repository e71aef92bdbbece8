/* What memory types have in common whose frames lie in a row: slot i is frame first + i, always there.
 *
 * Concepts: fork shares the object itself, same frames on both sides. Nothing is ever copied, dropped
 * or resized. contiguous.c owns its frames, physical.c does not.
 * Locking: immutable after creation. */
#ifndef CORE_MM_LINEAR_H
#define CORE_MM_LINEAR_H

#include "core/mm/object.h"

struct linear {
    struct object object;
    phys_t first; /* frame of slot 0 */
};

static inline struct linear *linear_of(struct object *object)
{
    return CONTAINER_OF(object, struct linear, object);
}

/* References 1. ENOMEM. */
result_t linear_create(const struct object_ops *ops, phys_t first, uint64_t page_count,
                       struct linear **linear);

/* Maps one page of a region that shows the object for a fault, with these bits of the memory type; where
 * the region wants large pages all of the 2 MiB around it, which must be frames in a row of one memory
 * type as far as the region shows them. ENOMEM as an outcome. */
struct fault_result linear_show(struct object *object, struct region *region, uint64_t address,
                                phys_t page, uint64_t cache_bits) REQUIRES(object->lock);

/* The operations; see struct object_ops. */
void linear_set_phase(struct object *object, uint16_t phase);
struct fault_result linear_fault(struct object *object, struct region *region, uint64_t address,
                                 unsigned access);
result_t linear_fork(struct object *object, struct tlb_gather *gather, struct object **copy);
result_t linear_page(struct object *object, struct region *region, uint64_t address,
                     enum page_use use, phys_t *page);
uint64_t linear_resident(const struct object *object);
const char *linear_check_entry(struct object *object, uint64_t slot, uint64_t entry);

#endif
