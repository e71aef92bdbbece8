/* What PageLab's models got wrong and no other test looks at by itself; docs/seeds.md numbers them. */
#include "mm_testing.h"

#include <math.h>

#include "core/mm/contiguous.h"
#include "core/mm/frames.h"
#include "core/mm/internal.h"
#include "core/mm/physical.h"

#define BASE (GIB + 3 * PAGE_SIZE)
#define RW (PROT_READ | PROT_WRITE)
#define CPUS 4

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 128 * MIB, .cpu_count = CPUS});
    return 0;
}

static uint64_t flushes(void)
{
    return counter_read(COUNTER_TLB_FULL) + counter_read(COUNTER_TLB_PAGE);
}

/* --- C3: teardown flushes nothing, and nobody sees what it left behind ------------------------------- */

static void test_a_root_that_is_used_again_shows_nothing_old(void **state)
{
    (void)state;
    enum { PAGES = 16, ROUNDS = 8 };
    uint64_t free_bytes = mm_free_bytes();
    uint64_t old_root = 0;
    unsigned reused = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct space *space = new_space();
        reused += space->directory.root.value == old_root;
        old_root = space->directory.root.value;
        map(space, map_at(BASE, PAGES, RW));
        for (unsigned i = 0; i < PAGES; i++)
            assert_int_equal(read_value(space, BASE + i * PAGE_SIZE), 0);
        write_pages(space, BASE, PAGES, 100 + round);

        uint64_t before = flushes();
        space_destroy(space);
        assert_int_equal(flushes(), before);
        assert_audit();
    }
    assert_true(reused > 0); /* else this has shown nothing */
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* --- A2: choosing a place and taking it are one step ---------------------------------------------------- */

static struct {
    struct space *space;
    uint64_t owners[64]; /* by page: 1 + the CPU that has it */
    unsigned refused;
    unsigned overlaps;
} crowd;

static void map_and_unmap(void *argument)
{
    (void)argument;
    uint64_t me = machine_cpu()->index + 1;
    for (unsigned round = 0; round < 2000; round++) {
        virt_t base;
        struct map_args args = {
            .size_bytes = PAGE_SIZE, .align_bytes = PAGE_SIZE, .unbacked = true};
        if (space_map(crowd.space, &args, &base) != OK) {
            __atomic_fetch_add(&crowd.refused, 1, __ATOMIC_RELAXED);
            continue;
        }
        uint64_t *owner = &crowd.owners[(base.value - SPACE_USER_LOW) >> PAGE_SHIFT];
        if (__atomic_exchange_n(owner, me, __ATOMIC_ACQ_REL) != 0)
            __atomic_fetch_add(&crowd.overlaps, 1, __ATOMIC_RELAXED);
        machine_pause();
        if (__atomic_exchange_n(owner, 0, __ATOMIC_ACQ_REL) != me)
            __atomic_fetch_add(&crowd.overlaps, 1, __ATOMIC_RELAXED);
        if (space_unmap(crowd.space, pages_at(base.value, 1)) != OK)
            __atomic_fetch_add(&crowd.refused, 1, __ATOMIC_RELAXED);
    }
}

static void test_processors_that_map_at_once_never_overlap(void **state)
{
    (void)state;
    crowd.space = new_space();
    sim_run_on_all(map_and_unmap, NULL);
    assert_int_equal(crowd.refused, 0);
    assert_int_equal(crowd.overlaps, 0);
    assert_int_equal(space_region_count(crowd.space), 0);
    assert_null(region_tree_check(&crowd.space->tree));
    space_destroy(crowd.space);
    assert_audit();
}

/* --- B2: what failed half-way ends like anything else ------------------------------------------------------- */

