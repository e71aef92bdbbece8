/* The report's text: CSV rows and blocks, KTAP, the last line, statuses, what a panic leaves behind. */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "core/check.h"
#include "core/counters.h"
#include "core/machine.h"
#include "core/report/csv.h"
#include "core/report/report.h"
#include "machine_sim.h"

/* The report is one for a process: every test runs its calls in a child and looks at what it said. */
static char said[200000];
static char arena_memory[4 << 20];

static int run(void (*calls)(void *argument), void *argument)
{
    int status = sim_in_child(calls, argument, said, sizeof(said));
    /* The console's first byte is a line end. */
    if (said[0] == '\n')
        memmove(said, said + 1, strlen(said));
    return status;
}

/* --- CSV --------------------------------------------------------------------------------------------- */

static void say_quotes(void *argument)
{
    (void)argument;
    csv_begin("meta", "key,value");
    csv_text(TEXT("plain"));
    csv_text(TEXT("two words"));
    csv_row_end();
    csv_text(TEXT("comma"));
    csv_text(TEXT("a,b"));
    csv_row_end();
    csv_text(TEXT("quote"));
    csv_text(TEXT("say \"hi\""));
    csv_row_end();
    csv_text(TEXT("empty"));
    csv_text(TEXT(""));
    csv_row_end();
    csv_text(TEXT("control"));
    csv_text(TEXT("a\r\nb\x7f\xc3\xa9"));
    csv_row_end();
    csv_end();
}

static void test_csv_quotes_as_rfc_4180_wants(void **state)
{
    (void)state;
    static const char rows[] = "key,value\n"
                               "plain,two words\n"
                               "comma,\"a,b\"\n"
                               "quote,\"say \"\"hi\"\"\"\n"
                               "empty,\n"
                               "control,a  b???\n";
    char expected[1000];
    snprintf(expected, sizeof(expected),
             "@pagelab begin meta block=1\n%s@pagelab end meta block=1 rows=5 crc32=%08lx\n", rows,
             crc32(0, (const unsigned char *)rows, sizeof(rows) - 1));
    assert_int_equal(run(say_quotes, NULL), 0);
    assert_string_equal(said, expected);
}

static void say_numbers(void *argument)
{
    (void)argument;
    static const uint64_t millis[] = {0,    1,    10,   100,   999,       1000,
                                      1010, 1100, 1234, 12000, UINT64_MAX};
    csv_begin("numbers", "a");
    for (size_t i = 0; i < ARRAY_COUNT(millis); i++) {
        csv_milli(millis[i]);
        csv_row_end();
    }
    csv_signed(-5);
    csv_unsigned(UINT64_MAX);
    csv_row_end();
    csv_end();
    csv_begin("next", "a");
    csv_end();
}

static void test_csv_numbers_have_no_trailing_zeros(void **state)
{
    (void)state;
    assert_int_equal(run(say_numbers, NULL), 0);
    assert_non_null(strstr(said, "a\n0\n0.001\n0.01\n0.1\n0.999\n1\n1.01\n1.1\n1.234\n12\n"
                                 "18446744073709551.615\n-5,18446744073709551615\n"));
    assert_non_null(strstr(said, "@pagelab begin next block=2\na\n@pagelab end next block=2 rows=0 "
                                 "crc32="));
}

static void say_long_row(void *argument)
{
    (void)argument;
    static char text[3 * CSV_ROW_MAX];
    memset(text, '"', sizeof(text));
    csv_begin("long", "a,b,c");
    csv_text((struct text){text, sizeof(text)});
    csv_text(TEXT("short"));
    csv_unsigned(7);
    csv_row_end();
    csv_end();
}

static void test_csv_row_that_is_too_long_is_cut_and_stays_csv(void **state)
{
    (void)state;
    assert_int_equal(run(say_long_row, NULL), 0);
    const char *row = strstr(said, "a,b,c\n\"");
    assert_non_null(row);
    row += strlen("a,b,c\n\"");
    size_t quotes = strspn(row, "\"");
    assert_int_equal(quotes % 2, 0); /* each is doubled */
    assert_in_range(quotes, CSV_ROW_MAX / 2, CSV_ROW_MAX);
    assert_memory_equal(row + quotes, "...\",...,7\n@pagelab end", 23);
}

