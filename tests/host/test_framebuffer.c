/* The framebuffer object: two faces, and writers who notice nothing of a switch. The simulated machine
 * has no screen: the device is the stand-in. */
#include "mm_testing.h"

#include <string.h>

#include "core/crc32.h"
#include "core/mm/framebuffer.h"
#include "core/mm/internal.h"
#include "core/mm/page_directory.h"
#include "machine_access.h"
#include "machine_tlb.h"

#define BASE (4 * GIB)
#define OTHER (8 * GIB)
/* More than two batches. */
#define PAGES 700

static const enum cache caches[] = {CACHE_DEFAULT, CACHE_WRITE_BACK, CACHE_WRITE_COMBINING,
                                    CACHE_UNCACHED};
static const uint64_t cache_bits[] = {ENTRY_WRITE_COMBINING, 0, ENTRY_WRITE_COMBINING,
                                      ENTRY_UNCACHED};

static struct object *screen;
static struct framebuffer *framebuffer;
static struct space *space;

enum page_size { SMALL_PAGES, LARGE_PAGES };

static uint64_t map_screen_by(struct space *where, uint64_t base, enum cache cache,
                              enum page_size page_size)
{
    struct map_args args = map_at(base, PAGES, PROT_READ | PROT_WRITE);
    args.object = screen;
    args.shared = true;
    args.cache = cache;
    args.large = page_size == LARGE_PAGES;
    return map(where, args);
}

static uint64_t map_screen(struct space *where, uint64_t base, enum cache cache)
{
    return map_screen_by(where, base, cache, SMALL_PAGES);
}

static int make(void **state)
{
    (void)state;
    assert_int_equal(framebuffer_create(PAGES, &screen), OK);
    object_name(screen);
    framebuffer = framebuffer_of(screen);
    assert_non_null(framebuffer);
    space = new_space();
    map_screen(space, BASE, CACHE_DEFAULT);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    sim_after_page_copy = NULL;
    space_destroy(space);
    assert_int_equal(object_drop(screen), OK);
    assert_audit();
    return 0;
}

static void to(enum framebuffer_face face)
{
    assert_int_equal(framebuffer_switch(framebuffer, face), OK);
    assert_audit();
}

static uint64_t cache_bits_at(struct space *where, uint64_t address)
{
    uint64_t pages;
    entry_t entry = mapping_at(where, address, &pages);
    assert_true(entry_is_present(entry));
    return entry & ENTRY_UNCACHED;
}

static void test_content_follows_the_owners(void **state)
{
    (void)state;
    write_pages(space, BASE, PAGES, 1000);
    uint32_t drawn = framebuffer_device_crc(framebuffer);
    assert_int_equal(framebuffer_memory_crc(framebuffer), 0);
    to(FACE_MEMORY);
    assert_int_equal(framebuffer_memory_crc(framebuffer), drawn);
    write_pages(space, BASE, PAGES, 5000);
    assert_int_equal(framebuffer_device_crc(framebuffer), drawn);
    uint32_t wanted = framebuffer_memory_crc(framebuffer);
    assert_int_not_equal(wanted, drawn);
    to(FACE_DEVICE);
    assert_int_equal(framebuffer_device_crc(framebuffer), wanted);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(read_value(space, BASE + i * PAGE_SIZE), 5000 + i);
}

/* Entries that were there are there afterwards, and nobody faults; absent ones stay absent. */
static void test_every_region_is_remapped(void **state)
{
    (void)state;
    struct space *second = new_space();
    map_screen(second, OTHER + 3 * PAGE_SIZE, CACHE_DEFAULT);
    write_pages(space, BASE, 10, 1);
    write_pages(second, OTHER + 603 * PAGE_SIZE, 20, 2);
    protect(second, OTHER + 605 * PAGE_SIZE, 3, PROT_READ); /* three pieces */
    for (unsigned round = 0; round < 4; round++) {
        to(round % 2 == 0 ? FACE_MEMORY : FACE_DEVICE);
        uint64_t faults = counter_read(COUNTER_FAULT_TOTAL);
        for (uint64_t i = 0; i < 10; i++)
            assert_int_equal(read_value(space, BASE + i * PAGE_SIZE), 1 + i);
        for (uint64_t i = 0; i < 20; i++)
            assert_int_equal(read_value(second, OTHER + (603 + i) * PAGE_SIZE), 2 + i);
        assert_int_equal(counted(COUNTER_FAULT_TOTAL, faults), 0);
        assert_int_equal(space_resident_pages(space), 10);
        assert_int_equal(space_resident_pages(second), 20);
    }
    assert_int_equal(refused(second, MACHINE_WRITE, OTHER + 605 * PAGE_SIZE), FAULT_PROT);
    space_destroy(second);
}

