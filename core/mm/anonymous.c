/* The anonymous memory type. See anonymous.h.
 *
 * A write fault, by what it finds:
 *
 *   slot empty         fresh frame, cleared           -> fault.anon
 *   frame shared       promised frame, copied         -> fault.cow_copy
 *   ours alone,
 *     entry read-only  becomes writable               -> fault.cow_reuse
 *     no entry         mapped                         -> fault.resident, after a fork fault.cow_reuse
 *     upper entry      whole table becomes writable   -> fault.cow_reuse, once for 2 MiB
 *     without W
 *
 * and where 2 MiB pages are wanted:
 *
 *   no leaf, no table  512 frames in a row, cleared   -> fault.anon, once for 2 MiB
 *   large page without W,
 *     all ours alone   becomes writable               -> fault.cow_reuse, once for 2 MiB
 *     something shared split; then as above
 */
#include "core/mm/anonymous_type.h"

#include "core/check.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/space.h"

static const struct object_ops anonymous_ops;

static struct anonymous *anonymous_of(struct object *object)
{
    return CONTAINER_OF(object, struct anonymous, object);
}

static struct fault_result resolved(enum counter event)
{
    return (struct fault_result){FAULT_RESOLVED, event};
}

static struct fault_result out_of_memory(void)
{
    return (struct fault_result){FAULT_NOMEM, COUNTER_FAULT_TOTAL};
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

result_t anonymous_create(uint64_t page_count, enum commit commit, struct object **object)
{
    if (commit == COMMIT_ON && frames_promise(page_count) != OK)
        return ENOMEM;
    struct anonymous *anonymous = anonymous_alloc(page_count, 0);
    if (!anonymous) {
        if (commit == COMMIT_ON)
            frames_unpromise(page_count);
        return ENOMEM;
    }

    anonymous_init(anonymous, commit);
    *object = &anonymous->object;
    return OK;
}

/* --- faults ---------------------------------------------------------------------------------------------- */

/* Does the leaf's index equal the table's for this region? */
static const void *shown_as(const struct region *region, const struct leaf *leaf)
{
    return LIKELY(region->in_phase) ? (const void *)leaf : TABLE_MIXED;
}

static entry_t entry_for(const struct region *region, phys_t page, bool writable)
{
    uint64_t bits = region->entry_bits;
    return entry_page(page, writable ? bits : entry_without_write(bits), 1);
}

/* Makes the tables for an entry. EEXIST: a large page is there. ENOMEM. */
__attribute__((noinline)) static result_t add_place(struct region *region, uint64_t address,
                                                    struct table_place *place)
{
    struct page_directory *directory = &region->space->directory;
    if (UNLIKELY(region->large) && page_directory_large(directory, address))
        return EEXIST;
    return page_directory_add_tables(directory, address, place);
}

__attribute__((always_inline)) static inline struct fault_result
fault_read(struct anonymous *anonymous, struct region *region, uint64_t address)
    REQUIRES(anonymous->object.lock)
{
    struct table_place place;
    if (UNLIKELY(!page_directory_find(&region->space->directory, address, &place))) {
        result_t result = add_place(region, address, &place);
        if (result != OK)
            return result == EEXIST ? resolved(COUNTER_FAULT_SPURIOUS) : out_of_memory();
    }

    uint64_t slot = region_slot(region, address);
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    uint64_t data = leaf ? leaf->slots[slot % LEAF_SLOTS] : 0;
    bool was_present = entry_is_present(*place.entry);
    bool writable = data != 0 && !leaf_is_shared(leaf) && !frame_is_shared(slot_frame(data));
    entry_t entry = entry_for(region, data == 0 ? mm.zero_page : slot_phys(data), writable);
    if (was_present) {
        /* Already readable, unless rights were added since the entry was made. */
        entry_t kept = *place.entry & (ENTRY_ACCESSED | ENTRY_DIRTY | ENTRY_WRITE);
        if (*place.entry == (entry_without_write(entry) | kept))
            return resolved(COUNTER_FAULT_SPURIOUS);
    }
    page_directory_set(&place, entry, data == 0 ? NULL : shown_as(region, leaf));
    if (was_present)
        machine_flush_page(virt(address));
    return resolved(data == 0 ? COUNTER_FAULT_ZERO_READ : COUNTER_FAULT_RESIDENT);
}

static void follow_in_region(struct region *region, uint64_t leaf_slot, const struct leaf *before,
                             const struct leaf *leaf)
{
    uint64_t end_slot = region->first_slot + (region_size_bytes(region) >> PAGE_SHIFT);
    uint64_t slot = leaf_slot < region->first_slot ? region->first_slot : leaf_slot;
    if (slot >= end_slot || slot >= leaf_slot + LEAF_SLOTS)
        return;
    entry_t *upper;
    uint64_t address = region->node.base + ((slot - region->first_slot) << PAGE_SHIFT);
    if (page_directory_descend(&region->space->directory, address, &upper) != 2 ||
        !entry_is_present(*upper))
        return;
    struct frame *table = frame_of(entry_phys(*upper)); /* or the first of a large page */
    if (table->shows == before)
        table->shows = leaf;
}

/* The leaf was copied: tables that show the old one show the same frames in the new one. The pieces of
 * an exclusive object that are in phase share the table of the piece at hand. */
static void follow_copied_leaf(struct object *object, struct region *region, uint64_t slot,
                               const struct leaf *before, const struct leaf *leaf)
{
    uint64_t leaf_slot = slot & ~(uint64_t)(LEAF_SLOTS - 1);
    if (object->exclusive && !object->scattered) {
        follow_in_region(region, leaf_slot, before, leaf);
        return;
    }
    for (struct list_node *link = object->regions.next; link != &object->regions; link = link->next)
        follow_in_region(region_of_link(link), leaf_slot, before, leaf);
}

/* The upper entry has lost W to a fork. Gives it back: with all writable entries below it when nothing
 * there is shared any more, else after taking W from each. True if the former. */
static bool regain_write(struct table_place *place, const void *shown)
{
    bool exclusive =
        table_frame(place)->shows == shown && shown != TABLE_MIXED && leaf_is_exclusive(shown);
    if (exclusive)
        *place->upper = entry_with_write(*place->upper);
    else
        page_directory_settle(place);
    return exclusive;
}

static void flush_regained(const struct region *region)
{
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    tlb_gather_all(&gather);
    tlb_gather_flush(&gather, region->space);
}

/* A frame with the content that a write to this slot needs. */
static inline result_t new_page(struct anonymous *anonymous, uint64_t data, phys_t *page)
{
    bool promised = data != 0 || anonymous->committed;
    if ((promised ? frames_take_promised(page) : frames_take(FRAME_DATA, page)) != OK)
        return ENOMEM;
    if (data != 0) {
        machine_page_copy(machine_phys_to_virt(*page), machine_phys_to_virt(slot_phys(data)));
    } else {
        machine_page_clear(machine_phys_to_virt(*page));
        machine_cpu()->counters[COUNTER_PAGE_ZEROED]++;
    }
    return OK;
}

/* The leaf is missing or shared; with a reserve (else NULL) it is shared. NULL: no memory. */
static struct leaf *make_own_leaf(struct anonymous *anonymous, struct region *region, uint64_t slot,
                                  struct frame_reserve *reserve) REQUIRES(anonymous->object.lock)
{
    struct leaf *leaf;
    struct leaf *before;
    if (slot_table_own_leaf(&anonymous->table, slot, reserve, &leaf, &before) != OK)
        return NULL;
    if (before)
        follow_copied_leaf(&anonymous->object, region, slot, before, leaf);
    return leaf;
}

/* The slot's leaf is missing or shared: a new page in a leaf of our own. NULL: no memory, and nothing
 * changed; the page comes first, because a leaf that was copied cannot be shared again. */
__attribute__((noinline)) static struct leaf *own_page_and_leaf(struct anonymous *anonymous,
                                                                struct region *region,
                                                                uint64_t slot, enum counter *event)
    REQUIRES(anonymous->object.lock)
{
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    uint64_t data = leaf ? leaf->slots[slot % LEAF_SLOTS] : 0;
    phys_t page;
    if (new_page(anonymous, data, &page) != OK)
        return NULL;
    leaf = make_own_leaf(anonymous, region, slot, NULL);
    if (leaf) {
        slot_table_put(&anonymous->table, leaf_frame(leaf), &leaf->slots[slot % LEAF_SLOTS], page);
        *event = data == 0 ? COUNTER_FAULT_ANON : COUNTER_FAULT_COW_COPY;
    } else if (data != 0 || anonymous->committed) {
        frames_return_promised(page);
    } else {
        frames_give(page);
    }
    return leaf;
}

/* Makes the slot's page ours alone and returns its leaf; NULL: no memory. *event says how; `resident`
 * when it already was. */
__attribute__((always_inline)) static inline struct leaf *
own_page(struct anonymous *anonymous, struct region *region, uint64_t slot, enum counter *event)
    REQUIRES(anonymous->object.lock)
{
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    if (UNLIKELY(!leaf))
        return own_page_and_leaf(anonymous, region, slot, event);
    struct frame *holder = leaf_frame(leaf);
    if (UNLIKELY(frame_is_shared(holder)))
        return own_page_and_leaf(anonymous, region, slot, event);

    uint64_t *data = &leaf->slots[slot % LEAF_SLOTS];
    if (*data != 0 && !frame_is_shared(slot_frame(*data))) {
        *event = COUNTER_FAULT_RESIDENT;
        return leaf;
    }
    phys_t page;
    *event = *data == 0 ? COUNTER_FAULT_ANON : COUNTER_FAULT_COW_COPY;
    if (UNLIKELY(new_page(anonymous, *data, &page) != OK))
        return NULL;
    slot_table_put(&anonymous->table, holder, data, page);
    return leaf;
}

struct leaf *anonymous_own_page(struct anonymous *anonymous, struct region *region, uint64_t slot,
                                enum counter *event)
{
    return own_page(anonymous, region, slot, event);
}

/* The page was ours alone already: why did the write fault? */
static enum counter event_of_owned(const struct anonymous *anonymous, entry_t before)
{
    if (entry_is_writable(before))
        return COUNTER_FAULT_SPURIOUS;
    return entry_is_present(before) || anonymous->forked ? COUNTER_FAULT_COW_REUSE
                                                         : COUNTER_FAULT_RESIDENT;
}

/* True if the access is possible now: the whole table has become writable, this entry with it. */
__attribute__((noinline)) static bool write_regained(struct region *region,
                                                     struct table_place *place, const void *shown)
{
    bool regained = regain_write(place, shown);
    if (regained)
        flush_regained(region);
    return regained && entry_is_writable(*place->entry);
}

static void flush_replaced(uint64_t address)
{
    struct cpu *cpu = machine_cpu();
    machine_flush_page(virt(address));
    cpu->counters[COUNTER_TLB_PAGE]++;
    cpu->counters[COUNTER_TLB_LOCAL]++;
}

/* There is no table for the address. True: the fault has ended, as *result says; else *place is set. */
__attribute__((noinline)) static bool
write_without_table(struct anonymous *anonymous, struct region *region, uint64_t address,
                    struct table_place *place, struct fault_result *result)
    REQUIRES(anonymous->object.lock)
{
    *result = out_of_memory();
    if (UNLIKELY(region->large) && anonymous_write_large(anonymous, region, address, result))
        return true;
    return page_directory_add_tables(&region->space->directory, address, place) != OK;
}

/* What shows the slot elsewhere may be the last entry of the very table in which it will be shown here:
 * the table must outlive it. */
__attribute__((noinline)) static void unmap_elsewhere(struct anonymous *anonymous,
                                                      const struct region *region, uint64_t slot,
                                                      struct table_place *place)
    REQUIRES(anonymous->object.lock)
{
    struct frame *table = table_frame(place);
    table->live++;
    object_unmap_slots_everywhere_but(&anonymous->object, slot, 1, region);
    table->live--;
}

__attribute__((always_inline)) static inline struct fault_result
fault_write(struct anonymous *anonymous, struct region *region, uint64_t address)
    REQUIRES(anonymous->object.lock)
{
    struct table_place place;
    enum counter event;
    uint64_t slot = region_slot(region, address);
    if (UNLIKELY(!page_directory_find(&region->space->directory, address, &place))) {
        struct fault_result result;
        if (write_without_table(anonymous, region, address, &place, &result))
            return result;
    }
    struct leaf *leaf = own_page(anonymous, region, slot, &event);
    if (UNLIKELY(!leaf)) {
        page_directory_prune(&region->space->directory, address);
        return out_of_memory();
    }

    const void *shown = shown_as(region, leaf);
    entry_t before = *place.entry;
    if (UNLIKELY(!entry_is_writable(*place.upper)) && write_regained(region, &place, shown) &&
        event == COUNTER_FAULT_RESIDENT)
        return resolved(COUNTER_FAULT_COW_REUSE);
    if (event == COUNTER_FAULT_RESIDENT)
        event = event_of_owned(anonymous, *place.entry);
    else if (UNLIKELY(!anonymous->object.exclusive))
        unmap_elsewhere(anonymous, region, slot, &place);

    phys_t page = slot_phys(leaf->slots[slot % LEAF_SLOTS]);
    page_directory_set(&place, entry_for(region, page, true), shown);
    if (UNLIKELY(entry_is_present(before)))
        flush_replaced(address);
    return resolved(event);
}

static struct fault_result anonymous_fault(struct object *object, struct region *region,
                                           uint64_t address, unsigned access)
{
    struct anonymous *anonymous = anonymous_of(object);
    lock_acquire(&anonymous->object.lock);
    struct fault_result result = (access & ACCESS_WRITE) != 0
                                     ? fault_write(anonymous, region, address)
                                     : fault_read(anonymous, region, address);
    lock_release(&anonymous->object.lock);
    return result;
}

struct fault_result anonymous_fault_locked(struct anonymous *anonymous, struct region *region,
                                           uint64_t address, unsigned access)
{
    return (access & ACCESS_WRITE) != 0 ? fault_write(anonymous, region, address)
                                        : fault_read(anonymous, region, address);
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
        enum counter event;
        leaf = UNLIKELY(region->large) ? anonymous_own_large(anonymous, region, address, &event)
                                       : own_page(anonymous, region, slot, &event);
        if (!leaf)
            return ENOMEM;
        if (event != COUNTER_FAULT_RESIDENT)
            anonymous_unmap_slot(anonymous, region, address);
    }
    uint64_t data = leaf ? leaf->slots[slot % LEAF_SLOTS] : 0;
    *page = data == 0 ? mm.zero_page : slot_phys(data);
    return OK;
}

