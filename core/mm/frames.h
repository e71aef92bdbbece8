/* The frame database and the frame allocator.
 *
 * Concepts: every 4 KiB page of RAM has a 32-byte entry. Free frames are bits of a bitmap with summary
 * levels above (a bit is set when the word below has a set bit): taking the highest free frame is one
 * descent, any run of free frames can be found, nothing is ever coalesced, and address limits are just
 * an upper end. Each CPU keeps a few free frames at hand.
 * A promise sets frames aside without choosing them: free == unpromised + promised, so that taking a
 * promised frame finds one. The levels `commit.reserved` (promised + used) and `commit.used` (frames
 * taken from a promise and still in use) are counters.
 * Invariants: an entry's kind says its one use; references counts what its kind says; a free frame
 * stands once, in the bitmap or in one CPU's cache. Frame 0 and what firmware keeps are never free.
 * Locking: the bitmap has a lock; callers may hold any lock of a lower rank. */
#ifndef CORE_MM_FRAMES_H
#define CORE_MM_FRAMES_H

#include "core/boot_info.h"
#include "core/check.h"
#include "core/lock.h"
#include "core/machine.h"
#include "core/result.h"

enum frame_kind {
    FRAME_NO_RAM,   /* a hole, a device */
    FRAME_RESERVED, /* RAM that firmware keeps, or that cannot be used */
    FRAME_FREE,
    FRAME_CORE,     /* the core's image, boot data, the frame database */
    FRAME_SQUEEZED, /* kept from scenarios by `squeeze` */
    FRAME_HARNESS,  /* scripts, samples, the harness window */
    FRAME_ZERO,     /* the shared page of zeros */
    FRAME_KERNEL,   /* kernel page tables, stacks, buffers */
    FRAME_TABLE,    /* page table of a space */
    FRAME_DATA,     /* content of an object; references: leaves that hold it */
    FRAME_LEAF, /* 512 slots of an object; references: objects that hold it; live: occupied slots */
    FRAME_NODE, /* 512 pointers to leaves or nodes, of one object */
    FRAME_HEAP, /* a slab; live: objects in use */
    FRAME_KIND_COUNT,
};

const char *frame_kind_name(enum frame_kind kind);

/* Set in a frame that was taken from a promise. */
#define FRAME_COMMITTED 1
/* Check level 2: set in a free frame that was filled with FRAME_POISON; whoever takes it looks whether
 * somebody has written to it meanwhile. */
#define FRAME_POISONED 2
/* Check level 2: set in a frame that has been free from the start. */
#define FRAME_FRESH 4
#define FRAME_POISON 0xdeadfa11edc0ffeeull

struct frame {
    uint32_t references;
    uint8_t kind;
    uint8_t flags;
    uint16_t live;
    union {
        struct {
            /* FRAME_TABLE of level 1: the leaf that all its data entries show at their own index, NULL
             * while it has had none, TABLE_MIXED when they are of several leaves. */
            const void *shows;
            uint32_t table_next; /* frame number, in a list of tables to be freed; 0: the last */
            uint32_t table_lock; /* atomic, enum table_state; page_directory.h */
        };
        struct {
            void *free;    /* first free object */
            uint32_t next; /* frame numbers; list of slabs of one class */
            uint32_t previous;
        } slab;
    };
    uint32_t audit; /* scratch of mm_audit() */
    uint32_t site;  /* check level 2: low half of the address that took or freed it last */
};
_Static_assert(sizeof(struct frame) == 32, "the database costs 32 bytes a frame");
/* The entries of the frames of one word of the bitmap; so they are aligned. */
#define FRAME_WORD_BYTES (64 * sizeof(struct frame))

/* Check level 2, when a frame becomes free, at `site`. */
void frame_poison(struct frame *frame, const void *site);

#define FRAME_LEVELS_MAX 6
/* A large page, and how many frames it must leave unpromised. */
#define LARGE_PAGE_FRAMES 512
#define LARGE_PAGE_SLACK 16

struct frames {
    struct lock lock; /* bitmap */
    struct frame *entries;
    uint64_t count; /* entries: highest RAM frame + 1 */
    uint64_t *level[FRAME_LEVELS_MAX];
    unsigned levels;    /* level[levels - 1] is a single word */
    int64_t unpromised; /* atomic: free frames promised to nobody */
    uint64_t ram_count;
    uint64_t usable_count; /* what scenarios can ever have */
};

extern struct frames frames;

static inline struct frame *frame_of(phys_t at)
{
    return &frames.entries[at.value >> PAGE_SHIFT];
}

static inline phys_t frame_phys(const struct frame *frame)
{
    return phys((uint64_t)(frame - frames.entries) << PAGE_SHIFT);
}

static inline struct frame *frame_of_virt(const void *page)
{
    return frame_of(machine_virt_to_phys(page));
}

/* Size of the database, the bitmap included; it begins at `entries`. */
uint64_t frames_database_bytes(void);

