/* 2 MiB pages of memory whose frames lie in a row: contiguous memory, the window of physical memory. When
 * there is one, what splits it, and that nobody can tell by content or rights. The framebuffer's are in
 * test_framebuffer.c. */
#include "mm_testing.h"

#include "core/mm/contiguous.h"
#include "core/mm/frames.h"
#include "core/mm/physical.h"

#define RW (PROT_READ | PROT_WRITE)
#define BASE (4 * GIB) /* aligned for large pages */
#define PAGES (3 * LARGE)

static struct object *memory;
static struct space *space;

/* All of the memory from `first` on, by large pages where they fit. */
static struct map_args show_at(uint64_t address, uint64_t first)
{
    struct map_args args = large_at(address, memory->page_count - first);
    args.object = memory;
    args.offset_bytes = first * PAGE_SIZE;
    return args;
}

static void make_contiguous(uint64_t page_count)
{
    assert_int_equal(contiguous_create(page_count, TABLE_BYTES, phys(0), &memory), OK);
    object_name(memory);
}

static int make(void **state)
{
    (void)state;
    make_contiguous(PAGES);
    space = new_space();
    return 0;
}

static int drop(void **state)
{
    (void)state;
    assert_audit();
    if (space)
        space_destroy(space);
    assert_int_equal(object_drop(memory), OK);
    assert_audit();
    return 0;
}

/* Every page has been touched. */
static void write_all(uint64_t value)
{
    map(space, show_at(BASE, 0));
    write_pages(space, BASE, PAGES, value);
    assert_int_equal(mapped_by(space, BASE), LARGE);
    assert_int_equal(mapped_by(space, BASE + (PAGES - 1) * PAGE_SIZE), LARGE);
}

/* --- when there is one --------------------------------------------------------------------------------- */

static void test_one_fault_maps_all(void **state)
{
    (void)state;
    map(space, show_at(BASE, 0));
    uint64_t faults = counter_read(COUNTER_FAULT_TOTAL);
    uint64_t resident = counter_read(COUNTER_FAULT_RESIDENT);
    uint64_t taken = counter_read(COUNTER_PAGE_ALLOC);
    assert_int_equal(read_value(space, BASE + 77 * PAGE_SIZE), 0);
    assert_int_equal(space_resident_pages(space), LARGE);
    assert_int_equal(space_table_frames(space), machine_levels - 2);
    assert_int_equal(counted(COUNTER_PAGE_ALLOC, taken), machine_levels - 2);
    write_pages(space, BASE, LARGE, 1);
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, faults), 1);
    assert_int_equal(counted(COUNTER_FAULT_RESIDENT, resident), 1);
    assert_int_equal(space_frame_run(space, pages_at(BASE, LARGE)), LARGE);
    write_pages(space, BASE + LARGE * PAGE_SIZE, 2 * LARGE, 1);
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, faults), 3);
    assert_int_equal(space_frame_run(space, pages_at(BASE, PAGES)), PAGES);
}

static void test_small_pages_where_none_fits(void **state)
{
    (void)state;
    uint64_t shifted = BASE + GIB + PAGE_SIZE;
    uint64_t trimmed = BASE + 2 * GIB + PAGE_SIZE;
    map(space, show_at(shifted, 0)); /* frames lie otherwise than addresses */
    map(space, show_at(trimmed, 1)); /* they agree, but the first 2 MiB are not all there */
    struct map_args small = show_at(BASE, 0);
    small.large = false;
    map(space, small);
    write_pages(space, shifted, PAGES, 5);
    assert_values(space, trimmed, PAGES - 1, 6);
    assert_values(space, BASE, PAGES, 5);
    assert_int_equal(mapped_by(space, shifted), 1);
    assert_int_equal(mapped_by(space, shifted + LARGE * PAGE_SIZE), 1);
    assert_int_equal(mapped_by(space, trimmed), 1);
    assert_int_equal(mapped_by(space, trimmed + (LARGE - 1) * PAGE_SIZE), LARGE);
    assert_int_equal(mapped_by(space, BASE), 1);
}

static void test_populated_over_what_was_there(void **state)
{
    (void)state;
    map(space, map_at(BASE, PAGES, RW));
    write_pages(space, BASE, PAGES, 1);
    struct map_args args = show_at(BASE, 0);
    args.populate = true;
    args.if_taken = IF_TAKEN_REPLACE;
    map(space, args);
    assert_int_equal(space_resident_pages(space), PAGES);
    assert_int_equal(mapped_by(space, BASE), LARGE);
    uint64_t faults = counter_read(COUNTER_FAULT_TOTAL);
    write_pages(space, BASE, PAGES, 9);
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, faults), 0);
}