static result_t anonymous_page(struct object *object, struct region *region, uint64_t address,
                               enum page_use use, phys_t *page)
{
    struct anonymous *anonymous = anonymous_of(object);
    lock_acquire(&anonymous->object.lock);
    result_t result = anonymous_page_locked(anonymous, region, address, use, page);
    lock_release(&anonymous->object.lock);
    return result;
}

struct leaf *anonymous_copy_in(struct anonymous *anonymous, struct region *region, uint64_t slot,
                               phys_t source)
{
    phys_t page;
    bool promised = anonymous->committed;
    if (UNLIKELY((promised ? frames_take_promised(&page) : frames_take(FRAME_DATA, &page)) != OK))
        return NULL;
    machine_page_copy(machine_phys_to_virt(page), machine_phys_to_virt(source));
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    if (UNLIKELY(!leaf || leaf_is_shared(leaf)))
        leaf = make_own_leaf(anonymous, region, slot, NULL);
    if (LIKELY(leaf))
        slot_table_put(&anonymous->table, leaf_frame(leaf), &leaf->slots[slot % LEAF_SLOTS], page);
    else if (promised)
        frames_return_promised(page);
    else
        frames_give(page);
    return leaf;
}

struct fault_result anonymous_fault_copy(struct anonymous *anonymous, struct region *region,
                                         uint64_t address, struct table_place *place, phys_t source)
{
    uint64_t slot = region_slot(region, address);
    struct leaf *leaf = anonymous_copy_in(anonymous, region, slot, source);
    if (UNLIKELY(!leaf))
        return out_of_memory();
    object_unmap_slot_elsewhere(&anonymous->object, slot, region);
    if (UNLIKELY(!entry_is_writable(*place->upper))) {
        struct fault_result result = fault_write(anonymous, region, address);
        result.event = COUNTER_FAULT_COW_COPY;
        return result;
    }
    entry_t before = *place->entry;
    phys_t page = slot_phys(leaf->slots[slot % LEAF_SLOTS]);
    page_directory_set(place, entry_for(region, page, true), shown_as(region, leaf));
    if (UNLIKELY(entry_is_present(before)))
        flush_replaced(address);
    return resolved(COUNTER_FAULT_COW_COPY);
}

