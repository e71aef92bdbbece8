/* Anonymous memory as a program sees it and as the counters tell it: zero page, commitments, copies,
 * shared leaves, discards, and promises in whatever order spaces end. */
#include "mm_testing.h"

#include "core/mm/frames.h"
#include "core/mm/internal.h"

#define BASE (GIB - 5 * PAGE_SIZE)
#define RW (PROT_READ | PROT_WRITE)

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    return 0;
}

/* Everything that a test made is gone again. */
static void assert_all_gone(uint64_t free_bytes)
{
    assert_audit();
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(counter_read(COUNTER_COMMIT_RESERVED), 0);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* How often each kind of fault was counted by what a test did. */
struct faults {
    uint64_t total, zero_read, anon, resident, copy, reuse, spurious, denied;
};

static struct faults faults_now(void)
{
    return (struct faults){
        counter_read(COUNTER_FAULT_TOTAL),    counter_read(COUNTER_FAULT_ZERO_READ),
        counter_read(COUNTER_FAULT_ANON),     counter_read(COUNTER_FAULT_RESIDENT),
        counter_read(COUNTER_FAULT_COW_COPY), counter_read(COUNTER_FAULT_COW_REUSE),
        counter_read(COUNTER_FAULT_SPURIOUS), counter_read(COUNTER_FAULT_DENIED),
    };
}

static void expect_faults(struct faults *before, struct faults expected)
{
    struct faults now = faults_now();
    assert_int_equal(now.zero_read - before->zero_read, expected.zero_read);
    assert_int_equal(now.anon - before->anon, expected.anon);
    assert_int_equal(now.resident - before->resident, expected.resident);
    assert_int_equal(now.copy - before->copy, expected.copy);
    assert_int_equal(now.reuse - before->reuse, expected.reuse);
    assert_int_equal(now.spurious - before->spurious, expected.spurious);
    assert_int_equal(now.denied - before->denied, expected.denied);
    assert_int_equal(now.total - before->total,
                     expected.zero_read + expected.anon + expected.resident + expected.copy +
                         expected.reuse + expected.spurious + expected.denied);
    *before = now;
}

/* --- first touch ------------------------------------------------------------------------------------ */

static void test_reads_share_the_zero_page(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    map(space, map_at(BASE, 100, RW));
    struct faults faults = faults_now();
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(read_value(space, BASE + i * PAGE_SIZE), 0);
    expect_faults(&faults, (struct faults){.zero_read = 100});
    for (unsigned i = 0; i < 100; i++) {
        struct sim_translation shown = sim_look_up_tables(BASE + i * PAGE_SIZE);
        assert_int_equal(shown.frame.value, mm.zero_page.value);
        assert_false(shown.writable);
    }
    assert_int_equal(space_resident_pages(space), 100);
    assert_int_equal(mm_committed_pages(), 100); /* nothing of it is used */
    assert_audit();

    write_pages(space, BASE, 100, 1);
    expect_faults(&faults, (struct faults){.anon = 100});
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(read_value(space, BASE + 99 * PAGE_SIZE + 8), 0);
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
        assert_int_equal(((uint64_t *)machine_phys_to_virt(mm.zero_page))[i], 0);
    expect_faults(&faults, (struct faults){0});
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_populated_memory_takes_no_faults(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    struct map_args args = map_at(BASE, 50, RW);
    args.populate = true;
    map(space, args);
    struct faults faults = faults_now();
    write_pages(space, BASE, 50, 1);
    expect_faults(&faults, (struct faults){0});
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_fill_makes_pages_but_no_entries(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    map(space, map_at(BASE, 10, RW));
    struct faults faults = faults_now();
    assert_int_equal(space_fill(space, pages_at(BASE, 10), 9, 0), OK);
    assert_int_equal(space_resident_pages(space), 0);
    assert_int_equal(space_table_frames(space), 0);
    assert_int_equal(mm_committed_pages(), 0);
    expect_faults(&faults, (struct faults){0});
    assert_int_equal(read_value(space, BASE), splitmix64(9));
    write_value(space, BASE + PAGE_SIZE, 1);
    expect_faults(&faults, (struct faults){.resident = 2});
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_what_is_not_there_or_not_allowed(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    struct map_args reserved = map_at(BASE + 10 * PAGE_SIZE, 10, RW);
    reserved.unbacked = true;
    map(space, map_at(BASE, 10, PROT_READ));
    map(space, reserved);
    struct faults faults = faults_now();
    assert_int_equal(refused(space, MACHINE_WRITE, BASE), FAULT_PROT);
    assert_int_equal(refused(space, MACHINE_EXEC, BASE), FAULT_PROT);
    assert_int_equal(refused(space, MACHINE_WRITE, BASE + 10 * PAGE_SIZE), FAULT_SEGV);
    assert_int_equal(refused(space, MACHINE_READ, BASE - 8), FAULT_SEGV);
    assert_int_equal(refused(space, MACHINE_READ, 0), FAULT_SEGV);
    assert_int_equal(refused(space, MACHINE_READ, MACHINE_KERNEL_LOW + PAGE_SIZE), FAULT_SEGV);
    assert_int_equal(refused(space, MACHINE_READ, 1ull << 62), FAULT_SEGV);
    expect_faults(&faults, (struct faults){.denied = 7});
    assert_int_equal(space_resident_pages(space), 0);
    assert_int_equal(space_table_frames(space), 0);
    space_destroy(space);
    assert_all_gone(free_bytes);
}

/* --- commitments ------------------------------------------------------------------------------------ */

static void test_commitments_are_kept(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    virt_t at;
    struct map_args args = map_at(BASE, free_bytes / PAGE_SIZE + 1, RW);
    assert_int_equal(space_map(space, &args, &at), ENOMEM);
    args.commit = false;
    uint64_t base = map(space, args); /* larger than memory, but not promised */
    unmap(space, base, args.size_bytes / PAGE_SIZE);

    map(space, map_at(BASE, 200, RW));
    write_value(space, BASE + 199 * PAGE_SIZE, 1); /* leaf and tables are there */
    write_value(space, BASE, 1);
    uint64_t rest = frames_unpromised();
    assert_int_equal(frames_promise(rest), OK);
    assert_int_equal(mm_free_bytes(), 0);
    write_pages(space, BASE, 200, 1); /* nothing is free, and nothing fails */
    struct machine_access access;
    access = access_to(space, MACHINE_WRITE, BASE + 200 * PAGE_SIZE, 1);
    assert_int_equal(access.outcome, FAULT_SEGV);
    frames_unpromise(rest);
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_memory_that_is_not_promised_can_run_out(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    struct map_args args = map_at(BASE, 200, RW);
    args.commit = false;
    map(space, args);
    write_value(space, BASE + 199 * PAGE_SIZE, 1);
    write_value(space, BASE, 1);
    uint64_t rest = frames_unpromised();
    assert_int_equal(frames_promise(rest), OK);
    assert_int_equal(refused(space, MACHINE_WRITE, BASE + PAGE_SIZE), FAULT_NOMEM);
    assert_int_equal(read_value(space, BASE + PAGE_SIZE), 0);
    write_value(space, BASE, 2);
    frames_unpromise(rest);
    write_value(space, BASE + PAGE_SIZE, 3);
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_unmapping_gives_promises_back(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    map(space, map_at(BASE, 1000, RW));
    assert_int_equal(mm_committed_pages(), 1000);
    write_pages(space, BASE + 100 * PAGE_SIZE, 300, 1);
    assert_int_equal(mm_committed_pages(), 700);
    unmap(space, BASE + 50 * PAGE_SIZE, 100); /* 50 untouched, 50 written */
    assert_int_equal(mm_committed_pages(), 650);
    protect(space, BASE + 500 * PAGE_SIZE, 100, PROT_NONE);
    unmap(space, BASE + 450 * PAGE_SIZE, 100);
    assert_int_equal(mm_committed_pages(), 550);
    assert_audit();
    unmap(space, BASE - GIB / 2, GIB / PAGE_SIZE);
    assert_int_equal(mm_committed_pages(), 0);
    space_destroy(space);
    assert_all_gone(free_bytes);
}

static void test_pages_unmapped_one_by_one_take_their_leaf_along(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *space = new_space();
    map(space, map_at(BASE, 1000, RW));
    write_pages(space, BASE + 600 * PAGE_SIZE, 1, 1); /* in the second leaf */
    unmap(space, BASE + 50 * PAGE_SIZE, 1);
    assert_int_equal(mm_committed_pages(), 998);
    uint64_t free_between = mm_free_bytes();
    write_pages(space, BASE + 100 * PAGE_SIZE, 2, 1);
    unmap(space, BASE + 101 * PAGE_SIZE, 1);
    assert_int_equal(mm_committed_pages(), 996);
    assert_int_equal(read_value(space, BASE + 100 * PAGE_SIZE), 1);
    assert_audit();
    unmap(space, BASE + 100 * PAGE_SIZE, 1);
    assert_int_equal(mm_free_bytes(), free_between + 2 * PAGE_SIZE); /* what was promised */
    assert_int_equal(mm_committed_pages(), 996);
    space_destroy(space);
    assert_all_gone(free_bytes);
}

/* --- copy on write ----------------------------------------------------------------------------------- */

static void test_fork_costs_tables_not_pages(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = new_space();
    map(parent, map_at(BASE, 3000, RW));
    write_pages(parent, BASE, 3000, 1);
    uint64_t allocated = counter_read(COUNTER_PAGE_ALLOC);
    struct space *child = forked(parent);
    assert_in_range(counted(COUNTER_PAGE_ALLOC, allocated), 1, 4); /* a root, perhaps slabs */
    assert_int_equal(space_table_frames(child), 0);
    assert_int_equal(space_resident_pages(parent), 3000);
    assert_int_equal(mm_committed_pages(), 3000); /* a copy of each page */
    assert_audit();
    for (unsigned i = 0; i < 3000; i += 7)
        assert_int_equal(read_value(child, BASE + i * PAGE_SIZE), 1 + i);
    assert_int_equal(space_digest(parent), space_digest(child));
    space_destroy(child);
    space_destroy(parent);
    assert_all_gone(free_bytes);
}

static void test_the_last_owner_writes_without_copying(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = new_space();
    map(parent, map_at(BASE + 5 * PAGE_SIZE, 1024, RW));
    uint64_t base = BASE + 5 * PAGE_SIZE; /* two whole tables */
    write_pages(parent, base, 1024, 1);
    struct space *child = forked(parent);
    struct faults faults = faults_now();
    write_value(child, base, 7);
    write_value(parent, base + PAGE_SIZE, 8);
    expect_faults(&faults, (struct faults){.copy = 2});
    write_value(parent, base, 9); /* the child has its own */
    expect_faults(&faults, (struct faults){.reuse = 1});
    assert_int_equal(read_value(child, base + PAGE_SIZE), 2);
    assert_int_equal(read_value(child, base), 7);
    assert_int_equal(read_value(parent, base), 9);
    faults = faults_now();

    space_destroy(child);
    uint64_t allocated = counter_read(COUNTER_PAGE_ALLOC);
    write_pages(parent, base + 512 * PAGE_SIZE, 512, 100);
    expect_faults(&faults, (struct faults){.reuse = 1}); /* once for 2 MiB */
    write_value(parent, base, 10);
    write_value(parent, base + 2 * PAGE_SIZE, 10);
    expect_faults(&faults, (struct faults){.reuse = 1}); /* a table that had been settled */
    assert_int_equal(counted(COUNTER_PAGE_ALLOC, allocated), 0);
    space_destroy(parent);
    assert_all_gone(free_bytes);
}

static void test_both_sides_of_a_fork_are_private(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = new_space();
    map(parent, map_at(BASE, 600, RW));
    write_pages(parent, BASE, 300, 1);
    struct space *child = forked(parent);
    write_pages(child, BASE + 200 * PAGE_SIZE, 200, 1001); /* 100 copies, 100 fresh pages */
    write_pages(parent, BASE + 250 * PAGE_SIZE, 200, 2001);
    for (unsigned i = 0; i < 600; i++) {
        uint64_t in_parent = i >= 250 && i < 450 ? 2001 + i - 250 : i < 300 ? 1 + i : 0;
        uint64_t in_child = i >= 200 && i < 400 ? 1001 + i - 200 : i < 200 ? 1 + i : 0;
        assert_int_equal(read_value(parent, BASE + i * PAGE_SIZE), in_parent);
        assert_int_equal(read_value(child, BASE + i * PAGE_SIZE), in_child);
    }
    assert_audit();
    space_destroy(parent);
    assert_int_equal(read_value(child, BASE + 250 * PAGE_SIZE), 1051);
    space_destroy(child);
    assert_all_gone(free_bytes);
}

static void test_a_copy_is_whole(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = new_space();
    struct mismatch mismatch;
    map(parent, map_at(BASE, 2, RW));
    assert_int_equal(space_fill(parent, pages_at(BASE, 2), 3, 0), OK);
    struct space *child = forked(parent);
    write_value(child, BASE + PAGE_SIZE, 1);
    assert_int_equal(space_verify(child, pages_at(BASE, 2), 3, 0, &mismatch), EFAULT);
    assert_int_equal(mismatch.address, BASE + PAGE_SIZE);
    assert_int_equal(mismatch.found, 1);
    write_value(child, BASE + PAGE_SIZE, splitmix64(3 ^ (PAGE_SIZE / 8)));
    assert_int_equal(space_verify(child, pages_at(BASE, 2), 3, 0, &mismatch), OK);
    assert_int_equal(space_verify(parent, pages_at(BASE, 2), 3, 0, &mismatch), OK);
    space_destroy(parent);
    space_destroy(child);
    assert_all_gone(free_bytes);
}

/* A page that the fork has protected in a cached translation may not be written through it. */
static void test_fork_flushes_what_it_protects(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = new_space();
    map(parent, map_at(BASE, 20, RW));
    write_pages(parent, BASE, 20, 1);
    assert_true(sim_look_up_tlb(BASE).writable);
    struct space *child = forked(parent);
    assert_false(sim_look_up_tlb(BASE).writable);
    write_value(parent, BASE, 100);
    assert_int_equal(read_value(child, BASE), 1);
    space_destroy(parent);
    space_destroy(child);
    assert_all_gone(free_bytes);
}

/* --- parts of shared leaves --------------------------------------------------------------------------- */

static void test_discarding_parts_of_shared_leaves(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = new_space();
    map(parent, map_at(BASE, 1600, RW));
    write_pages(parent, BASE, 1600, 1);
    struct space *child = forked(parent);
    unmap(parent, BASE + 100 * PAGE_SIZE, 1000); /* both edges in shared leaves, one leaf whole */
    assert_audit();
    assert_int_equal(mm_committed_pages(), 600); /* copies of what both still have */
    write_pages(parent, BASE + 1100 * PAGE_SIZE, 10, 5001);
    unmap(child, BASE + 50 * PAGE_SIZE, 10);
    unmap(child, BASE + 1590 * PAGE_SIZE, 10);
    assert_audit();
    for (unsigned i = 0; i < 1590; i++) {
        if (i < 50 || i >= 60)
            assert_int_equal(read_value(child, BASE + i * PAGE_SIZE), 1 + i);
    }
    assert_int_equal(read_value(parent, BASE + 50 * PAGE_SIZE), 51);
    assert_int_equal(read_value(parent, BASE + 1599 * PAGE_SIZE), 1600);
    assert_int_equal(read_value(parent, BASE + 1100 * PAGE_SIZE), 5001);
    unmap(child, BASE, 1600);
    assert_audit();
    assert_int_equal(mm_committed_pages(), 0);
    space_destroy(child);
    space_destroy(parent);
    assert_all_gone(free_bytes);
}

/* Pieces of one object in one table: when a leaf is copied for one piece, the table shows the copy. */
static void test_pieces_of_an_object_follow_its_leaf(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct space *parent = new_space();
    uint64_t base = 2 * GIB;
    map(parent, map_at(base, 512, RW));
    write_pages(parent, base, 512, 1);
    protect(parent, base + 100 * PAGE_SIZE, 100, PROT_READ);
    protect(parent, base + 300 * PAGE_SIZE, 100, PROT_NONE);
    struct space *child = forked(parent);
    unmap(parent, base + 50 * PAGE_SIZE, 50);
    unmap(parent, base + 150 * PAGE_SIZE, 50);
    assert_audit();
    space_destroy(child);
    struct faults faults = faults_now();
    write_value(parent, base, 10);
    write_value(parent, base + 250 * PAGE_SIZE, 10);
    write_value(parent, base + 450 * PAGE_SIZE, 10);
    expect_faults(&faults, (struct faults){.reuse = 1}); /* the table still shows one leaf, ours */
    protect(parent, base + 100 * PAGE_SIZE, 50, RW);
    write_value(parent, base + 120 * PAGE_SIZE, 10);
    assert_audit();
    space_destroy(parent);
    assert_all_gone(free_bytes);
}

/* --- every order of death ------------------------------------------------------------------------------ */

#define MEMBERS 4

/* Grandparent, parent, two children; each writes a part of its own and one that others write, too. */
static void make_family(struct space *members[MEMBERS])
{
    members[0] = new_space();
    map(members[0], map_at(BASE, 700, RW));
    write_pages(members[0], BASE, 400, 1);
    members[1] = forked(members[0]);
    write_pages(members[1], BASE + 10 * PAGE_SIZE, 50, 1000);
    members[2] = forked(members[1]);
    members[3] = forked(members[1]);
    for (unsigned i = 0; i < MEMBERS; i++)
        write_pages(members[i], BASE + (40 + 20 * i) * PAGE_SIZE, 40, 2000 + 100 * i);
    unmap(members[2], BASE + 90 * PAGE_SIZE, 100);
}

static void end_in_order(unsigned order, uint64_t free_bytes)
{
    struct space *members[MEMBERS];
    uint32_t digests[MEMBERS];
    make_family(members);
    assert_audit();
    for (unsigned i = 0; i < MEMBERS; i++)
        digests[i] = space_digest(members[i]);
    unsigned left = MEMBERS;
    while (left != 0) {
        unsigned choice = order % left;
        order /= left;
        unsigned dies = 0;
        while (!members[dies] || choice-- != 0)
            dies++;
        assert_int_equal(space_digest(members[dies]), digests[dies]);
        space_destroy(members[dies]);
        members[dies] = NULL;
        left--;
        assert_audit();
    }
    assert_all_gone(free_bytes);
}

static void test_every_order_of_death(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    for (unsigned order = 0; order < 4 * 3 * 2; order++)
        end_in_order(order, free_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_share_the_zero_page),
        cmocka_unit_test(test_populated_memory_takes_no_faults),
        cmocka_unit_test(test_fill_makes_pages_but_no_entries),
        cmocka_unit_test(test_what_is_not_there_or_not_allowed),
        cmocka_unit_test(test_commitments_are_kept),
        cmocka_unit_test(test_memory_that_is_not_promised_can_run_out),
        cmocka_unit_test(test_unmapping_gives_promises_back),
        cmocka_unit_test(test_pages_unmapped_one_by_one_take_their_leaf_along),
        cmocka_unit_test(test_fork_costs_tables_not_pages),
        cmocka_unit_test(test_the_last_owner_writes_without_copying),
        cmocka_unit_test(test_both_sides_of_a_fork_are_private),
        cmocka_unit_test(test_a_copy_is_whole),
        cmocka_unit_test(test_fork_flushes_what_it_protects),
        cmocka_unit_test(test_discarding_parts_of_shared_leaves),
        cmocka_unit_test(test_pieces_of_an_object_follow_its_leaf),
        cmocka_unit_test(test_every_order_of_death),
    };
    return cmocka_run_group_tests_name("anonymous", tests, start, NULL);
}
