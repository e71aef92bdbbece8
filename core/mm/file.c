/* The file memory type: the cache, and regions that share it. See file.h. */
#include "core/mm/file.h"

#include "core/mm/audit.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/section.h"
#include "core/mm/space.h"

static const struct object_ops file_ops;
static const struct object_ops file_read_only_ops;

/* --- life ------------------------------------------------------------------------------------------------ */

static result_t create(struct block_device *device, struct ramdisk *ramdisk, uint64_t offset_bytes,
                       uint64_t page_count, struct object **object)
{
    struct file *file = heap_alloc(sizeof *file);
    if (!file)
        return ENOMEM;
    uint64_t device_bytes = block_device_bytes(device);
    uint64_t readable = device_bytes > offset_bytes ? device_bytes - offset_bytes : 0;
    *file = (struct file){
        .device = device,
        .ramdisk = ramdisk,
        .offset_bytes = offset_bytes,
        .readable_pages = page_ceil(readable) >> PAGE_SHIFT,
    };
    object_init(&file->object, device->ops->write ? &file_ops : &file_read_only_ops, page_count, 0);
    list_init(&file->privates);
    slot_table_init(&file->table, page_count);
    reclaim_enlist(&file->object, RECLAIM_LIST_CACHES);
    *object = &file->object;
    return OK;
}

result_t file_create(struct block_device *device, uint64_t offset_bytes, uint64_t page_count,
                     struct object **object)
{
    result_t result;
    if (page_count == 0 || !is_page_aligned(offset_bytes))
        return EINVAL;
    unsigned tries = reclaim_begin();
    do {
        result = create(device, NULL, offset_bytes, page_count, object);
    } while (reclaim_retry(result, &tries));
    return result;
}

static result_t create_on_ramdisk(uint64_t offset_bytes, uint64_t page_count,
                                  struct object **object)
{
    struct ramdisk *ramdisk;
    if (ramdisk_create((offset_bytes >> PAGE_SHIFT) + page_count, &ramdisk) != OK)
        return ENOMEM;
    if (create(&ramdisk->block, ramdisk, offset_bytes, page_count, object) == OK)
        return OK;
    ramdisk_destroy(ramdisk);
    return ENOMEM;
}

result_t file_create_on_ramdisk(uint64_t offset_bytes, uint64_t page_count, struct object **object)
{
    result_t result;
    uint64_t end_page;
    if (page_count == 0 || !is_page_aligned(offset_bytes) ||
        __builtin_add_overflow(offset_bytes >> PAGE_SHIFT, page_count, &end_page) ||
        end_page > UINT32_MAX)
        return EINVAL;
    unsigned tries = reclaim_begin();
    do {
        result = create_on_ramdisk(offset_bytes, page_count, object);
    } while (reclaim_retry(result, &tries));
    return result;
}

static void file_release(struct object *object)
{
    struct file *file = file_of(object);
    struct frame_batch batch;
    reclaim_delist(object);
    frame_batch_init(&batch);
    uint64_t freed = 0;
    uint64_t dropped = 0;
    slot_table_fini(&file->table, &batch, &freed, &dropped);
    frame_batch_end(&batch);
    if (file->ramdisk)
        ramdisk_destroy(file->ramdisk);
    heap_free(file, sizeof *file);
}

/* Slots are page indices whatever the address is. */
static void file_set_phase(struct object *object, uint16_t phase)
{
    (void)object;
    (void)phase;
}

/* --- reading --------------------------------------------------------------------------------------------- */

/* How many pages a miss reads: as many as it is worth, up to the next one that is there, and not what
 * would use up free memory. */
static unsigned choose_window(struct file *file, uint64_t page) REQUIRES(file->object.lock)
{
    uint64_t end = file->object.page_count < file->readable_pages ? file->object.page_count
                                                                  : file->readable_pages;
    unsigned wanted = 1;
    if (page == file->next_miss && file->ahead != 0)
        wanted = file->ahead * 2 < FILE_WINDOW_MAX ? file->ahead * 2 : FILE_WINDOW_MAX;
    if (frames_unpromised() < 4ull * FILE_WINDOW_MAX)
        wanted = 1;
    file->ahead = wanted;
    unsigned window = 1;
    /* One leaf at a time: the others may not be there yet. */
    while (window < wanted && page + window < end && (page + window) % LEAF_SLOTS != 0 &&
           file_slot_value(file, page + window) == 0)
        window++;
    return window;
}

