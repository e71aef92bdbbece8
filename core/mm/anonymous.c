/* The anonymous memory type: life, access that bypasses page tables, fork, discard. Its faults are in
 * anonymous_fault.c. See anonymous.h. */
#include "core/mm/anonymous_type.h"

#include "core/check.h"
#include "core/mm/frames_promised.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/space.h"

static const struct object_ops anonymous_ops;

static struct anonymous *anonymous_of(struct object *object)
{
    return CONTAINER_OF(object, struct anonymous, object);
}

static inline struct anonymous *anonymous_alloc(uint64_t page_count, uint16_t phase)
{
    struct anonymous *anonymous = heap_alloc(sizeof *anonymous);
    if (LIKELY(anonymous != NULL))
        object_init(&anonymous->object, &anonymous_ops, page_count, phase);
    return anonymous;
}

void anonymous_set_phase(struct object *object, uint16_t phase)
{
    object->phase = phase;
    slot_table_init(&anonymous_of(object)->table, phase + object->page_count);
}

void anonymous_init(struct anonymous *anonymous, enum commit commit)
{
    anonymous->table = (struct slot_table){0}; /* sized when it is mapped */
    anonymous->live_pages = anonymous->object.page_count;
    anonymous->committed = commit == COMMIT_ON;
    anonymous->forked = false;
    anonymous->purgeable = false;
    anonymous->is_volatile = false;
}

__attribute__((always_inline)) static inline result_t
create(uint64_t page_count, enum commit commit, struct object **object)
{
    struct anonymous *anonymous = anonymous_alloc(page_count, 0);
    if (UNLIKELY(!anonymous))
        return ENOMEM;
    anonymous_init(anonymous, commit);
    *object = &anonymous->object;
    return OK;
}

__attribute__((noinline)) static result_t create_committed(uint64_t page_count,
                                                           struct object **object)
{
    if (frames_promise(page_count) != OK)
        return ENOMEM;
    result_t result = create(page_count, COMMIT_ON, object);
    if (result != OK)
        frames_unpromise(page_count);
    return result;
}

result_t anonymous_create(uint64_t page_count, enum commit commit, struct object **object)
{
    return commit == COMMIT_ON ? create_committed(page_count, object)
                               : create(page_count, COMMIT_OFF, object);
}

/* --- access that bypasses page tables ------------------------------------------------------------------------ */

static void unmap_page(struct region *region, uint64_t address)
{
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    page_directory_unmap(&region->space->directory, address, address + PAGE_SIZE, &gather);
    tlb_gather_flush(&gather, region->space);
}

void anonymous_unmap_slot(struct anonymous *anonymous, struct region *region, uint64_t address)
{
    unmap_page(region, address);
    object_unmap_slot_elsewhere(&anonymous->object, region_slot(region, address), region);
}

result_t anonymous_page_locked(struct anonymous *anonymous, struct region *region, uint64_t address,
                               enum page_use use, phys_t *page)
{
    uint64_t slot = region_slot(region, address);
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    if (use == PAGE_FOR_WRITING) {
        struct own own;
        leaf = UNLIKELY(region->large) ? anonymous_own_large(anonymous, region, address, &own)
                                       : anonymous_own_page(anonymous, region, slot, &own);
        if (!leaf)
            return ENOMEM;
        if (own.event != COUNTER_FAULT_RESIDENT)
            anonymous_unmap_slot(anonymous, region, address);
        anonymous_put_replaced(own.replaced);
    }
    uint64_t data = leaf ? leaf->slots[slot % LEAF_SLOTS] : 0;
    *page = data == 0 ? mm.zero_page : slot_phys(data);
    return OK;
}

static result_t anonymous_page(struct object *object, struct region *region, uint64_t address,
                               enum page_use use, phys_t *page)
{
    struct anonymous *anonymous = anonymous_of(object);
    object_hold(&anonymous->object);
    result_t result = anonymous_page_locked(anonymous, region, address, use, page);
    object_release(&anonymous->object);
    return result;
}

/* --- fork, discard, end ---------------------------------------------------------------------------------------- */

/* Takes write permission from every region. The gather's space is busy until it is flushed; where others
 * show the object too, each is flushed before anybody can copy a page that is still written to. */
static void write_protect_regions(struct object *object, struct tlb_gather *gather)
    REQUIRES(object->lock)
{
    for (struct list_node *link = object->regions.next; link != &object->regions;
         link = link->next) {
        struct region *region = region_of_link(link);
        struct tlb_gather other;
        tlb_gather_init(&other);
        page_directory_write_protect(&region->space->directory, region->node.base, region->node.end,
                                     object_is_exclusive(object) ? gather : &other);
        tlb_gather_flush(&other, region->space);
    }
}

