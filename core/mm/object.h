/* What memory is: a table of operations (the memory type) and the regions that show it.
 *
 * Concepts: pages of an object are addressed by slots: slot == page index + phase, where phase is that
 * of the object's first mapping (address >> 12 modulo 512), so that a leaf of 512 slots and a page table
 * coincide. Generic code never asks which type an object is.
 * Invariants: references counts regions and names; every region that shows the object is in `regions`,
 * and whoever replaces or empties a slot first removes its entry in all of them, flushes, then frees.
 * Locking: `lock` guards slots and the entries that show them; regions join and leave under the lock,
 * and change under it (region.h). An object that is alone (object_is_alone()) is known to one space only: operations
 * on that space keep faults off (part.h), and its faults need the lock only to make what all of them share. */
#ifndef CORE_MM_OBJECT_H
#define CORE_MM_OBJECT_H

#include "core/counters.h"
#include "core/fault_outcome.h"
#include "core/list.h"
#include "core/lock.h"
#include "core/mm/reclaim.h"
#include "core/mm/region.h"
#include "core/mm/slots.h"
#include "core/mm/tlb.h"

struct object;
struct audit;
struct frame_reserve;

/* What a fault came to. event: the counter of a resolved fault. */
struct fault_result {
    enum fault_outcome outcome;
    enum counter event;
};

enum page_use { PAGE_FOR_READING, PAGE_FOR_WRITING };

struct object_ops {
    const char *name;
    /* Rights that the memory gives at most (enum prot). */
    unsigned rights;
    /* May its regions choose how the CPU caches it? */
    bool any_cache;
    /* The first mapping is at this phase. */
    void (*set_phase)(struct object *object, uint16_t phase);
    /* Makes the access possible; the region has the right. Takes the object's lock, or that of the page
     * table. FAULT_AGAIN: the table has gone meanwhile. */
    struct fault_result (*fault)(struct object *object, struct region *region, uint64_t address,
                                 unsigned access);
    /* The object that a forked region shows, with a reference for the caller; what must be flushed in
     * its space, which is busy, is gathered. ENOMEM: nothing changed. */
    result_t (*fork)(struct object *object, struct tlb_gather *gather, struct object **copy);
    /* The last reference is gone: frees everything. */
    void (*release)(struct object *object);
    /* The frame that the region shows at an address, for access that bypasses the page tables; made if
     * it is to be written. Takes the object's lock. ENOMEM. */
    result_t (*page)(struct object *object, struct region *region, uint64_t address,
                     enum page_use use, phys_t *page);
    /* Nothing will show these slots any more. reserve_discard takes the frames ahead that this needs
     * (ENOMEM: changed nothing but the reserve); then nothing can fail: prepare_discard, needed only if frames
     * were taken, while the region is still whole, [base, end) being what it is to lose, and discard when it has lost
     * that. NULL where objects are never exclusive. */
    result_t (*reserve_discard)(struct object *object, uint64_t first_slot, uint64_t slot_count,
                                struct frame_reserve *reserve);
    void (*prepare_discard)(struct object *object, struct region *region, uint64_t base,
                            uint64_t end, struct frame_reserve *reserve);
    void (*discard)(struct object *object, uint64_t first_slot, uint64_t slot_count);
    /* Like discard, but the region goes on showing the slots: their content is forgotten. NULL: the
     * memory type cannot. */
    void (*forget)(struct object *object, uint64_t first_slot, uint64_t slot_count);
    /* A region is to show slot_count more slots, from first_slot on, that nothing shows: makes the
     * object that long. NULL where objects are never exclusive. ENOMEM. */
    result_t (*extend)(struct object *object, uint64_t first_slot, uint64_t slot_count);
    /* May content go when frames run out? *purged: has it gone since it might? NULL: the memory type
     * cannot. ENOTSUP: this object cannot; ENOMEM: no frames for what is to be promised again. */
    result_t (*set_volatile)(struct object *object, bool to_volatile, bool *purged);
    /* Gives up `wanted` pages if it can, entries first; returns how many frames that won. Called without
     * locks, for objects that reclaim_enlist() has listed. */
    uint64_t (*reclaim)(struct object *object, enum reclaim_stage stage, uint64_t wanted);
    /* An object that a private region shows in place of this one: page_count pages of it from
     * first_page on. NULL: private regions show the object itself. ENOMEM. */
    result_t (*make_private)(struct object *object, uint64_t first_page, uint64_t page_count,
                             bool commit, struct object **copy);
    /* Writes what has changed in these slots to where they come from; what lies beyond the object is
     * passed over. NULL: they come from nowhere, or cannot change. EIO. */
    result_t (*sync)(struct object *object, uint64_t first_slot, uint64_t slot_count);
    /* Regions that show it through other objects. NULL: there are no such regions. */
    uint64_t (*other_regions)(struct object *object);
    /* Regions may reach beyond the object's end; a fault there is `bus`. */
    bool overhangs;
    /* Pages with content. */
    uint64_t (*resident)(const struct object *object);
    /* May this entry show this slot? For the audit; NULL, or what is wrong. */
    const char *(*check_entry)(struct object *object, uint64_t slot, uint64_t entry);
    /* Counts all frames of the object; called once per object. */
    void (*audit)(struct object *object, struct audit *audit);
};

