/* Locks under contention: they exclude, are fair, wake one CPU at a time, and whoever waits for one
 * still answers requests. What misuse of them leads to is in test_panic.c. */
#include "cpus_testing.h"

#include "core/lock.h"

#define ROUNDS 5000

static struct lock lock;
static uint64_t guarded; /* by it */
static uint32_t order[CPUS];
static uint32_t served;
static uint32_t go_on;
static uint32_t answers[CPUS]; /* requests, by CPU */

static void count_up(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        lock_acquire(&lock);
        guarded++;
        if (i % 100 == 0)
            machine_pause(); /* the others get here meanwhile */
        lock_release(&lock);
    }
}

static void count_up_on_all(void)
{
    guarded = 0;
    sim_run_on_all(count_up, NULL);
    assert_int_equal(guarded, CPUS * ROUNDS);
    assert_false(lock_is_held(&lock));
    assert_int_equal(lock.holder, 0);
}

static void test_lock_excludes(void **state)
{
    (void)state;
    lock_init(&lock, RANK_SPACE, "tested");
    for (check_level = 0; check_level < 2; check_level++)
        count_up_on_all();
    check_level = 0;
}

static void test_turns_overflow(void **state)
{
    (void)state;
    lock_init(&lock, RANK_SPACE, "tested");
    lock.word = 0xfffeu << LOCK_TURN_SHIFT;
    count_up_on_all();
    assert_true(lock.word >> LOCK_TURN_SHIFT == ((0xfffeu + CPUS * ROUNDS) & 0xffff));
}

static void take_and_release(void *argument)
{
    (void)argument;
    lock_acquire(&lock);
    lock_release(&lock);
}

static void test_contention_is_counted(void **state)
{
    (void)state;
    uint64_t contended = counter_read(COUNTER_LOCK_CONTENDED);
    uint64_t waited = counter_read(COUNTER_LOCK_WAITED);
    lock_init(&lock, RANK_SPACE, "tested");
    lock_acquire(&lock);
    lock_release(&lock);
    assert_int_equal(counter_read(COUNTER_LOCK_CONTENDED), contended);
    assert_int_equal(counter_read(COUNTER_LOCK_WAITED), waited);
    lock_acquire(&lock);
    machine_cpu_start(1, take_and_release, NULL);
    (void)await_halt(1);
    lock_release(&lock);
    machine_cpu_finish(1);
    assert_int_equal(counter_read(COUNTER_LOCK_CONTENDED), contended + 1);
    assert_true(counter_read(COUNTER_LOCK_WAITED) > waited);
}

/* --- one after the other ----------------------------------------------------------------------------- */

static void wait_for_turn(void *argument)
{
    (void)argument;
    lock_acquire(&lock);
    uint32_t place = served;
    order[place] = machine_cpu()->index;
    __atomic_store_n(&served, place + 1, __ATOMIC_RELEASE);
    while (load(&go_on) <= place)
        machine_pause();
    lock_release(&lock);
}

static void test_who_came_first_is_served_first_and_alone(void **state)
{
    (void)state;
    uint64_t halts[CPUS];
    lock_init(&lock, RANK_SPACE, "tested");
    served = go_on = 0;
    lock_acquire(&lock);
    for (unsigned cpu = CPUS - 1; cpu > 0; cpu--) {
        machine_cpu_start(cpu, wait_for_turn, NULL);
        (void)await_halt(cpu);
        assert_ptr_equal(cpus[cpu].wanted.lock, &lock);
        halts[cpu] = sim_halts(cpu);
    }
    lock_release(&lock);
    for (uint32_t turn = 0; turn < CPUS - 1; turn++) {
        while (load(&served) == turn)
            machine_pause();
        assert_int_equal(order[turn], CPUS - 1 - turn);
        /* Those whose turn has not come have not even been woken. */
        for (unsigned cpu = 1; cpu < order[turn]; cpu++)
            assert_true(sim_is_halted(cpu) && sim_halts(cpu) == halts[cpu]);
        __atomic_store_n(&go_on, turn + 1, __ATOMIC_RELEASE);
    }
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        machine_cpu_finish(cpu);
    assert_int_equal(served, CPUS - 1);
}

/* --- requests ------------------------------------------------------------------------------------------ */

static void answer(void)
{
    ASSERT(!sim_interrupts);
    (void)__atomic_fetch_add(&answers[machine_cpu()->index], 1, __ATOMIC_ACQ_REL);
}

static void wait_without_interrupts(void *argument)
{
    (void)argument;
    uint64_t flags = machine_irq_disable();
    lock_acquire(&lock);
    ASSERT(!sim_interrupts);
    lock_release(&lock);
    machine_irq_restore(flags);
}

/* The holder wants something of the CPU that waits for it: no deadlock. */
static void test_whoever_waits_answers(void **state)
{
    (void)state;
    machine_request_handler = answer;
    for (int round = 0; round < 200; round++) {
        lock_init(&lock, RANK_SPACE, "tested");
        lock_acquire(&lock);
        machine_cpu_start(1, wait_without_interrupts, NULL);
        while ((load(&lock.word) & LOCK_CPUS) < 2)
            machine_pause();
        if (round % 2 != 0)
            (void)await_halt(1);
        uint32_t before = load(&answers[1]);
        machine_request(1);
        while (load(&answers[1]) == before)
            machine_pause();
        assert_true((load(&lock.word) & LOCK_CPUS) == 2);
        lock_release(&lock);
        machine_cpu_finish(1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock_excludes),
        cmocka_unit_test(test_turns_overflow),
        cmocka_unit_test(test_contention_is_counted),
        cmocka_unit_test(test_who_came_first_is_served_first_and_alone),
        cmocka_unit_test(test_whoever_waits_answers),
    };
    return RUN_ON_CPUS("lock", tests);
}
