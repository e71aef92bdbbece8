/* Random operations on several spaces against a plain model: for each page its state, its rights and
 * three of its words. The simulated TLB keeps what nobody flushes, so that a flush that is missing shows
 * as a wrong value or a wrong right. */
#include "mm_testing.h"

#include <string.h>

#include "core/mm/object.h"
#include "core/mm/region.h"
#include "core/random.h"

#define STEPS 250000
#define SPACES 6
#define WINDOW_PAGES 3072ull
/* Across 1 GiB, with odd ends; what is outside is reserved, so that the model knows all holes. */
#define WINDOW_BASE (GIB - 1536 * PAGE_SIZE - 37 * PAGE_SIZE)
#define WINDOW_END (WINDOW_BASE + WINDOW_PAGES * PAGE_SIZE)

enum page_state { PAGE_FREE, PAGE_UNBACKED, PAGE_MAPPED };

/* Which words of a page the model knows. */
enum word { WORD_FIRST, WORD_MIDDLE, WORD_LAST, WORDS };
static const uint64_t word_offsets[WORDS] = {0, 2048, 4088};

struct page {
    uint8_t state;
    uint8_t prot;
    uint32_t mapping; /* which map command made it */
    uint64_t words[WORDS];
};

struct model_space {
    struct space *space; /* NULL: none */
    struct page pages[WINDOW_PAGES];
};

static struct {
    struct random random;
    unsigned long step;
    uint32_t mappings;
    struct model_space spaces[SPACES];
    uint64_t focus;              /* the page where the last operation was */
    struct model_space *current; /* likely to be used again: its translations stay cached */
} model;

static uint64_t draw(uint64_t bound)
{
    return random_below(&model.random, bound);
}

static bool one_in(uint64_t bound)
{
    return draw(bound) == 0;
}

static uint64_t address_of(uint64_t page)
{
    return WINDOW_BASE + page * PAGE_SIZE;
}

/* A range of pages in the window; mostly short, sometimes a few tables. */
struct pages {
    uint64_t first, count;
};

/* Near where the last operation was, or anywhere: what is cached there must be met again. */
static uint64_t draw_first(uint64_t bound)
{
    uint64_t first = draw(bound);
    if (!one_in(3))
        first = model.focus < 16 ? 0 : model.focus - 16 + draw(33);
    return first < bound ? first : bound - 1;
}

static struct pages draw_pages(void)
{
    struct pages pages;
    pages.count = 1 + draw(one_in(20) ? 1200 : one_in(4) ? 200 : 16);
    pages.first = draw_first(WINDOW_PAGES - pages.count + 1);
    uint64_t in_table = (address_of(pages.first) / PAGE_SIZE) % 512;
    if (one_in(4) && in_table <= pages.first)
        pages.first -= in_table; /* begins with a table */
    model.focus = pages.first;
    return pages;
}

