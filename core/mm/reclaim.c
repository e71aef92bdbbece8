/* Winning memory back. See reclaim.h. */
#include "core/mm/reclaim.h"

#include "core/check.h"
#include "core/lock.h"
#include "core/mm/object.h"
#include "core/mm/section.h"
#include "core/write_window.h"

static struct {
    struct lock lock;
    struct list_node lists[RECLAIM_LISTS];
} listed;

void reclaim_init(void)
{
    lock_init(&listed.lock, RANK_RECLAIM, "reclaim");
    for (unsigned i = 0; i < RECLAIM_LISTS; i++)
        list_init(&listed.lists[i]);
}

void reclaim_enlist(struct object *object, enum reclaim_list list)
{
    lock_acquire(&listed.lock);
    list_add_last(&listed.lists[list], &object->reclaim_link);
    lock_release(&listed.lock);
}

void reclaim_delist(struct object *object)
{
    lock_acquire(&listed.lock);
    if (object->reclaim_link.next)
        list_remove(&object->reclaim_link);
    lock_release(&listed.lock);
}

static uint64_t count_listed(enum reclaim_list list)
{
    uint64_t count = 0;
    lock_acquire(&listed.lock);
    const struct list_node *head = &listed.lists[list];
    for (const struct list_node *link = head->next; link != head; link = link->next)
        count++;
    lock_release(&listed.lock);
    return count;
}

/* A reference, unless the last one is gone: then the object is on its way out of the list. */
static bool try_get(struct object *object)
{
    uint32_t references = __atomic_load_n(&object->references, __ATOMIC_RELAXED);
    while (references != 0) {
        if (__atomic_compare_exchange_n(&object->references, &references, references + 1, true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* The object that was asked longest ago, with a reference; it is the last in the list now. NULL: none, or
 * it is being released. */
static struct object *next_listed(enum reclaim_list list)
{
    struct object *object = NULL;
    lock_acquire(&listed.lock);
    struct list_node *head = &listed.lists[list];
    if (!list_is_empty(head)) {
        struct list_node *link = head->next;
        list_remove(link);
        list_add_last(head, link);
        object = CONTAINER_OF(link, struct object, reclaim_link);
        if (!try_get(object))
            object = NULL;
    }
    lock_release(&listed.lock);
    return object;
}

static uint64_t reclaim_from(enum reclaim_list list, enum reclaim_stage stage, uint64_t wanted)
{
    uint64_t won = 0;
    for (uint64_t left = count_listed(list); left > 0 && won < wanted; left--) {
        struct object *object = next_listed(list);
        if (!object)
            continue;
        won += object->ops->reclaim(object, stage, wanted - won);
        section_drain();
        object_write_begin();
        object_put(object);
        object_write_end();
    }
    return won;
}

uint64_t reclaim_pages(uint64_t wanted)
{
    static const enum reclaim_list lists[RECLAIM_STAGES] = {
        [RECLAIM_VOLATILE] = RECLAIM_LIST_VOLATILE,
        [RECLAIM_CLEAN] = RECLAIM_LIST_CACHES,
        [RECLAIM_DIRTY] = RECLAIM_LIST_CACHES,
    };
    uint64_t won = 0;
    for (unsigned stage = 0; stage < RECLAIM_STAGES && won < wanted; stage++)
        won += reclaim_from(lists[stage], (enum reclaim_stage)stage, wanted - won);
    return won;
}

/* Enough for the shortage; and when pages have to be won one by one, a few more. */
bool reclaim_for_retry(unsigned *tries)
{
    struct cpu *cpu = machine_cpu();
    uint64_t shortage = cpu->mm->shortage;
    cpu->mm->shortage = 0;
    if (shortage == 0 || ++*tries > RECLAIM_TRIES)
        return false;
    uint64_t won = reclaim_pages(shortage < RECLAIM_BATCH ? RECLAIM_BATCH : shortage);
    if (won != 0)
        return true;
    cpu->counters[COUNTER_RECLAIM_FAILED]++;
    return false;
}
