/* Tables of slots. See slots.h. */
#include "core/mm/slots.h"

#include "core/check.h"
#include "core/mm/heap.h"
#include "core/text.h"

#define FANOUT 512ull
#define HEIGHT_MAX 3

void slot_table_init_deep(struct slot_table *table, uint64_t leaf_count)
{
    while (leaf_count > FANOUT) {
        leaf_count = (leaf_count + FANOUT - 1) / FANOUT;
        table->height++;
    }
    table->top_count = (uint32_t)leaf_count;
}

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
            *place = depth == 0 ? top_create(table) : node_create();
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

struct leaf **slot_table_next_array(const struct slot_table *table, uint64_t *leaf_index,
                                    uint64_t *count)
{
    if (table->height <= 1) {
        if (!table->top || *leaf_index >= table->top_count)
            return NULL;
        *count = table->top_count - *leaf_index;
        return table->height == 0 ? (struct leaf **)&table->top : table->top;
    }
    uint64_t per_top = 1ull << ((table->height - 1) * LEAF_SHIFT);
    while (table->top && *leaf_index / per_top < table->top_count) {
        uint64_t span = FANOUT;
        struct leaf **array = slot_table_array(table, *leaf_index);
        if (array) {
            *count = FANOUT - (*leaf_index & (FANOUT - 1));
            return array;
        }
        if (!((void **)table->top)[*leaf_index / per_top])
            span = per_top;
        *leaf_index = (*leaf_index & ~(span - 1)) + span;
    }
    return NULL;
}

static void free_inner_nodes(struct slot_table *table)
{
    void **top = table->top;
    for (uint32_t i = 0; table->height >= 2 && i < table->top_count; i++) {
        void **node = top[i];
        for (unsigned j = 0; node && table->height == 3 && j < FANOUT; j++) {
            if (node[j])
                frames_give(machine_virt_to_phys(node[j]));
        }
        if (node)
            frames_give(machine_virt_to_phys(node));
    }
}

static void free_arrays(struct slot_table *table)
{
    if (table->top)
        free_inner_nodes(table);
    top_destroy(table);
    table->top = NULL;
}

void slot_table_visit_arrays(const struct slot_table *table,
                             void (*visit)(void *context, void *array, bool in_heap), void *context)
{
    if (!table->top || table->height == 0)
        return;
    visit(context, table->top, top_is_in_heap(table));
    void **top = table->top;
    for (uint32_t i = 0; table->height >= 2 && i < table->top_count; i++) {
        void **node = top[i];
        for (unsigned j = 0; node && table->height == 3 && j < FANOUT; j++) {
            if (node[j])
                visit(context, node[j], false);
        }
        if (node)
            visit(context, node, false);
    }
}

result_t slot_table_grow(struct slot_table *table, uint64_t slot_count)
{
    struct slot_table wider;
    slot_table_init(&wider, slot_count);
    wider.resident = table->resident;
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

bool leaf_is_exclusive(const struct leaf *leaf)
{
    if (leaf_is_shared(leaf))
        return false;
    /* An empty slot leads to frame 0, which is reserved and has one reference. */
    for (unsigned i = 0; i < LEAF_SLOTS; i += 4) {
        const uint64_t *slots = &leaf->slots[i];
        if (UNLIKELY(
                slot_frame(slots[0])->references != 1 || slot_frame(slots[1])->references != 1 ||
                slot_frame(slots[2])->references != 1 || slot_frame(slots[3])->references != 1))
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
    for (unsigned i = 0; i < LEAF_SLOTS; i++) {
        uint64_t slot = leaf->slots[i];
        if (slot == 0)
            continue;
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
    array[index & (LEAF_SLOTS - 1)] = new;
    *leaf = new;
    *before = old;
    return OK;
}

/* --- whole tables ---------------------------------------------------------------------------------------------- */

static void share_leaves(struct leaf **to, struct leaf *const *from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct leaf *leaf = from[i];
        to[i] = leaf;
        if (leaf)
            __atomic_fetch_add(&leaf_frame(leaf)->references, 1, __ATOMIC_RELAXED);
    }
}

result_t slot_table_share(const struct slot_table *table, struct slot_table *copy)
{
    *copy = *table;
    copy->top = NULL;
    uint64_t index = 0;
    uint64_t count;
    while (slot_table_next_array(table, &index, &count)) {
        if (!array_make(copy, index)) {
            free_arrays(copy);
            return ENOMEM;
        }
        index += count;
    }

    struct leaf **from;
    for (index = 0; (from = slot_table_next_array(table, &index, &count)) != NULL; index += count)
        share_leaves(slot_table_array(copy, index), from, count);
    return OK;
}

static uint64_t drop_slots(struct slot_table *table, struct leaf *leaf, unsigned first,
                           unsigned last, struct frame_batch *batch)
{
    uint64_t freed = 0;
    for (unsigned i = first; i < last; i++) {
        uint64_t slot = leaf->slots[i];
        if (slot == 0)
            continue;
        leaf->slots[i] = 0;
        leaf_frame(leaf)->live--;
        table->resident--;
        struct frame *page = slot_frame(slot);
        if (__atomic_fetch_sub(&page->references, 1, __ATOMIC_ACQ_REL) == 1) {
            frame_batch_add(batch, page);
            freed++;
        }
    }
    return freed;
}

static bool covers_leaf(uint64_t first_slot, uint64_t end_slot, uint64_t leaf_index)
{
    return first_slot <= leaf_index << LEAF_SHIFT && end_slot >= (leaf_index + 1) << LEAF_SHIFT;
}

void slot_table_drop(struct slot_table *table, uint64_t first_slot, uint64_t slot_count,
                     struct frame_batch *batch, uint64_t *freed, uint64_t *dropped)
{
    uint64_t end_slot = first_slot + slot_count;
    uint64_t before = table->resident;
    uint64_t index = first_slot >> LEAF_SHIFT;
    uint64_t count;
    struct leaf **array;
    while ((array = slot_table_next_array(table, &index, &count)) != NULL &&
           index << LEAF_SHIFT < end_slot) {
        struct leaf **leaf = &array[index & (LEAF_SLOTS - 1)];
        if (*leaf && covers_leaf(first_slot, end_slot, index)) {
            table->resident -= leaf_frame(*leaf)->live;
            *freed += leaf_put(*leaf, batch);
            *leaf = NULL;
        } else if (*leaf) {
            uint64_t low = index << LEAF_SHIFT;
            unsigned first = first_slot > low ? (unsigned)(first_slot - low) : 0;
            unsigned last = end_slot - low < LEAF_SLOTS ? (unsigned)(end_slot - low) : LEAF_SLOTS;
            *freed += drop_slots(table, *leaf, first, last, batch);
            if (leaf_frame(*leaf)->live == 0) {
                (void)leaf_put(*leaf, batch);
                *leaf = NULL;
            }
        }
        index++;
    }
    *dropped += before - table->resident;
}

uint64_t slot_table_fini(struct slot_table *table, struct frame_batch *batch)
{
    uint64_t freed = 0;
    uint64_t index = 0;
    uint64_t count;
    struct leaf **array;
    while ((array = slot_table_next_array(table, &index, &count)) != NULL) {
        struct leaf **leaf = &array[index & (LEAF_SLOTS - 1)];
        for (uint64_t i = 0; i < count; i++) {
            if (leaf[i])
                freed += leaf_put(leaf[i], batch);
        }
        index += count;
    }
    free_arrays(table);
    table->resident = 0;
    return freed;
}
