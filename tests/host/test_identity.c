/* Mapping one to one, outside the tree: seen by accesses and the audit, by nothing that knows regions. */
#include "mm_testing.h"

#include <string.h>

#include "core/mm/frames.h"
#include "core/mm/physical.h"
#include "core/mm/space_identity.h"

#define RW (PROT_READ | PROT_WRITE)

static uint64_t window;

static int start(void **state)
{
    uint64_t size_bytes;
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    window = physical_window(&size_bytes).value;
    assert_int_equal(size_bytes, 2 * MIB);
    return 0;
}

static result_t identity(struct space *space, uint64_t at, uint64_t pages)
{
    return space_identity_map(space, phys(at), pages * PAGE_SIZE);
}

static uint64_t *word_of(uint64_t frame_address)
{
    return machine_phys_to_virt(phys(frame_address));
}

static entry_t *entry_at(struct space *space, uint64_t address)
{
    struct table_place place;
    assert_true(page_directory_find(&space->directory, address, &place));
    return place.entry;
}

/* --- what it shows --------------------------------------------------------------------------------------- */

static void test_addresses_are_those_of_frames(void **state)
{
    (void)state;
    struct space *space = new_space();
    uint64_t visits = counter_read(COUNTER_TREE_VISIT);
    uint64_t faults = counter_read(COUNTER_FAULT_TOTAL);
    assert_int_equal(identity(space, window, 512), OK);
    assert_int_equal(space_region_count(space), 0);
    assert_int_equal(counted(COUNTER_TREE_VISIT, visits), 0);
    assert_int_equal(space_resident_pages(space), 512);
    for (uint64_t at = window; at < window + 2 * MIB; at += PAGE_SIZE) {
        assert_int_equal(entry_phys(*entry_at(space, at)).value, at);
        write_value(space, at, at ^ 0x5a5a);
        assert_int_equal(*word_of(at), at ^ 0x5a5a);
        *word_of(at + 8) = ~at;
        assert_int_equal(read_value(space, at + 8), ~at);
    }
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, faults), 0);
    assert_null(space_lookup(space, window));
    assert_int_equal(refused(space, MACHINE_EXEC, window), FAULT_SEGV);
    assert_audit();
    space_destroy(space);
    assert_audit();
}

static void test_bounds(void **state)
{
    (void)state;
    struct space *space = new_space();
    struct figures before = figures_of(space, WITH_CONTENT);
    assert_int_equal(identity(space, window, 0), EINVAL);
    assert_int_equal(identity(space, window + 8, 1), EINVAL);
    assert_int_equal(space_identity_map(space, phys(window), 100), EINVAL);
    assert_int_equal(identity(space, window - PAGE_SIZE, 1), ERANGE);
    assert_int_equal(identity(space, window - PAGE_SIZE, 2), ERANGE);
    assert_int_equal(identity(space, window + 2 * MIB, 1), ERANGE);
    assert_int_equal(identity(space, window + 511 * PAGE_SIZE, 2), ERANGE);
    assert_int_equal(identity(space, 0, 1), ERANGE);
    assert_int_equal(identity(space, PAGE_SIZE, 1), ERANGE);
    assert_int_equal(identity(space, ~PAGE_MASK, 1), ERANGE);
    assert_int_equal(identity(space, window, ~PAGE_MASK / PAGE_SIZE), ERANGE);
    struct figures now = figures_of(space, WITH_CONTENT);
    assert_same_figures(&now, &before);
    assert_int_equal(identity(space, window + 511 * PAGE_SIZE, 1), OK);
    space_destroy(space);
}

/* --- what it is in the way of ------------------------------------------------------------------------------ */

static result_t map_result(struct space *space, struct map_args args)
{
    virt_t base;
    return space_map(space, &args, &base);
}

