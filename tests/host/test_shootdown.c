/* What one CPU changes in page tables no other CPU goes on using, and none is asked that does not know
 * the space. The simulated TLBs keep what they have until they are told otherwise. */
#include "mm_testing.h"

#include <string.h>

#include "core/barrier.h"
#include "core/lock.h"
#include "core/mm/tlb.h"
#include "machine_access.h"

#define CPUS 4
#define BASE (GIB)
#define ROUNDS 500
#define HANG_SECONDS 30

/* --- what other CPUs do, one after the other ----------------------------------------------------------------- */

struct order {
    struct space *space;
    uint64_t address;
    uint64_t pages;
    struct sim_translation seen;
};

static void go_in(void *argument)
{
    const struct order *order = argument;
    for (uint64_t i = 0; i < order->pages; i++)
        (void)read_value(order->space, order->address + i * PAGE_SIZE);
}

static void leave(void *argument)
{
    (void)argument;
    space_load(NULL);
}

static void look(void *argument)
{
    struct order *order = argument;
    order->seen = sim_look_up_tlb(order->address);
}

/* That CPU loads the space and reads the pages; then it has nothing to do, but stays in the space. */
static void send_in(unsigned cpu, struct space *space, uint64_t address, uint64_t pages)
{
    struct order order = {.space = space, .address = address, .pages = pages};
    machine_cpu_run(cpu, go_in, &order);
}

static void call_out(unsigned cpu)
{
    machine_cpu_run(cpu, leave, NULL);
}

static void call_all_out(void)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        call_out(cpu);
}

/* What the CPU's TLB has for an address. */
static struct sim_translation cached_by(unsigned cpu, uint64_t address)
{
    struct order order = {.address = address};
    machine_cpu_run(cpu, look, &order);
    return order.seen;
}

/* --- counting ------------------------------------------------------------------------------------------------ */

static struct {
    uint64_t shootdowns, ipis, pages, full;
} before;

static void count_from_here(void)
{
    before.shootdowns = counter_read(COUNTER_TLB_SHOOTDOWN);
    before.ipis = counter_read(COUNTER_TLB_IPI);
    before.pages = counter_read(COUNTER_TLB_PAGE);
    before.full = counter_read(COUNTER_TLB_FULL);
}

static void assert_asked(uint64_t shootdowns, uint64_t ipis)
{
    assert_int_equal(counter_read(COUNTER_TLB_SHOOTDOWN) - before.shootdowns, shootdowns);
    assert_int_equal(counter_read(COUNTER_TLB_IPI) - before.ipis, ipis);
}

static void assert_flushed(uint64_t pages, uint64_t full)
{
    assert_int_equal(counter_read(COUNTER_TLB_PAGE) - before.pages, pages);
    assert_int_equal(counter_read(COUNTER_TLB_FULL) - before.full, full);
}

/* A space with so many pages of data, loaded by nobody. */
static struct space *space_with(uint64_t pages)
{
    struct space *space = new_space();
    map(space, map_at(BASE, pages, PROT_READ | PROT_WRITE));
    write_pages(space, BASE, pages, 1);
    space_load(NULL);
    return space;
}

/* --- who is asked -------------------------------------------------------------------------------------------- */

static void test_all_that_have_the_space_loaded_are_asked(void **state)
{
    (void)state;
    struct space *space = space_with(8);
    for (unsigned inside = 0; inside < CPUS; inside++) {
        uint64_t address = BASE + inside * PAGE_SIZE;
        for (unsigned cpu = 1; cpu <= inside; cpu++)
            send_in(cpu, space, address, 1);
        count_from_here();
        unmap(space, address, 1);
        assert_asked(inside != 0, inside);
        assert_flushed(inside, 0);
        for (unsigned cpu = 1; cpu <= inside; cpu++)
            assert_false(cached_by(cpu, address).present);
        call_all_out();
        map(space, map_at(address, 1, PROT_READ));
    }
    space_destroy(space);
    assert_audit();
}

