/* Every allocation of every operation fails once, as in test_inject.c. Here: what shows named objects,
 * moves, resizes, shares, advises, replaces the whole space, and makes objects. */
#include "inject_testing.h"

#include "core/mm/anonymous.h"
#include "core/mm/contiguous.h"
#include "core/mm/internal.h"
#include "core/mm/physical.h"

/* --- scenes ----------------------------------------------------------------------------------------------- */

/* Memory with a name, mapped a page up and down so that no leaf coincides with a table. */
static void show_object(struct scene *scene, struct object *object)
{
    set_up_pieces(scene);
    scene->object = object;
    object_name(object);
    struct map_args args =
        map_at(BASE + 2000 * PAGE_SIZE, object->page_count, PROT_READ | PROT_WRITE);
    args.object = object;
    args.shared = true;
    map(scene->space, args);
    args.address += PAGE_SIZE;
    map(scene->other, args);
}

static void set_up_named(struct scene *scene)
{
    struct object *object;
    assert_int_equal(anonymous_create(600, COMMIT_OFF, &object), OK);
    show_object(scene, object);
    write_pages(scene->space, BASE + 2100 * PAGE_SIZE, 3, 3000);
}

static void set_up_contiguous(struct scene *scene)
{
    struct object *object;
    assert_int_equal(contiguous_create(30, PAGE_SIZE, phys(0), &object), OK);
    show_object(scene, object);
}

/* Of its array of leaves a few are there. */
static void set_up_sparse(struct scene *scene)
{
    set_up_uncommitted(scene);
    write_pages(scene->space, BASE + 510 * PAGE_SIZE, 2, 4000);
}

/* --- operations -------------------------------------------------------------------------------------------- */

static result_t run_map_random(struct scene *scene)
{
    struct map_args args = map_at(0, 100, PROT_READ | PROT_WRITE);
    args.at = MAP_AT_RANDOM;
    args.populate = true;
    return run_map(scene, args);
}

static result_t run_map_elsewhere(struct scene *scene)
{
    struct map_args args = map_at(BASE, 100, PROT_READ | PROT_WRITE);
    args.if_taken = IF_TAKEN_ELSEWHERE;
    args.populate = true;
    return run_map(scene, args);
}

static result_t run_reserve(struct scene *scene)
{
    struct map_args args = map_at(BASE + TIB, GIB / PAGE_SIZE, PROT_NONE);
    args.unbacked = true;
    return run_map(scene, args);
}

static result_t run_map_object(struct scene *scene)
{
    struct map_args args = map_at(BASE + 3 * GIB, 20, PROT_READ | PROT_WRITE);
    args.object = scene->object;
    args.offset_bytes = 8 * PAGE_SIZE;
    args.populate = true;
    return run_map(scene, args);
}

static result_t run_replace_by_object(struct scene *scene)
{
    struct map_args args = map_at(BASE + 20 * PAGE_SIZE, 30, PROT_READ | PROT_WRITE);
    args.object = scene->object;
    args.if_taken = IF_TAKEN_REPLACE;
    args.populate = true;
    return run_map(scene, args);
}

static result_t run_read_of_object(struct scene *scene)
{
    return result_of(access_to(scene->other, MACHINE_READ, BASE + 2003 * PAGE_SIZE, 0));
}

static result_t run_write_to_object(struct scene *scene)
{
    return result_of(access_to(scene->other, MACHINE_WRITE, BASE + 2007 * PAGE_SIZE, 0));
}

static result_t run_unmap_of_object(struct scene *scene)
{
    return space_unmap(scene->space, pages_at(BASE + 2004 * PAGE_SIZE, 9));
}

static result_t move_to(struct scene *scene, enum map_at at, uint64_t target)
{
    virt_t base;
    return space_move(scene->space, pages_at(BASE, 520), at, target, &base);
}

static result_t run_move_tables(struct scene *scene)
{
    return move_to(scene, MAP_AT_FIXED, BASE + TIB);
}

static result_t run_move_entries(struct scene *scene)
{
    return move_to(scene, MAP_AT_FIXED, BASE + TIB + 500 * PAGE_SIZE);
}

static result_t run_move_anywhere(struct scene *scene)
{
    return move_to(scene, MAP_AT_ANY, 0);
}

static result_t run_move_at_random(struct scene *scene)
{
    return move_to(scene, MAP_AT_RANDOM, 0);
}

static result_t run_grow(struct scene *scene)
{
    return space_resize(scene->space, pages_at(BASE, 520), 1500 * PAGE_SIZE);
}

/* The top array of pointers becomes a tree of them. */
static result_t run_grow_much(struct scene *scene)
{
    return space_resize(scene->space, pages_at(BASE, 520), 2 * GIB);
}

static result_t run_shrink(struct scene *scene)
{
    return space_resize(scene->space, pages_at(BASE, 520), 300 * PAGE_SIZE);
}

