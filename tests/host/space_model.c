/* The model itself: what spaces and memory are, and whether the real ones agree. See space_model.h. */
#include "space_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/machine.h"
#include "core/mm/mm.h"
#include "core/mm/object.h"

struct model model;
const uint64_t model_word_offsets[MODEL_WORDS] = {0, 2048, 4088};

void model_require(bool holds, const char *format, ...)
{
    char what[200];
    char text[300];
    va_list arguments;
    if (holds)
        return;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(text, sizeof text, "step %llu: %s", (unsigned long long)model.step, what);
    model.config.differs(text);
    abort();
}

/* --- memory ----------------------------------------------------------------------------------------------- */

struct model_memory *model_memory_create(uint64_t page_count, bool exclusive)
{
    struct model_memory *memory = calloc(1, sizeof *memory);
    model_require(memory != NULL, "no memory for the model");
    memory->slots = calloc(page_count, sizeof *memory->slots);
    model_require(memory->slots != NULL, "no memory for the model");
    memory->page_count = page_count;
    memory->rights = PROT_READ | PROT_WRITE | PROT_EXEC;
    memory->exclusive = exclusive;
    return memory;
}

struct model_memory *model_memory_over(struct model_memory *file, uint64_t first,
                                       uint64_t page_count)
{
    struct model_memory *memory = model_memory_create(page_count, true);
    memory->under = file;
    memory->under_first = first;
    return memory;
}

void model_memory_free_if_gone(struct model_memory *memory)
{
    if (memory->named || memory->shown_count != 0)
        return;
    if (memory->purgeable)
        model_purgeable_forget(memory);
    free(memory->slots);
    free(memory);
}

void model_memory_shown(struct model_memory *memory, int64_t more)
{
    struct model_memory *under = memory->under;
    memory->shown_count += (uint64_t)more;
    model_memory_free_if_gone(memory);
    if (under)
        model_memory_shown(under, more);
}

void model_memory_extend(struct model_memory *memory, uint64_t page_count)
{
    if (page_count <= memory->page_count)
        return;
    memory->slots = realloc(memory->slots, page_count * sizeof *memory->slots);
    model_require(memory->slots != NULL, "no memory for the model");
    memset(&memory->slots[memory->page_count], 0,
           (page_count - memory->page_count) * sizeof *memory->slots);
    memory->page_count = page_count;
}

/* --- spaces ------------------------------------------------------------------------------------------------ */

/* With rights that nothing else has, so that no other reservation is merged with it. */
static void reserve(struct space *space, uint64_t base, uint64_t end)
{
    virt_t at;
    struct map_args args = {
        .size_bytes = end - base,
        .prot = PROT_EXEC,
        .at = MAP_AT_FIXED,
        .address = base,
        .align_bytes = PAGE_SIZE,
        .unbacked = true,
    };
    model_require(space_map(space, &args, &at) == OK, "nothing reserved around the window");
}

void model_space_create(struct model_space *at)
{
    memset(at, 0, sizeof *at);
    model_require(space_create(&at->space) == OK, "no space");
    reserve(at->space, SPACE_USER_LOW, model.config.base);
    reserve(at->space, address_of(model.config.page_count), space_user_high());
}

static void release_page(struct model_page *page)
{
    struct model_memory *memory = page->memory;
    if (memory) {
        if (memory->exclusive)
            memset(&memory->slots[page->slot], 0, sizeof *memory->slots);
        model_memory_shown(memory, -1);
    }
    memset(page, 0, sizeof *page);
}

void model_unmap(struct model_space *at, struct pages pages)
{
    uint64_t end = pages.first + pages.count;
    for (uint64_t i = pages.first; i < end; i++)
        release_page(&at->pages[i]);
    if (end < model.config.page_count && at->pages[end].state != PAGE_FREE)
        at->pages[end].starts = true;
}

void model_space_destroy(struct model_space *at)
{
    space_destroy(at->space);
    model_unmap(at, (struct pages){0, model.config.page_count});
    at->space = NULL;
}

void model_show(struct model_space *at, struct pages pages, const struct model_page *page)
{
    for (uint64_t i = 0; i < pages.count; i++) {
        struct model_page *shown = &at->pages[pages.first + i];
        *shown = *page;
        shown->starts = i == 0;
        shown->slot = page->slot + (uint32_t)i;
        if (page->memory)
            model_memory_shown(page->memory, 1);
    }
}

