/* Page tables: counted, freed at once, failing without a trace; rights at the level above; flushes. */
#include "mm_testing.h"

#include <time.h>

#include "core/mm/frames.h"
#include "core/mm/internal.h"
#include "core/mm/table_walk.h"

#define BASE (3 * GIB)
#define USER_DATA (ENTRY_USER | ENTRY_NO_EXEC)
/* With five levels there is one more table above all addresses used here. */
#define FIFTH (machine_levels - 4)

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    return 0;
}

static struct page_directory new_directory(void)
{
    struct page_directory directory;
    assert_int_equal(page_directory_init(&directory), OK);
    return directory;
}

static struct table_place reserve(struct page_directory *directory, uint64_t address)
{
    struct table_place place;
    assert_int_equal(page_directory_reserve(directory, address, &place), OK);
    return place;
}

/* Two leaves to be shown; nothing looks into them here. */
static char leaves[2];

static void set(struct page_directory *directory, uint64_t address, uint64_t bits, const void *leaf)
{
    struct table_place place = reserve(directory, address);
    page_directory_set(&place, entry_page(mm.zero_page, bits, 1), leaf);
}

static void set_pages(struct page_directory *directory, uint64_t address, unsigned count,
                      uint64_t bits, const void *leaf)
{
    for (unsigned i = 0; i < count; i++)
        set(directory, address + i * PAGE_SIZE, bits, leaf);
}

static const struct space nowhere; /* is loaded by nobody */

/* Unmaps and says what was gathered; nothing has the directory loaded. */
static uint32_t unmap_range(struct page_directory *directory, uint64_t base, uint64_t end)
{
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    page_directory_unmap(directory, base, end, &gather);
    uint32_t gathered = gather.page_count;
    tlb_gather_flush(&gather, &nowhere);
    return gathered;
}

static entry_t entry_of(const struct page_directory *directory, uint64_t address)
{
    struct table_place place;
    return page_directory_find(directory, address, &place) ? *place.entry : 0;
}

static entry_t upper_of(const struct page_directory *directory, uint64_t address)
{
    struct table_place place;
    return page_directory_find(directory, address, &place) ? *place.upper : 0;
}

/* --- counting -------------------------------------------------------------------------------------- */

static void test_tables_are_counted_and_freed_at_once(void **state)
{
    (void)state;
    static const struct {
        uint64_t address;
        unsigned tables; /* in all, with all addresses up to this one */
    } steps[] = {
        {BASE, 3},
        {BASE + PAGE_SIZE, 3},
        {BASE + 2 * MIB - PAGE_SIZE, 3},
        {BASE + 2 * MIB, 4},
        {BASE + GIB, 6},
        {BASE + 512 * GIB, 9},
        {0, 11}, /* the first 512 GiB have one table above already */
        {100 * TIB, 14},
    };
    uint64_t before = frames_unpromised();
    struct page_directory directory = new_directory();
    uint64_t allocated = counter_read(COUNTER_PT_ALLOC);
    uint64_t freed = counter_read(COUNTER_PT_FREE);
    assert_int_equal(frames_unpromised(), before - 1);
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        set(&directory, steps[i].address, USER_DATA, NULL);
        assert_int_equal(directory.table_count, steps[i].tables + FIFTH);
        assert_int_equal(frames_unpromised(), before - 1 - (steps[i].tables + FIFTH));
    }
    assert_int_equal(counted(COUNTER_PT_ALLOC, allocated), 14 + FIFTH);

    for (size_t i = ARRAY_COUNT(steps); i-- > 0;) {
        assert_int_equal(unmap_range(&directory, steps[i].address, steps[i].address + PAGE_SIZE),
                         1);
        assert_int_equal(directory.table_count, i ? steps[i - 1].tables + FIFTH : 0);
        assert_int_equal(frames_unpromised(), before - 1 - directory.table_count);
    }
    assert_int_equal(counted(COUNTER_PT_FREE, freed), 14 + FIFTH);
    page_directory_fini(&directory);
    assert_int_equal(frames_unpromised(), before);
    assert_audit();
}

