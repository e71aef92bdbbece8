/* Every allocation of every operation fails once: then the operation says so, everything is as before,
 * and the same operation succeeds when tried again. Here: map, fault, fork, unmap, protect. */
#include "inject_testing.h"

/* --- operations -------------------------------------------------------------------------------------------- */

static result_t run_create(struct scene *scene)
{
    return space_create(&scene->made);
}

static result_t run_map_anywhere(struct scene *scene)
{
    struct map_args args = map_at(0, 100, PROT_READ | PROT_WRITE);
    args.at = MAP_AT_ANY;
    return run_map(scene, args);
}

static result_t run_map_fixed(struct scene *scene)
{
    return run_map(scene, map_at(BASE, 1000, PROT_READ | PROT_WRITE));
}

static result_t run_populate(struct scene *scene)
{
    struct map_args args = map_at(BASE, 12, PROT_READ | PROT_WRITE);
    args.populate = true;
    return run_map(scene, args);
}

static result_t run_populate_for_reading(struct scene *scene)
{
    struct map_args args = map_at(BASE, 520, PROT_READ);
    args.populate = true;
    args.commit = false;
    return run_map(scene, args);
}

static result_t run_replace(struct scene *scene)
{
    struct map_args args = map_at(BASE + 10 * PAGE_SIZE, 300, PROT_READ);
    args.if_taken = IF_TAKEN_REPLACE;
    return run_map(scene, args);
}

static result_t run_replace_inside(struct scene *scene)
{
    struct map_args args = map_at(BASE + 20 * PAGE_SIZE, 30, PROT_READ);
    args.if_taken = IF_TAKEN_REPLACE;
    return run_map(scene, args);
}

static result_t run_replace_populated(struct scene *scene)
{
    struct map_args args = map_at(BASE - 10 * PAGE_SIZE, 40, PROT_READ | PROT_WRITE);
    args.if_taken = IF_TAKEN_REPLACE;
    args.populate = true;
    return run_map(scene, args);
}

static result_t run_replace_populated_for_reading(struct scene *scene)
{
    struct map_args args = map_at(BASE - 10 * PAGE_SIZE, 1100, PROT_READ);
    args.if_taken = IF_TAKEN_REPLACE;
    args.populate = true;
    args.commit = false;
    return run_map(scene, args);
}

static result_t run_read_fault(struct scene *scene)
{
    return result_of(access_to(scene->space, MACHINE_READ, BASE + 2 * PAGE_SIZE, 0));
}

static result_t run_write_fault(struct scene *scene)
{
    return result_of(access_to(scene->space, MACHINE_WRITE, BASE + 2 * PAGE_SIZE, 1002));
}

/* Deep in the huge object; writes what is there, so that the digest is that of success, too. */
static result_t run_far_write_fault(struct scene *scene)
{
    return result_of(access_to(scene->space, MACHINE_WRITE, BASE + 700 * GIB, 0));
}

static result_t run_childs_write_fault(struct scene *scene)
{
    return result_of(access_to(scene->other, MACHINE_WRITE, BASE + 2 * PAGE_SIZE, 1002));
}

static result_t run_fork(struct scene *scene)
{
    return space_fork(scene->space, &scene->made);
}

static result_t run_unmap_inside(struct scene *scene)
{
    return space_unmap(scene->space, pages_at(BASE + 30 * PAGE_SIZE, 20));
}

static result_t run_unmap_across(struct scene *scene)
{
    return space_unmap(scene->space, pages_at(BASE + 120 * PAGE_SIZE, 500));
}

static result_t run_protect_inside(struct scene *scene)
{
    return space_protect(scene->space, pages_at(BASE + 30 * PAGE_SIZE, 20), PROT_READ);
}

static result_t run_protect_across(struct scene *scene)
{
    return space_protect(scene->space, pages_at(BASE + 120 * PAGE_SIZE, 110),
                         PROT_READ | PROT_EXEC);
}

static result_t run_protect_whole(struct scene *scene)
{
    return space_protect(scene->space, pages_at(BASE, 520), PROT_READ);
}