/* What the child shows instead: one copy for all private pages of the same memory. That of volatile memory
 * is empty. */
static struct model_memory *copy_of(struct model_memory *memory)
{
    if (!memory->copy) {
        memory->copy = model_memory_create(memory->page_count, memory->exclusive);
        if (!memory->is_volatile)
            memcpy(memory->copy->slots, memory->slots, memory->page_count * sizeof *memory->slots);
        memory->copy->rights = memory->rights;
        memory->copy->under = memory->under;
        memory->copy->under_first = memory->under_first;
        memory->copy->purgeable = memory->purgeable;
        memory->copy->is_volatile = memory->copy->purged = memory->is_volatile;
    }
    return memory->copy;
}

void model_fork(const struct model_space *parent, struct model_space *child)
{
    for (uint64_t i = 0; i < model.config.page_count; i++) {
        const struct model_page *from = &parent->pages[i];
        struct model_page *to = &child->pages[i];
        *to = *from;
        if (!from->memory)
            continue;
        if (!from->shared && !from->memory->linear)
            to->memory = copy_of(from->memory);
        model_memory_shown(to->memory, 1);
    }
    for (uint64_t i = 0; i < model.config.page_count; i++) {
        const struct model_page *page = &parent->pages[i];
        if (!page->memory)
            continue;
        page->memory->copy = NULL;
        if (page->shared)
            page->memory->exclusive = false;
    }
    model_purgeable_fork(child);
}

/* --- regions ------------------------------------------------------------------------------------------------ */

uint64_t model_region_first(const struct model_space *at, uint64_t page)
{
    while (!at->pages[page].starts)
        page--;
    return page;
}

uint64_t model_region_end(const struct model_space *at, uint64_t page)
{
    page++;
    while (page < model.config.page_count && at->pages[page].state != PAGE_FREE &&
           !at->pages[page].starts)
        page++;
    return page;
}

/* Could the two pages be of one region? */
static bool fits(const struct model_page *left, const struct model_page *right)
{
    return left->state != PAGE_FREE && left->state == right->state && left->prot == right->prot &&
           left->shared == right->shared && left->large == right->large &&
           left->memory == right->memory && (!left->memory || left->slot + 1 == right->slot);
}

void model_protect(struct model_space *at, struct pages pages, unsigned prot)
{
    uint64_t end = pages.first + pages.count;
    uint64_t seam = model_region_first(at, pages.first);
    if (at->pages[pages.first].prot != prot && seam < pages.first) {
        at->pages[pages.first].starts = true;
        seam = pages.first + 1;
    }
    if (at->pages[end - 1].prot != prot && model_region_end(at, end - 1) > end)
        at->pages[end].starts = true;
    for (uint64_t i = pages.first; i < end; i++)
        at->pages[i].prot = (uint8_t)prot;
    for (; seam <= end && seam < model.config.page_count; seam++) {
        struct model_page *page = &at->pages[seam];
        if (seam > 0 && page->starts && fits(page - 1, page))
            page->starts = false;
    }
}

/* --- comparing ------------------------------------------------------------------------------------------------ */

const uint64_t *model_words(const struct model_page *page)
{
    const struct model_memory *memory = page->memory;
    if (memory->under && !memory->slots[page->slot].own)
        return memory->under->slots[memory->under_first + page->slot].words;
    return memory->slots[page->slot].words;
}

struct model_slot *model_written(const struct model_page *page)
{
    struct model_slot *slot = &page->memory->slots[page->slot];
    if (page->memory->under && !slot->own) {
        memcpy(slot->words, model_words(page), sizeof slot->words);
        slot->own = true;
    }
    return slot;
}

bool model_is_beyond(const struct model_page *page)
{
    const struct model_memory *memory = page->memory;
    if (memory->under)
        return !memory->slots[page->slot].own &&
               memory->under_first + page->slot >= memory->under->file_pages;
    return memory->is_file && page->slot >= memory->file_pages;
}

/* The page as it is read past page tables; when there is little memory others make room for it. */
static result_t read_page(struct region *region, uint64_t address, phys_t *frame)
{
    for (;;) {
        result_t result =
            region->object->ops->page(region->object, region, address, PAGE_FOR_READING, frame);
        if (result != ENOMEM || !model.squeezed)
            return result;
        if (mm_reclaim(64) == 0)
            model_squeeze_end();
    }
}

