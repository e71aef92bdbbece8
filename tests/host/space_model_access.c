/* Accesses and content: what spaces hold, through page tables and past them. See space_model.h. */
#include "space_model.h"

#include <string.h>

#include "core/machine.h"
#include "core/mm/mm.h"

/* --- failures on purpose ------------------------------------------------------------------------------- */

void model_begin(void)
{
    model.injecting = model.config.inject && one_in(20);
    if (model.injecting)
        mm_inject((struct mm_inject){.nth = 1 + draw(one_in(3) ? 40 : 4)});
}

/* Ends the failing. Has an allocation failed? */
static bool injection_fired(void)
{
    bool fired = model.injecting && mm_inject_fired();
    if (model.injecting)
        mm_inject((struct mm_inject){0});
    model.injecting = false;
    return fired;
}

bool model_ended(const char *what, result_t result, result_t expected)
{
    bool fired = injection_fired();
    if (fired)
        model_require(result == ENOMEM || (expected != OK && result == expected),
                      "%s without memory: %s", what, result_name(result));
    else
        model_require(result == expected || (result == ENOMEM && model.squeezed),
                      "%s: %s instead of %s", what, result_name(result), result_name(expected));
    if (fired || result == ENOMEM)
        model_compare_after_failure();
    return result == OK;
}

/* --- drawing ---------------------------------------------------------------------------------------------- */

uint64_t draw_first(uint64_t bound)
{
    uint64_t first = draw(bound);
    if (!one_in(3))
        first = model.focus < 16 ? 0 : model.focus - 16 + draw(33);
    return first < bound ? first : bound - 1;
}

uint64_t draw_count(void)
{
    uint64_t most = one_in(20) ? 1200 : one_in(4) ? 200 : 16;
    return 1 + draw(most < model.config.page_count ? most : model.config.page_count / 2);
}

struct pages draw_pages(void)
{
    struct pages pages = {.count = draw_count()};
    pages.first = draw_first(model.config.page_count - pages.count + 1);
    uint64_t in_table = (address_of(pages.first) / PAGE_SIZE) % 512;
    if (one_in(4) && in_table <= pages.first)
        pages.first -= in_table; /* begins with a table */
    model.focus = pages.first;
    return pages;
}

/* --- accesses from user mode ------------------------------------------------------------------------------------ */

static enum fault_outcome expect_outcome(const struct model_page *page,
                                         enum machine_access_kind kind)
{
    unsigned needed = kind == MACHINE_READ    ? PROT_READ
                      : kind == MACHINE_WRITE ? PROT_WRITE
                                              : PROT_EXEC;
    if (page->state != PAGE_MAPPED)
        return FAULT_SEGV;
    if ((page->prot & needed) == 0)
        return FAULT_PROT;
    return model_is_beyond(page) ? FAULT_BUS : FAULT_RESOLVED;
}

/* One row of accesses; true unless it found no memory. */
static bool access_row(struct model_space *at, struct machine_access *access)
{
    space_load(at->space);
    model_begin();
    machine_access(access);
    if (!injection_fired() && !model.squeezed)
        return true;
    return access->end != ACCESS_FAULTED || access->outcome != FAULT_NOMEM;
}

void model_do_read(struct model_space *at)
{
    uint64_t index = draw_first(model.config.page_count);
    uint64_t word = draw(MODEL_WORDS);
    const struct model_page *page = &at->pages[index];
    struct machine_access access = {
        .kind = MACHINE_READ,
        .start = address_of(index) + model_word_offsets[word],
        .count = 1,
        .check = true,
        .value = page->memory && !model_is_beyond(page) ? model_words(page)[word] : 0,
    };
    if (!access_row(at, &access))
        return;
    /* The access itself may have had the content purged. */
    bool purged = page->memory && page->memory->is_volatile && page->memory->purged;
    if (purged && access.end == ACCESS_MISMATCH && access.observed == model_words(page)[word])
        return;
    model_require(access.end != ACCESS_MISMATCH, "%#llx reads as %#llx instead of %#llx",
                  (unsigned long long)access.address, (unsigned long long)access.observed,
                  (unsigned long long)access.value);
    model_require(access.outcome == expect_outcome(page, MACHINE_READ), "reading %#llx: outcome %d",
                  (unsigned long long)access.start, access.outcome);
}

static bool shows_volatile(const struct model_space *at, struct pages pages)
{
    for (uint64_t i = 0; i < pages.count; i++) {
        const struct model_memory *memory = at->pages[pages.first + i].memory;
        if (memory && memory->is_volatile)
            return true;
    }
    return false;
}

/* A row of pages, as far as the rights go. Volatile ones singly when memory is short: which of them a
 * purge comes behind is not known. */