/* W17: whose CPUs are asked does not depend on what the asking one runs. */
static void test_the_owner_decides_who_is_asked(void **state)
{
    (void)state;
    struct space *space = space_with(1);
    struct space *other = space_with(1);
    send_in(1, space, BASE, 1);
    send_in(2, other, BASE, 1);
    send_in(3, space, BASE, 1);
    (void)read_value(other, BASE); /* this CPU is in the other one */
    count_from_here();
    unmap(space, BASE, 1);
    assert_asked(1, 2);
    assert_false(cached_by(1, BASE).present);
    assert_false(cached_by(3, BASE).present);
    assert_true(cached_by(2, BASE).present);
    assert_true(sim_look_up_tlb(BASE).present);
    call_all_out();
    space_destroy(space);
    space_destroy(other);
}

static void test_who_has_left_is_not_asked(void **state)
{
    (void)state;
    struct space *space = space_with(2);
    struct space *other = space_with(1);
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        send_in(cpu, space, BASE, 2);
    call_out(1);
    send_in(2, other, BASE, 1);
    count_from_here();
    unmap(space, BASE, 1);
    assert_asked(1, 1); /* CPU 3 */
    call_out(3);
    unmap(space, BASE + PAGE_SIZE, 1);
    assert_asked(1, 1);
    call_all_out();
    space_destroy(space);
    space_destroy(other);
}

static void test_pages_up_to_a_threshold_then_everything(void **state)
{
    (void)state;
    struct space *space = space_with(100);
    send_in(1, space, BASE, 100);
    send_in(2, space, BASE, 100);
    count_from_here();
    unmap(space, BASE, TLB_GATHER_MAX);
    assert_asked(1, 2);
    assert_flushed(2 * TLB_GATHER_MAX, 0);
    assert_true(cached_by(1, BASE + 99 * PAGE_SIZE).present);
    unmap(space, BASE + TLB_GATHER_MAX * PAGE_SIZE, TLB_GATHER_MAX + 1);
    assert_asked(2, 4);
    assert_flushed(2 * TLB_GATHER_MAX, 2);
    assert_false(cached_by(1, BASE + 99 * PAGE_SIZE).present);
    call_all_out();
    space_destroy(space);
}

static void test_nobody_is_asked_for_what_no_cpu_can_know(void **state)
{
    (void)state;
    struct space *space = space_with(4);
    send_in(1, space, BASE, 4);
    count_from_here();
    map(space, map_at(BASE + GIB, 100, PROT_READ | PROT_WRITE)); /* not present to present */
    write_value(space, BASE + GIB, 1);
    protect(space, BASE + GIB + 50 * PAGE_SIZE, 50, PROT_READ); /* not present */
    unmap(space, BASE + GIB + 10 * PAGE_SIZE, 20);
    map(space, map_at(BASE + 2 * GIB, 100, PROT_NONE)); /* no rights */
    unmap(space, BASE + 2 * GIB, 100);
    protect(space, BASE, 4, PROT_READ | PROT_WRITE); /* has them */
    assert_asked(0, 0);
    call_all_out();
    space_destroy(space_with(100)); /* teardown */
    space_destroy(space);
    assert_asked(0, 0);
    assert_flushed(0, 0);
}

/* --- what else must be the same for all --------------------------------------------------------------------- */

static void test_rights_are_taken_from_all(void **state)
{
    (void)state;
    struct space *space = space_with(3);
    send_in(1, space, BASE, 3);
    protect(space, BASE, 1, PROT_READ);
    assert_false(cached_by(1, BASE).writable);
    space_destroy(forked(space));
    assert_false(cached_by(1, BASE + 2 * PAGE_SIZE).writable);
    call_all_out();
    space_destroy(space);
}

/* What a write puts in the place of a page that others can read; and what it only makes writable. */
static void test_a_replaced_page_is_replaced_for_all(void **state)
{
    (void)state;
    struct space *space = space_with(1);
    struct space *child = forked(space);
    send_in(1, space, BASE, 1);
    count_from_here();
    write_value(space, BASE, 2); /* copies */
    assert_asked(1, 1);
    assert_false(cached_by(1, BASE).present);
    send_in(1, space, BASE, 1);
    write_value(child, BASE, 3); /* the last owner, of another space */
    assert_asked(1, 1);

    map(space, map_at(BASE + GIB, 1, PROT_READ | PROT_WRITE));
    send_in(1, space, BASE + GIB, 1); /* the page of zeroes */
    write_value(space, BASE + GIB, 4);
    assert_asked(2, 2);
    assert_false(cached_by(1, BASE + GIB).present);

    space_destroy(forked(space));
    send_in(1, space, BASE, 1);
    count_from_here();
    write_value(space, BASE, 5); /* is its only owner again */
    assert_asked(0, 0);
    assert_true(cached_by(1, BASE).present);
    call_all_out();
    space_destroy(child);
    space_destroy(space);
    assert_audit();
}

