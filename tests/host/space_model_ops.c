/* The operations of the model: each is drawn, done to the space, and done to the model if it succeeded.
 * See space_model.h. */
#include "space_model.h"

#include <string.h>

#include "core/machine.h"
#include "core/mm/anonymous.h"
#include "core/mm/contiguous.h"
#include "core/mm/file.h"
#include "core/mm/mm.h"
#include "core/mm/object.h"
#include "core/mm/physical.h"

#define NO_PLACE MODEL_PAGES_MAX
/* Files begin at this page of their disk. */
#define FILE_FIRST_PAGE 3ull
#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)

/* --- drawing ---------------------------------------------------------------------------------------------- */

/* Mostly a whole region. */
static struct pages draw_region(const struct model_space *at)
{
    struct pages pages = draw_pages();
    if (at->pages[pages.first].state == PAGE_FREE || one_in(8))
        return pages;
    uint64_t end = model_region_end(at, pages.first);
    uint64_t first = model_region_first(at, pages.first);
    return (struct pages){first, end - first};
}

static unsigned draw_prot(void)
{
    static const uint8_t prots[] = {
        PROT_NONE,
        PROT_READ,
        PROT_READ | PROT_WRITE,
        PROT_READ | PROT_WRITE,
        PROT_READ | PROT_WRITE,
        PROT_READ | PROT_EXEC,
        PROT_READ | PROT_WRITE | PROT_EXEC,
    };
    return prots[draw(ARRAY_COUNT(prots))];
}

static struct model_space *choose_space(void)
{
    if (!model.current || !model.current->space || one_in(12)) {
        model.current = &model.spaces[draw(model.config.spaces)];
        if (!model.current->space) {
            model_squeeze_end();
            model_space_create(model.current);
        }
    }
    return model.current;
}

/* --- placing ------------------------------------------------------------------------------------------------ */

static bool is_free(const struct model_space *at, struct pages pages)
{
    for (uint64_t i = 0; i < pages.count; i++) {
        if (at->pages[pages.first + i].state != PAGE_FREE)
            return false;
    }
    return true;
}

/* The lowest fit in the window, or NO_PLACE. */
static uint64_t first_fit(const struct model_space *at, uint64_t count, uint64_t align)
{
    uint64_t run = 0;
    for (uint64_t end = 1; end <= model.config.page_count; end++) {
        run = at->pages[end - 1].state == PAGE_FREE ? run + 1 : 0;
        if (run >= count && address_of(end - count) % align == 0)
            return end - count;
    }
    return NO_PLACE;
}

/* Where it must have been placed; NO_PLACE with *result: nowhere. With MAP_AT_RANDOM only whether. */
static uint64_t expect_place(const struct model_space *at, const struct map_args *args,
                             result_t *result)
{
    uint64_t count = args->size_bytes / PAGE_SIZE;
    *result = OK;
    if (args->at == MAP_AT_FIXED) {
        uint64_t first = (args->address - model.config.base) / PAGE_SIZE;
        if (args->if_taken == IF_TAKEN_REPLACE || is_free(at, (struct pages){first, count}))
            return first;
        *result = args->if_taken == IF_TAKEN_REFUSE ? EEXIST : OK;
        if (*result != OK)
            return NO_PLACE;
    }
    bool wants_aligned =
        args->large && args->at == MAP_AT_ANY && count >= 512 && args->align_bytes < TABLE_BYTES;
    uint64_t first = wants_aligned ? first_fit(at, count, TABLE_BYTES) : NO_PLACE;
    if (first == NO_PLACE)
        first = first_fit(at, count, args->align_bytes);
    if (first == NO_PLACE)
        *result = ENOMEM;
    return first;
}

/* Where it is, which must be where it was expected, or any place that was free. */
static uint64_t placed(const struct model_space *at, const struct map_args *args, uint64_t expected,
                       virt_t base)
{
    uint64_t first = (base.value - model.config.base) / PAGE_SIZE;
    uint64_t count = args->size_bytes / PAGE_SIZE;
    if (args->at == MAP_AT_RANDOM)
        model_require(base.value >= model.config.base && base.value % args->align_bytes == 0 &&
                          first + count <= model.config.page_count &&
                          is_free(at, (struct pages){first, count}),
                      "placed at random at %#llx", (unsigned long long)base.value);
    else
        model_require(first == expected, "placed at %#llx instead of %#llx",
                      (unsigned long long)base.value, (unsigned long long)address_of(expected));
    return first;
}

