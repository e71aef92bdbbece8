/* The framebuffer memory type. See framebuffer.h.
 *
 * Invariants: page i has the face `face`, but the other one if i < switched; the shadow has frames
 * exactly while any page may show them; no entry shows a face that its page has not. */
#include "core/mm/framebuffer.h"

#include "core/crc32.h"
#include "core/display.h"
#include "core/mm/audit.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/linear.h"
#include "core/mm/space.h"
#include "core/mm/table_walk.h"

/* Pages that change faces at once: as long a fault may have to wait for the lock. A batch ends where a
 * large page of the device would, and so no large page ever shows two faces. */
#define BATCH_PAGES LARGE_PAGE_FRAMES
/* A stand-in has the size of a screen of 1024 x 768. */
#define STAND_IN_PAGES 768

struct framebuffer {
    struct object object;
    phys_t device;  /* immutable: of the screen, or, without one, a row of frames of our own */
    bool switching; /* the object's lock guards the rest */
    enum framebuffer_face face;
    uint64_t switched; /* pages that have the other face already */
    phys_t shadow;     /* a row of frames; PHYS_NONE: none */
};

static const struct object_ops framebuffer_ops;

static struct framebuffer *self(struct object *object)
{
    return CONTAINER_OF(object, struct framebuffer, object);
}

struct framebuffer *framebuffer_of(struct object *object)
{
    return object->ops == &framebuffer_ops ? self(object) : NULL;
}

phys_t framebuffer_device(struct object *object)
{
    return self(object)->device;
}

uint64_t framebuffer_page_count(void)
{
    return mm.screen_pages != 0 ? mm.screen_pages : STAND_IN_PAGES;
}

/* --- faces -------------------------------------------------------------------------------------------- */

static enum framebuffer_face face_of(const struct framebuffer *framebuffer, uint64_t page)
{
    return framebuffer->face ^ (page < framebuffer->switched);
}

static phys_t page_of_face(const struct framebuffer *framebuffer, enum framebuffer_face face,
                           uint64_t page)
{
    phys_t first = face == FACE_DEVICE ? framebuffer->device : framebuffer->shadow;
    return phys(first.value + (page << PAGE_SHIFT));
}

/* Where in 2 MiB the first page of either face lies. */
static uint64_t phase_of(const struct framebuffer *framebuffer)
{
    return (framebuffer->device.value >> PAGE_SHIFT) % LARGE_PAGE_FRAMES;
}

static phys_t page_at(const struct framebuffer *framebuffer, uint64_t page)
{
    return page_of_face(framebuffer, face_of(framebuffer, page), page);
}

/* Write-combining unless the region says otherwise; the shadow is memory like any other. */
static uint64_t cache_bits(const struct framebuffer *framebuffer, const struct region *region,
                           uint64_t page)
{
    if (face_of(framebuffer, page) == FACE_MEMORY)
        return 0;
    return region_cache_bits(region, CACHE_WRITE_COMBINING);
}

static uint32_t crc_of(const struct framebuffer *framebuffer, phys_t first)
{
    return crc32_update(0, machine_phys_to_virt(first),
                        framebuffer->object.page_count << PAGE_SHIFT);
}

uint32_t framebuffer_device_crc(struct framebuffer *framebuffer)
{
    return crc_of(framebuffer, framebuffer->device);
}

uint32_t framebuffer_memory_crc(struct framebuffer *framebuffer)
{
    if (framebuffer->shadow.value == PHYS_NONE.value)
        return 0;
    return crc_of(framebuffer, framebuffer->shadow);
}

/* --- entries ------------------------------------------------------------------------------------------- */

struct batch {
    struct framebuffer *framebuffer;
    uint64_t first; /* pages [first, end) */
    uint64_t end;
};

