/* Private memory over a file: anonymous memory whose empty slots show the file's pages, for reading.
 *
 *   read     slot empty      the cache's frame, never writable   fault.file_minor, fault.file_major
 *            slot has data   as anonymous memory
 *   write    slot empty      a frame of its own, copied          fault.cow_copy
 *            slot has data   as anonymous memory
 *
 * Fork, promises and write protection are those of anonymous memory, so what one side writes the other
 * does not see. An entry that shows the cache counts as one of the zero page: never writable, and of no
 * leaf. Locking: file.h. */
#include "core/mm/anonymous_type.h"
#include "core/mm/audit.h"
#include "core/mm/file.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/space.h"

struct file_private {
    struct anonymous anonymous;
    struct file *file;     /* holds a reference */
    uint64_t first_page;   /* of the file, at the object's first slot */
    struct list_node link; /* in file->privates, under the file's lock */
};

static const struct object_ops file_private_ops;

static struct file_private *private_of(struct object *object)
{
    return CONTAINER_OF(object, struct file_private, anonymous.object);
}

struct object *file_private_of_link(struct list_node *link)
{
    return &CONTAINER_OF(link, struct file_private, link)->anonymous.object;
}

static uint64_t page_of_slot(const struct file_private *private, uint64_t slot)
{
    return private->first_page + (slot - private->anonymous.object.phase);
}

/* --- life ------------------------------------------------------------------------------------------------ */

static struct file_private *alloc(struct file *file, uint64_t first_page, uint64_t page_count,
                                  uint16_t phase)
{
    struct file_private *private = heap_alloc(sizeof *private);
    if (!private)
        return NULL;
    *private = (struct file_private){.file = file, .first_page = first_page};
    struct object *object = &private->anonymous.object;
    object_init(object, &file_private_ops, page_count, phase);
    lock_init(&object->lock, RANK_OVERLAY, "private file");
    return private;
}

static void join_file(struct file_private *private)
{
    struct object *file = &private->file->object;
    object_get(file);
    lock_acquire(&file->lock);
    list_add_last(&private->file->privates, &private->link);
    lock_release(&file->lock);
}

result_t file_private_create(struct object *object, uint64_t first_page, uint64_t page_count,
                             bool commit, struct object **overlay)
{
    if (commit && frames_promise(page_count) != OK)
        return ENOMEM;
    struct file_private *private = alloc(file_of(object), first_page, page_count, 0);
    if (!private) {
        if (commit)
            frames_unpromise(page_count);
        return ENOMEM;
    }
    anonymous_init(&private->anonymous, commit ? COMMIT_ON : COMMIT_OFF);
    private->anonymous.object.company = OBJECT_WATCHED;
    join_file(private);
    *overlay = &private->anonymous.object;
    return OK;
}

static void private_release(struct object *object)
{
    struct file_private *private = private_of(object);
    struct object *file = &private->file->object;
    lock_acquire(&file->lock);
    list_remove(&private->link);
    lock_release(&file->lock);
    anonymous_fini(&private->anonymous);
    heap_free(private, sizeof *private);
    object_put(file);
}

static result_t private_fork(struct object *object, struct tlb_gather *gather, struct object **copy)
{
    struct file_private *parent = private_of(object);
    struct file_private *child =
        alloc(parent->file, parent->first_page, object->page_count, object->phase);
    if (!child)
        return ENOMEM;
    child->anonymous.object.company |= OBJECT_WATCHED;
    if (anonymous_fork_into(&parent->anonymous, &child->anonymous, gather) != OK) {
        heap_free(child, sizeof *child);
        return ENOMEM;
    }
    join_file(child);
    *copy = &child->anonymous.object;
    return OK;
}

/* --- faults ---------------------------------------------------------------------------------------------- */

/* In a locked table. */
static void set_cached(struct table_place *place, const struct region *region, phys_t frame)
{
    page_directory_set(place, entry_page(frame, entry_without_write(region->entry_bits), 1), NULL);
}