static void draw_place(struct map_args *args, uint64_t first)
{
    static const uint8_t at[] = {MAP_AT_ANY, MAP_AT_ANY, MAP_AT_FIXED, MAP_AT_FIXED, MAP_AT_RANDOM};
    args->at = (enum map_at)at[draw(ARRAY_COUNT(at))];
    args->address = address_of(first);
    args->if_taken = (enum if_taken)draw(3);
    args->align_bytes = PAGE_SIZE;
    if (args->at != MAP_AT_FIXED && one_in(3))
        args->align_bytes = PAGE_SIZE << draw(11);
}

/* --- map, unmap, protect ------------------------------------------------------------------------------------ */

/* Chooses what to map of a named object; false if there is none. */
static bool draw_object(struct map_args *args, struct model_memory **memory)
{
    *memory = model.named[draw(MODEL_NAMED_MAX)];
    if (!*memory)
        return false;
    uint64_t offset = draw(model_object_pages(*memory));
    uint64_t rest = model_object_pages(*memory) - offset;
    if (args->size_bytes / PAGE_SIZE > rest && !one_in(10))
        args->size_bytes = rest * PAGE_SIZE;
    args->object = (*memory)->named;
    args->offset_bytes = offset * PAGE_SIZE;
    if (!one_in(10))
        args->prot &= (*memory)->rights;
    return true;
}

/* All of a named object, where a table begins: 2 MiB pages may fit. False if the window is too small. */
static bool draw_whole_object(struct map_args *args, struct model_memory **memory)
{
    struct model_memory *whole = model.named[draw(MODEL_NAMED_MAX)];
    uint64_t page_count = whole ? model_object_pages(whole) : 0;
    if (!whole || page_count > model.config.page_count)
        return false;
    uint64_t last = address_of(model.config.page_count - page_count);
    uint64_t address = args->address & ~(TABLE_BYTES - 1);
    args->at = MAP_AT_FIXED;
    args->address = address >= model.config.base && address <= last ? address : last;
    args->if_taken = IF_TAKEN_REPLACE;
    args->align_bytes = PAGE_SIZE;
    args->object = whole->named;
    args->size_bytes = page_count * PAGE_SIZE;
    args->prot &= whole->rights;
    *memory = whole;
    return true;
}

static result_t expect_object(const struct map_args *args, const struct model_memory *memory)
{
    if (!memory->is_file && args->offset_bytes + args->size_bytes > memory->page_count * PAGE_SIZE)
        return ERANGE;
    return (args->prot & ~memory->rights) != 0 ? EACCES : OK;
}

/* What a region shows that was mapped so: a private one of a file memory of its own, over it. */
static struct model_page page_of_map(struct model_memory *memory, const struct map_args *args)
{
    struct model_page page = {.memory = memory,
                              .slot = (uint32_t)(args->offset_bytes / PAGE_SIZE),
                              .state = args->unbacked ? PAGE_UNBACKED : PAGE_MAPPED,
                              .prot = (uint8_t)args->prot,
                              .shared = args->shared,
                              .large = args->large};
    uint64_t page_count = args->size_bytes / PAGE_SIZE;
    if (!memory && !args->unbacked) {
        page.memory = model_memory_create(page_count, true);
    } else if (memory && memory->is_file) {
        model_memory_extend(memory, page.slot + page_count);
        if (!args->shared) {
            page.memory = model_memory_over(memory, page.slot, page_count);
            page.slot = 0;
            page.large = false;
        }
    }
    return page;
}

/* Every page was accessed, by a write if the region can be written. Returns how many there are. */
static uint64_t populate(struct model_space *at, struct pages pages)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < pages.count; i++) {
        const struct model_page *page = &at->pages[pages.first + i];
        if (!page->memory || page->prot == PROT_NONE || model_is_beyond(page))
            continue;
        count++;
        if ((page->prot & PROT_WRITE) != 0)
            (void)model_written(page);
    }
    return count;
}

