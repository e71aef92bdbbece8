/* Memory running out: volatile objects, squeezing, and operations that start again. */
#include "mm_testing.h"

#include <string.h>

#include "core/mm/anonymous.h"
#include "core/mm/file.h"
#include "core/mm/internal.h"
#include "core/mm/reclaim.h"

#define BASE GIB
#define PAGES 1100 /* three leaves, the last in part */

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 128 * MIB});
    return 0;
}

static struct object *purgeable(uint64_t pages, enum commit commit)
{
    struct object *object;
    assert_int_equal(anonymous_create_named(pages, commit, true, &object), OK);
    object_name(object);
    return object;
}

static void show(struct space *space, struct object *object, uint64_t base)
{
    struct map_args args = map_at(base, object->page_count, PROT_READ | PROT_WRITE);
    args.object = object;
    map(space, args);
}

/* Returns whether content has gone. */
static bool set_volatile(struct space *space, bool to_volatile)
{
    bool purged;
    assert_int_equal(space_set_volatile(space, pages_at(BASE, PAGES), to_volatile, &purged), OK);
    return purged;
}

static void squeeze_to(uint64_t pages)
{
    assert_int_equal(mm_squeeze(pages * PAGE_SIZE), OK);
    assert_int_equal(mm_free_bytes(), pages * PAGE_SIZE);
}

static void test_volatile_content_stays_until_it_must_go(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct object *object = purgeable(PAGES, COMMIT_ON);
    struct space *space = new_space();
    show(space, object, BASE);
    assert_int_equal(space_fill(space, pages_at(BASE, PAGES / 2), 7, 0), OK);
    uint64_t promised = mm_committed_pages();
    set_volatile(space, true);
    assert_int_equal(mm_committed_pages(), promised - (PAGES - PAGES / 2));
    assert_audit();
    assert_false(set_volatile(space, false));
    assert_int_equal(mm_committed_pages(), promised);
    struct mismatch mismatch;
    assert_int_equal(space_verify(space, pages_at(BASE, PAGES / 2), 7, 0, &mismatch), OK);
    assert_int_equal(reclaim_pages(1), 0); /* it is not listed any more */

    set_volatile(space, true);
    uint64_t purged = counter_read(COUNTER_RECLAIM_PURGED);
    assert_int_equal(reclaim_pages(1), PAGES / 2); /* as a whole */
    assert_int_equal(counter_read(COUNTER_RECLAIM_PURGED) - purged, PAGES / 2);
    assert_int_equal(space_resident_pages(space), 0);
    assert_audit();
    assert_int_equal(read_value(space, BASE), 0);
    assert_int_equal(reclaim_pages(1), 0);
    write_value(space, BASE + PAGE_SIZE, 5);
    assert_true(set_volatile(space, false));
    assert_int_equal(read_value(space, BASE + PAGE_SIZE), 5);
    assert_int_equal(mm_committed_pages(), promised + PAGES / 2 - 1);
    assert_false(set_volatile(space, false)); /* said once */
    space_destroy(space);
    object_unname(object);
    assert_audit();
    assert_int_equal(mm_free_bytes(), free_bytes);
}

static void test_all_that_show_it_lose_it(void **state)
{
    (void)state;
    struct object *object = purgeable(PAGES, COMMIT_OFF);
    struct space *first = new_space();
    struct space *second = new_space();
    show(first, object, BASE);
    show(second, object, 5 * GIB + 7 * PAGE_SIZE);
    space_load(second);
    for (uint64_t i = 0; i < PAGES; i++) {
        write_value(first, BASE + i * PAGE_SIZE, i + 1);
        assert_int_equal(read_value(second, 5 * GIB + (7 + i) * PAGE_SIZE), i + 1);
    }
    set_volatile(first, true);
    assert_int_equal(reclaim_pages(PAGES), PAGES);
    for (uint64_t i = 0; i < PAGES; i++) {
        assert_int_equal(read_value(second, 5 * GIB + (7 + i) * PAGE_SIZE), 0);
        assert_int_equal(read_value(first, BASE + i * PAGE_SIZE), 0);
    }
    space_destroy(first);
    assert_audit();
    space_destroy(second); /* volatile to the end */
    object_unname(object);
    assert_audit();
}