/* --- fork, discard, end ---------------------------------------------------------------------------------------- */

/* Takes write permission from every region; those of other spaces than the gather's flush at once. */
static void write_protect_regions(struct object *object, const struct space *space,
                                  struct tlb_gather *gather) REQUIRES(object->lock)
{
    for (struct list_node *link = object->regions.next; link != &object->regions;
         link = link->next) {
        struct region *region = region_of_link(link);
        struct tlb_gather other;
        tlb_gather_init(&other);
        page_directory_write_protect(&region->space->directory, region->node.base, region->node.end,
                                     region->space == space ? gather : &other);
        tlb_gather_flush(&other, region->space);
    }
}

result_t anonymous_fork_into(struct anonymous *parent, struct anonymous *child, struct space *space,
                             struct tlb_gather *gather)
{
    child->object.exclusive = parent->object.exclusive;
    child->object.placed = true;
    child->purgeable = parent->purgeable;
    child->is_volatile = false;
    child->forked = true;
    lock_acquire(&parent->object.lock);
    if (UNLIKELY(parent->is_volatile)) {
        slot_table_init(&child->table, parent->object.phase + parent->object.page_count);
        anonymous_fork_volatile(parent, child);
        lock_release(&parent->object.lock);
        return OK;
    }
    if (frames_promise(parent->table.resident) != OK)
        goto release;
    if (slot_table_share(&parent->table, &child->table) != OK)
        goto unpromise;