/* A writer on another CPU whose TLB knows the page: whatever it manages to write while a page is being
 * copied must be there afterwards. */
static uint64_t written[PAGES];
static uint64_t turns;
static uint64_t
    turns_of_writing; /* then it has had enough: what it has lost it does not write again */

static void write_now(const void *from)
{
    (void)from;
    if (++turns > turns_of_writing)
        return;
    for (uint64_t page = 0; page < PAGES; page++) {
        phys_t at = sim_translate(BASE + page * PAGE_SIZE, SIM_WRITE, true);
        if (at.value == PHYS_NONE.value)
            continue; /* it would wait in its fault */
        written[page] = turns << 16 | page;
        *(uint64_t *)machine_phys_to_virt(at) = written[page];
    }
}

static void check_that_no_write_is_lost(enum page_size page_size, uint64_t turns_writing)
{
    turns_of_writing = turns_writing;
    unmap(space, BASE, PAGES);
    map_screen_by(space, BASE, CACHE_DEFAULT, page_size);
    write_pages(space, BASE, PAGES, 0);
    space_load(space);
    for (unsigned round = 0; round < 2; round++) {
        memset(written, 0, sizeof(written));
        turns = 0;
        uint64_t any = 0;
        sim_after_page_copy = write_now;
        to(round == 0 ? FACE_MEMORY : FACE_DEVICE);
        sim_after_page_copy = NULL;
        assert_int_equal(turns, PAGES);
        for (uint64_t page = 0; page < PAGES; page++) {
            any += written[page] != 0;
            if (written[page] != 0)
                assert_int_equal(read_value(space, BASE + page * PAGE_SIZE), written[page]);
        }
        assert_true(any > 0); /* between batches others do write */
    }
}

static void test_no_write_is_lost_behind_the_copy(void **state)
{
    (void)state;
    check_that_no_write_is_lost(SMALL_PAGES, PAGES);
    check_that_no_write_is_lost(SMALL_PAGES, LARGE); /* to the end of the first batch */
    check_that_no_write_is_lost(LARGE_PAGES, PAGES);
    check_that_no_write_is_lost(LARGE_PAGES, LARGE);
}

/* --- on all CPUs at once --------------------------------------------------------------------------------- */

#define CPUS 4
#define SWITCHES 60
#define PAGES_OF_A_CPU 200

/* Where each CPU went wrong first, cmocka being for one thread only; 0: nowhere. */
static int wrong_at[CPUS];
static enum page_size page_size_at_once;

static void require(bool holds, int line)
{
    int *at = &wrong_at[machine_cpu()->index];
    if (!holds && *at == 0)
        *at = line;
}

static void require_access(struct space *where, enum machine_access_kind kind, uint64_t address,
                           uint64_t value, int line)
{
    struct machine_access access = {
        .kind = kind, .start = address, .count = 1, .value = value, .check = kind == MACHINE_READ};
    space_load(where);
    machine_access(&access);
    require(access.end == ACCESS_DONE, line);
}

/* Pages that are this CPU's alone, so that it knows what they hold. */
static uint64_t own_page(uint64_t page)
{
    return (machine_cpu()->index - 1) * PAGES_OF_A_CPU + page;
}

static void write_and_read(uint64_t round)
{
    uint64_t value = round * CPUS + machine_cpu()->index;
    for (uint64_t page = 0; page < PAGES_OF_A_CPU; page++)
        require_access(space, MACHINE_WRITE, BASE + own_page(page) * PAGE_SIZE, value, __LINE__);
    for (uint64_t page = 0; page < PAGES_OF_A_CPU; page++)
        require_access(space, MACHINE_READ, BASE + own_page(page) * PAGE_SIZE, value, __LINE__);
}

/* A region of its own comes, is cut in pieces, and goes. */
static void change_a_region(uint64_t round)
{
    uint64_t base = OTHER + machine_cpu()->index * GIB;
    uint64_t own = base + own_page(0) * PAGE_SIZE;
    struct map_args args = map_at(base, PAGES, PROT_READ | PROT_WRITE);
    virt_t mapped;
    args.object = screen;
    args.large = page_size_at_once == LARGE_PAGES;
    args.populate = true;
    require(space_map(space, &args, &mapped) == OK, __LINE__);
    require_access(space, MACHINE_WRITE, own, round, __LINE__);
    require(space_protect(space, pages_at(own, 3), PROT_READ) == OK, __LINE__);
    require_access(space, MACHINE_READ, own, round, __LINE__);
    require(space_unmap(space, pages_at(own, 1)) == OK, __LINE__);
    require_access(space, MACHINE_READ, BASE + own_page(0) * PAGE_SIZE, round, __LINE__);
    require(space_unmap(space, pages_at(base, PAGES)) == OK, __LINE__);
}