static void test_forks_of_volatile_memory(void **state)
{
    (void)state;
    struct object *object = purgeable(PAGES, COMMIT_ON);
    struct space *parent = new_space();
    show(parent, object, BASE);
    assert_int_equal(space_fill(parent, pages_at(BASE, PAGES), 3, 0), OK);
    struct space *early = forked(parent); /* of memory that is not volatile yet */
    set_volatile(parent, true);
    struct space *late = forked(parent);
    assert_int_equal(read_value(late, BASE), 0);
    struct space *at_once = forked(parent);
    assert_true(set_volatile(at_once, false)); /* it has never had the content */
    space_destroy(at_once);
    write_value(late, BASE, 9);
    assert_audit();
    /* What `early` shares is not freed, but nobody needs copies of it any more. */
    uint64_t free_before = mm_free_bytes();
    assert_int_equal(reclaim_pages(PAGES + 1), PAGES + 1);
    assert_true(mm_free_bytes() >= free_before + PAGES * PAGE_SIZE);
    struct mismatch mismatch;
    assert_int_equal(space_verify(early, pages_at(BASE, PAGES), 3, 0, &mismatch), OK);
    assert_true(set_volatile(late, false));
    assert_true(set_volatile(parent, false));
    assert_audit();
    space_destroy(parent);
    space_destroy(late);
    space_destroy(early);
    object_unname(object);
    assert_audit();
}

static void test_what_cannot_be_volatile(void **state)
{
    (void)state;
    bool purged;
    struct object *object = purgeable(8, COMMIT_OFF);
    struct space *space = new_space();
    map(space, map_at(BASE, 8, PROT_READ));
    show(space, object, BASE + 8 * PAGE_SIZE);
    assert_int_equal(space_set_volatile(space, pages_at(BASE, 8), true, &purged), ENOTSUP);
    assert_int_equal(space_set_volatile(space, pages_at(BASE, 16), true, &purged), EINVAL);
    assert_int_equal(space_set_volatile(space, pages_at(BASE, 17), true, &purged), ENOENT);
    space_destroy(space);
    object_unname(object);
}

static void test_a_squeezed_machine(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    uint64_t taken = counter_read(COUNTER_PAGE_ALLOC);
    squeeze_to(100);
    assert_int_equal(mm_squeeze(101 * PAGE_SIZE), EINVAL);
    assert_int_equal(counter_read(COUNTER_PAGE_ALLOC), taken);
    assert_audit();
    struct object *object;
    assert_int_equal(anonymous_create(101, COMMIT_ON, &object), ENOMEM);
    assert_int_equal(anonymous_create(90, COMMIT_ON, &object), OK);
    object_put(object);
    mm_squeeze_end();
    assert_int_equal(mm_free_bytes(), free_bytes);
    assert_audit();
}

/* Every operation that runs out of frames purges what may go and starts again. */
static void test_operations_start_again(void **state)
{
    (void)state;
    struct object *object = purgeable(PAGES, COMMIT_OFF);
    struct space *space = new_space();
    show(space, object, BASE);
    struct map_args large = map_at(2 * GIB, 600, PROT_READ | PROT_WRITE);
    for (unsigned what = 0; what < 4; what++) {
        assert_int_equal(space_fill(space, pages_at(BASE, PAGES), 1, 0), OK);
        set_volatile(space, true);
        struct space *other = new_space();
        large.commit = what == 0;
        if (what == 2)
            map(other, large);
        uint64_t purged = counter_read(COUNTER_RECLAIM_PURGED);
        squeeze_to(64);
        if (what == 0) {
            map(other, large);
        } else if (what == 1) {
            large.populate = true;
            map(other, large);
            large.populate = false;
        } else if (what == 2) {
            for (uint64_t i = 0; i < 600; i++)
                write_value(other, 2 * GIB + i * PAGE_SIZE, i);
        } else {
            struct image image = {.text.size_bytes = 200 * PAGE_SIZE,
                                  .data.size_bytes = 200 * PAGE_SIZE,
                                  .stack.size_bytes = 200 * PAGE_SIZE};
            assert_int_equal(space_exec(other, &image), OK);
        }
        assert_int_equal(counter_read(COUNTER_RECLAIM_PURGED) - purged, PAGES);
        assert_true(set_volatile(space, false));
        assert_audit();
        space_destroy(other);
        mm_squeeze_end();
    }
    space_destroy(space);
    object_unname(object);
    assert_audit();
}

