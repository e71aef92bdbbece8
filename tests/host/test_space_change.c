/* Moving, resizing, advising, sharing, replacing and naming: errors at every boundary, and what is
 * special about each. What all memory types have in common is in test_conformance.c. */
#include "mm_testing.h"

#include "core/mm/anonymous.h"
#include "core/mm/contiguous.h"

#define BASE (GIB - 5 * PAGE_SIZE)
#define FAR (5 * GIB)
#define RW (PROT_READ | PROT_WRITE)

static struct space *space;
static uint64_t free_bytes;

static int set_up(void **state)
{
    (void)state;
    free_bytes = mm_free_bytes();
    space = new_space();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    space_destroy(space);
    assert_audit();
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(mm_free_bytes(), free_bytes);
    return 0;
}

static uint64_t page_at(uint64_t base, uint64_t page)
{
    return base + page * PAGE_SIZE;
}

/* --- arguments that no operation takes ------------------------------------------------------------------- */

typedef result_t (*range_operation)(struct range range);

static result_t try_unmap(struct range range)
{
    return space_unmap(space, range);
}

static result_t try_protect(struct range range)
{
    return space_protect(space, range, PROT_READ);
}

static result_t try_resize(struct range range)
{
    return space_resize(space, range, 2 * PAGE_SIZE);
}

static result_t try_move(struct range range)
{
    virt_t base;
    return space_move(space, range, MAP_AT_ANY, 0, &base);
}

static result_t try_move_to(struct range range)
{
    virt_t base;
    range.size_bytes = range.size_bytes == 0 ? PAGE_SIZE : range.size_bytes;
    return space_move(space, pages_at(BASE, range.size_bytes / PAGE_SIZE), MAP_AT_FIXED, range.base,
                      &base);
}

static result_t try_dontneed(struct range range)
{
    return space_advise(space, range, ADVICE_DONTNEED);
}

static result_t try_willneed(struct range range)
{
    return space_advise(space, range, ADVICE_WILLNEED);
}

static result_t try_share(struct range range)
{
    virt_t base;
    struct map_args args = map_at(FAR, 1, PROT_NONE);
    return space_share(space, &args, space, range, &base);
}

static void test_ranges_that_make_no_sense(void **state)
{
    (void)state;
    static const range_operation operations[] = {try_unmap,    try_protect,  try_resize, try_move,
                                                 try_dontneed, try_willneed, try_share};
    map(space, map_at(BASE, 10, RW));
    uint64_t high = space_user_high();
    for (size_t i = 0; i < ARRAY_COUNT(operations); i++) {
        range_operation operation = operations[i];
        assert_int_equal(operation((struct range){BASE, 0}), EINVAL);
        assert_int_equal(operation((struct range){BASE + 8, PAGE_SIZE}), EINVAL);
        assert_int_equal(operation((struct range){BASE, PAGE_SIZE + 8}), EINVAL);
        assert_int_equal(operation(pages_at(0, 1)), ERANGE);
        assert_int_equal(operation(pages_at(SPACE_USER_LOW - PAGE_SIZE, 2)), ERANGE);
        assert_int_equal(operation(pages_at(high - PAGE_SIZE, 2)), ERANGE);
        assert_int_equal(operation(pages_at(high, 1)), ERANGE);
        assert_int_equal(operation((struct range){-PAGE_SIZE, PAGE_SIZE}), ERANGE);
        assert_int_equal(operation((struct range){BASE, -PAGE_SIZE}), ERANGE);
        assert_int_equal(operation((struct range){BASE, -BASE}), ERANGE);
    }
    assert_int_equal(try_move_to((struct range){FAR + 8, 10 * PAGE_SIZE}), EINVAL);
    assert_int_equal(try_move_to(pages_at(0, 10)), ERANGE);
    assert_int_equal(try_move_to(pages_at(high - 9 * PAGE_SIZE, 10)), ERANGE);
    assert_int_equal(try_move_to(pages_at(high - 10 * PAGE_SIZE, 10)), OK);
    assert_int_equal(space_region_count(space), 1);
}