static void test_the_end_of_a_directory_that_could_not_be_made(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct page_directory directory;
    mm_inject((struct mm_inject){.nth = 1});
    assert_int_equal(page_directory_init(&directory), ENOMEM);
    mm_inject((struct mm_inject){0});
    page_directory_fini(&directory);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* --- D6: a fork promises what has data, and no more ------------------------------------------------------- */

static void test_forks_of_what_was_hardly_touched(void **state)
{
    (void)state;
    enum { CHILDREN = 8, TOUCHED = 5 };
    struct space *children[CHILDREN];
    uint64_t free_bytes = mm_free_bytes();
    uint64_t pages = free_bytes / PAGE_SIZE * 7 / 10;
    struct space *parent = new_space();
    map(parent, map_at(BASE, pages, RW));
    write_pages(parent, BASE, TOUCHED, 1);
    for (unsigned i = 0; i < CHILDREN; i++) {
        uint64_t before = mm_committed_pages();
        children[i] = forked(parent);
        assert_int_equal(mm_committed_pages() - before, TOUCHED);
    }
    assert_audit();
    for (unsigned i = 0; i < CHILDREN; i++)
        space_destroy(children[i]);
    space_destroy(parent);
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* --- W5: a wish for an address is granted where it can be ------------------------------------------------- */

static void test_hints_are_honoured(void **state)
{
    (void)state;
    struct space *space = new_space();
    struct map_args wish = map_at(BASE, 4, RW);
    wish.if_taken = IF_TAKEN_ELSEWHERE;
    assert_int_equal(map(space, wish), BASE);
    wish.address = BASE + 2 * PAGE_SIZE; /* half of it is taken */
    uint64_t other = map(space, wish);
    assert_true(other + wish.size_bytes <= BASE || other >= BASE + wish.size_bytes);
    space_destroy(space);
}

/* --- W19: nothing is flushed that cannot have been cached --------------------------------------------------- */

static void test_a_first_access_flushes_nothing(void **state)
{
    (void)state;
    struct space *space = new_space();
    map(space, map_at(BASE, 600, RW));
    assert_int_equal(read_value(space, BASE + 599 * PAGE_SIZE), 0);
    uint64_t before = flushes();
    write_pages(space, BASE, 599, 1);
    assert_int_equal(flushes(), before);
    write_value(space, BASE + 599 * PAGE_SIZE, 1); /* over the page of zeroes */
    assert_int_equal(flushes(), before + 1);
    space_destroy(space);
}

/* --- E13: what the kernel's page tables allow ------------------------------------------------------------------ */

static void check_kernel_page(uint64_t address, entry_t page)
{
    if (entry_is_user(page) || (entry_is_writable(page) && entry_is_executable(page)))
        fail_msg("kernel page %#llx: entry %#llx", (unsigned long long)address,
                 (unsigned long long)page);
}

struct level_walk {
    const entry_t *entries;
    uint64_t base; /* of the table */
    unsigned index;
};

/* Visits every page that the kernel's tables map in its half; returns how many there are. */
static uint64_t walk_kernel(void)
{
    struct level_walk stack[5] = {{.entries = machine_phys_to_virt(mm.kernel_directory.root),
                                   .index = MACHINE_TABLE_ENTRIES / 2}};
    unsigned depth = 0;
    uint64_t pages = 0;
    for (;;) {
        struct level_walk *here = &stack[depth];
        unsigned level = machine_levels - depth;
        if (here->index == MACHINE_TABLE_ENTRIES) {
            if (depth-- == 0)
                return pages;
            continue;
        }
        uint64_t address = here->base + here->index * machine_level_size(level);
        entry_t entry = here->entries[here->index++];
        if (!entry_is_present(entry))
            continue;
        if (entry_is_page(entry, level)) {
            check_kernel_page(address, entry);
            pages++;
            continue;
        }
        assert_false(entry_is_user(entry)); /* the upper levels keep users out, too */
        stack[++depth] = (struct level_walk){.entries = machine_phys_to_virt(entry_phys(entry)),
                                             .base = address};
    }
}

static void test_the_kernel_is_the_kernels(void **state)
{
    (void)state;
    const entry_t *root = machine_phys_to_virt(mm.kernel_directory.root);
    assert_true(walk_kernel() > 64);
    /* Below there is the harness window alone: the null page is absent. */
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES / 2; i++)
        assert_int_equal(entry_is_present(root[i]),
                         i == machine_table_index(window_base(), machine_levels));
    assert_false(sim_look_up_tables(0).present);
}

/* --- C7: no space is loaded ------------------------------------------------------------------------------------ */

static void test_faults_without_a_space(void **state)
{
    (void)state;
    uint64_t denied = counter_read(COUNTER_FAULT_DENIED);
    assert_int_equal(refused(NULL, MACHINE_READ, BASE), FAULT_SEGV);
    assert_int_equal(refused(NULL, MACHINE_WRITE, BASE), FAULT_SEGV);
    assert_int_equal(counted(COUNTER_FAULT_DENIED, denied), 2);
}

/* --- D9: a program on another stack may have taken all rights from its first one --------------------------- */

static void test_stack_regions_of_any_rights_fork(void **state)
{
    (void)state;
    static const unsigned rights[] = {PROT_NONE, PROT_READ, RW};
    for (size_t i = 0; i < ARRAY_COUNT(rights); i++) {
        struct space *parent = new_space();
        struct map_args args = map_at(BASE, 8, RW);
        args.stack = true;
        map(parent, args);
        write_pages(parent, BASE, 8, 5);
        protect(parent, BASE, 8, rights[i]);

        struct space *child = forked(parent);
        struct region *region = region_of_node(region_tree_first(&child->tree));
        assert_true(region->stack);
        assert_int_equal(region->prot, rights[i]);
        protect(child, BASE, 8, RW);
        assert_int_equal(read_value(child, BASE + 7 * PAGE_SIZE), 12);
        assert_audit();
        space_destroy(child);
        space_destroy(parent);
    }
}

/* --- E3, E7: frame 0 is a frame ------------------------------------------------------------------------------------ */

static void test_page_zero_can_be_shown(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct object *object;
    struct space *space = new_space();
    assert_int_equal(physical_create(phys(0), 1, &object), OK);
    struct map_args args = map_at(BASE, 1, PROT_READ);
    args.object = object;
    args.commit = false;
    map(space, args);
    const uint64_t *page = machine_phys_to_virt(phys(0));
    assert_int_equal(read_value(space, BASE + 8), page[1]);
    assert_int_equal(sim_look_up_tables(BASE).frame.value, 0);
    assert_audit();
    space_destroy(space);
    object_put(object);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* --- W3: every place has the same chance, however full the space ----------------------------------------- */

#define TREE_PAGES 256
#define DRAWS 40000

/* Draws places for 3 pages, aligned to 2, beside one-page regions at these pages; compares how often
 * each possible place was chosen with what equal chances would give. */
static void assert_uniform(const unsigned *taken, unsigned taken_count, unsigned expected_places)
{
    static struct region_node nodes[TREE_PAGES];
    uint64_t seen[TREE_PAGES] = {0};
    struct region_tree tree;
    struct region_node drawn;
    struct random random = {test_seed()};
    region_tree_init(&tree, BASE, BASE + TREE_PAGES * PAGE_SIZE);
    for (unsigned i = 0; i < taken_count; i++)
        assert_int_equal(region_tree_place_specifically(&tree, &nodes[i],
                                                        BASE + taken[i] * PAGE_SIZE, PAGE_SIZE),
                         OK);
    for (unsigned i = 0; i < DRAWS; i++) {
        assert_int_equal(
            region_tree_place_randomized(&tree, &drawn, 3 * PAGE_SIZE, 2 * PAGE_SIZE, &random), OK);
        assert_int_equal(drawn.base % (2 * PAGE_SIZE), 0);
        seen[(drawn.base - BASE) >> PAGE_SHIFT]++;
        region_tree_remove(&tree, &drawn);
    }

    unsigned places = 0;
    double square = 0;
    double expected = (double)DRAWS / expected_places;
    for (unsigned page = 0; page < TREE_PAGES; page++) {
        places += seen[page] != 0;
        square +=
            seen[page] ? ((double)seen[page] - expected) * ((double)seen[page] - expected) : 0;
    }
    assert_int_equal(places, expected_places);
    /* Mean places - 1, deviation sqrt(2 * (places - 1)): this is beyond six deviations. */
    assert_true(square / expected < places + 12 * sqrt(places));
}

static void test_random_places_are_uniform(void **state)
{
    (void)state;
    unsigned one[] = {100};
    /* BASE is an odd page: places are at odd offsets. 1..97 and 101..253. */
    assert_uniform(one, ARRAY_COUNT(one), 49 + 77);

    /* Every fourth page is taken, so that only one place fits in each hole, but for a hole of 64. */
    unsigned many[TREE_PAGES];
    unsigned count = 0;
    for (unsigned page = 0; page < TREE_PAGES; page += 4) {
        if (page < 64 || page >= 128)
            many[count++] = page;
    }
    assert_uniform(many, count, 16 - 1 + 33 + 32);

    /* Hardly any free page is one of a place: most are chosen by counting them all. */
    count = 0;
    for (unsigned page = 0; page < TREE_PAGES; page += 2) {
        if (page < 100 || page >= 108)
            many[count++] = page;
    }
    assert_uniform(many, count, 4);
}

/* --- W33: five pages cost five ------------------------------------------------------------------------------- */

static void test_contiguous_memory_costs_what_it_has(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 5, 64, 100, 513};
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        struct object *object;
        uint64_t free_bytes = mm_free_bytes();
        assert_int_equal(contiguous_create(counts[i], PAGE_SIZE, phys(0), &object), OK);
        assert_in_range(free_bytes - mm_free_bytes(), counts[i] * PAGE_SIZE,
                        (counts[i] + 1) * PAGE_SIZE); /* and perhaps a slab */
        object_put(object);
        assert_int_equal(mm_free_bytes(), free_bytes);
        assert_audit();
    }
}

