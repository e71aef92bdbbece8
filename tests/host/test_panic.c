/* Locks, log lines, counters, panics: what the core does when it, or a CPU beside it, goes wrong. */
#include "cpus_testing.h"

#include <stdio.h>
#include <string.h>

#include "core/counters.h"
#include "core/lock.h"
#include "core/log.h"

static char said[1 << 20];

static int run(void (*function)(void *argument), void *argument)
{
    return sim_in_child(function, argument, said, sizeof(said));
}

static struct lock locks[2];

static void make_locks(enum lock_rank first, enum lock_rank second)
{
    lock_init(&locks[0], first, "first");
    lock_init(&locks[1], second, "second");
}

/* --- locks -------------------------------------------------------------------------------------------- */

struct order {
    unsigned level;
    enum lock_rank first, second;
    int outer, inner; /* which of the two is taken first */
};

static void take_two(void *argument)
{
    const struct order *order = argument;
    check_level = order->level;
    make_locks(order->first, order->second);
    lock_acquire(&locks[order->outer]);
    lock_acquire(&locks[order->inner]);
    ASSERT(lock_is_mine(&locks[0]) && lock_is_mine(&locks[1]));
    lock_release(&locks[order->outer]); /* in any order */
    lock_release(&locks[order->inner]);
    ASSERT(!lock_is_mine(&locks[0]) && machine_cpu()->held_count == 0);
}

static void test_ranks_must_rise(void **state)
{
    (void)state;
    struct order good = {1, RANK_SPACE, RANK_OBJECT, 0, 1};
    struct order bad = {1, RANK_SPACE, RANK_OBJECT, 1, 0};
    struct order same = {1, RANK_OBJECT, RANK_OBJECT, 0, 1}; /* addresses rise */
    struct order same_bad = {1, RANK_OBJECT, RANK_OBJECT, 1, 0};
    struct order unchecked = {0, RANK_SPACE, RANK_OBJECT, 1, 0};

    assert_int_equal(run(take_two, &good), 0);
    assert_int_equal(run(take_two, &same), 0);
    assert_int_equal(run(take_two, &unchecked), 0);
    assert_int_equal(run(take_two, &same_bad), 2);
    assert_int_equal(run(take_two, &bad), 2);
    /* Both locks, both places. */
    assert_non_null(strstr(said, "lock order: 'first' (rank space) wanted at 0x"));
    assert_non_null(strstr(said, "while 'second' (rank object) is held since 0x"));
    assert_non_null(strstr(said, "CPU 0: lock held: 'second', taken at 0x"));
}

static void take_twice(void *argument)
{
    (void)argument;
    make_locks(RANK_SPACE, RANK_SPACE);
    lock_acquire(&locks[0]);
    lock_acquire(&locks[0]);
}

static void release_what_is_free(void *argument)
{
    (void)argument;
    check_level = 1;
    make_locks(RANK_SPACE, RANK_SPACE);
    lock_release(&locks[0]);
}

static void test_misuse_of_a_lock_panics(void **state)
{
    (void)state;
    assert_int_equal(run(take_twice, NULL), 2);
    assert_non_null(strstr(said, "lock 'first' is taken twice"));
    assert_int_equal(run(release_what_is_free, NULL), 2);
    assert_non_null(strstr(said, "lock 'first' is released by a CPU that does not hold it"));
}

/* --- counters ------------------------------------------------------------------------------------------ */

static void count_a_fault(void *argument)
{
    (void)argument;
    machine_cpu()->counters[COUNTER_FAULT_ANON]++;
}

static void test_counters_are_summed_over_cpus(void **state)
{
    (void)state;
    uint64_t before = counter_read(COUNTER_FAULT_ANON);
    sim_run_on_all(count_a_fault, NULL);
    assert_int_equal(counter_read(COUNTER_FAULT_ANON), before + CPUS);
    assert_string_equal(counter_name(COUNTER_FAULT_ANON), "fault.anon");
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        assert_non_null(counter_name((enum counter)i));
}

/* --- log lines -------------------------------------------------------------------------------------------- */

#define LINES 300