    child->live_pages = parent->live_pages;
    child->committed = false;
    parent->forked = true;
    write_protect_regions(&parent->object, space, gather);
    lock_release(&parent->object.lock);
    return OK;

unpromise:
    frames_unpromise(parent->table.resident);
release:
    lock_release(&parent->object.lock);
    return ENOMEM;
}

static result_t anonymous_fork(struct object *object, struct space *space,
                               struct tlb_gather *gather, struct object **copy)
{
    struct anonymous *child = anonymous_alloc(object->page_count, object->phase);
    if (!child)
        return ENOMEM;
    if (anonymous_fork_into(anonymous_of(object), child, space, gather) != OK) {
        heap_free(child, sizeof *child);
        return ENOMEM;
    }
    *copy = &child->object;
    return OK;
}

/* Discarding a part of a leaf changes it: a shared one must be copied first. */
static bool is_shared_edge(const struct anonymous *anonymous, uint64_t slot)
    REQUIRES(anonymous->object.lock)
{
    const struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    return leaf && leaf_is_shared(leaf);
}

result_t anonymous_reserve_discard(struct object *object, uint64_t first_slot, uint64_t slot_count,
                                   struct frame_reserve *reserve)
{
    struct anonymous *anonymous = anonymous_of(object);
    uint64_t end_slot = first_slot + slot_count;
    result_t result = OK;
    lock_acquire(&anonymous->object.lock);
    if (first_slot % LEAF_SLOTS != 0 && is_shared_edge(anonymous, first_slot))
        result = frame_reserve_add(reserve);
    if (result == OK && end_slot % LEAF_SLOTS != 0 && is_shared_edge(anonymous, end_slot - 1))
        result = frame_reserve_add(reserve);
    lock_release(&anonymous->object.lock);
    return result;
}