static void work(void *argument)
{
    (void)argument;
    for (uint64_t round = 1; round <= SWITCHES; round++) {
        unsigned cpu = machine_cpu()->index;
        if (cpu == 0)
            require(framebuffer_switch(framebuffer, round % 2 == 1 ? FACE_MEMORY : FACE_DEVICE) ==
                        OK,
                    __LINE__);
        else if (cpu < CPUS - 1)
            write_and_read(round);
        else
            change_a_region(round);
    }
    space_load(NULL);
}

static void check_all_at_once(enum page_size page_size)
{
    unmap(space, BASE, PAGES);
    map_screen_by(space, BASE, CACHE_DEFAULT, page_size);
    write_pages(space, BASE, PAGES, 0);
    memset(wrong_at, 0, sizeof(wrong_at));
    page_size_at_once = page_size;
    sim_run_on_all(work, NULL);
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        assert_int_equal(wrong_at[cpu], 0);
    assert_audit();
}

static void test_writers_and_changes_on_other_cpus(void **state)
{
    (void)state;
    check_all_at_once(SMALL_PAGES);
    check_all_at_once(LARGE_PAGES);
}

/* --- how it is mapped -------------------------------------------------------------------------------------- */

static void check_memory_type(uint64_t base, enum page_size page_size, size_t i)
{
    uint64_t behind = base + (LARGE + 1) * PAGE_SIZE; /* the first large page */
    map_screen_by(space, base, caches[i], page_size);
    write_value(space, base, 1);
    assert_int_equal(mapped_by(space, base), page_size == LARGE_PAGES ? LARGE : 1);
    assert_int_equal(cache_bits_at(space, base), cache_bits[i]);
    protect(space, base, 1, PROT_READ); /* splits */
    assert_int_equal(cache_bits_at(space, base), cache_bits[i]);
    protect(space, base, 1, PROT_READ | PROT_WRITE);
    to(FACE_MEMORY);
    assert_int_equal(cache_bits_at(space, base), 0);
    write_value(space, behind, 1);
    assert_int_equal(cache_bits_at(space, behind), 0);
    to(FACE_DEVICE);
    assert_int_equal(cache_bits_at(space, behind), cache_bits[i]);
    struct space *child = forked(space);
    write_value(child, base + 2 * PAGE_SIZE, 3);
    assert_int_equal(cache_bits_at(child, base + 2 * PAGE_SIZE), cache_bits[i]);
    space_destroy(child);
}

static void test_memory_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(caches); i++) {
        check_memory_type(OTHER + 2 * i * GIB, SMALL_PAGES, i);
        check_memory_type(OTHER + (2 * i + 1) * GIB, LARGE_PAGES, i);
    }
    mm.write_combining = ENTRY_UNCACHED; /* as on a machine that has none */
    map_screen(space, OTHER + 32 * GIB, CACHE_WRITE_COMBINING);
    write_value(space, OTHER + 32 * GIB, 1);
    assert_int_equal(cache_bits_at(space, OTHER + 32 * GIB), ENTRY_UNCACHED);
    mm.write_combining = ENTRY_WRITE_COMBINING;
    struct map_args args = map_at(OTHER + 64 * GIB, 1, PROT_READ);
    args.cache = CACHE_UNCACHED;
    virt_t base;
    assert_int_equal(space_map(space, &args, &base), ENOTSUP);
}

/* One entry shows 512 pages of either face; regions that show them by small pages, or as they lie badly,
 * change at the same time. */