static const struct operation operations[] = {
    {"create", set_up_nothing, run_create, 2, ORDINARY},
    {"map anywhere", set_up_written, run_map_anywhere, 2, ORDINARY},
    {"map fixed", set_up_empty, run_map_fixed, 2, ORDINARY},
    {"populate", set_up_empty, run_populate, 20, ORDINARY},
    {"populate for reading", set_up_empty, run_populate_for_reading, 6, ORDINARY},
    {"replace", set_up_pieces, run_replace, 4, ORDINARY},
    {"replace inside", set_up_pieces, run_replace_inside, 4, ORDINARY},
    {"replace, populated", set_up_pieces, run_replace_populated, 40, ORDINARY},
    {"replace, populated for reading", set_up_pieces, run_replace_populated_for_reading, 3,
     ORDINARY},
    {"read fault", set_up_untouched, run_read_fault, 3, ORDINARY},
    {"first write fault", set_up_untouched, run_write_fault, 6, ORDINARY},
    {"first write fault, uncommitted", set_up_uncommitted, run_write_fault, 6, ORDINARY},
    {"first write fault, huge object", set_up_huge, run_far_write_fault, 8, HUGE},
    {"copy on write in the parent", set_up_forked, run_write_fault, 2, ORDINARY},
    {"copy on write in the child", set_up_forked, run_childs_write_fault, 5, ORDINARY},
    {"copy on write among pieces", set_up_pieces, run_write_fault, 2, ORDINARY},
    {"fork", set_up_written, run_fork, 5, ORDINARY},
    {"fork of pieces", set_up_pieces, run_fork, 10, ORDINARY},
    {"fork of a huge object", set_up_huge, run_fork, 4, HUGE},
    {"unmap inside", set_up_pieces, run_unmap_inside, 2, ORDINARY},
    {"unmap across", set_up_pieces, run_unmap_across, 1, ORDINARY},
    {"protect inside", set_up_pieces, run_protect_inside, 2, ORDINARY},
    {"protect across", set_up_pieces, run_protect_across, 2, ORDINARY},
    {"protect of all", set_up_pieces, run_protect_whole, 0, ORDINARY},
};

/* --- fill: what it wrote before it failed stays, like any row of writes -------------------------------------- */

static void test_fill_fails_between_pages(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    const uint64_t pattern = 77;
    for (uint64_t nth = 1;; nth++) {
        struct scene scene;
        struct mismatch mismatch;
        set_up_pieces(&scene);
        uint64_t regions = space_region_count(scene.space);
        struct range range = pages_at(BASE + 480 * PAGE_SIZE, 40);
        struct range outside = pages_at(BASE, 80);
        uint64_t others = content_of(scene.other);
        assert_int_equal(space_fill(scene.space, outside, 5, 0), OK);

        mm_inject((struct mm_inject){.nth = nth});
        result_t result = space_fill(scene.space, range, pattern, 0);
        bool fired = mm_inject_fired();
        mm_inject((struct mm_inject){0});
        assert_int_equal(result, fired ? ENOMEM : OK);
        assert_audit();
        assert_int_equal(space_region_count(scene.space), regions);
        assert_int_equal(space_verify(scene.space, outside, 5, 0, &mismatch), OK);
        assert_int_equal(content_of(scene.other), others);
        assert_int_equal(space_fill(scene.space, range, pattern, 0), OK);
        assert_int_equal(space_verify(scene.space, range, pattern, 0, &mismatch), OK);
        tear_down(&scene);
        if (!fired) {
            assert_in_range(nth, 30, 60);
            break;
        }
    }
    assert_int_equal(mm_free_bytes(), free_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_every_allocation_fails_once, OPERATIONS(operations)),
        cmocka_unit_test(test_fill_fails_between_pages),
        cmocka_unit_test_prestate(test_every_operation_with_few_frames_left,
                                  OPERATIONS(operations)),
    };
    return cmocka_run_group_tests_name("inject", tests, start_with_little_memory, NULL);
}
