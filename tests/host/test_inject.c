/* Every allocation of every operation fails once: then the operation says so, everything is as before,
 * and the same operation succeeds when tried again. */
#include "mm_testing.h"

#include "core/mm/frames.h"

#define BASE (GIB - 3 * PAGE_SIZE) /* two page directories, three tables for 520 pages */

/* What an operation works on; made anew for every failure. */
struct scene {
    struct space *space;
    struct space *other; /* NULL: none */
    struct space *made;  /* by the operation */
};

struct operation {
    const char *name;
    void (*set_up)(struct scene *scene);
    result_t (*run)(struct scene *scene);
    unsigned failures_min; /* allocations that it must at least have */
    bool is_huge;          /* too large to be read */
};

static result_t result_of(struct machine_access access)
{
    if (access.end == ACCESS_FAULTED && access.outcome == FAULT_NOMEM)
        return ENOMEM;
    assert_int_equal(access.end, ACCESS_DONE);
    return OK;
}

/* --- scenes ----------------------------------------------------------------------------------------------- */

static void set_up_nothing(struct scene *scene)
{
    *scene = (struct scene){0};
}

static void set_up_empty(struct scene *scene)
{
    *scene = (struct scene){.space = new_space()};
}

static void set_up_untouched(struct scene *scene)
{
    set_up_empty(scene);
    map(scene->space, map_at(BASE, 520, PROT_READ | PROT_WRITE));
}

static void set_up_uncommitted(struct scene *scene)
{
    struct map_args args = map_at(BASE, 520, PROT_READ | PROT_WRITE);
    set_up_empty(scene);
    args.commit = false;
    map(scene->space, args);
}

/* Slots are found through three levels of pointers. */
static void set_up_huge(struct scene *scene)
{
    struct map_args args = map_at(BASE, TIB / PAGE_SIZE, PROT_READ | PROT_WRITE);
    set_up_empty(scene);
    args.commit = false;
    map(scene->space, args);
}

static void set_up_written(struct scene *scene)
{
    set_up_untouched(scene);
    write_pages(scene->space, BASE, 520, 1000);
}

static void set_up_forked(struct scene *scene)
{
    set_up_written(scene);
    scene->other = forked(scene->space);
}

/* Pieces of one object with different rights, whose leaves are shared, an untouched region behind. */
static void set_up_pieces(struct scene *scene)
{
    set_up_written(scene);
    protect(scene->space, BASE + 100 * PAGE_SIZE, 50, PROT_READ);
    protect(scene->space, BASE + 200 * PAGE_SIZE, 50, PROT_NONE);
    scene->other = forked(scene->space);
    map(scene->space, map_at(BASE + 600 * PAGE_SIZE, 600, PROT_READ | PROT_WRITE));
    write_pages(scene->space, BASE + 516 * PAGE_SIZE, 3, 2000);
    assert_int_equal(read_value(scene->space, BASE + 130 * PAGE_SIZE), 1130);
}

/* --- operations -------------------------------------------------------------------------------------------- */

static result_t run_create(struct scene *scene)
{
    return space_create(&scene->made);
}

