/* The operations of `soak`: each is drawn, done, and done to the model as far as it has succeeded. See
 * run_soak.h. */
#include "core/script/run_soak.h"

#include "core/mm/mm.h"
#include "core/mm/object.h"
#include "core/mm/section.h"

#define AREA_TAG 0x5aull
#define SLOT_TAG 0xb5ull
#define NUMBER_BITS 48
#define COUNT_MAX 16
#define LOOKS_MAX 8 /* at words that must not change */

/* Whose a word is: an area's CPU, or a slot. */
static uint64_t tag_of(uint64_t kind, unsigned owner)
{
    return (kind << 8 | owner) << NUMBER_BITS;
}

static uint64_t draw(struct soak_cpu *cpu, uint64_t bound)
{
    return random_below(&cpu->random, bound);
}

static bool one_in(struct soak_cpu *cpu, uint64_t bound)
{
    return draw(cpu, bound) == 0;
}

static unsigned owner_of(const struct soak_cpu *cpu, unsigned slot)
{
    return slot % cpu->soak->cpu_count;
}

/* --- ranges ------------------------------------------------------------------------------------------------ */

struct pages {
    unsigned first;
    unsigned count;
};

static struct pages draw_pages(struct soak_cpu *cpu)
{
    unsigned count = 1 + (unsigned)draw(cpu, COUNT_MAX);
    return (struct pages){(unsigned)draw(cpu, SOAK_PAGES - count + 1), count};
}

/* Mostly where there is something. */
static struct pages draw_used_pages(struct soak_cpu *cpu, const struct soak_area *area)
{
    struct pages pages = draw_pages(cpu);
    for (unsigned i = 0; i < 4 && area->pages[pages.first].state < SOAK_ANON; i++)
        pages = draw_pages(cpu);
    return pages;
}

static uint64_t address_of(const struct soak_area *area, unsigned page)
{
    return area->base + page * PAGE_SIZE;
}

static struct range range_of(const struct soak_area *area, struct pages pages)
{
    return (struct range){address_of(area, pages.first), pages.count * PAGE_SIZE};
}

static bool is_free(const struct soak_area *area, struct pages pages)
{
    for (unsigned i = 0; i < pages.count; i++) {
        if (area->pages[pages.first + i].state != SOAK_FREE)
            return false;
    }
    return true;
}

static void forget(struct soak_area *area, struct pages pages)
{
    memset(&area->pages[pages.first], 0, pages.count * sizeof(area->pages[0]));
}

/* Has the operation ended as it should? Memory may run out at any time. */
static bool is_expected(struct soak_cpu *cpu, const char *what, struct range range, result_t result,
                        result_t expected)
{
    if (result == expected || result == ENOMEM)
        return true;
    return soak_differs(cpu, "%s of 0x%lx, %lu pages: %s instead of %s", what,
                        (unsigned long)range.base, (unsigned long)(range.size_bytes >> PAGE_SHIFT),
                        result_name(result), result_name(expected));
}

/* --- words --------------------------------------------------------------------------------------------------- */

/* A word found in a slot. Numbers of others only rise; its own is known. */
static bool check_slot(struct soak_cpu *cpu, unsigned slot, uint64_t word)
{
    uint64_t seen = cpu->seen[slot];
    bool valid = word == 0 || word >> NUMBER_BITS == tag_of(SLOT_TAG, slot) >> NUMBER_BITS;
    if (owner_of(cpu, slot) == cpu->cpu ? word == seen : valid && word >= seen) {
        cpu->seen[slot] = word;
        return true;
    }
    return soak_differs(cpu, "slot %u holds 0x%lx after 0x%lx", slot, (unsigned long)word,
                        (unsigned long)seen);
}

static bool check_word(struct soak_cpu *cpu, const struct soak_page *page, uint64_t address,
                       uint64_t word)
{
    if (page->state == SOAK_SHOWN)
        return check_slot(cpu, page->slot, word);
    return word == page->word ||
           soak_differs(cpu, "0x%lx holds 0x%lx instead of 0x%lx", (unsigned long)address,
                        (unsigned long)word, (unsigned long)page->word);
}

static enum fault_outcome expect_outcome(const struct soak_page *page, unsigned right)
{
    if (page->state == SOAK_FREE || page->state == SOAK_RESERVED)
        return FAULT_SEGV;
    return (page->prot & right) != 0 ? FAULT_RESOLVED : FAULT_PROT;
}