enum object_company {
    OBJECT_SHARED = 1,    /* a name reaches it, or slots are shown twice: it is not exclusive */
    OBJECT_WATCHED = 2,   /* its file looks at its regions */
    OBJECT_SCATTERED = 4, /* a piece was moved away: one leaf may be in several tables */
};

struct object {
    const struct object_ops *ops; /* immutable */
    struct lock lock;
    uint32_t references; /* atomic */
    uint16_t phase;      /* 0..511; immutable once mapped */
    uint8_t company;     /* why it is not alone: enum object_company, or-ed */
    bool placed;         /* has been mapped: the phase is final */
    bool named;          /* in mm.named; scripts can reach it without a region */
    uint64_t page_count;
    struct list_node regions; /* struct region.object_link */
    struct list_node named_link;
    struct list_node reclaim_link; /* next is NULL: in no list of reclaim.h */
    struct object *fork_copy;      /* during space_fork(), whose locks guard it */
    uint64_t audit_round;          /* scratch of mm_audit() */
};

static inline void object_init(struct object *object, const struct object_ops *ops,
                               uint64_t page_count, uint16_t phase)
{
    object->ops = ops;
    lock_init(&object->lock, RANK_OBJECT, "object");
    object->references = 1;
    object->phase = phase;
    object->company = OBJECT_SHARED;
    object->placed = false;
    object->named = false;
    object->page_count = page_count;
    list_init(&object->regions);
    object->reclaim_link.next = NULL;
    object->fork_copy = NULL;
    object->audit_round = 0;
}

static inline void object_get(struct object *object)
{
    __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);
}

/* May release the object; not with its lock held. */
static inline void object_put(struct object *object)
{
    if (__atomic_fetch_sub(&object->references, 1, __ATOMIC_ACQ_REL) == 1)
        object->ops->release(object);
}

/* Are its regions pieces of one, with no slot shown twice and no name that reaches it? Then what a piece stops showing
 * is gone, and only the piece at hand need be looked at. */
static inline bool object_is_exclusive(const struct object *object)
{
    return (object->company & OBJECT_SHARED) == 0;
}

/* While faults are kept off, or before it is mapped. */
void object_set_exclusive(struct object *object, bool exclusive);

/* Is the object known to its regions' space only, and shown there one leaf a page table? Then the space's lock
 * guards its list of regions. Changes only while faults are kept off. */
static inline bool object_is_alone(const struct object *object)
{
    return object->company == 0;
}

/* For an operation on the space that keeps faults off: nobody else uses the object until it is released, which is why
 * one that is alone needs no lock. */
static inline void object_hold(struct object *object) ACQUIRE(object->lock) NO_LOCK_ANALYSIS
{
    if (!LIKELY(object_is_alone(object)))
        lock_acquire(&object->lock);
}

static inline void object_release(struct object *object) RELEASE(object->lock) NO_LOCK_ANALYSIS
{
    if (!LIKELY(object_is_alone(object)))
        lock_release(&object->lock);
}

static inline void object_attach(struct object *object, struct region *region)
{
    object_hold(object);
    list_add_last(&object->regions, &region->object_link);
    object_release(object);
}

/* What the placed region is to show; takes over a reference. It joins the object's list next, where it can
 * be seen as it is. */
static inline void region_aim(struct region *region, struct object *object, uint64_t first_slot)
{
    region->object = object;
    region_set_first_slot(region, first_slot);
}

/* The region, which is in its object's list, shows it from here on. */
static inline void region_show(struct region *region)
{
    region_set_usable(region, region->prot);
}

static inline void object_detach(struct object *object, struct region *region)
{
    object_hold(object);
    list_remove(&region->object_link);
    object_release(object);
}

/* Gives the object a name's reference: it lives until object_drop(). Takes over the caller's. */
void object_name(struct object *object);
/* EBUSY while regions show it. */
result_t object_drop(struct object *object);
/* Gives up the name: the object lives on as long as regions show it. */
void object_unname(struct object *object);
uint64_t object_region_count(struct object *object);

/* Removes the entries that show `count` slots in every region but `region`, and flushes. O(regions of
 * the object), O(1) for an exclusive one. */
void object_unmap_slots_everywhere_but(struct object *object, uint64_t slot, uint64_t count,
                                       const struct region *region) REQUIRES(object->lock);

static inline void object_unmap_slot_elsewhere(struct object *object, uint64_t slot,
                                               const struct region *region) REQUIRES(object->lock)
{
    if (!object_is_exclusive(object))
        object_unmap_slots_everywhere_but(object, slot, 1, region);
}

static inline struct region *region_of_link(struct list_node *link)
{
    return CONTAINER_OF(link, struct region, object_link);
}

#endif