static void do_map(struct model_space *at)
{
    struct pages pages = draw_pages();
    struct model_memory *memory = NULL;
    struct map_args args = {
        .size_bytes = pages.count * PAGE_SIZE,
        .prot = draw_prot(),
        .commit = one_in(2),
        .populate = one_in(4),
        .shared = one_in(3),
    };
    draw_place(&args, pages.first);
    bool named =
        one_in(16) ? draw_whole_object(&args, &memory) : one_in(3) && draw_object(&args, &memory);
    args.unbacked = !named && one_in(8);
    pages.first = (args.address - model.config.base) / PAGE_SIZE;
    pages.count = args.size_bytes / PAGE_SIZE;
    args.large = !args.unbacked && one_in(2);

    virt_t base;
    result_t expected = memory ? expect_object(&args, memory) : OK;
    uint64_t place = NO_PLACE;
    if (expected == OK)
        place = expect_place(at, &args, &expected);
    model_begin();
    if (!model_ended("map", space_map(at->space, &args, &base), expected))
        return;
    if (args.at == MAP_AT_FIXED && args.if_taken == IF_TAKEN_REPLACE)
        model_unmap(at, pages);
    pages.first = placed(at, &args, place, base);
    struct model_page page = page_of_map(memory, &args);
    model_show(at, pages, &page);
    uint64_t resident = args.populate ? populate(at, pages) : 0;
    uint64_t found = space_resident_pages_in(at->space, range_of(pages));
    model_require(found == resident, "%llu pages are resident after map",
                  (unsigned long long)found);
}

static void do_unmap(struct model_space *at)
{
    struct pages pages = draw_pages();
    model_begin();
    if (!model_ended("unmap", space_unmap(at->space, range_of(pages)), OK))
        return;
    uint64_t resident = space_resident_pages_in(at->space, range_of(pages));
    model_unmap(at, pages);
    model_require(resident == 0, "%llu pages are resident after unmap",
                  (unsigned long long)resident);
}

/* What a protect must come to: the lowest page decides. */
static result_t expect_protect(const struct model_space *at, struct pages pages, unsigned prot)
{
    for (uint64_t i = 0; i < pages.count; i++) {
        const struct model_page *page = &at->pages[pages.first + i];
        if (page->state == PAGE_FREE)
            return ENOENT;
        if (page->memory && (prot & ~page->memory->rights) != 0)
            return EACCES;
    }
    return OK;
}

static void do_protect(struct model_space *at)
{
    struct pages pages = one_in(2) ? draw_pages() : draw_region(at);
    unsigned prot = draw_prot();
    result_t expected = expect_protect(at, pages, prot);
    model_begin();
    if (model_ended("protect", space_protect(at->space, range_of(pages), prot), expected))
        model_protect(at, pages, prot);
}

/* --- move, resize, share, advise -------------------------------------------------------------------------------- */

static result_t expect_source(const struct model_space *at, struct pages pages)
{
    uint64_t end = pages.first + pages.count;
    const struct model_page *first = &at->pages[pages.first];
    if (is_free(at, pages))
        return ENOENT;
    if (first->state != PAGE_FREE && !first->starts)
        return EINVAL;
    bool cut = end < model.config.page_count && at->pages[end].state != PAGE_FREE &&
               !at->pages[end].starts;
    return cut ? EINVAL : OK;
}

static uint64_t expect_target(const struct model_space *at, struct range range,
                              const struct map_args *args, result_t *result)
{
    uint64_t place = NO_PLACE;
    *result = OK;
    if (args->at == MAP_AT_ANY && (range.base | range.size_bytes) % (2 * MIB) == 0)
        place = first_fit(at, range.size_bytes / PAGE_SIZE, 2 * MIB);
    return place != NO_PLACE ? place : expect_place(at, args, result);
}

