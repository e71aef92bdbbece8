/* File objects: the cache, sharing, private copies, writing back, and devices that fail. */
#include "mm_testing.h"

#include <string.h>

#include "core/mm/file.h"
#include "core/mm/internal.h"
#include "fake_device.h"

#define BASE GIB
#define OTHER (2 * GIB)
#define RW (PROT_READ | PROT_WRITE)

/* --- what the tests share ---------------------------------------------------------------------------------- */

static struct object *file;
static struct space *space;
static uint64_t free_before;

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    return 0;
}

static struct object *new_file(uint64_t first_page, uint64_t pages)
{
    struct object *object;
    assert_int_equal(file_create(&fake.block, first_page * PAGE_SIZE, pages, &object), OK);
    object_name(object);
    return object;
}

static int fresh(void **state)
{
    (void)state;
    fake_init();
    mm.map_around = 0;
    free_before = mm_free_bytes();
    file = NULL;
    space = new_space();
    return 0;
}

/* All is given back. */
static int finish(void **state)
{
    (void)state;
    assert_audit();
    if (space)
        space_destroy(space);
    if (file)
        assert_int_equal(object_drop(file), OK);
    assert_audit();
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(mm_free_bytes(), free_before);
    return 0;
}

enum mapping { PRIVATE, SHARED };

static struct map_args file_at(struct object *object, uint64_t address, uint64_t pages,
                               unsigned prot, enum mapping mapping)
{
    struct map_args args = map_at(address, pages, prot);
    args.object = object;
    args.shared = mapping == SHARED;
    return args;
}

static void map_file(uint64_t address, uint64_t pages, unsigned prot, enum mapping mapping)
{
    map(space, file_at(file, address, pages, prot, mapping));
}

static uint64_t at(uint64_t base, uint64_t page)
{
    return base + page * PAGE_SIZE;
}

static void sync_all(uint64_t base, uint64_t pages)
{
    assert_int_equal(space_sync(space, pages_at(base, pages)), OK);
}

struct events {
    uint64_t minor, major, copy, spurious;
};

static struct events events(void)
{
    return (struct events){
        counter_read(COUNTER_FAULT_FILE_MINOR), counter_read(COUNTER_FAULT_FILE_MAJOR),
        counter_read(COUNTER_FAULT_COW_COPY), counter_read(COUNTER_FAULT_SPURIOUS)};
}

static void assert_events(struct events before, uint64_t minor, uint64_t major, uint64_t copy)
{
    struct events now = events();
    assert_int_equal(now.minor - before.minor, minor);
    assert_int_equal(now.major - before.major, major);
    assert_int_equal(now.copy - before.copy, copy);
    assert_int_equal(now.spurious, before.spurious);
}

/* --- reading ------------------------------------------------------------------------------------------------ */

static void test_pages_come_from_the_device(void **state)
{
    (void)state;
    file = new_file(10, 40);
    map_file(BASE, 40, PROT_READ, SHARED);
    struct map_args args = file_at(file, OTHER, 20, PROT_READ, PRIVATE);
    args.offset_bytes = 20 * PAGE_SIZE;
    map(space, args);
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(read_value(space, at(BASE, i)), first_word(10 + i));
    assert_int_equal(read_value(space, at(BASE, 7) + 4088) & 0xff, 17);
    uint64_t reads = fake.reads;
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(read_value(space, at(OTHER, i)), first_word(30 + i));
    assert_int_equal(fake.reads, reads);
    assert_int_equal(file->ops->resident(file), 40);
    assert_int_equal(object_region_count(file), 2);
    assert_int_equal(object_drop(file), EBUSY);
}

static void test_a_sequential_reader_waits_seldom(void **state)
{
    (void)state;
    file = new_file(0, 1024);
    map_file(BASE, 1024, PROT_READ, SHARED);
    struct events before = events();
    for (uint64_t i = 0; i < 1024; i++)
        (void)read_value(space, at(BASE, i));
    /* 1 + 2 + 4 + 8 + 16 + 32 are 63 pages; then 64 each, cut at the ends of leaves. */
    assert_in_range(events().major - before.major, 20, 26);
    assert_int_equal(events().minor - before.minor, 1024 - (events().major - before.major));
    assert_int_equal(fake.pages_read, 1024);
}