static void test_a_reserve_that_was_not_used_is_pruned(void **state)
{
    (void)state;
    uint64_t before = frames_unpromised();
    struct page_directory directory = new_directory();
    set(&directory, BASE, USER_DATA, NULL);
    (void)reserve(&directory, BASE + GIB);
    assert_int_equal(directory.table_count, 5 + FIFTH);
    page_directory_prune(&directory, BASE + GIB);
    assert_int_equal(directory.table_count, 3 + FIFTH);
    page_directory_prune(&directory, BASE); /* in use: stays */
    page_directory_prune(&directory, BASE + 100 * GIB);
    assert_int_equal(directory.table_count, 3 + FIFTH);
    assert_true(entry_is_present(entry_of(&directory, BASE)));
    page_directory_fini(&directory);
    assert_int_equal(frames_unpromised(), before);
}

static void test_a_reserve_that_fails_leaves_nothing(void **state)
{
    (void)state;
    static const uint64_t addresses[] = {BASE + 512 * GIB, BASE + GIB, BASE + 2 * MIB};
    struct page_directory directory = new_directory();
    struct table_place place;
    set(&directory, BASE, USER_DATA, NULL);
    uint64_t before = frames_unpromised();
    for (unsigned i = 0; i < ARRAY_COUNT(addresses); i++) {
        for (unsigned nth = 1; nth <= ARRAY_COUNT(addresses) - i; nth++) {
            mm_inject((struct mm_inject){.nth = nth});
            assert_int_equal(page_directory_reserve(&directory, addresses[i], &place), ENOMEM);
            assert_true(mm_inject_fired());
            mm_inject((struct mm_inject){0});
            assert_int_equal(directory.table_count, 3 + FIFTH);
            assert_int_equal(frames_unpromised(), before);
            assert_false(page_directory_find(&directory, addresses[i], &place));
        }
    }
    page_directory_fini(&directory);

    mm_inject((struct mm_inject){.nth = 1});
    assert_int_equal(page_directory_init(&directory), ENOMEM);
    mm_inject((struct mm_inject){0});
    page_directory_fini(&directory); /* half-way is fit for that */
    assert_audit();
}

static void test_the_end_frees_every_table(void **state)
{
    (void)state;
    uint64_t before = frames_unpromised();
    struct page_directory directory = new_directory();
    struct random random = {test_seed()};
    for (int i = 0; i < 500; i++)
        set(&directory, random_below(&random, window_base() >> PAGE_SHIFT) << PAGE_SHIFT, USER_DATA,
            NULL);
    (void)reserve(&directory, BASE); /* and an empty one */
    uint64_t freed = counter_read(COUNTER_PT_FREE);
    uint64_t tables = directory.table_count;
    assert_int_equal(frames_unpromised(), before - 1 - tables);
    page_directory_fini(&directory);
    assert_int_equal(counted(COUNTER_PT_FREE, freed), tables + 1);
    assert_int_equal(frames_unpromised(), before);
    assert_audit();
}

/* --- walking ------------------------------------------------------------------------------------------ */

static uint64_t cpu_nanoseconds(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What a walk that finds so many tables costs this CPU, at the least: of many walks some are disturbed. */
static uint64_t cost_of_walk(const struct page_directory *directory, uint64_t base, uint64_t end,
                             unsigned expected)
{
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < 20; round++) {
        unsigned found = 0;
        uint64_t cost = cpu_nanoseconds();
        struct table_walk walk = table_walk(directory, base, end);
        while (table_walk_next(&walk))
            found++;
        cost = cpu_nanoseconds() - cost;
        least = cost < least ? cost : least;
        assert_int_equal(found, expected);
    }
    return least;
}

/* To find the only table of 128 TiB takes about as long as to find 512 in a row; to look at every GiB of
 * them, a hundred times as long. */