/* What `inject` made fail is final; and nothing is purged for an address that is taken. */
static void test_nothing_is_purged_in_vain(void **state)
{
    (void)state;
    struct object *object = purgeable(PAGES, COMMIT_OFF);
    struct space *space = new_space();
    show(space, object, BASE);
    write_value(space, BASE, 1);
    set_volatile(space, true);
    struct map_args args = map_at(2 * GIB, 16, PROT_READ | PROT_WRITE);
    virt_t base;
    mm_inject((struct mm_inject){.nth = 1});
    assert_int_equal(space_map(space, &args, &base), ENOMEM);
    mm_inject((struct mm_inject){.nth = 0});
    args.at = MAP_AT_ANY;
    args.size_bytes = space_user_high() - SPACE_USER_LOW;
    args.unbacked = true;
    assert_int_equal(space_map(space, &args, &base), ENOMEM);
    assert_int_equal(read_value(space, BASE), 1);
    uint64_t failed = counter_read(COUNTER_RECLAIM_FAILED);
    assert_false(set_volatile(space, false));
    squeeze_to(64);
    args = map_at(2 * GIB, 4096, PROT_READ | PROT_WRITE);
    assert_int_equal(space_map(space, &args, &base), ENOMEM);
    assert_int_equal(counter_read(COUNTER_RECLAIM_FAILED), failed + 1);
    mm_squeeze_end();
    space_destroy(space);
    object_unname(object);
    assert_audit();
}

/* --- files ------------------------------------------------------------------------------------------------- */

#define FILE_PAGES 600

static struct object *new_file(void)
{
    struct object *object;
    assert_int_equal(file_create_on_ramdisk(0, FILE_PAGES, &object), OK);
    object_name(object);
    mm.map_around = 0;
    return object;
}

static void map_file(struct space *space, struct object *file, uint64_t base, bool shared)
{
    struct map_args args = map_at(base, FILE_PAGES, PROT_READ | PROT_WRITE);
    args.object = file;
    args.shared = shared;
    map(space, args);
}

static uint64_t page_at(uint64_t base, uint64_t page)
{
    return base + page * PAGE_SIZE;
}

/* Nothing is lost: what was written comes back from the device, what was copied stays. */
static void test_files_give_up_clean_pages_then_dirty_ones(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    uint64_t content[FILE_PAGES];
    struct object *file = new_file();
    struct space *space = new_space();
    struct space *other = new_space();
    map_file(space, file, BASE, true);
    map_file(other, file, 3 * GIB, false);
    for (uint64_t i = 0; i < FILE_PAGES; i++)
        content[i] = read_value(other, page_at(3 * GIB, i));
    for (uint64_t i = 0; i < FILE_PAGES; i += 3) {
        write_value(space, page_at(BASE, i), i + 7);
        content[i] = i + 7;
    }
    write_value(other, page_at(3 * GIB, 1), 99);
    struct space *child = forked(other);
    assert_audit();

    uint64_t clean = counter_read(COUNTER_RECLAIM_CLEAN);
    uint64_t dirty = counter_read(COUNTER_RECLAIM_DIRTY);
    assert_int_equal(reclaim_pages(FILE_PAGES - FILE_PAGES / 3), FILE_PAGES - FILE_PAGES / 3);
    assert_int_equal(counter_read(COUNTER_RECLAIM_CLEAN) - clean, FILE_PAGES - FILE_PAGES / 3);
    assert_int_equal(counter_read(COUNTER_RECLAIM_DIRTY), dirty);
    assert_audit();
    assert_int_equal(reclaim_pages(FILE_PAGES), FILE_PAGES / 3);
    assert_int_equal(counter_read(COUNTER_RECLAIM_DIRTY) - dirty, FILE_PAGES / 3);
    assert_int_equal(file->ops->resident(file), 0);
    assert_int_equal(reclaim_pages(1), 0);
    assert_audit();

    for (uint64_t i = 0; i < FILE_PAGES; i++)
        assert_int_equal(read_value(space, page_at(BASE, i)), content[i]);
    for (uint64_t i = 0; i < FILE_PAGES; i++) {
        uint64_t expected = i == 1 ? 99 : content[i];
        assert_int_equal(read_value(child, page_at(3 * GIB, i)), expected);
        assert_int_equal(read_value(other, page_at(3 * GIB, i)), expected);
    }
    space_destroy(space);
    space_destroy(other);
    space_destroy(child);
    object_unname(file);
    assert_audit();
    assert_int_equal(mm_free_bytes(), free_bytes);
}