static void test_a_taken_place_is_refused(void **state)
{
    (void)state;
    struct space *space = new_space();
    struct map_args args = map_at(window + 4 * PAGE_SIZE, 2, RW);
    map(space, args);
    assert_int_equal(identity(space, window + 3 * PAGE_SIZE, 2), EEXIST);
    assert_int_equal(identity(space, window, 512), EEXIST);
    assert_int_equal(identity(space, window, 4), OK);
    assert_int_equal(identity(space, window + 3 * PAGE_SIZE, 1), EEXIST);
    assert_int_equal(identity(space, window, 1), EEXIST);
    assert_int_equal(identity(space, window + 6 * PAGE_SIZE, 1), OK);

    args.address = window + 2 * PAGE_SIZE;
    assert_int_equal(map_result(space, args), EEXIST);
    args.if_taken = IF_TAKEN_REPLACE;
    assert_int_equal(map_result(space, args), EEXIST);
    args.populate = true;
    assert_int_equal(map_result(space, args), EEXIST);
    args.if_taken = IF_TAKEN_ELSEWHERE;
    assert_int_equal(map(space, args), SPACE_USER_LOW);
    args = map_at(window + 4 * PAGE_SIZE, 2, RW);
    args.if_taken = IF_TAKEN_REPLACE;
    assert_int_equal(map(space, args), args.address);
    assert_int_equal(space_region_count(space), 2);
    assert_audit();
    space_destroy(space);
}

/* Everything but the window and a few pages is taken: whoever looks for a place finds these only. */
static void test_places_are_found_beside_it(void **state)
{
    (void)state;
    struct space *space = new_space();
    uint64_t end = window + 2 * MIB;
    struct map_args args = {.at = MAP_AT_FIXED, .align_bytes = PAGE_SIZE, .unbacked = true};
    args.address = SPACE_USER_LOW;
    args.size_bytes = window - SPACE_USER_LOW;
    map(space, args);
    args.address = end;
    args.size_bytes = space_user_high() - end;
    map(space, args);
    assert_int_equal(identity(space, window, 100), OK);
    assert_int_equal(identity(space, window + 110 * PAGE_SIZE, 400), OK);

    args = map_at(0, 11, RW);
    args.at = MAP_AT_ANY;
    assert_int_equal(map_result(space, args), ENOMEM);
    args.size_bytes = 2 * PAGE_SIZE;
    assert_int_equal(map(space, args), window + 100 * PAGE_SIZE);
    args.at = MAP_AT_RANDOM;
    args.size_bytes = 8 * PAGE_SIZE;
    assert_int_equal(map(space, args), window + 102 * PAGE_SIZE);
    args.size_bytes = PAGE_SIZE;
    for (unsigned i = 0; i < 2; i++)
        assert_true(map(space, args) >= window + 510 * PAGE_SIZE);
    assert_int_equal(map_result(space, args), ENOMEM);
    assert_int_equal(space_region_count(space), 6);
    assert_audit();
    space_destroy(space);
}

static void test_regions_neither_grow_nor_move_into_it(void **state)
{
    (void)state;
    struct space *space = new_space();
    virt_t base;
    map(space, map_at(window, 2, RW));
    write_pages(space, window, 2, 7);
    assert_int_equal(identity(space, window + 4 * PAGE_SIZE, 4), OK);
    assert_int_equal(space_resize(space, pages_at(window, 2), 5 * PAGE_SIZE), ENOMEM);
    assert_int_equal(space_resize(space, pages_at(window, 2), 4 * PAGE_SIZE), OK);
    assert_int_equal(
        space_move(space, pages_at(window, 4), MAP_AT_FIXED, window + 7 * PAGE_SIZE, &base),
        EEXIST);
    assert_int_equal(
        space_move(space, pages_at(window, 4), MAP_AT_FIXED, window + 8 * PAGE_SIZE, &base), OK);
    assert_int_equal(read_value(space, window + 9 * PAGE_SIZE), 8);
    assert_int_equal(read_value(space, window + 4 * PAGE_SIZE), *word_of(window + 4 * PAGE_SIZE));
    assert_audit();
    space_destroy(space);
}

