/* A place where CPUs wait for each other.
 *
 * Concepts: the last of `count` CPUs to come releases all; then the next round begins. A barrier that
 * has been broken holds nobody any more, now or later.
 * Locking: none; no lock should be held. */
#ifndef CORE_BARRIER_H
#define CORE_BARRIER_H

#include "core/types.h"

struct barrier {
    uint32_t count;   /* CPUs that take part; immutable after barrier_init() */
    uint32_t arrived; /* in this round; atomic */
    uint32_t round;   /* atomic */
    bool broken;      /* atomic */
};

void barrier_init(struct barrier *barrier, uint32_t count);
/* Waits for the others, halted if it takes long. What they did before is seen afterwards. False: the
 * barrier has been broken. */
bool barrier_wait(struct barrier *barrier);
/* Makes all calls of barrier_wait() return false, those under way too, except for a round that was
 * complete. */
void barrier_break(struct barrier *barrier);

#endif
