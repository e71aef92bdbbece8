/* The window in which this CPU may write the kernel's own objects.
 *
 * Concepts: at check level 2 the pages of the kernel heap are mapped read-only, so that a stray write
 * faults where it happens. In a window this CPU does not mind; nothing is flushed. Windows nest, and
 * most of them open by themselves:
 *   - while a lock that guards objects is held, or the heap's (lock.c);
 *   - from the allocation of an object on, while it is being made: until the CPU releases the last of
 *     such locks, which is how an object becomes known, or frees an object, which is how making fails
 *     (heap.c).
 * What writes objects and does neither takes a window of its own. Below level 2 nothing is called.
 * Invariants: no user's code, and no access on behalf of a scenario, runs in a window. */
#ifndef CORE_WRITE_WINDOW_H
#define CORE_WRITE_WINDOW_H

#include "core/check.h"
#include "core/types.h"

/* The halves that check level 2 needs. */
void write_window_open(void);
void write_window_close(void);

/* Check level 2: an object was allocated; what has been allocated is made, or freed. */
void write_window_making(void);
void write_window_made(void);

/* Check level 2: panics when this CPU is in a window. */
void write_window_check_closed(void);

static inline void object_write_begin(void)
{
    if (UNLIKELY(check_level >= 2))
        write_window_open();
}

static inline void object_write_end(void)
{
    if (UNLIKELY(check_level >= 2))
        write_window_close();
}

#endif