/* --- accesses --------------------------------------------------------------------------------------------------- */

/* One access; a read leaves the word in *word. */
static enum fault_outcome access(struct space *space, enum machine_access_kind kind,
                                 uint64_t address, uint64_t *word)
{
    struct machine_access row = {
        .kind = kind,
        .start = address,
        .count = 1,
        .check = kind == MACHINE_READ,
        .value = kind == MACHINE_READ ? UINT64_MAX : *word,
    };
    space_load(space);
    machine_access(&row);
    if (row.end == ACCESS_MISMATCH)
        *word = row.observed;
    return row.end == ACCESS_FAULTED ? row.outcome : FAULT_RESOLVED;
}

static bool read_page(struct soak_cpu *cpu, const struct soak_area *area, unsigned index)
{
    const struct soak_page *page = &area->pages[index];
    uint64_t address = address_of(area, index);
    uint64_t word = UINT64_MAX;
    enum fault_outcome outcome = access(area->space, MACHINE_READ, address, &word);
    enum fault_outcome expected = expect_outcome(page, PROT_READ);
    if (outcome == FAULT_NOMEM)
        return true;
    if (outcome != expected)
        return soak_differs(cpu, "reading 0x%lx: outcome %d instead of %d", (unsigned long)address,
                            (int)outcome, (int)expected);
    return outcome != FAULT_RESOLVED || check_word(cpu, page, address, word);
}

static bool do_read(struct soak_cpu *cpu, struct soak_area *area)
{
    struct pages pages = draw_used_pages(cpu, area);
    bool as_expected = true;
    for (unsigned i = 0; i < pages.count && as_expected; i++)
        as_expected = read_page(cpu, area, pages.first + i);
    return as_expected;
}

static bool write_page(struct soak_cpu *cpu, struct soak_area *area, unsigned index)
{
    struct soak_page *page = &area->pages[index];
    bool is_slot = page->state == SOAK_SHOWN;
    uint64_t word =
        tag_of(is_slot ? SLOT_TAG : AREA_TAG, is_slot ? page->slot : cpu->cpu) | ++cpu->written;
    uint64_t address = address_of(area, index);
    if (is_slot && owner_of(cpu, page->slot) != cpu->cpu)
        return true;
    enum fault_outcome outcome = access(area->space, MACHINE_WRITE, address, &word);
    enum fault_outcome expected = expect_outcome(page, PROT_WRITE);
    if (outcome == FAULT_NOMEM)
        return true;
    if (outcome != expected)
        return soak_differs(cpu, "writing 0x%lx: outcome %d instead of %d", (unsigned long)address,
                            (int)outcome, (int)expected);
    if (outcome == FAULT_RESOLVED)
        *(is_slot ? &cpu->seen[page->slot] : &page->word) = word;
    return true;
}

static bool do_write(struct soak_cpu *cpu, struct soak_area *area)
{
    struct pages pages = draw_used_pages(cpu, area);
    bool as_expected = true;
    for (unsigned i = 0; i < pages.count && as_expected; i++)
        as_expected = write_page(cpu, area, pages.first + i);
    return as_expected;
}

/* --- what is mapped ------------------------------------------------------------------------------------------------ */

static unsigned draw_prot(struct soak_cpu *cpu)
{
    static const uint8_t prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
                                    PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE | PROT_EXEC};
    return prots[draw(cpu, ARRAY_COUNT(prots))];
}

static void show(struct soak_area *area, struct pages pages, struct soak_page page)
{
    for (unsigned i = 0; i < pages.count; i++) {
        area->pages[pages.first + i] = page;
        page.slot++;
    }
}

/* Draws what to map, with the pages that will be there; the rest of *args is the place. */
static struct soak_page draw_content(struct soak_cpu *cpu, struct pages pages,
                                     struct map_args *args)
{
    unsigned kind = (unsigned)draw(cpu, 8);
    struct soak_page page = {.state = SOAK_ANON, .prot = (uint8_t)draw_prot(cpu)};
    args->prot = page.prot;
    args->commit = one_in(cpu, 2);
    if (kind == 0) {
        page.state = SOAK_RESERVED;
        args->unbacked = true;
    } else if (kind <= 2) {
        page.state = SOAK_SHOWN;
        page.slot = (uint8_t)draw(cpu, SOAK_WATCHED - pages.count + 1);
        args->object = cpu->soak->object;
        args->offset_bytes = page.slot * PAGE_SIZE;
        args->shared = true;
    }
    args->populate = kind > 0 && one_in(cpu, 4);
    return page;
}