/* Maps what the file has of the aligned group around an address, where the object has nothing. */
static void map_around(struct file_private *private, struct region *region, uint64_t address,
                       const struct table_place *place)
    REQUIRES(private->file->object.lock, private->anonymous.object.lock)
{
    uint64_t group_bytes = (uint64_t)mm.map_around << PAGE_SHIFT;
    uint64_t low = address & ~(group_bytes - 1);
    uint64_t high = low + group_bytes;
    low = low > region->node.base ? low : region->node.base;
    high = high < region->node.end ? high : region->node.end;
    for (uint64_t at = low; at < high; at += PAGE_SIZE) {
        uint64_t slot = region_slot(region, at);
        struct table_place other = {place->upper,
                                    place->entry - (int64_t)(address - at) / (int64_t)PAGE_SIZE,
                                    place->table};
        phys_t frame = file_resident_page(private->file, page_of_slot(private, slot));
        if (frame.value != PHYS_NONE.value && !entry_is_present(entry_peek(other.entry)) &&
            !anonymous_has_page(&private->anonymous, slot))
            set_cached(&other, region, frame);
    }
}

__attribute__((always_inline)) static inline struct fault_result
read_cached(struct file_private *private, struct region *region, uint64_t address,
            struct table_place *place, phys_t frame)
    REQUIRES(private->file->object.lock, private->anonymous.object.lock)
{
    struct fault_result result = {FAULT_NOMEM, COUNTER_FAULT_TOTAL};
    if (UNLIKELY(table_place_lock(&region->space->directory, address, place) != OK))
        return result;
    result.outcome = FAULT_RESOLVED;
    entry_t before = entry_peek(place->entry);
    set_cached(place, region, frame);
    if (UNLIKELY(entry_is_present(before))) {
        machine_flush_page(virt(address)); /* it showed the same, or nothing else was allowed */
        if ((before & ~(ENTRY_ACCESSED | ENTRY_DIRTY)) == entry_peek(place->entry))
            result.event = COUNTER_FAULT_SPURIOUS;
    } else if (mm.map_around != 0) {
        map_around(private, region, address, place);
    }
    table_place_unlock(place);
    return result;
}

/* The slot had nothing, and the file's page is in `frame`. Somebody may have filled the slot meanwhile. */
__attribute__((always_inline)) static inline struct fault_result
fault_over(struct file_private *private, struct region *region, uint64_t address, unsigned access,
           struct table_place *place, phys_t frame)
    REQUIRES(private->file->object.lock, private->anonymous.object.lock)
{
    if (UNLIKELY(anonymous_has_page(&private->anonymous, region_slot(region, address))))
        return anonymous_fault_locked(&private->anonymous, region, address, access);
    return (access & ACCESS_WRITE) != 0
               ? anonymous_fault_copy(&private->anonymous, region, address, place, frame)
               : read_cached(private, region, address, place, frame);
}

/* Gets the file's page, then goes on with both locks. */
__attribute__((always_inline)) static inline struct fault_result
fault_through(struct file_private *private, struct region *region, uint64_t page, uint64_t address,
              unsigned access) REQUIRES(private->file->object.lock)
{
    struct page_directory *directory = &region->space->directory;
    struct table_place place;
    struct fault_result result = {FAULT_NOMEM, COUNTER_FAULT_TOTAL};
    enum counter event = COUNTER_FAULT_FILE_MINOR;
    if (UNLIKELY(!file_has_page(private->file, page)))
        return (struct fault_result){FAULT_BUS, COUNTER_FAULT_TOTAL};
    if (UNLIKELY(page_directory_reserve(directory, address, &place) != OK))
        return result;
    phys_t frame = file_resident_page(private->file, page);
    if (UNLIKELY(frame.value == PHYS_NONE.value))
        result.outcome = file_get_page(private->file, page, &event, &frame);
    if (LIKELY(frame.value != PHYS_NONE.value)) {
        lock_acquire(&private->anonymous.object.lock);
        result = fault_over(private, region, address, access, &place, frame);
        lock_release(&private->anonymous.object.lock);
        if (result.outcome != FAULT_RESOLVED)
            file_undo_read(private->file, page, event);
    }
    if (UNLIKELY(result.outcome != FAULT_RESOLVED))
        page_directory_prune(directory, address);
    else if (result.event == COUNTER_FAULT_TOTAL)
        result.event = event;
    return result;
}