static void test_who_jumps_about_reads_nothing_in_vain(void **state)
{
    (void)state;
    file = new_file(0, 2000);
    map_file(BASE, 2000, PROT_READ, SHARED);
    struct events before = events();
    for (uint64_t i = 1; i < 500; i++)
        (void)read_value(space, at(BASE, i * 997 % 1000 * 2 + 1));
    assert_events(before, 0, 499, 0);
    assert_int_equal(fake.pages_read, 499);
}

static void test_neighbours_are_mapped_around(void **state)
{
    (void)state;
    file = new_file(0, 64);
    map_file(BASE, 64, PROT_READ, SHARED);
    for (uint64_t i = 0; i < 64; i++)
        (void)read_value(space, at(BASE, i));
    mm.map_around = FILE_AROUND_MAX;
    for (enum mapping mapping = PRIVATE; mapping <= SHARED; mapping++) {
        uint64_t base = OTHER + mapping * GIB + 5 * PAGE_SIZE;
        struct map_args args = file_at(file, base, 50, PROT_READ, mapping);
        args.offset_bytes = 3 * PAGE_SIZE;
        map(space, args);
        struct events before = events();
        for (uint64_t i = 0; i < 50; i++)
            assert_int_equal(read_value(space, at(base, i)), first_word(i + 3));
        assert_events(before, 4, 0, 0); /* 11 + 16 + 16 + 7 */
        assert_audit();
    }
}

static void test_writes_map_nothing_around(void **state)
{
    (void)state;
    file = new_file(0, 32);
    mm.map_around = FILE_AROUND_MAX;
    map_file(BASE, 32, RW, SHARED);
    map_file(OTHER, 32, RW, PRIVATE);
    struct events before = events();
    write_pages(space, BASE, 32, 100);
    assert_int_equal(fake.pages_read, 32);
    assert_int_equal(events().minor + events().major - before.minor - before.major, 32);
    before = events();
    write_pages(space, OTHER, 32, 200);
    assert_events(before, 0, 0, 32);
    for (uint64_t i = 0; i < 32; i++) {
        assert_int_equal(read_value(space, at(BASE, i)), 100 + i);
        assert_int_equal(read_value(space, at(OTHER, i)), 200 + i);
    }
}

/* --- private copies ------------------------------------------------------------------------------------------ */

static void test_private_writes_stay_private(void **state)
{
    (void)state;
    file = new_file(0, 16);
    map_file(BASE, 16, RW, PRIVATE);
    map_file(OTHER, 16, RW, SHARED);
    struct events before = events();
    assert_int_equal(read_value(space, at(BASE, 3)), first_word(3));
    assert_int_equal(read_value(space, at(OTHER, 3)), first_word(3));
    write_value(space, at(BASE, 3), 33);
    assert_events(before, 1, 1, 1);
    assert_int_equal(read_value(space, at(BASE, 3)), 33);
    assert_int_equal(read_value(space, at(OTHER, 3)), first_word(3));
    /* What the file gets is seen where nothing was written, as long as that is so. */
    write_value(space, at(OTHER, 3), 34);
    write_value(space, at(OTHER, 4), 44);
    assert_int_equal(read_value(space, at(BASE, 3)), 33);
    assert_int_equal(read_value(space, at(BASE, 4)), 44);
    sync_all(OTHER, 16);
    assert_int_equal(device_word(3), 34);
    assert_int_equal(device_word(4), 44);
    assert_int_equal(space_sync(space, pages_at(BASE, 16)), ENOTSUP);
    /* Forgotten, it is the file's again. */
    assert_int_equal(space_advise(space, pages_at(BASE, 16), ADVICE_DONTNEED), OK);
    assert_int_equal(read_value(space, at(BASE, 3)), 34);
}

