/* Waiting and waking, requests, work for other CPUs, barriers. */
#include "cpus_testing.h"

#include "core/barrier.h"
#include "core/wait.h"

#define ROUNDS 3000

/* --- waiting -------------------------------------------------------------------------------------------- */

static struct {
    uint32_t turn; /* whose: the CPU's index */
    uint32_t rounds;
    void (*wait)(const void *address, bool (*is_over)(void *context), void *context);
} ball;

static bool have_ball(void *context)
{
    (void)context;
    return load(&ball.turn) == machine_cpu()->index;
}

/* One CPU after the other; a wake-up that is lost ends it for ever. */
static void play(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        ball.wait(&ball, have_ball, NULL);
        ball.rounds++;
        __atomic_store_n(&ball.turn, (machine_cpu()->index + 1) % CPUS, __ATOMIC_RELEASE);
        wait_wake(&ball);
    }
}

static void test_no_wake_up_is_lost(void **state)
{
    (void)state;
    ball.wait = wait_halted;
    for (int way = 0; way < 2; way++, ball.wait = wait_until) {
        ball.turn = ball.rounds = 0;
        sim_run_on_all(play, NULL);
        assert_int_equal(ball.rounds, CPUS * ROUNDS);
    }
}

static uint32_t flag;

static bool is_set(void *context)
{
    return load(context) != 0;
}

static void wait_for_flag(void *argument)
{
    wait_until(argument, is_set, argument);
}

static void test_others_are_not_woken(void **state)
{
    (void)state;
    flag = 0;
    machine_cpu_start(1, wait_for_flag, &flag);
    assert_ptr_equal(await_halt(1), &flag);
    uint64_t halts = sim_halts(1);
    wait_wake(&halts);
    for (int i = 0; i < 1000; i++)
        machine_pause(); /* it neither wakes nor spins */
    assert_int_equal(sim_halts(1), halts);
    __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
    wait_wake(&flag);
    machine_cpu_finish(1);
    assert_null(cpus[1].waits_for);
}

/* --- requests --------------------------------------------------------------------------------------------- */

static uint32_t answers[CPUS];

static void answer(void)
{
    ASSERT(!sim_interrupts);
    (void)__atomic_fetch_add(&answers[machine_cpu()->index], 1, __ATOMIC_ACQ_REL);
}

static void be_busy(void *argument)
{
    while (!is_set(argument))
        machine_pause();
}

static void request_and_wait(unsigned cpu)
{
    uint32_t before = load(&answers[cpu]);
    machine_request(cpu);
    while (load(&answers[cpu]) == before)
        machine_pause();
}

static void test_every_cpu_answers_requests(void **state)
{
    (void)state;
    machine_request_handler = answer;
    flag = 0;
    machine_cpu_start(1, wait_for_flag, &flag);
    machine_cpu_start(2, be_busy, &flag);
    for (int i = 0; i < 100; i++) {
        for (unsigned cpu = 1; cpu < CPUS; cpu++) /* the last one is idle */
            request_and_wait(cpu);
    }
    request_and_wait(0);
    __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
    wait_wake(&flag);
    machine_cpu_finish(1);
    machine_cpu_finish(2);
}

static void test_no_request_while_interrupts_are_off(void **state)
{
    (void)state;
    uint64_t flags = machine_irq_disable();
    uint32_t before = answers[0];
    machine_request(0);
    machine_pause();
    assert_int_equal(answers[0], before);
    machine_irq_restore(flags);
    assert_int_equal(answers[0], before + 1);
}

/* --- work -------------------------------------------------------------------------------------------------- */

static uint32_t done;

static void work_a_little(void *argument)
{
    ASSERT(machine_cpu()->index == *(const unsigned *)argument);
    (void)__atomic_fetch_add(&done, 1, __ATOMIC_ACQ_REL);
}

static void give_work(void *argument)
{
    (void)argument;
    unsigned target = 2;
    for (int i = 0; i < 500; i++)
        machine_cpu_run(target, work_a_little, &target);
}

static void test_two_give_work_to_a_third(void **state)
{
    (void)state;
    done = 0;
    machine_cpu_start(1, give_work, NULL);
    give_work(NULL);
    machine_cpu_finish(1);
    assert_int_equal(done, 1000);
}

static void meet_once(void *argument)
{
    ASSERT(barrier_wait(argument));
}

static void test_work_is_done_at_the_same_time(void **state)
{
    (void)state;
    static struct barrier meeting;
    for (int round = 0; round < 100; round++) {
        barrier_init(&meeting, CPUS);
        for (unsigned cpu = 1; cpu < CPUS; cpu++)
            machine_cpu_start(cpu, meet_once, &meeting);
        assert_true(barrier_wait(&meeting));
        for (unsigned cpu = CPUS; cpu-- > 0;)
            machine_cpu_finish(cpu);
    }
}

/* --- barriers ---------------------------------------------------------------------------------------------- */

static struct barrier barrier;
static uint64_t rounds_of[CPUS]; /* not atomic: the barrier orders them */
static uint32_t refusals;

static void meet(void *argument)
{
    (void)argument;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        rounds_of[machine_cpu()->index] = round;
        ASSERT(barrier_wait(&barrier));
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            ASSERT(rounds_of[cpu] == round);
        ASSERT(barrier_wait(&barrier));
    }
}

static void test_nobody_passes_before_all_have_come(void **state)
{
    (void)state;
    barrier_init(&barrier, CPUS);
    sim_run_on_all(meet, NULL);
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        assert_int_equal(rounds_of[cpu], ROUNDS);
}

static void be_refused(void *argument)
{
    (void)argument;
    if (!barrier_wait(&barrier) && !barrier_wait(&barrier))
        (void)__atomic_fetch_add(&refusals, 1, __ATOMIC_ACQ_REL);
}

static void test_a_broken_barrier_holds_nobody(void **state)
{
    (void)state;
    barrier_init(&barrier, CPUS);
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        machine_cpu_start(cpu, be_refused, NULL);
    assert_ptr_equal(await_halt(1), &barrier);
    barrier_break(&barrier);
    assert_false(barrier_wait(&barrier));
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        machine_cpu_finish(cpu);
    assert_int_equal(refusals, CPUS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_wake_up_is_lost),
        cmocka_unit_test(test_others_are_not_woken),
        cmocka_unit_test(test_every_cpu_answers_requests),
        cmocka_unit_test(test_no_request_while_interrupts_are_off),
        cmocka_unit_test(test_two_give_work_to_a_third),
        cmocka_unit_test(test_work_is_done_at_the_same_time),
        cmocka_unit_test(test_nobody_passes_before_all_have_come),
        cmocka_unit_test(test_a_broken_barrier_holds_nobody),
    };
    return RUN_ON_CPUS("wait", tests);
}