/* False: the slot has nothing. */
static bool fault_on_own(struct file_private *private, struct region *region, uint64_t address,
                         unsigned access, struct fault_result *result)
{
    lock_acquire(&private->anonymous.object.lock);
    bool has_page = anonymous_has_page(&private->anonymous, region_slot(region, address));
    if (has_page)
        *result = anonymous_fault_locked(&private->anonymous, region, address, access);
    lock_release(&private->anonymous.object.lock);
    return has_page;
}

static struct fault_result private_fault(struct object *object, struct region *region,
                                         uint64_t address, unsigned access)
{
    struct file_private *private = private_of(object);
    struct fault_result result;
    uint64_t slot = region_slot(region, address);
    if (anonymous_seems_to_have_page(&private->anonymous, slot) &&
        fault_on_own(private, region, address, access, &result))
        return result;

    lock_acquire(&private->file->object.lock);
    result = fault_through(private, region, page_of_slot(private, slot), address, access);
    lock_release(&private->file->object.lock);
    return result;
}

/* --- access that bypasses page tables --------------------------------------------------------------------- */

static result_t page_over(struct file_private *private, struct region *region, uint64_t address,
                          enum page_use use, phys_t *page) REQUIRES(private->file->object.lock)
{
    uint64_t slot = region_slot(region, address);
    uint64_t file_page = page_of_slot(private, slot);
    enum counter event;
    enum fault_outcome outcome = file_get_page(private->file, file_page, &event, page);
    if (outcome == FAULT_NOMEM)
        return ENOMEM;
    if (outcome != FAULT_RESOLVED)
        return file_has_page(private->file, file_page) ? EIO : ERANGE;
    if (use == PAGE_FOR_READING)
        return OK;
    lock_acquire(&private->anonymous.object.lock);
    bool has_page = anonymous_has_page(&private->anonymous, slot) ||
                    anonymous_copy_in(&private->anonymous, region, slot, *page);
    result_t result = has_page ? OK : ENOMEM;
    if (result == OK) {
        anonymous_unmap_slot(&private->anonymous, region, address);
        result = anonymous_page_locked(&private->anonymous, region, address, use, page);
    }
    lock_release(&private->anonymous.object.lock);
    if (result != OK)
        file_undo_read(private->file, file_page, event);
    return result;
}

static result_t private_page(struct object *object, struct region *region, uint64_t address,
                             enum page_use use, phys_t *page)
{
    struct file_private *private = private_of(object);
    result_t result = OK;
    lock_acquire(&private->anonymous.object.lock);
    bool has_page = anonymous_has_page(&private->anonymous, region_slot(region, address));
    if (has_page)
        result = anonymous_page_locked(&private->anonymous, region, address, use, page);
    lock_release(&private->anonymous.object.lock);
    if (has_page)
        return result;

    lock_acquire(&private->file->object.lock);
    result = page_over(private, region, address, use, page);
    lock_release(&private->file->object.lock);
    return result;
}

/* --- what the file takes away ------------------------------------------------------------------------------ */