static void test_private_pages_are_copied_on_write_across_forks(void **state)
{
    (void)state;
    file = new_file(0, 600);
    map_file(BASE, 600, RW, PRIVATE);
    write_value(space, at(BASE, 1), 11);
    write_value(space, at(BASE, 550), 55);
    (void)read_value(space, at(BASE, 2));
    struct space *child = forked(space);
    assert_audit();
    write_value(space, at(BASE, 1), 12);
    write_value(space, at(BASE, 2), 22);
    write_value(child, at(BASE, 3), 33);
    assert_int_equal(read_value(child, at(BASE, 1)), 11);
    assert_int_equal(read_value(child, at(BASE, 2)), first_word(2));
    assert_int_equal(read_value(child, at(BASE, 550)), 55);
    assert_int_equal(read_value(space, at(BASE, 3)), first_word(3));
    struct space *grandchild = forked(child);
    write_value(grandchild, at(BASE, 550), 56);
    assert_audit();
    assert_int_equal(object_region_count(file), 3);
    space_destroy(space);
    assert_audit();
    assert_int_equal(read_value(child, at(BASE, 550)), 55);
    assert_int_equal(read_value(grandchild, at(BASE, 3)), 33);
    space_destroy(child);
    assert_int_equal(read_value(grandchild, at(BASE, 1)), 11);
    write_value(grandchild, at(BASE, 1), 13);
    assert_int_equal(read_value(grandchild, at(BASE, 1)), 13);
    space = grandchild;
}

/* The copy goes where the file's page was shown elsewhere by the last entry of that very table. */
static void test_a_copy_through_the_other_of_two_regions(void **state)
{
    (void)state;
    file = new_file(0, 4);
    map_file(BASE, 4, RW, PRIVATE);
    struct map_args args = {.at = MAP_AT_FIXED,
                            .address = at(BASE, 8),
                            .align_bytes = PAGE_SIZE,
                            .size_bytes = PAGE_SIZE};
    virt_t base;
    assert_int_equal(space_share(space, &args, space, pages_at(BASE, 1), &base), OK);
    assert_int_equal(read_value(space, BASE), first_word(0));
    assert_int_equal(space_resident_pages(space), 1);
    write_value(space, at(BASE, 8), 8);
    assert_audit();
    assert_int_equal(space_resident_pages(space), 1);
    assert_int_equal(read_value(space, BASE), 8);
}

static void test_private_promises(void **state)
{
    (void)state;
    file = new_file(0, 16);
    map_file(BASE, 16, RW, PRIVATE);
    assert_int_equal(mm_committed_pages(), 16);
    map_file(OTHER, 16, PROT_READ, PRIVATE);
    assert_int_equal(mm_committed_pages(), 16);
    write_pages(space, BASE, 4, 1);
    assert_int_equal(mm_committed_pages(), 12);
    unmap(space, BASE, 8);
    assert_int_equal(mm_committed_pages(), 8);
    unmap(space, BASE, 16);
    assert_int_equal(mm_committed_pages(), 0);
}

/* --- writing back --------------------------------------------------------------------------------------------- */

static void test_only_what_was_written_is_written_back(void **state)
{
    (void)state;
    file = new_file(8, 100);
    map_file(BASE, 100, RW, SHARED);
    for (uint64_t i = 0; i < 100; i++)
        (void)read_value(space, at(BASE, i));
    sync_all(BASE, 100);
    assert_int_equal(fake.writes, 0);
    write_pages(space, at(BASE, 10), 70, 1000);
    write_value(space, at(BASE, 90), 5);
    assert_int_equal(device_word(18), first_word(18));
    sync_all(BASE, 100);
    assert_int_equal(fake.pages_written, 71);
    assert_in_range(fake.writes, 2, 7);
    assert_int_equal(device_word(18), 1000);
    assert_int_equal(device_word(87), 1069);
    assert_int_equal(device_word(98), 5);
    assert_int_equal(device_word(99), first_word(99));
    sync_all(BASE, 100);
    assert_int_equal(fake.pages_written, 71);
}