result_t anonymous_fork_into(struct anonymous *parent, struct anonymous *child,
                             struct tlb_gather *gather)
{
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    /* The child's regions will lie as the parent's do. */
    child->object.company = (child->object.company & OBJECT_WATCHED) |
                            (parent->object.company & (OBJECT_SHARED | OBJECT_SCATTERED));
    child->object.placed = true;
    child->purgeable = parent->purgeable;
    child->is_volatile = false;
    child->forked = true;
    object_hold(&parent->object);
    if (UNLIKELY(parent->is_volatile)) {
        slot_table_init(&child->table, parent->object.phase + parent->object.page_count);
        anonymous_fork_volatile(parent, child);
        object_release(&parent->object);
        return OK;
    }
    uint64_t resident;
    if (slot_table_share(&parent->table, &child->table, &resident) != OK)
        goto release;
    if (frames_promise(resident) != OK)
        goto unshare;

    child->live_pages = parent->live_pages;
    child->committed = false;
    parent->forked = true;
    write_protect_regions(&parent->object, gather);
    object_release(&parent->object);
    return OK;

unshare:
    frame_batch_init(&batch);
    slot_table_fini(&child->table, &batch, &freed, &dropped);
    frame_batch_end(&batch);
release:
    object_release(&parent->object);
    return ENOMEM;
}

static result_t anonymous_fork(struct object *object, struct tlb_gather *gather,
                               struct object **copy)
{
    struct anonymous *child = anonymous_alloc(object->page_count, object->phase);
    if (!child)
        return ENOMEM;
    if (anonymous_fork_into(anonymous_of(object), child, gather) != OK) {
        heap_free(child, sizeof *child);
        return ENOMEM;
    }
    *copy = &child->object;
    return OK;
}

/* Discarding a part of a leaf changes it: a shared one must be copied first. The slots at the ends of what goes say
 * which; how many there are, 0 to 2. */
static unsigned shared_edges(const struct anonymous *anonymous, uint64_t first_slot,
                             uint64_t end_slot, uint64_t edges[2]) REQUIRES(anonymous->object.lock)
{
    unsigned count = 0;
    const struct leaf *first = NULL;
    if (first_slot % LEAF_SLOTS != 0) {
        first = slot_table_leaf(&anonymous->table, first_slot);
        if (first && leaf_is_shared(first))
            edges[count++] = first_slot;
    }
    if (end_slot % LEAF_SLOTS != 0) {
        const struct leaf *last = slot_table_leaf(&anonymous->table, end_slot - 1);
        if (last && last != first && leaf_is_shared(last))
            edges[count++] = end_slot - 1;
    }
    return count;
}

result_t anonymous_reserve_discard(struct object *object, uint64_t first_slot, uint64_t slot_count,
                                   struct frame_reserve *reserve)
{
    struct anonymous *anonymous = anonymous_of(object);
    result_t result = OK;
    uint64_t edges[2];
    if (LIKELY(!anonymous->forked))
        return OK; /* nothing is shared */
    object_hold(&anonymous->object);
    unsigned count = shared_edges(anonymous, first_slot, first_slot + slot_count, edges);
    for (; UNLIKELY(count > 0) && result == OK; count--)
        result = frame_reserve_add(reserve);
    object_release(&anonymous->object);
    return result;
}

void anonymous_prepare_discard(struct object *object, struct region *region, uint64_t base,
                               uint64_t end, struct frame_reserve *reserve)
{
    struct anonymous *anonymous = anonymous_of(object);
    uint64_t edges[2];
    object_hold(&anonymous->object);
    unsigned count =
        shared_edges(anonymous, region_slot(region, base), region_slot(region, end), edges);
    for (unsigned i = 0; i < count; i++)
        (void)anonymous_own_leaf(anonymous, region, edges[i], reserve);
    object_release(&anonymous->object);
}

/* The slots are none any more; what they had promised has gone with them, or goes now. */
static inline void lose_slots(struct anonymous *anonymous, uint64_t slot_count, uint64_t dropped,
                              uint64_t freed)
{
    /* The copies of what is still held elsewhere, and pages without data. */
    uint64_t promised = dropped - freed + (anonymous->committed ? slot_count - dropped : 0);
    anonymous->live_pages -= slot_count;
    if (promised != 0)
        frames_unpromise(promised);
}

