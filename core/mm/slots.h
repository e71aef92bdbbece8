/* A sparse table of an object's slots, in leaves of 512 that several tables can share.
 *
 *   top array -> (nodes of 512 pointers ->) leaf: 512 slots -> frame
 *
 * Concepts: a leaf is a frame, found through at most four levels of pointer arrays, the top one as
 * large as the object needs. A slot is a physical address | SLOT_PRESENT | what the memory type notes in
 * SLOT_NOTES, or 0. Whoever must change a
 * slot of a shared leaf copies the leaf first.
 * Invariants: a frame's references are the leaves that hold it; a leaf's are the tables that hold it;
 * a leaf's `live` is the number of its present slots.
 * Locking: that of the object. Pointers to arrays and leaves may be followed without a lock while no array goes,
 * which is while the table neither grows nor ends. */
#ifndef CORE_MM_SLOTS_H
#define CORE_MM_SLOTS_H

#include "core/annotate.h"
#include "core/mm/frames.h"

#define LEAF_SHIFT 9
#define LEAF_SLOTS 512
#define SLOT_PRESENT 1ull
#define SLOT_NOTES 0xffeull

struct leaf {
    uint64_t slots[LEAF_SLOTS];
};

struct slot_table {
    void *top;          /* height 0: the leaf itself; else an array; NULL: nothing yet */
    uint32_t height;    /* levels of pointer arrays above the leaves */
    uint32_t top_count; /* pointers in the top array */
};

/* For slots 0..slot_count-1. Allocates nothing. */
static inline void slot_table_init(struct slot_table *table, uint64_t slot_count)
{
    uint64_t leaf_count = (slot_count + LEAF_SLOTS - 1) >> LEAF_SHIFT;
    table->top = NULL;
    table->height = leaf_count > 1;
    table->top_count = (uint32_t)leaf_count;
    if (UNLIKELY(leaf_count > LEAF_SLOTS)) {
        unsigned index_bits = 64 - (unsigned)__builtin_clzll(leaf_count - 1);
        table->height = (index_bits + LEAF_SHIFT - 1) / LEAF_SHIFT;
        table->top_count = (uint32_t)((leaf_count - 1) >> (table->height - 1) * LEAF_SHIFT) + 1;
    }
}

/* Makes room for more slots. ENOMEM: nothing changed. O(leaves). */
result_t slot_table_grow(struct slot_table *table, uint64_t slot_count);

/* The lowest array of pointers, for a leaf's index; NULL when absent. */
static inline struct leaf **slot_table_array(const struct slot_table *table, uint64_t leaf_index)
{
    if (table->height == 0)
        return (struct leaf **)&table->top;
    void **array = __atomic_load_n(&table->top, __ATOMIC_ACQUIRE);
    if (LIKELY(table->height == 1))
        return (struct leaf **)array;
    unsigned shift = (table->height - 1) * LEAF_SHIFT;
    for (; array && shift != 0; shift -= LEAF_SHIFT)
        array = __atomic_load_n(&array[leaf_index >> shift & (LEAF_SLOTS - 1)], __ATOMIC_ACQUIRE);
    return (struct leaf **)array;
}

/* The leaf of a slot, or NULL. O(height). */
static inline struct leaf *slot_table_leaf(const struct slot_table *table, uint64_t slot)
{
    uint64_t index = slot >> LEAF_SHIFT;
    struct leaf **array = slot_table_array(table, index);
    return array ? __atomic_load_n(&array[index & (LEAF_SLOTS - 1)], __ATOMIC_ACQUIRE) : NULL;
}

/* Has the slot data, as it seems without a lock? The leaf may have been replaced by a copy, and its frame serve
 * something else. */
READS_A_GUESS static inline bool slot_seems_filled(const struct leaf *leaf, uint64_t slot)
{
    return *(const volatile uint64_t *)&leaf->slots[slot % LEAF_SLOTS] != 0;
}

static inline struct frame *leaf_frame(const struct leaf *leaf)
{
    return frame_of_virt(leaf);
}

static inline phys_t slot_phys(uint64_t slot)
{
    return phys(slot & ~(SLOT_PRESENT | SLOT_NOTES));
}

static inline struct frame *slot_frame(uint64_t slot)
{
    return &frames.entries[slot >> PAGE_SHIFT];
}

/* Of a page: held by several leaves; of a leaf: held by several objects. */
static inline bool frame_is_shared(const struct frame *frame)
{
    return __atomic_load_n(&frame->references, __ATOMIC_ACQUIRE) > 1;
}

static inline bool leaf_is_shared(const struct leaf *leaf)
{
    return frame_is_shared(leaf_frame(leaf));
}

/* Is every page of the leaf this table's alone? O(slots). */
bool leaf_is_exclusive(const struct leaf *leaf);

/* The slot's leaf, made or copied so that this table owns it alone. *before is the leaf that was
 * copied, else NULL. ENOMEM: nothing changed; cannot be when the leaf exists and `reserve` (else NULL)
 * has a frame for its copy. */
result_t slot_table_own_leaf(struct slot_table *table, uint64_t slot, struct frame_reserve *reserve,
                             struct leaf **leaf, struct leaf **before);

/* Puts a page into an empty slot of an owned leaf, whose frame is `holder`. */
static inline void slot_fill(struct frame *holder, uint64_t *slot, phys_t page)
{
    __atomic_store_n(slot, page.value | SLOT_PRESENT, __ATOMIC_RELAXED);
    holder->live++;
}

/* Puts a page into an empty or present slot of an owned leaf, whose frame is `holder`. Returns what was
 * in the slot: its page's reference is the caller's to take, when no CPU shows the page there any more. */
static inline uint64_t slot_put(struct frame *holder, uint64_t *slot, phys_t page)
{
    uint64_t old = *slot;
    if (LIKELY(old == 0))
        slot_fill(holder, slot, page);
    else
        __atomic_store_n(slot, page.value | SLOT_PRESENT, __ATOMIC_RELAXED);
    return old;
}

/* Slots with data. O(leaves). */
uint64_t slot_table_resident(const struct slot_table *table);
/* Makes `copy` (uninitialised) share all leaves; *resident slots of them have data. ENOMEM: nothing
 * changed. O(leaves). */
result_t slot_table_share(const struct slot_table *table, struct slot_table *copy,
                          uint64_t *resident);

/* Drops a range: leaves as a whole, slots of owned leaves in part. The pages that this freed and what
 * the table held before are added to *freed and *dropped. Partly covered leaves must be owned. */
void slot_table_drop(struct slot_table *table, uint64_t first_slot, uint64_t slot_count,
                     struct frame_batch *batch, uint64_t *freed, uint64_t *dropped);
/* Drops everything, arrays included. *freed: the pages that this freed; *dropped: slots that had data. */
void slot_table_fini(struct slot_table *table, struct frame_batch *batch, uint64_t *freed,
                     uint64_t *dropped);

/* Steps over the lowest arrays: *leaf_index is the first leaf wanted; returns the next array that
 * exists, with the index of its first wanted leaf in *leaf_index and the number of leaves from there in *count;
 * NULL at the end. */
struct leaf **slot_table_next_array(const struct slot_table *table, uint64_t *leaf_index,
                                    uint64_t *count);

/* Calls visit for every pointer array (nodes and top), for the audit. */
void slot_table_visit_arrays(const struct slot_table *table,
                             void (*visit)(void *context, void *array, bool in_heap),
                             void *context);

#endif
