/* Write windows: kernel objects are read-only outside them, and a stray write is told where it happens.
 * The whole program runs with the host's pages protected. */
#include "mm_testing.h"

#include <stdio.h>
#include <string.h>

#include "core/lock.h"
#include "core/mm/anonymous.h"
#include "core/mm/frames.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/write_window.h"

#define AT 0x40000000ull

static char said[1 << 16];

static void expect_panic(void (*function)(void *argument), void *argument, const char *what)
{
    assert_int_equal(sim_in_child(function, argument, said, sizeof said), 2);
    if (!strstr(said, what))
        fail_msg("no '%s' in: %s", what, said);
}

static void expect_no_panic(void (*function)(void *argument), void *argument)
{
    if (sim_in_child(function, argument, said, sizeof said) != 0)
        fail_msg("%s", said);
}

/* --- strays ------------------------------------------------------------------------------------------- */

static void write_to(void *address)
{
    *(volatile uint64_t *)address ^= 1;
}

static void write_in_window(void *address)
{
    object_write_begin();
    object_write_begin();
    write_to(address);
    object_write_end();
    write_to(address); /* windows nest */
    object_write_end();
}

static void write_behind_window(void *address)
{
    write_in_window(address);
    write_to(address);
}

static void test_a_stray_write_is_told_where_it_happens(void **state)
{
    (void)state;
    struct space *space = new_space();
    map(space, map_at(AT, 4, PROT_READ | PROT_WRITE));
    write_value(space, AT, 1);
    struct region *region = region_of_node(region_tree_first(&space->tree));

    expect_panic(write_to, &space->changes, "by the kernel, the page's rights forbid it");
    assert_non_null(strstr(said, "is used as heap"));
    assert_non_null(strstr(said, "bytes (in use), slab of"));
    assert_non_null(strstr(said, "it is space 0x"));
    expect_panic(write_to, &region->entry_bits, "it is the region 0x40000000..0x40004000 of space");
    expect_panic(write_to, &region->object->page_count,
                 "it is the anonymous object that region 0x40000000..0x40004000 of space");
    expect_no_panic(write_in_window, &space->changes);
    expect_panic(write_behind_window, &space->changes, "it is space 0x");
    space_destroy(space);
}

static void test_a_stray_write_to_free_memory_of_a_slab(void **state)
{
    (void)state;
    void *kept = heap_alloc(1000);
    void *object = heap_alloc(1000);
    heap_free(object, 1000);
    expect_panic(write_to, object, "of 1024 bytes (free)");
    assert_non_null(strstr(said, "it is no space, no region, and no object"));
    heap_free(kept, 1000);
}

/* --- windows that open by themselves ------------------------------------------------------------------- */

static bool is_open(void)
{
    return machine_cpu()->write_windows != 0;
}

static void test_a_lock_that_guards_objects_opens_one(void **state)
{
    (void)state;
    struct lock outer, inner, frames_lock;
    lock_init(&outer, RANK_SPACE, "outer");
    lock_init(&inner, RANK_HEAP, "inner");
    lock_init(&frames_lock, RANK_FRAMES, "frames lock");
    lock_acquire(&outer);
    assert_true(is_open());
    lock_acquire(&inner);
    lock_release(&outer); /* in any order */
    assert_true(is_open());
    lock_release(&inner);
    assert_false(is_open());
    lock_acquire(&frames_lock);
    assert_false(is_open());
    lock_release(&frames_lock);
}

static void test_an_object_is_made_in_one(void **state)
{
    (void)state;
    struct lock lock;
    phys_t page;
    lock_init(&lock, RANK_OBJECT, "object");
    uint64_t *first = heap_alloc(64);
    uint64_t *second = heap_alloc(64);
    assert_int_equal(machine_cpu()->write_windows, 1);
    assert_int_equal(frames_take(FRAME_DATA, &page), OK); /* takes no part in it */
    frames_give(page);
    first[0] = second[0] = 1;
    lock_acquire(&lock);
    lock_release(&lock);
    assert_false(is_open());

    heap_free(second, 64);
    assert_false(is_open());
    second = heap_alloc(64);
    assert_true(is_open());
    heap_free(second, 64);
    heap_free(first, 64);
    assert_false(is_open());
}

static void fault_in_a_window(void *argument)
{
    struct space *space = argument;
    object_write_begin();
    write_value(space, AT + PAGE_SIZE, 1);
}