static void give_frames(const phys_t *frames_taken, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        frames_give(frames_taken[i]);
}

/* Reads pages into fresh frames; past the device's last byte they are zero. */
static result_t read_frames(struct file *file, uint64_t page, unsigned count, const phys_t *taken)
{
    uint64_t start = file->offset_bytes + (page << PAGE_SHIFT);
    uint64_t bytes = (uint64_t)count << PAGE_SHIFT;
    uint64_t left = block_device_bytes(file->device) - start;
    if (left < bytes) {
        machine_page_clear(machine_phys_to_virt(taken[count - 1]));
        bytes = left;
    }
    return block_read(file->device, start, bytes, taken);
}

/* Puts frames into empty slots of one leaf. ENOMEM: nothing changed. */
static result_t put_frames(struct file *file, uint64_t page, unsigned count, const phys_t *taken)
    REQUIRES(file->object.lock)
{
    struct leaf *leaf;
    struct leaf *before;
    if (slot_table_own_leaf(&file->table, page, NULL, &leaf, &before) != OK)
        return ENOMEM;
    for (unsigned i = 0; i < count; i++)
        (void)slot_put(leaf_frame(leaf), &leaf->slots[(page + i) % LEAF_SLOTS], taken[i]);
    return OK;
}

static enum fault_outcome read_pages(struct file *file, uint64_t page, unsigned count)
    REQUIRES(file->object.lock)
{
    phys_t taken[FILE_WINDOW_MAX] = {};
    enum fault_outcome outcome = FAULT_NOMEM;
    unsigned have = 0;
    while (have < count && frames_take(FRAME_DATA, &taken[have]) == OK)
        have++;
    if (have == count) {
        result_t result = read_frames(file, page, count, taken);
        if (result != OK)
            outcome = FAULT_BUS;
        else if (put_frames(file, page, count, taken) == OK)
            return FAULT_RESOLVED;
    }
    give_frames(taken, have);
    return outcome;
}

/* What was read ahead must not fail what was asked for. Then reading ahead begins anew: a disk may take
 * long for each page that it cannot read. */
static enum fault_outcome read_window(struct file *file, uint64_t page) REQUIRES(file->object.lock)
{
    unsigned window = choose_window(file, page);
    enum fault_outcome outcome = read_pages(file, page, window);
    if (outcome == FAULT_BUS && window > 1) {
        window = file->ahead = 1;
        outcome = read_pages(file, page, 1);
    }
    if (outcome == FAULT_RESOLVED) {
        file->window = window;
        file->next_miss = page + window;
    }
    return outcome;
}

enum fault_outcome file_get_page(struct file *file, uint64_t page, enum counter *event,
                                 phys_t *frame)
{
    if (!file_has_page(file, page))
        return FAULT_BUS;
    uint64_t slot = file_slot_value(file, page);
    *event = COUNTER_FAULT_FILE_MINOR;
    if (UNLIKELY(slot == 0)) {
        enum fault_outcome outcome = read_window(file, page);
        if (outcome != FAULT_RESOLVED)
            return outcome;
        *event = COUNTER_FAULT_FILE_MAJOR;
        slot = file_slot_value(file, page);
    }
    *frame = slot_phys(slot);
    return FAULT_RESOLVED;
}

void file_undo_read(struct file *file, uint64_t page, enum counter event)
{
    if (event != COUNTER_FAULT_FILE_MAJOR)
        return;
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    frame_batch_init(&batch);
    slot_table_drop(&file->table, page, file->window, &batch, &freed, &dropped);
    frame_batch_end(&batch);
    file->ahead = 0;
}

/* --- writing --------------------------------------------------------------------------------------------- */

/* The bytes of pages that the device has. */
static uint64_t device_part(const struct file *file, uint64_t page, uint64_t count)
{
    uint64_t start = file->offset_bytes + (page << PAGE_SHIFT);
    uint64_t left = block_device_bytes(file->device) - start;
    return count << PAGE_SHIFT < left ? count << PAGE_SHIFT : left;
}