/* Removes what a region shows of the file's pages [low, end), and flushes once. Pages of its own stay. */
static void unmap_cached(struct file_private *private, struct region *region, uint64_t low,
                         uint64_t end) REQUIRES(private->anonymous.object.lock)
{
    uint64_t base = private->anonymous.object.phase - private->first_page;
    uint64_t first_slot = region_first_slot(region);
    uint64_t region_end = region_end_slot(region);
    uint64_t slot = base + low > first_slot ? base + low : first_slot;
    uint64_t stop = base + end < region_end ? base + end : region_end;
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    for (; slot < stop; slot++) {
        uint64_t row = slot;
        while (slot < stop && !anonymous_has_page(&private->anonymous, slot))
            slot++;
        uint64_t address = region_address(region, row);
        if (slot > row)
            page_directory_unmap(&region->space->directory, address,
                                 address + ((slot - row) << PAGE_SHIFT), &gather);
    }
    tlb_gather_flush(&gather, region->space);
}

/* Looks at a region's entry for a page of the file, and forgets that it was accessed. */
static bool was_accessed(struct file_private *private, struct region *region, uint64_t page)
    REQUIRES(private->anonymous.object.lock)
{
    struct table_place place;
    uint64_t slot = private->anonymous.object.phase + (page - private->first_page);
    if (slot < region_first_slot(region) || slot >= region_end_slot(region) ||
        anonymous_has_page(&private->anonymous, slot))
        return false;
    uint64_t address = region_address(region, slot);
    struct page_directory *directory = &region->space->directory;
    lock_acquire(&directory->lock);
    bool accessed = directory->table_count != 0 &&
                    page_directory_find(directory, address, &place) &&
                    entry_forget_access(place.entry);
    lock_release(&directory->lock);
    return accessed;
}

bool file_private_was_accessed(struct object *overlay, uint64_t page)
{
    struct file_private *private = private_of(overlay);
    bool accessed = false;
    if (page < private->first_page || page - private->first_page >= overlay->page_count)
        return false;
    lock_acquire(&private->anonymous.object.lock);
    const struct list_node *head = &overlay->regions;
    for (struct list_node *link = head->next; link != head; link = link->next)
        accessed |= was_accessed(private, region_of_link(link), page);
    lock_release(&private->anonymous.object.lock);
    return accessed;
}

void file_private_unmap(struct object *overlay, uint64_t first_page, uint64_t page_count)
{
    struct file_private *private = private_of(overlay);
    uint64_t low = first_page > private->first_page ? first_page : private->first_page;
    uint64_t end = private->first_page + overlay->page_count;
    if (first_page + page_count < end)
        end = first_page + page_count;
    lock_acquire(&private->anonymous.object.lock);
    const struct list_node *head = &overlay->regions;
    for (struct list_node *link = head->next; link != head && low < end; link = link->next)
        unmap_cached(private, region_of_link(link), low, end);
    lock_release(&private->anonymous.object.lock);
}

/* --- audit ------------------------------------------------------------------------------------------------- */

/* For the audit: nothing else runs, no locks. */
static const char *private_check_entry(struct object *object, uint64_t slot,
                                       uint64_t entry) NO_LOCK_ANALYSIS
{
    struct file_private *private = private_of(object);
    if (anonymous_has_page(&private->anonymous, slot))
        return anonymous_check_entry(object, slot, entry);
    phys_t frame = file_resident_page(private->file, page_of_slot(private, slot));
    if (entry_phys(entry).value != frame.value)
        return "shows another frame than its file has";
    return entry_is_writable(entry) ? "a page of a file is writable in private" : NULL;
}

static void private_audit(struct object *object, struct audit *audit)
{
    anonymous_audit(object, audit);
    audit_object(audit, &private_of(object)->file->object);
}

static const struct object_ops file_private_ops = {
    .name = "private file",
    .rights = PROT_READ | PROT_WRITE | PROT_EXEC,
    .set_phase = anonymous_set_phase,
    .fault = private_fault,
    .fork = private_fork,
    .release = private_release,
    .page = private_page,
    .reserve_discard = anonymous_reserve_discard,
    .prepare_discard = anonymous_prepare_discard,
    .discard = anonymous_discard,
    .forget = anonymous_forget,
    .extend = anonymous_extend,
    .resident = anonymous_resident,
    .check_entry = private_check_entry,
    .audit = private_audit,
};