static struct range range_of(struct pages pages)
{
    return pages_at(address_of(pages.first), pages.count);
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

/* --- spaces ------------------------------------------------------------------------------------------- */

/* With rights that nothing else has, so that no other reservation is merged with it. */
static void reserve(struct space *space, uint64_t base, uint64_t end)
{
    struct map_args args = map_at(base, (end - base) / PAGE_SIZE, PROT_EXEC);
    args.unbacked = true;
    map(space, args);
}

static void create_space(struct model_space *at)
{
    memset(at, 0, sizeof(*at));
    at->space = new_space();
    reserve(at->space, SPACE_USER_LOW, WINDOW_BASE);
    reserve(at->space, WINDOW_END, space_user_high());
}

static void destroy_space(struct model_space *at)
{
    space_destroy(at->space);
    at->space = NULL;
}

static struct model_space *choose_space(void)
{
    if (!model.current || !model.current->space || one_in(12)) {
        model.current = &model.spaces[draw(SPACES)];
        if (!model.current->space)
            create_space(model.current);
    }
    return model.current;
}

/* --- mapping -------------------------------------------------------------------------------------------- */

static bool is_free(const struct model_space *at, struct pages pages)
{
    for (uint64_t i = 0; i < pages.count; i++) {
        if (at->pages[pages.first + i].state != PAGE_FREE)
            return false;
    }
    return true;
}

/* The lowest fit in the window; WINDOW_PAGES when there is none. */
static uint64_t first_fit(const struct model_space *at, uint64_t count, uint64_t align)
{
    uint64_t run = 0;
    for (uint64_t i = WINDOW_PAGES; i-- > 0;)
        run += at->pages[i].state == PAGE_FREE;
    if (run < count)
        return WINDOW_PAGES;
    for (uint64_t first = 0; first + count <= WINDOW_PAGES; first++) {
        if (address_of(first) % align == 0 && is_free(at, (struct pages){first, count}))
            return first;
    }
    return WINDOW_PAGES;
}

static struct map_args draw_map(struct pages pages)
{
    struct map_args args = {
        .size_bytes = pages.count * PAGE_SIZE,
        .prot = draw_prot(),
        .at = one_in(2) ? MAP_AT_ANY : MAP_AT_FIXED,
        .address = address_of(pages.first),
        .if_taken = (enum if_taken)draw(3),
        .align_bytes = PAGE_SIZE,
        .unbacked = one_in(8),
        .commit = one_in(2),
        .populate = one_in(4),
    };
    args.large = !args.unbacked && one_in(2);
    if (args.at == MAP_AT_ANY && one_in(3))
        args.align_bytes = PAGE_SIZE << draw(11);
    return args;
}

static uint64_t expect_place(const struct model_space *at, const struct map_args *args,
                             struct pages pages, result_t *result)
{
    *result = OK;
    if (args->at == MAP_AT_FIXED) {
        if (args->if_taken == IF_TAKEN_REPLACE || is_free(at, pages))
            return pages.first;
        *result = EEXIST;
        if (args->if_taken == IF_TAKEN_REFUSE)
            return WINDOW_PAGES;
        *result = OK;
    }
    bool wants_aligned = args->large && args->at == MAP_AT_ANY && pages.count >= 512 &&
                         args->align_bytes < TABLE_BYTES;
    uint64_t first = wants_aligned ? first_fit(at, pages.count, TABLE_BYTES) : WINDOW_PAGES;
    if (first == WINDOW_PAGES)
        first = first_fit(at, pages.count, args->align_bytes);
    if (first == WINDOW_PAGES)
        *result = ENOMEM;
    return first;
}

static void do_map(struct model_space *at)
{
    struct pages pages = draw_pages();
    struct map_args args = draw_map(pages);
    result_t expected;
    uint64_t first = expect_place(at, &args, pages, &expected);
    virt_t base;
    assert_int_equal(space_map(at->space, &args, &base), expected);
    if (expected != OK)
        return;
    assert_int_equal(base.value, address_of(first));
    model.mappings++;
    for (uint64_t i = 0; i < pages.count; i++) {
        at->pages[first + i] = (struct page){
            .state = args.unbacked ? PAGE_UNBACKED : PAGE_MAPPED,
            .prot = (uint8_t)args.prot,
            .mapping = model.mappings,
        };
    }
    bool resident = args.populate && !args.unbacked && args.prot != PROT_NONE;
    assert_int_equal(
        space_resident_pages_in(at->space, range_of((struct pages){first, pages.count})),
        resident ? pages.count : 0);
}

static void do_unmap(struct model_space *at)
{
    struct pages pages = draw_pages();
    assert_int_equal(space_unmap(at->space, range_of(pages)), OK);
    memset(&at->pages[pages.first], 0, pages.count * sizeof(struct page));
    assert_int_equal(space_resident_pages_in(at->space, range_of(pages)), 0);
}

static bool is_same_region(const struct page *left, const struct page *right)
{
    return left->state == right->state && left->prot == right->prot &&
           left->mapping == right->mapping;
}

static uint64_t region_first(const struct model_space *at, uint64_t page)
{
    while (page > 0 && is_same_region(&at->pages[page - 1], &at->pages[page]))
        page--;
    return page;
}

static uint64_t region_end(const struct model_space *at, uint64_t page)
{
    page++;
    while (page < WINDOW_PAGES && is_same_region(&at->pages[page - 1], &at->pages[page]))
        page++;
    return page;
}

/* Where the region in front of those that protect is to change begins, what is split off included. */
static uint64_t region_before(const struct model_space *at, uint64_t page, unsigned prot)
{
    if (at->pages[page].prot == prot)
        page = region_first(at, page); /* not split */
    if (page > 0 && at->pages[page - 1].state != PAGE_FREE)
        page = region_first(at, page - 1);
    return page;
}

/* Neighbouring reservations with equal rights become one region when protect passes their seam: from
 * `first` on, each swallows what follows as long as it can. */
static void merge_unbacked(struct model_space *at, uint64_t first, uint64_t range_end)
{
    while (first < range_end) {
        uint64_t end = region_end(at, first);
        const struct page *left = &at->pages[first];
        const struct page *right = &at->pages[end];
        if (end > range_end)
            return;
        if (end == WINDOW_PAGES || left->state != PAGE_UNBACKED || right->state != PAGE_UNBACKED ||
            left->prot != right->prot) {
            first = end;
            continue;
        }
        uint64_t merged_end = region_end(at, end);
        model.mappings++;
        for (uint64_t page = first; page < merged_end; page++)
            at->pages[page].mapping = model.mappings;
    }
}

static void do_protect(struct model_space *at)
{
    struct pages pages = draw_pages();
    unsigned prot = draw_prot();
    bool mapped = true;
    for (uint64_t i = 0; i < pages.count; i++)
        mapped &= at->pages[pages.first + i].state != PAGE_FREE;
    assert_int_equal(space_protect(at->space, range_of(pages), prot), mapped ? OK : ENOENT);
    if (!mapped)
        return;
    uint64_t before = region_before(at, pages.first, prot);
    for (uint64_t i = 0; i < pages.count; i++)
        at->pages[pages.first + i].prot = (uint8_t)prot;
    merge_unbacked(at, before, pages.first + pages.count);
}

static void do_fork(struct model_space *at)
{
    struct model_space *child = &model.spaces[draw(SPACES)];
    if (child == at)
        return;
    if (child->space)
        destroy_space(child);
    child->space = forked(at->space);
    memcpy(child->pages, at->pages, sizeof(child->pages));
    if (one_in(2))
        model.current = child;
}

static void do_destroy(struct model_space *at)
{
    if (one_in(4))
        destroy_space(at);
}

/* --- accesses from user mode ------------------------------------------------------------------------------ */

static enum fault_outcome expect_outcome(const struct page *page, enum machine_access_kind kind)
{
    unsigned needed = kind == MACHINE_READ    ? PROT_READ
                      : kind == MACHINE_WRITE ? PROT_WRITE
                                              : PROT_EXEC;
    if (page->state != PAGE_MAPPED)
        return FAULT_SEGV;
    return (page->prot & needed) != 0 ? FAULT_RESOLVED : FAULT_PROT;
}

static void do_read(struct model_space *at)
{
    uint64_t index = draw_first(WINDOW_PAGES);
    enum word word = (enum word)draw(WORDS);
    const struct page *page = &at->pages[index];
    struct machine_access access = {
        .kind = MACHINE_READ,
        .start = address_of(index) + word_offsets[word],
        .count = 1,
        .check = true,
        .value = page->words[word],
    };
    space_load(at->space);
    machine_access(&access);
    if (access.end == ACCESS_MISMATCH)
        fail_msg("%#llx holds %#llx instead of %#llx", (unsigned long long)access.address,
                 (unsigned long long)access.observed, (unsigned long long)access.value);
    assert_int_equal(access.outcome, expect_outcome(page, MACHINE_READ));
}

/* A row of pages, as far as the rights go. */
static void do_write(struct model_space *at)
{
    struct pages pages = draw_pages();
    enum word word = (enum word)draw(WORDS);
    struct machine_access access = {
        .kind = MACHINE_WRITE,
        .start = address_of(pages.first) + word_offsets[word],
        .stride_bytes = PAGE_SIZE,
        .count = pages.count,
        .value = one_in(2) ? random_next(&model.random) : 0xc3c3c3c3,
    };
    space_load(at->space);
    machine_access(&access);
    for (uint64_t i = 0; i < pages.count; i++) {
        struct page *page = &at->pages[pages.first + i];
        enum fault_outcome outcome = expect_outcome(page, MACHINE_WRITE);
        if (outcome != FAULT_RESOLVED) {
            assert_int_equal(access.end, ACCESS_FAULTED);
            assert_int_equal(access.outcome, outcome);
            assert_int_equal(access.done, i);
            return;
        }
        page->words[word] = access.value;
    }
    assert_int_equal(access.end, ACCESS_DONE);
}

static void do_exec(struct model_space *at)
{
    uint64_t index = draw_first(WINDOW_PAGES);
    const struct page *page = &at->pages[index];
    struct machine_access access = access_to(at->space, MACHINE_EXEC, address_of(index), 0);
    assert_int_equal(access.outcome, expect_outcome(page, MACHINE_EXEC));
    if (access.outcome == FAULT_RESOLVED)
        assert_int_equal(access.end,
                         (page->words[WORD_FIRST] & 0xff) == 0xc3 ? ACCESS_DONE : ACCESS_CRASHED);
}

/* --- content through the objects --------------------------------------------------------------------------- */

static void model_fill(struct model_space *at, struct range range, uint64_t pattern)
{
    for (uint64_t address = page_floor(range.base); address < range.base + range.size_bytes;
         address += PAGE_SIZE) {
        struct page *page = &at->pages[(address - WINDOW_BASE) / PAGE_SIZE];
        for (unsigned i = 0; i < WORDS; i++) {
            uint64_t word = address + word_offsets[i];
            if (word >= range.base && word < range.base + range.size_bytes)
                page->words[i] = splitmix64(pattern ^ ((word - range.base) / 8));
        }
    }
}

static void do_fill(struct model_space *at)
{
    struct pages pages = draw_pages();
    struct range range = range_of(pages);
    uint64_t pattern = random_next(&model.random);
    struct mismatch mismatch;
    bool backed = true;
    if (pages.count > 1 && one_in(2)) {
        range.base += draw(512) * 8;
        range.size_bytes -= PAGE_SIZE + draw(512) * 8 * (pages.count > 2);
    }
    for (uint64_t at_page = page_floor(range.base); at_page < range.base + range.size_bytes;
         at_page += PAGE_SIZE)
        backed &= at->pages[(at_page - WINDOW_BASE) / PAGE_SIZE].state == PAGE_MAPPED;

    assert_int_equal(space_fill(at->space, range, pattern, 0), backed ? OK : ENOENT);
    if (!backed) {
        assert_int_not_equal(space_verify(at->space, range, pattern, 0, &mismatch), OK);
        return;
    }
    model_fill(at, range, pattern);
    assert_int_equal(space_verify(at->space, range, pattern, 0, &mismatch), OK);
    if (one_in(2)) {
        assert_int_equal(space_verify(at->space, range, pattern + 1, 0, &mismatch), EFAULT);
        assert_int_equal(mismatch.address, range.base);
        assert_int_equal(mismatch.found, splitmix64(pattern));
        assert_int_equal(mismatch.expected, splitmix64(pattern + 1));
    }
}

/* --- comparing ------------------------------------------------------------------------------------------------ */

static uint64_t count_regions(const struct model_space *at)
{
    uint64_t count = 2; /* what is reserved around the window */
    for (uint64_t i = 0; i < WINDOW_PAGES; i++) {
        const struct page *page = &at->pages[i];
        count += page->state != PAGE_FREE && (i == 0 || !is_same_region(page - 1, page));
    }
    return count;
}

static void compare_page(struct model_space *at, uint64_t index)
{
    const struct page *page = &at->pages[index];
    struct region *region = region_of_node(region_tree_find(&at->space->tree, address_of(index)));
    assert_int_equal(region != NULL, page->state != PAGE_FREE);
    if (!region)
        return;
    assert_int_equal(region->prot, page->prot);
    assert_int_equal(region->object != NULL, page->state == PAGE_MAPPED);
    if (!region->object)
        return;
    phys_t frame;
    assert_int_equal(region->object->ops->page(region->object, region, address_of(index),
                                               PAGE_FOR_READING, &frame),
                     OK);
    const char *bytes = machine_phys_to_virt(frame);
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t found;
        memcpy(&found, bytes + word_offsets[i], sizeof(found));
        if (found != page->words[i])
            fail_msg("space %d: the object has %#llx at %#llx instead of %#llx",
                     (int)(at - model.spaces), (unsigned long long)found,
                     (unsigned long long)(address_of(index) + word_offsets[i]),
                     (unsigned long long)page->words[i]);
    }
}