/* The window of physical memory is such a page, with any memory type, and keeps it in pieces. */
static void test_memory_types_of_the_physical_window(void **state)
{
    (void)state;
    static const enum cache caches[] = {CACHE_DEFAULT, CACHE_WRITE_COMBINING, CACHE_UNCACHED};
    static const uint64_t bits[] = {0, ENTRY_WRITE_COMBINING, ENTRY_UNCACHED};
    uint64_t size_bytes, pages;
    assert_int_equal(physical_create(physical_window(&size_bytes), LARGE, &memory), OK);
    object_name(memory);
    space = new_space();
    for (size_t i = 0; i < ARRAY_COUNT(caches); i++) {
        struct map_args args = show_at(BASE + i * GIB, 0);
        args.cache = caches[i];
        uint64_t base = map(space, args);
        write_value(space, base, i);
        assert_int_equal(mapped_by(space, base), LARGE);
        unmap(space, base + 9 * PAGE_SIZE, 1);
        for (uint64_t page = 0; page < LARGE; page++) {
            entry_t entry = mapping_at(space, base + page * PAGE_SIZE, &pages);
            assert_int_equal(entry_is_present(entry), page != 9);
            if (page != 9)
                assert_int_equal(entry & ENTRY_UNCACHED, bits[i]);
        }
    }
}

/* --- what splits it ------------------------------------------------------------------------------------ */

static const struct {
    uint64_t first, pages;
    uint64_t tables; /* in the place of large pages */
} parts[] = {
    {0, 1, 1},         {LARGE - 1, 1, 1}, {200, 50, 1},      {LARGE - 9, 20, 2},
    {100, LARGE, 2},   {0, LARGE, 0},     {LARGE, LARGE, 0}, {LARGE / 2, 2 * LARGE, 2},
    {0, LARGE + 1, 1}, {0, PAGES, 0},
};

/* Changes each of the parts of large pages that are all there; the rest stays mapped, and the way it was. */
static void for_every_part(void (*change)(uint64_t base, uint64_t pages))
{
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        write_all(1000);
        uint64_t tables = space_table_frames(space);
        uint64_t part = BASE + parts[i].first * PAGE_SIZE;
        uint64_t end = part + parts[i].pages * PAGE_SIZE;
        change(part, parts[i].pages);
        assert_audit();
        if (parts[i].pages != PAGES)
            assert_int_equal(space_table_frames(space), tables + parts[i].tables);
        uint64_t faults = counter_read(COUNTER_FAULT_TOTAL);
        write_pages(space, BASE, parts[i].first, 5000);
        write_pages(space, end, PAGES - parts[i].first - parts[i].pages, 6000);
        assert_int_equal(counted(COUNTER_FAULT_TOTAL, faults), 0);
        unmap(space, BASE, PAGES);
        assert_int_equal(space_table_frames(space), 0);
    }
}

static void unmap_part(uint64_t base, uint64_t pages)
{
    unmap(space, base, pages);
    assert_int_equal(refused(space, MACHINE_READ, base), FAULT_SEGV);
    assert_int_equal(refused(space, MACHINE_READ, base + (pages - 1) * PAGE_SIZE), FAULT_SEGV);
    assert_int_equal(space_resident_pages(space), PAGES - pages);
}

static void protect_part(uint64_t base, uint64_t pages)
{
    protect(space, base, pages, PROT_READ);
    assert_values(space, base, pages, 1000 + (base - BASE) / PAGE_SIZE);
    assert_int_equal(refused(space, MACHINE_WRITE, base), FAULT_PROT);
    assert_int_equal(space_resident_pages(space), PAGES);
}

static void do_without_part(uint64_t base, uint64_t pages)
{
    assert_int_equal(space_advise(space, pages_at(base, pages), ADVICE_DONTNEED), OK);
    assert_int_equal(space_resident_pages(space), PAGES - pages);
}

static void test_unmapping_a_part_splits(void **state)
{
    (void)state;
    for_every_part(unmap_part);
}

static void test_protecting_a_part_splits(void **state)
{
    (void)state;
    for_every_part(protect_part);
}

static void test_doing_without_a_part_splits(void **state)
{
    (void)state;
    for_every_part(do_without_part);
}