static void do_move(struct model_space *at)
{
    static struct model_page moved[MODEL_PAGES_MAX];
    struct pages pages = draw_region(at);
    struct range range = range_of(pages);
    struct map_args args = {.size_bytes = range.size_bytes};
    draw_place(&args, draw_first(model.config.page_count - pages.count + 1));
    if (one_in(2) && pages.first >= 512)
        args.address = address_of(pages.first % 512); /* the same place in a table */
    args.if_taken = IF_TAKEN_REFUSE;
    args.align_bytes = PAGE_SIZE;

    virt_t base;
    uint64_t place = NO_PLACE;
    result_t expected = expect_source(at, pages);
    if (expected == OK)
        place = expect_target(at, range, &args, &expected);
    model_begin();
    if (!model_ended("move", space_move(at->space, range, args.at, args.address, &base), expected))
        return;
    place = placed(at, &args, place, base);
    memcpy(moved, &at->pages[pages.first], pages.count * sizeof *moved);
    memset(&at->pages[pages.first], 0, pages.count * sizeof *moved);
    memcpy(&at->pages[place], moved, pages.count * sizeof *moved);
    model.focus = place;
}

/* Does a page of any space show one of these slots? Only asked of exclusive memory. */
static bool is_shown(const struct model_space *at, const struct model_memory *memory,
                     uint64_t first_slot, uint64_t count)
{
    for (uint64_t i = 0; i < model.config.page_count; i++) {
        const struct model_page *page = &at->pages[i];
        if (page->memory == memory && page->slot >= first_slot && page->slot - first_slot < count)
            return true;
    }
    return false;
}

static result_t expect_growth(const struct model_space *at, struct pages pages, uint64_t more)
{
    uint64_t end = pages.first + pages.count;
    const struct model_page *last = &at->pages[end - 1];
    bool ends = end == model.config.page_count || at->pages[end].state == PAGE_FREE ||
                at->pages[end].starts;
    if (last->state == PAGE_FREE || !ends)
        return ENOENT;
    if (end + more > model.config.page_count || !is_free(at, (struct pages){end, more}))
        return ENOMEM;
    if (!last->memory)
        return OK;
    if (last->memory->exclusive)
        return is_shown(at, last->memory, last->slot + 1, more) ? ENOMEM : OK;
    return last->memory->is_file || last->slot + 1 + more <= last->memory->page_count ? OK : ERANGE;
}

static void grow(struct model_space *at, struct pages pages, uint64_t more)
{
    result_t expected = expect_growth(at, pages, more);
    model_begin();
    if (!model_ended("grow",
                     space_resize(at->space, range_of(pages), (pages.count + more) * PAGE_SIZE),
                     expected))
        return;
    uint64_t end = pages.first + pages.count;
    struct model_page page = at->pages[end - 1];
    page.slot++;
    if (page.memory)
        model_memory_extend(page.memory, page.slot + more);
    model_show(at, (struct pages){end, more}, &page);
    at->pages[end].starts = false;
}

static void do_resize(struct model_space *at)
{
    struct pages pages = draw_region(at);
    uint64_t count = draw_count();
    if (one_in(2))
        count = pages.count + 1 + draw(8);
    if (count > pages.count) {
        grow(at, pages, count - pages.count);
        return;
    }
    model_begin();
    if (model_ended("shrink", space_resize(at->space, range_of(pages), count * PAGE_SIZE), OK) &&
        count < pages.count)
        model_unmap(at, (struct pages){pages.first + count, pages.count - count});
}

static result_t expect_share(const struct model_space *from, struct pages source)
{
    const struct model_page *first = &from->pages[source.first];
    if (first->state != PAGE_MAPPED)
        return ENOENT;
    if (model_region_end(from, source.first) < source.first + source.count)
        return EINVAL;
    /* A file may have become so short that no mapping can begin there. */
    return first->memory->is_file && first->slot > first->memory->file_pages ? ERANGE : OK;
}

