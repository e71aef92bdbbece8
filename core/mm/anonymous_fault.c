/* Faults on anonymous memory, and how its pages become an object's own. See anonymous.h.
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
#include "core/mm/frames_promised.h"
#include "core/mm/internal.h"
#include "core/mm/space.h"
#include "core/write_window.h"

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

/* --- entries --------------------------------------------------------------------------------------------- */

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

/* There is no table for the address. True: the fault has ended, as *result says; else *place is set. The lock
 * is why no large page comes where there is a table. */
__attribute__((noinline)) static bool
read_without_table(struct anonymous *anonymous, struct region *region, uint64_t address,
                   struct table_place *place, struct fault_result *result)
    REQUIRES(anonymous->object.lock)
{
    struct page_directory *directory = &region->space->directory;
    (void)anonymous;
    *result = resolved(COUNTER_FAULT_SPURIOUS);
    if (UNLIKELY(region->large) && page_directory_large(directory, address))
        return true;
    *result = out_of_memory();
    return page_directory_add_tables(directory, address, place) != OK;
}

/* With the lock of the place's table; releases it. */
__attribute__((always_inline)) static inline struct fault_result
show_for_reading(struct anonymous *anonymous, struct region *region, uint64_t address,
                 struct table_place place)
{
    uint64_t slot = region_slot(region, address);
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    uint64_t data = leaf ? leaf->slots[slot % LEAF_SLOTS] : 0;
    enum counter event = data == 0 ? COUNTER_FAULT_ZERO_READ : COUNTER_FAULT_RESIDENT;
    bool was_present = entry_is_present(entry_peek(place.entry));
    bool writable = data != 0 && !leaf_is_shared(leaf) && !frame_is_shared(slot_frame(data));
    entry_t entry = entry_for(region, data == 0 ? mm.zero_page : slot_phys(data), writable);
    /* Already readable, unless rights were added since the entry was made. */
    entry_t kept = entry_peek(place.entry) & (ENTRY_ACCESSED | ENTRY_DIRTY | ENTRY_WRITE);
    if (was_present && entry_peek(place.entry) == (entry_without_write(entry) | kept))
        event = COUNTER_FAULT_SPURIOUS;
    else
        page_directory_set(&place, entry, data == 0 ? NULL : shown_as(region, leaf));
    table_place_unlock(&place);
    if (UNLIKELY(was_present))
        machine_flush_page(virt(address)); /* others find out by a fault of their own */
    return resolved(event);
}

__attribute__((always_inline)) static inline struct fault_result
fault_read(struct anonymous *anonymous, struct region *region, uint64_t address)
    REQUIRES(anonymous->object.lock)
{
    struct table_place place;
    struct fault_result result = out_of_memory();
    if (UNLIKELY(!page_directory_find_again(&region->space->directory, address, &place)) &&
        read_without_table(anonymous, region, address, &place, &result))
        return result;
    if (UNLIKELY(table_place_lock(&region->space->directory, address, &place) != OK))
        return result;
    return show_for_reading(anonymous, region, address, place);
}

/* --- a page of its own ------------------------------------------------------------------------------------ */

static void follow_in_region(struct region *region, uint64_t leaf_slot, const struct leaf *before,
                             const struct leaf *leaf)
{
    uint64_t first_slot = region_first_slot(region);
    uint64_t slot = leaf_slot < first_slot ? first_slot : leaf_slot;
    if (slot >= region_end_slot(region) || slot >= leaf_slot + LEAF_SLOTS)
        return;
    page_directory_follow(&region->space->directory, region_address(region, slot), before, leaf);
}

/* The leaf was copied: tables that show the old one show the same frames in the new one. The pieces of
 * an exclusive object that are in phase share the table of the piece at hand; locked: the caller has locked it. */
static void follow_copied_leaf(struct object *object, struct region *region, uint64_t slot,
                               const struct leaf *before, const struct leaf *leaf,
                               const struct table_place *locked)
{
    uint64_t leaf_slot = slot & ~(uint64_t)(LEAF_SLOTS - 1);
    if (locked) {
        if (locked->table->shows == before)
            __atomic_store_n(&locked->table->shows, leaf, __ATOMIC_RELAXED);
        return;
    }
    if ((object->company & (OBJECT_SHARED | OBJECT_SCATTERED)) == 0) {
        follow_in_region(region, leaf_slot, before, leaf);
        return;
    }
    for (struct list_node *link = object->regions.next; link != &object->regions; link = link->next)
        follow_in_region(region_of_link(link), leaf_slot, before, leaf);
}