/* --- its life ------------------------------------------------------------------------------------------------ */

static void test_what_works_on_regions_passes_it_over(void **state)
{
    (void)state;
    struct space *space = new_space();
    map(space, map_at(window - 4 * PAGE_SIZE, 8, RW));
    write_pages(space, window - 4 * PAGE_SIZE, 8, 50);
    assert_int_equal(identity(space, window + 4 * PAGE_SIZE, 8), OK);
    unmap(space, window, 512);
    assert_int_equal(space_resident_pages(space), 4 + 8);
    write_value(space, window + 5 * PAGE_SIZE, 77);
    assert_int_equal(*word_of(window + 5 * PAGE_SIZE), 77);
    assert_int_equal(space_protect(space, pages_at(window + 4 * PAGE_SIZE, 8), PROT_READ), ENOENT);
    assert_int_equal(space_fill(space, pages_at(window + 4 * PAGE_SIZE, 8), 1, 0), ENOENT);
    assert_audit();
    space_destroy(space);
}

/* A table that shows nothing but zero pages, and was write-protected as a whole. */
static void test_a_table_that_a_fork_has_protected(void **state)
{
    (void)state;
    struct space *space = new_space();
    map(space, map_at(window, 8, RW));
    assert_int_equal(read_value(space, window), 0);
    struct space *child = forked(space);
    assert_int_equal(identity(space, window + 8 * PAGE_SIZE, 8), OK);
    write_value(space, window + 8 * PAGE_SIZE, 9);
    assert_int_equal(*word_of(window + 8 * PAGE_SIZE), 9);
    assert_audit();
    write_value(space, window, 1);
    assert_int_equal(read_value(child, window), 0);
    assert_audit();
    space_destroy(space);
    space_destroy(child);
}

/* The table of the range shows a forked region, too: it was write-protected as a whole. */
static void test_a_child_has_none(void **state)
{
    (void)state;
    struct space *space = new_space();
    map(space, map_at(window, 8, RW));
    write_pages(space, window, 8, 50);
    struct space *first = forked(space);
    assert_int_equal(identity(space, window + 8 * PAGE_SIZE, 8), OK);
    write_value(space, window + 8 * PAGE_SIZE, 5);
    struct space *second = forked(space);
    assert_int_equal(space_resident_pages(second), 0);
    assert_int_equal(refused(second, MACHINE_READ, window + 8 * PAGE_SIZE), FAULT_SEGV);
    assert_int_equal(identity(second, window + 8 * PAGE_SIZE, 8), OK);
    write_value(second, window + 8 * PAGE_SIZE, 6);
    write_value(space, window, 51);
    assert_int_equal(read_value(space, window + 8 * PAGE_SIZE), 6);
    assert_int_equal(read_value(first, window), 50);
    assert_int_equal(read_value(second, window), 50);
    write_value(space, window + 8 * PAGE_SIZE, 7);
    assert_int_equal(*word_of(window + 8 * PAGE_SIZE), 7);
    assert_audit();
    space_destroy(space);
    assert_int_equal(read_value(second, window + 8 * PAGE_SIZE), 7);
    assert_audit();
    space_destroy(second);
    space_destroy(first);
    assert_audit();
}