static void test_walks_cost_what_is_there(void **state)
{
    (void)state;
    struct page_directory dense = new_directory(), sparse = new_directory();
    for (uint64_t i = 0; i < 512; i++)
        set(&dense, GIB + i * 2 * MIB, USER_DATA, NULL);
    set(&sparse, 90 * TIB, USER_DATA, NULL);

    uint64_t dense_cost = cost_of_walk(&dense, GIB, 2 * GIB, 512);
    uint64_t sparse_cost = cost_of_walk(&sparse, PAGE_SIZE, window_base(), 1);
    print_message("512 tables %lu ns, one in all %lu ns\n", dense_cost, sparse_cost);
    assert_true(sparse_cost < 40 * dense_cost);

    (void)unmap_range(&dense, 0, window_base());
    (void)unmap_range(&sparse, 0, window_base());
    page_directory_fini(&dense);
    page_directory_fini(&sparse);
}

static void test_walks_skip_what_is_absent(void **state)
{
    (void)state;
    static const uint64_t bases[] = {2 * MIB, GIB - 2 * MIB, GIB, 700 * GIB, 90 * TIB};
    struct page_directory directory = new_directory();
    for (size_t i = 0; i < ARRAY_COUNT(bases); i++)
        set(&directory, bases[i] + 5 * PAGE_SIZE, USER_DATA, NULL);

    struct table_walk walk = table_walk(&directory, PAGE_SIZE, window_base());
    for (size_t i = 0; i < ARRAY_COUNT(bases); i++) {
        assert_true(table_walk_next(&walk));
        assert_int_equal(walk.table_base, bases[i]);
    }
    assert_false(table_walk_next(&walk));

    struct table_walk part = table_walk(&directory, GIB + 5 * PAGE_SIZE, GIB + 6 * PAGE_SIZE);
    assert_true(table_walk_next(&part));
    assert_int_equal(table_walk_first(&part), 5);
    assert_int_equal(table_walk_last(&part), 6);
    assert_false(table_walk_next(&part));
    assert_int_equal(unmap_range(&directory, 0, window_base()), ARRAY_COUNT(bases));
    assert_int_equal(directory.table_count, 0);
    page_directory_fini(&directory);
}

static void test_unmapping_leaves_the_rest(void **state)
{
    (void)state;
    struct page_directory directory = new_directory();
    uint64_t end = BASE + 3 * TABLE_BYTES;
    set_pages(&directory, BASE, 3 * 512, USER_DATA, NULL);
    assert_true(unmap_range(&directory, BASE + 10 * PAGE_SIZE, end - 10 * PAGE_SIZE) >
                TLB_GATHER_MAX);
    for (uint64_t at = BASE; at < end; at += PAGE_SIZE)
        assert_int_equal(entry_is_present(entry_of(&directory, at)),
                         at < BASE + 10 * PAGE_SIZE || at >= end - 10 * PAGE_SIZE);
    assert_int_equal(directory.table_count, 4 + FIFTH);
    assert_int_equal(unmap_range(&directory, BASE, end), 20);
    assert_int_equal(unmap_range(&directory, BASE, end), 0); /* nothing there: nothing to flush */
    assert_int_equal(directory.table_count, 0);
    page_directory_fini(&directory);
}

/* --- rights --------------------------------------------------------------------------------------------- */

static uint32_t write_protect(struct page_directory *directory, uint64_t base, uint64_t end)
{
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    page_directory_write_protect(directory, base, end, &gather);
    return gather.page_count;
}

static void test_write_protection_at_the_level_above(void **state)
{
    (void)state;
    struct page_directory directory = new_directory();
    set_pages(&directory, BASE, 512, USER_DATA | ENTRY_WRITE, &leaves[0]);
    assert_true(write_protect(&directory, BASE, BASE + TABLE_BYTES) > TLB_GATHER_MAX);
    assert_false(entry_is_writable(upper_of(&directory, BASE)));
    for (unsigned i = 0; i < 512; i++)
        assert_true(entry_is_writable(entry_of(&directory, BASE + i * PAGE_SIZE)));
    assert_int_equal(write_protect(&directory, BASE, BASE + TABLE_BYTES), 0); /* it already is */

    struct table_place place = reserve(&directory, BASE);
    page_directory_settle(&place);
    assert_true(entry_is_writable(*place.upper));
    for (unsigned i = 0; i < 512; i++)
        assert_false(entry_is_writable(entry_of(&directory, BASE + i * PAGE_SIZE)));
    assert_int_equal(place.table->live, 512);
    page_directory_fini(&directory);
}