static unsigned count_entries(struct space *space, uint64_t first, uint64_t end)
{
    unsigned count = 0;
    for (uint64_t i = first; i < end; i++) {
        struct table_place place;
        count += page_directory_find(&space->directory, page_at(BASE, i), &place) &&
                 entry_is_present(*place.entry);
    }
    return count;
}

/* Of two pages side by side the one that is in use stays. */
static void test_what_was_used_lately_gets_a_second_chance(void **state)
{
    (void)state;
    struct object *file = new_file();
    struct space *space = new_space();
    map_file(space, file, BASE, true);
    for (uint64_t i = 0; i < FILE_PAGES; i++)
        (void)read_value(space, page_at(BASE, i));
    /* All have been used: the hand passes the window once, and takes what it comes to first then. */
    assert_int_equal(reclaim_pages(40), 40);
    assert_int_equal(count_entries(space, 0, 40), 0);
    assert_int_equal(count_entries(space, 40, FILE_PAGES), FILE_PAGES - 40);
    /* Of the next window every second page is used again. */
    assert_int_equal(reclaim_pages(1), 1);
    for (uint64_t i = 41; i < 79; i++) {
        struct table_place place;
        assert_true(page_directory_find(&space->directory, page_at(BASE, i), &place));
        *place.entry &= ~ENTRY_ACCESSED;
        *place.entry |= i % 2 == 0 ? ENTRY_ACCESSED : 0;
    }
    assert_int_equal(reclaim_pages(19), 19);
    assert_int_equal(count_entries(space, 41, 79), 19);
    for (uint64_t i = 42; i < 79; i += 2)
        assert_int_equal(count_entries(space, i, i + 1), 1);
    space_destroy(space);
    object_unname(file);
    assert_audit();
}

/* What a page costs does not depend on how many are resident. */
static void test_a_few_pages_of_many(void **state)
{
    (void)state;
    struct object *file = new_file();
    struct space *space = new_space();
    map_file(space, file, BASE, true);
    for (uint64_t i = 0; i < FILE_PAGES; i++)
        (void)read_value(space, page_at(BASE, i));
    assert_int_equal(reclaim_pages(8), 8);
    unsigned looked_at = 0;
    for (uint64_t i = 0; i < FILE_PAGES; i++) {
        struct table_place place;
        bool there = page_directory_find(&space->directory, page_at(BASE, i), &place) &&
                     entry_is_present(*place.entry);
        looked_at += !there || !entry_is_accessed(*place.entry);
    }
    assert_int_equal(looked_at, 16);
    space_destroy(space);
    object_unname(file);
}

/* What a fault takes when `left` frames are free and it needs none but tables. */
static void read_at(struct space *space, uint64_t address, uint64_t expected, uint64_t left)
{
    uint64_t frames_taken = counter_read(COUNTER_PAGE_ALLOC);
    uint64_t tables = counter_read(COUNTER_PT_ALLOC);
    squeeze_to(left);
    assert_int_equal(read_value(space, address), expected);
    mm_squeeze_end();
    tables = counted(COUNTER_PT_ALLOC, tables);
    assert_in_range(tables, 2, 3);
    assert_true(counted(COUNTER_PAGE_ALLOC, frames_taken) >= tables);
    assert_int_equal(space_resident_pages_in(space, pages_at(address, 1)), 1);
    assert_audit();
}