static void test_no_user_code_runs_in_one(void **state)
{
    (void)state;
    struct space *space = new_space();
    map(space, map_at(AT, 2, PROT_READ | PROT_WRITE));
    assert_false(is_open());
    write_value(space, AT, 1);
    expect_panic(fault_in_a_window, space, "1 write windows are open on CPU 0");
    space_destroy(space);
    assert_false(is_open());
}

/* Every operation, with every allocation failing in turn, leaves its windows closed. */
static void test_failures_leave_none_open(void **state)
{
    (void)state;
    struct space *space = new_space();
    struct space *child;
    virt_t base;
    bool fired = true;
    map(space, map_at(AT, 1030, PROT_READ | PROT_WRITE));
    write_pages(space, AT, 1030, 1);
    for (uint64_t nth = 1; fired; nth++) {
        struct map_args args = map_at(0, 4, PROT_READ);
        struct object *object;
        args.at = MAP_AT_ANY;
        args.populate = true;
        mm_inject((struct mm_inject){.nth = nth});
        if (space_map(space, &args, &base) == OK)
            unmap(space, base.value, 4);
        assert_false(is_open());
        if (space_unmap(space, pages_at(AT + 600 * PAGE_SIZE, 1)) == OK)
            assert_false(is_open());
        (void)!space_protect(space, pages_at(AT + nth * PAGE_SIZE, 1), PROT_READ);
        assert_false(is_open());
        if (space_fork(space, &child) == OK)
            space_destroy(child);
        assert_false(is_open());
        if (anonymous_create(8, COMMIT_ON, &object) == OK) {
            object_name(object);
            assert_int_equal(object_drop(object), OK);
        }
        assert_false(is_open());
        fired = mm_inject_fired();
    }
    mm_inject((struct mm_inject){0});
    space_destroy(space);
    assert_false(is_open());
    assert_audit();
}

/* --- pages ------------------------------------------------------------------------------------------------ */

static bool is_read_only(const void *object)
{
    phys_t at = machine_virt_to_phys(object);
    struct sim_translation now = sim_look_up_tables(BOOT_DIRECT_MAP_BASE + at.value);
    assert_true(now.present && !now.user && !now.executable);
    return !now.writable;
}

static void test_pages_of_slabs_are_read_only_and_no_others(void **state)
{
    (void)state;
    heap_trim();
    char *object = heap_alloc(2048);
    char *page = (char *)page_floor((uint64_t)object);
    phys_t at = machine_virt_to_phys(page);
    assert_true(is_read_only(object));
    assert_true(is_read_only(page + PAGE_SIZE - 1));
    for (uint64_t number = 0; number < frames.count; number++) {
        const void *other = machine_phys_to_virt(phys(number << PAGE_SHIFT));
        enum frame_kind kind = (enum frame_kind)frames.entries[number].kind;
        if (kind == FRAME_HEAP)
            assert_true(is_read_only(other));
        else if (kind == FRAME_FREE || kind == FRAME_TABLE || kind == FRAME_KERNEL)
            assert_false(is_read_only(other));
    }
    heap_free(object, 2048);
    heap_trim();
    assert_int_equal(frame_of(at)->kind, FRAME_FREE);
    assert_false(is_read_only(page));
    memset(page, 0, PAGE_SIZE); /* and Linux thinks so, too */
    frame_poison(frame_of(at), NULL);
}

static void test_stray_is_refused(void **state)
{
    (void)state;
    struct space *space = new_space();
    enum fault_outcome outcome = FAULT_RESOLVED;
    uint64_t changes = space->changes;
    assert_int_equal(space_stray_write(space, &outcome), OK);
    assert_int_equal(outcome, FAULT_PROT);
    assert_int_equal(space->changes, changes);
    object_write_begin();
    machine_fault_handler = space_fault;
    assert_int_equal(space_stray_write(space, &outcome), OK);
    machine_fault_handler = space_fault_checked;
    assert_int_equal(outcome, FAULT_RESOLVED); /* it would have told of an open one */
    object_write_end();
    space_destroy(space);
}

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB, .protect_objects = true});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stray_write_is_told_where_it_happens),
        cmocka_unit_test(test_a_stray_write_to_free_memory_of_a_slab),
        cmocka_unit_test(test_a_lock_that_guards_objects_opens_one),
        cmocka_unit_test(test_an_object_is_made_in_one),
        cmocka_unit_test(test_no_user_code_runs_in_one),
        cmocka_unit_test(test_failures_leave_none_open),
        cmocka_unit_test(test_pages_of_slabs_are_read_only_and_no_others),
        cmocka_unit_test(test_stray_is_refused),
    };
    return cmocka_run_group_tests_name("write window", tests, start, NULL);
}