/* What a part of it does not need comes back by small pages, with what was there. */
static void test_a_split_page_stays_split(void **state)
{
    (void)state;
    struct table_place place;
    write_all(1000);
    do_without_part(BASE + 9 * PAGE_SIZE, 1);
    assert_true(page_directory_find(&space->directory, BASE, &place));
    assert_ptr_equal(place.table->shows, TABLE_MIXED); /* no leaf is behind it */
    assert_values(space, BASE, PAGES, 1000);
    assert_int_equal(mapped_by(space, BASE), 1);
    assert_int_equal(mapped_by(space, BASE + LARGE * PAGE_SIZE), LARGE);
    assert_int_equal(space_resident_pages(space), PAGES);
}

/* --- rights, forks, moves --------------------------------------------------------------------------------- */

static void test_rights_of_whole_pages(void **state)
{
    (void)state;
    write_all(1000);
    uint64_t tables = space_table_frames(space);
    protect(space, BASE, LARGE, PROT_READ);
    assert_int_equal(refused(space, MACHINE_WRITE, BASE + 5 * PAGE_SIZE), FAULT_PROT);
    assert_values(space, BASE, PAGES, 1000);
    protect(space, BASE, LARGE, RW);
    uint64_t faults = counter_read(COUNTER_FAULT_TOTAL);
    write_pages(space, BASE, LARGE, 2000);
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, faults), 1); /* all 512 are writable again */
    assert_int_equal(mapped_by(space, BASE), LARGE);
    assert_int_equal(space_table_frames(space), tables);
    assert_int_equal(space_region_count(space), 1);
    protect(space, BASE, PAGES, PROT_NONE);
    assert_int_equal(space_table_frames(space), 0);
    protect(space, BASE, PAGES, RW);
    assert_values(space, BASE, LARGE, 2000);
    assert_int_equal(mapped_by(space, BASE), LARGE);
}

static void test_both_sides_of_a_fork_have_it(void **state)
{
    (void)state;
    write_all(1000);
    struct space *child = forked(space);
    assert_int_equal(space_resident_pages(child), 0);
    assert_values(child, BASE, PAGES, 1000);
    assert_int_equal(mapped_by(child, BASE), LARGE);
    write_pages(child, BASE, LARGE, 3000);
    assert_values(space, BASE, LARGE, 3000);
    unmap(child, BASE + 3 * PAGE_SIZE, 9);
    assert_int_equal(mapped_by(child, BASE), 1);
    assert_int_equal(mapped_by(space, BASE), LARGE);
    assert_audit();
    space_destroy(space);
    space = NULL;
    assert_values(child, BASE + LARGE * PAGE_SIZE, LARGE, 1000 + LARGE);
    space_destroy(child);
}

static void test_moved_whole_or_in_pieces(void **state)
{
    (void)state;
    virt_t base;
    uint64_t there = BASE + 7 * GIB, beside = BASE + 9 * GIB + PAGE_SIZE;
    write_all(1000);
    uint64_t faults = counter_read(COUNTER_FAULT_TOTAL);
    struct range all = pages_at(BASE, PAGES);
    assert_int_equal(space_move(space, all, MAP_AT_FIXED, there, &base), OK);
    assert_int_equal(mapped_by(space, there), LARGE);
    assert_values(space, there, PAGES, 1000);
    assert_audit();
    all.base = there;
    assert_int_equal(space_move(space, all, MAP_AT_FIXED, beside, &base), OK);
    assert_int_equal(mapped_by(space, beside), 1);
    write_pages(space, beside, PAGES, 4000);
    assert_int_equal(counted(COUNTER_FAULT_TOTAL, faults), 0);
    assert_audit();
    all.base = beside;
    assert_int_equal(space_move(space, all, MAP_AT_FIXED, BASE, &base), OK);
    assert_values(space, BASE, PAGES, 4000);
}

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_fault_maps_all, make, drop),
        cmocka_unit_test_setup_teardown(test_small_pages_where_none_fits, make, drop),
        cmocka_unit_test_setup_teardown(test_populated_over_what_was_there, make, drop),
        cmocka_unit_test_teardown(test_memory_types_of_the_physical_window, drop),
        cmocka_unit_test_setup_teardown(test_unmapping_a_part_splits, make, drop),
        cmocka_unit_test_setup_teardown(test_protecting_a_part_splits, make, drop),
        cmocka_unit_test_setup_teardown(test_doing_without_a_part_splits, make, drop),
        cmocka_unit_test_setup_teardown(test_a_split_page_stays_split, make, drop),
        cmocka_unit_test_setup_teardown(test_rights_of_whole_pages, make, drop),
        cmocka_unit_test_setup_teardown(test_both_sides_of_a_fork_have_it, make, drop),
        cmocka_unit_test_setup_teardown(test_moved_whole_or_in_pieces, make, drop),
    };
    return cmocka_run_group_tests_name("linear", tests, start, NULL);
}