static void test_an_exec_takes_all_to_the_new_tables(void **state)
{
    (void)state;
    struct space *space = space_with(1);
    struct image image = {.text.size_bytes = 4 * PAGE_SIZE,
                          .data.size_bytes = 4 * PAGE_SIZE,
                          .stack.size_bytes = 4 * PAGE_SIZE};
    send_in(1, space, BASE, 1);
    send_in(2, space, BASE, 1);
    assert_int_equal(space_exec(space, &image), OK);
    assert_false(cached_by(1, BASE).present);
    for (unsigned cpu = 1; cpu <= 2; cpu++) {
        send_in(cpu, space, image.data.base, 4); /* is in already, and loads nothing */
        struct sim_translation seen = cached_by(cpu, image.data.base);
        (void)read_value(space, image.data.base);
        assert_int_equal(seen.frame.value, sim_look_up_tlb(image.data.base).frame.value);
    }
    call_all_out();
    space_destroy(space);
    assert_audit();
}

static void leave_a_stale_translation(void *argument)
{
    machine_start_cpus(*(unsigned *)argument);
    mm_debug_stale_translation();
}

/* The check of check level 2 finds what this file looks for. */
static void test_a_stale_translation_is_a_panic(void **state)
{
    (void)state;
    char said[16384];
    unsigned one = 1;
    assert_int_equal(sim_in_child(leave_a_stale_translation, &one, said, sizeof(said)), 2);
    assert_non_null(strstr(said, "CPU 0 still translates 0x200000, which was unmapped from space"));
    unsigned two = 2;
    if (!child_has_threads())
        return;
    assert_int_equal(sim_in_child(leave_a_stale_translation, &two, said, sizeof(said)), 2);
    assert_non_null(strstr(said, "PANIC on CPU 1: CPU 1 still translates 0x200000"));
}

static void destroy_what_is_loaded(void *argument)
{
    struct space *space = argument;
    cpu_set_add(&space->cpus, 1);
    space_destroy(space);
}

static void test_a_space_that_is_loaded_elsewhere_cannot_be_destroyed(void **state)
{
    (void)state;
    char said[16384];
    struct space *space = space_with(1);
    assert_int_equal(sim_in_child(destroy_what_is_loaded, space, said, sizeof(said)), 2);
    assert_non_null(strstr(said, "while CPU 1 has it loaded"));
    space_destroy(space);
}

/* --- all at once ----------------------------------------------------------------------------------------------- */

static struct space *shared;
static struct barrier barrier;
static struct lock lock;

static uint32_t have_asked;
static _Thread_local uint32_t wait_for_askers; /* 0: not now */

/* Between asking and waiting for the answers: until all have asked. */
static void let_requests_cross(void)
{
    uint32_t askers = wait_for_askers;
    wait_for_askers = 0;
    if (askers == 0)
        return;
    (void)__atomic_fetch_add(&have_asked, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&have_asked, __ATOMIC_ACQUIRE) < askers)
        machine_pause();
}

static void ask_all_others(void *argument)
{
    (void)argument;
    space_load(shared);
    ASSERT(barrier_wait(&barrier));
    uint64_t flags = machine_irq_disable();
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        struct tlb_gather gather;
        tlb_gather_init(&gather);
        tlb_gather_page(&gather, BASE + machine_cpu()->index * PAGE_SIZE);
        wait_for_askers = i * CPUS;
        tlb_gather_flush(&gather, shared);
        ASSERT(barrier_wait(&barrier));
    }
    machine_irq_restore(flags);
    space_load(NULL);
}

/* Everybody wants something of everybody else, and nobody takes interrupts. */
static void test_requests_that_cross_end(void **state)
{
    (void)state;
    shared = space_with(1);
    barrier_init(&barrier, CPUS);
    count_from_here();
    have_asked = 0;
    sim_before_flush = let_requests_cross;
    machine_watchdog(HANG_SECONDS);
    sim_run_on_all(ask_all_others, NULL);
    machine_watchdog(0);
    sim_before_flush = NULL;
    assert_asked(CPUS * ROUNDS, CPUS * ROUNDS * (CPUS - 1));
    assert_flushed(CPUS * ROUNDS * CPUS, 0);
    space_destroy(shared);
}

