/* The parts of the anonymous memory type, for memory types that keep pages of their own in the same way.
 *
 * Concepts: a struct of such a type begins with its struct anonymous, and its operations are these where
 * they do not differ. Functions without another contract are operations of struct object_ops. */
#ifndef CORE_MM_ANONYMOUS_TYPE_H
#define CORE_MM_ANONYMOUS_TYPE_H

#include "core/mm/anonymous.h"
#include "core/mm/page_directory.h"

/* Of an object that object_init() has made; with COMMIT_ON its pages have been promised. */
void anonymous_init(struct anonymous *anonymous, enum commit commit);
/* Gives back all it has, but its own memory. */
void anonymous_fini(struct anonymous *anonymous);
/* Makes an initialised object with the parent's size and phase the copy that a fork needs. ENOMEM:
 * nothing changed. */
result_t anonymous_fork_into(struct anonymous *parent, struct anonymous *child,
                             struct tlb_gather *gather);

/* Has the object a page of its own there? */
static inline bool anonymous_has_page(const struct anonymous *anonymous, uint64_t slot)
    REQUIRES(anonymous->object.lock)
{
    const struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    return leaf && leaf->slots[slot % LEAF_SLOTS] != 0;
}

/* The same without a lock, in a fault: a guess, until it is asked again with one. */
static inline bool anonymous_seems_to_have_page(const struct anonymous *anonymous, uint64_t slot)
{
    const struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    return leaf && slot_seems_filled(leaf, slot);
}

/* Gives an empty slot a page with this content and returns its leaf; entries are the caller's to look
 * after. NULL: no memory, and nothing changed. */
struct leaf *anonymous_copy_in(struct anonymous *anonymous, struct region *region, uint64_t slot,
                               phys_t source) REQUIRES(anonymous->object.lock);
/* The write fault on an empty slot whose content is elsewhere; place is the address's. */
struct fault_result anonymous_fault_copy(struct anonymous *anonymous, struct region *region,
                                         uint64_t address, struct table_place *place, phys_t source)
    REQUIRES(anonymous->object.lock);
/* Removes the entries of an address's slot, in all regions. */
void anonymous_unmap_slot(struct anonymous *anonymous, struct region *region, uint64_t address)
    REQUIRES(anonymous->object.lock);

struct fault_result anonymous_fault_locked(struct anonymous *anonymous, struct region *region,
                                           uint64_t address, unsigned access)
    REQUIRES(anonymous->object.lock);
result_t anonymous_page_locked(struct anonymous *anonymous, struct region *region, uint64_t address,
                               enum page_use use, phys_t *page) REQUIRES(anonymous->object.lock);

void anonymous_set_phase(struct object *object, uint16_t phase);
result_t anonymous_reserve_discard(struct object *object, uint64_t first_slot, uint64_t slot_count,
                                   struct frame_reserve *reserve);
void anonymous_prepare_discard(struct object *object, struct region *region, uint64_t base,
                               uint64_t end, struct frame_reserve *reserve);
void anonymous_discard(struct object *object, uint64_t first_slot, uint64_t slot_count);
void anonymous_forget(struct object *object, uint64_t first_slot, uint64_t slot_count);
result_t anonymous_extend(struct object *object, uint64_t first_slot, uint64_t slot_count);
uint64_t anonymous_resident(const struct object *object);
const char *anonymous_check_entry(struct object *object, uint64_t slot, uint64_t entry);
void anonymous_audit(struct object *object, struct audit *audit);

#endif