/* The resident page may be written from here on. ENOMEM: it may not. */
static result_t make_dirty(struct file *file, uint64_t page) REQUIRES(file->object.lock)
{
    uint64_t *slot = file_slot(file, page);
    if ((*slot & SLOT_DIRTY) != 0)
        return OK;
    if ((*slot & SLOT_RESERVED) == 0 &&
        block_reserve(file->device, file->offset_bytes + (page << PAGE_SHIFT),
                      device_part(file, page, 1)) != OK)
        return ENOMEM;
    *slot |= SLOT_DIRTY | SLOT_RESERVED;
    return OK;
}

/* The part of a region that shows pages [page, page + count), as addresses. Empty: none. */
static struct range shown_range(const struct region *region, uint64_t page, uint64_t count)
{
    uint64_t first = region_first_slot(region);
    uint64_t end = region_end_slot(region);
    uint64_t low = page > first ? page : first;
    uint64_t high = page + count < end ? page + count : end;
    if (low >= high)
        return (struct range){0};
    return (struct range){region_address(region, low), (high - low) << PAGE_SHIFT};
}

/* Afterwards a write to these pages is a fault, everywhere. */
static void write_protect(struct file *file, uint64_t page, uint64_t count)
    REQUIRES(file->object.lock)
{
    const struct list_node *head = &file->object.regions;
    for (struct list_node *link = head->next; link != head; link = link->next) {
        struct region *region = region_of_link(link);
        struct range range = shown_range(region, page, count);
        struct tlb_gather gather;
        if (range.size_bytes == 0 || (region->prot & PROT_WRITE) == 0)
            continue;
        tlb_gather_init(&gather);
        page_directory_protect(&region->space->directory, range.base, range.base + range.size_bytes,
                               entry_without_write(region->entry_bits), &gather);
        tlb_gather_flush(&gather, region->space);
    }
}

result_t file_write_back(struct file *file, uint64_t page, unsigned count)
{
    phys_t pages[FILE_WRITE_MAX];
    write_protect(file, page, count);
    for (unsigned i = 0; i < count; i++)
        pages[i] = slot_phys(*file_slot(file, page + i));
    result_t result = block_write(file->device, file->offset_bytes + (page << PAGE_SHIFT),
                                  device_part(file, page, count), pages);
    for (unsigned i = 0; i < count && result == OK; i++)
        *file_slot(file, page + i) &= ~SLOT_DIRTY;
    return result == OK ? OK : EIO;
}

static unsigned count_dirty(const struct file *file, uint64_t page, uint64_t end)
    REQUIRES(file->object.lock)
{
    unsigned count = 0;
    while (count < FILE_WRITE_MAX && page + count < end &&
           (file_slot_value(file, page + count) & SLOT_DIRTY) != 0)
        count++;
    return count;
}

static result_t file_sync(struct object *object, uint64_t first_slot, uint64_t slot_count)
{
    struct file *file = file_of(object);
    result_t result = OK;
    lock_acquire(&file->object.lock);
    uint64_t end =
        first_slot + slot_count < object->page_count ? first_slot + slot_count : object->page_count;
    for (uint64_t page = first_slot; page < end && result == OK;) {
        unsigned count = count_dirty(file, page, end);
        if (count != 0)
            result = file_write_back(file, page, count);
        page += count != 0 ? count : 1;
        if (count == 0 && !slot_table_leaf(&file->table, page))
            page = (page | (LEAF_SLOTS - 1)) + 1;
    }
    lock_release(&file->object.lock);
    return result;
}

/* --- faults ---------------------------------------------------------------------------------------------- */

static inline entry_t entry_for(const struct region *region, uint64_t slot)
{
    uint64_t bits = region->entry_bits;
    if ((slot & SLOT_DIRTY) == 0)
        bits = entry_without_write(bits);
    return entry_page(slot_phys(slot), bits, 1);
}

/* Writes an entry of a locked table that shows slots at whatever index. */
static inline void set_entry(struct table_place *place, entry_t entry)
{
    if (UNLIKELY(!entry_is_writable(entry_load(place->upper))))
        page_directory_settle(place);
    page_directory_set(place, entry, TABLE_MIXED);
}