/* The part of the batch that a region shows, as addresses; empty if it shows none. */
static struct range shown_part(const struct region *region, const struct batch *batch)
{
    uint64_t first = region_first_slot(region);
    uint64_t end = region_end_slot(region);
    first = first > batch->first ? first : batch->first;
    end = end < batch->end ? end : batch->end;
    if (first >= end)
        return (struct range){0, 0};
    return (struct range){region_address(region, first), (end - first) << PAGE_SHIFT};
}

static struct table_walk walk_part(const struct region *region, struct range part)
{
    return table_walk(&region->space->directory, part.base, part.base + part.size_bytes);
}

/* The one entry that shows all of the part, present or suspended; NULL: there are small pages. */
static entry_t *large_entry(const struct region *region, struct range part)
{
    entry_t *entry;
    if (!region->large || part.size_bytes != TABLE_BYTES || part.base % TABLE_BYTES != 0 ||
        region->space->directory.table_count == 0 ||
        page_directory_descend(&region->space->directory, part.base, &entry) != 2)
        return NULL;
    entry_t value = entry_load(entry);
    return value != 0 && !entry_is_table(value) ? entry : NULL;
}

/* Of the table that the walk has come to. Other objects may have entries there, and faults. */
static entry_t *lock_entries(const struct table_walk *walk)
{
    entry_t *entries = table_walk_entries(walk);
    bool there = table_lock(frame_of_virt(entries));
    ASSERT(there); /* the directory's lock is held */
    return entries;
}

static void suspend_small(const struct region *region, struct range part, struct tlb_gather *gather)
{
    struct table_walk walk = walk_part(region, part);
    while (table_walk_next(&walk)) {
        entry_t *entries = lock_entries(&walk);
        for (unsigned i = table_walk_first(&walk); i < table_walk_last(&walk); i++) {
            entry_t entry = entry_load(&entries[i]);
            if (!entry_is_present(entry))
                continue;
            entry_store(&entries[i], entry_suspend(entry));
            tlb_gather_page(gather, walk.table_base + ((uint64_t)i << PAGE_SHIFT));
        }
        table_unlock(frame_of_virt(entries));
    }
}

/* The entries keep everything but that they are present, and their tables count them as if they were:
 * nothing has to be allocated to bring them back. */
static void take_entries(struct region *region, const struct batch *batch)
{
    struct page_directory *directory = &region->space->directory;
    struct range part = shown_part(region, batch);
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    lock_acquire(&directory->lock);
    entry_t *large = large_entry(region, part);
    if (large) {
        entry_store(large, entry_suspend(entry_load(large)));
        tlb_gather_page(&gather, part.base);
    } else {
        suspend_small(region, part, &gather);
    }
    lock_release(&directory->lock);
    tlb_gather_flush(&gather, region->space);
}

static entry_t resumed(const struct region *region, const struct batch *batch, entry_t entry,
                       uint64_t page)
{
    return entry_resume(entry, page_at(batch->framebuffer, page),
                        cache_bits(batch->framebuffer, region, page));
}

static void resume_small(const struct region *region, struct range part, const struct batch *batch)
{
    struct table_walk walk = walk_part(region, part);
    while (table_walk_next(&walk)) {
        entry_t *entries = lock_entries(&walk);
        for (unsigned i = table_walk_first(&walk); i < table_walk_last(&walk); i++) {
            if (!entry_is_suspended(entry_peek(&entries[i])))
                continue;
            uint64_t page = region_slot(region, walk.table_base + ((uint64_t)i << PAGE_SHIFT));
            entry_store(&entries[i], resumed(region, batch, entry_peek(&entries[i]), page));
        }
        table_unlock(frame_of_virt(entries));
    }
}

static void give_entries(struct region *region, const struct batch *batch)
{
    struct page_directory *directory = &region->space->directory;
    struct range part = shown_part(region, batch);
    lock_acquire(&directory->lock);
    entry_t *large = large_entry(region, part);
    if (large)
        entry_store(large, resumed(region, batch, *large, batch->first));
    else
        resume_small(region, part, batch);
    lock_release(&directory->lock);
}

