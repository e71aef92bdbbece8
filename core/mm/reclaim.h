/* Winning memory back: what may go when frames run out, in which order, and trying again.
 *
 * Concepts: objects that have something to give stand in one of two lists, the oldest first. Frames are
 * asked of them in stages: volatile memory is purged whole; clean pages that were not accessed lately are
 * dropped; dirty ones are written back. A stage is entered only when those before it did not win enough.
 * An operation that fails for want of frames has changed nothing: it drops its locks, reclaims, and
 * starts again, at most RECLAIM_TRIES times. What `inject` made fail is final.
 * Locking: reclaiming holds no lock but those of one object and below; callers hold none. The lists have
 * a lock of rank `reclaim`, below objects. */
#ifndef CORE_MM_RECLAIM_H
#define CORE_MM_RECLAIM_H

#include "core/machine.h"
#include "core/mm/mm_cpu.h"
#include "core/result.h"

struct object;

enum reclaim_stage { RECLAIM_VOLATILE, RECLAIM_CLEAN, RECLAIM_DIRTY, RECLAIM_STAGES };
enum reclaim_list { RECLAIM_LIST_VOLATILE, RECLAIM_LIST_CACHES, RECLAIM_LISTS };

#define RECLAIM_TRIES 8
/* A stage that wins pages one by one wins at least so many, so that the next shortage is not at once. */
#define RECLAIM_BATCH 32

void reclaim_init(void);
/* The object has something to give from here on; it is asked after all others of the list. The caller
 * may hold the object's lock. */
void reclaim_enlist(struct object *object, enum reclaim_list list);
void reclaim_delist(struct object *object);

/* Makes `wanted` frames free and unpromised if it can. Returns how many it won; volatile objects are
 * purged as a whole, so that may be more. O(frames won), plus O(objects listed). */
uint64_t reclaim_pages(uint64_t wanted);

bool reclaim_for_retry(unsigned *tries);

/* Before an operation that may be tried again. Returns the tries it has had. */
static inline unsigned reclaim_begin(void)
{
    machine_cpu()->mm->shortage = 0;
    return 0;
}

/* After it: true when frames were short and some have been won. */
static inline bool reclaim_retry(result_t result, unsigned *tries)
{
    return UNLIKELY(result == ENOMEM) && reclaim_for_retry(tries);
}

#endif