void anonymous_prepare_discard(struct object *object, struct region *region, uint64_t base,
                               uint64_t end, struct frame_reserve *reserve)
{
    struct anonymous *anonymous = anonymous_of(object);
    uint64_t first_slot = region_slot(region, base);
    uint64_t end_slot = region_slot(region, end);
    lock_acquire(&anonymous->object.lock);
    if (first_slot % LEAF_SLOTS != 0 && is_shared_edge(anonymous, first_slot))
        (void)make_own_leaf(anonymous, region, first_slot, reserve);
    if (end_slot % LEAF_SLOTS != 0 && is_shared_edge(anonymous, end_slot - 1))
        (void)make_own_leaf(anonymous, region, end_slot - 1, reserve);
    lock_release(&anonymous->object.lock);
}

void anonymous_discard(struct object *object, uint64_t first_slot, uint64_t slot_count)
{
    struct anonymous *anonymous = anonymous_of(object);
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    frame_batch_init(&batch);
    lock_acquire(&object->lock);
    uint64_t promised = anonymous_promised(anonymous);
    slot_table_drop(&anonymous->table, first_slot, slot_count, &batch, &freed, &dropped);
    anonymous->live_pages -= slot_count;
    frames_unpromise(dropped - freed + (promised - anonymous_promised(anonymous)));
    lock_release(&object->lock);
    frame_batch_end(&batch);
}