static void for_each_region(const struct batch *batch,
                            void (*visit)(struct region *region, const struct batch *batch))
{
    const struct list_node *head = &batch->framebuffer->object.regions;
    for (struct list_node *link = head->next; link != head; link = link->next) {
        if (shown_part(region_of_link(link), batch).size_bytes != 0)
            visit(region_of_link(link), batch);
    }
}

/* --- switching -------------------------------------------------------------------------------------------- */

static void copy_batch(const struct batch *batch, enum framebuffer_face from)
{
    for (uint64_t page = batch->first; page < batch->end; page++)
        machine_page_copy(
            machine_phys_to_virt(page_of_face(batch->framebuffer, from ^ FACE_MEMORY, page)),
            machine_phys_to_virt(page_of_face(batch->framebuffer, from, page)));
}

/* Redirects first, copies then: what is written meanwhile waits, and is not lost behind the copy. */
static void switch_batch(struct framebuffer *framebuffer)
{
    uint64_t first = framebuffer->switched;
    uint64_t left = BATCH_PAGES - (phase_of(framebuffer) + first) % BATCH_PAGES;
    struct batch batch = {framebuffer, first, first + left};
    if (batch.end > framebuffer->object.page_count)
        batch.end = framebuffer->object.page_count;
    lock_acquire(&framebuffer->object.lock);
    for_each_region(&batch, take_entries);
    copy_batch(&batch, framebuffer->face);
    framebuffer->switched = batch.end;
    for_each_region(&batch, give_entries);
    lock_release(&framebuffer->object.lock);
}

/* The memory face has a shadow from here on, which lies as the device does: large pages stay large.
 * ENOMEM: nothing changed. */
static result_t make_shadow(struct framebuffer *framebuffer)
{
    phys_t first;
    uint64_t phase = phase_of(framebuffer);
    result_t result = frames_take_run(FRAME_DATA, phase + framebuffer->object.page_count,
                                      LARGE_PAGE_FRAMES, phys(0), &first);
    if (result != OK)
        return result;
    frames_give_run(first, phase);
    lock_acquire(&framebuffer->object.lock);
    framebuffer->shadow = phys(first.value + (phase << PAGE_SHIFT));
    lock_release(&framebuffer->object.lock);
    return OK;
}

static void free_shadow(struct framebuffer *framebuffer)
{
    lock_acquire(&framebuffer->object.lock);
    phys_t first = framebuffer->shadow;
    framebuffer->shadow = PHYS_NONE;
    lock_release(&framebuffer->object.lock);
    if (first.value != PHYS_NONE.value)
        frames_give_run(first, framebuffer->object.page_count);
}

/* Takes hold of the object for one switch. EBUSY: somebody has it. */
static result_t begin(struct framebuffer *framebuffer)
{
    lock_acquire(&framebuffer->object.lock);
    bool busy = framebuffer->switching;
    framebuffer->switching = true;
    lock_release(&framebuffer->object.lock);
    return busy ? EBUSY : OK;
}

static void end(struct framebuffer *framebuffer)
{
    lock_acquire(&framebuffer->object.lock);
    framebuffer->switching = false;
    lock_release(&framebuffer->object.lock);
}

static void switch_all(struct framebuffer *framebuffer)
{
    while (framebuffer->switched < framebuffer->object.page_count)
        switch_batch(framebuffer);
    lock_acquire(&framebuffer->object.lock);
    framebuffer->face ^= FACE_MEMORY;
    framebuffer->switched = 0;
    lock_release(&framebuffer->object.lock);
}

result_t framebuffer_switch(struct framebuffer *framebuffer, enum framebuffer_face face)
{
    result_t result = begin(framebuffer);
    if (result != OK)
        return result;
    if (framebuffer->face != face && face == FACE_MEMORY)
        result = make_shadow(framebuffer);
    if (framebuffer->face == face || result != OK) {
        end(framebuffer);
        return result;
    }

    if (face == FACE_DEVICE)
        display_leave();
    switch_all(framebuffer);
    if (face == FACE_MEMORY)
        display_return();
    else
        free_shadow(framebuffer);
    end(framebuffer);
    return OK;
}