/* The frame that runs short is one for a page table, the first or a later one of a walk: what the fault had
 * is given back, and it starts again. */
static void test_page_tables_are_won_back(void **state)
{
    (void)state;
    struct object *object = purgeable(PAGES, COMMIT_OFF);
    struct object *file = new_file();
    struct space *space = new_space();
    struct space *other = new_space();
    show(space, object, BASE);
    map_file(space, file, 4 * GIB, true);
    for (uint64_t left = 0; left < 3; left++) {
        uint64_t purged = counter_read(COUNTER_RECLAIM_PURGED);
        struct map_args args = map_at((10 + left) * GIB, 1, PROT_READ);
        args.commit = false;
        map(other, args);
        write_pages(space, BASE, PAGES, 1);
        set_volatile(space, true);
        read_at(other, (10 + left) * GIB, 0, left);
        bool is_short = left < 2; /* of the two or three that it takes */
        assert_int_equal(counted(COUNTER_RECLAIM_PURGED, purged), is_short ? PAGES : 0);
        assert_int_equal(set_volatile(space, false), is_short);

        /* Nothing but the file has frames to give: it may be the very page that is read. */
        uint64_t clean = counter_read(COUNTER_RECLAIM_CLEAN);
        assert_int_equal(space_fill(space, pages_at(BASE, PAGES), 1, 0), OK);
        map_file(other, file, (20 + left) * GIB, true);
        uint64_t value = read_value(space, 4 * GIB);
        read_at(other, (20 + left) * GIB, value, left);
        assert_int_equal(counter_read(COUNTER_RECLAIM_CLEAN) > clean, left < 2);
    }
    space_destroy(space);
    space_destroy(other);
    object_unname(object);
    object_unname(file);
    assert_audit();
}

/* --- frames and TLBs --------------------------------------------------------------------------------------- */

#define SHARED (3 * GIB)
#define PRIVATE (5 * GIB)

/* What a CPU could still reach through its TLB just before it was flushed. */
static struct {
    unsigned pages;
    unsigned free_pages;
} reached;

static void look_through_tlb(void)
{
    static const uint64_t bases[] = {BASE, SHARED, PRIVATE};
    for (unsigned i = 0; i < ARRAY_COUNT(bases) * FILE_PAGES; i++) {
        struct sim_translation page =
            sim_look_up_tlb(page_at(bases[i / FILE_PAGES], i % FILE_PAGES));
        reached.pages += page.present;
        reached.free_pages += page.present && frame_of(page.frame)->kind == FRAME_FREE;
    }
}

static void reclaim_and_look(uint64_t wanted, enum counter counter)
{
    uint64_t before = counter_read(counter);
    memset(&reached, 0, sizeof reached);
    sim_before_flush = look_through_tlb;
    uint64_t won = reclaim_pages(wanted);
    sim_before_flush = NULL;
    assert_int_equal(won, wanted);
    assert_int_equal(counted(counter, before), wanted);
    assert_in_range(reached.pages, 1, UINT32_MAX);
    assert_int_equal(reached.free_pages, 0);
}

static void test_nothing_is_free_before_the_flush(void **state)
{
    (void)state;
    struct object *cache = purgeable(FILE_PAGES, COMMIT_OFF);
    struct object *file = new_file();
    struct space *space = new_space();
    bool purged;
    show(space, cache, BASE);
    map_file(space, file, SHARED, true);
    map_file(space, file, PRIVATE, false);

    write_pages(space, BASE, FILE_PAGES, 1);
    assert_int_equal(space_set_volatile(space, pages_at(BASE, FILE_PAGES), true, &purged), OK);
    reclaim_and_look(FILE_PAGES, COUNTER_RECLAIM_PURGED);
    for (uint64_t i = 0; i < 100; i++)
        (void)read_value(space, page_at(SHARED, i));
    reclaim_and_look(100, COUNTER_RECLAIM_CLEAN);
    for (uint64_t i = 0; i < 100; i++)
        (void)read_value(space, page_at(PRIVATE, i));
    reclaim_and_look(100, COUNTER_RECLAIM_CLEAN);
    write_pages(space, SHARED, FILE_PAGES, 1);
    reclaim_and_look(FILE_PAGES, COUNTER_RECLAIM_DIRTY);
    space_destroy(space);
    object_unname(file);
    object_unname(cache);
    assert_audit();
}