static void test_sizes_and_rights_that_make_no_sense(void **state)
{
    (void)state;
    virt_t base;
    struct map_args args = map_at(BASE, 1, RW);
    map(space, args);
    assert_int_equal(space_resize(space, pages_at(BASE, 1), 0), EINVAL);
    assert_int_equal(space_resize(space, pages_at(BASE, 1), 100), EINVAL);
    assert_int_equal(space_resize(space, pages_at(BASE, 1), space_user_high()), ERANGE);
    assert_int_equal(space_resize(space, pages_at(BASE, 1), -PAGE_SIZE), ERANGE);
    assert_int_equal(space_protect(space, pages_at(BASE, 1), 8), EINVAL);
    args.align_bytes = 3 * PAGE_SIZE;
    assert_int_equal(space_map(space, &args, &base), EINVAL);
    args.align_bytes = PAGE_SIZE / 2;
    assert_int_equal(space_map(space, &args, &base), EINVAL);
    args.align_bytes = 2 * MIB;
    assert_int_equal(space_map(space, &args, &base), EINVAL);
    args = map_at(BASE, 1, 8);
    assert_int_equal(space_map(space, &args, &base), EINVAL);
    args = map_at(0, 1, RW);
    assert_int_equal(space_map(space, &args, &base), ERANGE);
    args.at = MAP_AT_ANY;
    args.size_bytes = space_user_high();
    assert_int_equal(space_map(space, &args, &base), ENOMEM);
    args.at = MAP_AT_RANDOM;
    assert_int_equal(space_map(space, &args, &base), ENOMEM);
}

/* --- move -------------------------------------------------------------------------------------------------- */

static void test_move_refuses(void **state)
{
    (void)state;
    virt_t base;
    map(space, map_at(BASE, 10, RW));
    map(space, map_at(FAR, 10, RW));
    write_pages(space, BASE, 10, 100);
    struct range all = pages_at(BASE, 10);
    assert_int_equal(space_move(space, pages_at(2 * GIB, 4), MAP_AT_ANY, 0, &base), ENOENT);
    assert_int_equal(space_move(space, pages_at(BASE, 9), MAP_AT_ANY, 0, &base), EINVAL);
    assert_int_equal(space_move(space, pages_at(page_at(BASE, 1), 9), MAP_AT_ANY, 0, &base),
                     EINVAL);
    assert_int_equal(space_move(space, all, MAP_AT_FIXED, FAR, &base), EEXIST);
    assert_int_equal(space_move(space, all, MAP_AT_FIXED, FAR - 9 * PAGE_SIZE, &base), EEXIST);
    assert_int_equal(space_move(space, all, MAP_AT_FIXED, FAR + 9 * PAGE_SIZE, &base), EEXIST);
    assert_int_equal(space_move(space, all, MAP_AT_FIXED, page_at(BASE, 5), &base), EEXIST);
    assert_int_equal(space_move(space, all, MAP_AT_FIXED, BASE, &base), EEXIST);
    assert_int_equal(space_move(space, all, MAP_AT_FIXED, FAR - 10 * PAGE_SIZE, &base), OK);
    assert_int_equal(read_value(space, FAR - PAGE_SIZE), 109);
    assert_int_equal(space_move(space, pages_at(FAR - 10 * PAGE_SIZE, 20), MAP_AT_ANY, 0, &base),
                     OK);
    assert_int_equal(base.value, SPACE_USER_LOW);
    assert_int_equal(read_value(space, page_at(SPACE_USER_LOW, 9)), 109);
}

/* The target lies in the hole between the source's pieces: nothing may be moved twice. */
static void test_move_into_a_hole_of_its_own(void **state)
{
    (void)state;
    virt_t base;
    map(space, map_at(BASE, 12, RW));
    write_pages(space, BASE, 12, 100);
    protect(space, page_at(BASE, 1), 1, PROT_READ);
    unmap(space, page_at(BASE, 2), 10);
    struct range with_hole = pages_at(BASE, 8);
    assert_int_equal(space_move(space, with_hole, MAP_AT_FIXED, page_at(BASE, 2), &base), OK);
    assert_audit();
    assert_int_equal(read_value(space, page_at(BASE, 2)), 100);
    assert_int_equal(read_value(space, page_at(BASE, 3)), 101);
    assert_int_equal(refused(space, MACHINE_READ, BASE), FAULT_SEGV);
    assert_int_equal(refused(space, MACHINE_READ, page_at(BASE, 4)), FAULT_SEGV);
    assert_int_equal(refused(space, MACHINE_WRITE, page_at(BASE, 3)), FAULT_PROT);
}

