/* Every allocation of what makes, splits and moves large pages fails once; and memory runs out there. */
#include "inject_testing.h"

#include "core/mm/contiguous.h"

#define LARGE_BASE (4 * GIB)

/* --- scenes ----------------------------------------------------------------------------------------- */

static struct map_args two_large_pages(void)
{
    struct map_args args = map_at(LARGE_BASE, 2 * LARGE, PROT_READ | PROT_WRITE);
    args.large = true;
    return args;
}

static void set_up_large_untouched(struct scene *scene)
{
    set_up_empty(scene);
    map(scene->space, two_large_pages());
}

static void set_up_large_uncommitted(struct scene *scene)
{
    struct map_args args = two_large_pages();
    set_up_empty(scene);
    args.commit = false;
    map(scene->space, args);
}

static void set_up_large(struct scene *scene)
{
    set_up_large_untouched(scene);
    write_pages(scene->space, LARGE_BASE, 2 * LARGE, 1000);
    assert_int_equal(space_table_frames(scene->space), machine_levels - 2);
}

static void set_up_large_forked(struct scene *scene)
{
    set_up_large(scene);
    scene->other = forked(scene->space);
}

/* Frames in a row that have a name; large pages show some of them, others are still to come. */
static void set_up_large_contiguous(struct scene *scene)
{
    set_up_empty(scene);
    assert_int_equal(contiguous_create(2 * LARGE, TABLE_BYTES, phys(0), &scene->object), OK);
    object_name(scene->object);
    struct map_args args = two_large_pages();
    args.object = scene->object;
    map(scene->space, args);
    write_value(scene->space, LARGE_BASE, 1);
    write_value(scene->space, LARGE_BASE + TABLE_BYTES, 1);
    scene->other = forked(scene->space);
}

/* --- operations ------------------------------------------------------------------------------------- */

static result_t run_populate(struct scene *scene)
{
    struct map_args args = two_large_pages();
    args.populate = true;
    return run_map(scene, args);
}

static result_t run_write_fault(struct scene *scene)
{
    return result_of(access_to(scene->space, MACHINE_WRITE, LARGE_BASE + PAGE_SIZE, 1001));
}

static result_t run_childs_read_fault(struct scene *scene)
{
    return result_of(access_to(scene->other, MACHINE_READ, LARGE_BASE, 1));
}

static result_t run_fill(struct scene *scene)
{
    return space_fill(scene->space, pages_at(LARGE_BASE + PAGE_SIZE, 1), 1, 0);
}

static result_t run_unmap(struct scene *scene)
{
    return space_unmap(scene->space, pages_at(LARGE_BASE + PAGE_SIZE, LARGE));
}

static result_t run_unmap_inside(struct scene *scene)
{
    return space_unmap(scene->space, pages_at(LARGE_BASE + PAGE_SIZE, 9));
}

static result_t run_replace(struct scene *scene)
{
    struct map_args args = map_at(LARGE_BASE + PAGE_SIZE, 300, PROT_READ);
    args.if_taken = IF_TAKEN_REPLACE;
    return run_map(scene, args);
}

static result_t run_replace_populated(struct scene *scene)
{
    struct map_args args = two_large_pages();
    args.size_bytes = LARGE * PAGE_SIZE;
    args.if_taken = IF_TAKEN_REPLACE;
    args.populate = true;
    return run_map(scene, args);
}

static result_t run_protect(struct scene *scene)
{
    return space_protect(scene->space, pages_at(LARGE_BASE + PAGE_SIZE, LARGE), PROT_READ);
}

static result_t run_forget(struct scene *scene)
{
    return space_advise(scene->space, pages_at(LARGE_BASE + PAGE_SIZE, LARGE), ADVICE_DONTNEED);
}

static result_t run_move_whole(struct scene *scene)
{
    virt_t base;
    return space_move(scene->space, pages_at(LARGE_BASE, 2 * LARGE), MAP_AT_FIXED, LARGE_BASE + GIB,
                      &base);
}

static result_t run_move_in_pieces(struct scene *scene)
{
    virt_t base;
    return space_move(scene->space, pages_at(LARGE_BASE, 2 * LARGE), MAP_AT_FIXED, BASE, &base);
}

static const struct operation operations[] = {
    {"populate", set_up_empty, run_populate, 8, ORDINARY},
    {"first write fault", set_up_large_untouched, run_write_fault, 5, ORDINARY},
    {"first write fault, uncommitted", set_up_large_uncommitted, run_write_fault, 5, ORDINARY},
    {"copy on write", set_up_large_forked, run_write_fault, 3, ORDINARY},
    {"fill", set_up_large_forked, run_fill, 3, ORDINARY},
    {"unmap", set_up_large, run_unmap, 3, ORDINARY},
    {"unmap inside", set_up_large, run_unmap_inside, 2, ORDINARY},
    {"unmap after a fork", set_up_large_forked, run_unmap, 5, ORDINARY},
    {"replace", set_up_large, run_replace, 4, ORDINARY},
    {"replace, populated", set_up_large, run_replace_populated, 6, ORDINARY},
    {"protect", set_up_large, run_protect, 4, ORDINARY},
    {"forget", set_up_large_forked, run_forget, 4, ORDINARY},
    {"move whole", set_up_large, run_move_whole, 1, ORDINARY},
    {"move in pieces", set_up_large, run_move_in_pieces, 3, ORDINARY},
    {"fault on contiguous memory", set_up_large_contiguous, run_childs_read_fault, 2, ORDINARY},
    {"unmap of contiguous memory", set_up_large_contiguous, run_unmap, 2, ORDINARY},
    {"protect of contiguous memory", set_up_large_contiguous, run_protect, 4, ORDINARY},
    {"dontneed of contiguous memory", set_up_large_contiguous, run_forget, 2, ORDINARY},
    {"contiguous memory in pieces", set_up_large_contiguous, run_move_in_pieces, 3, ORDINARY},
};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_every_allocation_fails_once, OPERATIONS(operations)),
        cmocka_unit_test_prestate(test_every_operation_with_few_frames_left,
                                  OPERATIONS(operations)),
    };
    return cmocka_run_group_tests_name("inject_large", tests, start_with_little_memory, NULL);
}