/* --- the order ---------------------------------------------------------------------------------------------- */

/* Volatile memory goes first, then clean pages, then dirty ones are written: a fault that finds no memory
 * gets it in this order, and loses nothing. */
static void test_a_fault_reclaims_in_order(void **state)
{
    (void)state;
    struct object *cache = purgeable(64, COMMIT_OFF);
    struct object *file = new_file();
    struct space *space = new_space();
    struct map_args args = map_at(BASE + 8 * GIB, 64, PROT_READ | PROT_WRITE);
    bool purged;
    args.object = cache;
    map(space, args);
    write_pages(space, BASE + 8 * GIB, 64, 1);
    assert_int_equal(space_set_volatile(space, pages_at(BASE + 8 * GIB, 64), true, &purged), OK);
    map_file(space, file, BASE, true);
    for (uint64_t i = 0; i < FILE_PAGES; i++) {
        if (i < 100)
            write_value(space, page_at(BASE, i), i + 1000);
        else
            (void)read_value(space, page_at(BASE, i));
    }
    args = map_at(5 * GIB, 700, PROT_READ | PROT_WRITE);
    args.commit = false;
    map(space, args);

    const enum counter counters[] = {COUNTER_RECLAIM_PURGED, COUNTER_RECLAIM_CLEAN,
                                     COUNTER_RECLAIM_DIRTY};
    uint64_t before[3];
    uint64_t last[3] = {0};
    for (unsigned i = 0; i < 3; i++)
        before[i] = counter_read(counters[i]);
    squeeze_to(16);
    uint64_t page = 0;
    for (; page < 700; page++) {
        struct machine_access access =
            access_to(space, MACHINE_WRITE, page_at(5 * GIB, page), page);
        if (access.end != ACCESS_DONE) {
            assert_int_equal(access.outcome, FAULT_NOMEM);
            break;
        }
        uint64_t now[3];
        for (unsigned i = 0; i < 3; i++)
            now[i] = counter_read(counters[i]) - before[i];
        assert_true(now[0] == 64 || (now[1] == 0 && now[2] == 0));
        assert_true(now[1] == last[1] || last[2] == 0);
        memcpy(last, now, sizeof now);
    }
    assert_int_equal(last[0], 64);
    assert_int_equal(last[1], 500);
    assert_int_equal(last[2], 100);
    assert_in_range(page, 650, 690);
    assert_audit();
    mm_squeeze_end();
    for (uint64_t i = 0; i < page; i++)
        assert_int_equal(read_value(space, page_at(5 * GIB, i)), i);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(read_value(space, page_at(BASE, i)), i + 1000);
    space_destroy(space);
    object_unname(file);
    object_unname(cache);
    assert_audit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volatile_content_stays_until_it_must_go),
        cmocka_unit_test(test_all_that_show_it_lose_it),
        cmocka_unit_test(test_forks_of_volatile_memory),
        cmocka_unit_test(test_what_cannot_be_volatile),
        cmocka_unit_test(test_a_squeezed_machine),
        cmocka_unit_test(test_operations_start_again),
        cmocka_unit_test(test_nothing_is_purged_in_vain),
        cmocka_unit_test(test_files_give_up_clean_pages_then_dirty_ones),
        cmocka_unit_test(test_what_was_used_lately_gets_a_second_chance),
        cmocka_unit_test(test_a_few_pages_of_many),
        cmocka_unit_test(test_page_tables_are_won_back),
        cmocka_unit_test(test_nothing_is_free_before_the_flush),
        cmocka_unit_test(test_a_fault_reclaims_in_order),
    };
    return cmocka_run_group_tests_name("reclaim", tests, start, NULL);
}