static void test_moving_whole_tables_copies_no_entry(void **state)
{
    (void)state;
    virt_t base;
    const uint64_t pages = 4 * 512;
    map(space, map_at(64 * MIB, pages, RW));
    write_pages(space, 64 * MIB, pages, 1000);
    struct space *child = forked(space);
    uint64_t free_before = mm_free_bytes();
    assert_int_equal(
        space_move(space, pages_at(64 * MIB, pages), MAP_AT_FIXED, FAR + 2 * MIB, &base), OK);
    assert_int_equal(space_table_frames(space), 4 + 2);
    assert_int_equal(mm_free_bytes(), free_before);
    uint64_t copies = counter_read(COUNTER_FAULT_COW_COPY);
    write_pages(space, FAR + 2 * MIB, pages, 2000);
    assert_int_equal(counted(COUNTER_FAULT_COW_COPY, copies), pages);
    assert_int_equal(read_value(child, page_at(64 * MIB, 700)), 1700);
    space_destroy(child);
}

static void test_move_at_random(void **state)
{
    (void)state;
    virt_t base;
    uint64_t at = BASE;
    uint64_t far = 0;
    map(space, map_at(BASE, 10, RW));
    write_pages(space, BASE, 10, 100);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(space_move(space, pages_at(at, 10), MAP_AT_RANDOM, 0, &base), OK);
        at = base.value;
        far += at > TIB;
        assert_int_equal(read_value(space, page_at(at, 9)), 109);
    }
    assert_in_range(far, 18, 20); /* 1/128 of the space is lower */
}

/* --- resize -------------------------------------------------------------------------------------------------- */

static void test_resize_refuses(void **state)
{
    (void)state;
    map(space, map_at(BASE, 10, RW));
    map(space, map_at(page_at(BASE, 20), 1, RW));
    assert_int_equal(space_resize(space, pages_at(BASE, 9), 12 * PAGE_SIZE), ENOENT);
    assert_int_equal(space_resize(space, pages_at(BASE, 11), 12 * PAGE_SIZE), ENOENT);
    assert_int_equal(space_resize(space, pages_at(BASE, 10), 21 * PAGE_SIZE), ENOMEM);
    assert_int_equal(space_resize(space, pages_at(BASE, 10), 10 * PAGE_SIZE), OK);
    assert_int_equal(space_resize(space, pages_at(BASE, 10), 20 * PAGE_SIZE), OK);
    assert_int_equal(space_region_count(space), 2);
    uint64_t many = mm_free_bytes() / PAGE_SIZE + 100;
    assert_int_equal(space_resize(space, pages_at(page_at(BASE, 20), 1), many * PAGE_SIZE),
                     ENOMEM); /* cannot be promised */
}

/* What a piece that was moved away shows must not be shown by what grows in its place. */
static void test_growing_behind_a_piece_that_was_moved_away(void **state)
{
    (void)state;
    virt_t base;
    map(space, map_at(BASE, 10, RW));
    write_pages(space, BASE, 10, 100);
    protect(space, page_at(BASE, 6), 4, PROT_READ);
    assert_int_equal(space_move(space, pages_at(page_at(BASE, 6), 4), MAP_AT_FIXED, FAR, &base),
                     OK);
    assert_int_equal(space_resize(space, pages_at(BASE, 6), 8 * PAGE_SIZE), ENOMEM);
    assert_int_equal(read_value(space, FAR), 106);
    unmap(space, FAR, 4);
    assert_int_equal(space_resize(space, pages_at(BASE, 6), 8 * PAGE_SIZE), OK);
    assert_int_equal(read_value(space, page_at(BASE, 6)), 0);
    assert_int_equal(read_value(space, page_at(BASE, 5)), 105);
}