/* The lowest place in the area that fits; SOAK_PAGES: none. */
static unsigned first_fit(const struct soak_area *area, unsigned count)
{
    unsigned first = 0;
    while (first + count <= SOAK_PAGES && !is_free(area, (struct pages){first, count}))
        first++;
    return first + count <= SOAK_PAGES ? first : SOAK_PAGES;
}

static bool do_map(struct soak_cpu *cpu, struct soak_area *area)
{
    struct pages pages = draw_pages(cpu);
    bool anywhere = area->alone && one_in(cpu, 3);
    unsigned lowest = first_fit(area, pages.count);
    if (anywhere && lowest == SOAK_PAGES)
        return true;
    if (anywhere)
        pages.first = lowest;
    struct range range = range_of(area, pages);
    struct map_args args = {
        .size_bytes = range.size_bytes,
        .at = anywhere ? MAP_AT_ANY : MAP_AT_FIXED,
        .address = range.base,
        .if_taken = one_in(cpu, 2) ? IF_TAKEN_REFUSE : IF_TAKEN_REPLACE,
        .align_bytes = PAGE_SIZE,
    };
    struct soak_page page = draw_content(cpu, pages, &args);
    bool taken = args.if_taken == IF_TAKEN_REFUSE && !is_free(area, pages);
    virt_t base;
    result_t result = space_map(area->space, &args, &base);
    if (!is_expected(cpu, "map", range, result, taken ? EEXIST : OK))
        return false;
    if (result != OK)
        return true;
    show(area, pages, page);
    return base.value == range.base ||
           soak_differs(cpu, "placed at 0x%lx instead of 0x%lx", (unsigned long)base.value,
                        (unsigned long)range.base);
}

static bool do_unmap(struct soak_cpu *cpu, struct soak_area *area)
{
    struct pages pages = draw_pages(cpu);
    struct range range = range_of(area, pages);
    result_t result = space_unmap(area->space, range);
    if (result == OK)
        forget(area, pages);
    return is_expected(cpu, "unmap", range, result, OK);
}

/* Of all pages: is each one at least reserved, or at least content? */
static bool are_all(const struct soak_area *area, struct pages pages, enum soak_state least)
{
    for (unsigned i = 0; i < pages.count; i++) {
        if (area->pages[pages.first + i].state < least)
            return false;
    }
    return true;
}

static bool do_protect(struct soak_cpu *cpu, struct soak_area *area)
{
    struct pages pages = draw_pages(cpu);
    struct range range = range_of(area, pages);
    unsigned prot = draw_prot(cpu);
    result_t result = space_protect(area->space, range, prot);
    for (unsigned i = 0; i < pages.count && result == OK; i++)
        area->pages[pages.first + i].prot = (uint8_t)prot;
    return is_expected(cpu, "protect", range, result,
                       are_all(area, pages, SOAK_RESERVED) ? OK : ENOENT);
}

static bool do_dontneed(struct soak_cpu *cpu, struct soak_area *area)
{
    struct pages pages = draw_pages(cpu);
    struct range range = range_of(area, pages);
    result_t result = space_advise(area->space, range, ADVICE_DONTNEED);
    for (unsigned i = 0; i < pages.count && result == OK; i++)
        area->pages[pages.first + i].word = 0;
    return is_expected(cpu, "dontneed", range, result,
                       are_all(area, pages, SOAK_ANON) ? OK : ENOENT);
}

/* Whole regions move; where they begin the model does not know, so that EINVAL may be right. */
static bool do_move(struct soak_cpu *cpu, struct soak_area *area)
{
    struct soak_page moved[COUNT_MAX];
    struct pages pages = draw_pages(cpu);
    struct pages to = {(unsigned)draw(cpu, SOAK_PAGES - pages.count + 1), pages.count};
    struct range range = range_of(area, pages);
    result_t expected = is_free(area, pages) ? ENOENT : is_free(area, to) ? OK : EEXIST;
    virt_t base;
    result_t result =
        space_move(area->space, range, MAP_AT_FIXED, address_of(area, to.first), &base);
    if (result == EINVAL && expected != ENOENT)
        return true;
    if (!is_expected(cpu, "move", range, result, expected))
        return false;
    if (result != OK)
        return true;
    memcpy(moved, &area->pages[pages.first], pages.count * sizeof(moved[0]));
    forget(area, pages);
    memcpy(&area->pages[to.first], moved, pages.count * sizeof(moved[0]));
    return true;
}