static void test_mixed_tables_are_protected_by_entry(void **state)
{
    (void)state;
    struct page_directory directory = new_directory();
    set_pages(&directory, BASE, 10, USER_DATA | ENTRY_WRITE, &leaves[0]);
    struct table_place place = reserve(&directory, BASE);
    assert_ptr_equal(place.table->shows, &leaves[0]);
    set_pages(&directory, BASE + 20 * PAGE_SIZE, 10, USER_DATA | ENTRY_WRITE, &leaves[1]);
    assert_ptr_equal(place.table->shows, TABLE_MIXED);

    assert_int_equal(write_protect(&directory, BASE + 5 * PAGE_SIZE, BASE + 25 * PAGE_SIZE), 10);
    assert_true(entry_is_writable(*place.upper));
    for (unsigned i = 0; i < 30; i++) {
        if (i < 10 || i >= 20)
            assert_int_equal(entry_is_writable(entry_of(&directory, BASE + i * PAGE_SIZE)),
                             i < 5 || i >= 25);
    }
    page_directory_fini(&directory);
}

/* A table that is protected as a whole and comes to show a second leaf is settled first. */
static void test_a_protected_table_that_becomes_mixed(void **state)
{
    (void)state;
    struct page_directory directory = new_directory();
    set_pages(&directory, BASE, 10, USER_DATA | ENTRY_WRITE, &leaves[0]);
    (void)write_protect(&directory, BASE, BASE + PAGE_SIZE);
    assert_false(entry_is_writable(upper_of(&directory, BASE)));
    set(&directory, BASE + 11 * PAGE_SIZE, USER_DATA, NULL); /* the zero page mixes nothing */
    assert_false(entry_is_writable(upper_of(&directory, BASE)));
    set(&directory, BASE + 20 * PAGE_SIZE, USER_DATA | ENTRY_WRITE, &leaves[1]);
    assert_true(entry_is_writable(upper_of(&directory, BASE)));
    for (unsigned i = 0; i < 10; i++)
        assert_false(entry_is_writable(entry_of(&directory, BASE + i * PAGE_SIZE)));
    assert_true(entry_is_writable(entry_of(&directory, BASE + 20 * PAGE_SIZE)));
    page_directory_fini(&directory);
}

static uint32_t protect_range(struct page_directory *directory, uint64_t base, uint64_t end,
                              uint64_t bits)
{
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    page_directory_protect(directory, base, end, bits, &gather);
    return gather.page_count;
}

static void test_protect_gives_no_write_that_was_not_there(void **state)
{
    (void)state;
    struct page_directory directory = new_directory();
    uint64_t end = BASE + 4 * PAGE_SIZE;
    set_pages(&directory, BASE, 2, USER_DATA | ENTRY_WRITE, NULL);
    set_pages(&directory, BASE + 2 * PAGE_SIZE, 2, USER_DATA, NULL);
    assert_int_equal(protect_range(&directory, BASE, end, USER_DATA | ENTRY_WRITE), 0);
    assert_int_equal(protect_range(&directory, BASE, end, ENTRY_USER | ENTRY_WRITE), 4);
    for (unsigned i = 0; i < 4; i++) {
        entry_t entry = entry_of(&directory, BASE + i * PAGE_SIZE);
        assert_true(entry_is_executable(entry) && entry_is_user(entry));
        assert_int_equal(entry_is_writable(entry), i < 2);
        assert_int_equal(entry_phys(entry).value, mm.zero_page.value);
    }
    assert_int_equal(protect_range(&directory, BASE, end, ENTRY_USER), 2);
    assert_false(entry_is_writable(entry_of(&directory, BASE)));
    assert_int_equal(protect_range(&directory, BASE, end, ENTRY_USER), 0);
    page_directory_fini(&directory);
}

/* --- flushing ------------------------------------------------------------------------------------------- */

static bool is_cached(uint64_t address)
{
    return sim_look_up_tlb(address).present;
}