/* A write after a sync must be seen as one, whoever writes and however the page was mapped. */
static void test_what_was_written_back_can_become_dirty_again(void **state)
{
    (void)state;
    file = new_file(0, 8);
    map_file(BASE, 8, RW, SHARED);
    map_file(OTHER, 8, RW, SHARED);
    struct space *child = forked(space);
    write_value(space, BASE, 1);
    write_value(space, OTHER, 2);
    write_value(child, BASE, 3);
    sync_all(BASE, 8);
    assert_int_equal(device_word(0), 3);
    write_value(space, OTHER, 4);
    sync_all(BASE, 8);
    assert_int_equal(device_word(0), 4);
    write_value(child, BASE, 5);
    unmap(child, BASE, 8);
    sync_all(BASE, 8);
    assert_int_equal(device_word(0), 5);
    write_value(child, OTHER, 6);
    space_destroy(child);
    sync_all(at(BASE, 0), 1);
    assert_int_equal(device_word(0), 6);
    assert_int_equal(fake.pages_written, 4);
}

static void test_a_page_without_room_on_the_device_cannot_be_written(void **state)
{
    (void)state;
    file = new_file(0, 8);
    map_file(BASE, 8, RW, SHARED);
    fake.no_memory = true;
    uint64_t free_bytes = mm_free_bytes();
    struct machine_access access = access_to(space, MACHINE_WRITE, at(BASE, 2), 1);
    assert_int_equal(access.end, ACCESS_FAULTED);
    assert_int_equal(access.outcome, FAULT_NOMEM);
    assert_int_equal(file->ops->resident(file), 0);
    assert_in_range(free_bytes - mm_free_bytes(), 0, PAGE_SIZE); /* a slab for the table */
    fake.no_memory = false;
    write_value(space, at(BASE, 2), 1);
}

static void test_a_failed_write_keeps_the_page_dirty(void **state)
{
    (void)state;
    file = new_file(0, 8);
    map_file(BASE, 8, RW, SHARED);
    write_pages(space, BASE, 8, 70);
    fake.bad_page = 3;
    assert_int_equal(space_sync(space, pages_at(BASE, 8)), EIO);
    fake.bad_page = UINT64_MAX;
    sync_all(BASE, 8);
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(device_word(i), 70 + i);
}

static void test_ram_disks(void **state)
{
    (void)state;
    struct mismatch mismatch;
    assert_int_equal(file_create_on_ramdisk(0, 3000, &file), OK);
    object_name(file);
    map_file(BASE, 3000, RW, SHARED);
    struct range all = pages_at(BASE, 3000);
    assert_int_equal(space_verify(space, all, 0, 0, &mismatch), OK);
    uint64_t free_bytes = mm_free_bytes();
    assert_int_equal(space_fill(space, pages_at(at(BASE, 100), 300), 9, 0), OK);
    /* A dirty page has its frame on the disk already. */
    assert_true(free_bytes - mm_free_bytes() >= 300 * PAGE_SIZE);
    free_bytes = mm_free_bytes();
    sync_all(BASE, 3000);
    assert_int_equal(mm_free_bytes(), free_bytes);
    file_truncate(file, 1);
    assert_int_equal(file->ops->resident(file), 1);
    file->page_count = 3000; /* what the disk has */
    assert_int_equal(space_verify(space, pages_at(BASE, 100), 0, 0, &mismatch), OK);
    assert_int_equal(space_verify(space, pages_at(at(BASE, 100), 300), 9, 0, &mismatch), OK);
    assert_int_equal(
        space_verify(space, pages_at(at(BASE, 400), 2600), 0, 400 * PAGE_SIZE, &mismatch), OK);
}

/* --- what cannot be had ----------------------------------------------------------------------------------------- */

static void test_past_the_end_is_bus(void **state)
{
    (void)state;
    phys_t page;
    file = new_file(0, 10);
    map_file(BASE, 1000, RW, SHARED);
    map_file(OTHER, 1000, RW, PRIVATE);
    assert_int_equal(read_value(space, at(BASE, 9)), first_word(9));
    for (uint64_t base = BASE; base <= OTHER; base += OTHER - BASE) {
        assert_int_equal(refused(space, MACHINE_READ, at(base, 10)), FAULT_BUS);
        assert_int_equal(refused(space, MACHINE_WRITE, at(base, 999)), FAULT_BUS);
        struct region *region = region_of_node(region_tree_find(&space->tree, base));
        assert_int_equal(region->object->ops->page(region->object, region, at(base, 10),
                                                   PAGE_FOR_READING, &page),
                         ERANGE);
    }
    assert_int_equal(space_advise(space, pages_at(BASE, 1000), ADVICE_WILLNEED), OK);
    struct map_args args = file_at(file, 3 * GIB, 12, RW, PRIVATE);
    args.populate = true;
    map(space, args);
    assert_int_equal(space_resident_pages_in(space, pages_at(3 * GIB, 12)), 10);
    assert_int_equal(space_resize(space, pages_at(3 * GIB, 12), 14 * PAGE_SIZE), OK);
    assert_int_equal(space_resize(space, pages_at(BASE, 1000), 1001 * PAGE_SIZE), OK);
    assert_int_equal(refused(space, MACHINE_READ, at(BASE, 1000)), FAULT_BUS);
    sync_all(BASE, 1000);
}

