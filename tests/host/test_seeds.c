/* What PageLab's models got wrong and no other test looks at by itself; docs/seeds.md numbers them. */
#include "mm_testing.h"

#include <math.h>

#include "core/mm/frames.h"
#include "core/mm/internal.h"

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
        cmocka_unit_test(test_random_places_are_uniform),
        cmocka_unit_test(test_a_page_with_more_than_256_owners),
    };
    return cmocka_run_group_tests_name("seeds", tests, start, NULL);
}