/* --- KTAP -------------------------------------------------------------------------------------------- */

static void combination(const char *params, enum verdict verdict, const char *reason)
{
    report_combination_begin(text_of(params));
    if (verdict == VERDICT_FAIL)
        report_diagnostic("%s\n%s", "a.scn:3:1: it broke", "    fork a b");
    report_combination_end(verdict, reason);
}

static void say_all_verdicts(void *argument)
{
    (void)argument;
    report_run_begin(6);
    report_scenario_begin(TEXT("one"), 1);
    combination("", VERDICT_PASS, NULL);
    report_scenario_end();

    report_scenario_begin(TEXT("sweep"), 3);
    combination("pages=1", VERDICT_PASS, NULL);
    combination("pages=2", VERDICT_FAIL, NULL);
    combination("pages=3", VERDICT_SKIP, "needs memory>=1G");
    report_scenario_end();

    report_scenario_begin(TEXT("slow"), 1);
    combination("", VERDICT_FAIL, "TIMEOUT");
    report_scenario_end();

    report_scenario_begin(TEXT("lonely"), 2);
    combination("a=1", VERDICT_SKIP, "needs cpus>=4");
    combination("a=2", VERDICT_SKIP, "needs cpus>=8");
    report_scenario_end();

    report_diagnostic("broken.scn:1:1: error: unknown command\n");
    report_scenario_refused(TEXT("broken"), VERDICT_FAIL, NULL);
    report_scenario_refused(TEXT("other"), VERDICT_SKIP, NULL);
    machine_end(EXIT_QEMU, report_run_end());
}

static void test_ktap(void **state)
{
    (void)state;
    assert_int_equal(run(say_all_verdicts, NULL), 1);
    assert_string_equal(said, "KTAP version 1\n"
                              "1..6\n"
                              "ok 1 one\n"
                              "  KTAP version 1\n"
                              "  1..3\n"
                              "  ok 1 pages=1\n"
                              "  # a.scn:3:1: it broke\n"
                              "  #     fork a b\n"
                              "  not ok 2 pages=2\n"
                              "  ok 3 pages=3 # SKIP needs memory>=1G\n"
                              "not ok 2 sweep\n"
                              "# a.scn:3:1: it broke\n"
                              "#     fork a b\n"
                              "not ok 3 slow # TIMEOUT\n"
                              "  KTAP version 1\n"
                              "  1..2\n"
                              "  ok 1 a=1 # SKIP needs cpus>=4\n"
                              "  ok 2 a=2 # SKIP needs cpus>=8\n"
                              "ok 4 lonely # SKIP needs cpus>=4\n"
                              "# broken.scn:1:1: error: unknown command\n"
                              "not ok 5 broken\n"
                              "ok 6 other # SKIP\n"
                              "@pagelab done passed=1 failed=3 skipped=2 status=1\n");
}

/* --- statuses ---------------------------------------------------------------------------------------- */

struct run_of {
    bool fails, bad_input, panics;
};

static void say_run_of(void *argument)
{
    const struct run_of *of = argument;
    report_run_begin(1);
    if (of->bad_input)
        report_bad_input();
    report_scenario_begin(TEXT("s"), 1);
    report_combination_begin(TEXT(""));
    report_combination_end(of->fails ? VERDICT_FAIL : VERDICT_PASS, NULL);
    report_scenario_end();
    if (of->panics)
        panic("on purpose");
    machine_end(EXIT_QEMU, report_run_end());
}