void anonymous_forget(struct object *object, uint64_t first_slot, uint64_t slot_count)
{
    struct anonymous *anonymous = anonymous_of(object);
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    frame_batch_init(&batch);
    lock_acquire(&object->lock);
    slot_table_drop(&anonymous->table, first_slot, slot_count, &batch, &freed, &dropped);
    frame_batch_end(&batch);
    /* Each slot dropped has freed its frame, or the promise of its copy. */
    frames_unpromise(dropped - freed);
    if (anonymous->committed)
        frames_repromise(dropped);
    lock_release(&object->lock);
}

result_t anonymous_extend(struct object *object, uint64_t first_slot, uint64_t slot_count)
{
    struct anonymous *anonymous = anonymous_of(object);
    uint64_t end_slot = first_slot + slot_count;
    uint64_t page_count = end_slot - object->phase;
    result_t result = OK;
    lock_acquire(&object->lock);
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
    lock_release(&object->lock);
    return result;
}

uint64_t anonymous_resident(const struct object *object)
{
    return CONTAINER_OF(object, struct anonymous, object)->table.resident;
}

void anonymous_fini(struct anonymous *anonymous)
{
    struct frame_batch batch;
    frame_batch_init(&batch);
    uint64_t promised = anonymous_promised(anonymous);
    uint64_t resident = anonymous->table.resident;
    if (UNLIKELY(anonymous->is_volatile))
        reclaim_delist(&anonymous->object);
    if (!anonymous->table.top) { /* never touched */
        frames_unpromise(promised);
        return;
    }
    uint64_t freed = slot_table_fini(&anonymous->table, &batch);
    frames_unpromise(promised + resident - freed);
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