static void talk(void *argument)
{
    (void)argument;
    for (int i = 0; i < LINES; i++) {
        if (i % 50 == 0) {
            log_block_begin();
            for (int k = 0; k < 5; k++)
                log_line("block %u %d", machine_cpu()->index, k);
            log_block_end();
        }
        log_line("line %u %d", machine_cpu()->index, i);
    }
}

static void test_lines_of_several_cpus_do_not_mix(void **state)
{
    (void)state;
    int next[CPUS] = {0};
    int in_block = -1;
    sim_console_collect(said, sizeof(said));
    sim_run_on_all(talk, NULL);
    char *rest = (char *)(uintptr_t)sim_console_text();
    sim_console_collect(NULL, 0);

    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        unsigned cpu;
        int number, end = 0;
        if (sscanf(line, "block %u %d%n", &cpu, &number, &end) == 2) {
            assert_int_equal(number, in_block + 1); /* nothing in between */
            in_block = number == 4 ? -1 : number;
        } else if (*line != '\0') {
            assert_int_equal(sscanf(line, "line %u %d%n", &cpu, &number, &end), 2);
            assert_int_equal(in_block, -1);
            assert_in_range(cpu, 0, CPUS - 1);
            assert_int_equal(number, next[cpu]++);
        }
        assert_int_equal(line[end], '\0');
    }
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        assert_int_equal(next[cpu], LINES);
}

static void say_something(void *argument)
{
    (void)argument;
    char many[2000];
    memset(many, 'x', sizeof(many));
    many[sizeof(many) - 1] = '\0';
    log_debug("not %s", "shown");
    log_info("shown %d", 1);
    log_set_level(LOG_ERROR);
    log_info("not shown");
    log_error("an error");
    log_line("verbatim");
    log_line("%s", many);
    log_bytes(many, 1500);
}

static void test_levels_stamps_and_lengths(void **state)
{
    (void)state;
    unsigned seconds, micros;
    char rest[40];
    assert_int_equal(run(say_something, NULL), 0);
    assert_int_equal(said[0], '\n'); /* firmware has left a line open */
    assert_int_equal(sscanf(said + 1, "[%u.%6u] %39[^\n]", &seconds, &micros, rest), 3);
    assert_string_equal(rest, "shown 1");
    assert_null(strstr(said, "not"));
    assert_non_null(strstr(said, "] an error\nverbatim\nxxx"));
    const char *cut = strstr(said, "xxx");
    assert_int_equal(strspn(cut, "x"), 1000);
    assert_int_equal(strspn(cut + 1001, "x"), 1500);
}

/* --- panics ---------------------------------------------------------------------------------------------- */

static void describe(void)
{
    log_panic_line("scenario fork-cow, line 12");
}

static void finish(void)
{
    log_line("@pagelab done");
}

static void describe_badly(void)
{
    panic("another");
}

static void panic_with(void *argument)
{
    panic_describe_scenario = *(void (**)(void))argument;
    panic_finish_report = finish;
    panic("value %d is wrong", 7);
}

static void test_panic_says_what_and_where_and_ends_the_run(void **state)
{
    (void)state;
    void (*hook)(void) = describe;
    assert_int_equal(run(panic_with, &hook), 2);
    const char *parts[] = {"PANIC on CPU 0: value 7 is wrong\n",
                           "test_panic.c:", "scenario fork-cow", "locks held", "@pagelab done\n"};
    const char *at = said;
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        at = strstr(at, parts[i]);
        assert_non_null(at);
    }
    assert_string_equal(at, "@pagelab done\n");
}

static void test_panic_within_a_panic_ends_at_once(void **state)
{
    (void)state;
    void (*hook)(void) = describe_badly;
    assert_int_equal(run(panic_with, &hook), 2);
    assert_non_null(strstr(said, "panic within a panic: another\n"));
    assert_null(strstr(said, "@pagelab done"));
}

static void fail_assertions(void *argument)
{
    check_level = *(unsigned *)argument;
    DEBUG_ASSERT(check_level == 7);
    if (check_level == 0)
        ASSERT(check_level == 9);
}