static void test_large_pages_change_faces_whole(void **state)
{
    (void)state;
    struct space *second = new_space();
    map_screen_by(second, OTHER, CACHE_DEFAULT, LARGE_PAGES);
    map_screen_by(second, OTHER + GIB + PAGE_SIZE, CACHE_UNCACHED, LARGE_PAGES);
    write_pages(second, OTHER, PAGES, 1000);
    assert_values(space, BASE, PAGES, 1000);
    assert_values(second, OTHER + GIB + PAGE_SIZE, PAGES, 1000);
    assert_int_equal(mapped_by(second, OTHER), LARGE);
    assert_int_equal(mapped_by(second, OTHER + LARGE * PAGE_SIZE), 1);
    assert_int_equal(mapped_by(second, OTHER + GIB + PAGE_SIZE), 1);
    uint64_t tables = space_table_frames(second);
    for (unsigned round = 1; round <= 4; round++) {
        uint64_t faults = counter_read(COUNTER_FAULT_TOTAL);
        uint32_t device = framebuffer_device_crc(framebuffer);
        to(round % 2 == 1 ? FACE_MEMORY : FACE_DEVICE);
        assert_int_equal(mapped_by(second, OTHER), LARGE);
        assert_int_equal(cache_bits_at(second, OTHER + 7 * PAGE_SIZE),
                         round % 2 == 1 ? 0 : ENTRY_WRITE_COMBINING);
        assert_int_equal(framebuffer_device_crc(framebuffer) == device, round % 2 == 1);
        device = framebuffer_device_crc(framebuffer);
        write_pages(second, OTHER, PAGES, 2000 * round);
        assert_int_equal(framebuffer_device_crc(framebuffer) == device, round % 2 == 1);
        assert_values(space, BASE, PAGES, 2000 * round);
        assert_values(second, OTHER + GIB + PAGE_SIZE, PAGES, 2000 * round);
        assert_int_equal(counted(COUNTER_FAULT_TOTAL, faults), 0);
        assert_int_equal(space_table_frames(second), tables);
    }
    space_destroy(second);
}

static void test_one_at_a_time_and_no_larger_than_the_screen(void **state)
{
    (void)state;
    struct object *second;
    assert_int_equal(framebuffer_create(0, &second), EBUSY);
    assert_int_equal(framebuffer_create(framebuffer_page_count() + 1, &second), ERANGE);
    assert_int_equal(object_drop(screen), EBUSY); /* it is mapped */
}

/* No frames for the shadow: nothing has changed, and the owners go on. */
static void test_a_switch_without_memory_fails_whole(void **state)
{
    (void)state;
    write_pages(space, BASE, 5, 40);
    struct figures before = figures_of(space, WITH_CONTENT);
    uint32_t crc = framebuffer_device_crc(framebuffer);
    mm_inject((struct mm_inject){.nth = 1});
    assert_int_equal(framebuffer_switch(framebuffer, FACE_MEMORY), ENOMEM);
    mm_inject((struct mm_inject){0});
    struct figures after = figures_of(space, WITH_CONTENT);
    assert_same_figures(&after, &before);
    assert_int_equal(framebuffer_device_crc(framebuffer), crc);
    write_value(space, BASE, 41);
    assert_int_not_equal(framebuffer_device_crc(framebuffer), crc);
    to(FACE_MEMORY);
    to(FACE_DEVICE);
}

static void test_the_shadow_is_there_while_it_is_needed(void **state)
{
    (void)state;
    uint64_t free_before = mm_free_bytes();
    to(FACE_DEVICE);
    assert_int_equal(mm_free_bytes(), free_before);
    to(FACE_MEMORY);
    assert_int_equal(mm_free_bytes(), free_before - PAGES * PAGE_SIZE);
    to(FACE_MEMORY);
    assert_int_equal(mm_free_bytes(), free_before - PAGES * PAGE_SIZE);
    to(FACE_DEVICE);
    assert_int_equal(mm_free_bytes(), free_before);
    to(FACE_MEMORY); /* and is dropped with it */
}

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 128 * MIB, .cpu_count = CPUS});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_content_follows_the_owners, make, drop),
        cmocka_unit_test_setup_teardown(test_every_region_is_remapped, make, drop),
        cmocka_unit_test_setup_teardown(test_no_write_is_lost_behind_the_copy, make, drop),
        cmocka_unit_test_setup_teardown(test_writers_and_changes_on_other_cpus, make, drop),
        cmocka_unit_test_setup_teardown(test_memory_types, make, drop),
        cmocka_unit_test_setup_teardown(test_large_pages_change_faces_whole, make, drop),
        cmocka_unit_test_setup_teardown(test_one_at_a_time_and_no_larger_than_the_screen, make,
                                        drop),
        cmocka_unit_test_setup_teardown(test_a_switch_without_memory_fails_whole, make, drop),
        cmocka_unit_test_setup_teardown(test_the_shadow_is_there_while_it_is_needed, make, drop),
    };
    return cmocka_run_group_tests_name("framebuffer", tests, start, NULL);
}