/* Two tables that show one leaf, of which a fork makes a copy: both must follow it, on either side. */
static void test_a_fork_of_a_piece_that_was_moved_away(void **state)
{
    (void)state;
    const uint64_t aligned = 4 * GIB;
    struct space *child;
    virt_t base;
    map(space, map_at(aligned, 8, RW));
    write_pages(space, aligned, 8, 100);
    protect(space, page_at(aligned, 4), 4, PROT_READ | PROT_WRITE | PROT_EXEC);
    assert_int_equal(
        space_move(space, pages_at(page_at(aligned, 4), 4), MAP_AT_FIXED, page_at(FAR, 4), &base),
        OK);
    assert_int_equal(space_fork(space, &child), OK);
    const struct region *piece = region_of_node(region_tree_find(&child->tree, page_at(FAR, 4)));
    assert_false(object_is_alone(piece->object)); /* no table's lock is enough for the leaf */
    struct space *const sides[] = {space, child};
    for (unsigned i = 0; i < ARRAY_COUNT(sides); i++) {
        for (unsigned page = 4; page < 8; page++)
            assert_int_equal(read_value(sides[i], page_at(FAR, page)), 100 + page);
        write_value(sides[i], aligned, 7 + i);
        assert_audit();
        write_value(sides[i], page_at(FAR, 5), 17 + i);
        assert_audit();
    }
    space_destroy(child);
    write_pages(space, page_at(FAR, 4), 4, 200);
    assert_int_equal(read_value(space, aligned), 7);
}

static void test_promises_grow_and_shrink_with_the_memory(void **state)
{
    (void)state;
    map(space, map_at(BASE, 10, RW));
    assert_int_equal(mm_committed_pages(), 10);
    assert_int_equal(space_resize(space, pages_at(BASE, 10), 1000 * PAGE_SIZE), OK);
    assert_int_equal(mm_committed_pages(), 1000);
    write_pages(space, page_at(BASE, 500), 200, 1);
    assert_int_equal(mm_committed_pages(), 800);
    assert_int_equal(space_resize(space, pages_at(BASE, 1000), 600 * PAGE_SIZE), OK);
    assert_int_equal(mm_committed_pages(), 500);
    assert_int_equal(space_advise(space, pages_at(BASE, 600), ADVICE_DONTNEED), OK);
    assert_int_equal(mm_committed_pages(), 600);
    assert_int_equal(space_resize(space, pages_at(BASE, 600), PAGE_SIZE), OK);
    assert_int_equal(mm_committed_pages(), 1);
}

/* --- advise, share, objects ------------------------------------------------------------------------------------ */

static void test_advise_refuses_holes(void **state)
{
    (void)state;
    map(space, map_at(BASE, 4, RW));
    map(space, map_at(page_at(BASE, 5), 4, RW));
    write_pages(space, BASE, 4, 100);
    for (int advice = ADVICE_DONTNEED; advice <= ADVICE_WILLNEED; advice++) {
        assert_int_equal(space_advise(space, pages_at(BASE, 9), (enum advice)advice), ENOENT);
        assert_int_equal(space_advise(space, pages_at(page_at(BASE, 8), 2), (enum advice)advice),
                         ENOENT);
    }
    assert_int_equal(read_value(space, page_at(BASE, 3)), 103);
    assert_int_equal(space_resident_pages(space), 4);
}

/* Of a fork only the side that is advised forgets. */
static void test_what_is_forgotten_stays_with_the_other_side(void **state)
{
    (void)state;
    map(space, map_at(BASE, 600, RW));
    write_pages(space, BASE, 600, 100);
    struct space *child = forked(space);
    assert_int_equal(space_advise(child, pages_at(page_at(BASE, 3), 580), ADVICE_DONTNEED), OK);
    assert_audit();
    assert_int_equal(read_value(child, page_at(BASE, 3)), 0);
    assert_int_equal(read_value(child, page_at(BASE, 2)), 102);
    assert_int_equal(read_value(space, page_at(BASE, 300)), 400);
    assert_int_equal(space_advise(space, pages_at(BASE, 600), ADVICE_DONTNEED), OK);
    assert_int_equal(read_value(child, page_at(BASE, 599)), 699);
    assert_int_equal(read_value(space, page_at(BASE, 599)), 0);
    space_destroy(child);
}