static void do_share(struct model_space *from)
{
    struct pages source = draw_pages();
    if (from->pages[source.first].state == PAGE_MAPPED && !one_in(10)) {
        uint64_t rest = model_region_end(from, source.first) - source.first;
        source.count = source.count < rest ? source.count : rest;
    }
    struct model_space *at = choose_space();
    struct map_args args = {.size_bytes = source.count * PAGE_SIZE, .populate = one_in(4)};
    draw_place(&args, draw_first(model.config.page_count - source.count + 1));

    virt_t base;
    uint64_t place = NO_PLACE;
    result_t expected = expect_share(from, source);
    args.large = from->pages[source.first].large;
    if (expected == OK)
        place = expect_place(at, &args, &expected);
    model_begin();
    if (!model_ended("share", space_share(at->space, &args, from->space, range_of(source), &base),
                     expected))
        return;
    uint64_t end = model_region_end(from, source.first);
    for (uint64_t i = model_region_first(from, source.first); i < end; i++)
        from->pages[i].shared = true;
    struct model_page page = from->pages[source.first];
    page.memory->exclusive = false;
    model_memory_shown(page.memory, 1); /* what is replaced may be the last page that shows it */
    if (args.at == MAP_AT_FIXED && args.if_taken == IF_TAKEN_REPLACE)
        model_unmap(at, (struct pages){place, source.count});
    place = placed(at, &args, place, base);
    model_show(at, (struct pages){place, source.count}, &page);
    model_memory_shown(page.memory, -1);
    if (args.populate)
        (void)populate(at, (struct pages){place, source.count});
}

static void do_advise(struct model_space *at)
{
    struct pages pages = one_in(2) ? draw_pages() : draw_region(at);
    enum advice advice = one_in(2) ? ADVICE_DONTNEED : ADVICE_WILLNEED;
    result_t expected = OK;
    uint64_t readable = 0;
    for (uint64_t i = 0; i < pages.count; i++) {
        const struct model_page *page = &at->pages[pages.first + i];
        if (page->state != PAGE_MAPPED)
            expected = ENOENT;
        readable += (page->prot & PROT_READ) != 0 && page->memory && !model_is_beyond(page);
    }
    model_begin();
    if (!model_ended("advise", space_advise(at->space, range_of(pages), advice), expected))
        return;
    for (uint64_t i = 0; advice == ADVICE_DONTNEED && i < pages.count; i++) {
        const struct model_page *page = &at->pages[pages.first + i];
        if (page->memory->exclusive)
            memset(&page->memory->slots[page->slot], 0, sizeof(struct model_slot));
    }
    uint64_t resident = space_resident_pages_in(at->space, range_of(pages));
    model_require(resident == (advice == ADVICE_DONTNEED ? 0 : readable),
                  "%llu pages are resident after advise", (unsigned long long)resident);
}

/* --- spaces and objects ------------------------------------------------------------------------------------------ */

static void do_fork(struct model_space *at)
{
    struct model_space *child = &model.spaces[draw(model.config.spaces)];
    struct space *space;
    if (child == at)
        return;
    model_begin();
    if (!model_ended("fork", space_fork(at->space, &space), OK))
        return;
    if (child->space)
        model_space_destroy(child);
    memset(child, 0, sizeof *child);
    child->space = space;
    model_fork(at, child);
    if (one_in(2))
        model.current = child;
}

/* The new image has no room beside what surrounds the window: it is looked at, and the space ends. */
static void do_exec_image(struct model_space *at)
{
    struct image image = {.text.size_bytes = (1 + draw(5)) * PAGE_SIZE,
                          .data.size_bytes = (1 + draw(5)) * PAGE_SIZE,
                          .stack.size_bytes = (1 + draw(5)) * PAGE_SIZE};
    model_begin();
    if (!model_ended("exec", space_exec(at->space, &image), OK))
        return;
    model_require(image.text.base == SPACE_USER_LOW &&
                      image.data.base == image.text.base + image.text.size_bytes &&
                      image.stack.base == image.data.base + image.data.size_bytes + PAGE_SIZE,
                  "the image is at %#llx, %#llx, %#llx", (unsigned long long)image.text.base,
                  (unsigned long long)image.data.base, (unsigned long long)image.stack.base);
    model_require(
        space_region_count(at->space) == 4 && space_resident_pages(at->space) * PAGE_SIZE ==
                                                  image.text.size_bytes + image.data.size_bytes,
        "exec left %llu regions, %llu pages", (unsigned long long)space_region_count(at->space),
        (unsigned long long)space_resident_pages(at->space));
    struct machine_access access = {.kind = MACHINE_EXEC, .start = image.text.base, .count = 1};
    space_load(at->space);
    machine_access(&access);
    model_require(access.end == ACCESS_DONE, "the image cannot be run");
    model_space_destroy(at);
}

static void do_destroy(struct model_space *at)
{
    if (one_in(4))
        model_space_destroy(at);
}