static bool do_lookup(struct soak_cpu *cpu, struct soak_area *area)
{
    unsigned index = (unsigned)draw(cpu, SOAK_PAGES);
    bool expected = area->pages[index].state != SOAK_FREE;
    space_load(area->space);
    section_enter(machine_cpu());
    bool found = space_lookup(area->space, address_of(area, index)) != NULL;
    section_leave(machine_cpu());
    return found == expected ||
           soak_differs(cpu, "lookup of 0x%lx: the region is%s there",
                        (unsigned long)address_of(area, index), expected ? " not" : "");
}

/* --- whole spaces ---------------------------------------------------------------------------------------------------- */

bool soak_create_own(struct soak_cpu *cpu)
{
    struct soak_area *own = &cpu->areas[SOAK_OWN];
    memset(own->pages, 0, sizeof(own->pages));
    if (space_create(&own->space) != OK)
        own->space = NULL;
    return own->space != NULL;
}

static void destroy(struct soak_area *area)
{
    if (area->space != NULL && area->alone)
        space_destroy(area->space);
    area->space = NULL;
}

/* A child, in turn with its death. */
static bool do_fork(struct soak_cpu *cpu, struct soak_area *area)
{
    struct soak_area *own = &cpu->areas[SOAK_OWN];
    struct soak_area *child = &cpu->areas[SOAK_CHILD];
    (void)area;
    if (child->space != NULL || own->space == NULL) {
        destroy(child);
        return true;
    }
    result_t result = space_fork(own->space, &child->space);
    if (result != OK)
        child->space = NULL;
    memcpy(child->pages, own->pages, sizeof(child->pages));
    return is_expected(cpu, "fork", (struct range){0, 0}, result, OK);
}

static bool do_renew(struct soak_cpu *cpu, struct soak_area *area)
{
    (void)area;
    if (one_in(cpu, 4)) {
        destroy(&cpu->areas[SOAK_OWN]);
        (void)soak_create_own(cpu); /* or later */
    }
    return true;
}

/* --- with others --------------------------------------------------------------------------------------------------------- */

/* Anything may be found in another's lane, but only what was written there, or to a slot. */
static bool do_peek(struct soak_cpu *cpu, struct soak_area *area)
{
    unsigned owner = (unsigned)draw(cpu, cpu->soak->cpu_count);
    uint64_t address = soak_lane(owner) + draw(cpu, SOAK_PAGES) * PAGE_SIZE;
    uint64_t word = 0;
    (void)area;
    enum fault_outcome outcome = access(cpu->soak->space, MACHINE_READ, address, &word);
    bool valid = word == 0 || word >> NUMBER_BITS == tag_of(AREA_TAG, owner) >> NUMBER_BITS ||
                 word >> (NUMBER_BITS + 8) == SLOT_TAG;
    return outcome != FAULT_RESOLVED || valid ||
           soak_differs(cpu, "0x%lx in the lane of CPU %u holds 0x%lx", (unsigned long)address,
                        owner, (unsigned long)word);
}

/* Reads or writes a slot in the common range, whatever its rights are now. */
static bool do_common(struct soak_cpu *cpu, struct soak_area *area)
{
    unsigned slot = (unsigned)draw(cpu, SOAK_SLOTS);
    uint64_t address = cpu->soak->common + slot * PAGE_SIZE;
    bool writes = owner_of(cpu, slot) == cpu->cpu && !one_in(cpu, 4);
    uint64_t word = tag_of(SLOT_TAG, slot) | ++cpu->written;
    (void)area;
    enum fault_outcome outcome =
        access(cpu->soak->space, writes ? MACHINE_WRITE : MACHINE_READ, address, &word);
    if (outcome == FAULT_BUS)
        return soak_differs(cpu, "slot %u: fault bus", slot);
    if (outcome != FAULT_RESOLVED)
        return true;
    if (!writes)
        return check_slot(cpu, slot, word);
    cpu->seen[slot] = word;
    return true;
}

/* Nobody may write any more once protect has returned: the words that are there stay, whatever this CPU
 * does meanwhile. */