/* --- W29: more sharers than a byte can count ----------------------------------------------------------------- */

static void test_a_page_with_more_than_256_owners(void **state)
{
    (void)state;
    enum { CHILDREN = 300 };
    static struct space *children[CHILDREN];
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = new_space();
    map(parent, map_at(BASE, 2, RW));
    write_pages(parent, BASE, 2, 7);
    /* A write to the second page copies each child's leaf, which counts the first page's frame. */
    for (unsigned i = 0; i < CHILDREN; i++) {
        children[i] = forked(parent);
        write_value(children[i], BASE + PAGE_SIZE, i);
    }
    assert_audit();
    write_value(parent, BASE, 8);
    for (unsigned i = 0; i < CHILDREN; i++) {
        assert_int_equal(read_value(children[i], BASE), 7);
        assert_int_equal(read_value(children[i], BASE + PAGE_SIZE), i);
        space_destroy(children[i]);
    }
    assert_int_equal(read_value(parent, BASE), 8);
    space_destroy(parent);
    assert_audit();
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_root_that_is_used_again_shows_nothing_old),
        cmocka_unit_test(test_processors_that_map_at_once_never_overlap),
        cmocka_unit_test(test_the_end_of_a_directory_that_could_not_be_made),
        cmocka_unit_test(test_forks_of_what_was_hardly_touched),
        cmocka_unit_test(test_hints_are_honoured),
        cmocka_unit_test(test_a_first_access_flushes_nothing),
        cmocka_unit_test(test_the_kernel_is_the_kernels),
        cmocka_unit_test(test_faults_without_a_space),
        cmocka_unit_test(test_stack_regions_of_any_rights_fork),
        cmocka_unit_test(test_page_zero_can_be_shown),
        cmocka_unit_test(test_random_places_are_uniform),
        cmocka_unit_test(test_contiguous_memory_costs_what_it_has),
        cmocka_unit_test(test_a_page_with_more_than_256_owners),
    };
    return cmocka_run_group_tests_name("seeds", tests, start, NULL);
}
