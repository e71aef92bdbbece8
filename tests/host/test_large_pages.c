/* 2 MiB pages of anonymous memory: when there is one, what splits it, what must not, and that nobody can
 * tell by content, rights or promises. */
#include "mm_testing.h"

#include "core/mm/anonymous.h"
#include "core/mm/frames.h"

#define RW (PROT_READ | PROT_WRITE)
#define BASE (4 * GIB)          /* aligned for large pages */
#define STALE (BASE + 64 * MIB) /* another place, congruent */

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    return 0;
}

/* A space with so many large pages, each with a word in every page. */
static struct space *with_large_pages(uint64_t count)
{
    struct space *space = new_space();
    map(space, large_at(BASE, count * LARGE));
    write_pages(space, BASE, count * LARGE, 1000);
    return space;
}

static void assert_all_gone(uint64_t free_bytes)
{
    assert_audit();
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(counter_read(COUNTER_COMMIT_RESERVED), 0);
    assert_int_equal(counter_read(COUNTER_COMMIT_USED), 0);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* --- making ----------------------------------------------------------------------------------------- */

static void test_one_fault_maps_all(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    map(space, large_at(BASE, 2 * LARGE));
    assert_int_equal(mm_committed_pages(), 2 * LARGE);
    uint64_t anon = counter_read(COUNTER_FAULT_ANON);
    uint64_t total = counter_read(COUNTER_FAULT_TOTAL);
    uint64_t zeroed = counter_read(COUNTER_PAGE_ZEROED);
    uint64_t tables = space_table_frames(space);
    write_value(space, BASE + 77 * PAGE_SIZE + 8, 5);
    assert_int_equal(counted(COUNTER_FAULT_ANON, anon), 1);
    assert_int_equal(counted(COUNTER_PAGE_ZEROED, zeroed), LARGE);
    assert_int_equal(space_resident_pages(space), LARGE);
    assert_int_equal(space_resident_pages_in(space, pages_at(BASE + PAGE_SIZE, 9)), 9);
    assert_int_equal(space_frame_run(space, pages_at(BASE, 2 * LARGE)), LARGE);
    assert_int_equal(space_table_frames(space) - tables, machine_levels - 2);
    assert_int_equal(mm_committed_pages(), LARGE);
    assert_int_equal(counter_read(COUNTER_COMMIT_USED), LARGE);
    assert_audit();

    assert_int_equal(read_value(space, BASE + 77 * PAGE_SIZE + 8), 5);
    assert_int_equal(read_value(space, BASE + 78 * PAGE_SIZE), 0);
    write_pages(space, BASE, LARGE, 1);
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, total), 1);
    write_value(space, BASE + LARGE * PAGE_SIZE, 1);
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, total), 2);
    assert_int_equal(space_resident_pages(space), 2 * LARGE);
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_edges_are_small(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    uint64_t base = BASE - 3 * PAGE_SIZE;
    map(space, large_at(base, LARGE + 5));
    map(space, map_at(BASE + 4 * MIB, LARGE, RW));
    write_value(space, base, 1);
    write_value(space, BASE + LARGE * PAGE_SIZE, 1);
    write_value(space, BASE + 4 * MIB, 1); /* large pages were not asked for */
    assert_int_equal(space_resident_pages(space), 3);
    write_pages(space, base, LARGE + 5, 10);
    assert_int_equal(mapped_by(space, base), 1);
    assert_int_equal(mapped_by(space, BASE), LARGE);
    assert_int_equal(mapped_by(space, BASE + 2 * MIB), 1);
    assert_values(space, base, LARGE + 5, 10);
    assert_audit();
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_placed_where_they_fit(void **state)
{
    (void)state;
    struct space *space = new_space();
    struct map_args args = large_at(0, LARGE + 1);
    args.at = MAP_AT_ANY;
    map(space, map_at(SPACE_USER_LOW, 1, RW));
    uint64_t first = map(space, args);
    assert_int_equal(first, SPACE_USER_LOW + 2 * MIB);
    args.size_bytes = (LARGE - 1) * PAGE_SIZE;
    assert_int_equal(map(space, args), SPACE_USER_LOW + PAGE_SIZE); /* none would fit */

    /* No aligned hole is left: any hole will do. */
    uint64_t low = first + 4 * MIB;
    args = map_at(low + 3 * MIB, 1, RW);
    args.size_bytes = space->tree.high - args.address;
    args.commit = false;
    map(space, args);
    map(space, map_at(low, 1, RW));
    args = large_at(0, LARGE);
    args.at = MAP_AT_ANY;
    assert_int_equal(map(space, args), low + PAGE_SIZE);
    space_destroy(space);
    assert_audit();
}

static void test_populated_at_once(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    struct map_args args = large_at(BASE - PAGE_SIZE, 2 * LARGE + 2);
    args.populate = true;
    map(space, args);
    assert_int_equal(space_resident_pages(space), 2 * LARGE + 2);
    assert_int_equal(mapped_by(space, BASE), LARGE);
    assert_int_equal(mapped_by(space, BASE + 2 * MIB), LARGE);

    /* Over what is there, in tables made aside. */
    write_pages(space, BASE, 2 * LARGE, 7);
    args = large_at(BASE, LARGE);
    args.populate = true;
    args.if_taken = IF_TAKEN_REPLACE;
    map(space, args);
    assert_int_equal(mapped_by(space, BASE), LARGE);
    assert_int_equal(read_value(space, BASE), 0);
    assert_values(space, BASE + 2 * MIB, LARGE, 7 + LARGE);
    assert_audit();
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_after_a_read_pages_are_small(void **state)
{
    (void)state;
    struct space *space = new_space();
    map(space, large_at(BASE, LARGE));
    assert_int_equal(read_value(space, BASE + PAGE_SIZE), 0);
    assert_int_equal(space_resident_pages(space), 1);
    write_value(space, BASE, 1);
    assert_int_equal(space_resident_pages(space), 2);
    assert_audit();
    space_destroy(space);
}

/* Takes all frames and gives back those that `keep` does not want; *count is how many are kept. */
static phys_t *fragment(uint64_t *count)
{
    uint64_t all = mm_free_bytes() / PAGE_SIZE;
    phys_t *taken = malloc(all * sizeof(*taken));
    assert_non_null(taken);
    for (uint64_t i = 0; i < all; i++)
        assert_int_equal(mm_frames_take(1, phys(0), &taken[i]), OK);
    *count = 0;
    for (uint64_t i = 0; i < all; i++) {
        if ((taken[i].value >> PAGE_SHIFT) % LARGE == 300)
            taken[(*count)++] = taken[i];
        else
            mm_frames_give(taken[i], 1);
    }
    return taken;
}

static void test_small_pages_when_memory_is_fragmented(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    uint64_t count;
    phys_t *taken = fragment(&count);
    struct space *space = new_space();
    map(space, large_at(BASE, LARGE));
    write_value(space, BASE, 1);
    assert_int_equal(space_resident_pages(space), 1);
    assert_int_equal(mm_committed_pages(), LARGE - 1);
    write_pages(space, BASE, LARGE, 20);
    assert_values(space, BASE, LARGE, 20);
    assert_audit();
    space_destroy(space);
    while (count-- > 0)
        mm_frames_give(taken[count], 1);
    free(taken);
    assert_all_gone(free_bytes);
}

static void test_promises_of_others_are_kept(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    for (uint64_t left = LARGE - 1; left < LARGE + 9; left++) {
        struct space *space = new_space();
        struct map_args args = large_at(BASE, LARGE);
        args.commit = false;
        map(space, args);
        uint64_t aside = mm_free_bytes() / PAGE_SIZE - left;
        assert_int_equal(frames_promise(aside), OK);
        write_value(space, BASE, 1); /* the large page would leave too little for its tables */
        assert_int_equal(space_resident_pages(space), 1);
        frames_unpromise(aside);
        assert_audit();
        space_destroy(space);
    }
    assert_all_gone(free_bytes);
}

/* --- ranges ----------------------------------------------------------------------------------------- */

static void test_unmapping_a_part_splits(void **state)
{
    (void)state;
    static const struct {
        uint64_t first, pages, tables;
    } parts[] = {
        {0, 1, 1},          {LARGE - 1, 1, 1},         {200, 50, 1},
        {LARGE - 9, 20, 2}, {100, LARGE, 2},           {0, LARGE, 0},
        {LARGE, LARGE, 0},  {LARGE / 2, 2 * LARGE, 2}, {0, 3 * LARGE, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        uint64_t free_bytes = mm_free_bytes();
        struct space *space = with_large_pages(3);
        uint64_t first = parts[i].first;
        uint64_t end = first + parts[i].pages;
        uint64_t tables = space_table_frames(space);
        uint64_t total = counter_read(COUNTER_FAULT_TOTAL);
        unmap(space, BASE + first * PAGE_SIZE, parts[i].pages);
        assert_int_equal(space_resident_pages(space), 3 * LARGE - parts[i].pages);
        if (parts[i].pages < 3 * LARGE)
            assert_int_equal(space_table_frames(space), tables + parts[i].tables);
        else
            assert_int_equal(space_table_frames(space), 0);
        assert_audit();
        assert_values(space, BASE, first, 1000);
        assert_values(space, BASE + end * PAGE_SIZE, 3 * LARGE - end, 1000 + end);
        assert_int_equal(counted(COUNTER_FAULT_TOTAL, total), 0);
        assert_int_equal(refused(space, MACHINE_READ, BASE + first * PAGE_SIZE), FAULT_SEGV);
        assert_int_equal(refused(space, MACHINE_WRITE, BASE + (end - 1) * PAGE_SIZE), FAULT_SEGV);
        space_destroy(space);
        assert_all_gone(free_bytes);
    }
}

static void test_rights_of_a_whole_page_and_of_a_part(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = with_large_pages(3);
    uint64_t tables = space_table_frames(space);
    protect(space, BASE + 2 * MIB, LARGE, PROT_READ);
    assert_int_equal(space_table_frames(space), tables);
    assert_int_equal(refused(space, MACHINE_WRITE, BASE + 2 * MIB), FAULT_PROT);
    assert_values(space, BASE, 3 * LARGE, 1000);
    write_value(space, BASE + 2 * MIB - PAGE_SIZE, 1000 + LARGE - 1);
    assert_audit();

    protect(space, BASE, 3 * LARGE, RW);
    assert_int_equal(space_region_count(space), 1);
    uint64_t reuse = counter_read(COUNTER_FAULT_COW_REUSE);
    write_pages(space, BASE, 3 * LARGE, 1000);
    assert_int_equal(counted(COUNTER_FAULT_COW_REUSE, reuse), 1);
    assert_int_equal(space_table_frames(space), tables);

    protect(space, BASE + 2 * MIB + 7 * PAGE_SIZE, 3, PROT_READ);
    assert_int_equal(space_table_frames(space), tables + 1);
    assert_int_equal(refused(space, MACHINE_WRITE, BASE + 2 * MIB + 9 * PAGE_SIZE), FAULT_PROT);
    write_value(space, BASE + 2 * MIB + 6 * PAGE_SIZE, 1000 + LARGE + 6);
    write_value(space, BASE + 2 * MIB + 10 * PAGE_SIZE, 1000 + LARGE + 10);
    assert_int_equal(mapped_by(space, BASE), LARGE);
    protect(space, BASE + PAGE_SIZE, 2 * LARGE - 2, PROT_NONE);
    assert_int_equal(refused(space, MACHINE_READ, BASE + PAGE_SIZE), FAULT_PROT);
    assert_int_equal(read_value(space, BASE), 1000);
    assert_audit();
    protect(space, BASE, 3 * LARGE, RW);
    assert_values(space, BASE, 3 * LARGE, 1000);
    assert_audit();
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_forgetting_a_part(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = with_large_pages(2);
    uint64_t start_page = LARGE - 4;
    assert_int_equal(
        space_advise(space, pages_at(BASE + start_page * PAGE_SIZE, 8), ADVICE_DONTNEED), OK);
    assert_int_equal(space_resident_pages(space), 2 * LARGE - 8);
    assert_int_equal(mm_committed_pages(), 8);
    assert_values(space, BASE, start_page, 1000);
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(read_value(space, BASE + (start_page + i) * PAGE_SIZE), 0);
    assert_values(space, BASE + (start_page + 8) * PAGE_SIZE, LARGE - 4, 1000 + start_page + 8);
    assert_audit();

    /* All of it: the next write finds nothing and may be large again. */
    assert_int_equal(space_advise(space, pages_at(BASE, 2 * LARGE), ADVICE_DONTNEED), OK);
    write_value(space, BASE + 5 * PAGE_SIZE, 5);
    assert_int_equal(space_resident_pages(space), LARGE);
    assert_int_equal(space_advise(space, pages_at(BASE, 2 * LARGE), ADVICE_WILLNEED), OK);
    assert_int_equal(space_resident_pages(space), 2 * LARGE);
    assert_audit();
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_moving(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = with_large_pages(2);
    uint64_t total = counter_read(COUNTER_FAULT_TOTAL);
    virt_t base;
    assert_int_equal(space_move(space, pages_at(BASE, 2 * LARGE), MAP_AT_FIXED, STALE, &base), OK);
    assert_int_equal(mapped_by(space, STALE), LARGE);
    assert_values(space, STALE, 2 * LARGE, 1000);
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, total), 0);
    assert_int_equal(refused(space, MACHINE_READ, BASE), FAULT_SEGV);
    assert_audit();

    uint64_t odd = BASE + 5 * PAGE_SIZE;
    assert_int_equal(space_move(space, pages_at(STALE, 2 * LARGE), MAP_AT_FIXED, odd, &base), OK);
    assert_int_equal(refused(space, MACHINE_READ, STALE + (2 * LARGE - 1) * PAGE_SIZE), FAULT_SEGV);
    total = counter_read(COUNTER_FAULT_TOTAL);
    assert_int_equal(mapped_by(space, odd), 1);
    assert_int_equal(space_resident_pages(space), 2 * LARGE);
    assert_values(space, odd, 2 * LARGE, 1000);
    write_pages(space, odd, 2 * LARGE, 1000);
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, total), 0);
    assert_int_equal(refused(space, MACHINE_READ, STALE), FAULT_SEGV);
    assert_audit();
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_resizing(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = with_large_pages(2);
    assert_int_equal(space_resize(space, pages_at(BASE, 2 * LARGE), (LARGE + 100) * PAGE_SIZE), OK);
    assert_int_equal(space_resident_pages(space), LARGE + 100);
    assert_values(space, BASE, LARGE + 100, 1000);
    assert_int_equal(space_resize(space, pages_at(BASE, LARGE + 100), 3 * LARGE * PAGE_SIZE), OK);
    assert_int_equal(read_value(space, BASE + (LARGE + 100) * PAGE_SIZE), 0);
    write_value(space, BASE + 4 * MIB, 9);
    assert_int_equal(mapped_by(space, BASE + 4 * MIB), LARGE);
    assert_values(space, BASE, LARGE + 100, 1000);
    assert_audit();
    space_destroy(space);
    assert_all_gone(free_bytes);
}

/* --- forks and sharing ------------------------------------------------------------------------------ */

static void test_fork_splits_nothing_until_a_write(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = with_large_pages(2);
    uint64_t tables = space_table_frames(parent);
    struct space *child = forked(parent);
    assert_int_equal(space_table_frames(parent), tables);
    assert_values(parent, BASE, 2 * LARGE, 1000);
    assert_values(child, BASE, 2 * LARGE, 1000);
    uint64_t copies = counter_read(COUNTER_FAULT_COW_COPY);
    write_value(child, BASE + 3 * PAGE_SIZE, 7);
    assert_int_equal(counted(COUNTER_FAULT_COW_COPY, copies), 1);
    assert_int_equal(mapped_by(parent, BASE), LARGE);
    assert_audit();

    /* The page that the child has copied is the parent's alone; its neighbour is not. */
    write_value(parent, BASE + 2 * PAGE_SIZE, 8);
    assert_int_equal(counted(COUNTER_FAULT_COW_COPY, copies), 2);
    assert_int_equal(mapped_by(parent, BASE), 1);
    assert_int_equal(mapped_by(parent, BASE + 2 * MIB), LARGE);
    assert_int_equal(space_table_frames(parent), tables + 1);
    uint64_t reuse = counter_read(COUNTER_FAULT_COW_REUSE);
    write_value(parent, BASE + 3 * PAGE_SIZE, 1003);
    assert_int_equal(counted(COUNTER_FAULT_COW_COPY, copies), 2);
    assert_int_equal(counted(COUNTER_FAULT_COW_REUSE, reuse), 1);
    assert_audit();
    assert_int_equal(read_value(child, BASE + 3 * PAGE_SIZE), 7);
    assert_int_equal(read_value(child, BASE + 2 * PAGE_SIZE), 1002);
    assert_values(child, BASE + 4 * PAGE_SIZE, 2 * LARGE - 4, 1004);
    assert_values(parent, BASE + 3 * PAGE_SIZE, 2 * LARGE - 3, 1003);

    /* A page that is single in a leaf that is not: the write splits, but copies nothing. */
    write_value(child, BASE + 2 * MIB + PAGE_SIZE, 9);
    copies = counter_read(COUNTER_FAULT_COW_COPY);
    write_value(parent, BASE + 2 * MIB + PAGE_SIZE, 1000 + LARGE + 1);
    assert_int_equal(counted(COUNTER_FAULT_COW_COPY, copies), 0);
    assert_int_equal(mapped_by(parent, BASE + 2 * MIB), 1);
    assert_values(parent, BASE + 2 * MIB, LARGE, 1000 + LARGE);
    assert_audit();
    space_destroy(parent);
    assert_int_equal(read_value(child, BASE + 2 * MIB + PAGE_SIZE), 9);
    space_destroy(child);
    assert_all_gone(free_bytes);
}

static void test_last_owner_writes_the_whole_page(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = with_large_pages(2);
    uint64_t tables = space_table_frames(parent);
    struct space *child = forked(parent);
    write_pages(child, BASE, 5, 1);
    space_destroy(child);
    uint64_t copies = counter_read(COUNTER_FAULT_COW_COPY);
    uint64_t reuse = counter_read(COUNTER_FAULT_COW_REUSE);
    write_pages(parent, BASE, 2 * LARGE, 2);
    assert_int_equal(counted(COUNTER_FAULT_COW_COPY, copies), 0);
    assert_int_equal(counted(COUNTER_FAULT_COW_REUSE, reuse), 2);
    assert_int_equal(space_table_frames(parent), tables);
    assert_audit();

    /* The child may make large pages of its own where the parent has nothing. */
    assert_int_equal(space_advise(parent, pages_at(BASE, LARGE), ADVICE_DONTNEED), OK);
    child = forked(parent);
    write_value(child, BASE, 1);
    assert_int_equal(mapped_by(child, BASE), LARGE);
    assert_int_equal(mapped_by(parent, BASE), 0);
    assert_audit();
    space_destroy(parent);
    assert_int_equal(read_value(child, BASE), 1);
    assert_values(child, BASE + 2 * MIB, LARGE, 2 + LARGE);
    space_destroy(child);
    assert_all_gone(free_bytes);
}

/* What a split leaves is a table like any other: after a fork it is protected, and regained, as a whole. */
static void test_split_pages_are_regained_as_tables(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = with_large_pages(2);
    struct space *child = forked(parent);
    write_value(parent, BASE, 1); /* a copied leaf, then the split */
    unmap(parent, BASE + 2 * MIB + 9 * PAGE_SIZE, 1);
    space_destroy(child);
    write_pages(parent, BASE, LARGE + 9, 1);
    write_pages(parent, BASE + 2 * MIB + 10 * PAGE_SIZE, LARGE - 10, 1);
    for (unsigned i = 0; i < 2; i++) {
        space_destroy(forked(parent));
        uint64_t reuse = counter_read(COUNTER_FAULT_COW_REUSE);
        write_pages(parent, BASE, LARGE, 1);
        assert_int_equal(counted(COUNTER_FAULT_COW_REUSE, reuse), 1);
        write_pages(parent, BASE + 2 * MIB, 9, 1);
        assert_int_equal(counted(COUNTER_FAULT_COW_REUSE, reuse), 2);
    }
    assert_audit();
    space_destroy(parent);

    parent = with_large_pages(1);
    unmap(parent, BASE, 1); /* split without a fault */
    space_destroy(forked(parent));
    uint64_t reuse = counter_read(COUNTER_FAULT_COW_REUSE);
    write_pages(parent, BASE + PAGE_SIZE, LARGE - 1, 1);
    assert_int_equal(counted(COUNTER_FAULT_COW_REUSE, reuse), 1);
    assert_audit();
    space_destroy(parent);
    assert_all_gone(free_bytes);
}

/* Neighbours that show one object with pages of different size stay apart. */
static void test_regions_of_two_sizes_do_not_merge(void **state)
{
    (void)state;
    struct object *object;
    assert_int_equal(anonymous_create(2 * LARGE, COMMIT_ON, &object), OK);
    object_name(object);
    struct space *space = new_space();
    struct map_args args = large_at(BASE, LARGE);
    args.object = object;
    map(space, args);
    args = map_at(BASE + 2 * MIB, LARGE, RW);
    args.object = object;
    args.offset_bytes = 2 * MIB;
    map(space, args);
    protect(space, BASE, 2 * LARGE, PROT_READ);
    protect(space, BASE, 2 * LARGE, RW);
    assert_int_equal(space_region_count(space), 2);
    write_value(space, BASE, 1);
    write_value(space, BASE + 2 * MIB, 1);
    assert_int_equal(space_resident_pages(space), LARGE + 1);
    assert_audit();
    space_destroy(space);
    assert_int_equal(object_drop(object), OK);
}

static void test_filling_after_a_fork(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = with_large_pages(1);
    struct space *child = forked(parent);
    struct mismatch mismatch;
    struct range range = pages_at(BASE + 10 * PAGE_SIZE, 20);
    assert_int_equal(space_fill(parent, range, 3, 0), OK);
    assert_int_equal(space_resident_pages(parent), LARGE - 20);
    assert_int_equal(space_verify(parent, range, 3, 0, &mismatch), OK);
    assert_int_equal(read_value(parent, range.base), splitmix64(3));
    assert_values(child, BASE, LARGE, 1000);
    assert_audit();
    space_destroy(child);
    assert_int_equal(space_fill(parent, pages_at(BASE, LARGE), 4, 0), OK);
    assert_int_equal(read_value(parent, BASE), splitmix64(4));
    assert_audit();
    space_destroy(parent);
    assert_all_gone(free_bytes);
}

static void test_sharing(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *first = new_space();
    struct space *second = new_space();
    map(first, large_at(BASE, LARGE));
    virt_t base;
    struct map_args args = map_at(STALE, LARGE, RW);
    assert_int_equal(space_share(second, &args, first, pages_at(BASE, LARGE), &base), OK);
    assert_int_equal(read_value(second, STALE + PAGE_SIZE), 0);
    write_value(first, BASE + PAGE_SIZE, 5);
    assert_int_equal(mapped_by(first, BASE), LARGE);
    assert_int_equal(read_value(second, STALE + PAGE_SIZE), 5);
    write_value(second, STALE + PAGE_SIZE, 6);
    assert_int_equal(read_value(first, BASE + PAGE_SIZE), 6);
    assert_audit();
    space_destroy(first);
    assert_int_equal(read_value(second, STALE + PAGE_SIZE), 6);
    space_destroy(second);
    assert_all_gone(free_bytes);
}

/* A private region and its fork show an object that a name reaches, too: a copy made through another
 * region must not be missed by the large page. */
/* What was read elsewhere may be all that the table above holds. */
static void test_a_large_page_in_place_of_the_last_table(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    struct object *object;
    assert_int_equal(anonymous_create(512, COMMIT_OFF, &object), OK);
    object_name(object);
    struct map_args args = map_at(GIB, 512, PROT_READ | PROT_WRITE);
    args.object = object;
    args.shared = true;
    map(space, args);
    args.address = GIB + 8 * MIB;
    args.large = true;
    map(space, args);
    assert_int_equal(read_value(space, GIB), 0);
    write_value(space, GIB + 8 * MIB, 7);
    assert_audit();
    assert_int_equal(read_value(space, GIB), 7);
    space_destroy(space);
    assert_int_equal(object_drop(object), OK);
    assert_all_gone(free_bytes);
}

static void test_a_copy_made_through_another_region(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct object *object;
    assert_int_equal(anonymous_create(LARGE, COMMIT_ON, &object), OK);
    object_name(object);
    struct space *space = new_space();
    struct map_args args = large_at(BASE, LARGE);
    args.object = object;
    map(space, args);
    args = map_at(STALE, LARGE, RW);
    args.object = object;
    map(space, args);
    write_pages(space, BASE, LARGE, 1000);
    assert_int_equal(mapped_by(space, BASE), LARGE);
    struct space *child = forked(space);
    assert_values(space, STALE, LARGE, 1000);
    assert_values(space, BASE, LARGE, 1000);
    write_value(space, STALE + PAGE_SIZE, 7);
    assert_int_equal(read_value(space, BASE + PAGE_SIZE), 7);
    assert_int_equal(read_value(space, BASE), 1000);
    assert_audit();
    write_value(space, BASE, 8);
    assert_int_equal(read_value(space, STALE), 8);
    assert_values(child, BASE, LARGE, 1000);
    assert_audit();
    space_destroy(space);
    space_destroy(child);
    assert_int_equal(object_drop(object), OK);
    assert_all_gone(free_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_fault_maps_all),
        cmocka_unit_test(test_edges_are_small),
        cmocka_unit_test(test_placed_where_they_fit),
        cmocka_unit_test(test_populated_at_once),
        cmocka_unit_test(test_after_a_read_pages_are_small),
        cmocka_unit_test(test_small_pages_when_memory_is_fragmented),
        cmocka_unit_test(test_promises_of_others_are_kept),
        cmocka_unit_test(test_unmapping_a_part_splits),
        cmocka_unit_test(test_rights_of_a_whole_page_and_of_a_part),
        cmocka_unit_test(test_forgetting_a_part),
        cmocka_unit_test(test_moving),
        cmocka_unit_test(test_resizing),
        cmocka_unit_test(test_fork_splits_nothing_until_a_write),
        cmocka_unit_test(test_last_owner_writes_the_whole_page),
        cmocka_unit_test(test_split_pages_are_regained_as_tables),
        cmocka_unit_test(test_regions_of_two_sizes_do_not_merge),
        cmocka_unit_test(test_filling_after_a_fork),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_a_large_page_in_place_of_the_last_table),
        cmocka_unit_test(test_a_copy_made_through_another_region),
    };
    return cmocka_run_group_tests_name("large pages", tests, start, NULL);
}
