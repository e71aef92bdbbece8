/* Taking a promised frame, inline: half of what a write fault does besides clearing a page.
 *
 * Locking: a CPU's cache is its own while its count is claimed (mm_cpu.h). */
#ifndef CORE_MM_FRAMES_PROMISED_H
#define CORE_MM_FRAMES_PROMISED_H

#include "core/mm/frames.h"
#include "core/mm/inject.h"
#include "core/mm/mm_cpu.h"

/* Check level 2: a frame is taken at `site`. */
void frame_hand_out_checked(struct frame *frame, const void *site);

__attribute__((always_inline)) static inline void frame_begin(struct frame *frame,
                                                              enum frame_kind kind, uint8_t flags)
{
    frame->references = 1;
    frame->kind = (uint8_t)kind;
    frame->flags = flags;
    frame->live = 0;
    frame->shows = NULL;
}

__attribute__((always_inline)) static inline void
frame_hand_out(struct frame *frame, enum frame_kind kind, uint8_t flags)
{
    if (UNLIKELY(frame->flags != 0))
        frame_hand_out_checked(frame, __builtin_return_address(0));
    frame_begin(frame, kind, flags);
}

/* Owns the numbers until count is stored; 0: there are none, or another CPU owns them. */
static inline uint32_t frame_cache_claim(struct frame_cache *cache)
{
    return __atomic_exchange_n(&cache->count, 0, __ATOMIC_ACQUIRE);
}

static inline void frame_cache_release(struct frame_cache *cache, uint32_t count_now)
{
    __atomic_store_n(&cache->count, count_now, __ATOMIC_RELEASE);
}

/* Takes the last of `claimed` frames, and ends the claim. */
__attribute__((always_inline)) static inline phys_t
frame_cache_take(struct cpu *cpu, uint32_t claimed, enum frame_kind kind, uint8_t flags)
{
    struct frame_cache *cache = &cpu->mm->cache;
    uint64_t number = cache->numbers[claimed - 1];
    frame_cache_release(cache, claimed - 1);
    frame_hand_out(&frames.entries[number], kind, flags);
    cpu->counters[COUNTER_PAGE_ALLOC]++;
    return phys(number << PAGE_SHIFT);
}

/* With an empty cache, or when an allocation is to fail. */
result_t frames_take_promised_slowly(phys_t *frame);

/* Takes one from a promise, whose count the caller keeps. ENOMEM only when injected. */
__attribute__((always_inline)) static inline result_t frames_take_promised(phys_t *frame)
{
    struct cpu *cpu = machine_cpu();
    if (UNLIKELY(frames_inject.countdown != 0))
        return frames_take_promised_slowly(frame);
    uint32_t claimed = frame_cache_claim(&cpu->mm->cache);
    if (UNLIKELY(claimed == 0))
        return frames_take_promised_slowly(frame);
    *frame = frame_cache_take(cpu, claimed, FRAME_DATA, FRAME_COMMITTED);
    cpu->counters[COUNTER_COMMIT_USED]++;
    return OK;
}

#endif