static void compare_all(void)
{
    assert_audit();
    for (unsigned i = 0; i < SPACES; i++) {
        struct model_space *at = &model.spaces[i];
        if (!at->space)
            continue;
        assert_int_equal(space_region_count(at->space), count_regions(at));
        for (uint64_t page = 0; page < WINDOW_PAGES; page++)
            compare_page(at, page);
    }
}

/* --- the test ---------------------------------------------------------------------------------------------------- */

static void do_something(void)
{
    static void (*const operations[])(struct model_space *) = {
        do_map,  do_map,  do_unmap, do_unmap, do_protect, do_protect, do_fill,  do_read, do_read,
        do_read, do_read, do_read,  do_read,  do_write,   do_write,   do_write, do_exec,
    };
    struct model_space *at = choose_space();
    if (one_in(100))
        do_fork(at);
    else if (one_in(100))
        do_destroy(at);
    else
        operations[draw(ARRAY_COUNT(operations))](at);
}

static void test_spaces_against_a_model(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    unsigned long steps = (unsigned long)STEPS * test_rounds();
    model.random.state = test_seed();
    for (model.step = 0; model.step < steps; model.step++) {
        do_something();
        if (model.step % 500 == 0)
            compare_all();
    }
    compare_all();
    for (unsigned i = 0; i < SPACES; i++) {
        if (model.spaces[i].space)
            destroy_space(&model.spaces[i]);
    }
    assert_audit();
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 256 * MIB});
    return 0;
}

static int tell_step(void **state)
{
    (void)state;
    print_message("ended at step %lu\n", model.step);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_spaces_against_a_model, tell_step),
    };
    return cmocka_run_group_tests_name("space_model", tests, start, NULL);
}