/* The device ends in the middle of page 20 of the file. */
static void test_a_short_device(void **state)
{
    (void)state;
    file = new_file(DEVICE_PAGES - 20, 40);
    fake.block.block_count -= 3;
    assert_int_equal(object_drop(file), OK);
    file = new_file(DEVICE_PAGES - 20, 40);
    map_file(BASE, 40, RW, SHARED);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(read_value(space, at(BASE, i)), first_word(DEVICE_PAGES - 20 + i));
    assert_int_equal(read_value(space, at(BASE, 19) + 5 * BLOCK - 8) & 0xff, 0xff);
    assert_int_equal(read_value(space, at(BASE, 19) + 5 * BLOCK), 0);
    assert_int_equal(read_value(space, at(BASE, 19) + 4088), 0);
    assert_int_equal(refused(space, MACHINE_READ, at(BASE, 20)), FAULT_BUS);
    write_value(space, at(BASE, 19), 19);
    sync_all(BASE, 40);
    assert_int_equal(device_word(DEVICE_PAGES - 1), 19);
}

static void test_an_unreadable_page_is_bus_and_harms_no_other(void **state)
{
    (void)state;
    file = new_file(0, 64);
    map_file(BASE, 64, PROT_READ, SHARED);
    map_file(OTHER, 64, RW, PRIVATE);
    fake.bad_page = 20;
    for (uint64_t i = 0; i < 64; i++) {
        if (i == 20)
            assert_int_equal(refused(space, MACHINE_READ, at(BASE, i)), FAULT_BUS);
        else
            assert_int_equal(read_value(space, at(BASE, i)), first_word(i));
    }
    assert_int_equal(refused(space, MACHINE_WRITE, at(OTHER, 20)), FAULT_BUS);
    phys_t page;
    struct region *region = region_of_node(region_tree_find(&space->tree, OTHER));
    assert_int_equal(
        region->object->ops->page(region->object, region, at(OTHER, 20), PAGE_FOR_READING, &page),
        EIO);
    fake.bad_page = UINT64_MAX;
    assert_int_equal(read_value(space, at(BASE, 20)), first_word(20));
    assert_int_equal(read_value(space, at(OTHER, 20)), first_word(20));
}

/* A disk takes long over each page that it cannot read. */
static void test_reading_ahead_meets_a_bad_page_seldom(void **state)
{
    (void)state;
    file = new_file(0, 512);
    map_file(BASE, 512, PROT_READ, SHARED);
    fake.bad_page = 180;
    for (uint64_t i = 0; i < 180; i++)
        assert_int_equal(read_value(space, at(BASE, i)), first_word(i));
    assert_in_range(fake.failed_reads, 1, 6);
    assert_int_equal(file->ops->resident(file), 180);
}

static void test_rights_of_a_device_that_cannot_be_written(void **state)
{
    (void)state;
    virt_t base;
    fake.block.ops = &fake_read_only_ops;
    file = new_file(0, 8);
    struct map_args args = file_at(file, BASE, 8, RW, SHARED);
    assert_int_equal(space_map(space, &args, &base), EACCES);
    map_file(BASE, 8, PROT_READ, SHARED);
    assert_int_equal(space_protect(space, pages_at(BASE, 8), RW), EACCES);
    map_file(OTHER, 8, RW, PRIVATE);
    write_value(space, OTHER, 1);
    assert_int_equal(read_value(space, OTHER), 1);
    assert_int_equal(space_sync(space, pages_at(BASE, 8)), ENOTSUP);
    assert_int_equal(space_sync(space, pages_at(3 * GIB, 8)), ENOENT);
}

