/* Anonymous memory that may be lost: volatile, it is purged when frames run out; nonvolatile again, it
 * says whether it was.
 *
 *   nonvolatile --- volatile: promises are given up, content stays ---> volatile
 *        ^                                                                |  reclaim: all content
 *        +--- nonvolatile: promises are taken again, or ENOMEM -----------+  goes, `purged`
 *
 * A fork of volatile memory is volatile, empty and purged. */
#include "core/mm/anonymous.h"

#include "core/mm/internal.h"
#include "core/mm/reclaim.h"
#include "core/mm/space.h"

static struct anonymous *anonymous_of(struct object *object)
{
    return CONTAINER_OF(object, struct anonymous, object);
}

result_t anonymous_create_named(uint64_t page_count, enum commit commit, bool purgeable,
                                struct object **object)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = anonymous_create(page_count, commit, object);
    } while (reclaim_retry(result, &tries));
    if (result == OK)
        anonymous_of(*object)->purgeable = purgeable;
    return result;
}

static void make_volatile(struct anonymous *anonymous) REQUIRES(anonymous->object.lock)
{
    frames_unpromise(anonymous_promised(anonymous));
    anonymous->commits_again = anonymous->committed;
    anonymous->committed = false;
    anonymous->is_volatile = true;
    anonymous->purged = false;
    reclaim_enlist(&anonymous->object, RECLAIM_LIST_VOLATILE);
}

static result_t make_nonvolatile(struct anonymous *anonymous) REQUIRES(anonymous->object.lock)
{
    if (anonymous->commits_again &&
        frames_promise(anonymous->live_pages - slot_table_resident(&anonymous->table)) != OK)
        return ENOMEM;
    reclaim_delist(&anonymous->object);
    anonymous->committed = anonymous->commits_again;
    anonymous->is_volatile = false;
    return OK;
}

result_t anonymous_set_volatile(struct object *object, bool to_volatile, bool *purged)
{
    struct anonymous *anonymous = anonymous_of(object);
    result_t result = OK;
    if (!anonymous->purgeable)
        return ENOTSUP;
    lock_acquire(&anonymous->object.lock);
    *purged = anonymous->is_volatile && anonymous->purged;
    if (to_volatile && !anonymous->is_volatile)
        make_volatile(anonymous);
    else if (!to_volatile && anonymous->is_volatile)
        result = make_nonvolatile(anonymous);
    lock_release(&anonymous->object.lock);
    return result;
}

void anonymous_fork_volatile(const struct anonymous *parent, struct anonymous *child)
{
    child->live_pages = parent->live_pages;
    child->committed = false;
    child->commits_again = parent->commits_again;
    child->is_volatile = true;
    child->purged = true;
    reclaim_enlist(&child->object, RECLAIM_LIST_VOLATILE);
}

/* Nothing shows the content any more, on any CPU, when this returns. */
static void unmap_everywhere(struct object *object) REQUIRES(object->lock)
{
    for (struct list_node *link = object->regions.next; link != &object->regions;
         link = link->next) {
        struct region *region = region_of_link(link);
        struct tlb_gather gather;
        tlb_gather_init(&gather);
        page_directory_unmap(&region->space->directory, region->node.base, region->node.end,
                             &gather);
        tlb_gather_flush(&gather, region->space);
    }
}

/* Frames that others share are not freed, but the promises of their copies are. */
static uint64_t purge(struct anonymous *anonymous) REQUIRES(anonymous->object.lock)
{
    uint64_t end_slot = anonymous->object.phase + anonymous->object.page_count;
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    unmap_everywhere(&anonymous->object);
    frame_batch_init(&batch);
    /* Whole leaves: a part of a shared one would have to be copied. */
    slot_table_drop(&anonymous->table, 0, (end_slot + LEAF_SLOTS - 1) & ~(uint64_t)(LEAF_SLOTS - 1),
                    &batch, &freed, &dropped);
    frames_unpromise(dropped - freed);
    frame_batch_end(&batch);
    anonymous->purged = true;
    machine_cpu()->counters[COUNTER_RECLAIM_PURGED] += dropped;
    return dropped;
}

uint64_t anonymous_reclaim(struct object *object, enum reclaim_stage stage, uint64_t wanted)
{
    struct anonymous *anonymous = anonymous_of(object);
    uint64_t won = 0;
    (void)stage; /* only volatile objects are listed */
    (void)wanted;
    lock_acquire(&anonymous->object.lock);
    if (anonymous->is_volatile && slot_table_resident(&anonymous->table) != 0)
        won = purge(anonymous);
    lock_release(&anonymous->object.lock);
    return won;
}