static void compare_content(const struct model_page *page, struct region *region, uint64_t address)
{
    phys_t frame;
    result_t result = read_page(region, address, &frame);
    model_require(result == (model_is_beyond(page) ? ERANGE : OK), "reading %#llx: %s",
                  (unsigned long long)address, result_name(result));
    if (result != OK)
        return;
    const char *bytes = machine_phys_to_virt(frame);
    for (unsigned i = 0; i < MODEL_WORDS; i++) {
        uint64_t found;
        uint64_t expected = model_words(page)[i];
        memcpy(&found, bytes + model_word_offsets[i], sizeof found);
        model_require(found == expected, "%#llx holds %#llx instead of %#llx",
                      (unsigned long long)(address + model_word_offsets[i]),
                      (unsigned long long)found, (unsigned long long)expected);
    }
}

static void compare_page(struct model_space *at, uint64_t index)
{
    const struct model_page *page = &at->pages[index];
    uint64_t address = address_of(index);
    struct region *region = region_of_node(region_tree_find(&at->space->tree, address));
    model_require((region != NULL) == (page->state != PAGE_FREE), "%#llx: region is %p",
                  (unsigned long long)address, (void *)region);
    if (!region)
        return;
    model_require(region->prot == page->prot && region->shared == page->shared,
                  "%#llx: rights %d, shared %d", (unsigned long long)address, region->prot,
                  region->shared);
    model_require(region->large == page->large, "%#llx: large pages are wanted, or not",
                  (unsigned long long)address);
    model_require((region->node.base == address) == page->starts,
                  "%#llx: the region starts at %#llx", (unsigned long long)address,
                  (unsigned long long)region->node.base);
    model_require((region->object != NULL) == (page->state == PAGE_MAPPED), "%#llx: object is %p",
                  (unsigned long long)address, (void *)region->object);
    if (!region->object)
        return;
    model_require(object_is_exclusive(region->object) == page->memory->exclusive,
                  "%#llx: the object is%s exclusive", (unsigned long long)address,
                  object_is_exclusive(region->object) ? "" : " not");
    compare_content(page, region, address);
}

static void compare_space(struct model_space *at)
{
    uint64_t regions = 2; /* what is reserved around the window */
    for (uint64_t i = 0; i < model.config.page_count; i++) {
        compare_page(at, i);
        regions += at->pages[i].starts;
    }
    model_require(space_region_count(at->space) == regions, "space %d has %llu regions, not %llu",
                  (int)(at - model.spaces), (unsigned long long)space_region_count(at->space),
                  (unsigned long long)regions);
}

void model_compare_after_failure(void)
{
    if (model.config.page_count <= MODEL_PAGES_SMALL && model.current && model.current->space)
        compare_space(model.current);
}

void model_verify_content(void)
{
    bool all = model.config.page_count <= MODEL_PAGES_SMALL;
    for (unsigned i = 0; i < model.config.spaces; i++) {
        struct model_space *at = &model.spaces[i];
        if (at->space && (all || at == model.current))
            compare_space(at);
    }
}

static void require_audit(void)
{
    struct audit_report report;
    model_require(mm_audit(&report), "audit: %s", report.text);
}

void space_model_compare(void)
{
    require_audit();
    for (unsigned i = 0; i < model.config.spaces; i++) {
        if (model.spaces[i].space)
            compare_space(&model.spaces[i]);
    }
}

/* --- life ------------------------------------------------------------------------------------------------------ */

void space_model_start(const struct space_model_config *config)
{
    memset(&model, 0, sizeof model);
    model.config = *config;
    model.free_bytes = mm_free_bytes();
}

void space_model_end(void)
{
    model_squeeze_end();
    mm_set_map_around(0);
    for (unsigned i = 0; i < model.config.spaces; i++) {
        if (model.spaces[i].space)
            model_space_destroy(&model.spaces[i]);
    }
    for (unsigned i = 0; i < MODEL_NAMED_MAX; i++) {
        struct model_memory *memory = model.named[i];
        if (!memory)
            continue;
        model_require(object_drop(memory->named) == OK, "an object is still mapped");
        memory->named = NULL;
        model_memory_free_if_gone(memory);
        model.named[i] = NULL;
    }
    require_audit();
    model_require(mm_committed_pages() == 0, "%llu pages are still promised",
                  (unsigned long long)mm_committed_pages());
    model_require(mm_free_bytes() == model.free_bytes, "%llu bytes are free, %llu were",
                  (unsigned long long)mm_free_bytes(), (unsigned long long)model.free_bytes);
}