static void read_all(struct space *space, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)read_value(space, BASE + i * PAGE_SIZE);
}

/* Unmapping `count` pages that the processor has cached, in the space that is loaded. */
static void check_flush(unsigned count, uint64_t expected_pages, uint64_t expected_full)
{
    struct space *space = new_space();
    map(space, map_at(BASE, 100, PROT_READ));
    read_all(space, count + 1);
    uint64_t pages = counter_read(COUNTER_TLB_PAGE);
    uint64_t full = counter_read(COUNTER_TLB_FULL);
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    page_directory_unmap(&space->directory, BASE, BASE + count * PAGE_SIZE, &gather);
    assert_true(is_cached(BASE)); /* processors keep what they have */
    tlb_gather_flush(&gather, space);
    for (unsigned i = 0; i < count; i++)
        assert_false(is_cached(BASE + i * PAGE_SIZE));
    assert_int_equal(counted(COUNTER_TLB_PAGE, pages), expected_pages);
    assert_int_equal(counted(COUNTER_TLB_FULL, full), expected_full);
    if (expected_full == 0)
        assert_true(is_cached(BASE + count * PAGE_SIZE));
    tlb_gather_flush(&gather, space); /* empty by now */
    assert_int_equal(counted(COUNTER_TLB_PAGE, pages) + counted(COUNTER_TLB_FULL, full),
                     expected_pages + expected_full);
    space_destroy(space);
}

static void test_flushes_are_gathered(void **state)
{
    (void)state;
    check_flush(1, 1, 0);
    check_flush(TLB_GATHER_MAX, TLB_GATHER_MAX, 0);
    check_flush(TLB_GATHER_MAX + 1, 0, 1);
    check_flush(90, 0, 1);
}

static void test_never_a_flush_for_what_was_not_present(void **state)
{
    (void)state;
    struct space *space = new_space();
    struct space *other = new_space();
    map(space, map_at(BASE, 100, PROT_READ | PROT_WRITE));
    map(other, map_at(BASE, 100, PROT_READ | PROT_WRITE));
    write_value(space, BASE, 1);
    write_value(other, BASE, 2); /* loads it */
    uint64_t local = counter_read(COUNTER_TLB_LOCAL);
    protect(other, BASE + PAGE_SIZE, 50, PROT_READ);
    unmap(other, BASE + 60 * PAGE_SIZE, 10);
    map(other, map_at(BASE + GIB, 10, PROT_READ));
    (void)read_value(other, BASE + 2 * PAGE_SIZE);
    write_value(other, BASE + 55 * PAGE_SIZE, 1);
    protect(other, BASE, 1, PROT_READ | PROT_WRITE); /* has them */
    unmap(space, BASE, 100);                         /* is not loaded */
    space_destroy(forked(space));
    assert_int_equal(counted(COUNTER_TLB_LOCAL, local), 0);
    unmap(other, BASE, 100);
    assert_int_equal(counted(COUNTER_TLB_LOCAL, local), 1);
    space_destroy(space);
    space_destroy(other);
}

static void test_tables_are_freed_after_the_flush(void **state)
{
    (void)state;
    struct space *space = new_space();
    map(space, map_at(BASE, 10, PROT_READ));
    read_all(space, 10);
    struct table_place place;
    struct tlb_gather gather;
    assert_true(page_directory_find(&space->directory, BASE, &place));
    struct frame *table = place.table;
    tlb_gather_init(&gather);
    page_directory_unmap(&space->directory, BASE, BASE + 10 * PAGE_SIZE, &gather);
    assert_int_equal(space->directory.table_count, 0);
    assert_int_equal(table->kind, FRAME_TABLE); /* a walk may still be in it */
    tlb_gather_flush(&gather, space);
    assert_int_equal(table->kind, FRAME_FREE);
    space_destroy(space);
    assert_audit();
}

