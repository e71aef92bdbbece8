/* Tables of slots. See slots.h. */
#include "core/mm/slots.h"

#include "core/annotate.h"
#include "core/check.h"
#include "core/mm/heap.h"
#include "core/text.h"

#define FANOUT 512ull
#define HEIGHT_MAX 4 /* 2^36 leaves: more than five levels of page tables map */

/* --- arrays of pointers ----------------------------------------------------------------------------------- */

static bool top_is_in_heap(const struct slot_table *table)
{
    return table->top_count * sizeof(void *) <= HEAP_OBJECT_MAX;
}

static void *node_create(void)
{
    phys_t page;
    if (frames_take(FRAME_NODE, &page) != OK)
        return NULL;
    void *node = machine_phys_to_virt(page);
    machine_page_clear(node);
    return node;
}

static void *top_create(const struct slot_table *table)
{
    if (!top_is_in_heap(table))
        return node_create();
    void *top = heap_alloc(table->top_count * sizeof(void *));
    if (top)
        memset(top, 0, table->top_count * sizeof(void *));
    return top;
}

static void top_destroy(const struct slot_table *table)
{
    if (!table->top || table->height == 0)
        return;
    if (top_is_in_heap(table))
        heap_free(table->top, table->top_count * sizeof(void *));
    else
        frames_give(machine_virt_to_phys(table->top));
}

static unsigned index_at(const struct slot_table *table, uint64_t leaf_index, unsigned depth)
{
    unsigned shift = (table->height - 1 - depth) * LEAF_SHIFT;
    uint64_t index = leaf_index >> shift;
    return (unsigned)(depth == 0 ? index : index & (FANOUT - 1));
}

/* Frees what array_make() made: the pointers at these places, the lowest last. */
static void unmake_arrays(struct slot_table *table, void **made[], unsigned made_count)
{
    while (made_count-- > 0) {
        if (made[made_count] == &table->top)
            top_destroy(table);
        else
            frames_give(machine_virt_to_phys(*made[made_count]));
        *made[made_count] = NULL;
    }
}

/* The lowest array for a leaf, made with all above it. NULL: no memory, and nothing changed. */
static struct leaf **array_make(struct slot_table *table, uint64_t leaf_index)
{
    if (table->height == 0)
        return (struct leaf **)&table->top;
    void **made[HEIGHT_MAX];
    unsigned made_count = 0;
    void **place = &table->top;
    for (unsigned depth = 0;; depth++) {
        if (!*place) {
            void *new = depth == 0 ? top_create(table) : node_create();
            __atomic_store_n(place, new, __ATOMIC_RELEASE);
            made[made_count++] = place;
        }
        if (!*place) {
            unmake_arrays(table, made, made_count - 1);
            return NULL;
        }
        if (depth + 1 == table->height)
            return *place;
        place = &((void **)*place)[index_at(table, leaf_index, depth)];
    }
}

/* The array at this depth on the way to a leaf; the top has depth 0. NULL: it is absent, and with it all of the *span
 * leaves around this one that the first absent array would lead to. */
static void **array_at(const struct slot_table *table, uint64_t leaf_index, unsigned depth,
                       uint64_t *span)
{
    void **array = table->top;
    unsigned shift = table->height * LEAF_SHIFT;
    for (; array && depth > 0; depth--) {
        shift -= LEAF_SHIFT;
        array = array[leaf_index >> shift & (FANOUT - 1)];
    }
    *span = 1ull << shift;
    return array;
}

static bool is_below_end(const struct slot_table *table, uint64_t leaf_index)
{
    return leaf_index >> (table->height - 1) * LEAF_SHIFT < table->top_count;
}

struct leaf **slot_table_next_array(const struct slot_table *table, uint64_t *leaf_index,
                                    uint64_t *count)
{
    if (table->height <= 1) {
        if (!table->top || *leaf_index >= table->top_count)
            return NULL;
        *count = table->top_count - *leaf_index;
        return table->height == 0 ? (struct leaf **)&table->top : table->top;
    }
    uint64_t span;
    while (table->top && is_below_end(table, *leaf_index)) {
        void **array = array_at(table, *leaf_index, table->height - 1, &span);
        if (array) {
            *count = FANOUT - (*leaf_index & (FANOUT - 1));
            return (struct leaf **)array;
        }
        *leaf_index = (*leaf_index & ~(span - 1)) + span;
    }
    return NULL;
}

/* Calls visit for every array below the top, the lowest first. */
static void visit_nodes(const struct slot_table *table,
                        void (*visit)(void *context, void *array, bool in_heap), void *context)
{
    for (unsigned depth = table->height; table->top && depth-- > 1;) {
        uint64_t span;
        for (uint64_t index = 0; is_below_end(table, index); index = (index & ~(span - 1)) + span) {
            void **array = array_at(table, index, depth, &span);
            if (array)
                visit(context, array, false);
        }
    }
}