/* The upper entry of a locked table has lost W to a fork. Gives it back: with all writable entries below it when nothing
 * there is shared any more, else after taking W from each. True if the former. */
static bool regain_write(struct table_place *place, const void *shown)
{
    bool exclusive =
        place->table->shows == shown && shown != TABLE_MIXED && leaf_is_exclusive(shown);
    if (exclusive)
        entry_store(place->upper, entry_with_write(entry_load(place->upper)));
    else
        page_directory_settle(place);
    return exclusive;
}

/* What only allows more need not be flushed elsewhere: another CPU's fault finds out by itself. */
static void flush_regained(const struct region *region)
{
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    tlb_gather_all(&gather);
    tlb_gather_flush_here(&gather, region->space);
}

static bool is_promised(const struct anonymous *anonymous, uint64_t data)
{
    return data != 0 || anonymous->committed;
}

/* A frame with the content that a write to this slot needs. */
__attribute__((always_inline)) static inline result_t new_page(struct anonymous *anonymous,
                                                               uint64_t data, phys_t *page)
{
    bool promised = is_promised(anonymous, data);
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

/* It was not needed. */
__attribute__((noinline, cold)) static void return_page(const struct anonymous *anonymous,
                                                        uint64_t data, phys_t page)
{
    if (is_promised(anonymous, data))
        frames_return_promised(page);
    else
        frames_give(page);
}

/* The leaf is missing or shared; with a reserve (else NULL) it is shared. NULL: no memory. */
static struct leaf *make_own_leaf(struct anonymous *anonymous, struct region *region, uint64_t slot,
                                  struct frame_reserve *reserve, const struct table_place *locked)
{
    struct leaf *leaf;
    struct leaf *before;
    if (slot_table_own_leaf(&anonymous->table, slot, reserve, &leaf, &before) != OK)
        return NULL;
    if (before)
        follow_copied_leaf(&anonymous->object, region, slot, before, leaf, locked);
    return leaf;
}

/* The page for a slot: for an empty one that which is at hand, if any. */
__attribute__((always_inline)) static inline result_t
page_for(struct anonymous *anonymous, uint64_t data, struct own *own, phys_t *page)
{
    if (data != 0 || own->at_hand.value == PHYS_NONE.value)
        return new_page(anonymous, data, page);
    *page = own->at_hand;
    own->at_hand = PHYS_NONE;
    return OK;
}

/* The slot's leaf is missing or shared: a new page in a leaf of our own. NULL: no memory, and nothing
 * changed; the page comes first, because a leaf that was copied cannot be shared again. */
__attribute__((noinline)) static struct leaf *own_page_and_leaf(struct anonymous *anonymous,
                                                                struct region *region,
                                                                uint64_t slot, struct own *own,
                                                                const struct table_place *locked)
{
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    uint64_t data = leaf ? leaf->slots[slot % LEAF_SLOTS] : 0;
    phys_t page;
    if (page_for(anonymous, data, own, &page) != OK)
        return NULL;
    object_write_begin(); /* the lowest array may be in the object */
    leaf = make_own_leaf(anonymous, region, slot, NULL, locked);
    object_write_end();
    if (leaf) {
        own->replaced = slot_put(leaf_frame(leaf), &leaf->slots[slot % LEAF_SLOTS], page);
        own->event = data == 0 ? COUNTER_FAULT_ANON : COUNTER_FAULT_COW_COPY;
    } else {
        return_page(anonymous, data, page);
    }
    return leaf;
}

/* With the object's lock; or, of an object that is alone, with that of the table, which is `locked`. */
__attribute__((always_inline)) static inline struct leaf *own_page(struct anonymous *anonymous,
                                                                   struct region *region,
                                                                   uint64_t slot, struct own *own,
                                                                   const struct table_place *locked)
{
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    if (UNLIKELY(!leaf))
        return own_page_and_leaf(anonymous, region, slot, own, locked);
    struct frame *holder = leaf_frame(leaf);
    if (UNLIKELY(frame_is_shared(holder)))
        return own_page_and_leaf(anonymous, region, slot, own, locked);

    uint64_t *data = &leaf->slots[slot % LEAF_SLOTS];
    phys_t page;
    if (LIKELY(*data == 0)) {
        own->event = COUNTER_FAULT_ANON;
        if (UNLIKELY(page_for(anonymous, 0, own, &page) != OK))
            return NULL;
        slot_fill(holder, data, page);
        return leaf;
    }
    if (!frame_is_shared(slot_frame(*data))) {
        own->event = COUNTER_FAULT_RESIDENT;
        return leaf;
    }
    own->event = COUNTER_FAULT_COW_COPY;
    if (UNLIKELY(new_page(anonymous, *data, &page) != OK))
        return NULL;
    own->replaced = slot_put(holder, data, page);
    return leaf;
}

struct leaf *anonymous_own_leaf(struct anonymous *anonymous, struct region *region, uint64_t slot,
                                struct frame_reserve *reserve)
{
    return make_own_leaf(anonymous, region, slot, reserve, NULL);
}

struct leaf *anonymous_own_page(struct anonymous *anonymous, struct region *region, uint64_t slot,
                                struct own *own)
{
    *own = OWN_NOTHING;
    return own_page(anonymous, region, slot, own, NULL);
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
    return regained && entry_is_writable(entry_peek(place->entry));
}

/* The entry that showed something else, or the same with fewer rights, has been replaced. */
static inline void flush_replaced(const struct region *region, uint64_t address, entry_t before,
                                  phys_t page)
{
    if (UNLIKELY(entry_is_present(before)))
        tlb_flush_page(address, region->space,
                       entry_phys(before).value == page.value ? REPLACED_BY_MORE
                                                              : REPLACED_BY_ANOTHER);
}

/* As read_without_table(). */
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

/* The page is ours alone: shows it for writing. With the lock of the place's table; releases it. */
__attribute__((always_inline)) static inline struct fault_result
show_for_writing(struct anonymous *anonymous, struct region *region, uint64_t address,
                 struct table_place place, struct leaf *leaf, struct own *own)
{
    const void *shown = shown_as(region, leaf);
    entry_t before = entry_peek(place.entry);
    if (UNLIKELY(!entry_is_writable(entry_load(place.upper))) &&
        write_regained(region, &place, shown) && own->event == COUNTER_FAULT_RESIDENT) {
        table_place_unlock(&place);
        return resolved(COUNTER_FAULT_COW_REUSE);
    }
    if (own->event == COUNTER_FAULT_RESIDENT)
        own->event = event_of_owned(anonymous, entry_peek(place.entry));
    phys_t page = slot_phys(leaf->slots[region_slot(region, address) % LEAF_SLOTS]);
    page_directory_set(&place, entry_for(region, page, true), shown);
    table_place_unlock(&place);
    flush_replaced(region, address, before, page);
    anonymous_put_replaced(own->replaced);
    return resolved(own->event);
}

__attribute__((always_inline)) static inline struct fault_result
fault_write(struct anonymous *anonymous, struct region *region, uint64_t address)
    REQUIRES(anonymous->object.lock)
{
    struct table_place place;
    struct own own = OWN_NOTHING;
    uint64_t slot = region_slot(region, address);
    if (UNLIKELY(!page_directory_find_again(&region->space->directory, address, &place))) {
        struct fault_result result;
        if (write_without_table(anonymous, region, address, &place, &result))
            return result;
    }
    struct leaf *leaf = own_page(anonymous, region, slot, &own, NULL);
    if (UNLIKELY(!leaf)) {
        page_directory_prune(&region->space->directory, address);
        return out_of_memory();
    }
    if (UNLIKELY(!object_is_exclusive(&anonymous->object)) && own.event != COUNTER_FAULT_RESIDENT)
        object_unmap_slots_everywhere_but(&anonymous->object, slot, 1, region);
    /* What that removed may have been the last entry of the very table. */
    if (UNLIKELY(table_place_lock(&region->space->directory, address, &place) != OK)) {
        anonymous_put_replaced(own.replaced);
        return out_of_memory();
    }
    return show_for_writing(anonymous, region, address, place, leaf, &own);
}

/* --- faults of an object that is alone ------------------------------------------------------------------- */

/* There is no table for the address: makes it. True: the fault has ended, as *result says. */
__attribute__((noinline)) static bool add_place(struct anonymous *anonymous, struct region *region,
                                                uint64_t address, unsigned access,
                                                struct table_place *place,
                                                struct fault_result *result)
{
    lock_acquire(&anonymous->object.lock);
    bool over = (access & ACCESS_WRITE) != 0
                    ? write_without_table(anonymous, region, address, place, result)
                    : read_without_table(anonymous, region, address, place, result);
    lock_release(&anonymous->object.lock);
    return over;
}

/* Locks the place's table and makes the page ours alone. NULL: the table is not locked, and *result says why. */
__attribute__((always_inline)) static inline struct leaf *
lock_and_own(struct anonymous *anonymous, struct region *region, uint64_t slot,
             const struct table_place *place, struct own *own, struct fault_result *result)
{
    if (UNLIKELY(!table_lock(place->table))) {
        result->outcome = FAULT_AGAIN;
        return NULL;
    }
    struct leaf *leaf = own_page(anonymous, region, slot, own, place);
    if (UNLIKELY(!leaf))
        table_place_unlock(place);
    return leaf;
}

/* There is no leaf yet: the arrays that lead to it are the whole object's. */
__attribute__((noinline)) static struct leaf *
lock_and_own_first(struct anonymous *anonymous, struct region *region, uint64_t slot,
                   const struct table_place *place, struct own *own, struct fault_result *result)
{
    lock_acquire(&anonymous->object.lock);
    struct leaf *leaf = lock_and_own(anonymous, region, slot, place, own, result);
    lock_release(&anonymous->object.lock);
    return leaf;
}

/* Any write, but a usual one costs more than in write_alone(). at_hand: a cleared page that is left from there, or
 * PHYS_NONE. */
__attribute__((noinline)) static struct fault_result
write_any(struct anonymous *anonymous, struct region *region, uint64_t address, phys_t at_hand)
{
    struct page_directory *directory = &region->space->directory;
    struct table_place place;
    struct own own = {COUNTER_FAULT_RESIDENT, 0, at_hand};
    struct fault_result result = out_of_memory();
    uint64_t slot = region_slot(region, address);
    bool over = !page_directory_find_again(directory, address, &place) &&
                add_place(anonymous, region, address, ACCESS_WRITE, &place, &result);
    if (LIKELY(!over)) {
        struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
        leaf = leaf ? lock_and_own(anonymous, region, slot, &place, &own, &result)
                    : lock_and_own_first(anonymous, region, slot, &place, &own, &result);
        if (LIKELY(leaf != NULL))
            result = show_for_writing(anonymous, region, address, place, leaf, &own);
        else
            page_directory_prune(directory, address);
    }
    if (UNLIKELY(own.at_hand.value != PHYS_NONE.value))
        return_page(anonymous, 0, own.at_hand);
    return result;
}

/* The two usual writes: a fresh page, and a copy of one that others have, too. The table's lock guards the leaf that
 * it shows, which no other table does. A page is cleared before that is taken: that the slot is empty is a guess
 * until then. */
__attribute__((always_inline)) static inline struct fault_result
write_alone(struct anonymous *anonymous, struct region *region, uint64_t address)
{
    struct table_place place;
    phys_t page = PHYS_NONE;
    uint64_t slot = region_slot(region, address);
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    if (UNLIKELY(!leaf) ||
        UNLIKELY(!page_directory_find_again(&region->space->directory, address, &place)))
        return write_any(anonymous, region, address, page);
    bool filled = slot_seems_filled(leaf, slot);
    if (LIKELY(!filled) && UNLIKELY(new_page(anonymous, 0, &page) != OK))
        return out_of_memory();
    if (UNLIKELY(!table_lock(place.table)))
        return write_any(anonymous, region, address, page);

    leaf = slot_table_leaf(&anonymous->table, slot);
    struct frame *holder = leaf_frame(leaf);
    uint64_t *data = &leaf->slots[slot % LEAF_SLOTS];
    uint64_t old = *data;
    bool usual = !frame_is_shared(holder) && entry_is_writable(entry_load(place.upper)) &&
                 (filled ? old != 0 && frame_is_shared(slot_frame(old)) : old == 0);
    if (UNLIKELY(!usual) || (filled && UNLIKELY(new_page(anonymous, old, &page) != OK))) {
        table_place_unlock(&place);
        return write_any(anonymous, region, address, page);
    }
    entry_t before = entry_peek(place.entry);
    (void)slot_put(holder, data, page);
    page_directory_set(&place, entry_for(region, page, true), leaf);
    table_place_unlock(&place);
    flush_replaced(region, address, before, page);
    anonymous_put_replaced(old);
    return resolved(filled ? COUNTER_FAULT_COW_COPY : COUNTER_FAULT_ANON);
}

__attribute__((always_inline)) static inline struct fault_result
read_alone(struct anonymous *anonymous, struct region *region, uint64_t address)
{
    struct table_place place;
    struct fault_result result = out_of_memory();
    if (UNLIKELY(!page_directory_find_again(&region->space->directory, address, &place))) {
        struct table_place added;
        if (add_place(anonymous, region, address, ACCESS_READ, &added, &result))
            return result;
        place = added;
    }
    if (UNLIKELY(!table_lock(place.table)))
        return (struct fault_result){FAULT_AGAIN, COUNTER_FAULT_TOTAL};
    return show_for_reading(anonymous, region, address, place);
}

struct fault_result anonymous_fault(struct object *object, struct region *region, uint64_t address,
                                    unsigned access)
{
    struct anonymous *anonymous = anonymous_of(object);
    if (LIKELY(object_is_alone(object)))
        return (access & ACCESS_WRITE) != 0 ? write_alone(anonymous, region, address)
                                            : read_alone(anonymous, region, address);
    lock_acquire(&anonymous->object.lock);
    struct fault_result result = anonymous_fault_locked(anonymous, region, address, access);
    lock_release(&anonymous->object.lock);
    return result;
}

struct fault_result anonymous_fault_locked(struct anonymous *anonymous, struct region *region,
                                           uint64_t address, unsigned access)
{
    return (access & ACCESS_WRITE) != 0 ? fault_write(anonymous, region, address)
                                        : fault_read(anonymous, region, address);
}

/* --- pages with content from elsewhere ------------------------------------------------------------------- */

__attribute__((always_inline)) static inline struct leaf *
copy_in(struct anonymous *anonymous, struct region *region, uint64_t slot, phys_t source)
    REQUIRES(anonymous->object.lock)
{
    phys_t page;
    bool promised = anonymous->committed;
    if (UNLIKELY((promised ? frames_take_promised(&page) : frames_take(FRAME_DATA, &page)) != OK))
        return NULL;
    machine_page_copy(machine_phys_to_virt(page), machine_phys_to_virt(source));
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    if (UNLIKELY(!leaf || leaf_is_shared(leaf)))
        leaf = make_own_leaf(anonymous, region, slot, NULL, NULL);
    if (LIKELY(leaf))
        slot_fill(leaf_frame(leaf), &leaf->slots[slot % LEAF_SLOTS], page);
    else if (promised)
        frames_return_promised(page);
    else
        frames_give(page);
    return leaf;
}

struct leaf *anonymous_copy_in(struct anonymous *anonymous, struct region *region, uint64_t slot,
                               phys_t source)
{
    return copy_in(anonymous, region, slot, source);
}

struct fault_result anonymous_fault_copy(struct anonymous *anonymous, struct region *region,
                                         uint64_t address, struct table_place *place, phys_t source)
{
    uint64_t slot = region_slot(region, address);
    struct leaf *leaf = copy_in(anonymous, region, slot, source);
    if (UNLIKELY(!leaf))
        return out_of_memory();
    object_unmap_slot_elsewhere(&anonymous->object, slot, region);
    if (UNLIKELY(table_place_lock(&region->space->directory, address, place) != OK))
        return out_of_memory();
    if (UNLIKELY(!entry_is_writable(entry_load(place->upper)))) {
        table_place_unlock(place);
        struct fault_result result = fault_write(anonymous, region, address);
        result.event = COUNTER_FAULT_COW_COPY;
        return result;
    }
    entry_t before = entry_peek(place->entry);
    phys_t page = slot_phys(leaf->slots[slot % LEAF_SLOTS]);
    page_directory_set(place, entry_for(region, page, true), shown_as(region, leaf));
    table_place_unlock(place);
    flush_replaced(region, address, before, page);
    return resolved(COUNTER_FAULT_COW_COPY);
}