/* W18: the one that is asked wants a lock that the asking one holds, and takes no interrupts. */
static void ask_under_a_lock(void *argument)
{
    (void)argument;
    space_load(shared);
    ASSERT(barrier_wait(&barrier));
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t flags = machine_irq_disable();
        struct tlb_gather gather;
        tlb_gather_init(&gather);
        tlb_gather_all(&gather);
        lock_acquire(&lock);
        tlb_gather_flush(&gather, shared);
        lock_release(&lock);
        machine_irq_restore(flags);
    }
    ASSERT(barrier_wait(&barrier));
    space_load(NULL);
}

static void test_asking_under_a_lock_that_others_want_ends(void **state)
{
    (void)state;
    shared = space_with(1);
    lock_init(&lock, RANK_OBJECT, "tested");
    barrier_init(&barrier, CPUS);
    count_from_here();
    machine_watchdog(HANG_SECONDS);
    sim_run_on_all(ask_under_a_lock, NULL);
    machine_watchdog(0);
    assert_asked(CPUS * ROUNDS, CPUS * ROUNDS * (CPUS - 1));
    space_destroy(shared);
}

static uint32_t is_present; /* what the entry says, in words */
static uint32_t stale;
static uint32_t finished;

/* Goes in and out, and looks whether its TLB shows what the tables do not. */
static void come_and_go(void *argument)
{
    struct space *space = argument;
    while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE)) {
        space_load(space);
        /* As the hardware does by itself; no fault. */
        (void)sim_translate(BASE, SIM_READ, true);
        machine_pause();
        if (!__atomic_load_n(&is_present, __ATOMIC_ACQUIRE) && sim_look_up_tlb(BASE).present)
            (void)__atomic_fetch_add(&stale, 1, __ATOMIC_RELAXED);
        space_load(NULL);
    }
}

static void test_nobody_comes_in_unseen(void **state)
{
    (void)state;
    struct space *space = space_with(1);
    struct table_place place = {0};
    assert_true(page_directory_find(&space->directory, BASE, &place));
    entry_t entry = *place.entry;
    finished = stale = 0;
    is_present = 1;
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        machine_cpu_start(cpu, come_and_go, space);
    for (unsigned i = 0; i < ROUNDS * 4; i++) {
        struct tlb_gather gather;
        __atomic_store_n(&is_present, 1, __ATOMIC_RELEASE);
        __atomic_store_n(place.entry, entry, __ATOMIC_RELEASE);
        machine_pause();
        __atomic_store_n(place.entry, 0, __ATOMIC_RELEASE);
        tlb_gather_init(&gather);
        tlb_gather_page(&gather, BASE);
        tlb_gather_flush(&gather, space);
        __atomic_store_n(&is_present, 0, __ATOMIC_RELEASE);
        machine_pause();
    }
    __atomic_store_n(&finished, 1, __ATOMIC_RELEASE);
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        machine_cpu_finish(cpu);
    assert_int_equal(stale, 0);
    *place.entry = entry;
    space_destroy(space);
    assert_audit();
}

static int start(void **state)
{
    (void)state;
    static const struct sim_config config = {.memory_bytes = 128 * MIB, .cpu_count = CPUS};
    start_mm(&config);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_have_the_space_loaded_are_asked),
        cmocka_unit_test(test_the_owner_decides_who_is_asked),
        cmocka_unit_test(test_who_has_left_is_not_asked),
        cmocka_unit_test(test_pages_up_to_a_threshold_then_everything),
        cmocka_unit_test(test_nobody_is_asked_for_what_no_cpu_can_know),
        cmocka_unit_test(test_rights_are_taken_from_all),
        cmocka_unit_test(test_a_replaced_page_is_replaced_for_all),
        cmocka_unit_test(test_an_exec_takes_all_to_the_new_tables),
        cmocka_unit_test(test_a_stale_translation_is_a_panic),
        cmocka_unit_test(test_a_space_that_is_loaded_elsewhere_cannot_be_destroyed),
        cmocka_unit_test(test_requests_that_cross_end),
        cmocka_unit_test(test_asking_under_a_lock_that_others_want_ends),
        cmocka_unit_test(test_nobody_comes_in_unseen),
    };
    return cmocka_run_group_tests_name("shootdown", tests, start, NULL);
}