/* --- the memory type --------------------------------------------------------------------------------------- */

/* The machine's screen, or frames of our own. ENOMEM. */
static result_t take_device(uint64_t page_count, phys_t *device)
{
    *device = mm.screen;
    if (mm.screen_pages != 0)
        return OK;
    return frames_take_run(FRAME_DATA, page_count, LARGE_PAGE_FRAMES, phys(0), device);
}

static void give_device(uint64_t page_count, phys_t device)
{
    if (mm.screen_pages == 0)
        frames_give_run(device, page_count);
}

result_t framebuffer_create(uint64_t page_count, struct object **object)
{
    phys_t device;
    if (page_count == 0)
        page_count = framebuffer_page_count();
    if (page_count > framebuffer_page_count())
        return ERANGE;
    if (mm.framebuffer != NULL)
        return EBUSY;
    if (take_device(page_count, &device) != OK)
        return ENOMEM;
    struct framebuffer *framebuffer = heap_alloc(sizeof *framebuffer);
    if (!framebuffer) {
        give_device(page_count, device);
        return ENOMEM;
    }

    object_init(&framebuffer->object, &framebuffer_ops, page_count, 0);
    framebuffer->device = device;
    framebuffer->switching = false;
    framebuffer->face = FACE_DEVICE;
    framebuffer->switched = 0;
    framebuffer->shadow = PHYS_NONE;
    mm.framebuffer = &framebuffer->object;
    display_leave();
    for (uint64_t page = 0; page < page_count; page++)
        machine_page_clear(machine_phys_to_virt(phys(device.value + (page << PAGE_SHIFT))));
    *object = &framebuffer->object;
    return OK;
}

static void release(struct object *object)
{
    struct framebuffer *framebuffer = self(object);
    free_shadow(framebuffer);
    give_device(object->page_count, framebuffer->device);
    heap_free(framebuffer, sizeof *framebuffer);
    mm.framebuffer = NULL;
    display_return();
}

static struct fault_result fault(struct object *object, struct region *region, uint64_t address,
                                 unsigned access)
{
    struct framebuffer *framebuffer = self(object);
    uint64_t page = region_slot(region, address);
    (void)access;
    lock_acquire(&object->lock);
    struct fault_result result = linear_show(object, region, address, page_at(framebuffer, page),
                                             cache_bits(framebuffer, region, page));
    lock_release(&object->lock);
    return result;
}

static result_t page_for(struct object *object, struct region *region, uint64_t address,
                         enum page_use use, phys_t *page)
{
    (void)use;
    lock_acquire(&object->lock);
    *page = page_at(self(object), region_slot(region, address));
    lock_release(&object->lock);
    return OK;
}

static const char *check_entry(struct object *object, uint64_t slot, uint64_t entry)
{
    if (entry_phys(entry).value != page_at(self(object), slot).value)
        return "shows a face that its page has not";
    return NULL;
}

static void audit_row(struct audit *audit, phys_t first, uint64_t page_count)
{
    for (uint64_t i = 0; i < page_count; i++)
        audit_count_frame(audit, frame_of(first) + i, FRAME_DATA);
}

static void audit_frames(struct object *object, struct audit *audit)
{
    const struct framebuffer *framebuffer = self(object);
    audit_count_heap_object(audit);
    if (mm.screen_pages == 0)
        audit_row(audit, framebuffer->device, object->page_count);
    if (framebuffer->shadow.value != PHYS_NONE.value)
        audit_row(audit, framebuffer->shadow, object->page_count);
}

static const struct object_ops framebuffer_ops = {
    .name = "framebuffer",
    .rights = PROT_READ | PROT_WRITE,
    .any_cache = true,
    .set_phase = linear_set_phase,
    .fault = fault,
    .fork = linear_fork,
    .release = release,
    .page = page_for,
    .resident = linear_resident,
    .check_entry = check_entry,
    .audit = audit_frames,
};
