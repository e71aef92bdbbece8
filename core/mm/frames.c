/* Frame allocator: bitmap with summary levels, per-CPU caches, promises. See frames.h. */
#include "core/mm/frames.h"

#include "core/check.h"
#include "core/mm/frames_promised.h"
#include "core/mm/inject.h"
#include "core/mm/mm_cpu.h"
#include "core/wait.h"

struct frames frames;
struct frames_inject frames_inject;

struct mm_cpu mm_cpus[CPU_MAX];

const char *frame_kind_name(enum frame_kind kind)
{
    static const char *const names[FRAME_KIND_COUNT] = {
        "no RAM", "reserved", "free", "core image", "squeezed", "harness", "zero page",
        "kernel", "table",    "data", "leaf",       "node",     "heap",
    };
    return kind < FRAME_KIND_COUNT ? names[kind] : "?";
}

static void count(enum counter counter, int64_t change)
{
    machine_cpu()->counters[counter] += (uint64_t)change;
}

/* --- bitmap ------------------------------------------------------------------------------------------ */

/* Sets bits of one word, and above it what must say that the word is not empty. */
static void bitmap_set(uint64_t word, uint64_t mask) REQUIRES(frames.lock)
{
    for (unsigned level = 0; level < frames.levels; level++) {
        uint64_t before = frames.level[level][word];
        frames.level[level][word] = before | mask;
        if (before != 0)
            return;
        mask = 1ull << (word & 63);
        word >>= 6;
    }
}

static void bitmap_clear(uint64_t word, uint64_t mask) REQUIRES(frames.lock)
{
    for (unsigned level = 0; level < frames.levels; level++) {
        uint64_t after = frames.level[level][word] & ~mask;
        frames.level[level][word] = after;
        if (after != 0)
            return;
        mask = 1ull << (word & 63);
        word >>= 6;
    }
}

static unsigned highest_bit(uint64_t value)
{
    return 63u - (unsigned)__builtin_clzll(value);
}

/* The highest word that has a free frame. There is one. */
static uint64_t bitmap_highest_word(void) REQUIRES(frames.lock)
{
    uint64_t word = 0;
    for (unsigned level = frames.levels; level-- > 1;)
        word = word << 6 | highest_bit(frames.level[level][word]);
    return word;
}

bool frames_is_free(uint64_t number)
{
    return (frames.level[0][number >> 6] >> (number & 63)) & 1;
}

/* --- single frames ------------------------------------------------------------------------------------ */