static result_t share_with(struct space *space, struct scene *scene, bool populate)
{
    struct map_args args = map_at(BASE + 5 * GIB, 0, PROT_NONE);
    virt_t base;
    args.populate = populate;
    return space_share(space, &args, scene->space, pages_at(BASE + 10 * PAGE_SIZE, 80), &base);
}

static result_t run_share(struct scene *scene)
{
    return share_with(scene->other, scene, false);
}

static result_t run_share_populated(struct scene *scene)
{
    return share_with(scene->other, scene, true);
}

static result_t run_share_with_itself(struct scene *scene)
{
    return share_with(scene->space, scene, true);
}

static result_t run_dontneed(struct scene *scene)
{
    return space_advise(scene->space, pages_at(BASE + 20 * PAGE_SIZE, 490), ADVICE_DONTNEED);
}

static result_t run_willneed(struct scene *scene)
{
    return space_advise(scene->space, pages_at(BASE, 520), ADVICE_WILLNEED);
}

static result_t run_exec(struct scene *scene)
{
    struct image image = {.text = pages_at(0, 5), .data = pages_at(0, 7), .stack = pages_at(0, 9)};
    return space_exec(scene->space, &image);
}

static result_t named(struct scene *scene, result_t result)
{
    if (result == OK)
        object_name(scene->made_object);
    return result;
}

static result_t run_create_anonymous(struct scene *scene)
{
    return named(scene, anonymous_create(100, COMMIT_ON, &scene->made_object));
}

static result_t run_create_contiguous(struct scene *scene)
{
    return named(scene, contiguous_create(30, 16 * PAGE_SIZE, phys(16 * MIB), &scene->made_object));
}

static result_t run_create_physical(struct scene *scene)
{
    uint64_t size_bytes;
    return named(scene, physical_create(physical_window(&size_bytes), 3, &scene->made_object));
}

static result_t run_take_frames(struct scene *scene)
{
    phys_t first;
    (void)scene;
    result_t result = mm_frames_take(5, phys(0), &first);
    if (result == OK)
        mm_frames_give(first, 5);
    return result;
}

static const struct operation operations[] = {
    {"map at random", set_up_pieces, run_map_random, 100, ORDINARY},
    {"map elsewhere", set_up_pieces, run_map_elsewhere, 100, ORDINARY},
    {"reserve", set_up_pieces, run_reserve, 1, ORDINARY},
    {"map an object", set_up_named, run_map_object, 15, MAKES_PAGES},
    {"replace by an object", set_up_named, run_replace_by_object, 30, MAKES_PAGES},
    {"read fault on an object", set_up_named, run_read_of_object, 1, ORDINARY},
    {"write fault on an object", set_up_named, run_write_to_object, 1, ORDINARY},
    {"unmap of an object", set_up_named, run_unmap_of_object, 1, ORDINARY},
    {"map contiguous memory", set_up_contiguous, run_map_object, 4, ORDINARY},
    {"replace by contiguous memory", set_up_contiguous, run_replace_by_object, 4, ORDINARY},
    {"read fault on contiguous memory", set_up_contiguous, run_read_of_object, 1, ORDINARY},
    {"unmap of contiguous memory", set_up_contiguous, run_unmap_of_object, 1, ORDINARY},
    {"move tables", set_up_pieces, run_move_tables, 3, ORDINARY},
    {"move entries", set_up_pieces, run_move_entries, 4, ORDINARY},
    {"move anywhere", set_up_pieces, run_move_anywhere, 3, ORDINARY},
    {"move at random", set_up_pieces, run_move_at_random, 3, ORDINARY},
    {"grow", set_up_forked, run_grow, 1, ORDINARY},
    {"grow without promises", set_up_sparse, run_grow_much, 1, HUGE},
    {"shrink", set_up_forked, run_shrink, 1, ORDINARY},
    {"share", set_up_pieces, run_share, 1, ORDINARY},
    {"share, populated", set_up_pieces, run_share_populated, 40, MAKES_PAGES},
    {"share with itself", set_up_pieces, run_share_with_itself, 40, MAKES_PAGES},
    {"dontneed", set_up_pieces, run_dontneed, 2, ORDINARY},
    {"willneed", set_up_untouched, run_willneed, 6, ORDINARY},
    {"exec", set_up_pieces, run_exec, 20, ORDINARY},
    {"create anonymous memory", set_up_nothing, run_create_anonymous, 1, ORDINARY},
    {"create contiguous memory", set_up_nothing, run_create_contiguous, 2, ORDINARY},
    {"create physical memory", set_up_nothing, run_create_physical, 1, ORDINARY},
    {"take frames", set_up_nothing, run_take_frames, 1, ORDINARY},
};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_every_allocation_fails_once, OPERATIONS(operations)),
        cmocka_unit_test_prestate(test_every_operation_with_few_frames_left,
                                  OPERATIONS(operations)),
    };
    return cmocka_run_group_tests_name("inject_change", tests, start_with_little_memory, NULL);
}