static void free_node(void *context, void *array, bool in_heap)
{
    (void)context;
    (void)in_heap;
    frames_give(machine_virt_to_phys(array));
}

static void free_arrays(struct slot_table *table)
{
    if (UNLIKELY(table->height > 1))
        visit_nodes(table, free_node, NULL);
    top_destroy(table);
    table->top = NULL;
}

void slot_table_visit_arrays(const struct slot_table *table,
                             void (*visit)(void *context, void *array, bool in_heap), void *context)
{
    if (!table->top || table->height == 0)
        return;
    visit_nodes(table, visit, context);
    visit(context, table->top, top_is_in_heap(table));
}

result_t slot_table_grow(struct slot_table *table, uint64_t slot_count)
{
    struct slot_table wider;
    slot_table_init(&wider, slot_count);
    uint64_t index = 0;
    uint64_t count;
    struct leaf **from;
    while ((from = slot_table_next_array(table, &index, &count)) != NULL) {
        struct leaf **to = array_make(&wider, index);
        if (!to) {
            free_arrays(&wider);
            return ENOMEM;
        }
        memcpy(to, from, count * sizeof(*from));
        index += count;
    }
    free_arrays(table);
    *table = wider;
    return OK;
}

/* --- leaves -------------------------------------------------------------------------------------------------- */

/* Of a page in a leaf that is ours alone: others may put theirs back, and then it is 1 for good. */
static inline uint32_t references_of(uint64_t slot)
{
    return PEEK(slot_frame(slot)->references);
}

bool leaf_is_exclusive(const struct leaf *leaf)
{
    if (leaf_is_shared(leaf))
        return false;
    /* An empty slot leads to frame 0, which is reserved and has one reference. */
    for (unsigned i = 0; i < LEAF_SLOTS; i += 4) {
        const uint64_t *slots = &leaf->slots[i];
        if (UNLIKELY(references_of(slots[0]) != 1 || references_of(slots[1]) != 1 ||
                     references_of(slots[2]) != 1 || references_of(slots[3]) != 1))
            return false;
    }
    return true;
}

static inline void copy_slot(uint64_t *to, uint64_t slot)
{
    *to = slot;
    if (slot != 0)
        __atomic_fetch_add(&slot_frame(slot)->references, 1, __ATOMIC_RELAXED);
}

static void leaf_copy(struct leaf *to, const struct leaf *from)
{
    for (unsigned i = 0; i < LEAF_SLOTS; i += 4) {
        copy_slot(&to->slots[i], from->slots[i]);
        copy_slot(&to->slots[i + 1], from->slots[i + 1]);
        copy_slot(&to->slots[i + 2], from->slots[i + 2]);
        copy_slot(&to->slots[i + 3], from->slots[i + 3]);
    }
    leaf_frame(to)->live = leaf_frame(from)->live;
}

/* Loses one owner. With the last the pages lose one reference each. */
static uint64_t leaf_put(struct leaf *leaf, struct frame_batch *batch)
{
    struct frame *frame = leaf_frame(leaf);
    uint64_t freed = 0;
    if (__atomic_fetch_sub(&frame->references, 1, __ATOMIC_ACQ_REL) != 1)
        return 0;
    unsigned left = frame->live;
    for (const uint64_t *slots = leaf->slots; left != 0; slots++) {
        uint64_t slot = *slots;
        if (slot == 0)
            continue;
        left--;
        struct frame *page = slot_frame(slot);
        if (LIKELY(__atomic_fetch_sub(&page->references, 1, __ATOMIC_ACQ_REL) == 1)) {
            frame_batch_add(batch, page);
            freed++;
        }
    }
    frame_batch_add(batch, frame);
    return freed;
}

result_t slot_table_own_leaf(struct slot_table *table, uint64_t slot, struct frame_reserve *reserve,
                             struct leaf **leaf, struct leaf **before)
{
    uint64_t index = slot >> LEAF_SHIFT;
    struct leaf **array = slot_table_array(table, index);
    struct leaf *old = array ? array[index & (LEAF_SLOTS - 1)] : NULL;
    *before = NULL;
    if (LIKELY(old && !leaf_is_shared(old))) {
        *leaf = old;
        return OK;
    }

    phys_t page;
    if (reserve)
        page = frame_reserve_take(reserve, FRAME_LEAF);
    else if (frames_take(FRAME_LEAF, &page) != OK)
        return ENOMEM;
    if (!array && !(array = array_make(table, index))) {
        frames_give(page);
        return ENOMEM;
    }

    struct leaf *new = machine_phys_to_virt(page);
    if (old) {
        leaf_copy(new, old);
        /* The other owners can have gone meanwhile: then this put is the last. */
        struct frame_batch batch;
        frame_batch_init(&batch);
        (void)leaf_put(old, &batch);
        frame_batch_end(&batch);
    } else {
        machine_page_clear(new);
    }
    __atomic_store_n(&array[index & (LEAF_SLOTS - 1)], new, __ATOMIC_RELEASE);
    *leaf = new;
    *before = old;
    return OK;
}