static void test_precedence_of_statuses(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct run_of of = {.fails = i & 1, .bad_input = i & 2, .panics = i & 4};
        unsigned expected = of.panics ? 2 : of.bad_input ? 3 : of.fails ? 1 : 0;
        char last[100];
        snprintf(last, sizeof(last), "@pagelab done passed=%d failed=%d skipped=0 status=%u\n",
                 !of.fails, of.fails, expected);
        assert_int_equal(run(say_run_of, &of), expected);
        assert_non_null(strstr(said, last));
        assert_string_equal(strstr(said, last), last); /* nothing comes behind it */
    }
}

/* --- blocks ------------------------------------------------------------------------------------------ */

static void say_blocks(void *argument)
{
    (void)argument;
    struct arena arena;
    struct metric metrics[2];
    uint64_t before[COUNTER_COUNT] = {0}, after[COUNTER_COUNT] = {0};

    arena_init(&arena, arena_memory, sizeof(arena_memory));
    ASSERT(metric_init(&metrics[0], &arena, TEXT("fork.latency"), UNIT_TICK) == OK);
    ASSERT(metric_init(&metrics[1], &arena, TEXT("unused"), UNIT_COUNT) == OK);
    metrics[0].overhead_ticks = 24;
    metric_add(&metrics[0], 10, 4, 0);
    metric_add(&metrics[0], 20, 4, 3);
    before[COUNTER_FAULT_ANON] = 5;
    after[COUNTER_FAULT_ANON] = 12;
    before[COUNTER_COMMIT_USED] = 3;
    after[COUNTER_COMMIT_USED] = 1;

    report_run_begin(1);
    report_meta_begin();
    report_meta("seed", "1");
    report_meta_end();
    report_scenario_begin(TEXT("fork-cow"), 1);
    report_combination_begin(TEXT("pages=4 mode=a"));
    report_timings(metrics, 2, &arena);
    report_samples(metrics, 2);
    report_histogram(metrics, 2);
    report_counters(before, after);
    /* What is empty leaves no block, and no gap in the numbers. */
    report_timings(&metrics[1], 1, &arena);
    report_samples(&metrics[1], 1);
    report_histogram(&metrics[1], 1);
    report_counters(before, before);
    report_timings(metrics, 1, &arena);
    report_combination_end(VERDICT_PASS, NULL);
    report_scenario_end();
    machine_end(EXIT_QEMU, report_run_end());
}

/* Checks every block's row count and CRC against zlib's, and that block numbers have no gaps. Returns
 * the number of blocks. */
static unsigned check_blocks(void)
{
    unsigned count = 0;
    const char *at = said;
    while ((at = strstr(at, "@pagelab begin ")) != NULL) {
        char name[40], end[200];
        unsigned block;
        assert_int_equal(sscanf(at, "@pagelab begin %39s block=%u", name, &block), 2);
        assert_int_equal(block, ++count);
        const char *body = strchr(at, '\n') + 1;
        snprintf(end, sizeof(end), "@pagelab end %s block=%u ", name, block);
        const char *stop = strstr(body, end);
        assert_non_null(stop);

        unsigned rows = 0;
        for (const char *p = body; p < stop; p++)
            rows += *p == '\n';
        char facts[100];
        snprintf(facts, sizeof(facts), "rows=%u crc32=%08lx\n", rows - 1,
                 crc32(0, (const unsigned char *)body, (unsigned)(stop - body)));
        assert_memory_equal(stop + strlen(end), facts, strlen(facts));
        at = stop;
    }
    return count;
}