/* A region whose base is that of another space's range keeps its place when that range goes. */
static void test_teardown_takes_its_own_entries_only(void **state)
{
    (void)state;
    struct space *other = new_space();
    map(other, map_at(window, 2, RW));
    write_value(other, window, 11);
    assert_int_equal(identity(other, window + 2 * PAGE_SIZE, 2), OK);
    struct figures before = figures_of(other, WITH_CONTENT);
    struct space *space = new_space();
    uint64_t frames_free = counter_read(COUNTER_PAGE_FREE);
    *word_of(window) = 0x1234;
    assert_int_equal(identity(space, window, 16), OK);
    uint64_t tables = space_table_frames(space) + 1;
    space_destroy(space);

    assert_int_equal(counted(COUNTER_PAGE_FREE, frames_free), tables);
    struct figures now = figures_of(other, WITH_CONTENT);
    assert_same_figures(&now, &before);
    assert_int_equal(*word_of(window), 0x1234);
    assert_int_equal(frame_of(phys(window))->kind, FRAME_HARNESS);
    assert_int_equal(read_value(other, window), 11);
    write_value(other, window + 2 * PAGE_SIZE, 12);
    assert_int_equal(*word_of(window + 2 * PAGE_SIZE), 12);
    space_destroy(other);
    assert_audit();
}

static void test_exec_ends_it(void **state)
{
    (void)state;
    struct space *space = new_space();
    struct image image = {{0, PAGE_SIZE}, {0, PAGE_SIZE}, {0, PAGE_SIZE}};
    assert_int_equal(identity(space, window, 4), OK);
    write_value(space, window, 3);
    assert_int_equal(space_exec(space, &image), OK);
    assert_int_equal(refused(space, MACHINE_READ, window), FAULT_SEGV);
    assert_int_equal(identity(space, window, 4), OK);
    assert_int_equal(read_value(space, window), 3);
    assert_audit();
    space_destroy(space);
    assert_audit();
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    struct space *space = new_space();
    uint64_t nth = 1;
    struct figures before = figures_of(space, WITH_CONTENT);
    for (;; nth++) {
        mm_inject((struct mm_inject){.nth = nth});
        result_t result = identity(space, window, 4);
        mm_inject((struct mm_inject){0});
        if (result == OK)
            break;
        assert_int_equal(result, ENOMEM);
        struct figures now = figures_of(space, WITH_CONTENT);
        assert_same_figures(&now, &before);
        assert_audit();
    }
    assert_true(nth >= 4); /* the range, and tables below the root */
    space_destroy(space);
    assert_audit();
}

/* --- the audit ------------------------------------------------------------------------------------------------ */

static void expect_finding(const char *what)
{
    struct audit_report report;
    if (mm_audit(&report))
        fail_msg("the audit finds nothing; expected: %s", what);
    if (!strstr(report.text, what))
        fail_msg("the audit says \"%s\", not \"%s\"", report.text, what);
}

static void test_the_audit_knows_it(void **state)
{
    (void)state;
    struct space *space = new_space();
    assert_int_equal(identity(space, window, 4), OK);
    entry_t *entry = entry_at(space, window + PAGE_SIZE);
    entry_t right = *entry;
    *entry = entry_page(phys(window), ENTRY_USER | ENTRY_WRITE | ENTRY_NO_EXEC, 1);
    expect_finding("is mapped one to one, but to another frame");
    *entry = entry_page(phys(window + PAGE_SIZE), ENTRY_USER | ENTRY_WRITE, 1);
    expect_finding("is executable and mapped one to one");
    *entry = entry_page(phys(window + PAGE_SIZE), ENTRY_WRITE | ENTRY_NO_EXEC, 1);
    expect_finding("is not for user mode");
    *entry = 0;
    expect_finding("should be mapped one to one");
    *entry = right;
    entry[3] = right;
    expect_finding("is mapped where no region has an object");
    entry[3] = 0;
    assert_audit();
    space_destroy(space);
    assert_audit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_those_of_frames),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_a_taken_place_is_refused),
        cmocka_unit_test(test_places_are_found_beside_it),
        cmocka_unit_test(test_regions_neither_grow_nor_move_into_it),
        cmocka_unit_test(test_what_works_on_regions_passes_it_over),
        cmocka_unit_test(test_a_table_that_a_fork_has_protected),
        cmocka_unit_test(test_a_child_has_none),
        cmocka_unit_test(test_teardown_takes_its_own_entries_only),
        cmocka_unit_test(test_exec_ends_it),
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_the_audit_knows_it),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