static result_t run_map(struct scene *scene, struct map_args args)
{
    virt_t base;
    return space_map(scene->space, &args, &base);
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

static const struct operation operations[] = {
    {"create", set_up_nothing, run_create, 2, false},
    {"map anywhere", set_up_written, run_map_anywhere, 2, false},
    {"map fixed", set_up_empty, run_map_fixed, 2, false},
    {"populate", set_up_empty, run_populate, 20, false},
    {"populate for reading", set_up_empty, run_populate_for_reading, 6, false},
    {"replace", set_up_pieces, run_replace, 4, false},
    {"replace inside", set_up_pieces, run_replace_inside, 4, false},
    {"replace, populated", set_up_pieces, run_replace_populated, 40, false},
    {"replace, populated for reading", set_up_pieces, run_replace_populated_for_reading, 3, false},
    {"read fault", set_up_untouched, run_read_fault, 3, false},
    {"first write fault", set_up_untouched, run_write_fault, 6, false},
    {"first write fault, uncommitted", set_up_uncommitted, run_write_fault, 6, false},
    {"first write fault, huge object", set_up_huge, run_far_write_fault, 8, true},
    {"copy on write in the parent", set_up_forked, run_write_fault, 2, false},
    {"copy on write in the child", set_up_forked, run_childs_write_fault, 5, false},
    {"copy on write among pieces", set_up_pieces, run_write_fault, 2, false},
    {"fork", set_up_written, run_fork, 5, false},
    {"fork of pieces", set_up_pieces, run_fork, 10, false},
    {"fork of a huge object", set_up_huge, run_fork, 4, true},
    {"unmap inside", set_up_pieces, run_unmap_inside, 2, false},
    {"unmap across", set_up_pieces, run_unmap_across, 1, false},
    {"protect inside", set_up_pieces, run_protect_inside, 2, false},
    {"protect across", set_up_pieces, run_protect_across, 2, false},
};

/* --- the loop ------------------------------------------------------------------------------------------------ */

static struct figures look(const struct operation *operation, const struct scene *scene)
{
    return figures_of(scene->space, operation->is_huge ? WITHOUT_CONTENT : WITH_CONTENT);
}

static void expect_unchanged(const struct operation *operation, uint64_t nth,
                             const struct figures *now, const struct figures *before)
{
    if (memcmp(now, before, sizeof(*now)) == 0)
        return;
    print_message("%s, allocation %lu failed:\n", operation->name, (unsigned long)nth);
    print_message("  content %lx, was %lx; regions %lu, were %lu; resident %lu, were %lu\n",
                  (unsigned long)now->content, (unsigned long)before->content,
                  (unsigned long)now->regions, (unsigned long)before->regions,
                  (unsigned long)now->resident, (unsigned long)before->resident);
    print_message("  tables %lu, were %lu; free %lu, were %lu; committed %lu, were %lu\n",
                  (unsigned long)now->tables, (unsigned long)before->tables,
                  (unsigned long)now->free_bytes, (unsigned long)before->free_bytes,
                  (unsigned long)now->committed, (unsigned long)before->committed);
    fail();
}

static void tear_down(struct scene *scene)
{
    if (scene->made)
        space_destroy(scene->made);
    if (scene->other)
        space_destroy(scene->other);
    if (scene->space)
        space_destroy(scene->space);
}

/* True if the N-th allocation was one of the operation's. */
static bool fail_allocation(const struct operation *operation, uint64_t nth)
{
    struct scene scene;
    operation->set_up(&scene);
    struct figures before = look(operation, &scene);
    mm_inject((struct mm_inject){.nth = nth});
    result_t result = operation->run(&scene);
    bool fired = mm_inject_fired();
    mm_inject((struct mm_inject){0});

    if (result != (fired ? ENOMEM : OK))
        fail_msg("%s, allocation %lu %s: %s", operation->name, (unsigned long)nth,
                 fired ? "failed" : "does not exist", result_name(result));
    if (fired) {
        struct figures after = look(operation, &scene);
        expect_unchanged(operation, nth, &after, &before);
        assert_null(scene.made);
        assert_audit();
        assert_int_equal(operation->run(&scene), OK);
    }
    assert_audit();
    tear_down(&scene);
    return fired;
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    for (size_t i = 0; i < ARRAY_COUNT(operations); i++) {
        const struct operation *operation = &operations[i];
        uint64_t nth = 1;
        while (fail_allocation(operation, nth))
            nth++;
        if (nth <= operation->failures_min)
            fail_msg("%s has only %lu allocations", operation->name, (unsigned long)nth - 1);
        assert_int_equal(mm_free_bytes(), free_bytes);
        assert_int_equal(mm_committed_pages(), 0);
    }
}

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

/* --- memory that really runs out ------------------------------------------------------------------------------ */

/* Takes all but so many frames; returns how many. */
static uint64_t set_aside_all_but(uint64_t left)
{
    uint64_t count = mm_free_bytes() / PAGE_SIZE - left;
    assert_int_equal(frames_promise(count), OK);
    return count;
}

static void test_every_operation_with_few_frames_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(operations); i++) {
        const struct operation *operation = &operations[i];
        result_t result = ENOMEM;
        for (uint64_t left = 0; result != OK; left++) {
            struct scene scene;
            operation->set_up(&scene);
            uint64_t aside = set_aside_all_but(left);
            struct figures before = look(operation, &scene);
            result = operation->run(&scene);
            assert_true(result == OK || result == ENOMEM);
            if (result == ENOMEM) {
                struct figures after = look(operation, &scene);
                expect_unchanged(operation, left, &after, &before);
            }
            frames_unpromise(aside);
            assert_audit();
            tear_down(&scene);
            assert_true(left < 2000);
        }
    }
    assert_int_equal(mm_committed_pages(), 0);
}

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 32 * MIB});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_fill_fails_between_pages),
        cmocka_unit_test(test_every_operation_with_few_frames_left),
    };
    return cmocka_run_group_tests_name("inject", tests, start, NULL);
}