bool frames_inject_strikes(void)
{
    uint64_t *countdown = &frames_inject.countdown;
    uint64_t left = __atomic_load_n(countdown, __ATOMIC_RELAXED);
    uint64_t next;
    if (machine_cpu()->mm->inject_suspended)
        return false;
    do {
        if (left == 0)
            return false; /* another CPU's allocation was the last of them */
        next = left > 1 ? left - 1 : frames_inject.every;
    } while (!__atomic_compare_exchange_n(countdown, &left, next, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    if (left > 1)
        return false;
    __atomic_store_n(&frames_inject.fired, true, __ATOMIC_RELAXED);
    machine_cpu()->mm->shortage = 0; /* final: nothing is reclaimed for it */
    return true;
}

void frame_poison(struct frame *frame, const void *site)
{
    frame->site = (uint32_t)(uintptr_t)site;
    uint64_t *words = machine_phys_to_virt(frame_phys(frame));
    for (uint64_t i = 0; i < PAGE_SIZE / sizeof(uint64_t); i++)
        words[i] = FRAME_POISON;
    frame->flags = FRAME_POISONED;
}

static void check_poison(const struct frame *frame)
{
    const uint64_t *words = machine_phys_to_virt(frame_phys(frame));
    for (uint64_t i = 0; i < PAGE_SIZE / sizeof(uint64_t); i++) {
        if (words[i] != FRAME_POISON)
            panic("free frame 0x%lx was written to: offset 0x%lx holds 0x%lx; "
                  "it was freed at ...%08x",
                  (unsigned long)frame_phys(frame).value, (unsigned long)i * 8,
                  (unsigned long)words[i], frame->site);
    }
}

void frame_hand_out_checked(struct frame *frame, const void *site)
{
    if (frame->flags == FRAME_POISONED)
        check_poison(frame);
    frame->site = (uint32_t)(uintptr_t)site;
}

/* Moves claimed frames into the bitmap, down to `keep`. */
static void cache_spill(struct frame_cache *cache, uint32_t claimed, uint32_t keep)
    REQUIRES(frames.lock)
{
    while (claimed > keep) {
        uint32_t number = cache->numbers[--claimed];
        DEBUG_ASSERT(frames.entries[number].kind == FRAME_FREE);
        bitmap_set(number >> 6, 1ull << (number & 63));
    }
}

static void drain_caches_locked(void) REQUIRES(frames.lock)
{
    for (unsigned cpu = 0; cpu < mm_cpu_count(); cpu++) {
        if (__atomic_load_n(&mm_cpus[cpu].cache.count, __ATOMIC_RELAXED) != 0)
            cache_spill(&mm_cpus[cpu].cache, frame_cache_claim(&mm_cpus[cpu].cache), 0);
    }
}

void frames_drain_caches(void)
{
    lock_acquire(&frames.lock);
    drain_caches_locked();
    lock_release(&frames.lock);
}

/* Puts a word's free frames into a cache that is ours and empty, ascending, so that the highest is
 * taken first. */
static uint32_t cache_fill(struct frame_cache *cache, uint64_t word, uint64_t mask)
{
    uint32_t first = (uint32_t)(word << 6);
    uint32_t filled = 0;
    if (mask == UINT64_MAX) {
        for (; filled < 64; filled += 4) {
            cache->numbers[filled] = first + filled;
            cache->numbers[filled + 1] = first + filled + 1;
            cache->numbers[filled + 2] = first + filled + 2;
            cache->numbers[filled + 3] = first + filled + 3;
        }
        return filled;
    }
    for (; mask != 0; mask &= mask - 1)
        cache->numbers[filled++] = first | (unsigned)__builtin_ctzll(mask);
    return filled;
}

/* Our cache is empty, or being emptied. By count there is a free frame: in the bitmap, in another CPU's
 * cache, or on its way there: of two CPUs that copy the same page one takes a promise that is not its own,
 * for the moment until the page itself is given back. The loop ends with that moment: until then that CPU
 * waits for nothing but answers to a flush, which we give, and our turns at the lock. Returns how many
 * are claimed now. */
__attribute__((noinline)) static uint32_t cache_refill(struct frame_cache *cache)
{
    lock_acquire(&frames.lock);
    while (frames.level[frames.levels - 1][0] == 0) {
        drain_caches_locked();
        if (frames.level[frames.levels - 1][0] != 0)
            break;
        lock_release(&frames.lock);
        wait_turn();
        lock_acquire(&frames.lock);
    }
    uint64_t word = bitmap_highest_word();
    uint64_t mask = frames.level[0][word];
    bitmap_clear(word, mask);
    uint32_t filled = cache_fill(cache, word, mask);
    lock_release(&frames.lock);
    return filled;
}

/* Takes a frame that counts have made sure of. */
__attribute__((always_inline)) static inline phys_t take_counted(enum frame_kind kind,
                                                                 uint8_t flags)
{
    struct cpu *cpu = machine_cpu();
    struct frame_cache *cache = &cpu->mm->cache;
    uint32_t claimed = frame_cache_claim(cache);
    if (UNLIKELY(claimed == 0))
        claimed = cache_refill(cache);
    return frame_cache_take(cpu, claimed, kind, flags);
}

/* Puts a frame that is free again on top of a cache that is ours. */
static inline void cache_give(struct frame_cache *cache, uint32_t claimed, phys_t at)
{
    cache->numbers[claimed] = (uint32_t)(at.value >> PAGE_SHIFT);
    frame_cache_release(cache, claimed + 1);
    __atomic_fetch_add(&frames.unpromised, 1, __ATOMIC_RELAXED);
}

/* The cache is full, empty or being emptied: makes room, and keeps what is left to us. */
__attribute__((noinline)) static void cache_give_slowly(struct frame_cache *cache, uint32_t claimed,
                                                        phys_t at)
{
    lock_acquire(&frames.lock);
    if (claimed == FRAME_CACHE_MAX) {
        cache_spill(cache, claimed, FRAME_CACHE_MAX / 2);
        claimed = FRAME_CACHE_MAX / 2;
    }
    lock_release(&frames.lock);
    cache_give(cache, claimed, at);
}

__attribute__((always_inline)) static inline result_t take(enum frame_kind kind, phys_t *frame)
{
    if (UNLIKELY(__atomic_fetch_sub(&frames.unpromised, 1, __ATOMIC_RELAXED) <= 0)) {
        __atomic_fetch_add(&frames.unpromised, 1, __ATOMIC_RELAXED);
        machine_cpu()->mm->shortage = 1;
        return ENOMEM;
    }
    *frame = take_counted(kind, 0);
    return OK;
}

result_t frames_take_uninjected(enum frame_kind kind, phys_t *frame)
{
    return take(kind, frame);
}

__attribute__((noinline)) static result_t take_slowly(enum frame_kind kind, phys_t *frame,
                                                      const void *site)
{
    if (injected_failure() || take(kind, frame) != OK)
        return ENOMEM;
    frame_of(*frame)->site = (uint32_t)(uintptr_t)site;
    return OK;
}

/* The usual case calls nothing: a frame is at hand, promised to nobody and not to be checked. */
result_t frames_take(enum frame_kind kind, phys_t *frame)
{
    struct cpu *cpu = machine_cpu();
    struct frame_cache *cache = &cpu->mm->cache;
    if (UNLIKELY(__atomic_load_n(&frames_inject.countdown, __ATOMIC_RELAXED) != 0))
        return take_slowly(kind, frame, __builtin_return_address(0));
    uint32_t claimed = frame_cache_claim(cache);
    if (UNLIKELY(claimed == 0))
        return take_slowly(kind, frame, __builtin_return_address(0));
    uint64_t number = cache->numbers[claimed - 1];
    struct frame *entry = &frames.entries[number];
    int64_t there = __atomic_fetch_sub(&frames.unpromised, 1, __ATOMIC_RELAXED);
    if (UNLIKELY(there <= 0 || entry->flags != 0)) {
        __atomic_fetch_add(&frames.unpromised, 1, __ATOMIC_RELAXED);
        frame_cache_release(cache, claimed);
        return take_slowly(kind, frame, __builtin_return_address(0));
    }

    frame_cache_release(cache, claimed - 1);
    frame_begin(entry, kind, 0);
    cpu->counters[COUNTER_PAGE_ALLOC]++;
    *frame = phys(number << PAGE_SHIFT);
    return OK;
}

result_t frames_take_promised_slowly(phys_t *frame)
{
    if (injected_failure())
        return ENOMEM;
    *frame = take_counted(FRAME_DATA, FRAME_COMMITTED);
    count(COUNTER_COMMIT_USED, 1);
    return OK;
}

static inline void give(struct cpu *cpu, phys_t at)
{
    struct frame_cache *cache = &cpu->mm->cache;
    cpu->counters[COUNTER_PAGE_FREE]++;
    uint32_t claimed = frame_cache_claim(cache);
    if (UNLIKELY(claimed - 1 >= FRAME_CACHE_MAX - 1)) /* 0 or FRAME_CACHE_MAX */
        cache_give_slowly(cache, claimed, at);
    else
        cache_give(cache, claimed, at);
}

/* The frame is free from here on, and its promise is kept. */
static inline void end_given(struct cpu *cpu, struct frame *frame, const void *site)
{
    DEBUG_ASSERT(frame->kind > FRAME_FREE);
    if (frame->flags & FRAME_COMMITTED) {
        cpu->counters[COUNTER_COMMIT_USED]--;
        cpu->counters[COUNTER_COMMIT_RESERVED]--;
    }
    frame_end(frame);
    if (UNLIKELY(check_level >= 2))
        frame_poison(frame, site);
}

__attribute__((noinline)) static void give_checked(struct frame *frame, const void *site)
{
    struct cpu *cpu = machine_cpu();
    end_given(cpu, frame, site);
    give(cpu, frame_phys(frame));
}

void frames_give(phys_t at)
{
    struct frame *frame = frame_of(at);
    struct cpu *cpu = machine_cpu();
    if (UNLIKELY(check_level != 0) || UNLIKELY((frame->flags & FRAME_COMMITTED) != 0)) {
        give_checked(frame, __builtin_return_address(0));
        return;
    }
    frame_end(frame);
    give(cpu, at);
}

void frames_give_apart(phys_t at)
{
    struct cpu *cpu = machine_cpu();
    uint64_t number = at.value >> PAGE_SHIFT;
    end_given(cpu, frame_of(at), __builtin_return_address(0));
    cpu->counters[COUNTER_PAGE_FREE]++;
    lock_acquire(&frames.lock);
    bitmap_set(number >> 6, 1ull << (number & 63));
    lock_release(&frames.lock);
    __atomic_fetch_add(&frames.unpromised, 1, __ATOMIC_RELAXED);
}

void frames_return_promised(phys_t at)
{
    /* First, so that nobody else can have what is set aside again. */
    __atomic_fetch_sub(&frames.unpromised, 1, __ATOMIC_RELAXED);
    count(COUNTER_COMMIT_RESERVED, 1);
    frames_give(at);
}

/* Those that came from the start have nobody who could have written to them. */
__attribute__((noinline)) static void poison_word(uint64_t word, uint64_t mask, const void *site)
{
    for (; mask != 0; mask &= mask - 1) {
        struct frame *frame = &frames.entries[word << 6 | (unsigned)__builtin_ctzll(mask)];
        if (frame->flags != FRAME_FRESH)
            frame_poison(frame, site);
    }
}

void frame_batch_flush_word(struct frame_batch *batch)
{
    if (batch->mask == 0)
        return;
    uint64_t word = (batch->at - (uint64_t)frames.entries) / FRAME_WORD_BYTES;
    if (UNLIKELY(check_level >= 2))
        poison_word(word, batch->mask, __builtin_return_address(0));
    lock_acquire(&frames.lock);
    bitmap_set(word, batch->mask);
    lock_release(&frames.lock);
    batch->mask = 0;
}

void frame_batch_end(struct frame_batch *batch)
{
    frame_batch_flush_word(batch);
    if (batch->count == 0)
        return;
    count(COUNTER_PAGE_FREE, (int64_t)batch->count);
    count(COUNTER_COMMIT_USED, -(int64_t)batch->committed_count);
    count(COUNTER_COMMIT_RESERVED, -(int64_t)batch->committed_count);
    __atomic_fetch_add(&frames.unpromised, (int64_t)batch->count, __ATOMIC_RELAXED);
    frame_batch_init(batch);
}

result_t frame_reserve_add(struct frame_reserve *reserve)
{
    phys_t at;
    if (frames_take(FRAME_KERNEL, &at) != OK)
        return ENOMEM;
    frame_of(at)->slab.next = reserve->first;
    reserve->first = (uint32_t)(at.value >> PAGE_SHIFT);
    return OK;
}

phys_t frame_reserve_take(struct frame_reserve *reserve, enum frame_kind kind)
{
    ASSERT(reserve->first != 0);
    struct frame *frame = &frames.entries[reserve->first];
    reserve->first = frame->slab.next;
    frame->kind = (uint8_t)kind;
    return frame_phys(frame);
}

void frame_reserve_give_back(struct frame_reserve *reserve)
{
    while (reserve->first != 0)
        frames_give(frame_reserve_take(reserve, FRAME_KERNEL));
}

/* --- promises ------------------------------------------------------------------------------------------ */

result_t frames_promise(uint64_t page_count)
{
    int64_t wanted = (int64_t)page_count;
    if (UNLIKELY(page_count > frames.count))
        return ENOMEM;
    int64_t there = __atomic_fetch_sub(&frames.unpromised, wanted, __ATOMIC_RELAXED);
    if (UNLIKELY(there < wanted)) {
        __atomic_fetch_add(&frames.unpromised, wanted, __ATOMIC_RELAXED);
        machine_cpu()->mm->shortage = (uint64_t)(there > 0 ? wanted - there : wanted);
        return ENOMEM;
    }
    count(COUNTER_COMMIT_RESERVED, wanted);
    return OK;
}

void frames_repromise(uint64_t page_count)
{
    __atomic_fetch_sub(&frames.unpromised, (int64_t)page_count, __ATOMIC_RELAXED);
    count(COUNTER_COMMIT_RESERVED, (int64_t)page_count);
}

/* --- runs ------------------------------------------------------------------------------------------------ */

/* How many frames below and including `number` are free in a row, at most `limit`. Whole words are
 * taken at a time. */
static uint64_t free_run_down(uint64_t number, uint64_t limit) REQUIRES(frames.lock)
{
    uint64_t length = 0;
    while (length < limit) {
        uint64_t at = number - length;
        uint64_t word = frames.level[0][at >> 6];
        unsigned bit = at & 63;
        uint64_t taken = ~(word << (63 - bit));
        unsigned here = taken == 0 ? 64 : (unsigned)__builtin_clzll(taken);
        if (here > bit + 1)
            here = bit + 1;
        length += here;
        if (here < bit + 1 || at < here)
            break;
    }
    return length < limit ? length : limit;
}

/* The highest aligned run below `end`; UINT64_MAX when there is none. */
static uint64_t find_run(uint64_t page_count, uint64_t align_frames, uint64_t end)
    REQUIRES(frames.lock)
{
    while (end >= page_count) {
        uint64_t first = (end - page_count) & ~(align_frames - 1);
        uint64_t last = first + page_count - 1;
        uint64_t length = free_run_down(last, page_count);
        if (length == page_count)
            return first;
        /* What ends the run is taken: the next candidate ends there. Empty words are skipped. */
        end = last - length;
        while (end != 0 && frames.level[0][(end - 1) >> 6] == 0)
            end = (end - 1) & ~63ull;
    }
    return UINT64_MAX;
}

static void clear_run(uint64_t first, uint64_t page_count) REQUIRES(frames.lock)
{
    for (uint64_t number = first; number < first + page_count;) {
        unsigned bit = number & 63;
        uint64_t here = 64 - bit;
        if (here > first + page_count - number)
            here = first + page_count - number;
        uint64_t mask = (here == 64 ? ~0ull : (1ull << here) - 1) << bit;
        bitmap_clear(number >> 6, mask);
        number += here;
    }
}

/* UINT64_MAX: there is no such run. */
static uint64_t take_run(uint64_t page_count, uint64_t align_frames, uint64_t end)
{
    lock_acquire(&frames.lock);
    drain_caches_locked();
    uint64_t found = find_run(page_count, align_frames, end);
    if (found != UINT64_MAX)
        clear_run(found, page_count);
    lock_release(&frames.lock);
    return found;
}

result_t frames_take_run(enum frame_kind kind, uint64_t page_count, uint64_t align_frames,
                         phys_t below, phys_t *first)
{
    if (page_count == 0 || page_count > frames.count)
        return page_count == 0 ? EINVAL : ENOMEM;
    if (injected_failure())
        return ENOMEM;
    int64_t wanted = (int64_t)page_count;
    int64_t there = __atomic_fetch_sub(&frames.unpromised, wanted, __ATOMIC_RELAXED);
    if (there < wanted) {
        __atomic_fetch_add(&frames.unpromised, wanted, __ATOMIC_RELAXED);
        machine_cpu()->mm->shortage = (uint64_t)(there > 0 ? wanted - there : wanted);
        return ENOMEM;
    }
    uint64_t end = below.value == 0 ? frames.count : below.value >> PAGE_SHIFT;
    if (end > frames.count)
        end = frames.count;
    uint64_t found = take_run(page_count, align_frames, end);
    if (found == UINT64_MAX) {
        __atomic_fetch_add(&frames.unpromised, wanted, __ATOMIC_RELAXED);
        return ENOMEM;
    }

    for (uint64_t i = 0; i < page_count; i++)
        frame_hand_out(&frames.entries[found + i], kind, 0);
    count(COUNTER_PAGE_ALLOC, wanted);
    *first = phys(found << PAGE_SHIFT);
    return OK;
}

result_t frames_take_large(enum frame_source source, phys_t *first)
{
    int64_t wanted = source == FRAMES_PROMISED ? 0 : LARGE_PAGE_FRAMES;
    uint8_t flags = source == FRAMES_PROMISED ? FRAME_COMMITTED : 0;
    uint64_t found = UINT64_MAX;
    if (injected_failure())
        return ENOMEM;
    if (__atomic_fetch_sub(&frames.unpromised, wanted, __ATOMIC_RELAXED) >=
        wanted + LARGE_PAGE_SLACK)
        found = take_run(LARGE_PAGE_FRAMES, LARGE_PAGE_FRAMES, frames.count);
    if (found == UINT64_MAX) {
        __atomic_fetch_add(&frames.unpromised, wanted, __ATOMIC_RELAXED);
        return EAGAIN;
    }

    for (unsigned i = 0; i < LARGE_PAGE_FRAMES; i++)
        frame_hand_out(&frames.entries[found + i], FRAME_DATA, flags);
    count(COUNTER_PAGE_ALLOC, LARGE_PAGE_FRAMES);
    count(COUNTER_COMMIT_USED, LARGE_PAGE_FRAMES - wanted);
    *first = phys(found << PAGE_SHIFT);
    return OK;
}

void frames_return_large(enum frame_source source, phys_t first)
{
    /* First, as in frames_return_promised(). */
    if (source == FRAMES_PROMISED)
        frames_repromise(LARGE_PAGE_FRAMES);
    frames_give_run(first, LARGE_PAGE_FRAMES);
}

void frames_give_run(phys_t first, uint64_t page_count)
{
    struct frame_batch batch;
    frame_batch_init(&batch);
    for (uint64_t i = 0; i < page_count; i++)
        frame_batch_add(&batch, frame_of(first) + i);
    frame_batch_end(&batch);
}