void model_do_write(struct model_space *at)
{
    struct pages pages = draw_pages();
    uint64_t word = draw(MODEL_WORDS);
    if (model.squeezed && shows_volatile(at, pages))
        pages.count = 1;
    struct machine_access access = {
        .kind = MACHINE_WRITE,
        .start = address_of(pages.first) + model_word_offsets[word],
        .stride_bytes = PAGE_SIZE,
        .count = pages.count,
        .value = one_in(2) ? splitmix64(++model.value) : 0xc3c3c3c3,
    };
    bool complete = access_row(at, &access);
    enum fault_outcome outcome = FAULT_RESOLVED;
    uint64_t done = 0;
    while (done < pages.count && outcome == FAULT_RESOLVED && (complete || done < access.done)) {
        const struct model_page *page = &at->pages[pages.first + done];
        outcome = expect_outcome(page, MACHINE_WRITE);
        if (outcome == FAULT_RESOLVED) {
            model_written(page)->words[word] = access.value;
            done++;
        }
    }
    model_require(access.done == done && (!complete || access.outcome == outcome),
                  "writing %llu pages from %#llx: %llu done, outcome %d",
                  (unsigned long long)pages.count, (unsigned long long)access.start,
                  (unsigned long long)access.done, access.outcome);
}

void model_do_exec(struct model_space *at)
{
    uint64_t index = draw_first(model.config.page_count);
    const struct model_page *page = &at->pages[index];
    struct machine_access access = {.kind = MACHINE_EXEC, .start = address_of(index), .count = 1};
    if (!access_row(at, &access))
        return;
    model_require(access.outcome == expect_outcome(page, MACHINE_EXEC), "running %#llx: outcome %d",
                  (unsigned long long)access.start, access.outcome);
    if (access.outcome != FAULT_RESOLVED)
        return;
    bool returns = (model_words(page)[0] & 0xff) == 0xc3;
    model_require(access.end == (returns ? ACCESS_DONE : ACCESS_CRASHED), "running %#llx: end %d",
                  (unsigned long long)access.start, access.end);
}

/* --- content through the objects --------------------------------------------------------------------------------- */

/* True if every slot of the range is shown in it once. */
static bool fill_model(struct model_space *at, struct range range, uint64_t pattern)
{
    bool once = true;
    uint64_t end = range.base + range.size_bytes;
    model.fill_round++;
    for (uint64_t address = page_floor(range.base); address < end; address += PAGE_SIZE) {
        const struct model_page *page = &at->pages[(address - model.config.base) / PAGE_SIZE];
        struct model_slot *slot = model_written(page);
        once &= slot->round != model.fill_round;
        slot->round = model.fill_round;
        for (unsigned i = 0; i < MODEL_WORDS; i++) {
            uint64_t word = address + model_word_offsets[i];
            if (word >= range.base && word < end)
                slot->words[i] = splitmix64(pattern ^ ((word - range.base) / 8));
        }
    }
    return once;
}

void model_do_fill(struct model_space *at)
{
    struct pages pages = draw_pages();
    struct range range = range_of(pages);
    uint64_t pattern = splitmix64(++model.value);
    struct mismatch mismatch;
    bool backed = true;
    if (model.squeezed)
        pages.count = 1; /* how far a longer one came would not be known */
    range.size_bytes = pages.count * PAGE_SIZE;
    if (pages.count > 1 && one_in(2)) {
        range.base += draw(512) * 8;
        range.size_bytes -= PAGE_SIZE + draw(512) * 8 * (pages.count > 2);
    }
    for (uint64_t address = page_floor(range.base); address < range.base + range.size_bytes;
         address += PAGE_SIZE) {
        const struct model_page *page = &at->pages[(address - model.config.base) / PAGE_SIZE];
        backed &= page->state == PAGE_MAPPED;
        if (page->memory && model_is_beyond(page))
            return; /* it would end in the middle */
    }

    result_t result = space_fill(at->space, range, pattern, 0);
    if (result == ENOMEM && model.squeezed)
        return;
    model_require(result == (backed ? OK : ENOENT), "fill: %s", result_name(result));
    if (!backed || !fill_model(at, range, pattern))
        return;
    if (model.squeezed)
        return; /* volatile content may be gone already */
    result = space_verify(at->space, range, pattern, 0, &mismatch);
    model_require(result == OK, "verify: %s at %#llx", result_name(result),
                  (unsigned long long)mismatch.address);
    result = space_verify(at->space, range, pattern + 1, 0, &mismatch);
    model_require(result == EFAULT && mismatch.address == range.base &&
                      mismatch.found == splitmix64(pattern) &&
                      mismatch.expected == splitmix64(pattern + 1),
                  "verify of what was not written: %s", result_name(result));
}