static void test_what_is_cut_off_is_bus_at_once(void **state)
{
    (void)state;
    file = new_file(0, 100);
    map_file(BASE, 100, RW, SHARED);
    map_file(OTHER, 100, RW, PRIVATE);
    write_pages(space, BASE, 100, 1);
    write_value(space, at(OTHER, 70), 7);
    for (uint64_t i = 0; i < 70; i++)
        (void)read_value(space, at(OTHER, i));
    uint64_t flushes = counter_read(COUNTER_TLB_LOCAL);
    uint64_t pages_flushed = counter_read(COUNTER_TLB_PAGE);
    file_truncate(file, 50);
    assert_int_equal(counted(COUNTER_TLB_LOCAL, flushes), 2); /* one for each region */
    assert_int_equal(counted(COUNTER_TLB_PAGE, pages_flushed), 20);
    assert_audit();
    assert_int_equal(file->ops->resident(file), 50);
    assert_int_equal(read_value(space, at(BASE, 49)), 50);
    assert_int_equal(refused(space, MACHINE_READ, at(BASE, 50)), FAULT_BUS);
    assert_int_equal(refused(space, MACHINE_WRITE, at(BASE, 99)), FAULT_BUS);
    assert_int_equal(refused(space, MACHINE_READ, at(OTHER, 60)), FAULT_BUS);
    assert_int_equal(read_value(space, at(OTHER, 49)), 50);
    assert_int_equal(read_value(space, at(OTHER, 70)), 7); /* its own */
    sync_all(BASE, 100);
    assert_int_equal(fake.pages_written, 50);
}

/* The N-th allocation fails, for every N, and the space is as it was. */
static void fail_every_allocation(enum mapping mapping, enum machine_access_kind kind)
{
    map_file(BASE, 4, RW, mapping);
    (void)read_value(space, at(BASE, 3)); /* arrays that stay */
    for (uint64_t nth = 1;; nth++) {
        assert_true(nth < 50);
        struct figures before = figures_of(space, WITHOUT_CONTENT);
        mm_inject((struct mm_inject){.nth = nth});
        struct machine_access access = access_to(space, kind, at(BASE, 1), 5);
        bool fired = mm_inject_fired();
        mm_inject((struct mm_inject){0});
        if (!fired) {
            assert_int_equal(access.end, ACCESS_DONE);
            break;
        }
        assert_int_equal(access.outcome, FAULT_NOMEM);
        struct figures after = figures_of(space, WITHOUT_CONTENT);
        assert_same_figures(&after, &before);
        assert_audit();
    }
    unmap(space, BASE, 4);
}

static void test_faults_that_run_out_of_memory_change_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        file = new_file(0, 4);
        fail_every_allocation(i / 2 == 0 ? PRIVATE : SHARED,
                              i % 2 == 0 ? MACHINE_READ : MACHINE_WRITE);
        assert_int_equal(object_drop(file), OK);
        assert_int_equal(file_create_on_ramdisk(0, 4, &file), OK);
        object_name(file);
        fail_every_allocation(i / 2 == 0 ? PRIVATE : SHARED,
                              i % 2 == 0 ? MACHINE_READ : MACHINE_WRITE);
        assert_int_equal(object_drop(file), OK);
        file = NULL;
    }
}

/* --- everything at random, against plain arrays ------------------------------------------------------------------ */

#define MODEL_PAGES 40ull
#define MODEL_SPACES 3

/* What each space sees through each of its two mappings: its own value, or the file's. */
static struct {
    struct space *spaces[MODEL_SPACES];
    bool owned[MODEL_SPACES][MODEL_PAGES];
    uint64_t own[MODEL_SPACES][MODEL_PAGES];
    uint64_t file[MODEL_PAGES];
} model;

static uint64_t expected(unsigned number, uint64_t page, enum mapping mapping)
{
    return mapping == PRIVATE && model.owned[number][page] ? model.own[number][page]
                                                           : model.file[page];
}