/* Maps the resident neighbours in the aligned group around an address that is mapped. */
static void map_around(struct file *file, struct region *region, uint64_t address,
                       const struct table_place *place) REQUIRES(file->object.lock)
{
    uint64_t group_bytes = (uint64_t)mm.map_around << PAGE_SHIFT;
    uint64_t low = address & ~(group_bytes - 1);
    uint64_t high = low + group_bytes;
    low = low > region->node.base ? low : region->node.base;
    high = high < region->node.end ? high : region->node.end;
    for (uint64_t at = low; at < high; at += PAGE_SIZE) {
        struct table_place other = {place->upper,
                                    place->entry - (int64_t)(address - at) / (int64_t)PAGE_SIZE,
                                    place->table};
        uint64_t slot = file_slot_value(file, region_slot(region, at));
        if (slot != 0 && !entry_is_present(entry_peek(other.entry)))
            set_entry(&other, entry_for(region, slot));
    }
}

/* Makes the page resident, and dirty for a write. What this read goes again when it fails. */
static enum fault_outcome prepare(struct file *file, uint64_t page, unsigned access,
                                  enum counter *event) REQUIRES(file->object.lock)
{
    phys_t frame;
    enum fault_outcome outcome = file_get_page(file, page, event, &frame);
    if (outcome != FAULT_RESOLVED || (access & ACCESS_WRITE) == 0)
        return outcome;
    if (make_dirty(file, page) == OK)
        return FAULT_RESOLVED;
    file_undo_read(file, page, *event);
    return FAULT_NOMEM;
}

static struct fault_result fault_locked(struct file *file, struct region *region, uint64_t address,
                                        unsigned access) REQUIRES(file->object.lock)
{
    struct table_place place;
    struct fault_result result = {FAULT_NOMEM, COUNTER_FAULT_TOTAL};
    uint64_t page = region_slot(region, address);
    if (UNLIKELY(!file_has_page(file, page)))
        return (struct fault_result){FAULT_BUS, COUNTER_FAULT_TOTAL};
    if (page_directory_reserve(&region->space->directory, address, &place) != OK)
        return result;
    uint64_t *slot = file_slot(file, page);
    uint64_t needed = (access & ACCESS_WRITE) != 0 ? SLOT_RESERVED : SLOT_PRESENT;
    result = (struct fault_result){FAULT_RESOLVED, COUNTER_FAULT_FILE_MINOR};
    if (LIKELY(slot && (*slot & needed) != 0)) {
        *slot |= (access & ACCESS_WRITE) != 0 ? SLOT_DIRTY : 0;
    } else {
        result.outcome = prepare(file, page, access, &result.event);
        if (UNLIKELY(result.outcome != FAULT_RESOLVED)) {
            page_directory_prune(&region->space->directory, address);
            return result;
        }
        slot = file_slot(file, page);
    }

    if (UNLIKELY(table_place_lock(&region->space->directory, address, &place) != OK))
        return (struct fault_result){FAULT_NOMEM, COUNTER_FAULT_TOTAL};
    entry_t entry = entry_for(region, *slot);
    entry_t before = entry_peek(place.entry);
    set_entry(&place, entry);
    if (entry_is_present(before)) {
        machine_flush_page(virt(address));
        if ((before & ~(ENTRY_ACCESSED | ENTRY_DIRTY)) == entry)
            result.event = COUNTER_FAULT_SPURIOUS;
    } else if (mm.map_around != 0 && (access & ACCESS_WRITE) == 0) {
        map_around(file, region, address, &place);
    }
    table_place_unlock(&place);
    return result;
}

static struct fault_result file_fault(struct object *object, struct region *region,
                                      uint64_t address, unsigned access)
{
    struct file *file = file_of(object);
    lock_acquire(&file->object.lock);
    struct fault_result result = fault_locked(file, region, address, access);
    lock_release(&file->object.lock);
    return result;
}

/* Only regions that share show the file itself, and those share it with a child. */
static result_t file_fork(struct object *object, struct tlb_gather *gather, struct object **copy)
{
    (void)gather;
    object_get(object);
    *copy = object;
    return OK;
}

