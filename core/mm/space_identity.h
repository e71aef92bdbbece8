/* Ranges of a space that are mapped one to one, virtual address = physical address, outside its tree.
 *
 * Concepts: no region stands for such a range, and no object: nothing but the entries is there, present
 * from the beginning. What works on regions passes it over: unmap, protect, fork (the child has none).
 * Each is kept as a bare region that is in no tree but for the moments when a place is looked for.
 * Invariants: inside the window of RAM that PageLab keeps (physical.h), whose frames are nobody's; no
 * region and no other such range overlaps it; all of its pages are present. Ends with the space, or with
 * exec. */
#ifndef CORE_MM_SPACE_IDENTITY_H
#define CORE_MM_SPACE_IDENTITY_H

#include "core/mm/space.h"

/* Maps frames one to one, for user mode, to be read and written. EINVAL: empty or unaligned; ERANGE: not
 * inside the window; EEXIST: a region or another such range is there; ENOMEM. O(pages). */
result_t space_identity_map(struct space *space, phys_t at, uint64_t size_bytes);

/* Does the range meet one of them? O(identity ranges). */
bool space_identity_meets(const struct space *space, struct range range) REQUIRES(space->lock);

/* While a place is looked for, the tree holds them as taken. Neither can fail. O(identity ranges * log n). */
void space_identity_hold_slowly(struct space *space) REQUIRES(space->lock);
void space_identity_release_slowly(struct space *space) REQUIRES(space->lock);

static inline void space_identity_hold(struct space *space) REQUIRES(space->lock)
{
    if (UNLIKELY(!list_is_empty(&space->identities)))
        space_identity_hold_slowly(space);
}

static inline void space_identity_release(struct space *space) REQUIRES(space->lock)
{
    if (UNLIKELY(!list_is_empty(&space->identities)))
        space_identity_release_slowly(space);
}

/* `to`, which has none, takes over the ranges of `from`; page directories are the caller's. */
void space_identity_hand_over(struct space *to, struct space *from);
/* Forgets all ranges of a space whose page tables are gone. */
void space_identity_forget(struct space *space);

#endif