/* While a space ends, other CPUs come to its regions from the objects that these still show. */
static void test_one_that_has_ended_maps_nothing(void **state)
{
    (void)state;
    struct page_directory directory = new_directory();
    struct tlb_gather gather;
    set_pages(&directory, BASE, 3, USER_DATA | ENTRY_WRITE, &leaves[0]);
    page_directory_fini(&directory);
    tlb_gather_init(&gather);
    /* As for one that ended while this one waited for its lock. */
    page_directory_unmap_present(&directory, BASE, BASE + PAGE_SIZE, &gather);
    page_directory_unmap_present(&directory, BASE, BASE + GIB, &gather);
    page_directory_protect(&directory, BASE, BASE + PAGE_SIZE, USER_DATA, &gather);
    page_directory_protect(&directory, BASE, BASE + GIB, USER_DATA, &gather);
    page_directory_write_protect(&directory, BASE, BASE + GIB, &gather);
    page_directory_follow(&directory, BASE, &leaves[0], &leaves[1]);
    assert_int_equal(gather.page_count, 0);
    assert_audit();
}

/* --- tables made aside ------------------------------------------------------------------------------------ */

static void check_take_over(uint64_t base, unsigned count)
{
    uint64_t before = frames_unpromised();
    struct page_directory directory = new_directory();
    struct page_directory aside = new_directory();
    set_pages(&directory, BASE - 3 * PAGE_SIZE, 3, USER_DATA, NULL);
    set_pages(&directory, BASE + 600 * PAGE_SIZE, 3, USER_DATA | ENTRY_WRITE, &leaves[0]);
    set_pages(&aside, base, count, USER_DATA | ENTRY_WRITE, &leaves[1]);
    page_directory_take_over(&directory, &aside, base, base + count * PAGE_SIZE);
    for (unsigned i = 0; i < count; i++)
        assert_true(entry_is_writable(entry_of(&directory, base + i * PAGE_SIZE)));
    assert_true(entry_is_present(entry_of(&directory, BASE - PAGE_SIZE)));
    assert_true(entry_is_present(entry_of(&directory, BASE + 602 * PAGE_SIZE)));
    assert_int_equal(frames_unpromised(), before - 1 - directory.table_count);

    assert_true(unmap_range(&directory, base, base + count * PAGE_SIZE) != 0);
    assert_int_equal(unmap_range(&directory, 0, window_base()), 6);
    assert_int_equal(directory.table_count, 0);
    page_directory_fini(&directory);
    assert_int_equal(frames_unpromised(), before);
}

static void test_tables_made_aside_are_taken_over(void **state)
{
    (void)state;
    check_take_over(BASE, 10);                     /* a table of its own */
    check_take_over(BASE, 600);                    /* one of its own, one that is there */
    check_take_over(BASE + 603 * PAGE_SIZE, 2000); /* the rest of one, and more */
    check_take_over(BASE - 700 * PAGE_SIZE, 697);  /* across 1 GiB */
    check_take_over(BASE + 512 * GIB, 1);          /* all levels */
    check_take_over(GIB - PAGE_SIZE, 2);
    assert_audit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_are_counted_and_freed_at_once),
        cmocka_unit_test(test_a_reserve_that_was_not_used_is_pruned),
        cmocka_unit_test(test_a_reserve_that_fails_leaves_nothing),
        cmocka_unit_test(test_the_end_frees_every_table),
        cmocka_unit_test(test_walks_skip_what_is_absent),
        cmocka_unit_test(test_walks_cost_what_is_there),
        cmocka_unit_test(test_unmapping_leaves_the_rest),
        cmocka_unit_test(test_write_protection_at_the_level_above),
        cmocka_unit_test(test_mixed_tables_are_protected_by_entry),
        cmocka_unit_test(test_a_protected_table_that_becomes_mixed),
        cmocka_unit_test(test_protect_gives_no_write_that_was_not_there),
        cmocka_unit_test(test_flushes_are_gathered),
        cmocka_unit_test(test_never_a_flush_for_what_was_not_present),
        cmocka_unit_test(test_tables_are_freed_after_the_flush),
        cmocka_unit_test(test_one_that_has_ended_maps_nothing),
        cmocka_unit_test(test_tables_made_aside_are_taken_over),
    };
    return cmocka_run_group_tests_name("page_directory", tests, start, NULL);
}