/* --- whole tables ---------------------------------------------------------------------------------------------- */

/* Returns how many slots have data. */
static uint64_t share_leaves(struct leaf **to, struct leaf *const *from, uint64_t count)
{
    uint64_t resident = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct leaf *leaf = from[i];
        to[i] = leaf;
        if (!leaf)
            continue;
        struct frame *frame = leaf_frame(leaf);
        resident += frame->live;
        __atomic_fetch_add(&frame->references, 1, __ATOMIC_RELAXED);
    }
    return resident;
}

uint64_t slot_table_resident(const struct slot_table *table)
{
    uint64_t resident = 0;
    uint64_t index = 0;
    uint64_t count;
    struct leaf **array;
    while ((array = slot_table_next_array(table, &index, &count)) != NULL) {
        struct leaf **leaf = &array[index & (LEAF_SLOTS - 1)];
        for (uint64_t i = 0; i < count; i++)
            resident += PEEK(leaf[i]) ? PEEK(leaf_frame(leaf[i])->live) : 0;
        index += count;
    }
    return resident;
}

result_t slot_table_share(const struct slot_table *table, struct slot_table *copy,
                          uint64_t *resident)
{
    *copy = *table;
    copy->top = NULL;
    uint64_t index = 0;
    uint64_t count;
    while (table->height != 0 && slot_table_next_array(table, &index, &count)) {
        if (!array_make(copy, index)) {
            free_arrays(copy);
            return ENOMEM;
        }
        index += count;
    }

    struct leaf **from;
    *resident = 0;
    for (index = 0; (from = slot_table_next_array(table, &index, &count)) != NULL; index += count)
        *resident += share_leaves(slot_table_array(copy, index), from, count);
    return OK;
}

static void drop_slots(struct leaf *leaf, unsigned first, unsigned last, struct frame_batch *batch,
                       uint64_t *freed, uint64_t *dropped)
{
    for (unsigned i = first; i < last; i++) {
        uint64_t slot = leaf->slots[i];
        if (slot == 0)
            continue;
        __atomic_store_n(&leaf->slots[i], 0, __ATOMIC_RELAXED);
        leaf_frame(leaf)->live--;
        ++*dropped;
        struct frame *page = slot_frame(slot);
        if (__atomic_fetch_sub(&page->references, 1, __ATOMIC_ACQ_REL) == 1) {
            frame_batch_add(batch, page);
            ++*freed;
        }
    }
}

static bool covers_leaf(uint64_t first_slot, uint64_t end_slot, uint64_t leaf_index)
{
    return first_slot <= leaf_index << LEAF_SHIFT && end_slot >= (leaf_index + 1) << LEAF_SHIFT;
}

void slot_table_drop(struct slot_table *table, uint64_t first_slot, uint64_t slot_count,
                     struct frame_batch *batch, uint64_t *freed, uint64_t *dropped)
{
    uint64_t end_slot = first_slot + slot_count;
    uint64_t index = first_slot >> LEAF_SHIFT;
    uint64_t count;
    struct leaf **array;
    while ((array = slot_table_next_array(table, &index, &count)) != NULL &&
           index << LEAF_SHIFT < end_slot) {
        struct leaf **leaf = &array[index & (LEAF_SLOTS - 1)];
        if (*leaf && covers_leaf(first_slot, end_slot, index)) {
            *dropped += leaf_frame(*leaf)->live;
            *freed += leaf_put(*leaf, batch);
            *leaf = NULL;
        } else if (*leaf) {
            uint64_t low = index << LEAF_SHIFT;
            unsigned first = first_slot > low ? (unsigned)(first_slot - low) : 0;
            unsigned last = end_slot - low < LEAF_SLOTS ? (unsigned)(end_slot - low) : LEAF_SLOTS;
            drop_slots(*leaf, first, last, batch, freed, dropped);
            if (leaf_frame(*leaf)->live == 0) {
                (void)leaf_put(*leaf, batch);
                *leaf = NULL;
            }
        }
        index++;
    }
}

void slot_table_fini(struct slot_table *table, struct frame_batch *batch, uint64_t *freed,
                     uint64_t *dropped)
{
    uint64_t index = 0;
    uint64_t count;
    struct leaf **array;
    while ((array = slot_table_next_array(table, &index, &count)) != NULL) {
        struct leaf **leaf = &array[index & (LEAF_SLOTS - 1)];
        for (uint64_t i = 0; i < count; i++) {
            if (!leaf[i])
                continue;
            *dropped += leaf_frame(leaf[i])->live;
            *freed += leaf_put(leaf[i], batch);
        }
        index += count;
    }
    free_arrays(table);
}