static bool a_physical_one_exists(void)
{
    for (unsigned i = 0; i < MODEL_NAMED_MAX; i++) {
        if (model.named[i] && model.named[i]->physical)
            return true;
    }
    return false;
}

static result_t create_object(uint64_t page_count, unsigned type, struct object **object)
{
    uint64_t size_bytes;
    phys_t window = physical_window(&size_bytes);
    if (type == 0) {
        for (uint64_t i = 0; i < page_count; i++)
            machine_page_clear(machine_phys_to_virt(phys(window.value + i * PAGE_SIZE)));
        return physical_create(window, page_count, object);
    }
    if (type == 1)
        return contiguous_create(page_count, one_in(2) ? TABLE_BYTES : PAGE_SIZE << draw(3),
                                 phys(0), object);
    if (type == 4)
        return file_create_on_ramdisk(FILE_FIRST_PAGE * PAGE_SIZE, page_count, object);
    if (type == 5)
        return anonymous_create_named(page_count, one_in(2) ? COMMIT_ON : COMMIT_OFF, true, object);
    return anonymous_create(page_count, type == 2 ? COMMIT_ON : COMMIT_OFF, object);
}

static void make_file(struct model_memory *memory)
{
    memory->is_file = true;
    memory->file_pages = memory->page_count;
    for (uint64_t page = 0; page < memory->page_count; page++) {
        for (unsigned i = 0; i < MODEL_WORDS; i++)
            memory->slots[page].words[i] =
                block_pattern((FILE_FIRST_PAGE + page) * PAGE_SIZE + model_word_offsets[i]);
    }
}

static void make_object(struct model_memory **slot)
{
    unsigned type = (unsigned)draw(6);
    struct object *object;
    uint64_t page_count = 1 + draw(type == 0 ? 512 : type == 1 && one_in(2) ? 1200 : 700);
    if (type == 0 && a_physical_one_exists())
        return;
    model_begin();
    if (!model_ended("object", create_object(page_count, type, &object), OK))
        return;
    object_name(object);
    *slot = model_memory_create(page_count, false);
    (*slot)->named = object;
    (*slot)->linear = type <= 1;
    (*slot)->physical = type == 0;
    (*slot)->rights = object->ops->rights;
    if (type == 4)
        make_file(*slot);
    if (type == 5)
        model_purgeable_watch(*slot, object);
}

static void do_object(struct model_space *at)
{
    struct model_memory **slot = &model.named[draw(MODEL_NAMED_MAX)];
    (void)at;
    if (!*slot) {
        make_object(slot);
        return;
    }
    struct model_memory *memory = *slot;
    result_t expected = memory->shown_count != 0 ? EBUSY : OK;
    model_require(object_region_count(memory->named) != 0 || expected == OK,
                  "an object has lost its regions");
    if (!model_ended("drop", object_drop(memory->named), expected))
        return;
    memory->named = NULL;
    model_memory_free_if_gone(memory);
    *slot = NULL;
}

/* --- a step ---------------------------------------------------------------------------------------------------------- */

void space_model_step(void)
{
    static void (*const operations[])(struct model_space *) = {
        do_map,
        do_map,
        do_map,
        do_map,
        do_unmap,
        do_unmap,
        model_do_volatile,
        model_do_sync,
        do_unmap,
        do_protect,
        do_protect,
        model_do_fill,
        do_move,
        do_resize,
        do_share,
        do_advise,
        model_do_read,
        model_do_read,
        model_do_read,
        model_do_read,
        model_do_read,
        model_do_read,
        model_do_write,
        model_do_write,
        model_do_write,
        model_do_exec,
    };
    static void (*const rare[])(struct model_space *) = {
        do_fork,       do_fork,   do_fork,   do_fork,   do_destroy,        do_destroy,
        do_exec_image, do_object, do_object, do_object, model_do_truncate, model_do_reclaim,
    };
    struct model_space *at = choose_space();
    model.step++;
    if (model.config.pressure)
        model_squeeze_or_not();
    if (one_in(25))
        rare[draw(ARRAY_COUNT(rare))](at);
    else
        operations[draw(ARRAY_COUNT(operations))](at);
}
