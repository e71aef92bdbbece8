/* The framebuffer object: two faces, and writers who notice nothing of a switch. The simulated machine
 * has no screen: the device is the stand-in. */
#include "mm_testing.h"

#include <string.h>

#include "core/crc32.h"
#include "core/mm/framebuffer.h"
#include "core/mm/page_directory.h"
#include "machine_access.h"
#include "machine_tlb.h"

#define BASE (4 * GIB)
#define OTHER (8 * GIB)
/* More than two batches. */
#define PAGES 700

static struct object *screen;
static struct framebuffer *framebuffer;
static struct space *space;

static uint64_t map_screen(struct space *where, uint64_t base, enum cache cache)
{
    struct map_args args = map_at(base, PAGES, PROT_READ | PROT_WRITE);
    args.object = screen;
    args.shared = true;
    args.cache = cache;
    return map(where, args);
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

static entry_t entry_of(struct space *where, uint64_t address)
{
    struct table_place place;
    assert_true(page_directory_find(&where->directory, address, &place));
    return *place.entry;
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

static void write_now(const void *from)
{
    (void)from;
    turns++;
    for (uint64_t page = 0; page < PAGES; page++) {
        phys_t at = sim_translate(BASE + page * PAGE_SIZE, SIM_WRITE, true);
        if (at.value == PHYS_NONE.value)
            continue; /* it would wait in its fault */
        written[page] = turns << 16 | page;
        *(uint64_t *)machine_phys_to_virt(at) = written[page];
    }
}

static void test_no_write_is_lost_behind_the_copy(void **state)
{
    (void)state;
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

static void test_memory_types(void **state)
{
    (void)state;
    static const struct {
        enum cache cache;
        uint64_t bits;
    } types[] = {
        {CACHE_DEFAULT, ENTRY_WRITE_COMBINING},
        {CACHE_WRITE_BACK, 0},
        {CACHE_WRITE_COMBINING, ENTRY_WRITE_COMBINING},
        {CACHE_UNCACHED, ENTRY_UNCACHED},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        uint64_t base = OTHER + i * GIB;
        map_screen(space, base, types[i].cache);
        write_value(space, base, 1);
        assert_int_equal(entry_of(space, base) & ENTRY_UNCACHED, types[i].bits);
        protect(space, base, 1, PROT_READ);
        assert_int_equal(entry_of(space, base) & ENTRY_UNCACHED, types[i].bits);
        protect(space, base, 1, PROT_READ | PROT_WRITE);
        to(FACE_MEMORY);
        assert_int_equal(entry_of(space, base) & ENTRY_UNCACHED, 0);
        write_value(space, base + PAGE_SIZE, 1);
        assert_int_equal(entry_of(space, base + PAGE_SIZE) & ENTRY_UNCACHED, 0);
        to(FACE_DEVICE);
        assert_int_equal(entry_of(space, base + PAGE_SIZE) & ENTRY_UNCACHED, types[i].bits);
        struct space *child = forked(space);
        write_value(child, base + 2 * PAGE_SIZE, 3);
        assert_int_equal(entry_of(child, base + 2 * PAGE_SIZE) & ENTRY_UNCACHED, types[i].bits);
        space_destroy(child);
    }
    struct map_args args = map_at(OTHER + 64 * GIB, 1, PROT_READ);
    args.cache = CACHE_UNCACHED;
    virt_t base;
    assert_int_equal(space_map(space, &args, &base), ENOTSUP);
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
    start_mm(&(struct sim_config){.memory_bytes = 128 * MIB});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_content_follows_the_owners, make, drop),
        cmocka_unit_test_setup_teardown(test_every_region_is_remapped, make, drop),
        cmocka_unit_test_setup_teardown(test_no_write_is_lost_behind_the_copy, make, drop),
        cmocka_unit_test_setup_teardown(test_memory_types, make, drop),
        cmocka_unit_test_setup_teardown(test_one_at_a_time_and_no_larger_than_the_screen, make,
                                        drop),
        cmocka_unit_test_setup_teardown(test_a_switch_without_memory_fails_whole, make, drop),
        cmocka_unit_test_setup_teardown(test_the_shadow_is_there_while_it_is_needed, make, drop),
    };
    return cmocka_run_group_tests_name("framebuffer", tests, start, NULL);
}