/* ERANGE past the end, EIO when it cannot be read. */
static result_t file_page(struct object *object, struct region *region, uint64_t address,
                          enum page_use use, phys_t *page)
{
    struct file *file = file_of(object);
    enum counter event;
    uint64_t index = region_slot(region, address);
    result_t result = OK;
    if (use == PAGE_FOR_WRITING && (object->ops->rights & PROT_WRITE) == 0)
        return EACCES;
    lock_acquire(&file->object.lock);
    enum fault_outcome outcome =
        prepare(file, index, use == PAGE_FOR_WRITING ? ACCESS_WRITE : ACCESS_READ, &event);
    if (outcome == FAULT_RESOLVED)
        *page = file_resident_page(file, index);
    else if (outcome == FAULT_NOMEM)
        result = ENOMEM;
    else
        result = file_has_page(file, index) ? EIO : ERANGE;
    lock_release(&file->object.lock);
    return result;
}

/* --- truncation ------------------------------------------------------------------------------------------ */

void file_unmap_everywhere(struct file *file, uint64_t page, uint64_t count)
{
    struct list_node *head = &file->object.regions;
    for (struct list_node *link = head->next; link != head; link = link->next) {
        struct region *region = region_of_link(link);
        struct range range = shown_range(region, page, count);
        struct tlb_gather gather;
        if (range.size_bytes == 0)
            continue;
        tlb_gather_init(&gather);
        page_directory_unmap(&region->space->directory, range.base, range.base + range.size_bytes,
                             &gather);
        tlb_gather_flush(&gather, region->space);
    }
    head = &file->privates;
    for (struct list_node *link = head->next; link != head; link = link->next)
        file_private_unmap(file_private_of_link(link), page, count);
}

void file_truncate(struct object *object, uint64_t page_count)
{
    struct file *file = file_of(object);
    struct frame_batch batch;
    uint64_t freed = 0;
    uint64_t dropped = 0;
    frame_batch_init(&batch);
    lock_acquire(&file->object.lock);
    if (page_count < object->page_count) {
        uint64_t count = object->page_count - page_count;
        file_unmap_everywhere(file, page_count, count);
        slot_table_drop(&file->table, page_count, count, &batch, &freed, &dropped);
        object->page_count = page_count;
    }
    lock_release(&file->object.lock);
    frame_batch_end(&batch);
    section_drain();
}

/* --- figures, audit -------------------------------------------------------------------------------------- */

static uint64_t file_resident(const struct object *object)
{
    return slot_table_resident(&CONTAINER_OF(object, struct file, object)->table);
}

static uint64_t file_other_regions(struct object *object)
{
    const struct list_node *head = &file_of(object)->privates;
    uint64_t count = 0;
    for (struct list_node *link = head->next; link != head; link = link->next)
        count += object_region_count(file_private_of_link(link));
    return count;
}

/* For the audit: nothing else runs, no locks. */
static const char *file_check_entry(struct object *object, uint64_t slot,
                                    uint64_t entry) NO_LOCK_ANALYSIS
{
    uint64_t value = file_slot_value(file_of(object), slot);
    if (value == 0)
        return "shows a page that its file does not have";
    if (entry_phys(entry).value != slot_phys(value).value)
        return "shows another frame than its file has";
    return entry_is_writable(entry) && (value & SLOT_DIRTY) == 0 ? "is writable and not dirty"
                                                                 : NULL;
}

static void file_audit(struct object *object, struct audit *audit)
{
    struct file *file = file_of(object);
    audit_count_heap_object(audit);
    audit_count_slots(audit, &file->table);
    if (file->ramdisk)
        ramdisk_audit(file->ramdisk, audit);
}

#define FILE_OPERATIONS                                                                            \
    .set_phase = file_set_phase, .fault = file_fault, .fork = file_fork, .release = file_release,  \
    .page = file_page, .resident = file_resident, .check_entry = file_check_entry,                 \
    .audit = file_audit, .other_regions = file_other_regions, .make_private = file_private_create, \
    .reclaim = file_reclaim, .overhangs = true

static const struct object_ops file_ops = {
    .name = "file",
    .rights = PROT_READ | PROT_WRITE | PROT_EXEC,
    .sync = file_sync,
    FILE_OPERATIONS,
};

static const struct object_ops file_read_only_ops = {
    .name = "read-only file",
    .rights = PROT_READ | PROT_EXEC,
    FILE_OPERATIONS,
};