/* Builds database and bitmap inside usable memory. ENOMEM with a log line. */
result_t frames_init(const struct boot_info *boot);
/* Makes MEMORY_BOOT_TEMPORARY usable. */
void frames_release_boot_memory(const struct boot_info *boot);
/* From here on what is free is what scenarios can have. */
void frames_seal(void);

/* Takes one frame, not cleared, references 1. ENOMEM: all free frames are promised. O(1), amortised. */
result_t frames_take(enum frame_kind kind, phys_t *frame);
/* The same for what commands do not ask for themselves (slabs, the start): `inject` does not see it. */
result_t frames_take_uninjected(enum frame_kind kind, phys_t *frame);
/* Undoes frames_take_promised(), which is in frames_promised.h: the frame is set aside again. */
void frames_return_promised(phys_t frame);
/* Takes `count` frames in a row below `below` (0: anywhere), aligned to `align_frames` (a power of two), each with references 1.
 * ENOMEM when there is no such run. O(frames / 64) at worst. */
result_t frames_take_run(enum frame_kind kind, uint64_t count, uint64_t align_frames, phys_t below,
                         phys_t *first);
/* Takes the aligned run of a large page for content, from a promise whose count the caller keeps or from
 * frames promised to nobody. EAGAIN: there is none, or so few frames would be left that a fault might
 * not find its tables; single frames may do. ENOMEM only when injected. O(frames / 64) at worst. */
enum frame_source { FRAMES_UNPROMISED, FRAMES_PROMISED };
result_t frames_take_large(enum frame_source source, phys_t *first);
/* Undoes that. */
void frames_return_large(enum frame_source source, phys_t first);
/* Frees a frame whose references have come to 0 (they are set to 0 here). O(1), amortised. */
void frames_give(phys_t frame);
/* The same, but whoever takes one next does not get it: its neighbours may become free. */
void frames_give_apart(phys_t frame);
void frames_give_run(phys_t first, uint64_t count);

/* Sets frames aside: ENOMEM when fewer are unpromised. And gives back what was set aside. */
result_t frames_promise(uint64_t count);

static inline void frames_unpromise(uint64_t count)
{
    __atomic_fetch_add(&frames.unpromised, (int64_t)count, __ATOMIC_RELAXED);
    machine_cpu()->counters[COUNTER_COMMIT_RESERVED] -= count;
}
/* Takes back at once what has just become unpromised by this operation; cannot fail. */
void frames_repromise(uint64_t count);

/* Frames taken ahead, for a step that must not fail; linked through their entries. */
struct frame_reserve {
    uint32_t first; /* frame number; 0: none */
};

/* One more. ENOMEM. */
result_t frame_reserve_add(struct frame_reserve *reserve);
/* Takes one out; there must be one. Not cleared, references 1. */
phys_t frame_reserve_take(struct frame_reserve *reserve, enum frame_kind kind);
/* Gives back what was not needed. */
void frame_reserve_give_back(struct frame_reserve *reserve);

static inline void frame_reserve_end(struct frame_reserve *reserve)
{
    if (UNLIKELY(reserve->first != 0))
        frame_reserve_give_back(reserve);
}

/* Frees many frames cheaply: neighbours become one store to the bitmap. Locks only to flush. */
struct frame_batch {
    uint64_t at; /* address of an entry among the 64 whose frames are bits of mask */
    uint64_t mask;
    uint64_t count;
    uint64_t committed_count;
};

static inline void frame_batch_init(struct frame_batch *batch)
{
    *batch = (struct frame_batch){0};
}

void frame_batch_flush_word(struct frame_batch *batch);

/* Nobody has the frame any more. One store. */
static inline void frame_end(struct frame *frame)
{
    frame->references = 0;
    frame->kind = FRAME_FREE;
    frame->flags = 0;
    frame->live = 0;
}

/* Adds a frame whose last reference is gone. Its content is nobody's business any more: at check level 2 it
 * is poisoned with the flush, unless it is set FRAME_FRESH before. Once for each page that goes. */
static inline void frame_batch_add(struct frame_batch *batch, struct frame *frame)
{
    uint64_t at = (uint64_t)frame;
    batch->committed_count += frame->flags; /* FRAME_COMMITTED is 1 */
    batch->count++;
    frame_end(frame);
    if (UNLIKELY((at ^ batch->at) >= FRAME_WORD_BYTES)) {
        frame_batch_flush_word(batch);
        batch->at = at;
    }
    batch->mask |= 1ull << (at / sizeof(struct frame) % 64);
}

/* Ends the batch: counters, promises, bitmap. */
void frame_batch_end(struct frame_batch *batch);

/* Free and promised to nobody. */
static inline uint64_t frames_unpromised(void)
{
    return (uint64_t)__atomic_load_n(&frames.unpromised, __ATOMIC_RELAXED);
}

/* Empties all CPUs' caches into the bitmap, so that runs can be found and audits see one place. */
void frames_drain_caches(void);
bool frames_is_free(uint64_t number);

#endif