/* One page, most often of many. False: more goes with it. */
static inline bool discard_page(struct anonymous *anonymous, uint64_t slot)
    REQUIRES(anonymous->object.lock)
{
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    uint64_t data = leaf ? leaf->slots[slot % LEAF_SLOTS] : 0;
    uint64_t freed = 0;
    if (data != 0) {
        if (leaf_frame(leaf)->live == 1)
            return false; /* the leaf */
        __atomic_store_n(&leaf->slots[slot % LEAF_SLOTS], 0, __ATOMIC_RELAXED);
        leaf_frame(leaf)->live--;
        freed = __atomic_fetch_sub(&slot_frame(data)->references, 1, __ATOMIC_ACQ_REL) == 1;
        if (freed != 0)
            frames_give_apart(slot_phys(data)); /* not for slabs to come: a hole may grow */
    }
    lose_slots(anonymous, 1, data != 0, freed);
    return true;
}

void anonymous_discard(struct object *object, uint64_t first_slot, uint64_t slot_count)
{
    struct anonymous *anonymous = anonymous_of(object);
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    object_hold(&anonymous->object);
    if (slot_count != 1 || !discard_page(anonymous, first_slot)) {
        frame_batch_init(&batch);
        slot_table_drop(&anonymous->table, first_slot, slot_count, &batch, &freed, &dropped);
        lose_slots(anonymous, slot_count, dropped, freed);
        frame_batch_end(&batch);
    }
    object_release(&anonymous->object);
}

void anonymous_forget(struct object *object, uint64_t first_slot, uint64_t slot_count)
{
    struct anonymous *anonymous = anonymous_of(object);
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    frame_batch_init(&batch);
    object_hold(object);
    slot_table_drop(&anonymous->table, first_slot, slot_count, &batch, &freed, &dropped);
    frame_batch_end(&batch);
    /* Each slot dropped has freed its frame, or the promise of its copy. */
    frames_unpromise(dropped - freed);
    if (anonymous->committed)
        frames_repromise(dropped);
    object_release(object);
}

result_t anonymous_extend(struct object *object, uint64_t first_slot, uint64_t slot_count)
{
    struct anonymous *anonymous = anonymous_of(object);
    uint64_t end_slot = first_slot + slot_count;
    uint64_t page_count = end_slot - object->phase;
    result_t result = OK;
    object_hold(object);
    if (anonymous->committed && frames_promise(slot_count) != OK) {
        result = ENOMEM;
    } else if (page_count > object->page_count &&
               slot_table_grow(&anonymous->table, end_slot) != OK) {
        if (anonymous->committed)
            frames_unpromise(slot_count);
        result = ENOMEM;
    } else {
        anonymous->live_pages += slot_count;
        if (page_count > object->page_count)
            object->page_count = page_count;
    }
    object_release(object);
    return result;
}

uint64_t anonymous_resident(const struct object *object)
{
    return slot_table_resident(&CONTAINER_OF(object, struct anonymous, object)->table);
}

void anonymous_fini(struct anonymous *anonymous)
{
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    if (UNLIKELY(anonymous->is_volatile))
        reclaim_delist(&anonymous->object);
    if (!anonymous->table.top) { /* never touched */
        frames_unpromise(anonymous->committed ? anonymous->live_pages : 0);
        return;
    }
    frame_batch_init(&batch);
    slot_table_fini(&anonymous->table, &batch, &freed, &dropped);
    uint64_t promised = anonymous->committed ? anonymous->live_pages - dropped : 0;
    frames_unpromise(promised + dropped - freed);
    frame_batch_end(&batch);
}

static void anonymous_release(struct object *object)
{
    struct anonymous *anonymous = anonymous_of(object);
    anonymous_fini(anonymous);
    heap_free(anonymous, sizeof *anonymous);
}

static const struct object_ops anonymous_ops = {
    .name = "anonymous",
    .rights = PROT_READ | PROT_WRITE | PROT_EXEC,
    .set_phase = anonymous_set_phase,
    .fault = anonymous_fault,
    .fork = anonymous_fork,
    .release = anonymous_release,
    .page = anonymous_page,
    .reserve_discard = anonymous_reserve_discard,
    .prepare_discard = anonymous_prepare_discard,
    .discard = anonymous_discard,
    .forget = anonymous_forget,
    .extend = anonymous_extend,
    .set_volatile = anonymous_set_volatile,
    .reclaim = anonymous_reclaim,
    .resident = anonymous_resident,
    .check_entry = anonymous_check_entry,
    .audit = anonymous_audit,
};
