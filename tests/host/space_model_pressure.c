/* Files, volatile memory, and little memory. See space_model.h.
 *
 * Concepts: which volatile memory is purged, and when, is the core's business. The model is told by the
 * object itself, whose operations it replaces; that the content is whole or gone is what it checks. */
#include "space_model.h"

#include <string.h>

#include "core/check.h"
#include "core/machine.h"
#include "core/mm/anonymous.h"
#include "core/mm/file.h"
#include "core/mm/mm.h"
#include "core/write_window.h"

/* --- volatile memory -------------------------------------------------------------------------------------- */

static const struct object_ops *real_ops;

static struct model_memory *purgeable_of(const struct object *object)
{
    struct model_memory *memory = model.purgeables;
    while (memory && memory->object != object)
        memory = memory->next_purgeable;
    return memory;
}

static uint64_t watched_reclaim(struct object *object, enum reclaim_stage stage, uint64_t wanted)
{
    uint64_t won = real_ops->reclaim(object, stage, wanted);
    struct model_memory *memory = purgeable_of(object);
    model_require(memory && (won == 0 || memory->is_volatile),
                  "an object that was not volatile is purged");
    if (won == 0)
        return 0;
    memset(memory->slots, 0, memory->page_count * sizeof *memory->slots);
    memory->purged = true;
    return won;
}

void model_purgeable_watch(struct model_memory *memory, struct object *object)
{
    static struct object_ops watched_ops;
    if (object->ops != &watched_ops)
        real_ops = object->ops;
    watched_ops = *real_ops;
    watched_ops.reclaim = watched_reclaim;
    object_write_begin();
    object->ops = &watched_ops;
    object_write_end();
    memory->purgeable = true;
    memory->object = object;
    memory->next_purgeable = model.purgeables;
    model.purgeables = memory;
}

void model_purgeable_forget(struct model_memory *memory)
{
    struct model_memory **link = &model.purgeables;
    while (*link != memory)
        link = &(*link)->next_purgeable;
    *link = memory->next_purgeable;
}

void model_purgeable_fork(struct model_space *child)
{
    for (uint64_t i = 0; i < model.config.page_count; i++) {
        struct model_memory *memory = child->pages[i].memory;
        if (!memory || !memory->purgeable || memory->object)
            continue;
        struct region *region =
            region_of_node(region_tree_find(&child->space->tree, address_of(i)));
        model_purgeable_watch(memory, region->object);
    }
}

/* Mostly a region that shows purgeable memory, if there is one behind the place that is drawn. */
static struct pages draw_purgeable(const struct model_space *at)
{
    struct pages pages = draw_pages();
    for (uint64_t i = pages.first; i < model.config.page_count && !one_in(64); i++) {
        if (at->pages[i].memory && at->pages[i].memory->purgeable)
            return (struct pages){i, model_region_end(at, i) - i};
    }
    return pages;
}

static result_t expect_volatile(const struct model_space *at, struct pages pages)
{
    const struct model_memory *memory = at->pages[pages.first].memory;
    result_t expected = OK;
    for (uint64_t i = 0; i < pages.count; i++) {
        const struct model_page *page = &at->pages[pages.first + i];
        if (page->state != PAGE_MAPPED)
            return ENOENT;
        if (page->memory != memory)
            expected = EINVAL;
    }
    return expected == OK && !memory->purgeable ? ENOTSUP : expected;
}

void model_do_volatile(struct model_space *at)
{
    struct pages pages = draw_purgeable(at);
    bool to_volatile = one_in(2);
    bool purged;
    result_t expected = expect_volatile(at, pages);
    model_begin();
    if (!model_ended(to_volatile ? "volatile" : "nonvolatile",
                     space_set_volatile(at->space, range_of(pages), to_volatile, &purged),
                     expected))
        return;
    struct model_memory *memory = at->pages[pages.first].memory;
    bool was_purged = memory->is_volatile && memory->purged;
    model_require(purged == was_purged, "%#llx: purged is %d",
                  (unsigned long long)address_of(pages.first), purged);
    if (to_volatile && !memory->is_volatile)
        memory->purged = false;
    memory->is_volatile = to_volatile;
}

/* --- files -------------------------------------------------------------------------------------------------- */

/* What is written back is read again when it has been reclaimed. */
void model_do_sync(struct model_space *at)
{
    struct pages pages = draw_pages();
    result_t expected = OK;
    for (uint64_t i = 0; i < pages.count; i++) {
        const struct model_page *page = &at->pages[pages.first + i];
        if (page->state != PAGE_MAPPED)
            expected = ENOENT;
        else if (expected == OK && !page->memory->is_file)
            expected = ENOTSUP;
    }
    model_begin();
    (void)model_ended("sync", space_sync(at->space, range_of(pages)), expected);
}

void model_do_truncate(struct model_space *at)
{
    struct model_memory *memory = model.named[draw(MODEL_NAMED_MAX)];
    (void)at;
    if (!memory || !memory->is_file)
        return;
    memory->file_pages -= draw(memory->file_pages) / 4;
    file_truncate(memory->named, memory->file_pages);
}

/* --- little memory -------------------------------------------------------------------------------------------- */

/* As an allocation would; then all content must be what it was, or gone where it may go. */
void model_do_reclaim(struct model_space *at)
{
    uint64_t wanted = 1 + draw(one_in(3) ? 3000 : 64);
    uint64_t free_bytes = mm_free_bytes();
    uint64_t won = mm_reclaim(wanted);
    (void)at;
    model_require(mm_free_bytes() >= free_bytes + won * PAGE_SIZE / 2 || won == 0,
                  "%llu pages were won, and %llu bytes are free where %llu were",
                  (unsigned long long)won, (unsigned long long)mm_free_bytes(),
                  (unsigned long long)free_bytes);
    mm_set_map_around(one_in(2) ? FILE_AROUND_MAX : 0);
    model_verify_content();
}

/* Takes or gives back most of the machine. What nobody writes to meanwhile need not be looked at. */
static bool squeeze(uint64_t free_bytes)
{
    unsigned level = check_level;
    result_t result = OK;
    (void)mm_free_bytes(); /* what the heap gives back is looked at */
    check_level = 0;
    if (free_bytes != 0)
        result = mm_squeeze(free_bytes);
    else
        mm_squeeze_end();
    check_level = level;
    return result == OK && free_bytes != 0;
}

void model_squeeze_end(void)
{
    if (model.squeezed)
        model.squeezed = squeeze(0);
}

void model_squeeze_or_not(void)
{
    if (!model.squeezed && one_in(15000)) {
        model.squeezed = squeeze((32 + draw(one_in(2) ? 150 : 1500)) * PAGE_SIZE);
    } else if (model.squeezed && one_in(1500)) {
        model_squeeze_end();
        model_verify_content();
    }
}