static bool watch_common(struct soak_cpu *cpu)
{
    uint64_t words[LOOKS_MAX] = {0};
    unsigned first = SOAK_WATCHED + (unsigned)draw(cpu, SOAK_SLOTS - SOAK_WATCHED - LOOKS_MAX + 1);
    bool as_expected = true;
    for (unsigned turn = 0; turn < 4 && as_expected; turn++) {
        for (unsigned i = 0; i < LOOKS_MAX && as_expected; i++) {
            uint64_t address = cpu->soak->common + (first + i) * PAGE_SIZE;
            uint64_t word = 0;
            if (access(cpu->soak->space, MACHINE_READ, address, &word) != FAULT_RESOLVED)
                return true; /* no memory */
            if (turn > 0 && word != words[i])
                return soak_differs(cpu,
                                    "slot %u was 0x%lx when nobody could write it any more, "
                                    "and is 0x%lx",
                                    first + i, (unsigned long)words[i], (unsigned long)word);
            words[i] = word;
            as_expected = check_slot(cpu, first + i, word);
        }
        if (as_expected && cpu->areas[SOAK_OWN].space != NULL)
            as_expected = do_write(cpu, &cpu->areas[SOAK_OWN]);
    }
    return as_expected;
}

/* Takes the right to write away and gives it back. */
static bool protect_common(struct soak_cpu *cpu, struct range range)
{
    struct space *space = cpu->soak->space;
    result_t result = space_protect(space, range, PROT_READ);
    if (result == OK && !watch_common(cpu))
        return false;
    if (result == OK)
        result = space_protect(space, range, PROT_READ | PROT_WRITE);
    return is_expected(cpu, "protect", range, result, OK);
}

/* One CPU at a time changes what all use. */
static bool do_take(struct soak_cpu *cpu, struct soak_area *area)
{
    struct soak *soak = cpu->soak;
    struct range range = {soak->common, SOAK_SLOTS * PAGE_SIZE};
    bool as_expected;
    (void)area;
    if (__atomic_exchange_n(&soak->is_taken, 1, __ATOMIC_ACQUIRE) != 0)
        return true;
    if (one_in(cpu, 3))
        as_expected = is_expected(cpu, "dontneed", range,
                                  space_advise(soak->space, range, ADVICE_DONTNEED), OK);
    else
        as_expected = protect_common(cpu, range);
    __atomic_store_n(&soak->is_taken, 0, __ATOMIC_RELEASE);
    return as_expected;
}

/* --- a step ------------------------------------------------------------------------------------------------------------------ */

/* Mostly the same again: what is cached of a space goes when another one is loaded. */
static struct soak_area *choose_area(struct soak_cpu *cpu)
{
    if (one_in(cpu, 16))
        cpu->current = (unsigned)draw(cpu, SOAK_AREAS);
    if (cpu->areas[cpu->current].space == NULL)
        cpu->current = SOAK_LANE;
    return &cpu->areas[cpu->current];
}

bool soak_step(struct soak_cpu *cpu)
{
    static bool (*const often[])(struct soak_cpu *, struct soak_area *) = {
        do_map,  do_map,  do_map,  do_unmap, do_protect, do_protect, do_dontneed, do_move,
        do_read, do_read, do_read, do_read,  do_write,   do_write,   do_write,    do_lookup,
    };
    static bool (*const rarely[])(struct soak_cpu *, struct soak_area *) = {do_fork, do_fork,
                                                                            do_fork, do_renew};
    static bool (*const together[])(struct soak_cpu *, struct soak_area *) = {
        do_common, do_common, do_common, do_common, do_peek, do_peek, do_peek, do_take,
    };
    if (cpu->areas[SOAK_OWN].space == NULL)
        (void)soak_create_own(cpu);
    struct soak_area *area = choose_area(cpu);
    if (one_in(cpu, 32))
        return rarely[draw(cpu, ARRAY_COUNT(rarely))](cpu, area);
    if (!area->alone && one_in(cpu, 2))
        return together[draw(cpu, ARRAY_COUNT(together))](cpu, area);
    return often[draw(cpu, ARRAY_COUNT(often))](cpu, area);
}

bool soak_compare(struct soak_cpu *cpu)
{
    for (unsigned kind = 0; kind < SOAK_AREAS; kind++) {
        const struct soak_area *area = &cpu->areas[kind];
        for (unsigned i = 0; i < SOAK_PAGES && area->space != NULL; i++) {
            if (!read_page(cpu, area, i))
                return false;
        }
    }
    return true;
}

void soak_drop(struct soak_cpu *cpu)
{
    for (unsigned kind = 0; kind < SOAK_AREAS; kind++)
        destroy(&cpu->areas[kind]);
}
