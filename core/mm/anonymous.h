/* Anonymous memory: zero until written, copied on write after a fork.
 *
 * Concepts: after a fork both sides share the leaves of their slot tables; the last owner of a page
 * (leaf and frame have one reference each) writes without copying.
 * Promises: a committed object is promised a frame for each live page without data. Copies are promised
 * for the whole machine: (slots with data of all objects) - (distinct data frames), in whatever order
 * forks and deaths come: a fork adds its slots, a copy takes one, a death returns what it held less what
 * it freed. So there is no pool to share, to pin or to leak.
 * Locking: the object's lock; but of an object that is alone (object.h) each leaf is shown by one page table,
 * and that table's lock guards it against other faults. Operations keep faults off what they change. */
#ifndef CORE_MM_ANONYMOUS_H
#define CORE_MM_ANONYMOUS_H

#include "core/mm/object.h"
#include "core/mm/slots.h"

struct anonymous {
    struct object object;
    struct slot_table table;
    uint64_t live_pages; /* pages that can still be reached */
    bool committed;      /* promised a frame for every live page */
    bool forked;         /* has had a fork, or is one */
    bool purgeable;      /* may become volatile; immutable */
    bool is_volatile;    /* content may go; nothing is promised */
    bool purged;         /* while volatile: content has gone */
    bool commits_again;  /* while volatile: `committed` as it was */
};

enum commit { COMMIT_OFF, COMMIT_ON };

/* References 1. ENOMEM: no memory, or fewer frames unpromised than pages to commit. O(1). */
result_t anonymous_create(uint64_t page_count, enum commit commit, struct object **object);
/* The same for whoever can wait until memory is won back. purgeable: it may become volatile. */
result_t anonymous_create_named(uint64_t page_count, enum commit commit, bool purgeable,
                                struct object **object);

/* purgeable.c: the operations of volatile memory. */
result_t anonymous_set_volatile(struct object *object, bool to_volatile, bool *purged);
uint64_t anonymous_reclaim(struct object *object, enum reclaim_stage stage, uint64_t wanted);
/* Makes a fresh object the copy of a volatile one. */
void anonymous_fork_volatile(const struct anonymous *parent, struct anonymous *child);
/* What an object is promised for pages that have no data yet. O(leaves). */
static inline uint64_t anonymous_promised(const struct anonymous *anonymous)
{
    return anonymous->committed ? anonymous->live_pages - slot_table_resident(&anonymous->table)
                                : 0;
}

/* --- between the files of this memory type ------------------------------------------------------------ */

/* How a page became ours alone. */
struct own {
    enum counter event; /* `resident`: it already was */
    uint64_t replaced;  /* the slot as it was before, for anonymous_put_replaced(); or 0 */
    phys_t at_hand;     /* a cleared page, taken for an empty slot and not used yet; or PHYS_NONE */
};
#define OWN_NOTHING ((struct own){COUNTER_FAULT_RESIDENT, 0, PHYS_NONE})

struct fault_result anonymous_fault(struct object *object, struct region *region, uint64_t address,
                                    unsigned access);
/* Makes the slot's leaf, which is missing or shared, ours alone; with a reserve (else NULL) it is shared. NULL: no
 * memory. */
struct leaf *anonymous_own_leaf(struct anonymous *anonymous, struct region *region, uint64_t slot,
                                struct frame_reserve *reserve) REQUIRES(anonymous->object.lock);
/* Makes the slot's page ours alone and returns its leaf; NULL: no memory. */
struct leaf *anonymous_own_page(struct anonymous *anonymous, struct region *region, uint64_t slot,
                                struct own *own) REQUIRES(anonymous->object.lock);

/* Takes the reference from the page that was in the slot, if any, when no CPU shows it any more. It was shared, and
 * its copy was promised; where all others have gone meanwhile, that promise was not ours. */
static inline void anonymous_put_replaced(uint64_t slot)
{
    if (slot == 0 || __atomic_fetch_sub(&slot_frame(slot)->references, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    frames_repromise(1);
    frames_give(slot_phys(slot));
}

/* The same for a page of a region that wants large pages: a large page that shows it is split unless the
 * page was ours alone. */
struct leaf *anonymous_own_large(struct anonymous *anonymous, struct region *region,
                                 uint64_t address, struct own *own)
    REQUIRES(anonymous->object.lock);
/* A write for which there is no table, in such a region. True: it has ended as *result says; false: a
 * small page must do. */
bool anonymous_write_large(struct anonymous *anonymous, struct region *region, uint64_t address,
                           struct fault_result *result) REQUIRES(anonymous->object.lock);

#endif