static void test_blocks(void **state)
{
    (void)state;
    assert_int_equal(run(say_blocks, NULL), 0);
    assert_int_equal(check_blocks(), 6);
    assert_non_null(strstr(said, "@pagelab begin meta block=1\nkey,value\nseed,1\n@pagelab end"));
    assert_non_null(strstr(
        said, "scenario,params,metric,unit,cpus,n,min,p50,p90,p99,p999,max,mean,stddev,overhead,"
              "exact\n"
              "fork-cow,pages=4 mode=a,fork.latency,tick,2,2,2.5,2.5,5,5,5,5,3.75,1.25,24,1\n"
              "@pagelab end timings block=2 rows=1"));
    assert_non_null(strstr(said, "scenario,params,metric,cpu,index,value\n"
                                 "fork-cow,pages=4 mode=a,fork.latency,0,0,2.5\n"
                                 "fork-cow,pages=4 mode=a,fork.latency,3,1,5\n@pagelab end"));
    assert_non_null(strstr(said, "scenario,params,metric,low,high,count\n"
                                 "fork-cow,pages=4 mode=a,fork.latency,2.496,2.528,1\n"
                                 "fork-cow,pages=4 mode=a,fork.latency,4.992,5.056,1\n@pagelab"));
    assert_non_null(strstr(said, "scenario,params,counter,value\n"
                                 "fork-cow,pages=4 mode=a,fault.anon,7\n"
                                 "fork-cow,pages=4 mode=a,commit.used,-2\n@pagelab end"));
}

/* --- panics ------------------------------------------------------------------------------------------ */

enum moment { BEFORE_PLAN, IN_RUN, IN_SCENARIO, IN_COMBINATION, IN_SWEEP, IN_BLOCK, AFTER_END };

static void panic_at_moment(void *argument)
{
    enum moment moment = *(enum moment *)argument;
    report_init();
    if (moment == BEFORE_PLAN)
        panic("on purpose");
    report_run_begin(2);
    report_scenario_refused(TEXT("first"), VERDICT_PASS, NULL);
    if (moment == IN_RUN)
        panic("on purpose");
    if (moment == AFTER_END) {
        (void)report_run_end();
        panic("on purpose");
    }
    report_scenario_begin(TEXT("second"), moment == IN_SWEEP ? 3 : 1);
    if (moment == IN_SCENARIO)
        panic("on purpose");
    report_combination_begin(TEXT("a=1"));
    if (moment == IN_BLOCK)
        csv_begin("timings", "columns");
    panic("on purpose");
}

static void assert_panic_ends_with(enum moment moment, const char *end)
{
    assert_int_equal(run(panic_at_moment, &moment), 2);
    assert_non_null(strstr(said, "on purpose"));
    assert_true(strlen(said) > strlen(end));
    assert_string_equal(said + strlen(said) - strlen(end), end);
}

static void test_panic_finishes_the_report_in_any_state(void **state)
{
    (void)state;
    assert_panic_ends_with(BEFORE_PLAN, "\n@pagelab done passed=0 failed=0 skipped=0 status=2\n");
    assert_null(strstr(said, "not ok"));
    assert_panic_ends_with(IN_RUN, "\n@pagelab done passed=1 failed=0 skipped=0 status=2\n");
    assert_null(strstr(said, "not ok"));
    static const enum moment plain[] = {IN_SCENARIO, IN_COMBINATION, IN_BLOCK};
    for (size_t i = 0; i < ARRAY_COUNT(plain); i++)
        assert_panic_ends_with(plain[i], "\nnot ok 2 second\n"
                                         "@pagelab done passed=1 failed=1 skipped=0 status=2\n");
    assert_panic_ends_with(IN_SWEEP, "\n  not ok 1 a=1\nnot ok 2 second\n"
                                     "@pagelab done passed=1 failed=1 skipped=0 status=2\n");
}

static void test_panic_after_the_end_does_not_end_twice(void **state)
{
    (void)state;
    enum moment moment = AFTER_END;
    assert_int_equal(run(panic_at_moment, &moment), 2);
    const char *done = strstr(said, "@pagelab done");
    assert_non_null(done);
    assert_null(strstr(done + 1, "@pagelab done"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_quotes_as_rfc_4180_wants),
        cmocka_unit_test(test_csv_numbers_have_no_trailing_zeros),
        cmocka_unit_test(test_csv_row_that_is_too_long_is_cut_and_stays_csv),
        cmocka_unit_test(test_ktap),
        cmocka_unit_test(test_precedence_of_statuses),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_panic_finishes_the_report_in_any_state),
        cmocka_unit_test(test_panic_after_the_end_does_not_end_twice),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