static void test_share_refuses(void **state)
{
    (void)state;
    virt_t base;
    struct map_args args = map_at(FAR, 1, PROT_NONE);
    struct space *other = new_space();
    map(space, map_at(BASE, 10, RW));
    protect(space, page_at(BASE, 5), 5, PROT_READ);
    struct region *region = region_of_node(region_tree_find(&space->tree, BASE));
    assert_int_equal(space_share(other, &args, space, pages_at(2 * GIB, 1), &base), ENOENT);
    assert_int_equal(space_share(other, &args, space, pages_at(BASE, 6), &base), EINVAL);
    map(other, map_at(FAR, 1, RW));
    assert_int_equal(space_share(other, &args, space, pages_at(BASE, 5), &base), EEXIST);
    args.address = space_user_high();
    assert_int_equal(space_share(other, &args, space, pages_at(BASE, 5), &base), ERANGE);
    assert_false(region->shared);
    assert_true(object_is_exclusive(region->object));
    args.at = MAP_AT_ANY;
    assert_int_equal(space_share(other, &args, space, pages_at(page_at(BASE, 5), 5), &base), OK);
    assert_int_equal(refused(other, MACHINE_WRITE, base.value), FAULT_PROT);
    space_destroy(other);
}

/* What a fork gave the child is the child's to share, content and all. */
static void test_a_child_shares_what_it_was_given(void **state)
{
    (void)state;
    virt_t base;
    struct map_args args = map_at(FAR + 3 * PAGE_SIZE, 1, PROT_NONE);
    map(space, map_at(BASE, 10, RW));
    write_pages(space, BASE, 10, 100);
    struct space *child = forked(space);
    struct space *other = new_space();
    assert_int_equal(space_share(other, &args, child, pages_at(BASE, 10), &base), OK);
    assert_int_equal(read_value(other, page_at(base.value, 4)), 104);
    write_value(other, page_at(base.value, 4), 7);
    assert_int_equal(read_value(child, page_at(BASE, 4)), 7);
    assert_int_equal(read_value(space, page_at(BASE, 4)), 104);
    assert_audit();
    space_destroy(child);
    space_destroy(other);
}

/* The only entry of a table is the one that a write elsewhere in the table replaces. */
static void test_memory_shown_twice_in_one_table(void **state)
{
    (void)state;
    struct object *object;
    assert_int_equal(anonymous_create(4, COMMIT_ON, &object), OK);
    object_name(object);
    struct map_args args = map_at(FAR, 4, RW);
    args.object = object;
    map(space, args);
    args.address = FAR + 64 * PAGE_SIZE;
    map(space, args);
    assert_int_equal(read_value(space, page_at(args.address, 2)), 0);
    write_value(space, page_at(FAR, 2), 9);
    assert_audit();
    assert_int_equal(read_value(space, page_at(args.address, 2)), 9);
    unmap(space, FAR, 100);
    assert_int_equal(object_drop(object), OK);
}

static void test_objects_live_while_they_are_known(void **state)
{
    (void)state;
    struct object *object;
    assert_int_equal(contiguous_create(0, PAGE_SIZE, phys(0), &object), EINVAL);
    assert_int_equal(contiguous_create(1, 3 * PAGE_SIZE, phys(0), &object), EINVAL);
    assert_int_equal(
        contiguous_create(mm_free_bytes() / PAGE_SIZE + 1, PAGE_SIZE, phys(0), &object), ENOMEM);
    assert_int_equal(anonymous_create(mm_free_bytes() / PAGE_SIZE + 1, COMMIT_ON, &object), ENOMEM);
    assert_int_equal(anonymous_create(10, COMMIT_ON, &object), OK);
    object_name(object);
    struct map_args args = map_at(BASE, 10, RW);
    args.object = object;
    args.shared = true;
    map(space, args);
    write_pages(space, BASE, 10, 100);
    struct space *child = forked(space);
    assert_int_equal(object_region_count(object), 2);
    assert_int_equal(object_drop(object), EBUSY);
    unmap(space, BASE, 10);
    assert_int_equal(object_drop(object), EBUSY);
    unmap(child, BASE, 10);
    assert_int_equal(object_region_count(object), 0);
    map(child, args);
    assert_int_equal(read_value(child, page_at(BASE, 9)), 109);
    object_unname(object);
    assert_int_equal(read_value(child, page_at(BASE, 8)), 108);
    space_destroy(child);
}