static void model_write(unsigned number, uint64_t page, enum mapping mapping, uint64_t value)
{
    write_value(model.spaces[number], at(mapping == SHARED ? BASE : OTHER, page), value);
    if (mapping == SHARED) {
        model.file[page] = value;
        return;
    }
    model.owned[number][page] = true;
    model.own[number][page] = value;
}

static void model_fork(unsigned from, unsigned to)
{
    if (from == to)
        return;
    space_destroy(model.spaces[to]);
    model.spaces[to] = forked(model.spaces[from]);
    memcpy(model.owned[to], model.owned[from], sizeof(model.owned[to]));
    memcpy(model.own[to], model.own[from], sizeof(model.own[to]));
}

static void model_step(struct random *random)
{
    unsigned number = (unsigned)random_below(random, MODEL_SPACES);
    uint64_t page = random_below(random, MODEL_PAGES);
    enum mapping mapping = (enum mapping)random_below(random, 2);
    uint64_t base = mapping == SHARED ? BASE : OTHER;
    switch (random_below(random, 12)) {
    case 0:
        model_fork(number, (unsigned)random_below(random, MODEL_SPACES));
        break;
    case 1:
        assert_int_equal(space_sync(model.spaces[number], pages_at(BASE, MODEL_PAGES)), OK);
        for (uint64_t i = 0; i < MODEL_PAGES; i++)
            assert_int_equal(device_word(i), model.file[i]);
        break;
    case 2:
        assert_int_equal(
            space_advise(model.spaces[number], pages_at(at(base, page), 1), ADVICE_DONTNEED), OK);
        model.owned[number][page] &= mapping == SHARED;
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        model_write(number, page, mapping, random_next(random) | 1);
        break;
    default:
        assert_int_equal(read_value(model.spaces[number], at(base, page)),
                         expected(number, page, mapping));
        break;
    }
}

static void test_random_operations(void **state)
{
    (void)state;
    struct random random = {test_seed()};
    file = new_file(0, MODEL_PAGES);
    map_file(BASE, MODEL_PAGES, RW, SHARED);
    map_file(OTHER, MODEL_PAGES, RW, PRIVATE);
    memset(&model, 0, sizeof(model));
    model.spaces[0] = space;
    for (uint64_t i = 0; i < MODEL_PAGES; i++)
        model.file[i] = first_word(i);
    for (unsigned i = 1; i < MODEL_SPACES; i++)
        model.spaces[i] = forked(space);
    for (unsigned round = 0; round < 4000 * test_rounds(); round++) {
        mm.map_around = round / 100 % 2 == 0 ? 0 : FILE_AROUND_MAX;
        model_step(&random);
        if (round % 50 == 0)
            assert_audit();
    }
    for (unsigned i = 0; i < MODEL_SPACES; i++)
        space_destroy(model.spaces[i]);
    space = NULL;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, finish)
    const struct CMUnitTest tests[] = {
        TEST(test_pages_come_from_the_device),
        TEST(test_a_sequential_reader_waits_seldom),
        TEST(test_who_jumps_about_reads_nothing_in_vain),
        TEST(test_neighbours_are_mapped_around),
        TEST(test_writes_map_nothing_around),
        TEST(test_private_writes_stay_private),
        TEST(test_private_pages_are_copied_on_write_across_forks),
        TEST(test_a_copy_through_the_other_of_two_regions),
        TEST(test_private_promises),
        TEST(test_only_what_was_written_is_written_back),
        TEST(test_what_was_written_back_can_become_dirty_again),
        TEST(test_a_page_without_room_on_the_device_cannot_be_written),
        TEST(test_a_failed_write_keeps_the_page_dirty),
        TEST(test_ram_disks),
        TEST(test_past_the_end_is_bus),
        TEST(test_a_short_device),
        TEST(test_an_unreadable_page_is_bus_and_harms_no_other),
        TEST(test_reading_ahead_meets_a_bad_page_seldom),
        TEST(test_rights_of_a_device_that_cannot_be_written),
        TEST(test_what_is_cut_off_is_bus_at_once),
        TEST(test_faults_that_run_out_of_memory_change_nothing),
        TEST(test_random_operations),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