static void test_assertions(void **state)
{
    (void)state;
    unsigned level = 0;
    assert_int_equal(run(fail_assertions, &level), 2);
    assert_non_null(strstr(said, "assertion failed: check_level == 9"));
    level = 1;
    assert_int_equal(run(fail_assertions, &level), 2);
    assert_non_null(strstr(said, "assertion failed: check_level == 7"));
}

static void be_late(void *argument)
{
    (void)argument;
    machine_watchdog(1);
    for (;;)
        machine_pause();
}

static void test_watchdog(void **state)
{
    (void)state;
    assert_int_equal(run(be_late, NULL), 2);
    assert_non_null(strstr(said, "hung"));
}

/* --- CPUs that do not answer -------------------------------------------------------------------------- */

static void keep_lock(void *argument)
{
    (void)argument;
    lock_acquire(&locks[0]);
    (void)machine_irq_disable();
    for (;;)
        machine_pause();
}

static void want_lock(void *argument)
{
    (void)argument;
    lock_acquire(&locks[1]);
    lock_acquire(&locks[0]);
}

static void want_what_is_kept(void *argument)
{
    (void)argument;
    check_level = 1;
    make_locks(RANK_OBJECT, RANK_SPACE);
    machine_start_cpus(CPUS);
    machine_cpu_start(1, keep_lock, NULL);
    while (!lock_is_held(&locks[0]))
        machine_pause();
    machine_cpu_start(2, want_lock, NULL);
    (void)await_halt(2);
    machine_watchdog(1);
    machine_cpu_finish(2);
}

static void test_the_cpu_that_does_not_answer_is_named(void **state)
{
    (void)state;
    if (!child_has_threads())
        return;
    assert_int_equal(run(want_what_is_kept, NULL), 2);
    assert_non_null(strstr(said, "PANIC on CPU 0: hung: no sign of life for 1 s, CPU 1 does not"));
    assert_non_null(strstr(said, "CPU 0 waits for CPU 2 to do its work"));
    assert_non_null(strstr(said, "CPU 2 waits for lock 'first', wanted at 0x"));
    assert_non_null(strstr(said, ", held by CPU 1\n"));
    assert_non_null(strstr(said, "CPU 2: lock held: 'second', taken at 0x"));
    assert_non_null(strstr(said, "CPU 1: lock held: 'first', taken at 0x"));
    assert_null(strstr(said, "CPU 3")); /* is idle */
}

static void lock_the_other_way_round(void *argument)
{
    (void)argument;
    lock_acquire(&locks[0]);
    lock_acquire(&locks[1]);
}

static void wait_for_each_other(void *argument)
{
    (void)argument;
    make_locks(RANK_SPACE, RANK_OBJECT);
    machine_start_cpus(CPUS);
    lock_acquire(&locks[1]);
    machine_cpu_start(1, lock_the_other_way_round, NULL);
    (void)await_halt(1);
    machine_watchdog(1);
    lock_acquire(&locks[0]);
}

static void test_cpus_that_wait_for_each_other(void **state)
{
    (void)state;
    if (!child_has_threads())
        return;
    assert_int_equal(run(wait_for_each_other, NULL), 2);
    assert_non_null(strstr(said, "hung: no sign of life for 1 s\n")); /* nobody is to blame */
    assert_non_null(strstr(said, "CPU 0 waits for lock 'first', wanted at 0x"));
    assert_non_null(strstr(said, "CPU 1 waits for lock 'second', wanted at 0x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_stamps_and_lengths),
        cmocka_unit_test(test_ranks_must_rise),
        cmocka_unit_test(test_misuse_of_a_lock_panics),
        cmocka_unit_test(test_counters_are_summed_over_cpus),
        cmocka_unit_test(test_lines_of_several_cpus_do_not_mix),
        cmocka_unit_test(test_panic_says_what_and_where_and_ends_the_run),
        cmocka_unit_test(test_panic_within_a_panic_ends_at_once),
        cmocka_unit_test(test_assertions),
        cmocka_unit_test(test_watchdog),
        cmocka_unit_test(test_the_cpu_that_does_not_answer_is_named),
        cmocka_unit_test(test_cpus_that_wait_for_each_other),
    };
    return RUN_ON_CPUS("panic", tests);
}