/* --- exec ------------------------------------------------------------------------------------------------------ */

static void test_exec_refuses_images_that_make_no_sense(void **state)
{
    (void)state;
    map(space, map_at(BASE, 4, RW));
    write_pages(space, BASE, 4, 100);
    struct image image = {.text = pages_at(0, 2), .data = pages_at(0, 0), .stack = pages_at(0, 1)};
    assert_int_equal(space_exec(space, &image), EINVAL);
    image.data.size_bytes = PAGE_SIZE + 1;
    assert_int_equal(space_exec(space, &image), EINVAL);
    image.data = pages_at(0, 1);
    image.stack.size_bytes = mm_free_bytes() + 100 * PAGE_SIZE;
    assert_int_equal(space_exec(space, &image), ENOMEM);
    assert_int_equal(space_region_count(space), 1);
    assert_int_equal(read_value(space, page_at(BASE, 3)), 103);
}

static void test_exec_leaves_nothing_of_the_old_image(void **state)
{
    (void)state;
    map(space, map_at(SPACE_USER_LOW, 400, RW));
    write_pages(space, SPACE_USER_LOW, 400, 100);
    struct image image = {.text = pages_at(0, 3), .data = pages_at(0, 2), .stack = pages_at(0, 4)};
    uint64_t faults = counter_read(COUNTER_FAULT_TOTAL);
    assert_int_equal(space_exec(space, &image), OK);
    assert_audit();
    assert_int_equal(space_region_count(space), 4);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(access_to(space, MACHINE_EXEC, page_at(image.text.base, i), 0).end,
                         ACCESS_DONE);
    write_pages(space, image.data.base, 2, 1);
    assert_int_equal(counter_read(COUNTER_FAULT_TOTAL), faults);
    assert_int_equal(read_value(space, image.data.base + 8), 0);
    assert_int_equal(refused(space, MACHINE_WRITE, image.text.base), FAULT_PROT);
    assert_int_equal(refused(space, MACHINE_EXEC, image.data.base), FAULT_PROT);
    assert_int_equal(refused(space, MACHINE_WRITE, image.stack.base - PAGE_SIZE), FAULT_SEGV);
    uint64_t fresh = counter_read(COUNTER_FAULT_ANON);
    write_value(space, image.stack.base + 3 * PAGE_SIZE, 1);
    assert_int_equal(counted(COUNTER_FAULT_ANON, fresh), 1);
    assert_int_equal(refused(space, MACHINE_READ, page_at(SPACE_USER_LOW, 399)), FAULT_SEGV);
}

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ranges_that_make_no_sense),
        TEST(sizes_and_rights_that_make_no_sense),
        TEST(move_refuses),
        TEST(move_into_a_hole_of_its_own),
        TEST(moving_whole_tables_copies_no_entry),
        TEST(move_at_random),
        TEST(resize_refuses),
        TEST(growing_behind_a_piece_that_was_moved_away),
        TEST(a_fork_of_a_piece_that_was_moved_away),
        TEST(promises_grow_and_shrink_with_the_memory),
        TEST(advise_refuses_holes),
        TEST(what_is_forgotten_stays_with_the_other_side),
        TEST(share_refuses),
        TEST(a_child_shares_what_it_was_given),
        TEST(memory_shown_twice_in_one_table),
        TEST(objects_live_while_they_are_known),
        TEST(exec_refuses_images_that_make_no_sense),
        TEST(exec_leaves_nothing_of_the_old_image),
    };
    return cmocka_run_group_tests_name("space_change", tests, start, NULL);
}
